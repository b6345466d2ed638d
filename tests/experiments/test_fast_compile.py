"""`fast_compile`: what it chooses is set, said, and leaves the training what it is."""

import keras
import numpy as np
import pytest

import kerastrain
from kerastrain._core import accelerator, allocator, machine, onednn
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
    names = {name: made.get_layer(name).compute_dtype for name in ("hidden", "fixed", "head")}
    hidden = "bfloat16" if keras.backend.backend() != "tensorflow" or accelerator.device_name() else "float32"
    assert names == {"hidden": hidden, "fixed": "float64", "head": "float32"}
    assert execution.precision == hidden
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
            keras.layers.EinsumDense("ab,bc->ac", 5, activation="relu", bias_axes="c"),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.Dense(1),
        ]
        made = keras.Sequential(layers)
        kerastrain.fast_compile(made, keras.optimizers.SGD(0.01), "mse", batch_size=2048, precision=precision)
        made.fit(x, x.mean((1, 2, 3)) + 1.0, batch_size=2048, epochs=1, shuffle=False, verbose=0)
        biases[precision] = [keras.ops.convert_to_numpy(layer.bias) for layer in made.layers if hasattr(layer, "bias")]
    assert len(biases["float32"]) == 5
    for one, other in zip(biases["bfloat16"], biases["float32"], strict=True):
        np.testing.assert_allclose(one, other, atol=0.03 * np.abs(other).max())
    assert ("layers with a bias" in capsys.readouterr().err) == (keras.backend.backend() == "tensorflow")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's kernels")
def test_without_onednn_convolutions_with_a_bias_stay_in_float32_too(monkeypatch):
    # Its other kernel gives a convolution's bias 256 where 32,768 is right.
    for used, wanted in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(onednn, "computes_in", lambda dtype, used=used: used)
        made = convolutional(use_bias=True)
        execution = kerastrain.fast_compile(made, "sgd", "mse", batch_size=8, precision="bfloat16", verbose=False)
        assert made.layers[0].compute_dtype == wanted
        assert any(reason.startswith("layers with a bias") for reason in execution.reasons) == (not used)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's kernels")
def test_what_tensorflow_leaves_off_is_told(monkeypatch):
    monkeypatch.setattr(onednn, "reason", lambda: "oneDNN off: so and so")
    monkeypatch.setattr(accelerator, "device_name", lambda: None)
    execution = kerastrain.fast_compile(convolutional(), "sgd", "mse", batch_size=8, verbose=False)
    assert "oneDNN off: so and so" in execution.reasons


@pytest.mark.parametrize("device", [None, "an accelerator"])
def test_freed_memory_is_kept_on_torch_on_a_processor(monkeypatch, device):
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: "freed memory kept")
    monkeypatch.setattr(accelerator, "device_name", lambda: device)
    monkeypatch.setattr(accelerator, "has_bfloat16", lambda: False)
    execution = kerastrain.fast_compile(convolutional(), "sgd", "mse", batch_size=8, jit=False, verbose=False)
    wanted = keras.backend.backend() == "torch" and device is None
    assert ("freed memory kept" in execution.reasons) == wanted


def test_bfloat16_is_chosen_where_the_processor_multiplies_it(monkeypatch):
    monkeypatch.setattr(accelerator, "device_name", lambda: None)
    for flags, wanted in ((["avx2"], "float32"), (["amx_bf16"], "bfloat16"), (["avx512_bf16"], "bfloat16")):
        monkeypatch.setattr(machine, "cpu_flags", lambda flags=flags: frozenset(flags))
        execution = kerastrain.fast_compile(convolutional(), "sgd", "mse", batch_size=8, verbose=False)
        # XLA's own convolutions on a processor are slower in bfloat16.
        assert execution.precision == (wanted if keras.backend.backend() != "jax" else "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be"),
        ({"precision": "float8"}, "`precision` must be one of"),
        ({"steps_per_execution": 0}, "`steps_per_execution` must be"),
        ({"jit": "on"}, "`jit` must be"),
        ({"verbose": 2}, "`verbose` must be"),
        ({"pipeline": "cloud"}, "`pipeline` must be one of"),
        ({"pipeline": "device", "jit": False}, "`pipeline` must be host or auto"),
        ({"batchsize": 32}, "`batchsize` is no argument.* Did you mean `batch_size`"),
        ({"weighted_metric": ["mse"]}, "Did you mean `weighted_metrics`"),
        ({"jit_compile": True}, "write `jit=True`"),
    ],
)
def test_wrong_arguments_change_nothing(arguments, message):
    made = model()
    before = [layer.dtype_policy.name for layer in (made, *made.layers)]
    with pytest.raises(InputError, match=message):
        kerastrain.fast_compile(made, "sgd", "mse", **{"precision": "bfloat16", **arguments})
    assert [layer.dtype_policy.name for layer in (made, *made.layers)] == before
    assert not made.compiled


