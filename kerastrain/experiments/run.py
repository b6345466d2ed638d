"""A recipe, from data to a run folder with its result."""

import contextlib
import importlib.util
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from kerastrain import layers, optimizers, plots
from kerastrain._core import atomic_files, machine, small_data
from kerastrain.experiments.build import (
    build_for_execution,
    stages_left_out,
    step_samples,
    training_batches,
    views_of,
)
from kerastrain.experiments.callback_context import EVALUATION_BATCH, RECALIBRATION_SAMPLES
from kerastrain.experiments.evaluation_progress import EvaluationProgress
from kerastrain.experiments.fit import Training, fit
from kerastrain.experiments.interruption import Interruption, StopWhenInterrupted
from kerastrain.experiments.prepare import PreparedData, prepare
from kerastrain.experiments.recipe import METRICS, Recipe
from kerastrain.experiments.run_folder import CURVES, LOGS, MODEL, RESULT, TRAINING_WEIGHTS, RunFolder

ROLES = {"train": "train", "val": "validation", "test": "test"}

Announce = Callable[[str], None]


def default_folder(recipe: Recipe) -> pathlib.Path:
    """`runs/NAME-HASH`: the same recipe comes back to its folder, a changed one gets its own."""
    return pathlib.Path("runs") / f"{recipe.name}-{recipe.hash()}"


def run(
    recipe: Recipe,
    out: str | pathlib.Path | None = None,
    *,
    data: PreparedData | None = None,
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    announce: Announce = lambda line: None,
) -> dict[str, Any]:
    """Prepare, build, fit, evaluate, and write the run folder.

    Args:
        recipe: what to do.
        out: the run folder; `runs/NAME-HASH` when None.
        data: prepared data to use instead of loading the recipe's.
        overwrite: start again in a folder that holds a run.
        callbacks: further callbacks for `fit`, such as a progress display.
        announce: is given one line for each thing worth telling, before it happens.

    Returns:
        The content of result.json. A finished run of the same recipe in the folder is returned without training, an
        unfinished one goes on where it was: `resumed` says how often it has, and `seconds` and `training_seconds` count
        the training of earlier processes too, up to the checkpoints from which it went on.

    Raises:
        InputError: bad data. RefusedError: the folder is in use or holds something else. WorkFailedError: diverged.
    """
    folder = RunFolder(pathlib.Path(out) if out is not None else default_folder(recipe))
    with folder.locked():
        finished = folder.finished(recipe.plain(), overwrite=overwrite)
        if finished is not None:
            announce(f"{folder.path}: this run is finished; nothing is trained. Use --overwrite to run it again.")
            return finished
        return _run(recipe, folder, data, callbacks, announce, resume=folder.begun() and not overwrite)


def _run(
    recipe: Recipe,
    folder: RunFolder,
    data: PreparedData | None,
    callbacks: Sequence[keras.callbacks.Callback],
    announce: Announce,
    *,
    resume: bool,
) -> dict[str, Any]:
    start = time.perf_counter()
    data = data or prepare(recipe)
    announce(_data_line(data))
    model, execution = build_for_execution(recipe, data)
    # Not earlier: what fails on bad input leaves the folder as it is, so the same command works once that is mended.
    if not resume:
        folder.begin(recipe.to_yaml())
    announce(f"Model: {recipe.model['topology']}, {model.count_params():,} parameters. Run folder: {folder.path}")
    for reason in execution.reasons:
        announce(f"Chosen: {reason}")
    for line in stages_left_out(recipe):
        announce(line)
    logs = _tensorboard(folder, announce)
    training = fit(recipe, model, data, callbacks=[*logs, *callbacks], folder=folder.path, announce=announce)
    for note in training.notes:
        announce(note)
    stopped, evaluated = training.stopped, {}
    if optimizers.has_averaged_weights(model):
        # `model.keras` will have the averages.
        with atomic_files.replacing(folder / TRAINING_WEIGHTS) as path:
            model.save(path)
    with _final_weights(recipe, model, data, announce):
        _write_training(folder, recipe, model, training)
        if stopped is None:
            announce(f"Evaluating on: {', '.join(ROLES[role] for role in recipe.evaluation.roles)}")
            interruption = Interruption()
            with interruption.listening():
                stop = StopWhenInterrupted(interruption)
                told = [stop, EvaluationProgress(announce, "Evaluating")]
                evaluated = evaluate(model, data, recipe.evaluation.roles, callbacks=told)
                if interruption.name is None:
                    told = [stop, EvaluationProgress(announce, "Evaluating by several views")]
                    evaluated |= evaluate_views(recipe, model, data, callbacks=told)
            stopped = interruption.name
    metrics = evaluated if stopped is None else {**_last_epoch(recipe, training), **evaluated, "test": None}
    result = {
        "run": str(folder.path),
        "status": "finished" if stopped is None else "interrupted",
        **metrics,
        "epochs": len(training.history),
        "seconds": round(time.perf_counter() - start + training.earlier_seconds, 3),
        "training_seconds": round(training.seconds, 3),
        "images_per_second": round(training.images_per_second, 1),
        "resumed": training.resumed,
        "seed": recipe.training.seed,
        "recipe_hash": recipe.hash(),
        "data": data.facts(),
        "parameters": model.count_params(),
        "execution": execution.facts(),
        "versions": machine.versions(),
        "machine": machine.facts(),
    }
    if stopped is not None:
        result["stopped"] = stopped
    atomic_files.write_json(folder / RESULT, result)
    return result


