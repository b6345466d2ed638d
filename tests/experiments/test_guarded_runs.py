import json

import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core.errors import InputError, WorkFailedError
from kerastrain.experiments.run_folder import RunFolder

TOO_HIGH = 1e30
EXPLODES = {
    "optimizer__rule": "sgd",
    "optimizer__learning_rate": TOO_HIGH,
    "data__preprocess": "standardize",
    "training__steps_per_execution": 1,
    "training__batch_size": 4,
}


def guarded(**options):
    return [{"type": "divergence_guard", **options}]


def test_a_run_that_diverges_goes_on_at_a_rate_that_it_bears(tiny, tiny_recipe, tmp_path):
    with pytest.raises(WorkFailedError, match="divergence_guard"):
        experiments.fit(tiny_recipe(**EXPLODES), experiments.build(tiny_recipe(**EXPLODES), tiny), tiny)
    told = []
    recipe = tiny_recipe(**EXPLODES, callbacks=guarded(rate_factor=1e-16, max_rollbacks=3))
    result = experiments.run(recipe, tmp_path / "run", data=tiny, announce=told.append)
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert 1 <= len(events) <= 3 and {event["action"] for event in events} == {"rollback"}
    for event in events:
        place = f"epoch {event['epoch'] + 1}, step {event['step']}: {event['cause']}."
        assert sum(line.startswith(place) for line in told) == 1
    exponents = [np.log10(TOO_HIGH) - 16 * (place + 1) for place in range(len(events))]
    np.testing.assert_allclose([np.log10(event["learning_rate"]) for event in events], exponents, rtol=1e-4)
    assert result["status"] == "finished" and np.isfinite(result["val"]["loss"])
    row = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert len(row) == 1 + 2


def test_when_it_gives_up_the_run_fails_and_keeps_what_it_had(tiny, tiny_recipe, tmp_path):
    recipe = tiny_recipe(**EXPLODES, callbacks=guarded(max_rollbacks=1))
    with pytest.raises(WorkFailedError, match=r"diverged: epoch 1, step .* of 1 rollbacks none is left") as error:
        experiments.run(recipe, tmp_path / "run", data=tiny)
    assert error.value.exit_code == 1
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert [event["action"] for event in events] == ["rollback", "stop"]
    assert RunFolder(tmp_path / "run").result() is None
    # The same command comes to the same end.
    with pytest.raises(WorkFailedError, match="none is left"):
        experiments.run(recipe, tmp_path / "run", data=tiny)
    assert [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()] == events


def test_what_does_not_go_together_is_told_before_the_run(tiny, tiny_recipe):
    with pytest.raises(InputError, match="gradient_factor"):
        experiments.build(tiny_recipe(callbacks=guarded(gradient_factor=9.0)), tiny)
    with pytest.raises(InputError, match="loss_factor"):
        tiny_recipe(callbacks=guarded(loss_factor=0.5))
