"""Learning-rate schedules over the steps of a run."""

from collections.abc import Mapping
from typing import Any

import keras
import matplotlib.figure
import matplotlib.ticker
import numpy as np

from kerastrain._core.checks import boolean, number, whole_number
from kerastrain._core.errors import InputError
from kerastrain.plots.dress import COLORS, dress

_POINTS = 1000
_STYLES = ("-", "--", ":", "-.")


def schedules(named: Mapping[str, Any], steps: int, *, title: str = "", log: bool = False) -> matplotlib.figure.Figure:
    """Draw learning-rate schedules, each a line, over the steps of a run.

    Args:
        named: name -> schedule: any Keras schedule, or a number for a constant rate.
        steps: optimizer updates of the run; steps 0 to `steps` - 1 are drawn, at most 1,000 points of them.
        title: over the axes.
        log: whether the rates are on a logarithmic axis; a rate of 0 leaves a gap there.

    Returns:
        A figure of its own: no window opens and pyplot's state is not touched.

    Raises:
        InputError: no schedule, something else than a schedule or a number, or an argument out of range.

    Example:

    >>> figure = schedules({"decay": keras.optimizers.schedules.CosineDecay(0.1, 50), "constant": 0.05}, steps=60)
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['decay', 'constant']
    """
    if not isinstance(named, Mapping) or not named:
        raise InputError(f"`named` must be a mapping of a name to a schedule, not empty. Received: named={named!r}.")
    given = {str(name): _checked(name, schedule) for name, schedule in named.items()}
    whole_number("steps", steps)
    boolean("log", log)
    where = np.unique(np.linspace(0, steps - 1, min(steps, _POINTS)).round().astype(np.int64))
    # The legend is a column beside the axes, so many schedules make a tall figure.
    figure = matplotlib.figure.Figure(figsize=(8.4, max(3.8, 0.5 + 0.26 * len(given))), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, schedule) in enumerate(given.items()):
        style = _STYLES[index // len(COLORS) % len(_STYLES)]
        marker = "o" if len(where) == 1 else None  # A line through one point is invisible.
        color = COLORS[index % len(COLORS)]
        axes.plot(where, _rates(schedule, where), style, label=name, color=color, marker=marker, linewidth=1.6)
    if log:
        axes.set_yscale("log", nonpositive="mask")
    else:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))  # A constant would be drawn on an axis of rounding errors.
    dress(axes, title, "step", "learning rate")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.margins(x=0.01)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _checked(name: Any, schedule: Any) -> Any:
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return schedule
    return number(f"named[{name!r}]", schedule, remedy="Or pass a schedule; a number is a constant rate.")


def _rates(schedule: Any, steps: np.ndarray) -> np.ndarray:
    if isinstance(schedule, float):
        return np.full(len(steps), schedule)
    probes = np.linspace(0, len(steps) - 1, 5).astype(int)
    singly = np.array([_rate(schedule, step) for step in steps[probes]])
    # A schedule is made for one step. Most give a vector of rates for a vector of steps, in a thousandth of the time;
    # some of Keras's raise all sorts of errors, and those are asked step by step.
    try:
        together = keras.ops.convert_to_numpy(schedule(keras.ops.convert_to_tensor(steps))).astype(np.float64)
    except Exception:
        together = np.empty(0)
    if together.shape == steps.shape and np.allclose(together[probes], singly, rtol=1e-5, atol=0, equal_nan=True):
        return together
    return np.array([_rate(schedule, step) for step in steps])


def _rate(schedule: Any, step: Any) -> float:
    return float(keras.ops.convert_to_numpy(schedule(int(step))))
