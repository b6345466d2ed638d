"""What a ResumableCheckpoint needs of its arguments and of the `fit` around it."""

import json
from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core import keras_training, processes, replicas
from kerastrain._core.errors import InputError
from kerastrain.callbacks import keras_states


def plain_data(identity: Any) -> dict[str, Any] | None:
    """`identity`, when a checkpoint can hold it. Raises InputError otherwise."""
    try:
        json.dumps(identity)
    except (TypeError, ValueError):
        plain = False
    else:
        plain = identity is None or isinstance(identity, dict)
    if not plain:
        raise InputError(
            "`identity` must be a dictionary of numbers, text and lists, such as {'seed': 0}. "
            f"Received: identity={identity!r}."
        )
    return identity


def startable(data: Any, every_steps: int | None) -> Any:
    """`data`, when a position in it can be set, or None without `every_steps`. Raises InputError otherwise."""
    if data is not None and not (hasattr(data, "start") and hasattr(data, "identity")):
        raise InputError(
            "`data` must be able to start within an epoch, as kerastrain.datasets.Batches does. Received: "
            f"{type(data).__name__}. Leave it out, and a resume starts at the beginning of an epoch."
        )
    if every_steps is not None and data is None:
        raise InputError(
            "`every_steps` needs `data` whose position can be set, such as kerastrain.datasets.Batches. Received: "
            f"data=None, every_steps={every_steps}. A pipeline of your own is saved by epochs."
        )
    return data


def check_beside(
    checkpoint: keras.callbacks.Callback,
    kinds: tuple[type[keras.callbacks.Callback], ...],
    others: Sequence[keras.callbacks.Callback],
) -> list[str]:
    """What is to be told of the callbacks beside a checkpoint. Raises InputError when one of them is of the `kinds`
    that resume as well."""
    for other in others:
        if isinstance(other, kinds):
            raise InputError(
                "`callbacks` must have one callback that resumes the training. Received: two, a "
                f"{type(checkpoint).__name__} and a {type(other).__name__}. Leave one of them out."
            )
    unknown = sorted({type(one).__name__ for one in others if not keras_states.is_known(one)})
    if not unknown:
        return []
    return [
        f"Not in the checkpoints: what {', '.join(unknown)} remembers. Give it `state_dict()` and "
        "`load_state_dict(state)`, see kerastrain.callbacks.StatefulCallback."
    ]


def check_distribution(model: keras.Model) -> None:
    """Raise InputError where the state of a training cannot be told: under a strategy that does not train, or where
    each of several processes has a part of the variables."""
    replicas.check_strategy(model)
    if processes.count() > 1 and not isinstance(processes.distribution(), keras.distribution.DataParallel):
        raise InputError(
            "Checkpoints of several processes need keras.distribution.DataParallel, under which each has all "
            f"variables. Received: {type(processes.distribution()).__name__}. Use keras.callbacks.OrbaxCheckpoint."
        )


def check_fitted(data: Any) -> None:
    """Raise InputError unless a position in `data` is one in what `fit` goes through."""
    fitted = keras_training.fitted_data()
    if fitted is None or not isinstance(data, keras.utils.PyDataset):
        return
    given, shuffled, steps = fitted
    if given is not data:
        raise InputError(f"`data` must be the same object that `fit` is given. Received: other data ({given!r}).")
    if shuffled:
        raise InputError("`fit` would permute the batches of `data`. Received: shuffle=True. Use shuffle=False.")
    if steps is not None:
        raise InputError(
            f"`fit` would begin epochs in the middle of `data`. Received: steps_per_epoch={steps}. Leave it out."
        )
