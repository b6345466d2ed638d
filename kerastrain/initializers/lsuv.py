"""Orthogonal weights, scaled on a batch of data."""

from typing import Any, Self

import keras
import numpy as np

from kerastrain._core.checks import number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.keras_layers import all_layers
from kerastrain._core.registry import PositiveFloat, PositiveInt


@keras.saving.register_keras_serializable(package="kerastrain")
class LSUV(keras.initializers.Orthogonal):
    """Layer-sequential unit-variance initialization: orthogonal weights, then each layer scaled on a batch of data.

    `W <- W / sqrt(Var(z))`, z the layer's output before its activation on the batch, again until `|Var(z) - 1| <
    tolerance`, from the first layer to the last

    Where He's and Glorot's rules compute the scale for idealized activations, this one measures it, so that it holds
    for any activation, for maxout and for residual sums. Give it to layers as `kernel_initializer` (they start
    orthogonal), and call `adapt(model, x)` once before training: it scales the layers that have it. The model answers
    as at inference, so dropout is off and batch normalization uses its moving statistics. Keras has `Orthogonal`, its
    first half.

    Args:
        tolerance: how far from 1 the variance may stay, a number > 0.
        max_iterations: scalings of one layer, a whole number >= 1.
        seed: an int, a `keras.random.SeedGenerator`, or None for a seed that is drawn once. As with Keras's
            initializers, layers of one shape that share an instance start alike, unless its seed is a generator.

    Raises:
        InputError: a number is out of its range.

    Example:

    >>> lsuv = LSUV(seed=0)
    >>> model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(40, "tanh", kernel_initializer=lsuv)])
    >>> x = 7.0 * np.random.default_rng(0).normal(size=(500, 50)).astype("float32")
    >>> lsuv.adapt(model, x) is lsuv
    True
    >>> round(float(np.var(x @ model.get_weights()[0])), 2)
    1.0

    Reference: Mishkin and Matas, 2015, All you need is a good init, arXiv:1511.06422, algorithm 1.
    """

    def __init__(self, tolerance: PositiveFloat = 0.01, max_iterations: PositiveInt = 10, seed: Any = None) -> None:
        super().__init__(seed=seed)
        self.tolerance = number("tolerance", tolerance, above=0)
        self.max_iterations = whole_number("max_iterations", max_iterations)

    def adapt(self, model: keras.Model, x: Any) -> Self:
        """Scale every layer of `model` whose `kernel_initializer` is an `LSUV`, by the outputs on the batch `x`.

        Args:
            model: a built Sequential or functional model.
            x: a batch of inputs, as the model takes them; a few hundred samples.

        Returns:
            The initializer.

        Raises:
            InputError: no layer has an LSUV initializer, or one has that cannot be scaled (it is inside of another
                layer or model, or has no `kernel` and `activation`); the model is not built or has no graph of layers;
                an output does not vary, or no scaling brings its variance to 1.
        """
        if not isinstance(model, keras.Model) or not model.built or not hasattr(model, "inputs"):
            raise InputError(f"`model` must be a built Sequential or functional model. Received: {model!r}.")
        marked = [layer for layer in all_layers(model) if isinstance(getattr(layer, "kernel_initializer", None), LSUV)]
        if not marked:
            raise InputError(
                f"No layer of `{model.name}` has an LSUV initializer. Give it to the layers that are to be scaled: "
                "keras.layers.Dense(64, kernel_initializer=LSUV())."
            )
        layers = [layer for layer in model.layers if any(layer is other for other in marked)]
        for layer in marked:
            if layer not in layers or not hasattr(layer, "kernel") or not hasattr(layer, "activation"):
                raise InputError(
                    f"`{layer.name}` cannot be scaled: it must be a layer of `{model.name}` itself, not of one inside "
                    "it, with a kernel and an activation, as Dense and Conv2D. Give it keras.initializers.Orthogonal."
                )
        values = [x[tensor.name] for tensor in model.inputs] if isinstance(x, dict) else x
        values = [values] if len(model.inputs) == 1 and not isinstance(values, list | tuple) else list(values)
        for layer in layers:
            # Called, not by `predict`, which would compile a program for each layer.
            self._scale(layer, keras.Model(model.inputs, layer.input)(values, training=False))
        return self

    def _scale(self, layer: keras.Layer, inputs: Any) -> None:
        activation = layer.activation
        layer.activation = keras.activations.linear
        try:
            for scaling in range(self.max_iterations + 1):
                variance = float(np.var(keras.ops.convert_to_numpy(layer(inputs)), dtype=np.float64))
                if not variance > 0 or not np.isfinite(variance):
                    raise InputError(
                        f"The outputs of `{layer.name}` have the variance {variance} on `x`, which no scale makes 1."
                    )
                if abs(variance - 1.0) < self.tolerance:
                    return
                if scaling < self.max_iterations:
                    layer.kernel.assign(layer.kernel / variance**0.5)
        finally:
            layer.activation = activation
        raise InputError(
            f"The outputs of `{layer.name}` have the variance {variance:.3g} after {self.max_iterations} scalings, and "
            f"not 1 +- {self.tolerance:g}. Start its bias at zeros, or raise `max_iterations` or `tolerance`."
        )

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "tolerance": self.tolerance, "max_iterations": self.max_iterations}
        del config["gain"]
        return config
