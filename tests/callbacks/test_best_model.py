import contextlib

import keras
import numpy as np
import pytest

from kerastrain import optimizers
from kerastrain._core import atomic_files
from kerastrain._core.errors import InputError
from kerastrain.callbacks import BestModel

NAN, INF = float("nan"), float("inf")


def model_of(weight, optimizer="sgd"):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer, "mse")
    model.set_weights([np.array([[weight]], "float32")])
    return model


def fed(best, values, start=0):
    """The weights in the file after each epoch; the model's weight is the epoch's number."""
    found = []
    for epoch, value in enumerate(values, start=start):
        best.model.set_weights([np.array([[float(epoch)]], "float32")])
        best.on_epoch_end(epoch, {"val_loss": value, "val_accuracy": value, "loss": 1.0})
        found.append(kept(best))
    return found


def kept(best):
    return (
        float(keras.saving.load_model(best.path, compile=False).get_weights()[0][0, 0]) if best.path.exists() else None
    )


@pytest.fixture
def began(tmp_path):
    def make(**options):
        best = BestModel(tmp_path / "folder" / "best.keras", **options)
        best.set_model(model_of(0.0))
        best.on_train_begin()
        return best

    return make


@pytest.mark.backend
@pytest.mark.parametrize(
    ("options", "values", "expected"),
    [
        ({}, [3.0, 2.0, 2.5, 1.0], [0, 1, 1, 3]),
        ({}, [2.0, 2.0, NAN], [0, 0, 0]),
        ({}, [NAN, INF, 5.0, 4.0], [None, None, 2, 3]),
        ({"monitor": "val_accuracy", "mode": "max"}, [0.1, 0.3, 0.2], [0, 1, 1]),
    ],
)
def test_the_file_holds_the_best_epoch(began, options, values, expected):
    assert fed(began(**options), values) == expected


def test_what_is_best_survives_a_resume(began):
    first = began()
    fed(first, [3.0, 2.0])
    resumed = began()
    resumed.load_state_dict(first.state_dict())
    assert fed(resumed, [2.5, 1.5], start=2) == [1, 3]
    assert (resumed.best, resumed.best_epoch) == (1.5, 3)
    resumed.on_train_begin()
    assert resumed.best is None


def test_a_write_that_fails_leaves_the_old_file_and_the_old_best(began, monkeypatch):
    best = began()
    fed(best, [3.0])

    @contextlib.contextmanager
    def full(path):
        raise OSError("no space left on device")
        yield

    monkeypatch.setattr(atomic_files, "replacing", full)
    with pytest.raises(OSError, match="no space"):
        fed(best, [1.0], start=1)
    assert kept(best) == 0 and best.best == 3.0


@pytest.mark.backend
def test_the_averages_are_saved_and_the_training_goes_on(tmp_path):
    average = optimizers.PolyakAveraging()
    model = model_of(1.0, optimizers.ComposedOptimizer(keras.optimizers.SGD(0.25), averaging=average))
    x, y = np.ones((2, 1)), np.zeros((2, 1))
    best = BestModel(tmp_path / "best.keras", monitor="loss", averaged=True)
    model.fit(x, y, batch_size=1, epochs=1, callbacks=[best], verbose=0)
    # The weight halves with each of the two updates: 0.5, then 0.25.
    assert kept(best) == pytest.approx((0.5 + 0.25) / 2)
    assert float(model.get_weights()[0][0, 0]) == pytest.approx(0.25)


def test_the_averages_of_an_optimizer_that_has_none_are_refused_at_the_beginning(tmp_path):
    best = BestModel(tmp_path / "best.keras", averaged=True)
    best.set_model(model_of(1.0, keras.optimizers.SGD(0.25)))
    with pytest.raises(InputError, match=r"ComposedOptimizer that has `averaging`. Its optimizer is: SGD"):
        best.on_train_begin()


@pytest.mark.parametrize("place", ["file/best.keras", "file/below/best.keras", "folder.keras"])
def test_a_path_at_which_there_can_be_no_file_is_refused_at_the_beginning(place, tmp_path):
    (tmp_path / "file").write_text("the user's own")
    (tmp_path / "folder.keras").mkdir()
    best = BestModel(tmp_path / place)
    with pytest.raises(InputError, match=r"`path` (must be a file|needs a folder. Received: .* is a file)\."):
        best.on_train_begin()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"path": "best.h5"}, "path"),
        ({"path": 3}, "path"),
        ({"mode": "least"}, "mode"),
        ({"monitor": ""}, "monitor"),
        ({"averaged": 1}, "averaged"),
        ({"verbose": 2}, "verbose"),
    ],
)
def test_bad_arguments(arguments, word):
    with pytest.raises(InputError, match=f"`{word}`"):
        BestModel(**{"path": "best.keras", **arguments})
