"""My clip: a video of one's own, cut to an action, with joints brought or placed by hand, for every other page."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from training.track_joints import Tracked, Tracker
from xai.dashboard.basket import add_own
from xai.dashboard.choose import PAGES, ClipChoice, choose_checkpoint, mine
from xai.dashboard.draft import Draft
from xai.dashboard.library import open_library
from xai.dashboard.limits import limits
from xai.dashboard.my_clip_parts import DRAFT, bring, cut, keep, layout_of, open_file
from xai.dashboard.placing import Placed, Scene, placed, placing, placing_film
from xai.dashboard.shown import plain

PLACING = "placing"
# Placing goes on while joints are found, and says itself what is not found yet, so it is not greyed out.
BRIGHT = """<style>
[data-testid="stElementContainer"][data-stale="true"]:has([data-testid^="stBidiComponent"]) { opacity: 1 !important; }
</style>"""


def scene_of(draft: Draft, film: str) -> Scene:
    first, last = draft.span
    return Scene(
        film=film,
        size=draft.clip.size,
        numbers=tuple(range(first + 1, last + 2)),
        seconds=tuple(float(second) for second in draft.seconds),
        layout=draft.layout,
        people=draft.people,
        keys=draft.placed,
        given=draft.given,
        edition=f"{draft.opened} {draft.edition}",
    )


def with_report(draft: Draft) -> Draft:
    """With what the browser placed since. Kept before anything else happens: the choice that made the page run again
    may be another cut, in which the report would be one of yesterday."""
    try:
        reported = placed(PLACING, scene_of(draft, ""))
    except ValueError:  # said where joints are placed
        return draft
    if reported is not None:
        draft = draft.placing(reported.keys)
        keep(draft)
    return draft


def tracker_of(draft: Draft) -> Tracker:
    """The frames of the cut, ready to be tracked on; one for each visitor, who changes one key frame at a time."""
    key = (draft.digest, draft.span)
    held = st.session_state.get(f"{DRAFT} tracker")
    if held is None or held[0] != key:
        held = st.session_state[f"{DRAFT} tracker"] = (key, Tracker(draft.frames))
    tracker: Tracker = held[1]
    return tracker


def place(draft: Draft) -> tuple[Draft, Tracked]:
    """The skeleton on the frames. Gives back the draft with what was placed, and the joints of every frame."""
    from xai.dashboard import own_clip

    if len(draft) > (most := limits().placed_frames):
        st.warning(
            f"Joints are placed on at most {most} frames, and this cut has {len(draft)}: move its ends closer, or "
            "bring joints from a file."
        )
        return draft, draft.joints()
    film, pictures = own_clip.film_of(draft)
    scene = scene_of(draft, film)
    reported: Placed | None = None
    try:
        reported = placed(PLACING, scene)
    except ValueError as error:
        st.error(plain(error))
    if reported is not None:
        draft = draft.placing(reported.keys)
    found = draft.joints(tracker_of(draft))
    st.html(BRIGHT)
    placing_film("placing film", film, pictures)
    placing(scene, found, reported.revision if reported else 0, PLACING)
    return draft, found


def finish(draft: Draft, found: Tracked, checkpoint: Any) -> None:
    """What the clip is good for: the other pages, and a file."""
    from xai.dashboard import own_clip

    first, second, third = st.columns([3, 2, 2], vertical_alignment="bottom")
    label = first.text_input(
        "What is done in it (optional)", key="my label", max_chars=60, persist_state="session",
        value=draft.clip.label or "",
    )  # fmt: skip
    clip = draft.finished(found, label.strip() or None)
    if mine() is not None:
        mine(clip)  # what is open in Explore follows what is done here
    if second.button("Open in Explore", type="primary", width="stretch"):
        mine(clip)
        st.switch_page(f"{PAGES}/explore.py", query_params={"source": "Mine"})
    name = re.sub(r"[^\w-]+", "-", draft.clip.name).strip("-") or "clip"
    third.download_button(
        "Save clip and joints", lambda: own_clip.saved(clip), f"{name}.npz", key="my save", on_click="ignore",
        width="stretch", help="One `.npz` with frames, joints, confidence and times; open it here again any time.",
    )  # fmt: skip
    if checkpoint is not None:
        add_own(ClipChoice(own=clip), checkpoint)
    if not found.score.any():
        st.caption("Without joints the network sees the pictures only.")


def page() -> None:
    library = open_library()
    draft: Draft | None = st.session_state.get(DRAFT)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with right:
        checkpoint = choose_checkpoint(library)
    try:
        layout = layout_of(checkpoint)
    except ValueError as error:
        st.error(plain(error))
        return
    with left:
        if draft is None:
            st.markdown("#### Bring a video of your own")
        else:
            height, width = draft.clip.size
            name, another = st.columns([3, 1], vertical_alignment="bottom")
            name.markdown(
                f"**{plain(draft.clip.name)}** :gray[{len(draft.clip)} frames, {width}x{height} pixels"
                + (f"; joints from {plain(draft.brought)}" if draft.brought else "")
                + "]"
            )
            another.button("Another video", on_click=lambda: keep(None), width="stretch")
    if draft is None:
        open_file(layout)
        return
    draft = cut(with_report(draft))
    draft = bring(draft, checkpoint)
    draft, found = place(draft)
    keep(draft)
    finish(draft, found, checkpoint)


page()
