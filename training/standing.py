"""A person standing, arms a little away from the body: where joints are put before somebody drags them to their places.

Places are parts of a box around the body, (0, 0) its upper left corner and (1, 1) its lower right. The person faces the
camera, so what is on the person's left is on the right of the picture. Penn Action names sides by the viewer
(training/datasets/penn_action.py), so its skeleton stands the other way round.
"""

from __future__ import annotations

import numpy as np

from training.skeleton import PENN, SkeletonLayout

_MIDDLE = {
    "head": (0.5, 0.07), "face": (0.5, 0.08), "nose": (0.5, 0.09), "neck": (0.5, 0.17), "spine shoulder": (0.5, 0.2),
    "spine mid": (0.5, 0.36), "belly": (0.5, 0.41), "spine base": (0.5, 0.51),
}  # fmt: skip
_LEFT = {
    "eye": (0.55, 0.07), "ear": (0.6, 0.08), "shoulder": (0.7, 0.21), "elbow": (0.84, 0.36), "wrist": (0.91, 0.5),
    "hand": (0.93, 0.54), "thumb": (0.87, 0.55), "hand tip": (0.95, 0.58), "hip": (0.62, 0.52), "knee": (0.64, 0.74),
    "ankle": (0.65, 0.95), "foot": (0.72, 0.98),
}  # fmt: skip


def standing(layout: SkeletonLayout) -> np.ndarray:
    """[J, 2] in parts of a box."""
    places = []
    for joint in layout.joints:
        side, _, part = joint.partition(" ")
        if side in ("left", "right"):
            x, y = _LEFT[part]
            places.append((x if (side == "left") != (layout is PENN) else 1 - x, y))
        else:
            places.append(_MIDDLE[joint])
    return np.array(places)
