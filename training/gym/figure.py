"""Draws one person on the canvas: limbs, trunk, head and hands as shaded solids in clothes, far parts first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from training.gym import texture
from training.gym.canvas import Canvas
from training.gym.kinematics import LEFT, RIGHT, SIDES, Figure, unit, view, view_matrix
from training.gym.palette import shade
from training.gym.scene import Person

# Parts of a person; person m's parts are numbered PARTS * m + part.
TORSO, HEAD = 1, 2
UPPER_ARM, FOREARM, THIGH, SHIN = (3, 4), (5, 6), (7, 8), (9, 10)
CAP = 11
PARTS = 16
PEOPLE_END = 2 * PARTS
THING, SIGN, CLUTTER = 40, 41, 42

# Half widths along the parts, in body heights, from start to end.
_UPPER_ARM = (0.035, 0.035, 0.032, 0.029)
_FOREARM = (0.028, 0.029, 0.025, 0.020)
_THIGH = (0.050, 0.050, 0.045, 0.038)
_SHIN = (0.037, 0.038, 0.034, 0.027, 0.023)
_TORSO_FRONT = (0.062, 0.104, 0.106, 0.099, 0.090, 0.083, 0.080, 0.084, 0.090, 0.090, 0.08)
_TORSO_SIDE = (0.050, 0.066, 0.072, 0.071, 0.067, 0.064, 0.064, 0.068, 0.072, 0.072, 0.066)


@dataclass(frozen=True)
class Stage:
    """From view coordinates of one person to pixels: pixel = origin [T, 2] + matrix [T, 2, 2] (x, -y)."""

    origin: np.ndarray
    matrix: np.ndarray
    yaw: float

    @property
    def unit(self) -> np.ndarray:
        """[T] pixels per body height."""
        return np.sqrt(np.abs(np.linalg.det(self.matrix)))

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """[T, ..., 2] pixel places of [T, ..., 3] in the person's own frame."""
        flat = view(points, self.yaw)[..., :2] * np.array([1.0, -1.0])
        shape = (len(self.origin),) + (1,) * (points.ndim - 2)
        return self.origin.reshape(*shape, 2) + np.einsum("tij,t...j->t...i", self.matrix, flat)

    def depth(self, points: np.ndarray) -> np.ndarray:
        """[T] nearness to the camera in body heights."""
        return view(points, self.yaw)[..., 2]


def _profile(stations: Sequence[float]) -> np.ndarray:
    return np.interp(np.linspace(0, 1, 96), np.linspace(0, 1, len(stations)), stations)


Held = Callable[[np.ndarray], None]
"""Draws the thing in the hand in the given frames."""


