"""`compile` with what is fast on this machine."""

import dataclasses
import sys
from typing import Any

import keras

from kerastrain._core import scanned_steps
from kerastrain._core.checks import boolean, choice, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.keras_layers import all_layers
from kerastrain.experiments.exact_biases import exact_biases
from kerastrain.experiments.execution import (
    PIPELINES,
    Execution,
    choose_execution,
    choose_precision,
    policy_name,
)

PRECISIONS = ("auto", "float32", "bfloat16")


def fast_compile(
    model: keras.Model,
    optimizer: Any = "rmsprop",
    loss: Any = None,
    metrics: Any = None,
    *,
    batch_size: int = 32,
    steps_per_epoch: int | None = None,
    precision: str = "auto",
    steps_per_execution: Any = "auto",
    jit: Any = "auto",
    pipeline: str = "auto",
    verbose: bool = True,
    **arguments: Any,
) -> Execution:
    """`model.compile`, with precision, steps per execution, jit and pipeline chosen for backend and hardware.

    `fit` spends about a millisecond of Python on each step, more than a small network's arithmetic. Several steps to an
    execution share it: on TensorFlow by Keras's own loop, on JAX by a `jax.lax.scan` over Keras's `train_step`, which
    Keras itself calls one by one. bfloat16 is taken where the hardware multiplies it faster: every layer but those that
    make the outputs then computes in it, and all weights stay float32. On TensorFlow on a processor layers with a bias
    that are no convolutions stay in float32 too, for their biases would not be trained. The recipes of `kerastrain
    train` choose by the same rules. Callbacks are told of batches once an execution, with the number of its last one.

    The pipeline is about JAX, and about images in `kerastrain.datasets.Batches`: on `"device"` they are moved to the
    device once, and each batch is gathered, cropped, mirrored and resized there, in the compiled step, to the images
    that the host would make. What else is given to `fit`, and `Batches` with an `augmentation` or several inputs, is
    made on the host as ever.

    Where training is distributed (`keras.distribution`, `tf.distribute.MirroredStrategy`) it is one step to an
    execution, and under a strategy no jit.

    Args:
        model: a built Sequential or Functional model; of another one the precision stays as it is.
        optimizer: as for `compile`.
        loss: as for `compile`.
        metrics: as for `compile`.
        batch_size: samples in a step, as you will give it to `fit`.
        steps_per_epoch: batches in an epoch, a bound for the steps of an execution; None for unknown.
        precision: `"auto"`, `"float32"` or `"bfloat16"`.
        steps_per_execution: `"auto"` or a whole number >= 1.
        jit: `"auto"` or a boolean.
        pipeline: `"auto"` (the device where it is an accelerator), `"host"` or `"device"`.
        verbose: whether each choice is told in a line, with its reason.
        arguments: what else `compile` takes.

    Returns:
        What was chosen: `precision`, `steps_per_execution`, `jit`, `pipeline`, and the `reasons`.

    Raises:
        InputError: the model is not built, an argument is out of its range or not for this backend, or Keras does not
            train so under the `tf.distribute` strategy of the model.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> execution = fast_compile(model, "sgd", "mse", batch_size=8, steps_per_epoch=100, verbose=False)
    >>> execution.steps_per_execution > 1 or keras.backend.backend() == "torch"
    True
    """
    _check(model, batch_size, steps_per_epoch, precision, steps_per_execution, jit)
    chosen = choose_precision(choice("precision", precision, PRECISIONS))
    if chosen[0] != "float32":
        chosen = _computing_in(model, chosen)
    exact = exact_biases(model)
    execution = choose_execution(
        model,
        precision=chosen,
        steps=steps_per_epoch or 1_000_000,
        batch_size=batch_size,
        asked_steps=steps_per_execution,
        asked_jit=jit,
        asked_pipeline=choice("pipeline", pipeline, PIPELINES),
    )
    execution = dataclasses.replace(execution, reasons=(*execution.reasons, *exact))
    model.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=metrics,
        steps_per_execution=execution.steps_per_execution,
        jit_compile=execution.jit,
        **arguments,
    )
    if scanned_steps.scan_steps(model, execution.pipeline == "device") and execution.steps_per_execution > 1:
        reason = "the steps of an execution in one jax.lax.scan"
        execution = dataclasses.replace(execution, reasons=(*execution.reasons, reason))
    if boolean("verbose", verbose):
        for reason in execution.reasons:
            print(f"fast_compile: {reason}", file=sys.stderr)
    return execution


def _check(model: Any, batch_size: Any, steps: Any, precision: Any, steps_per_execution: Any, jit: Any) -> None:
    if not isinstance(model, keras.Model) or not model.built:
        raise InputError(
            f"`model` must be a built Keras model. Received: {model!r}. Give it an Input, or call it once."
        )
    whole_number("batch_size", batch_size)
    if steps is not None:
        whole_number("steps_per_epoch", steps)
    if steps_per_execution != "auto":
        whole_number("steps_per_execution", steps_per_execution)
    if jit != "auto":
        boolean("jit", jit)


def _computing_in(model: keras.Model, chosen: tuple[str, str]) -> tuple[str, str]:
    """Let the layers compute in the precision; what was chosen in the end, and why."""
    if not isinstance(model, keras.Sequential) and not getattr(model, "outputs", None):
        return "float32", f"precision as it was: {type(model).__name__} does not tell which layers make its outputs"
    last = [id(tensor) for tensor in model.outputs]
    for layer in all_layers(model):
        makes_outputs = any(id(tensor) in last for tensor in keras.tree.flatten(getattr(layer, "output", ())))
        if (
            not makes_outputs
            and layer.dtype_policy.name == "float32"
            and not isinstance(layer, keras.layers.InputLayer)
        ):
            layer.dtype_policy = policy_name(chosen[0])
    return chosen
