"""Searches of a plain keras-tuner build function, and the tuner in plain keras-tuner code."""

import json

import keras
import keras_tuner
import numpy as np
import pytest

from kerastrain import tuning
from kerastrain._core.errors import InputError, RefusedError
from kerastrain.tuning import pruners

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 3)).astype("float32")
Y = (X @ [1.0, -2.0, 0.5]).astype("float32")
CONFIG = {
    "schema": 1,
    "name": "mine",
    "objective": {"metric": "val_mae", "mode": "min"},
    "search": {"strategy": "random", "max_trials": 3, "seed": 1},
    "budget": {"epochs": 2},
}
SPACE = {
    "learning_rate": {"type": "float", "min": 1e-3, "max": 1e-1, "scale": "log"},
    "activation": {"type": "choice", "values": [None, "relu"]},
}


def build(hp):
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    hidden = keras.layers.Dense(2, activation=hp.get("activation") if "activation" in hp.values else "relu")
    model = keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"], run_eagerly=True)
    return model


def wider(hp):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(hp.get("learning_rate")), "mse", metrics=["mae"])
    return model


def without_times(result):
    return [(one.number, one.parameters, one.value, one.epoch) for one in result.trials]


def search(out, config, **options):
    return tuning.search(config, build=build, data=(X, Y), out=out, batch_size=16, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return search(tmp_path_factory.mktemp("finished") / "out", {**CONFIG, "space": SPACE}, test_data=(X, Y))


def test_records_model_and_test_scores(finished):
    assert [one.status for one in finished.trials] == ["completed"] * 3
    for one in finished.trials:
        assert set(one.parameters) == set(SPACE) and len(one.history) == 2
        assert one.value == min(row["val_mae"] for row in one.history)
    model = build_with(finished.best.parameters)
    model.load_weights(finished.best_model_path)
    expected = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert finished.test == pytest.approx(expected, rel=1e-5)
    assert (
        finished.best_recipe_path is None and "learning_rate" in (finished.folder / "best_parameters.yaml").read_text()
    )


def build_with(parameters):
    hp = keras_tuner.HyperParameters()
    hp.values = dict(parameters)
    model = build(hp)
    model.optimizer.build(model.trainable_variables)
    return model


def test_a_trial_is_what_keras_alone_trains_from_the_seed(finished):
    order = np.random.default_rng([1, 5]).permutation(40)
    train, held = np.sort(order[8:]), np.sort(order[:8])
    for one in finished.trials[:2]:
        keras.utils.set_random_seed(1)
        model = build_with(one.parameters)
        keras.utils.set_random_seed(1)
        validation = (X[held], Y[held])
        history = model.fit(X[train], Y[train], batch_size=16, epochs=2, validation_data=validation, verbose=0).history
        assert history["val_mae"] == [row["val_mae"] for row in one.history]


def test_it_goes_on_behind_its_trials_and_refuses_another_search(finished, tmp_path):
    config = {**CONFIG, "space": SPACE}

    def stop(record):
        raise KeyboardInterrupt

    assert search(tmp_path / "out", config, on_trial=stop).status == "interrupted"
    seen = []
    assert without_times(search(tmp_path / "out", config, on_trial=seen.append)) == without_times(finished)
    assert [one.number for one in seen] == [2, 3]
    with pytest.raises(RefusedError, match=r"training.batch_size: 16 -> 8"):
        tuning.search(config, build=build, data=(X, Y), out=tmp_path / "out", batch_size=8)
    with pytest.raises(RefusedError, match="trained on other data"):
        tuning.search(config, build=build, data=(X, Y + 1), out=tmp_path / "out", batch_size=16, max_trials=4)


def test_a_finished_search_is_not_that_of_other_data_or_another_build(finished):
    config = {**CONFIG, "space": SPACE}
    with pytest.raises(RefusedError, match="trained on other data of the same name"):
        tuning.search(config, build=build, data=(X, -Y), out=finished.folder, batch_size=16, test_data=(X, Y))

    def another(hp):
        model = build(hp)
        model.compile(keras.optimizers.Adam(hp.get("learning_rate")), "mse", metrics=["mae"], run_eagerly=True)
        return model

    with pytest.raises(RefusedError, match=r'build\.optimizer\.class_name: "SGD" -> "Adam"'):
        tuning.search(config, build=another, data=(X, Y), out=finished.folder, batch_size=16, test_data=(X, Y))


def test_without_a_space_what_build_declares_is_searched(tmp_path):
    def conditional(hp):
        rule = hp.Choice("rule", ["sgd", "adam"])
        with hp.conditional_scope("rule", ["sgd"]):
            momentum = hp.Float("momentum", 0.0, 0.9, step=0.9)
        optimizer = keras.optimizers.Adam() if rule == "adam" else keras.optimizers.SGD(0.01, momentum=momentum)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(optimizer, "mse", metrics=["mae"], run_eagerly=True)
        return model

    config = {**CONFIG, "search": {"strategy": "grid", "max_trials": 5}, "pruner": {"type": "patience", "patience": 0}}
    with pytest.raises(InputError, match="would never end a trial"):
        tuning.search({**config, "pruner": "asha", "budget": {"epochs": 1}}, build=conditional, data=(X, Y))
    config["budget"] = {"epochs": 3}
    result = tuning.search(config, build=conditional, data=((X, Y), (X[:8], Y[:8])), out=tmp_path / "out")
    assert [one.parameters for one in result.trials] == [
        {"rule": "sgd", "momentum": 0.0},
        {"rule": "sgd", "momentum": 0.9},
        {"rule": "adam"},
    ]
    assert json.loads((tmp_path / "out" / "search.json").read_text())["identity"]["recipe"]["parameters"]["momentum"]


def test_epochs_batch_size_and_data_sets(tmp_path):
    class Pairs(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]

    space = {"learning_rate": SPACE["learning_rate"], "epochs": {"type": "int", "min": 1, "max": 2}}
    config = {**CONFIG, "space": space, "search": {"strategy": "random", "max_trials": 2, "seed": 0}}
    del config["budget"]
    with pytest.raises(
        InputError, match=r"`data`: the model .* Received: inputs float32\(8, 3\), targets float32\(8,\)"
    ):
        tuning.search(config, build=wider, data=Pairs(), validation_data=Pairs(), out=tmp_path / "out")
    result = tuning.search(config, build=build, data=Pairs(), validation_data=Pairs(), out=tmp_path / "out")
    assert [len(one.history) for one in result.trials] == [one.parameters["epochs"] for one in result.trials]


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (
            {"recipe": "residual", "objective": {"metric": "val_loss", "mode": "min"}},
            {},
            "search configuration: `recipe`: expected none beside `build=`, which makes the models. "
            "Received: recipe='residual'",
        ),
        # Known to no recipe: what is wrong here is the recipe, not the metric.
        ({"recipe": "residual"}, {}, "`recipe`: expected none beside `build=`"),
        (
            {},
            {"data": (X[:, :2], Y)},
            "`data`: the model that `build` makes for the first trial does not take it. Received: "
            "inputs float32(32, 2), targets float32(32,). ValueError: ",
        ),
        ({}, {"validation_data": (X[:, :2], Y)}, "`validation_data`: the model that `build` makes for the first trial"),
        ({}, {"test_data": (X[:, :2], Y)}, "`test_data`: the model that `build` makes for the first trial"),
        ({}, {"data": (X, np.ones((40, 3, 2)))}, "targets float64(32, 3, 2)"),
        ({"objective": {"metric": "mae", "mode": "min"}}, {}, "not a metric of the validation data"),
        ({"budget": {}}, {}, "`budget.epochs`: is missing"),
        ({"space": {"leraning_rate": SPACE["learning_rate"]}}, {}, "Did you mean `learning_rate`?"),
        ({}, {"data": X}, "the objective is on validation data"),
        ({}, {"data": (X, Y[:3])}, "expected (x, y) of equal length"),
        ({}, {"data": "cifar10"}, "expected (x, y) arrays"),
        ({}, {"build": lambda hp: keras.Sequential()}, "a model that is not compiled"),
        ({}, {"build": None, "data": None}, "`recipe`: is missing"),
    ],
)
def test_what_cannot_work_is_told_before_the_first_trial(tmp_path, change, options, words):
    arguments = {"build": build, "data": (X, Y), **options}
    with pytest.raises(InputError) as caught:
        tuning.search({**CONFIG, "space": SPACE, **change}, out=tmp_path / "out", **arguments)
    assert words in str(caught.value) and not (tmp_path / "out").exists()
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


