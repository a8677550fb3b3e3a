"""The player: film, skeleton, sampling points, curves, ledger and the drawn model on one clock, in the browser.

    player([payload], key="explore")                       # one prediction
    player([none, single, cross], key="tokens")            # the same clip in lanes, on one clock

Payloads come from `xai.figures.player.player_payload`. Scrubbing, hovering, pinning and choosing a block, head or query
never call the server. The browser keeps the place in the address of the page, where a copied link finds it again. What
the server needs of it (for a figure) the browser sends with the button: see `xai.dashboard.add_here`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

import streamlit as st

from xai.figures.player_script import markup, script, style


@dataclass(frozen=True)
class Place:
    """What one looks at, and through which block, head and query. Counted from 0; None is 'as the player opens'."""

    frame: int | None = None
    joint: int | None = None
    """person * joints of the layout + joint."""
    person: int | None = None
    """Whose curves are shown."""
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


ALWAYS: Mapping[str, str | None] = {}


@cache
def _component() -> Any:
    js = f"{script()}\nexport default mount;"
    return st.components.v2.component("kinescope_player", html=markup(), css=style(), js=js)


def player(
    payloads: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    key: str,
    *,
    place: Place | None = None,
    linked: Mapping[str, str | None] | None = ALWAYS,
    large: bool = False,
    looks: bool = True,
    trust: Sequence[Mapping[str, str]] = (),
) -> None:
    """Show one payload, or up to three of the same clip as lanes.

    With a `place` (a step of a lesson) the player opens there, still, and goes where the next one says. The address
    says where else it opens, and what is chosen is written there while it holds what `linked` names (the step); with
    None the address is left alone. `large` is for a room that looks at it from afar. Without `looks`, what single
    tokens read is left out until a later run sends it: it is most of the bytes. `trust` says of each payload how far it
    can be believed, and where a click on that leads (`xai.dashboard.believed.badges`).
    """
    shown = [payloads] if isinstance(payloads, Mapping) else list(payloads)
    if not 1 <= len(shown) <= 3:
        raise ValueError(f"The player shows one payload or up to three lanes, not {len(shown)}.")
    if len({payload["clip"]["frames"] for payload in shown}) > 1:
        raise ValueError("Lanes share one clock, so their payloads must have the same number of frames.")
    data = {
        "readings": shown if looks else [{**payload, "looks": None} for payload in shown],
        "view": place and {name: value for name, value in asdict(place).items() if value is not None},
        "linked": None if linked is None else dict(linked),
        "large": large,
        "trust": [dict(each) for each in trust],
    }
    _component()(key=key, data=data)
