"""What a run asks of its process: a device, threads, determinism, and to be told when it should stop.

Everything here is put back when the run ends, but for `keep_freed_memory`, which is for processes that do nothing else.
"""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from torch.utils import deterministic

from training.config import ConfigError, RunConfig

FILL = "fill_uninitialized_memory"
"""Torch fills new memory in deterministic mode if this is set: it costs time, and nothing here reads such memory."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h: how much free memory is given back to the system, how many blocks are mapped each on its own."""


def choose_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"run.device is {name!r}; expected auto, cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("run.device is cuda, but there is no CUDA device; choose cpu or auto.")
    return device


def keep_freed_memory() -> None:
    """Let malloc keep what tensors free, for the life of the process; nothing happens where it is not glibc's.

    By default glibc maps the memory of every large tensor anew and gives it back when it is freed, so a step on the CPU
    waits for the system to clear pages that it had a step before.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def torch_settings(run: RunConfig) -> Iterator[None]:
    """Threads and determinism of the run, put back afterwards."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = bool(getattr(deterministic, FILL))
    if run.threads:
        torch.set_num_threads(run.threads)
    if run.deterministic:
        # Trilinear sampling has no deterministic gradient on CUDA, hence a warning and not an error.
        torch.use_deterministic_algorithms(True, warn_only=True)
        setattr(deterministic, FILL, False)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
        setattr(deterministic, FILL, fill)


@contextmanager
def stop_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and a polite kill end the run between two steps; a second Ctrl-C ends it at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    try:
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever started it stops it otherwise
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
