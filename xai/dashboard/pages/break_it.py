"""Break it: take something away from a clip or from the network, and see whether the answer cares."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from xai.dashboard.basket import add_broken
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
from xai.dashboard.film import Film, skeleton_pictures, strip_html
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
        st.error(str(error))
        return None


def what_was_done(history: History, changed: Any) -> None:
    """The list in words, each with a way back; undo, redo, reset."""
    with st.container(horizontal=True, gap="small"):
        st.button("Undo", on_click=_undo, disabled=not history.past)
        st.button("Redo", on_click=_redo, disabled=not history.future)
        st.button("Reset", on_click=_reset, disabled=not history.now)
    if not history.now:
        st.caption("Nothing is taken away. What you do is written into the address of this page: share it as a link.")
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


def films(untouched: Film, now: Film | None, before: Film, names: tuple[str, str]) -> None:
    """What the network was shown, above what there was. `before`: the untouched frames in the order of `now`.

    `names` says what the films are made of: the payload, and what was taken away.
    """
    if now is not None:
        st.markdown("**Now**")
        draw = partial(strip_html, film=now, what="changed film")
        st.html(kept().get(("changed film", *names), lambda: draw(skeleton_pictures(now, untouched=before))))
        st.markdown("**Untouched**")
    draw = partial(strip_html, film=untouched, what="film")
    st.html(kept().get(("film", names[0]), lambda: draw(skeleton_pictures(untouched))))


def in_the_player(payload: dict[str, Any], clip: ClipChoice, checkpoint: Any, history: History) -> None:
    """Both passes with everything they read, in lanes on one clock."""
    from xai.dashboard import live
    from xai.dashboard.changed import as_lane

    try:
        with st.spinner("Tracing the changed pass"):
            now = live.payload_without(open_checkpoint(checkpoint), clip.open(), history.now)
    except ValueError as error:
        st.error(str(error))
        return
    lanes = [as_lane(payload, "Untouched"), as_lane(now, "Now")]
    if now["clip"]["frames"] != payload["clip"]["frames"]:
        st.caption("The changed clip has fewer frames, so it cannot share a clock with the untouched one.")
        lanes = lanes[1:]
    player(lanes, key="broken")


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
        if untrained(payload):
            st.markdown(":orange[**These weights were never trained: what their answer depends on explains nothing.**]")

    scene = Scene.of(payload, clip.bundled is not None, tuple(c.name for c in library.clips if c != clip.bundled))
    untouched = Film.of_payload(payload)
    film = Film.of_clip(changed.shown.clip, changed.numbers) if changed else untouched
    same = untouched.take([number - 1 for number in changed.numbers]) if changed else untouched
    show, do, answer = st.columns([4, 4, 4], gap="medium")
    with do:
        kind = controls(scene)
        frame = f"frame of {payload['id']}"
        t = st.session_state[frame] = min(st.session_state.get(frame, untouched.telling + 1), len(film))
    with show:
        drawn = rectangle(scene) if kind == "Region" else None
        figure = stage(film, t - 1, scene.size, same, drawn)
        st.plotly_chart(
            figure, key="stage", on_select=lambda: pointed(scene), selection_mode=("points", "box"),
            config={"displayModeBar": False}, theme=None,
        )  # fmt: skip
        if len(film) > 1:
            st.slider("Frame", 1, len(film), key=frame, label_visibility="collapsed")
    with answer:
        st.html(answer_html(before, now))
        what_was_done(history, changed)

    films(untouched, film if changed else None, same, (payload["id"], history.now))
    if now is None:
        return
    add_broken(clip, checkpoint, history.removals)
    st.subheader("Where the change comes from", anchor=False)
    table, chart = st.columns([2, 5], gap="large")
    label = table.selectbox("Logit of", list(before.logits), index=0, key="ledger of")
    table.html(ledger_html(before, now, str(label)))
    chart.plotly_chart(ledger_chart(before, now, str(label)), key="ledger", config={"displayModeBar": False})
    if st.toggle("Watch both in the player", key="watch"):
        in_the_player(payload, clip, checkpoint, history)


page()
