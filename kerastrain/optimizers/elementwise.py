"""Which update rules treat each element of a variable by itself, so that variables can be joined for it."""

import keras

K = keras.optimizers
# AdamW is an Adam. Not here: Adafactor, Lamb and Muon, which look at a variable as a whole; ScheduleFreeAdamW, whose
# state begins with the weights.
_OF_KERAS = (K.SGD, K.Adam, K.Adamax, K.Nadam, K.RMSprop, K.Adagrad, K.Adadelta, K.Lion, K.Ftrl)


def is_elementwise(rule: keras.optimizers.Optimizer) -> bool:
    """Whether `rule` updates each element by what belongs to that element, and numbers of the whole optimizer.

    Of Keras's rules those of the list; of others those whose class says `elementwise = True`. A subclass with a `build`
    or `update_step` of its own has to say so itself.
    """
    kind = type(rule)
    for known in _OF_KERAS:
        if isinstance(rule, known) and (kind.update_step, kind.build) == (known.update_step, known.build):
            return True
    for base in kind.__mro__:
        if "elementwise" in vars(base):
            return bool(vars(base)["elementwise"])
        if "update_step" in vars(base) or "build" in vars(base):
            return False
    return False
