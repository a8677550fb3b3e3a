"""How far what the player shows can be believed: in a few words beside its sentence, with the curves under it.

What ships was measured by `python -m xai bundle --trust`; everything else is measured here when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import streamlit as st

from xai.dashboard.choose import ClipChoice, open_checkpoint
from xai.dashboard.jobs import Progress
from xai.dashboard.library import open_library
from xai.dashboard.methods_panel import Ask, followed, known_trust, trust_key
from xai.dashboard.trust_badge import measure_button, show_behind, show_verdict
from xai.figures.player import main_method
from xai.known_trust import in_short

if TYPE_CHECKING:
    from training.clip import Clip
    from xai.trust import TrustReport

ANCHOR = "trust"
Payload = Mapping[str, Any]


def shown_as(payload: Payload) -> Ask:
    """The question that the pictures of the player answer."""
    return Ask(*main_method(payload))  # type: ignore[arg-type]


def known(payload: Payload, clip: Clip) -> Mapping[str, Any] | None:
    """`TrustReport.to_dict` of what the player shows, where it is known."""
    return known_trust(shown_as(payload), payload["model"]["checkpoint"], clip)


def badges(payloads: Sequence[Payload], clip: ClipChoice, *, on_page: bool = False) -> list[dict[str, str]]:
    """What the players say of their trust, and where a click on it leads: down this page, or to Explore.

    A file that only this visit holds is not there when Explore is loaded, nor is a network that does not ship, so then
    there is nowhere to lead to.
    """
    said = []
    for payload in payloads:
        found = known(payload, clip.open())
        badge = {} if found is None else {"textContent": in_short(found)}
        if on_page:
            badge["href"] = f"#{ANCHOR}"
        elif not (clip.upload or clip.own) and (shipped := open_library().key_of(payload["model"]["checkpoint"])):
            here = {"clip": clip.bundled.name} if clip.bundled else st.query_params.to_dict()
            query = urlencode({**here, "checkpoint": shipped})
            badge |= {"href": f"./?{query}#{ANCHOR}", "target": "_blank"}
        said.append(badge)
    return said


def believed(payload: Payload, clip: ClipChoice, checkpoint: Any) -> None:
    """The verdict on what the player shows, or the button that measures it."""
    st.subheader("Can these pictures be believed?", anchor=ANCHOR)
    ask, opened = shown_as(payload), clip.open()
    with st.container(border=True):
        found = known(payload, opened)
        st.caption(
            f"Measured for {ask.method}, mean of blocks and heads: does removing what it calls strong change the "
            "answer more than removing anything else, does it depend on the network, does it hold still?"
        )
        if found is not None:
            show_verdict(found)
            show_behind(found, "player")
        else:
            _measure(ask, payload["model"]["checkpoint"], opened.identity, clip, checkpoint)


def _measure(ask: Ask, digest: str, identity: str, clip: ClipChoice, checkpoint: Any) -> None:
    kind, pressed = measure_button(ask, digest, "player")
    opened = (open_checkpoint(checkpoint), clip.open()) if pressed else None

    def work(progress: Progress) -> TrustReport:
        from xai.methods import explain
        from xai.trust import trust

        assert opened is not None  # followed() starts nothing unless the button was pressed
        explanation = explain(*opened, ask.method, on=ask.on)
        return trust(*opened, explanation, progress=progress)

    if followed(trust_key(ask, digest, identity), work, "trust player", pressed, kind=kind) is not None:
        st.rerun()
