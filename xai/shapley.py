"""Shapley values: what each player of a game adds, averaged over all orders in which the players can come.

A game is a function from coalitions (who stays) to a score. With few players every coalition is played and the values
are exact; otherwise orders are drawn in antithetic pairs (an order and its reverse, Mitchell et al. 2022), so that who
comes early in one comes late in the other. In every order the parts add up to score(all) - score(none) exactly, and so
do their means. Intervals come from the spread between pairs, which are independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import factorial, sqrt
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from xai import edits
from xai.edits import FrameHow, JointHow
from xai.explanation import Explanation
from xai.players import UNIT, By, Skeleton, scores_of, within
from xai.question import Question
from xai.rerun import Rerun

Game = Callable[[np.ndarray], np.ndarray]
"""Coalitions [N, players] bool, True who stays -> scores [N]. May be asked in any portions."""
PORTION = 8
"""Coalitions that are asked for at once at most: no slower than more, and it can be cancelled in between."""


@dataclass(frozen=True, eq=False)
class Shapley:
    """Values of the players and how well they are known."""

    values: np.ndarray
    """[players] float64; their sum is `full - empty`."""
    low: np.ndarray
    high: np.ndarray
    """[players]: 95 % interval of each; equal to the values when exact, infinite after a single pair."""
    full: float
    empty: float
    played: int
    """Different coalitions that were scored."""
    exact: bool


class _Scores:
    """Scores of coalitions, each played once."""

    def __init__(self, game: Game, progress: Callable[[int], None]) -> None:
        self.game, self.progress = game, progress
        self.known: dict[bytes, float] = {}

    def new(self, coalitions: np.ndarray) -> np.ndarray:
        """Those that were not played, each once."""
        unplayed = np.array([row.tobytes() not in self.known for row in coalitions], bool)
        return np.unique(coalitions[unplayed], axis=0)

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        new = self.new(coalitions)
        for start in range(0, len(new), PORTION):
            portion = new[start : start + PORTION]
            for row, score in zip(portion, self.game(portion), strict=True):
                self.known[row.tobytes()] = float(score)
            self.progress(len(self.known))
        return np.array([self.known[row.tobytes()] for row in coalitions])


def shapley(
    game: Game,
    players: int,
    generator: torch.Generator,
    budget: int = 400,
    progress: Callable[[int], None] = lambda played: None,
) -> Shapley:
    """Exact when all 2^players coalitions are within `budget`, else sampled within it.

    Args:
        budget: how many different coalitions may be played.
        progress: called with the number of coalitions played so far; what it raises ends the computation.

    Raises: ValueError when the budget is too small for a single pair of orders.
    """
    if players < 1:
        raise ValueError("A game needs at least one player, and there is none.")
    if players < 24 and 2**players <= budget:
        return exact(game, players, progress)
    return sampled(game, players, generator, budget, progress)


def exact(game: Game, players: int, progress: Callable[[int], None] = lambda played: None) -> Shapley:
    """All 2^players coalitions."""
    numbers = np.arange(2**players)
    coalitions = (numbers[:, None] >> np.arange(players)) & 1 == 1
    scores = _Scores(game, progress)(coalitions)
    size = coalitions.sum(axis=1)
    weight = np.array([factorial(s) * factorial(players - s - 1) for s in range(players)]) / factorial(players)
    values = np.empty(players)
    for player in range(players):
        without = np.flatnonzero(~coalitions[:, player])
        values[player] = (weight[size[without]] * (scores[without + 2**player] - scores[without])).sum()
    return Shapley(values, values, values, float(scores[-1]), float(scores[0]), len(numbers), exact=True)


def sampled(
    game: Game,
    players: int,
    generator: torch.Generator,
    budget: int = 400,
    progress: Callable[[int], None] = lambda played: None,
) -> Shapley:
    """Pairs of orders, as many as `budget` coalitions allow."""
    fewest = 2 * players
    if budget < fewest:
        raise ValueError(
            f"A budget of {budget} coalitions is too small for {players} players; one pair of orders needs {fewest}."
        )
    scores = _Scores(game, progress)
    ends = scores(np.array([np.zeros(players, bool), np.ones(players, bool)]))
    empty, full = float(ends[0]), float(ends[1])
    parts: list[np.ndarray] = []  # one row of marginal contributions a pair
    while len(parts) < budget:  # with few players all coalitions come to be known, and pairs are free
        orders = torch.randperm(players, generator=generator).numpy()
        pair = (orders, orders[::-1])
        walks = [_walk(order) for order in pair]
        if parts and len(scores.known) + len(scores.new(np.concatenate(walks))) > budget:
            break
        marginals = np.zeros(players)
        for order, walk in zip(pair, walks, strict=True):
            steps = np.concatenate([[empty], scores(walk), [full]]) if players > 1 else np.array([empty, full])
            marginals[order] += np.diff(steps) / 2
        parts.append(marginals)
    pairs = np.stack(parts)
    values = pairs.mean(axis=0)
    if len(pairs) > 1:
        half = float(student.ppf(0.975, len(pairs) - 1)) * pairs.std(axis=0, ddof=1) / sqrt(len(pairs))
    else:
        half = np.full(players, np.inf)
    return Shapley(values, values - half, values + half, full, empty, len(scores.known), exact=False)


def _walk(order: np.ndarray) -> np.ndarray:
    """[players - 1, players] bool: who is there after the first, the second, ... of `order`, without the last."""
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    return rank[None] <= np.arange(len(order) - 1)[:, None]


# ---- The games of a question ----------------------------------------------------------------------------------------


def shapley_joints(
    question: Question, on: str, by: By = "joint", how: JointHow = "unseen", budget: int = 400
) -> Explanation:
    """Players are the joints (or limbs) of all people; who is not in the coalition is taken away. Every frame carries
    the values, which add up to score(all joints) - score(none) over people and joints (a limb counts once)."""
    skeleton = Skeleton(question, Rerun.of_question(question), by, how)

    def game(coalitions: np.ndarray) -> np.ndarray:
        return scores_of(question, skeleton.rerun, (skeleton.without_players(~kept) for kept in coalitions))

    found = shapley(game, len(skeleton.players), _generator(question), budget, within(question, budget))
    made_by = question.made_by("Shapley joints", by=by, how=how, budget=budget, **_about(found))
    equal = skeleton.spread([(found.full - found.empty) / len(found.values)] * len(found.values))
    return question.joint_map(
        skeleton.spread(found.values),
        made_by,
        UNIT,
        companions={"low": skeleton.spread(found.low), "high": skeleton.spread(found.high), **_complete(found)},
        base_rate=equal,
        base_rate_of=f"equal shares of all seen {by}s",
    )


def shapley_frames(question: Question, on: str, how: FrameHow = "hold", budget: int = 400) -> Explanation:
    """Players are the frames that the network reads; who is not in the coalition shows its neighbours. With no frame
    left there is no picture: that score is the mean over the stills of single frames, which favours none."""
    rerun = Rerun.of_question(question)
    length = len(rerun.seen)

    def scores(kept: Iterable[np.ndarray]) -> np.ndarray:
        return scores_of(question, rerun, (rerun.variant(edits.take_frames(rerun.seen, ~row, how)) for row in kept))

    def game(coalitions: np.ndarray) -> np.ndarray:
        result = np.zeros(len(coalitions))
        some = coalitions.any(axis=1)
        result[some] = scores(coalitions[some])
        if not some.all():
            result[~some] = scores(np.eye(length, dtype=bool)).mean()
        return result

    found = shapley(game, length, _generator(question), budget, within(question, budget))
    made_by = question.made_by("Shapley frames", how=how, budget=budget, **_about(found))
    return question.frame_map(
        found.values,
        made_by,
        UNIT,
        companions={"low": found.low, "high": found.high, **_complete(found)},
        base_rate=(found.full - found.empty) / length,
        base_rate_of="equal shares of all frames",
    )


def _generator(question: Question) -> torch.Generator:
    """A fresh one, so that the same question has the same answer whatever was asked before."""
    return torch.Generator().manual_seed(question.seed)


def _complete(found: Shapley) -> dict[str, np.ndarray]:
    """The sum of the values, each player once, and the difference of the score that they share."""
    return {"completeness": np.array([found.values.sum(), found.full - found.empty])}


def _about(found: Shapley) -> dict[str, Any]:
    return {"full": found.full, "empty": found.empty, "played": found.played, "exact": found.exact}
