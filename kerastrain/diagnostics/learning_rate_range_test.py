"""Which learning rates a training bears, before it begins."""

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from kerastrain._core import keras_optimizer, keras_training, random_state
from kerastrain._core.checks import number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.training_state import copied, optimizer_of, put_back, training_variables
from kerastrain.diagnostics.learning_rate_range import LearningRateRange


class _Rising(keras.optimizers.schedules.LearningRateSchedule):
    """From the first rate to the last by equal factors, from one count of updates on."""

    def __init__(self, first: float, last: float, steps: int, start: int) -> None:
        super().__init__()
        self.first, self.last, self.steps, self.start = first, last, steps, start

    def __call__(self, step: Any) -> Any:
        done = keras.ops.cast(step - self.start, "float32") / (self.steps - 1)
        return self.first * keras.ops.exp(keras.ops.minimum(done, 1.0) * math.log(self.last / self.first))


def learning_rate_range_test(
    model: keras.Model,
    data: Any,
    min_learning_rate: float = 1e-7,
    max_learning_rate: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.9,
    stop_factor: float = 4.0,
    batch_size: int = 32,
) -> LearningRateRange:
    """Train for some steps at a rising learning rate, see where the loss falls and where it explodes, and undo it all.

        rate(i) = min_learning_rate * (max_learning_rate / min_learning_rate)^(i / (steps - 1))
        mean_i = smoothing * mean_{i-1} + (1 - smoothing) * loss_i,     smoothed_i = mean_i / (1 - smoothing^(i+1))

    It ends early once `smoothed_i > stop_factor * min(smoothed_0 .. smoothed_i)`, or the loss is not finite. Suggested
    are the rate of the steepest fall of the smoothed loss over log(rate), no later than its minimum and not among the
    first `1 / (1 - smoothing)` steps, where few losses are in the mean; and a tenth of the rate at that minimum: the
    smaller one as `suggested_minimum`, the larger as `suggested_maximum`; None where the mean does not fall by more
    than the batches make it waver. The range is that of a cycle; a rate that decays may begin with the larger.
    The mean lags behind by about as many steps, and small batches are noisy, so look at the curve as well:
    `kerastrain.plots.learning_rate_range(result)`.

    The compiled optimizer is used as it is, with all that is in it but the learning rate: a schedule is put aside, and
    a plateau's multiplier. Afterwards weights, statistics, the optimizer's state, seeds and the generators of the
    process are as before, to the last bit, also after an exception. Keras has nothing of the kind (keras#8891).

    Args:
        model: a compiled and built model, trained or not.
        data: training data: `(x, y)` or `(x, y, sample_weight)` of arrays, a `keras.utils.PyDataset` such as
            `kerastrain.datasets.Batches`, or an iterable of such batches. It is gone through again when it ends.
        min_learning_rate: of the first update, a number > 0.
        max_learning_rate: of the last update, a number above that.
        steps: updates, a whole number >= 2; of `gradient_accumulation_steps` batches each in a `ComposedOptimizer`.
        smoothing: of the loss, a number in [0, 1); 0 for none.
        stop_factor: a number > 1.
        batch_size: where `data` are arrays, which are shuffled by a fixed seed.

    Returns:
        A `LearningRateRange`.

    Raises:
        InputError: an argument out of range, a model that is not compiled or not built, an optimizer without one
            learning rate, no data.

    Example:

    >>> import keras, numpy as np
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    >>> found = learning_rate_range_test(model, (x, x.sum(axis=1)))
    >>> found.stopped, 1e-3 < found.suggested_minimum < found.suggested_maximum < 1.0
    ('the loss has risen', True)

    Reference: Smith, 2017, Cyclical learning rates for training neural networks, arXiv:1506.01186, section 3.3 (a rate
    that rises linearly; here by equal factors); the smoothing and the factor 4: Gugger, 2018, How do you find a good
    learning rate, and fastai, where the smoothing is 0.98.
    """
    check_options(min_learning_rate, max_learning_rate, steps, smoothing, stop_factor)
    whole_number("batch_size", batch_size)
    _check(model)
    with _undone(model) as optimizer:
        start = _updates(optimizer)
        # More batches than are needed: a step that a loss scale skips counts as none.
        limit = 2 * steps * (optimizer.get_config().get("gradient_accumulation_steps") or 1)
        batches = itertools.islice(_batches(data, batch_size), limit)
        rising = _Rising(min_learning_rate, max_learning_rate, steps, start)
        with keras_optimizer.learning_rate_from(optimizer, rising), keras_training.fresh_train_function(model):
            return _tested(model, optimizer, batches, start, steps, smoothing, stop_factor)


def check_options(
    min_learning_rate: Any = 1e-7,
    max_learning_rate: Any = 10.0,
    steps: Any = 100,
    smoothing: Any = 0.9,
    stop_factor: Any = 4.0,
) -> None:
    """Raise the InputError that the test would, before there is a model or data."""
    number("min_learning_rate", min_learning_rate, above=0)
    number("max_learning_rate", max_learning_rate, above=min_learning_rate)
    whole_number("steps", steps, minimum=2)
    number("smoothing", smoothing, minimum=0, below=1)
    number("stop_factor", stop_factor, above=1)


