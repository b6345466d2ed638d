"""Trainings that are killed, stopped, or left without a disk, and continued to the same end, bit for bit.

`python -m tests.reliability --full` does the same in the numbers of the promise.
"""

import pytest
from children import Children
from training import FEATURES
from training_cases import TrainingCases

pytestmark = pytest.mark.slow  # CI runs them as a step of its own.


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    with Children() as children:
        yield TrainingCases(children, tmp_path_factory.mktemp("trainings"))


@pytest.mark.parametrize("features", FEATURES)
def test_two_without_a_fault_are_identical(features, cases):
    result = cases.identical(features)
    assert result["problems"] == []
    assert result["steps"] == (12 if "execution" in FEATURES[features] else 24)
    assert result["variables"] > 10


def test_the_comparison_does_find_a_difference(cases):
    # The training without noise must not pass for the one with it.
    cases.whole("plain")
    kept = cases._whole["plain"]
    cases._whole["plain"] = cases.whole("regularized")
    try:
        problems = cases.identical("plain")["problems"]
    finally:
        cases._whole["plain"] = kept
    assert "variables differ" in problems and "history differ" in problems
    assert any(problem.startswith("steps differ") for problem in problems)


def test_twenty_random_kills(cases):
    kills, seed = 0, 0
    while kills < 20:
        result = cases.stopped(seed, min(7, 20 - kills))
        assert result["problems"] == [], seed
        kills, seed = kills + result["stops"], seed + 1
        assert seed < 20


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals(name, cases):
    stops, seed = 0, 1
    while not stops:  # At random places; all of a training's may come before its beginning or behind its end.
        result = cases.stopped(seed, 3, name)
        assert result["problems"] == [], seed
        stops, seed = result["stops"], seed + 1
        assert seed < 12


@pytest.mark.parametrize(("part", "mode"), [(0.3, "half"), (0.6, "kill"), (0.9, "kill")])
def test_a_kill_within_a_save_of_a_training(part, mode, cases):
    operation = round(part * cases.operations_of_a_save())
    assert cases.killed_in_a_save(operation, mode)["problems"] == []


@pytest.mark.parametrize(("seed", "policy"), [(0, "fail"), (1, "warn")])
def test_a_file_system_that_fails(seed, policy, cases):
    assert cases.failing_file_system(seed, policy)["problems"] == []


def test_all_checkpoints_damaged(cases):
    assert cases.all_damaged(0)["problems"] == []


def test_a_finished_one_again(cases):
    assert cases.finished()["problems"] == []


def test_two_processes_in_one_folder(cases):
    assert cases.two_processes(0)["problems"] == []
