"""Draws one person on the canvas: limbs, trunk, head and hands as shaded solids in clothes, far parts first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np

from training.gym import texture
from training.gym.canvas import Canvas
from training.gym.kinematics import LEFT, RIGHT, SIDES, Figure, unit, view_matrix
from training.gym.palette import Colour, shade
from training.gym.scene import Person

# Parts of a person; person m's parts are numbered PARTS * m + part.
TORSO, HEAD = 1, 2
UPPER_ARM, FOREARM, THIGH, SHIN = (3, 4), (5, 6), (7, 8), (9, 10)
CAP = 11
PARTS = 16
PEOPLE_END = 2 * PARTS
THING, SIGN, CLUTTER = 40, 41, 42


def _profile(*stations: float) -> np.ndarray:
    """[96] half widths from evenly spaced ones."""
    return np.interp(np.linspace(0, 1, 96), np.linspace(0, 1, len(stations)), stations)


# Half widths along the parts, in body heights, from start to end.
_UPPER_ARM = _profile(0.035, 0.035, 0.032, 0.029)
_FOREARM = _profile(0.028, 0.029, 0.025, 0.020)
_THIGH = _profile(0.050, 0.050, 0.045, 0.038)
_SHIN = _profile(0.037, 0.038, 0.034, 0.027, 0.023)
_TORSO_FRONT = _profile(0.062, 0.104, 0.106, 0.099, 0.090, 0.083, 0.080, 0.084, 0.090, 0.090, 0.08)
_TORSO_SIDE = _profile(0.050, 0.066, 0.072, 0.071, 0.067, 0.064, 0.064, 0.068, 0.072, 0.072, 0.066)
_SOLE = _profile(0.023, 0.024, 0.026, 0.024)
_SHOE = _profile(0.026, 0.027, 0.027, 0.024)
_NECK = _profile(0.037, 0.032, 0.032)
_LONG_HAIR = _profile(0.064, 0.07, 0.068, 0.058)


@dataclass(frozen=True)
class Stage:
    """From the own frame of one person to pixels: pixel = origin [T, 2] + matrix [T, 2, 2] (x, -y of the view)."""

    origin: np.ndarray
    matrix: np.ndarray
    yaw: float

    @cached_property
    def unit(self) -> np.ndarray:
        """[T] pixels per body height."""
        return np.sqrt(np.abs(np.linalg.det(self.matrix)))

    @cached_property
    def turned(self) -> np.ndarray:
        """[3, 3] from the person's own frame to the view."""
        return view_matrix(self.yaw)

    @cached_property
    def projection(self) -> np.ndarray:
        """[T, 2, 3] from the person's own frame to pixels."""
        return self.matrix @ (self.turned[:2] * np.array([[1.0], [-1.0]]))

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """[T, 2] or [T, N, 2] pixel places of points [T, 3] or [T, N, 3]."""
        if points.ndim == 2:
            return self.origin + (self.projection @ points[..., None])[..., 0]
        return self.origin[:, None] + points @ np.swapaxes(self.projection, 1, 2)

    def depth(self, points: np.ndarray) -> np.ndarray:
        """[T] nearness to the camera in body heights."""
        return points @ self.turned[2]


@dataclass(frozen=True)
class Wardrobe:
    """The textures of one person, painted once a clip."""

    torso: np.ndarray
    sleeves: tuple[np.ndarray, np.ndarray]
    trousers: tuple[np.ndarray, np.ndarray]
    face: np.ndarray
    hair: np.ndarray


def fine_enough(unit_pixels: float) -> bool:
    """Whether a body of this height in pixels is drawn in full detail."""
    return unit_pixels > 110


@lru_cache(maxsize=4)
def wardrobe(person: Person, unit_pixels: float) -> Wardrobe:
    """`unit_pixels`: pixels per body height, which decides how finely the face is drawn."""
    outfit = person.outfit
    fine = fine_enough(unit_pixels)
    side = 192 if fine else 40
    texels = texture.HEAD_COLUMNS / (2 * np.pi * 0.062 * person.build.head * unit_pixels)
    return Wardrobe(
        torso=texture.torso(outfit, side),
        sleeves=(texture.sleeve(outfit, side, 0.0, 1.0), texture.sleeve(outfit, side, 1.0, 2.0)),
        trousers=(texture.trouser(outfit, side, 0.0, 1.0), texture.trouser(outfit, side, 1.0, 2.0)),
        face=texture.face(outfit, texels),
        hair=texture.hair(outfit, 128 if fine else 48),
    )


Held = Callable[[np.ndarray], None]
"""Draws the thing in the hand in the given frames."""


_FINGERS = ((-1.0, -0.42, 0.036), (-0.35, -0.14, 0.044), (0.35, 0.14, 0.043), (1.0, 0.42, 0.034))
"""Place across the palm, slant when spread, length."""


