"""The GELU layer against `math.erf` and the Keras layer of the function, on every backend."""

import math

import keras
import numpy as np
import pytest
from layer_probes import JITS, array, central_differences, differentiated, reloaded, watched_fit

from kerastrain._core.errors import InputError
from kerastrain.layers import GELU

pytestmark = pytest.mark.backend

FORMULAS = {
    "none": np.vectorize(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))), otypes=[np.float64]),
    "tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "sigmoid": lambda x: x / (1 + np.exp(-1.702 * x)),
}
VALUES = np.random.default_rng(0).normal(0, 2, size=(4, 3, 5)).astype(np.float32)


@pytest.mark.parametrize("form", FORMULAS)
def test_the_formula_and_the_derivative(form):
    found, [gradient], _ = differentiated(GELU(form), [VALUES])
    np.testing.assert_allclose(found, FORMULAS[form](np.float64(VALUES)), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, central_differences(FORMULAS[form], VALUES), atol=5e-6)


def test_the_exact_form_is_the_default_and_keras_activation():
    expected = keras.layers.Activation("gelu")(keras.ops.convert_to_tensor(VALUES))
    found = array(GELU()(keras.ops.convert_to_tensor(VALUES)))
    np.testing.assert_allclose(found, array(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", FORMULAS)
def test_a_model_of_it_survives_a_file(form, tmp_path):
    model = keras.Sequential([keras.Input((3, 5)), GELU(form, name="bend")])
    assert model.output_shape == (None, 3, 5) and model.weights == []
    loaded = reloaded(model, tmp_path)
    assert loaded.get_layer("bend").approximate == form
    np.testing.assert_allclose(array(loaded(VALUES)), FORMULAS[form](np.float64(VALUES)), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("jit", JITS)
def test_it_trains(jit):
    outputs, _, _ = watched_fit(GELU("sigmoid"), VALUES, steps=2, jit=jit)
    for output in outputs:
        np.testing.assert_allclose(output, FORMULAS["sigmoid"](np.float64(VALUES)), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    found = GELU(dtype=policy)(keras.ops.convert_to_tensor(VALUES))
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(array(found), FORMULAS["none"](np.float64(VALUES)), atol=5e-2)


@pytest.mark.filterwarnings("error:Layer .* was passed an input with a mask")
def test_it_passes_a_mask_on():
    inputs = keras.Input((4,), dtype="int32")
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.LSTM(2)(GELU()(embedded)))
    short, padded = np.array([[1, 2]]), np.array([[1, 2, 0, 0]])
    lstm, bent = model.layers[-1], keras.Sequential(model.layers[1:3])
    np.testing.assert_allclose(array(model(padded)), array(lstm(bent(short))), rtol=1e-5, atol=1e-6)


def test_another_form_is_refused():
    with pytest.raises(InputError) as error:
        GELU("erf")
    assert str(error.value) == "`approximate` must be one of 'none', 'tanh', 'sigmoid'. Received: approximate='erf'."
    with pytest.raises(InputError, match="Received: approximate=True"):
        GELU(True)
