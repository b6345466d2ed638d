"""The folder of a run, and the rules of starting in one."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

from kerastrain._core import atomic_files, folder_lock, yaml_document
from kerastrain._core.differences import differences
from kerastrain._core.errors import InputError, RefusedError
from kerastrain.experiments.callback_context import EVENTS, SNAPSHOTS

RECIPE, RESULT, HISTORY = "recipe.yaml", "result.json", "history.csv"
MODEL, BEST_MODEL, CURVES, LOGS, LOCK = "model.keras", "best_model.keras", "curves.png", "logs", folder_lock.LOCK
CHECKPOINTS, TRAINING_WEIGHTS = "checkpoints", "training_weights.keras"
_OURS = (RESULT, HISTORY, EVENTS, MODEL, BEST_MODEL, CURVES, LOGS, SNAPSHOTS, CHECKPOINTS, TRAINING_WEIGHTS, RECIPE)


class RunFolder:
    """One directory a run: recipe.yaml, result.json, history.csv, curves.png, model.keras, logs/, checkpoints/.

    `result.json` is written last, so a folder that has one with status `finished` holds a whole run.

    Args:
        path: the directory; it need not exist.
        marker: the file that tells a folder of ours from somebody's.
    """

    def __init__(self, path: pathlib.Path, marker: str = RECIPE) -> None:
        self.path = path
        self.marker = marker

    def __truediv__(self, name: str) -> pathlib.Path:
        return self.path / name

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the lock file is gone afterwards.

        Raises:
            RefusedError: another process holds the folder, or it is somebody's folder and no run's.
        """
        try:
            self._refuse_foreign()
        except OSError as error:
            raise RefusedError(f"`--out`: {self.path} cannot be used ({error.strerror}).") from None
        with folder_lock.locked(self.path, argument="--out", remedy="Choose another --out."):
            yield

    def finished(self, plain: dict[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
        """The result of the same recipe when it is finished here; None where a run may begin or go on. Changes nothing.

        Raises:
            RefusedError: the folder holds another recipe (naming the fields).
        """
        if overwrite or not (self / RECIPE).exists():
            return None
        self._refuse_other(plain)
        result = self.result()
        return result if result is not None and result.get("status") == "finished" else None

    def begun(self) -> bool:
        """Whether there is a run to go on with."""
        return (self / RECIPE).exists()

    def begin(self, yaml: str) -> None:
        """Remove what an earlier run wrote, and nothing else, and put the recipe there."""
        for name in _OURS:
            target = self / name
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        atomic_files.write_text(self / RECIPE, yaml)

    def result(self) -> dict[str, Any] | None:
        """result.json, or None where there is none. Raises RefusedError when it is damaged."""
        path = self / RESULT
        if not path.exists():
            return None
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RefusedError(f"{path}: cannot be read ({error}). Use --overwrite to run again.") from None
        if not isinstance(result, dict):
            raise RefusedError(f"{path}: is not the result of a run. Use --overwrite to run again.")
        return result

    def _refuse_other(self, plain: dict[str, Any]) -> None:
        try:
            there = yaml_document.read(self / RECIPE).data
        except InputError as error:
            raise RefusedError(f"{error} Use --overwrite to run again.") from None
        rows = differences(there if isinstance(there, dict) else {}, plain)
        if rows:
            raise RefusedError(
                f"{self.path}: holds a run of another recipe. It differs in {'; '.join(rows[:8])}. "
                "Choose another --out, or --overwrite."
            )

    def _refuse_foreign(self) -> None:
        if not self.path.exists() or (self / self.marker).exists():
            return
        others = sorted(entry.name for entry in self.path.iterdir() if entry.name != LOCK)
        if others:
            raise RefusedError(
                f"{self.path}: is not empty and has no {self.marker} (it holds `{others[0]}`). Choose another --out."
            )
