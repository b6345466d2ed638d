"""From which checkpoint a training goes on, whether it may, and what is said of it."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

from kerastrain._core import checkpoint_files, processes
from kerastrain._core.checkpoint_files import DamagedError
from kerastrain._core.checkpoint_store import CheckpointStore
from kerastrain._core.differences import differences
from kerastrain._core.errors import RefusedError, WorkFailedError
from kerastrain.callbacks.circumstances import circumstances
from kerastrain.callbacks.training_identity import common_callbacks


class Found(NamedTuple):
    """A checkpoint that is intact: its path, its state, and what its manifest says about it."""

    path: pathlib.Path
    state: Any
    about: dict[str, Any]

    def is_over(self, epochs: int) -> bool:
        """Whether a training of so many epochs had come to its end."""
        return bool(self.about["finished"] and (self.about["ended_early"] or self.about["epochs"] >= epochs))


def newest(store: CheckpointStore, epochs: int, announce: Callable[[str], None]) -> Found | None:
    """The checkpoint to go on from in a training of so many epochs; None where there is none.

    Raises:
        WorkFailedError: all are damaged.
    """
    found = store.newest_valid(announce)
    if found is None:
        return None
    latest = Found(*found)
    if not latest.about["finished"] or latest.is_over(epochs):
        return latest
    # More epochs are wanted: on from the last one's end, before what callbacks did at the end of `fit`.
    before = store.newest_valid(announce, lambda about: not about["finished"])
    return latest if before is None else Found(*before)


def newest_for_all(store: CheckpointStore, epochs: int, announce: Callable[[str], None]) -> Found | None:
    """`newest`, which the first of several processes chooses and the others read.

    Raises:
        WorkFailedError: all are damaged, or a process cannot read the one that was chosen.
    """
    found = newest(store, epochs, announce) if processes.is_first() else None
    name = processes.from_first(None if found is None else found.path.name)
    if name is None or found is not None:
        return found
    path = store.folder / name
    try:
        return Found(path, *checkpoint_files.read(path))
    except DamagedError as error:
        raise WorkFailedError(
            f"{path}: cannot be read here, and the first process goes on from it: {error} Give all processes the same "
            "folder, on a disk that they share."
        ) from None


def check(found: Found, folder: pathlib.Path, identity: dict[str, Any], epochs: int) -> None:
    """Raise RefusedError where the checkpoint is of another training, or has more epochs behind it."""
    rows = differences(*common_callbacks(found.state["identity"], identity))
    if rows:
        more = f" and {len(rows) - 6} more" if len(rows) > 6 else ""
        raise RefusedError(
            f"{folder}: holds another training. It differs in {'; '.join(rows[:6])}{more}. Use another folder, or "
            "remove it."
        )
    about = found.about
    if (about["epoch"], about["step"]) > (epochs, 0):
        present = about["epoch"] + (about["step"] > 0)
        place = "is finished after" if about["finished"] else "is already in"
        raise RefusedError(
            f"{folder}: {place} epoch {present}. epochs: {about['epochs']} -> {epochs}. Give `fit` as many "
            "epochs as before or more."
        )


def lines(found: Found, folder: pathlib.Path, epochs: int, *, with_data: bool) -> list[str]:
    """What there is to say once everything is as it was.

    Args:
        found: the checkpoint.
        folder: of the training.
        epochs: that `fit` is given.
        with_data: whether the position in the data could be set.
    """
    path, about = found.path, found.about
    rows = differences(about["circumstances"], circumstances())
    told = [f"{path}: written under other circumstances, so not bit-identical: {'; '.join(rows[:6])}."] if rows else []
    if found.is_over(epochs):
        values = ", ".join(f"{name} {value:.4g}" for name, value in about["logs"].items() if value is not None)
        return [*told, f"{folder}: this training is finished after {about['epoch']} epochs ({values})."]
    if about["stopping"]:
        return [*told, f"{path}: training had been stopped after {about['epoch']} epochs, and ends."]
    if about["epoch"] >= epochs:
        return [*told, f"{path}: all {epochs} epochs are trained, and training ends."]
    place = f"epoch {about['epoch'] + 1} of {epochs}" + (f", behind step {about['step']}" if about["step"] else "")
    note = "" if with_data else " The order of the data is fit's own; give `data` to make it repeatable."
    return [*told, f"{path}: training goes on in {place}.{note}"]
