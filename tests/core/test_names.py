import pytest

from kerastrain._core.names import snake_case


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
