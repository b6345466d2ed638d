"""What is used of Keras's `fit` beyond its public API; a test fails when Keras changes it."""

import contextlib
import importlib
import inspect
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from kerastrain._core import replicas


def callback_list_of(callback: keras.callbacks.Callback) -> keras.callbacks.CallbackList | None:
    """The list that is calling `callback` just now; None where it is called by hand.

    Keras gives a callback its model and no way to the callbacks beside it, so the list is looked for among those who
    call.
    """
    frame = sys._getframe(1)
    while frame is not None:
        caller = _local_variables(frame, ("self",)).get("self")
        if isinstance(caller, keras.callbacks.CallbackList) and callback in caller.callbacks:
            return caller
        frame = frame.f_back  # type: ignore[assignment]
    return None


def shortened_epoch(steps: int) -> Callable[[], None]:
    """Let the epoch that `fit` is beginning have `steps` steps; returned is what gives the next one its own number.

    Called by a callback's `on_epoch_begin`. Data that just end earlier would not do: TensorFlow then begins a step too
    many, and what in it needs no data, counters and seeds, has moved when it fails.

    Args:
        steps: batches of the epoch, at least 1.
    """
    iterator = _epoch_iterator()
    if iterator is None:
        raise RuntimeError("This Keras has no `epoch_iterator` in `fit`; kerastrain knows Keras 3.15.")
    before = iterator._num_batches
    iterator._num_batches = steps

    def undo() -> None:
        iterator._num_batches = before

    return undo


def fitted_data() -> tuple[Any, bool, int | None] | None:
    """Of the running `fit`: the PyDataset that it goes through, if it is one, whether it permutes the batches, and its
    `steps_per_epoch`. None where no `fit` is running."""
    iterator = _epoch_iterator()
    if iterator is None:
        return None
    adapter = iterator.data_adapter
    return getattr(adapter, "py_dataset", None), bool(getattr(adapter, "shuffle", False)), iterator.steps_per_epoch


def epoch_of_fit() -> tuple[int, bool] | None:
    """The epoch that the running `fit` is in, and whether it has begun, else it is the first.

    None where no `fit` goes through the data, such as in `evaluate`. Called by a PyDataset's `on_epoch_begin` and
    `on_epoch_end`, which Keras tells no number, and calls for the look at the first batch by which it builds a model
    as well.
    """
    names = _names_in_fit()
    if names is None or "initial_epoch" not in names:
        return None
    return int(names.get("epoch", names["initial_epoch"])), "epoch" in names


def validation_of_fit() -> dict[str, Any] | None:
    """The running `fit`'s data of the validation, and how it goes through them; None where there is none."""
    names = _names_in_fit()
    if names is None or names.get("validation_data") is None:
        return None
    return {
        "data": names["validation_data"],
        "batch_size": names["validation_batch_size"],
        "steps": names["validation_steps"],
        "every_epochs": names["validation_freq"],
    }


def without_autotuning() -> None:
    """Let TensorFlow leave the pipeline as it is that the running `fit` has made of a PyDataset.

    An iterator that is tuned is not gone before the thread that tunes it wakes up, which does so less and less often:
    between two epochs `fit` then stands still, for up to nine seconds where epochs take six. There is nothing to
    tune: the batches are made one by one. Called by a PyDataset's `on_epoch_end`, in front of the first epoch.
    """
    dataset: Any = getattr(_epoch_iterator(), "_distributed_dataset", None)
    if hasattr(dataset, "with_options"):  # Else it is on another backend, or shared out among replicas.
        options = importlib.import_module("tensorflow").data.Options()
        options.autotune.enabled = False
        _epoch_iterator()._distributed_dataset = dataset.with_options(options)


def is_described() -> bool:
    """Whether Keras looks at a PyDataset's batches just now only for their shapes, which TensorFlow wants to know."""
    frame = sys._getframe(1)
    while frame is not None and not _describes(frame.f_code):
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None


def _describes(code: types.CodeType) -> bool:
    return code.co_name == "get_tf_dataset" and "num_batches" in code.co_varnames


