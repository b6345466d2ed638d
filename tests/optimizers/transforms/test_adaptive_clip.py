import keras
import numpy as np
import pytest
from optimizer_probes import assert_near, numbers, transformed

from kerastrain._core.errors import InputError
from kerastrain.optimizers import AdaptiveClip, ComposedOptimizer

# A kernel's shape -> the axes that a unit's norm is taken over.
UNITS = {
    (): (),
    (6,): (0,),
    (4, 3): (0,),
    (5, 4, 3): (0, 1),
    (3, 3, 2, 5): (0, 1, 2),
    (2, 2, 2, 3, 4): (0, 1, 2, 3),
}


def equation_3(gradient, weight, axes, factor, epsilon):
    """Brock et al., 2021, and their text: max(||W_i||, eps) for the weights."""
    gradient, weight = np.float64(gradient), np.float64(weight)
    size = np.sqrt(np.sum(gradient**2, axis=axes, keepdims=True))
    allowed = factor * np.maximum(np.sqrt(np.sum(weight**2, axis=axes, keepdims=True)), epsilon)
    return np.where(size > allowed, gradient * allowed / np.where(size > 0, size, 1.0), gradient)


def some(shape):
    """A gradient some of whose units are too long, and weights one of whose units is 0."""
    gradient, weight = numbers(*shape, seed=1, scale=0.3), numbers(*shape, seed=2)
    if len(shape) > 1:
        weight[..., 0] = 0.0
        gradient[..., 1] *= 1e-3
    return gradient, weight


@pytest.mark.backend
@pytest.mark.parametrize("shape", UNITS, ids=str)
@pytest.mark.parametrize(("factor", "epsilon"), [(0.01, 1e-3), (0.16, 0.5)])
def test_each_unit_is_clipped_by_equation_3(shape, factor, epsilon):
    gradient, weight = some(shape)
    expected = equation_3(gradient, weight, UNITS[shape], factor, epsilon)
    (found,) = transformed(AdaptiveClip(factor, epsilon), [gradient], [weight])
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    if len(shape) > 1:  # Units of both kinds are there.
        np.testing.assert_array_equal(found[..., 1], gradient[..., 1])
        assert np.all(np.abs(found[..., 0]) < np.abs(gradient[..., 0]))


@pytest.mark.parametrize("shape", [shape for shape in UNITS if len(shape) != 3], ids=str)
def test_it_is_optax_adaptive_grad_clip(shape):
    optax = pytest.importorskip("optax")
    gradient, weight = some(shape)
    expected, _ = optax.adaptive_grad_clip(0.01, eps=1e-3).update([gradient], optax.EmptyState(), [weight])
    assert_near(transformed(AdaptiveClip(0.01, 1e-3), [gradient], [weight]), [np.array(expected[0])], atol=1e-9)


def test_a_kernel_of_rank_3_is_a_conv1d_here_and_attention_heads_in_optax():
    optax = pytest.importorskip("optax")
    gradient, weight = some((5, 4, 3))
    (found,) = transformed(AdaptiveClip(0.01, 1e-3), [gradient], [weight])
    theirs, _ = optax.adaptive_grad_clip(0.01, eps=1e-3).update([gradient], optax.EmptyState(), [weight])
    np.testing.assert_allclose(theirs[0], equation_3(gradient, weight, (0,), 0.01, 1e-3), rtol=1e-5)
    same, _ = optax.adaptive_grad_clip(0.01, eps=1e-3, axis=(0, 1)).update([gradient], optax.EmptyState(), [weight])
    np.testing.assert_allclose(found, same[0], rtol=1e-5)


@pytest.mark.backend
@pytest.mark.parametrize(("bad", "mark"), [(np.inf, np.nan), (np.nan, np.nan), (1e20, 0.0)])
def test_a_bad_element_makes_its_unit_zero_and_no_other(bad, mark):
    gradient, weight = np.full((3, 2), 0.001, np.float32), np.ones((3, 2), np.float32)
    gradient[1, 0] = bad
    found, other = transformed(AdaptiveClip(0.5), [gradient, np.float32([0.25])], [weight, np.float32([1.0])])
    np.testing.assert_array_equal(found[:, 0], np.float32([0.0, mark, 0.0]))
    np.testing.assert_array_equal(found[:, 1], gradient[:, 1])
    np.testing.assert_array_equal(other, [0.25])


@pytest.mark.backend
def test_a_moved_factor_counts():
    weight = keras.Variable([3.0, 4.0])
    optimizer = ComposedOptimizer(keras.optimizers.SGD(1.0), [AdaptiveClip(0.1)])
    optimizer.build([weight])
    optimizer.hyperparameters["adaptive_clip.factor"] = 0.2
    optimizer.apply([keras.ops.convert_to_tensor([30.0, 40.0])], [weight])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), [3.0 - 0.6, 4.0 - 0.8], rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, -0.01, float("inf"), "0.01"])
@pytest.mark.parametrize("name", ["factor", "epsilon"])
def test_a_number_that_is_refused(name, value):
    with pytest.raises(InputError) as error:
        AdaptiveClip(**{name: value})
    assert str(error.value) == f"`{name}` must be a number > 0. Received: {name}={value!r}."
