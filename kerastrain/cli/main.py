"""`kerastrain`: train, search, evaluate, predict, lr-find, list. The work is done elsewhere; here arguments become
calls.

Everything for people goes to stderr; the last line of stdout is one JSON object. Exit codes: 0 done, 1 the work failed,
2 bad input, 3 refused, 130 SIGINT, 143 SIGTERM.
"""

import os
import pathlib
import sys
from typing import Annotated, Any

import typer

from kerastrain import __version__
from kerastrain._core.errors import InputError, KerastrainError, closest
from kerastrain.cli import search_results, summary
from kerastrain.cli.output import console_of_stderr, finish, say
from kerastrain.cli.settings import overrides_of

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

# Older versions of typer raise click's usage errors and newer ones their own; both are the base of this public class.
UsageError: Any = typer.BadParameter.__base__

_INTERRUPTED = 130
"""What typer gives, in place of an exception, when a command ended by KeyboardInterrupt."""

Data = Annotated[str | None, typer.Option(help="cifar10, synthetic, or the path of an .npz file or image folder.")]
Out = Annotated[pathlib.Path | None, typer.Option(help="The folder of the run.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start again in a folder that holds a run.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="Synthetic data and a few steps: does it run at all?")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show what the libraries write at start-up.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe, by its dotted path.")
]
Target = Annotated[pathlib.Path, typer.Argument(metavar="RUN_OR_MODEL", help="A run folder or a .keras file.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kerastrain {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train deep networks with Keras: topologies, recipes, searches."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(InputError.exit_code)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="NAME_OR_RECIPE.yaml", help="See `kerastrain list recipes`.")],
    data: Data = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training set.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random in the run.")] = None,
    set_: Settings = None,
    out: Out = None,
    overwrite: Overwrite = False,
    smoke: Smoke = False,
    verbose: Verbose = False,
) -> None:
    """Train a topology from a recipe, and write a run folder."""
    overrides = overrides_of(set_ or [])
    labels = dict.fromkeys(overrides, "--set")
    for label, key, value in (
        ("--data", "data.name", data),
        ("--epochs", "training.epochs", epochs),
        ("--batch-size", "training.batch_size", batch_size),
        ("--seed", "training.seed", seed),
    ):
        if value is not None:
            overrides[key], labels[key] = value, label
    experiments = _experiments(verbose)
    loaded = experiments.load(recipe, overrides, labels)
    from kerastrain.cli.progress import FitProgress

    console = console_of_stderr()
    progress = FitProgress(console)
    try:
        result = experiments.run(
            experiments.smoke(loaded) if smoke else loaded,
            out,
            overwrite=overwrite,
            callbacks=[progress],
            announce=lambda line: say(console, line),
        )
    finally:
        progress.close()
    say(console, *summary.training_lines(result))
    finish(result, result.get("stopped"))


