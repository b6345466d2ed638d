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
    ("flags", "given", "expected"),
    [
        (["avx2", "fma"], None, "1"),
        (["avx2", "fma"], "0", "0"),
        (["avx2", "avx512f", "avx512_vnni"], None, None),
        (["avx2", "avx_vnni"], None, None),
        (["sse4_2"], None, None),
        ([], None, None),
    ],
    ids=str,
)
def test_only_what_nobody_has_set_is_set_and_only_where_tensorflow_leaves_it_off(monkeypatch, flags, given, expected):
    environment = {} if given is None else {onednn.VARIABLE: given}
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(onednn.os, "environ", environment)
    onednn.switch_on()
    assert environment.get(onednn.VARIABLE) == expected


def test_a_script_is_told_how_to_have_it(monkeypatch):
    flags = {"avx2"}
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(onednn, "in_use", lambda: False)
    assert "TF_ENABLE_ONEDNN_OPTS=1, set before Keras is imported" in onednn.reason()
    monkeypatch.setattr(onednn, "in_use", lambda: True)
    assert onednn.reason().startswith("oneDNN on")
    flags.add("avx512_vnni")
    assert onednn.reason() is None


def test_half_precision_is_that_of_onednn_where_the_processor_has_instructions_for_it(monkeypatch):
    flags = {"avx2", "avx512f", "avx512_bf16"}
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(onednn, "in_use", lambda: True)
    assert (onednn.computes_in("bfloat16"), onednn.computes_in("float16")) == (True, False)
    flags.add("avx512_fp16")
    assert onednn.computes_in("float16")
    flags.clear()
    assert not onednn.computes_in("bfloat16")
    monkeypatch.setattr(onednn, "in_use", lambda: False)
    flags.add("avx512f")
    assert not onednn.computes_in("bfloat16")
