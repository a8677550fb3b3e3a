"""A page with the player on synthetic evidence whose values are known, and how the tests ask it what it holds."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

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
