"""Break it: take something away from a clip or from the network, and see whether the answer cares."""

from __future__ import annotations

from typing import Any

import streamlit as st

from xai.dashboard.basket import add_broken
from xai.dashboard.believed import badges
from xai.dashboard.break_controls import Scene, controls, pointed, rectangle
from xai.dashboard.breaking import (
    Answer,
    History,
    answer_html,
    become,
    current,
    ledger_chart,
    ledger_html,
    sentence,
    stage,
)
from xai.dashboard.choose import ClipChoice, choose_checkpoint, choose_clip, open_checkpoint
from xai.dashboard.copy_link import copy_link
from xai.dashboard.film import Film, skeleton_pictures, strip_html
from xai.dashboard.film_points import Points
from xai.dashboard.fitting import say_misfit_of
from xai.dashboard.kept import kept
from xai.dashboard.library import open_library
from xai.dashboard.player import player
from xai.dashboard.shown import payload_of, plain, untrained


def changed_by(history: History, clip: ClipChoice, checkpoint: Any) -> Any:
    """What the network says now, or None: nothing was taken away, or it cannot be, which is then said."""
    if not history.now:
        return None
    from xai.dashboard import live

    try:
        with st.spinner("Asking the network again"):
            return live.changed(open_checkpoint(checkpoint), clip.open(), history.now)
    except ValueError as error:
        st.error(plain(error))
        return None


def what_was_done(history: History, changed: Any) -> None:
    """The list in words, each with a way back; undo, redo, reset."""
    with st.container(horizontal=True, gap="small"):
        st.button("Undo", on_click=_undo, disabled=not history.past)
        st.button("Redo", on_click=_redo, disabled=not history.future)
        st.button("Reset", on_click=_reset, disabled=not history.now)
        copy_link("link to what is broken")
    if not history.now:
        st.caption("Nothing is taken away. Whatever you do stands here, each with a way back, and a link repeats it.")
    for number, words in enumerate(changed.words if changed else ()):
        left, right = st.columns([5, 1], vertical_alignment="center")
        left.markdown(f"{number + 1}\\. {plain(words)}")
        right.button("Drop", key=f"drop {number}", type="tertiary", on_click=_drop, args=(number,))


def _undo() -> None:
    become(current().undo())


def _redo() -> None:
    become(current().redo())


def _reset() -> None:
    become(current().do(""))


def _drop(number: int) -> None:
    become(current().dropping(number))


def films(
    untouched: Film, now: Film | None, before: Film, points: list[Points | None], width: int, names: tuple[str, ...]
) -> None:
    """What the network was shown, above what there was. `before`: the untouched frames in the order of `now`.

    `points` are drawn on the untouched film and on that of now, in pixels of the clip, which is `width` wide. `names`
    says what the films are made of: the payload, which block, and what was taken away.
    """

    def strip(film: Film, what: str, which: Points | None, ring: Film | None) -> str:
        images = skeleton_pictures(film, untouched=ring)
        if which is not None:
            which.draw(images, film, width)
        return strip_html(images, film, what)

    if now is not None:
        st.markdown("**Now**")
        st.html(kept().get(("changed film", *names), lambda: strip(now, "changed film", points[1], before)))
        st.markdown("**Untouched**")
    st.html(kept().get(("film", *names[:2]), lambda: strip(untouched, "film", points[0], None)))


def choose_frame(count: int, first: int) -> int:
    """The frame on the stage, from 1; one that another clip or a link left beyond the end is brought back."""
    if count == 1:
        return 1
    if "at" in st.session_state:
        st.session_state["at"] = min(max(1, int(st.session_state["at"])), count)
    else:
        st.session_state["at"] = first
    return int(st.slider("Frame", 1, count, key="at", bind="query-params"))


