"""A few predictions at a time: more would only slow each other down. Who waits is told how many come first.

    with turnstile:                                  # waits in silence: work of jobs, which must not call Streamlit
    with turnstile.told(say):                        # `say(ahead)` twice a second while one waits

Whatever `say` raises ends the waiting and gives the place in the queue up: on a page that is Streamlit's own way of
saying that the person went elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from xai.dashboard.kept import kept
from xai.dashboard.limits import limits

T = TypeVar("T")
AGAIN = 0.5
"""Seconds between two words to who waits."""


class Turnstile:
    """First come, first served. Every method may be called from any thread."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: list[object] = []
        self._changed = threading.Condition()

    def __enter__(self) -> Turnstile:
        self._wait(lambda ahead: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    @contextmanager
    def told(self, say: Callable[[int], None]) -> Iterator[None]:
        """Wait, saying how many come first (those at work not counted; 0: the next that is free is ours)."""
        self._wait(say)
        try:
            yield
        finally:
            self.__exit__(None, None, None)

    def _wait(self, say: Callable[[int], None]) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
        try:
            while True:
                with self._changed:
                    if self._changed.wait_for(lambda: self._mine(ticket), AGAIN):
                        self._free -= 1
                        return
                    ahead = self._waiting.index(ticket)
                say(ahead)
        finally:
            with self._changed:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _mine(self, ticket: object) -> bool:
        return self._free > 0 and self._waiting[0] is ticket


@st.cache_resource(show_spinner=False)
def turnstile() -> Turnstile:
    """The one of this server."""
    return Turnstile(limits().computations)


def once_for_all(key: Hashable, make: Callable[[], T]) -> T:
    """What `kept` has under `key`, or `make` returns, for a page: while another visitor's call makes it, this one says
    so; going elsewhere ends the waiting."""
    if get_script_run_ctx() is None:
        return kept().get(key, make)
    places: list[Any] = []

    def say() -> None:
        if not places:
            places.append(st.empty())
        places[0].caption("Somebody else asked for the same, and it is being computed; choose another to give it up.")

    found = kept().get(key, make, say)
    for place in places:
        place.empty()
    return found


@contextmanager
def our_turn() -> Iterator[None]:
    """For computations of a page: while it waits it says so; going elsewhere gives the place up."""
    if get_script_run_ctx() is None:  # a download, which has no page to speak on
        with turnstile():
            yield
        return
    places: list[Any] = []

    def say(ahead: int) -> None:
        if not places:
            places.append(st.empty())
        others = "1 computation waits" if ahead == 1 else f"{ahead} computations wait"
        first = "This is next" if ahead == 0 else f"{others} before this one"
        places[0].caption(f"The server is busy with others. {first}; choose something else to give it up.")

    with turnstile().told(say):
        for place in places:
            place.empty()
        yield
