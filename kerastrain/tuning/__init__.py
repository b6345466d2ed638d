"""Hyperparameter search: a YAML space over a recipe's keys, run by keras-tuner."""

from kerastrain.tuning.best_ensemble import ensemble
from kerastrain.tuning.comparison import compare
from kerastrain.tuning.config import SearchConfig, load_config
from kerastrain.tuning.oracles import GridOracle, RandomOracle
from kerastrain.tuning.records import SearchResult, TrialRecord
from kerastrain.tuning.report import report
from kerastrain.tuning.search import search

__all__ = [
    "GridOracle",
    "RandomOracle",
    "SearchConfig",
    "SearchResult",
    "TrialRecord",
    "compare",
    "ensemble",
    "load_config",
    "report",
    "search",
]
