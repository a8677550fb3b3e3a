"""The player: film, skeleton, sampling points, curves, ledger and the drawn model on one clock, in the browser.

    place = player([payload], key="explore")                       # one prediction
    place = player([none, single, cross], key="tokens")            # the same clip in lanes, on one clock

Payloads come from `xai.figures.player.player_payload`. Scrubbing, hovering and choosing a block, head or query never
call the server. A pin or a release does: the page runs again and `player` returns the `Place` that was reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

FOLDER = Path(__file__).parent
MODULES = ("reading.js", "drawing.js", "store.js", "legend.js", "stage.js", "charts.js", "diagram.js", "player.js")


@dataclass(frozen=True)
class Place:
    """What is pinned, and through which block, head and query one looks. Counted from 0; None is 'not pinned'."""

    frame: int | None = None
    joint: int | None = None
    """Index in the clip's skeleton layout."""
    person: int | None = None
    layer: int | None = None
    head: int | None = None
    """-1 is the mean of the heads."""
    query: str | None = None
    label: str | None = None
    """The class whose ledger is shown."""

    def to_query(self) -> dict[str, str]:
        """Parameters of a link; numbers count from 1, as on screen (head 0 is the mean of the heads)."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: str(value + 1) if isinstance(value, int) else value for name, value in values.items()}

    @classmethod
    def from_query(cls, parameters: Mapping[str, Any]) -> Place:
        """The place that a link names. What it does not name or does not understand stays None."""
        found: dict[str, Any] = {}
        for field in fields(cls):
            text = str(parameters.get(field.name, ""))
            if field.name in ("query", "label"):
                found[field.name] = text or None
            elif re.fullmatch(r"\d{1,4}", text) and (int(text) > 0 or field.name == "head"):
                found[field.name] = int(text) - 1
        return cls(**found)


@cache
def script() -> str:
    """All modules as one: names are unique across them, so imports and exports fall away in this fixed order."""
    sources = [(FOLDER / name).read_text(encoding="utf-8") for name in MODULES]
    joined = "\n".join(re.sub(r"^import .*\n", "", source, flags=re.M) for source in sources)
    return re.sub(r"^export (?!default)", "", joined, flags=re.M)


@cache
def _component() -> Any:
    css = (FOLDER / "player.css").read_text(encoding="utf-8")
    html = '<div class="player-frame"><div class="player"></div></div>'
    return st.components.v2.component("kinescope_player", html=html, css=css, js=script())


def player(
    payloads: Sequence[Mapping[str, Any]] | Mapping[str, Any], key: str, *, place: Place | None = None
) -> Place | None:
    """Show one payload, or up to three of the same clip as lanes. Returns the place last pinned or released, or None.

    `place` is where the player opens, and where it goes when the page asks for another place than the one that the
    player itself reported last (a link, a step of a lesson).
    """
    shown = [payloads] if isinstance(payloads, Mapping) else list(payloads)
    if not 1 <= len(shown) <= 3:
        raise ValueError(f"The player shows one payload or up to three lanes, not {len(shown)}.")
    if len({payload["clip"]["frames"] for payload in shown}) > 1:
        raise ValueError("Lanes share one clock, so their payloads must have the same number of frames.")
    # A reported place comes back from the page's own link; sending it again would only cost a second copy of the data.
    reported = (st.session_state.get(key) or {}).get("view")
    asked = None if place is None or place == Place() else asdict(place)
    memory = f"{key} asked"
    if asked is not None and asked != reported:
        st.session_state[memory] = asked
    data = {"readings": shown, "view": st.session_state.get(memory)}
    result = _component()(key=key, data=data, on_view_change=lambda: None)
    return Place(**result.view) if result.view else None
