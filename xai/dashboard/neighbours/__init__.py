"""The neighbours view in the browser: hover over a patch, and see what each head reads around it in time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

FOLDER = Path(__file__).parent


@cache
def _component() -> Any:
    css = (FOLDER / "neighbours.css").read_text(encoding="utf-8")
    script = (FOLDER / "neighbours.js").read_text(encoding="utf-8")
    html = '<div class="neighbours"></div>'
    return st.components.v2.component("kinescope_neighbours", html=html, css=css, js=script)


def neighbours(payload: Mapping[str, Any], key: str) -> None:
    """Show one payload of `xai.figures.neighbours`."""
    _component()(key=key, data=dict(payload))
