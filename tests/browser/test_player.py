"""The player in a real Chromium: what is drawn where, what the keys do, and what never reaches the server."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, Serve
from tests.browser.player_page import APP, GEOMETRY, PLAYER, SIZE, ask, frame, pixel, press, settle
from tests.xai.synthetic import WRIST, one_point, painted_clip, synthetic_evidence
from training.skeleton import JHMDB
from xai.evidence import Evidence
from xai.figures.player import player_payload, unpack


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_point_is_drawn_where_it_was_sampled(show: Any, ratio: int) -> None:
    page = show("point", device_scale_factor=ratio)
    ask(page, "player.store.choose({ count: 8 })")
    drawn = {}
    for t in range(7):
        ask(page, f"player.clock.seek({t})")
        settle(page)
        geometry = ask(page, GEOMETRY)
        box = page.locator(".stage canvas").bounding_box()
        scale = min(box["width"] / 100, box["height"] / 60)
        x = (box["width"] - 100 * scale) / 2 + scale * 70.5
        y = (box["height"] - 60 * scale) / 2 + scale * 20.5
        found = [p for p in geometry["points"] if p["index"] == 0]
        drawn[t] = found[0]["opacity"] if found else 0
        if found:
            assert found[0]["x"] == pytest.approx(x, abs=0.01)
            assert found[0]["y"] == pytest.approx(y, abs=0.01)
        if t == 3:
            expected = found[0]["colour"].removeprefix("rgb(").removesuffix(")").split(",")
            behind = painted_clip(7, 60, 100).frames[3, 20, 70]
            blended = 0.75 * np.array(expected, float) + 0.25 * behind
            np.testing.assert_allclose(pixel(page, x, y), blended, atol=6)
    # Trilinear in time: frame 3.25 is read three quarters from frame 3 and one quarter from frame 4.
    assert [drawn[t] for t in range(7)] == pytest.approx([0, 0, 0, 0.75, 0.25, 0, 0], abs=0.01)


def times_uniform(evidence: Evidence) -> np.ndarray:
    """[T, M, J]: what CLS reads of every joint in the last layer, mean of heads, over what uniform attention would."""
    curves = evidence.joint_curves
    assert curves is not None
    return curves.values[-1].mean(0)[0] / np.broadcast_to(curves.base_rate, curves.values.shape)[-1, 0, 0]


def test_a_joint_is_drawn_on_its_pixel_and_coloured_by_attention(show: Any) -> None:
    page = show()
    evidence = synthetic_evidence(**SIZE)
    times = times_uniform(evidence)
    t = frame(page)
    geometry = ask(page, GEOMETRY)
    wrist = next(j for j in geometry["joints"] if j["index"] == WRIST)
    px, py = evidence.clip.joints[t, 0, WRIST]
    assert wrist["x"] == pytest.approx(geometry["x0"] + geometry["scale"] * (px + 0.5), abs=0.05)
    assert wrist["y"] == pytest.approx(geometry["y0"] + geometry["scale"] * (py + 0.5), abs=0.05)
    assert wrist["value"] == pytest.approx(times[t, 0, WRIST] / times.max(), abs=1e-3)
    np.testing.assert_allclose(pixel(page, wrist["x"], wrist["y"]), (253, 231, 37), atol=3)  # the top of viridis


def test_ghosts_stand_on_the_lattice_and_joints_get_the_size_of_uniform_attention(show: Any) -> None:
    page = show()
    evidence = synthetic_evidence(**SIZE)
    reference = evidence.sampling_points.companions["reference"][-1]
    t = round(float(reference[:, 0].min()))
    press(page, "Home", *["ArrowRight"] * t)
    geometry = ask(page, GEOMETRY)
    x, y = (geometry[f"{axis}0"] + geometry["scale"] * (reference[:, i] + 0.5) for i, axis in ((1, "x"), (2, "y")))
    drawn = np.array([[each["x"], each["y"]] for each in geometry["points"] + geometry["joints"]])
    apart = np.hypot(x[:, None] - drawn[:, 0], y[:, None] - drawn[:, 1]).min(1) > 15
    near = np.flatnonzero((np.abs(reference[:, 0] - t) < 0.6) & apart)
    assert len(near) >= 2

    def around(i: int) -> int:
        """The brightest pixel to the right and left of a reference."""
        return max(sum(pixel(page, float(x[i] + away), float(y[i]))) for away in (-3, -2, 2, 3))

    without = {i: around(i) for i in near}
    assert all(joint["ghost"] == 0 for joint in geometry["joints"])
    press(page, "g")
    for i in near:
        assert around(i) > without[i] + 30, "a white ring around the reference"
    joints = ask(page, GEOMETRY)["joints"]
    times = times_uniform(evidence)
    found = ask(page, "[...player.readings[0].jointMass(player.readings[0].now(player.store.view())).times]")
    np.testing.assert_allclose(found, times.reshape(-1), atol=1e-3)
    for joint in joints:
        reach = (joint["radius"] - 3) / np.sqrt(times[t].reshape(-1)[joint["index"]] / times.max())
        assert joint["ghost"] == pytest.approx(3 + reach * np.sqrt(1 / times.max()), abs=0.05)


def test_the_mean_of_heads_and_one_head_are_what_the_evidence_says(show: Any) -> None:
    page = show()
    values = synthetic_evidence(**SIZE).sampling_points.values.mean(3)
    for head in (-1, 1):
        ask(page, f"player.store.choose({{ layer: 0, head: {head}, query: 'rgb' }})")
        expected = values[0].mean(0)[1] if head < 0 else values[0, head, 1]
        found = ask(page, "[...player.readings[0].pointMass(player.readings[0].now(player.store.view())).mass]")
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_scrubbing_choosing_and_pinning_send_nothing(serve: Serve, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    sent: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(str(data)[:80])))
    page.goto(f"{serve(APP)}/?case=one")
    page.locator(".player .sentence").wait_for()
    expect(page.get_by_text("Hover previews, click pins, Esc frees.")).to_be_visible()
    page.wait_for_timeout(500)
    assert sent, "no websocket was seen, so this test would prove nothing"
    sent.clear()
    press(page, "Home", *["ArrowRight"] * 10, "End", "h", "q", "q", "q", "[", "]", "g", "m", "m", "ArrowDown", ",", ".")
    for selector in (".strip canvas", ".curves .plot", ".ledger .plot", ".stage canvas"):
        box = page.locator(selector).bounding_box()
        for share in (0.2, 0.5, 0.8):
            page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
    page.locator(".blocks button").first.click()
    page.locator(".choices.query button").nth(1).click()
    page.locator(".answers button").nth(2).click()
    box = page.locator(".strip canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 2.5 / 7, box["y"] + 20)
    expect(page.get_by_role("button", name="Free frame 3")).to_be_visible()
    press(page, "Escape")
    expect(page.get_by_text("Hover previews, click pins, Esc frees.")).to_be_visible()
    page.wait_for_timeout(600)
    assert sent == []


def test_the_address_keeps_the_view_and_restores_it(show: Any, open_page: OpenPage) -> None:
    page = show()
    press(page, "Home", "ArrowRight", "[", "h", "h", "q", "ArrowDown", "Enter")
    page.wait_for_function("() => location.search.includes('joint=')")
    chosen = {"frame": 1, "joint": 0, "layer": 0, "head": 1, "query": "rgb"}
    told = ask(page, "new URLSearchParams(location.search).toString()")
    assert dict(pair.split("=") for pair in told.split("&")) == {
        "case": "one", "frame": "2", "joint": "1", "layer": "1", "head": "2", "query": "rgb",
    }  # fmt: skip
    # The page of the server adds its own parameters and knows those of the browser; neither loses the other's.
    page.get_by_text("A switch of the page").click()
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("frame=1, joint=0, person=None, layer=0, head=1, query='rgb'")).to_be_visible()
    page.wait_for_function("() => /switch=true/.test(location.search) && /asked=1/.test(location.search)")
    page.wait_for_timeout(600)
    again = open_page(page.url)
    again.wait_for_function(f"() => ({PLAYER})?.lanes.every((lane) => lane.images)")
    settle(again)
    for name, value in chosen.items():
        assert ask(again, f"player.store.view().{name}") == value
    expect(again.get_by_role("button", name="Free neck")).to_be_visible()
    assert ask(again, "player.readings[0].J") == 15
    press(again, "Escape", "Home")
    again.wait_for_function("() => !/joint=|query=|layer=/.test(location.search) && /frame=1/.test(location.search)")


@pytest.mark.parametrize(
    ("link", "view", "freed"),
    [
        ("point=3", {"point": 2}, "point"),
        ("lit=early", {"lit": "early"}, "early"),
        ("lit=skeleton&ghost=true&heat=true", {"lit": "skeleton", "ghost": True, "heat": True}, "skeleton"),
    ],
)
def test_the_address_keeps_points_boxes_and_switches(
    serve: Serve, open_page: OpenPage, link: str, view: dict[str, Any], freed: str
) -> None:
    page = open_page(f"{serve(APP)}/?case=one&frame=2&{link}")
    page.wait_for_function(f"() => ({PLAYER})?.lanes.every((lane) => lane.images)")
    settle(page)
    page.wait_for_timeout(600)
    for name, value in view.items():
        assert ask(page, f"player.store.view().{name}") == value
    assert ask(page, "new URLSearchParams(location.search).toString()") == f"case=one&frame=2&{link}"
    expect(page.get_by_role("button", name=re.compile(f"Free .*{freed}"))).to_be_visible()
    press(page, "Escape")
    page.wait_for_function("() => !/point=|lit=/.test(location.search)")
    assert ask(page, f"player.store.view().{next(iter(view))}") is None


def test_a_link_to_what_is_not_there_opens_the_clip(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve(APP)}/?case=one&frame=99&joint=400&layer=-2&head=x&query=%3Cb%3E&label=nothing")
    page.locator(".player .sentence").first.wait_for()
    expect(page.get_by_text("Hover previews, click pins, Esc frees.")).to_be_visible()
    assert ask(page, "player.store.view().layer") == 1


def test_a_link_is_copied(show: Any) -> None:
    page = show(permissions=["clipboard-read", "clipboard-write"])
    press(page, "End")
    page.get_by_role("button", name="copy link").click()
    expect(page.get_by_role("button", name="copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()").endswith("case=one&frame=7")


def test_keys_step_play_and_choose(show: Any) -> None:
    page = show()
    press(page, "Home")
    assert frame(page) == 0
    press(page, "ArrowRight", "ArrowRight")
    assert frame(page) == 2
    press(page, "ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert frame(page) == 6  # the film is a loop
    press(page, "[")
    assert ask(page, "player.store.view().layer") == 0
    expect(page.locator(".blocks button").first).to_have_attribute("aria-pressed", "true")
    press(page, ",", ",")
    assert ask(page, "player.clock.speed") == 0.25
    press(page, ".", ".", "?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    press(page, "Escape", "Home", " ")
    page.wait_for_function(f"() => {PLAYER}.store.chosen.frame >= 2")
    press(page, " ")
    stopped = frame(page)
    page.wait_for_timeout(250)
    assert frame(page) == stopped
    expect(page.get_by_role("slider", name="Frame", exact=True)).to_have_attribute("aria-valuenow", str(stopped + 1))


def test_hovering_previews_and_leaving_returns(show: Any) -> None:
    page = show()
    press(page, "Home")
    box = page.locator(".strip canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 4.5 / 7, box["y"] + 20)
    settle(page)
    assert (frame(page), ask(page, "player.store.chosen.frame")) == (4, 0)
    page.mouse.move(box["x"] + 20, box["y"] - 400)
    settle(page)
    assert frame(page) == 0
    wrist = ask(page, f"player.lanes[0].stage.joints.find((j) => j.index === {WRIST})")
    stage = page.locator(".stage canvas").bounding_box()
    page.mouse.move(stage["x"] + wrist["x"], stage["y"] + wrist["y"])
    expect(page.locator(".readout")).to_contain_text("right wrist: attention mass")


def test_the_sentence_is_measured_and_claims_no_cause(show: Any) -> None:
    page = show()
    evidence = synthetic_evidence(**SIZE)
    curves = evidence.joint_curves.values[-1].mean(0)[0].sum((0, 1))
    seen = evidence.clip.score[:, 0].sum(0) > 0
    arm = [JHMDB.joints.index(f"right {name}") for name in ("shoulder", "elbow", "wrist")]
    others = np.median(np.delete(curves, arm))
    assert seen.all()
    said = page.locator(".sentence").inner_text()
    assert f"golf ({evidence.probabilities[0]:.2f})" in said
    assert "CLS token read the right arm most" in said
    assert f"{curves[arm].mean() / others:#.2g} × the others" in said
    everything = page.locator(".player").inner_text().lower()
    for word in ("because", "importan", "explains why", "caused"):
        assert word not in everything


def test_the_ledger_adds_up_on_screen(show: Any) -> None:
    page = show()
    ledger = synthetic_evidence(**SIZE).ledger
    said = page.locator(".sum").inner_text().replace("−", "-")
    logit, parts, bias = map(float, re.search(r"logit (\S+) = parts (\S+) \+ bias (-?[\d.]+)", said).groups())
    assert logit == pytest.approx(parts + bias)  # as written, to the last digit
    assert logit == pytest.approx(ledger.companions["logits"][0], abs=0.006)
    assert parts == pytest.approx(ledger.values[0].sum(), abs=0.011)


@pytest.mark.parametrize(
    ("case", "sentences"),
    [
        ("nobody", ["No joint was seen in this clip"]),
        ("bare", ["searches no tokens", "reads neither points nor joints"]),
        ("untrained", ["never trained"]),
    ],
)
def test_what_is_not_there_is_said(show: Any, case: str, sentences: list[str]) -> None:
    page = show(case)
    for sentence in sentences:
        expect(page.locator(".player")).to_contain_text(sentence)
    press(page, "ArrowRight", "ArrowDown", "h", "q", "g", "m", "Enter", "Escape")


def test_a_query_that_does_not_read_joints_says_so(show: Any) -> None:
    page = show()
    page.locator(".choices.query button", has_text="pose").click()
    expect(page.locator(".key")).to_contain_text("takes no part in 3D deformable attention; choose CLS or RGB.")
    page.locator(".choices.query button", has_text="RGB").click()
    expect(page.locator(".curves")).to_contain_text("takes no part in joint stride attention; choose CLS or pose.")


def test_lanes_share_one_clock_and_one_highlight(show: Any) -> None:
    page = show("lanes")
    expect(page.locator(".lane")).to_have_count(3)
    expect(page.locator(".film")).to_have_count(1)
    press(page, "Home", "ArrowRight", "ArrowDown")
    assert frame(page) == 1
    for lane in range(3):
        geometry = ask(page, GEOMETRY.replace("0", str(lane)))
        smallest = geometry["joints"][0]
        painted = painted_clip(7, 60, 100).joints[1, 0, smallest["index"]]
        assert (smallest["px"], smallest["py"]) == pytest.approx(tuple(painted), abs=0.01)
    expect(page.locator(".readout")).to_contain_text("none ")
    expect(page.locator(".sentence").first).to_contain_text("mean joint read the right")


def test_two_people_have_a_selector(show: Any) -> None:
    page = show("people")
    page.get_by_role("button", name="person 2").click()
    settle(page)
    assert ask(page, "player.lanes[0].curves.joints(player.store.view())[0]") == 15


def test_labels_are_text_never_markup(show: Any) -> None:
    page = show("hostile")
    assert "<img src=x" in page.locator(".sentence").inner_text()
    assert page.locator(".player img").count() + page.locator(".player b", has_text="golf").count() == 0


def test_a_narrow_screen_stacks_stage_strip_sentence_curves(show: Any) -> None:
    page = show(width=390, height=844)
    tops = [page.locator(name).bounding_box()["y"] for name in (".stage", ".film", ".top", ".curves")]
    assert tops == sorted(tops)
    box = page.locator(".player").bounding_box()
    assert box["x"] + box["width"] <= 390
    assert ask(page, "document.documentElement.scrollWidth") <= 390


def test_at_1440_all_of_it_is_on_one_screen(show: Any) -> None:
    box = show().locator(".player").bounding_box()
    assert box["height"] <= 780
    assert box["width"] >= 1100


def test_the_theme_follows_the_page(show: Any) -> None:
    light, dark = show(color_scheme="light"), show(color_scheme="dark")
    assert not ask(light, "player.root.classList.contains('dark')")
    assert ask(dark, "player.root.classList.contains('dark')")


def test_what_the_browser_decodes_is_what_python_packed(show: Any) -> None:
    page = show("point")
    payload = player_payload(one_point(synthetic_evidence(**SIZE), 3.25, 70, 20))
    found = ask(page, "[...player.readings[0].points.place.values]")
    np.testing.assert_allclose(found, unpack(payload["points"]["place"]).ravel(), atol=1e-4)
