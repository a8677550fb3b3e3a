"""A grid of clips in the browser: thumbnails that move, unless less motion was asked for, with a caption each.

Every tile is a link, so that it opens in a tab of its own where that is wanted. A plain click does not follow it, for
that would load the application anew and lose what the session holds: the server is told which tile, and goes there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def data_grid(
    tiles: Sequence[Tile], key: str, waiting: bool = False, opening: Callable[[Tile], None] = lambda tile: None
) -> Tile | None:
    """Show the tiles; the one that was clicked, if any. `opening` is told of it first, before the page is drawn.

    While `waiting` for pictures the browser has this part of the page drawn again now and then.
    """

    def heard() -> None:
        tile = clicked(tiles, (st.session_state.get(key) or {}).get("open"))
        if tile is not None:
            opening(tile)

    data = {"tiles": [asdict(tile) for tile in tiles], "waiting": waiting}
    said = _component()(key=key, data=data, on_more_change=lambda: None, on_open_change=heard)
    return clicked(tiles, said.open)


def clicked(tiles: Sequence[Tile], number: Any) -> Tile | None:
    """The tile that a browser says was clicked; None for anything that is no tile of these."""
    return next((tile for tile in tiles if isinstance(number, int) and tile.number == number), None)
