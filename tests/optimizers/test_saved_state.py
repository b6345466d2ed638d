"""Optimizer state goes to and from files by name, and what does not belong is refused."""

import subprocess
import sys
import warnings

import h5py
import keras
import numpy as np
import pytest

from kerastrain.optimizers import (
    ClipByGlobalNorm,
    ClipByNorm,
    ComposedOptimizer,
    ParameterGroup,
    PolyakAveraging,
    StochasticWeightAveraging,
)

pytestmark = pytest.mark.backend
K = keras.optimizers


def composed(rule=None, transforms=(ClipByGlobalNorm,), groups=(), averaging=PolyakAveraging):
    return ComposedOptimizer(
        rule or K.Adam(0.01), [kind(1.0) for kind in transforms], groups, None if averaging is None else averaging()
    )


def functional(names=("trunk", "head"), units=5):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(units, activation="tanh", name=names[0])(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name=names[1])(hidden))


def trained(optimizer, model=None, epochs=1):
    model = model or functional()
    model.compile(optimizer, loss="mse")
    return fit(model, epochs)


def fit(model, epochs=1):
    inputs = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    if epochs:
        model.fit(inputs, inputs[:, :2], batch_size=4, epochs=epochs, shuffle=False, verbose=0)
    return model


def state(model):
    return [np.array(keras.ops.convert_to_numpy(v)).tobytes() for v in [*model.weights, *model.optimizer.variables]]


def weights_file(tmp_path, optimizer, **options):
    path = tmp_path / "model.weights.h5"
    trained(optimizer, **options).save_weights(path)
    return path


@pytest.fixture(scope="module")
def composed_file(tmp_path_factory):
    """The weights of a model that `composed()` trained."""
    return weights_file(tmp_path_factory.mktemp("composed"), composed())


def refusal(path, optimizer, model=None):
    model = trained(optimizer, model, epochs=0)
    model.optimizer.build(model.trainable_variables)
    before = state(model)[len(model.weights) :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError) as caught:
            model.load_weights(path)
    assert state(model)[len(model.weights) :] == before, "something was loaded"
    return str(caught.value)


def test_weights_saved_and_loaded_into_a_model_made_anew(tmp_path):
    # In one process Keras numbers the layers on: `dense_2` is not the name that `dense` was saved under.
    def made():
        keras.utils.set_random_seed(0)
        return keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(5), keras.layers.Dense(2)]
        )

    path = tmp_path / "model.weights.h5"
    one = trained(composed(groups=[ParameterGroup("bias", learning_rate_multiplier=2.0)]), made())
    one.save_weights(path)
    other = trained(composed(groups=[ParameterGroup("bias", learning_rate_multiplier=2.0)]), made(), epochs=0)
    other.optimizer.build(other.trainable_variables)
    other.load_weights(path)
    assert state(one) == state(other)
    assert state(fit(one)) == state(fit(other))


