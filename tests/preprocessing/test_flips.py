import itertools

import numpy as np
import pytest

from kerastrain.preprocessing import flip_mask


def test_alternating_shows_the_other_side_in_every_next_epoch():
    masks = [flip_mask("alternating", 1000, seed=5, epoch=epoch) for epoch in range(6)]
    for before, after in itertools.pairwise(masks):
        np.testing.assert_array_equal(before, ~after)
    np.testing.assert_array_equal(masks[0], masks[4])


@pytest.mark.parametrize("kind", ["random", "alternating"])
@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_half_of_the_images_are_flipped(kind, epoch):
    # 10,000 fair coins: standard deviation 0.005; five of them.
    assert abs(flip_mask(kind, 10_000, seed=3, epoch=epoch).mean() - 0.5) < 0.025


def test_random_draws_epochs_independently():
    # Two independent fair masks agree in half of the places.
    first, second = (flip_mask("random", 10_000, seed=3, epoch=epoch) for epoch in (0, 1))
    assert abs((first == second).mean() - 0.5) < 0.025


@pytest.mark.parametrize("kind", ["none", "random", "alternating"])
def test_a_pure_function_of_its_arguments(kind):
    first = flip_mask(kind, 100, seed=1, epoch=2)
    np.random.seed(0)
    np.random.random(10)
    np.testing.assert_array_equal(first, flip_mask(kind, 100, seed=1, epoch=2))
    assert first.dtype == bool and first.shape == (100,)
    if kind == "none":
        assert not first.any()
    else:
        assert (first != flip_mask(kind, 100, seed=2, epoch=2)).any()


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"`kind` must be .*Received: kind='vertical'"):
        flip_mask("vertical", 3, seed=0, epoch=0)