@dataclass(frozen=True)
class Painter:
    """One person ready to be drawn."""

    canvas: Canvas
    person: Person
    figure: Figure
    stage: Stage
    number: int

    def _id(self, part: int) -> int:
        return self.number * PARTS + part

    def _limb(
        self, at: np.ndarray, start: np.ndarray, end: np.ndarray, stations: Sequence[float], picture: np.ndarray,
        part: int, parent: int = 0, rounded: float = 0.0, flat: tuple[float, float] = (1.0, 1.0),
    ) -> None:  # fmt: skip
        girth = self.person.build.girth**0.7
        width = _profile(stations)[None] * (self.stage.unit[at] * girth)[:, None]
        pixels = self.stage.pixels
        self.canvas.capsule(
            at, pixels(start)[at], pixels(end)[at], width, picture, self._id(part), self.stage.yaw,
            flat=flat, parent=self._id(parent) if parent else 0, rounded=rounded,
        )  # fmt: skip

    def torso(self, at: np.ndarray) -> None:
        body, build = self.figure.trunk, self.person.build
        turned = abs(self.stage.yaw)
        broad = _profile(_TORSO_FRONT) * np.cos(turned) * (build.shoulder / 0.112)
        deep = _profile(_TORSO_SIDE) * np.sin(turned)
        width = np.sqrt(broad**2 + deep**2)[None] * (self.stage.unit[at] * build.girth**0.8)[:, None]
        down = unit(body.pelvis - body.neck)
        start, end = self.stage.pixels(body.neck + down * 0.022), self.stage.pixels(body.pelvis + down * 0.035)
        self.canvas.capsule(
            at, start[at], end[at], width, texture.torso(self.person.outfit), self._id(TORSO), self.stage.yaw,
            flat=(2.3, 2.0), rounded=0.35,
        )  # fmt: skip

    def upper_arm(self, at: np.ndarray, side: int) -> None:
        body, arm, outfit = self.figure.trunk, self.figure.arms[side], self.person.outfit
        loose = 1.12 if outfit.sleeve >= 0.9 else 1.0
        stations = tuple(width * loose for width in _UPPER_ARM)
        picture = texture.sleeve(outfit, 0.0, 1.0)
        self._limb(at, body.shoulders[side], arm.elbow, stations, picture, UPPER_ARM[side], rounded=0.3)

    def forearm(self, at: np.ndarray, side: int, held: Held | None = None) -> None:
        arm, outfit = self.figure.arms[side], self.person.outfit
        loose = 1.15 if outfit.sleeve > 1.2 else 1.0
        stations = tuple(width * loose for width in _FOREARM)
        picture = texture.sleeve(outfit, 1.0, 2.0)
        self._limb(at, arm.elbow, arm.wrist, stations, picture, FOREARM[side], UPPER_ARM[side])
        self._hand(at, side, held)

    def _hand(self, at: np.ndarray, side: int, held: Held | None) -> None:
        arm, skin = self.figure.arms[side], texture.plain(self.person.outfit.skin)
        part, own = self._id(FOREARM[side]), self._id(FOREARM[side])
        scale = self.stage.unit[at]
        wrist = self.stage.pixels(arm.wrist)[at]
        line = view(unit(arm.wrist - arm.elbow), self.stage.yaw)[at][:, :2] * np.array([1.0, -1.0])
        # A hand seen end-on is a fist, not a dot: keep at least half its length.
        length = np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-6)
        line = line / length * np.maximum(length, 0.55)
        spread = arm.spread[at][:, None]
        palm = wrist + line * (0.032 * scale)[:, None]

        def finger(start: np.ndarray, direction: np.ndarray, reach: np.ndarray, radius: float) -> None:
            width = np.full((1, 4), radius) * scale[:, None]
            end = start + direction * reach * scale[:, None]
            self.canvas.capsule(at, start, end, width, skin, part, parent=own, rounded=0.6)

        across = np.stack([-line[:, 1], line[:, 0]], axis=1) / np.linalg.norm(line, axis=1, keepdims=True)
        inward = across * (1.0 if side == RIGHT else -1.0)
        if held is not None:
            width = np.array([0.022, 0.026, 0.025, 0.02])[None] * scale[:, None]
            self.canvas.capsule(at, wrist, palm, width, skin, part, parent=own, rounded=0.5)
            held(at)
            outer = self.stage.pixels(arm.wrist)[at] + np.array([0.0, -0.018]) * scale[:, None]
            towards = np.array([1.0 if side == RIGHT else -1.0, -0.12]) * np.cos(self.stage.yaw)
            for row in (-0.026, -0.009, 0.009):
                begin = outer + (towards * -0.03 + np.array([0.0, row])) * scale[:, None]
                finger(begin, np.broadcast_to(towards, begin.shape), np.full((len(at), 1), 0.046), 0.0095)
            return
        width = np.array([0.019, 0.024, 0.025, 0.022])[None] * scale[:, None]
        self.canvas.capsule(at, wrist, palm, width, skin, part, parent=own, rounded=0.5)
        for place, slant, reach in (
            (-1.0, -0.42, 0.036),
            (-0.35, -0.14, 0.044),
            (0.35, 0.14, 0.043),
            (1.0, 0.42, 0.034),
        ):
            direction = line + across * (slant * spread)
            base = palm + across * (place * 0.0145 * (0.6 + 0.4 * spread)) * scale[:, None]
            finger(base, direction, reach * (0.45 + 0.55 * spread), 0.0088)
        finger(
            wrist + line * (0.014 * scale)[:, None],
            line * 0.7 + inward * (0.4 + 0.6 * spread),
            0.03 + 0.012 * spread,
            0.0095,
        )

    def thigh(self, at: np.ndarray, side: int) -> None:
        body, leg, outfit = self.figure.trunk, self.figure.legs[side], self.person.outfit
        hip = body.hips[side] * 0.85 + body.pelvis * 0.15
        self._limb(at, hip, leg.knee, _THIGH, texture.trouser(outfit, 0.0, 1.0), THIGH[side], TORSO)

    def shin(self, at: np.ndarray, side: int) -> None:
        leg, outfit = self.figure.legs[side], self.person.outfit
        loose = 1.16 if outfit.legging > 1.2 else 1.0
        stations = tuple(width * loose for width in _SHIN)
        part, parent = SHIN[side], THIGH[side]
        down = unit(leg.ankle - leg.knee)
        sole = leg.ankle + down * 0.028
        shoe, rubber = texture.plain(outfit.shoes), texture.plain(shade(outfit.shoes, 0.55))
        heel, tip = sole - leg.toe * 0.018, sole + leg.toe * 0.082
        self._limb(at, heel + down * 0.009, tip + down * 0.011, (0.023, 0.024, 0.026, 0.024), rubber, part, part)
        self._limb(at, leg.knee, leg.ankle, stations, texture.trouser(outfit, 1.0, 2.0), part, parent)
        self._limb(at, heel, tip, (0.026, 0.027, 0.027, 0.024), shoe, part, part, rounded=0.6)

    def back_hair(self, at: np.ndarray) -> None:
        body, outfit = self.figure.trunk, self.person.outfit
        if outfit.hair_style != "long":
            return
        back = body.head_axes @ np.array([0.0, 0.0, -0.035])
        down = body.head_axes @ np.array([0.0, -0.135, -0.045])
        picture = texture.hair(outfit)[HEAD_BACK, ::4, :3]
        self._limb(at, body.head + back, body.head + down, (0.064, 0.07, 0.068, 0.058), picture, HEAD, flat=(1.0, 2.0))

    def head(self, at: np.ndarray) -> None:
        body, outfit, size = self.figure.trunk, self.person.outfit, self.person.build.head
        scale = self.stage.unit
        skin = texture.plain(shade(outfit.skin, 0.9))
        throat = body.head + (body.neck - body.head) * 0.35
        self._limb(at, body.neck + (body.neck - body.head) * 0.12, throat, (0.034, 0.03, 0.03), skin, HEAD, TORSO)
        axes = view_matrix(self.stage.yaw) @ body.head_axes
        pixels = self.stage.pixels

        def solid(
            place: tuple[float, float, float], radii: tuple[float, float, float], picture: np.ndarray, part: int
        ) -> None:
            centre = pixels(body.head + body.head_axes @ (np.array(place) * size))[at]
            half = np.array(radii) * size * scale[at][:, None]
            self.canvas.ellipsoid(at, centre, half, axes[at], picture, self._id(part), self._id(HEAD))

        opaque = np.ones((2, 2, 4), np.float32)
        opaque[..., :3] = shade(outfit.skin, 0.93)
        for sign in (1.0, -1.0):
            solid((sign * 0.061, -0.008, -0.004), (0.012, 0.02, 0.014), opaque, HEAD)
        texels = texture.HEAD_COLUMNS / (2 * np.pi * 0.062 * size * float(scale.mean()))
        solid((0, 0, 0), (0.062, 0.08, 0.068), texture.face(outfit, texels), HEAD)
        opaque[..., :3] = shade(outfit.skin, 1.04)
        solid((0, -0.012, 0.068), (0.011, 0.014, 0.012), opaque, HEAD)
        strands = texture.hair(outfit)
        if outfit.hair_style == "curly":
            solid((0, 0.014, -0.008), (0.078, 0.092, 0.082), strands, HEAD)
        else:
            solid((0, 0.006, -0.004), (0.067, 0.085, 0.073), strands, HEAD)
        if outfit.hair_style == "bun":
            bun = np.ones((2, 2, 4), np.float32)
            bun[..., :3] = outfit.hair
            solid((0, 0.088, -0.028), (0.03, 0.028, 0.03), bun, HEAD)
        if self.person.cap is not None:
            brim = np.ones((2, 2, 4), np.float32)
            brim[..., :3] = shade(self.person.cap, 0.8)
            dome = 0.082 if outfit.hair_style == "curly" else 0.072
            solid((0, 0.012, -0.002), (dome, 0.09, dome + 0.006), texture.cap(self.person.cap), CAP)
            solid((0, 0.036, 0.078), (0.056, 0.009, 0.05), brim, CAP)

    def draw(self, held: Held | None = None, hand: int = RIGHT) -> None:
        """Draw every part in every frame, the far ones first; `held` is drawn inside the hand `hand`."""
        body, arms, legs, depth = self.figure.trunk, self.figure.arms, self.figure.legs, self.stage.depth
        groups: list[tuple[np.ndarray, Callable[[np.ndarray], None]]] = [
            (depth((body.pelvis + body.neck) / 2), self.torso),
            (depth(body.head) + 0.06, self.head),
            (depth(body.head) - 0.07, self.back_hair),
        ]
        for side in SIDES:

            def upper(at: np.ndarray, side: int = side) -> None:
                self.upper_arm(at, side)

            def fore(at: np.ndarray, side: int = side) -> None:
                self.forearm(at, side, held if side == hand else None)

            def thigh(at: np.ndarray, side: int = side) -> None:
                self.thigh(at, side)

            def shin(at: np.ndarray, side: int = side) -> None:
                self.shin(at, side)

            hip, knee = body.hips[side], legs[side].knee
            groups += [
                (depth((body.shoulders[side] + arms[side].elbow) / 2) + 0.012, upper),
                (depth((arms[side].elbow + arms[side].wrist) / 2) + 0.03, fore),
                (depth((hip + knee) / 2) - 0.03, thigh),
                (depth((knee + legs[side].ankle) / 2) - 0.06, shin),
            ]
        order = np.argsort(np.stack([key for key, _ in groups]), axis=0, kind="stable")  # [groups, T]
        frames = np.arange(self.canvas.length)
        done = np.zeros(self.canvas.length, int)
        # Each pass draws the part that is next in most frames: few calls, and every frame keeps its own order.
        while (done < len(groups)).any():
            waiting = frames[done < len(groups)]
            upcoming = order[done[waiting], waiting]
            group = int(np.bincount(upcoming).argmax())
            at = waiting[upcoming == group]
            groups[group][1](at)
            done[at] += 1


