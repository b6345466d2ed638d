import pathlib
import subprocess
import sys

import pytest

import kerastrain
from kerastrain import errors


def test_importing_the_package_imports_no_backend_and_nothing_optional():
    code = (
        "import sys, kerastrain, kerastrain.cli.main\n"
        "heavy = {'tensorflow', 'keras', 'keras_tuner', 'matplotlib', 'plotly'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_attribute_names_the_known_ones():
    with pytest.raises(AttributeError, match="Known: activations, callbacks, datasets"):
        _ = kerastrain.nothing
    assert set(kerastrain.__all__) <= set(dir(kerastrain))


def test_every_subpackage_and_the_errors_are_reached_from_the_package():
    folder = pathlib.Path(kerastrain.__file__).parent
    public = {path.stem for path in folder.iterdir() if not path.stem.startswith("_") and path.suffix in ("", ".py")}
    assert set(kerastrain.__all__) == public - {"cli"} | {"fast_compile"}
    assert all(getattr(kerastrain, name).__name__ == f"kerastrain.{name}" for name in ("errors", "initializers"))


def test_what_is_raised_is_caught_by_a_public_name():
    with pytest.raises(kerastrain.errors.InputError, match="`patience`") as caught:
        kerastrain.callbacks.EarlyStopping(patience=-1)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, kerastrain.errors.KerastrainError)
    codes = [error.exit_code for error in (errors.WorkFailedError, errors.InputError, errors.RefusedError)]
    assert codes == [1, 2, 3]
