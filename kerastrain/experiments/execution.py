"""How a model is executed here: precision, steps per execution and jit, chosen for the backend and the hardware."""

import dataclasses
from typing import Any

import keras

from kerastrain._core import accelerator, allocator, machine, onednn, processes, replicas
from kerastrain._core.errors import InputError
from kerastrain._core.keras_layers import all_layers
from kerastrain.experiments.multiply_adds import multiply_adds

# A call into the compiled loop should take about this long: long enough to hide Keras's overhead of about a millisecond
# a step, short enough that progress moves and Ctrl-C is answered.
_TARGET_SECONDS = 0.5
# On JAX the batches of an execution are stacked first.
_MAX_STEPS = {"tensorflow": 256, "jax": 64}
# Multiply-adds a second that a core reaches in training, in orders of magnitude; only the step count depends on it.
_MULTIPLY_ADDS_PER_SECOND = 3e10
_ACCELERATOR_FACTOR = 500
PIPELINES = ("auto", "host", "device")


@dataclasses.dataclass(frozen=True)
class Execution:
    """What was chosen, and why in one line each."""

    backend: str
    device: str
    precision: str
    steps_per_execution: int
    jit: bool
    pipeline: str
    reasons: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"reasons": list(self.reasons)}


def choose_precision(asked: str) -> tuple[str, str]:
    """The precision to compute in, and the reason.

    `auto` takes bfloat16 where the hardware multiplies it faster than float32: on a processor with AMX or AVX-512's
    bfloat16, or on an accelerator of the Ampere generation or later. Elsewhere bfloat16 is emulated, or slower, and
    float32 it is; JAX on a processor is slower in it whatever that has.
    """
    if asked != "auto":
        return asked, f"precision {asked}: asked for"
    name = accelerator.device_name()
    if name is not None:
        if accelerator.has_bfloat16():
            return "bfloat16", f"precision bfloat16: {name} multiplies it natively"
        return "float32", f"precision float32: {name} has no native bfloat16"
    if keras.backend.backend() == "jax":
        return "float32", "precision float32: JAX is slower in bfloat16 on a processor"
    for flag in machine.BFLOAT16_FLAGS:
        if flag in machine.cpu_flags():
            return "bfloat16", f"precision bfloat16: the processor multiplies it natively ({flag})"
    return "float32", f"precision float32: the processor has neither of {' and '.join(machine.BFLOAT16_FLAGS)}"


def policy_name(precision: str) -> str:
    """Keras's dtype policy for a precision: float32 weights in every case."""
    return "float32" if precision == "float32" else f"mixed_{precision}"


def computed_precision(model: keras.Model, precision: tuple[str, str]) -> tuple[str, str]:
    """What `precision` and its reason come to where no layer with weights of its own computes in it: float32."""
    wanted, reason = precision
    for layer in all_layers(model):
        own = layer.weights and not any(inner.weights for inner in all_layers(layer))
        if wanted == "float32" or (own and layer.compute_dtype == wanted):
            return precision
    because = reason.partition(": ")[2]
    return "float32", f"precision float32: no layer with weights is left to compute in {wanted} ({because})"


def choose_execution(
    model: keras.Model,
    *,
    precision: tuple[str, str],
    steps: int | None,
    batch_size: int,
    asked_steps: Any,
    asked_jit: Any,
    asked_pipeline: str = "auto",
    eagerly: bool = False,
) -> Execution:
    """Choose steps per execution, jit and pipeline for a built model; on torch on a processor, have memory kept.

    Args:
        model: the model, built.
        precision: as `choose_precision` gives it.
        steps: steps in an epoch; None for unknown.
        batch_size: samples in a step.
        asked_steps: `"auto"` or a number.
        asked_jit: `"auto"` or a boolean.
        asked_pipeline: one of `PIPELINES`.
        eagerly: whether the model will be compiled with `run_eagerly`.

    Raises:
        InputError: several steps per execution on torch or under `tf.distribute`, jit there, a strategy under which
            Keras does not train, or images on the device where they cannot be kept.
    """
    backend = keras.backend.backend()
    device = accelerator.device_name()
    precision = computed_precision(model, precision)
    reasons = [precision[1]]
    alone = _alone(model, asked_steps, asked_jit)
    if eagerly and asked_steps != 1:
        asked = "" if asked_steps == "auto" else f"{asked_steps} were asked for, but "
        per_execution, reason = 1, f"steps_per_execution 1: {asked}run_eagerly compiles no loop of them"
    elif alone is not None and asked_steps == "auto":
        per_execution, reason = 1, f"steps_per_execution 1: {alone}"
    else:
        per_execution, reason = _steps_per_execution(model, steps, batch_size, asked_steps, backend, device)
    reasons.append(reason)
    jit, reason = _choose_jit_of(model, asked_jit, eagerly)
    reasons.append(reason)
    if backend == "tensorflow" and device is None and (kernels := onednn.reason()) is not None:
        reasons.append(kernels)
    pipeline, reason = _choose_pipeline(asked_pipeline, jit, device)
    if backend == "jax":  # Elsewhere there is one.
        reasons.append(reason)
    elif keras.distribution.distribution() is not None:
        reasons.append(f"keras.distribution without effect: on {backend} Keras takes no notice of it")
    # Behind everything that is refused.
    if backend == "torch" and device is None and (memory := allocator.keep_freed_memory()) is not None:
        reasons.append(memory)
    return Execution(backend, device or "cpu", precision[0], per_execution, jit, pipeline, tuple(reasons))


