"""Faithfulness: does taking away what a map calls strong change the score more than taking away anything else?

Units (joints of people, frames, or tubelets: cells of a grid in runs of frames) are taken away from the strongest to
the weakest (deletion), and given back in the same order (insertion). The same is done in orders drawn at random and in
the order of motion energy, in the same axes. The gain of an order is

    mean over the steps of (insertion - deletion) / 2

in logits: large when the first units make the score and the last ones do not matter. The gains of the random orders
say what a map that knows nothing gets, with its spread; a random order and its reverse share their passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xai import edits
from xai.explanation import Explanation
from xai.players import Skeleton, untouched_by
from xai.question import Question
from xai.rerun import Rerun, Variant

GRID = 4
"""Tubelets are cells of GRID x GRID ..."""
RUNS = 3
"""... in so many runs of frames."""


@dataclass(frozen=True, eq=False)
class Units:
    """What can be taken away from the clip of a question, one unit at a time."""

    question: Question
    kind: str
    """joints, frames or tubelets."""

    @cached_property
    def rerun(self) -> Rerun:
        return Rerun.of_question(self.question)

    @cached_property
    def skeleton(self) -> Skeleton:
        return Skeleton(self.question, self.rerun, "joint", "unseen")

    @cached_property
    def cells(self) -> np.ndarray:
        """[T, H, W] int: the tubelet of each pixel of the clip; -1 where the network does not look."""
        return self._numbers[self._pixels]

    @cached_property
    def _pixels(self) -> np.ndarray:
        height, width = self.rerun.seen.size
        places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
        return self._tubelet(places, len(self.rerun.seen))

    @cached_property
    def _numbers(self) -> np.ndarray:
        """The number of each cell of the grid: of those that hold a pixel, for a view may reach beyond the frame, where
        there is nothing to take away. The last is for pixels that the network does not see."""
        held = np.unique(self._pixels[self._pixels >= 0])
        numbers = np.full(RUNS * GRID**2 + 1, -1)
        numbers[held] = np.arange(len(held))
        return numbers

    def _tubelet(self, places: np.ndarray, length: int) -> np.ndarray:
        """Pixels (x, y) [h, w, 2] of the clip -> [T, h, w] int."""
        view = self.rerun.view
        part = (view.to_model(places) + 0.5) / [view.size[1], view.size[0]]
        column, row = np.moveaxis(np.floor(part * GRID).astype(int), -1, 0)
        cell = np.where(((part >= 0) & (part < 1)).all(-1), row * GRID + column, -1)
        run = np.arange(length) * min(RUNS, length) // length
        return np.where(cell >= 0, run[:, None, None] * GRID**2 + cell, -1)

    def __len__(self) -> int:
        if self.kind == "joints":
            return len(self.skeleton.players)
        return len(self.rerun.seen) if self.kind == "frames" else int(self._numbers.max()) + 1

    @property
    def most(self) -> int:
        """How many units can be taken away at once: one frame must stay."""
        return len(self) - (self.kind == "frames")

    def without(self, gone: np.ndarray) -> Variant:
        """The clip without the units `gone` [units] bool."""
        if not gone.any():
            return untouched_by(self.rerun)
        if self.kind == "joints":
            return self.skeleton.without_players(gone)
        seen = self.rerun.seen
        if self.kind == "frames":
            return self.rerun.variant(edits.take_frames(seen, gone, "hold"))
        return self.rerun.variant(edits.cover(seen, np.isin(self.cells, np.flatnonzero(gone)), "mean"))

    def values(self, explanation: Explanation) -> np.ndarray:
        """[units]: what the map gives each unit (its mean over the unit)."""
        values = explanation.values.astype(float)
        if explanation.kind == "joint map":
            return np.array([values.mean(axis=0)[member].mean() for member in self.skeleton.players])
        if explanation.kind == "pixel map":
            box, (length, rows, columns) = explanation.companions["box"], values.shape
            u, v = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
            centres = box[0] + u[None, :, None] * (box[1] - box[0]) + v[:, None, None] * (box[3] - box[0])
            unit = self._numbers[self._tubelet(centres, length)]
            total = np.bincount(unit[unit >= 0], values[unit >= 0], len(self))
            return np.asarray(total / np.maximum(np.bincount(unit[unit >= 0], minlength=len(self)), 1))
        return values.reshape(len(values), -1).sum(axis=1)

    @cached_property
    def motion(self) -> np.ndarray:
        """[units] motion energy: how fast a joint moves, how much a frame or a tubelet differs from one to the next."""
        seen = self.rerun.seen
        if len(seen) == 1:
            return np.zeros(len(self))
        if self.kind == "joints":
            both = (seen.score[1:] > 0) & (seen.score[:-1] > 0)
            speed = (np.linalg.norm(np.diff(seen.joints, axis=0), axis=-1) * both).sum(0) / np.maximum(both.sum(0), 1)
            return np.array([speed[member].mean() for member in self.skeleton.players])
        change = np.abs(np.diff(seen.frames.astype(np.int16), axis=0)).mean(axis=-1)
        energy = np.zeros(seen.frames.shape[:3])
        energy[1:] += change / 2
        energy[:-1] += change / 2
        if self.kind == "frames":
            return np.asarray(energy.mean(axis=(1, 2)))
        inside = self.cells >= 0
        total = np.bincount(self.cells[inside], energy[inside], len(self))
        return np.asarray(total / np.maximum(np.bincount(self.cells[inside], minlength=len(self)), 1))


def units_of(explanation: Explanation) -> str:
    """Which units can test a map of this kind."""
    return {"joint map": "joints", "pixel map": "tubelets"}.get(explanation.kind, "frames")


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Deletion and insertion curves [S] of a map, of motion energy and of random orders [R, S], in logits."""

    units: str
    share: np.ndarray
    """[S]: share of the units that is taken away (deletion) or given back (insertion)."""
    deletion: np.ndarray
    insertion: np.ndarray
    motion_deletion: np.ndarray
    motion_insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    @property
    def gain(self) -> float:
        return float((self.insertion - self.deletion).mean() / 2)

    @property
    def motion_gain(self) -> float:
        return float((self.motion_insertion - self.motion_deletion).mean() / 2)

    @property
    def random_gains(self) -> np.ndarray:
        """[R]."""
        return np.asarray((self.random_insertion - self.random_deletion).mean(axis=1) / 2)

    @property
    def over_random(self) -> tuple[float, float, float]:
        """Gain over that of random orders in logits, and its 95 % interval."""
        gains = self.random_gains
        low, high = np.percentile(gains, [2.5, 97.5])
        return self.gain - float(gains.mean()), self.gain - float(high), self.gain - float(low)

    @property
    def chance(self) -> float:
        """How probable a random order is to do as well: (1 + random orders at least as good) / (1 + random orders)."""
        return float((1 + (self.random_gains >= self.gain).sum()) / (1 + len(self.random_gains)))

    @property
    def times_random(self) -> float | None:
        """How many times as far the score falls as with random removal; None where random removal does not lower it."""
        full = float(self.deletion[0])
        usual = full - float(self.random_deletion[:, 1:].mean())
        return None if usual <= 0.01 else (full - float(self.deletion[1:].mean())) / usual


