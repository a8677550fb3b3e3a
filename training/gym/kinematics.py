"""A body in three dimensions: trunk and head from angles, arms and legs from two-bone inverse kinematics.

Lengths are in body heights. The person's own frame is x to their left, y up, z forward; every array has a leading
axis of frames [T]. `view_matrix` turns it towards the camera: x to the right of the image, y up, z towards the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.gym.palette import Build

LEFT, RIGHT = 0, 1
SIDES = (LEFT, RIGHT)

HIP_HEIGHT = 0.505
ANKLE_HEIGHT = 0.05
CAMERA_PITCH = 0.21
"""Radians by which the camera looks down: the ground becomes a plane and a foot that points at us is seen."""


def ease(x: np.ndarray) -> np.ndarray:
    """Minimum-jerk ease-in and ease-out from 0 to 1."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (x * (6.0 * x - 15.0) + 10.0)


def envelope(time: np.ndarray, start: float, stop: float, ramp: float) -> np.ndarray:
    """0 outside (start, stop), 1 inside, with eased flanks of duration `ramp`; symmetric about its middle."""
    return ease((time - start) / ramp) * ease((stop - time) / ramp)


def mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """a [T, 3] at weight 0, b [T, 3] at weight 1."""
    return a + (b - a) * weight[:, None]


def vector(x: np.ndarray | float, y: np.ndarray | float, z: np.ndarray | float, length: int) -> np.ndarray:
    """[T, 3] from coordinates that are numbers or [T] arrays."""
    out = np.empty((length, 3))
    out[:, 0], out[:, 1], out[:, 2] = x, y, z
    return out


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def rotation(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """[T, 3, 3]: roll about z, then pitch about x (positive bows forward), then yaw about y (positive turns to +x)."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turned = np.empty((*cy.shape, 3, 3))  # the product of the three, written out: it is asked for often
    turned[..., 0, 0], turned[..., 0, 1], turned[..., 0, 2] = cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, sy * cp
    turned[..., 1, 0], turned[..., 1, 1], turned[..., 1, 2] = cp * sr, cp * cr, -sp
    turned[..., 2, 0], turned[..., 2, 1], turned[..., 2, 2] = cy * sp * sr - sy * cr, sy * sr + cy * sp * cr, cy * cp
    return turned


def reach(root: np.ndarray, target: np.ndarray, upper: float, lower: float, pole: np.ndarray) -> tuple[np.ndarray, ...]:
    """Two-bone inverse kinematics: (middle joint, end) with the middle joint bent towards `pole`, all [T, 3].

    A target out of reach is approached along the straight line; the bones never stretch.
    """
    line = target - root
    direction = unit(line)
    distance = np.clip(np.linalg.norm(line, axis=1), abs(upper - lower) + 0.02, 0.995 * (upper + lower))
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    bend = unit(pole - (pole * direction).sum(1, keepdims=True) * direction)
    middle = root + direction * along[:, None] + bend * aside[:, None]
    return middle, root + direction * distance[:, None]


@dataclass(frozen=True)
class Trunk:
    """Pelvis, spine and head of one person over time; places [T, 3]."""

    pelvis: np.ndarray
    belly: np.ndarray
    neck: np.ndarray
    head: np.ndarray
    face: np.ndarray
    hips: tuple[np.ndarray, np.ndarray]
    shoulders: tuple[np.ndarray, np.ndarray]
    head_axes: np.ndarray
    """[T, 3, 3]: columns are the head's own left, up and forward."""


def trunk(
    build: Build,
    pelvis: np.ndarray,
    lean: np.ndarray,
    tilt: np.ndarray,
    turn: np.ndarray,
    gaze: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Trunk:
    """`lean`, `tilt`, `turn` [T]: the spine forward, sideways, about itself; `gaze`: yaw, pitch, roll of the head."""
    spine = rotation(turn, lean, tilt)
    hips_axes = rotation(turn * 0.4, lean * 0.0, tilt * 0.4)
    skull = rotation(*gaze)

    def along(axes: np.ndarray, x: float, y: float, z: float) -> np.ndarray:
        return axes @ np.array([x, y, z])

    neck = pelvis + along(spine, 0, build.trunk, 0)
    nod = unit(0.55 * along(spine, 0, 1, 0) + 0.45 * along(skull, 0, 1, 0))
    head = neck + nod * (0.026 + 0.078 * build.head) + along(skull, 0, 0, 0.012)
    return Trunk(
        pelvis=pelvis,
        belly=pelvis + along(spine, 0, 0.38 * build.trunk, 0.012),
        neck=neck,
        head=head,
        face=head + along(skull, 0, -0.014, 0.052 * build.head),
        hips=(
            pelvis + along(hips_axes, 0.056 * build.girth, -0.012, 0),
            pelvis + along(hips_axes, -0.056 * build.girth, -0.012, 0),
        ),
        shoulders=(
            neck + along(spine, build.shoulder, -0.03, 0),
            neck + along(spine, -build.shoulder, -0.03, 0),
        ),
        head_axes=skull,
    )


@dataclass(frozen=True)
class Arm:
    elbow: np.ndarray
    wrist: np.ndarray
    spread: np.ndarray
    """[T] in [0, 1]: 0 a loose fist, 1 an open hand with fingers spread."""


@dataclass(frozen=True)
class Leg:
    knee: np.ndarray
    ankle: np.ndarray
    toe: np.ndarray
    """[T, 3] unit direction from heel to toe."""


@dataclass(frozen=True)
class Figure:
    """One person over time, in their own frame."""

    trunk: Trunk
    arms: tuple[Arm, Arm]
    legs: tuple[Leg, Leg]

    def joints(self) -> np.ndarray:
        """[T, 15, 3] in the order of the JHMDB layout."""
        body, (arm_l, arm_r), (leg_l, leg_r) = self.trunk, self.arms, self.legs
        return np.stack(
            [
                body.neck, body.belly, body.face, body.shoulders[RIGHT], body.shoulders[LEFT], body.hips[RIGHT],
                body.hips[LEFT], arm_r.elbow, arm_l.elbow, leg_r.knee, leg_l.knee, arm_r.wrist, arm_l.wrist,
                leg_r.ankle, leg_l.ankle,
            ],
            axis=1,
        )  # fmt: skip


def arm(build: Build, shoulder: np.ndarray, target: np.ndarray, pole: np.ndarray, spread: np.ndarray) -> Arm:
    """An arm whose wrist goes to `target` [T, 3]."""
    elbow, wrist = reach(shoulder, target, build.upper_arm, build.forearm, pole)
    return Arm(elbow, wrist, spread)


def leg(build: Build, hip: np.ndarray, target: np.ndarray, splay: float) -> Leg:
    """A leg whose ankle goes to `target` [T, 3]; the foot stays flat on the ground and follows the shin in the air."""
    pole = np.tile(np.array([0.5 * splay, 0.0, 1.0]), (len(target), 1))
    knee, ankle = reach(hip, target, build.thigh, build.shin, pole)
    shin = unit(ankle - knee)
    forward = unit(np.array([splay, 0.0, 1.0]))
    lift = np.clip((ankle[:, 1] - ANKLE_HEIGHT) / 0.12, 0, 1)[:, None]
    toe = unit(forward - lift * 0.75 * (shin @ forward)[:, None] * shin)
    return Leg(knee, ankle, toe)


def view_matrix(yaw: float) -> np.ndarray:
    """[3, 3] from the own frame of a person turned by `yaw` to what the camera sees."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(CAMERA_PITCH), np.sin(CAMERA_PITCH)
    return np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