def test_the_tuner_in_plain_keras_tuner_code(tmp_path):
    stopped = []

    class Noted(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            stopped.append(self.model.stop_training)

    oracle = tuning.RandomOracle(keras_tuner.Objective("val_mae", "min"), max_trials=4, seed=2)
    pruner = pruners.DivergencePruner(threshold=1e-9)
    tuner = tuning.SearchTuner(oracle, build, directory=tmp_path, pruner=pruner)
    fit = {"validation_data": (X, Y), "epochs": 3}
    tuner.search(X, Y, callbacks=lambda: [Noted()], **fit)
    assert [(one.status, len(one.history)) for one in tuner.records] == [("pruned", 1)] * 4 and stopped == [True] * 4
    assert [trial.status for trial in oracle.trials.values()] == ["COMPLETED"] * 4
    (best,) = tuner.get_best_hyperparameters()
    assert best.values == tuner.best.parameters
    (model,) = tuner.get_best_models()
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["mae"] == pytest.approx(tuner.best.value, rel=1e-5)
    with pytest.raises(ValueError, match="a function that returns fresh ones"):
        tuning.SearchTuner(
            tuning.RandomOracle(keras_tuner.Objective("val_mae", "min"), max_trials=1), build, directory=tmp_path
        ).search(X, Y, callbacks=[Noted()], **fit)


def test_our_oracles_in_keras_tuners_own_tuner(tmp_path):
    oracle = tuning.GridOracle(keras_tuner.Objective("val_mae", "min"), max_trials=3)

    def stepped(hp):
        hp.Float("learning_rate", 0.01, 0.03, step=0.01)
        return build(hp)

    tuner = keras_tuner.Tuner(oracle, hypermodel=stepped, directory=tmp_path, project_name="plain")
    tuner.search(X, Y, validation_data=(X, Y), epochs=1, verbose=0)
    rates = [trial.hyperparameters.values["learning_rate"] for trial in oracle.trials.values()]
    assert rates == [0.01, 0.02, 0.03]


def test_a_metric_that_training_does_not_log_ends_the_search_with_its_first_trial(tmp_path):
    config, seen = {**CONFIG, "space": SPACE, "objective": {"metric": "val_mea", "mode": "min"}}, []
    with pytest.raises(InputError, match=r'logs val_loss, val_mae. Received: "val_mea". Did you mean `val_mae`'):
        tuning.search(config, build=build, data=(X, Y), out=tmp_path / "out", on_trial=seen.append)
    assert not seen


def test_a_hyperparameter_that_is_read_but_not_declared(tmp_path):
    config = {key: value for key, value in CONFIG.items() if key != "space"}
    with pytest.raises(InputError, match="`build`: depth does not exist"):
        tuning.search(config, build=lambda hp: hp.get("depth"), data=(X, Y), out=tmp_path / "out")
