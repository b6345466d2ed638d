import math

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers.schedules import PerEpoch, StepDecay, Triangle, Warmup


def test_the_schedule_counts_epochs(rates):
    schedule = PerEpoch(keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 0.5), 7)
    np.testing.assert_allclose(rates(schedule, range(70)), [0.1 / (1 + 0.5 * (s // 7)) for s in range(70)], rtol=1e-6)


def test_without_staircase_it_counts_fractions_of_epochs(rates):
    schedule = PerEpoch(keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 0.5), 7, staircase=False)
    np.testing.assert_allclose(rates(schedule, range(70)), [0.1 / (1 + 0.5 * s / 7) for s in range(70)], rtol=1e-6)


def test_a_warmup_in_epochs_rises_at_every_step(rates):
    schedule = PerEpoch(Warmup(Triangle(1.0, 4, peak_fraction=0.0), 2), 5, staircase=False)
    epochs = np.arange(35) / 5
    expected = np.where(epochs < 2, epochs / 2, np.maximum(0, 1 - (epochs - 2) / 4))
    np.testing.assert_allclose(rates(schedule, range(35)), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("epochs", [1, 12])
def test_equals_torch_stepped_once_an_epoch(rates, torch_rates, epochs):
    cosine = keras.optimizers.schedules.CosineDecay(0.2, 12, alpha=0.1)
    theirs, _ = torch_rates(lambda torch, optimizer: torch.CosineAnnealingLR(optimizer, 12, 0.02), epochs, 0.2)
    np.testing.assert_allclose(rates(PerEpoch(cosine, 5), range(5 * epochs)), np.repeat(theirs, 5), rtol=1e-6)
    theirs, _ = torch_rates(lambda torch, optimizer: torch.StepLR(optimizer, 3, 0.5), epochs, 0.2)
    steps = range(5 * epochs)
    np.testing.assert_allclose(rates(PerEpoch(StepDecay(0.2, 0.5, 3), 5), steps), np.repeat(theirs, 5), rtol=1e-6)


def test_a_constant_stays(rates):
    np.testing.assert_allclose(rates(PerEpoch(0.1, 3), [0, 100]), [0.1, 0.1], rtol=1e-6)


@pytest.mark.backend
def test_epochs_begin_at_their_very_step_in_long_runs(rates):
    size = 2**25 + 1
    epochs = (2**31 - 2) // size
    schedule = PerEpoch(StepDecay(1.0, 0.5, 1), size)
    steps = [epochs * size - 1, epochs * size, epochs * size + 1]
    np.testing.assert_array_equal(rates(schedule, steps), [0.5 ** (epochs - 1), 0.5**epochs, 0.5**epochs])
    smooth = PerEpoch(keras.optimizers.schedules.InverseTimeDecay(1.0, 1, 1.0), size, staircase=False)
    middle = epochs * size - size // 2
    np.testing.assert_allclose(rates(smooth, [middle]), [1 / (1 + middle / size)], rtol=1e-6)
    assert math.isclose(middle / size, epochs - 0.5, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": {"class_name": "StepDecay"}}, "`schedule` must be a schedule"),
        ({"schedule": -1}, "`schedule` must be a number >= 0. Received: schedule=-1"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be a whole number >= 1. Received: steps_per_epoch=0"),
        ({"staircase": 1}, "`staircase` must be True or False. Received: staircase=1"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        PerEpoch(**{"schedule": 0.1, "steps_per_epoch": 10, **arguments})