HEAD_BACK = slice(16, 112)


def cast_shadow(people: Sequence[tuple[Figure, Stage]], light: np.ndarray, size: int) -> np.ndarray:
    """[T, size, size] in [0, 1]: the soft shadows of people on level ground, at half resolution scaled up."""
    length = len(people[0][1].origin)
    small = max(size // 2, 16)
    ratio, one = small / size, 1 << 4
    slope_x, slope_z = light[0] / -light[1], light[2] / -light[1]
    masks = np.zeros((length, small, small), np.uint8)
    for figure, stage in people:
        joints = figure.joints()
        turn = np.array(
            [[np.cos(stage.yaw), 0, np.sin(stage.yaw)], [0, 1, 0], [-np.sin(stage.yaw), 0, np.cos(stage.yaw)]]
        )
        world = np.concatenate([joints, figure.trunk.head[:, None], figure.trunk.pelvis[:, None]], axis=1) @ turn.T
        height = (
            np.maximum(world[..., 1] - 0.02, 0.0) * 0.55
        )  # shorter than the light would have it: it stays on the floor
        ground = np.stack([world[..., 0] - slope_x * height, 0 * height, world[..., 2] - slope_z * height], axis=-1)
        pixels = (stage.pixels(ground @ turn) + 0.5) * ratio - 0.5
        thick = float(stage.unit.mean()) * ratio
        bones = (
            (0, 16, 0.17), (15, 15, 0.12), (0, 15, 0.06), (3, 7, 0.06), (4, 8, 0.06), (7, 11, 0.05), (8, 12, 0.05),
            (16, 9, 0.09), (16, 10, 0.09), (9, 13, 0.07), (10, 14, 0.07), (13, 13, 0.1), (14, 14, 0.1),
        )  # fmt: skip
        for t in range(length):
            places = np.round(pixels[t] * one).astype(int)
            for a, b, width in bones:
                start, end = tuple(places[a].tolist()), tuple(places[b].tolist())
                cv2.line(masks[t], start, end, 255, max(1, round(width * thick)), cv2.LINE_8, 4)
    soft = np.empty((length, size, size), np.float32)
    blur = max(0.8, 0.016 * small)
    for t in range(length):
        soft[t] = cv2.resize(cv2.GaussianBlur(masks[t], (0, 0), blur), (size, size), interpolation=cv2.INTER_LINEAR)
    return soft * np.float32(1 / 255)


__all__ = ["LEFT", "Painter", "Stage", "cast_shadow"]
