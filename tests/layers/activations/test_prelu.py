"""PReLU against NumPy, PyTorch and Keras's own, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import JITS, array, central_differences, differentiated, reloaded, watched_fit

from kerastrain._core.errors import InputError
from kerastrain.layers import PReLU

pytestmark = pytest.mark.backend

IMAGES = np.random.default_rng(0).normal(size=(5, 4, 6, 3)).astype(np.float32)
SLOPES = np.array([0.1, -0.5, 1.5], np.float32)


def built(values=IMAGES, slopes=None, **arguments):
    layer = PReLU(**arguments)
    layer.build((None, *values.shape[1:]))
    if slopes is not None:
        layer.set_weights([slopes.reshape(layer.alpha.shape)])
    return layer


def formula(values, slopes):
    return np.where(values >= 0, values, slopes * values)


def test_the_formula_with_a_slope_for_each_channel():
    layer = built(slopes=SLOPES)
    assert tuple(layer.alpha.shape) == (1, 1, 3)
    found = array(layer(keras.ops.convert_to_tensor(IMAGES)))
    np.testing.assert_allclose(found, formula(IMAGES, SLOPES), rtol=1e-6)


def test_the_slopes_start_at_a_quarter():
    np.testing.assert_array_equal(array(built().alpha), np.full((1, 1, 3), 0.25))
    np.testing.assert_array_equal(array(built(initial_slope=-2).alpha), np.full((1, 1, 3), -2.0))
    found = array(PReLU()(keras.ops.convert_to_tensor(IMAGES)))
    np.testing.assert_allclose(found, formula(IMAGES, 0.25), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "slopes"),
    [((5, 3), (3,)), ((5, 7, 3), (1, 3)), ((5, 4, 6, 3), (1, 1, 3)), ((2, 2, 3, 2, 4), (1, 1, 1, 4))],
    ids=str,
)
def test_one_slope_a_channel_at_any_rank(shape, slopes):
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    chosen = np.linspace(-1, 2, shape[-1]).astype(np.float32)
    layer = built(values, chosen)
    assert tuple(layer.alpha.shape) == slopes
    np.testing.assert_allclose(array(layer(keras.ops.convert_to_tensor(values))), formula(values, chosen), rtol=1e-6)


def test_the_gradient_of_a_slope_is_the_sum_over_its_negative_inputs():
    layer = built(slopes=SLOPES)
    # With the outputs weighted by w, dL/dy = w: the slope of a channel has the gradient sum(w x where x < 0).
    weights = np.random.default_rng(3).normal(size=IMAGES.shape).astype(np.float32)
    _, [by_input], [by_slope] = differentiated(lambda x: keras.ops.multiply(layer(x), weights), [IMAGES], [layer.alpha])
    expected = np.where(IMAGES < 0, np.float64(weights) * IMAGES, 0).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(by_slope.reshape(3), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(by_input, np.where(IMAGES < 0, SLOPES, 1) * weights, rtol=1e-6)


def test_the_gradients_against_finite_differences():
    layer = built(slopes=SLOPES)
    _, [by_input], [by_slope] = differentiated(layer, [IMAGES], [layer.alpha])
    np.testing.assert_allclose(by_input, central_differences(lambda x: formula(x, SLOPES), IMAGES), atol=1e-6)
    for channel in range(3):
        values = np.float64(IMAGES[..., channel])
        slope = central_differences(lambda slope, values=values: formula(values, slope).sum(), SLOPES[channel])
        np.testing.assert_allclose(by_slope.reshape(3)[channel], slope, rtol=1e-4)


def test_it_is_pytorch_prelu_values_and_gradients():
    torch = pytest.importorskip("torch")
    layer = built(slopes=SLOPES)
    found, [by_input], [by_slope] = differentiated(layer, [IMAGES], [layer.alpha])
    theirs = torch.nn.PReLU(3)
    assert theirs.weight.tolist() == [0.25] * 3, "the start of both"
    theirs.weight.data = torch.tensor(SLOPES)
    inputs = torch.tensor(IMAGES.transpose(0, 3, 1, 2), requires_grad=True)
    outputs = theirs(inputs)
    outputs.sum().backward()
    np.testing.assert_allclose(found, outputs.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-6)
    np.testing.assert_allclose(by_input, inputs.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-6)
    np.testing.assert_allclose(by_slope.reshape(3), theirs.weight.grad.numpy(), rtol=1e-4)


@pytest.mark.parametrize("jit", JITS)
def test_it_trains_as_keras_own_with_shared_axes(jit):
    def train(layer):
        keras.utils.set_random_seed(0)
        _, _, model = watched_fit(layer, IMAGES, steps=4, jit=jit)
        return [np.array(weight) for weight in model.get_weights()]

    found = train(PReLU(0.25))
    expected = train(keras.layers.PReLU(keras.initializers.Constant(0.25), shared_axes=[1, 2]))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert np.abs(found[0] - 0.25).min() > 1e-4, "every slope has moved"


def test_axes_can_be_shared_otherwise():
    assert tuple(built(shared_axes=[1]).alpha.shape) == (1, 6, 3)
    assert tuple(built(shared_axes=[1, 2, 3]).alpha.shape) == (1, 1, 1)
    assert tuple(built(shared_axes=[]).alpha.shape) == (4, 6, 3), "no axis is shared where none is named"


@pytest.mark.parametrize("arguments", [{}, {"initial_slope": 0.1}, {"shared_axes": []}, {"shared_axes": [2]}], ids=str)
def test_a_model_of_it_survives_a_file(arguments, tmp_path):
    model = keras.Sequential([keras.Input((4, 6, 3)), PReLU(**arguments, name="bend")])
    layer = model.get_layer("bend")
    slopes = np.random.default_rng(4).normal(size=layer.alpha.shape).astype(np.float32)
    layer.set_weights([slopes])
    loaded = reloaded(model, tmp_path)
    assert loaded.get_layer("bend").initial_slope == arguments.get("initial_slope", 0.25)
    np.testing.assert_allclose(array(loaded(IMAGES)), formula(IMAGES, slopes), rtol=1e-6)
    fresh = PReLU.from_config(PReLU(**arguments).get_config())
    fresh.build((None, 4, 6, 3))
    assert tuple(fresh.alpha.shape) == slopes.shape


def test_a_regularizer_and_a_constraint_are_passed_on():
    layer = built(initial_slope=-0.5, alpha_regularizer="l2", alpha_constraint="non_neg")
    np.testing.assert_allclose(array(layer.losses[0]), 3 * 0.01 * 0.25, rtol=1e-6)
    np.testing.assert_array_equal(array(layer.alpha.constraint(layer.alpha)), np.zeros((1, 1, 3)))
    again = PReLU.from_config(layer.get_config())
    assert isinstance(again.alpha_constraint, keras.constraints.NonNeg)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = PReLU(dtype=policy)
    found = layer(keras.ops.convert_to_tensor(IMAGES))
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    assert layer.alpha.dtype == "float32"
    np.testing.assert_allclose(array(found), formula(IMAGES, 0.25), rtol=1e-2)


@pytest.mark.parametrize("slope", ["zeros", None, True, float("inf"), float("nan")])
def test_a_bad_slope_is_refused(slope):
    with pytest.raises(InputError) as error:
        PReLU(slope)
    assert str(error.value) == f"`initial_slope` must be a number. Received: initial_slope={slope!r}."


def test_the_initializer_of_keras_own_is_refused_with_what_to_write():
    with pytest.raises(InputError) as error:
        PReLU(alpha_initializer="zeros")
    assert str(error.value) == (
        "`alpha_initializer` is for keras.layers.PReLU only. Received: alpha_initializer='zeros'. Give the start of "
        "all slopes as `initial_slope`."
    )
