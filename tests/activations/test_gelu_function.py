"""The three forms of the GELU against `math.erf`, PyTorch, Keras and finite differences, on every backend."""

import math

import keras
import numpy as np
import pytest
from layer_probes import array, central_differences, differentiated, reloaded

from kerastrain._core.errors import InputError
from kerastrain.activations import gelu

pytestmark = pytest.mark.backend

POINTS = np.linspace(-6, 6, 241).astype(np.float32)
PROBABILITY = np.vectorize(lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2))), otypes=[np.float64])

FORMULAS = {
    "none": lambda x: x * PROBABILITY(x),
    "tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "sigmoid": lambda x: x / (1 + np.exp(-1.702 * x)),
}


@pytest.mark.parametrize("form", FORMULAS)
def test_the_formula(form):
    found = array(gelu(keras.ops.convert_to_tensor(POINTS), form))
    np.testing.assert_allclose(found, FORMULAS[form](np.float64(POINTS)), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("form", FORMULAS)
def test_the_derivative_against_finite_differences(form):
    _, [found], _ = differentiated(lambda x: gelu(x, form), [POINTS])
    np.testing.assert_allclose(found, central_differences(FORMULAS[form], POINTS), atol=5e-6)


def test_the_exact_form_is_the_default_and_keras_default():
    found = array(gelu(keras.ops.convert_to_tensor(POINTS)))
    np.testing.assert_allclose(found, FORMULAS["none"](np.float64(POINTS)), rtol=2e-5, atol=1e-6)
    # On TensorFlow another compiler's error function.
    peer = array(keras.activations.gelu(keras.ops.convert_to_tensor(POINTS)))
    np.testing.assert_allclose(found, peer, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["none", "tanh"])
def test_pytorch_has_the_same_names_and_values(form):
    torch = pytest.importorskip("torch")
    expected = torch.nn.functional.gelu(torch.tensor(POINTS, dtype=torch.float64), approximate=form).numpy()
    found = array(gelu(keras.ops.convert_to_tensor(POINTS), form))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


def test_the_derivatives_in_pytorch():
    torch = pytest.importorskip("torch")
    for form in ("none", "tanh"):
        points = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
        torch.nn.functional.gelu(points, approximate=form).sum().backward()
        _, [found], _ = differentiated(lambda x, form=form: gelu(x, form), [POINTS])
        np.testing.assert_allclose(found, points.grad.numpy(), atol=5e-6)


@pytest.mark.parametrize(("form", "stated"), [("tanh", 5e-4), ("sigmoid", 2.1e-2)])
def test_the_stated_distance_to_the_exact_form(form, stated):
    far = np.abs(array(gelu(keras.ops.convert_to_tensor(POINTS), form)) - FORMULAS["none"](np.float64(POINTS)))
    # Of the order stated, and not beyond it.
    assert 0.9 * stated < far.max() < stated


@pytest.mark.parametrize("form", FORMULAS)
def test_far_from_zero_it_is_a_relu(form):
    values = keras.ops.convert_to_tensor(np.array([-1e4, -50.0, 0.0, 50.0, 1e4], np.float32))
    found, [gradient], _ = differentiated(lambda x: gelu(x, form), [values])
    np.testing.assert_allclose(found, [0, 0, 0, 50, 1e4], atol=1e-30)
    np.testing.assert_allclose(gradient, [0, 0, 0.5, 1, 1], atol=1e-6)


@pytest.mark.parametrize("form", FORMULAS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays_half_precision(form, dtype):
    found = gelu(keras.ops.cast(POINTS, dtype), form)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    near = 2e-2 if dtype == "float16" else 1e-1
    np.testing.assert_allclose(array(found), FORMULAS[form](np.float64(POINTS)), atol=near)


def test_as_a_layers_activation_it_survives_a_file(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation=gelu)])
    loaded = reloaded(model, tmp_path)
    assert loaded.layers[0].activation is gelu
    inputs = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    kernel, bias = loaded.get_weights()
    expected = FORMULAS["none"](np.float64(inputs) @ kernel + bias)
    np.testing.assert_allclose(array(loaded(inputs)), expected, rtol=1e-4, atol=1e-6)


def test_plain_lists_and_symbolic_inputs_are_taken():
    for form in FORMULAS:
        np.testing.assert_allclose(array(gelu([1.0, -1.0], form)), FORMULAS[form](np.array([1.0, -1.0])), rtol=1e-5)
        assert gelu(keras.Input((3, 2)), form).shape == (None, 3, 2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "tahn",
            "`approximate` must be one of 'none', 'tanh', 'sigmoid'. Received: approximate='tahn'. "
            "Did you mean `tanh`?",
        ),
        (True, "`approximate` must be one of 'none', 'tanh', 'sigmoid'. Received: approximate=True."),
        (
            None,
            "`approximate` must be one of 'none', 'tanh', 'sigmoid'. Received: approximate=None. Did you mean `none`?",
        ),
    ],
)
def test_another_form_is_refused(value, message):
    with pytest.raises(InputError) as error:
        gelu(keras.ops.ones(2), value)
    assert str(error.value) == message
