import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers.schedules import Sequence, StepDecay


def test_each_part_counts_from_its_own_start(rates):
    schedule = Sequence([(0.3, 5), (StepDecay(0.2, 0.5, 2), 7), keras.optimizers.schedules.InverseTimeDecay(1, 1, 1)])
    expected = [0.3] * 5 + [0.2 * 0.5 ** (step // 2) for step in range(7)] + [1 / (1 + step) for step in range(30)]
    np.testing.assert_allclose(rates(schedule, range(42)), expected, rtol=1e-6)


def test_two_parts_in_lists_of_a_list(rates):
    np.testing.assert_allclose(rates(Sequence([[0.3, 1], 0.1]), range(3)), [0.3, 0.1, 0.1], rtol=1e-6)


def test_its_parts_survive_the_config():
    schedule = Sequence([(0.3, 5), (StepDecay(0.2, 0.5, 2), 7), keras.optimizers.schedules.CosineDecay(0.1, 30)])
    restored = Sequence.from_config(schedule.get_config())
    assert restored.schedules[0] == (0.3, 5)
    assert isinstance(restored.schedules[1][0], StepDecay) and restored.schedules[1][1] == 7
    assert isinstance(restored.schedules[2], keras.optimizers.schedules.CosineDecay)


def test_equals_optax(rates):
    optax = pytest.importorskip("optax")
    parts = [
        optax.constant_schedule(0.3),
        optax.exponential_decay(0.2, 2, 0.5, staircase=True),
        optax.polynomial_schedule(0.1, 0.01, 1, 10),
    ]
    theirs = optax.join_schedules(parts, [5, 12])
    last = keras.optimizers.schedules.PolynomialDecay(0.1, 10, 0.01)
    ours = Sequence([(0.3, 5), (StepDecay(0.2, 0.5, 2), 7), last])
    np.testing.assert_allclose(rates(ours, range(40)), [float(theirs(step)) for step in range(40)], rtol=1e-6)


def test_equals_torch(rates, torch_rates):
    def theirs(torch, optimizer):
        parts = [torch.ConstantLR(optimizer, 0.5, 100), torch.StepLR(optimizer, 3, 0.1)]
        return torch.SequentialLR(optimizer, parts, [6])

    ours = Sequence([(0.2, 6), StepDecay(0.4, 0.1, 3)])
    np.testing.assert_allclose(rates(ours, range(20)), torch_rates(theirs, 20, 0.4)[0], rtol=1e-6)


@pytest.mark.backend
def test_the_boundary_is_exact_in_long_runs(rates):
    length = 2**30 - 1  # Twice it is below 2**31, and neither is a float32 number.
    schedule = Sequence([(1.0, length), (2.0, length), StepDecay(4.0, 0.5, 1)])
    steps = [length - 1, length, 2 * length - 1, 2 * length, 2 * length + 1]
    np.testing.assert_array_equal(rates(schedule, steps), [1, 2, 2, 4, 2])


@pytest.mark.parametrize(
    ("schedules", "message"),
    [
        (0.1, "`schedules` must be a list of at least two entries: pairs .*Received: schedules=0.1"),
        ([0.1], "`schedules` must be a list of at least two entries"),
        ([0.1, 0.2], r"`schedules\[0\]` must be a pair \(schedule, steps\); only the last .* Received: 0.1"),
        ([(0.1, 5, 5), 0.2], r"`schedules\[0\]` must be a pair"),
        ([(0.1, 5), (0.2, 5)], r"`schedules\[1\]`, the last one, must be a schedule or a number alone"),
        ([(0.1, 0), 0.2], r"`schedules\[0\]\[1\]` must be a whole number >= 1. Received: .*=0"),
        ([(0.1, 5), ("x", 5), 0.2], r"`schedules\[1\]\[0\]` must be a schedule"),
        ([(0.1, 5), -0.2], r"`schedules\[1\]` must be a number >= 0. Received: .*=-0.2"),
    ],
)
def test_invalid_arguments(schedules, message):
    with pytest.raises(InputError, match=message):
        Sequence(schedules)
