"""What each variant of a recipe is worth beside the baseline."""

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np

from kerastrain._core.errors import InputError
from kerastrain.plots.dress import COLORS, dress

_ROW_INCHES = 0.24


def effects(
    groups: Mapping[str, Mapping[str, Sequence[float]]],
    baseline: Sequence[float],
    *,
    baseline_name: str = "baseline",
    x_label: str = "value",
    title: str = "",
) -> matplotlib.figure.Figure:
    """Draw an ablation: for each variant the values of its seeds, their mean, and the baseline's for comparison.

    A row for each variant, a color for each group; a dot for each seed, a bar for their mean. The line is the
    baseline's mean, the gray band goes from its lowest to its highest seed: what lies within it may be chance.

    Args:
        groups: name of a factor -> name of a variant -> its values, one for each seed.
        baseline: the values of the baseline, one for each seed.
        baseline_name: what the baseline is called.
        x_label: what the values are.
        title: over the figure.

    Returns:
        A figure of its own: no window opens and pyplot's state is not touched.

    Raises:
        InputError: no group, a group without a variant, or values that are no finite numbers.

    Example:

    >>> figure = effects({"activation": {"tanh": [0.50, 0.52], "relu": [0.60, 0.58]}}, [0.55, 0.56])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['baseline', 'tanh', 'relu']
    """
    rows = [(baseline_name, _values(baseline_name, baseline), "#555555")]
    if not groups:
        raise InputError("`groups` must have a factor with its variants. Received: none.")
    for index, (factor, variants) in enumerate(groups.items()):
        if not variants:
            raise InputError(f"`groups` must give each factor a variant. Received: `{factor}` without one.")
        color = COLORS[index % len(COLORS)]
        rows += [(name, _values(f"{factor}: {name}", values), color) for name, values in variants.items()]
    figure = matplotlib.figure.Figure(
        figsize=(7.2, 1.2 + _ROW_INCHES * (len(rows) + len(groups))), layout="constrained"
    )
    axes = figure.add_subplot()
    own = rows[0][1]
    axes.axvspan(own.min(), own.max(), color="#eeeeee", zorder=0)
    axes.axvline(own.mean(), color="#555555", linewidth=1, zorder=1)
    heights = _heights(groups)
    for height, (_, values, color) in zip(heights, rows, strict=True):
        axes.plot(values, np.full(len(values), height), "o", color=color, markersize=4, alpha=0.6, markeredgewidth=0)
        axes.plot([values.mean()], [height], "|", color=color, markersize=13, markeredgewidth=2)
    start = 1
    for factor, variants in groups.items():
        axes.annotate(
            factor,
            (0, heights[start] - 0.75),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="#555555",
        )
        start += len(variants)
    axes.set_yticks(heights, [name for name, _, _ in rows])
    axes.set_ylim(heights[-1] + 0.8, -0.8)
    dress(axes, title, x_label)
    axes.grid(visible=False, axis="y")
    return figure


def _heights(groups: Mapping[str, Mapping[str, Sequence[float]]]) -> list[float]:
    """A place for each row, with a free line above each group."""
    heights, next_height = [0.0], 1.0
    for variants in groups.values():
        next_height += 1.0
        heights += [next_height + index for index in range(len(variants))]
        next_height += len(variants)
    return heights


def _values(name: str, values: Sequence[float]) -> np.ndarray:
    found = np.asarray(values, dtype=float)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise InputError(f"`{name}` must have finite numbers, one for each seed. Received: {values!r}.")
    return found
