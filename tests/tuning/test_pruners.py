"""Pruners, against Optuna's own on the same curves, and by hand."""

import math
import warnings

import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.tuning import Objective
from kerastrain.tuning.pruner_parts import PRUNERS
from kerastrain.tuning.pruners import Curve

LOSS, ACCURACY = Objective(metric="val_loss", mode="min"), Objective(metric="val_accuracy", mode="max")
EPOCHS = 12


def synthetic_curves(seed, objective):
    """30 learning curves that cross, with values that are not finite in some."""
    generator = np.random.default_rng(seed)
    curves = []
    for _ in range(30):
        level, speed = generator.uniform(0, 1), generator.uniform(0.1, 1)
        curve = level + np.exp(-speed * np.arange(EPOCHS)) + generator.normal(0, 0.1, EPOCHS)
        curve[generator.random(EPOCHS) < 0.04] = math.nan
        if generator.random() < 0.1:
            curve[generator.integers(EPOCHS) :] = math.nan
        curves.append(curve if objective.mode == "min" else -curve)
    return curves


def pruned_at(pruner, curves, objective):
    """Epochs that each trial is trained for: it stops where it is told, and later ones see what it had."""
    earlier, lengths = [], []
    for curve in curves:
        length = next((n for n in range(1, EPOCHS) if pruner.reason(curve[:n], earlier, objective)), EPOCHS)
        earlier.append(Curve(tuple(curve[:length]), completed=length == EPOCHS))
        lengths.append(length)
    return lengths


def pruned_by_optuna(pruner, curves, objective, first_step):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize" if objective.mode == "min" else "maximize", pruner=pruner)
    lengths = []
    for curve in curves:
        trial, length = study.ask(), EPOCHS
        for n in range(1, EPOCHS):
            trial.report(curve[n - 1], n - 1 + first_step)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy, where all values are NaN
                stop = trial.should_prune()
            if stop:
                length = n
                break
        if length == EPOCHS:
            trial.report(curve[-1], EPOCHS - 1 + first_step)
        state = optuna.trial.TrialState.COMPLETE if length == EPOCHS else optuna.trial.TrialState.PRUNED
        study.tell(trial, 0.0 if length == EPOCHS else None, state=state)
        lengths.append(length)
    return lengths


def theirs(name, objective):
    pruners = pytest.importorskip("optuna").pruners
    bound = {"upper": 1.2} if objective.mode == "min" else {"lower": -1.2}
    return {
        "median": lambda: pruners.MedianPruner(4, 2),
        "percentile": lambda: pruners.PercentilePruner(25.0, 3, 1, 2, n_min_trials=2),
        "asha": lambda: pruners.SuccessiveHalvingPruner(2, 2),
        "patience": lambda: pruners.PatientPruner(None, 2, 0.05),
        "divergence": lambda: pruners.ThresholdPruner(**bound, n_warmup_steps=3),
    }[name]()


OURS = {
    "median": {"startup_trials": 4, "warmup_epochs": 2},
    "percentile": {
        "percentile": 25.0, "startup_trials": 3, "warmup_epochs": 1, "interval_epochs": 2, "min_trials": 2,
    },
    "asha": {"min_epochs": 2, "reduction_factor": 2},
    "patience": {"patience": 2, "min_delta": 0.05},
    "divergence": {"threshold": 1.2, "warmup_epochs": 3},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("objective", [LOSS, ACCURACY], ids=["min", "max"])
@pytest.mark.parametrize("name", OURS)
def test_stops_where_optunas_does(name, objective):
    arguments = dict(OURS[name])
    if name == "divergence" and objective.mode == "max":
        arguments["threshold"] = -1.2
    pruner = PRUNERS.create({"type": name, **arguments})
    for seed in range(5):
        curves = synthetic_curves(seed, objective)
        # Optuna's rungs count the steps that are behind, so there the first epoch is step 1.
        expected = pruned_by_optuna(theirs(name, objective), curves, objective, first_step=int(name == "asha"))
        assert pruned_at(pruner, curves, objective) == expected
        assert 3 < sum(length < EPOCHS for length in expected) < 30


def test_the_median_by_hand():
    pruner = PRUNERS.create({"type": "median", "startup_trials": 3, "warmup_epochs": 1})
    earlier = [Curve((9.0, value), completed=True) for value in (1.0, 2.0, math.nan, 6.0)]
    assert pruner.reason([9.9], earlier, LOSS) is None  # within the warmup
    assert pruner.reason([9.9, 2.0], earlier, LOSS) is None  # the median of 1, 2 and 6
    assert "worse than the median of 3 trials at epoch 2, which is 2" in pruner.reason([9.9, 2.1], earlier, LOSS)
    assert pruner.reason([1.9, 5.0], earlier, LOSS) is None  # its best is better
    assert pruner.reason([9.9, 9.9], earlier[:2], LOSS) is None  # startup
    assert pruner.reason([9.9, 9.9], [*earlier[:2], Curve((9.0, 1.0), completed=False)], LOSS) is None
    assert pruner.reason([math.nan, math.nan], earlier, LOSS) == "no epoch has a finite val_loss"


def test_rungs_by_hand():
    pruner = PRUNERS.create({"type": "asha", "min_epochs": 1, "reduction_factor": 3})
    earlier = [Curve((value,), completed=False) for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    # Six came to the first rung, and two of them go on.
    assert pruner.reason([0.35], earlier, ACCURACY) is not None
    assert pruner.reason([0.45], earlier, ACCURACY) is None
    for epochs, judged in ((2, False), (3, True), (4, False), (8, False), (9, True)):
        best = [Curve((0.9,) * 9, completed=True)]
        assert (pruner.reason([0.45] * epochs, best, ACCURACY) is not None) is judged
    assert PRUNERS.create("asha").reason([0.01], [], ACCURACY) is None  # the first goes on


def test_infinity_is_as_nan_since_a_record_on_disk_does_not_tell_them_apart():
    rows = [{"val_loss": math.inf}, {"val_loss": None}, {"val_loss": 1}, {}]
    values = Curve.of(rows, "val_loss", completed=True).values
    assert values[2] == 1.0 and [math.isnan(value) for value in values] == [True, True, False, True]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"type": "medain"}, "Did you mean `median`?"),
        ({"type": "median", "startup_trial": 3}, "startup_trial"),
        ({"type": "asha", "reduction_factor": 1}, "expected a number >= 2"),
        ({"type": "percentile"}, "is missing"),
        ({"type": "percentile", "percentile": 101.0}, "<= 100"),
    ],
)
def test_what_is_no_pruner(section, words):
    with pytest.raises(InputError, match=words.replace("?", r"\?")):
        PRUNERS.create(section)
