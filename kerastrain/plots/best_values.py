"""How fast searches found what they found."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from kerastrain._core.errors import InputError
from kerastrain.plots.dress import COLORS, dress, legend_below

_DASHES = ("solid", (0, (5, 3)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))
_MARKS = ("o", "s", "D")


def best_values(
    panels: Mapping[str, Mapping[str, Sequence[float | None]]], *, log: Collection[str] = (), title: str = ""
) -> matplotlib.figure.Figure:
    """Draw the best value so far over the trials: a panel for each objective, in it a line for each search.

    A line steps where a trial was better than all before it, and there it has a mark. Each search has a dash and a mark
    of its own, so that lines which run together are all seen; of one that is another's altogether the legend says so.

    Args:
        panels: title of a panel -> name of a search -> the best value after each of its trials, None while there is
            none. A search has the same color and dash in all panels.
        log: the titles of the panels with a logarithmic y axis.
        title: over the whole figure.

    Returns:
        A figure of its own: no window opens and pyplot's state is not touched.

    Raises:
        InputError: no panel, or one in which no search has a value.

    Example:

    >>> figure = best_values({"val_loss": {"random": [2.0, 2.0, 1.5], "grid": [None, 1.8]}})
    >>> [line.get_label() for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    ['random', 'grid']
    """
    if not panels or not all(any(map(_any, searches.values())) for searches in panels.values()):
        raise InputError(f"`panels` must have a value in each panel. Received: panels={panels!r}.")
    figure = matplotlib.figure.Figure(figsize=(max(6.4, 5.2 * len(panels)), 4.0), layout="constrained")
    order = list(dict.fromkeys(search for searches in panels.values() for search in searches))
    for index, (name, searches) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for search, given in searches.items():
            place = order.index(search)
            color, dash, mark = (cycle[place % len(cycle)] for cycle in (COLORS, _DASHES, _MARKS))
            values = np.array([np.nan if value is None else value for value in given], dtype=float)
            trials = np.arange(1, len(values) + 1)
            label = search + _same_as(panels, order, search)
            axes.step(trials, values, where="post", label=label, color=color, linestyle=dash, linewidth=1.8)
            better = np.flatnonzero(~np.isnan(values) & (values != np.concatenate([[np.nan], values[:-1]])))
            # Below those of the searches before, and larger: the edge of a mark is seen around another one.
            size, layer = 4.5 + 2.5 * (place % len(_MARKS)), 3 - 0.01 * place
            axes.plot(trials[better], values[better], mark, color=color, markersize=size, zorder=layer, mfc="white")
        if name in log:
            axes.set_yscale("log", nonpositive="mask")
        dress(axes, name, "trial")
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    legend_below(figure)
    if title:
        figure.suptitle(title)
    return figure


def _any(values: Sequence[float | None]) -> bool:
    return any(value is not None for value in values)


def _same_as(panels: Mapping[str, Mapping[str, Sequence[float | None]]], order: Sequence[str], search: str) -> str:
    """That a search before this one has the same values everywhere, for the legend; else nothing."""
    for other in order[: order.index(search)]:
        if all(list(lines.get(search, ())) == list(lines.get(other, ())) for lines in panels.values()):
            return f" (the same curve as {other})"
    return ""
