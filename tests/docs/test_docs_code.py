"""Every Python block of docs/*.md runs, in the order of its page, and prints what it says it prints."""

import contextlib
import io
import pathlib
import re

import keras
import numpy as np
import pytest
from optimizer_probes import BACKEND, array, linear_model, regression
from readme_code import blocks

from kerastrain import callbacks, experiments
from kerastrain._core import yaml_document
from kerastrain._core.names import snake_case
from kerastrain.optimizers import ComposedOptimizer, SkipNonFinite

pytestmark = pytest.mark.backend

DOCS = pathlib.Path(__file__).parents[2] / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))


def text(page):
    return (DOCS / page).read_text(encoding="utf-8")


def said(block):
    """What the comments behind `print(...)` say; None when a print has none."""
    prints = re.findall(r"^ *print\(.*?\)(?:  # (.*))?$", block, flags=re.MULTILINE)
    return prints if all(prints) else None


def anchors(page):
    """The links that the page's headings can be reached by, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages():
    assert {"callbacks.md", "migration.md", "optimizers.md", "rules.md", "schedules.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_code_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {"__name__": page}
    for number, block in enumerate(blocks(text(page), "python"), 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, f"{page}, block {number}", "exec"), space)  # noqa: S102 - the page's own code
        if said(block) is not None:
            assert printed.getvalue().splitlines() == said(block), f"{page}, block {number}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text(page)):
        if target and not target.endswith(".md"):
            assert (DOCS / target).exists(), target
        elif anchor:
            assert anchor in anchors(target or page), f"{target}#{anchor}"
        else:
            assert (DOCS / target).exists(), target


def callback_rows():
    """Name, and what the table of optimizers.md says of it with a number and with a schedule."""
    table = text("optimizers.md").split("## Callbacks")[1].split("\n\n")[2]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \|", table, flags=re.MULTILINE)
    return [(name, rate, verdict) for name, *verdicts in rows for rate, verdict in zip(RATES, verdicts, strict=True)]


RATES = {"number": 0.1, "schedule": keras.optimizers.schedules.InverseTimeDecay(0.1, 10, 1.0)}
CALLBACKS = {
    "LearningRateScheduler": lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
    "ReduceLROnPlateau": lambda: keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1e9),
    "SwapEMAWeights": keras.callbacks.SwapEMAWeights,
    "EarlyStopping": lambda: keras.callbacks.EarlyStopping("loss", patience=0, restore_best_weights=True),
    "ModelCheckpoint": lambda: keras.callbacks.ModelCheckpoint("checkpoint.keras"),
    "BackupAndRestore": lambda: keras.callbacks.BackupAndRestore("backup"),
    "TerminateOnNaN": keras.callbacks.TerminateOnNaN,
    "CSVLogger": lambda: keras.callbacks.CSVLogger("history.csv"),
    "TensorBoard": lambda: keras.callbacks.TensorBoard("logs"),
}


@pytest.mark.parametrize(("name", "rate", "verdict"), callback_rows())
def test_table_of_callbacks(name, rate, verdict, tmp_path, monkeypatch):
    if name == "TensorBoard" and BACKEND != "tensorflow":
        pytest.skip("TensorBoard needs TensorFlow")
    monkeypatch.chdir(tmp_path)
    model = linear_model()
    model.compile(ComposedOptimizer(keras.optimizers.SGD(RATES[rate])), loss="mse", run_eagerly=True)
    inputs, targets = regression(batches=2)

    def fit():
        data = {"validation_data": (inputs, targets), "batch_size": 4, "epochs": 3, "verbose": 0}
        model.fit(inputs, targets, callbacks=[CALLBACKS[name]()], **data)

    if verdict == "yes":
        fit()
        return
    with pytest.raises({"TypeError": TypeError, "ValueError": ValueError}[verdict]):
        fit()


def test_table_names_every_callback_tried():
    assert {name for name, _, _ in callback_rows()} == set(CALLBACKS)


def test_rate_callbacks_move_the_rate():
    for name, expected in {"LearningRateScheduler": 0.0125, "ReduceLROnPlateau": 0.001}.items():
        model = linear_model()
        model.compile(ComposedOptimizer(keras.optimizers.SGD(0.1)), loss="mse")
        inputs, targets = regression(batches=2)
        model.fit(inputs, targets, batch_size=4, epochs=3, callbacks=[CALLBACKS[name]()], verbose=0)
        np.testing.assert_allclose(float(array(model.optimizer.learning_rate)), expected, rtol=1e-5)


def test_terminate_on_nan_stops_though_the_step_was_skipped():
    model = linear_model()
    model.compile(ComposedOptimizer(keras.optimizers.SGD(0.1), [SkipNonFinite()]), loss="mse")
    inputs, targets = regression(batches=4)
    targets[5] = np.nan
    options = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0}
    history = model.fit(inputs, targets, callbacks=[keras.callbacks.TerminateOnNaN()], **options)
    assert len(history.epoch) == 1 and np.isfinite(model.get_weights()[0]).all()


def test_the_recipe_of_the_callbacks_can_be_read():
    (recipe,) = blocks(text("callbacks.md"), "yaml")
    document = yaml_document.parse(f"name: a\nmodel: residual\n{recipe}", "callbacks.md")
    named = {callback["type"] for callback in experiments.from_document(document).callbacks}
    assert named == {snake_case(name) for name in callbacks.__all__} - {"stateful_callback"}
