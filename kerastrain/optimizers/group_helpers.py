"""Parameter groups that many trainings need."""

import keras

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import PositiveFloat
from kerastrain.optimizers.parameter_group import ParameterGroup, pattern_of


def no_decay_on_bias_and_norm() -> ParameterGroup:
    """No weight decay on biases, nor on the scales and offsets of normalization layers.

    They are the variables called `bias`, `gamma`, `beta` or `scale`. Decay is for weights that multiply
    inputs; of these there are few, and pulling them to 0 costs accuracy. Keras's way, `exclude_from_weight_decay`, is
    not saved with the model.

    Example:

    >>> group = no_decay_on_bias_and_norm()
    >>> group.matches("block/norm/gamma"), group.matches("block/dense/kernel"), group.weight_decay
    (True, False, 0.0)

    Reference: He, Zhang, Zhang, Zhang, Xie and Li, 2019, Bag of tricks for image classification, arXiv:1812.01187,
    section 3.1.
    """
    return ParameterGroup(r"(^|/)(bias|gamma|beta|scale)$", weight_decay=0.0, name="no_decay_on_bias_and_norm")


def layerwise_decay(model: keras.Model, rate: PositiveFloat) -> list[ParameterGroup]:
    """A learning rate that falls from the last layer to the first: `rate^k` for the k-th layer from the end.

    The last layer with trainable variables has the optimizer's rate (k = 0), the one before it `rate` times that, and
    so on. For fine-tuning: layers near the input need to move least. The layers are those of `model.layers` in order; a
    nested model counts as one layer.

    Args:
        model: a built model.
        rate: the factor from one layer to the one before it, a number > 0, usually 0.65 to 0.95.

    Returns:
        One group for each layer whose factor is not 1.

    Raises:
        InputError: the model is not built or has no trainable variables, or `rate` is not a number > 0.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    >>> [group.learning_rate_multiplier for group in layerwise_decay(model, 0.5)]
    [0.5]

    Reference: Howard and Ruder, 2018, Universal language model fine-tuning, arXiv:1801.06146, section 3.2
    (discriminative fine-tuning, rate = 1 / 2.6); Clark et al., 2020, ELECTRA, arXiv:2003.10555.
    """
    rate = number("rate", rate, above=0)
    if not model.built:
        raise InputError(f"The model `{model.name}` must be built, since variables have no paths before.")
    layers = [layer for layer in model.layers if layer.trainable_variables]
    if not layers:
        raise InputError(f"The model `{model.name}` has no trainable variables.")
    groups = []
    for distance, layer in enumerate(reversed(layers)):
        if rate**distance != 1.0:
            pattern = pattern_of(model, layer.trainable_variables)
            groups.append(
                ParameterGroup(pattern, learning_rate_multiplier=rate**distance, name=f"layerwise.{layer.name}")
            )
    return groups[::-1]
