"""The sentence above the player: which class, and which joint or limb the query read most, in which frames.

It reports what was read and never says why. A joint or limb is named when it stands out from the others. Amounts are
first divided by their base rate (uniform attention: windows hold different numbers of seen joints), then compared:

    times uniform = mass / base rate of the same joints      times the others = times uniform / median of other joints

The second decides, so that a limb that clearly stands out is named even where joints as a whole were read little; the
sentence then says that too. Both numbers are in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STANDS_OUT = 1.5
"""A joint or a limb is named from this many times the other joints on."""
CARRIES = 1.25
"""A limb is named only when at least two of its joints reach this many times the joints outside of it."""
ALONE = 2.0
"""A joint is named instead of its limb when it has this many times the next joint of that limb."""
LITTLE = 0.7
"""Joints are said to be read little when even those that stand out are below this many times uniform attention."""
PEAKS = 1.15
"""Frames are named when the highest has this many times the mean frame."""

Pieces = list[tuple[str, bool]]
"""Text, and whether it is set in bold."""
WHOLE_POSE = (
    "Every joint token of this network also holds the motion of the whole person, so what is read at a joint need not "
    "be about that joint: joint removal tells which joints matter."
)
"""Of networks with `pose_track`."""
SEEN = {
    "motion": "Its backbone sees how every frame changes into the next one, not its colours.",
    "gradients": "Its backbone sees edges and how they move, by filters that were not learnt, not colours.",
}
"""Of networks with `backbone_reads` like that."""
NAMES = {"own": "patches, joints", "cls": "CLS", "rgb": "RGB", "patch": "patches", "joint": "joints", "point": "points"}
SINGULAR = {"patch": "mean patch", "joint": "mean joint"}


def token_name(token: str) -> str:
    return NAMES.get(token, token)


@dataclass(frozen=True)
class Standing:
    """The joints that were read hardest, by one name."""

    name: str
    joints: tuple[tuple[int, int], ...]
    """(person, joint)."""
    times_others: float
    times_uniform: float

    @property
    def out(self) -> bool:
        return self.times_others >= STANDS_OUT


def hardest(
    mass: np.ndarray, uniform: np.ndarray, names: Sequence[str], limbs: Sequence[str], limb_of: Sequence[int]
) -> Standing | None:
    """The joint or limb that was read hardest for its base rate; None when nothing could be read.

    Args:
        mass, uniform: [T, M, J] attention mass and its base rate, 0 where a joint could not be read.
    """
    read, base = mass.sum(0), uniform.sum(0)
    seen = base > 0
    ratio = np.divide(read, base, out=np.zeros_like(read, dtype=np.float64), where=seen)
    if seen.sum() < 2 or not ratio.any():
        return None
    several = seen.any(1).sum() > 1
    person, joint = (int(i) for i in np.unravel_index(ratio.argmax(), ratio.shape))
    whose = f" of person {person + 1}" if several else ""

    def against(chosen: np.ndarray) -> tuple[float, float, float]:
        """Times the others, times uniform, and the median of the others."""
        others = float(np.median(ratio[seen & ~chosen])) if (seen & ~chosen).any() else 0.0
        own = float(read[chosen].sum() / base[chosen].sum())
        return own / others if others else np.inf, own, others

    one = np.zeros_like(seen)
    one[person, joint] = True
    alone = Standing(f"{names[joint]}{whose}", ((person, joint),), *against(one)[:2])
    limb = np.zeros_like(seen)
    limb[person] = seen[person] & (np.array(limb_of) == limb_of[joint])
    times, own, others = against(limb)
    parts = np.sort(ratio[limb])[::-1]
    carried = len(parts) > 1 and parts[1] >= CARRIES * others and parts[0] < ALONE * parts[1]
    if not carried or times < STANDS_OUT:
        return alone
    members = tuple((person, int(j)) for j in np.flatnonzero(limb[person]))
    return Standing(f"{limbs[limb_of[joint]]}{whose}", members, times, own)


def peak(values: np.ndarray) -> str | None:
    """'frames 5–8': the run around the highest that stays above half of it; None when the values are about flat."""
    top = int(values.argmax())
    if not values[top] > PEAKS * values.mean():
        return None
    first = last = top
    while first > 0 and values[first - 1] >= values[top] / 2:
        first -= 1
    while last < len(values) - 1 and values[last + 1] >= values[top] / 2:
        last += 1
    if last - first + 1 >= 0.8 * len(values):
        return None
    return f"frame\u00a0{first + 1}" if first == last else f"frames\u00a0{first + 1}\u2060–\u2060{last + 1}"


def times(value: float) -> str:
    """Two digits that tell: 0.067, 1.0, 12."""
    return "many" if not np.isfinite(value) else f"{value:.0f}" if value >= 10 else f"{value:#.2g}"


def probability(value: float) -> str:
    return "> 0.99" if value > 0.995 else "< 0.01" if value < 0.005 else f"{value:.2f}"


def reader(query: str) -> str:
    return SINGULAR.get(query, f"{token_name(query)} token")


def said(label: str, value: float, truth: str) -> Pieces:
    """What the model says, and what the clip is labelled where that differs."""
    pieces: Pieces = [("The model says ", False), (label, True), (f" ({probability(value)}). ", False)]
    if truth and truth != label:
        pieces += [("The clip is labelled ", False), (truth, True), (". ", False)]
    return pieces


def over_time(found: Standing, mass: np.ndarray) -> np.ndarray:
    """[T] mass of the joints that were found, from [T, M, J]."""
    return np.sum([mass[:, person, joint] for person, joint in found.joints], axis=0)


def read_joints(query: str, found: Standing, mass: np.ndarray) -> Pieces:
    """Which joints a query read hardest, from `mass` [T, M, J]."""
    others, share = times(found.times_others), times(found.times_uniform)
    if not found.out:
        text = f"Its {reader(query)} read all joints about alike; the most is the {found.name} "
        return [(f"{text}({others} × the others, {share} × uniform attention).", False)]
    when = peak(over_time(found, mass))
    pieces = [
        (f"Of the joints, its {reader(query)} read the ", False),
        (found.name, True),
        (f" most, {others} × the others, ", False),
        (f"above all in {when}. " if when else "over the whole clip. ", False),
    ]
    little = ": joints are little of what it reads" if found.times_uniform < LITTLE else ""
    return [*pieces, (f"In all {share} × uniform{little}.", False)]


def read_points(query: str, frames: np.ndarray) -> Pieces:
    """In which frames the points lie that a query read most; `frames` [T] is the mass of the points of each."""
    when = peak(frames)
    return [(f"Its {reader(query)} read {f'most from points in {when}' if when else 'points of all frames'}.", False)]


def point_frames(mass: np.ndarray, t: np.ndarray, frames: int) -> np.ndarray:
    """[T] mass of points [P] at fractional frames `t` [P], each shared between its two neighbouring frames."""
    weight = np.clip(1 - np.abs(t[None] - np.arange(frames)[:, None]), 0, None)
    return weight @ mass
