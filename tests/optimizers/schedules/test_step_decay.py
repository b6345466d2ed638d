import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers.schedules import PerEpoch, StepDecay


@pytest.mark.parametrize(("factor", "step_size"), [(0.5, 10), (0.1, 7), (0.999, 1), (1.01, 3)])
def test_a_whole_run_is_the_formula(rates, factor, step_size):
    steps = range(0, 1200, 1 if step_size > 1 else 7)
    expected = [0.3 * factor ** (step // step_size) for step in steps]
    # The largest powers of 0.1 are below float32's normal numbers, and have fewer digits.
    np.testing.assert_allclose(rates(StepDecay(0.3, factor, step_size), steps), expected, rtol=1e-6, atol=1e-37)


def test_the_course_text_000(rates):
    # 000: initial 0.1, factor 0.5, step size 10 epochs; its table, and the errata's last value.
    expected = [0.1] * 10 + [0.05] * 10 + [0.025] * 10 + [0.0125]
    np.testing.assert_allclose(rates(StepDecay(0.1, 0.5, 10), range(31)), expected, rtol=1e-6)
    epochs = PerEpoch(StepDecay(0.1, 0.5, 10), steps_per_epoch=4)
    np.testing.assert_allclose(rates(epochs, range(124)), np.repeat(expected, 4), rtol=1e-6)


def test_halving_every_few_epochs_of_text_003(rates):
    # 003: "decay learning rate by half every few epochs"; few = 3.
    np.testing.assert_allclose(rates(StepDecay(0.8, 0.5, 3), range(7)), [0.8] * 3 + [0.4] * 3 + [0.2], rtol=1e-6)


def test_equals_keras_staircase_where_float32_can(rates):
    theirs = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True)
    np.testing.assert_allclose(rates(StepDecay(0.1, 0.5, 10), range(60)), rates(theirs, range(60)), rtol=1e-6)


def test_equals_torch(rates, torch_rates):
    theirs, _ = torch_rates(lambda torch, optimizer: torch.StepLR(optimizer, 7, 0.3), 100, 0.2)
    np.testing.assert_allclose(rates(StepDecay(0.2, 0.3, 7), range(100)), theirs, rtol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("periods", [1, 3, 40])
def test_changes_at_its_very_step_in_long_runs(rates, periods):
    # Odd sizes beyond 2**24 are not float32 numbers; the last boundary is just below 2**31.
    step_size = (2**31 - 2) // periods
    boundary = step_size * periods
    expected = [0.5 ** (periods - 1), 0.5**periods, 0.5**periods]
    found = rates(StepDecay(1.0, 0.5, step_size), [boundary - 1, boundary, boundary + 1])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial_learning_rate": 0.0}, "`initial_learning_rate` must be a number > 0. Received: .*=0.0"),
        ({"initial_learning_rate": "0.1"}, "`initial_learning_rate` must be a number"),
        ({"factor": 0}, "`factor` must be a number > 0. Received: factor=0"),
        ({"factor": float("nan")}, "`factor` must be a number > 0"),
        ({"step_size": 0}, "`step_size` must be a whole number >= 1. Received: step_size=0"),
        ({"step_size": 2.5}, "`step_size` must be a whole number"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        StepDecay(**{"initial_learning_rate": 0.1, "factor": 0.5, "step_size": 10, **arguments})
