"""The player in a real Chromium: tokens under the pointer, the drawn model that chooses, lanes, and the cube."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Serve
from tests.browser.player_page import APP, PLAYER, SIZE, ask, frame, pixel, press, settle
from tests.xai.synthetic import WRIST, synthetic_evidence, with_looks
from training.skeleton import JHMDB


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
    expect(page.locator(".readout")).to_contain_text("1 with 0.60 of its deformable attention")
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
    expect(page.locator(".readout")).to_contain_text("(head 3): 1 with 0.70 of its deformable attention")


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
    for box in ("early", "late"):  # of the drawn model: the features of a frame
        page.evaluate(f"() => ({PLAYER}).store.preview({{ lit: '{box}' }})")
        settle(page)
        picture = page.evaluate(drawn)
        assert picture not in seen, box
        seen.add(picture)
    page.evaluate(f"() => ({PLAYER}).store.preview({{}})")
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
    # It is where it was sampled: seen from the front, x and y are those of the clip, half a pixel from its edges.
    front = page.evaluate(f"() => {{ const cube = {CUBE}; cube.turn = [0, 0]; cube.draw();"
                          " return cube.dots.map(({ index, x, y }) => [index, x, y]); }")  # fmt: skip
    centre, scale = page.evaluate(f"() => [({CUBE}).centre, ({CUBE}).scale]")
    places = evidence.sampling_points.companions["place"][-1]
    for index, x, y in front:
        assert x == pytest.approx(centre[0] + scale * (places[index, 1] + 0.5 - 50) / 100, abs=0.05)
        assert y == pytest.approx(centre[1] + scale * (places[index, 2] + 0.5 - 30) / 100, abs=0.05)
    page.locator(".cube").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(f"() => ({CUBE}).turn[0]") == pytest.approx(-0.15)
    page.wait_for_timeout(500)
    assert sent == []
