"""What glibc's malloc does with memory that was freed, for processes whose load it does not suit.

Both last for the life of the process and do nothing where malloc is not glibc's.
"""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""Of glibc's malloc.h: how much free memory is given back to the system, how many blocks are mapped each on its own,
how many heaps the threads share."""


def keep_freed_memory() -> None:
    """Let malloc keep what tensors free: for a process that trains and does nothing else.

    By default glibc maps the memory of every large tensor anew and gives it back when it is freed, so a step on the CPU
    waits for the system to clear pages that it had a step before.
    """
    _set((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1))


def share_heaps(count: int = 2) -> None:
    """Let all threads share `count` heaps, unless MALLOC_ARENA_MAX says how many: for a server of many threads.

    By default glibc gives threads up to eight heaps a core, and each keeps what its threads freed: a server that
    computes in the threads of its sessions then holds several times what it uses, and more with every hour. Heaps that
    exist are kept, so this comes before the threads.
    """
    if "MALLOC_ARENA_MAX" not in os.environ:
        _set((M_ARENA_MAX, count))


def _set(*options: tuple[int, int]) -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in options:
        mallopt(option, value)
