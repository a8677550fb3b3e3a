"""Maps that never asked the network: by hand where they lie, and in every trust report of a clip with a cause."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.xai.clips import noise_clip, random_recognizer
from training import gym
from training.clip import Clip
from xai.base_rates import base_rates, on_people, references
from xai.methods import answer
from xai.question import Question
from xai.trust import trust

NEVER = {("frames", "centre", "frames")}


def ask(clip: Clip) -> Question:
    return Question.ask(random_recognizer(size=32, frames=4, width=4), clip)


def maps(question: Question, method: str, on: str) -> dict[str, np.ndarray]:
    return {name: found.values for name, found in references(question, answer(question, method, on=on))}


def test_what_moves_and_where_the_people_are() -> None:
    """One cell of 8 pixels blinks in the third of four frames, and a person stands in another."""
    clip = noise_clip(4, 32, 48, people=1)
    frames = np.full_like(clip.frames, 100)
    frames[2, 8:16, 24:32] = 255  # the network sees x = 8 ... 39: column 2 of row 1
    mask = np.zeros(frames.shape[:3], bool)
    mask[:, 16:24, 8:16] = True  # column 0 of row 2
    joints = np.zeros_like(clip.joints)
    joints[:] = 24, 16
    joints[3, 0, 4] += 6
    clip = replace(clip, frames=frames, person_mask=mask, joints=joints, score=np.ones_like(clip.score))
    question = ask(clip)
    found = maps(question, "saliency", "frames")
    assert set(found) == {"person", "motion energy", "centre"}
    assert all(values.shape == (4, 4, 4) for values in found.values())
    assert np.argwhere(found["person"]).tolist() == [[t, 2, 0] for t in range(4)]
    energy = found["motion energy"]
    assert np.argwhere(energy > 1e-6).tolist() == [[1, 1, 2], [2, 1, 2], [3, 1, 2]]
    assert energy[2, 1, 2] == pytest.approx(
        2 * energy[1, 1, 2], rel=1e-5
    )  # frame 1 has a still frame on its other side
    assert energy[3, 1, 2] == pytest.approx(energy[2, 1, 2], rel=1e-5)
    centre = found["centre"][0]
    np.testing.assert_allclose(centre, centre[::-1, ::-1], rtol=1e-6)
    assert centre[1, 1] == centre.max() > centre[0, 0]
    by_joint = maps(question, "saliency", "joints")
    assert np.argwhere(by_joint["motion energy"]).tolist() == [[2, 0, 4], [3, 0, 4]]
    assert by_joint["centre"][0].min() > 0.99 > by_joint["centre"][3, 0, 4]
    assert maps(question, "ledger", "time")["motion energy"].argmax() in (2, 3)
    # A map on the person alone has all its mass there, and the view is one sixteenth person.
    drawn = question.pixel_map(found["person"], question.made_by("drawn"), "1")
    people = {each.measure: each for each in on_people(question, drawn)}
    assert (people["mass"].value, people["mass"].base) == (1, 1 / 16)
    assert on_people(question, answer(question, "ledger", on="time")) == ()
    assert on_people(ask(replace(clip, person_mask=None)), drawn) == ()


def test_unmoved_points_are_a_base_rate_of_the_sampling_points() -> None:
    recognizer = random_recognizer(size=72, frames=5, width=4)  # 5 x 5 points among 9 x 9 patches
    question = Question.ask(recognizer, gym.clip("wave left hand", 0, size=72, split="test"))
    explanation = answer(question, "sampling points")
    found = dict(references(question, explanation))
    np.testing.assert_allclose(found["base rate"].values, explanation.base_rate)
    assert found["base rate"].kind == "pixel map"
    assert {rate.of for rate in base_rates(question, explanation)} == {"person", "motion energy", "centre", "base rate"}


def test_they_travel_with_every_trust_report() -> None:
    clip = gym.clip("wave left hand", 0, size=32, split="test")
    question = ask(clip)
    for method, on, names in (
        ("saliency", "frames", {"person", "motion energy", "centre"}),
        ("saliency", "joints", {"motion energy", "centre"}),
        ("ledger", "time", {"motion energy", "centre"}),
    ):
        report = trust(question.recognizer, clip, answer(question, method, on=on), parts=())
        asked = {(each.target, each.measure) for each in report.causes}
        assert {rate.of for rate in report.base_rates} == names, on
        for name in names:  # where the middle is, it is in every frame: that says nothing of when
            wanted = {each for each in asked if (on, name, each[0]) not in NEVER}
            assert {(rate.target, rate.measure) for rate in report.base_rates if rate.of == name} == wanted, (on, name)
        assert all(0 <= rate.value <= 1 for rate in report.base_rates)
        written = json.loads(json.dumps(report.to_dict()))
        assert len(written["base_rates"]) == len(report.base_rates)
        assert bool(written["people"]) == (on == "frames")
        ranks = {rate.of: rate.value for rate in report.base_rates if (rate.target, rate.measure) == (on, "rank")}
        assert on != "joints" or ranks["motion energy"] > 0.5  # the joints of a waving arm move
    unknown = replace(clip, cause=None, person_mask=None)
    assert trust(question.recognizer, unknown, answer(ask(unknown), "saliency"), parts=()).base_rates == ()
