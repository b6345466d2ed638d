"""Every topology: shapes, seeds, names, saving, precision, a training step, and validation for recipes."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from small_topologies import NAMES, data, loss, small

from kerastrain import topologies
from kerastrain._core.errors import InputError

# The others hold layers of kerastrain, and are loaded where it is there.
PLAIN = [name for name in NAMES if name not in ("airbench", "ensemble", "supervised_autoencoder")]


def test_settings_cover_the_catalog():
    assert topologies.TOPOLOGIES.names() == NAMES
    assert sorted(topologies.TASKS) == sorted(topologies.DATA_FORMS) == sorted(topologies.describe()) == NAMES
    assert all(text and "\n" not in text for text in topologies.describe().values())


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_probabilities_and_the_model_is_uncompiled(name):
    model = small(name)
    inputs, _ = data(name)
    outputs = keras.ops.convert_to_numpy(model(inputs))
    assert not model.compiled
    assert outputs.shape == (12, 3)
    assert model.output_shape == (None, 3)
    assert outputs.dtype == np.float32
    assert np.all((outputs >= 0) & (outputs <= 1))
    if topologies.TASKS[name] == "multiclass":
        np.testing.assert_allclose(outputs.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_the_weights(name):
    first, again, other = (small(name, seed=seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    kernels = [index for index, weight in enumerate(first) if weight.ndim >= 2]
    assert kernels
    assert not any(np.array_equal(first[index], other[index]) for index in kernels)
    by_shape = {}
    for index in kernels:
        by_shape.setdefault(first[index].shape, []).append(first[index])
    for same in by_shape.values():
        assert all(not np.array_equal(a, b) for i, a in enumerate(same) for b in same[:i])


@pytest.mark.parametrize("name", NAMES)
def test_without_a_seed_the_weights_differ(name):
    first, second = (small(name, seed=None).get_weights() for _ in range(2))
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_names_and_paths_are_unique_and_stable(name):
    first, second = small(name), small(name)
    names = [layer.name for layer in first.layers]
    assert len(set(names)) == len(names)
    assert names == [layer.name for layer in second.layers]
    paths = [weight.path for weight in first.weights]
    assert paths == [weight.path for weight in second.weights]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("name", NAMES)
def test_raw_bytes_and_scaled_floats_agree(name):
    inputs, _ = data(name)
    floats = {**inputs, "image": inputs["image"] / 255} if isinstance(inputs, dict) else inputs / 255
    scaled = small(name, preprocessing=[])
    raw = small(name)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(raw(inputs)),
        keras.ops.convert_to_numpy(scaled(keras.tree.map_structure(lambda array: array.astype("float32"), floats))),
        atol=1e-5,
    )


@pytest.mark.backend
@pytest.mark.parametrize("name", NAMES)
def test_training_moves_every_weight_and_save_and_load_keep_the_outputs(name, tmp_path):
    model = small(name)
    inputs, labels = data(name)
    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.05), loss=loss(name), metrics=["accuracy"])
    history = model.fit(inputs, labels, batch_size=6, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    assert all(np.all(np.isfinite(weight)) for weight in model.get_weights())
    after = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    still = [w.path for w, a, b in zip(model.trainable_weights, before, after, strict=True) if np.array_equal(a, b)]
    assert not still

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    before_saving, after_loading = (keras.ops.convert_to_numpy(each(inputs)) for each in (model, loaded))
    np.testing.assert_array_equal(after_loading, before_saving)
    # Keras gives the paths of a Sequential a prefix until it is loaded.
    assert [weight.path.removeprefix("mlp_sequential/") for weight in loaded.trainable_weights] == [
        weight.path.removeprefix("mlp_sequential/") for weight in model.trainable_weights
    ]


@pytest.mark.slow
def test_saved_models_load_in_plain_keras(tmp_path):
    script = """
import json, sys
import keras
import numpy as np
folder, names = sys.argv[1], sys.argv[2:]
outputs = {}
for name in names:
    model = keras.models.load_model(f"{folder}/{name}.keras")
    arrays = dict(np.load(f"{folder}/{name}.npz"))
    inputs = arrays["image"] if len(arrays) == 1 else arrays
    outputs[name] = keras.ops.convert_to_numpy(model(inputs)).tolist()
