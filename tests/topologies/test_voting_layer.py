"""The three votes against NumPy."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.topologies import VotingLayer

MEMBERS = np.random.default_rng(3).dirichlet(np.ones(4), size=(50, 5)).astype(np.float32)


def _vote(layer, members=MEMBERS):
    return keras.ops.convert_to_numpy(layer(members))


def _majority(members):
    """Ballots one by one, in plain Python."""
    result = np.zeros((members.shape[0], members.shape[2]))
    for sample, table in enumerate(members.astype(np.float64)):
        for row in table:
            result[sample, int(np.argmax(row))] += 1
        result[sample] += 0.01 * table.mean(axis=0)
    return result / (members.shape[1] + 0.01)


def test_votes_are_their_formulas():
    np.testing.assert_allclose(_vote(VotingLayer("mean")), MEMBERS.mean(axis=1), atol=1e-6)
    weights = np.array([1.0, 0.0, 2.0, 3.0, 4.0])
    expected = np.einsum("bmc,m->bc", MEMBERS, weights / weights.sum())
    np.testing.assert_allclose(_vote(VotingLayer("weighted", weights.tolist())), expected, atol=1e-6)
    np.testing.assert_allclose(_vote(VotingLayer("majority")), _majority(MEMBERS), atol=1e-6)


@pytest.mark.parametrize(
    "layer", [VotingLayer("mean"), VotingLayer("majority"), VotingLayer("weighted", [1, 1, 1, 1, 5])]
)
def test_votes_are_probabilities_and_lists_are_stacks(layer):
    votes = _vote(layer)
    assert votes.shape == (50, 4)
    np.testing.assert_allclose(votes.sum(axis=1), 1.0, atol=1e-6)
    parts = [np.ascontiguousarray(MEMBERS[:, member]) for member in range(5)]
    np.testing.assert_array_equal(_vote(type(layer).from_config(layer.get_config()), parts), votes)
    assert layer.compute_output_shape((None, 5, 4)) == (None, 4)
    assert layer.compute_output_shape([(None, 4)] * 5) == (None, 4)


def test_a_majority_wins_against_a_larger_mean():
    members = np.array([[[0.51, 0.49, 0.0], [0.51, 0.49, 0.0], [0.0, 1.0, 0.0]]], np.float32)
    assert members.mean(axis=1).argmax() == 1
    assert _vote(VotingLayer("mean"), members).argmax() == 1
    assert _vote(VotingLayer("majority"), members).argmax() == 0
    np.testing.assert_allclose(_vote(VotingLayer("majority"), members)[0], [2 / 3, 1 / 3, 0], atol=0.01 / 3)


def test_a_tie_goes_to_the_larger_mean_of_those_tied():
    # One ballot each for classes 0 and 1; class 2 has no ballot, though its mean is the largest.
    members = np.array([[[0.45, 0.11, 0.44], [0.0, 0.51, 0.49]]], np.float32)
    assert members.mean(axis=1).argmax() == 2
    assert _vote(VotingLayer("majority"), members).argmax() == 1


@pytest.mark.parametrize(
    ("voting", "weights", "message"),
    [
        ("majorty", None, "Did you mean `majority`"),
        ("mean", [1.0, 1.0], "voting='weighted' only"),
        ("weighted", None, "`weights` must be a list"),
        ("weighted", [], "`weights` must be a list"),
        ("weighted", [1.0, -1.0], "`weights` must be a list"),
        ("weighted", [0.0, 0.0], "one is > 0"),
        ("weighted", [1.0, float("nan")], "finite"),
        ("weighted", [1.0, float("inf")], "finite"),
        ("weighted", [True, False], "numbers"),
        ("weighted", "11", "numbers"),
    ],
)
def test_bad_votes_are_refused(voting, weights, message):
    with pytest.raises(InputError, match=message):
        VotingLayer(voting, weights)


def test_weights_are_one_a_member():
    with pytest.raises(InputError, match="one number a member, so 5"):
        VotingLayer("weighted", [1.0, 2.0])(MEMBERS)
