"""`compile` with what is fast on this machine."""

import contextlib
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from typing import Any

import keras

from kerastrain._core import scanned_steps
from kerastrain._core.checks import boolean, choice, whole_number
from kerastrain._core.errors import InputError, closest
from kerastrain._core.keras_graph import has_graph, makers_of_outputs
from kerastrain._core.keras_layers import all_layers
from kerastrain.experiments.exact_biases import exact_biases
from kerastrain.experiments.execution import (
    PIPELINES,
    Execution,
    choose_execution,
    choose_precision,
    computed_precision,
    policy_name,
)

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
_HALF = ("bfloat16", "float16")
_POLICIES = tuple(policy_name(precision) for precision in PRECISIONS[1:])


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
    that are no convolutions stay in float32 too, for their biases would not be trained; convolutions too where oneDNN
    does not compute them. Whatever is chosen replaces the policies float32, mixed_bfloat16 and mixed_float16 of the
    model and its layers; other policies stay. The recipes of `kerastrain train` choose by the same rules. Callbacks are
    told of batches once an execution, with the number of its last one.

    The pipeline is about JAX, and about images in `kerastrain.datasets.Batches`: on `"device"` they are moved to the
    device once, and each batch is gathered, cropped, mirrored and resized there, in the compiled step, to the images
    that the host would make. What else is given to `fit`, and `Batches` with an `augmentation` or several inputs, is
    made on the host as ever.

    On torch on a processor, under glibc, this process keeps from here on the memory that it frees, at its highest
    point, so that the activations of each step need not be asked for anew. Where the environment says otherwise that
    stays: MALLOC_MMAP_MAX_, MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_, a malloc tunable, a preloaded allocator.

    Where training is distributed (`keras.distribution`, `tf.distribute.MirroredStrategy`) it is one step to an
    execution, and under a strategy no jit.

    Args:
        model: a built Sequential or Functional model; of another one the precision stays as it is, or becomes float32.
        optimizer: as for `compile`.
        loss: as for `compile`.
        metrics: as for `compile`.
        batch_size: samples in a step, as you will give it to `fit`.
        steps_per_epoch: batches in an epoch, a bound for the steps of an execution; None for unknown.
        precision: `"auto"`, `"float32"`, `"bfloat16"`, or `"float16"`, in which Keras scales the loss. Weights in half
            precision are refused for `"float32"` and leave all as it is for `"auto"`.
        steps_per_execution: `"auto"` or a whole number >= 1.
        jit: `"auto"` or a boolean.
        pipeline: `"auto"` (the device where it is an accelerator), `"host"` or `"device"`.
        verbose: whether each choice is told in a line, with its reason.
        arguments: what else the model's `compile` takes. Under `run_eagerly=True` it is one step to an execution, and
            no jit.

    Returns:
        What was chosen: `precision` (float32 where no layer with weights computes in another), `steps_per_execution`,
        `jit`, `pipeline`, and the `reasons`.

    Raises:
        InputError: the model is not built, an argument is unknown, out of its range or not for this model or backend,
            or Keras does not train so under the `tf.distribute` strategy of the model. The layers are then as before.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> execution = fast_compile(model, "sgd", "mse", batch_size=8, steps_per_epoch=100, verbose=False)
    >>> execution.steps_per_execution > 1 or keras.backend.backend() == "torch"
    True
    """
    _check(model, batch_size, steps_per_epoch, precision, steps_per_execution, jit, verbose)
    pipeline = choice("pipeline", pipeline, PIPELINES)
    _check_arguments(model, arguments)
    with _as_it_was(model):
        chosen = _compute_in(model, precision)
        exact = exact_biases(model)
        if chosen[0] != "float32" and computed_precision(model, chosen)[0] == "float32":
            _set_policies(model, "float32")
        execution = choose_execution(
            model,
            precision=chosen,
            steps=steps_per_epoch,
            batch_size=batch_size,
            asked_steps=steps_per_execution,
            asked_jit=jit,
            asked_pipeline=pipeline,
            eagerly=bool(arguments.get("run_eagerly")),
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
    if verbose:
        for reason in execution.reasons:
            print(f"fast_compile: {reason}", file=sys.stderr)
    return execution


def _check(
    model: Any, batch_size: Any, steps: Any, precision: Any, steps_per_execution: Any, jit: Any, verbose: Any
) -> None:
    if not isinstance(model, keras.Model) or not model.built:
        raise InputError(
            f"`model` must be a built Keras model. Received: {model!r}. Give it an Input, or call it once."
        )
    whole_number("batch_size", batch_size)
    if steps is not None:
        whole_number("steps_per_epoch", steps)
    choice("precision", precision, PRECISIONS)
    if steps_per_execution != "auto":
        whole_number("steps_per_execution", steps_per_execution)
    if jit != "auto":
        boolean("jit", jit)
    boolean("verbose", verbose)


def _check_arguments(model: keras.Model, arguments: dict[str, Any]) -> None:
    """Raise where the model's own `compile` does not take what it will be given."""
    if "jit_compile" in arguments:
        raise InputError(f"`jit_compile` is `jit` here: write `jit={arguments['jit_compile']!r}`.")
    compile_ = inspect.signature(model.compile)
    parameters = compile_.parameters.values()
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    unknown = next((name for name in arguments if name not in compile_.parameters), None)
    if unknown is not None and not open_ended:
        known = (set(inspect.signature(fast_compile).parameters) | set(compile_.parameters)) - {"arguments"}
        raise InputError(
            f"`{unknown}` is no argument of fast_compile, nor of `compile` of {type(model).__name__}. "
            f"Received: {unknown}={arguments[unknown]!r}.{closest(unknown, known - {'jit_compile'})}"
        )
    given = ("optimizer", "loss", "metrics", "steps_per_execution", "jit_compile")
    try:
        compile_.bind(**dict.fromkeys(given), **arguments)
    except TypeError as error:
        raise InputError(
            f"`compile` of {type(model).__name__} must take {', '.join(given)}, and need nothing else that it is not "
            f"given. Received: compile{compile_}, {error}. Let it take **kwargs and hand them on to super().compile()."
        ) from None


