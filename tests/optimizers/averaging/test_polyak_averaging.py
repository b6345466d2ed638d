import keras
import numpy as np
import pytest
from optimizer_probes import (
    WALK_START,
    AfterEachBatch,
    array,
    assert_near,
    linear_model,
    mean,
    regression,
    walk,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers import ComposedOptimizer, PolyakAveraging


@pytest.mark.backend
def test_the_mean_of_text_000_leaves_theta_0_out():
    # Text 000: 1/T sum over t = 1..T. On w^2 / 2 at rate 1/2, w is 8, then 4, 2, 1.
    weight = keras.Variable([8.0])
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.5), averaging=PolyakAveraging())
    found = []
    for _ in range(3):
        optimizer.apply([keras.ops.convert_to_tensor(array(weight))], [weight])
        found.append(optimizer.theta()[0].item())
    np.testing.assert_allclose(found, [4.0, (4 + 2) / 2, (4 + 2 + 1) / 3], rtol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("start_step", [0, 1, 4])
def test_after_start_step_it_is_the_mean_and_before_it_follows(start_step):
    weights, averages = walk(PolyakAveraging(start_step), 9)
    assert np.abs(mean(weights)[0] - mean([WALK_START, *weights])[0]).max() > 1e-2
    for update in range(1, 10):
        if update <= start_step:
            assert_near(averages[update - 1], weights[update - 1], rtol=0, atol=0)
        else:
            assert_near(averages[update - 1], mean(weights[start_step:update]))


def shamir_zhang(weights, power):
    """Section 3 of Shamir and Zhang, 2013, with eta = power, in float64; the averages after each update."""
    found, average = [], [np.zeros_like(value) for value in weights[0]]
    for t, values in enumerate(weights, start=1):
        share = (power + 1) / (t + power)
        average = [(1 - share) * one + share * value for one, value in zip(average, values, strict=True)]
        found.append(average)
    return found


@pytest.mark.backend
@pytest.mark.parametrize(("power", "start_step"), [(1.0, 0), (3.0, 0), (3.0, 2)])
def test_with_a_power_it_is_polynomial_decay_averaging(power, start_step):
    weights, averages = walk(PolyakAveraging(start_step, power=power), 9)
    for found, expected in zip(averages[start_step:], shamir_zhang(weights[start_step:], power), strict=True):
        assert_near(found, expected)
    assert np.abs(averages[-1][0] - mean(weights[start_step:])[0]).max() > 1e-2


def test_power_1_weighs_each_iterate_by_its_number():
    # By hand: shares 1, 2/3, 2/4, 2/5 leave theta_i the weight i / (1 + 2 + 3 + 4).
    weights, averages = walk(PolyakAveraging(power=1.0), 4)
    expected = [
        sum(count * value for count, value in enumerate(values, start=1)) / 10 for values in zip(*weights, strict=True)
    ]
    assert_near(averages[-1], expected)


@pytest.mark.backend
def test_in_a_compiled_fit_it_is_the_mean_of_the_weights_after_each_batch():
    model = linear_model()
    optimizer = ComposedOptimizer(keras.optimizers.Adam(0.1), averaging=PolyakAveraging(start_step=2))
    model.compile(optimizer, loss="mse")
    after_each = AfterEachBatch(lambda: [array(weight) for weight in model.trainable_variables])
    model.fit(*regression(), batch_size=4, epochs=2, verbose=0, callbacks=[after_each])
    assert len(after_each.found) == 12
    assert_near(optimizer.theta(), mean(after_each.found[2:]))


def test_the_weights_are_left_alone():
    data, ends = regression(), []
    for optimizer in (
        keras.optimizers.Adam(0.1),
        ComposedOptimizer(keras.optimizers.Adam(0.1), averaging=PolyakAveraging()),
    ):
        model = linear_model()
        model.compile(optimizer, loss="mse")
        model.fit(*data, batch_size=4, shuffle=False, verbose=0)
        ends.append(model.get_weights())
    assert_near(ends[1], ends[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start_step": -1}, "`start_step` must be a whole number >= 0. Received: start_step=-1."),
        ({"start_step": 2.5}, "`start_step` must be a whole number >= 0. Received: start_step=2.5."),
        ({"power": -0.5}, "`power` must be a number >= 0. Received: power=-0.5."),
        ({"power": None}, "`power` must be a number >= 0. Received: power=None."),
    ],
    ids=str,
)
def test_an_argument_that_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        PolyakAveraging(**arguments)
    assert str(error.value) == message
