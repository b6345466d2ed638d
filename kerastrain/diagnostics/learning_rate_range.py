"""What a learning-rate range test finds."""

from typing import NamedTuple


class LearningRateRange(NamedTuple):
    """The losses of a training whose learning rate rises from update to update.

    rates: the learning rate of each update.
    losses: the loss of its batch, before the update.
    smoothed_losses: their exponentially weighted mean, from which the suggestions are taken.
    suggested_minimum, suggested_maximum: of the rate at which the smoothed loss falls most steeply (over the logarithm
        of the rate) and a tenth of the rate at which it is lowest, the smaller and the larger; None where it does not
        fall behind its first steps by more than the batches make it waver.
    stopped: why the test ended: `all steps`, `the loss has risen`, `the loss is not finite` or `no more data`.
    """

    rates: list[float]
    losses: list[float]
    smoothed_losses: list[float]
    suggested_minimum: float | None
    suggested_maximum: float | None
    stopped: str
