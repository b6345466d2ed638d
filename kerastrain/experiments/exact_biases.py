"""Biases that TensorFlow would not train in half precision on a processor."""

from typing import Any

import keras

from kerastrain._core import accelerator, onednn
from kerastrain._core.keras_layers import all_layers

_BECAUSE = "in float32: TensorFlow on a processor adds half-precision gradients of biases up in half precision"
REASON = f"layers with a bias, but for convolutions, {_BECAUSE}"
REASON_WITHOUT_ONEDNN = f"layers with a bias, convolutions too, {_BECAUSE}"


def exact_biases(model: keras.Model) -> tuple[str, ...]:
    """Let layers whose bias gradient would be lost compute in float32; the reason, where there are any.

    `BiasAddGrad` on a processor keeps its sum in the dtype of what it adds up. In bfloat16 a sum stops growing at a few
    hundred times its terms: of a dense layer's bias 4 % of the gradient is missing in a batch of 128, 43 % in one of
    1024. `Conv2D` is exempt where TensorFlow has oneDNN compute in that precision, since its gradients come out of
    another kernel there. Dense layers gain little from bfloat16 on a processor.
    """
    if keras.backend.backend() != "tensorflow" or accelerator.device_name() is not None:
        return ()
    found = [
        layer
        for layer in all_layers(model)
        if (getattr(layer, "use_bias", False) or _is_vector(getattr(layer, "bias", None)))
        and layer.compute_dtype in ("bfloat16", "float16")
        and layer.variable_dtype == "float32"
        and not (isinstance(layer, keras.layers.Conv2D) and onednn.computes_in(layer.compute_dtype))
    ]
    for layer in found:
        layer.dtype_policy = "float32"
    if not found:
        return ()
    convolutions = any(isinstance(layer, keras.layers.Conv2D) for layer in found)
    return (REASON_WITHOUT_ONEDNN if convolutions else REASON,)


def _is_vector(bias: Any) -> bool:
    """Whether it is a bias that Keras adds by TensorFlow's `bias_add`, whatever the layer calls its arguments."""
    return isinstance(bias, keras.Variable) and len(bias.shape) == 1
