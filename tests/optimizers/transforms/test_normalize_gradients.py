import numpy as np
import pytest
from optimizer_probes import assert_near, global_norm, numbers, transformed

from kerastrain._core.errors import InputError
from kerastrain.optimizers import NormalizeGradients

GRADIENTS = [numbers(4, 3, scale=30.0), numbers(5, seed=1, scale=1e-3), numbers(2, 1, 2, seed=2), numbers(seed=3)]


@pytest.mark.backend
def test_all_gradients_together_have_length_1():
    found = transformed(NormalizeGradients(), GRADIENTS)
    norm = global_norm(GRADIENTS)
    assert_near(found, [np.float64(gradient) / norm for gradient in GRADIENTS], atol=1e-9)
    np.testing.assert_allclose(global_norm(found), 1.0, rtol=1e-6)


@pytest.mark.backend
def test_each_variables_gradient_has_length_1():
    found = transformed(NormalizeGradients("variable"), GRADIENTS)
    assert_near(found, [np.float64(gradient) / global_norm([gradient]) for gradient in GRADIENTS], atol=1e-9)
    np.testing.assert_allclose([global_norm([one]) for one in found], np.ones(4), rtol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("scope", ["global", "variable"])
def test_a_gradient_of_zero_stays_zero(scope, dtype):
    for one in transformed(NormalizeGradients(scope), [np.zeros((2, 2), dtype), np.zeros(3, dtype)]):
        np.testing.assert_array_equal(one, np.zeros_like(one))
    zero, other = transformed(NormalizeGradients("variable"), [np.zeros(2, dtype), np.array([0.0, 8.0], dtype)])
    np.testing.assert_array_equal(zero, [0.0, 0.0])
    np.testing.assert_array_equal(other, [0.0, 1.0])


@pytest.mark.backend
@pytest.mark.parametrize("scope", ["global", "variable"])
def test_a_gradient_that_float16_just_holds_has_length_1_too(scope):
    # Its norm's reciprocal, 2 ** 17, is more than float16 has.
    tiny = np.array([2.0**-17, 0.0], np.float16)
    (found,) = transformed(NormalizeGradients(scope), [tiny])
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, [1.0, 0.0])


@pytest.mark.backend
@pytest.mark.parametrize("scope", ["global", "variable"])
def test_below_epsilon_it_is_divided_by_epsilon(scope):
    (found,) = transformed(NormalizeGradients(scope, epsilon=0.5), [np.array([0.03, -0.04], np.float32)])
    np.testing.assert_allclose(found, [0.06, -0.08], rtol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize(("bad", "mark"), [(np.inf, np.nan), (np.nan, np.nan), (1e20, 0.0)])
def test_a_bad_element_makes_a_step_of_no_length(bad, mark):
    gradients = [np.array([1.0, bad, -2.0], np.float32), np.array([3.0, 4.0], np.float32)]
    found, other = transformed(NormalizeGradients(), gradients)
    np.testing.assert_array_equal(found, np.float32([0.0, mark, 0.0]))
    np.testing.assert_array_equal(other, [0.0, 0.0])
    found, other = transformed(NormalizeGradients("variable"), gradients)
    np.testing.assert_array_equal(found, np.float32([0.0, mark, 0.0]))
    np.testing.assert_allclose(other, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scope": "gloabl"}, "`scope` must be one of 'global', 'variable'. Received: scope='gloabl'."),
        ({"scope": "gloabl"}, "Did you mean `global`?"),
        ({"epsilon": 0.0}, "`epsilon` must be a number > 0. Received: epsilon=0.0."),
        ({"epsilon": None}, "`epsilon` must be a number > 0. Received: epsilon=None."),
    ],
    ids=str,
)
def test_an_argument_that_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        NormalizeGradients(**arguments)
    assert message in str(error.value)
