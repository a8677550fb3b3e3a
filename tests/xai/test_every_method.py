"""Every method on every checkpoint that ships, one person and two, few frames and many: it runs, and its numbers stand
where they should. Each method meets each checkpoint, count of people, length and side of the input; not all of them
with each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import gym
from training.clip import Clip
from training.recognizer import Recognizer
from training.skeleton import JHMDB
from xai.methods import Method, answer, methods
from xai.question import Question

CHECKPOINTS = Path(__file__).resolve().parents[2] / "assets" / "checkpoints"
NAMES = ("gym-none", "gym-single", "gym-cross", "jhmdb-cross")
GONE = JHMDB.joints.index("left ankle")
"""A joint of the first person that is seen in no frame."""
FEW: dict[str, dict[str, Any]] = {
    "smoothgrad": {"samples": 2},
    "integrated gradients": {"steps": 2},
    "gradient SHAP": {"samples": 2},
    "tubelet removal": {"cells": 2, "window": 8},
    "modal token removal": {"window": 4},
    "Shapley joints": {"by": "limb", "budget": 20},
    "Shapley frames": {"budget": 32},
    "counterfactual joints": {"by": "limb", "budget": 1},
    "counterfactual frames": {"budget": 1},
}
KINDS = {
    **dict.fromkeys(("frames", "features_a", "features_b", "patches"), "pixel map"),
    **dict.fromkeys(("joints", "pose"), "joint map"),
    **dict.fromkeys(("modal", "parts"), "token map"),
    "time": "frame map",
}


@dataclass(frozen=True)
class Setting:
    people: int
    frames: int
    size: int


SETTINGS = (Setting(1, 4, 112), Setting(2, 12, 64), Setting(1, 16, 64), Setting(2, 4, 64))


@cache
def question(name: str, setting: Setting) -> Question:
    """Two people of the gym in 16 frames that are wider than high, so that the network sees their middle."""
    clip = gym.clip("bow", 0, split="test")
    assert (clip.score > 0).any(axis=(0, 2)).all()
    margin = np.array([12.0, 0.0], np.float32)
    score = clip.score.copy()
    score[:, 0, GONE] = 0
    wide = Clip(
        np.pad(clip.frames, ((0, 0), (0, 0), (12, 14), (0, 0)), mode="edge"),
        (clip.joints + margin)[:, : setting.people],
        score[:, : setting.people],
        clip.layout,
        clip.time,
        name="wide",
    )
    recognizer = Recognizer.load(CHECKPOINTS / f"{name}.safetensors", "cpu")
    card = replace(recognizer.card, frames=setting.frames, size=setting.size)
    return Question.ask(replace(recognizer, card=card), wide)


def square(asked: Question) -> tuple[float, float, float]:
    """Left, top and side of what the network sees, in pixels of the clip: x = 13 ... 124 of 138 pixels, or the square
    around every place of every joint that is seen, 1.3 times as wide."""
    if asked.recognizer.card.fit == "crop":
        return 12.5, -0.5, 112.0
    clip = asked.clip
    places = [
        clip.joints[t, m, j]
        for t in range(len(clip))
        for m in range(clip.people)
        for j in range(15)
        if clip.score[t, m, j] > 0
    ]
    x, y = [float(place[0]) for place in places], [float(place[1]) for place in places]
    wide = 1.3 * max(max(x) - min(x), max(y) - min(y))
    return (min(x) + max(x) - wide) / 2, (min(y) + max(y) - wide) / 2, wide


def plan() -> list[tuple[Method, str, str, Setting]]:
    """Method, what it explains, checkpoint and setting: the settings and what is explained go round."""
    found = []
    for number, method in enumerate(methods()):
        for turn, name in enumerate(NAMES):
            setting = SETTINGS[(turn + number) % len(SETTINGS)]
            found.append((method, method.on[(turn + number) % len(method.on)], name, setting))
    return found


def test_the_plan_leaves_nothing_out() -> None:
    for method in methods():
        mine = [entry for entry in plan() if entry[0] is method]
        assert {name for _, _, name, _ in mine} == set(NAMES)
        assert {(s.people, s.frames) for *_, s in mine} == {(s.people, s.frames) for s in SETTINGS}
        assert len({on for _, on, _, _ in mine}) == min(len(method.on), len(NAMES))
    assert {on for _, on, _, _ in plan()} == {on for method in methods() for on in method.on} == set(KINDS)
    assert {s.frames for s in SETTINGS} == {4, 12, 16}
    assert {s.people for s in SETTINGS} == {1, 2}


@pytest.mark.parametrize("name", NAMES)
def test_every_method_runs_and_its_numbers_stand_where_they_should(name: str) -> None:
    for method, on, checkpoint, setting in plan():
        if checkpoint != name:
            continue
        asked, said = question(name, setting), f"{method.name} on {on}, {setting}"
        config = asked.recognizer.network.config
        if "mixing" in method.needs:
            with pytest.raises(ValueError, match="which this network does not have"):
                answer(asked, method.name, on=on)
            continue
        if on == "modal" and method.family == "gradient" and not config.roles:
            with pytest.raises(ValueError, match="no modal to attribute to"):
                answer(asked, method.name, on=on)
            continue
        found = answer(asked, method.name, on=on, **FEW.get(method.name, {}))
        values, frames, people = found.values, setting.frames, setting.people
        assert found.kind == KINDS[on], said
        assert found.made_by.method == method.name, said
        assert np.isfinite(values).all(), said
        assert np.isfinite(found.base_rate).all(), said
        assert method.signed or values.min() >= 0, said
        if found.kind == "pixel map":
            side = 2 if method.name == "tubelet removal" else {"frames": 1, "features_a": 2}.get(on, 8)
            if method.family in ("evidence", "attention"):
                side = 8
            cells = 2 if method.name == "tubelet removal" else setting.size // side
            assert values.shape == (frames, cells, cells), said
            assert [axis.name for axis in found.axes] == ["frame", "y", "x"], said
            # Cells of a convolution begin half a cell earlier than what the network sees.
            left, top, wide = square(asked)
            shift = 0 if method.name == "tubelet removal" else (side - 1) / 2 * wide / setting.size
            corner = np.array([left, top]) - shift
            wanted = corner + wide * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
            np.testing.assert_allclose(found.companions["box"], wanted, atol=1e-4, err_msg=said)
        elif found.kind == "joint map":
            assert values.shape == (frames, people, 15), said
            assert found.axes[2].labels == JHMDB.joints, said
            if method.name != "limb removal" and not (on == "pose" or "by" in FEW.get(method.name, {})):
                assert not values[:, 0, GONE].any(), said
            assert values.any() or method.family == "counterfactual", said
        elif found.kind == "token map" and on == "modal":
            assert values.shape == (frames, len(asked.prediction.slots)), said
            assert found.axes[1].labels == asked.prediction.slots, said
        elif method.name == "token flow":
            assert len(values) == frames, said
            np.testing.assert_allclose(values.sum(1), 1, rtol=1e-5, err_msg=said)
            assert set(found.axes[1].labels) >= {"patch", "point", "joint"}, said
        elif found.kind == "token map":
            assert len(values) == frames, said
            assert found.axes[1].labels[:2] == ("pictures", "joints"), said
            assert ("joints of person 2" in found.axes[1].labels) == (people == 2), said
        else:
            assert values.shape == (frames,), said
