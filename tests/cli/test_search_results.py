"""`kerastrain report`, `compare`, `ensemble` from the command line."""

import json

import pytest
from recorded_searches import SPACE, drawn_records, write_search
from typer.testing import CliRunner

from kerastrain import tuning
from kerastrain._core.errors import InputError
from kerastrain.cli.main import app


def test_report_writes_the_file_and_prints_a_line_of_json(tmp_path):
    pytest.importorskip("optuna")
    folder = write_search(tmp_path / "search", SPACE, drawn_records(12))
    done = CliRunner().invoke(app, ["report", str(folder), "--out", str(tmp_path / "mine.html")])
    assert json.loads(done.stdout) == {"search": str(folder), "report": str(tmp_path / "mine.html")}
    assert (tmp_path / "mine.html").read_text().startswith("<!DOCTYPE html>")
    assert not (folder / "report.html").exists()
    with pytest.raises(InputError, match="expected a file"):
        CliRunner().invoke(app, ["report", str(folder), "--out", str(tmp_path)], catch_exceptions=False)


def test_compare_prints_a_table_a_warning_and_a_line_of_json(tmp_path):
    one = write_search(tmp_path / "one", SPACE, drawn_records(12), name="one")
    two = write_search(tmp_path / "two", SPACE, drawn_records(3), name="two", repeats=1)
    arguments = ["compare", str(one), str(two), "--out", str(tmp_path / "figure.png")]
    done = CliRunner().invoke(app, arguments)
    result = json.loads(done.stdout)
    assert [row["name"] for row in result["searches"]] == ["one", "two"]
    assert (tmp_path / "figure.png").stat().st_size > 0
    assert "12 of 12" in done.stderr


def test_ensemble_prints_a_row_a_member_and_the_vote(tmp_path, monkeypatch):
    scores = {"loss": 1.0, "accuracy": 0.5}
    members = [{"trial": number, "test": scores} for number in (4, 2)]
    result = {"status": "finished", "ensemble": "e.keras", "members": members, "val": None, "test": scores}
    monkeypatch.setattr(tuning, "ensemble", lambda *arguments, **options: result)
    done = CliRunner().invoke(app, ["ensemble", str(tmp_path), "--top", "2"])
    assert json.loads(done.stdout) == result
    lines = [line.split() for line in done.stderr.splitlines()]
    assert ["test", "loss", "test", "accuracy"] in lines
    assert ["trial", "4", "1.0000", "0.5000"] in lines
    assert ["vote", "1.0000", "0.5000"] in lines
    interrupted = {"status": "interrupted", "stopped": "SIGINT"}
    monkeypatch.setattr(tuning, "ensemble", lambda *arguments, **options: interrupted)
    assert CliRunner().invoke(app, ["ensemble", str(tmp_path)]).exit_code == 130
