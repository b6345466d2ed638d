"""What is chosen for a machine, on machines that are not here: their facts are given."""

import keras
import pytest

from kerastrain._core import accelerator, machine
from kerastrain.experiments.execution import choose_execution, choose_precision, multiply_adds, policy_name


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


def test_multiply_adds_by_hand():
    # 3x3x3 kernel to 5 channels at 4x4 positions, then 80 values to 10.
    assert multiply_adds(network(5)) == 3 * 3 * 3 * 5 * 4 * 4 + 4 * 4 * 5 * 10


def chosen(model, steps=1000, batch_size=32, asked_steps="auto", asked_jit="auto"):
    return choose_execution(
        model,
        precision=("float32", "because"),
        steps=steps,
        batch_size=batch_size,
        asked_steps=asked_steps,
        asked_jit=asked_jit,
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the choices below are TensorFlow's")
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
