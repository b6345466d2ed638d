import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import PIL.Image
import pytest

from kerastrain import experiments
from kerastrain._core.errors import InputError
from kerastrain.experiments import load_trained


@pytest.fixture(scope="module")
def finished(tiny_file, tmp_path_factory):
    """The folder of a finished run, and its result."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    overrides = {
        "data.name": str(tiny_file),
        "data.validation": 0.2,
        "model.layers": [6],
        "training.epochs": 1,
        "training.precision": "float32",
    }
    return folder, experiments.run(experiments.load("mlp_sequential", overrides), folder)


def test_evaluate_gives_the_recorded_metrics_again(finished):
    folder, result = finished
    found = load_trained(folder).evaluate()
    for role in ("train", "val", "test"):
        assert found[role] == pytest.approx(result[role], rel=1e-5)


def test_evaluate_on_other_data(finished, tiny_file):
    trained = load_trained(finished[0])
    assert trained.evaluate(str(tiny_file))["test"] == pytest.approx(finished[1]["test"], rel=1e-5)
    with pytest.raises(InputError, match=r"`--data`: expected images \(8, 8, 3\) of 3 classes"):
        trained.evaluate("synthetic")
    with pytest.raises(InputError, match="Did you mean `synthetic`"):
        trained.evaluate("syntetic")


def test_a_bare_model_is_evaluated_on_the_test_set(finished, tiny_file, tmp_path):
    file = tmp_path / "model.keras"
    shutil.copy(finished[0] / "model.keras", file)
    found = load_trained(file).evaluate(str(tiny_file))
    assert set(found) == {"data", "test"}
    assert found["test"] == pytest.approx(finished[1]["test"], rel=1e-5)


def test_the_model_loads_in_plain_keras(finished, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    expected = load_trained(finished[0]).model.predict(images, verbose=0)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, keras, numpy as np\n"
        f"model = keras.saving.load_model({str(finished[0] / 'model.keras')!r})\n"
        "np.save('found.npy', model.predict(np.load('images.npy'), verbose=0))\n"
        "print([name for name in sys.modules if name.startswith('kerastrain')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, rtol=1e-5, atol=1e-6)


def test_predict_on_image_files(finished, tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    paths = [tmp_path / f"{index}.png" for index in range(2)]
    for image, path in zip(images, paths, strict=True):
        PIL.Image.fromarray(image).save(path)
    trained = load_trained(finished[0])
    expected = trained.model.predict(images, verbose=0)
    rows = trained.predict(paths)
    for row, path, probabilities in zip(rows, paths, expected, strict=True):
        assert row["image"] == str(path)
        assert row["class"] == str(probabilities.argmax())
        assert list(row["probabilities"].values()) == sorted(row["probabilities"].values(), reverse=True)
        for name, value in row["probabilities"].items():
            assert value == pytest.approx(probabilities[int(name)], abs=1e-5)
    json.dumps(rows)


def test_predict_takes_any_size_and_mode(finished, tmp_path):
    paths = []
    for index, (mode, size) in enumerate(
        [("RGB", (40, 20)), ("L", (8, 8)), ("RGBA", (3, 3)), ("P", (8, 8)), ("1", (9, 9))]
    ):
        paths.append(tmp_path / f"{index}.png")
        PIL.Image.new(mode, size).save(paths[-1])
    assert len(load_trained(finished[0]).predict(paths)) == 5


def test_predict_names_the_file_that_cannot_be_read(finished, tmp_path):
    trained = load_trained(finished[0])
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes((tmp_path / "good.png").read_bytes()[:40])
    text = tmp_path / "text.png"
    text.write_text("no image")
    for bad in (damaged, text, tmp_path / "absent.png", tmp_path):
        with pytest.raises(InputError, match=f"^{bad}: expected an image file"):
            trained.predict([tmp_path / "good.png", bad])


def test_what_is_no_model_is_refused(finished, tmp_path):
    with pytest.raises(InputError, match=r"expected a run folder with a model\.keras"):
        load_trained(tmp_path / "absent")
    with pytest.raises(InputError, match=r"expected a run folder with a model\.keras"):
        load_trained(tmp_path)
    damaged = tmp_path / "damaged.keras"
    for content in (b"", b"x" * 100, (finished[0] / "model.keras").read_bytes()[:-200]):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match="is not a model that Keras can load"):
            load_trained(damaged)


def test_damaged_records_beside_the_model_are_told(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    for name, content in (("result.json", "{"), ("result.json", "[]"), ("recipe.yaml", "a: ["), ("recipe.yaml", "")):
        original = (folder / name).read_text()
        (folder / name).write_text(content)
        with pytest.raises(InputError, match=name):
            load_trained(folder)
        (folder / name).write_text(original)


def test_a_model_with_code_in_it_is_not_loaded(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs))
    model.save(tmp_path / "code.keras")
    with pytest.raises(InputError, match="is not a model that Keras can load"):
        load_trained(tmp_path / "code.keras")


def test_a_model_of_something_else_than_images_is_refused(tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "vectors.keras")
    keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3)]).save(tmp_path / "any.keras")
    for name in ("vectors", "any"):
        with pytest.raises(InputError, match="expected a model of images"):
            load_trained(tmp_path / f"{name}.keras")


@pytest.mark.slow
def test_dropout_samples_give_mean_and_spread(tmp_path):
    inputs = keras.Input((2, 2, 3))
    # The dropped feature is the image's first pixel: the logit of class `a` is 0 or 2.
    x = keras.layers.Rescaling(1 / 255)(keras.layers.Flatten()(inputs)[:, :1])
    x = keras.layers.Dropout(0.5, seed=0)(x)
    x = keras.layers.Dense(2, use_bias=False, kernel_initializer=keras.initializers.Constant([[1.0, 0.0]]))(x)
    keras.Model(inputs, keras.layers.Softmax()(x)).save(tmp_path / "model.keras")
    PIL.Image.fromarray(np.full((2, 2, 3), 255, np.uint8)).save(tmp_path / "white.png")
    row = load_trained(tmp_path / "model.keras").predict([tmp_path / "white.png"], dropout_samples=200)[0]
    high = np.exp(2) / (1 + np.exp(2))
    assert row["probabilities"]["0"] == pytest.approx((high + 0.5) / 2, abs=4 * 0.19 / np.sqrt(200))
    assert row["standard_deviations"]["0"] == pytest.approx((high - 0.5) / 2, abs=0.01)
