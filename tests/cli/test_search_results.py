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
