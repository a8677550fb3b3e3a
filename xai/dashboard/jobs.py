"""Jobs: long computations beside the page. Who asks for the same shares one; all see progress, their place, a result.

    jobs = shared_jobs()
    jobs.ask(key, work, who)           # starts `work(progress)`, or joins the one that was started for `key`
    jobs.standing(key, who)            # waiting (how many are ahead), running (which part is done), done, failed

A page asks again and again how things stand; whoever stops asking (a closed tab) is forgotten, and a job that nobody
waits for any more is cancelled at the next report of its progress. The latest `keep` jobs are remembered; what they
found is kept in `store`, by its bytes, and asked for again when it had to go. At most `queue` jobs wait, and who comes
later is told so.

There is one worker more than `long`: those take whatever comes first, the one beside them only what is quick, so that
nobody waits for somebody else's four hundred passes to see the result of one. Work must not call Streamlit.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

import streamlit as st

from xai.dashboard.kept import GivenUp, Kept, kept
from xai.dashboard.limits import limits

Progress = Callable[[int, int], None]
State = Literal["waiting", "running", "done", "failed"]
OWN_BYTES = 64 << 20
"""Of results, where there is no store that is shared."""
KINDS = 500
"""Kinds of jobs whose usual time is remembered."""
PATIENCE = 90.0
"""Seconds without a question after which somebody who waits is taken to be gone; browsers slow down hidden tabs."""
AGAIN = 10.0
"""Seconds after which a job is forgotten that may well succeed another time: the queue was full, memory ran out."""
_log = logging.getLogger(__name__)


class Cancelled(GivenUp):
    """Nobody waits for this computation any more."""


@dataclass(frozen=True)
class Standing:
    """How a job stands."""

    state: State
    ahead: int = 0
    """Jobs that come first, the running one included."""
    part: float = 0.0
    """Of the work that is done, 0 to 1."""
    result: Any = None
    sentence: str = ""
    """Why it failed."""
    mine: bool = False
    """Does who asks wait for it?"""

    @property
    def pending(self) -> bool:
        return self.state in ("waiting", "running")


@dataclass(eq=False)
class _Job:
    key: Hashable
    work: Callable[[Progress], Any] | None
    quick: bool
    kind: str
    state: State = "waiting"
    lane: bool = False
    """Which worker runs it: the one for quick jobs, or the other."""
    part: float = 0.0
    sentence: str = ""
    ends: float = math.inf
    """When its failure is forgotten."""
    seen: dict[str, float] = field(default_factory=dict)
    """When each of those who wait asked last."""


class Jobs:
    """A bounded queue with a few workers. Every method may be called from any thread."""

    def __init__(
        self,
        keep: int = limits().results,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        *,
        queue: int = limits().queue,
        long: int = 1,
        store: Kept | None = None,
    ) -> None:
        self._store = Kept(keep, OWN_BYTES) if store is None else store
        self._keep, self._patience, self._clock, self._most = keep, patience, clock, queue
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._seconds: OrderedDict[str, float] = OrderedDict()
        self._changed = threading.Condition()
        for quick in (True, *[False] * long):
            threading.Thread(target=self._serve, args=(quick,), daemon=True, name=f"jobs {quick=}").start()

    def ask(
        self, key: Hashable, work: Callable[[Progress], Any], who: str, *, quick: bool = False, kind: str = ""
    ) -> None:
        """Have `key` computed by `work(progress)` unless it is, or was. `who` stops waiting for everything else.

        `kind` names jobs that take about as long (`usual`). A ValueError of `work` is shown as its sentence.
        """
        with self._changed:
            self._leave(who, besides=key)
            job = self._jobs.get(key)
            if job is None or job.state == "failed" or self._lost(job):
                full = len(self._queue()) >= self._most
                job = self._jobs[key] = _Job(key, work, quick, kind)
                if full:
                    job.sentence = f"{self._most} computations wait already; ask again in a minute."
                    job.ends = self._clock() + AGAIN
                    self._end(job, "failed", 0.0)
            job.seen[who] = self._clock()
            self._changed.notify_all()

    def standing(self, key: Hashable, who: str = "") -> Standing | None:
        """How the job stands; None when nobody asked for it. `who` says that somebody still waits for it."""
        with self._changed:
            if (job := self._jobs.get(key)) is None:
                return None
            if job.state == "failed" and self._clock() >= job.ends:
                del self._jobs[key]
                return None
            if who in job.seen:
                job.seen[who] = self._clock()
            if job.state in ("done", "failed"):
                self._jobs.move_to_end(key)
            result = self._store.peek(("job", key)) if job.state == "done" else (None,)
            if result is None:  # it had to make room for others
                return None
            return Standing(job.state, self._ahead(job), job.part, result[0], job.sentence, who in job.seen)

    def wait(self, key: Hashable, seconds: float) -> None:
        """Until the job has ended, or so many seconds."""
        with self._changed:
            self._changed.wait_for(
                lambda: key not in self._jobs or self._jobs[key].state in ("done", "failed"), seconds
            )

    def leave(self, who: str) -> None:
        """`who` waits for nothing any more: that is cancel, where nobody else waits for the same."""
        with self._changed:
            self._leave(who, besides=None)

    def usual(self, kind: str) -> float | None:
        """Seconds that the last job of this kind took."""
        with self._changed:
            return self._seconds.get(kind)

    # ---- With the lock held ----------------------------------------------------------------------------------------

    def _lost(self, job: _Job) -> bool:
        """Was it done, and did its result have to make room for others?"""
        return job.state == "done" and self._store.peek(("job", job.key)) is None

    def _leave(self, who: str, besides: Hashable) -> None:
        for job in list(self._jobs.values()):
            if job.key != besides and job.state in ("waiting", "running"):
                job.seen.pop(who, None)
                if job.state == "waiting" and not job.seen:
                    del self._jobs[job.key]

    def _wanted(self, job: _Job) -> bool:
        return any(self._clock() - asked < self._patience for asked in job.seen.values())

    def _ahead(self, job: _Job) -> int:
        """Long jobs wait for the worker that takes them, quick ones for their own (at worst)."""
        if job.state != "waiting":
            return 0
        started = sum(other.state == "running" and other.lane == job.quick for other in self._jobs.values())
        return started + [other for other in self._queue() if other.quick == job.quick].index(job)

    def _queue(self) -> list[_Job]:
        return [job for job in self._jobs.values() if job.state == "waiting"]

    def _next(self, quick: bool) -> _Job | None:
        for job in self._queue():
            if not self._wanted(job):
                del self._jobs[job.key]
            elif job.quick or not quick:
                return job
        return None

    def _end(self, job: _Job, state: State, seconds: float) -> None:
        job.state, job.work = state, None
        if state == "done" and job.kind:
            self._seconds[job.kind] = seconds
            self._seconds.move_to_end(job.kind)
            while len(self._seconds) > KINDS:
                self._seconds.popitem(last=False)
        ended = [other for other in self._jobs.values() if other.state in ("done", "failed")]
        for other in ended[: max(0, len(ended) - self._keep)]:
            del self._jobs[other.key]

    # ---- The workers -----------------------------------------------------------------------------------------------

    def _serve(self, quick: bool) -> None:
        while True:
            with self._changed:
                while (job := self._next(quick)) is None:
                    self._changed.wait()
                job.state, job.lane = "running", quick
            self._run(job)

    def _run(self, job: _Job) -> None:
        def progress(done: int, total: int) -> None:
            with self._changed:
                if not self._wanted(job):
                    raise Cancelled
                if done >= 0:  # below 0: still working, and nothing to add
                    job.part = min(1.0, done / max(total, 1))

        start, result, sentence = self._clock(), None, ""
        assert job.work is not None
        try:
            result = job.work(progress)
        except Cancelled:
            with self._changed:
                if job.seen:  # somebody came back for it in between
                    job.state, job.part = "waiting", 0.0
                else:
                    del self._jobs[job.key]
                self._changed.notify_all()
            return
        except ValueError as error:
            sentence = str(error)
        except Exception as error:
            _log.exception("A job failed.")
            sentence = f"This could not be computed ({type(error).__name__}); ask for something smaller, or again."
            job.ends = self._clock() + AGAIN
        with self._changed:
            job.sentence = sentence
            if not sentence:
                self._store.put(("job", job.key), (result,))
            self._end(job, "failed" if sentence else "done", self._clock() - start)
            self._changed.notify_all()


@st.cache_resource(show_spinner=False)
def shared_jobs() -> Jobs:
    """The jobs of this server, one queue for all who look at it."""
    return Jobs(limits().results, queue=limits().queue, long=limits().long_jobs, store=kept())
