"""Recipes and runs: one typed file -> data -> model -> result."""

from kerastrain.experiments.augmentation_parts import AUGMENTATIONS, mixes_labels
from kerastrain.experiments.build import build
from kerastrain.experiments.callback_parts import CALLBACKS
from kerastrain.experiments.fast_compile import fast_compile
from kerastrain.experiments.find_learning_rate import find_learning_rate
from kerastrain.experiments.fit import Training, fit
from kerastrain.experiments.optimizer_parts import AVERAGING, GRADIENT_TRANSFORMS, GROUPS
from kerastrain.experiments.prepare import PreparedData, prepare
from kerastrain.experiments.preprocess_parts import PREPROCESSORS
from kerastrain.experiments.recipe import METRICS, Recipe, from_document, load, shipped
from kerastrain.experiments.rule_parts import RULES
from kerastrain.experiments.run import evaluate, run
from kerastrain.experiments.run_folder import RunFolder
from kerastrain.experiments.schedule_parts import SCHEDULES
from kerastrain.experiments.script import run_script
from kerastrain.experiments.smoke import smoke
from kerastrain.experiments.trained import Trained, load_trained

__all__ = [
    "AUGMENTATIONS",
    "AVERAGING",
    "CALLBACKS",
    "GRADIENT_TRANSFORMS",
    "GROUPS",
    "METRICS",
    "PREPROCESSORS",
    "RULES",
    "SCHEDULES",
    "PreparedData",
    "Recipe",
    "RunFolder",
    "Trained",
    "Training",
    "build",
    "evaluate",
    "fast_compile",
    "find_learning_rate",
    "fit",
    "from_document",
    "load",
    "load_trained",
    "mixes_labels",
    "prepare",
    "run",
    "run_script",
    "shipped",
    "smoke",
]