def _tested(
    model: keras.Model, optimizer: Any, batches: Iterator[Any], start: int, steps: int, smoothing: float, factor: float
) -> LearningRateRange:
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    stopped, mean = "no more data", 0.0
    gathered: list[float] = []  # Of an update's batches.
    done = 0
    for batch in batches:
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        gathered.append(float(model.train_on_batch(x, y, sample_weight=weight, return_dict=True)["loss"]))
        if not math.isfinite(gathered[-1]):
            stopped = "the loss is not finite"
            break
        if _updates(optimizer) - start == done:
            continue
        done = _updates(optimizer) - start
        rates.append(rate)
        losses.append(math.fsum(gathered) / len(gathered))
        gathered = []
        mean = smoothing * mean + (1 - smoothing) * losses[-1]
        smoothed.append(mean / (1 - smoothing ** len(losses)))
        if smoothed[-1] > factor * min(smoothed):
            stopped = "the loss has risen"
            break
        if done >= steps:
            stopped = "all steps"
            break
    return LearningRateRange(rates, losses, smoothed, *suggested(rates, losses, smoothed, smoothing), stopped)


# A fall is one if it is so many standard deviations of the smoothed loss's noise: of a loss that only wavers, the
# lowest of a hundred steps is about three below the first.
_NOISE = 6


def suggested(
    rates: list[float], losses: list[float], smoothed: list[float], smoothing: float
) -> tuple[float | None, float | None]:
    """The suggested minimum and maximum, as `LearningRateRange` has them."""
    first = math.ceil(1 / (1 - smoothing) - 1e-9)
    lowest = int(np.argmin(smoothed)) if smoothed else 0
    if lowest < first:
        return None, None
    # From step to step the loss itself hardly moves, so that the differences are the batches'.
    of_a_step = float(np.std(np.diff(losses[: lowest + 1]))) / math.sqrt(2)
    noise = of_a_step * math.sqrt((1 - smoothing) / (1 + smoothing))
    if max(smoothed[first : lowest + 1]) - smoothed[lowest] < _NOISE * noise:
        return None, None
    slopes = np.gradient(smoothed, np.log(rates))[first : lowest + 1]
    found = sorted([rates[first + int(np.argmin(slopes))], rates[lowest] / 10])
    return found[0], found[1]


def _check(model: Any) -> None:
    if not isinstance(model, keras.Model) or not model.compiled:
        raise InputError(f"`model` must be a compiled keras.Model. Received: {model!r}.")
    if not model.built:
        raise InputError(f"`model` must be built: give it a keras.Input, or call it on a batch. Received: {model!r}.")
    if hasattr(optimizer_of(model), "optimizers"):
        raise InputError(
            f"{type(optimizer_of(model)).__name__} has no one learning rate. Compile with one ComposedOptimizer with "
            "`groups` in its place."
        )


def _updates(optimizer: Any) -> int:
    return int(keras.ops.convert_to_numpy(keras_optimizer.counter(optimizer)))


@contextlib.contextmanager
def _undone(model: keras.Model) -> Iterator[Any]:
    """The model's optimizer; whatever happens to the training's state within it has not happened afterwards."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables, metrics = training_variables(model), list(model.metrics_variables)
    values, seen, generators = copied(variables), copied(metrics), random_state.captured()
    optimizer = optimizer_of(model)
    try:
        if hasattr(optimizer, "plateau_multiplier"):
            optimizer.plateau_multiplier.assign(1.0)
        yield optimizer
    finally:
        model.reset_metrics()
        put_back(variables, values)
        put_back(metrics, seen)
        random_state.restore(generators)


def _batches(data: Any, batch_size: int) -> Iterator[Any]:
    """The batches of the data, again and again; an end of what can be read one time only is the end."""
    for epoch in itertools.count():
        found = False
        for batch in _epoch(data, batch_size, epoch):
            found = True
            yield keras.tree.map_structure(np.asarray, batch)
        if not found and epoch == 0:
            raise InputError(f"`data` must have at least one batch. Received: {data!r}.")
        if not found:
            return


def _epoch(data: Any, batch_size: int, epoch: int) -> Iterator[Any]:
    if isinstance(data, keras.utils.PyDataset):
        count = data.num_batches
        yield from (data[index] for index in (itertools.count() if count is None else range(count)))
    elif isinstance(data, tuple) and 2 <= len(data) <= 3:
        sizes = {len(array) for array in keras.tree.flatten(data) if array is not None}
        if len(sizes) != 1:
            raise InputError(f"`data` must have as many samples in each array. Received: {sorted(sizes)}.")
        order = np.random.default_rng([0, epoch]).permutation(sizes.pop())
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield keras.tree.map_structure(
                lambda array, chosen=chosen: None if array is None else np.asarray(array)[chosen], data
            )
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes | dict) and not hasattr(data, "shape"):
        yield from data
    else:
        raise InputError(
            f"`data` must be (x, y), a PyDataset or an iterable of such batches. Received: {type(data).__name__}."
        )
