"""Removals: what is taken away from a clip or from the network, as data, and what the network says without it.

    removals = (Limbs(("left arm",)), Frames((5, 6, 7)), Tokens(("pose",)))
    predict_with(recognizer, clip, removals).top(3)
    from_json(to_json(removals)) == removals

A list of removals is applied in its order, each to what the ones before it left. Places are pixels (x, y) of the
ORIGINAL clip and frames are its numbers, wherever a frame stands after the time order changed; frames that the network
does not read change nothing, and how many it reads is settled first (`Thin`). What happens to pixels and joints is in
xai/edits.py, the passes are in xai/rerun.py.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, Literal, get_type_hints

import numpy as np

from training.clip import Clip
from training.recognizer import Prediction, Recognizer
from xai import edits
from xai.edits import Cover, FrameHow, JointHow
from xai.question import Question
from xai.removal_fields import Numbers, frames_in_words, listed, people_in_words, read, when, whose
from xai.rerun import NOTHING, Exchange, Rerun

Land = Literal["person", "background"]
LARGEST_TEXT = 1 << 16
MOST_REMOVALS = 64
MOST_FRAMES = 24
"""That are read of a clip: twice as many as the paper trains on."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What the network will be shown, changed so far."""

    clip: Clip
    index: np.ndarray
    """[T] int: the number that each frame has in the original clip."""
    config: Any
    """Of the network."""
    slots: tuple[str, ...]
    exchange: Exchange = NOTHING
    others: Mapping[str, Clip] = field(default_factory=dict)

    def chosen(self, frames: Numbers | None) -> np.ndarray:
        """[T] bool: the frames with these numbers; all for None."""
        return np.isin(self.index, frames) if frames is not None else np.ones(len(self.index), bool)


@cache
def _hints(kind: type[Removal]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind)}


@dataclass(frozen=True)
class Removal(ABC):
    """Something that is taken away. Equal removals do the same. Whatever it is made with is checked."""

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            value = read(f"{name!r} of the removal {self.kind!r}", getattr(self, name), hint)
            object.__setattr__(self, name, value)

    @property
    @abstractmethod
    def in_words(self) -> str:
        """What the clip or the network is now: 'left wrist not detected in frames 3-8'."""

    @abstractmethod
    def apply(self, shown: Shown) -> Shown:
        """What is left. Raises ValueError in one sentence for what the clip or the network do not have."""


@dataclass(frozen=True)
class Joints(Removal):
    """Joints by name: as if not detected, or held at rest."""

    kind: ClassVar[str] = "joints"
    joints: tuple[str, ...]
    people: Numbers | None = None
    frames: Numbers | None = None
    how: JointHow = "unseen"

    @property
    def in_words(self) -> str:
        return f"{listed(self.joints)}{whose(self.people)} {_JOINT_WORDS[self.how]}{when(self.frames)}"

    def apply(self, shown: Shown) -> Shown:
        places = [_place(name, shown.clip.layout.joints, "joint") for name in self.joints]
        return _without_joints(shown, places, self.people, self.frames, self.how)


@dataclass(frozen=True)
class Limbs(Removal):
    """Body parts by the names that the skeleton layout gives them."""

    kind: ClassVar[str] = "limbs"
    limbs: tuple[str, ...]
    people: Numbers | None = None
    frames: Numbers | None = None
    how: JointHow = "unseen"

    @property
    def in_words(self) -> str:
        return f"{listed(self.limbs)}{whose(self.people)} {_JOINT_WORDS[self.how]}{when(self.frames)}"

    def apply(self, shown: Shown) -> Shown:
        limbs = dict(shown.clip.layout.limbs)
        names = [name for name, _ in shown.clip.layout.limbs]
        places = [joint for limb in self.limbs for joint in limbs[names[_place(limb, names, "limb")]]]
        return _without_joints(shown, places, self.people, self.frames, self.how)


@dataclass(frozen=True)
class People(Removal):
    """All joints of these people: as if nobody had been detected, or at rest; their pixels stay."""

    kind: ClassVar[str] = "people"
    people: Numbers
    frames: Numbers | None = None
    how: JointHow = "unseen"

    @property
    def in_words(self) -> str:
        words = "without joints" if self.how == "unseen" else _JOINT_WORDS[self.how]
        return f"{people_in_words(self.people)} {words}{when(self.frames)}"

    def apply(self, shown: Shown) -> Shown:
        return _without_joints(shown, list(range(len(shown.clip.layout))), self.people, self.frames, self.how)


