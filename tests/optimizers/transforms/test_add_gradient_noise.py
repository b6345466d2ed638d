import keras
import numpy as np
import pytest
from optimizer_probes import (
    array,
    assert_near,
    batches_of,
    linear_model,
    regression,
    state_bytes,
    tensors,
    trained_by_batches,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers import AddGradientNoise, ComposedOptimizer

SIDE = 200  # 40,000 draws: a mean has a standard error of stddev / 200, a standard deviation of stddev / 283.


def drawn(transform, steps, shapes, gradient=0.0):
    """The gradients of each step, when they would all be `gradient`."""
    variables = [keras.Variable(np.zeros(shape, np.float32)) for shape in shapes]
    optimizer = ComposedOptimizer(keras.optimizers.SGD(1.0), [transform])
    optimizer.build(variables)
    given = tensors([np.full(shape, gradient, np.float32) for shape in shapes])
    found = []
    for step in steps:
        optimizer.iterations.assign(step)
        found.append([array(one) for one in transform.transform(given, variables)])
    return found


@pytest.mark.backend
@pytest.mark.parametrize(("step", "decay"), [(0, 0.55), (100, 0.55), (100, 0.0), (3, 2.0)])
def test_the_noise_has_the_variance_of_equation_1(step, decay):
    sigma = np.sqrt(0.3**2 / (1 + step) ** decay)
    ((found,),) = drawn(AddGradientNoise(0.3, decay=decay, seed=1), [step], [(SIDE, SIDE)], gradient=0.7)
    noise = np.float64(found) - np.float64(np.float32(0.7))
    assert abs(noise.mean()) < 5 * sigma / SIDE
    assert abs(noise.std() - sigma) < 5 * sigma / (SIDE * np.sqrt(2))
    # Of a Gaussian, 68.27 % lie within one standard deviation; the fourth moment is 3, its standard error sqrt(96 / n).
    assert abs(np.mean(np.abs(noise) < sigma) - 0.6827) < 5 * np.sqrt(0.6827 * 0.3173) / SIDE
    assert abs(np.mean((noise / sigma) ** 4) - 3) < 5 * np.sqrt(96) / SIDE


@pytest.mark.backend
def test_each_step_and_each_variable_has_its_own():
    found = drawn(AddGradientNoise(1.0, decay=0.0), [0, 1, 1, 0], [(SIDE, SIDE), (SIDE, SIDE)])
    draws = np.stack([one.ravel() for step in found for one in step])
    correlations = np.corrcoef(draws) - np.eye(8)
    assert np.abs(correlations).max() < 5 / SIDE


@pytest.mark.backend
def test_the_seed_decides():
    one, same, other = (drawn(AddGradientNoise(1.0, seed=seed), range(3), [(3, 2), (4,)])[-1][0] for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.backend
def test_no_deviation_is_no_noise():
    ((found,),) = drawn(AddGradientNoise(0.0), [0], [(3,)], gradient=0.7)
    np.testing.assert_array_equal(found, np.full(3, 0.7, np.float32))


@pytest.mark.backend
def test_a_compiled_run_has_the_noise_of_the_generator():
    # The gradient of the kernel is 0 as the inputs are, and SGD at rate 1 takes the noise off the weights.
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros")])
    model.compile(ComposedOptimizer(keras.optimizers.SGD(1.0), [AddGradientNoise(0.5, seed=11)]), loss="mse")
    path = trained_by_batches(model, [(np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32))] * 3)
    generator, expected = keras.random.SeedGenerator(11), np.zeros((3, 2))
    for step, (weight,) in enumerate(path):
        noise = array(keras.random.normal((3, 2), seed=generator))
        expected = expected - 0.5 / (1 + step) ** (0.55 / 2) * np.float64(noise)
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.backend
def test_a_sparse_gradient_takes_noise_in_every_row():
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(5, 3), keras.layers.Flatten()])
    start = model.get_weights()[0]
    model.compile(ComposedOptimizer(keras.optimizers.SGD(1.0), [AddGradientNoise(0.5)]), loss="mse")
    model.train_on_batch(np.array([[1, 1]], np.int32), np.zeros((1, 6), np.float32))
    assert np.abs(model.get_weights()[0] - start).min() > 0


@pytest.mark.backend
def test_a_saved_run_goes_on_with_the_noise_of_an_uninterrupted_one(tmp_path):
    data = batches_of(*regression())

    def compiled():
        model = linear_model()
        optimizer = ComposedOptimizer(keras.optimizers.Adam(0.05), [AddGradientNoise(0.5, seed=3)])
        model.compile(optimizer, loss="mse")
        return model

    whole, half = compiled(), compiled()
    trained_by_batches(whole, data)
    trained_by_batches(half, data[:3])
    half.save(tmp_path / "half.keras")
    resumed = keras.saving.load_model(tmp_path / "half.keras")
    trained_by_batches(resumed, data[3:])
    assert list(state_bytes(resumed).values()) == list(state_bytes(whole).values())


def test_the_deviation_moves():
    transform = AddGradientNoise(1.0, decay=0.0, seed=2)
    variable = keras.Variable(np.zeros((3, 2), np.float32))
    optimizer = ComposedOptimizer(keras.optimizers.SGD(1.0), [transform])
    optimizer.hyperparameters["add_gradient_noise.stddev"] = 0.25
    optimizer.apply(tensors([np.zeros((3, 2), np.float32)]), [variable])
    noise = array(keras.random.normal((3, 2), seed=keras.random.SeedGenerator(2)))
    assert_near([array(variable)], [-0.25 * noise])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stddev": -0.1}, "`stddev` must be a number >= 0. Received: stddev=-0.1."),
        ({"stddev": 1.0, "decay": -1.0}, "`decay` must be a number >= 0. Received: decay=-1.0."),
        ({"stddev": 1.0, "seed": -1}, "`seed` must be a whole number >= 0. Received: seed=-1."),
        ({"stddev": 1.0, "seed": None}, "`seed` must be a whole number >= 0. Received: seed=None."),
        ({"stddev": 1.0, "seed": 1.0}, "`seed` must be a whole number >= 0. Received: seed=1.0."),
    ],
    ids=str,
)
def test_an_argument_that_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        AddGradientNoise(**arguments)
    assert str(error.value) == message
