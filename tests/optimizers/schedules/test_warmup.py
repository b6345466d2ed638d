import math

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers.schedules import StepDecay, Warmup


def ramp(shape, start, fraction):
    return {
        "linear": start + (1 - start) * fraction,
        "cosine": start + (1 - start) * (1 - math.cos(math.pi * fraction)) / 2,
        "cubic": start + (1 - start) * fraction**3,
        "exponential": start ** (1 - fraction),
    }[shape]


@pytest.mark.parametrize("warmup_steps", [1, 7, 50])
@pytest.mark.parametrize(
    ("shape", "start"),
    [("linear", 0.0), ("linear", 0.1), ("cosine", 0.0), ("cosine", 0.3), ("cubic", 0.2), ("exponential", 0.01)],
)
def test_a_whole_run_is_the_formula(rates, shape, start, warmup_steps):
    schedule = Warmup(StepDecay(0.4, 0.5, 10), warmup_steps, shape, start)
    expected = [
        0.4 * ramp(shape, start, step / warmup_steps)
        if step < warmup_steps
        else 0.4 * 0.5 ** ((step - warmup_steps) // 10)
        for step in range(120)
    ]
    np.testing.assert_allclose(rates(schedule, range(120)), expected, rtol=1e-6)


def test_the_schedule_begins_when_the_warmup_ends(rates):
    inner = keras.optimizers.schedules.CosineDecay(0.1, 30)
    found = rates(Warmup(inner, 10), range(45))
    np.testing.assert_allclose(found[:10], 0.1 * np.arange(10) / 10, rtol=1e-6)
    np.testing.assert_array_equal(found[10:], rates(inner, range(35)))


def test_no_warmup_is_the_schedule_itself(rates):
    inner = keras.optimizers.schedules.CosineDecay(0.1, 30)
    np.testing.assert_array_equal(rates(Warmup(inner, 0, start_fraction=0.5), range(35)), rates(inner, range(35)))


def test_before_the_warmup_ends_the_schedule_is_not_asked_for_negative_steps():
    # A negative count gives InverseTimeDecay a division by 0 here.
    inner = keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 0.5)
    assert float(Warmup(inner, 3)(1)) == pytest.approx(0.1 / 3, rel=1e-6)


def test_equals_optax(rates):
    optax = pytest.importorskip("optax")
    decay = optax.exponential_decay(0.4, transition_steps=10, decay_rate=0.5, staircase=True)
    theirs = optax.join_schedules([optax.linear_schedule(0.04, 0.4, 20), decay], [20])
    ours = Warmup(StepDecay(0.4, 0.5, 10), 20, "linear", 0.1)
    np.testing.assert_allclose(rates(ours, range(80)), [float(theirs(step)) for step in range(80)], rtol=1e-6)


def test_equals_torch(rates, torch_rates):
    def theirs(torch, optimizer):
        warm = torch.LinearLR(optimizer, start_factor=0.1, total_iters=20)
        return torch.SequentialLR(optimizer, [warm, torch.StepLR(optimizer, 10, 0.5)], [20])

    ours = Warmup(StepDecay(0.4, 0.5, 10), 20, "linear", 0.1)
    np.testing.assert_allclose(rates(ours, range(80)), torch_rates(theirs, 80, 0.4)[0], rtol=1e-6)


@pytest.mark.backend
def test_ends_at_its_very_step_in_long_runs(rates):
    end = 2**31 - 3  # Not a float32 number.
    schedule = Warmup(StepDecay(1.0, 0.5, 1), end, start_fraction=0.5)
    np.testing.assert_allclose(rates(schedule, [0, end - 1, end, end + 1, end + 2]), [0.5, 1, 1, 0.5, 0.25], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": -0.1}, "`schedule` must be a number >= 0. Received: schedule=-0.1. Or pass a schedule"),
        ({"schedule": "cosine"}, "`schedule` must be a schedule .*Received: schedule='cosine'"),
        ({"schedule": StepDecay}, "`schedule` must be a schedule .* Pass an instance"),
        ({"schedule": None}, "`schedule` must be a number >= 0. Received: schedule=None"),
        ({"warmup_steps": -1}, "`warmup_steps` must be a whole number >= 0. Received: warmup_steps=-1"),
        (
            {"shape": "cosin"},
            "`shape` must be one of 'linear', 'cosine', 'cubic', 'exponential'. .* Did you mean `cosine`",
        ),
        ({"start_fraction": 1.5}, "`start_fraction` must be a number >= 0 and <= 1. Received: start_fraction=1.5"),
        ({"shape": "exponential"}, "`start_fraction` must be above 0 for shape='exponential'.*=0.0. Use 0.01"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        Warmup(**{"schedule": 0.1, "warmup_steps": 10, **arguments})
