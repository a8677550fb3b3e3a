"""The load test itself, small: visitors without a browser get what they asked for, and a mixed result would be seen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from tests.benchmarks.crowd import Guest, Known, memory, plant, signature
from tests.benchmarks.visitor import Seen, Visitor
from tests.browser.conftest import ROOT, Serve
from xai.dashboard.library import open_library
from xai.lessons import lessons_of

T = TypeVar("T")


@pytest.fixture(scope="module")
def app(serve: Serve) -> str:
    return serve(ROOT / "app.py")


def known() -> Known:
    return Known(open_library(), tuple(lessons_of(ROOT / "assets" / "lessons")))


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Playwright's loop may already run in the thread of the tests, so these visitors get one of their own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def test_visitors_at_once_get_their_own_clips_by_link_by_widget_and_by_upload(app: str) -> None:
    found = known()

    async def visit(seed: int) -> None:
        async with Visitor(app) as visitor:
            guest = Guest(found, visitor, random.Random(seed), planted[seed], 0.01)
            for act in (guest.explore, guest.upload, guest.tokens, guest.quiet):
                await act()

    async def all_of_them() -> None:
        await asyncio.gather(*(visit(seed) for seed in range(3)))

    planted = plant(found.library, 3)
    assert len({each.signature for each in planted}) == 3
    finished(all_of_them())
    assert not found.errors
    assert not found.mixed
    assert len(found.views) >= 8
    assert found.bytes > 1e6


def test_a_clip_of_somebody_else_is_a_mixed_result_and_an_exception_an_error(app: str) -> None:
    found = known()

    async def visit() -> tuple[Seen, Seen]:
        async with Visitor(app) as visitor:
            seen = await visitor.link("", clip="bow", checkpoint="gym-cross")
            return seen, await visitor.link("", source="Upload", clip="bow", method="no such method", ask="true")

    seen, empty = finished(visit())
    assert [payload["clip"]["label"] for payload in seen.readings] == ["bow"]
    assert [signature(payload) for payload in seen.readings] == [found.expected("gym-cross", "bow")]
    found.arrived("a", seen, [found.expected("gym-cross", "bow")])
    found.arrived("b", empty, [])
    assert not found.mixed
    found.arrived("c", seen, [found.expected("gym-cross", "sit-down")])
    found.arrived("d", seen, [found.expected("gym-none", "bow")])
    found.arrived("e", replace(seen, finished=False), [found.expected("gym-cross", "bow")])
    assert len(found.mixed) == 2
    assert len(found.errors) == 1


def test_memory_is_flat_or_it_is_said_how_steep() -> None:
    flat = memory([(float(t), 500.0) for t in range(0, 600, 2)], 10)
    assert flat["MB a minute after warm-up"] == pytest.approx(0, abs=1e-6)
    steep = memory([(float(t), 300 + t / 6) for t in range(0, 600, 2)], 10)
    assert steep["MB a minute after warm-up"] == pytest.approx(10)
    assert steep["after warm-up"] == pytest.approx(300 + 250 / 6, abs=1)
    assert steep["end"] == pytest.approx(300 + 570 / 6, abs=1)
