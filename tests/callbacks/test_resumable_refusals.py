"""What a ResumableCheckpoint does not accept, and what it says."""

import json
import re

import keras
import numpy as np
import pytest
from training_probes import INPUTS, TARGETS, Training, batches, network

from kerastrain import callbacks
from kerastrain._core import folder_lock
from kerastrain._core.differences import differences
from kerastrain._core.errors import InputError, RefusedError, WorkFailedError
from kerastrain.callbacks import ResumableCheckpoint
from kerastrain.callbacks.training_identity import common_callbacks, training_identity

BATCHES = "batches"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_epochs": 0}, "every_epochs"),
        ({"every_epochs": 1.5}, "every_epochs"),
        ({"every_epochs": True}, "every_epochs"),
        ({"every_steps": 0, "data": BATCHES}, "every_steps"),
        ({"every_minutes": 0}, "every_minutes"),
        ({"every_minutes": float("nan")}, "every_minutes"),
        ({"keep_last": 0}, "keep_last"),
        ({"keep_best": -1}, "keep_best"),
        ({"monitor": ""}, "monitor"),
        ({"mode": "largest"}, "mode"),
        ({"on_failure": "ignore"}, "on_failure"),
        ({"on_signal": "wait"}, "on_signal"),
        ({"data": np.zeros(3)}, "`data` must be able to start within an epoch.*Received: ndarray"),
        ({"identity": 3}, "`identity` must be a dictionary.*Received: identity=3"),
        ({"identity": {"seed": {1}}}, "`identity` must be a dictionary"),
        ({"every_steps": 5}, "`every_steps` needs `data`.*Received: data=None, every_steps=5"),
        ({"every_epochs": None}, "One of `every_epochs`, `every_steps` and `every_minutes` must say when"),
    ],
    ids=str,
)
def test_arguments_out_of_range(arguments, message, tmp_path):
    if arguments.get("data", "") is BATCHES:
        arguments = arguments | {"data": batches()}
    with pytest.raises(InputError, match=message):
        ResumableCheckpoint(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The checkpoints of a training that crashed in its second epoch, in its third step."""
    folder = tmp_path_factory.mktemp("begun")
    Training(folder, at=(1, 3), every_steps=1, identity={"seed": 0}).crashes()
    return folder


@pytest.fixture
def folder(begun, tmp_path):
    """A copy of them."""
    for path in begun.rglob("*"):
        if path.is_file() and path.name != ".lock":
            target = tmp_path / path.relative_to(begun)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def second_loss(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true[:, :2] - y_pred), axis=-1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"network": lambda: network(keras.optimizers.SGD(0.05, name="sgd"))}, 'class_name: "Adam" -> "SGD"'),
        ({"network": lambda: network(keras.optimizers.Adam(0.25, name="adam"))}, r"learning_rate: 0\.05\d* -> 0\.25"),
        ({"network": lambda: network(units=5)}, r"units: 4 -> 5.*variables\[1\]\[1\]\[1\]: 4 -> 5"),
        ({"network": lambda: network(loss=second_loss)}, r'loss.*"tests>first_two" -> "second_loss"'),
        ({"network": lambda: network(steps_per_execution=2)}, "steps_per_execution: 1 -> 2"),
        ({"network": lambda: network(jit_compile=True)}, "jit_compile: false -> true"),
        ({"data": lambda: batches(seed=1)}, r"data.seed: 0 -> 1"),
        ({"data": lambda: batches(batch_size=9)}, r"data.batch_size: 6 -> 9; batches: 6 -> 4"),
        ({"data": lambda: batches(inputs=INPUTS + np.float32(1))}, r'data.sha256.inputs: "[0-9a-f]+" -> "[0-9a-f]+"'),
        ({"seen": False}, r"data.samples: 36 -> nothing"),
        ({"identity": {"seed": 1}}, r"yours.seed: 0 -> 1"),
        ({"identity": None}, r"yours.seed: 0 -> nothing"),
    ],
    ids=[
        "optimizer",
        "learning rate",
        "width",
        "loss",
        "steps_per_execution",
        "jit",
        "seed",
        "batch size",
        "data",
        "none",
        "1",
        "yours",
    ],
)
def test_another_training_is_refused_by_field_with_old_and_new(changed, message, folder):
    before = content(folder)
    training = Training(folder, **{"identity": {"seed": 0}} | changed)
    with pytest.raises(RefusedError, match=rf"(?s)holds another training. It differs in .*{message}") as found:
        training.run()
    assert "Use another folder, or remove it." in str(found.value)
    assert training.steps.rows == {} and content(folder) == before


@pytest.mark.parametrize("first", [True, False], ids=["first in the list", "last in the list"])
def test_a_refused_training_leaves_what_its_callbacks_would_begin_anew(first, tmp_path):
    # Keras's CSVLogger empties its file when a training begins.
    def trained(others=(), epochs=2, **options):
        data, checkpoint = batches(), ResumableCheckpoint(tmp_path, announce=lambda line: None, **options)
        log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
        both = [checkpoint, log, *others] if first else [log, *others, checkpoint]
        network().fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=both)

    trained()
    written = (tmp_path / "log.csv").read_bytes()
    assert written.count(b"\r\n") == 3
    with pytest.raises(RefusedError, match=r"CSVLogger, History -> CSVLogger, EarlyStopping, History"):
        trained([keras.callbacks.EarlyStopping("loss", patience=9)])
    assert (tmp_path / "log.csv").read_bytes() == written
    with pytest.raises(RefusedError, match=r"is finished after epoch 2. epochs: 2 -> 1"):
        trained(epochs=1)
    with pytest.raises(RefusedError, match=r"yours\.seed"):
        trained(identity={"seed": 1})
    assert (tmp_path / "log.csv").read_bytes() == written
    held = folder_lock.locked(tmp_path / "checkpoints", argument="folder", remedy="")
    with held, pytest.raises(RefusedError, match="in use by another process"):
        trained()
    assert (tmp_path / "log.csv").read_bytes() == written
    trained()  # Finished: its result is told, and nothing is lost.
    assert (tmp_path / "log.csv").read_bytes() == written


def test_other_callbacks_are_refused(folder):
    training = Training(folder, identity={"seed": 0}, callbacks=lambda: [keras.callbacks.EarlyStopping("loss")])
    with pytest.raises(RefusedError, match=r"History -> EarlyStopping, History. Use the same"):
        training.run()
    assert training.steps.rows == {}
    # Nothing has been said to go on that does not.
    assert not any("goes on" in line for line in training.lines)


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (keras.callbacks.EarlyStopping("loss", patience=3), keras.callbacks.EarlyStopping("loss"), "patience: 3 -> 0"),
        (
            keras.callbacks.ReduceLROnPlateau("loss", min_lr=0.5),
            keras.callbacks.ReduceLROnPlateau("val_loss"),
            'monitor: "loss" -> "val_loss"; .*min_lr: 0.5 -> 0.0',
        ),
        (
            callbacks.EarlyStopping(["loss", "val_loss"], patience=3, mode="min", min_delta=[0.0, 0.5]),
            callbacks.EarlyStopping(["loss", "val_samples"], patience=3, mode="min"),
            r'monitor\[1\]: "val_loss" -> "val_samples"; .*min_delta',
        ),
        (
            callbacks.DivergenceGuard(2, loss_factor=9),
            callbacks.DivergenceGuard(loss_factor=8),
            "loss_factor: 9.0 -> 8",
        ),
        (callbacks.BestModel("a.keras", "loss"), callbacks.BestModel("b.keras", "val_loss"), "BestModel.monitor.name"),
        (
            callbacks.ScheduleHyperparameter("momentum", lambda epoch: 0.5),
            callbacks.ScheduleHyperparameter("nesterov", lambda epoch: 0.5),
            "ScheduleHyperparameter.hyperparameter",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_arguments_of_a_callback_are_found_by_field(one, other, message):
    model = network()
    old, new = (training_identity(model, None, 6, None, [each, keras.callbacks.History()]) for each in (one, other))
    rows = "; ".join(differences(*common_callbacks(old, new)))
    assert rows.startswith(f"callbacks.{type(one).__name__}.") and re.search(message, rows)
    assert differences(old, training_identity(model, None, 6, None, [one])) == []
    # One that is not there is none that differs.
    assert differences(*common_callbacks(old, training_identity(model, None, 6))) == []


@pytest.mark.parametrize(
    ("fitted", "message"),
    [
        ({"validation_data": (INPUTS[:8] + 1, TARGETS[:8])}, r"validation.data\[0\]: \"float32 \(8, 3\) sha256"),
        ({"validation_data": None}, "validation.*-> (null|nothing)"),
        ({"validation_batch_size": 3}, "validation.batch_size: null -> 3"),
        ({"validation_freq": 2}, "validation.every_epochs: 1 -> 2"),
    ],
    ids=["data", "none", "batch size", "frequency"],
)
def test_another_validation_is_refused(fitted, message, folder):
    training = Training(folder, identity={"seed": 0})
    with pytest.raises(RefusedError, match=f"holds another training. It differs in {message}"):
        training.run(**fitted)
    assert training.steps.rows == {}


def test_other_patience_is_refused_and_nothing_is_trained(tmp_path):
    def training(patience, **options):
        stopping = callbacks.EarlyStopping("val_loss", patience=patience)
        return Training(tmp_path, callbacks=lambda: [stopping], **options)

    training(7, at=(1, 0)).crashes(2)
    again = training(9)
    with pytest.raises(RefusedError, match=r"differs in callbacks.EarlyStopping.patience: 7 -> 9. Use another"):
        again.run(2)
    assert again.steps.rows == {}


def test_fewer_epochs_than_are_done_are_refused(folder):
    training = Training(folder, identity={"seed": 0})
    with pytest.raises(RefusedError, match=r"is already in epoch 2. epochs: 3 -> 1. Give `fit` as many epochs"):
        training.run(1)
    assert training.steps.rows == {}
    assert Training(folder, identity={"seed": 0}).run(2).history.epoch == [0, 1]


def flip(path):
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 16
    path.write_bytes(damaged)


@pytest.mark.parametrize("name", ["arrays.bin", "state.json", "manifest.json"])
def test_a_damaged_one_is_named_and_the_one_before_is_used(name, folder):
    *_, older, newest = sorted((folder / "checkpoints").glob("checkpoint-*"))
    flip(newest / name)
    training = Training(folder, at=(1, 4), identity={"seed": 0}).crashes()
    assert training.checkpoint.resumed_from == older
    assert training.lines[0].startswith(f"{newest}: damaged: {name}")
    assert (folder / "checkpoints" / newest.name.replace("checkpoint", "damaged")).is_dir()
    # The newest was behind step 3 of the second epoch.
    assert min(training.steps.rows) == (1, 2)


def test_of_a_training_whose_end_is_damaged_only_the_end_is_made_again(tmp_path):
    whole = Training(tmp_path).run(2)
    flip(sorted((tmp_path / "checkpoints").glob("checkpoint-*"))[-1] / "arrays.bin")
    again = Training(tmp_path).run(2)
    assert again.steps.rows == {} and again.everything() == whole.everything()
    assert again.lines[-1].endswith(": all 2 epochs are trained, and training ends.")


def test_all_damaged_is_an_error_and_nothing_is_trained(folder):
    paths = sorted((folder / "checkpoints").glob("checkpoint-*"))
    for path in paths:
        flip(path / "arrays.bin")
    for _ in range(2):
        training = Training(folder, identity={"seed": 0})
        with pytest.raises(WorkFailedError, match=f"all {len(paths)} checkpoints are damaged; nothing was trained"):
            training.run()
        assert training.steps.rows == {}


def test_what_is_remembered_by_one_without_state_is_told(tmp_path):
    class Forgetful(keras.callbacks.Callback):
        pass

    training = Training(tmp_path, callbacks=lambda: [Forgetful(), keras.callbacks.TerminateOnNaN()]).run(1)
    assert [line for line in training.lines if "Not in the checkpoints" in line] == [
        "Not in the checkpoints: what Forgetful remembers. Give it `state_dict()` and `load_state_dict(state)`, see "
        "kerastrain.callbacks.StatefulCallback."
    ]


def test_other_circumstances_are_told(folder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    training = Training(folder, at=(1, 4), identity={"seed": 0}).crashes()
    assert any(
        "so not bit-identical: " in line and 'threads.OMP_NUM_THREADS: nothing -> "77"' in line
        for line in training.lines
    )


def test_the_manifest_says_what_it_is_about_without_code(folder):
    newest = max((folder / "checkpoints").glob("checkpoint-*"))
    about = json.loads((newest / "manifest.json").read_text())["about"]
    assert (about["epoch"], about["step"], about["epochs"], about["steps"]) == (1, 3, 3, 6)
    assert about["circumstances"]["versions"]["keras"] == keras.__version__
    assert set(about["circumstances"]["machine"]) == {"processor", "flags", "cores"}


@pytest.mark.parametrize("wrong", ["shuffle", "other data", "steps_per_epoch"])
def test_data_that_fit_does_not_go_through_in_order_are_refused(wrong, tmp_path):
    data, model = batches(), network()
    checkpoint = ResumableCheckpoint(tmp_path, data, announce=lambda line: None)
    options = {"shuffle": {"shuffle": True}, "steps_per_epoch": {"shuffle": False, "steps_per_epoch": 3}}
    given = batches() if wrong == "other data" else data
    with pytest.raises(InputError, match=f"(?i){wrong.split()[-1]}"):
        model.fit(given, callbacks=[checkpoint], verbose=0, **options.get(wrong, {"shuffle": False}))


def test_logs_that_are_no_numbers_do_not_end_the_training(tmp_path):
    class LogsVector(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["of_each_class"] = np.array([0.25, 0.75])

    first = Training(tmp_path, callbacks=lambda: [LogsVector()], at=(1, 3)).crashes(2)
    again = Training(tmp_path, callbacks=lambda: [LogsVector()]).run(2)
    np.testing.assert_array_equal(again.history.history["of_each_class"], [[0.25, 0.75]] * 2)
    assert not first.checkpoint.finished
