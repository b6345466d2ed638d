"""A tiny CIFAR-10 and the forms it is kept in on disk."""

import dataclasses
import io
import pathlib
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclasses.dataclass
class TinyCifar:
    """Twenty training images in five batches of four, ten test images; the classes in turn."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def npz(self, path: pathlib.Path, *, compressed: bool = False, **changes) -> pathlib.Path:
        fields = {**dataclasses.asdict(self), **changes}
        save = np.savez_compressed if compressed else np.savez
        save(path, **{name: array for name, array in fields.items() if array is not None})
        return path

    def batches(self, kind: str) -> dict[str, bytes]:
        contents = {}
        for index, name in enumerate(BATCHES):
            part = slice(4 * index, 4 * index + 4)
            images, labels = (
                (self.x_test, self.y_test) if name == "test_batch" else (self.x_train[part], self.y_train[part])
            )
            # Red, green and blue planes one after the other, as the data set's page says.
            rows = np.stack([np.concatenate([image[..., c].ravel() for c in range(3)]) for image in images])
            if kind == "python":
                batch = {
                    b"batch_label": b"x",
                    b"labels": labels.tolist(),
                    b"data": rows,
                    b"filenames": [b"a.png"] * 300,
                }
                contents[name] = pickle.dumps(batch, protocol=2)
            else:
                contents[f"{name}.bin"] = b"".join(
                    bytes([y]) + row.tobytes() for y, row in zip(labels, rows, strict=True)
                )
        return contents

    def batch_folder(self, folder: pathlib.Path, kind: str) -> pathlib.Path:
        folder.mkdir(parents=True)
        for name, content in self.batches(kind).items():
            (folder / name).write_bytes(content)
        return folder

    def archive(self, path: pathlib.Path, kind: str) -> pathlib.Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w:gz") as archive:
            for name, content in {**self.batches(kind), "readme.html": b"<html>"}.items():
                member = tarfile.TarInfo(f"cifar-10-batches/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    def image_folder(self, folder: pathlib.Path, suffix: str = "png") -> pathlib.Path:
        for role, images, labels in (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test)):
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                path = folder / role / CLASS_NAMES[label] / f"{index:03}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
        return folder


@pytest.fixture
def tiny() -> TinyCifar:
    generator = np.random.default_rng(5)
    return TinyCifar(
        generator.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
        (np.arange(20) % 10).astype(np.uint8),
        generator.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8),
        np.arange(10)[::-1].astype(np.uint8),
    )


@pytest.fixture(autouse=True)
def no_cifar_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Whatever the machine has is out of reach; each test has an empty Keras home."""
    monkeypatch.delenv("KERASTRAIN_CIFAR10", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    from kerastrain.datasets import cifar10

    monkeypatch.setattr(cifar10, "ARCHIVE_URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
