"""Lessons: a guided tour over the live views. Look, predict, reveal; alone, in front of a class, or with a class."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

import streamlit as st

from xai.dashboard.basket import add_lanes, add_player
from xai.dashboard.believed import badges
from xai.dashboard.choose import ClipChoice
from xai.dashboard.classroom import Room, shared_classroom
from xai.dashboard.lesson_parts import (
    OWN,
    answers,
    ask,
    effect,
    is_revealed,
    reveal,
    shelf,
    show_outcome,
    show_shelf,
    start,
)
from xai.dashboard.library import open_library
from xai.dashboard.player import Place, player
from xai.dashboard.shown import plain
from xai.dashboard.spotlight import keys_on_options, spotlight
from xai.lessons import FOCUS, Lesson, Opens, Step

# The words stay while the player beside them is scrolled to what they are about.
STYLE = """<style>
@media (min-width: 640px) {
  [data-testid="stColumn"]:has(.st-key-words) {
    position: sticky; top: 4.5rem; align-self: flex-start; max-height: calc(100vh - 5.5rem); overflow-y: auto;
  }
}
.st-key-words h4 { padding: 0 0 0.3rem; }
.st-key-words .stRadio > label p { font-weight: 600; }
.st-key-lesson_bar { border-bottom: 1px solid rgba(128,128,128,0.25); padding-bottom: 6px; }
.st-key-door strong { letter-spacing: 0.08em; }
</style>"""
PRESENTER = """<style>
[data-testid="stHeader"], [data-testid="stSidebar"] { display: none; }
[data-testid="stMainBlockContainer"] { padding: 1rem 2rem 1rem; }
.st-key-words h4 { font-size: 2rem; line-height: 1.2; }
.st-key-words p, .st-key-words li, .st-key-words label p, .st-key-words table { font-size: 1.35rem; line-height: 1.45; }
.st-key-words [data-testid="stCaptionContainer"] p, .st-key-words small { font-size: 1.05rem; }
.st-key-door [data-testid="stMarkdownContainer"] p { font-size: 1.9rem; line-height: 1.3; }
</style>"""


def place_of(opens: Opens, payload: dict[str, Any]) -> Place:
    """Where a step opens the player: counted from 0, the joint by its place among those of all people."""
    names = payload["skeleton"]["names"] if payload["skeleton"] else []
    joint = names.index(opens.joint) if opens.joint in names else None

    def from_0(value: int | None) -> int | None:
        return None if value is None else value - 1

    person = from_0(opens.person)
    if joint is not None and person is None:
        person = payload["skeleton"]["people"][0] if payload["skeleton"]["people"] else 0
    if joint is not None and person is not None:
        joint += person * len(names)
    return Place(
        from_0(opens.frame), joint, person, from_0(opens.block), from_0(opens.head), opens.query, opens.label
    )  # fmt: skip


def joined() -> tuple[Room | None, str]:
    """The room in the address, and the key of who leads it ("" for everyone else)."""
    code = str(st.query_params.get("room", "")).upper()[:8]
    if not code:
        return None, ""
    room = shared_classroom().enter(code)
    if room is None:
        st.warning(f"The room {code!r} is closed. Join another, or take a lesson on your own.")
        st.query_params.pop("room", None)
        return None, ""
    key = str(st.session_state.get("leads", {}).get(code, ""))
    return room, key if shared_classroom().leads(code, key) else ""


def chosen() -> Lesson | None:
    """The lesson in the address; None for the shelf."""
    key = st.query_params.get("lesson")
    if not key:
        return None
    if key == OWN and (own := st.session_state.get("own lesson")):
        return own
    found = next((lesson for lesson in shelf() if lesson.key == key), None)
    if found is None:
        told = "Your own lesson is forgotten when the page is loaded anew; load it again."
        st.warning(told if key == OWN else "There is no lesson of this name; choose one of these.")
    return found


def following_lesson(lesson: Lesson) -> Lesson | None:
    """The one after it on the shelf; None after the last, and after one's own."""
    keys = [each.key for each in shelf()]
    place = keys.index(lesson.key) + 1 if lesson.key in keys else len(keys)
    return shelf()[place] if place < len(keys) else None


def step_number(lesson: Lesson) -> int:
    """The step in the address, from 0, inside the lesson."""
    text = str(st.query_params.get("step", "1"))
    return min(max(int(text) if text.isdecimal() and len(text) < 5 else 1, 1), len(lesson.steps)) - 1


def _go(step: int) -> None:
    """To another step; what was chosen in the player of this one stays behind."""
    kept = {name: value for name, value in st.query_params.items() if name in ("lesson", "room", "present")}
    st.query_params.from_dict({**kept, "step": str(step + 1)})


def _leave() -> None:
    st.query_params.clear()


def _present(on: bool) -> None:
    if on:
        st.query_params["present"] = "1"
    else:
        st.query_params.pop("present", None)


def _open_room(lesson: Lesson) -> None:
    try:
        code, key = shared_classroom().open(lesson)
    except ValueError as error:
        st.toast(str(error))
        return
    st.session_state.setdefault("leads", {})[code] = key
    st.query_params["room"] = code


def _close_room(code: str, key: str, lesson: Lesson) -> None:
    shared_classroom().close(code, key)
    st.query_params.pop("room", None)
    if "lesson" not in st.query_params:
        start(lesson.key)


@st.fragment(run_every=2.0)
def following(code: str, step: int, revealed: bool, leading: bool, options: int) -> None:
    """Looks after the room: how many answered; and who follows goes where the class is."""
    room = shared_classroom().enter(code)
    if room is None or (not leading and (room.step, step in room.revealed) != (step, revealed)):
        st.rerun()
    said = [] if leading else [f"Room **{code}**. Who opened it leads."]  # who leads has the code on top of the page
    if options:
        count = sum(shared_classroom().tally(code, step, options))
        told = "1 answer" if count == 1 else f"{count} answers"
        said.append(f"{told}{'.' if revealed else ' so far; the counts come with the reveal.'}")
    if said:
        st.caption(" ".join(said))


