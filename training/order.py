"""What trained networks say of pairs of classes that only the order of the frames tells apart.

A clip of "stand up" is one of "sit down" run backwards: both have the same frames, of which a network reads some. One
that reads each frame alone can find the pair, and has next to nothing to tell the two apart by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.gym.labels import LABELS, PAIRS
from training.interval import wilson


@dataclass(frozen=True)
class Told:
    """Of the clips of some pairs that were given one of the two labels of their pair, how many got the right one;
    summed over several runs on the same clips."""

    right: int
    answered: int
    runs: int = 1

    def __add__(self, other: Told) -> Told:
        return Told(self.right + other.right, self.answered + other.answered, self.runs + other.runs)

    def __str__(self) -> str:
        """The share and its 95 % interval. Runs with other seeds are not other clips, and make it no narrower."""
        if not self.answered:
            return "none"
        low, high = wilson(self.right / self.runs, self.answered / self.runs)
        share = f"{100 * self.right / self.answered:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        return f"{share} of {self.answered}" + f" in {self.runs} runs" * (self.runs > 1)


def told_apart(labels: Sequence[str], target: Sequence[int], said: Sequence[int]) -> Mapping[str, Told]:
    """For each pair of the gym that only time tells apart: name -> `Told`. Empty for the classes of other data."""
    if not set(labels) <= set(LABELS):
        return {}
    found = {}
    for pair in PAIRS.values():
        if pair.kind != "time" or not set(pair.labels) <= set(labels):
            continue
        both = {labels.index(label) for label in pair.labels}
        given = [(t, s) for t, s in zip(target, said, strict=True) if t in both and s in both]
        found[" / ".join(pair.labels)] = Told(sum(t == s for t, s in given), len(given))
    return found
