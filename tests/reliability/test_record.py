import json

from record import Record


def test_what_is_written_is_not_done_again(tmp_path):
    path, calls = tmp_path / "a.jsonl", []

    def work():
        calls.append(1)
        return 5, [], {"files": 3}

    for _ in range(3):
        record = Record(path, "code")
        record.once("kills", 0, work)
        assert (record.done("kills"), record.done("others")) == (5, 0)
    record.once("kills", 1, work)
    assert len(calls) == 2 and record.done("kills") == 10
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["case"], row["seed"], row["count"], row["files"]) for row in rows] == [
        ("kills", 0, 5, 3),
        ("kills", 1, 5, 3),
    ]


def test_what_other_code_did_does_not_count(tmp_path):
    path = tmp_path / "a.jsonl"
    Record(path, "old").once("kills", 0, lambda: (5, ["differs"], {}))
    record = Record(path, "new")
    assert record.done("kills") == 0
    assert record.once("kills", 0, lambda: (4, [], {}))["problems"] == []
    assert Record(path, "old").once("kills", 0, None)["problems"] == ["differs"]
