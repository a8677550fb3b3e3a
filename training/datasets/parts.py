"""Which clips are for training, validation and test, where a data set names only training and test.

Clips of one source (a performer, a YouTube video) look alike, so a source is held out with all of its clips. The
test part of a data set is never looked at for a choice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

COMPARED_ON: Mapping[str, Literal["validation clips", "test clips"]] = {"val": "validation clips", "test": "test clips"}
"""The parts that no network learns from, in words."""
HELD_OUT = 8
"""Every eighth source of the training part is validation."""


def held_out(sources: Iterable[str]) -> frozenset[str]:
    """Every eighth source in order of name; at least one if there are two."""
    ordered = sorted(set(sources))
    chosen = ordered[HELD_OUT - 1 :: HELD_OUT]
    return frozenset(chosen or (ordered[-1:] if len(ordered) > 1 else ()))


def with_validation(train: Sequence[int], test: Sequence[int], sources: Mapping[int, str]) -> dict[str, list[int]]:
    """`train`, `val` and `test` indices: the sources of `held_out` leave the training part."""
    out = held_out(sources[index] for index in train)
    return {
        "train": [index for index in train if sources[index] not in out],
        "val": [index for index in train if sources[index] in out],
        "test": list(test),
    }


def by_hash(names: Sequence[str], classes: Sequence[int]) -> dict[str, list[int]]:
    """A split of a data set that has none: of each class a tenth is test and a tenth validation, at least one each.

    The hash of a clip's name ranks it within its class, so the split is the same on every machine. When a class grows,
    a clip on the border may change its part; make folders train, val and test where that must not happen.
    """
    parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    members: dict[int, list[int]] = {}
    for index, number in enumerate(classes):
        members.setdefault(number, []).append(index)
    for indices in members.values():
        ranked = sorted(indices, key=lambda i: hashlib.sha256(names[i].encode("utf-8", "replace")).digest())
        tenth = max(1, round(len(ranked) / 10)) if len(ranked) > 2 else 0
        parts["test"] += ranked[:tenth]
        parts["val"] += ranked[tenth : 2 * tenth]
        parts["train"] += ranked[2 * tenth :]
    return {part: sorted(indices) for part, indices in parts.items()}


def mirrored_label(label: str, labels: Sequence[str]) -> str | None:
    """The label of a mirrored clip where names say sides: "left hook" becomes "right hook" if that is a label.

    A label without a side stays; None where the other side is no label.
    """
    words = label.replace("_", " ").replace("-", " ").lower().split()
    if ("left" in words) == ("right" in words):
        return label if "left" not in words else None
    one, other = ("left", "right") if "left" in words else ("right", "left")
    by_name = {name.lower(): name for name in labels}
    return by_name.get(label.lower().replace(one, other))
