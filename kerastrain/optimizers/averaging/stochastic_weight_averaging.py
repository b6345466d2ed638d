"""The mean of iterates some way apart."""

from typing import Any

import keras

from kerastrain._core.checks import whole_number
from kerastrain._core.registry import PositiveInt
from kerastrain.optimizers.averaging.weight_averaging import WeightAveraging, nth


@keras.saving.register_keras_serializable(package="kerastrain")
class StochasticWeightAveraging(WeightAveraging):
    """The mean of the weights every `every_steps` updates: stochastic weight averaging (SWA).

    `average = 1/n * sum theta_t` over t = start_step + every_steps, start_step + 2 every_steps, ...

    For the end of a training, at a constant high rate or at the ends of a cyclical one (`every_steps` = the cycle):
    weights far apart on the rim of a flat region, whose mean lies inside it. `PolyakAveraging` averages every update.
    Until the first snapshot the average follows the weights. Keras has nothing of the kind; TensorFlow Addons' SWA
    takes its first snapshot after update `start_averaging + 1`: `start_step = start_averaging + 1 - average_period`.

    Args:
        start_step: updates that are left out at the start; a whole number, negative (above `-every_steps`) for a first
            snapshot before `every_steps` updates.
        every_steps: updates between two snapshots, a whole number >= 1.

    State: an average for each trainable variable, of its shape.

    Raises:
        InputError: an argument is out of its range.

    Example:

    >>> StochasticWeightAveraging(start_step=15_000, every_steps=200).get_config()
    {'start_step': 15000, 'every_steps': 200}

    Reference: Izmailov, Podoprikhin, Garipov, Vetrov and Wilson, 2018, Averaging weights leads to wider optima and
    better generalization, arXiv:1803.05407, algorithm 1.
    """

    def __init__(self, start_step: int, every_steps: PositiveInt) -> None:
        super().__init__()
        self.every_steps = whole_number("every_steps", every_steps)
        self.start_step = whole_number("start_step", start_step, minimum=1 - self.every_steps)

    def first_update(self) -> int:
        return self.start_step + self.every_steps

    def due(self, update: Any) -> Any:
        since = update - self.start_step
        snapshot = keras.ops.logical_and(since > 0, keras.ops.equal(since % self.every_steps, 0))
        return keras.ops.logical_or(snapshot, since < self.every_steps)

    def decay_at(self, update: Any) -> Any:
        count = nth(update, self.start_step, self.every_steps)
        return (count - 1) / count

    def get_config(self) -> dict[str, Any]:
        return {"start_step": self.start_step, "every_steps": self.every_steps}
