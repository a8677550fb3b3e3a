"""Shapley values against games worked out by hand, against enumeration, and on a network that is a sum."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.linear import linear_recognizer
from training.skeleton import JHMDB
from xai.players import Skeleton
from xai.question import Question
from xai.rerun import Rerun
from xai.shapley import exact, sampled, shapley, shapley_frames, shapley_joints

torch.set_num_threads(1)
JOINTS = {"left wrist": 2.0, "right knee": -1.0, "face": 0.5}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_game(players: int, seed: int = 0):  # type: ignore[no-untyped-def]
    scores = np.random.default_rng(seed).normal(size=2**players)
    return lambda kept: scores[(kept * 2 ** np.arange(players)).sum(axis=1)]


def by_all_orders(game, players: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """The definition, read literally."""
    total, count = np.zeros(players), 0
    for order in permutations(range(players)):
        kept = np.zeros(players, bool)
        for player in order:
            before = game(kept[None])[0]
            kept[player] = True
            total[player] += game(kept[None])[0] - before
        count += 1
    return total / count


def test_glove_game() -> None:
    """Player 0 has a left glove, 1 and 2 a right one; a pair is worth 1: 2/3, 1/6, 1/6."""

    def pairs(kept: np.ndarray) -> np.ndarray:
        return (kept[:, 0] & (kept[:, 1] | kept[:, 2])).astype(float)

    found = shapley(pairs, 3, seeded(), budget=8)
    assert found.exact
    np.testing.assert_allclose(found.values, [2 / 3, 1 / 6, 1 / 6])
    np.testing.assert_allclose([found.low, found.high], [found.values] * 2)


@pytest.mark.parametrize("players", [1, 2, 4, 5])
def test_enumeration_is_the_mean_over_all_orders(players: int) -> None:
    game = random_game(players)
    found = exact(game, players)
    np.testing.assert_allclose(found.values, by_all_orders(game, players), atol=1e-12)
    assert found.values.sum() == pytest.approx(found.full - found.empty, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_four_players_are_sampled_to_within_the_interval(seed: int) -> None:
    game = random_game(4, seed)
    truth, found = exact(game, 4), sampled(game, 4, seeded(seed), budget=16)
    assert found.values.sum() == pytest.approx(found.full - found.empty, abs=1e-9)
    assert (found.low <= found.high).all()
    inside = (found.low - 1e-9 <= truth.values) & (truth.values <= found.high + 1e-9)
    assert inside.sum() >= 3
    assert np.abs(found.values - truth.values).max() < 0.5


def test_intervals_hold_what_they_promise() -> None:
    """Eight players and some 12 pairs: the truth is inside in about 95 % of 480 cases."""
    inside = []
    for seed in range(60):
        game = random_game(8, seed)
        truth, found = exact(game, 8), sampled(game, 8, seeded(seed), budget=100)
        assert found.played <= 100
        assert not found.exact
        assert found.values.sum() == pytest.approx(found.full - found.empty, abs=1e-9)
        inside.append((found.low <= truth.values) & (truth.values <= found.high))
    assert 0.90 <= np.mean(inside) <= 0.99


def test_a_sum_is_found_without_error() -> None:
    weight = np.arange(12.0) - 3
    found = sampled(lambda kept: kept @ weight + 7, 12, seeded(), budget=100)
    np.testing.assert_allclose(found.values, weight, atol=1e-9)
    np.testing.assert_allclose(found.high - found.low, 0, atol=1e-9)
    assert found.empty == 7


def test_same_seed_same_values() -> None:
    game = random_game(8)
    first, again, other = (sampled(game, 8, seeded(seed), budget=60) for seed in (1, 1, 2))
    assert first.values.tobytes() == again.values.tobytes()
    assert first.values.tobytes() != other.values.tobytes()


def test_budgets() -> None:
    with pytest.raises(ValueError, match="one pair of orders needs 30"):
        shapley(random_game(15), 15, seeded(), budget=29)
    single = shapley(random_game(15), 15, seeded(), budget=30)
    assert np.isinf(single.high).all()
    assert single.played == 30
    with pytest.raises(ValueError, match="at least one player"):
        shapley(random_game(1), 0, seeded())


def test_each_coalition_is_played_once() -> None:
    played: list[bytes] = []
    progress: list[int] = []

    def game(kept: np.ndarray) -> np.ndarray:
        played.extend(row.tobytes() for row in kept)
        return kept.sum(axis=1) ** 2.0

    found = sampled(game, 5, seeded(), budget=32, progress=progress.append)
    assert len(played) == len(set(played)) == found.played == progress[-1]
    assert progress == sorted(progress)


@pytest.mark.parametrize("people", [1, 2])
def test_joints_of_a_network_that_is_a_sum(people: int) -> None:
    clip = noise_clip(5, people=people)
    question = Question.ask(linear_recognizer(JOINTS), clip, target="a")
    explanation = shapley_joints(question, "joints", budget=130)
    share = question.in_layout(question.tensors[2][0].numpy()).mean(axis=0)  # [M, J]; 0 for joints outside the view
    expected = share * np.array([JOINTS.get(name, 0.0) for name in JHMDB.joints])
    np.testing.assert_allclose(explanation.values, np.broadcast_to(expected, (5, people, 15)), atol=1e-5)
    np.testing.assert_allclose(explanation.companions["low"], explanation.values, atol=1e-5)
    about = explanation.made_by.parameters
    assert about["full"] - about["empty"] == pytest.approx(explanation.values[0].sum(), abs=1e-5)
    np.testing.assert_allclose(explanation.base_rate[0].sum(), explanation.values[0].sum(), rtol=1e-5)


def test_a_question_has_one_answer() -> None:
    question = Question.ask(random_recognizer(size=32, frames=3), noise_clip(3, 40, 40, people=1))
    first, again = (shapley_joints(question, "joints", budget=30) for _ in range(2))
    assert first.values.tobytes() == again.values.tobytes()


def test_limbs_are_few_enough_to_be_exact() -> None:
    question = Question.ask(random_recognizer(frames=4), noise_clip(4, people=1))
    explanation = shapley_joints(question, "joints", by="limb", budget=32)
    assert explanation.made_by.parameters["exact"]
    limbs = [explanation.values[0, 0, joints[0]] for _, joints in JHMDB.limbs]
    skeleton = Skeleton(question, Rerun.of_question(question), "limb", "unseen")
    logits = skeleton.rerun.logits([skeleton.untouched, skeleton.emptied])
    full, empty = question.score(logits).tolist()
    assert sum(limbs) == pytest.approx(full - empty, abs=1e-5)
    # A limb counts once there, however many joints and frames of the map carry its value.
    np.testing.assert_allclose(explanation.companions["completeness"], [sum(limbs), full - empty], atol=1e-5)


def test_frames() -> None:
    """Brightness of frame 3 counts alone: its value is what it adds to the mean over stills, and the sum is exact."""
    clip = noise_clip(5, 48, 48, people=0)
    frames = np.zeros_like(clip.frames)
    frames[3] = 255
    clip = type(clip)(frames, clip.joints, clip.score, clip.layout, clip.time)
    question = Question.ask(linear_recognizer(frames=[1.0] * 5), clip, target="b")
    explanation = shapley_frames(question, "frames", budget=32)
    about = explanation.made_by.parameters
    assert about["full"] == pytest.approx(0.2)
    assert about["empty"] == pytest.approx(0.2)  # one still of five is bright throughout
    assert explanation.values.sum() == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(explanation.companions["completeness"], [0, 0], atol=1e-6)
    assert explanation.values.argmax() == 3
    assert explanation.values[3] > 0.1


def test_progress_can_end_it() -> None:
    class CancelledError(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        assert 0 < done <= total == 400
        raise CancelledError

    question = Question.ask(random_recognizer(frames=4), noise_clip(4), progress=cancel)
    with pytest.raises(CancelledError):
        shapley_joints(question, "joints")
