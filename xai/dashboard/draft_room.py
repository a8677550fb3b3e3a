"""Room for what visitors bring: the videos on My clip, and the files that sessions hold, each take so many bytes
together and no more.

Who comes when it is full is told so, and nobody who is at work loses anything. A place is held by an object that lies
in the session and frees it when the session ends.
"""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

import streamlit as st

from xai.dashboard.limits import limits


class Place:
    """What a session holds while it has room."""


class Room:
    """Every method may be called from any thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken: WeakKeyDictionary[Place, int] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def place(self, size: int) -> Place:
        """Room for so many bytes, as long as somebody holds it. Raises ValueError in one sentence when it is full."""
        with self._lock:
            free = self._size - sum(self._taken.values())
            if size > free:
                raise ValueError(
                    f"This takes {size / 2**20:.0f} MB, and there is room for {max(0, free) >> 20} MB beside what "
                    "others have open; try a shorter or smaller one, or come back later."
                )
            place = Place()
            self._taken[place] = size
            return place

    @property
    def taken(self) -> int:
        """Bytes that are held."""
        with self._lock:
            return sum(self._taken.values())


@st.cache_resource(show_spinner=False)
def draft_room() -> Room:
    """Of the videos that are open on My clip."""
    return Room(limits().drafts_mb << 20)


@st.cache_resource(show_spinner=False)
def upload_room() -> Room:
    """Of the files that sessions hold."""
    return Room(limits().uploads_mb << 20)
