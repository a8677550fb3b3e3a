"""The player in a real Chromium: what is drawn where, what the keys do, and what never reaches the server."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Serve
from tests.xai.synthetic import WRIST, one_point, painted_clip, synthetic_evidence, with_looks
from training.skeleton import JHMDB
from xai.figures.player import player_payload, unpack

APP = """
from dataclasses import replace

import streamlit as st

from tests.xai.synthetic import one_point, synthetic_evidence, with_looks
from xai.dashboard.cube import show_cube
from xai.dashboard.player import Place, player
from xai.figures.player import player_payload, size

st.set_page_config(layout="wide")
SIZE = {"frames": 7, "height": 60, "width": 100, "layers": 2, "heads": 3, "grid": (2, 3, 4)}
BARE = ("sampling_points", "joint_curves", "temporal_windows")
HOSTILE = "<img src=x onerror=alert(1)><b>golf</b>"


@st.cache_data
def payloads(case: str) -> list[dict]:
    if case == "lanes":
        return [player_payload(synthetic_evidence(**SIZE, token_mode=mode)) for mode in ("none", "single", "cross")]
    if case == "framewise":
        from tests.xai.clips import noise_clip
        from tests.xai.test_framewise_evidence import framewise
        from xai.evidence import gather_evidence

        return [player_payload(gather_evidence(framewise("msca-kv"), noise_clip(10, 40, 60)))]
    people = {"people": 2, "nobody": 0}.get(case, 1)
    evidence = synthetic_evidence(**SIZE, people=people, without=BARE if case == "bare" else ())
    if case == "point":
        evidence = one_point(evidence, 3.25, 70, 20)
    if case == "hostile":
        evidence = replace(evidence, labels=(HOSTILE, *evidence.labels[1:]), clip=replace(evidence.clip, label=HOSTILE))
    if case == "looks":
        evidence = with_looks(evidence)
    if case == "large clip":
        full = player_payload(with_looks(evidence))
        return [player_payload(with_looks(evidence), budget=size(full) - size(full["looks"]) + 500)]
    if case == "trusted":
        return [player_payload(evidence, trust="Beats random removal (2.4 times the fall).")]
    if case == "untrained":
        evidence = replace(evidence, model={**evidence.model, "trained_on": ""})
    return [player_payload(evidence)]


case = st.query_params.get("case", "one")
told = [{"textContent": "Trust: doubtful.", "href": "#trust"}] if case == "told" else []
player(payloads(case), key="player", large="large" in st.query_params, trust=told)
if "cube" in st.query_params:
    show_cube(payloads(case)[0])
st.toggle("A switch of the page", key="switch", bind="query-params")
if st.button("Ask"):
    st.query_params["asked"] = "1"
st.write("the server knows:", str(Place.from_query(st.query_params)))
"""
SIZE: dict[str, Any] = {"frames": 7, "height": 60, "width": 100, "layers": 2, "heads": 3, "grid": (2, 3, 4)}


@pytest.fixture
def show(serve: Serve, open_page: OpenPage) -> Any:
    def open_(case: str = "one", **options: Any) -> Page:
        options.setdefault("reduced_motion", "reduce")  # else the film moves by itself
        page = open_page(f"{serve(APP)}/?case={case}", **options)
        page.locator(".player .sentence").first.wait_for()
        page.wait_for_function(f"() => ({PLAYER})?.lanes.every((lane) => lane.images)")
        settle(page)
        return page

    return open_


PLAYER = """(() => {
  const search = (node) => {
    for (const each of node.querySelectorAll("*")) {
      if (each.player) return each.player;
      const found = each.shadowRoot && search(each.shadowRoot);
      if (found) return found;
    }
  };
  return search(document);
})()"""


GEOMETRY = (
    "(({ at, drawn, joints }) => ({ x0: at.x0, y0: at.y0, scale: at.scale, points: drawn, joints }))"
    "(player.lanes[0].stage)"
)


def ask(page: Page, expression: str) -> Any:
    """The value of a JavaScript expression over `player`."""
    return page.evaluate(f"() => {{ const player = {PLAYER}; return {expression}; }}")


def settle(page: Page) -> None:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def press(page: Page, *keys: str) -> None:
    page.locator(".player").focus()
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def pixel(page: Page, x: float, y: float) -> list[int]:
    """RGB of the stage's canvas at CSS pixel (x, y)."""
    return ask(
        page,
        f"(() => {{ const {{ canvas, context }} = player.lanes[0].stage.sheet;"
        f" const r = canvas.width / canvas.clientWidth;"
        f" return [...context.getImageData(Math.round({x} * r), Math.round({y} * r), 1, 1).data].slice(0, 3); }})()",
    )