assert not any(module.startswith("kerastrain") for module in sys.modules)
print(json.dumps(outputs))
"""
    expected = {}
    for name in PLAIN:
        model = small(name)
        inputs, _ = data(name)
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", **(inputs if isinstance(inputs, dict) else {"image": inputs}))
        expected[name] = keras.ops.convert_to_numpy(model(inputs))
    command = [sys.executable, "-c", script, str(tmp_path), *PLAIN]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout.splitlines()[-1])
    for name in PLAIN:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision_answers_in_float32(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small(name)
    finally:
        keras.config.set_dtype_policy(before)
    inputs, _ = data(name)
    assert keras.backend.standardize_dtype(model(inputs).dtype) == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}


@pytest.mark.parametrize("name", NAMES)
def test_defaults_validate_to_plain_mappings_that_build_the_same(name):
    full = topologies.TOPOLOGIES.validate(name)
    assert topologies.TOPOLOGIES.validate(full) == full
    assert json.loads(json.dumps(full)) == full
    hidden = {"input_shape", "histogram_size", "classes", "preprocessing", "seed", "name"}
    assert not hidden & set(full)
    built = topologies.TOPOLOGIES.create(full, seed=0)
    assert built.count_params() == topologies.TOPOLOGIES[name].target().count_params()


def test_recipe_values_reach_the_model():
    layers = [{"units": 5, "dropout": None, "activation": {"type": "elu", "alpha": 0.5}}, 4]
    value = {"topology": "mlp_functional", "layers": layers, "dropout": 0.25}
    full = topologies.TOPOLOGIES.validate(value)
    assert full["layers"] == [{"units": 5, "dropout": None, "activation": {"type": "elu", "alpha": 0.5}}, {"units": 4}]
    assert full["dropout"] == {"type": "dropout", "rate": 0.25}
    model = topologies.TOPOLOGIES.create(full, input_shape=(4, 4, 1))
    names = [layer.name for layer in model.layers]
    assert "layer1_dropout" not in names
    assert model.get_layer("layer2_dropout").rate == 0.25
    assert model.get_layer("layer1_activation").alpha == 0.5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"topology": "convnt"}, "Did you mean `convnet`"),
        ({"topology": "residual", "depth": 21}, "nearest is 20"),
        ({"topology": "convnet", "widths": []}, "widths"),
        ({"topology": "convnet", "widths": [0]}, r"widths\[0\]"),
        ({"topology": "convnet", "dropout": 1.5}, "dropout"),
        ({"topology": "convnet", "activation": "rely"}, "Did you mean `relu`"),
        ({"topology": "mlp_functional", "layers": [{"unit": 3}]}, r"layers\[0\]"),
        ({"topology": "mlp_functional", "layers": [0]}, r"layers\[0\].units"),
        ({"topology": "mlp_functional", "layers": ["wide"]}, r"layers\[0\]"),
        ({"topology": "ensemble", "members": 0}, "members"),
        ({"topology": "ensemble", "members": [{"topology": "nothing"}]}, "members"),
        ({"topology": "ensemble", "voting": "loudest"}, "voting"),
    ],
)
def test_recipes_are_refused_where_they_are_wrong(value, message):
    with pytest.raises(InputError, match=message):
        topologies.TOPOLOGIES.create(value)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("convnet", {"input_shape": (8, 8)}, "height, width, channels"),
        ("convnet", {"input_shape": (1, 8, 3)}, "halves the image 1 times"),
        ("convnet", {"blocks": 0}, "`blocks` must be a whole number >= 1"),
        ("convnet", {"widths": 4}, "`widths` must be a list"),
        ("convnet", {"classes": 1}, "`classes` must be a whole number >= 2"),
        ("convnet", {"preprocessing": [lambda x: x]}, "must be a Keras layer"),
        ("convnet", {"preprocessing": keras.layers.Rescaling(2.0)}, "must be a list"),
        ("residual", {"width": True}, "`width` must be a whole number"),
        ("mlp_sequential", {"layers": 20}, "must be a list"),
        ("mlp_sequential", {"layers": [{"units": 4, "actvation": "relu"}]}, "unknown key `actvation`"),
        ("mlp_sequential", {"layers": [{"activation": "relu"}]}, r"layers\[0\].units"),
        ("mlp_functional", {"input_shape": (0, 3)}, r"input_shape\[0\]"),
        ("multi_input", {"histogram_units": 0}, "histogram_units"),
        ("multi_input", {"joint_units": 0}, "joint_units"),
        ("multi_input", {"histogram_size": 0}, "histogram_size"),
        ("multi_label", {"classes": 0}, "`classes` must be a whole number >= 1"),
    ],
)
def test_arguments_are_refused_before_anything_is_built(name, arguments, message):
    with pytest.raises(InputError, match=message):
        small(name, **arguments)
