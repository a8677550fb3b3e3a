"""What a run asks of its process: a device, threads, determinism, and to be told when it should stop.

Everything here is put back when the run ends.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from torch.utils import deterministic

from training.config import ConfigError, RunConfig

FILL = "fill_uninitialized_memory"
"""Torch fills new memory in deterministic mode if this is set: it costs time, and nothing here reads such memory."""


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
