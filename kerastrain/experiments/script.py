"""The command line that the example scripts share."""

import argparse
import pathlib
import sys
from typing import Any

import keras

from kerastrain._core.errors import KerastrainError
from kerastrain.experiments.recipe import Recipe, load
from kerastrain.experiments.run import run
from kerastrain.experiments.smoke import smoke


def run_script(
    recipe_name: str, description: str, overrides: dict[str, Any] | None = None
) -> tuple[Recipe, dict[str, Any]]:
    """Read the command line of a script, run its recipe, and return the recipe with the content of result.json.

    The script gets `--data`, `--epochs`, `--seed`, `--out`, `--overwrite` and `--smoke`, which mean what they mean in
    `kerastrain train`. An error meant for the user ends the script with one line and the same exit code.

    Args:
        recipe_name: a shipped recipe, or the path of one.
        description: what `--help` says first; a script's `__doc__`.
        overrides: dotted path -> value, set before the command line's own.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="cifar10, synthetic, or the path of an .npz file or image folder")
    parser.add_argument("--epochs", type=int, help="passes over the training set")
    parser.add_argument("--seed", type=int, help="of everything random in the run")
    parser.add_argument("--out", type=pathlib.Path, help="the folder of the run")
    parser.add_argument("--overwrite", action="store_true", help="start again in a folder that holds a run")
    parser.add_argument("--smoke", action="store_true", help="synthetic data and a few steps")
    given = parser.parse_args()
    named = {"data.name": given.data, "training.epochs": given.epochs, "training.seed": given.seed}
    chosen = {key: value for key, value in named.items() if value is not None}
    try:
        recipe = load(recipe_name, {**(overrides or {}), **chosen})
        recipe = smoke(recipe) if given.smoke else recipe
        epochs = keras.callbacks.LambdaCallback(on_epoch_end=_epoch_to_stderr)
        return recipe, run(recipe, given.out, overwrite=given.overwrite, callbacks=[epochs], announce=_to_stderr)
    except KerastrainError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def _epoch_to_stderr(epoch: int, logs: dict[str, Any]) -> None:
    _to_stderr(f"epoch {epoch + 1}: " + ", ".join(f"{name} {float(value):.4f}" for name, value in logs.items()))


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
