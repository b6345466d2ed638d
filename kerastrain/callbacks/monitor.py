"""One of the values that an epoch logs, watched for improvement."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras

from kerastrain._core.checks import choice, number
from kerastrain._core.errors import InputError, closest
from kerastrain._core.keras_metrics import mode_of

MODES = ("auto", "min", "max")


class Monitor:
    """What is watched, and when it is better than before: by more than `min_delta`, and finite.

    Args:
        name: as the epoch logs it, such as `val_loss`.
        mode: `min` where less is better, `max` where more is, `auto` to ask the model's metric.
        min_delta: what an improvement must exceed, a number >= 0.

    Raises:
        InputError: an argument out of its range.
    """

    def __init__(self, name: Any, mode: Any = "auto", min_delta: Any = 0.0) -> None:
        if not isinstance(name, str) or not name:
            raise InputError(f"`monitor` must be a name that epochs log, such as 'val_loss'. Received: {name!r}.")
        self.name = name
        self.mode = choice("mode", mode, MODES)
        self.min_delta = number("min_delta", min_delta, minimum=0)
        self._known = None if self.mode == "auto" else self.mode
        self._warned = False

    def read(self, logs: Mapping[str, Any] | None, model: keras.Model) -> float | None:
        """The epoch's value; None, with a warning the first time, of validation in an epoch without any.

        Raises:
            InputError: the epoch logs no such value; or it cannot be told whether more of it is better.
        """
        logs = logs or {}
        if self.name not in logs:
            if not self.name.startswith("val_") or any(name.startswith("val_") for name in logs):
                raise InputError(
                    f"`monitor` must be one of what epochs log: {', '.join(sorted(logs)) or 'nothing'}. "
                    f"Received: monitor={self.name!r}.{closest(self.name, logs)} What another callback "
                    "logs is there for those behind it in the list."
                )
            if not self._warned:
                warnings.warn(
                    f"This epoch had no validation, so {self.name!r} could not be watched and the epoch is not counted."
                    " If none has, give `fit` its `validation_data`.",
                    stacklevel=4,
                )
            self._warned = True
            return None
        if self._known is None:
            self._known = self._asked(model)
        return float(logs[self.name])

    def _asked(self, model: keras.Model) -> str:
        if self.name == "loss" or self.name.endswith("_loss"):
            return "min"
        name = self.name.removeprefix("val_").removeprefix("averaged_")
        mode = mode_of(model, name)
        if mode is None:
            raise InputError(
                f"It cannot be told whether more of {self.name!r} is better or less. Received: mode='auto'. Use 'min' "
                "or 'max'."
            )
        return mode

    def identity(self) -> dict[str, Any]:
        """Plain data that two equal monitors share."""
        return {"name": self.name, "mode": self.mode, "min_delta": self.min_delta}

    @property
    def minimizes(self) -> bool | None:
        """Whether less is better; None where it is not known before the first epoch."""
        return None if self._known is None else self._known == "min"

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference`; one that is not finite never is."""
        if not math.isfinite(value):
            return False
        if reference is None:
            return True
        return value < reference - self.min_delta if self.minimizes else value > reference + self.min_delta
