"""Parts of a lesson on the page: the shelf, the question with its reveal, and what a removal changes."""

from __future__ import annotations

import secrets
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from xai.dashboard.breaking import Answer, answer_html, ledger_html, sentence
from xai.dashboard.classroom import Room, shared_classroom
from xai.dashboard.colours import ACCENT, GREY
from xai.dashboard.library import ASSETS, BundledCheckpoint, BundledClip, open_library
from xai.dashboard.shown import plain, untrained
from xai.lessons import LARGEST, Lesson, LessonError, Question, Step, check_lesson, lessons_of, read_lesson

FOLDER = ASSETS / "lessons"
OWN = "own"


def shelf() -> tuple[Lesson, ...]:
    """The lessons that ship. A broken file is said, and the page goes on."""
    try:
        return lessons_of(FOLDER)
    except LessonError as error:
        st.error(plain(error))
        return ()


def voter() -> str:
    """Who answers: drawn for this visit, known to nobody."""
    return str(st.session_state.setdefault("voter", secrets.token_hex(8)))


def start(lesson: str) -> None:
    st.query_params.from_dict({"lesson": lesson, "step": "1"})


def show_shelf() -> None:
    """All lessons, the door to a class, and the way to load one's own."""
    st.markdown("#### Lessons")
    st.caption("Tours over the live views: look, predict, reveal. Everything on the screen can be touched on the way.")
    for lesson in shelf():
        with st.container(border=True):
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.markdown(f"**{lesson.title}**  \n{lesson.about}")
            left.caption(f"{lesson.minutes} minutes, {len(lesson.steps)} steps")
            right.button("Start", key=f"start {lesson.key}", on_click=start, args=(lesson.key,), width="stretch")
    join, own = st.columns(2, gap="large")
    with join:
        st.markdown("##### Join a class")
        with st.form("join", border=False):
            code = st.text_input("Room code", max_chars=8, placeholder="four letters", key="typed code")
            if st.form_submit_button("Join"):
                _join(str(code).strip().upper())
    with own:
        _own_lesson()


def _join(code: str) -> None:
    if shared_classroom().enter(code) is None:
        st.warning(f"There is no room {code!r}; check the letters with who opened it.")
        return
    st.query_params.from_dict({"room": code})
    st.rerun()


def _own_lesson() -> None:
    st.markdown("##### Your own lesson")
    file = st.file_uploader("A lesson as YAML", ["yaml", "yml"], key="lesson file", max_upload_size=1)
    if file is not None:
        try:
            if file.size > LARGEST:
                raise LessonError(f"{file.name} is larger than {LARGEST // 1024} KB; make the lesson shorter.")
            lesson = read_lesson(file.getvalue(), file.name)
            check_lesson(lesson, open_library(), file.name)
        except LessonError as error:
            st.error(plain(error))
        else:
            st.session_state["own lesson"] = lesson
            st.button(f"Start {plain(lesson.title)}", on_click=start, args=(OWN,), key="start own")
    st.caption("It stays in memory for this visit, and in the room if you open one. Begin with one that ships:")
    paths = sorted(FOLDER.glob("*.yaml"))
    if paths:
        with st.container(horizontal=True):
            name = st.selectbox("Begin with", [path.name for path in paths], label_visibility="collapsed")
            path = next(path for path in paths if path.name == name)
            st.download_button("Download", path.read_bytes, path.name, on_click="ignore")


# ---- The question ---------------------------------------------------------------------------------------------------


def answers() -> dict[tuple[str, int], int]:
    """What this visitor predicted: (lesson, step) -> option."""
    found: dict[tuple[str, int], int] = st.session_state.setdefault("lesson answers", {})
    return found


def _revealed() -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = st.session_state.setdefault("lesson revealed", set())
    return found


def is_revealed(lesson: Lesson, index: int, room: Room | None) -> bool:
    """In a room who leads reveals, for all; alone everyone does."""
    return index in room.revealed if room else (lesson.digest, index) in _revealed()


