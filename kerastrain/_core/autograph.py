"""Keeping TensorFlow's AutoGraph off code that has no Python `if` on tensors."""

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

import keras

_Function = TypeVar("_Function", bound=Callable[..., Any])


def as_written(function: _Function) -> _Function:
    """`function`, traced as it is written, also in a `tf.function` of the user's own.

    Keras's `fit` does so for the whole step. Elsewhere AutoGraph would translate every function of ours that a step
    calls, which takes longer than tracing it, and warns of those that it cannot translate; Keras's own it leaves alone.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    autograph: Any = importlib.import_module("tensorflow").autograph
    written: _Function = autograph.experimental.do_not_convert(function)
    return written