def frame(page: Page) -> int:
    return int(ask(page, "player.store.view().frame"))


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


def test_a_joint_is_drawn_on_its_pixel_and_coloured_by_attention(show: Any) -> None:
    page = show()
    evidence = synthetic_evidence(**SIZE)
    curves = evidence.joint_curves.values[-1].mean(0)[0]  # last layer, mean of heads, CLS
    t = frame(page)
    geometry = ask(page, GEOMETRY)
    wrist = next(j for j in geometry["joints"] if j["index"] == WRIST)
    px, py = evidence.clip.joints[t, 0, WRIST]
    assert wrist["x"] == pytest.approx(geometry["x0"] + geometry["scale"] * (px + 0.5), abs=0.05)
    assert wrist["y"] == pytest.approx(geometry["y0"] + geometry["scale"] * (py + 0.5), abs=0.05)
    assert wrist["value"] == pytest.approx(curves[t, 0, WRIST] / curves.max(), abs=1e-3)
    np.testing.assert_allclose(pixel(page, wrist["x"], wrist["y"]), (253, 231, 37), atol=3)  # the top of viridis


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
    assert f"({curves[arm].mean() / others:#.2g} × the other joints" in said
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


def test_a_narrow_screen_stacks_stage_strip_curves_sentence(show: Any) -> None:
    page = show(width=390, height=844)
    tops = [page.locator(name).bounding_box()["y"] for name in (".stage", ".film", ".curves", ".top")]
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


def test_a_token_under_the_pointer_shows_where_it_looks(show: Any) -> None:
    page = show("looks")
    press(page, "Home")
    stage = page.locator(".stage canvas").bounding_box()
    page.mouse.move(stage["x"] + 5, stage["y"] + 5)
    settle(page)
    patch = ask(page, "player.store.view().patch")
    assert patch == 0
    reads = ask(page, "player.readings[0].look(player.readings[0].now(player.store.view()))")
    assert reads[0]["own"]
    found = [(read["kind"], read["t"], read["x"], read["y"]) for read in reads[1:]]
    # As made by hand: patch 0 reads point 5 most, then a joint and a patch of frame 2 in temporal attention.
    evidence = with_looks(synthetic_evidence(**SIZE))
    place = evidence.sampling_points.companions["place"][-1, 5]
    wrist = evidence.clip.joints[2, 0, WRIST]
    assert [kind for kind, *_ in found] == ["point", "joint", "patch"]
    np.testing.assert_allclose([each[1:] for each in found], [place, (2, *wrist), (2, 19.5, 11.5)], atol=0.02)
    expect(page.locator(".readout")).to_contain_text("Patch at frame 1")
    expect(page.locator(".readout")).to_contain_text("in deformable attention carry 0.60")
    page.mouse.move(stage["x"] + 5, stage["y"] - 300)
    settle(page)
    assert ask(page, "player.store.view().patch") is None
    # Turned around: who reads point 5 most. And what a joint reads.
    turned = ask(page, "player.readings[0].look({ ...player.readings[0].now(player.store.view()), point: 5 })")
    assert [(read["kind"], read["t"]) for read in turned] == [("patch", 0)]
    state = f"{{ ...player.readings[0].now(player.store.view()), frame: 1, joint: {WRIST} }}"
    joint = ask(page, f"player.readings[0].look({state})")
    assert [(read["kind"], read["t"], read["table"]) for read in joint] == [("joint", 6, "joint")]


