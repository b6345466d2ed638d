import keras
import numpy as np
import pytest
from optimizer_probes import (
    WALK_START,
    array,
    assert_near,
    batches_of,
    linear_model,
    noise,
    numbers,
    numpy_sgd,
    pull,
    regression,
    trained_by_batches,
    walk,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers import ComposedOptimizer, Lookahead

RATE = 0.3


def algorithm_1(steps, every_steps, decay):
    """Zhang, Lucas, Hinton and Ba, 2019, around SGD on the walk: fast and slow weights after each inner step."""
    slow = [np.float64(weight) for weight in WALK_START]
    fast, path = slow, []
    for step in range(steps):
        gradients = [one + other for one, other in zip(pull(fast), noise(step), strict=True)]
        fast = [weight - RATE * gradient for weight, gradient in zip(fast, gradients, strict=True)]
        if (step + 1) % every_steps == 0:
            alpha = 1 - decay(step + 1)
            slow = [one + alpha * (other - one) for one, other in zip(slow, fast, strict=True)]
            fast = slow
        path.append((fast, slow))
    return path


def assert_is_algorithm_1(averaging, steps, decay):
    weights, averages = walk(averaging, steps, rate=RATE)
    for step, (fast, slow) in enumerate(algorithm_1(steps, averaging.every_steps, decay)):
        assert_near(weights[step], fast)
        assert_near(averages[step], slow)


@pytest.mark.backend
@pytest.mark.parametrize(("every_steps", "decay"), [(5, 0.5), (1, 0.8), (3, 0.2), (4, 1.0)])
def test_it_is_algorithm_1(every_steps, decay):
    assert_is_algorithm_1(Lookahead(every_steps, decay), 11, lambda step: decay)


@pytest.mark.backend
def test_decay_0_is_the_wrapped_rule():
    weights, averages = walk(Lookahead(2, 0.0), 6, rate=RATE)
    plain, _ = walk(Lookahead(100, 0.5), 6, rate=RATE)
    for update in range(6):
        assert_near(weights[update], plain[update])
    assert_near(averages[-1], weights[-1], rtol=0, atol=0)


@pytest.mark.backend
def test_the_decay_may_be_a_schedule_of_the_updates_made():
    schedule = keras.optimizers.schedules.PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.9)
    assert_is_algorithm_1(Lookahead(2, schedule), 11, lambda step: 0.1 + 0.8 * min(step, 10) / 10)


@keras.saving.register_keras_serializable(package="test_lookahead")
def rising(step):
    return keras.ops.cast(step, "float32") / 20.0


@pytest.mark.backend
def test_the_decay_may_be_a_registered_function():
    assert_is_algorithm_1(Lookahead(3, rising), 9, lambda step: step / 20)
    saved = keras.saving.serialize_keras_object(Lookahead(3, rising))
    again = keras.saving.deserialize_keras_object(saved)
    assert (again.every_steps, again.decay_schedule) == (3, rising)


def test_it_is_optax_lookahead():
    optax = pytest.importorskip("optax")
    weights, averages = walk(Lookahead(3, 0.2), 10, rate=RATE)
    rule = optax.lookahead(optax.sgd(RATE), sync_period=3, slow_step_size=0.8)
    values = optax.LookaheadParams.init_synced([np.float32(weight) for weight in WALK_START])
    state = rule.init(values)
    for step in range(10):
        gradients = [np.float32(a + b) for a, b in zip(pull(values.fast), noise(step), strict=True)]
        moves, state = rule.update(gradients, state, values)
        values = optax.apply_updates(values, moves)
        assert_near(weights[step], [np.array(one) for one in values.fast])
        assert_near(averages[step], [np.array(one) for one in values.slow])


@pytest.mark.backend
def test_it_starts_from_weights_that_were_loaded_after_the_optimizer_was_built():
    data = batches_of(*regression())[:2]
    model = linear_model()
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.2), averaging=Lookahead(2, 0.5))
    model.compile(optimizer, loss="mse")
    optimizer.build(model.trainable_variables)
    loaded = [numbers(3, 2, seed=20), numbers(2, seed=21)]
    model.set_weights(loaded)
    path = trained_by_batches(model, data)
    expected = numpy_sgd(loaded, data, 0.2)
    assert_near(path[0], expected[0])
    halfway = [(one + other) / 2 for one, other in zip(loaded, expected[1], strict=True)]
    assert_near(path[1], halfway)
    assert_near(optimizer.theta(), halfway)


@pytest.mark.backend
def test_two_fits_that_write_back_at_each_step():
    # Weights and slow weights are equal all the time; as one buffer JAX could not donate them.
    data = regression(batches=2)
    model = linear_model()
    start = model.get_weights()
    model.compile(ComposedOptimizer(keras.optimizers.SGD(0.2), averaging=Lookahead(1, 0.5)), loss="mse")
    for _ in range(2):
        model.fit(*data, batch_size=4, epochs=2, shuffle=False, verbose=0)
    # slow + (fast - slow) / 2 after each step is SGD at half the rate.
    expected = numpy_sgd(start, batches_of(*data) * 4, 0.1)[-1]
    assert_near(model.get_weights(), expected)
    assert_near(model.optimizer.theta(), [array(weight) for weight in model.weights], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_steps": 0}, "`every_steps` must be a whole number >= 1. Received: every_steps=0."),
        ({"every_steps": None}, "`every_steps` must be a whole number >= 1. Received: every_steps=None."),
        ({"decay_schedule": 1.5}, "`decay_schedule` must be a number >= 0 and <= 1. Received: decay_schedule=1.5."),
        ({"decay_schedule": -0.5}, "`decay_schedule` must be a number >= 0 and <= 1. Received: decay_schedule=-0.5."),
        (
            {"decay_schedule": "half"},
            "`decay_schedule` must be a number >= 0 and <= 1. Received: decay_schedule='half'.",
        ),
    ],
    ids=str,
)
def test_an_argument_that_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        Lookahead(**arguments)
    assert str(error.value) == message
