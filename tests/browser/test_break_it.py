"""Break it in Chromium: point at joints, draw a rectangle, share the link, go back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, OpenPage, Serve

TAKEN = '[{"kind":"limbs","limbs":["left leg"]}]'


@pytest.fixture(scope="module")
def app(serve: Serve) -> str:
    return serve(ROOT / "app.py")


def stage(page: Page) -> tuple[float, float, float, float]:
    """Left, top, width and height of the picture on the stage."""
    picture = page.locator(".js-plotly-plot .imagelayer image, .js-plotly-plot .layer-below image").first
    expect(picture).to_be_visible()
    box, still = picture.bounding_box(), 0
    while still < 4:  # plotly draws again when the column has found its width
        page.wait_for_timeout(500)
        now = picture.bounding_box()
        still = still + 1 if now == box else 0
        box = now
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


def test_a_joint_is_pointed_at_and_taken_away_and_the_link_does_the_same(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/break_it?clip=kick+left", permissions=["clipboard-read", "clipboard-write"])
    expect(page.get_by_text("Take something away")).to_be_visible()
    stage(page)
    joint = page.locator(".js-plotly-plot .scatterlayer .points path").nth(0).bounding_box()
    assert joint is not None
    page.mouse.click(joint["x"] + joint["width"] / 2, joint["y"] + joint["height"] / 2)
    chosen = page.get_by_test_id("stMultiSelect").get_by_text("neck")
    expect(chosen).to_be_visible()
    page.get_by_role("button", name="Take joints away").click()
    expect(page.get_by_text("1. neck not detected")).to_be_visible()
    expect(page.get_by_text("Take something away")).to_have_count(0)
    expect(page).to_have_url(re.compile("without="))
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    other = open_page(page.evaluate("navigator.clipboard.readText()"))
    expect(other.get_by_text("1. neck not detected")).to_be_visible()
    other.get_by_role("button", name="Undo").click()
    expect(other.get_by_text("Take something away")).to_be_visible()
    expect(page.get_by_text("1. neck not detected")).to_be_visible()  # everybody has a list of their own


def test_a_rectangle_is_drawn_and_covered(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/break_it?clip=kick+left")
    page.get_by_role("radio", name="Region").click()
    expect(page.get_by_text("Drag a rectangle")).to_be_visible()
    left, top, width, height = stage(page)
    page.mouse.move(left + width / 4, top + height / 4)
    page.mouse.down()
    page.mouse.move(left + width / 2, top + height / 2, steps=6)
    page.mouse.up()
    expect(page.get_by_role("slider", name="Left")).to_have_value(re.compile("2[6-9]"))
    page.get_by_role("button", name="Cover the region").click()
    # The far corner depends on how far plotly saw the mouse; the near one is where it was pressed.
    done = page.get_by_text(re.compile(r"1\. (2[0-9]|3[0-9]) x (2[0-9]|3[0-9]) pixels at \(2[6-9], 2[6-9]\) blurred"))
    expect(done).to_be_visible()


def test_both_passes_stand_in_the_player_on_one_clock(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/break_it?clip=kick+left&without={TAKEN}")
    expect(page.get_by_text("Where the change comes from")).to_be_visible()
    page.get_by_text("Watch both in the player").click()
    lanes = page.locator(".player .lane h2")
    expect(lanes).to_have_text(["Untouched", "Now"])


def test_on_a_telephone_nothing_is_wider_than_the_screen(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/break_it?clip=hand+over&without={TAKEN}", width=390, height=844)
    expect(page.get_by_text("Where the change comes from")).to_be_visible()
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("(node) => node.scrollWidth <= node.clientWidth + 1")