def test_curves_and_heat_map_light_the_same_joint(show: Any) -> None:
    page = show()
    press(page, "Home", "m")
    cell = page.locator(f".rows [data-joint='{WRIST}'] i").nth(3)
    cell.hover()
    settle(page)
    assert (frame(page), ask(page, "player.store.view().joint")) == (3, WRIST)
    expect(page.locator(".stage .dot")).to_have_text("right wrist")
    press(page, "m")
    page.mouse.move(1, 1)
    settle(page)
    box = page.locator(".curves .plot").bounding_box()
    mass = ask(page, f"player.lanes[0].curves.values({WRIST})[3] / player.readings[0].jointMass("
               "player.readings[0].now(player.store.view())).max")  # fmt: skip
    page.mouse.move(box["x"] + box["width"] * 3.5 / 7, box["y"] + box["height"] * (1 - mass / 1.3))
    settle(page)
    assert (frame(page), ask(page, "player.store.view().joint")) == (3, WRIST)
    expect(page.locator(f".curves polyline[data-joint='{WRIST}'].lit")).to_have_count(1)


def test_a_first_visit_moves_by_itself_unless_motion_is_not_wanted(show: Any) -> None:
    page = show(reduced_motion="no-preference")
    page.wait_for_function(f"() => {PLAYER}.store.playing")
    first = frame(page)
    page.wait_for_function(f"() => {PLAYER}.store.chosen.frame !== {first}")
    page.get_by_role("button", name="pin").click()  # whoever chooses a frame gets it
    assert not ask(page, "player.store.playing")
    page.wait_for_function("() => location.search.includes('frame=')")
    still = show(reduced_motion="reduce")
    still.wait_for_timeout(300)
    assert not ask(still, "player.store.playing")


def lit(page: Page) -> str:
    return str(page.locator(".player").get_attribute("data-lit"))


def now(page: Page, what: str) -> Any:
    """A value of what is on screen, in the first lane."""
    return ask(page, f"player.readings[0].now(player.store.view()).{what}")


def test_the_boxes_of_the_drawn_model_light_up_what_they_stand_for(show: Any) -> None:
    page = show("looks")
    press(page, "Home")
    expect(page.locator(".trunk button:visible")).to_have_count(10)  # seven boxes and three modal tokens
    belly = JHMDB.joints.index("belly")
    joint = ask(page, f"player.lanes[0].stage.joints.find((j) => j.index === {belly})")
    ring = joint["x"] - joint["radius"] - 5.7, joint["y"]
    before = pixel(page, *ring)
    page.locator(".trunk button", has_text="pose tokens").hover()
    settle(page)
    assert lit(page) == "joint"
    assert pixel(page, *ring) != before
    expect(page.locator(".curves polyline.lit")).to_have_count(15)
    expect(page.locator(".readout")).to_contain_text("P: pose tokens")
    page.locator(".trunk button", has_text="patch tokens").hover()
    settle(page)
    # The square that the model saw has 48 x 48 pixels for it, so 6 x 6 patches of 8, the first centred on its pixel 0.
    stage, box = (page.locator(name).bounding_box() for name in (".stage canvas", ".lattice"))
    tile = 60 / 6 * stage["width"] / 100
    assert box["width"] == pytest.approx(6 * tile, abs=0.3)
    first = stage["x"] + (20 + 0.5 * 60 / 48) * stage["width"] / 100  # the square starts at pixel 20 of the clip
    assert box["x"] + tile / 2 == pytest.approx(first, abs=0.3)
    page.mouse.move(1, 1)
    settle(page)
    assert lit(page) == ""
    expect(page.locator(".lattice")).to_be_hidden()
    # By keyboard: the focus lights up, Enter keeps it lit, Esc frees it.
    press(page, "Home")
    page.locator(".trunk button", has_text="3DTS").focus()
    settle(page)
    assert lit(page) == "point"
    page.keyboard.press("Enter")
    page.locator(".player").focus()
    settle(page)
    assert lit(page) == "point"
    expect(page.get_by_role("button", name="Free lit point")).to_be_visible()
    press(page, "Escape")
    assert lit(page) == ""


