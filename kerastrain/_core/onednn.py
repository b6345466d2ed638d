"""TensorFlow's oneDNN kernels, which it uses by itself only on processors that have instructions made for networks."""

import os

from kerastrain._core import machine

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
"""TensorFlow's own; read once, when TensorFlow is imported."""

# TensorFlow's list (`IsMKLEnabled` in its port.cc), as Linux writes these flags.
_ON_BY_ITSELF = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}


def left_off() -> bool:
    """Whether TensorFlow leaves oneDNN off on this processor, where it would be faster: one with AVX2 and no more."""
    flags = machine.cpu_flags()
    return "avx2" in flags and not _ON_BY_ITSELF & flags


def switch_on() -> None:
    """Have oneDNN used where TensorFlow would leave it off, unless the user has said; before it is imported."""
    if left_off():
        os.environ.setdefault(VARIABLE, "1")


def reason() -> str | None:
    """A line on what is used, for TensorFlow on a processor; None where TensorFlow decides as it should."""
    if not left_off():
        return None
    if os.environ.get(VARIABLE, "0") == "0":
        return f"oneDNN off: {VARIABLE}=1, set before Keras is imported, makes convolutions faster on this processor"
    return "oneDNN on: TensorFlow by itself leaves it off on this processor"
