"""Lessons and classrooms: what ships exists, bad YAML ends in a sentence, rooms count, and the page walks through."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from xai.dashboard.classroom import LETTERS, Classroom
from xai.dashboard.lesson_parts import outcome_html
from xai.dashboard.library import ASSETS, open_library
from xai.lessons import FOCUS, LARGEST, Lesson, LessonError, check_lesson, lessons_of, read_lesson

ROOT = Path(__file__).resolve().parents[2]
LESSONS = lessons_of(ASSETS / "lessons")

GOOD = """\
title: A lesson
minutes: 10
about: For the tests.
steps:
  - title: First
    text: Look at $x$.
    clip: bow
    checkpoint: gym-cross
    open: {frame: 3, joint: right wrist, block: 1, head: mean, query: cls, label: bow}
    focus: stage
  - title: Second
    text: Predict.
    question:
      ask: Will it change?
      options: [Yes, No]
      reveal: See.
      right: 2
    removal: [{"kind": "limbs", "limbs": ["right arm"]}]
"""


def lesson(text: str = GOOD) -> Lesson:
    return read_lesson(text, "x.yaml")


def test_the_format() -> None:
    first, second = lesson().steps
    assert (first.opens.frame, first.opens.joint, first.opens.head) == (3, "right wrist", 0)
    assert (second.clip, second.checkpoint) == ("bow", "gym-cross")
    assert second.question is not None
    assert second.question.options == ("Yes", "No")
    assert second.question.right == 1
    assert second.removal == '[{"kind":"limbs","limbs":["right arm"]}]'
    check_lesson(lesson(), open_library())


def test_five_lessons_ship() -> None:
    assert [each.key for each in LESSONS] == ["tokens", "points", "windows", "three-tokens", "attention"]
    assert all(6 <= len(each.steps) <= 9 for each in LESSONS)
    assert all(sum(step.question is not None for step in each.steps) >= 3 for each in LESSONS)
    assert sum(bool(step.removal) for step in LESSONS[-1].steps) >= 3
    assert any(step.lanes for each in LESSONS for step in each.steps)


@pytest.mark.parametrize("shipped", LESSONS, ids=lambda each: each.key)
def test_all_that_a_shipped_lesson_names_exists(shipped: Lesson) -> None:
    library = open_library()
    check_lesson(shipped, library, shipped.key)
    from training.clip_file import load_clip
    from training.recognizer import Recognizer
    from xai.removal import Shown, from_json

    for step in shipped.steps:
        if step.removal:
            network = Recognizer.load(library.checkpoint(step.checkpoint).path, "cpu").network
            clip = load_clip(library.clip(step.clip).path)
            shown = Shown(clip, np.arange(len(clip)), network.config, network.slots)
            for removal in from_json(step.removal):
                shown = removal.apply(shown)


def test_shipped_texts_hold_even_formulas_and_no_markup() -> None:
    for each in LESSONS:
        for step in each.steps:
            texts = [step.text, *([step.question.ask, step.question.reveal] if step.question else [])]
            assert all(text.count("$") % 2 == 0 and "<" not in text for text in texts), step.title


MUTATIONS = [
    # (what is replaced, by what, line, key)
    ("title: A lesson\n", "", 1, "title"),
    ("minutes: 10", "minutes: long", 2, "minutes"),
    ("minutes: 10", "minutes: 0", 2, "minutes"),
    ("minutes: 10", "minutes: 10\nminutes: 11", 3, "minutes"),
    ("minutes: 10", "minuets: 10", 2, "minuets"),
    ("about: For the tests.", "about: [For, tests]", 3, "about"),
    ("about: For the tests.", "about: !!python/name:os.system x", 3, "about"),
    ("about: For the tests.", "about: one: two", 3, "about"),
    ("    text: Look at $x$.\n", "", 5, "text"),
    ("    text: Look at $x$.", "    text:", 6, "text"),
    ("    text: Look at $x$.", "    text: ![p](http://example.org/p.png)", 6, "text"),
    ("    text: Look at $x$.", f"    text: {'long ' * 1000}", 6, "text"),
    ("    clip: bow\n", "", 5, "clip"),
    ("    focus: stage", "    focus: ceiling", 10, "focus"),
    ("{frame: 3,", "{frame: third,", 9, "frame"),
    ("{frame: 3,", "{frmae: 3,", 9, "frmae"),
    ("query: cls", "query: nobody", 9, "query"),
    ("    focus: stage", "    lanes: [none, treble]", 10, "lanes"),
    ("      options: [Yes, No]", "      options: [Yes]", 15, "options"),
    ("      options: [Yes, No]", "      options: [Yes, Yes]", 15, "options"),
    ("      options: [Yes, No]", "      options: *again", 15, "options"),
    ("      right: 2", "      right: 3", 17, "right"),
    ("      reveal: See.", "      reveal: [[[[[[[[[[See]]]]]]]]]]", 16, "reveal"),
    ('"kind"', '"sort"', 18, "removal"),
    ('[{"kind": "limbs", "limbs": ["right arm"]}]', "[2026-01-01]", 18, "removal"),
    ("steps:\n", "steps: 5\nmore:\n", 5, "more"),
]


@pytest.mark.parametrize(("old", "new", "line", "key"), MUTATIONS)
def test_bad_yaml_ends_in_a_sentence_with_line_and_key(old: str, new: str, line: int, key: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(LessonError) as caught:
        lesson(GOOD.replace(old, new))
    said = str(caught.value)
    assert said.startswith(f"x.yaml, line {line}: {key!r} "), said
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 300


@pytest.mark.parametrize(
    ("old", "new", "line", "key"),
    [
        ("clip: bow", "clip: juggle", 7, "clip"),
        ("checkpoint: gym-cross", "checkpoint: gpt", 8, "checkpoint"),
        ("joint: right wrist", "joint: tail", 9, "open"),
        ("label: bow", "label: juggle", 9, "open"),
        ("frame: 3", "frame: 999", 9, "open"),
        ('"right arm"', '"tentacle"', 18, "removal"),
        ('"kind": "limbs"', '"kind": "magic"', 18, "removal"),
    ],
)
def test_what_is_not_there_is_named_with_line_and_key(old: str, new: str, line: int, key: str) -> None:
    with pytest.raises(LessonError, match=re.escape(f"x.yaml, line {line}: {key!r} of step")):
        check_lesson(lesson(GOOD.replace(old, new)), open_library(), "x.yaml")


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00", b"[" * 5000, b"a: &a [*a]", b"- 1", b"x" * (LARGEST + 1), b"\x01"]
)
def test_no_bytes_do_more_than_a_sentence(data: bytes) -> None:
    with pytest.raises(LessonError, match=r"x\.yaml.*\.$"):
        read_lesson(data, "x.yaml")


# ---- Rooms ----------------------------------------------------------------------------------------------------------


def test_a_room_counts_two_sessions_and_each_once() -> None:
    classroom = Classroom(draw=random.Random(1))
    code, key = classroom.open(lesson())
    assert set(code) <= set(LETTERS)
    assert classroom.answer(code, "ann", 1, 0)
    assert classroom.answer(code, "ben", 1, 1)
    assert classroom.tally(code, 1, 2) == (1, 1)
    assert classroom.answer(code, "ann", 1, 1)
    assert classroom.tally(code, 1, 2) == (0, 2)
    assert not classroom.answer(code, "ann", 0, 0), "this step asks nothing"
    assert not classroom.answer(code, "ann", 1, 2), "there is no third option"
    classroom.reveal(code, "wrong key", 1)
    assert classroom.answer(code, "ann", 1, 0)
    classroom.reveal(code, key, 1)
    assert not classroom.answer(code, "ann", 1, 1), "the question is closed"
    assert classroom.tally(code, 1, 2) == (1, 1)


def test_only_who_opened_a_room_leads_it() -> None:
    classroom = Classroom(draw=random.Random(2))
    code, key = classroom.open(lesson())
    classroom.show(code, "", 1)
    assert classroom.enter(code).step == 0  # type: ignore[union-attr]
    classroom.show(code, key, 1)
    assert classroom.enter(code).step == 1  # type: ignore[union-attr]
    classroom.close(code, "")
    assert classroom.enter(code) is not None
    classroom.close(code, key)
    assert classroom.enter(code) is None


def test_rooms_are_bounded_and_expire() -> None:
    now = [0.0]
    classroom = Classroom(rooms=2, voters=1, lifetime=100, clock=lambda: now[0], draw=random.Random(3))
    first, _ = classroom.open(lesson())
    second, _ = classroom.open(lesson())
    with pytest.raises(ValueError, match="All 2 rooms"):
        classroom.open(lesson())
    assert classroom.answer(first, "ann", 1, 0)
    assert not classroom.answer(first, "ben", 1, 0), "the room has one seat"
    now[0] = 90
    assert classroom.enter(second) is not None
    now[0] = 150
    assert classroom.enter(first) is None, "nobody used it for 150 s"
    assert classroom.enter(second) is not None
    assert classroom.open(lesson())[0] != second


# ---- The page -------------------------------------------------------------------------------------------------------


def page(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "xai/dashboard/pages/lessons.py"), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def button(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


def asked(app: AppTest, name: str) -> str:
    value = app.query_params[name]
    return value if isinstance(value, str) else value[-1]


def test_a_lesson_from_first_to_last_step() -> None:
    app = page()
    assert len([each for each in app.button if each.label == "Start"]) == 5
    button(app, "start tokens")
    steps = LESSONS[0].steps
    for number, step in enumerate(steps, start=1):
        assert not app.exception
        assert any(step.title in each.value for each in app.markdown)
        beside = (step.focus in FOCUS) + (step.question is not None) + (len(step.checkpoints(open_library())) == 1)
        assert len(app.get("bidi_component")) == 1 + beside
        if step.question:
            app.radio[0].set_value(0).run()
            button(app, "reveal")
            assert any(step.question.reveal == each.value for each in app.markdown)
        assert asked(app, "step") == str(number)
        if number < len(steps):
            button(app, "next")
    assert app.button(key="next").label == f"Next lesson: {LESSONS[1].title}"
    button(app, "back")
    assert asked(app, "step") == str(len(steps) - 1)


def test_a_removal_is_computed_at_the_reveal() -> None:
    number = next(i for i, step in enumerate(LESSONS[-1].steps, start=1) if step.removal)
    app = page(lesson="attention", step=str(number))
    assert not any("Taken away" in each.value for each in app.markdown)
    button(app, "reveal")
    assert not app.exception
    assert any("Taken away" in each.value for each in app.markdown)


@pytest.mark.parametrize("query", [{"lesson": "nope"}, {"lesson": "own"}, {"room": "QQQQ"}])
def test_a_stale_link_leads_to_the_shelf(query: dict[str, str]) -> None:
    app = page(**query)
    assert not app.exception
    assert app.warning
    assert any(each.label == "Start" for each in app.button)


@pytest.mark.parametrize("step", ["0", "-3", "99", "x", "²"])
def test_a_strange_step_stays_inside_the_lesson(step: str) -> None:
    assert not page(lesson="tokens", step=step).exception


def test_a_class_follows_and_is_counted() -> None:
    teacher = page(lesson="tokens", step="2")
    next(each for each in teacher.button if each.label == "Open a room").click().run()
    code = asked(teacher, "room")
    assert sum(code in each.value for each in [*teacher.markdown, *teacher.caption]) == 1
    student = page(room=code, present="1", lesson="tokens")  # the whole address of who leads
    assert "present" not in student.query_params
    assert {each.label for each in student.button} == {"Leave the room"}
    assert any(LESSONS[0].steps[1].title in each.value for each in student.markdown)
    assert not [each for each in student.button if each.key in ("next", "reveal")]
    student.radio[0].set_value(1).run()
    teacher.radio[0].set_value(0).run()
    assert any("2 answers so far" in each.value for each in teacher.caption)
    button(teacher, "reveal")
    student.run()
    assert any(LESSONS[0].steps[1].question.reveal == each.value for each in student.markdown)  # type: ignore[union-attr]
    button(teacher, "next")
    student.run()
    assert any(LESSONS[0].steps[2].title in each.value for each in student.markdown)
    next(each for each in teacher.button if each.label == "Close the room").click().run()
    assert student.run().warning


def test_the_outcome_names_the_correct_option_and_ones_own() -> None:
    question = lesson().steps[1].question
    assert question is not None
    html = outcome_html(question, 0, None)
    assert "Yes <small>your prediction</small>" in html
    assert "No <small>correct</small>" in html  # "The right arm right" was no sentence


def test_a_lesson_of_ones_own_is_read_or_refused() -> None:
    app = page()
    app.get("file_uploader")[0].set_value(
        ("mine.yaml", GOOD.replace("bow\n", "juggle\n", 1).encode(), "text/yaml")
    ).run()
    assert "mine.yaml, line 7: 'clip'" in app.error[0].value.replace("\\", "")
    app.get("file_uploader")[0].set_value(("mine.yaml", GOOD.encode(), "text/yaml")).run()
    button(app, "start own")
    assert not app.exception
    assert any("First" in each.value for each in app.markdown)
