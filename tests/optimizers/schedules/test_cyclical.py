import math

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers.schedules import Cyclical


def reference(step, low, high, size, mode, gamma):
    """The formula of TensorFlow Addons' CyclicalLearningRate, after Smith's figure."""
    cycle = math.floor(1 + step / (2 * size))
    x = abs(step / size - 2 * cycle + 1)
    scale = {"triangular": 1, "triangular2": 1 / 2.0 ** (cycle - 1), "exp_range": gamma**step}[mode]
    return low + (high - low) * max(0, 1 - x) * scale


MODES = [("triangular", 1.0), ("triangular2", 1.0), ("exp_range", 0.994), ("exp_range", 0.5)]


@pytest.mark.parametrize("low", [0.0, 0.1])
@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize(("mode", "gamma"), MODES)
def test_a_whole_run_is_the_formula(rates, low, size, mode, gamma):
    steps = range(0, 700, 3)
    expected = [reference(step, low, 0.6, size, mode, gamma) for step in steps]
    # 1 - x cancels in the reference: its own error is some 1e-13 here, where ours is 0.
    found = rates(Cyclical(low, 0.6, size, mode, gamma), steps)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-13)


def test_the_paper_s_triangle_by_hand(rates):
    # One cycle of 2 * 4 steps from 0.1 to 0.5, the second half as high.
    expected = [0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1, 0.15, 0.2, 0.25, 0.3, 0.25, 0.2, 0.15, 0.1]
    np.testing.assert_allclose(rates(Cyclical(0.1, 0.5, 4, "triangular2"), range(17)), expected, rtol=1e-6)


def test_gamma_keeps_its_precision_in_a_long_run(rates):
    # float32(0.99994) ** 100000 is wrong by 0.2 %. Step 100001 is halfway up a cycle of 4.
    expected = 0.99994**100001 / 2
    np.testing.assert_allclose(rates(Cyclical(0.0, 1.0, 2, "exp_range", 0.99994), [100001]), [expected], rtol=1e-6)


@pytest.mark.backend
def test_the_cycles_are_counted_exactly_in_long_runs(rates):
    size = 2**24 + 1  # A cycle is no float32 number of steps.
    cycle, count = 2 * size, 63
    steps = [cycle * count - 1, cycle * count, cycle * count + 1, cycle * count + size]
    height = 1 / size
    expected = [height * 0.5 ** (count - 1), 0.0, height * 0.5**count, 0.5**count]
    np.testing.assert_allclose(rates(Cyclical(0.0, 1.0, size, "triangular2"), steps), expected, rtol=1e-6)


@pytest.mark.backend
def test_a_fraction_of_a_step():
    step = keras.ops.convert_to_tensor(9.5, dtype="float32")
    for mode, gamma in MODES:
        found = float(Cyclical(0.1, 0.6, 4, mode, gamma)(step))
        assert found == pytest.approx(reference(9.5, 0.1, 0.6, 4, mode, gamma), rel=1e-6)


@pytest.mark.parametrize(("mode", "gamma"), MODES)
def test_equals_torch(rates, torch_rates, mode, gamma):
    theirs, _ = torch_rates(
        lambda torch, optimizer: torch.CyclicLR(
            optimizer, 0.1, 0.6, step_size_up=7, mode=mode, gamma=gamma, cycle_momentum=False
        ),
        200,
    )
    np.testing.assert_allclose(rates(Cyclical(0.1, 0.6, 7, mode, gamma), range(200)), theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial_learning_rate": -0.1}, "`initial_learning_rate` must be a number >= 0. Received: .*=-0.1"),
        ({"maximal_learning_rate": 0.0}, "`maximal_learning_rate` must be a number > 0. Received: .*=0.0"),
        ({"initial_learning_rate": 2.0}, "`maximal_learning_rate` must be at least `initial_learning_rate`.*Swap"),
        ({"step_size": True}, "`step_size` must be a whole number >= 1. Received: step_size=True"),
        ({"mode": "triangle"}, "`mode` must be one of 'triangular', .*'triangle'. Did you mean `triangular"),
        ({"mode": "exp_range", "gamma": 1.1}, "`gamma` must be a number > 0 and <= 1. Received: gamma=1.1"),
        ({"gamma": 0.9}, "`gamma` is for mode='exp_range' only. Received: mode='triangular', gamma=0.9. Leave"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        Cyclical(**{"initial_learning_rate": 0.1, "maximal_learning_rate": 1.0, "step_size": 10, **arguments})
