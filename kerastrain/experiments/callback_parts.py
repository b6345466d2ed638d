"""The names that a recipe's `callbacks` list knows: ours and Keras's, fitted to a run and its folder."""

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import keras
from pydantic import Field, PlainValidator

from kerastrain import callbacks, datasets, layers
from kerastrain._core.errors import InputError
from kerastrain._core.registry import (
    FiniteFloat,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Registry,
    problem,
)
from kerastrain.experiments.callback_context import (
    EVALUATION_BATCH,
    EVENTS,
    RECALIBRATION_SAMPLES,
    SNAPSHOTS,
    CallbackContext,
)
from kerastrain.experiments.schedule_parts import made, number_or_schedule

CALLBACKS = Registry("callback")
RESUMABLE = "resumable_checkpoint"

Monitor = Annotated[str, Field(min_length=1)]
Mode = Literal["auto", "min", "max"]
Factor = Annotated[float, Field(gt=0, lt=1)]
AboveOne = Annotated[float, Field(gt=1, allow_inf_nan=False)]

# They move variables that only a `ComposedOptimizer` has.
MOVES_THE_OPTIMIZER = ("divergence_guard", "reduce_on_plateau", "schedule_hyperparameter")


CALLBACKS.add(
    "early_stopping",
    callbacks.EarlyStopping,
    "Stop when the monitored values no longer improve, the validation error has risen, or the time is up.",
    skip=("verbose",),
    monitor=Monitor | list[Monitor],
    min_delta=NonNegativeFloat | list[NonNegativeFloat],
    patience=NonNegativeInt | None,
    mode=Mode | list[Mode],
    baseline=FiniteFloat | list[FiniteFloat | None] | None,
    start_from_epoch=NonNegativeInt,
    stop_when=Literal["all", "any"],
    max_seconds=PositiveFloat | None,
    generalization_loss=PositiveFloat | None,
    progress_quotient=PositiveFloat | None,
    strip_epochs=PositiveInt,
)
CALLBACKS.add(
    "reduce_on_plateau",
    callbacks.ReduceOnPlateau,
    "Multiply the learning rate, a schedule too, by a factor when the monitored value no longer improves.",
    skip=("verbose",),
    monitor=Monitor,
    factor=Factor,
    patience=NonNegativeInt,
    mode=Mode,
    min_delta=NonNegativeFloat,
    cooldown=NonNegativeInt,
    min_multiplier=Fraction,
)
CALLBACKS.add(
    "reduce_lr_on_plateau",
    keras.callbacks.ReduceLROnPlateau,
    "Keras's: set a constant learning rate to a part of it when the monitored value no longer improves.",
    skip=("verbose", "kwargs"),
    monitor=Monitor,
    factor=Factor,
    patience=NonNegativeInt,
    mode=Mode,
    min_delta=NonNegativeFloat,
    cooldown=NonNegativeInt,
    min_lr=NonNegativeFloat,
)


CALLBACKS.add(
    "gradual_unfreezing",
    callbacks.GradualUnfreezing,
    "Unfreeze the parameter groups that have `trainable: false` one after another, the last first.",
    groups=Annotated[list[str], Field(min_length=1)] | None,
    epochs=PositiveInt | list[NonNegativeInt],
)
# Which fields of the context a name is made with.
_CONTEXT = {
    "averaged_weights": ("validation", "recalibration", "batch_size"),
    "best_model": ("folder",),
    "divergence_guard": ("folder", "announce"),
    "schedule_hyperparameter": ("steps", "epochs"),
    "snapshot_ensemble": ("folder", "epochs"),
    RESUMABLE: ("folder", "batches", "announce"),
}


def _averaged_weights(
    recalibration_samples: NonNegativeInt = RECALIBRATION_SAMPLES,
    *,
    validation: tuple[Any, Any] | None,
    recalibration: Any,
    batch_size: int,
) -> callbacks.AveragedWeights:
    if recalibration is None or recalibration_samples == 0:
        return callbacks.AveragedWeights(validation, EVALUATION_BATCH)
    steps = min(math.ceil(recalibration_samples / batch_size), len(recalibration))
    return callbacks.AveragedWeights(validation, EVALUATION_BATCH, recalibration, steps)


CALLBACKS.add(
    "averaged_weights",
    _averaged_weights,
    "Evaluate the averaged weights on the validation set after each epoch, as val_averaged_loss and so on.",
    skip=_CONTEXT["averaged_weights"],
)


def _schedule_hyperparameter(
    hyperparameter: Annotated[str, Field(min_length=1)],
    schedule: Annotated[dict[str, Any], PlainValidator(number_or_schedule(minimum=0))],
    by: Literal["epoch", "step"] = "epoch",
    *,
    steps: int,
    epochs: int,
) -> callbacks.ScheduleHyperparameter:
    moved = layers.VariableRateDropout if hyperparameter == "dropout" else hyperparameter
    path = made(schedule, steps=steps if by == "step" else 1, epochs=epochs)
    return callbacks.ScheduleHyperparameter(moved, path, by)


CALLBACKS.add(
    "schedule_hyperparameter",
    _schedule_hyperparameter,
    "Move a hyperparameter of the optimizer along a schedule, or as `dropout` the rate of `variable_rate` dropouts.",
    skip=_CONTEXT["schedule_hyperparameter"],
)


