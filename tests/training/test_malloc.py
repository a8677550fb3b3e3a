"""The memory of a training process stays with it; the threads of a server share theirs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="malloc can be told so on Linux only")
KEEP = """
import resource
import torch
from training.malloc import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(24 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_freed_memory()
faults()  # the heap grows around what else was allocated, until it has room
print(before, faults())
"""
SHARE = """
import ctypes, sys, threading
from training.malloc import share_heaps

libc = ctypes.CDLL(None)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
if sys.argv[2] == "share":
    share_heaps()
meet = threading.Barrier(8)

def allocate():
    meet.wait()  # all of them at once, so that malloc is asked by eight threads that live
    libc.malloc(1000)
    meet.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
[each.start() for each in threads]
[each.join() for each in threads]
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def test_freed_memory_is_used_again() -> None:
    found = subprocess.run([sys.executable, "-c", KEEP], check=True, capture_output=True, text=True).stdout
    before, after = map(int, found.split())
    assert after < before / 10


@pytest.mark.parametrize(("given", "shared", "expected"), [({}, "", 8), ({}, "share", 2),
                                                           ({"MALLOC_ARENA_MAX": "4"}, "share", 4)])  # fmt: skip
def test_threads_share_heaps(given: dict[str, str], shared: str, expected: int, tmp_path: Path) -> None:
    """Of eight threads: one heap each by default (eight a core at most), two when told so, what the user says else."""
    kept = {key: value for key, value in os.environ.items() if key != "MALLOC_ARENA_MAX"}
    report = tmp_path / "malloc.xml"
    subprocess.run([sys.executable, "-c", SHARE, str(report), shared], check=True, env=kept | given)
    heaps = report.read_text().count("<heap nr=")
    assert heaps > expected if not given and not shared else heaps == expected, report.read_text()