def test_what_compile_itself_refuses_changes_nothing():
    made = convolutional()
    with pytest.raises(ValueError, match="nonsense"):
        kerastrain.fast_compile(made, "nonsense", "mse", precision="bfloat16", verbose=False)
    assert {layer.dtype_policy.name for layer in (made, *made.layers)} == {"float32"}


def convolutional(policy="float32", use_bias=False):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        layers = [keras.Input((6, 6, 2)), keras.layers.Conv2D(3, 3, use_bias=use_bias)]
        layers.append(keras.layers.BatchNormalization())
        return keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_the_precision_goes_both_ways(policy):
    made = convolutional(policy)
    convolution, head = made.layers[0], made.layers[-1]
    for precision in ("float32", "bfloat16", "float16", "float32"):
        execution = kerastrain.fast_compile(made, "sgd", "mse", precision=precision, verbose=False)
        assert execution.precision == convolution.compute_dtype == precision
        assert head.compute_dtype == "float32" and convolution.kernel.dtype == "float32"
        assert isinstance(made.optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "float16")
    assert {layer.compute_dtype for layer in (made, *made.layers)} == {"float32"}


def test_auto_goes_back_to_float32_too(monkeypatch):
    monkeypatch.setattr(accelerator, "device_name", lambda: None)
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(["avx2"]))
    made = convolutional("mixed_bfloat16")
    assert kerastrain.fast_compile(made, "sgd", "mse", verbose=False).precision == "float32"
    assert {layer.compute_dtype for layer in made.layers} == {"float32"}


def test_float16_trains():
    made = convolutional()
    kerastrain.fast_compile(made, "sgd", "mse", precision="float16", verbose=False)
    x = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype(np.float32)
    assert np.isfinite(made.fit(x, x.mean((1, 2, 3)), verbose=0).history["loss"]).all()


def test_weights_in_half_precision():
    made = convolutional("bfloat16")
    with pytest.raises(InputError, match=r"the weights of `conv2d.*` are bfloat16"):
        kerastrain.fast_compile(made, "sgd", "mse", precision="float32")
    execution = kerastrain.fast_compile(made, "sgd", "mse", verbose=False)
    assert execution.precision == "bfloat16" and "as it was" in execution.reasons[0]
    assert {layer.dtype_policy.name for layer in made.layers} == {"bfloat16"}


def test_outputs_of_a_nested_model_and_of_a_bare_operation_stay_in_float32():
    inner = convolutional()
    inputs = keras.Input((6, 6, 2))
    made = keras.Model(inputs, 2.0 * inner(keras.layers.Conv2D(2, 1, use_bias=False)(inputs)))
    kerastrain.fast_compile(made, "sgd", "mse", precision="bfloat16", verbose=False)
    assert made.layers[1].compute_dtype == inner.layers[0].compute_dtype == "bfloat16"
    assert inner.layers[-1].compute_dtype == "float32"


def test_a_shared_layer():
    inputs = keras.Input((5,))
    shared = keras.layers.Dense(5, use_bias=False)
    made = keras.Model(inputs, keras.layers.Dense(1)(shared(shared(inputs))))
    execution = kerastrain.fast_compile(made, "sgd", "mse", precision="bfloat16", verbose=False)
    assert execution.precision == shared.compute_dtype == "bfloat16"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere biases are trained in bfloat16")
