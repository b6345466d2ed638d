"""The form of a recipe's training that has its numbers in variables, so that one compiled step serves many recipes.

It is the same training, bit for bit, and only where that is known; `tests/tuning/test_reuse.py` compares them:

- the rule is within a `ComposedOptimizer`, which keeps its weight decay in a variable;
- `sgd` with a momentum is `momentum_sgd` in Keras's form, which keeps it in a variable;
- `dropout` has its rate in a variable.
"""

from typing import Any

import keras

from kerastrain.experiments.execution import choose_jit
from kerastrain.experiments.recipe import Recipe

# Rules whose arithmetic is the same within a ComposedOptimizer; Keras's Muon has a decay of its own.
_RULES = frozenset({"sgd", "adam", "adamw", "nadam", "adamax", "rmsprop", "adagrad", "adadelta", "lion"}) | frozenset(
    {"momentum_sgd", "lookahead_nesterov", "orthogonalized_momentum", "textbook_rmsprop", "textbook_adam"}
)

# Callbacks that neither look for an optimizer's or a layer's class, nor save the model.
_CALLBACKS = frozenset(
    {"averaged_weights", "divergence_guard", "early_stopping", "gradual_unfreezing", "reduce_on_plateau"}
) | {"resumable_checkpoint"}


def has_movable_form(recipe: Recipe) -> bool:
    """Whether `build(movable=True)` makes the same training as `build`.

    On TensorFlow without XLA a number gives the same bits out of a variable as out of the graph. XLA is free to fold
    constants into what is around them.
    """
    return (
        keras.backend.backend() == "tensorflow"
        and not choose_jit(recipe.training.jit)[0]
        and recipe.optimizer.rule["type"] in _RULES
        and all(callback["type"] in _CALLBACKS for callback in recipe.callbacks)
    )


def movable_optimizer(section: dict[str, Any]) -> dict[str, Any]:
    """An `optimizer` section whose rule keeps its numbers in variables.

    Without momentum Keras's SGD has no slots, and there is nothing to move.
    """
    rule = section["rule"]
    if rule["type"] != "sgd" or rule["momentum"] == 0:
        return section
    moved = {"type": "momentum_sgd", "form": "velocity", **{key: rule[key] for key in _SHARED}}
    return {**section, "rule": moved}


_SHARED = ("momentum", "nesterov", "weight_decay")
