import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers.schedules import Scaled, StepDecay


def test_is_the_factor_times_the_schedule(rates):
    schedule = Scaled(keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 0.5), 3)
    np.testing.assert_allclose(rates(schedule, range(20)), [0.3 / (1 + 0.5 * step) for step in range(20)], rtol=1e-6)


def test_of_a_constant_and_by_nothing(rates):
    np.testing.assert_allclose(rates(Scaled(0.2, 0.5), [0, 9]), [0.1, 0.1], rtol=1e-6)
    np.testing.assert_array_equal(rates(Scaled(StepDecay(0.2, 0.5, 1), 0), [0, 9]), [0, 0])


def test_equals_torch(rates, torch_rates):
    # torch scales by giving the group k times the rate.
    theirs, _ = torch_rates(lambda torch, optimizer: torch.StepLR(optimizer, 4, 0.3), 30, 0.2 * 7)
    np.testing.assert_allclose(rates(Scaled(StepDecay(0.2, 0.3, 4), 7), range(30)), theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": -1}, "`schedule` must be a number >= 0. Received: schedule=-1"),
        ({"schedule": lambda step: 0.1}, "`schedule` must be a schedule"),
        ({"factor": -1}, "`factor` must be a number >= 0. Received: factor=-1"),
        ({"factor": StepDecay(0.1, 0.5, 1)}, "`factor` must be a number >= 0"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        Scaled(**{"schedule": 0.1, "factor": 0.5, **arguments})