Game = Callable[[list[np.ndarray]], np.ndarray]
"""Which units are gone, [units] bool each -> the score of each."""


def faithfulness(
    question: Question, explanation: Explanation, *, orders: int = 40, steps: int | None = None
) -> Faithfulness:
    """Measure a map. `orders` random orders (even), at least `steps` removals an order beside nothing and all
    (by default six of joints, four of what changes pixels, where each pass costs twice as much).

    `question.progress` is called after every batch and may raise to cancel.
    """
    units = Units(question, units_of(explanation))
    if len(units) < 2:
        raise ValueError(f"A map over {len(units)} {units.kind} cannot be tested by taking some of them away.")

    if steps is None:
        steps = 6 if units.kind == "joints" else 4

    def game(gone: list[np.ndarray]) -> np.ndarray:
        logits = units.rerun.logits(map(units.without, gone), lambda done: question.progress(done, len(gone)))
        return question.score(logits).double().numpy()

    return play(
        game, units.values(explanation), units.motion, units.kind, most=units.most, orders=orders, steps=steps,
        rng=np.random.default_rng(question.seed),
    )  # fmt: skip


def play(
    game: Game,
    values: np.ndarray,
    motion: np.ndarray,
    kind: str,
    *,
    most: int,
    orders: int,
    steps: int,
    rng: np.random.Generator,
) -> Faithfulness:
    """The curves of the order of `values` [units], of `motion` [units] and of random orders; `most` units can be gone
    at once. Every set of units is scored once."""
    count = len(values)
    tie = rng.random(count)  # equal values are in no order: nothing is gained by listing joints from head to foot
    strongest, moving = np.lexsort((tie, -values)), np.lexsort((tie, -motion))
    drawn = [rng.permutation(count) for _ in range(max(1, orders // 2))]
    taken = np.rint(np.linspace(0, most, steps + 2)).astype(int)
    # Removing the first k of an order leaves what giving back the last n - k of its reverse gives: with both steps, the
    # curves of an order and of its reverse are the same passes.
    taken = np.unique(np.concatenate([taken, count - taken]))
    taken = taken[taken <= most]

    def gone(order: np.ndarray, size: int) -> np.ndarray:
        mask = np.zeros(count, bool)
        mask[order[:size]] = True
        return mask

    listed = [strongest, moving, *drawn]
    masks = [gone(order, size) for order in (*listed, *(order[::-1] for order in listed)) for size in taken]
    states = {mask.tobytes(): mask for mask in masks}
    scores = dict(zip(states, game(list(states.values())), strict=True))

    def both(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Deletion, and insertion: what is left to give back is removed from the end."""
        deletion = [scores[gone(order, size).tobytes()] for size in taken]
        insertion = [scores[gone(order[::-1], min(count - size, most)).tobytes()] for size in taken]
        return np.array(deletion), np.array(insertion)

    random = [both(order) for order in (*drawn, *(order[::-1] for order in drawn))]
    return Faithfulness(
        kind, taken / count, *both(strongest), *both(moving),
        np.stack([d for d, _ in random]), np.stack([i for _, i in random]),
    )  # fmt: skip
