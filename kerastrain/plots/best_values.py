"""How fast searches found what they found."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from kerastrain._core.errors import InputError
from kerastrain.plots.dress import COLORS, dress, legend_below


def best_values(
    panels: Mapping[str, Mapping[str, Sequence[float | None]]], *, log: Collection[str] = (), title: str = ""
) -> matplotlib.figure.Figure:
    """Draw the best value so far over the trials: a panel for each objective, in it a line for each search.

    A line steps where a trial was better than all before it, and there it has a dot.

    Args:
        panels: title of a panel -> name of a search -> the best value after each of its trials, None while there is
            none. A search has the same color in all panels.
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
    colors: dict[str, str] = {}
    for index, (name, searches) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for search, given in searches.items():
            color = colors.setdefault(search, COLORS[len(colors) % len(COLORS)])
            values = np.array([np.nan if value is None else value for value in given], dtype=float)
            trials = np.arange(1, len(values) + 1)
            axes.step(trials, values, where="post", label=search, color=color, linewidth=1.8)
            better = np.flatnonzero(~np.isnan(values) & (values != np.concatenate([[np.nan], values[:-1]])))
            axes.plot(trials[better], values[better], "o", color=color, markersize=4)
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