@app.command()
def search(
    config: Annotated[pathlib.Path, typer.Argument(metavar="CONFIG.yaml", help="See tuner_configs/.")],
    data: Data = None,
    max_trials: Annotated[int | None, typer.Option(help="Trials at most, instead of the file's.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    smoke: Smoke = False,
    check: Annotated[bool, typer.Option("--check", help="Is the file right? Nothing is trained.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the trials. Nothing is trained.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train; each has its share of the cores.")] = 1,
    verbose: Verbose = False,
) -> None:
    """Search hyperparameters, and write the best recipe."""
    _experiments(verbose)
    from kerastrain import tuning

    if check or dry_run:
        finish(tuning.dry_run(config, data=data, max_trials=max_trials, smoke=smoke, trials=dry_run))
        return
    result = tuning.search(
        config, data=data, max_trials=max_trials, out=out, smoke=smoke, overwrite=overwrite, workers=workers
    )
    finish(result.summary(), result.stopped)


search_results.register(app)


@app.command()
def evaluate(target: Target, data: Data = None, verbose: Verbose = False) -> None:
    """Loss and metrics of a trained model on each set of its data."""
    experiments = _experiments(verbose)
    loaded = experiments.load_trained(target)
    console = console_of_stderr()
    say(console, f"Evaluating {target}")
    result = loaded.evaluate(data)
    say(console, f"Data: {result['data']}", *summary.metric_table(result))
    finish({"model": str(target), **result})


@app.command()
def predict(
    target: Target,
    images: Annotated[list[pathlib.Path], typer.Argument(metavar="IMAGES...", help="Image files.")],
    dropout_samples: Annotated[
        int | None, typer.Option(help="Predict so many times with dropout on: the mean, and how unsure it is.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """The classes that a trained model sees in image files."""
    if dropout_samples is not None:
        from kerastrain._core.checks import whole_number

        whole_number("--dropout-samples", dropout_samples, minimum=2)
    experiments = _experiments(verbose)
    predictions = experiments.load_trained(target).predict(images, dropout_samples=dropout_samples)
    say(console_of_stderr(), *map(summary.prediction_line, predictions))
    finish({"model": str(target), "predictions": predictions})


@app.command()
def checkpoints(
    run: Annotated[pathlib.Path, typer.Argument(metavar="RUN", help="A run folder.")],
    action: Annotated[str, typer.Argument(help="list, verify (every byte), show (what is in one) or export.")] = "list",
    checkpoint: Annotated[str | None, typer.Option(help="Name or number; the newest by default.")] = None,
    to: Annotated[pathlib.Path | None, typer.Option(help="export: the .keras file to write.")] = None,
    verbose: Verbose = False,
) -> None:
    """What a run can be resumed from."""
    from kerastrain.cli import checkpoints as work

    if action not in work.ACTIONS:
        raise InputError(
            f"`ACTION`: expected one of {', '.join(work.ACTIONS)}. Received: {action}.{closest(action, work.ACTIONS)}"
        )
    console, store = console_of_stderr(), work.store_of(run)
    if action in ("list", "verify"):
        found = work.rows(store, whole=action == "verify")
        say(console, *map(work.line, found))
        finish({"run": str(run), "checkpoints": found})
        if action == "verify":
            work.check_intact(store, found)
        return
    path = work.chosen(store, checkpoint)
    if action == "show":
        lines, result = work.shown(path)
        say(console, *lines)
        finish(result)
        return
    if to is None:
        raise InputError("`--to`: `export` needs the .keras file to write.")
    work.export(run, path, to, _experiments(verbose))
    say(console, f"{path} -> {to}")
    finish({"checkpoint": str(path), "model": str(to)})


@app.command(name="lr-find")
def lr_find(
    recipe: Annotated[str, typer.Argument(metavar="NAME_OR_RECIPE.yaml", help="See `kerastrain list recipes`.")],
    data: Data = None,
    min_learning_rate: Annotated[float, typer.Option(help="Of the first update.")] = 1e-7,
    max_learning_rate: Annotated[float, typer.Option(help="Of the last update.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Updates.")] = 100,
    set_: Settings = None,
    out: Annotated[pathlib.Path, typer.Option(help="The folder of learning_rate_range.png.")] = pathlib.Path(),
    smoke: Smoke = False,
    verbose: Verbose = False,
) -> None:
    """Try rising learning rates, and suggest a range."""
    overrides = overrides_of(set_ or [])
    labels = dict.fromkeys(overrides, "--set")
    if data is not None:
        overrides["data.name"], labels["data.name"] = data, "--data"
    experiments = _experiments(verbose)
    from kerastrain.experiments.find_learning_rate import check, table

    options = {"min_learning_rate": min_learning_rate, "max_learning_rate": max_learning_rate, "steps": steps}
    check(out, **options)
    loaded = experiments.load(recipe, overrides, labels)
    console = console_of_stderr()
    say(console, f"Testing learning rates from {min_learning_rate:g} to {max_learning_rate:g}")
    result = experiments.find_learning_rate(experiments.smoke(loaded) if smoke else loaded, out, **options)
    say(console, *table(result), f"Curve: {result['figure']}")
    finish(result)


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


def _experiments(verbose: bool) -> Any:
    from kerastrain.cli.quiet import start_keras

    start_keras(verbose)
    from kerastrain import experiments

    return experiments


def main() -> None:
    """The entry point: an error meant for the user is one line on stderr and an exit code."""
    try:
        code = app(prog_name="kerastrain", standalone_mode=False)
    except UsageError as error:
        print(f"kerastrain: {_usage_line(error)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KerastrainError as error:
        for line in str(error).splitlines():
            print(f"kerastrain: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    if code == _INTERRUPTED:
        print("kerastrain: interrupted.", file=sys.stderr)
    sys.exit(code or 0)


def _usage_line(error: Any) -> str:
    message = " ".join(error.format_message().split())
    command = error.ctx.command_path if error.ctx is not None else "kerastrain"
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{command} --help`."


if __name__ == "__main__":
    main()