@dataclass(frozen=True)
class Frames(Removal):
    """What is new in these frames, in pictures and joints: a neighbour is shown instead, or a mix of two."""

    kind: ClassVar[str] = "frames"
    frames: Numbers
    how: FrameHow = "hold"

    @property
    def in_words(self) -> str:
        return f"{frames_in_words(self.frames)} {'held' if self.how == 'hold' else 'interpolated'}"

    def apply(self, shown: Shown) -> Shown:
        return replace(shown, clip=edits.take_frames(shown.clip, shown.chosen(self.frames), self.how))


@dataclass(frozen=True)
class Region(Removal):
    """A rectangle of pixels in some frames. (x, y) is its left upper pixel; what lies outside the frame is cut off."""

    kind: ClassVar[str] = "region"
    x: float
    y: float
    width: float
    height: float
    frames: Numbers | None = None
    how: Cover = "blur"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.width, self.height) <= 0:
            raise ValueError(f"A region must be larger than nothing; this one is {self.width:g} x {self.height:g}.")

    @property
    def in_words(self) -> str:
        place = f"{self.width:g} x {self.height:g} pixels at ({self.x:g}, {self.y:g})"
        return f"{place} {_COVER_WORDS[self.how]}{when(self.frames)}"

    def apply(self, shown: Shown) -> Shown:
        height, width = shown.clip.size
        columns, rows = np.arange(width), np.arange(height)
        inside = ((rows >= self.y - 0.5) & (rows < self.y + self.height - 0.5))[:, None] & (
            (columns >= self.x - 0.5) & (columns < self.x + self.width - 0.5)
        )
        gone = shown.chosen(self.frames)[:, None, None] & inside
        return replace(shown, clip=edits.cover(shown.clip, gone, self.how))


@dataclass(frozen=True)
class Ground(Removal):
    """The pixels of the people, or all others. Needs a clip with a person mask."""

    kind: ClassVar[str] = "ground"
    what: Land
    how: Literal["blur", "mean"] = "blur"
    frames: Numbers | None = None

    @property
    def in_words(self) -> str:
        return f"{self.what} {_COVER_WORDS[self.how]}{when(self.frames)}"

    def apply(self, shown: Shown) -> Shown:
        mask = shown.clip.person_mask
        if mask is None:
            raise ValueError(f"This clip has no person mask, so its {self.what} is not known; choose one that has.")
        gone = (mask if self.what == "person" else ~mask) & shown.chosen(self.frames)[:, None, None]
        return replace(shown, clip=edits.cover(shown.clip, gone, self.how))


@dataclass(frozen=True)
class Background(Removal):
    """The background of another clip, by the name under which `predict_with` is given it. Needs a person mask."""

    kind: ClassVar[str] = "background"
    clip: str

    @property
    def in_words(self) -> str:
        return f"before the background of {self.clip}"

    def apply(self, shown: Shown) -> Shown:
        if self.clip not in shown.others:
            known = ", ".join(shown.others) or "none"
            raise ValueError(f"There is no other clip {self.clip!r} to take a background from; there is {known}.")
        return replace(shown, clip=edits.paste_background(shown.clip, shown.others[self.clip]))


@dataclass(frozen=True)
class Modality(Removal):
    """All pictures (every pixel the mean colour of the clip; the joints stay) or all joints (none detected)."""

    kind: ClassVar[str] = "modality"
    modality: Literal["rgb", "pose"]

    @property
    def in_words(self) -> str:
        return "no pictures" if self.modality == "rgb" else "no joints"

    def apply(self, shown: Shown) -> Shown:
        clip = shown.clip
        if self.modality == "pose":
            return replace(shown, clip=edits.take_joints(clip, np.ones(clip.score.shape, bool), "unseen"))
        return replace(shown, clip=edits.cover(clip, np.ones(clip.frames.shape[:3], bool), "mean"))