def _alone(model: keras.Model, asked_steps: Any, asked_jit: Any) -> str | None:
    """Why steps are executed one by one where the training is distributed; None where it is not.

    Raises:
        InputError: something else is asked for, and Keras fails with it.
    """
    if processes.distribution() is not None:
        return "under keras.distribution Keras runs the steps of an execution one by one"
    replicas.check_strategy(model)
    if replicas.replicas_of(model) == 1:
        return None
    if asked_steps not in ("auto", 1):
        raise InputError(
            "`steps_per_execution` must be 1 or auto under a tf.distribute strategy, where Keras fails with more. "
            f"Received: {asked_steps}."
        )
    if asked_jit is True and accelerator.device_name() is None:
        raise InputError(
            "`jit` must be False or auto under a tf.distribute strategy on processors, where TensorFlow cannot compile "
            "what replicas tell one another. Received: jit=True."
        )
    return "with more Keras fails under a tf.distribute strategy"


def _choose_jit_of(model: keras.Model, asked: Any, eagerly: bool) -> tuple[bool, str]:
    if eagerly:
        return False, f"jit off: {'asked for, but ' if asked is True else ''}run_eagerly compiles nothing"
    if replicas.replicas_of(model) > 1 and asked == "auto":
        return False, "jit off: XLA does not compile what replicas tell one another"
    return choose_jit(asked)


def choose_jit(asked: Any) -> tuple[bool, str]:
    """Whether to compile by XLA, `"auto"` or a boolean being asked for, and the reason."""
    backend = keras.backend.backend()
    if asked != "auto":
        return bool(asked), f"jit {'on' if asked else 'off'}: asked for"
    if backend == "jax":
        return True, "jit on: JAX needs it"
    if backend != "tensorflow":
        return False, f"jit off: {backend} runs eagerly unless asked to compile"
    if accelerator.device_name() is not None:
        return True, "jit on: XLA fuses on the accelerator"
    return False, "jit off: TensorFlow without XLA is faster on this device"


def _choose_pipeline(asked: str, jit: bool, device: str | None) -> tuple[str, str]:
    possible = keras.backend.backend() == "jax" and jit and processes.distribution() is None
    if asked == "device" and not possible:
        raise InputError(
            "`pipeline` must be host or auto but on JAX, compiled, without keras.distribution: only there are batches "
            f"made in the compiled step. Received: pipeline=device on {keras.backend.backend()}."
        )
    if asked == "device":
        return asked, "pipeline device: asked for"
    if asked == "auto" and possible and device is not None:
        return "device", "pipeline device: the images of Batches stay there, and are cropped and mirrored in the step"
    return "host", "pipeline host: " + ("asked for" if asked == "host" else "batches are made beside the step")


def _steps_per_execution(
    model: keras.Model, steps: int | None, batch_size: int, asked: Any, backend: str, device: str | None
) -> tuple[int, str]:
    if backend == "torch" and asked not in ("auto", 1):
        raise InputError(
            "`steps_per_execution` must be 1 or auto on the torch backend, where Keras has no compiled loop. "
            f"Received: {asked}."
        )
    if asked != "auto":
        if steps is None or asked <= steps:
            return int(asked), f"steps_per_execution {asked}: asked for"
        return steps, f"steps_per_execution {steps}: {asked} were asked for, but an epoch has {steps}"
    if backend == "torch":
        return 1, "steps_per_execution 1: torch runs eagerly, more steps a call save nothing"
    speed = _MULTIPLY_ADDS_PER_SECOND * (_ACCELERATOR_FACTOR if device is not None else machine.facts()["cores"])
    count, unknown = multiply_adds(model)
    if unknown:
        return 1, f"steps_per_execution 1: {unknown}"
    seconds = 3 * count * batch_size / speed  # Backward costs about twice forward.
    several = int(min(_MAX_STEPS[backend], _TARGET_SECONDS / max(seconds, 1e-9)))
    chosen = max(1, several if steps is None else min(several, steps))
    return chosen, f"steps_per_execution {chosen}: {_milliseconds(seconds)} of arithmetic a step"


def _milliseconds(seconds: float) -> str:
    return f"about {seconds * 1000:.0f} ms" if seconds >= 0.001 else "less than 1 ms"
