"""What is chosen for a machine, on machines that are not here: their facts are given."""

import keras
import pytest

from kerastrain._core import accelerator, machine
from kerastrain._core.errors import InputError
from kerastrain.experiments.execution import choose_execution, choose_precision, policy_name


@pytest.fixture
def on(monkeypatch):
    """Pretend to be on a machine with these processor flags and this accelerator."""

    def pretend(flags=(), device=None, bfloat16=False):
        monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(accelerator, "device_name", lambda: device)
        monkeypatch.setattr(accelerator, "has_bfloat16", lambda: bfloat16)

    return pretend


@pytest.mark.parametrize(
    ("facts", "precision", "because"),
    [
        ({"flags": ["avx2", "avx512f"]}, "float32", "neither of amx_bf16 and avx512_bf16"),
        ({"flags": ["avx2", "avx512_bf16"]}, "bfloat16", "avx512_bf16"),
        ({"flags": ["avx512f", "amx_bf16"]}, "bfloat16", "amx_bf16"),
        ({"device": "NVIDIA H200", "bfloat16": True}, "bfloat16", "NVIDIA H200"),
        ({"device": "Tesla V100", "flags": ["amx_bf16"]}, "float32", "Tesla V100"),
    ],
)
def test_auto_precision_goes_by_the_hardware_that_computes(on, facts, precision, because):
    on(**facts)
    chosen, reason = choose_precision("auto")
    assert chosen == precision and because in reason


def test_an_asked_precision_is_taken(on):
    on(flags=["amx_bf16"])
    assert choose_precision("float32")[0] == "float32"
    assert choose_precision("float16")[0] == "float16"


def test_the_policy_keeps_float32_weights():
    for precision in ("float32", "bfloat16", "float16"):
        assert keras.DTypePolicy(policy_name(precision)).variable_dtype == "float32"


def network(width):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(width, 3, padding="same", strides=2)(inputs)
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(x)))


def chosen(model, steps=1000, batch_size=32, asked_steps="auto", asked_jit="auto", **arguments):
    return choose_execution(
        model,
        **{"precision": ("float32", "because"), **arguments},
        steps=steps,
        batch_size=batch_size,
        asked_steps=asked_steps,
        asked_jit=asked_jit,
    )


tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the choices are TensorFlow's")


@tensorflow_only
def test_steps_and_jit(on):
    on()
    small = chosen(network(5))
    assert small.steps_per_execution == 256 and not small.jit and small.device == "cpu"
    assert chosen(network(5), steps=7).steps_per_execution == 7
    # A step of many seconds leaves progress and Ctrl-C their turn after each.
    assert chosen(network(5), batch_size=10**8).steps_per_execution == 1
    assert chosen(network(5), asked_steps=3).steps_per_execution == 3
    assert chosen(network(5), asked_jit=True).jit
    on(device="NVIDIA H200", bfloat16=True)
    assert chosen(network(5)).jit and chosen(network(5)).device == "NVIDIA H200"


@tensorflow_only
def test_more_steps_than_an_epoch_has():
    execution = chosen(network(5), steps=10, asked_steps=100)
    assert execution.steps_per_execution == 10
    assert "steps_per_execution 10: 100 were asked for, but an epoch has 10" in execution.reasons
    assert "steps_per_execution 10: asked for" in chosen(network(5), steps=10, asked_steps=10).reasons
    assert chosen(network(5), steps=None, asked_steps=2_000_000).steps_per_execution == 2_000_000


@tensorflow_only
def test_how_long_a_step_takes_is_said(on):
    on()
    assert "steps_per_execution 256: less than 1 ms of arithmetic a step" in chosen(network(5)).reasons
    assert any(": about " in reason and " ms of" in reason for reason in chosen(network(5), batch_size=10**6).reasons)


@tensorflow_only
def test_a_long_sequence_leaves_ctrl_c_its_turn(on):
    on()
    # 4 x 1024 x (512 + 1024) weights at 1,000 steps, forth and back, of 64 samples: 1.2e12 multiply-adds.
    model = keras.Sequential([keras.Input((1000, 512)), keras.layers.LSTM(1024), keras.layers.Dense(1)])
    assert chosen(model, batch_size=64).steps_per_execution == 1


def test_run_eagerly():
    execution = chosen(network(5), asked_steps=8, asked_jit=True, eagerly=True)
    assert (execution.steps_per_execution, execution.jit) == (1, False)
    told = " ".join(execution.reasons)
    assert "8 were asked for, but run_eagerly" in told and "jit off: asked for, but run_eagerly" in told
    execution = chosen(network(5), eagerly=True)
    assert (execution.steps_per_execution, execution.jit) == (1, False)


def test_a_precision_that_no_layer_with_weights_computes_in():
    x = keras.Input((4,))
    hidden = keras.layers.Activation("relu", dtype="mixed_bfloat16")(keras.layers.Dense(3)(x))
    execution = chosen(
        keras.Model(x, keras.layers.Dense(1)(hidden)), precision=("bfloat16", "precision bfloat16: here")
    )
    assert execution.precision == "float32"
    reason = "precision float32: no layer with weights is left to compute in bfloat16 (here)"
    assert reason in execution.reasons
    hidden = keras.layers.Dense(3, dtype="mixed_bfloat16")(x)
    execution = chosen(
        keras.Model(x, keras.layers.Dense(1)(hidden)), precision=("bfloat16", "precision bfloat16: here")
    )
    assert execution.precision == "bfloat16"


@tensorflow_only
def test_a_distribution_that_tensorflow_does_not_see():
    assert not any("keras.distribution" in reason for reason in chosen(network(5)).reasons)
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        reasons = chosen(network(5)).reasons
    finally:
        keras.distribution.set_distribution(None)
    assert "keras.distribution without effect: on tensorflow Keras takes no notice of it" in reasons


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of torch")
@pytest.mark.backend
def test_several_steps_on_torch():
    with pytest.raises(InputError, match=r"^`steps_per_execution` must be 1 or auto"):
        chosen(network(5), asked_steps=2)
