"""Skeleton layouts: what each joint index means, which bones join them, what is left and what is right.

A layout is data. Everything that must know about joints (the flip of an augmentation, the windows of joint
stride attention, the hue of a limb on screen) asks it, so that a new data set is one new `SkeletonLayout`.
Joints are numbered as in the data set's own files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

Limbs = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class SkeletonLayout:
    """The joints of one data set.

    `limbs` lists every joint exactly once, grouped by body part and ordered along it. Joint stride attention
    groups neighbouring indices of its sequence (Algorithm A1), so the sequence follows the body: a window is
    then a body part, not an accident of the file format.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    swaps: tuple[tuple[int, int], ...]
    """(left, right) pairs that change places when a frame is mirrored."""
    limbs: Limbs

    def __post_init__(self) -> None:
        if sorted(self.window_order) != list(range(len(self.joints))):
            raise ValueError(f"Layout {self.name!r}: its limbs must list each of its {len(self.joints)} joints once.")

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def window_order(self) -> tuple[int, ...]:
        """Joint indices in anatomical order: the order in which the model reads them."""
        return tuple(joint for _, joints in self.limbs for joint in joints)

    @cached_property
    def mirrored(self) -> tuple[int, ...]:
        """`mirrored[j]` is the joint that stands where `j` stood after a horizontal flip."""
        order = list(range(len(self.joints)))
        for left, right in self.swaps:
            order[left], order[right] = right, left
        return tuple(order)

    @cached_property
    def limb_of(self) -> tuple[int, ...]:
        """`limb_of[j]` is the index in `limbs` of the body part that joint `j` belongs to."""
        limb = [0] * len(self.joints)
        for index, (_, joints) in enumerate(self.limbs):
            for joint in joints:
                limb[joint] = index
        return tuple(limb)


JHMDB = SkeletonLayout(
    name="jhmdb15",
    joints=(
        "neck", "belly", "face", "right shoulder", "left shoulder", "right hip", "left hip", "right elbow",
        "left elbow", "right knee", "left knee", "right wrist", "left wrist", "right ankle", "left ankle",
    ),
    bones=(
        (0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6), (3, 7), (4, 8), (5, 9), (6, 10), (7, 11), (8, 12),
        (9, 13), (10, 14),
    ),
    swaps=((4, 3), (6, 5), (8, 7), (10, 9), (12, 11), (14, 13)),
    limbs=(
        ("head and torso", (2, 0, 1)), ("left arm", (4, 8, 12)), ("right arm", (3, 7, 11)),
        ("left leg", (6, 10, 14)), ("right leg", (5, 9, 13)),
    ),
)  # fmt: skip

PENN = SkeletonLayout(
    name="penn13",
    joints=(
        "head", "left shoulder", "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist",
        "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
    ),
    bones=(
        (0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (1, 7), (2, 8), (7, 8), (7, 9), (8, 10), (9, 11),
        (10, 12),
    ),
    swaps=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12)),
    limbs=(
        ("head and torso", (0,)), ("left arm", (1, 3, 5)), ("right arm", (2, 4, 6)), ("left leg", (7, 9, 11)),
        ("right leg", (8, 10, 12)),
    ),
)  # fmt: skip

COCO = SkeletonLayout(
    name="coco17",
    joints=(
        "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
        "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
        "right ankle",
    ),
    bones=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 5), (12, 6), (9, 7), (7, 5), (10, 8), (8, 6), (5, 0), (6, 0),
        (1, 0), (3, 1), (2, 0), (4, 2),
    ),
    swaps=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    limbs=(
        ("head and torso", (0, 1, 2, 3, 4)), ("left arm", (5, 7, 9)), ("right arm", (6, 8, 10)),
        ("left leg", (11, 13, 15)), ("right leg", (12, 14, 16)),
    ),
)  # fmt: skip

KINECT = SkeletonLayout(
    name="kinect25",
    joints=(
        "spine base", "spine mid", "neck", "head", "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand", "left hip", "left knee", "left ankle",
        "left foot", "right hip", "right knee", "right ankle", "right foot", "spine shoulder", "left hand tip",
        "left thumb", "right hand tip", "right thumb",
    ),
    bones=(
        (0, 1), (1, 20), (2, 20), (3, 2), (4, 20), (5, 4), (6, 5), (7, 6), (8, 20), (9, 8), (10, 9), (11, 10),
        (12, 0), (13, 12), (14, 13), (15, 14), (16, 0), (17, 16), (18, 17), (19, 18), (21, 7), (22, 7), (23, 11),
        (24, 11),
    ),
    swaps=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19), (21, 23), (22, 24)),
    limbs=(
        ("head and torso", (3, 2, 20, 1, 0)), ("left arm", (4, 5, 6, 7, 21, 22)),
        ("right arm", (8, 9, 10, 11, 23, 24)), ("left leg", (12, 13, 14, 15)), ("right leg", (16, 17, 18, 19)),
    ),
)  # fmt: skip

LAYOUTS = {layout.name: layout for layout in (JHMDB, PENN, COCO, KINECT)}


def layout_named(name: str) -> SkeletonLayout:
    """The layout called `name`; a `ValueError` that lists the known ones otherwise."""
    if name not in LAYOUTS:
        raise ValueError(f"Unknown skeleton layout {name!r}; known are {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]
