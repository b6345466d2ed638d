"""`kerastrain checkpoints RUN`: what there is to resume from, whether it is intact, what is in it."""

import pathlib
from typing import Any

from kerastrain._core import checkpoint_files
from kerastrain._core.checkpoint_files import DamagedError
from kerastrain._core.checkpoint_store import CheckpointStore, place_of
from kerastrain._core.errors import InputError, RefusedError, WorkFailedError, closest

ACTIONS = ("list", "verify", "show", "export")


def store_of(run: pathlib.Path) -> CheckpointStore:
    """The checkpoints of a run folder, or of its `checkpoints/` itself. Raises InputError where there are none."""
    folder = run if run.name == "checkpoints" else run / "checkpoints"
    store = CheckpointStore(folder)
    if not store.paths() and not store.aside():
        if (run / "search.yaml").exists():
            trial = run / "running_trial"
            where = f" Of the trial that was under way: kerastrain checkpoints {trial}" if trial.is_dir() else ""
            raise InputError(
                f"{run}: is the folder of a search. It goes on by the same `kerastrain search`, and a trial that has "
                f"ended keeps no checkpoints.{where}"
            )
        raise InputError(
            f"{run}: expected a run folder with checkpoints. Received: nothing to resume from in {folder}."
        )
    return store


def rows(store: CheckpointStore, *, whole: bool) -> list[dict[str, Any]]:
    """One row a checkpoint: name, status, epoch, step, megabytes.

    With `whole` every byte is checked, else the manifest and the sizes of the files.
    """
    found = []
    for path in [*store.aside(), *store.paths()]:
        row: dict[str, Any] = {"checkpoint": path.name}
        try:
            manifest = checkpoint_files.read_manifest(path)
            if whole:
                checkpoint_files.read(path)
            else:
                checkpoint_files.check_sizes(path, manifest)
        except DamagedError as error:
            found.append({**row, "status": "damaged", "problem": str(error)})
            continue
        about, size = manifest["about"], sum(facts["bytes"] for facts in manifest["files"].values())
        row |= {"status": "intact" if whole else "not verified", "epoch": about["epoch"], "step": about["step"]}
        found.append({**row, "finished": about["finished"], "megabytes": round(size / 1e6, 2), "logs": about["logs"]})
    return found


def check_intact(store: CheckpointStore, found: list[dict[str, Any]]) -> None:
    """Raise WorkFailedError where one of the rows is damaged that no resume has set aside yet, or none is left."""
    present = {path.name for path in store.paths()}
    damaged = [row["checkpoint"] for row in found if row["status"] == "damaged" and row["checkpoint"] in present]
    if damaged:
        names = ", ".join(damaged)
        raise WorkFailedError(f"{store.folder}: {len(damaged)} of {len(present)} are damaged: {names}.")
    if not present:
        raise WorkFailedError(f"{store.folder}: all that there were are damaged.")


def line(row: dict[str, Any]) -> str:
    """A row for a person."""
    if row["status"] == "damaged":
        return f"{row['checkpoint']}  damaged: {row['problem']}"
    place = "at the end of the training" if row["finished"] else place_of(row["epoch"], row["step"])
    logs = "  ".join(f"{name} {value:.4f}" for name, value in row["logs"].items() if value is not None)
    return f"{row['checkpoint']}  {row['status']}  {place}  {row['megabytes']} MB  {logs}".rstrip()


def chosen(store: CheckpointStore, name: str | None) -> pathlib.Path:
    """The checkpoint of that name or number, or the newest. Raises InputError."""
    known = {path.name: path for path in store.paths()}
    if name is None:
        if not known:
            raise InputError(f"{store.folder}: has none but damaged checkpoints.")
        return list(known.values())[-1]
    full = f"checkpoint-{int(name):06d}" if name.isdigit() else name
    if full not in known:
        raise InputError(f"`--checkpoint`: expected one of {', '.join(known)}. Received: {name}.{closest(full, known)}")
    return known[full]


def shown(path: pathlib.Path) -> tuple[list[str], dict[str, Any]]:
    """Every array of a checkpoint with its shape and spread, for people and for programs. Raises WorkFailedError."""
    state, about = _read(path)
    lines, variables = [], []
    for name, value in state["variables"]:
        numbers = value.astype("float64")
        spread = f"mean {numbers.mean():.4g}, deviation {numbers.std():.4g}" if numbers.size else "empty"
        lines.append(f"{name:<60} {value.dtype!s:<9} {value.shape!s:<18} {spread}")
        variables.append({"path": name, "dtype": str(value.dtype), "shape": list(value.shape)})
    callbacks = [name for name, _ in state["callbacks"]]
    lines.append(f"Callbacks: {', '.join(callbacks)}")
    lines += [f"{key}: {value}" for key, value in about.items()]
    return lines, {"checkpoint": str(path), "about": about, "variables": variables, "callbacks": callbacks}


def export(run: pathlib.Path, path: pathlib.Path, to: pathlib.Path, experiments: Any) -> None:
    """Write the model of a checkpoint as a `.keras` file; the run's recipe says how it is built.

    Raises:
        InputError: no recipe, or another suffix. RefusedError: the file exists. WorkFailedError: damaged.
    """
    from kerastrain._core import atomic_files
    from kerastrain.callbacks import fit_state

    if to.suffix != ".keras":
        raise InputError(f"`--to`: expected a file that ends in .keras. Received: {to}.")
    if to.exists():
        raise RefusedError(f"`--to`: {to} is there already. Choose another name.")
    folder = run.parent if run.name == "checkpoints" else run
    if not (folder / "recipe.yaml").exists():
        raise InputError(
            f"{folder}: expected a recipe.yaml, by which the model is built. In your own script: build and compile the "
            "model, and let ResumableCheckpoint restore it."
        )
    recipe = experiments.load(folder / "recipe.yaml")
    state, _ = _read(path)
    model = experiments.build(recipe, experiments.prepare(recipe))
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    fit_state.restore_model(model, state)
    with atomic_files.replacing(to) as temporary:
        model.save(temporary)


def _read(path: pathlib.Path) -> tuple[Any, dict[str, Any]]:
    try:
        return checkpoint_files.read(path)
    except DamagedError as error:
        raise WorkFailedError(f"{path}: damaged: {error}.") from None
