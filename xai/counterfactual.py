"""Counterfactual: the smallest set of players without which the network gives another answer.

First greedily: take away whoever lowers the margin most until the answer changes, then give back whoever was not
needed. Then exactly, as far as a budget reaches: all smaller sets are tried, size by size. The result says whether
it is proved that no smaller set changes the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xai import edits
from xai.edits import FrameHow, JointHow
from xai.explanation import Explanation
from xai.players import By, Skeleton, within
from xai.question import Question
from xai.rerun import Rerun, Variant

Margins = Callable[[np.ndarray], np.ndarray]
"""Who is taken away [N, players] bool -> margins [N]: above 0 while the answer is the same. Any portions."""
PORTION = 8


@dataclass(frozen=True)
class Counterfactual:
    """The smallest set that was found. `players` is empty when no set changes the answer."""

    players: tuple[int, ...]
    minimal: bool
    """Proved: no smaller set changes the answer (for an empty set: no set at all up to the largest size does)."""
    margin: float
    """Of the answer without them; not above 0 if they were found."""
    tried: int
    """Different sets that were tried."""

    @property
    def found(self) -> bool:
        return bool(self.players)


class _Tried:
    """Margins of sets, each tried once."""

    def __init__(self, margins: Margins, players: int, progress: Callable[[int], None]) -> None:
        self.margins, self.players, self.progress = margins, players, progress
        self.known: dict[tuple[int, ...], float] = {}

    def __call__(self, sets: list[tuple[int, ...]]) -> list[float]:
        new = [each for each in dict.fromkeys(sets) if each not in self.known]
        for start in range(0, len(new), PORTION):
            portion = new[start : start + PORTION]
            gone = np.zeros((len(portion), self.players), bool)
            for row, each in zip(gone, portion, strict=True):
                row[list(each)] = True
            self.known |= dict(zip(portion, (float(m) for m in self.margins(gone)), strict=True))
            self.progress(len(self.known))
        return [self.known[each] for each in sets]


def smallest_change(
    margins: Margins,
    players: int,
    *,
    largest: int | None = None,
    budget: int = 600,
    progress: Callable[[int], None] = lambda tried: None,
) -> Counterfactual:
    """The smallest set of `players` whose removal brings the margin to 0 or below.

    Args:
        largest: the largest set that may be taken away; all players by default.
        budget: how many sets may be tried. The greedy search is always finished; it tries players^2 / 2 at most.
        progress: called with the number of sets tried so far; what it raises ends the computation.

    Of several smallest sets, the greedy one if it is among them, else the one with the lowest margin.

    Raises: ValueError when the answer is not given at all.
    """
    largest = players if largest is None else min(largest, players)
    tried = _Tried(margins, players, progress)
    if tried([()])[0] <= 0:
        raise ValueError("The network does not give this answer in the first place; ask about the answer it gives.")
    best = _greedy(tried, players, largest)
    bound = len(best) - 1 if best else largest
    for size in range(1, bound + 1):
        if len(tried.known) + comb(players, size) > budget and not _known(tried, players, size):
            return _result(tried, best, minimal=False)
        changing = None
        for portion in _portions(combinations(range(players), size)):
            lowest = min(zip(tried(portion), portion, strict=True))
            if lowest[0] <= 0 and (changing is None or lowest < changing):
                changing = lowest
        if changing is not None:
            return _result(tried, changing[1], minimal=True)
    return _result(tried, best, minimal=True)


def _greedy(tried: _Tried, players: int, largest: int) -> tuple[int, ...]:
    """A set that changes the answer and from which nobody can be spared; empty if none was met."""
    gone: tuple[int, ...] = ()
    while len(gone) < largest:
        wider = [tuple(sorted((*gone, player))) for player in range(players) if player not in gone]
        margin, gone = min(zip(tried(wider), wider, strict=True))
        if margin <= 0:
            break
    else:
        return ()
    while len(gone) > 1:
        narrower = [tuple(each for each in gone if each != player) for player in gone]
        margin, fewer = min(zip(tried(narrower), narrower, strict=True))
        if margin > 0:
            break
        gone = fewer
    return gone


def _known(tried: _Tried, players: int, size: int) -> bool:
    return size == 1 and all((player,) in tried.known for player in range(players))


def _portions(sets: Iterator[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    while portion := list(islice(sets, PORTION)):
        yield portion


def _result(tried: _Tried, players: tuple[int, ...], minimal: bool) -> Counterfactual:
    return Counterfactual(players, minimal, tried.known[players], len(tried.known))


# ---- The sets of a question -----------------------------------------------------------------------------------------


def counterfactual_joints(
    question: Question, on: str, by: By = "joint", how: JointHow = "unseen", budget: int = 600
) -> Explanation:
    """1 on the smallest set of joints (or limbs) without which the answer is another one; 0 everywhere if no set
    that was tried changes it."""
    skeleton = Skeleton(question, Rerun.of_question(question), by, how)

    def without(gone: np.ndarray) -> Variant:
        return skeleton.without_players(gone)

    players = len(skeleton.players)
    found = smallest_change(
        _margins(question, skeleton.rerun, without), players, budget=budget, progress=within(question, budget)
    )
    about = _answer(question, skeleton.rerun, without, found, players)
    made_by = question.made_by("counterfactual joints", by=by, how=how, budget=budget, **about)
    return question.joint_map(
        skeleton.spread(_taken(found, players)),
        made_by,
        "member of the set",
        base_rate=skeleton.spread([len(found.players) / max(1, players)] * players),
        base_rate_of=f"a set of as many {by}s picked at random",
    )


def counterfactual_frames(
    question: Question, on: str, how: FrameHow = "hold", budget: int = 600, largest: int | None = None
) -> Explanation:
    """1 on the smallest set of frames without which the answer is another one; 0 everywhere if no set that was tried
    changes it. One frame always stays; sets of more than `largest` are not tried."""
    rerun = Rerun.of_question(question)

    def without(gone: np.ndarray) -> Variant:
        return rerun.variant(edits.take_frames(rerun.seen, gone, how))

    players = len(rerun.seen)
    found = smallest_change(
        _margins(question, rerun, without),
        players,
        largest=players - 1 if largest is None else min(largest, players - 1),
        budget=budget,
        progress=within(question, budget),
    )
    about = _answer(question, rerun, without, found, players)
    made_by = question.made_by("counterfactual frames", how=how, budget=budget, largest=largest, **about)
    return question.frame_map(
        _taken(found, players),
        made_by,
        "member of the set",
        base_rate=len(found.players) / players,
        base_rate_of="a set of as many frames picked at random",
    )


def _margin(question: Question, logits: Tensor) -> Tensor:
    """[N, classes] -> [N]: the logit of the class asked about over that of the other, or of the best other one."""
    if question.against is not None:
        return question.score(logits)
    others = logits.clone()
    others[:, question.target] = -torch.inf
    return logits[:, question.target] - others.amax(dim=1)


def _margins(
    question: Question, rerun: Rerun, without: Callable[[np.ndarray], Variant]
) -> Callable[[np.ndarray], np.ndarray]:
    return lambda gone: _margin(question, rerun.logits(without(row) for row in gone)).double().numpy()


def _taken(found: Counterfactual, players: int) -> np.ndarray:
    return np.isin(np.arange(players), found.players).astype(float)


def _answer(
    question: Question,
    rerun: Rerun,
    without: Callable[[np.ndarray], Variant],
    found: Counterfactual,
    players: int,
) -> dict[str, Any]:
    """What is told about the set beside the set itself."""
    logits = rerun.logits([without(_taken(found, players) > 0)])
    return {
        "found": found.found,
        "size": len(found.players),
        "proved smallest": found.minimal,
        "answer without it": question.labels[int(logits[0].argmax())],
        "tried": found.tried,
    }
