import numpy as np
import pytest
from PIL import Image

from kerastrain import datasets
from kerastrain._core.errors import InputError
from kerastrain.datasets import own


def write_images(folder, arrays):
    for name, array in arrays.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
    return folder


def solid(value, shape=(6, 5, 3)):
    return np.full(shape, value, np.uint8)


def test_x_and_y_lose_a_stratified_sixth_and_the_description_says_so(tmp_path):
    labels = np.repeat([0, 1, 2], [30, 18, 12])  # a sixth of each: 5, 3, 2
    images = np.arange(60, dtype=np.uint8)[:, np.newaxis, np.newaxis] + np.zeros((60, 4, 4), np.uint8)
    np.savez(tmp_path / "own.npz", x=images, y=labels)
    data = own.load_data(tmp_path / "own.npz", seed=3)
    assert np.bincount(data.y_test).tolist() == [5, 3, 2]
    assert np.bincount(data.y_train).tolist() == [25, 15, 10]
    assert data.image_shape == (4, 4, 1)
    assert data.class_names == ("0", "1", "2")
    assert "no test set given: a stratified sixth, 10 images, was set aside with seed 3" in data.description
    ids = np.concatenate([data.x_train[:, 0, 0, 0], data.x_test[:, 0, 0, 0]])
    assert sorted(ids.tolist()) == list(range(60))
    np.testing.assert_array_equal(labels[data.x_test[:, 0, 0, 0]], data.y_test)
    np.testing.assert_array_equal(own.load_data(tmp_path / "own.npz", seed=3).x_test, data.x_test)
    assert not np.array_equal(own.load_data(tmp_path / "own.npz", seed=4).x_test, data.x_test)


def test_too_few_images_to_set_a_test_set_aside(tmp_path):
    np.savez(tmp_path / "own.npz", x=np.zeros((2, 4, 4), np.uint8), y=np.array([0, 1]))
    with pytest.raises(InputError, match="2 images of 2 classes are too few"):
        own.load_data(tmp_path / "own.npz")


def test_folder_of_classes_in_sorted_order(tmp_path):
    files = {
        f"{name}/{index}.png": solid(10 * k + index) for k, name in enumerate(["b", "a", "c"]) for index in range(6)
    }
    write_images(tmp_path, files)
    (tmp_path / "a" / ".DS_Store").touch()
    (tmp_path / ".cache").mkdir()
    data = own.load_data(tmp_path)
    assert data.class_names == ("a", "b", "c")
    assert data.image_shape == (6, 5, 3)
    assert np.bincount(data.y_test).tolist() == [1, 1, 1]
    # Class b was written with 0..5, class a with 10..15, class c with 20..25.
    for label, first in enumerate([10, 0, 20]):
        pixels = np.concatenate([data.x_train[data.y_train == label], data.x_test[data.y_test == label]])[:, 0, 0, 0]
        assert sorted(pixels.tolist()) == list(range(first, first + 6))


def test_train_and_test_folders_and_grey_images(tmp_path):
    write_images(tmp_path, {f"train/{name}/x.pgm": solid(1, (4, 4)) for name in "ab"})
    write_images(tmp_path, {"test/b/x.png": solid(2, (4, 4))})
    data = datasets.load(tmp_path)
    assert data.image_shape == (4, 4, 1)
    assert data.y_train.tolist() == [0, 1]
    assert data.y_test.tolist() == [1]
    assert data.description == f"images from {tmp_path}"


def test_palette_images_become_rgb(tmp_path):
    write_images(tmp_path, {f"{name}/{index}.png": solid(40) for name in "ab" for index in range(6)})
    Image.fromarray(solid(40)).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "a/9.png")
    assert own.load_data(tmp_path).image_shape == (6, 5, 3)


def odd_size(folder):
    write_images(folder, {"b/1.png": solid(1, (6, 6, 3))})
    return r"b/1.png.*\(6, 5, 3\).*\(6, 6, 3\)"


def odd_channels(folder):
    write_images(folder, {"b/1.png": solid(1, (6, 5))})
    return r"b/1.png.*\(6, 5, 3\).*\(6, 5, 1\)"


def transparency(folder):
    write_images(folder, {"b/1.png": solid(1, (6, 5, 4))})
    return r"b/1.png.*8-bit grey or RGB.*RGBA"


def sixteen_bits(folder):
    Image.fromarray(np.zeros((6, 5), np.uint16)).save(folder / "b/1.png")
    return r"b/1.png.*8-bit grey or RGB.*I;16"


def other_file(folder):
    (folder / "b/notes.txt").touch()
    return r"b/notes.txt.*\.png.*another file"


def nested_folder(folder):
    (folder / "b/more").mkdir()
    return r"b/more.*a directory"


def empty_class(folder):
    (folder / "c").mkdir()
    return r"c: expected at least one image of the class"


def one_class(folder):
    (folder / "b/0.png").unlink()
    (folder / "b").rmdir()
    return r"at least two directories.*1 directories"


def roles_besides_classes(folder):
    (folder / "test").mkdir()
    return r"either directories `train` and `test`"


FAULTS = [
    odd_size,
    odd_channels,
    transparency,
    sixteen_bits,
    other_file,
    nested_folder,
    empty_class,
    one_class,
    roles_besides_classes,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_odd_file_is_named(tmp_path, fault):
    write_images(tmp_path, {"a/0.png": solid(0), "b/0.png": solid(0)})
    message = fault(tmp_path)
    with pytest.raises(InputError, match=message):
        own.load_data(tmp_path)


def test_a_test_class_without_training_images_is_named(tmp_path):
    write_images(tmp_path, {"train/a/0.png": solid(0), "train/b/0.png": solid(0), "test/c/0.png": solid(0)})
    with pytest.raises(InputError, match=r"test: `c`.*no training images"):
        own.load_data(tmp_path)