@dataclass(frozen=True)
class Tokens(Removal):
    """Modal tokens (cls, rgb, pose; shared; without modal tokens the slots of the head: patches, joints).

    `everywhere`: zero where the token enters each layer and where the head pools it, so it carries nothing from layer
    to layer and the head reads nothing of it; the other tokens are normalised without it. `head`: zero for the head
    only, after its normalisation; the logits fall by exactly its part of the ledger. Patches and joints are zero at the
    head in either case. `frames` are the frames that the token stands for.
    """

    kind: ClassVar[str] = "tokens"
    tokens: tuple[str, ...]
    frames: Numbers | None = None
    where: Literal["everywhere", "head"] = "everywhere"

    @property
    def in_words(self) -> str:
        return f"{listed(self.tokens)} token at zero{' at the head' * (self.where == 'head')}{when(self.frames)}"

    def apply(self, shown: Shown) -> Shown:
        gone = np.zeros((len(shown.index), len(shown.slots)), bool)
        for name in self.tokens:
            gone[:, _place(name, shown.slots, "token")] = shown.chosen(self.frames)
        if self.where == "everywhere":
            before = shown.exchange.tokens
            return replace(shown, exchange=replace(shown.exchange, tokens=gone if before is None else before | gone))
        before = shown.exchange.head
        return replace(shown, exchange=replace(shown.exchange, head=gone if before is None else before | gone))


@dataclass(frozen=True)
class Offsets(Removal):
    """The offsets of the 3D token search in these layers (all by default): points lie on their reference grid."""

    kind: ClassVar[str] = "offsets"
    layers: Numbers | None = None

    @property
    def in_words(self) -> str:
        return "no offsets" if self.layers is None else f"no offsets in layer {listed(map(str, self.layers))}"

    def apply(self, shown: Shown) -> Shown:
        if getattr(shown.config, "deformable", "off") != "deformable":
            raise ValueError("This network has no 3D token search, so there are no offsets to take away.")
        layers = range(shown.config.layers) if self.layers is None else self.layers
        if beyond := [layer for layer in layers if layer >= shown.config.layers]:
            raise ValueError(f"The network has no layer {beyond[0]}; its layers are 0 to {shown.config.layers - 1}.")
        return replace(shown, exchange=replace(shown.exchange, offsets=shown.exchange.offsets | set(layers)))


@dataclass(frozen=True)
class TimeOrder(Removal):
    """The frames that the network reads, pictures and joints together, backwards or in an order drawn from `seed`."""

    kind: ClassVar[str] = "order"
    order: Literal["reverse", "shuffle"]
    seed: int = 0

    @property
    def in_words(self) -> str:
        return "backwards" if self.order == "reverse" else f"shuffled in time (seed {self.seed})"

    def apply(self, shown: Shown) -> Shown:
        length = len(shown.index)
        order = (
            np.arange(length)[::-1] if self.order == "reverse" else np.random.default_rng(self.seed).permutation(length)
        )
        return _reordered(shown, order, shown.clip.time)


@dataclass(frozen=True)
class Thin(Removal):
    """The network reads `count` frames of the whole clip, evenly spaced, in place of as many as it was trained on.

    Which frames are read is settled before anything is done to them, wherever in the list this stands; of several the
    last one counts. A clip that has fewer is read whole.
    """

    kind: ClassVar[str] = "thin"
    count: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.count <= MOST_FRAMES:
            raise ValueError(
                f"The network can be shown 1 to {MOST_FRAMES} frames of a clip; {self.count} were asked for."
            )

    @property
    def in_words(self) -> str:
        return f"{self.count} frame{'s' * (self.count > 1)} read"

    def apply(self, shown: Shown) -> Shown:
        return shown  # `shown_with` has chosen the frames


KINDS: dict[str, type[Removal]] = {
    kind.kind: kind
    for kind in (
        Joints, Limbs, People, Frames, Region, Ground, Background, Modality, Tokens, Offsets, TimeOrder, Thin,
    )
}  # fmt: skip


def shown_with(rerun: Rerun, removals: Sequence[Removal], others: Mapping[str, Clip] | None = None) -> Shown:
    """What `removals` leave of a clip. Raises ValueError in one sentence for what clip or network do not have."""
    network = rerun.recognizer.network
    for thin in [removal for removal in removals if isinstance(removal, Thin)][-1:]:
        rerun = rerun.reading(thin.count)
    shown = Shown(rerun.seen, rerun.index, network.config, network.slots, others=others or {})
    for removal in removals:
        shown = removal.apply(shown)
    return shown


