"""Where values stand on an axis of a report: to scale, or behind an edge where they are far worse than the rest."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from kerastrain.tuning.recorded_search import RecordedSearch
from kerastrain.tuning.table import shown

_NEAR = 0.3  # What is no further behind the others than this share of their range is drawn to scale with them.
_BAND = 0.2  # The room behind the edge, as a share of what is true to scale.


@dataclasses.dataclass(frozen=True)
class Scale:
    """Values to scale from `low` to `high`; those that are worse stand behind the edge, in their order, evenly.

    Far values would leave the others no room, and drawn at the edge itself they would all look equal.

    low, high: the ends of what is to scale.
    mode: of the objective: `min` has the edge at the top, `max` at the bottom.
    behind: the distinct values behind the edge, the nearest first; None, which stands for no value at all, last.
    """

    low: float
    high: float
    mode: str
    behind: tuple[float | None, ...] = ()

    @property
    def edge(self) -> float:
        """Where the scale ends."""
        return self.high if self.mode == "min" else self.low

    def place(self, value: float | None) -> float:
        """Where `value` is drawn."""
        if value is not None and not self.is_behind(value):
            return value
        there = self.behind.index(value) + 1 if value in self.behind else len(self.behind)
        share = _BAND * (0.25 + 0.75 * there / len(self.behind))
        return self.edge + share * self._span * (1 if self.mode == "min" else -1)

    def is_behind(self, value: float | None) -> bool:
        """Whether it is drawn behind the edge."""
        return (
            value is None or not math.isfinite(value) or (value > self.high if self.mode == "min" else value < self.low)
        )

    def ends(self, share: float = 0.06) -> list[float]:
        """From where to where the axis goes, with room at both ends."""
        band = _BAND * self._span if self.behind else 0.0
        low, high = (self.low, self.high + band) if self.mode == "min" else (self.low - band, self.high)
        return [low - share * self._span, high + share * self._span]

    def ticks(self) -> tuple[list[float], list[str]]:
        """Numbers where it is to scale, and one for what is behind the edge: its value where there is one only."""
        places, texts = round_ticks(self.low, self.high, log=False, whole=False)
        if not self.behind:
            return places, texts
        worst = self.behind[-1]
        sign = "worse" if len(self.behind) > 1 else "no value" if worst is None else shown(worst)
        return [*places, self.place(worst)], [*texts, sign]

    @property
    def _span(self) -> float:
        return (self.high - self.low) or abs(self.high) * 0.05 or 1.0


def scale_of(values: Iterable[float | None], mode: str, *, near: Iterable[float | None] = ()) -> Scale:
    """The scale for `values`.

    Args:
        values: that are to be drawn.
        mode: of the objective.
        near: those among them that decide how far it goes: the completed trials'; all when empty.
    """
    drawn = list(dict.fromkeys(values))
    finite = [value for value in drawn if value is not None and math.isfinite(value)]
    deciding = [value for value in near if value is not None and math.isfinite(value)] or finite
    low, high = limits_of(deciding, mode)
    # A trial that was cut off may have been better than all that were completed, or worse by a little.
    room = _NEAR * (high - low)
    held = [value for value in finite if (value <= high + room if mode == "min" else value >= low - room)]
    low, high = min([low, *held]), max([high, *held])
    scale = Scale(low, high, mode)
    behind = sorted((value for value in finite if scale.is_behind(value)), reverse=mode == "max")
    none = (None,) if len(finite) < len(drawn) else ()
    return dataclasses.replace(scale, behind=(*behind, *none))


def scale_of_search(search: RecordedSearch) -> Scale:
    """The scale for what the trials have reached."""
    return scale_of(map(search.reached, search.trials), search.objective.mode, near=map(search.reached, search.ranked))


def limits_of(values: Sequence[float], mode: str) -> tuple[float, float]:
    """The smallest and the largest; where some are far worse than the better three quarters, an edge before those."""
    if not values:
        return 0.0, 1.0
    if mode == "max":
        low, high = limits_of([-value for value in values], "min")
        return -high, -low
    low, high = min(values), max(values)
    quarter = statistics.quantiles(values, n=4)[2] if len(values) > 1 else high
    near = low + 2.5 * (quarter - low)
    return (low, near) if quarter > low and high > low + 4 * (quarter - low) else (low, high)


def round_ticks(low: float, high: float, *, log: bool, whole: bool) -> tuple[list[float], list[str]]:
    """Round numbers between the ends, and what they are called; on a log axis the ends are exponents of 10."""
    if high <= low:
        return [low], [shown(10**low if log else low)]
    if log:
        powers = range(math.floor(low), math.ceil(high) + 1)
        for factors in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
            numbers = [factor * 10.0**power for power in powers for factor in factors]
            places = [math.log10(number) for number in numbers if low <= math.log10(number) <= high]
            if len(places) >= 3:
                break
        return places, [f"{10**place:.3g}" for place in places]
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= 6)
    step = max(1.0, step) if whole else step
    places = [step * count for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return places, [f"{place:.10g}" for place in places]


def draw_edge(figure: Any, scale: Scale, axis: str = "y") -> None:
    """Ticks, ends and, where something is behind the edge, a dashed line there."""
    places, texts = scale.ticks()
    update = figure.update_yaxes if axis == "y" else figure.update_xaxes
    update(range=scale.ends(), tickvals=places, ticktext=texts)
    if scale.behind:
        line = {"color": "#9aa4af", "width": 1, "dash": "dash"}
        where = scale.edge + 0.04 * (scale.high - scale.low) * (1 if scale.mode == "min" else -1)
        (figure.add_hline if axis == "y" else figure.add_vline)(where, line=line)


def marker_of(scale: Scale, value: float | None, plain: str) -> str:
    """The symbol of a point: `plain`, or behind the edge a triangle that points away; an x for no value at all."""
    if value is None or not math.isfinite(value):
        return "x"
    if not scale.is_behind(value):
        return plain
    return "triangle-up" if scale.mode == "min" else "triangle-down"
