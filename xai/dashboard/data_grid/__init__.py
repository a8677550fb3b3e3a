"""A grid of clips in the browser: thumbnails that move, unless less motion was asked for, with a caption each.

Every tile is a plain link: it opens in a tab of its own where that is wanted, and the way back is the browser's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

FOLDER = Path(__file__).parent
Mark = Literal["", "right", "wrong"]


@dataclass(frozen=True)
class Tile:
    """One clip."""

    number: int
    """Of the clip, counted from 1."""
    link: str
    title: str
    """The first line: what the clip is."""
    lines: tuple[str, ...] = ()
    """What is said of it."""
    mark: Mark = ""
    words: str = ""
    """For who cannot see the picture."""
    moving: str = ""
    still: str = ""
    """Addresses of pictures; both empty while there is none."""
    sentence: str = ""
    """Why there will be none."""
    shape: tuple[int, int] = (1, 1)
    """(width, height) of the picture, in any unit."""


@cache
def _component() -> Any:
    css = (FOLDER / "grid.css").read_text(encoding="utf-8")
    script = (FOLDER / "grid.js").read_text(encoding="utf-8")
    return st.components.v2.component("kinescope_grid", html='<ul class="clips"></ul>', css=css, js=script)


def data_grid(tiles: Sequence[Tile], key: str, waiting: bool = False) -> None:
    """Show the tiles. While `waiting` for pictures the browser has this part of the page drawn again now and then."""
    data = {"tiles": [asdict(tile) for tile in tiles], "waiting": waiting}
    _component()(key=key, data=data, on_more_change=lambda: None)
