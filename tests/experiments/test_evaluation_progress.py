"""A line now and then on how far an evaluation is."""

import itertools

import keras
import numpy as np
import pytest

from kerastrain.experiments import evaluation_progress
from kerastrain.experiments.evaluation_progress import EvaluationProgress


def told_of(monkeypatch, seconds_a_batch):
    """The lines of an evaluation of five batches under a clock that moves so far a batch."""
    clock = itertools.count(100.0, seconds_a_batch)
    monkeypatch.setattr(evaluation_progress.time, "perf_counter", lambda: next(clock))
    lines = []
    progress = EvaluationProgress(lines.append, "Evaluating")
    progress.set_params({"steps": 5})
    progress.on_test_begin()
    for batch in range(5):
        progress.on_test_batch_end(batch)
    return lines


def test_a_long_evaluation_says_how_far_it_is_and_how_long_it_takes(monkeypatch):
    assert told_of(monkeypatch, 12.0) == [
        "Evaluating: 20%, about 48 s left",
        "Evaluating: 40%, about 36 s left",
        "Evaluating: 60%, about 24 s left",
        "Evaluating: 80%, about 12 s left",
    ]
    assert told_of(monkeypatch, 6.0) == ["Evaluating: 40%, about 18 s left", "Evaluating: 80%, about 6 s left"]


def test_a_short_one_says_nothing(monkeypatch):
    assert told_of(monkeypatch, 1.0) == []


@pytest.mark.backend
def test_keras_tells_it_of_every_batch(monkeypatch):
    monkeypatch.setattr(evaluation_progress, "EVERY", 0.0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse", jit_compile=False)
    lines = []
    data = np.zeros((6, 2), np.float32), np.zeros((6, 1), np.float32)
    model.evaluate(*data, batch_size=2, verbose=0, callbacks=[EvaluationProgress(lines.append, "Evaluating")])
    assert [line.split(",")[0] for line in lines] == ["Evaluating: 33%", "Evaluating: 67%"]
