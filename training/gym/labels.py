"""The actions of the gym, in minimal pairs: the two labels of a pair share everything but the cause.

| pair       | what differs, and nothing else                                               | cause           |
|------------|------------------------------------------------------------------------------|-----------------|
| wave       | which arm waves                                                              | pose            |
| kick       | which leg kicks                                                              | pose            |
| bow        | whether the trunk and head go forward or back                                | pose            |
| sit        | the order of the same frames                                                 | time            |
| pick       | the order of the same frames; the object moves with the hand in both         | time            |
| raise      | the object in the hand; the joints are identical                             | appearance      |
| step       | the direction of the step relative to the side the sign is on                | pose+appearance |
| clap       | whether one clap comes in the first or the last third (same frames, reversed)| time            |
| hand over  | who gives, the person with the cap or the other (same frames, reversed)      | time+people     |

"Left" and "right" are the person's own. Cause "time" means that the set of frames is the same on both sides, so that
only their order is left to decide; "time+people" that one must also know which person wears the cap.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.clip import CauseKind


@dataclass(frozen=True)
class Pair:
    """Two labels that share everything but their cause."""

    name: str
    labels: tuple[str, str]
    kind: CauseKind

    @property
    def reversed_in_time(self) -> bool:
        """Whether the second label shows the first one's frames in reverse order."""
        return self.kind in ("time", "time+people")


PAIRS: dict[str, Pair] = {
    pair.name: pair
    for pair in (
        Pair("wave", ("wave left hand", "wave right hand"), "pose"),
        Pair("kick", ("kick left", "kick right"), "pose"),
        Pair("bow", ("bow", "look up"), "pose"),
        Pair("sit", ("sit down", "stand up"), "time"),
        Pair("pick", ("pick up", "put down"), "time"),
        Pair("raise", ("raise cup", "raise phone"), "appearance"),
        Pair("step", ("step toward sign", "step away from sign"), "pose+appearance"),
        Pair("clap", ("clap early", "clap late"), "time"),
        Pair("hand over", ("hand over", "receive"), "time+people"),
    )
}

LABELS: tuple[str, ...] = tuple(label for pair in PAIRS.values() for label in pair.labels)

_FLIPPED = {
    label: other
    for name in ("wave", "kick")
    for label, other in zip(PAIRS[name].labels, reversed(PAIRS[name].labels), strict=True)
}


def pair_of(label: str) -> Pair:
    """The minimal pair that `label` belongs to."""
    for pair in PAIRS.values():
        if label in pair.labels:
            return pair
    raise ValueError(f"Unknown gym label {label!r}; known are {', '.join(LABELS)}.")


def flip_label(label: str) -> str:
    """The label of the clip mirrored left to right.

    A mirrored left hand is a right hand, so waves and kicks change sides. All others stay: a mirror moves the sign
    and the step together (toward stays toward), and the cap stays on the one who gives.
    """
    pair_of(label)  # an unknown label is an error, never its own mirror image
    return _FLIPPED.get(label, label)
