"""The names that a recipe's `callbacks` list knows: Keras's own callbacks, fitted to a run folder."""

import pathlib
from typing import Annotated, Any, Literal

import keras
from pydantic import Field

from kerastrain._core.registry import FiniteFloat, NonNegativeFloat, NonNegativeInt, Registry

CALLBACKS = Registry("callback")

Monitor = Annotated[str, Field(min_length=1)]
Mode = Literal["auto", "min", "max"]

CALLBACKS.add(
    "early_stopping",
    keras.callbacks.EarlyStopping,
    "Stop when the monitored value no longer improves.",
    skip=("verbose",),
    monitor=Monitor,
    min_delta=NonNegativeFloat,
    patience=NonNegativeInt,
    mode=Mode,
    baseline=FiniteFloat | None,
    start_from_epoch=NonNegativeInt,
)
CALLBACKS.add(
    "reduce_lr_on_plateau",
    keras.callbacks.ReduceLROnPlateau,
    "Multiply the learning rate by a factor when the monitored value no longer improves.",
    skip=("verbose", "kwargs"),
    monitor=Monitor,
    factor=Annotated[float, Field(gt=0, lt=1)],
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


def build_callbacks(section: list[dict[str, Any]], folder: pathlib.Path | None) -> list[keras.callbacks.Callback]:
    """Fresh callbacks of a validated `callbacks` list; their files go to `folder`."""
    made = []
    for item in section:
        context = {"folder": folder} if item["type"] == "best_model" else {}
        made.append(CALLBACKS.create(item, **context))
    return made
