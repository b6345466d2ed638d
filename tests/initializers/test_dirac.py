"""The identity as a convolution: against what goes in, and torch's initializer, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import array, reloaded

from kerastrain._core.errors import InputError
from kerastrain.initializers import Dirac

pytestmark = pytest.mark.backend

LAYERS = [keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D]


def images(rank, channels):
    return np.random.default_rng(0).normal(size=(2, *(5, 6, 7)[:rank], channels)).astype(np.float32)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 3), (3, 5), (4, 2)])
def test_with_same_padding_it_is_the_identity(rank, size, inputs, outputs):
    x = images(rank, inputs)
    layer = LAYERS[rank - 1](outputs, size, padding="same", use_bias=False, kernel_initializer=Dirac())
    y = array(layer(x))
    both = min(inputs, outputs)
    np.testing.assert_array_equal(y[..., :both], x[..., :both])
    assert (y[..., both:] == 0).all()


def test_kernels_with_unlike_sides():
    x = images(2, 3)
    layer = keras.layers.Conv2D(3, (2, 5), padding="same", use_bias=False, kernel_initializer=Dirac(gain=-2.5))
    np.testing.assert_allclose(array(layer(x)), -2.5 * x, rtol=1e-6)


def torchs(shape):
    """torch.nn.init.dirac_ in Keras's order of axes: its own is (outputs, inputs, size, ...)."""
    torch = pytest.importorskip("torch")
    *sizes, inputs, outputs = shape
    kernel = torch.nn.init.dirac_(torch.empty(outputs, inputs, *sizes)).numpy()
    return np.moveaxis(kernel, (0, 1), (-1, -2))


@pytest.mark.parametrize("shape", [(3, 4, 4), (5, 3, 7), (3, 3, 4, 4), (1, 5, 6, 2), (3, 3, 3, 2, 5), (1, 1, 2, 2)])
def test_of_odd_sizes_it_is_that_of_torch(shape):
    np.testing.assert_array_equal(array(Dirac()(shape)), torchs(shape))


def test_of_even_sizes_torchs_is_no_identity():
    # Keras pads the end first: of a kernel of 2, place 0 is the pixel itself, of a kernel of 4 it is place 1.
    for size in (2, 4):
        kernel, peer = array(Dirac()((size, 1, 1))), torchs((size, 1, 1))
        assert np.argmax(kernel) == (size - 1) // 2 and np.argmax(peer) == size // 2
        x = images(1, 1)
        layer = keras.layers.Conv1D(1, size, padding="same", use_bias=False)
        layer.build(x.shape)
        layer.kernel.assign(peer)
        np.testing.assert_array_equal(array(layer(x))[:, :-1], x[:, 1:])  # Moved by one.


@pytest.mark.parametrize("shape", [(3, 3, 4, 10), (3, 2, 5)])
def test_rest_is_drawn_for_the_filters_beyond_the_inputs(shape):
    inputs = shape[-2]
    rest = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=5)
    kernel = array(Dirac(gain=2.0, rest=rest)(shape))
    np.testing.assert_array_equal(kernel[..., :inputs], 2 * torchs(shape)[..., :inputs])
    np.testing.assert_array_equal(kernel[..., inputs:], array(rest(shape))[..., inputs:])
    # PyTorch's default: uniform within 1 / sqrt(fan in).
    bound = 1 / np.sqrt(np.prod(shape[:-1]))
    assert 0.8 * bound < np.abs(kernel[..., inputs:]).max() <= bound


def test_rest_is_not_drawn_where_there_is_none():
    for shape in ((3, 3, 4, 4), (3, 3, 4, 2)):
        np.testing.assert_array_equal(array(Dirac(rest="ones")(shape)), torchs(shape))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_dtype_is_the_one_asked_for(dtype):
    kernel = Dirac(rest="he_normal")((3, 2, 4), dtype=dtype)
    assert keras.backend.standardize_dtype(kernel.dtype) == dtype


def test_it_is_saved_with_a_model(tmp_path):
    initializer = Dirac(gain=0.5, rest=keras.initializers.HeNormal(seed=3))
    layer = keras.layers.Conv2D(6, 3, kernel_initializer=initializer)
    loaded = reloaded(keras.Sequential([keras.Input((5, 5, 2)), layer]), tmp_path).layers[0].kernel_initializer
    assert type(loaded) is Dirac and loaded.gain == 0.5
    np.testing.assert_array_equal(array(loaded((3, 3, 2, 6))), array(initializer((3, 3, 2, 6))))
    assert loaded.get_config() == initializer.get_config()
    assert Dirac.from_config(Dirac().get_config()).rest is None


@pytest.mark.parametrize("shape", [(3,), (3, 4), ()])
def test_a_shape_that_is_no_convolutions_is_refused(shape):
    with pytest.raises(InputError) as error:
        Dirac()(shape)
    assert str(error.value) == (
        f"Dirac is for the kernels of convolutions, (size, ..., inputs, outputs). Received: {shape}."
        " Use keras.initializers.Identity for a matrix."
    )


@pytest.mark.parametrize("gain", ["1", None, float("nan"), float("inf"), True], ids=repr)
def test_a_gain_that_is_no_number_is_refused(gain):
    with pytest.raises(InputError) as error:
        Dirac(gain=gain)
    assert str(error.value) == f"`gain` must be a number. Received: gain={gain!r}."


def test_a_rest_that_is_no_initializer_is_refused():
    with pytest.raises(ValueError, match="nonesuch"):
        Dirac(rest="nonesuch")
    with pytest.raises(ValueError, match="Could not interpret initializer"):
        Dirac(rest=3)
