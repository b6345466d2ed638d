"""Activation functions beside their derivatives."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import matplotlib.figure
import numpy as np

from kerastrain._core.autodiff import value_and_gradients
from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain.plots.dress import COLORS, dress, legend_below

_POINTS = 801


def activations(
    functions: Sequence[Any] | Mapping[str, Any], *, low: float = -4.0, high: float = 4.0, title: str = ""
) -> matplotlib.figure.Figure:
    """Draw activation functions in one panel and their derivatives in another, each a color.

    The derivatives are the backend's, so that what is drawn is what training follows, jumps and flat parts included.

    Args:
        functions: what `keras.activations.get` takes (names, functions), or layers that act on each number alone, such
            as `kerastrain.layers.GELU()`; or a mapping of the name to draw to such. They are called at inference.
        low: where the x axis begins.
        high: where it ends, above `low`.
        title: over the figure.

    Returns:
        A figure of its own: no window opens and pyplot's state is not touched.

    Raises:
        InputError: no function, an unknown name, something that does not act on each number alone, or a range that is
            none.

    Example:

    >>> figure = activations(["relu", "sigmoid"])
    >>> figure.axes[1].get_legend_handles_labels()[1]
    ['relu', 'sigmoid']
    """
    low, high = number("low", low), number("high", high)
    if high <= low:
        raise InputError(f"`high` must be above `low`. Received: low={low}, high={high}.")
    named = _named(functions)
    points = np.linspace(low, high, _POINTS, dtype=np.float32)
    figure = matplotlib.figure.Figure(figsize=(9.6, 4.2), layout="constrained")
    panels = figure.subplots(1, 2)
    for place, (name, function) in enumerate(named.items()):
        values, slopes = _sampled(name, function, points)
        color, style = COLORS[place % len(COLORS)], ("-", "--", ":")[place // len(COLORS) % 3]
        for axes, line in zip(panels, (values, slopes), strict=True):
            axes.plot(points, line, style, color=color, label=name, linewidth=1.6)
    for axes, what in zip(panels, ("activation", "derivative"), strict=True):
        dress(axes, what, "input")
        axes.axhline(0.0, color="black", linewidth=0.6, zorder=0)
        axes.axvline(0.0, color="black", linewidth=0.6, zorder=0)
        axes.margins(x=0.0)
    if title:
        figure.suptitle(title)
    legend_below(figure)
    return figure


def _named(functions: Any) -> dict[str, Any]:
    if isinstance(functions, str) or not isinstance(functions, Sequence | Mapping) or not functions:
        raise InputError(
            "`functions` must be a list of activations, or a mapping of names to them, not empty. "
            f"Received: {functions!r}."
        )
    items = list(functions.items()) if isinstance(functions, Mapping) else [(None, item) for item in functions]
    named: dict[str, Any] = {}
    for given, item in items:
        try:
            function = item if isinstance(item, keras.Layer) else keras.activations.get(item)
        except ValueError:
            raise InputError(f"`functions` must hold activations that Keras knows. Received: {item!r}.") from None
        name = given or (item if isinstance(item, str) else getattr(function, "name", None) or function.__name__)
        if name in named:
            raise InputError(f"`functions` has two of the name {name!r}. Give a mapping of names to functions.")
        named[str(name)] = function
    return named


def _sampled(name: str, function: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    variable = keras.Variable(points[:, None], dtype="float32")
    found = np.array(keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor(points[:, None]))))
    if found.shape != (len(points), 1):
        raise InputError(
            f"`functions[{name!r}]` must act on each number alone. It makes {found.shape} of {(len(points), 1)}."
        )
    _, (slopes,) = value_and_gradients(lambda: keras.ops.sum(function(variable)), [variable])
    return found[:, 0], slopes[:, 0]
