"""The report of a search: what it shows, and that it loads nothing."""

import html.parser
import importlib.util
import itertools
import json
import math
import re

import pytest
from recorded_searches import SPACE, drawn_records, record, write_search

from kerastrain import tuning
from kerastrain._core.errors import InputError
from kerastrain.tuning.optuna_study import importances, study
from kerastrain.tuning.recorded_search import read_search
from kerastrain.tuning.records import TrialRecord
from kerastrain.tuning.report import report_at_end
from kerastrain.tuning.report_figures import best_over_trials, learning_curves
from kerastrain.tuning.report_page import page
from kerastrain.tuning.report_parameters import parallel_coordinates, slices
from kerastrain.tuning.report_scale import marker_of, scale_of
from kerastrain.tuning.table import shown

pytest.importorskip("optuna")
pytest.importorskip("plotly")


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Sixty trials, some of them pruned and some diverged."""
    folder = write_search(
        tmp_path_factory.mktemp("many") / "search", SPACE, drawn_records(60), test={"accuracy": 0.6123}
    )
    return read_search(folder)


@pytest.fixture(scope="module")
def written(search):
    return page(search)


class Loads(html.parser.HTMLParser):
    """What the page would load, and what is in its elements."""

    def __init__(self):
        super().__init__()
        self.loaded, self.styles, self.scripts, self.inside = [], [], 0, None

    def handle_starttag(self, tag, attributes):
        self.inside = tag
        self.scripts += tag == "script"
        self.loaded += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        if self.inside == "style":
            self.styles.append(data)


def test_the_page_loads_nothing(written):
    loads = Loads()
    loads.feed(written)
    assert loads.loaded == []
    assert not re.search(r"@import|url\(", "".join(loads.styles))
    # plotly.js is there once; its own text names addresses of maps, which none of these pictures has.
    assert written.count("plotly.js v") == 1
    figures = written[written.index("<body>") :]
    assert not re.search(r"https?://", figures)


def test_the_answer_comes_first_and_all_sections_are_there(search, written):
    best = min((trial for trial in search.trials if trial.status == "completed"), key=lambda trial: trial.value)
    text = re.sub(r"<[^>]+>", " ", written[written.index("<body>") :])
    before = text[: text.index("Best value over trials")]
    assert f"{best.value:.5g}" in before
    assert f"trial {best.number}," in before
    assert "accuracy 0.6123" in before
    assert f"{best.parameters['optimizer.learning_rate']:.5g}" in before
    for status in ("completed", "pruned", "diverged"):
        count = sum(trial.status == status for trial in search.trials)
        assert count > 0
        assert re.search(rf"\b{count}\s+{status}", before)
    titles = re.findall(r"<h2>(.*?)</h2>", written)
    assert titles == [
        "Best value over trials",
        "What mattered",
        "Which values go together",
        "Each parameter by itself",
        "Learning curves",
        "Trials",
        "The best recipe",
        "How it was run",
        "The search file",
    ]
    assert written.count("<tr") == 60 + 1 + len(re.findall(r"<tr><th>", written))


def test_the_best_line_is_the_smallest_so_far_of_the_completed(search):
    values = [trial.value if trial.status == "completed" else float("inf") for trial in search.trials]
    expected = [None if value == float("inf") else value for value in itertools.accumulate(values, min)]
    assert list(best_over_trials(search).data[-1].y) == expected


def test_every_trial_with_a_value_has_its_line_also_without_the_conditional_parameter(search):
    paths = ["optimizer.learning_rate", "optimizer.rule.momentum", "model.dropout"]
    axes = parallel_coordinates(search, paths).data[0].dimensions
    assert [len(axis["values"]) for axis in axes] == [60] * 4
    rate, momentum, dropout = axes[:3]
    given = sorted(trial.parameters["optimizer.learning_rate"] for trial in search.trials)
    assert sorted(10**value for value in rate["values"]) == pytest.approx(given)
    inactive = momentum["tickvals"][momentum["ticktext"].index("not active")]
    adam = sum(trial.parameters["optimizer.rule"] == "adam" for trial in search.trials)
    assert momentum["values"].count(inactive) == adam
    assert all(value > inactive or value == inactive for value in momentum["values"])
    assert sorted(dropout["ticktext"]) == ["0.2", "dropout 0.5", "null"]


def test_a_curve_a_trial_and_four_names_in_the_legend(search):
    drawn = learning_curves(search).data
    assert len(drawn) == 60
    assert sorted(trace.name.split(":")[0] for trace in drawn if trace.showlegend) == [
        "best",
        "completed",
        "diverged",
        "pruned",
    ]
    pruned = next(trace for trace in drawn if trace.name == "pruned")
    trial = next(trial for trial in search.trials if trial.status == "pruned")
    assert list(pruned.y) == [row["val_loss"] for row in trial.history]
    assert list(pruned.marker["size"])[:-1] == [0] * (len(trial.history) - 1)
    assert pruned.marker["symbol"] == "x"
    assert drawn[-1].name == f"best: trial {search.best.number}"


def test_slices_are_of_the_completed_trials_that_have_the_parameter(search):
    (figure,) = slices(search, ["optimizer.rule.momentum"])
    having = [t for t in search.trials if t.status == "completed" and "optimizer.rule.momentum" in t.parameters]
    points = {(t.parameters["optimizer.rule.momentum"], t.value) for t in having}
    assert set(zip(figure.data[0].x, figure.data[0].y, strict=True)) == points
    told = {(trial.number, shown(trial.value)) for trial in having}
    assert set(map(tuple, figure.data[0].customdata)) == told


def test_importances_find_what_the_values_were_made_of(search):
    shares, best = importances(search)
    assert next(iter(shares)) == "learning_rate"
    assert shares["learning_rate"] > 0.5
    assert sum(shares.values()) == pytest.approx(1.0)
    assert best == 6
    assert "train_limit" not in shares


def test_a_log_scale_stays_one(search):
    distributions = study(search).trials[0].distributions
    assert distributions["learning_rate"].log
    assert distributions["batch_size"].log
    assert (distributions["learning_rate"].low, distributions["learning_rate"].high) == (1e-4, 1.0)


HARD = {
    "variant": {"type": "variants", "values": {f"<b>number</b> {number} & more": {} for number in range(12)}},
    "model.mixed": {"type": "choice", "values": [None, 1, 1.0000001, "1", True, [1, 2], {"type": "l2", "rate": 0.1}]},
    "model.flag": {"type": "bool"},
    "model.other": {"type": "float", "values": [1e-4, 1e-3, 1e-2], "when": {"model.flag": True}},
    "model.count": {"type": "int", "min": 1, "max": 3},
}


def test_mixed_choices_bad_names_and_few_trials_break_nothing(tmp_path):
    mixed = HARD["model.mixed"]["values"]
    records = []
    for number, name in enumerate(list(HARD["variant"]["values"]), start=1):
        chosen = {"variant": name, "model.mixed": mixed[number % len(mixed)], "model.flag": number % 2 == 0}
        if chosen["model.flag"]:
            chosen["model.other"] = 1e-3
        chosen["model.count"] = 1 + number % 3
        records.append(record(number, chosen, [0.1 * number, 0.2 * number], metric="val_accuracy", mode="max"))
    records.append(record(13, records[0].parameters, [], status="failed", message="MemoryError: <out of memory>"))
    objective = {"metric": "val_accuracy", "mode": "max"}
    for count in (1, 2, 13):
        folder = write_search(tmp_path / str(count), HARD, records[:count], objective=objective, strategy="grid")
        text = page(read_search(folder))
        body = text[text.index("<body>") :]
        assert "<b>number</b>" not in re.sub(r"<script.*?</script>", "", body, flags=re.DOTALL)
    assert "MemoryError: &lt;out of memory&gt;" in body
    assert read_search(folder).best.number == 12


def test_a_search_without_a_finite_value_has_a_page_without_pictures(tmp_path):
    chosen = {"optimizer.learning_rate": 1.0, "optimizer.rule": "adam"}
    lost = record(1, chosen, [float("nan")], status="diverged", message="diverged: the training loss became nan")
    text = page(read_search(write_search(tmp_path / "lost", SPACE, [lost])))
    assert "No trial has a finite" in text
    assert "There are no pictures" in text


def test_what_cannot_be_read_is_told_in_a_line(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: expected the folder of a search.* Received: no such folder"):
        tuning.report(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"Received: no search.json in it"):
        tuning.report(tmp_path)
    folder = write_search(tmp_path / "empty", SPACE, [])
    with pytest.raises(InputError, match="none has ended yet"):
        tuning.report(folder)
    (folder / "search.json").write_text('{"status": "fin')
    with pytest.raises(InputError, match="its records cannot be read"):
        tuning.report(folder)


def test_without_the_extra_a_line_says_what_to_install_and_a_search_is_not_harmed(tmp_path, monkeypatch):
    folder = write_search(tmp_path / "search", SPACE, drawn_records(3))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else found(name))
    with pytest.raises(InputError, match=r"^A report needs optuna: pip install 'kerastrain\[report\]'$"):
        tuning.report(folder)
    told = []
    report_at_end(folder, told.append)
    assert told == ["No report.html: A report needs optuna: pip install 'kerastrain[report]'"]
    assert not (folder / "report.html").exists()


def test_what_a_newer_version_records_besides_is_read_over(tmp_path):
    folder = write_search(tmp_path / "search", SPACE, drawn_records(3), test=None)
    summary = json.loads((folder / "search.json").read_text())
    for trial in summary["trials"]:
        trial["invented_later"] = 1.0
    summary["identity"]["invented_later"] = {"type": "median"}
    (folder / "search.json").write_text(json.dumps(summary))
    assert [trial.number for trial in read_search(folder).trials] == [1, 2, 3]


def test_a_search_of_a_build_function_has_its_parameters_from_its_trials(tmp_path):
    given = [{"units": 8 * number, "rate": 10.0**-number, "kind": "ab"[number % 2]} for number in range(1, 5)]
    records = [record(number, chosen, [1.0 / number]) for number, chosen in enumerate(given, start=1)]
    folder = write_search(tmp_path / "built", SPACE, records)
    summary = json.loads((folder / "search.json").read_text())
    summary["identity"]["recipe"] = {"build": "my_model", "parameters": {}, "training": {"epochs": 1}}
    (folder / "search.json").write_text(json.dumps(summary))
    search = read_search(folder)
    assert {name: study(search).trials[0].distributions[name].log for name in ("units", "rate")} == {
        "units": False,
        "rate": True,
    }
    text = page(search)
    assert "trials of a build function" in text
    assert "kerastrain train" not in text[text.index("<body>") :]


def test_far_values_stand_behind_an_edge_in_their_order_and_are_never_drawn_alike():
    near = [2.0, 2.1, 2.2, 2.3, 2.4, 2.5]
    for mode, sign in (("min", 1), ("max", -1)):
        values = [*(sign * value for value in near), sign * 1e9, sign * 30.0, sign * 2.6, sign * 1.5, None, math.inf]
        scale = scale_of(values, mode, near=[sign * value for value in near])
        # What is a little worse than the completed ones, or better than them, is to scale.
        assert sorted([scale.low, scale.high]) == sorted([sign * 1.5, sign * 2.6])
        assert [scale.place(value) for value in values if value is not None and 1 < sign * value < 3] == [
            sign * value for value in [*near, 2.6, 1.5]
        ]
        far = [sign * scale.place(value) for value in (sign * 2.6, sign * 30.0, sign * 1e9, None)]
        assert far == sorted(set(far)) and sign * scale.place(math.inf) == far[-1]
        assert scale.ends()[0] < min(map(scale.place, values)) and max(map(scale.place, values)) < scale.ends()[1]
        signs = [marker_of(scale, value, "circle") for value in (sign * 2.0, sign * 30.0, None)]
        assert signs == ["circle", "triangle-up" if sign == 1 else "triangle-down", "x"]
        assert scale.ticks()[1][-1] == "worse"
    alone = scale_of([*near, 30.0], "min", near=near)
    assert alone.ticks()[1][-1] == "30" and alone.ticks()[0][-1] == alone.place(30.0)


def test_of_repeats_the_headline_is_their_mean_and_the_best_trial_has_all_their_curves(tmp_path):
    first = drawn_records(1)[0].parameters
    curves = {1: [[3.0, 2.0, 2.5], [3.0, 2.8, 2.4]], 2: [[3.0, 2.9, 2.8], [3.0, 2.7, 2.6]]}
    records = []
    for number, (one, other) in curves.items():
        rows = [{"repeat": k, "epoch": e, "val_loss": v} for k, c in ((1, one), (2, other)) for e, v in enumerate(c)]
        parts = [{"repeat": k, "value": min(c)} for k, c in ((1, one), (2, other))]
        best = 1 if min(one) < min(other) else 2
        value = (min(one) + min(other)) / 2
        records.append(
            TrialRecord(number, first, "completed", value, 1, 1.0, rows, spread=0.1, best_repeat=best, repeats=parts)
        )
    folder = write_search(tmp_path / "repeated", SPACE, records)
    summary = json.loads((folder / "search.json").read_text())
    summary["identity"]["repeats"] = 2
    (folder / "search.json").write_text(json.dumps(summary))
    search = read_search(folder)
    *drawn, mean = learning_curves(search).data
    assert [list(trace.y) for trace in drawn] == [curves[2][1], *curves[1]]
    assert ["repeat 2 of 2" in trace.hovertext for trace in drawn] == [True, False, True]
    assert list(mean.y) == [2.2, 2.2] and mean.line.dash == "dot"
    large = [trace.y[list(trace.marker.size).index(10)] for trace in drawn[1:]]
    assert sum(large) / 2 == pytest.approx(2.2)
    text = re.sub(r"<[^>]+>", "", page(search))
    assert "trial 1, the mean of the best values of its 2 repeats: 2, 2.4" in text
    assert "smallest mean val_loss" in text