def test_the_modal_tokens_of_the_drawn_model_choose_the_query(show: Any) -> None:
    page = show()
    page.locator(".box button", has_text="RGB").click()
    settle(page)
    assert now(page, "query") == "rgb"
    for host in (".box", ".choices.query"):
        expect(page.locator(f"{host} button[aria-pressed=true]")).to_have_text("RGB")
    page.locator(".choices.query button", has_text="pose").click()
    expect(page.locator(".box button[aria-pressed=true]")).to_have_text("pose")


def test_the_linear_head_leads_to_the_ledger(show: Any) -> None:
    page = show(width=390, height=844)
    page.locator(".linear").scroll_into_view_if_needed()
    page.locator(".linear").click()
    settle(page)
    assert lit(page) == "head"
    plot = page.locator(".ledger .plot")
    expect(plot).to_be_in_viewport(ratio=0.9)
    expect(plot).to_have_css("outline-style", "solid")


def test_a_frame_wise_network_is_drawn_as_what_it_is(show: Any) -> None:
    page = show("framewise")
    drawn = page.locator(".model")
    for text in ("8 × 8 px each", "one for each frame:", "frame by frame", "mean of all frames"):
        expect(drawn).to_contain_text(text)
    for absent in ("pose tokens", "patch tokens", "3DTS", "1/8 size"):
        expect(drawn.get_by_text(absent)).to_be_hidden()
    page.locator(".trunk button", has_text="patches").hover()
    settle(page)
    # Its patches lie side by side: 4 x 4 of 8 px on the square that it saw, from edge to edge.
    stage, box = (page.locator(name).bounding_box() for name in (".stage canvas", ".lattice"))
    assert box["width"] == pytest.approx(stage["width"] * 40 / 60, abs=0.3)
    assert box["x"] == pytest.approx(stage["x"] + stage["width"] * 10 / 60, abs=0.3)


def test_what_the_pictures_are_and_their_trust_stand_on_top(show: Any) -> None:
    page = show()
    expect(page.locator(".trust")).to_contain_text("Pictures of what the model read (attention), which need not be")
    expect(page.locator(".trust a:not([href])")).to_have_text("Trust: not measured")  # there is nowhere to go
    expect(show("told").get_by_role("link", name="Trust: doubtful.")).to_have_attribute("href", "#trust")
    expect(show("trusted").locator(".trust a")).to_have_text("Trust: Beats random removal (2.4 times the fall).")


def test_the_chosen_head_changes_points_curves_and_what_a_token_reads(show: Any) -> None:
    page = show("looks")
    press(page, "Home")
    lines = "[...document.querySelectorAll('*')].flatMap((each) => [...(each.shadowRoot?.querySelectorAll("
    lines += "'.curves polyline[data-joint]') ?? [])]).map((line) => line.getAttribute('points'))"
    mean = ask(page, lines)
    points = ask(page, "[...player.readings[0].pointMass(player.readings[0].now(player.store.view())).mass]")
    expect(page.locator(".key")).to_contain_text("where it looks, in the chosen head.")
    page.locator(".choices.head button", has_text="3").click()
    settle(page)
    assert now(page, "head") == 2
    assert len(mean) == 15
    assert all(old != new for old, new in zip(mean, ask(page, lines), strict=True))
    changed = ask(page, "[...player.readings[0].pointMass(player.readings[0].now(player.store.view())).mass]")
    expected = synthetic_evidence(**SIZE).sampling_points.values.mean(3)[1, 2, 0]
    np.testing.assert_allclose(changed, expected, atol=1e-5)
    assert not np.allclose(changed, points, atol=1e-5)
    # Patch 0 reads point 5 in the mean of the heads, and point 5 + h in head h alone.
    place = synthetic_evidence(**SIZE).sampling_points.companions["place"][-1]
    for head, point in ((-1, 5), (0, 5), (2, 7)):
        state = f"{{ ...player.readings[0].now({{ ...player.store.view(), head: {head} }}), patch: 0, frame: 0 }}"
        found = ask(page, f"player.readings[0].look({state})")
        np.testing.assert_allclose([found[1][axis] for axis in "txy"], place[point], atol=0.02)
        assert len(found) == (4 if head < 0 else 2)
    stage = page.locator(".stage canvas").bounding_box()
    page.mouse.move(stage["x"] + 5, stage["y"] + 5)
    expect(page.locator(".readout")).to_contain_text("in deformable attention (head 3) carry 0.70")


