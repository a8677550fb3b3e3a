"""The smallest set that changes the answer, on games worked out by hand and on a network that is a sum."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.linear import linear_recognizer
from training.clip import Clip
from training.skeleton import JHMDB
from xai.counterfactual import counterfactual_frames, counterfactual_joints, smallest_change
from xai.question import Question
from xai.removal import Joints, predict_with

torch.set_num_threads(1)


def seen_clip(frames: int = 5, people: int = 1) -> Clip:
    clip = noise_clip(frames, 48, 48, people=people)
    return Clip(clip.frames, clip.joints, np.ones_like(clip.score), clip.layout, clip.time)


def test_a_sum() -> None:
    weight = np.array([0.2, 1.0, 0.5, 0.1])
    found = smallest_change(lambda gone: 1.4 - gone @ weight, 4)
    assert found.players == (1, 2)
    assert found.minimal
    assert found.margin == pytest.approx(-0.1)


def test_one_player_is_enough_and_needs_no_proof() -> None:
    found = smallest_change(lambda gone: 1.0 - 2 * gone[:, 2], 6)
    assert (found.players, found.minimal, found.tried) == ((2,), True, 7)


def misleading(gone: np.ndarray) -> np.ndarray:
    """Greed takes 0 first and then needs 1 and 2 as well; 3 and 4 together are enough."""
    return 3.0 - gone @ [1.2, 1.0, 1.0, 0.1, 0.1, 0.0] - 2.9 * (gone[:, 3] & gone[:, 4])


def test_the_exact_search_beats_greed() -> None:
    found = smallest_change(misleading, 6)
    assert (found.players, found.minimal) == ((3, 4), True)
    hasty = smallest_change(misleading, 6, budget=20)
    assert (hasty.players, hasty.minimal) == ((0, 1, 2), False)


def test_whoever_is_not_needed_is_given_back() -> None:
    """0 helps alone, but with 1 and 2 gone it is not needed."""

    def margins(gone: np.ndarray) -> np.ndarray:
        return np.where(gone[:, 1] & gone[:, 2], -1.0, 2.0 - gone @ [1.0, 0.5, 0.4, 0.0])

    found = smallest_change(margins, 4, budget=1)
    assert (found.players, found.minimal) == ((1, 2), True)


def test_no_set_at_all() -> None:
    found = smallest_change(lambda gone: 1.0 - 0.1 * gone.sum(axis=1), 5)
    assert (found.players, found.found, found.minimal, found.tried) == ((), False, True, 32)
    assert not smallest_change(lambda gone: 1.0 - 0.01 * gone.sum(axis=1), 12, budget=100).minimal
    assert smallest_change(lambda gone: 1.5 - gone.sum(axis=1), 5, largest=1).players == ()


@pytest.mark.parametrize("seed", range(8))
def test_against_all_sets(seed: int) -> None:
    scores = np.random.default_rng(seed).normal(0.8, 1, 2**6)
    scores[0] = 1.0

    def margins(gone: np.ndarray) -> np.ndarray:
        return scores[(gone * 2 ** np.arange(6)).sum(axis=1)]

    best = min(
        (len(group), group)
        for size in range(1, 7)
        for group in combinations(range(6), size)
        if scores[sum(2**player for player in group)] <= 0
    )
    found = smallest_change(margins, 6)
    assert len(found.players) == best[0]
    assert found.minimal
    assert found.margin == margins(np.isin(np.arange(6), found.players)[None])[0] <= 0


def test_an_answer_that_is_not_given() -> None:
    with pytest.raises(ValueError, match="in the first place"):
        smallest_change(lambda gone: -np.ones(len(gone)), 3)
    clip = seen_clip()
    question = Question.ask(linear_recognizer({"face": 1.0}), clip, target="c")
    with pytest.raises(ValueError, match="in the first place"):
        counterfactual_joints(question, "joints")


@pytest.mark.parametrize("people", [1, 2])
def test_joints_that_change_the_answer(people: int) -> None:
    """1.0 + 0.8 + 0.1 a person, against 1.0 for class b: one person's wrist and elbow must go, or both wrists."""
    weights = {"left wrist": 1.0, "left elbow": 0.8, "belly": 0.1}
    recognizer, clip = linear_recognizer(weights, bias=(0, 1.0 + 1.2 * (people - 1), 0, 0)), seen_clip(people=people)
    question = Question.ask(recognizer, clip)
    assert question.target == 0
    explanation = counterfactual_joints(question, "joints")
    about = explanation.made_by.parameters
    gone = explanation.values[0] > 0
    # one person: 1.9 - 1.0 = 0.9, so the wrist alone; two: 3.8 - 2.2 = 1.6, so both wrists are the strongest pair
    assert about["size"] == gone.sum() == people
    assert gone[:, JHMDB.joints.index("left wrist")].all()
    assert about["proved smallest"]
    assert about["answer without it"] == "b"
    assert explanation.base_rate[0].sum() == pytest.approx(people, rel=1e-5)
    assert predict_with(recognizer, clip, [Joints(("left wrist",))]).top(1)[0][0] == "b"
    assert set(np.unique(explanation.values)) == {0, 1}


def test_against_another_class() -> None:
    """Class c is nearer than b; asked against b, more must go."""
    recognizer = linear_recognizer({"left wrist": 1.0, "face": 0.9, "belly": 0.8}, bias=(0, 1.0, 2.0, 0))
    clip = seen_clip()
    nearest = counterfactual_joints(Question.ask(recognizer, clip), "joints").made_by.parameters
    assert (nearest["size"], nearest["answer without it"]) == (1, "c")
    against = counterfactual_joints(Question.ask(recognizer, clip, target="a", against="b"), "joints")
    assert against.made_by.parameters["size"] == 2
    assert against.values[0, 0, JHMDB.joints.index("belly")] == 0


def test_frames_that_change_the_answer() -> None:
    """Two bright frames hold the answer; held at their dark neighbours, both are needed."""
    clip = seen_clip(6)
    frames = np.zeros_like(clip.frames)
    frames[[1, 4]] = 255
    clip = Clip(frames, clip.joints, clip.score, clip.layout, clip.time)
    recognizer = linear_recognizer(frames=[1.0] * 6, bias=(0.1, 0, 0, 0))
    question = Question.ask(recognizer, clip)
    explanation = counterfactual_frames(question, "frames")
    assert explanation.values.tolist() == [0, 1, 0, 0, 1, 0]
    assert explanation.made_by.parameters["answer without it"] == "a"
    assert explanation.made_by.parameters["proved smallest"]
    one = counterfactual_frames(question, "frames", largest=1)
    assert not one.values.any()
    assert one.made_by.parameters["tried"] == 1 + 6


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
def test_on_a_network(token_mode: str) -> None:
    question = Question.ask(random_recognizer(frames=4, token_mode=token_mode), noise_clip(4, people=1))
    explanation = counterfactual_joints(question, "joints", by="limb", budget=40)
    about = explanation.made_by.parameters
    assert about["found"] == bool(explanation.values.any())
    changed = about["answer without it"] != question.prediction.top(1)[0][0]
    assert changed == about["found"]


def test_progress_can_end_it() -> None:
    class CancelledError(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        assert done <= total
        if done > 10:
            raise CancelledError

    question = Question.ask(random_recognizer(frames=4), noise_clip(4), progress=cancel)
    with pytest.raises(CancelledError):
        counterfactual_joints(question, "joints")
