import numpy as np
import pytest

from kerastrain import experiments
from kerastrain.experiments import PreparedData


def images_and_labels(samples, generator):
    """Three classes of 8x8 images that differ by their brightest channel."""
    labels = (np.arange(samples) % 3).astype(np.int32)
    images = generator.integers(0, 200, (samples, 8, 8, 3))
    images[np.arange(samples), :, :, labels] += 55
    return images.astype(np.uint8), labels


@pytest.fixture(scope="session")
def tiny():
    """Prepared data that trains in a second."""
    generator = np.random.default_rng(0)
    parts = [images_and_labels(samples, generator) for samples in (61, 21, 24)]
    return PreparedData(*parts, class_names=("a", "b", "c"), description="tiny", fingerprint="0" * 16)


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory):
    """An .npz file with such data, for what loads by name."""
    generator = np.random.default_rng(1)
    (x_train, y_train), (x_test, y_test) = (images_and_labels(samples, generator) for samples in (60, 24))
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def tiny_recipe():
    """A function that makes a small recipe from changed keys."""

    def make(**changes):
        overrides = {
            "name": "tiny",
            "model.layers": [6],
            "training.epochs": 2,
            "training.batch_size": 16,
            "training.precision": "float32",
            "data.name": "synthetic",
            "data.validation": 21,
        }
        overrides.update({path.replace("__", "."): value for path, value in changes.items()})
        return experiments.load("mlp_sequential", overrides)

    return make


@pytest.fixture
def tiny_convnet():
    """A small convnet with everything random in it: dropout, crops, flips."""
    return experiments.load(
        "convnet",
        {
            "model.widths": [4, 8],
            "model.blocks": 1,
            "training.epochs": 2,
            "training.batch_size": 16,
            "data.augment.crop": 2,
            "data.augment.flip": "random",
        },
    )
