import pytest

from kerastrain._core.terminal import duration, sparkline


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([float("nan")], ""),
        ([1.0], "▁"),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "▁▂▃▄▅▆▇█"),
        ([7.0, 0.0, float("inf"), 3.0], "█▁ ▄"),
    ],
)
def test_sparkline(values, bars):
    assert sparkline(values) == bars


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (36000, "10.0 h")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
