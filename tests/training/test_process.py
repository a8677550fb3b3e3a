"""The memory of a training process stays with it."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
from training.process import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(24 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_freed_memory()
torch.ones(24 * 2**20)
print(before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="malloc can be told so on Linux only")
def test_freed_memory_is_used_again() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
    before, after = map(int, found.split())
    assert after < before / 10
