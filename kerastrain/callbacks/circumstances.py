"""What bit-identity depends on beside the training itself."""

import os
from typing import Any

from kerastrain._core import keras_training, machine, processes

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
        **_distribution(),
        "threads": {name: value for name in _THREADS if (value := os.environ.get(name)) is not None},
    }


def _distribution() -> dict[str, Any]:
    """Among how many devices and processes the running `fit` is distributed; nothing where it is not."""
    found = processes.distribution()
    if found is not None:
        return {"distribution": {"devices": int(found.device_mesh.devices.size), "processes": processes.count()}}
    replicas = keras_training.replicas_of_fit()
    return {"distribution": {"devices": replicas}} if replicas > 1 else {}
