"""The trials of a search as an Optuna study in memory, so that Optuna's own analysis reads them."""

import json
import math
import warnings
from collections.abc import Sequence
from typing import Any

from kerastrain.tuning.parameters import BoolParameter, ChoiceParameter, IntParameter, Parameter, VariantsParameter
from kerastrain.tuning.recorded_search import RecordedSearch
from kerastrain.tuning.table import brief, short_names, shown

# A list of points is drawn on a log axis from here on: the largest so many times the smallest.
_LOG_FROM = 30
MIN_TRIALS = 10
"""Below it an importance says more about luck than about a parameter."""
_BEST_AT_LEAST, _BEST_SHARE = 5, 0.1


def labels(parameter: Parameter) -> list[str] | None:
    """What the values of a parameter without an order are called, in the order of the file; None for numbers."""
    if isinstance(parameter, BoolParameter):
        return ["false", "true"]
    if isinstance(parameter, VariantsParameter):
        return list(parameter.values)
    if isinstance(parameter, ChoiceParameter):
        for text in (brief, shown, json.dumps):
            found = [text(value) for value in parameter.values]
            if len(set(found)) == len(found):  # Five digits need not tell two numbers apart.
                return found
    return None


def label(parameter: Parameter, value: Any) -> Any:
    """`value` as `labels` calls it; a number as it is."""
    names = labels(parameter)
    if names is None:
        return value
    points = list(parameter.points() or ())
    # `true` is not `1`, and `1` is not `1.0` here: the text of a value tells all of them apart.
    texts = [json.dumps(point) for point in points]
    return names[texts.index(json.dumps(value))]


def is_log(parameter: Parameter) -> bool:
    """Whether its numbers belong on a logarithmic axis."""
    if labels(parameter) is not None:
        return False
    values = getattr(parameter, "values", None)
    if values is None:
        return bool(parameter.scale == "log")  # type: ignore[union-attr]
    return min(values) > 0 and max(values) / min(values) >= _LOG_FROM


def distribution(parameter: Parameter) -> Any:
    """The parameter as Optuna describes one."""
    from optuna import distributions

    names = labels(parameter)
    if names is not None:
        return distributions.CategoricalDistribution(names)
    ends = parameter.extremes()
    low, high, log = min(ends), max(ends), is_log(parameter)
    kind = distributions.IntDistribution if isinstance(parameter, IntParameter) else distributions.FloatDistribution
    return kind(low, high, log=log)


def study(search: RecordedSearch, *, every_trial: bool = False) -> Any:
    """An `optuna.Study` of the completed trials, parameters by the short names of the table.

    A condition that does not hold leaves its parameter out of a trial, as Optuna has it.

    Args:
        search: what was recorded.
        every_trial: also those that were cut off, by the best value that they had reached, and those that diverged, as
            worse than all others: a rank is all that importances read of a value.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = short_names(search.space)
    made = {path: distribution(parameter) for path, parameter in search.space.items()}
    found = optuna.create_study(direction="minimize" if search.objective.mode == "min" else "maximize")
    reached = {trial.number: search.reached(trial) for trial in search.trials}
    finite = [value for value in reached.values() if value is not None]
    for trial in search.trials if every_trial else search.ranked:
        value = reached[trial.number]
        if value is None:
            if not finite or trial.status == "failed":
                continue  # Out of memory says nothing about a value.
            value = _below(finite, search.objective.mode)
        active = {path: trial.parameters[path] for path in search.space if path in trial.parameters}
        found.add_trial(
            optuna.trial.create_trial(
                value=value,
                params={names[path]: label(search.space[path], chosen) for path, chosen in active.items()},
                distributions={names[path]: made[path] for path in active},
                user_attrs={"number": trial.number},
            )
        )
    return found


def importances(search: RecordedSearch) -> tuple[dict[str, float], int] | None:
    """Short name -> share of what sets the best trials apart from all, the largest first; and how many those are.

    By PED-ANOVA, which knows conditional parameters. None below `MIN_TRIALS` trials, or where nothing varies.

    Reference: Watanabe, Bansal and Hutter 2023, PED-ANOVA, arXiv:2304.10255, as Optuna has it.
    """
    import optuna

    made = study(search, every_trial=True)
    trials = made.get_trials(deepcopy=False)
    count, there = len(trials), {name for trial in trials for name in trial.params}
    names = [short for path, short in short_names(search.space).items() if short in there and varies(search, path)]
    if count < MIN_TRIALS or len(names) < 2:
        return None
    best = max(_BEST_AT_LEAST, math.ceil(_BEST_SHARE * count))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best / count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That all of them are equal is told by the numbers.
        shares = optuna.importance.get_param_importances(made, evaluator=evaluator, params=names)
    return dict(sorted(shares.items(), key=lambda item: -item[1])), best


def varies(search: RecordedSearch, path: str) -> bool:
    """Whether two trials differ in this parameter; one that is active in some trials only does."""
    values = {json.dumps(trial.parameters.get(path, "\0")) for trial in search.trials}
    return len(values) > 1


def by_importance(search: RecordedSearch, shares: dict[str, float]) -> list[str]:
    """The paths that vary, the most important first; in the order of the file where nothing is known."""
    names = short_names(search.space)
    paths: Sequence[str] = [path for path in search.space if varies(search, path)]
    return sorted(paths, key=lambda path: -shares.get(names[path], 0.0))


def _below(finite: Sequence[float], mode: str) -> float:
    span = (max(finite) - min(finite)) or 1.0
    return max(finite) + span if mode == "min" else min(finite) - span
