"""Everything a clip shares with the other side of its pair: who, where, in which light, seen by which camera.

`draw_scene` knows the pair but not the label. Whatever it draws is therefore the same on both sides, and no nuisance
can tell them apart. Moving distractors are drawn without a preferred direction of time: the pairs whose second
label is the first one reversed would leak it otherwise.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from training.gym.palette import PALETTES, SPLITS, Build, Colour, Palette, Split, build_from

Place = Literal["living room", "park", "sports hall", "town square"]
PLACES: tuple[Place, ...] = ("living room", "park", "sports hall", "town square")
Posture = Literal["hang", "hip", "front", "head"]


@dataclass(frozen=True)
class Outfit:
    """Skin, hair and clothes of one person."""

    skin: Colour
    hair: Colour
    hair_style: Literal["short", "long", "bun", "curly", "bald"]
    beard: bool
    shirt: Colour
    second: Colour
    pattern: Literal["plain", "stripes", "band", "checks", "dots", "pinstripes", "logo"]
    trousers: Colour
    sleeve: float
    """How far along the arm the sleeve reaches: 0.5 is a T-shirt, 2 covers the wrist."""
    legging: float
    """How far along the leg the trousers reach: 0.9 are shorts, 2 cover the ankle."""
    shoes: Colour
    cloth_seed: int


@dataclass(frozen=True)
class Person:
    """One person: body, clothes, where they stand and how they idle."""

    build: Build
    outfit: Outfit
    x: float
    """Where the feet stand, in frame widths from the left."""
    y: float
    """Where the feet stand, in frame heights from the top."""
    scale: float
    """Body height in frame heights."""
    yaw: float
    """Radians by which the person is turned; 0 faces the camera, positive towards the right of the image."""
    postures: tuple[Posture, Posture]
    """What the left and the right arm do when they do nothing."""
    sway: tuple[float, ...]
    """Phases in radians of the idle motions."""
    cap: Colour | None = None


@dataclass(frozen=True)
class Camera:
    """Zoom, pan and roll over time: sinusoids whose phases are drawn, so they have no direction in time."""

    zoom: float
    pan: tuple[float, float]
    jitter: float
    roll: float
    phases: tuple[float, ...]
    jitter_seed: int


@dataclass(frozen=True)
class Ball:
    """A ball that rolls over the ground behind the person at a constant speed."""

    middle: float
    """Where it is at half time, in frame widths."""
    speed: float
    """Frame widths per clip; negative rolls to the left."""
    y: float
    radius: float
    colours: tuple[Colour, Colour]


@dataclass(frozen=True)
class Pendulum:
    """A board that swings from the ceiling."""

    x: float
    length: float
    swing: float
    phase: float
    turns: float
    colours: tuple[Colour, Colour]


@dataclass(frozen=True)
class Occluder:
    """Something in front of everybody: a pole, or leaves in a corner."""

    kind: Literal["pole", "leaves"]
    x: float
    size: float
    colour: Colour
    seed: int


@dataclass(frozen=True)
class Script:
    """How the action runs, whichever side of the pair it is; times in [0, 1] over the clip."""

    start: float
    stop: float
    beat: float
    phase: float
    reach: float
    """Size of the motion, about 1."""
    hand: int
    """The hand that carries, picks or stays free: 0 left, 1 right."""
    sign_side: int
    """-1: the sign stands on the left of the image, 1: on the right."""
    prop: tuple[Colour, Colour]
    """Colours of the thing in the hand, of the sign, of the seat."""
    shape: int
    """Which drawing of the thing or the sign is used."""
    height: float
    """Height of the seat or the stand, in body heights."""


@dataclass(frozen=True)
class Scene:
    """All that does not depend on the label."""

    pair: str
    split: Split
    seed: int
    place: Place
    wall: Colour
    floor: Colour
    green: Colour
    backdrop_seed: int
    light: tuple[float, float, float]
    """Unit vector towards the light: right, down, towards the viewer."""
    tint: tuple[float, float, float]
    people: tuple[Person, ...]
    camera: Camera
    script: Script
    ball: Ball | None
    pendulum: Pendulum | None
    occluder: Occluder | None
    grain_seed: int
    joint_noise: float
    """Standard deviation of the joints, in body heights."""


def _pick(rng: np.random.Generator, options: tuple[Colour, ...]) -> Colour:
    return options[int(rng.integers(len(options)))]


def _two(rng: np.random.Generator, options: tuple[Colour, ...]) -> tuple[Colour, Colour]:
    first, second = rng.permutation(len(options))[:2]
    return options[int(first)], options[int(second)]


def _outfit(rng: np.random.Generator, palette: Palette) -> Outfit:
    shirt, second = _two(rng, palette.cloths)
    style = rng.choice(["short", "long", "bun", "curly", "bald"], p=[0.34, 0.26, 0.14, 0.18, 0.08])
    return Outfit(
        skin=_pick(rng, palette.skins),
        hair=_pick(rng, palette.hairs),
        hair_style=str(style),  # type: ignore[arg-type]
        beard=bool(rng.random() < (0.3 if style in ("short", "bald") else 0.0)),
        shirt=shirt,
        second=second,
        pattern=str(rng.choice(["plain", "stripes", "band", "checks", "dots", "pinstripes", "logo"])),  # type: ignore[arg-type]
        trousers=_pick(rng, palette.trousers),
        sleeve=float(rng.choice([0.5, 0.62, 1.0, 2.0], p=[0.35, 0.2, 0.1, 0.35])),
        legging=float(rng.choice([0.85, 2.0], p=[0.3, 0.7])),
        shoes=_pick(rng, ((238, 236, 232), (60, 58, 62), (176, 62, 54), (70, 96, 140), (196, 168, 120))),
        cloth_seed=int(rng.integers(2**31)),
    )


def _build(rng: np.random.Generator, palette: Palette) -> Build:
    ratios = palette.builds[int(rng.integers(len(palette.builds)))]
    return build_from(*(ratio * float(1 + 0.015 * rng.uniform(-1, 1)) for ratio in ratios))


def _postures(rng: np.random.Generator, pair: str) -> tuple[Posture, Posture]:
    odds = {"sit": (0.8, 0.0, 0.2, 0.0), "bow": (0.45, 0.3, 0.25, 0.0), "hand over": (0.8, 0.2, 0.0, 0.0)}
    chosen = rng.choice(["hang", "hip", "front", "head"], size=2, p=odds.get(pair, (0.55, 0.2, 0.1, 0.15)))
    left, right = (str(posture) for posture in chosen)
    if left == right == "head":
        right = "hang"
    return left, right  # type: ignore[return-value]


# The yaw of the person, in radians: kept near the camera where left and right matter, turned aside where depth does.
_YAWS = {
    "wave": (0.0, 0.6), "kick": (0.0, 0.55), "bow": (0.0, 0.75), "sit": (0.55, 1.15), "pick": (0.75, 1.2),
    "raise": (0.0, 0.55), "step": (0.0, 0.3), "clap": (0.0, 0.6), "hand over": (0.8, 1.05),
}  # fmt: skip
_SCALES = {"hand over": (0.62, 0.7), "step": (0.62, 0.72), "pick": (0.66, 0.76)}


def _script(rng: np.random.Generator, pair: str, palette: Palette) -> Script:
    length = float(rng.uniform(0.44, 0.54))
    start = float(rng.uniform(0.08, 0.92 - length))
    if pair == "clap":
        length = float(rng.uniform(0.38, 0.44))
        start = float(rng.uniform(0.02, 0.06))
    elif pair in ("sit", "pick", "hand over"):
        length = float(rng.uniform(0.66, 0.8) if pair != "sit" else rng.uniform(0.5, 0.7))
        start = float(rng.uniform(0.08, 0.92 - length))
    elif pair in ("raise", "step"):
        length = float(rng.uniform(0.4, 0.55))
        start = float(rng.uniform(0.08, 0.3))
    return Script(
        start=start,
        stop=start + length,
        beat=float(rng.uniform(0.9, 1.15)),
        phase=float(rng.uniform(-0.3, 0.3)),
        reach=float(rng.uniform(0.92, 1.12)),
        hand=int(rng.integers(2)),
        sign_side=int(rng.choice([-1, 1])),
        prop=_two(rng, palette.accents),
        shape=int(rng.integers(4)),
        height=float(rng.uniform(0.25, 0.29) if pair == "sit" else rng.uniform(0.14, 0.3)),
    )


def _people(rng: np.random.Generator, pair: str, palette: Palette, script: Script) -> tuple[Person, ...]:
    low, high = _SCALES.get(pair, (0.7, 0.82))
    scale = float(rng.uniform(low, high))
    yaw = float(rng.uniform(*_YAWS[pair]) * rng.choice([-1, 1]))
    x, y = float(rng.uniform(0.44, 0.56)), float(rng.uniform(0.9, 0.95))
    cap = script.prop[1] if pair == "hand over" else None
    main = Person(
        build=_build(rng, palette),
        outfit=_outfit(rng, palette),
        x=x,
        y=y,
        scale=scale,
        yaw=yaw,
        postures=_postures(rng, pair),
        sway=tuple(rng.uniform(0, 2 * np.pi, 10).tolist()),
        cap=cap,
    )
    if pair == "hand over":
        side = 1.0 if yaw > 0 else -1.0  # the main person looks towards the other one
        middle, gap = float(rng.uniform(0.47, 0.53)), 0.26 * scale
        other = Person(
            build=_build(rng, palette),
            outfit=_outfit(rng, palette),
            x=middle + side * gap,
            y=y + float(rng.uniform(-0.008, 0.008)),
            scale=scale * float(rng.uniform(0.96, 1.04)),
            yaw=-side * float(rng.uniform(*_YAWS[pair])),
            postures=_postures(rng, pair),
            sway=tuple(rng.uniform(0, 2 * np.pi, 10).tolist()),
        )
        return (Person(**{**vars(main), "x": middle - side * gap}), other)
    if pair == "step":
        main = Person(**{**vars(main), "x": float(rng.uniform(0.48, 0.52))})
    idle = Person(
        build=_build(rng, palette),
        outfit=_outfit(rng, palette),
        x=float(0.5 + rng.choice([-1, 1]) * rng.uniform(0.3, 0.4)),
        y=y - float(rng.uniform(0.05, 0.08)),
        scale=scale * float(rng.uniform(0.62, 0.72)),
        yaw=float(rng.uniform(-0.9, 0.9)),
        postures=_postures(rng, "idle"),
        sway=tuple(rng.uniform(0, 2 * np.pi, 10).tolist()),
    )
    return (main, idle) if rng.random() < 0.3 and pair != "step" else (main,)


@lru_cache(maxsize=2)
def draw_scene(pair: str, seed: int, split: Split = "train") -> Scene:
    """The scene number `seed` of `pair` in `split`; same arguments, same scene."""
    if split not in SPLITS:
        raise ValueError(f"Unknown split {split!r}; known are {', '.join(SPLITS)}.")
    if seed < 0:
        raise ValueError(f"The seed of a gym clip counts from 0, and {seed} is negative.")
    rng = np.random.default_rng([zlib.crc32(pair.encode()), seed, SPLITS.index(split)])
    palette = PALETTES[split]
    script = _script(rng, pair, palette)
    people = _people(rng, pair, palette, script)
    place: Place = PLACES[int(rng.integers(len(PLACES)))]
    light = np.array([rng.choice([-1, 1]) * rng.uniform(0.3, 0.65), -rng.uniform(0.5, 0.75), 0.62])
    warmth, gain = rng.uniform(-0.05, 0.05), rng.uniform(0.93, 1.06)
    ball = Ball(
        middle=float(rng.uniform(0.3, 0.7)),
        speed=float(rng.choice([-1, 1]) * rng.uniform(0.3, 0.8)),
        y=float(people[0].y - rng.uniform(0.015, 0.07)),
        radius=float(rng.uniform(0.035, 0.05)),
        colours=_two(rng, palette.accents),
    )
    pendulum = Pendulum(
        x=float(0.5 + rng.choice([-1, 1]) * rng.uniform(0.3, 0.42)),
        length=float(rng.uniform(0.14, 0.22)),
        swing=float(rng.uniform(0.2, 0.45)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        turns=float(rng.uniform(0.8, 1.8)),
        colours=_two(rng, palette.accents),
    )
    occluder = Occluder(
        kind="pole" if rng.random() < 0.4 else "leaves",
        x=float(0.5 + rng.choice([-1, 1]) * rng.uniform(0.2, 0.36)),
        size=float(rng.uniform(0.8, 1.2)),
        colour=_pick(rng, palette.cloths),
        seed=int(rng.integers(2**31)),
    )
    odds = rng.random(3)
    return Scene(
        pair=pair,
        split=split,
        seed=seed,
        place=place,
        wall=_pick(rng, palette.walls),
        floor=_pick(rng, palette.floors),
        green=_pick(rng, palette.greens),
        backdrop_seed=int(rng.integers(2**31)),
        light=tuple((light / np.linalg.norm(light)).tolist()),
        tint=(float(gain * (1 + warmth)), float(gain), float(gain * (1 - warmth))),
        people=people,
        camera=Camera(
            zoom=float(rng.uniform(0.0, 0.035)),
            pan=(float(rng.uniform(0, 0.016)), float(rng.uniform(0, 0.008))),
            jitter=float(rng.choice([0.0, 0.002, 0.004])),
            roll=float(rng.uniform(0, 0.016)),
            phases=tuple(rng.uniform(0, 2 * np.pi, 4).tolist()),
            jitter_seed=int(rng.integers(2**31)),
        ),
        script=script,
        ball=ball if odds[0] < 0.4 else None,
        pendulum=pendulum if odds[1] < 0.3 and pair != "step" else None,
        occluder=occluder if odds[2] < 0.35 else None,
        grain_seed=int(rng.integers(2**31)),
        joint_noise=float(rng.uniform(0.002, 0.007)),
    )
