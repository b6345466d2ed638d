"""The random generators that a process has for everybody: Python's, NumPy's, Keras's for calls without a seed, and
PyTorch's where it computes."""

import importlib
import random
from typing import Any

import keras
import numpy as np


def captured() -> dict[str, Any]:
    """The state of all of them, as numbers and arrays."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    state: dict[str, Any] = {
        "python": {"version": version, "words": np.array(words, np.uint64), "gauss": gauss},
        "numpy": {"kind": kind, "keys": keys, "position": position, "has_gauss": has_gauss, "cached": cached},
    }
    generator = _generator_of_keras()
    if generator is not None:
        state["keras"] = np.array(keras.ops.convert_to_numpy(generator.state))
    if keras.backend.backend() == "torch":
        import torch

        state["torch"] = torch.get_rng_state().numpy()
    return state


def has_own_of_keras() -> bool:
    """Whether anything without a seed of its own has drawn from Keras's generator in this session."""
    return _generator_of_keras() is not None


def restore(state: dict[str, Any]) -> None:
    """Set them to a state that was captured on the same backend."""
    python, numpy = state["python"], state["numpy"]
    if "keras" in state:  # Before Python's, which gives a new one its seed.
        _keras("random.seed_generator").global_seed_generator().state.assign(state["keras"])
    random.setstate((python["version"], tuple(int(word) for word in python["words"]), python["gauss"]))
    np.random.set_state((numpy["kind"], numpy["keys"], numpy["position"], numpy["has_gauss"], numpy["cached"]))
    if "torch" in state and keras.backend.backend() == "torch":
        import torch

        torch.set_rng_state(torch.from_numpy(state["torch"]))


def _generator_of_keras() -> Any:
    # Keras makes it at the first call that needs it; `tests/core/test_random_state.py` knows its place.
    return _keras("backend.common.global_state").get_global_attribute("global_seed_generator")


def _keras(name: str) -> Any:
    return importlib.import_module(f"keras.src.{name}")
