"""`fast_compile`: what it chooses is set, said, and leaves the training what it is."""

import keras
import numpy as np
import pytest

import kerastrain
from kerastrain._core import accelerator, machine
from kerastrain._core.errors import InputError

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)


def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(8, activation="tanh", name="hidden")(inputs)
    fixed = keras.layers.Dense(4, dtype="float64", name="fixed")(hidden)
    return keras.Model(inputs, keras.layers.Dense(1, name="head")(fixed))


def test_the_training_is_that_of_compile_but_for_rounding(capsys):
    ends = []
    for fast in (False, True):
        made = model()
        if fast:
            execution = kerastrain.fast_compile(
                made, keras.optimizers.SGD(0.01), "mse", batch_size=8, steps_per_epoch=8, precision="float32"
            )
            several = keras.backend.backend() != "torch"
            assert made.steps_per_execution == execution.steps_per_execution == (8 if several else 1)
            assert made.jit_compile == execution.jit
        else:
            made.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=keras.backend.backend() == "jax")
        made.fit(X, X[:, :1], batch_size=8, epochs=2, shuffle=False, verbose=0)
        ends.append(made.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    told = capsys.readouterr().err
    assert all(f"fast_compile: {reason}" in told for reason in execution.reasons)


def test_bfloat16_is_for_all_but_the_outputs_and_what_was_asked_for():
    made = model()
    execution = kerastrain.fast_compile(made, "sgd", "mse", batch_size=8, precision="bfloat16", verbose=False)
    assert execution.precision == "bfloat16"
    names = {name: made.get_layer(name).compute_dtype for name in ("hidden", "fixed", "head")}
    hidden = "bfloat16" if keras.backend.backend() != "tensorflow" or accelerator.device_name() else "float32"
    assert names == {"hidden": hidden, "fixed": "float64", "head": "float32"}
    assert made.get_layer("hidden").kernel.dtype == "float32"
    assert np.isfinite(made.fit(X, X[:, :1], batch_size=8, verbose=0).history["loss"]).all()


def test_biases_learn_in_bfloat16_what_they_learn_in_float32(capsys):
    # TensorFlow on a processor adds gradients of a bias up in the dtype they have: of 2,048 samples most is lost.
    x = np.random.default_rng(1).normal(size=(2048, 6, 6, 2)).astype(np.float32)
    biases = {}
    for precision in ("float32", "bfloat16"):
        keras.utils.set_random_seed(0)
        layers = [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(3, 3, activation="relu"),
            keras.layers.DepthwiseConv2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.Dense(1),
        ]
        made = keras.Sequential(layers)
        kerastrain.fast_compile(made, keras.optimizers.SGD(0.01), "mse", batch_size=2048, precision=precision)
        made.fit(x, x.mean((1, 2, 3)) + 1.0, batch_size=2048, epochs=1, shuffle=False, verbose=0)
        biases[precision] = [keras.ops.convert_to_numpy(layer.bias) for layer in made.layers if hasattr(layer, "bias")]
    assert len(biases["float32"]) == 4
    for one, other in zip(biases["bfloat16"], biases["float32"], strict=True):
        np.testing.assert_allclose(one, other, atol=0.03 * np.abs(other).max())
    assert ("layers with a bias" in capsys.readouterr().err) == (keras.backend.backend() == "tensorflow")


def test_bfloat16_is_chosen_where_the_processor_multiplies_it(monkeypatch):
    monkeypatch.setattr(accelerator, "device_name", lambda: None)
    for flags, wanted in ((["avx2"], "float32"), (["amx_bf16"], "bfloat16"), (["avx512_bf16"], "bfloat16")):
        monkeypatch.setattr(machine, "cpu_flags", lambda flags=flags: frozenset(flags))
        execution = kerastrain.fast_compile(model(), "sgd", "mse", batch_size=8, verbose=False)
        # XLA's own convolutions on a processor are slower in bfloat16.
        assert execution.precision == (wanted if keras.backend.backend() != "jax" else "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be"),
        ({"precision": "float8"}, "`precision` must be one of"),
        ({"steps_per_execution": 0}, "`steps_per_execution` must be"),
        ({"jit": "on"}, "`jit` must be"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        kerastrain.fast_compile(model(), "sgd", "mse", **arguments)


def test_a_model_without_weights_yet():
    with pytest.raises(InputError, match="must be a built Keras model"):
        kerastrain.fast_compile(keras.Sequential([keras.layers.Dense(1)]), "sgd", "mse")


def test_a_model_for_images_of_any_size():
    layers = [keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3), keras.layers.GlobalMaxPooling2D()]
    execution = kerastrain.fast_compile(keras.Sequential(layers), "sgd", "mse", verbose=False)
    assert execution.steps_per_execution == 1
    assert any("not known" in reason or "eagerly" in reason for reason in execution.reasons)
