"""The real application in Chromium: the first visit, the pages, two people at once, and a clip of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, OpenPage, Serve

PLAYER = ".player canvas"


@pytest.fixture(scope="module")
def app(serve: Serve) -> str:
    return serve(ROOT / "app.py")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).first.click()


def test_the_first_visit_shows_an_explained_clip(app: str, open_page: OpenPage) -> None:
    page = open_page(app)
    expect(page.locator(".player").get_by_text("The model says").first).to_be_visible()
    expect(page.get_by_text("The points in space and time")).to_be_visible()
    expect(page.locator(".cube canvas")).to_be_visible()
    page.get_by_role("radio", name="Plotly").click()
    expect(page.locator(".js-plotly-plot")).to_be_visible()
    expect(page).to_have_url(re.compile("cube_view=Plotly"))
    page.get_by_role("link", name=re.compile("^Trust: (doubtful|supported)[.] .")).click()
    expect(page.get_by_role("heading", name="Can these pictures be believed?")).to_be_in_viewport()
    page.get_by_text("Curves and numbers behind the verdict").click()
    expect(page.get_by_text("random orders that do as well")).to_be_visible()
    expect(page.locator(".player").get_by_text("The model says").first).to_be_attached()  # nothing was loaded anew


def test_a_link_names_clip_and_checkpoint(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/?clip=sit+down&checkpoint=gym-none")
    says = re.compile("(says|labelled) sit down")  # what it says, and the label where that is another
    expect(page.locator(".player").get_by_text(says).first).to_be_visible()
    expect(page.get_by_role("combobox", name="Checkpoint")).to_have_value("gym-none")


def test_two_people_see_their_own_clip(app: str, open_page: OpenPage) -> None:
    first, second = open_page(f"{app}/?clip=bow"), open_page(f"{app}/?clip=raise+cup")
    expect(first.locator(".player").get_by_text("The model says bow").first).to_be_visible()
    expect(second.locator(".player").get_by_text("The model says raise cup").first).to_be_visible()
    choose(first, "Clip", "kick left")
    expect(first.locator(".player").get_by_text("The model says kick left").first).to_be_visible()
    expect(second.locator(".player").get_by_text("The model says raise cup").first).to_be_visible()


def test_tokens_shows_three_lanes(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/tokens")
    expect(page.locator(".player").get_by_text("The model says")).to_have_count(3)


def test_a_real_clip_with_its_joints_is_uploaded_and_explained(app: str, open_page: OpenPage, data_dir: Path) -> None:
    jhmdb = data_dir / "jhmdb"
    video = sorted((jhmdb / "videos" / "golf").iterdir())[0]
    joints = jhmdb / "joint_positions" / "golf" / video.stem / "joint_positions.mat"
    page = open_page(f"{app}/?source=Upload")
    page.get_by_role("button", name="Video and joints").click()
    inputs = page.locator('input[type="file"]')
    inputs.nth(0).set_input_files(video)
    inputs.nth(1).set_input_files(joints)
    page.wait_for_selector(PLAYER)
    expect(page.locator(".player").get_by_text("The model says").first).to_be_visible()


def test_a_renamed_program_ends_in_a_sentence_and_the_app_goes_on(
    app: str, open_page: OpenPage, tmp_path: Path
) -> None:
    (tmp_path / "setup.mp4").write_bytes(b"MZ" + bytes(500))
    page = open_page(f"{app}/?source=Upload")
    page.get_by_role("button", name="Video and joints").click()
    page.locator('input[type="file"]').nth(0).set_input_files(tmp_path / "setup.mp4")
    expect(page.get_by_text("does not look like a video")).to_be_visible()
    expect(open_page(app).locator(".player").get_by_text("The model says").first).to_be_visible()
