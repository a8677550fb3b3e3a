"""The queue of long computations: shared, in order, cancelled when nobody waits, and bounded."""

from __future__ import annotations

import threading
import time

import pytest

from xai.dashboard.jobs import Cancelled, Jobs, Progress
from xai.dashboard.kept import Kept
from xai.dashboard.turnstile import Turnstile

SOON = 20.0


class Gate:
    """Work that reports its progress and waits to be let through."""

    def __init__(self) -> None:
        self.started, self.open = threading.Event(), threading.Event()
        self.runs = 0

    def __call__(self, progress: Progress) -> str:
        self.runs += 1
        self.started.set()
        while not self.open.is_set():
            progress(1, 4)
            time.sleep(0.005)
        return "result"


def until(true: object, seconds: float = SOON) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_two_who_ask_for_the_same_share_one_computation() -> None:
    jobs, gate = Jobs(), Gate()
    jobs.ask("map", gate, "a")
    jobs.ask("map", gate, "b")
    until(lambda: (s := jobs.standing("map", "a")) is not None and s.part == 0.25)
    assert jobs.standing("map", "a").pending  # type: ignore[union-attr]
    gate.open.set()
    jobs.wait("map", SOON)
    assert gate.runs == 1
    assert jobs.standing("map", "b").result == "result"  # type: ignore[union-attr]
    jobs.ask("map", gate, "c")
    assert jobs.standing("map").state == "done"  # type: ignore[union-attr]
    assert gate.runs == 1


def test_places_in_the_queue_and_the_quick_lane() -> None:
    jobs, first, quick = Jobs(), Gate(), Gate()
    jobs.ask("first", first, "a")
    until(lambda: jobs.standing("first").state == "running")  # type: ignore[union-attr]
    for name in "bc":
        jobs.ask(name, Gate(), name)
    assert [jobs.standing(name).ahead for name in "bc"] == [1, 2]  # type: ignore[union-attr]
    jobs.ask("quick", quick, "q", quick=True)
    assert quick.started.wait(SOON)  # it does not wait for the long ones
    jobs.leave("b")
    assert jobs.standing("b") is None
    assert jobs.standing("c").ahead == 1  # type: ignore[union-attr]
    quick.open.set()
    first.open.set()


def test_a_job_is_cancelled_when_nobody_waits_and_only_then() -> None:
    jobs, gate = Jobs(), Gate()
    jobs.ask("map", gate, "a")
    jobs.ask("map", gate, "b")
    assert gate.started.wait(SOON)
    jobs.leave("a")
    time.sleep(0.05)
    assert jobs.standing("map").state == "running"  # type: ignore[union-attr]
    jobs.ask("other", Gate(), "b")  # who asks for something else stops waiting
    until(lambda: jobs.standing("map") is None)
    assert not gate.open.is_set()


def test_who_stops_asking_is_forgotten() -> None:
    now = [0.0]
    jobs, gate = Jobs(patience=10.0, clock=lambda: now[0]), Gate()
    jobs.ask("map", gate, "a")
    assert gate.started.wait(SOON)
    now[0] = 9.0
    assert jobs.standing("map", "a") is not None  # still there: the patience starts again
    now[0] = 18.0
    time.sleep(0.05)
    assert jobs.standing("map") is not None
    now[0] = 28.5
    until(lambda: (s := jobs.standing("map")) is None or s.state == "waiting")
    until(lambda: gate.runs == 1)


def test_failures_are_sentences_and_may_be_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobs()

    def refuse(progress: Progress) -> None:
        raise ValueError("This clip has no joints; choose another.")

    def break_down(progress: Progress) -> None:
        raise RuntimeError("secret path /home")

    jobs.ask("refused", refuse, "a")
    jobs.wait("refused", SOON)
    assert jobs.standing("refused").sentence == "This clip has no joints; choose another."  # type: ignore[union-attr]
    jobs.ask("broken", break_down, "a")
    jobs.wait("broken", SOON)
    assert "RuntimeError" in jobs.standing("broken").sentence  # type: ignore[union-attr]
    assert "secret" not in jobs.standing("broken").sentence  # type: ignore[union-attr]
    jobs.ask("broken", lambda progress: 3, "a")
    jobs.wait("broken", SOON)
    assert jobs.standing("broken").result == 3  # type: ignore[union-attr]


def test_results_are_bounded_and_times_are_remembered() -> None:
    jobs = Jobs(keep=3)
    assert jobs.usual("method") is None
    for i in range(5):
        jobs.ask(i, lambda progress: "x", "a", kind="method")
        jobs.wait(i, SOON)
    assert [jobs.standing(i) is not None for i in range(5)] == [False, False, True, True, True]
    assert jobs.usual("method") is not None


def test_a_full_queue_says_so_and_takes_the_same_again_when_there_is_room() -> None:
    jobs, gate = Jobs(queue=2), Gate()
    jobs.ask("running", gate, "a")
    until(lambda: jobs.standing("running").state == "running")  # type: ignore[union-attr]
    for name in "bcd":
        jobs.ask(name, lambda progress: "soon", name)
    assert [jobs.standing(name).state for name in "bcd"] == ["waiting", "waiting", "failed"]  # type: ignore[union-attr]
    assert jobs.standing("d").sentence == "2 computations wait already; ask again in a minute."  # type: ignore[union-attr]
    jobs.leave("b")
    jobs.ask("d", lambda progress: "later", "d")
    gate.open.set()
    until(lambda: jobs.standing("d").state == "done")  # type: ignore[union-attr]
    assert jobs.standing("d").result == "later"  # type: ignore[union-attr]
    assert jobs.usual("") is None


