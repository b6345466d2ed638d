"""TensorFlow's oneDNN kernels, which it uses by itself only on processors that have instructions made for networks."""

import importlib
import os

from kerastrain._core import machine

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
"""TensorFlow's own; read once, when TensorFlow is imported."""

# TensorFlow's list (`IsMKLEnabled` in its port.cc), as Linux writes these flags.
_ON_BY_ITSELF = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
# What it asks for before it has oneDNN compute in half precision (`IsDataTypeSupportedByOneDNNOnThisCPU`).
_HALF_PRECISION = {
    "bfloat16": {"avx512f", "avx_ne_convert"},
    "float16": {"avx512_fp16", "amx_fp16", "avx_ne_convert"},
}


def left_off() -> bool:
    """Whether TensorFlow leaves oneDNN off on this processor, where it would be faster: one with AVX2 and no more."""
    flags = machine.cpu_flags()
    return "avx2" in flags and not _ON_BY_ITSELF & flags


def switch_on() -> None:
    """Have oneDNN used where TensorFlow would leave it off, unless the user has said; before it is imported."""
    if left_off():
        os.environ.setdefault(VARIABLE, "1")


def in_use() -> bool:
    """Whether TensorFlow, which is imported for it, uses oneDNN in this process."""
    # The one that `tf.config` has no public name for.
    return bool(importlib.import_module("tensorflow.python.util._pywrap_util_port").IsMklEnabled())


def computes_in(dtype: str) -> bool:
    """Whether TensorFlow has oneDNN compute in half precision on this processor; else by its other kernels."""
    return in_use() and bool(_HALF_PRECISION[dtype] & machine.cpu_flags())


def reason() -> str | None:
    """A line on what TensorFlow uses on a processor; None where it decides by itself as it should."""
    if not left_off():
        return None
    if in_use():
        return "oneDNN on: TensorFlow by itself leaves it off on this processor"
    return f"oneDNN off: {VARIABLE}=1, set before Keras is imported, makes convolutions faster on this processor"
