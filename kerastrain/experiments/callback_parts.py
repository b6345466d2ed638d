"""The names that a recipe's `callbacks` list knows: ours and Keras's, fitted to a run and its folder."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import keras
from pydantic import Field, PlainValidator

from kerastrain import callbacks, layers
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
from kerastrain.experiments.schedule_parts import made, number_or_schedule

CALLBACKS = Registry("callback")

Monitor = Annotated[str, Field(min_length=1)]
Mode = Literal["auto", "min", "max"]
Factor = Annotated[float, Field(gt=0, lt=1)]

# Where a run's snapshots are.
SNAPSHOTS = "snapshots"
# Samples of an evaluation's batch.
EVALUATION_BATCH = 512
# Training samples that batch normalization's statistics are taken from for averaged weights.
RECALIBRATION_SAMPLES = 4096

# They move variables that only a `ComposedOptimizer` has.
MOVES_THE_OPTIMIZER = ("reduce_on_plateau", "schedule_hyperparameter")


@dataclasses.dataclass(frozen=True)
class CallbackContext:
    """What callbacks need to know of their run.

    folder: where their files go; None in a search's trial, which has none.
    steps: updates in an epoch.
    epochs: of the run.
    validation: the validation data, `(inputs, labels)`; None while a recipe is only checked.
    recalibration: training batches for the statistics of averaged weights.
    batch_size: samples in one of them.
    """

    folder: pathlib.Path | None
    steps: int
    epochs: int
    validation: tuple[Any, Any] | None = None
    recalibration: Any = None
    batch_size: int = 1


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
    "schedule_hyperparameter": ("steps", "epochs"),
    "snapshot_ensemble": ("folder", "epochs"),
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


def _best_model(monitor: Monitor = "val_loss", mode: Mode = "auto", *, folder: pathlib.Path | None) -> Any:
    # Without a run folder (a search's trial) there is nowhere to keep a model, and nothing to do.
    if folder is None:
        return keras.callbacks.Callback()
    return keras.callbacks.ModelCheckpoint(folder / "best_model.keras", monitor=monitor, mode=mode, save_best_only=True)


CALLBACKS.add(
    "best_model",
    _best_model,
    "Keep the model of the best epoch as best_model.keras.",
    skip=_CONTEXT["best_model"],
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


def build_callbacks(section: list[dict[str, Any]], context: CallbackContext) -> list[keras.callbacks.Callback]:
    """Fresh callbacks of a validated `callbacks` list."""
    return [
        CALLBACKS.create(item, **{name: getattr(context, name) for name in _CONTEXT.get(item["type"], ())})
        for item in section
    ]
