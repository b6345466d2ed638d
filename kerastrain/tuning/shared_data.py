"""The data of a search on the disk, for processes that read it through one memory map: loaded once, held once."""

import io
import pathlib
import pickle
import shutil
from typing import Any

import numpy as np

FOLDER = "shared_data"
_PLAN = "data.pickle"
# Smaller arrays are not worth a file.
_LARGE = 1 << 14


def write(folder: pathlib.Path, content: Any) -> None:
    """Write anything that can be pickled, its large arrays each as a file. What was in the folder goes."""
    remove(folder)
    folder.mkdir(parents=True)
    stream = io.BytesIO()
    _Writer(stream, folder).dump(content)
    (folder / _PLAN).write_bytes(stream.getvalue())


def read(folder: pathlib.Path) -> Any:
    """What `write` was given, its large arrays mapped, not loaded, and not to be written to. Own files only: a pickle
    runs what it names."""
    return _Reader(io.BytesIO((folder / _PLAN).read_bytes()), folder).load()


def remove(folder: pathlib.Path) -> None:
    """Remove the folder, if it is there. Who has it mapped keeps what is mapped."""
    shutil.rmtree(folder, ignore_errors=True)


class _Writer(pickle.Pickler):
    def __init__(self, stream: Any, folder: pathlib.Path) -> None:
        super().__init__(stream, protocol=pickle.HIGHEST_PROTOCOL)
        self.folder = folder
        self.names: dict[int, str] = {}

    def persistent_id(self, content: Any) -> str | None:
        """The file's name of a large array, which is written the first time."""
        if type(content) is not np.ndarray or content.nbytes < _LARGE or content.dtype.hasobject:
            return None
        if id(content) not in self.names:
            self.names[id(content)] = f"{len(self.names)}.npy"
            np.save(self.folder / self.names[id(content)], content, allow_pickle=False)
        return self.names[id(content)]


class _Reader(pickle.Unpickler):
    def __init__(self, stream: Any, folder: pathlib.Path) -> None:
        super().__init__(stream)
        self.folder = folder
        self.arrays: dict[str, np.ndarray] = {}

    def persistent_load(self, name: str) -> np.ndarray:
        """The array of a file."""
        if name not in self.arrays:
            mapped = np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
            self.arrays[name] = mapped.view(np.ndarray)
        return self.arrays[name]
