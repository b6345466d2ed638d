"""Hyperparameter search: a YAML space over a recipe's keys, run by keras-tuner."""

from kerastrain.tuning.best_ensemble import ensemble
from kerastrain.tuning.comparison import compare
from kerastrain.tuning.config import SearchConfig, load_config
from kerastrain.tuning.dry_run import dry_run
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.oracles import GridOracle, RandomOracle
from kerastrain.tuning.pruner_parts import PRUNERS
from kerastrain.tuning.records import SearchResult, TrialRecord
from kerastrain.tuning.report import report
from kerastrain.tuning.search import search
from kerastrain.tuning.tuner import SearchTuner

__all__ = [
    "PRUNERS",
    "GridOracle",
    "Objective",
    "RandomOracle",
    "SearchConfig",
    "SearchResult",
    "SearchTuner",
    "TrialRecord",
    "compare",
    "dry_run",
    "ensemble",
    "load_config",
    "report",
    "search",
]
