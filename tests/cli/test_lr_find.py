import json
import sys

import numpy as np
import pytest

from kerastrain.cli.main import main

QUICK = ["--smoke", "--set", "model.layers=[6]", "--set", "training.precision=float32"]


@pytest.fixture
def command(monkeypatch, capsys):
    """A function that runs `kerastrain ARGUMENTS` in this process: exit code, lines of stdout, text of stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["kerastrain", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return run


def test_it_prints_a_table_and_json_and_draws_the_curve(command, tmp_path):
    code, out, err = command("lr-find", "mlp_sequential", "--steps", 12, "--out", tmp_path / "found", *QUICK)
    assert code == 0 and len(out) == 1
    result = json.loads(out[0])
    assert result["figure"] == str(tmp_path / "found" / "learning_rate_range.png")
    assert (tmp_path / "found" / "learning_rate_range.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_allclose(result["rates"], np.geomspace(1e-7, 10.0, 12)[: len(result["rates"])], rtol=1e-4)
    assert "learning rate" in err and f"{result['losses'][0]:.4f}" in err
    assert "Suggested: " in err or "No suggestion" in err


def test_bad_input_is_exit_code_2(command, tmp_path):
    code, out, err = command("lr-find", "mlp_sequential", "--steps", 1, "--out", tmp_path, *QUICK)
    assert (code, out) == (2, []) and "`steps`" in err
