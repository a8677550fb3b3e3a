"""What predictions of a data set come to: accuracy with its interval, who is taken for whom, which clips to look at.

Everything is counted from the rows of `Predicted`; clips that could not be read count nowhere and are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.interval import wilson
from xai.dashboard.data_predictions import Predicted
from xai.dashboard.data_sets import Split

OUTCOMES = ("right", "wrong", "no verdict", "not predicted", "cannot be read")
"""No verdict: the network does not know the clip's label, so it can be neither right nor wrong."""
ORDERS = ("as they come", "surest first", "least sure first")


@dataclass(frozen=True)
class Share:
    """`hits` in `count`, with the 95 % interval (Wilson)."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        return self.hits / self.count

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.hits, self.count)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True, eq=False)
class Verdicts:
    """One row a clip of the split, N rows."""

    split: Split
    labels: tuple[str, ...]
    """Of the network."""
    predicted: np.ndarray
    """[N] int: class of the network, -1 where it said nothing."""
    confidence: np.ndarray
    """[N] probability of what it said; NaN where it said nothing."""
    outcome: np.ndarray
    """[N] int: index into OUTCOMES."""
    clip: tuple[str, ...]
    """[N] fingerprint of what was predicted; empty where nothing was."""

    @classmethod
    def of(cls, split: Split, found: Predicted | None) -> Verdicts:
        count = len(split)
        predicted, confidence = np.full(count, -1), np.full(count, np.nan)
        outcome, clip = np.full(count, OUTCOMES.index("not predicted")), [""] * count
        labels = found.labels if found else ()
        if found is not None and len(found.position):
            likely = found.probabilities
            predicted[found.position] = likely.argmax(axis=1)
            confidence[found.position] = likely.max(axis=1)
            known = np.array([label in labels for label in split.labels])
            own = np.array([labels.index(label) if label in labels else -1 for label in split.labels])
            for row, position in enumerate(found.position.tolist()):
                target = split.targets[position]
                right = predicted[position] == own[target]
                outcome[position] = (0 if right else 1) if known[target] else OUTCOMES.index("no verdict")
                clip[position] = found.clip[row]
        for position in found.damaged if found else ():
            outcome[position] = OUTCOMES.index("cannot be read")
        return cls(split, labels, predicted, confidence, outcome, tuple(clip))

    def _share(self, among: np.ndarray) -> Share | None:
        judged = among & (self.outcome <= 1)
        count = int(judged.sum())
        return Share(int((self.outcome[judged] == 0).sum()), count) if count else None

    @property
    def accuracy(self) -> Share | None:
        """None while there is no clip to judge."""
        return self._share(np.ones(len(self.split), bool))

    @property
    def by_kind(self) -> dict[str, Share]:
        """Accuracy by what decides the label."""
        kinds = np.array([kind or "" for kind in self.split.kinds])
        shares = {kind: self._share(kinds == kind) for kind in dict.fromkeys(self.split.kinds) if kind}
        return {kind: share for kind, share in shares.items() if share is not None}

    @property
    def guessing(self) -> float:
        """What naming the commonest label of the judged clips always would score."""
        targets = self.split.targets[self.outcome <= 1]
        return float(np.bincount(targets).max() / len(targets))

    def said(self, position: int) -> str:
        """The label that the network gives; empty where it gives none."""
        return self.labels[self.predicted[position]] if self.predicted[position] >= 0 else ""


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often clips of `rows` were said to be `columns`."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: np.ndarray
    """[row, column] clips."""
    left_out: int = 0
    """Labels that are not shown, because a matrix of all could not be read."""

    @classmethod
    def of(cls, verdicts: Verdicts, most: int = 36) -> Confusion:
        """Rows are the labels of the data set; columns the same in the same order, then others that were said.

        With more than `most` labels, those with the most clips off the diagonal stay.
        """
        split, labels = verdicts.split, verdicts.labels
        seen = verdicts.predicted >= 0
        pairs = np.zeros((len(split.labels), len(labels)), int)
        np.add.at(pairs, (split.targets[seen], verdicts.predicted[seen]), 1)
        shared = [label for label in split.labels if label in labels]
        said = [label for i, label in enumerate(labels) if label not in split.labels and pairs[:, i].any()]
        columns = [*shared, *said]
        counts = pairs[:, [labels.index(label) for label in columns]] if columns else pairs[:, :0]
        rows, left_out = list(split.labels), 0
        if len(rows) > most or len(columns) > most:
            wrong = np.array([[row != column for column in columns] for row in rows]) * counts
            trouble = dict.fromkeys([*rows, *columns], 0)
            for label, number in zip(rows, wrong.sum(axis=1).tolist(), strict=True):
                trouble[label] += number
            for label, number in zip(columns, wrong.sum(axis=0).tolist(), strict=True):
                trouble[label] += number
            kept = set(sorted(trouble, key=lambda label: -trouble[label])[:most])
            left_out = len(trouble) - len(kept)
            keep_rows = [i for i, label in enumerate(rows) if label in kept]
            keep_columns = [i for i, label in enumerate(columns) if label in kept]
            counts = counts[keep_rows][:, keep_columns]
            rows, columns = [rows[i] for i in keep_rows], [columns[i] for i in keep_columns]
        return cls(tuple(rows), tuple(columns), counts, left_out)


@dataclass(frozen=True)
class Wanted:
    """Which clips are shown; None and the ends of the range let everything through."""

    label: str | None = None
    predicted: str | None = None
    outcome: str | None = None
    least: float = 0.0
    most: float = 1.0
    """Of the probability of what was said; a clip of which nothing was said passes only the whole range."""
    kind: str | None = None
    order: str = ORDERS[0]

    def positions(self, verdicts: Verdicts) -> list[int]:
        """The clips that pass, in the order that was asked for."""
        split = verdicts.split
        keep = np.ones(len(split), bool)
        if self.label is not None:
            keep &= split.targets == (split.labels.index(self.label) if self.label in split.labels else -1)
        if self.predicted is not None:
            number = verdicts.labels.index(self.predicted) if self.predicted in verdicts.labels else -2
            keep &= verdicts.predicted == number
        if self.outcome is not None:
            keep &= verdicts.outcome == OUTCOMES.index(self.outcome)
        if self.kind is not None:
            keep &= np.array([kind == self.kind for kind in split.kinds]) if split.kinds else False
        if (self.least, self.most) != (0.0, 1.0):
            with np.errstate(invalid="ignore"):
                keep &= (verdicts.confidence >= self.least) & (verdicts.confidence <= self.most)
        found = np.flatnonzero(keep)
        if self.order != ORDERS[0]:
            sure = verdicts.confidence[found] * (-1 if self.order == ORDERS[1] else 1)
            found = found[np.argsort(sure, kind="stable")]  # NaN, of which nothing was said, comes last
        return [int(position) for position in found]


# ---- Several networks -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Agreement:
    """How often two networks gave the same label, on the clips that both of them were shown."""

    same: Share
    by_chance: float
    """How often they would, if each gave its labels as often as it does, but to any clip."""
    both_right: int


def agreement(one: Verdicts, other: Verdicts) -> Agreement | None:
    """None when there is no clip of which both said something."""
    both = np.flatnonzero((one.predicted >= 0) & (other.predicted >= 0)).tolist()
    if not both:
        return None
    names = [np.array([each.said(position) for position in both]) for each in (one, other)]
    labels = set(names[0]) | set(names[1])
    chance = sum(float((names[0] == label).mean() * (names[1] == label).mean()) for label in labels)
    right = int(((one.outcome[both] == 0) & (other.outcome[both] == 0)).sum())
    return Agreement(Share(int((names[0] == names[1]).sum()), len(both)), chance, right)


def disagreements(all_of: Sequence[Verdicts]) -> list[int]:
    """The clips of which every network said something, and not all the same; those with most answers first."""
    told = np.all([each.predicted >= 0 for each in all_of], axis=0)
    answers = {int(p): len({each.said(int(p)) for each in all_of}) for p in np.flatnonzero(told)}
    return sorted((p for p, count in answers.items() if count > 1), key=lambda p: -answers[p])
