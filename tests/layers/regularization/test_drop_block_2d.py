"""Dropped squares of feature maps, against the paper's formula and NumPy loops, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, differentiated, four_sigma, reloaded, watched_again, watched_fit

from kerastrain._core.errors import InputError
from kerastrain.layers import DropBlock2D

pytestmark = pytest.mark.backend

RATE = 0.2


def ones(batch, height, width, channels):
    return np.ones((batch, height, width, channels), np.float32)


def trained(layer, values):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


def paper_gamma(rate, block, height, width):
    """Equation 1, for a map that need not be square."""
    return rate / block**2 * (height * width) / ((height - block + 1) * (width - block + 1))


def covered(corners, rows, columns):
    """The union of the blocks whose upper left pixels are given; everything `(height, width)`."""
    height, width = corners.shape[0] + rows - 1, corners.shape[1] + columns - 1
    dropped = np.zeros((height, width), bool)
    for row, column in np.argwhere(corners):
        dropped[row : row + rows, column : column + columns] = True
    return dropped


def whole_blocks(dropped, rows, columns):
    """Where a whole block, all of it inside the map, is dropped: its upper left pixels."""
    inner = (dropped.shape[0] - rows + 1, dropped.shape[1] - columns + 1)
    found = np.zeros(inner, bool)
    for row, column in np.ndindex(*inner):
        found[row, column] = dropped[row : row + rows, column : column + columns].all()
    return found


def maps(outputs):
    """The single maps `(height, width)` of a batch, as what was dropped."""
    return (outputs == 0).transpose(0, 3, 1, 2).reshape(-1, *outputs.shape[1:3])


@pytest.mark.parametrize("block", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(9, 9), (5, 8)])
def test_what_is_dropped_is_a_union_of_whole_blocks(block, height, width):
    found = trained(DropBlock2D(RATE, block_size=block, seed=1), ones(30, height, width, 4))
    dropped = maps(found)
    assert dropped.any() and not dropped.all()
    for one in dropped:
        np.testing.assert_array_equal(covered(whole_blocks(one, block, block), block, block), one)
    # And it is no union of larger ones.
    larger = [covered(whole_blocks(one, block + 1, block), block + 1, block) for one in dropped]
    assert any((one != other).any() for one, other in zip(larger, dropped, strict=True))


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_the_blocks_lie_where_the_draws_are_below_gamma(block, monkeypatch):
    height, width = 7, 9
    gamma = paper_gamma(RATE, block, height, width)
    shape = (3, height - block + 1, width - block + 1, 2)
    draws = np.random.default_rng(block).uniform(size=shape).astype(np.float32)
    monkeypatch.setattr(keras.random, "uniform", lambda asked, **options: keras.ops.reshape(draws, asked))
    found = maps(trained(DropBlock2D(RATE, block_size=block), ones(3, height, width, 2)))
    corners = (draws < gamma).transpose(0, 3, 1, 2).reshape(-1, *shape[1:3])
    assert corners.any()
    for one, expected in zip(found, corners, strict=True):
        np.testing.assert_array_equal(one, covered(expected, block, block))


@pytest.mark.parametrize(("block", "height", "width"), [(1, 4, 4), (2, 6, 6), (3, 8, 8), (3, 5, 9), (7, 8, 8)])
def test_the_number_of_seeds_is_that_of_the_paper(block, height, width):
    # A map has no block at all with probability (1 - gamma) ^ positions.
    found = maps(trained(DropBlock2D(RATE, block_size=block, seed=2), ones(500, height, width, 10)))
    positions = (height - block + 1) * (width - block + 1)
    without = (1 - paper_gamma(RATE, block, height, width)) ** positions
    assert abs((~found.any(axis=(1, 2))).mean() - without) < four_sigma(len(found), without)


@pytest.mark.parametrize(("block", "size"), [(1, 6), (2, 6), (3, 8), (5, 7)])
def test_each_pixel_is_dropped_by_its_own_probability(block, size):
    found = maps(trained(DropBlock2D(RATE, block_size=block, seed=3), ones(400, size, size, 10)))
    gamma = paper_gamma(RATE, block, size, size)
    # How many blocks can cover a pixel along one side.
    blocks = np.array([min(place, size - block) - max(0, place - block + 1) + 1 for place in range(size)])
    expected = 1 - (1 - gamma) ** np.outer(blocks, blocks)
    fractions = found.mean(axis=0)
    for fraction, probability in zip(fractions.ravel(), expected.ravel(), strict=True):
        assert abs(fraction - probability) < 1.25 * four_sigma(len(found), probability), "5 sigma, for many pixels"
    # About the rate as a whole, as the docstring says: a little less.
    assert 0.85 * RATE < expected.mean() <= RATE + 1e-9


def test_what_stays_is_scaled_so_that_the_sum_of_the_mask_stays():
    values = np.random.default_rng(0).uniform(1, 2, size=(6, 8, 8, 3)).astype(np.float32)
    found = trained(DropBlock2D(RATE, block_size=3, seed=4), values)
    kept = found != 0
    scale = kept.size / kept.sum()
    assert scale > 1.05
    np.testing.assert_allclose(found[kept], values[kept] * scale, rtol=1e-5)
    assert abs(trained(DropBlock2D(RATE, block_size=3, seed=4), ones(6, 8, 8, 3)).mean(dtype=np.float64) - 1) < 1e-5


def test_a_block_of_one_pixel_is_dropout_and_one_of_the_whole_map_drops_maps():
    # Section 3: DropBlock resembles dropout with block_size = 1, SpatialDropout when it covers the full map.
    single = maps(trained(DropBlock2D(0.3, block_size=1, seed=5), ones(50, 10, 10, 4)))
    assert abs(single.mean() - 0.3) < four_sigma(single.size, 0.3)
    whole = maps(trained(DropBlock2D(0.3, block_size=4, seed=5), ones(500, 4, 4, 8)))
    assert (whole.all(axis=(1, 2)) | ~whole.any(axis=(1, 2))).all()
    assert abs(whole[:, 0, 0].mean() - 0.3) < four_sigma(len(whole), 0.3)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"), [(4, 4, 4, 4), (1, 1, 1, 1), (3, 9, 3, 7), (9, 2, 7, 2)]
)
def test_maps_that_are_smaller_than_a_block(height, width, rows, columns):
    found = maps(trained(DropBlock2D(0.3, block_size=7, seed=6), ones(300, height, width, 8)))
    for one in found[:200]:
        np.testing.assert_array_equal(covered(whole_blocks(one, rows, columns), rows, columns), one)
    gamma = 0.3 * height * width / (rows * columns * (height - rows + 1) * (width - columns + 1))
    without = (1 - gamma) ** ((height - rows + 1) * (width - columns + 1))
    assert abs((~found.any(axis=(1, 2))).mean() - without) < four_sigma(len(found), without)


def test_channels_share_their_blocks_or_do_not():
    shared = trained(DropBlock2D(RATE, block_size=3, per_channel=False, seed=7), ones(40, 8, 8, 5)) == 0
    assert shared.any() and (shared == shared[..., :1]).all()
    assert (shared[0] != shared[1]).any() or (shared[1] != shared[2]).any(), "samples draw for themselves"
    own = trained(DropBlock2D(RATE, block_size=3, seed=7), ones(40, 8, 8, 5)) == 0
    assert (own != own[..., :1]).any()
    # The factor is that of the mask over all channels.
    values = np.random.default_rng(1).uniform(1, 2, size=(6, 8, 8, 5)).astype(np.float32)
    found = trained(DropBlock2D(RATE, block_size=3, per_channel=False, seed=8), values)
    kept = found != 0
    np.testing.assert_allclose(found[kept], values[kept] * kept.size / kept.sum(), rtol=1e-5)


def test_the_gradient_is_the_scaled_mask():
    values = np.random.default_rng(2).uniform(1, 2, size=(4, 8, 8, 3)).astype(np.float32)
    layer = DropBlock2D(RATE, block_size=3, seed=9)
    found, [gradient], _ = differentiated(lambda x: layer(x, training=True), [values])
    kept = found != 0
    np.testing.assert_allclose(gradient, kept * (kept.size / kept.sum()), rtol=1e-5)


def test_at_inference_and_at_a_rate_of_zero_nothing_is_done():
    values = np.random.default_rng(3).normal(size=(2, 8, 8, 3)).astype(np.float32)
    layer = DropBlock2D(0.5, block_size=3)
    for options in ({}, {"training": False}):
        np.testing.assert_array_equal(array(layer(values, **options)), values)
    np.testing.assert_array_equal(trained(DropBlock2D(0, block_size=3), values), values)


def test_where_everything_is_dropped_the_outputs_are_zero():
    layer = DropBlock2D(1 - 1e-9, block_size=4)
    found, [gradient], _ = differentiated(lambda x: layer(x, training=True), [ones(1, 4, 4, 2)])
    np.testing.assert_array_equal(found, np.zeros((1, 4, 4, 2)))
    np.testing.assert_array_equal(gradient, np.zeros((1, 4, 4, 2)))


def test_the_same_seed_draws_the_same_in_a_fresh_layer():
    values = ones(4, 8, 8, 3)
    first, second = (DropBlock2D(RATE, block_size=2, seed=10) for _ in range(2))
    draws = [trained(first, values) for _ in range(3)]
    for draw in draws:
        np.testing.assert_array_equal(draw, trained(second, values))
    assert (draws[0] != draws[1]).any() and (draws[1] != draws[2]).any()
    assert (trained(DropBlock2D(RATE, block_size=2, seed=11), values) != draws[0]).any()
    unseeded = [trained(DropBlock2D(RATE, block_size=2), values) for _ in range(2)]
    assert (unseeded[0] != unseeded[1]).any()


@pytest.mark.parametrize("jit", JITS)
def test_every_step_of_a_fit_draws_anew_and_the_same_from_the_same_seed(jit):
    values = ones(20, 8, 8, 6)
    layer = DropBlock2D(RATE, block_size=3, seed=12)
    outputs, _, model = watched_fit(layer, values, steps=3, jit=jit)
    np.testing.assert_array_equal(outputs, watched_again(model, layer, values, steps=3))
    assert (outputs[0] != outputs[1]).any() and (outputs[1] != outputs[2]).any()
    without = (1 - paper_gamma(RATE, 3, 8, 8)) ** 36
    for output in outputs:
        dropped = maps(output)
        assert abs((~dropped.any(axis=(1, 2))).mean() - without) < four_sigma(len(dropped), without)
        for one in dropped:
            np.testing.assert_array_equal(covered(whole_blocks(one, 3, 3), 3, 3), one)
    kernel, bias = model.layers[-1].get_weights()
    predicted = model.predict(values, batch_size=20, verbose=0)
    np.testing.assert_allclose(predicted, values.reshape(20, -1) @ kernel + bias, rtol=1e-4, atol=1e-4)
    if BACKEND != "tensorflow" or not jit:  # TensorFlow's XLA draws from another stream.
        eager = DropBlock2D(RATE, block_size=3, seed=12)
        for output in outputs:
            np.testing.assert_allclose(output, trained(eager, values), rtol=1e-5)


def test_it_trains_on_batches_of_any_size():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(3, 3, padding="same"),
            DropBlock2D(RATE, block_size=3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer="sgd", loss="mse", jit_compile=BACKEND == "jax")
    before = model.get_weights()
    history = model.fit(ones(7, 8, 8, 2), np.ones((7, 1)), batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


def test_a_model_of_it_survives_a_file(tmp_path):
    arguments = {"rate": 0.25, "block_size": 3, "per_channel": False, "seed": 13}
    loaded = reloaded(keras.Sequential([keras.Input((8, 8, 2)), DropBlock2D(**arguments, name="drop")]), tmp_path)
    config = loaded.get_layer("drop").get_config()
    assert {name: config[name] for name in arguments} == arguments
    values = np.random.default_rng(4).normal(size=(3, 8, 8, 2)).astype(np.float32)
    np.testing.assert_array_equal(array(loaded(values)), values)
    np.testing.assert_array_equal(array(loaded(values, training=True)), trained(DropBlock2D(**arguments), values))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = DropBlock2D(0.02, block_size=3, seed=0, dtype=policy)
    values = keras.ops.ones((500, 8, 8, 8))
    for training in (False, True):
        found = layer(values, training=training)
        assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    dropped = maps(array(found))
    without = (1 - paper_gamma(0.02, 3, 8, 8)) ** 36
    assert abs((~dropped.any(axis=(1, 2))).mean() - without) < four_sigma(len(dropped), without)
    kept = array(found)[array(found) != 0]
    np.testing.assert_allclose(kept, dropped.size / (~dropped).sum(), rtol=1e-2)


def test_integers_are_scaled_too():
    found = trained(DropBlock2D(0.2, block_size=2, seed=0), np.full((4, 6, 6, 2), 10, np.uint8))
    kept = found != 0
    np.testing.assert_allclose(found[kept], 10 * kept.size / kept.sum(), rtol=1e-5)


@pytest.mark.parametrize("rate", [1, -0.1, "half", None, True, float("nan")])
def test_a_bad_rate_is_refused(rate):
    with pytest.raises(InputError) as error:
        DropBlock2D(rate)
    assert str(error.value) == f"`rate` must be a number >= 0 and < 1. Received: rate={rate!r}."


@pytest.mark.parametrize("size", [0, -1, 2.5, True, None, (3, 3)])
def test_a_bad_block_size_is_refused(size):
    with pytest.raises(InputError) as error:
        DropBlock2D(0.1, block_size=size)
    assert str(error.value) == f"`block_size` must be a whole number >= 1. Received: block_size={size!r}."


def test_other_bad_arguments_are_refused():
    with pytest.raises(InputError) as error:
        DropBlock2D(0.1, per_channel=1)
    assert str(error.value) == "`per_channel` must be True or False. Received: per_channel=1."
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        DropBlock2D(0.1, seed="none")
    with pytest.raises(ValueError, match="expected ndim=4, found ndim=3"):
        DropBlock2D(0.1)(keras.Input((8, 8)))


def test_maps_of_unknown_size_are_refused_when_the_model_is_built():
    for shape in ((None, None, 3), (8, None, 3)):
        with pytest.raises(InputError, match="needs maps of a known height and width") as error:
            DropBlock2D(0.1)(keras.Input(shape))
        assert "SpatialDropout2D" in str(error.value)
