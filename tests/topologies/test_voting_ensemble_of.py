"""One model out of trained ones: its vote against NumPy, its file, and what is refused."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.topologies import convnet, members, voting_ensemble_of

IMAGES = np.random.default_rng(0).random((6, 8, 8, 3)).astype(np.float32)


def three():
    networks = [convnet(widths=[4], blocks=1, input_shape=(8, 8, 3), classes=3, seed=seed) for seed in range(2)]
    flat = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax", name="head")]
    return [*networks, keras.Sequential(flat)]


def probabilities(models):
    return np.stack([keras.ops.convert_to_numpy(model(IMAGES)) for model in models])


@pytest.mark.backend
@pytest.mark.parametrize(
    ("voting", "weights", "expected"),
    [
        ("mean", None, lambda p: p.mean(axis=0)),
        ("weighted", [1.0, 0.0, 3.0], lambda p: 0.25 * p[0] + 0.75 * p[2]),
        ("majority", None, None),
    ],
)
def test_it_answers_with_the_vote_and_is_one_file(tmp_path, voting, weights, expected):
    models = three()
    ensemble = voting_ensemble_of(models, voting, weights)
    found = ensemble.predict(IMAGES, verbose=0)
    each = probabilities(models)
    if expected is None:
        ballots = np.stack([np.bincount(votes, minlength=3) for votes in each.argmax(axis=2).T])
        for row, count in zip(found, ballots, strict=True):
            assert count[row.argmax()] == count.max()
    else:
        np.testing.assert_allclose(found, expected(each), rtol=1e-5, atol=1e-6)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.saving.load_model(tmp_path / "ensemble.keras")
    np.testing.assert_allclose(loaded.predict(IMAGES, verbose=0), found, rtol=1e-6, atol=1e-7)


def test_the_members_are_copies_whose_paths_say_whose_they_are():
    models = three()
    ensemble = voting_ensemble_of(models)
    assert {path.path.split("/")[0] for path in ensemble.weights} == {"member1", "member2", "member3"}
    before = [weight.copy() for weight in models[0].get_weights()]
    members(ensemble)[0].set_weights([np.zeros_like(weight) for weight in before])
    for one, other in zip(models[0].get_weights(), before, strict=True):
        assert one.tobytes() == other.tobytes()


def test_checkpoints_of_one_training_are_members(tmp_path):
    # The snapshots of a cyclical training are the files that Keras's ModelCheckpoint leaves.
    model = three()[0]
    model.compile("sgd", "sparse_categorical_crossentropy")
    save = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    model.fit(IMAGES, np.arange(6) % 3, epochs=3, verbose=0, callbacks=[save])
    paths = [tmp_path / f"{epoch}.keras" for epoch in (1, 2, 3)]
    ensemble = voting_ensemble_of([paths[0], str(paths[1]), model])
    expected = probabilities([keras.saving.load_model(path) for path in paths]).mean(axis=0)
    np.testing.assert_allclose(ensemble.predict(IMAGES, verbose=0), expected, rtol=1e-5, atol=1e-6)


def other_shapes():
    inputs = keras.Input((4, 4, 3))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))


def no_classes():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: voting_ensemble_of([]), "`models` must be a list"),
        (lambda: voting_ensemble_of("a.keras"), "`models` must be a list"),
        (lambda: voting_ensemble_of(["nowhere.keras"]), r"`models\[0\]`: there is no file nowhere.keras"),
        (lambda: voting_ensemble_of([three()[0], 3]), r"`models\[1\]` must be a built model of one input"),
        (lambda: voting_ensemble_of([keras.Sequential([keras.layers.Dense(2)])]), "must be a built model"),
        (lambda: voting_ensemble_of([three()[0], other_shapes()]), r"`models\[1\]` must have the shapes of the first"),
        (lambda: voting_ensemble_of(three(), "weighted", [1.0]), "one number for each of 3 models"),
        (lambda: voting_ensemble_of(three(), "median"), "`voting` must be one of"),
        (lambda: voting_ensemble_of([no_classes()]), "must give class probabilities"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"no model")
    with pytest.raises(InputError, match="is no Keras model"):
        voting_ensemble_of([tmp_path / "broken.keras"])
