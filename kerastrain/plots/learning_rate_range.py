"""The curve of a learning-rate range test."""

from typing import Any

import matplotlib.figure

from kerastrain._core.errors import InputError
from kerastrain.plots.dress import COLORS, dress


def learning_rate_range(result: Any, *, title: str = "") -> matplotlib.figure.Figure:
    """Draw the loss over the learning rate, and the suggested range.

    Args:
        result: what `kerastrain.diagnostics.learning_rate_range_test` returns.
        title: over the axes.

    Returns:
        A figure of its own: no window opens and pyplot's state is not touched.

    Raises:
        InputError: the result has no step.

    Example:

    >>> from kerastrain.diagnostics import LearningRateRange
    >>> found = LearningRateRange([0.01, 0.1, 1.0], [2.0, 1.0, 3.0], [2.0, 1.5, 2.0], 0.01, 0.1, "all steps")
    >>> [line.get_label() for line in learning_rate_range(found).axes[0].lines]
    ['loss', 'smoothed', 'suggested: 0.01 to 0.1', '_child3']
    """
    if not result.rates:
        raise InputError("`result` must have at least one step. Received: none; the first loss was not finite.")
    figure = matplotlib.figure.Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(result.rates, result.losses, color=COLORS[0], linewidth=0.8, alpha=0.4, label="loss")
    axes.plot(result.rates, result.smoothed_losses, color=COLORS[0], linewidth=1.8, label="smoothed")
    minimum, maximum = result.suggested_minimum, result.suggested_maximum
    if minimum is not None:
        axes.axvline(minimum, color=COLORS[2], linestyle="--", label=f"suggested: {minimum:.3g} to {maximum:.3g}")
        axes.axvline(maximum, color=COLORS[2], linestyle="--")
        axes.axvspan(minimum, maximum, color=COLORS[2], alpha=0.08)
    # What explodes at the end would press the rest flat.
    low, high = min(result.smoothed_losses), max(result.smoothed_losses[0], *result.smoothed_losses[:-1], 0.0)
    axes.set_ylim(low - 0.1 * (high - low), high + 0.2 * (high - low)) if high > low else None
    axes.set_xscale("log")
    dress(axes, title, "learning rate", "loss")
    axes.legend(frameon=False)
    return figure