@dataclass(frozen=True)
class Group:
    """Parts that are drawn together: the points and the margin that bound them, their nearness [T], how to draw."""

    points: tuple[np.ndarray, ...]
    margin: float
    depth: np.ndarray
    draw: Callable[..., None]


@dataclass(frozen=True)
class Painter:
    """One person ready to be drawn."""

    canvas: Canvas
    person: Person
    figure: Figure
    stage: Stage
    number: int
    clothes: Wardrobe

    @cached_property
    def fine(self) -> bool:
        """Whether fingers, ears and soles are large enough to be seen."""
        return fine_enough(float(self.stage.unit.mean()))

    def _id(self, part: int) -> int:
        return self.number * PARTS + part

    def _limb(
        self,
        at: np.ndarray,
        start: np.ndarray,
        end: np.ndarray,
        profile: np.ndarray,
        picture: np.ndarray,
        part: int,
        friends: tuple[int, ...] = (),
        rounded: float = 0.0,
        flat: tuple[float, float] = (1.0, 1.0),
        attached: bool = False,
    ) -> None:
        girth = self.person.build.girth**0.7
        width = profile[None] * (self.stage.unit[at] * girth)[:, None]
        pixels = self.stage.pixels
        self.canvas.capsule(
            at,
            pixels(start)[at],
            pixels(end)[at],
            width,
            picture,
            self._id(part),
            self.stage.yaw,
            flat=flat,
            friends=tuple(self._id(friend) for friend in friends),
            rounded=rounded,
            attached=attached,
        )

    def torso(self, at: np.ndarray) -> None:
        body, build = self.figure.trunk, self.person.build
        turned = abs(self.stage.yaw)
        broad = _TORSO_FRONT * np.cos(turned) * (build.shoulder / 0.112)
        deep = _TORSO_SIDE * np.sin(turned)
        width = np.sqrt(broad**2 + deep**2)[None] * (self.stage.unit[at] * build.girth**0.8)[:, None]
        down = unit(body.pelvis - body.neck)
        start, end = self.stage.pixels(body.neck + down * 0.022), self.stage.pixels(body.pelvis + down * 0.035)
        self.canvas.capsule(
            at,
            start[at],
            end[at],
            width,
            self.clothes.torso,
            self._id(TORSO),
            self.stage.yaw,
            flat=(2.3, 2.0),
            friends=(self._id(THIGH[LEFT]), self._id(THIGH[RIGHT])),
            rounded=0.35,
        )

    def upper_arm(self, at: np.ndarray, side: int) -> None:
        body, arm, outfit = self.figure.trunk, self.figure.arms[side], self.person.outfit
        loose = 1.10 if outfit.sleeve >= 0.9 else 1.0
        shoulder = body.shoulders[side]
        shoulder = shoulder + (body.neck - shoulder) * 0.12
        friends = (FOREARM[side],)
        self._limb(
            at,
            shoulder,
            arm.elbow,
            _UPPER_ARM * loose,
            self.clothes.sleeves[0],
            UPPER_ARM[side],
            friends,
            0.3,
            attached=True,
        )

    def forearm(self, at: np.ndarray, side: int, held: Held | None = None) -> None:
        arm, outfit = self.figure.arms[side], self.person.outfit
        loose = 1.13 if outfit.sleeve > 1.2 else 1.0
        friends = (UPPER_ARM[side],)
        self._limb(at, arm.elbow, arm.wrist, _FOREARM * loose, self.clothes.sleeves[1], FOREARM[side], friends)
        self._hand(at, side, held)

    def _hand(self, at: np.ndarray, side: int, held: Held | None) -> None:
        arm, skin = self.figure.arms[side], texture.plain(self.person.outfit.skin)
        part = self._id(FOREARM[side])
        scale = self.stage.unit[at]
        wrist = self.stage.pixels(arm.wrist)[at]
        line = (unit(arm.wrist - arm.elbow) @ self.stage.turned.T)[at][:, :2] * np.array([1.0, -1.0])
        # A hand seen end-on is a fist, not a dot: keep at least half its length.
        length = np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-6)
        line = line / length * np.maximum(length, 0.55)
        spread = arm.spread[at][:, None]
        palm = wrist + line * (0.032 * scale)[:, None]

        def finger(start: np.ndarray, direction: np.ndarray, reach: np.ndarray, radius: float | np.ndarray) -> None:
            width = radius * scale[:, None] * np.ones((1, 4))
            self.canvas.capsule(at, start, start + direction * reach * scale[:, None], width, skin, part, rounded=0.6)

        if held is not None:
            width = np.array([0.022, 0.026, 0.025, 0.02])[None] * scale[:, None]
            self.canvas.capsule(at, wrist, palm, width, skin, part, rounded=0.5)
            held(at)
            outer = wrist + np.array([0.0, -0.018]) * scale[:, None]
            towards = np.array([1.0 if side == RIGHT else -1.0, -0.12]) * np.cos(self.stage.yaw)
            if not self.fine:
                begin = outer + (towards * -0.052 + np.array([0.0, -0.008])) * scale[:, None]
                finger(begin, np.broadcast_to(towards, begin.shape), np.full((len(at), 1), 0.026), 0.02)
                return
            for row in (-0.026, -0.009, 0.009):
                begin = outer + (towards * -0.054 + np.array([0.0, row])) * scale[:, None]
                finger(begin, np.broadcast_to(towards, begin.shape), np.full((len(at), 1), 0.038), 0.0088)
            return
        across = np.stack([-line[:, 1], line[:, 0]], axis=1) / np.linalg.norm(line, axis=1, keepdims=True)
        inward = across * (1.0 if side == RIGHT else -1.0)
        if not self.fine:  # fingers thinner than a pixel: one mitten that widens as they spread
            width = np.array([0.019, 0.024, 0.026, 0.024]) + np.array([0.0, 0.0, 0.004, 0.008]) * spread
            tip = palm + line * ((0.018 + 0.022 * spread[:, 0]) * scale)[:, None]
            self.canvas.capsule(at, wrist, tip, width * scale[:, None], skin, part, rounded=0.5)
            return
        width = np.array([0.019, 0.024, 0.025, 0.022])[None] * scale[:, None]
        self.canvas.capsule(at, wrist, palm, width, skin, part, rounded=0.5)
        for place, slant, reach in _FINGERS:
            direction = line + across * (slant * spread)
            base = palm + across * (place * 0.0145 * (0.6 + 0.4 * spread)) * scale[:, None]
            finger(base, direction, reach * (0.45 + 0.55 * spread), 0.0088)
        thumb = line * 0.7 + inward * (0.4 + 0.6 * spread)
        finger(wrist + line * (0.014 * scale)[:, None], thumb, 0.03 + 0.012 * spread, 0.0095)

    def thigh(self, at: np.ndarray, side: int) -> None:
        body, leg = self.figure.trunk, self.figure.legs[side]
        hip = body.hips[side] * 0.85 + body.pelvis * 0.15
        picture, friends = self.clothes.trousers[0], (SHIN[side],)
        self._limb(at, hip, leg.knee, _THIGH, picture, THIGH[side], friends, attached=True)

    def shin(self, at: np.ndarray, side: int) -> None:
        leg, outfit = self.figure.legs[side], self.person.outfit
        loose = 1.13 if outfit.legging > 1.2 else 1.0
        part, friends = SHIN[side], (THIGH[side],)
        down = unit(leg.ankle - leg.knee)
        sole = leg.ankle + down * 0.028
        shoe, rubber = texture.plain(outfit.shoes), texture.plain(shade(outfit.shoes, 0.55))
        heel, tip = sole - leg.toe * 0.018, sole + leg.toe * 0.082
        if self.fine:
            self._limb(at, heel + down * 0.009, tip + down * 0.011, _SOLE, rubber, part)
        self._limb(at, leg.knee, leg.ankle, _SHIN * loose, self.clothes.trousers[1], part, friends)
        self._limb(at, heel, tip, _SHOE, shoe, part, rounded=0.6)

    def back_hair(self, at: np.ndarray) -> None:
        body, outfit = self.figure.trunk, self.person.outfit
        if outfit.hair_style != "long":
            return
        back = body.head_axes @ np.array([0.0, 0.0, -0.035])
        down = body.head_axes @ np.array([0.0, -0.135, -0.045])
        picture = np.ascontiguousarray(self.clothes.hair[len(self.clothes.hair) // 8 :, :, :3])
        self._limb(at, body.head + back, body.head + down, _LONG_HAIR, picture, HEAD, flat=(1.0, 2.0))

    def head(self, at: np.ndarray) -> None:
        body, outfit, size = self.figure.trunk, self.person.outfit, self.person.build.head
        scale = self.stage.unit
        skin = texture.plain(shade(outfit.skin, 0.9))
        throat = body.head + (body.neck - body.head) * 0.35
        base = body.neck + (body.neck - body.head) * 0.12
        self._limb(at, base, throat, _NECK, skin, HEAD, (TORSO,))
        axes = (self.stage.turned @ body.head_axes)[at]
        centre, axis = body.head, self.stage.projection @ body.head_axes  # [T, 2, 3]: head coordinates to pixels
        middle = self.stage.pixels(centre)

        def solid(
            place: tuple[float, float, float], radii: tuple[float, float, float], picture: np.ndarray, part: int
        ) -> None:
            where = (middle + axis @ (np.array(place) * size))[at]
            half = np.array(radii) * size * scale[at][:, None]
            self.canvas.ellipsoid(at, where, half, axes, picture, self._id(part), (self._id(HEAD),))

        def opaque(colour: Colour) -> np.ndarray:
            return np.tile(np.array([*colour, 1.0], np.float32), (2, 2, 1))

        for sign in (1.0, -1.0):
            if self.fine and outfit.hair_style not in ("long", "curly"):
                solid((sign * 0.061, -0.008, -0.004), (0.012, 0.02, 0.014), opaque(shade(outfit.skin, 0.93)), HEAD)
        solid((0, 0, 0), (0.062, 0.08, 0.068), self.clothes.face, HEAD)
        if self.fine:
            solid((0, -0.012, 0.068), (0.011, 0.014, 0.012), opaque(shade(outfit.skin, 1.04)), HEAD)
        if outfit.hair_style == "curly":
            solid((0, 0.014, -0.008), (0.078, 0.092, 0.082), self.clothes.hair, HEAD)
        else:
            solid((0, 0.006, -0.004), (0.067, 0.085, 0.073), self.clothes.hair, HEAD)
        if outfit.hair_style == "bun":
            solid((0, 0.088, -0.028), (0.03, 0.028, 0.03), opaque(outfit.hair), HEAD)
        if self.person.cap is not None:
            dome = 0.082 if outfit.hair_style == "curly" else 0.072
            solid((0, 0.012, -0.002), (dome, 0.09, dome + 0.006), texture.cap(self.person.cap), CAP)
            solid((0, 0.036, 0.078), (0.056, 0.009, 0.05), opaque(shade(self.person.cap, 0.8)), CAP)

    def draw(self, held: Held | None = None, hand: int = RIGHT) -> None:
        """Draw every part in every frame, the far ones first; `held` is drawn inside the hand `hand`."""
        body, arms, legs, depth = self.figure.trunk, self.figure.arms, self.figure.legs, self.stage.depth
        groups: list[Group] = [
            Group((body.pelvis, body.neck), 0.13, depth((body.pelvis + body.neck) / 2), self.torso),
            Group((body.head, body.neck), 0.10, depth(body.head) + 0.06, self.head),
            Group((body.head, body.neck), 0.10, depth(body.head) - 0.07, self.back_hair),
        ]
        for side in SIDES:
            grip = held if side == hand else None
            hip, knee, ankle = body.hips[side], legs[side].knee, legs[side].ankle
            shoulder, elbow, wrist = body.shoulders[side], arms[side].elbow, arms[side].wrist
            fingers = wrist + 0.5 * (wrist - elbow)
            groups += [
                Group(
                    (shoulder, elbow), 0.05, depth((shoulder + elbow) / 2) + 0.012, partial(self.upper_arm, side=side)
                ),
                Group(
                    (elbow, wrist, fingers),
                    0.11 if grip else 0.04,
                    depth((elbow + wrist) / 2) + 0.03,
                    partial(self.forearm, side=side, held=grip),
                ),
                Group((hip, knee), 0.06, depth((hip + knee) / 2) - 0.03, partial(self.thigh, side=side)),
                Group((knee, ankle), 0.10, depth((knee + ankle) / 2) - 0.06, partial(self.shin, side=side)),
            ]
        boxes = []
        for group in groups:
            pixels = np.stack([self.stage.pixels(point) for point in group.points])
            pad = (group.margin * self.stage.unit)[:, None]
            boxes.append(np.stack([pixels.min(axis=0) - pad, pixels.max(axis=0) + pad]))
        low, high = np.stack([box[0] for box in boxes], 1), np.stack([box[1] for box in boxes], 1)  # [T, G, 2]
        meet = ((low[:, :, None] < high[:, None]) & (low[:, None] < high[:, :, None])).all(axis=-1)  # [T, G, G]
        key = np.stack([group.depth for group in groups], axis=1)
        rank = np.argsort(np.argsort(key, axis=1, kind="stable"), axis=1)
        waits = meet & (rank[:, :, None] > rank[:, None])  # g waits for the farther ones that it meets
        done = np.zeros(rank.shape, bool)
        # Each pass draws the part that is ready in most frames: few calls, and every frame keeps its own order.
        while not done.all():
            ready = ~done & ~(waits & ~done[:, None]).any(axis=2)
            complete = ready.sum(axis=0) + self.canvas.length * (ready | done).all(axis=0) * ready.any(axis=0)
            chosen = int(complete.argmax())
            at = np.flatnonzero(ready[:, chosen])
            groups[chosen].draw(at)
            done[at, chosen] = True
