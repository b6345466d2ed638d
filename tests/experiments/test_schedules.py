"""Schedules as a recipe asks for them, in epochs, against the formulas in steps."""

import math

import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.experiments import SCHEDULES

STEPS, EPOCHS = 7, 40


def rates(section, places, steps=STEPS, epochs=EPOCHS):
    schedule = SCHEDULES.create(section, steps=steps, epochs=epochs)
    return np.array([float(schedule(place)) for place in places])


def test_step_decay_is_the_courses_example():
    section = {"type": "step_decay", "initial": 0.1, "factor": 0.5, "every_epochs": 10}
    found = rates(section, [epoch * STEPS for epoch in (0, 10, 20, 30)])
    np.testing.assert_allclose(found, [0.1, 0.05, 0.025, 0.0125], rtol=1e-6)
    # The last step before a decay still has the old rate.
    np.testing.assert_allclose(rates(section, [10 * STEPS - 1, 20 * STEPS - 1]), [0.1, 0.05], rtol=1e-6)


def test_step_decay_over_all_steps():
    places = np.arange(EPOCHS * STEPS)
    section = {"type": "step_decay", "initial": 0.3, "factor": 0.2, "every_epochs": 3}
    expected = 0.3 * 0.2 ** np.floor(places // STEPS / 3)
    np.testing.assert_allclose(rates(section, places), expected, rtol=1e-5)


def test_exponential_decay():
    places = np.arange(0, EPOCHS * STEPS, 11)
    expected = 0.2 * np.exp(-0.15 * places / STEPS)
    np.testing.assert_allclose(
        rates({"type": "exponential_decay", "initial": 0.2, "rate": 0.15}, places), expected, 1e-5
    )


def test_inverse_time_decay():
    places = np.arange(0, EPOCHS * STEPS, 11)
    expected = 0.2 / (1 + 0.5 * places / STEPS)
    np.testing.assert_allclose(
        rates({"type": "inverse_time_decay", "initial": 0.2, "rate": 0.5}, places), expected, 1e-5
    )


@pytest.mark.parametrize("decay_epochs", [None, 10])
def test_polynomial_decay(decay_epochs):
    section = {"type": "polynomial_decay", "initial": 0.2, "end": 0.02, "power": 2.0, "decay_epochs": decay_epochs}
    places = np.arange(0, EPOCHS * STEPS, 11)
    share = np.minimum(places / ((decay_epochs or EPOCHS) * STEPS), 1)
    np.testing.assert_allclose(rates(section, places), 0.18 * (1 - share) ** 2 + 0.02, rtol=1e-5)


def test_cosine_decay_to_zero_over_the_run():
    places = np.arange(0, EPOCHS * STEPS + 1, 10)
    expected = 0.2 * 0.5 * (1 + np.cos(np.pi * places / (EPOCHS * STEPS)))
    np.testing.assert_allclose(rates({"type": "cosine_decay", "initial": 0.2}, places), expected, rtol=1e-5, atol=1e-8)


def test_cosine_decay_with_warmup_and_a_floor():
    section = {"type": "cosine_decay", "initial": 0.2, "warmup_epochs": 2, "end_fraction": 0.1, "decay_epochs": 12}
    warmup, total = 2 * STEPS, 12 * STEPS
    places = np.arange(0, total + 20)
    after = np.clip((places - warmup) / (total - warmup), 0, 1)
    cosine = 0.2 * (0.9 * 0.5 * (1 + np.cos(np.pi * after)) + 0.1)
    expected = np.where(places < warmup, 0.2 * places / warmup, cosine)
    np.testing.assert_allclose(rates(section, places), expected, rtol=1e-5, atol=1e-8)


def test_half_an_epoch_of_warmup_is_half_the_steps():
    section = {"type": "cosine_decay", "initial": 0.2, "warmup_epochs": 0.5}
    np.testing.assert_allclose(rates(section, [5, 10], steps=20), [0.1, 0.2], rtol=1e-6)


def test_a_warmup_of_a_part_of_the_run_lasts_so_many_of_its_steps():
    section = {"type": "warmup", "schedule": 0.2, "warmup_fraction": 0.25}
    warmup = EPOCHS * STEPS / 4
    np.testing.assert_allclose(rates(section, [warmup / 2, warmup, 2 * warmup]), [0.1, 0.2, 0.2], rtol=1e-6)


def test_cosine_restarts_at_the_first_step_of_an_epoch():
    section = {"type": "cosine_decay_restarts", "initial": 0.2, "first_decay_epochs": 4, "peak_factor": 0.5}
    # Periods of 4 and 8 epochs: starts at 0, 4 and 12, each at half the height of the one before.
    np.testing.assert_allclose(rates(section, [0, 4 * STEPS, 12 * STEPS]), [0.2, 0.1, 0.05], rtol=1e-5)
    np.testing.assert_allclose(rates(section, [2 * STEPS, 8 * STEPS]), [0.1, 0.05], rtol=1e-5)


def test_piecewise_constants_switch_at_the_first_step_of_the_epoch():
    section = {"type": "piecewise_constant_decay", "boundary_epochs": [2, 5], "values": [0.1, 0.03, 0.007]}
    places = np.arange(8 * STEPS)
    expected = np.select([places < 2 * STEPS, places < 5 * STEPS], [0.1, 0.03], 0.007)
    np.testing.assert_allclose(rates(section, places), expected, rtol=1e-6)


def test_one_step_an_epoch():
    section = {"type": "piecewise_constant_decay", "boundary_epochs": [1], "values": [0.1, 0.01]}
    np.testing.assert_allclose(rates(section, [0, 1, 2], steps=1), [0.1, 0.01, 0.01], rtol=1e-6)
    section = {"type": "step_decay", "initial": 1.0, "factor": 0.5, "every_epochs": 2}
    np.testing.assert_allclose(rates(section, range(5), steps=1), [1, 1, 0.5, 0.5, 0.25], rtol=1e-6)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"type": "cosine_decay", "initial": 0.1, "warmup_epochs": EPOCHS}, "`warmup_epochs` must be fewer"),
        ({"type": "warmup", "schedule": 0.1}, "Exactly one of `warmup_epochs` and `warmup_fraction`"),
        (
            {"type": "warmup", "schedule": 0.1, "warmup_epochs": 1, "warmup_fraction": 0.1},
            "Received: warmup_epochs=1.0, warmup_fraction=0.1",
        ),
        ({"type": "piecewise_constant_decay", "boundary_epochs": [2, 2], "values": [1, 2, 3]}, "must rise"),
        ({"type": "piecewise_constant_decay", "boundary_epochs": [3, 2], "values": [1, 2, 3]}, "must rise"),
        ({"type": "piecewise_constant_decay", "boundary_epochs": [1, 2], "values": [1, 2]}, "one value more"),
        (
            {"type": "step_decay", "initial": -0.1, "factor": 0.5, "every_epochs": 10},
            "`initial`: expected a number > 0",
        ),
        ({"type": "step_decay", "initial": math.inf, "factor": 0.5, "every_epochs": 1}, "`initial`: expected a finite"),
        (
            {"type": "step_decay", "initial": 0.1, "factor": 0.5, "every_epochs": 0},
            "`every_epochs`: expected a number >= 1",
        ),
        ({"type": "cosine_decay", "initial": 0.1, "end_fraction": 1.5}, "`end_fraction`: expected a number <= 1"),
    ],
)
def test_what_makes_no_schedule_is_refused(section, message):
    with pytest.raises(InputError) as caught:
        SCHEDULES.create(section, steps=STEPS, epochs=EPOCHS)
    assert message in str(caught.value)
