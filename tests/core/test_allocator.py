"""Memory that is freed stays with the process, by the system's own count of the pages it hands out."""

import os
import subprocess
import sys

import pytest

from kerastrain._core import allocator

PAGES = 16_384  # Of 64 MiB, more than glibc ever takes from its heap by itself.
COUNT = """
import resource, sys
from kerastrain._core import allocator
said = allocator.keep_freed_memory() if sys.argv[1] == "keep" else None
b"x" * (1 << 26)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    b"x" * (1 << 26)
print(said, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, sep=";")
"""


def pages_of_four_blocks(way, **settings):
    kept = {name: value for name, value in os.environ.items() if "MALLOC" not in name and name != "LD_PRELOAD"}
    command = [sys.executable, "-c", COUNT, way]
    done = subprocess.run(command, env=kept | settings, capture_output=True, text=True, check=True)
    said, pages = done.stdout.strip().split(";")
    return said, int(pages)


@pytest.mark.skipif(allocator.platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_a_freed_block_is_not_asked_for_again():
    assert pages_of_four_blocks("leave") == ("None", pytest.approx(4 * PAGES, rel=0.02))
    said, pages = pages_of_four_blocks("keep")
    assert said == allocator.KEPT
    assert pages < PAGES / 10


@pytest.mark.parametrize(
    "settings",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=65536"}],
    ids=lambda settings: next(iter(settings)),
)
def test_what_the_user_has_set_stays(settings):
    said, pages = pages_of_four_blocks("keep", **settings)
    assert (said, pages) == ("None", pytest.approx(4 * PAGES, rel=0.02))


def test_another_c_library_or_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    assert allocator.keep_freed_memory() is None
    monkeypatch.undo()
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/libtcmalloc.so.4")
    assert allocator.keep_freed_memory() is None
