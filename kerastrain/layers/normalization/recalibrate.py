"""Batch normalization's statistics for weights that they were not gathered with."""

import itertools
from typing import Any

import keras
import numpy as np

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.input_batches import input_batches
from kerastrain._core.keras_layers import all_layers


def recalibrate(model: keras.Model, data: Any, steps: int | None = None, batch_size: int = 128) -> int:
    """Set the moving statistics of every `keras.layers.BatchNormalization` to those of the present weights.

    `moving_mean` and `moving_variance` become the means, over the batches, of the batches' means and variances, each
    weighted by its samples; no weight is trained. Weights that were averaged (`averaged_weights`) or read from
    elsewhere have other activations than those the statistics were gathered from, and answer wrongly with them: batch
    normalization is why an average of good weights can be worth nothing. PyTorch has `swa_utils.update_bn`; Keras has
    nothing of the kind.

    The model is called in training mode, so dropout drops, as it did while training. Layers with `trainable=False` keep
    their statistics, which is what Keras means by it.

    Args:
        model: a built model.
        data: training samples: an array or a dictionary of arrays, a `keras.utils.PyDataset`, or an iterable of batches
            (a `tf.data.Dataset`, a generator); of a batch that is a tuple the first part is taken, the rest is labels.
        steps: how many batches, a whole number >= 1; None for all there are. A few thousand samples are enough.
        batch_size: samples in a batch, where `data` is an array.

    Returns:
        The number of layers whose statistics were set.

    Raises:
        InputError: `data` has no batch, or an argument is out of its range.

    Example:

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization(name="norm")])
    >>> recalibrate(model, np.array([[1.0], [3.0]], np.float32))
    1
    >>> [float(keras.ops.squeeze(v)) for v in model.get_layer("norm").non_trainable_variables]
    [2.0, 1.0]

    Reference: Izmailov et al., 2018, Averaging weights leads to wider optima, arXiv:1803.05407, section 3.2 (batch
    normalization).
    """
    if steps is not None:
        whole_number("steps", steps)
    whole_number("batch_size", batch_size)
    layers = [
        layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not layers:
        return 0
    momentums = [layer.momentum for layer in layers]
    sums = [(np.zeros(layer.moving_mean.shape), np.zeros(layer.moving_variance.shape)) for layer in layers]
    count = 0
    try:
        for layer in layers:
            layer.momentum = 0.0  # The statistics are those of the last batch then.
        for batch in itertools.islice(input_batches(data, batch_size), steps):
            samples = len(next(iter(batch.values())) if isinstance(batch, dict) else batch)
            if samples == 0:
                continue
            model(batch, training=True)
            count += samples
            for layer, (mean, variance) in zip(layers, sums, strict=True):
                mean += samples * keras.ops.convert_to_numpy(layer.moving_mean).astype(np.float64)
                variance += samples * keras.ops.convert_to_numpy(layer.moving_variance).astype(np.float64)
    finally:
        for layer, momentum in zip(layers, momentums, strict=True):
            layer.momentum = momentum
    if count == 0:
        raise InputError("`data` must have at least one batch. Received: none.")
    for layer, (mean, variance) in zip(layers, sums, strict=True):
        layer.moving_mean.assign(mean / count)
        layer.moving_variance.assign(variance / count)
    return len(layers)