@contextlib.contextmanager
def _as_it_was(model: keras.Model) -> Iterator[None]:
    """Give the layers their policies back where something is raised."""
    before = [(layer, layer.dtype_policy) for layer in (model, *all_layers(model))]
    try:
        yield
    except BaseException:
        for layer, policy in before:
            if layer.dtype_policy != policy:
                layer.dtype_policy = policy
        raise


def _compute_in(model: keras.Model, asked: str) -> tuple[str, str]:
    """Let the layers compute in the precision; what was chosen in the end, and why."""
    precision, reason = choose_precision(asked)
    kind = type(model).__name__
    half = next((layer for layer in all_layers(model) if layer.weights and layer.dtype_policy.name in _HALF), None)
    if half is not None and asked == "auto":
        dtype = half.dtype_policy.name
        return dtype, f"precision {dtype} as it was: so are the weights of `{half.name}`"
    if half is not None and precision == "float32":
        raise InputError(
            f"`precision` cannot be float32: the weights of `{half.name}` are {half.dtype_policy.name}. Make the model "
            "under the policy float32, or mixed_bfloat16, or leave the precision at auto."
        )
    if precision != "float32" and not has_graph(model):
        if asked != "auto":
            raise InputError(
                f"`precision` must be auto or float32 for {kind}, which is neither Sequential nor Functional: which of "
                f"its layers make the outputs, and stay in float32, it does not tell. Received: precision={asked!r}. "
                f"Make it under keras.config.set_dtype_policy({policy_name(asked)!r})."
            )
        return _computed_now(model), f"precision as it was: {kind} does not tell which layers make its outputs"
    _set_policies(model, precision)
    return precision, reason


def _computed_now(model: keras.Model) -> str:
    found = {layer.compute_dtype for layer in all_layers(model) if layer.weights}
    return next((precision for precision in _HALF if precision in found), "float32")


def _set_policies(model: keras.Model, precision: str) -> None:
    """Of the model and all its layers with float32 weights; what makes the outputs computes in float32."""
    in_float32 = {id(layer) for layer in makers_of_outputs(model)} if precision != "float32" else set()
    for layer in (model, *all_layers(model)):
        if layer.dtype_policy.name in _POLICIES and not isinstance(layer, keras.layers.InputLayer):
            layer.dtype_policy = "float32" if id(layer) in in_float32 else policy_name(precision)