def test_a_loaded_sequential_model_has_lost_its_name_from_the_paths_and_goes_on(tmp_path):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4,)), keras.layers.Dense(3, name="trunk"), keras.layers.Dense(2, name="head")]
    model = keras.Sequential(layers, name="network")
    groups = [ParameterGroup.of_layers(model, keras.layers.Dense, l2=0.1)]
    trained(composed(groups=groups), model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert state(model) == state(loaded)
    assert state(fit(model)) == state(fit(loaded))


def test_a_model_saved_before_its_first_step(tmp_path):
    model = trained(composed(), epochs=0)
    model.optimizer.hyperparameters["learning_rate"] = 0.25
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert float(keras.ops.convert_to_numpy(loaded.optimizer.learning_rate)) == 0.25
    assert state(fit(model)) == state(fit(loaded))


def test_weights_are_loaded_into_a_model_that_was_not_trained_yet(tmp_path):
    one = trained(composed())
    one.save_weights(tmp_path / "model.weights.h5")
    other = trained(composed(), epochs=0)
    assert not other.optimizer.built
    other.load_weights(tmp_path / "model.weights.h5")
    assert state(fit(one)) == state(fit(other))
    # Built in a traced step, the state is there once, not at every step.
    third = trained(composed(), epochs=0)
    third.load_weights(tmp_path / "model.weights.h5")
    inputs = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    for _ in range(3):
        third.train_on_batch(inputs[:4], inputs[:4, :2])
    assert int(keras.ops.convert_to_numpy(third.optimizer.iterations)) == 4 + 3


def test_weights_of_other_variables_are_refused_at_the_first_step(tmp_path):
    path = weights_file(tmp_path, composed(groups=[ParameterGroup("head", learning_rate_multiplier=0.0)]))
    model = trained(composed(), epochs=0)
    model.load_weights(path)
    with pytest.raises(ValueError, match=r"Here and not in the file: .*head.kernel"):
        fit(model)
    other = trained(composed(K.SGD(0.1)), epochs=0)
    with pytest.raises(ValueError, match="saved 'Adam', here 'SGD'"):
        other.load_weights(path)


def test_moved_hyperparameters_are_saved(tmp_path):
    model = trained(composed())
    model.optimizer.hyperparameters["clip_by_global_norm.max_norm"] = 0.125
    model.optimizer.plateau_multiplier.assign(0.5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").optimizer
    assert float(keras.ops.convert_to_numpy(loaded.hyperparameters["clip_by_global_norm.max_norm"])) == 0.125
    assert float(keras.ops.convert_to_numpy(loaded.learning_rate)) == pytest.approx(0.005)


def test_another_rule_is_refused(composed_file):
    text = refusal(composed_file, composed(K.RMSprop(0.01)))
    assert "rule: saved 'Adam', here 'RMSprop'" in text


def test_other_transforms_are_refused(composed_file):
    text = refusal(composed_file, composed(transforms=[ClipByNorm]))
    assert "gradient_transforms: saved ['clip_by_global_norm'], here ['clip_by_norm']" in text
    assert "saved ['clip_by_global_norm'], here []" in refusal(composed_file, composed(transforms=[]))


def test_another_averaging_is_refused(composed_file):
    text = refusal(composed_file, composed(averaging=lambda: StochasticWeightAveraging(0, 1)))
    assert "averaging: saved 'polyak_averaging', here 'stochastic_weight_averaging'" in text
    assert "averaging: saved 'polyak_averaging', here None" in refusal(composed_file, composed(averaging=None))


def test_other_variables_are_refused_by_name(composed_file):
    text = refusal(composed_file, composed(), functional(names=("trunk", "tail")))
    assert "nothing was loaded" in text and "tail.kernel" in text and "head.kernel" in text


def test_other_shapes_are_refused_by_name(composed_file):
    model = trained(composed(), functional(units=7), epochs=0)
    model.optimizer.build(model.trainable_variables)
    with h5py.File(composed_file) as file:
        saved = file["optimizer"]["vars"]
        store = {name: np.array(saved[name]) for name in saved}
    with pytest.raises(ValueError, match=r"trunk.kernel:average: saved \(4, 5\), here \(4, 7\)"):
        model.optimizer.load_own_variables(store)


def test_another_accumulation_or_group_is_refused(composed_file):
    accumulating = ComposedOptimizer(
        K.Adam(0.01), [ClipByGlobalNorm(1.0)], averaging=PolyakAveraging(), gradient_accumulation_steps=2
    )
    assert "Here and not in the file: accumulated_batches" in refusal(composed_file, accumulating)
    frozen = composed(groups=[ParameterGroup("head", learning_rate_multiplier=0.0)])
    assert "In the file and not here: head.kernel:momentum" in refusal(composed_file, frozen)


def test_the_state_of_a_plain_keras_optimizer_is_refused(tmp_path):
    text = refusal(weights_file(tmp_path, K.Adam(0.01)), composed())
    assert "is not a ComposedOptimizer" in text and "compile=False" in text


def test_variables_of_one_path_are_kept_apart(tmp_path):
    def made():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        parts = []
        for name in ("one", "two"):  # Keras leaves a nested model's name out of the paths: two are `head/kernel`.
            inner = keras.Input((4,))
            parts.append(keras.Model(inner, keras.layers.Dense(1, name="head")(inner), name=name)(inputs))
        return keras.Model(inputs, keras.layers.Concatenate()(parts))

    model = trained(composed(), made())
    assert len({v.path for v in model.trainable_variables}) < len(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert state(model) == state(loaded)
    if keras.backend.backend() != "torch":  # where Keras keeps variables by path, and a loaded model trains one of two
        assert state(fit(model)) == state(fit(loaded))


def test_the_rule_is_saved_under_its_public_name_on_every_backend():
    config = composed().get_config()["optimizer"]
    assert (config["module"], config["class_name"], config["registered_name"]) == ("keras.optimizers", "Adam", None)


@pytest.mark.slow
def test_a_process_that_has_not_imported_kerastrain(tmp_path):
    trained(composed()).save(tmp_path / "model.keras")
    code = (
        "import keras, sys\n"
        "print(keras.saving.load_model(sys.argv[1], compile=False).count_params())\n"
        "import kerastrain.optimizers\n"
        "print(type(keras.saving.load_model(sys.argv[1]).optimizer).__name__)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.keras")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["37", "ComposedOptimizer"], done.stderr
