"""What was computed is kept for whoever asks the same: bounded in number and in bytes, and computed once for thirty.

    kept = Kept(entries=256, size=768 << 20)
    kept.get(("evidence", checkpoint, clip), lambda: gather_evidence(...))

Keys name content, never a person. Who asks while somebody else's call computes the same waits for that one. What fails
is kept for nobody, and everyone who waited gets the same error.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, wait
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

import numpy as np
import streamlit as st

from xai.dashboard.limits import limits

T = TypeVar("T")
AGAIN = 0.5
"""Seconds between two words to who waits for what somebody else computes."""
SMALL = 64
"""Bytes of a number or of the frame around something, roughly."""


class GivenUp(Exception):  # noqa: N818  (nothing went wrong)
    """Who computed it went away, or was cancelled, before it was there; the next one computes it."""


class Kept:
    """Least recently used goes first. Every method may be called from any thread."""

    def __init__(self, entries: int, size: int) -> None:
        self._entries, self._size = entries, size
        self._held: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._made: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T], waiting: Callable[[], None] = lambda: None) -> T:
        """What is kept under `key`, or what `make` returns.

        While somebody else makes it, `waiting` is called twice a second; what it raises ends the waiting.
        """
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return cast(T, self._held[key][0])
            mine = key not in self._made
            future: Future[Any] = self._made.setdefault(key, Future())
        if not mine:
            while not wait([future], AGAIN).done:
                waiting()
            try:
                return cast(T, future.result())
            except GivenUp:
                return self.get(key, make, waiting)
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._made[key]
            future.set_exception(
                error if isinstance(error, Exception) and not isinstance(error, GivenUp) else GivenUp()
            )
            raise
        self._hold(key, value, made=True)
        future.set_result(value)
        return value

    def put(self, key: Hashable, value: Any) -> None:
        """Keep what was made elsewhere."""
        self._hold(key, value)

    def _hold(self, key: Hashable, value: Any, made: bool = False) -> None:
        size = size_of(value)
        with self._lock:
            if made:
                del self._made[key]
            self._held.pop(key, None)
            self._held[key] = value, size
            while self._held and (len(self._held) > self._entries or self._sum() > self._size):
                self._held.popitem(last=False)

    def peek(self, key: Hashable) -> Any:
        """What is kept under `key`, or None; nothing is made."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def _sum(self) -> int:
        return sum(size for _, size in self._held.values())

    @property
    def bytes(self) -> int:
        """What is kept takes about this."""
        with self._lock:
            return self._sum()

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)


def size_of(value: object) -> int:
    """Bytes of a value, what it shares with itself counted once: arrays and text exactly, the rest roughly."""
    seen: set[int] = set()
    rest, total = [value], 0
    while rest:
        item = rest.pop()
        total += SMALL
        if item is None or isinstance(item, bool | int | float):
            continue
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray):
            total += item.nbytes
        elif isinstance(item, str | bytes | bytearray):
            total += len(item)
        elif isinstance(item, Mapping):
            rest += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            rest += item
        elif isinstance(bytes_held := getattr(item, "nbytes", None), int):  # tensors, and what knows it of itself
            total += bytes_held
        elif is_dataclass(item):
            rest += [getattr(item, field.name) for field in fields(item)]
        elif callable(plain := getattr(item, "to_plotly_json", None)):
            rest.append(plain())
    return total


@st.cache_resource(show_spinner=False)
def kept() -> Kept:
    """The clips, answers and drawings of this server, by what they are made of."""
    return Kept(limits().cache_entries, limits().cache_mb << 20)
