import json
import random

import keras
import numpy as np
import pytest

from kerastrain._core import checkpoint_files, random_state

pytestmark = pytest.mark.backend


def drawn():
    """Some of everything that the generators of the process give."""
    values = [random.random(), random.gauss(0, 1), np.random.normal(), np.random.randint(1000), random.randrange(10**6)]
    values += keras.ops.convert_to_numpy(keras.random.uniform((2,))).tolist()
    if keras.backend.backend() == "torch":
        import torch

        values.append(torch.rand(1).item())
    return values


# One number of a pair that the normal generators of both libraries make has been taken, or has not.
@pytest.mark.parametrize("before", [0, 1], ids=["whole", "half a pair"])
def test_what_is_drawn_next_is_the_same(before):
    keras.utils.set_random_seed(3)
    for _ in range(before):
        random.gauss(0, 1)
        np.random.normal()
    drawn()
    state = random_state.captured()
    expected = [drawn() for _ in range(3)]
    keras.utils.set_random_seed(4)
    assert drawn() != expected[0]
    random_state.restore(state)
    assert [drawn() for _ in range(3)] == expected


def test_a_generator_of_keras_that_is_not_there_yet_is_made():
    keras.utils.set_random_seed(3)
    assert "keras" not in random_state.captured()
    drawn()
    state = random_state.captured()
    expected = drawn()
    keras.utils.set_random_seed(4)  # It has none again.
    random_state.restore(state)
    assert drawn() == expected


def test_it_goes_through_a_checkpoint(tmp_path):
    random.seed(5)
    random.gauss(0, 1)
    np.random.seed(5)
    checkpoint_files.write(tmp_path / "a", random_state.captured(), {})
    expected = drawn()
    state, _ = checkpoint_files.read(tmp_path / "a")
    random_state.restore(state)
    assert drawn() == expected


def test_it_shares_nothing_with_the_generators():
    np.random.seed(0)
    state = random_state.captured()
    kept = json.dumps(state["numpy"]["keys"].tolist())
    np.random.normal(size=2000)
    assert json.dumps(state["numpy"]["keys"].tolist()) == kept
