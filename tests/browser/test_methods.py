"""Asking another way in Chromium: from a link, with a bar and cancel, and two methods side by side."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ROOT, OpenPage, Serve


@pytest.fixture(scope="module")
def app(serve: Serve) -> str:
    return serve(ROOT / "app.py")


def test_a_link_asks_a_method_and_shows_its_map(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/?clip=raise+phone&ask=true&method=sampling+points&rather=raise+cup")
    expect(page.locator(".stMarkdownBadge", has_text="Trust: not measured")).to_be_visible()
    expect(page.get_by_text("rather than raise cup?")).to_be_visible()
    expect(page.locator(".film-strip img")).to_have_count(12)
    expect(page.get_by_text("attention mass (raw)").first).to_be_visible()
    assert page.locator(".film-strip img").first.evaluate("(image) => image.complete && image.naturalWidth > 100")
    page.get_by_text("per clip", exact=True).click()
    expect(page.get_by_text("attention mass / largest of the clip").first).to_be_visible()


def test_a_long_method_waits_for_a_button_and_can_be_cancelled(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/?clip=kick+left&ask=true&method=Shapley+frames")
    ask = page.get_by_role("button", name="Ask", exact=True)
    expect(ask).to_be_visible()
    expect(page.get_by_text("Cost: 400 forwards")).to_be_visible()
    expect(page.locator(".film-strip")).to_have_count(0)
    ask.click()
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_visible()
    expect(page.get_by_text("Computing:")).to_be_visible()
    cancel.click()
    expect(cancel).to_have_count(0)
    expect(ask).to_be_visible()


def test_two_methods_stand_side_by_side(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/trust?clip=kick+left&compare=true&method_left=ledger&method_right=temporal+attention")
    expect(page.get_by_text("Trust: not measured")).to_have_count(2)
    expect(page.locator(".film-strip")).to_have_count(2)
