"""Every changed bit of a checkpoint is found, named, set aside, and the checkpoint before it used."""

import collections
import shutil

import pytest
from store_cases import FILES, KINDS, all_detected, detected, prepared
from training_probes import Training

from kerastrain._core import checkpoint_files


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two checkpoints of a real training."""
    folder = tmp_path_factory.mktemp("training")
    Training(folder, at=(1, 3), every_steps=1).crashes()
    yield folder / "checkpoints"
    shutil.rmtree(folder)


# 200 in all, spread over the three files.
@pytest.mark.parametrize(("kind", "count"), list(zip(KINDS, (104, 60, 30, 6), strict=True)))
def test_it_is_detected(kind, count, checkpoints, tmp_path):
    results = [detected(checkpoints, tmp_path / "copy", kind, seed) for seed in range(count)]
    assert [(seed, result) for seed, result in enumerate(results) if not result["ok"]] == []
    assert collections.Counter(result["file"] for result in results).keys() == set(FILES)


def test_every_bit_of_a_small_manifest(tmp_path):
    path = prepared(tmp_path).paths()[-1] / "manifest.json"
    content = path.read_bytes()
    missed = []
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            checkpoint_files.read_manifest(path.parent)
        except checkpoint_files.DamagedError:
            continue
        missed.append(bit)
    assert missed == []


def test_all_of_them_damaged_loads_none(checkpoints, tmp_path):
    results = [all_detected(checkpoints, tmp_path / "copy", seed) for seed in range(20)]
    assert [seed for seed, result in enumerate(results) if not result["ok"]] == []


def test_what_is_swapped_between_checkpoints_is_found_too(checkpoints, tmp_path):
    shutil.copytree(checkpoints, tmp_path / "copy")
    older, newest = sorted((tmp_path / "copy").glob("checkpoint-*"))[-2:]
    shutil.copy(older / "arrays.bin", newest / "arrays.bin")
    with pytest.raises(checkpoint_files.DamagedError, match=r"arrays.bin is not what was written"):
        checkpoint_files.read(newest)
    # Not by its length, which is the same.
    assert (older / "arrays.bin").stat().st_size == (newest / "arrays.bin").stat().st_size
