"""Frozen groups of variables that are trained one after another."""

from collections.abc import Sequence
from typing import Any

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError, closest
from kerastrain._core.training_state import optimizer_of
from kerastrain.callbacks.stateful_callback import StatefulCallback
from kerastrain.optimizers import ComposedOptimizer, ParameterGroup

_SWITCH = ".trainable"


class GradualUnfreezing(StatefulCallback):
    """Unfreeze the groups of a `ComposedOptimizer` over the epochs, those near the output first; no recompiling.

        group i (from 0) is trained from epoch (i + 1) * epochs on,     or from epochs[i] on

    Epochs are counted from 0. With Keras one sets `layer.trainable` and compiles anew between two fits, which loses the
    optimizer's slots. Here each group has a switch, a variable that the compiled step reads: make the groups with
    `ParameterGroup(pattern, trainable=False, name=...)`. What is in no such group, usually the new head, is trained
    from the beginning. For fine-tuning on few samples, together with `layerwise_decay`; to train from scratch it is of
    no use. Batch normalization gathers statistics in frozen layers too, see `ParameterGroup`.

    Args:
        groups: names of the groups (`ParameterGroup.name`, by default their pattern) or the groups, in the order in
            which they are unfrozen; None for all that have a switch, the last of the optimizer's `groups` first.
        epochs: a whole number >= 1, the epochs from one group to the next; or a list of the epochs at which the groups
            are unfrozen, one each, none smaller than the one before.

    State: none: the switches follow from the epoch alone, on or off, so a resumed training has them right. Go on with a
    trained model by `fit(initial_epoch=...)`, or without this callback.

    Raises:
        InputError: an argument is something else; at the beginning of `fit`: the optimizer is no ComposedOptimizer, it
            has no such group with a switch, or there are not as many epochs as groups.

    Example:

    >>> import keras, numpy as np
    >>> from kerastrain.optimizers import ComposedOptimizer, ParameterGroup
    >>> layers = [keras.layers.Dense(2, name=name) for name in ("one", "two", "head")]
    >>> model = keras.Sequential([keras.Input((1,)), *layers])
    >>> groups = [ParameterGroup(rf"(^|/){name}/", trainable=False, name=name) for name in ("one", "two")]
    >>> model.compile(ComposedOptimizer(keras.optimizers.SGD(0.1), groups=groups), loss="mse")
    >>> x = np.ones((4, 1))
    >>> history = model.fit(x, x, epochs=2, callbacks=[GradualUnfreezing(["two", "one"])], verbose=0)
    >>> [float(model.optimizer.hyperparameters[f"{name}.trainable"]) for name in ("one", "two")]
    [0.0, 1.0]

    Reference: Howard and Ruder, 2018, Universal language model fine-tuning for text classification, arXiv:1801.06146,
    section 3.3 (gradual unfreezing): the last layer first, one more after each epoch.
    """

    def __init__(self, groups: Sequence[str | ParameterGroup] | None = None, epochs: int | Sequence[int] = 1) -> None:
        super().__init__()
        self.groups = None if groups is None else _names(groups)
        self.epochs = _epochs(epochs)
        if self.groups is not None:
            self._starts_of(self.groups)
        self._starts: dict[str, int] = {}

    def _starts_of(self, names: Sequence[str]) -> dict[str, int]:
        if isinstance(self.epochs, int):
            return {name: (place + 1) * self.epochs for place, name in enumerate(names)}
        if len(self.epochs) != len(names):
            raise InputError(
                f"`epochs` must have one epoch for each of {len(names)} groups ({', '.join(names)}). "
                f"Received: epochs={self.epochs!r}."
            )
        return dict(zip(names, self.epochs, strict=True))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer = optimizer_of(self.model)
        if not isinstance(optimizer, ComposedOptimizer):
            raise InputError(
                "GradualUnfreezing needs a ComposedOptimizer whose groups have switches: "
                f"ParameterGroup(pattern, trainable=False). The optimizer is: {type(optimizer).__name__}."
            )
        # The name of a switch, not of its group: two groups of one name have two switches.
        known = [name.removesuffix(_SWITCH) for name in optimizer.hyperparameters if name.endswith(_SWITCH)]
        if not known:
            raise InputError(
                "No group of the optimizer has a switch. Make those that are to be unfrozen with "
                "ParameterGroup(pattern, trainable=False, name=...)."
            )
        for name in self.groups or []:
            if name not in known:
                raise InputError(
                    f"`groups` must name groups with a switch (trainable=False): {', '.join(known)}. "
                    f"Received: {name!r}.{closest(name, known)}"
                )
        self._starts = self._starts_of(known[::-1] if self.groups is None else self.groups)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        hyperparameters = optimizer_of(self.model).hyperparameters
        for name, start in self._starts.items():
            hyperparameters[f"{name}{_SWITCH}"] = epoch >= start


def _names(groups: Any) -> list[str]:
    if not isinstance(groups, list | tuple) or not groups:
        raise InputError(f"`groups` must be a list of names of parameter groups. Received: groups={groups!r}.")
    names = [group.name if isinstance(group, ParameterGroup) else group for group in groups]
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1:
            raise InputError(f"`groups` must be names of parameter groups, each one time. Received: {name!r}.")
    return names


def _epochs(epochs: Any) -> int | list[int]:
    if not isinstance(epochs, list | tuple):
        return whole_number("epochs", epochs)
    checked = [whole_number(f"epochs[{place}]", epoch, minimum=0) for place, epoch in enumerate(epochs)]
    if checked != sorted(checked):
        raise InputError(f"`epochs` must not fall from one group to the next. Received: epochs={epochs!r}.")
    return checked
