import pytest

from kerastrain._core.names import free_name, snake_case


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ClipByGlobalNorm", "clip_by_global_norm"),
        ("AdaptiveClip", "adaptive_clip"),
        ("Lookahead", "lookahead"),
        ("SGD", "sgd"),
        ("MomentumSGD", "momentum_sgd"),
        ("RMSProp", "rms_prop"),
        ("TextbookRMSProp", "textbook_rms_prop"),
        ("already_snake", "already_snake"),
        ("", ""),
    ],
)
def test_snake_case(name, expected):
    assert snake_case(name) == expected


def test_free_name():
    assert [free_name("a", taken) for taken in ([], ["a"], ["a", "a_2"], ["b"])] == ["a", "a_2", "a_3", "a"]
