"""Cross-entropy with integer labels, smoothed."""

from typing import Any

import keras

from kerastrain._core.checks import boolean, number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import Fraction

# Half precision has every whole number up to these only.
_COUNTABLE = {"bfloat16": 257, "float16": 2049}


@keras.saving.register_keras_serializable(package="kerastrain")
class SparseCategoricalCrossentropy(keras.losses.Loss):
    """Keras's loss of the same name with `label_smoothing`, which Keras's has for one-hot labels only.

    `-sum_k q_k log p_k` with `q_k = 1 - s + s / K` for the label and `s / K` for the other classes, s the smoothing and
    K the number of classes

    A network that need not be certain generalizes better and is better calibrated; its loss is never 0. A label that is
    no class makes the loss NaN, on every backend, as Keras's does on TensorFlow's GPUs.

    Args:
        label_smoothing: s, in [0, 1).
        from_logits: whether the predictions are logits, and not probabilities.
        reduction: as in Keras.
        name: as in Keras.
        **kwargs: `dtype`.

    Call arguments:
        y_true: integer labels `(batch, ...)`, or with a last axis of 1.
        y_pred: predictions `(batch, ..., classes)`.

    Raises:
        InputError: an argument is out of its range; at the call, labels in another shape (one-hot), or `dtype` is a
            half precision that cannot count the classes.

    Example:

    >>> import numpy as np
    >>> loss = SparseCategoricalCrossentropy(label_smoothing=0.2)
    >>> round(float(loss(np.array([0]), np.array([[0.9, 0.1]]))), 4)  # -0.9 log 0.9 - 0.1 log 0.1
    0.3251

    Reference: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, 2015, Rethinking the Inception architecture for computer
    vision, arXiv:1512.00567, section 7.
    """

    def __init__(
        self,
        label_smoothing: Fraction = 0.0,
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_categorical_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.label_smoothing = number("label_smoothing", label_smoothing, minimum=0, below=1)
        self.from_logits = boolean("from_logits", from_logits)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        classes = y_pred.shape[-1]
        if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:  # Keras gives labels a last axis of 1.
            y_true = keras.ops.squeeze(y_true, axis=-1)
        if len(y_true.shape) != len(y_pred.shape) - 1:
            raise InputError(
                f"Labels must be whole numbers, `y_true` in the shape of `y_pred` without its last axis. Received: "
                f"{tuple(y_true.shape)} and {tuple(y_pred.shape)}. For one-hot labels there is "
                "keras.losses.CategoricalCrossentropy."
            )
        # Keras has made the labels numbers of the loss's dtype.
        countable = _COUNTABLE.get(keras.backend.standardize_dtype(y_true.dtype))
        if countable is not None and classes > countable:
            raise InputError(f"`dtype` must count {classes} classes: float32. Received: dtype={self.dtype!r}.")
        numbers = keras.ops.cast(keras.ops.arange(classes, dtype="int32"), y_true.dtype)
        matches = keras.ops.expand_dims(y_true, -1) == numbers
        labels = keras.ops.cast(matches, y_pred.dtype)
        loss = keras.losses.categorical_crossentropy(
            labels, y_pred, from_logits=self.from_logits, label_smoothing=self.label_smoothing
        )
        known = keras.ops.where(keras.ops.any(matches, axis=-1), 1.0, float("nan"))
        return loss * keras.ops.cast(known, loss.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "label_smoothing": self.label_smoothing,
            "from_logits": self.from_logits,
            "reduction": self.reduction,
            "name": self.name,
            "dtype": self.dtype,
        }
