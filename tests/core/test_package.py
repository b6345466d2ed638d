import subprocess
import sys

import pytest

import kerastrain


def test_importing_the_package_imports_no_backend_and_nothing_optional():
    code = (
        "import sys, kerastrain, kerastrain.cli.main\n"
        "heavy = {'tensorflow', 'keras', 'keras_tuner', 'matplotlib', 'plotly'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_attribute_names_the_known_ones():
    with pytest.raises(AttributeError, match="Known: callbacks, datasets"):
        _ = kerastrain.nothing
    assert set(kerastrain.__all__) <= set(dir(kerastrain))
