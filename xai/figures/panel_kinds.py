"""Panels of a figure: what each kind can be told in a spec, with its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Film:
    """Film strip with skeleton and sampling points (Fig. 5)."""

    checkpoint: str | None = None
    """A name in `checkpoints`; the first by default."""
    clip: str | None = None
    """A name in `clips`; the first by default."""
    frames: int | None = None
    """How many are shown; as many as stay legible by default."""
    layer: int | None = None
    """Counted from 1; the last by default."""
    query: str | None = None
    """A token that reads (cls, rgb); their mean by default."""
    points: int = 48
    """The points of most mass that are shown."""
    head: int | None = None
    """Counted from 1; the mean of all by default."""
    frame: int | None = None
    """Is among those shown, counted from 1 as the network read them; the one that was read most by default."""


@dataclass(frozen=True)
class Joints:
    """Attention on each joint over the frames, with its base rate (Fig. 6)."""

    checkpoint: str | None = None
    clip: str | None = None
    layer: int | None = None
    query: str | None = None
    person: int | None = None
    """Counted from 1; whoever is seen most by default."""
    named: int = 4
    """The strongest joints, drawn thick and named."""
    head: int | None = None


@dataclass(frozen=True)
class Ledger:
    """The exact parts of one logit over tokens and frames."""

    checkpoint: str | None = None
    clip: str | None = None
    label: str | None = None
    """The class; the most probable by default."""


@dataclass(frozen=True)
class Variants:
    """The same clip through several checkpoints: probabilities, ledgers, joint curves."""

    checkpoints: tuple[str, ...] = ()
    """Names in `checkpoints`; all by default."""
    clip: str | None = None
    layer: int | None = None
    person: int | None = None
    label: str | None = None
    """The class of the ledgers; the most probable of the first checkpoint by default."""
    classes: int = 5


@dataclass(frozen=True)
class Map:
    """Any method's map over the film strip."""

    method: str = field()
    on: str | None = None
    checkpoint: str | None = None
    clip: str | None = None
    target: str | None = None
    against: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the method, as in `xai.methods.explain`."""
    frames: int | None = None
    person: int | None = None
    named: int = 4


@dataclass(frozen=True)
class Trust:
    """Deletion and insertion curves of a map beside random orders and motion energy, and the verdict."""

    method: str = field()
    on: str | None = None
    checkpoint: str | None = None
    clip: str | None = None
    target: str | None = None
    against: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ("faithfulness",)
    """Measures beside it: sanity, stability."""
    orders: int = 40
    """Random orders."""


@dataclass(frozen=True)
class Cube:
    """The clip as a block of space and time, with the sampling points in it."""

    checkpoint: str | None = None
    clip: str | None = None
    layer: int | None = None
    query: str | None = None
    points: int = 48
    frames: int | None = None
    head: int | None = None
    frame: int | None = None


@dataclass(frozen=True)
class Without:
    """The answer with something taken away, beside the untouched one."""

    removals: tuple[Mapping[str, Any], ...] = field()
    """As in `xai.removal`; a background is of one of `clips`."""
    checkpoint: str | None = None
    clip: str | None = None
    label: str | None = None
    """The class of the ledger; the most probable before by default."""
    frames: int | None = None
    classes: int = 5


@dataclass(frozen=True)
class Order:
    """The probability of the clip's class for the same frames in other orders, network by network."""

    checkpoints: tuple[str, ...] = ()
    clip: str | None = None


@dataclass(frozen=True)
class WhoReads:
    """What each kind of token reads in one block, attention by attention."""

    checkpoint: str | None = None
    clip: str | None = None
    layer: int | None = None
    """Counted from 1; the last by default."""


@dataclass(frozen=True)
class Confusion:
    """Who is taken for whom: clips of each label by what they are said to be. The counts are in the spec."""

    rows: tuple[str, ...] = field()
    columns: tuple[str, ...] = field()
    counts: tuple[tuple[int, ...], ...] = field()
    of: str | None = None
    """Which network and which data set, in words."""
    checkpoint: str | None = None
    """Whose card travels with the figure."""


@dataclass(frozen=True)
class Agreement:
    """How often pairs of networks say the same of the clips of a data set. The shares are in the spec."""

    names: tuple[str, ...] = field()
    same: tuple[tuple[float, ...], ...] = field()
    chance: tuple[tuple[float, ...], ...] = field()
    of: str | None = None
    checkpoints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ablation:
    """Accuracy of networks that were trained with something changed. The numbers are in the spec."""

    rows: tuple[str, ...] = field()
    accuracies: tuple[tuple[float, ...], ...] = field()
    """Of each row, seed by seed."""
    of: str | None = None
    clips: Literal["validation clips", "test clips"] = "validation clips"


@dataclass(frozen=True)
class LeaderBoard:
    """Methods of the known-cause benchmark beside what a map gets that knows nothing."""

    scores: str = field()
    """`scores.jsonl` of a benchmark, or the `leader_board.json` that is made of it."""
    measure: Literal["rank", "mass", "pointing"] = "rank"
    kind: str = "all"


KINDS: Mapping[str, type[Any]] = {
    "film": Film, "joints": Joints, "ledger": Ledger, "variants": Variants, "map": Map, "trust": Trust,
    "cube": Cube, "without": Without, "order": Order, "flow": WhoReads,
    "confusion": Confusion, "agreement": Agreement, "ablation": Ablation,
    "leader board": LeaderBoard,
}  # fmt: skip