def predict_with(
    recognizer: Recognizer | Rerun,
    clip: Clip | Question | None,
    removals: Sequence[Removal],
    *,
    others: Mapping[str, Clip] | None = None,
) -> Prediction:
    """What the network says without what `removals` take away; without any, what it says, bit for bit.

    Args:
        recognizer: or a `Rerun` of the clip (then `clip` is None), which keeps F_a and F_b from one call to the next.
        others: clips whose backgrounds are pasted, by name.

    A `Trace` open around the call sees the changed pass. Neither clip nor network is written to.
    """
    if isinstance(recognizer, Rerun):
        rerun = recognizer
    elif isinstance(clip, Question):
        rerun = Rerun.of_question(clip)
    elif clip is not None:
        rerun = Rerun.of(recognizer, clip)
    else:
        raise ValueError("There is no clip to take anything from; give one, or a Rerun of one.")
    shown = shown_with(rerun, removals, others)
    return rerun.predict(shown.clip, shown.index, shown.exchange)


# ---- JSON -----------------------------------------------------------------------------------------------------------


def to_json(removals: Sequence[Removal]) -> str:
    """One line of JSON: a list of objects with a `kind` and the fields that are not at their defaults."""
    described = []
    for removal in removals:
        values = asdict(removal)
        kept = {f.name: values[f.name] for f in fields(removal) if values[f.name] != f.default}
        described.append({"kind": removal.kind, **kept})
    return json.dumps(described, separators=(",", ":"))


def from_json(text: str) -> tuple[Removal, ...]:
    """What `to_json` wrote. Raises ValueError in one sentence for anything else, from whoever it may come."""
    if not isinstance(text, str) or len(text) > LARGEST_TEXT:
        raise ValueError(f"Removals are JSON text of at most {LARGEST_TEXT} characters; this is not.")
    try:
        described = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("This text is no JSON, so no removals can be read from it.") from error
    if not isinstance(described, list) or len(described) > MOST_REMOVALS:
        raise ValueError(f"Removals are a JSON list of at most {MOST_REMOVALS} objects; this is none.")
    return tuple(_removal(each) for each in described)


def _removal(described: Any) -> Removal:
    if not isinstance(described, dict) or not isinstance(described.get("kind"), str):
        raise ValueError("Every removal is a JSON object with a 'kind', and one of these is not.")
    if (kind := KINDS.get(described["kind"])) is None:
        raise ValueError(f"There is no removal {described['kind'][:40]!r}; there are {', '.join(KINDS)}.")
    known = {f.name: f.default is MISSING for f in fields(kind)}
    values = {name: value for name, value in described.items() if name != "kind"}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"Removal {kind.kind!r} has no field {unknown[0][:40]!r}; it has {', '.join(known)}.")
    if missing := [name for name, needed in known.items() if needed and name not in values]:
        raise ValueError(f"Removal {kind.kind!r} needs {missing[0]!r}, and it is not there.")
    return kind(**values)


# ---- Shared by the kinds --------------------------------------------------------------------------------------------


def _place(name: str, known: Sequence[str], what: str) -> int:
    if name not in known:
        raise ValueError(f"There is no {what} {name!r} here; there are {', '.join(known)}.")
    return known.index(name)


def _without_joints(
    shown: Shown, joints: list[int], people: Numbers | None, frames: Numbers | None, how: JointHow
) -> Shown:
    count = shown.clip.people
    if people is not None and max(people) >= count:
        raise ValueError(f"There is no person number {max(people)} in this clip; {count} are numbered from 0.")
    gone = np.zeros(shown.clip.score.shape, bool)
    for person in range(count) if people is None else people:
        gone[:, person, joints] = shown.chosen(frames)[:, None]
    return replace(shown, clip=edits.take_joints(shown.clip, gone, how))


def _reordered(shown: Shown, order: np.ndarray, time: np.ndarray) -> Shown:
    def follow(mask: np.ndarray | None) -> np.ndarray | None:
        return None if mask is None else mask[order]

    exchange = replace(shown.exchange, tokens=follow(shown.exchange.tokens), head=follow(shown.exchange.head))
    clip = replace(shown.clip.take(order), time=time)
    return replace(shown, clip=clip, index=shown.index[order], exchange=exchange)


_JOINT_WORDS = {"unseen": "not detected", "first": "held where first seen", "mean": "held at its mean place"}
_COVER_WORDS = {"blur": "blurred", "inpaint": "painted over", "mean": "in the mean colour"}
