"""Classroom: what a class predicts, counted by room. In the memory of the process, bounded, and nothing personal.

    code, key = shared_classroom().open(lesson)       # the teacher; the key says who leads and is never shown
    room = shared_classroom().enter(code)             # students; None when there is no such room
    shared_classroom().answer(code, who, 0, 2)        # `who` is drawn at random for each visit
    shared_classroom().tally(code, 0, 4)              # (3, 0, 11, 2)

A room carries the lesson and the step that the teacher shows, so that a class follows, also through a lesson that the
teacher wrote. It is forgotten when nobody has used it for `lifetime` seconds.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import streamlit as st

from xai.dashboard.limits import limits
from xai.lessons import Lesson

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Without vowels there are no words, without digits no mix-ups."""
LIFETIME = 3 * 3600.0


@dataclass(frozen=True)
class Room:
    """A room as it stands."""

    code: str
    lesson: Lesson
    step: int = 0
    """What the teacher shows, from 0."""
    revealed: frozenset[int] = frozenset()
    """Steps whose question is answered and closed."""


@dataclass(eq=False)
class _Open:
    room: Room
    key: str
    used: float
    voters: set[str] = field(default_factory=set)
    answers: dict[int, dict[str, int]] = field(default_factory=dict)
    """Step -> who -> option."""


class Classroom:
    """All rooms of a server. Every method may be called from any thread."""

    def __init__(
        self,
        rooms: int = limits().rooms,
        voters: int = limits().voters,
        lifetime: float = LIFETIME,
        clock: Callable[[], float] = time.monotonic,
        draw: random.Random | None = None,
    ) -> None:
        self._most, self._voters, self._lifetime, self._clock = rooms, voters, lifetime, clock
        self._draw = draw or secrets.SystemRandom()
        self._rooms: dict[str, _Open] = {}
        self._lock = threading.Lock()

    def open(self, lesson: Lesson) -> tuple[str, str]:
        """A new room for a lesson: its code, and the key of who leads. Raises ValueError in one sentence when full."""
        with self._lock:
            self._forget()
            if len(self._rooms) >= self._most:
                raise ValueError(f"All {self._most} rooms of this server are in use; close one or try again later.")
            while (code := "".join(self._draw.choice(LETTERS) for _ in range(4))) in self._rooms:
                pass
            key = f"{self._draw.getrandbits(128):032x}"
            self._rooms[code] = _Open(Room(code, lesson), key, self._clock())
            return code, key

    def enter(self, code: str) -> Room | None:
        """The room with this code as it stands now."""
        with self._lock:
            found = self._find(code)
            return found.room if found else None

    def leads(self, code: str, key: str) -> bool:
        with self._lock:
            return self._led(code, key) is not None

    def show(self, code: str, key: str, step: int) -> None:
        """Who leads goes to a step, and the class follows."""
        with self._lock:
            if (found := self._led(code, key)) and 0 <= step < len(found.room.lesson.steps):
                found.room = replace(found.room, step=step)

    def reveal(self, code: str, key: str, step: int) -> None:
        """Who leads closes the question of a step; the counts stay as they are."""
        with self._lock:
            if (found := self._led(code, key)) and 0 <= step < len(found.room.lesson.steps):
                found.room = replace(found.room, revealed=found.room.revealed | {step})

    def close(self, code: str, key: str) -> None:
        with self._lock:
            if self._led(code, key):
                del self._rooms[code]

    def answer(self, code: str, who: str, step: int, option: int) -> bool:
        """Count an answer, or move it; False when the question is closed, not there, or the room is full."""
        with self._lock:
            found = self._find(code)
            if found is None or step in found.room.revealed or not 0 <= step < len(found.room.lesson.steps):
                return False
            question = found.room.lesson.steps[step].question
            if question is None or not 0 <= option < len(question.options):
                return False
            if who not in found.voters and len(found.voters) >= self._voters:
                return False
            found.voters.add(who)
            found.answers.setdefault(step, {})[who] = option
            return True

    def tally(self, code: str, step: int, options: int) -> tuple[int, ...]:
        """How many chose each option."""
        with self._lock:
            found = self._find(code)
            given = list(found.answers.get(step, {}).values()) if found else []
            return tuple(given.count(option) for option in range(options))

    # ---- With the lock held ----------------------------------------------------------------------------------------

    def _find(self, code: str) -> _Open | None:
        self._forget()
        if found := self._rooms.get(code):
            found.used = self._clock()
        return found

    def _led(self, code: str, key: str) -> _Open | None:
        found = self._find(code)
        return found if found and secrets.compare_digest(found.key, key) else None

    def _forget(self) -> None:
        now = self._clock()
        for code in [code for code, each in self._rooms.items() if now - each.used > self._lifetime]:
            del self._rooms[code]


@st.cache_resource(show_spinner=False)
def shared_classroom() -> Classroom:
    """The rooms of this server."""
    return Classroom()
