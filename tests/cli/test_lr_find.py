import json

import numpy as np
import pytest

from kerastrain import experiments

QUICK = ["--smoke", "--set", "model.layers=[6]", "--set", "training.precision=float32"]


def test_it_prints_a_table_and_json_and_draws_the_curve(command, tmp_path):
    code, out, err = command("lr-find", "mlp_sequential", "--steps", 12, "--out", tmp_path / "found", *QUICK)
    assert code == 0 and len(out) == 1
    result = json.loads(out[0])
    assert result["figure"] == str(tmp_path / "found" / "learning_rate_range.png")
    assert (tmp_path / "found" / "learning_rate_range.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_allclose(result["rates"], np.geomspace(1e-7, 10.0, 12)[: len(result["rates"])], rtol=1e-4)
    assert "learning rate" in err and f"{result['losses'][0]:.4f}" in err
    assert "Suggested: " in err or "No suggestion" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", 1], "`steps`"),
        (["--min-learning-rate", 1, "--max-learning-rate", 0.1], "`max_learning_rate` must be a number > 1"),
        (["--out", "FILE"], "`out` needs a folder. Received: "),
        (["--out", "FILE/below"], "`out` needs a folder. Received: "),
    ],
    ids=str,
)
def test_bad_input_is_exit_code_2_before_anything_is_loaded(command, arguments, words, tmp_path, monkeypatch):
    def never(*arguments):
        raise AssertionError("loaded")

    monkeypatch.setattr(experiments, "load", never)
    (tmp_path / "file").write_text("the user's own")
    given = [str(each).replace("FILE", str(tmp_path / "file")) for each in arguments]
    code, out, err = command("lr-find", "mlp_sequential", *given, *QUICK)
    assert (code, out) == (2, []) and words in err and len(err.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "the user's own"
