"""`kerastrain report`, `compare`, `ensemble` from the command line."""

import json

import pytest
from recorded_searches import SPACE, drawn_records, write_search
from typer.testing import CliRunner

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
