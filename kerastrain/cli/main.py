"""`kerastrain`: train, search, evaluate, predict, list. The work is done elsewhere; here arguments become calls.

Everything for people goes to stderr; the last line of stdout is one JSON object. Exit codes: 0 done, 1 the work failed,
2 bad input, 3 refused, 130 SIGINT, 143 SIGTERM.
"""

import json
import os
import pathlib
import sys
from typing import Annotated, Any

import typer

from kerastrain._core.errors import InputError, KerastrainError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

Data = Annotated[str | None, typer.Option(help="cifar10, synthetic, or the path of an .npz file or image folder.")]
Out = Annotated[pathlib.Path | None, typer.Option(help="The folder of the run.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start again in a folder that holds a run.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="Synthetic data and a few steps: does it run at all?")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show what the libraries write at start-up.")]
Target = Annotated[pathlib.Path, typer.Argument(metavar="RUN_OR_MODEL", help="A run folder or a .keras file.")]


@app.callback(help="Train deep networks with Keras: topologies, recipes, searches.")
def root() -> None:
    """Keeps the commands a group."""


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="NAME_OR_RECIPE.yaml", help="See `kerastrain list recipes`.")],
    data: Data = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training set.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random in the run.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe, by its dotted path.")
    ] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    smoke: Smoke = False,
    verbose: Verbose = False,
) -> None:
    """Train a topology from a recipe, and write a run folder."""
    overrides = _overrides(set_ or [])
    named = {"data.name": data, "training.epochs": epochs, "training.batch_size": batch_size, "training.seed": seed}
    overrides.update({key: value for key, value in named.items() if value is not None})
    experiments = _experiments(verbose)
    loaded = experiments.load(recipe, overrides)
    from kerastrain.cli.progress import FitProgress

    console = _console()
    progress = FitProgress(console)
    try:
        result = experiments.run(
            experiments.smoke(loaded) if smoke else loaded,
            out,
            overwrite=overwrite,
            callbacks=[progress],
            announce=lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False),
        )
    finally:
        progress.close()
    for line in _summary(result):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    _finish(result, result.get("stopped"))


@app.command()
def search(
    config: Annotated[pathlib.Path, typer.Argument(metavar="CONFIG.yaml", help="See tuner_configs/.")],
    data: Data = None,
    max_trials: Annotated[int | None, typer.Option(help="Trials at most, instead of the file's.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    smoke: Smoke = False,
    verbose: Verbose = False,
) -> None:
    """Search hyperparameters as a YAML file describes, and write the best recipe."""
    _experiments(verbose)
    from kerastrain import tuning

    result = tuning.search(config, data=data, max_trials=max_trials, out=out, smoke=smoke, overwrite=overwrite)
    _finish(result.summary(), result.stopped)


@app.command()
def evaluate(target: Target, data: Data = None, verbose: Verbose = False) -> None:
    """Loss and metrics of a trained model on the training, validation and test sets."""
    experiments = _experiments(verbose)
    result = experiments.load_trained(target).evaluate(data)
    _finish({"model": str(target), **result})


@app.command()
def predict(
    target: Target,
    images: Annotated[list[pathlib.Path], typer.Argument(metavar="IMAGES...", help="Image files.")],
    verbose: Verbose = False,
) -> None:
    """The classes that a trained model sees in image files."""
    experiments = _experiments(verbose)
    predictions = experiments.load_trained(target).predict(images)
    console = _console()
    for row in predictions:
        best = ", ".join(f"{name} {probability:.1%}" for name, probability in list(row["probabilities"].items())[:3])
        console.print(f"{row['image']}: {best}", highlight=False, soft_wrap=True, markup=False)
    _finish({"model": str(target), "predictions": predictions})


@app.command(name="list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="topologies, recipes, datasets, activations, ...")] = None,
) -> None:
    """The names that recipes know, with a line on each."""
    from kerastrain.cli.catalog import catalog

    experiments = _experiments(False)
    rows = catalog(experiments, kind)
    width = max(len(name) for entries in rows.values() for name, _ in entries)
    for title, entries in rows.items():
        if kind is None:
            typer.echo(f"{title}:")
        for name, description in entries:
            typer.echo(f"{'' if kind else '  '}{name:<{width}}  {description}")


def _overrides(settings: list[str]) -> dict[str, Any]:
    from kerastrain._core import dotted_path, yaml_document

    found: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign:
            raise InputError(f"`--set`: expected KEY=VALUE. Received: {setting!r}.")
        dotted_path.parse(key)
        found[key] = yaml_document.parse(text, f"--set {key}").data
    return found


def _experiments(verbose: bool) -> Any:
    from kerastrain.cli.quiet import start_keras

    start_keras(verbose)
    from kerastrain import experiments

    return experiments


def _summary(result: dict[str, Any]) -> list[str]:
    """The result for people: the JSON line is for programs."""
    if result["status"] != "finished":
        return [f"Stopped by {result['stopped']} after {result['epochs']} epochs; what there is, is in {result['run']}"]
    metrics = list(result["test"])
    width = max(len(name) for name in metrics) + 2
    lines = ["       " + "".join(f"{name:>{width}}" for name in metrics)]
    for role in ("train", "val", "test"):
        values = (result[role][name] for name in metrics)
        lines.append(f"{role:<7}" + "".join(f"{'-' if value is None else f'{value:.4f}':>{width}}" for value in values))
    speed = f"{result['images_per_second']:,.0f} images/s in training, {result['seconds']:.1f} s in all"
    return [*lines, f"{result['data']['description']}; seed {result['seed']}; {speed}", f"Run folder: {result['run']}"]


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _finish(result: dict[str, Any], stopped: str | None = None) -> None:
    """Print the JSON line; a run that a signal ended exits with the signal's code."""
    typer.echo(json.dumps(result, allow_nan=False))
    if stopped is not None:
        from kerastrain.experiments.interruption import EXIT_CODES

        raise typer.Exit(EXIT_CODES[stopped])


def main() -> None:
    """The entry point: an error meant for the user is one line on stderr and an exit code."""
    try:
        app()
    except KerastrainError as error:
        for line in str(error).splitlines():
            print(f"kerastrain: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("kerastrain: interrupted.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
