"""The buttons under the player that put what it shows into the figure: block, head, query, frame, points of now."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import streamlit as st

from xai.dashboard.player import Place

FOLDER = Path(__file__).parent
LONGEST = 2000


@cache
def _component() -> Any:
    css = (FOLDER / "add.css").read_text(encoding="utf-8")
    script = (FOLDER / "add.js").read_text(encoding="utf-8")
    return st.components.v2.component("kinescope_add", html='<div class="add-here"></div>', css=css, js=script)


def add_here(panels: Sequence[str], key: str, pressed: Callable[[str, Place, int | None], None]) -> None:
    """One button a panel; `pressed` is told which, where the player stands, and how many points it draws."""

    def heard() -> None:
        said = (st.session_state.get(key) or {}).get("pressed") or {}
        panel, place, points = read(said, panels)
        if panel:
            pressed(panel, place, points)

    _component()(key=key, data={"panels": list(panels)}, on_pressed_change=heard)


def read(said: Any, panels: Sequence[str]) -> tuple[str, Place, int | None]:
    """Panel, place and number of points of what a browser sent; "" for anything else. A place without a frame is a
    film that runs; without a number of points it is as the player opens."""
    panel, address = (said.get("panel"), said.get("address")) if isinstance(said, dict) else ("", "")
    if panel not in panels or not isinstance(address, str):
        return "", Place(), None
    parameters = dict(parse_qsl(address[:LONGEST].lstrip("?")))
    points = parameters.get("points", "")
    return str(panel), Place.from_query(parameters), int(points) if re.fullmatch(r"[1-9]\d{0,5}", points) else None
