"""A lesson in Chromium: from step to step with the keys n and p, predict and reveal, presenter mode, a telephone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, OpenPage, Serve
from tests.browser.player_page import ask
from xai.dashboard.library import ASSETS
from xai.lessons import lessons_of

LESSONS = {each.key: each for each in lessons_of(ASSETS / "lessons")}
LESSON, ATTENTION = LESSONS["tokens"], LESSONS["attention"]


@pytest.fixture(scope="module")
def app(serve: Serve) -> str:
    return serve(ROOT / "app.py")


def stands_at(page: Page, number: int) -> None:
    expect(page.get_by_role("heading", name=LESSON.steps[number - 1].title)).to_be_visible()
    expect(page).to_have_url(re.compile(rf"step={number}\b"))
    expect(page.locator(".player .sentence").first).to_be_visible()
    rests(page)


def rests(page: Page) -> None:
    """Nothing is being drawn anew, so that a key finds its listener."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def test_a_lesson_is_walked_with_n_and_p(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/lessons?lesson=tokens&step=1&present=1")
    stands_at(page, 1)
    expect(page.get_by_test_id("stHeader")).to_be_hidden()
    page.keyboard.press("n")
    stands_at(page, 2)
    expect(page.locator(".player .model")).to_have_css("outline-style", "solid")
    page.get_by_text("512", exact=True).click()
    page.keyboard.press("s")
    expect(page.get_by_text("your prediction")).to_be_visible()
    rests(page)
    for number in range(3, len(LESSON.steps) + 1):
        page.keyboard.press("n")
        stands_at(page, number)
        if "$$" in LESSON.steps[number - 1].text:
            expect(page.locator(".katex").first).to_be_visible()
        expect(page.locator(".katex-error")).to_have_count(0)
    page.keyboard.press("p")
    stands_at(page, len(LESSON.steps) - 1)
    page.locator(".player .stage canvas").first.click()  # the player has keys of its own, and lets these pass
    page.keyboard.press("p")
    stands_at(page, len(LESSON.steps) - 2)


def test_the_line_goes_with_every_step_also_around_the_same_part(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/lessons?lesson=attention&step=4")
    for key, number in (("", 4), ("n", 5), ("p", 4)):
        if key:
            page.wait_for_timeout(5000)  # people read: the line must not depend on how long ago the page was opened
            page.keyboard.press(key)
        expect(page).to_have_url(re.compile(rf"step={number}\b"))
        expect(page.get_by_role("heading", name=ATTENTION.steps[number - 1].title)).to_be_visible()
        rests(page)
        expect(page.locator(".player .answers-cell")).to_have_css("outline-style", "solid")
        page.wait_for_timeout(500)  # and it stays: what was there before takes its own line away in a moment
        expect(page.locator(".player .answers-cell")).to_have_css("outline-style", "solid")


def test_a_link_keeps_what_was_chosen_in_the_player_of_a_step(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/lessons?lesson=tokens&step=1")
    stands_at(page, 1)
    expect(page).not_to_have_url(re.compile("head="))
    page.locator(".player").focus()
    page.keyboard.press("h")
    expect(page).to_have_url(re.compile("head=1"))
    other = open_page(page.url)
    stands_at(other, 1)
    assert ask(other, "player.store.chosen.head") == 0
    assert not ask(other, "player.store.playing")
    other.get_by_role("button", name="Next").click()
    stands_at(other, 2)
    expect(other).not_to_have_url(re.compile("head="))


def test_a_class_joins_a_room_predicts_and_is_counted(app: str, open_page: OpenPage) -> None:
    teacher = open_page(f"{app}/lessons?lesson=tokens&step=2")
    stands_at(teacher, 2)
    teacher.get_by_role("button", name="Open a room").click()
    expect(teacher).to_have_url(re.compile("room=[A-Z]{4}"))
    code = teacher.url.split("room=")[1][:4]
    teacher.get_by_role("button", name="Present").click()
    address = teacher.get_by_role("link", name=f"lessons?room={code}")
    expect(address).to_have_css("font-size", "30.4px")  # large enough for the last row
    expect(address).to_have_attribute("href", f"{app}/lessons?room={code}")
    student = open_page(f"{app}/lessons")
    student.get_by_label("Room code").fill(code.lower())
    student.get_by_role("button", name="Join", exact=True).click()
    expect(student.get_by_role("heading", name=LESSON.steps[1].title)).to_be_visible()
    expect(student.get_by_role("button", name="Reveal")).to_have_count(0)
    student.get_by_text("512", exact=True).click()
    expect(teacher.get_by_text("1 answer so far")).to_be_visible()
    teacher.get_by_role("button", name="Reveal").click()
    for page in (teacher, student):  # the student's page follows
        expect(page.locator(".outcome .bars").first).to_be_visible()
        counts = page.locator(".outcome .bars").all_inner_texts()
        assert sorted(map(int, counts))[::-1] == [1, *[0] * (len(counts) - 1)]
    expect(student.get_by_text("your prediction")).to_be_visible()
    expect(teacher.get_by_text("your prediction")).to_have_count(0)
    teacher.get_by_role("button", name="Next").click()
    expect(student.get_by_role("heading", name=LESSON.steps[2].title)).to_be_visible()


def test_on_a_telephone_nothing_is_wider_than_the_screen(app: str, open_page: OpenPage) -> None:
    page = open_page(f"{app}/lessons?lesson=tokens&step=4", width=390, height=844)
    stands_at(page, 4)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".player .stage canvas").first.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
