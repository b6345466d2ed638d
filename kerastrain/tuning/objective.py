"""What a search makes small or large: a metric of the validation data, at its best epoch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import pydantic
from pydantic_core import PydanticCustomError

from kerastrain import experiments
from kerastrain._core.errors import InputError, closest
from kerastrain._core.registry import problem

# Every metric of the validation data, and which way it is better.
DIRECTIONS = {
    f"val_{name}": "min" if name == "loss" else "max" for names in experiments.METRICS.values() for name in names
}


def objective_of(oracle: Any) -> "Objective":
    """The objective of a keras-tuner oracle. Raises InputError for several, or one that is not of validation data."""
    theirs = oracle.objective
    name, direction = getattr(theirs, "name", None), getattr(theirs, "direction", None)
    if not str(name).startswith("val_") or direction not in ("min", "max"):
        raise InputError(
            "`objective` must be one metric of the validation data, such as keras_tuner.Objective('val_loss', 'min'). "
            f"Received: {name} ({direction})."
        )
    return Objective(metric=str(name), mode=direction)


class Objective(pydantic.BaseModel):
    """The metric, and whether its smallest or its largest value is the best."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)

    metric: str
    mode: Literal["min", "max"]

    @pydantic.model_validator(mode="after")
    def _on_validation_data(self) -> Self:
        if not self.metric.startswith("val_"):
            raise self.unknown()
        if self.mode != DIRECTIONS.get(self.metric, self.mode):
            message = f"`{self.metric}` is better the {'smaller' if self.mode == 'max' else 'larger'} it is"
            raise problem(("mode",), f"{message}; expected `{DIRECTIONS[self.metric]}`", self.mode)
        return self

    @property
    def is_known(self) -> bool:
        """Whether a recipe's training has this metric. A model of the user's own may have others."""
        return self.metric in DIRECTIONS

    def unknown(self, place: tuple[str, ...] = ("metric",)) -> PydanticCustomError:
        """The problem of a metric that no recipe's training has."""
        known = ", ".join(f"`{name}`" for name in DIRECTIONS)
        near = closest(f"val_{self.metric}" if f"val_{self.metric}" in DIRECTIONS else self.metric, DIRECTIONS)
        return problem(place, f"not a metric of the validation data.{near} Expected {known}", self.metric)

    def check_logged(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Raise InputError when a training logged other metrics, and so will every further trial."""
        logged = [name for name in (history[0] if history else ()) if name.startswith("val_")]
        if history and self.metric not in history[0]:
            raise InputError(
                f"`objective.metric`: the model's training logs {', '.join(logged) or 'no validation metric'}. "
                f'Received: "{self.metric}".{closest(self.metric, logged)}'
            )

    @property
    def worst(self) -> float:
        """What an engine is told of a trial that has no value."""
        return math.inf if self.mode == "min" else -math.inf

    def best(self, history: Iterable[Mapping[str, Any]]) -> tuple[float, int] | None:
        """The best finite value and its epoch, the first of equals; None where there is none."""
        pairs = [(float(row[self.metric]), int(row["epoch"])) for row in history if self.metric in row]
        finite = [pair for pair in pairs if math.isfinite(pair[0])]
        return min(finite, key=lambda pair: (self.sortable(pair[0]), pair[1])) if finite else None

    def sortable(self, value: float | None) -> float:
        """A number that is smaller the better `value` is."""
        if value is None:
            return math.inf
        return value if self.mode == "min" else -value
