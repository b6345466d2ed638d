"""The hyperparameters of an optimizer that can be moved while a compiled training runs."""

from typing import Any

from kerastrain._core.errors import InputError, closest


class Hyperparameters(dict[str, Any]):
    """Name -> scalar optimizer variable. `hyperparameters["momentum"] = 0.9` assigns to the variable.

    What is not here was baked into the compiled step as a Python number, and changing the attribute that it came from
    would do nothing; so asking for it raises, and says so.

    Example:

    >>> import keras, kerastrain
    >>> optimizer = kerastrain.optimizers.ComposedOptimizer(keras.optimizers.AdamW(1e-3, weight_decay=1e-4))
    >>> optimizer.hyperparameters["weight_decay"] = 1e-2
    >>> sorted(optimizer.hyperparameters)
    ['learning_rate', 'plateau_multiplier', 'weight_decay']
    """

    def __init__(self, variables: dict[str, Any], owner: str) -> None:
        super().__init__(variables)
        self.owner = owner

    def __missing__(self, name: str) -> Any:
        raise InputError(
            f"`{name}` is not a hyperparameter of {self.owner} that can be moved during training."
            f"{closest(name, self)} Known: {', '.join(sorted(self)) or 'none'}. Keras's own rules bake their numbers "
            "into the compiled step; the rules of kerastrain.optimizers keep them in variables."
        )

    def __setitem__(self, name: str, value: Any) -> None:
        self[name].assign(value)
