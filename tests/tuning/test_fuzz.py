"""Sixty of the broken files of `python -m tests.tuning.fuzz --count 2000`: each is planned or refused, in words."""

import collections

import fuzz


def test_broken_files_are_refused_in_words(tmp_path):
    kinds: collections.Counter = collections.Counter()
    path = tmp_path / "fuzzed.yaml"
    for number in range(60):
        _, text = fuzz.broken(number, seed=1)
        if text is None:
            continue
        path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        kind, message = fuzz.answer(path)
        kinds[kind] += 1
        assert kind != "traceback", f"case {number}: {message}"
        assert kind == "valid" or fuzz.fault(message, str(path)) is None, f"case {number}: {message[:2000]}"
    assert kinds["valid"] >= 3 and kinds["refused"] >= 30