def choose_points(count: int) -> int | None:
    """The block whose sampling points are drawn on the films, from 0; None for no points."""
    if not count:
        return None
    blocks = ["none", *map(str, range(1, count + 1))]
    block = st.segmented_control(
        "Sampling points of block", blocks, default=blocks[-1], required=True, key="points", bind="query-params",
        help="Where the network read: a dot at the place, larger for more attention mass (mean over heads and "
        "queries), with a hair to where it was before the offsets. Blue was moved earlier in time, orange later.",
    )  # fmt: skip
    return None if block == "none" else int(str(block)) - 1


def in_the_player(payload: dict[str, Any], clip: ClipChoice, checkpoint: Any, history: History) -> None:
    """Both passes with everything they read, in lanes on one clock."""
    from xai.dashboard import live
    from xai.dashboard.changed import as_lane

    try:
        with st.spinner("Tracing the changed pass"):
            now = live.payload_without(open_checkpoint(checkpoint), clip.open(), history.now)
    except ValueError as error:
        st.error(plain(error))
        return
    lanes = [as_lane(payload, "Untouched"), as_lane(now, "Now")]
    trust: list[dict[str, str]] = [*badges([payload], clip), {}]
    if now["clip"]["frames"] != payload["clip"]["frames"]:
        st.caption("The changed clip has fewer frames, so it cannot share a clock with the untouched one.")
        lanes = lanes[1:]
    player(lanes, key="broken", trust=trust[-len(lanes) :])


def page() -> None:
    library = open_library()
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        clip = choose_clip(library)
    with right:
        checkpoint = choose_checkpoint(library)
    payload = payload_of(clip, checkpoint)
    if payload is None:
        return
    history = current()
    saying = st.container()
    changed = changed_by(history, clip, checkpoint)
    before = Answer.of_payload(payload)
    now = Answer.of_prediction(changed.prediction) if changed else None
    with saying:
        st.markdown(f"##### {sentence(before, now, plain)}")
        say_misfit_of(clip, [checkpoint])
        if untrained(payload):
            st.markdown(":orange[**These weights were never trained: what their answer depends on explains nothing.**]")

    found = clip.open()
    scene = Scene.of(payload, found, tuple(c.name for c in library.clips if c != clip.bundled))
    untouched = Film.of_payload(payload)
    film = Film.of_clip(changed.shown.clip, changed.numbers, untouched.seen) if changed else untouched
    same = Film.of_clip(changed.before, changed.numbers, untouched.seen) if changed else untouched
    show, do, answer = st.columns([4, 4, 4], gap="medium")
    with do:
        kind = controls(scene)
    with show:
        drawn = rectangle(scene) if kind == "Region" else None
        picture = st.container()
        t = choose_frame(len(film), untouched.telling + 1)
        picture.plotly_chart(
            stage(film, t - 1, scene.size, same, drawn), key="stage", on_select=lambda: pointed(scene),
            selection_mode=("points", "box"), config={"displayModeBar": False}, theme=None,
        )  # fmt: skip
    with answer:
        st.html(answer_html(before, now))
        what_was_done(history, changed)
        if now is not None:
            label = st.selectbox("What adds up to the logit of", list(before.logits), index=0, key="ledger of")
            st.html(ledger_html(before, now, str(label)))

    all_points = Points.of_payload(payload)
    block = choose_points(len(all_points))
    if changed and changed.other_frames:
        st.caption(f"The numbers under the frames of now are those of the clip, which has {scene.length}.")
    points = [
        each[block] if block is not None and block < len(each) else None
        for each in (all_points, changed.points if changed else ())
    ]
    films(untouched, film if changed else None, same, points, scene.size[1], (payload["id"], str(block), history.now))
    if now is None:
        return
    add_broken(clip, checkpoint, history.removals)
    st.subheader("Where the change comes from, frame by frame", anchor=False)
    assert changed is not None
    chart = ledger_chart(before, now, str(label), changed.numbers)
    st.plotly_chart(chart, key="ledger", config={"displayModeBar": False})
    if st.toggle("Watch both in the player", key="watch", bind="query-params"):
        in_the_player(payload, clip, checkpoint, history)


page()
