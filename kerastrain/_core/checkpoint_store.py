"""A directory of checkpoints: the newest valid one is found, damaged ones are set aside, old ones go."""

import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

from kerastrain._core import checkpoint_files
from kerastrain._core.checkpoint_files import DamagedError
from kerastrain._core.errors import WorkFailedError

_NAME = re.compile(r"checkpoint-(\d{6,})\Z")
_ASIDE = re.compile(r"damaged-(\d{6,})")
_LEFT = re.compile(r"\.(?:writing|removing)-")


def place_of(epoch: int, step: int) -> str:
    """Where in a training a checkpoint stands, for people, who count epochs from 1: `at the end of epoch 2`.

    Args:
        epoch: epochs that are done.
        step: steps of the next one that are done.
    """
    return f"behind step {step} of epoch {epoch + 1}" if step else f"at the end of epoch {epoch}"


class CheckpointStore:
    """Checkpoints by number, in the order in which they were written.

    Whoever writes must be alone: what another writer has under way would be cleared away.

    Args:
        folder: the directory; it is made by the first `save`.
        keep_last: how many of the newest stay, a whole number >= 1.
        keep_best: how many of the best by their `score` stay too, a whole number >= 0.
    """

    def __init__(self, folder: pathlib.Path, keep_last: int = 2, keep_best: int = 0) -> None:
        self.folder = folder
        self.keep_last = keep_last
        self.keep_best = keep_best

    def paths(self) -> list[pathlib.Path]:
        """The checkpoints that are there, the oldest first, none of them checked."""
        return [self.folder / name for _, name in sorted(self._numbered(_NAME))]

    def aside(self) -> list[pathlib.Path]:
        """What was found damaged and set aside, the oldest first."""
        return [self.folder / name for _, name in sorted(self._numbered(_ASIDE))]

    def clear_leftovers(self) -> None:
        """Remove what a writer that was killed had half written or half removed."""
        for name in self._names():
            if _LEFT.match(name):
                checkpoint_files.remove(self.folder / name)

    def save(self, state: Any, about: dict[str, Any], *, spare: int = 0) -> pathlib.Path:
        """Write a checkpoint, then remove those that need not be kept.

        Args:
            state: see `checkpoint_files.write`.
            about: JSON; its `score`, the smaller the better, counts for `keep_best`, None for none.
            spare: how many more than `keep_last` stay this time.

        Raises:
            OSError: it could not be written; those that were there still are.
        """
        os.makedirs(self.folder, exist_ok=True)
        numbers = [number for number, _ in [*self._numbered(_NAME), *self._numbered(_ASIDE)]]
        path = self.folder / f"checkpoint-{max(numbers, default=0) + 1:06d}"
        checkpoint_files.write(path, state, about)
        self._remove_old(self.keep_last + spare)
        return path

    def newest_valid(
        self, told: Callable[[str], None], wanted: Callable[[dict[str, Any]], bool] = lambda about: True
    ) -> tuple[pathlib.Path, Any, dict[str, Any]] | None:
        """Path, state and `about` of the newest checkpoint that is intact and `wanted`; None where there is none.

        A damaged one that is newer is named to `told`, renamed to `damaged-...`, and never removed.

        Raises:
            WorkFailedError: there are checkpoints, and all of them are damaged.
        """
        valid = False
        for path in reversed(self.paths()):
            try:
                state, about = checkpoint_files.read(path)
            except DamagedError as error:
                place = self._set_aside(path)
                told(f"{path}: damaged: {error}. {place}")
                continue
            valid = True
            if wanted(about):
                return path, state, about
        if not valid and (self.paths() or self.aside()):
            raise WorkFailedError(
                f"{self.folder}: all {len(self.paths()) + len(self.aside())} checkpoints are damaged; nothing was "
                "trained. Restore one from a backup, or start again in another folder."
            )
        return None

    def _set_aside(self, path: pathlib.Path) -> str:
        place = path.with_name(path.name.replace("checkpoint-", "damaged-"))
        try:
            os.rename(path, place)
        except OSError as error:
            return f"It cannot be set aside ({error.strerror}), and is passed over."
        return f"It is set aside as {place.name}."

    def _remove_old(self, count: int) -> None:
        kept = set(self.paths()[-count:])
        if self.keep_best:
            scores = {}
            for path in self.paths():
                try:
                    score = checkpoint_files.read_manifest(path)["about"].get("score")
                except DamagedError:
                    kept.add(path)  # Not ours to remove; the next resume names it.
                    continue
                if score is not None:
                    scores[path] = score
            kept.update(sorted(scores, key=lambda path: (scores[path], path.name))[: self.keep_best])
        for path in self.paths():
            if path not in kept:
                # Renamed first: a directory that is half gone must not look like a damaged checkpoint.
                leaving = path.with_name(f".removing-{path.name}")
                try:
                    os.rename(path, leaving)
                except OSError:
                    continue
                checkpoint_files.remove(leaving)

    def _numbered(self, pattern: re.Pattern[str]) -> list[tuple[int, str]]:
        matches = [(pattern.match(name), name) for name in self._names()]
        return [(int(match[1]), name) for match, name in matches if match is not None]

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
