"""TensorFlow's oneDNN kernels, on where TensorFlow would leave them off: by TensorFlow's own answer."""

import os
import subprocess
import sys

import pytest

from kerastrain._core import machine, onednn

ASK = """
from kerastrain.cli.quiet import start_keras
start_keras(True)
from tensorflow.python.util import _pywrap_util_port
print(_pywrap_util_port.IsMklEnabled())
"""


def answer(**settings):
    environment = {key: value for key, value in os.environ.items() if key not in (onednn.VARIABLE, "KERAS_BACKEND")}
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, env=environment | settings, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.skipif("avx2" not in machine.cpu_flags(), reason="a processor without AVX2")
def test_the_command_line_computes_by_onednn_unless_told_not_to():
    assert answer() == "True"
    assert answer(TF_ENABLE_ONEDNN_OPTS="0") == "False"


@pytest.mark.parametrize(
    ("flags", "given", "expected", "reason"),
    [
        ({"avx2", "fma"}, None, "1", "oneDNN on: TensorFlow by itself"),
        ({"avx2", "fma"}, "0", "0", "oneDNN off: TF_ENABLE_ONEDNN_OPTS=1, set before"),
        ({"avx2", "avx512f", "avx512_vnni"}, None, None, None),
        ({"avx2", "avx_vnni"}, None, None, None),
        ({"sse4_2"}, None, None, None),
        (set(), None, None, None),
    ],
    ids=str,
)
def test_only_what_nobody_has_set_is_set_and_only_where_tensorflow_leaves_it_off(
    monkeypatch, flags, given, expected, reason
):
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(onednn.VARIABLE, given)
    onednn.switch_on()
    assert os.environ.get(onednn.VARIABLE) == expected
    assert (onednn.reason() is None) == (reason is None)
    assert (onednn.reason() or "").startswith(reason or "")
    monkeypatch.delenv(onednn.VARIABLE, raising=False)


def test_a_script_is_told_how_to_have_it(monkeypatch):
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset({"avx2"}))
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    assert "before Keras is imported" in onednn.reason()
