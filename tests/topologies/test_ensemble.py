"""Members learn as they would alone; loss, metrics and predictions are what the class says."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.topologies import (
    VotingEnsemble,
    convnet,
    ensemble,
    member_seed,
    members,
    mlp_functional,
    mlp_sequential,
    residual,
)

RANDOM = np.random.default_rng(1)
IMAGES = RANDOM.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
LABELS = RANDOM.integers(0, 3, 24).astype("int32")
MLP = {"topology": "mlp_functional", "layers": [5], "dropout": 0.3, "regularizer": 0.05}
CONVNET = {"topology": "convnet", "widths": [3, 4], "blocks": 1, "dropout": 0.2, "regularizer": 0.01}
SHAPE = {"input_shape": (8, 8, 3), "classes": 3}


def _rescaling():
    return [keras.layers.Rescaling(1 / 255, name="rescale")]


def _trained(model, epochs=2, **compiled):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"], **compiled)
    history = model.fit(IMAGES, LABELS, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return history.history


def _alone(kind, number, seed=0):
    arguments = {key: value for key, value in kind.items() if key != "topology"}
    function = {"mlp_functional": mlp_functional, "convnet": convnet}[kind["topology"]]
    return function(**arguments, **SHAPE, preprocessing=_rescaling(), seed=member_seed(seed, number))


def _assert_same(first, second):
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_one_member_is_the_plain_model():
    model = ensemble(members=1, member=CONVNET, **SHAPE, preprocessing=_rescaling(), seed=0)
    alone = _alone(CONVNET, 1)
    history, expected = _trained(model), _trained(alone)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["accuracy"], expected["accuracy"])
    _assert_same(members(model)[0], alone)
    np.testing.assert_allclose(
        model.evaluate(IMAGES, LABELS, verbose=0), alone.evaluate(IMAGES, LABELS, verbose=0), rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.backend
def test_each_of_three_members_learns_as_it_would_alone():
    kinds = [MLP, CONVNET, MLP]
    model = ensemble(members=kinds, **SHAPE, preprocessing=_rescaling(), seed=0)
    alone = [_alone(kind, number) for number, kind in enumerate(kinds, start=1)]
    for member, single in zip(members(model), alone, strict=True):
        _assert_same(member, single)
    history = _trained(model)
    # TensorFlow takes the same steps eagerly, and makes no graph first.
    eagerly = {"run_eagerly": True} if keras.backend.backend() == "tensorflow" else {}
    histories = [_trained(single, **eagerly) for single in alone]
    for member, single in zip(members(model), alone, strict=True):
        _assert_same(member, single)
    np.testing.assert_allclose(history["loss"], np.mean([each["loss"] for each in histories], axis=0), rtol=1e-5)

    vote = np.mean([keras.ops.convert_to_numpy(single(IMAGES)) for single in alone], axis=0)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), vote, atol=1e-5)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(IMAGES)), vote, atol=1e-5)
    loss, accuracy = model.evaluate(IMAGES, LABELS, verbose=0)
    np.testing.assert_allclose(accuracy, np.mean(vote.argmax(axis=1) == LABELS), atol=1e-6)
    singles = [single.evaluate(IMAGES, LABELS, verbose=0)[0] for single in alone]
    np.testing.assert_allclose(loss, np.mean(singles), rtol=1e-5)


@pytest.mark.slow
def test_a_loaded_ensemble_evaluates_and_continues_equally(tmp_path):
    # Without dropout: Keras does not save the state of its seed generators.
    kinds = [{**MLP, "dropout": None}, {**CONVNET, "dropout": None}]
    model = ensemble(members=kinds, voting="weighted", weights=[1, 2], **SHAPE, preprocessing=_rescaling(), seed=0)
    _trained(model, epochs=1)
    model.save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras")
    assert [weight.path for weight in loaded.weights] == [weight.path for weight in model.weights]
    for each in (model, loaded):
        each.fit(IMAGES, LABELS, batch_size=8, shuffle=False, verbose=0)
    for member, single in zip(members(loaded), members(model), strict=True):
        _assert_same(member, single)
    np.testing.assert_allclose(
        loaded.evaluate(IMAGES, LABELS, verbose=0), model.evaluate(IMAGES, LABELS, verbose=0), rtol=1e-6
    )


def test_a_saturated_member_still_learns_as_alone():
    # Far in the softmax's tail only the logits carry the gradient: probabilities are clipped by the loss.
    images = IMAGES / np.float32(255)
    kind = {"topology": "mlp_functional", "layers": [4], "initializer": {"type": "random_normal", "stddev": 4.0}}
    model = ensemble(members=2, member=kind, **SHAPE, seed=0)
    alone = [
        mlp_functional(layers=[4], initializer=kind["initializer"], **SHAPE, seed=member_seed(0, k)) for k in (1, 2)
    ]
    assert min(keras.ops.convert_to_numpy(single(images)).min() for single in alone) < 1e-7
    for each in (model, *alone):
        each.compile(keras.optimizers.SGD(0.001), loss="sparse_categorical_crossentropy")
        each.fit(images, LABELS, batch_size=8, shuffle=False, verbose=0)
    for member, single in zip(members(model), alone, strict=True):
        _assert_same(member, single)


@pytest.mark.slow
def test_steps_per_execution_and_xla_and_sample_weights():
    weights = np.linspace(0.1, 2.0, 24).astype("float32")
    model = ensemble(members=2, member={**CONVNET, "dropout": None}, **SHAPE, preprocessing=_rescaling(), seed=0)
    alone = convnet(
        widths=[3, 4], blocks=1, regularizer=0.01, **SHAPE, preprocessing=_rescaling(), seed=member_seed(0, 2)
    )
    for each in (model, alone):
        each.compile(
            keras.optimizers.SGD(0.1),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            steps_per_execution=3,
            jit_compile=True,
        )
        each.fit(IMAGES, LABELS, sample_weight=weights, batch_size=8, shuffle=False, verbose=0)
    _assert_same(members(model)[1], alone)


def test_nested_in_another_model_it_gives_the_vote():
    inner = ensemble(members=2, member=MLP, **SHAPE, seed=0)
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inner(inputs)))
    outer.compile("sgd", loss="sparse_categorical_crossentropy")
    history = outer.fit(IMAGES / np.float32(255), LABELS % 2, verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert inner(IMAGES / np.float32(255), training=True).shape == (24, 3)


def test_members_are_the_models_in_order_with_paths_of_their_own():
    model = ensemble(members=["mlp_functional", CONVNET, {"topology": "residual", "depth": 8, "width": 2}], **SHAPE)
    assert isinstance(model, VotingEnsemble)
    assert [member.name for member in members(model)] == ["member1", "member2", "member3"]
    assert all(w.path.startswith("member3/") for w in members(model)[2].weights)
    assert members(model)[2].count_params() == residual(depth=8, width=2, **SHAPE).count_params()
    with pytest.raises(InputError, match="VotingEnsemble"):
        members(residual(depth=8, width=2))


def test_weighted_members():
    model = ensemble(members=2, member=MLP, voting="weighted", weights=[1, 3], **SHAPE, seed=0)
    images = IMAGES / np.float32(255)
    first, second = (keras.ops.convert_to_numpy(member(images)) for member in members(model))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(images)), 0.25 * first + 0.75 * second, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"members": 0}, "`members` must be a whole number >= 1"),
        ({"members": []}, "at least one member"),
        ({"members": ["convnet"], "member": "convnet"}, "`member` is for a number"),
        ({"members": ["multi_label"]}, "classifies one image"),
        ({"members": ["multi_input"]}, "classifies one image"),
        ({"members": ["ensemble"]}, "classifies one image"),
        ({"members": ["convent"]}, "Did you mean `convnet`"),
        ({"members": [{"depth": 20}]}, r"members\[0\]"),
        ({"member": {"topology": "convnet", "depth": 20}}, "`convnet` has no argument `depth`"),
        ({"voting": "loudest"}, "`voting` must be one of"),
        ({"voting": "weighted", "weights": [1.0]}, "one number for each of 3 members"),
        ({"weights": [1.0, 1.0, 1.0]}, "voting='weighted' only"),
    ],
)
def test_bad_ensembles_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        ensemble(**arguments, **SHAPE)


def test_a_sequential_member_votes_as_it_would_alone():
    images = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    arguments = {"layers": [5], "input_shape": (8, 8, 3), "classes": 3}
    voted = ensemble(members=[{"topology": "mlp_sequential", "layers": [5]}], input_shape=(8, 8, 3), classes=3, seed=1)
    alone = mlp_sequential(**arguments, seed=member_seed(1, 1))
    np.testing.assert_allclose(voted.predict(images, verbose=0), alone.predict(images, verbose=0), rtol=1e-5)
