import pickle
import struct
import time

import numpy as np
import pytest

from kerastrain.datasets import python_batch


def as_python_2_wrote_it(rows: np.ndarray, labels: list[int]) -> bytes:
    """The original's form: protocol 2, byte strings, NumPy's old module name; put together opcode by opcode."""
    return b"".join(
        [
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(",
            *(b"K" + bytes([label]) for label in labels),
            b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09",
            b"(K\x01K" + bytes([len(rows)]) + b"M\x00\x0c\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b",
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T",
            struct.pack("<i", rows.size) + rows.tobytes() + b"tbu.",
        ]
    )


def test_reads_what_python_2_wrote():
    rows = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
    content = as_python_2_wrote_it(rows, [6, 9, 0])
    np.testing.assert_array_equal(pickle.loads(content, encoding="bytes")[b"data"], rows)  # noqa: S301  (our own bytes)
    read_rows, read_labels = python_batch.read(content)
    np.testing.assert_array_equal(read_rows, rows)
    assert read_labels.tolist() == [6, 9, 0]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_what_python_3_wrote(protocol, order):
    rows = np.asarray(np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8), order=order)
    for keys in (("data", "labels"), (b"data", b"labels")):
        content = pickle.dumps(dict(zip(keys, (rows, [1, 2, 3]), strict=True)), protocol=protocol)
        np.testing.assert_array_equal(python_batch.read(content)[0], rows)


class RunsACommand:
    def __reduce__(self):
        import os

        return os.system, ("exit 1",)


REFUSED = {
    "a command": ({"data": RunsACommand()}, "system"),
    "eval": ({"data": eval}, "eval"),
    "an object array": ({"data": np.array([None]), "labels": [0]}, "not uint8"),
    "floats": ({"data": np.zeros((1, 3072)), "labels": [0]}, "not uint8"),
    "another shape": ({"data": np.zeros((1, 3071), np.uint8), "labels": [0]}, r"\(n, 3072\)"),
    "no array": ({"data": b"0" * 3072, "labels": [0]}, "no NumPy array"),
    "no data": ({"labels": [0]}, "no `data`"),
    "no labels": ({"data": np.zeros((1, 3072), np.uint8)}, "no `labels`"),
    "label 10": ({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}, "0 to 9"),
    "label true": ({"data": np.zeros((1, 3072), np.uint8), "labels": [True]}, "0 to 9"),
    "a list": ([1, 2], "no dictionary"),
}


@pytest.mark.parametrize("batch, message", REFUSED.values(), ids=REFUSED.keys())
def test_refuses_everything_else(batch, message):
    with pytest.raises(ValueError, match=message):
        python_batch.read(pickle.dumps(batch, protocol=2))


def test_a_flipped_memo_index_does_not_ask_for_gigabytes():
    started = time.perf_counter()
    with pytest.raises(ValueError, match="memo index"):
        python_batch.read(b"\x80\x02}r\xff\xff\xff\x7f.")
    assert time.perf_counter() - started < 1


def test_a_pickle_cannot_change_the_stand_ins():
    content = b"\x80\x02c_codecs\nencode\n}U\x04evilK\x01sb."
    with pytest.raises(Exception):  # noqa: B017  (whichever type: what counts is that it is refused)
        python_batch.read(content)
    assert not hasattr(python_batch._Latin1, "evil")
