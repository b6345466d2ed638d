"""Gradients on every backend; the only file that imports tensorflow, jax or torch for them."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np


def value_and_gradients(
    function: Callable[[], Any], variables: Sequence[keras.Variable]
) -> tuple[float, list[np.ndarray]]:
    """The scalar that `function` computes from the variables, and its gradient for each of them, as NumPy arrays.

    A variable that the value does not depend on has a gradient of zeros.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        value, gradients = _tensorflow(function, variables)
    elif backend == "jax":
        value, gradients = _jax(function, variables)
    else:
        value, gradients = _torch(function, variables)
    arrays = [
        np.zeros(variable.shape, np.float32) if gradient is None else np.array(keras.ops.convert_to_numpy(gradient))
        for gradient, variable in zip(gradients, variables, strict=True)
    ]
    return float(keras.ops.convert_to_numpy(value)), arrays


def _tensorflow(function: Callable[[], Any], variables: Sequence[keras.Variable]) -> tuple[Any, Sequence[Any]]:
    tensorflow: Any = importlib.import_module("tensorflow")
    values = [variable.value for variable in variables]
    with tensorflow.GradientTape() as tape:
        tape.watch(values)  # Those that are not trainable too.
        value = function()
    return value, tape.gradient(value, values)


def _jax(function: Callable[[], Any], variables: Sequence[keras.Variable]) -> tuple[Any, Sequence[Any]]:
    jax: Any = importlib.import_module("jax")

    def stateless(values: Sequence[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function()

    value, gradients = jax.value_and_grad(stateless)([variable.value for variable in variables])
    return value, gradients


def _torch(function: Callable[[], Any], variables: Sequence[keras.Variable]) -> tuple[Any, Sequence[Any]]:
    torch: Any = importlib.import_module("torch")
    values = [variable.value for variable in variables]
    before = [value.requires_grad for value in values]
    try:
        for value in values:
            value.requires_grad_(True)
        result = function()
        gradients = torch.autograd.grad(result, values, allow_unused=True)
    finally:
        for value, required in zip(values, before, strict=True):
            value.requires_grad_(required)
    return result.detach(), gradients