def reveal(lesson: Lesson, index: int, room: Room | None, key: str) -> None:
    if room:
        shared_classroom().reveal(room.code, key, index)
    else:
        _revealed().add((lesson.digest, index))


def _predict(widget: str, lesson: Lesson, index: int, room: Room | None) -> None:
    option = st.session_state.get(widget)
    if option is None:
        return
    answers()[lesson.digest, index] = option
    if room and not shared_classroom().answer(room.code, voter(), index, option):
        st.toast("Your answer was not counted: the question is closed or the room is full.")


def ask(question: Question, lesson: Lesson, index: int, room: Room | None) -> None:
    """The question with its options; an answer can be moved until the reveal."""
    widget = f"answer {lesson.digest} {index} {room.code if room else ''}"
    st.radio(
        question.ask, range(len(question.options)), index=answers().get((lesson.digest, index)), key=widget,
        format_func=lambda option: question.options[option], on_change=_predict, args=(widget, lesson, index, room),
    )  # fmt: skip


def outcome_html(question: Question, mine: int | None, counts: tuple[int, ...] | None) -> str:
    """The options again: what one predicted, which is correct if one is, and how a class answered."""
    most = max(1, *(counts or (0,)))
    rows = []
    for option, text in enumerate(question.options):
        notes = ["correct"] * (option == question.right) + ["your prediction"] * (option == mine)
        right = ' class="right"' if option == question.right else ""
        note = f"<small>{', '.join(notes)}</small>" if notes else ""
        bar = ""
        if counts is not None:
            width = 100 * counts[option] / most
            bar = f'<td class="bars"><span class="bar"><i style="width:{width:.0f}%"></i></span>{counts[option]}</td>'
        rows.append(f"<tr{right}><td>{escape(text.replace('$', ''))} {note}</td>{bar}</tr>")
    return (
        "<style>.outcome { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }"
        ".outcome td { padding: 5px 10px 5px 0; border-bottom: 1px solid rgba(128,128,128,0.25); }"
        ".outcome .bars { width: 40%; white-space: nowrap; } .outcome .right td { font-weight: 600; }"
        ".outcome small { opacity: 0.7; font-weight: 400; margin-left: 6px; }"
        ".outcome .bar { display: inline-block; width: calc(100% - 2.5em); margin-right: 8px; vertical-align: middle; }"
        f".outcome i {{ display: block; height: 9px; border-radius: 1px; background: {GREY}; min-width: 1px; }}"
        f".outcome .right i {{ background: {ACCENT}; }}</style>"
        f'<table class="outcome">{"".join(rows)}</table>'
    )


def show_outcome(question: Question, lesson: Lesson, index: int, room: Room | None) -> None:
    """What the class predicted, and what is so."""
    st.markdown(question.ask)
    counts = shared_classroom().tally(room.code, index, len(question.options)) if room else None
    st.html(outcome_html(question, answers().get((lesson.digest, index)), counts))
    st.markdown(question.reveal)


def effect(step: Step, payload: dict[str, Any], checkpoint: BundledCheckpoint, clip: BundledClip) -> None:
    """What the network says without what the step takes away; the only part of a lesson that computes."""
    from xai.dashboard import live

    try:
        with st.spinner("Asking the network again"):
            changed = live.changed(live.recognizer(checkpoint.path), live.bundled_clip(clip.path), step.removal)
    except ValueError as error:
        st.error(plain(error))
        return
    before, now = Answer.of_payload(payload), Answer.of_prediction(changed.prediction)
    st.markdown(f"Taken away: {plain('; '.join(changed.words))}.  \n{sentence(before, now, plain)}")
    if untrained(payload):
        st.markdown(":orange[**These weights were never trained: what their answer depends on explains nothing.**]")
    st.html(answer_html(before, now, 4))
    if '"tokens"' in step.removal:
        st.markdown(f"What adds up to the logit of **{plain(before.top)}**:")
        st.html(ledger_html(before, now, before.top))
    link = urlencode({"clip": clip.name, "checkpoint": checkpoint.key, "without": step.removal})
    st.caption(f"Grey is untouched, blue is now. [Go on with it on the page Break it](break_it?{link})")
