"""What layers that learn their numbers from data have in common."""

import itertools
from typing import Any, Self

import keras
import numpy as np

from kerastrain._core.checks import whole_number
from kerastrain._core.concrete import concrete_value, shapes_only
from kerastrain._core.errors import InputError
from kerastrain._core.input_batches import input_batches


class Statistic(keras.Variable):
    """A float32 weight that data set, not training; NaN until it is assigned to."""

    def __init__(self, shape: tuple[int, ...], name: str) -> None:
        super().__init__(
            keras.initializers.Constant(float("nan")),
            shape,
            dtype="float32",
            trainable=False,
            autocast=False,
            name=name,
        )
        self.assigned = False

    def assign(self, value: Any) -> Any:
        self.assigned = True
        return super().assign(value)

    def known(self) -> bool:
        """Whether it is a number. Where its value cannot be seen, an assignment is believed to have made it one."""
        value = concrete_value(self)
        return self.assigned if value is None else not np.isnan(value).any()


class AdaptedLayer(keras.layers.Layer):
    """Base of layers whose weights are statistics of data: `adapt` sets them, training does not.

    Keras's `Normalization` and its kin are made so. Statistics are gathered batch by batch in float64 NumPy, so that
    the data may be larger than memory, and kept in float32 weights, saved with the model. Inputs of any dtype are
    taken to float32 first, for half precision and whole numbers hold neither the statistics nor the differences.

    A subclass defines `start`, `update(batch)` and `finish()`, which returns the value of each weight, makes the
    weights in `build` by `add_statistic`, and overrides `transformed`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.autocast = False
        self._statistics: list[Statistic] = []
        self._known = False

    def start(self) -> None:
        """Forget everything; data will come. The layer is built."""
        raise NotImplementedError

    def update(self, batch: np.ndarray) -> None:
        """See one more batch, float64, `(samples, ...)`."""
        raise NotImplementedError

    def finish(self) -> list[np.ndarray]:
        """The values of the statistics, in the order of `add_statistic`."""
        raise NotImplementedError

    def transformed(self, inputs: Any) -> Any:
        """The layer's output for `inputs` of float32 or wider."""
        raise NotImplementedError

    def add_statistic(self, name: str, shape: tuple[int, ...]) -> Statistic:
        """A weight that `adapt` sets; NaN until then."""
        statistic = Statistic(shape, name)
        self._statistics.append(statistic)
        return statistic

    def adapt(self, data: Any, batch_size: int = 1024, steps: int | None = None) -> Self:
        """Learn the statistics of `data`, and forget those of before.

        Args:
            data: an array `(samples, ...)`, a `keras.utils.PyDataset`, or an iterable of batches (a `tf.data.Dataset`,
                a generator); of a batch that is a tuple or a list the first part is taken.
            batch_size: samples at a time, where `data` is an array.
            steps: how many batches, a whole number >= 1; None for all there are.

        Returns:
            The layer.

        Raises:
            InputError: there is no sample, a number is not finite, or a shape is not that of the other batches and of
                the model that the layer is in.
        """
        batch_size = whole_number("batch_size", batch_size)
        if steps is not None:
            whole_number("steps", steps)
        shape: tuple[int, ...] | None = None
        samples = 0
        for given in itertools.islice(input_batches(data, batch_size), steps):
            batch = self._numbers(given)
            if shape is None:
                shape = batch.shape[1:]
                if not self.built:
                    self.build((None, *shape))
                self._check(shape)
                self.start()
            elif batch.shape[1:] != shape:
                raise InputError(f"Every batch must have the shape {shape} of the first. Received: {batch.shape[1:]}.")
            if len(batch):
                samples += len(batch)
                self.update(batch)
        if samples == 0:
            raise InputError("`data` must have at least one sample. Received: none.")
        for variable, value in zip(self._statistics, self.finish(), strict=True):
            variable.assign(np.asarray(value, dtype=np.float32))
        self._known = True
        return self

    def _numbers(self, given: Any) -> np.ndarray:
        if isinstance(given, dict):
            raise InputError(
                f"{type(self).__name__} is for one input. Received: a dictionary of {', '.join(map(str, given))}. "
                "Give each input its own layer, adapted to its own array."
            )
        batch = np.asarray(keras.ops.convert_to_numpy(given), dtype=np.float64)
        if batch.ndim < 2:
            raise InputError(f"`data` must be samples (samples, ..., features). Received: shape {batch.shape}.")
        if not np.isfinite(batch).all():
            raise InputError("`data` must be finite numbers. Received: NaN or infinity among them.")
        return batch

    def _check(self, shape: tuple[int, ...]) -> None:
        spec = self.input_spec
        if len(shape) + 1 != spec.ndim or any(shape[axis - 1] != size for axis, size in spec.axes.items()):
            needed = tuple(spec.axes.get(axis) for axis in range(1, spec.ndim))
            raise InputError(
                f"`data` must have the shape {needed} that `{self.name}` was built for. Received: {shape}."
            )

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = super().__call__(inputs, *args, **kwargs)
        # A model may be made of the layer before it is adapted, as it is when one is loaded: numbers must not come.
        if not self._known and not isinstance(inputs, keras.KerasTensor) and not shapes_only():
            if not all(statistic.known() for statistic in self._statistics):
                raise InputError(f"{type(self).__name__} `{self.name}` must be adapted to data first: call `adapt(x)`.")
            self._known = True
        return outputs

    def call(self, inputs: Any) -> Any:
        wide = keras.ops.cast(inputs, keras.backend.result_type(inputs.dtype, self.compute_dtype, "float32"))
        return keras.ops.cast(self.transformed(wide), self.compute_dtype)
