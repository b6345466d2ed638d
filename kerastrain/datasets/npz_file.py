"""Arrays out of an .npz file: no pickles, and one error line for whatever is wrong with the file."""

import pathlib
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerastrain.datasets.bad_data import bad_data, reason


def field_names(path: pathlib.Path) -> list[str]:
    """The names of the arrays in the file. Raises InputError when it is not an .npz file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(name.removesuffix(".npy") for name in archive.namelist())
    except Exception as error:  # on damaged bytes zipfile raises whatever it stumbles over
        remedy = "Write the file again with np.savez, or copy it again if it was cut short."
        raise bad_data(path, "", "an .npz file (a zip archive)", reason(error), remedy) from None


def read_field(path: pathlib.Path, field: str) -> NDArray[Any]:
    """One array. Raises InputError when it is missing, holds Python objects, or is damaged."""
    names = field_names(path)
    if field not in names:
        received = f"the fields {', '.join(names) or 'none'}"
        raise bad_data(path, field, "an array of that name", received, "Write it with np.savez(path, name=array, ...).")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array = arrays[field]
    except Exception as error:  # damaged bytes: zlib, struct, header parser, allocation, ...
        if "Object arrays" in str(error):
            received, remedy = "Python objects", "Save a plain numeric array; pickles are not read."
        else:
            received, remedy = f"a damaged array ({reason(error)})", "Write or copy the file again."
        raise bad_data(path, field, "a numeric array", received, remedy) from None
    if not isinstance(array, np.ndarray):  # a member without the .npy ending comes back as bytes
        raise bad_data(path, field, "a numeric array", "a member that is not an array", "Write it with np.savez.")
    return array