def test_bfloat16_that_no_layer_computes_in_is_not_told(monkeypatch):
    monkeypatch.setattr(accelerator, "device_name", lambda: None)
    made = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8), keras.layers.ReLU(), keras.layers.Dense(1)])
    execution = kerastrain.fast_compile(made, "sgd", "mse", precision="bfloat16", verbose=False)
    assert execution.precision == "float32"
    assert execution.reasons[0] == "precision float32: no layer with weights is left to compute in bfloat16 (asked for)"
    assert any("layers with a bias" in reason for reason in execution.reasons)
    assert {layer.compute_dtype for layer in made.layers} == {"float32"}


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1, use_bias=False)

    def call(self, inputs):
        return self.dense(inputs)


def test_a_subclassed_model(monkeypatch):
    monkeypatch.setattr(accelerator, "device_name", lambda: "NVIDIA H200")
    monkeypatch.setattr(accelerator, "has_bfloat16", lambda: True)
    made = Subclassed()
    made(X)
    with pytest.raises(InputError, match="`precision` must be auto or float32 for Subclassed"):
        kerastrain.fast_compile(made, "sgd", "mse", precision="bfloat16")
    execution = kerastrain.fast_compile(made, "sgd", "mse", jit=False, verbose=False)
    assert execution.precision == "float32" and "precision as it was: Subclassed" in execution.reasons[0]
    assert execution.steps_per_execution == 1
    made.dense.dtype_policy = "mixed_bfloat16"
    assert kerastrain.fast_compile(made, "sgd", "mse", jit=False, verbose=False).precision == "bfloat16"
    execution = kerastrain.fast_compile(made, "sgd", "mse", precision="float32", jit=False, verbose=False)
    assert execution.precision == made.dense.compute_dtype == "float32"


def test_what_compile_takes_besides_is_handed_on():
    made = model()
    kerastrain.fast_compile(
        made, "sgd", "mse", verbose=False, weighted_metrics=["mae"], loss_weights=[0.5], auto_scale_loss=False
    )
    assert made.get_compile_config()["weighted_metrics"] == ["mae"]
    assert made.get_compile_config()["loss_weights"] == [0.5]


def test_run_eagerly_is_one_step_without_jit():
    made = model()
    execution = kerastrain.fast_compile(made, "sgd", "mse", batch_size=8, verbose=False, jit=True, run_eagerly=True)
    assert made.run_eagerly and not made.jit_compile and not execution.jit
    assert made.steps_per_execution == execution.steps_per_execution == 1
    assert sum("run_eagerly" in reason for reason in execution.reasons) == 2
    assert np.isfinite(made.fit(X, X[:, :1], batch_size=8, verbose=0).history["loss"]).all()


class OwnCompile(Subclassed):
    def compile(self, extra=None, **arguments):
        super().compile(**arguments)
        self.extra = extra


class NarrowCompile(Subclassed):
    def compile(self, optimizer, discriminator_optimizer):
        super().compile(optimizer)


def test_a_compile_of_its_own():
    made = OwnCompile()
    made(X)
    kerastrain.fast_compile(made, "sgd", "mse", extra=3, verbose=False)
    assert made.extra == 3
    made = NarrowCompile()
    made(X)
    with pytest.raises(InputError, match="`compile` of NarrowCompile must take optimizer, loss"):
        kerastrain.fast_compile(made, "sgd", "mse", discriminator_optimizer="sgd")


def test_a_model_without_weights_yet():
    with pytest.raises(InputError, match="must be a built Keras model"):
        kerastrain.fast_compile(keras.Sequential([keras.layers.Dense(1)]), "sgd", "mse")


def test_a_model_for_images_of_any_size():
    layers = [keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3), keras.layers.GlobalMaxPooling2D()]
    execution = kerastrain.fast_compile(keras.Sequential(layers), "sgd", "mse", verbose=False)
    assert execution.steps_per_execution == 1
    assert any("not known" in reason or "eagerly" in reason for reason in execution.reasons)