def door(code: str) -> None:
    """How a class comes in, large on a projector: its code, and an address that leads to the lesson and no more."""
    with st.container(key="door"):
        if (here := st.context.url) is None:
            st.markdown(f"Room **{code}**")
        else:
            address = f"{here}?room={code}"
            st.markdown(f"Room **{code}** at [{plain(address.partition('://')[2])}]({address})")
        said = "Your class opens this address, or gives the code on the page Lessons."
        if urlsplit(here or "").hostname in ("localhost", "127.0.0.1", "::1"):
            said += " It leads here from this machine only: open the page by the name that others know it by."
        st.caption(said)


def bar(lesson: Lesson, room: Room | None, key: str, presenting: bool) -> None:
    """Where one is, and the ways out."""
    leads = room is None or bool(key)
    with st.container(horizontal=True, vertical_alignment="center", key="lesson_bar"):
        st.button("All lessons" if leads else "Leave the room", on_click=_leave, type="tertiary")
        st.markdown(f"**{lesson.title}**", width="stretch")
        if room is None:
            st.button("Open a room", on_click=_open_room, args=(lesson,), type="tertiary",
                      help="Your class joins with four letters and follows; its predictions are counted.")  # fmt: skip
        elif key:
            st.button("Close the room", on_click=_close_room, args=(room.code, key, lesson), type="tertiary")
        if leads:
            st.button("End presenting" if presenting else "Present", on_click=_present, args=(not presenting,),
                      type="tertiary", help="Large type, nothing else on the screen. Keys: n, p, s.")  # fmt: skip
    if room and key:
        door(room.code)


def words(step: Step, lesson: Lesson, index: int, room: Room | None, key: str, shown: list[Any]) -> None:
    """What the step says and asks."""
    leading, count = bool(key) or room is None, len(lesson.steps)
    st.caption(f"Step {index + 1} of {count}")
    st.markdown(f"#### {step.title}")
    st.markdown(step.text)
    if step.focus:
        st.caption(f"Look at **{FOCUS[step.focus]}**, with a line around.")
    open_question = False
    if step.question:
        if is_revealed(lesson, index, room):
            show_outcome(step.question, lesson, index, room)
            if step.removal:
                library = open_library()
                effect(step, shown[0], step.checkpoints(library)[0], library.clip(step.clip))
        else:
            open_question = True
            ask(step.question, lesson, index, room)
    if room:
        options = len(step.question.options) if step.question else 0
        following(room.code, index, is_revealed(lesson, index, room), bool(key), options)
    if not leading:
        return
    if open_question:
        keys_on_options({"p": "back", "s": "reveal", "n": "next"}, key="keys")
    with st.container(horizontal=True, gap="small"):
        st.button("Back", key="back", on_click=_go, args=(index - 1,), disabled=index == 0, shortcut="P")
        if open_question:
            predicted = bool(room) or (lesson.digest, index) in answers()
            st.button(
                "Reveal", key="reveal", on_click=reveal, args=(lesson, index, room, key), shortcut="S",
                type="primary" if predicted else "secondary",
            )  # fmt: skip
        kind: Literal["primary", "secondary"] = "secondary" if open_question else "primary"
        if index < count - 1:
            st.button("Next", key="next", on_click=_go, args=(index + 1,), shortcut="N", type=kind)
        elif room is None:
            after = following_lesson(lesson)
            if after is None:
                st.button("All lessons", key="next", on_click=_leave, shortcut="N", type=kind)
            else:
                st.button(
                    f"Next lesson: {after.title}", key="next", on_click=start, args=(after.key,), shortcut="N",
                    type=kind,
                )  # fmt: skip


def page() -> None:
    library = open_library()
    room, key = joined()
    lesson = room.lesson if room else chosen()
    if lesson is None:
        show_shelf()
        return
    index = room.step if room and not key else step_number(lesson)
    if room and key and room.step != index:
        shared_classroom().show(room.code, key, index)
    if room and not key:
        st.query_params.pop("present", None)  # who follows the address of who leads is no presenter
    step, presenting = lesson.steps[index], "present" in st.query_params
    st.html(STYLE + PRESENTER * presenting)
    bar(lesson, room, key, presenting)
    checkpoints = step.checkpoints(library)
    found = [library.payload(checkpoint.key, step.clip) for checkpoint in checkpoints]
    shown = [payload for payload in found if payload is not None]
    left, right = st.columns([4, 5] if presenting else [1, 2], gap="medium")
    if not shown:
        left.error(f"There is no bundled trace of {step.clip!r} through {step.checkpoint!r} for this step.")
        return
    with left, st.container(key="words"):
        words(step, lesson, index, room, key, shown)
    with right:
        # A player for each step: pins and choices of the step before do not linger.
        clip = ClipChoice(bundled=library.clip(step.clip))
        linked = {"step": st.query_params.get("step")} if room is None or key else None
        player(
            shown, key=f"lesson {lesson.digest} {index}", place=place_of(step.opens, shown[0]), linked=linked,
            large=presenting, trust=badges(shown, clip),
        )  # fmt: skip
        if not presenting:
            if len(shown) == 1:
                add_player(shown[0], clip, checkpoints[0], "lesson player")
            else:
                add_lanes(clip, checkpoints, "lesson lanes")
        if step.focus:
            spotlight(step.focus, key=f"spotlight {lesson.digest} {index}")


page()
