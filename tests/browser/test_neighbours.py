"""The neighbours view in a real Chromium: which tile lights up, hovering, stepping, and no call of the server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, Serve
from tests.xai.clips import noise_clip
from tests.xai.test_framewise_evidence import framewise
from xai.framewise import listen, rollout_through_time, transfer

APP = """
import streamlit as st

from tests.xai.clips import noise_clip
from tests.xai.test_framewise_evidence import framewise
from xai.dashboard.neighbours import neighbours
from xai.figures.neighbours import neighbours_payload

st.set_page_config(layout="wide")
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
neighbours(neighbours_payload(framewise(st.query_params.get("case", "msca-kv")), noise_clip(10, 40, 60)), key="n")
st.write("runs:", st.session_state["runs"])
"""
LIT = """(root) => [...root.querySelectorAll('.n-film canvas')].map((canvas) => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let lit = 0;
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i] - pixels[i + 2] > 90 && pixels[i] > 150) lit++;
  return lit / (pixels.length / 4);
})"""


@pytest.fixture
def show(serve: Serve, open_page: OpenPage) -> Any:
    def open_(case: str = "msca-kv") -> Page:
        page = open_page(f"{serve(APP)}/?case={case}")
        page.locator(".n-heads button").first.wait_for()
        page.locator(".neighbours").evaluate("(root) => root.view.image.decode()")
        page.wait_for_timeout(300)
        return page

    return open_


def test_a_head_lights_the_frame_that_it_reads(show: Any) -> None:
    page = show()
    glyphs = page.locator(".n-heads > div").first.locator("button").all_inner_texts()
    assert glyphs == ["▶", "●", "●", "◀"]
    for head, tile in ((0, 2), (1, 1), (3, 0)):
        page.locator(".n-heads > div").nth(1).locator("button").nth(head).click()
        page.wait_for_timeout(100)
        lit = page.locator(".neighbours").evaluate(LIT)
        assert lit.index(max(lit)) == tile, (head, lit)
        assert max(lit) > 0.01


def test_the_ends_of_the_clip_have_no_frame(show: Any) -> None:
    page = show()
    page.locator(".neighbours").evaluate("(root) => root.view.choose({ frame: 4, head: 0 })")
    page.wait_for_timeout(100)
    assert "nothing to read" in page.locator(".n-sentence").inner_text()
    assert page.locator("figcaption").nth(2).inner_text() == "no frame"
    assert page.locator(".n-heads > div").first.locator("button").first.inner_text() == "○"


def test_hovering_and_stepping_stay_in_the_browser(show: Any) -> None:
    page = show()
    before = page.get_by_text("runs:").inner_text()
    canvas = page.locator(".n-film canvas").nth(1)
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.wait_for_timeout(150)
    assert page.locator(".n-sentence").inner_text().startswith("The patch in row 3, column 3 of frame 3")
    page.locator(".neighbours").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(100)
    assert page.locator(".n-bar .n-soft").inner_text() == "frame 4 of 5"
    assert page.get_by_text("runs:").inner_text() == before


def test_patches_are_reached_by_keys(show: Any) -> None:
    page = show()
    before = page.get_by_text("runs:").inner_text()
    sentence = page.locator(".n-sentence")
    page.locator(".neighbours").focus()
    for keys, where in (
        (["ArrowRight"], "row 1, column 1"), (["ArrowDown", "ArrowRight"], "row 2, column 2"),
        (["ArrowLeft", "ArrowLeft"], "row 1, column 4"),
    ):  # fmt: skip
        for key in keys:
            page.keyboard.press(f"Shift+{key}")
        page.wait_for_timeout(150)
        assert sentence.inner_text().startswith(f"The patch in {where} of frame 3")
    page.keyboard.press("Escape")
    page.wait_for_timeout(150)
    assert sentence.inner_text().startswith("The class token of frame 3")
    assert page.get_by_text("runs:").inner_text() == before


def test_a_plain_vit_reads_its_own_frame_only(show: Any) -> None:
    page = show("vit")
    assert set(page.locator(".n-heads button").all_inner_texts()) == {"●"}
    lit = page.locator(".neighbours").evaluate(LIT)
    assert lit[0] == lit[2] == 0 < lit[1]


def test_the_way_through_all_blocks_is_drawn_for_the_frame_that_is_shown(show: Any) -> None:
    page = show()
    captions = page.locator(".n-strip span")
    recognizer, clip = framewise("msca-kv"), noise_clip(10, 40, 60)
    _, blocks = listen(recognizer, clip, recognizer.view(clip), transfer)
    exact = rollout_through_time(recognizer.network.config, blocks)[2, :, 1:]
    shares = [float(text.split(": ")[1].removesuffix(" %")) for text in captions.all_inner_texts()]
    assert shares == pytest.approx(100 * exact.sum(1), abs=0.051)
    assert "of the class token of frame 3 is read" in page.locator(".n-rollout").inner_text()
    strongest = 16 * exact[1].max() / exact[1].sum()
    assert f"the strongest {strongest:.1f} times an even share" in (
        page.locator(".n-strip button").nth(1).get_attribute("title") or ""
    )
    page.locator(".n-strip button").first.click()
    page.wait_for_timeout(100)
    assert page.locator(".n-bar .n-soft").inner_text() == "frame 1 of 5"
    assert "of the class token of frame 1 is read" in page.locator(".n-rollout").inner_text()
    assert captions.last.inner_text() == "5: \u2013"  # two blocks reach two frames


def test_frames_that_a_network_cannot_reach_or_only_asks_are_named(show: Any) -> None:
    page = show("vit")
    nothing = [text.split(": ")[1] == "\u2013" for text in page.locator(".n-strip span").all_inner_texts()]
    assert nothing == [True, True, False, True, True]
    assert "queries or keys" not in page.locator(".n-rollout").inner_text()
    assert "Frames that only send queries or keys" in show("msca-q").locator(".n-rollout").inner_text()
