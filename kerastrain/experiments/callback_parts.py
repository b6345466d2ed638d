"""The names that a recipe's `callbacks` list knows: ours and Keras's, fitted to a run and its folder."""

import pathlib
from typing import Annotated, Any, Literal

import keras
from pydantic import Field

from kerastrain import callbacks
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

CALLBACKS = Registry("callback")

Monitor = Annotated[str, Field(min_length=1)]
Mode = Literal["auto", "min", "max"]
Factor = Annotated[float, Field(gt=0, lt=1)]

# They move variables that only a `ComposedOptimizer` has.
MOVES_THE_OPTIMIZER = ("reduce_on_plateau",)

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


def _best_model(monitor: Monitor = "val_loss", mode: Mode = "auto", *, folder: pathlib.Path | None) -> Any:
    # Without a run folder (a search's trial) there is nowhere to keep a model, and nothing to do.
    if folder is None:
        return keras.callbacks.Callback()
    return keras.callbacks.ModelCheckpoint(folder / "best_model.keras", monitor=monitor, mode=mode, save_best_only=True)


CALLBACKS.add("best_model", _best_model, "Keep the model of the best epoch as best_model.keras.", skip=("folder",))


def check_callbacks(section: list[dict[str, Any]]) -> None:
    """Raise the problem of an item whose arguments do not go together, at its place in a recipe."""
    for index, item in enumerate(section):
        try:
            build_callbacks([item], None)
        except InputError as error:
            raise problem(("callbacks", index), str(error).rstrip(".")) from None


def build_callbacks(section: list[dict[str, Any]], folder: pathlib.Path | None) -> list[keras.callbacks.Callback]:
    """Fresh callbacks of a validated `callbacks` list; their files go to `folder`."""
    made = []
    for item in section:
        context = {"folder": folder} if item["type"] == "best_model" else {}
        made.append(CALLBACKS.create(item, **context))
    return made
