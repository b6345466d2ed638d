"""What a search tells while it runs."""

import io
import logging
import time

import pytest
from recorded_searches import record
from rich.console import Console
from small_searches import write

from kerastrain import tuning
from kerastrain.tuning.live import LiveSearch
from kerastrain.tuning.planning import plan
from kerastrain.tuning.trace_warnings import without_retracing_warnings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return plan(
        tuning.load_config(write(tmp_path_factory.mktemp("live"), search={"strategy": "random", "max_trials": 30}))
    )


def console_of(height=24, *, terminal=True):
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, height=height, color_system=None)


def shown_by(live):
    console = console_of()
    console.print(live.view())
    return console.file.getvalue()


def trial(made, number, values, **options):
    return record(number, made.trials[number - 1], values, **options)


def test_the_view_has_what_ended_what_runs_the_best_and_what_is_left(made):
    live = LiveSearch(made, console_of(), [trial(made, 1, [3.0, 2.0, 2.5])], time.monotonic() + 600.5)
    live.ended(trial(made, 2, [4.0, 3.5], status="pruned", message="pruned"))
    live.on_epoch(3, {"epoch": 0, "val_loss": 3.0})
    live.on_epoch(3, {"epoch": 1, "val_loss": 1.25})
    text = shown_by(live)
    lines = text.splitlines()
    ended = next(line for line in lines if line.split()[:1] == ["1"])
    assert ended.split()[1:4] == ["2", "2/3", "█▁▅"]
    assert f"learning_rate={made.trials[0]['optimizer.learning_rate']:.5g}" in ended
    running = next(line for line in lines if line.strip().startswith("> 3"))
    assert "1.25" in running and "2/2" in running and "█▁" in running
    assert any(line.startswith("Best: trial 1, val_loss 2") for line in lines)
    # Each took 2 s, and 28 are left.
    assert "2 of 30 trials  1 pruned  about 56 s left  10 min of the wall clock left" in text


def test_before_its_first_epoch_the_next_trial_is_shown_and_after_the_last_none(made):
    live = LiveSearch(made, console_of())
    assert "> 1" in shown_by(live)
    assert "left" not in shown_by(live)
    for number in range(1, 31):
        live.ended(trial(made, number, [1.0]))
    text = shown_by(live)
    assert ">" not in text
    assert "30 of 30 trials" in text


def test_two_workers_have_two_trials_at_a_time_and_take_half_the_time(made):
    live = LiveSearch(made, console_of(), workers=2)
    assert [line.split()[1] for line in shown_by(live).splitlines() if line.strip().startswith(">")] == ["1", "2"]
    live.ended(trial(made, 2, [4.0, 3.5]))
    live.on_epoch(3, {"epoch": 0, "val_loss": 3.0})
    assert [line.split()[1] for line in shown_by(live).splitlines() if line.strip().startswith(">")] == ["1", "3"]
    # It took 2 s, and 29 are left.
    assert "about 29 s left" in shown_by(live)


def test_a_low_terminal_keeps_the_last_trials(made):
    live = LiveSearch(made, console_of(height=14), [trial(made, number, [1.0]) for number in range(1, 21)])
    console = console_of(height=14)
    console.print(live.view())
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= 14
    numbers = [line.split()[0] for line in lines if line.split() and line.split()[0].isdigit()]
    assert numbers[:4] == ["17", "18", "19", "20"]


def test_a_log_file_has_a_line_a_trial_and_nothing_else_within_a_minute(made):
    console = console_of(terminal=False)
    live = LiveSearch(made, console)
    with live:
        live.on_epoch(1, {"epoch": 0, "val_loss": 3.0})
        live.ended(trial(made, 1, [3.0]))
    (line,) = console.file.getvalue().splitlines()
    assert line.startswith("Trial 1/30  val_loss 3 at epoch 1  learning_rate=")


def test_a_log_file_is_told_of_an_epoch_after_a_minute_without_a_line(made, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    console = console_of(terminal=False)
    live = LiveSearch(made, console)
    with live:
        # Seconds since the search began, and whether an epoch that ends then is told.
        ends = [(1, 0, 59, False), (1, 1, 61, True), (2, 0, 119, False), (2, 1, 122, True)]
        for number, epoch, seconds, told in ends:
            before = console.file.getvalue()
            now = 1000.0 + seconds
            live.on_epoch(number, {"epoch": epoch, "val_loss": 1.25})
            assert (console.file.getvalue() != before) == told
        now += 50
        live.ended(trial(made, 2, [3.0]))
        now += 50  # The line of the trial is less than a minute ago.
        live.on_epoch(3, {"epoch": 0, "val_loss": 2.0})
        now += 10
        live.on_epoch(3, {"epoch": 1})
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "Trial 1/30  after epoch 2 of 2  val_loss 1.25"
    assert lines[1] == "Trial 2/30  after epoch 2 of 2  val_loss 1.25"
    assert lines[2].startswith("Trial 2/30  val_loss 3 at epoch 1")
    assert lines[3:] == ["Trial 3/30  after epoch 2 of 2"]


def test_an_error_leaves_the_table_and_a_whole_search_does_not(made):
    for error, there in ((None, False), (RuntimeError, True)):
        console = console_of()
        try:
            with LiveSearch(made, console, [trial(made, 1, [3.0])]):
                if error is not None:
                    raise error
        except RuntimeError:
            pass
        last = console.file.getvalue().rsplit("Best: trial 1", 1)[1]
        # What a terminal gets behind the last line when it is to go: the cursor goes up and lines are erased.
        assert ("\x1b[2K" not in last.split("\n", 2)[-1]) == there
        assert console.file.getvalue().count("\x1b[?25l") == console.file.getvalue().count("\x1b[?25h")


@pytest.mark.slow
def test_every_epoch_of_a_search_is_told(tmp_path, monkeypatch):
    told = []

    def note(live, number, row):
        told.append((number, row["epoch"], row["val_loss"]))

    monkeypatch.setattr(LiveSearch, "on_epoch", note)
    config = tuning.load_config(write(tmp_path, search={"strategy": "random", "max_trials": 1}))
    result = tuning.search(config, out=tmp_path / "out")
    assert told == [(1, row["epoch"], row["val_loss"]) for row in result.trials[0].history]


def test_only_the_warning_of_much_tracing_is_kept_from_the_terminal(caplog):
    logger = logging.getLogger("tensorflow")
    retraced = "%s out of the last %s calls to %s triggered tf.function retracing. Tracing is expensive"
    with without_retracing_warnings():
        logger.warning(retraced, 5, 5, "f")
        logger.warning("another")
    logger.warning(retraced, 6, 6, "f")
    assert [record.getMessage()[:7] for record in caplog.records] == ["another", "6 out o"]


def test_while_a_process_starts_nothing_is_written_to_the_terminal(made):
    console = console_of()
    with LiveSearch(made, console) as live:
        with live.still():
            before = console.file.getvalue()
            time.sleep(0.5)  # It refreshes four times a second.
            assert console.file.getvalue() == before
        assert len(console.file.getvalue()) > len(before)
