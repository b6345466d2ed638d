"""The learning-rate range test of a recipe."""

import math
import pathlib
from typing import Any

from kerastrain import diagnostics, plots
from kerastrain._core import atomic_files
from kerastrain._core.checks import place_for_file
from kerastrain._core.errors import WorkFailedError
from kerastrain.diagnostics.learning_rate_range_test import check_options
from kerastrain.experiments.build import build, training_batches
from kerastrain.experiments.prepare import PreparedData, prepare
from kerastrain.experiments.recipe import Recipe

FIGURE = "learning_rate_range.png"


def find_learning_rate(
    recipe: Recipe, out: str | pathlib.Path | None = None, *, data: PreparedData | None = None, **options: Any
) -> dict[str, Any]:
    """Run `kerastrain.diagnostics.learning_rate_range_test` on a recipe's model, optimizer and data.

    The batches are those of an epoch that the training does not have, augmented as the recipe says. A learning rate of
    the recipe, schedule or number, plays no part.

    Args:
        recipe: what would be trained.
        out: the folder that `learning_rate_range.png` is written to; None for no figure.
        data: prepared data to use instead of loading the recipe's.
        **options: `options` of the test: `min_learning_rate`, `max_learning_rate`, `steps`, `smoothing`, `stop_factor`.

    Returns:
        `rates`, `losses` and `smoothed_losses`, lists; `suggested_minimum` and `suggested_maximum`, numbers or None;
        `stopped`; `recipe`, its name; `figure`, the path, or None. It is JSON.

    Raises:
        InputError: an argument out of range, before anything is loaded. WorkFailedError: the first loss is not finite.
    """
    check(out, **options)
    data = data or prepare(recipe)
    model = build(recipe, data)
    batches = training_batches(recipe, data)
    batches.start(recipe.training.epochs)
    found = diagnostics.learning_rate_range_test(model, batches, **options)
    if not found.rates:
        raise WorkFailedError("The first loss is not finite, so there is no learning rate to find.")
    path = None if out is None else pathlib.Path(out) / FIGURE
    if path is not None:
        figure = plots.learning_rate_range(found, title=recipe.name)
        with atomic_files.replacing(path) as temporary:
            figure.savefig(temporary, dpi=120)
    return {"recipe": recipe.name, **found._asdict(), "figure": None if path is None else str(path)}


def check(out: str | pathlib.Path | None, **options: Any) -> None:
    """Raise the InputError that `find_learning_rate` would for its arguments."""
    check_options(**options)
    if out is not None:
        place_for_file("out", pathlib.Path(out) / FIGURE)


def table(result: dict[str, Any], rows: int = 12) -> list[str]:
    """The curve in some lines, and what is suggested.

    Args:
        result: what `find_learning_rate` returns.
        rows: lines of the curve at most.
    """
    count = len(result["rates"])
    chosen = sorted({round(place * (count - 1) / max(1, rows - 1)) for place in range(min(rows, count))} | {count - 1})
    lines = [f"{'learning rate':>14}{'loss':>12}{'smoothed':>12}"]
    for index in chosen:
        smoothed = result["smoothed_losses"][index]
        lines.append(f"{result['rates'][index]:>14.3g}{result['losses'][index]:>12.4f}{smoothed:>12.4f}")
    lines.append(f"Ended: {result['stopped']}, after {count} updates.")
    if result["suggested_minimum"] is None or not math.isfinite(result["suggested_minimum"]):
        return [*lines, "No suggestion: the smoothed loss does not fall. Try another range, or more steps."]
    return [*lines, f"Suggested: {result['suggested_minimum']:.3g} to {result['suggested_maximum']:.3g}"]
