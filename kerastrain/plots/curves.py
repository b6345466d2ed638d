"""A run's learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.figure
import matplotlib.ticker

_SKIPPED = {"epoch", "seconds", "learning_rate"}
_TRAINING, _VALIDATION, _AVERAGED = "#1f77b4", "#d62728", "#2ca02c"


def curves(history: Sequence[Mapping[str, Any]], *, title: str = "") -> matplotlib.figure.Figure:
    """Draw each metric over the epochs, training and validation in one panel, and the learning rate in the last.

    Args:
        history: one mapping an epoch, as `kerastrain.experiments.fit` returns them: `epoch` (counted from 0), metrics,
            the same with the prefix `val_`, and optionally `val_averaged_` and `learning_rate`.
        title: over the whole figure.

    Returns:
        A figure of its own: no window opens and pyplot's state is not touched.

    Raises:
        ValueError: the history is empty.

    Example:

    >>> figure = curves([{"epoch": 0, "loss": 1.0, "val_loss": 1.2}, {"epoch": 1, "loss": 0.5, "val_loss": 0.9}])
    >>> len(figure.axes)
    1
    """
    if not history:
        raise ValueError("`history` must have at least one epoch. Received: an empty list.")
    names = [name for name in history[0] if name not in _SKIPPED and not name.startswith("val_")]
    panels = [*names, *(["learning_rate"] if "learning_rate" in history[0] else [])]
    figure = matplotlib.figure.Figure(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    epochs = [row["epoch"] + 1 for row in history]
    for index, name in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        _line(axes, epochs, [row.get(name) for row in history], "training", _TRAINING)
        if f"val_{name}" in history[0]:
            _line(axes, epochs, [row.get(f"val_{name}") for row in history], "validation", _VALIDATION)
            if f"val_averaged_{name}" in history[0]:
                values = [row.get(f"val_averaged_{name}") for row in history]
                _line(axes, epochs, values, "validation, averaged", _AVERAGED)
            axes.legend(frameon=False)
        if name == "learning_rate":
            axes.set_ylim(bottom=0)  # A constant rate would be drawn on an axis of its rounding errors.
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title)
    return figure


def _line(axes: Any, epochs: list[int], values: list[Any], label: str, color: str) -> None:
    # A single epoch is a point, and a line through one point is invisible.
    marker = "o" if len(epochs) <= 30 else None
    axes.plot(epochs, values, label=label, color=color, marker=marker, markersize=3)
