"""What EarlyStopping needs of its arguments."""

from typing import Any

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain.callbacks.monitor import Monitor


def check_purpose(
    first: Monitor,
    *,
    waits: bool,
    restores: bool,
    generalization_loss: float | None,
    progress_quotient: float | None,
) -> None:
    """Raise InputError where nothing would ever stop or be restored, or a criterion of Prechelt's cannot be.

    Args:
        first: the monitor that is Prechelt's E.
        waits: whether epochs or seconds end it.
        restores: whether the best epoch is put back.
        generalization_loss: as `EarlyStopping` has it.
        progress_quotient: as `EarlyStopping` has it.
    """
    prechelt = generalization_loss is not None or progress_quotient is not None
    if not (waits or prechelt or restores):
        raise InputError(
            "`patience=None` needs something else to stop at, or to restore. Received: none of max_seconds, "
            "generalization_loss, progress_quotient, restore_best_weights."
        )
    if prechelt and first.minimizes is False:
        raise InputError(
            "`generalization_loss` and `progress_quotient` are of an error that is minimized. "
            f"Received: monitor={first.name!r}, mode='max'."
        )
    if progress_quotient is not None and not first.name.startswith("val_"):
        raise InputError(
            "`progress_quotient` compares a validation error with that of training, so `monitor` must begin with "
            f"'val_'. Received: monitor={first.name!r}."
        )


def each(name: str, value: Any, names: list[str]) -> list[Any]:
    """`value` for every monitor, or its items when it is a list."""
    if not isinstance(value, list | tuple):
        return [value] * len(names)
    if len(value) != len(names):
        raise InputError(f"`{name}` must be one value, or a list of {len(names)}, one a monitor. Received: {value!r}.")
    return list(value)


def above_0(name: str, value: Any) -> float | None:
    """`value` when it is a number > 0 or None. Raises InputError otherwise."""
    return None if value is None else number(name, value, above=0, remedy="Use None to switch it off.")