def test_what_may_succeed_another_time_is_forgotten_and_what_may_not_is_kept() -> None:
    now = [0.0]
    jobs, gate = Jobs(queue=1, clock=lambda: now[0]), Gate()
    jobs.ask("running", gate, "a")
    until(lambda: jobs.standing("running", "a").state == "running")  # type: ignore[union-attr]
    jobs.ask("waits", lambda progress: "soon", "b")
    jobs.ask("refused", lambda progress: "later", "c")
    assert jobs.standing("refused").state == "failed"  # type: ignore[union-attr]
    gate.open.set()
    until(lambda: jobs.standing("waits", "b").state == "done")  # type: ignore[union-attr]

    def no_memory(progress: Progress) -> None:
        raise MemoryError

    def senseless(progress: Progress) -> None:
        raise ValueError("This clip has no joints.")

    for name, work in (("memory", no_memory), ("sense", senseless)):
        jobs.ask(name, work, name)
        jobs.wait(name, SOON)
    assert jobs.standing("refused").state == "failed"  # type: ignore[union-attr]
    now[0] = 11.0
    assert jobs.standing("refused") is None
    assert jobs.standing("memory") is None
    assert jobs.standing("sense").sentence == "This clip has no joints."  # type: ignore[union-attr]


def test_long_jobs_run_beside_each_other_where_the_server_allows() -> None:
    jobs, gates = Jobs(long=2), [Gate(), Gate(), Gate()]
    for name, gate in zip("abc", gates, strict=True):
        jobs.ask(name, gate, name)
    until(lambda: gates[0].started.is_set() and gates[1].started.is_set())
    assert jobs.standing("c").state == "waiting"  # type: ignore[union-attr]
    for gate in gates:
        gate.open.set()
    until(lambda: all(jobs.standing(name).state == "done" for name in "abc"))  # type: ignore[union-attr]


def test_results_are_bounded_by_their_bytes_and_what_is_gone_is_computed_again() -> None:
    store, runs = Kept(100, 5_000), []

    def work(progress: Progress) -> bytes:
        runs.append(1)
        return bytes(2_000)

    jobs = Jobs(store=store)
    for key in "abc":
        jobs.ask(key, work, "who")
        jobs.wait(key, SOON)
    assert [jobs.standing(key) is not None for key in "abc"] == [False, True, True]
    assert store.bytes <= 5_000
    jobs.ask("c", work, "who")
    assert len(runs) == 3
    jobs.ask("a", work, "who")
    jobs.wait("a", SOON)
    assert len(runs) == 4
    assert jobs.standing("a").result == bytes(2_000)  # type: ignore[union-attr]


# ---- The turnstile --------------------------------------------------------------------------------------------------


def test_the_turnstile_lets_in_who_came_first_and_says_how_many_wait() -> None:
    turnstile, done, said = Turnstile(1), [], []

    def go(name: str) -> None:
        with turnstile.told(lambda ahead: said.append((name, ahead))):
            done.append(name)

    with turnstile:
        threads = []
        for place, name in enumerate("ab"):
            threads.append(threading.Thread(target=go, args=(name,)))
            threads[-1].start()
            until(lambda name=name, place=place: (name, place) in said)
        assert done == []
    for thread in threads:
        thread.join(SOON)
    assert done == ["a", "b"]


def test_who_gives_up_at_the_turnstile_leaves_the_queue_to_others() -> None:
    turnstile = Turnstile(1)

    def leave(ahead: int) -> None:
        raise KeyboardInterrupt

    with turnstile, pytest.raises(KeyboardInterrupt), turnstile.told(leave):
        pass
    said: list[int] = []
    with turnstile.told(said.append):
        assert said == []  # nobody is in the way


def test_who_waits_for_somebody_else_is_told_and_may_leave() -> None:
    kept, begun, go_on = Kept(4, 1 << 20), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go_on.wait(SOON)
        return "made"

    found: list[str] = []
    first = threading.Thread(target=lambda: found.append(kept.get("x", slow)))
    first.start()
    assert begun.wait(SOON)

    def leave() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        kept.get("x", slow, leave)
    said: list[bool] = []

    def say() -> None:
        said.append(True)
        go_on.set()

    assert kept.get("x", slow, say) == "made"
    assert said
    first.join(SOON)
    assert found == ["made"]


@pytest.mark.parametrize("gone", [KeyboardInterrupt, Cancelled])
def test_who_waits_for_somebody_who_gave_up_computes_it(gone: type[BaseException]) -> None:
    kept, begun, found = Kept(4, 1 << 20), threading.Event(), []

    def leaves() -> str:
        begun.set()
        time.sleep(0.1)
        raise gone

    def first() -> None:
        with pytest.raises(gone):
            kept.get("x", leaves)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    begun.wait(SOON)
    threads.append(threading.Thread(target=lambda: found.append(kept.get("x", lambda: "made"))))
    threads[1].start()
    for thread in threads:
        thread.join(SOON)
    assert found == ["made"]
