"""Data in Chromium: predict a small data set, click a cell of the matrix, open a clip, and the same without motion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, OpenPage, Serve
from tests.browser.test_accessibility import settle, violations
from training.clip import Clip
from training.clip_file import load_clip
from training.pack import write_pack
from training.skeleton import JHMDB
from xai.dashboard.library import open_library

LABELS = ("kick left", "kick right", "receive")
# On the last one the bundled variants part.


class Three:
    """Three of the clips that ship, as a data set."""

    name, layout, labels = "three", JHMDB, LABELS

    def __init__(self) -> None:
        self.splits = {"test": range(3)}

    def __len__(self) -> int:
        return 3

    def label(self, index: int) -> int:
        return index

    def flipped(self, label: str) -> str | None:
        return label

    def clip(self, index: int) -> Clip:
        return load_clip(next(clip.path for clip in open_library().clips if clip.label == LABELS[index]))


@pytest.fixture(scope="module")
def app(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("data")
    write_pack(folder / "three", Three(), {"test": range(3)}, 112, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESCOPE_SETS", f"Three=pack:{folder}/three")
        patch.setenv("KINESCOPE_CACHE", str(folder / "cache"))
        # Another spelling of the path: a server of its own, which knows this data set.
        yield serve(ROOT / "xai" / ".." / "app.py")


def tiles(page: Page) -> list[str]:
    expect(page.locator(".clips img").first).to_be_visible()
    return page.locator(".clips .title").all_inner_texts()


def test_from_nothing_predicted_to_one_clip_in_explore(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/data?set=Three&checkpoint=gym-cross")
    expect(page.get_by_text("is not known yet")).to_be_visible()
    assert tiles(page) == list(LABELS)
    page.get_by_role("button", name="Predict 3 clips").click()
    expect(page.get_by_text("of 3 clips; 95 % interval")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.locator(".clips .line")).to_have_count(3)
    settle(page)
    assert violations(page) == []
    page.get_by_role("button", name="Add to figure", exact=True).click()
    expect(page.get_by_text(re.compile("It has 1 panel;")).first).to_be_visible()

    cell = page.locator(".js-plotly-plot .scatterlayer .points path").nth(1).bounding_box()
    assert cell is not None
    page.mouse.click(cell["x"] + cell["width"] / 2, cell["y"] + cell["height"] / 2)
    expect(page.get_by_text("1 of 3 clips")).to_be_visible()
    expect(page.locator(".clips .title")).to_have_text(["kick right"])
    expect(page).to_have_url(re.compile("labelled=kick"))

    page.evaluate("window.sameDocument = true")
    page.locator(".clips a").click()
    expect(page.locator(".player")).to_be_visible()
    assert page.evaluate("window.sameDocument"), "the application was loaded anew, so the session is another"
    expect(page).to_have_url(re.compile("source=Data"))
    expect(page).to_have_url(re.compile("set=Three"))
    expect(page).to_have_url(re.compile("number=2"))
    expect(page.get_by_role("spinbutton", name="Clip of 3")).to_have_value("2")


def test_a_second_visitor_sees_it_at_once_and_a_telephone_is_wide_enough(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/data?set=Three&checkpoint=gym-cross", width=390, height=844, reduced_motion="reduce")
    expect(page.get_by_text("of 3 clips; 95 % interval")).to_be_visible()
    assert tiles(page) == list(LABELS)
    shown = page.locator(".clips img").first.evaluate("(image) => image.currentSrc")
    still = page.locator(".clips source").first.get_attribute("srcset")
    assert shown == still
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("(node) => node.scrollWidth <= node.clientWidth + 1")


def test_a_clip_on_which_variants_part_opens_in_the_lanes(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/tokens?agree=true&over=Three")
    expect(page.get_by_text("Who reads whom")).to_be_visible()
    expect(page.locator(".sankey-link").first).to_be_attached()
    page.get_by_role("button", name="Predict").or_(page.get_by_role("button", name="Go on")).click()
    expect(page.get_by_text("The clips on which they part")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    first = page.locator(".clips li").first
    number = first.get_attribute("data-number")
    page.evaluate("window.sameDocument = true")
    first.locator("a").click()
    expect(page).to_have_url(re.compile("set=Three"))
    assert page.evaluate("window.sameDocument"), "the application was loaded anew, so the session is another"
    expect(page.get_by_role("spinbutton", name="Clip of 3")).to_have_value(str(number))
    expect(page.locator(".player .lane h2")).to_have_count(3)
