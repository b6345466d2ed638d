"""The best trials of a search as one voting model."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain import experiments, topologies
from kerastrain._core import atomic_files, folder_lock, machine, yaml_document
from kerastrain._core.differences import differences
from kerastrain._core.errors import InputError, RefusedError
from kerastrain.experiments.build import loss_of, metrics_of
from kerastrain.experiments.callback_parts import EVALUATION_BATCH
from kerastrain.experiments.run_folder import BEST_MODEL
from kerastrain.tuning.config import load_config
from kerastrain.tuning.recorded_search import RecordedSearch, read_search
from kerastrain.tuning.records import TrialRecord
from kerastrain.tuning.search_folder import CONFIG
from kerastrain.tuning.trial_recipes import TrialRecipes, trial_recipes

FOLDER, RESULT, MODEL = "ensemble", "ensemble.json", "ensemble.keras"

Announce = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class _Member:
    """A trial, what it trains, and where its weights are or will be."""

    trial: TrialRecord
    recipe: experiments.Recipe
    run: pathlib.Path | None
    weights: pathlib.Path

    def facts(self) -> dict[str, Any]:
        return {"trial": self.trial.number, "value": self.trial.value, "weights": str(self.weights)}


def ensemble(
    search: str | pathlib.Path,
    top: int = 3,
    *,
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    announce: Announce = lambda line: None,
) -> dict[str, Any]:
    """Train the best trials of a search, and put them into one model whose answer is their mean.

    A search keeps the weights of its best trial at most, so the others are trained again, each in a run folder of its
    own, `SEARCH/ensemble/trial_NUMBER`, with the weights of its best epoch: as in the search, on the same machine type
    to the same value. A run that is there is not trained again, one that was cut off goes on.

    Args:
        search: folder of the search.
        top: how many of the completed trials; int >= 2. Default: 3.
        overwrite: train all of them again.
        callbacks: further callbacks for each training, such as a progress display.
        announce: is given one line for each thing worth telling.

    Returns:
        The content of SEARCH/ensemble/ensemble.json: the path of the model (`ensemble`), and loss and metrics on the
        validation and test sets (`val`, `test`) of the vote and of each of its `members`, without penalties of weights.
        `val` is None where the members were not held back the same images. One that is finished already is returned
        without training. Of an interrupted one `status` and `stopped`, the signal.

    Raises:
        InputError: no search, too few trials, or trials that cannot vote. RefusedError: the recipe that the search
            names is no longer the one that it searched, or the folder is in use. WorkFailedError: a training diverged.

    Example (not run here; it trains):

        result = kerastrain.tuning.ensemble("searches/random_mlp-1a2b3c4d", top=3)
        result["test"]["accuracy"], [member["test"]["accuracy"] for member in result["members"]]

    Reference: Hansen and Salamon, 1990, Neural network ensembles, IEEE Transactions on Pattern Analysis and Machine
    Intelligence 12 (10). Keras has no such model; `kerastrain.topologies.voting_ensemble_of` makes it.
    """
    read = read_search(search)
    folder = read.folder / FOLDER
    chosen = _members(read, top, folder)
    with folder_lock.locked(folder, argument="SEARCH", remedy="Wait for it to end."):
        key = [[member.trial.number, member.recipe.hash()] for member in chosen]
        done = None if overwrite else _finished(folder / RESULT, key)
        if done is not None:
            announce(f"{folder}: this ensemble is finished; nothing is trained. Use --overwrite to train it again.")
            return done
        start = time.perf_counter()
        for place, member in enumerate(chosen, start=1):
            stopped = _train(member, place, len(chosen), overwrite, callbacks, announce)
            if stopped is not None:
                return {"search": str(read.folder), "status": "interrupted", "stopped": stopped}
        scores = _vote(chosen, folder / MODEL, announce)
        result = {
            "search": str(read.folder),
            "status": "finished",
            "ensemble": str(folder / MODEL),
            **scores,
            "seconds": round(time.perf_counter() - start, 3),
            "key": key,
            "versions": machine.versions(),
            "machine": machine.facts(),
        }
        atomic_files.write_json(folder / RESULT, result)
        return result


def recipes_of(search: RecordedSearch) -> TrialRecipes:
    """From the values of a trial to its recipe, as the search had it, whatever its command line set.

    Raises:
        RefusedError: the recipe that the search file names has changed since.
    """
    config, searched = load_config(search.folder / CONFIG), search.recipe
    closest: list[str] = []
    for smoke in (False, True):
        for data in (None, searched["data"]["name"]):
            try:
                made = trial_recipes(config, data=data, smoke=smoke)
            except InputError:
                if data is None:
                    raise
                continue  # The data is one of the things that are searched.
            rows = differences(searched, json.loads(json.dumps(made.fill({}).plain())))
            if not rows:
                return made
            closest = rows if not closest or len(rows) < len(closest) else closest
    raise RefusedError(
        f"{search.folder}: the recipe `{config.recipe}` is no longer the one that was searched. It differs in "
        f"{'; '.join(closest[:8])}."
    )


def _members(search: RecordedSearch, top: int, folder: pathlib.Path) -> list[_Member]:
    ranked = search.ranked
    if isinstance(top, bool) or not isinstance(top, int) or not 2 <= top <= len(ranked):
        raise InputError(
            f"`top`: expected a whole number from 2 to {len(ranked)}, the number of completed trials in "
            f"{search.folder}. Received: {top!r}."
        )
    if not search.recipe:
        raise InputError(
            f"{search.folder}: a function built its models; put them together with "
            "`kerastrain.topologies.voting_ensemble_of`."
        )
    recipes = recipes_of(search)
    found = []
    for trial in ranked[:top]:
        recipe = _with_best_model(search, recipes.fill(trial.parameters), getattr(trial, "best_repeat", 1))
        run = folder / f"trial_{trial.number:04d}"
        kept = search.folder / BEST_MODEL
        if search.best is not None and trial.number == search.best.number and kept.is_file():
            found.append(_Member(trial, recipe, None, kept))
        else:
            found.append(_Member(trial, recipe, run, run / BEST_MODEL))
    _check_alike(found)
    return found


def _with_best_model(search: RecordedSearch, recipe: experiments.Recipe, repeat: int) -> experiments.Recipe:
    """The recipe of that repeat, which keeps the model of the epoch that gave the trial its value."""
    plain, objective = recipe.plain(), search.objective
    plain["training"]["seed"] = (plain["training"]["seed"] + repeat - 1) % 2**32
    keeps = {"type": "best_model", "monitor": objective.metric, "mode": objective.mode}
    others = [callback for callback in plain["callbacks"] if callback["type"] != "best_model"]
    plain["callbacks"] = [*others, keeps]
    return experiments.from_document(yaml_document.Document(str(search.folder), plain, {}))


def _check_alike(found: Sequence[_Member]) -> None:
    first = found[0]
    for member in found:
        form = topologies.DATA_FORMS[member.recipe.model["topology"]]
        if form == "image_and_histogram":
            raise InputError(
                f"trial {member.trial.number}: a vote is of models with one input. Received: the topology "
                f"`{member.recipe.model['topology']}`, which has two."
            )
        mine = (form, member.recipe.data.name)
        if mine != (topologies.DATA_FORMS[first.recipe.model["topology"]], first.recipe.data.name):
            raise InputError(
                f"trials {first.trial.number} and {member.trial.number}: a vote is of models that read the same data. "
                f"Received: `data.name` {first.recipe.data.name} and {member.recipe.data.name}, topologies "
                f"{first.recipe.model['topology']} and {member.recipe.model['topology']}."
            )


def _train(
    member: _Member,
    place: int,
    count: int,
    overwrite: bool,
    callbacks: Sequence[keras.callbacks.Callback],
    announce: Announce,
) -> str | None:
    if member.run is None:
        announce(f"Member {place} of {count}: trial {member.trial.number}, whose weights the search has kept")
        return None
    announce(f"Member {place} of {count}: trial {member.trial.number}, value {member.trial.value:.5g}")
    keras.utils.clear_session()
    result = experiments.run(member.recipe, member.run, overwrite=overwrite, callbacks=callbacks, announce=announce)
    stopped: str | None = result.get("stopped")
    return stopped


def _vote(chosen: Sequence[_Member], path: pathlib.Path, announce: Announce) -> dict[str, Any]:
    keras.utils.clear_session()
    recipe = chosen[0].recipe
    model = topologies.voting_ensemble_of([str(member.weights) for member in chosen])
    with atomic_files.replacing(path) as temporary:
        model.save(temporary)
    held = {(m.recipe.data.validation, m.recipe.training.seed) for m in chosen}
    roles = {"val": "validation", "test": "test"}
    if len(held) > 1:
        announce("No validation scores: what one member was held back, another has seen.")
        del roles["val"]
    announce(f"Evaluating the vote and its members on the {' and '.join(roles.values())} set")
    data = experiments.prepare(recipe)
    # All answers at once: a model of its own for each would be traced for each.
    answering = keras.Model(model.input, [*model.get_layer("vote").input, model.output])
    rows: list[dict[str, Any]] = [member.facts() for member in chosen]
    found: dict[str, Any] = {"val": None, "test": None, "members": rows}
    for role, name in roles.items():
        inputs, labels = getattr(data, name)
        *answers, vote = answering.predict(inputs, batch_size=EVALUATION_BATCH, verbose=0)
        found[role] = _scores(recipe, vote, labels)
        for row, answer in zip(rows, answers, strict=True):
            row[role] = _scores(recipe, answer, labels)
    return found


def _scores(recipe: experiments.Recipe, answers: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss and metrics of answers.

    Keras's `evaluate` would give the mean of the members' losses for that of the vote, and add penalties of weights.
    """
    found = {"loss": float(keras.ops.convert_to_numpy(loss_of(recipe)(labels, answers)))}
    for metric in metrics_of(recipe):
        metric.update_state(labels, answers)
        found[metric.name] = float(keras.ops.convert_to_numpy(metric.result()))
    return found


def _finished(path: pathlib.Path, key: list[Any]) -> dict[str, Any] | None:
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    there = pathlib.Path(str(result.get("ensemble"))).is_file()
    return result if result.get("key") == key and result.get("status") == "finished" and there else None