def _best_model(
    monitor: Monitor = "val_loss", mode: Mode = "auto", averaged: bool = False, *, folder: pathlib.Path | None
) -> Any:
    # Without a run folder (a search's trial) there is nowhere to keep a model, and nothing to do but to refuse an
    # optimizer without averages, as these do.
    if folder is None:
        return callbacks.AveragedWeights() if averaged else keras.callbacks.Callback()
    return callbacks.BestModel(folder / "best_model.keras", monitor, mode, averaged)


CALLBACKS.add(
    "best_model",
    _best_model,
    "Keep the model of the best epoch as best_model.keras.",
    skip=_CONTEXT["best_model"],
)


def _divergence_guard(
    max_rollbacks: NonNegativeInt = 3,
    every_steps: PositiveInt = 100,
    rate_factor: Factor | None = None,
    loss_factor: AboveOne | None = None,
    gradient_factor: AboveOne | None = None,
    window_steps: PositiveInt = 50,
    *,
    folder: pathlib.Path | None,
    announce: Callable[[str], None] | None,
) -> callbacks.DivergenceGuard:
    return callbacks.DivergenceGuard(
        max_rollbacks,
        every_steps,
        rate_factor,
        loss_factor,
        gradient_factor,
        window_steps,
        path=None if folder is None else folder / EVENTS,
        announce=announce,
    )


CALLBACKS.add(
    "divergence_guard",
    _divergence_guard,
    "When the loss, a gradient or a weight is NaN or explodes: back to the last good state, and on behind that batch.",
    skip=_CONTEXT["divergence_guard"],
)


def _resumable_checkpoint(
    every_epochs: PositiveInt | None = 1,
    every_steps: PositiveInt | None = None,
    every_minutes: PositiveFloat | None = 10.0,
    keep_last: PositiveInt = 2,
    keep_best: NonNegativeInt = 0,
    monitor: Monitor = "val_loss",
    mode: Mode = "auto",
    on_failure: Literal["fail", "warn"] = "fail",
    *,
    folder: pathlib.Path | None,
    batches: datasets.Batches | None,
    announce: Callable[[str], None] | None,
) -> Any:
    # Without a run folder (a search's trial) there is nothing to resume.
    if folder is None or batches is None:
        return keras.callbacks.Callback()
    return callbacks.ResumableCheckpoint(
        folder,
        batches,
        every_epochs=every_epochs,
        every_steps=every_steps,
        every_minutes=every_minutes,
        keep_last=keep_last,
        keep_best=keep_best,
        monitor=monitor,
        mode=mode,
        on_failure=on_failure,
        on_signal="stop",
        announce=announce,
    )


CALLBACKS.add(
    RESUMABLE,
    _resumable_checkpoint,
    "When to save for a resume, and what to keep; without it every epoch and every ten minutes.",
    skip=_CONTEXT[RESUMABLE],
)


def _snapshot_ensemble(
    every_epochs: PositiveInt | None = None,
    after_epochs: Annotated[list[PositiveInt], Field(min_length=1)] | None = None,
    *,
    folder: pathlib.Path | None,
    epochs: int,
) -> keras.callbacks.Callback:
    snapshots = callbacks.SnapshotEnsemble((folder or pathlib.Path()) / SNAPSHOTS, every_epochs, after_epochs)
    snapshots.set_params({"epochs": epochs})
    snapshots.on_train_begin()  # Refuses cycles that would not end, while the recipe is checked.
    return keras.callbacks.Callback() if folder is None else snapshots


CALLBACKS.add(
    "snapshot_ensemble",
    _snapshot_ensemble,
    "Keep the model at the end of each cycle of the learning rate in snapshots/, to vote.",
    skip=_CONTEXT["snapshot_ensemble"],
)


def monitors(section: list[dict[str, Any]], metrics: Sequence[str]) -> list[list[str]]:
    """What each callback of a section may monitor: the metrics, with `val_`, and with `val_averaged_` behind
    `averaged_weights`."""
    prefixes, found = ["val_", ""], []
    for item in section:
        found.append([f"{prefix}{metric}" for metric in metrics for prefix in prefixes])
        if item["type"] == "averaged_weights":
            prefixes = ["val_", "", "val_averaged_"]
    return found


def check_callbacks(section: list[dict[str, Any]], epochs: int) -> None:
    """Raise the problem of an item whose arguments do not go together, at its place in a recipe."""
    for index, item in enumerate(section):
        try:
            build_callbacks([item], CallbackContext(None, steps=1, epochs=epochs))
        except InputError as error:
            raise problem(("callbacks", index), str(error).rstrip(".")) from None


def build_callbacks(
    section: list[dict[str, Any]], context: CallbackContext, checkpoint: Mapping[str, Any] | None = None
) -> list[keras.callbacks.Callback]:
    """Fresh callbacks of a validated `callbacks` list; in a folder one that it can be resumed by is always there.

    Args:
        section: the list.
        context: what they need to know of their run.
        checkpoint: arguments of `resumable_checkpoint` where the list has none.
    """
    kinds = [item["type"] for item in section]
    if RESUMABLE not in kinds and context.folder is not None:
        section = [*section, {"type": RESUMABLE, **(checkpoint or {})}]
    return [
        CALLBACKS.create(item, **{name: getattr(context, name) for name in _CONTEXT.get(item["type"], ())})
        for item in section
    ]
