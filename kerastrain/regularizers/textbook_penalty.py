"""The penalty of textbooks in the numbers that Keras takes."""

from kerastrain._core.checks import number, whole_number


def penalty_factor(strength: float, samples: int) -> float:
    """The factor of `keras.regularizers.L1` and `L2` for a textbook's penalty `lambda / (2 m)`.

    `lambda / (2 m) * sum(w^2)` is `keras.regularizers.L2(penalty_factor(lambda, m))`, and so for L1 with `sum(|w|)`:
    Keras adds its penalty to the mean loss of a batch, the texts to the mean loss of all m examples.

    Args:
        strength: the text's lambda, a number >= 0.
        samples: m, the number of training examples, a whole number >= 1.

    Raises:
        InputError: a number is out of its range.

    Example:

    >>> penalty_factor(5.0, samples=50_000)
    5e-05

    Reference: Varma, Module II, "Regularization", where m is not defined; it is the number of training examples.
    """
    return number("strength", strength, minimum=0) / (2 * whole_number("samples", samples))


def decoupled_weight_decay(strength: float, samples: int) -> float:
    """The `weight_decay` of an optimizer that does what a textbook's L2 penalty does to plain gradient descent.

    The gradient of `lambda / (2 m) * sum(w^2)` is `lambda / m * w`, so a step of rate a takes `a * lambda / m * w` off:
    that is `weight_decay = lambda / m` in Keras, where decay is relative to the rate. Equal for plain SGD without
    momentum; with momentum or per-parameter rates the two differ, and decoupled decay is the better habit.

    Args:
        strength: the text's lambda, a number >= 0.
        samples: m, the number of training examples, a whole number >= 1.

    Raises:
        InputError: a number is out of its range.

    Example:

    >>> decoupled_weight_decay(5.0, samples=50_000)
    0.0001

    Reference: Loshchilov and Hutter, 2017, Decoupled weight decay regularization, arXiv:1711.05101, proposition 1.
    """
    return number("strength", strength, minimum=0) / whole_number("samples", samples)
