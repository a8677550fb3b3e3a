"""My clip in Chromium: a video is uploaded, joints are dragged to their places, and Explore shows the clip."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ROOT, OpenPage, Serve
from tests.browser.test_accessibility import settle, violations
from tests.training.small_video import dot_frames
from training import gym
from training.clip_file import load_clip, read_clip
from training.video import write_video

T, H, W = 14, 96, 128


@pytest.fixture(scope="module")
def app(serve: Serve) -> str:
    return serve(ROOT / "app.py")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "small dot.webm"
    write_video(path, dot_frames(T, H, W, x=40, y=30))
    return path


@pytest.fixture
def opened(app: str, open_page: OpenPage, video: Path) -> Page:
    page = open_page(f"{app}/my_clip", height=1400)
    page.locator("input[type=file]").first.set_input_files(video)
    expect(page.locator(".placing .p-cell")).to_have_count(T)
    return page


def box(place: Locator) -> tuple[float, float, float, float]:
    found = place.bounding_box()
    assert found is not None
    return found["x"], found["y"], found["width"], found["height"]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def on_stage(page: Page, x: float, y: float, columns: int = W) -> tuple[float, float]:
    """Where pixel (x, y) of a video of so many columns is on the screen."""
    stage = page.locator(".p-stage")
    stage.scroll_into_view_if_needed()
    left, top, width, _ = box(stage)
    return float(left + (x + 0.5) * width / columns), float(top + (y + 0.5) * width / columns)


def joint(page: Page, name: str) -> Locator:
    return page.locator(f".p-joint[aria-label^='{name}:']")


def place_of(page: Page, name: str) -> tuple[int, int]:
    said = re.search(r"x (-?\d+), y (-?\d+)", joint(page, name).get_attribute("aria-label") or "")
    assert said is not None
    return int(said[1]), int(said[2])


def go_to(page: Page, frame: int) -> None:
    page.locator(".p-time input").fill(str(frame))


def test_joints_are_dragged_tracked_and_opened_in_explore(opened: Page) -> None:
    page = opened
    expect(page.get_by_text("Drag a box around the person")).to_be_visible()
    drag(page, on_stage(page, 20, 10), on_stage(page, 60, 90))
    expect(joint(page, "face")).to_be_visible()
    drag(page, on_stage(page, *place_of(page, "face")), on_stage(page, 40, 30))
    assert place_of(page, "face") == (40, 30)
    expect(page.locator(".p-said")).to_contain_text("1 key frame (1)")
    expect(page.locator(".p-list li", has_text="face")).to_contain_text("placed")
    # Optical flow follows the dot, a pixel a frame, without another key frame.
    go_to(page, T - 1)
    expect(joint(page, "face")).to_have_attribute("aria-label", re.compile("tracked, confidence"))
    x, y = place_of(page, "face")
    assert abs(x - (40 + T - 1)) <= 1
    assert abs(y - 30) <= 1
    # A correction makes a key frame; the dot of the other frames is still followed.
    drag(page, on_stage(page, *place_of(page, "left wrist")), on_stage(page, 90, 80))
    expect(page.locator(".p-said")).to_contain_text(f"2 key frames (1, {T})")
    go_to(page, 6)
    expect(joint(page, "face")).to_have_attribute("aria-label", re.compile("tracked, confidence"))
    assert abs(place_of(page, "face")[0] - 46) <= 1
    page.get_by_role("button", name="Open in Explore").click()
    expect(page.locator(".player").get_by_text("The model says").first).to_be_visible()
    expect(page).to_have_url(re.compile("source=Mine"))
    expect(page.get_by_text("small dot, 14 frames")).to_be_visible()
    # The draft waits on its page.
    page.get_by_role("link", name="My clip").first.click()
    expect(page.locator(".p-said")).to_contain_text(f"2 key frames (1, {T})")


def test_a_cut_is_put_aside_saved_and_opened_again(opened: Page, tmp_path: Path) -> None:
    page = opened
    end = page.get_by_role("slider", name="Cut: first and last frame").last
    end.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_text(f"Cut: frames 1 to {T - 4} of {T}")).to_be_visible()
    expect(page.locator(".placing .p-cell")).to_have_count(T - 4)
    page.get_by_role("button", name="Stand mid-frame").click()
    expect(page.locator(".p-list li", has_text="neck")).to_contain_text("placed")
    page.get_by_role("button", name="Film strip").click()
    expect(page.get_by_text(re.compile("It has 1 panel;")).first).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save clip and joints").click()
    path = tmp_path / "kept.npz"
    waiting.value.save_as(path)
    clip = load_clip(path)
    assert clip.joints.shape == (T - 4, 1, 15, 2)
    assert clip.score[0].min() > 0
    page.get_by_role("button", name="Another video").click()
    page.locator("input[type=file]").first.set_input_files(path)
    expect(page.locator(".placing .p-cell")).to_have_count(T - 4)
    said = re.compile(f"x {clip.joints[0, 0, 0, 0]:.0f}, y")
    expect(joint(page, "neck")).to_have_attribute("aria-label", said)


def test_a_film_of_a_person_gets_its_joints_by_hand_and_is_explained(
    app: str, open_page: OpenPage, tmp_path: Path
) -> None:
    """A clip of JHMDB where real data lie, else one of the gym: the box that a person drags is that of the truth."""
    if folder := os.environ.get("KINESCOPE_DATA"):
        film = sorted((Path(folder) / "jhmdb" / "videos" / "golf").iterdir())[0]
        clip = read_clip(film, film.parents[2] / "joint_positions" / "golf" / film.stem / "joint_positions.mat")
    else:
        clip = gym.clip("wave left hand", 3, split="test")
        film = tmp_path / "wave.webm"
        write_video(film, clip.frames)
    page = open_page(f"{app}/my_clip", height=1400)
    page.locator("input[type=file]").first.set_input_files(film)
    expect(page.locator(".placing .p-cell")).to_have_count(len(clip))
    width = clip.size[1]
    low, high = clip.joints[0, 0].min(0), clip.joints[0, 0].max(0)
    drag(page, on_stage(page, *low, width), on_stage(page, *high, width))
    expect(joint(page, "neck")).to_be_visible()
    for name in ("left wrist", "right wrist", "face"):
        x, y = clip.joints[0, 0, clip.layout.joints.index(name)]
        drag(page, on_stage(page, *place_of(page, name), width), on_stage(page, x, y, width))
        assert place_of(page, name) == pytest.approx((x, y), abs=1.5)
    go_to(page, len(clip) - 1)
    expect(joint(page, "face")).to_have_attribute("aria-label", re.compile("tracked, confidence|not seen"))
    page.get_by_role("button", name="Open in Explore").click()
    expect(page.locator(".player").get_by_text("The model says").first).to_be_visible()
    expect(page.locator(".player .curves .plot").first).to_be_visible()


def test_the_keyboard_does_everything_and_undoes_it(opened: Page) -> None:
    page = opened
    page.get_by_role("button", name="Stand mid-frame").press("Enter")
    neck = joint(page, "neck")
    expect(neck).to_be_visible()
    x, y = place_of(page, "neck")
    neck.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(neck).to_have_attribute("aria-label", re.compile(f"x {x + 1}, y {y + 10}"))
    hip = place_of(page, "left hip")
    page.keyboard.press("Alt+ArrowLeft")
    expect(joint(page, "left hip")).to_have_attribute("aria-label", re.compile(f"x {hip[0] - 1}, y {hip[1]}"))
    page.keyboard.press("Space")
    expect(neck).to_have_attribute("aria-label", re.compile("not seen"))
    for _ in range(3):
        page.keyboard.press("Control+z")
    expect(neck).to_have_attribute("aria-label", re.compile(f"x {x + 1}, y {y}, placed"))
    page.keyboard.press(".")
    expect(page.locator(".p-clock")).to_contain_text("frame 2")
    page.get_by_role("button", name="Copy previous key").click()
    expect(page.locator(".p-said")).to_contain_text("2 key frames (1, 2)")


def test_what_was_placed_can_be_undone_after_another_page_was_looked_at(opened: Page, video: Path) -> None:
    page = opened
    page.get_by_role("button", name="Stand mid-frame").click()
    go_to(page, 3)
    neck = joint(page, "neck")
    expect(neck).to_have_attribute("aria-label", re.compile("tracked, confidence"))
    x, y = place_of(page, "neck")
    neck.focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator(".p-said")).to_contain_text("2 key frames (1, 4)")
    page.get_by_role("link", name="Explore").first.click()  # sooner than a key press is reported
    expect(page.locator(".player").get_by_text("The model says").first).to_be_visible()
    page.get_by_role("link", name="My clip").first.click()
    expect(page.locator(".p-said")).to_contain_text("2 key frames (1, 4)")
    expect(page.locator(".p-clock")).to_contain_text("frame 4")
    expect(neck).to_have_attribute("aria-label", re.compile(f"x {x + 10}, y {y}, placed"))
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".p-said")).to_contain_text("1 key frame (1)")
    expect(neck).to_have_attribute("aria-label", re.compile(f"x {x}, y {y}, tracked, confidence"))
    # The same video once more is another draft.
    page.get_by_role("button", name="Another video").click()
    page.locator("input[type=file]").first.set_input_files(video)
    expect(page.locator(".p-said")).to_contain_text("no key frame yet")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_frames_travel_once(opened: Page) -> None:
    """The browser keeps the film of before a drag: what the server answers are joints."""
    page = opened
    page.get_by_role("button", name="Stand mid-frame").click()
    expect(page.locator(".p-list li", has_text="face")).to_contain_text("placed")
    page.evaluate("globalThis.kinescopeFilms.forEach((film) => (film.mark = 1))")
    drag(page, on_stage(page, *place_of(page, "face")), on_stage(page, 40, 30))
    go_to(page, 3)
    expect(joint(page, "face")).to_have_attribute("aria-label", re.compile("tracked, confidence"))
    assert page.evaluate("[...globalThis.kinescopeFilms.values()].map((film) => film.mark)") == [1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_placing_is_accessible(app: str, open_page: OpenPage, video: Path, theme: str) -> None:
    page = open_page(f"{app}/my_clip", color_scheme=theme)
    page.locator("input[type=file]").first.set_input_files(video)
    expect(page.get_by_text("Drag a box around the person")).to_be_visible()
    settle(page)
    assert violations(page) == []
    page.get_by_role("button", name="Stand mid-frame").click()
    go_to(page, 3)
    expect(joint(page, "face")).to_have_attribute("aria-label", re.compile("tracked, confidence"))
    settle(page)
    assert violations(page) == []


def test_a_file_that_is_no_video_is_a_sentence(app: str, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(f"{app}/my_clip")
    path = tmp_path / "no.mp4"
    path.write_bytes(b"#EXTM3U\nhttp://127.0.0.1:1/secret\n")
    page.locator("input[type=file]").first.set_input_files(path)
    expect(page.get_by_text("does not look like a video")).to_be_visible()


def test_on_a_telephone_nothing_is_wider_than_the_screen(app: str, open_page: OpenPage, video: Path) -> None:
    page = open_page(f"{app}/my_clip", width=390, height=844, has_touch=True)
    page.locator("input[type=file]").first.set_input_files(video)
    page.get_by_role("button", name="Stand mid-frame").click()
    expect(joint(page, "neck")).to_be_visible()
    x, y = place_of(page, "left ankle")
    start, end = on_stage(page, x, y), on_stage(page, x + 15, y - 20)
    touch = page.context.new_cdp_session(page)
    for kind, at in (("touchStart", start), ("touchMove", end), ("touchEnd", None)):
        points = [] if at is None else [{"x": at[0], "y": at[1]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    moved = re.compile(f"x ({x + 14}|{x + 15}|{x + 16}), y ({y - 21}|{y - 20}|{y - 19}), placed")
    expect(joint(page, "left ankle")).to_have_attribute("aria-label", moved)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("(node) => node.scrollWidth <= node.clientWidth + 1")
