"""What bit-identity depends on beside the training itself."""

import os
from typing import Any

from kerastrain._core import machine

_THREADS = (
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_DETERMINISTIC_OPS",
    "XLA_FLAGS",
    "MKL_NUM_THREADS",
)


def circumstances() -> dict[str, Any]:
    """Versions of the libraries, the machine's type, and the settings of its threads."""
    facts = machine.facts()
    return {
        "versions": machine.versions(),
        "machine": {name: facts[name] for name in ("processor", "flags", "cores")},
        "threads": {name: value for name in _THREADS if (value := os.environ.get(name)) is not None},
    }
