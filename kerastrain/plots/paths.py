"""What optimizers walk on surfaces over a plane."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.figure
import numpy as np

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError, closest
from kerastrain.plots.dress import COLORS, dress, legend_below

_GRID = 160
_LEVELS = 22

Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]


def paths(
    surfaces: Mapping[str, Surface],
    walks: Mapping[str, Mapping[str, Any]],
    *,
    limits: Mapping[str, tuple[float, float, float, float]] | None = None,
    minima: Mapping[str, Sequence[float]] | None = None,
    columns: int = 2,
    title: str = "",
) -> matplotlib.figure.Figure:
    """Draw each surface as contours, and over it the paths that optimizers took.

    The contours lie at quantiles of the height, so that there are as many in a flat valley as on a steep slope: they
    tell the shape, and their distance not the slope. A path begins at a black dot and ends at a dot of its color; what
    leaves the panel is cut off.

    Args:
        surfaces: title of a panel -> the height as a function of two arrays x and y.
        walks: title of a panel -> name of a path -> its points, `(steps + 1, 2)`, the start first. A path of one name
            has the same color in all panels.
        limits: title of a panel -> `(x_low, x_high, y_low, y_high)`; by default what holds its paths, and some space
            around them. A path that runs away wants limits.
        minima: title of a panel -> the point marked by a star.
        columns: panels side by side, at least 1.
        title: over the whole figure.

    Returns:
        A figure of its own: no window opens and pyplot's state is not touched.

    Raises:
        InputError: no surface; a panel without paths, or the other way round; points of another shape; paths that are
            not finite in a panel without limits.

    Example:

    >>> import numpy as np
    >>> walk = [(1 - step / 4, 0.0) for step in range(5)]
    >>> figure = paths({"bowl": lambda x, y: x**2 + y**2}, {"bowl": {"straight": walk}})
    >>> figure.axes[0].get_title()
    'bowl'
    """
    limits, minima = limits or {}, minima or {}
    _check(surfaces, walks, limits, minima)
    rows = -(-len(surfaces) // whole_number("columns", columns))
    figure = matplotlib.figure.Figure(figsize=(4.9 * columns, 3.6 * rows + 0.6), layout="constrained")
    colors: dict[str, str] = {}
    for index, (name, surface) in enumerate(surfaces.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        panel = {walker: _points(name, walker, points) for walker, points in walks[name].items()}
        place = limits[name] if name in limits else _around(name, np.concatenate(list(panel.values())))
        _contours(axes, surface, place)
        for walker, points in panel.items():
            _walk(axes, points, walker, colors.setdefault(walker, COLORS[len(colors) % len(COLORS)]))
        if name in minima:
            axes.plot(*minima[name], "*", color="black", markersize=11, zorder=4)
        dress(axes, name, "")
        axes.grid(False)
        axes.set_xlim(place[:2])
        axes.set_ylim(place[2:])
    legend_below(figure)
    if title:
        figure.suptitle(title)
    return figure


def _check(surfaces: Any, walks: Any, limits: Any, minima: Any) -> None:
    if not isinstance(surfaces, Mapping) or not surfaces:
        raise InputError(f"`surfaces` must map titles to functions of x and y, not empty. Received: {surfaces!r}.")
    for argument, given in (("walks", walks), ("limits", limits), ("minima", minima)):
        for name in given:
            if name not in surfaces:
                raise InputError(f"`{argument}` has no surface for {name!r}.{closest(name, surfaces)}")
    missing = [name for name in surfaces if not walks.get(name)]
    if missing:
        raise InputError(f"`walks` must have paths for each surface. Missing: {', '.join(missing)}.")


def _points(name: str, walker: str, points: Any) -> np.ndarray:
    array = np.asarray(points, dtype=float)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise InputError(
            f"`walks[{name!r}][{walker!r}]` must be points of shape (steps + 1, 2). Received: shape {array.shape}."
        )
    return array


def _around(name: str, points: np.ndarray) -> tuple[float, float, float, float]:
    low, high = points.min(axis=0), points.max(axis=0)
    if not np.isfinite([low, high]).all():
        raise InputError(f"`limits` must have an entry for {name!r}: a path there is not finite.")
    space = 0.15 * np.maximum(high - low, 1e-6)
    return low[0] - space[0], high[0] + space[0], low[1] - space[1], high[1] + space[1]


def _contours(axes: Any, surface: Surface, limits: Sequence[float]) -> None:
    left, right, bottom, top = limits
    x, y = np.meshgrid(np.linspace(left, right, _GRID), np.linspace(bottom, top, _GRID))
    height = np.asarray(surface(x, y), dtype=float)
    levels = np.unique(np.quantile(height, np.linspace(0, 1, _LEVELS)))
    axes.contourf(x, y, height, levels, cmap="Greys_r", alpha=0.2)
    axes.contour(x, y, height, levels, colors="#aaaaaa", linewidths=0.5)


def _walk(axes: Any, points: np.ndarray, label: str, color: str) -> None:
    axes.plot(*points.T, label=label, color=color, linewidth=1.4, marker=".", markersize=3, alpha=0.9)
    axes.plot(*points[-1], "o", color=color, markersize=6, markeredgecolor="white", markeredgewidth=0.8, zorder=3)
    axes.plot(*points[0], "o", color="black", markersize=5, zorder=3)