def evaluate(
    model: keras.Model,
    data: PreparedData,
    roles: Sequence[str] = tuple(ROLES),
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Loss and metrics of the model on each role, all weights as they are, no augmentation.

    Args:
        model: a compiled model.
        data: as `prepare` gives it.
        roles: some of `train`, `val` and `test`; what the data has nothing of is passed over.
        callbacks: for Keras's `evaluate`; when one ends it early, the remaining roles are left out.

    Returns:
        Metric name -> value, by role; None stands for a value that is not finite, which JSON does not have.
    """
    found: dict[str, Any] = {}
    for role in roles:
        if getattr(data, ROLES[role]) is None:
            continue
        batches = small_data.batched(getattr(data, ROLES[role]), EVALUATION_BATCH)
        inputs, labels = batches if isinstance(batches, tuple) else (batches, None)
        values = model.evaluate(
            inputs, labels, batch_size=EVALUATION_BATCH, verbose=0, return_dict=True, callbacks=list(callbacks)
        )
        if model.stop_evaluating:
            break
        found[role] = {name: _json_number(value) for name, value in values.items()}
    return found


def evaluate_views(
    recipe: Recipe, model: keras.Model, data: PreparedData, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> dict[str, Any]:
    """Loss and metrics by the mean of several views, where the recipe asks for it: `{"test_time_augmentation": ...}`.

    Args:
        recipe: what to do.
        model: the trained model.
        data: as `prepare` gives it.
        callbacks: as for `evaluate`.
    """
    augmented = views_of(recipe, model)
    if augmented is None:
        return {}
    roles = [role for role in recipe.evaluation.roles if role != "train"]
    return {"test_time_augmentation": evaluate(augmented, data, roles, callbacks)}


@contextlib.contextmanager
def _final_weights(recipe: Recipe, model: keras.Model, data: PreparedData, announce: Announce) -> Iterator[None]:
    """The weights that are evaluated and saved: the averaged ones, where the optimizer has any."""
    if not optimizers.has_averaged_weights(model):
        yield
        return
    with optimizers.averaged_weights(model):
        batches = training_batches(recipe, data)
        batches.start(recipe.training.epochs)
        steps = math.ceil(RECALIBRATION_SAMPLES / step_samples(recipe))
        calibrated = layers.recalibrate(model, batches, min(steps, len(batches)))
        statistics = f", and the statistics of {calibrated} batch normalizations for them" if calibrated else ""
        announce(f"From here on with the averaged weights{statistics}")
        yield


def _last_epoch(recipe: Recipe, training: Training) -> dict[str, Any]:
    """The metrics of the last epoch as training logged them, for a run that was stopped before its evaluation."""
    row = training.history[-1] if training.history else {}
    names = [name for name in METRICS[recipe.task] if name in row]
    found = {"train": {name: _json_number(row[name]) for name in names}}
    validated = {name: _json_number(row[f"val_{name}"]) for name in names if f"val_{name}" in row}
    return {**found, "val": validated} if validated else found


def _tensorboard(folder: RunFolder, announce: Announce) -> list[keras.callbacks.Callback]:
    # Keras writes the logs with TensorFlow on every backend, and on JAX and torch it may be missing.
    if importlib.util.find_spec("tensorflow") is None:
        announce(f"No {LOGS}/ for TensorBoard: Keras writes them with TensorFlow, which is not installed.")
        return []
    return [keras.callbacks.TensorBoard(folder / LOGS, write_graph=False)]


def _json_number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _data_line(data: PreparedData) -> str:
    counts = ", ".join(f"{data.samples(role):,} {name}" for name, role in ROLES.items())
    return f"Data: {data.description}: {counts}"


def _write_training(folder: RunFolder, recipe: Recipe, model: keras.Model, training: Training) -> None:
    """What there is to keep, also of an interrupted training."""
    with atomic_files.replacing(folder / MODEL) as path:
        model.save(path)
    if not training.history:
        return
    figure = plots.curves(training.history, title=recipe.name)
    with atomic_files.replacing(folder / CURVES) as path:
        figure.savefig(path, dpi=120)


__all__ = ["default_folder", "evaluate", "run"]
