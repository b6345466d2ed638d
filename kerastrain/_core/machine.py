"""Facts about the machine and the libraries that a result is only comparable with."""

import functools
import importlib.metadata
import os
import pathlib
import platform
from typing import Any

_PACKAGES = ("kerastrain", "keras", "tensorflow", "jax", "torch", "keras-tuner", "numpy")
BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")
"""A processor that has one of them multiplies bfloat16 faster than float32."""

_NOTED_FLAGS = (*BFLOAT16_FLAGS, "avx512f", "avx2")


def cpu_flags() -> frozenset[str]:
    """The processor's feature flags as Linux lists them; empty elsewhere."""
    return frozenset(_cpuinfo("flags").split())


def facts() -> dict[str, Any]:
    """Processor, cores, memory and system, as a result records them."""
    flags = cpu_flags()
    return {
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "flags": [flag for flag in _NOTED_FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on, those that are installed."""
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpuinfo(key: str) -> str:
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.split("\t")[0] == key), "")


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
