"""What decides the label of a clip: frames, joints and pixels, read off the performance and the painted parts.

A joint decides while it is elsewhere than it would be if nobody acted; a pixel decides while it shows a part that a
deciding joint moves, or the thing or the sign or the cap that decides. On time pairs, what moves during the action
decides, through its order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.clip import Cause
from training.gym.figure import (
    CAP,
    FOREARM,
    HEAD,
    PARTS,
    SHIN,
    SIGN,
    THIGH,
    THING,
    TORSO,
    UPPER_ARM,
)
from training.gym.kinematics import LEFT, RIGHT
from training.gym.labels import pair_of
from training.gym.lens import Lens, stage_of
from training.gym.motion import Performance, perform
from training.gym.scene import Scene
from training.skeleton import JHMDB

PEOPLE = 2
"""People slots of every clip."""
_JOINT = {name: index for index, name in enumerate(JHMDB.joints)}
_PARTS_OF = {
    "neck": (HEAD,),
    "face": (HEAD,),
    "belly": (TORSO,),
    "left shoulder": (TORSO,),
    "right shoulder": (TORSO,),
    "left hip": (TORSO,),
    "right hip": (TORSO,),
    "left elbow": (UPPER_ARM[LEFT], FOREARM[LEFT]),
    "right elbow": (UPPER_ARM[RIGHT], FOREARM[RIGHT]),
    "left wrist": (FOREARM[LEFT],),
    "right wrist": (FOREARM[RIGHT],),
    "left knee": (THIGH[LEFT], SHIN[LEFT]),
    "right knee": (THIGH[RIGHT], SHIN[RIGHT]),
    "left ankle": (SHIN[LEFT],),
    "right ankle": (SHIN[RIGHT],),
}
# Joints that the action steers itself; what is merely carried along (the arms of one who bows) is not listed.
_STEERED = {
    "wave left hand": ("left elbow", "left wrist"),
    "wave right hand": ("right elbow", "right wrist"),
    "kick left": ("left knee", "left ankle"),
    "kick right": ("right knee", "right ankle"),
    "bow": ("neck", "face", "belly", "left shoulder", "right shoulder"),
    "look up": ("neck", "face", "belly", "left shoulder", "right shoulder"),
}
MOVED = 0.025
"""A joint counts as moved when it is this far, in body heights, from where it would be if nobody acted."""


@dataclass(frozen=True)
class Exposure:
    """A filmed performance before it becomes a clip."""

    performance: Performance
    frames: np.ndarray
    part: np.ndarray
    joints: np.ndarray
    """[T, 2, 15, 2] true places in pixels."""
    thing: np.ndarray
    """[T, H, W] bool: pixels touched by the thing in the hand or by the sign."""
    hidden: np.ndarray
    """[T, H, W] bool: pixels covered by an occluder."""


def _places(scene: Scene, performance: Performance) -> np.ndarray:
    """[T, 2, 15, 2]: where the joints are for a camera at rest, each person's in their body heights."""
    n = len(performance.offsets)
    lens = Lens(1, np.tile(np.eye(2), (n, 1, 1)), np.zeros((n, 2)))
    places = np.zeros((n, PEOPLE, len(JHMDB), 2))
    for index, figure in enumerate(performance.figures):
        places[:, index] = stage_of(scene, performance, lens, index).pixels(figure.joints()) / scene.people[index].scale
    return places


def _displaced(scene: Scene, label: str, performance: Performance) -> np.ndarray:
    """[T, 2, 15] bool: joints that are elsewhere than if nobody acted; on time pairs, those that move in the action."""
    places, pair = _places(scene, performance), pair_of(label)
    time = np.linspace(0.0, 1.0, len(places))
    if pair.reversed_in_time:
        window = (time >= scene.script.start) & (time <= scene.script.stop)
        moves = np.linalg.norm(places - places[:1], axis=-1).max(axis=0) > 2 * MOVED
        moved: np.ndarray = window[:, None, None] & moves[None]
    else:
        moved = np.linalg.norm(places - _places(scene, perform(scene, label, time, acting=False)), axis=-1) > MOVED
    if pair.kind != "time+people":
        moved[:, 1] = False
    return moved


def cause_of(scene: Scene, label: str, exposure: Exposure) -> Cause:
    """The smallest set of frames, joints and pixels that decides the label, in the order the scene was filmed."""
    kind, n = pair_of(label).kind, len(exposure.frames)
    thing = exposure.thing & ~exposure.hidden
    if kind == "appearance":
        seen = thing & (exposure.part == THING)
        return Cause(kind, seen.any(axis=(1, 2)), np.zeros((n, PEOPLE, len(JHMDB)), bool), seen)
    joints = _displaced(scene, label, exposure.performance)
    if label in _STEERED:
        steered = np.zeros(len(JHMDB), bool)
        steered[[_JOINT[name] for name in _STEERED[label]]] = True
        joints &= steered
    frames = np.asarray(joints.any(axis=(1, 2)))
    decides = np.zeros((n, 256), bool)  # by frame and part
    for person, joint in zip(*np.nonzero(joints.any(axis=0)), strict=True):
        for part in _PARTS_OF[JHMDB.joints[joint]]:
            decides[:, person * PARTS + part] |= joints[:, person, joint]
    pixels = np.stack([np.take(decides[t], exposure.part[t]) for t in range(n)])
    if kind == "time":
        pixels |= frames[:, None, None] & thing & (exposure.part == THING)
    elif kind == "time+people":
        pixels |= frames[:, None, None] & ((thing & (exposure.part == THING)) | (exposure.part == CAP))
    elif kind == "pose+appearance":
        pixels |= frames[:, None, None] & thing & (exposure.part == SIGN)
    return Cause(kind, frames, joints, pixels)