def test_what_did_not_fit_is_said(show: Any) -> None:
    page = show("large clip")
    assert ask(page, "player.readings[0].looks") is None
    expect(page.locator(".key")).to_contain_text("What single patches, points and joints read is left out")


def test_every_token_is_reached_by_keys_and_told_to_screen_readers(show: Any) -> None:
    page = show("looks")
    press(page, "Home", "t")
    assert lit(page) == "joint"
    press(page, "Shift+ArrowRight")
    most = int(synthetic_evidence(**SIZE).joint_curves.values[-1].mean(0)[0, 0, 0].argmax())
    assert now(page, "joint") == most  # the joint that is read most in this frame comes first
    expect(page.locator(".unseen")).to_contain_text(f"{JHMDB.joints[most]}: attention mass")
    press(page, "t", "Shift+ArrowRight")
    first = now(page, "point")
    drawn = ask(page, "player.lanes[0].stage.drawn.map(({ index }) => index).reverse()")
    assert first == drawn[0]
    press(page, "Shift+ArrowRight")
    assert now(page, "point") == drawn[1]
    expect(page.locator(".unseen")).to_contain_text("Point at frame")
    press(page, "t", "Shift+ArrowRight")
    assert now(page, "patch") == 0
    expect(page.locator(".unseen")).to_contain_text(re.compile("Patch at frame 1, x [34], y [34] px"))
    press(page, "Shift+ArrowDown", "Shift+ArrowRight")
    assert now(page, "patch") == 14  # 13 patches in a row
    expect(page.locator(".unseen")).to_contain_text(re.compile("Patch at frame 1, x 1[12], y 1[12] px"))
    press(page, "Shift+ArrowLeft", "Shift+ArrowUp", "Shift+ArrowLeft")
    assert now(page, "patch") == 13 * 8 - 1  # the last of the frame
    press(page, "?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("step through those that are lit")
    press(page, "Escape")
    assert [now(page, name) for name in ("patch", "point", "joint", "lit")] == [None] * 4
    # A click pins a patch; what is hovered later shows, and returns to it.
    page.locator(".stage canvas").click(position={"x": 5, "y": 5})
    page.mouse.move(1, 1)
    settle(page)
    assert now(page, "patch") == 0
    expect(page.get_by_role("button", name="Free patch 1")).to_be_visible()


def test_lanes_stand_at_the_same_block_head_query_and_frame(show: Any) -> None:
    page = show("lanes")
    page.locator(".choices.layer button", has_text="1").click()
    page.locator(".choices.head button", has_text="2").click()
    page.locator(".choices.query button", has_text="RGB").click()
    press(page, "Home", "ArrowRight", "ArrowRight")
    states = ask(page, "player.readings.map((one) => one.now(player.store.view()))")
    assert [(state["layer"], state["head"], state["frame"]) for state in states] == [(0, 1, 2)] * 3
    # A lane without that token shows its own; none of them invents one.
    queries = ask(page, "player.readings.map((one) => [one.now(player.store.view()).query, one.queries])")
    assert queries[2][0] == "rgb"
    assert all(query in own for query, own in queries)
    # The strip has a row of bars for each lane, as high as what that lane gives the frame.
    expect(page.locator(".bars")).to_contain_text("rows: none, single, cross")
    bars = page.locator(".strip [data-frame='3'] i")
    expect(bars).to_have_count(3)
    for lane in range(3):
        share = ask(page, f"(() => {{ const one = player.readings[{lane}], state = one.now(player.store.view());"
                    " const found = one.frameMass(state); return found && found.mass[2] / one.most('frameMass', state);"
                    " })()")  # fmt: skip
        style = str(bars.nth(lane).get_attribute("style"))
        found = re.search(r"--mass:([\d.e-]+)", style)
        assert found if share else "--on:0" in style
        assert not found or float(found[1]) == pytest.approx(share)


def test_large_type_for_a_class(show: Any, serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve(APP)}/?case=one&large=1", reduced_motion="reduce")
    for part, pixels in ((".sentence", 17), (".readout", 13), (".tick", 11), (".trunk small", 10)):
        expect(page.locator(part).first).to_have_css("font-size", f"{1.4 * pixels:.1f}px".replace(".0px", "px"))
    expect(show().locator(".sentence")).to_have_css("font-size", "17px")
    assert page.locator(".player").evaluate("(node) => node.scrollWidth <= node.clientWidth")


CUBE = "[...document.querySelectorAll('*')].map((each) => each.shadowRoot?.querySelector('.cube')?.cube).find(Boolean)"


def test_the_cube_follows_the_player_and_the_player_the_cube(serve: Serve, open_page: OpenPage) -> None:
    page = open_page("about:blank", reduced_motion="reduce")
    sent: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(str(data)[:80])))
    page.goto(f"{serve(APP)}/?case=looks&cube=1")
    page.wait_for_function(f"() => ({CUBE})?.dots.length && ({PLAYER})?.lanes.every((lane) => lane.images)")
    page.wait_for_timeout(600)
    sent.clear()
    drawn = f"() => ({CUBE}).canvas.toDataURL()"
    evidence = synthetic_evidence(**SIZE)
    press(page, "Home")
    seen = {page.evaluate(drawn)}
    for keys in (["ArrowRight"], ["["], ["h"], ["ArrowDown"], ["t"]):
        press(page, *keys)
        picture = page.evaluate(drawn)
        assert picture not in seen, keys
        seen.add(picture)
    heaviest = page.evaluate(f"() => ({CUBE}).dots.reduce((a, b) => (a.radius > b.radius ? a : b)).index")
    assert heaviest == evidence.sampling_points.values.mean(3)[0, 0, 0].argmax()
    press(page, "Escape", "q", "q")
    expect(page.get_by_text("query pose, frame 2: only cls, rgb read points.")).to_be_visible()
    press(page, "Escape")
    # Hovering over a dot lights it up in the player, in the frame that it was read from.
    page.locator(".cube canvas").scroll_into_view_if_needed()
    dot = page.evaluate(f"() => {{ const {{ x, y, t, index }} = ({CUBE}).dots.at(-1); return {{ x, y, t, index }}; }}")
    page.locator(".cube canvas").hover(position={"x": dot["x"], "y": dot["y"]})
    settle(page)
    assert (now(page, "point"), now(page, "frame")) == (dot["index"], round(dot["t"]))
    expect(page.locator(".readout")).to_contain_text("Point at frame")
    # It is where it was sampled: looked at straight from the front, x and y are those of the clip.
    front = page.evaluate(f"() => {{ const cube = {CUBE}; cube.turn = [0, 0]; cube.draw();"
                          " return cube.dots.map(({ index, x, y }) => [index, x, y]); }")  # fmt: skip
    centre, scale = page.evaluate(f"() => [({CUBE}).centre, ({CUBE}).scale]")
    places = evidence.sampling_points.companions["place"][-1]
    for index, x, y in front:
        assert x == pytest.approx(centre[0] + scale * (places[index, 1] - 50) / 100, abs=0.05)
        assert y == pytest.approx(centre[1] + scale * (places[index, 2] - 30) / 100, abs=0.05)
    page.locator(".cube").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(f"() => ({CUBE}).turn[0]") == pytest.approx(-0.15)
    page.wait_for_timeout(500)
    assert sent == []
