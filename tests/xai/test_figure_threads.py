"""Figures drawn by many threads at once are those that one thread draws: matplotlib's settings are global."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import matplotlib
import pytest

from tests.xai.synthetic import synthetic_evidence
from xai.evidence import Evidence
from xai.figures.animation import overlay_frames
from xai.figures.paper import ledger_figure, render


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return synthetic_evidence(frames=3, height=48, width=64)


def draw(evidence: Evidence, kind: str) -> bytes:
    if kind == "frames":
        return b"".join(picture.tobytes() for picture in overlay_frames(evidence, dpi=40))
    return render(ledger_figure(evidence), kind, dpi=40)


def test_threads_draw_what_one_thread_draws(evidence: Evidence) -> None:
    kinds = ["pdf", "svg", "png", "frames"]
    alone = {kind: draw(evidence, kind) for kind in kinds}
    before = dict(matplotlib.rcParams)
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda kind: (kind, draw(evidence, kind)), kinds * 6))
    assert [kind for kind, each in drawn if each != alone[kind]] == []
    assert dict(matplotlib.rcParams) == before
