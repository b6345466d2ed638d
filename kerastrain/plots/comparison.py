"""Variants of a training beside each other, with their seeds."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from kerastrain._core.errors import InputError
from kerastrain.plots.dress import COLORS, dress, legend_below


def comparison(
    panels: Mapping[str, Mapping[str, Any]],
    *,
    x: Sequence[float] | None = None,
    x_label: str = "epoch",
    log: Collection[str] = (),
    log_x: bool = False,
    limits: Mapping[str, tuple[float | None, float | None]] | None = None,
    marks: Mapping[str, float] | None = None,
    title: str = "",
) -> matplotlib.figure.Figure:
    """Draw variants of a training: a panel for each quantity, in it a color for each variant.

    Of a variant with several seeds each seed is a thin line, and their median a thick one, as far as all of them are
    finite. A line that ends because the next value is not finite, that of a run that diverged, ends in a cross.

    Args:
        panels: title of a panel -> name of a variant -> its values: one for each point, or a row of them for each seed.
            A variant has the same color in all panels.
        x: where the points are, in all panels; 1, 2, 3, ... by default. A shorter variant has the first of them.
        x_label: what `x` is.
        log: the titles of the panels with a logarithmic y axis.
        log_x: whether the x axes are logarithmic.
        limits: title of a panel -> lowest and highest value on its y axis; None leaves that end to the data.
        marks: name -> a place on the x axis, drawn as a dotted vertical line with that name.
        title: over the whole figure.

    Returns:
        A figure of its own: no window opens and pyplot's state is not touched.

    Raises:
        InputError: no panel, a panel without a variant, values that are not one or two rows deep, more values than
            points on the x axis, or a name in `log` or `limits` that is no panel.

    Example:

    >>> figure = comparison({"loss": {"slow": [3.0, 2.9, 2.8], "fast": [[3.0, 1.0, 0.5], [3.1, 1.2, 0.4]]}})
    >>> [line.get_label() for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    ['slow', 'fast']
    """
    tables = _tables(panels, x)
    for argument, names in (("log", log), ("limits", limits or {})):
        for name in names:
            if name not in tables:
                raise InputError(f"`{argument}` must name panels, which are {', '.join(tables)}. Received: {name!r}.")
    figure = matplotlib.figure.Figure(figsize=(max(6.4, 4.4 * len(tables)), 4.0), layout="constrained")
    colors: dict[str, str] = {}
    for index, (name, variants) in enumerate(tables.items()):
        axes = figure.add_subplot(1, len(tables), index + 1)
        for variant, rows in variants.items():
            color = colors.setdefault(variant, COLORS[len(colors) % len(COLORS)])
            _draw(axes, np.arange(1, rows.shape[1] + 1) if x is None else x[: rows.shape[1]], rows, variant, color)
        if name in log:
            axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(*(limits or {}).get(name, (None, None)))
        dress(axes, name, x_label)
        if log_x:
            axes.set_xscale("log")
        elif x is None:
            axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        for label, place in (marks or {}).items():
            axes.axvline(place, color="#555555", linestyle=":", linewidth=1, label=label)
    legend_below(figure)
    if title:
        figure.suptitle(title)
    return figure


def _tables(panels: Any, x: Sequence[float] | None) -> dict[str, dict[str, np.ndarray]]:
    if not isinstance(panels, Mapping) or not panels or not all(panels.values()):
        raise InputError(f"`panels` must map titles to variants, none of them empty. Received: panels={panels!r}.")
    tables: dict[str, dict[str, np.ndarray]] = {}
    for name, variants in panels.items():
        tables[name] = {variant: _rows(name, variant, values) for variant, values in variants.items()}
        for variant, rows in tables[name].items():
            if x is not None and rows.shape[1] > len(x):
                raise InputError(
                    f"`x` must have a place for each value. Received: {len(x)} places, and {rows.shape[1]} values of "
                    f"{variant!r} in the panel {name!r}."
                )
    return tables


def _rows(name: str, variant: str, values: Any) -> np.ndarray:
    expected = (
        f"`panels[{name!r}][{variant!r}]` must be numbers, one a point, or equally long rows of them, one a seed."
    )
    try:
        rows = np.atleast_2d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        raise InputError(f"{expected} Received: {values!r}.") from None
    if rows.ndim != 2 or not rows.size:
        raise InputError(f"{expected} Received: an array of shape {np.shape(values)}.")
    return rows


def _draw(axes: Any, x: Any, rows: np.ndarray, label: str, color: str) -> None:
    rows = np.where(np.isfinite(rows), rows, np.nan)
    for row in rows:
        if len(rows) > 1:
            axes.plot(x, row, color=color, linewidth=0.8, alpha=0.45)
        ends = np.flatnonzero(np.isfinite(row[:-1]) & np.isnan(row[1:]))
        if len(ends):
            axes.plot(np.asarray(x)[ends], row[ends], "x", color=color, markersize=7, markeredgewidth=1.8)
    marker = "o" if rows.shape[1] <= 30 else None  # A single point is visible, and many are a smear.
    axes.plot(x, np.median(rows, axis=0), label=label, color=color, linewidth=1.8, marker=marker, markersize=3)