def replicas_of_fit() -> int:
    """Among how many replicas the running `fit` divides a batch: those of the `tf.distribute` strategy under which its
    model was made; 1 where there is none."""
    strategy = getattr((_names_in_fit() or {}).get("self"), "distribute_strategy", None)
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def forget_what_was_read_ahead() -> None:
    """Drop the batches that workers have read beyond the end of an epoch, or behind a first look at the data: Keras
    would give them to the next epoch. Called by a PyDataset's `on_epoch_end`, when the workers have stopped."""
    iterator = _epoch_iterator()
    enqueuer = None if iterator is None else getattr(iterator.data_adapter, "enqueuer", None)
    while enqueuer is not None and not enqueuer.ready_queue.empty():
        enqueuer.ready_queue.get()


def _epoch_iterator() -> Any:
    names = _names_in_fit()
    return None if names is None else names["epoch_iterator"]


# What is read of `fit`, `evaluate` and `predict`.
_NAMES = (
    *("self", "epoch_iterator", "epoch", "initial_epoch"),
    *("validation_data", "validation_batch_size", "validation_steps", "validation_freq"),
)


def _names_in_fit() -> Mapping[str, Any] | None:
    """The local variables `_NAMES` of the `fit`, `evaluate` or `predict` that is going on."""
    frame = sys._getframe(1)
    while frame is not None:
        found = _local_variables(frame, _NAMES) if "epoch_iterator" in frame.f_code.co_varnames else {}
        if "epoch_iterator" in found:
            return found
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _local_variables(frame: types.FrameType, names: Sequence[str]) -> dict[str, Any]:
    """Those of the local variables `names` of a running function that have a value."""
    everything = frame.f_locals
    found = {name: everything[name] for name in names if name in everything}
    # Before Python 3.13 the frame keeps this dict, and with it what its function has let go since: in `fit` the
    # iterator of the epoch before. That of a module is no copy.
    if isinstance(everything, dict) and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        everything.clear()
    return found


def start_at_epoch(model: keras.Model, epoch: int | None) -> None:
    """Let the running `fit` begin at `epoch`, as Keras's BackupAndRestore does; None for what its caller asked for."""
    model._initial_epoch = epoch


def synced(model: keras.Model) -> None:
    """Bring the state of a step under way back into the model's variables; only on JAX it is elsewhere."""
    sync = getattr(model, "jax_state_sync", None)
    if sync is not None:
        sync()


@contextlib.contextmanager
def fresh_train_function(model: keras.Model) -> Iterator[None]:
    """Within it the training step is compiled anew, of one batch; behind it the one of before is there again."""
    before = model.train_function, model.steps_per_execution
    model.train_function, model.steps_per_execution = None, 1
    try:
        yield
    finally:
        model.train_function, model.steps_per_execution = before


def value_within_step(model: keras.Model, variable: keras.Variable) -> np.ndarray:
    """The value of one variable of a model in training, between two steps.

    On JAX it may be in the state under way; to bring all of that back, as `synced` does, would cost every step.
    """
    state = getattr(model, "_jax_state", None)
    if state and not model._jax_state_synced:
        places = {
            "metrics_variables": model.metrics_variables,
            "optimizer_variables": model.optimizer.variables,
            "trainable_variables": model.trainable_variables,
            "non_trainable_variables": model.non_trainable_variables,
        }
        for name, variables in places.items():
            for own, value in zip(variables, state[name] or (), strict=False):
                if own is variable:
                    return np.array(value)
    return np.array(keras.ops.convert_to_numpy(variable))


def build_optimizer(model: keras.Model) -> None:
    """Make the state of the model's optimizer now, one time; a `fit` would in its first step."""
    if not model.optimizer.built:
        with replicas.scope_of(model):
            model.optimizer.build(model.trainable_variables)


def loss_tracker(model: keras.Model) -> Any:
    """The metric that is logged as `loss`, with its sum in `total` and the weights of it in `count`; None where the
    model has none."""
    found = model.metrics[0] if model.metrics else None
    return found if found is not None and found.name == "loss" and hasattr(found, "total") else None


def built_metrics(model: keras.Model, batch: Any) -> list[keras.Variable]:
    """The variables of the compiled metrics; on TensorFlow they are made when the first batch is seen, and here before.

    Args:
        model: compiled.
        batch: what a data set gives for one: `(x, y)` or `(x, y, sample_weight)`.
    """
    with replicas.scope_of(model):
        model._symbolic_build(data_batch=tree.map_structure(keras.ops.convert_to_tensor, batch))
    variables: list[keras.Variable] = model.metrics_variables
    return variables
