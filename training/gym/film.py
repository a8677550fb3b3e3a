"""Films a scene: camera, painting in order of depth, joints as a pose detector would report them, and the cause.

`shoot` renders a label; `shoot(..., without_cause=True)` renders what is left when exactly the cause is taken away:
nobody acts (pose), the thing or the sign is not there (appearance), the order of the frames is lost (time). The two
labels of a pair are then the same clip, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from training.clip import Cause, Clip
from training.gym import backdrop, texture
from training.gym.canvas import Canvas
from training.gym.figure import CAP, CLUTTER, PARTS, PEOPLE_END, SIGN, THING, Held, Painter, Stage, cast_shadow
from training.gym.figure import FOREARM as FOREARMS
from training.gym.figure import HEAD, SHIN, THIGH, TORSO, UPPER_ARM
from training.gym.kinematics import CAMERA_PITCH, LEFT, RIGHT, view
from training.gym.labels import pair_of
from training.gym.motion import Performance, perform, stand_place
from training.gym.palette import Split, blend, shade
from training.gym.scene import Scene, draw_scene
from training.skeleton import JHMDB

FRAME_RATE = 10.0
PEOPLE = 2
THING_SIZE = {"raise": 0.155, "pick": 0.135, "hand over": 0.135}
"""Height of the thing in the hand, in body heights."""

_JOINT = {name: index for index, name in enumerate(JHMDB.joints)}
_PARTS_OF = {
    "neck": (HEAD,), "face": (HEAD,), "belly": (TORSO,), "left shoulder": (TORSO,), "right shoulder": (TORSO,),
    "left hip": (TORSO,), "right hip": (TORSO,),
    "left elbow": (UPPER_ARM[LEFT], FOREARMS[LEFT]), "right elbow": (UPPER_ARM[RIGHT], FOREARMS[RIGHT]),
    "left wrist": (FOREARMS[LEFT],), "right wrist": (FOREARMS[RIGHT],),
    "left knee": (THIGH[LEFT], SHIN[LEFT]), "right knee": (THIGH[RIGHT], SHIN[RIGHT]),
    "left ankle": (SHIN[LEFT],), "right ankle": (SHIN[RIGHT],),
}  # fmt: skip
# Joints that the action steers itself; what is merely carried along (the arms of one who bows) is not listed.
_STEERED = {
    "wave left hand": ("left elbow", "left wrist"), "wave right hand": ("right elbow", "right wrist"),
    "kick left": ("left knee", "left ankle"), "kick right": ("right knee", "right ankle"),
    "bow": ("neck", "face", "belly", "left shoulder", "right shoulder"),
    "look up": ("neck", "face", "belly", "left shoulder", "right shoulder"),
}  # fmt: skip
MOVED = 0.025
"""A joint counts as moved when it is this far, in body heights, from where it would be if nobody acted."""


@dataclass(frozen=True)
class Lens:
    """The camera of every frame: pixel = size * (matrix @ place + offset) - 0.5 for a place in frame fractions."""

    size: int
    matrix: np.ndarray
    """[T, 2, 2]"""
    offset: np.ndarray
    """[T, 2]"""

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """[T, ..., 2] pixels of places [T, ..., 2]."""
        shape = (len(self.offset),) + (1,) * (places.ndim - 2)
        moved = np.einsum("tij,t...j->t...i", self.matrix, places) + self.offset.reshape(*shape, 2)
        return self.size * moved - 0.5


def lens_of(scene: Scene, time: np.ndarray, size: int) -> Lens:
    camera, n = scene.camera, len(time)
    p, beat = camera.phases, 2 * np.pi * time
    zoom = 1 + camera.zoom * (0.5 + 0.5 * np.sin(0.6 * beat + p[0]))
    roll = camera.roll * np.sin(0.7 * beat + p[1])
    shake = np.random.default_rng(camera.jitter_seed).standard_normal((n, 2)) * camera.jitter
    pan = np.stack([camera.pan[0] * np.sin(0.5 * beat + p[2]), camera.pan[1] * np.sin(0.8 * beat + p[3])], axis=1) + shake
    c, s = zoom * np.cos(roll), zoom * np.sin(roll)
    matrix = np.stack([c, -s, s, c], axis=1).reshape(n, 2, 2)
    middle = np.array([0.5, 0.55])
    return Lens(size, matrix, middle - matrix @ middle + pan)


def stage_of(scene: Scene, performance: Performance, lens: Lens, index: int) -> Stage:
    """Where person `index` stands in the pixels of each frame."""
    person = scene.people[index]
    shift = performance.offsets * person.scale if index == 0 else 0.0 * performance.offsets
    feet = np.stack([person.x + shift, np.full_like(shift, person.y)], axis=1)
    return Stage(lens.pixels(feet), lens.matrix * (person.scale * lens.size), person.yaw)


def place_in_view(scene: Scene, points: np.ndarray) -> np.ndarray:
    """[N, 3] (x, y in frame fractions, depth) of points [N, 3] in the main person's own frame."""
    person, seen = scene.people[0], view(points, scene.people[0].yaw)
    return np.stack([person.x + person.scale * seen[:, 0], person.y - person.scale * seen[:, 1], seen[:, 2]], axis=1)


def furnish(easel: backdrop.Easel, scene: Scene) -> None:
    """The seat of the sitting pair, the stand of the picking pair; nothing for the others."""
    if scene.pair not in ("sit", "pick"):
        return
    height = scene.script.height
    half, depth = (0.125, -0.21) if scene.pair == "sit" else (0.075, stand_place(scene)[1])
    colour = blend(scene.script.prop[0] if scene.pair == "sit" else (176, 128, 84), (200, 180, 156), 0.25)

    def box(x0: float, x1: float, y0: float, y1: float, z0: float, z1: float) -> np.ndarray:
        corners = [[(x0, x1)[i & 1], (y0, y1)[i >> 1 & 1], (z0, z1)[i >> 2]] for i in range(8)]
        return place_in_view(scene, np.array(corners))

    floor = place_in_view(scene, np.array([[0.0, 0.0, depth]]))[0]
    size = scene.people[0].scale
    under = shade(scene.floor if scene.place != "park" else scene.green, 0.62)
    easel.ellipse(float(floor[0]), float(floor[1]), 1.5 * half * size, 0.42 * half * size, under)
    if scene.pair == "sit" and scene.script.shape % 2:
        backdrop.solid_box(easel, box(-half, half, height, height + 0.27, depth - half - 0.035, depth - half), colour)
    backdrop.solid_box(easel, box(-half, half, 0.0, height - 0.035, depth - half, depth + half), shade(colour, 0.82))
    wide = half * 1.06
    backdrop.solid_box(easel, box(-wide, wide, height - 0.035, height, depth - wide, depth + wide), shade(colour, 1.06))


@dataclass(frozen=True)
class Exposure:
    """A filmed performance before it becomes a clip."""

    frames: np.ndarray
    part: np.ndarray
    joints: np.ndarray
    """[T, 2, 15, 2] true places in pixels."""
    thing: np.ndarray
    """[T, H, W] bool: pixels touched by the thing in the hand or by the sign."""
    hidden: np.ndarray
    """[T, H, W] bool: pixels covered by an occluder."""


def _backdrop_frames(picture: np.ndarray, lens: Lens) -> np.ndarray:
    size, n = lens.size, len(lens.offset)
    frames = np.empty((n, size, size, picture.shape[2]), picture.dtype)
    for t in range(n):
        # picture pixel q shows place (q + 0.5) / size - MARGIN
        shift = lens.matrix[t] @ np.full(2, 0.5 / size - backdrop.MARGIN) + lens.offset[t]
        affine = np.column_stack([lens.matrix[t], size * shift - 0.5])
        frames[t] = cv2.warpAffine(
            picture, affine, (size, size), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE if picture.shape[2] == 3 else cv2.BORDER_CONSTANT,
        )  # fmt: skip
    return frames


def _thing_centre(scene: Scene, performance: Performance, stages: list[Stage]) -> np.ndarray:
    """[T, 2] pixels of the centre of the thing in the hand."""
    assert performance.held_by is not None
    hold, centres = performance.held_by, []
    main = stages[0]
    rest = np.tile(np.array([0.0, *stand_place(scene)]), (len(hold), 1)) + [0.0, 0.012, 0.0]
    centres.append(main.pixels(rest))
    for index in range(2):
        stage = stages[min(index, len(stages) - 1)]
        arm = performance.figures[min(index, len(stages) - 1)].arms[performance.held_hand[index]]
        direction = arm.wrist - arm.elbow
        direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
        centre = stage.pixels(arm.wrist + 0.03 * direction)
        centres.append(centre - np.array([0.0, 0.01]) * stage.unit[:, None])
    return np.einsum("tk,tkc->tc", hold, np.stack(centres, axis=1))


def _thing_picture(scene: Scene, label: str) -> np.ndarray:
    if scene.pair == "raise":
        return texture.cup(scene.script.prop) if label == "raise cup" else texture.phone(scene.script.prop)
    return texture.parcel(scene.script.prop, scene.script.shape)


def _distractors(scene: Scene, canvas: Canvas, lens: Lens, time: np.ndarray) -> None:
    every, size, n = np.arange(len(time)), lens.size, len(time)
    zoom = np.sqrt(np.linalg.det(lens.matrix))
    if scene.pendulum is not None:
        hung, image = scene.pendulum, texture.board(scene.pendulum.colours)
        angle = hung.swing * np.sin(2 * np.pi * hung.turns * time + hung.phase)
        reach = hung.length * 0.5
        centre = np.stack([hung.x - reach * np.sin(angle), -0.02 + reach * np.cos(angle)], axis=1)
        canvas.sprite(every, lens.pixels(centre), hung.length * size * zoom, angle, image, 0)
    if scene.ball is not None:
        ball = scene.ball
        x = ball.middle + ball.speed * (time - 0.5)
        centre = lens.pixels(np.stack([x, np.full(n, ball.y - ball.radius)], axis=1))
        ground = lens.pixels(np.stack([x, np.full(n, ball.y)], axis=1))
        shadow = np.zeros(canvas.part.shape, np.float32)
        ys, xs = np.mgrid[:size, :size].astype(np.float32)
        r = ball.radius * size
        for t in range(n):
            away = ((xs - ground[t, 0]) / (1.1 * r)) ** 2 + ((ys - ground[t, 1]) / (0.35 * r)) ** 2
            shadow[t] = 0.4 * np.exp(-away)
        canvas.darken(shadow)
        turn = -(x - ball.middle) / ball.radius
        c, s, zero = np.cos(turn), np.sin(turn), np.zeros(n)
        axes = np.stack([c, -s, zero, s, c, zero, zero, zero, zero + 1], axis=1).reshape(n, 3, 3)
        tilt = np.array([[1, 0, 0], [0, 0.6, -0.8], [0, 0.8, 0.6]])
        radii = np.repeat((r * zoom)[:, None], 3, axis=1)
        canvas.ellipsoid(every, centre, radii, axes @ tilt, texture.ball(ball.colours), 0, parent=-1)


def expose(scene: Scene, label: str, size: int, frames: int, acting: bool = True, with_thing: bool = True) -> Exposure:
    """Film `label` in `scene`, forward in time."""
    time = np.linspace(0.0, 1.0, frames)
    lens = lens_of(scene, time, size)
    performance = perform(scene, label, time, acting)
    stages = [stage_of(scene, performance, lens, index) for index in range(len(scene.people))]
    picture = backdrop.paint(scene, size, lambda easel: furnish(easel, scene))
    canvas = Canvas(_backdrop_frames(picture, lens), np.array(scene.light))
    canvas.darken(0.42 * cast_shadow(list(zip(performance.figures, stages, strict=True)), np.array(scene.light), size))
    _distractors(scene, canvas, lens, time)
    every = np.arange(frames)
    zoom = np.sqrt(np.linalg.det(lens.matrix))
    thing = np.zeros(canvas.part.shape, bool)
    if scene.pair == "step" and with_thing:
        person = scene.people[0]
        high = 0.86 * person.scale
        foot = np.array([0.5 + 0.405 * scene.script.sign_side, person.y - 0.03 - 0.5 * high])
        centre = lens.pixels(np.broadcast_to(foot, (frames, 2)))
        image = texture.sign(scene.script.prop, scene.script.shape)
        thing |= canvas.sprite(every, centre, high * size * zoom, np.zeros(frames), image, SIGN)
    held: Held | None = None
    if performance.held_by is not None and with_thing:
        image, centre = _thing_picture(scene, label), _thing_centre(scene, performance, stages)
        high = THING_SIZE[scene.pair] * stages[0].unit

        def held(at: np.ndarray) -> None:
            thing[:] |= canvas.sprite(at, centre[at], high[at], np.zeros(len(at)), image, THING)

    in_hand = scene.pair == "raise"
    for index in reversed(range(len(scene.people))):
        painter = Painter(canvas, scene.people[index], performance.figures[index], stages[index], index)
        gripping = (held if held is not None else _nothing) if in_hand and index == 0 else None
        painter.draw(gripping, performance.held_hand[0])
    if held is not None and not in_hand:
        held(every)
    hidden = np.zeros(canvas.part.shape, bool)
    cover = backdrop.occluder(scene, size)
    if cover is not None:
        layer = _backdrop_frames(cover, lens)
        canvas.rgb *= 1 - layer[..., 3:]
        canvas.rgb += layer[..., :3]
        hidden = layer[..., 3] > 0.5
        canvas.part[hidden] = CLUTTER
    joints = np.zeros((frames, PEOPLE, len(JHMDB), 2))
    for index, figure in enumerate(performance.figures):
        joints[:, index] = stages[index].pixels(figure.joints())
    return Exposure(_develop(scene, canvas.rgb), canvas.part, joints, thing, hidden)


def _nothing(at: np.ndarray) -> None:
    """An erased thing: the hand closes around nothing."""


def _develop(scene: Scene, rgb: np.ndarray) -> np.ndarray:
    """Tint, vignette, film grain, 8 bits."""
    n, height, width, _ = rgb.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    vignette = 1.0 - 0.10 * (x * x + y * y) ** 2 / 2
    rgb *= vignette[None, :, :, None] * np.array(scene.tint, np.float32)
    rng = np.random.default_rng(scene.grain_seed)
    grain = rng.normal(0, 1.6, (height + 16, width + 16, 1)).astype(np.float32)
    for t, (a, b) in enumerate(rng.integers(0, 17, (n, 2))):
        rgb[t] += grain[a : a + height, b : b + width]
    np.clip(rgb, 0, 255, out=rgb)
    rgb += 0.5
    return rgb.astype(np.uint8)


def _scores(scene: Scene, exposure: Exposure, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints [T, 2, 15, 2] and scores [T, 2, 15] as a pose detector would report them."""
    n = len(exposure.frames)
    rng = np.random.default_rng([scene.grain_seed, 1])
    spread = scene.joint_noise * size * np.array([person.scale for person in scene.people] + [0.0])[:PEOPLE]
    noise = rng.standard_normal((n, PEOPLE, len(JHMDB), 2)) * spread[None, :, None, None]
    score = rng.uniform(0.78, 1.0, (n, PEOPLE, len(JHMDB)))
    for person in range(PEOPLE):
        for joint in range(len(JHMDB)):
            start, length, lost = rng.integers(n), rng.integers(1, 4), rng.random() < 0.06
            if lost:
                score[start : start + length, person, joint] = 0.0
    joints = exposure.joints + noise
    at = np.clip(np.round(joints).astype(int), 0, size - 1)
    hidden = exposure.hidden[np.arange(n)[:, None, None], at[..., 1], at[..., 0]]
    score = np.where(hidden, np.minimum(score, 0.35), score)
    outside = ((joints < -0.5) | (joints > size - 0.5)).any(axis=-1)
    score[outside] = 0.0
    score[:, len(scene.people) :] = 0.0
    joints[:, len(scene.people) :] = 0.0
    return joints.astype(np.float32), score.astype(np.float32)


def _displaced(scene: Scene, label: str, frames: int) -> np.ndarray:
    """[T, 2, 15] bool: joints that are elsewhere than they would be if nobody acted (or than in the first frame)."""
    time = np.linspace(0.0, 1.0, frames)
    places = []
    still = replace(scene.camera, zoom=0.0, pan=(0.0, 0.0), jitter=0.0, roll=0.0)
    lens = lens_of(replace(scene, camera=still), time, 1)
    for acting in (True, False):
        performance = perform(scene, label, time, acting)
        place = np.zeros((frames, PEOPLE, len(JHMDB), 2))
        for index, figure in enumerate(performance.figures):
            stage = stage_of(scene, performance, lens, index)
            place[:, index] = stage.pixels(figure.joints()) / scene.people[index].scale
        places.append(place)
    moved = np.linalg.norm(places[0] - places[1], axis=-1) > MOVED
    pair = pair_of(label)
    if pair.kind in ("time", "time+people"):
        window = (time >= scene.script.start) & (time <= scene.script.stop)
        moves = np.linalg.norm(places[0] - places[0][:1], axis=-1).max(axis=0) > 2 * MOVED
        moved = window[:, None, None] & moves[None]
        if pair.kind == "time":
            moved[:, 1] = False
    else:
        moved[:, 1] = False
    return moved


def cause_of(scene: Scene, label: str, exposure: Exposure) -> Cause:
    """The smallest set of frames, joints and pixels that decides the label, in the order the scene was filmed."""
    kind, n = pair_of(label).kind, len(exposure.frames)
    thing = exposure.thing & ~exposure.hidden
    if kind == "appearance":
        seen = thing & (exposure.part == THING)
        return Cause(kind, seen.any(axis=(1, 2)), np.zeros((n, PEOPLE, len(JHMDB)), bool), seen)
    joints = _displaced(scene, label, n)
    if label in _STEERED:
        steered = np.zeros(len(JHMDB), bool)
        steered[[_JOINT[name] for name in _STEERED[label]]] = True
        joints &= steered
    frames = joints.any(axis=(1, 2))
    pixels = np.zeros(exposure.part.shape, bool)
    for person in range(PEOPLE):
        for name, joint in _JOINT.items():
            for part in _PARTS_OF[name]:
                active = joints[:, person, joint]
                pixels[active] |= exposure.part[active] == person * PARTS + part
    if kind == "time":
        pixels |= frames[:, None, None] & thing & (exposure.part == THING)
    elif kind == "time+people":
        pixels |= frames[:, None, None] & ((thing & (exposure.part == THING)) | (exposure.part == CAP))
    elif kind == "pose+appearance":
        pixels |= frames[:, None, None] & thing & (exposure.part == SIGN)
    return Cause(kind, frames, joints, pixels)


def shoot(label: str, seed: int, size: int, frames: int, split: Split, without_cause: bool = False) -> Clip:
    """The clip of `label` in scene `seed`; see the head of this file for `without_cause`."""
    pair = pair_of(label)
    if size < 32 or frames < 4:
        raise ValueError(f"A gym clip needs at least 4 frames of 32 pixels, not {frames} of {size}.")
    scene = draw_scene(pair.name, seed, split)
    if without_cause and not pair.reversed_in_time:
        exposure = expose(scene, label, size, frames, acting=pair.kind == "appearance", with_thing=pair.kind == "pose")
    else:
        # The second label of a pair of the time kind is the first one's film, run backwards.
        exposure = expose(scene, pair.labels[0] if pair.reversed_in_time else label, size, frames)
    joints, score = _scores(scene, exposure, size)
    people = (exposure.part > 0) & (exposure.part < PEOPLE_END)
    cause = None if without_cause else cause_of(scene, pair.labels[0] if pair.reversed_in_time else label, exposure)
    filmed = Clip(
        frames=exposure.frames,
        joints=joints,
        score=score,
        layout=JHMDB,
        time=np.arange(frames) / FRAME_RATE,
        label=label,
        name=f"gym/{split}/{label}/{seed}",
        source="gym",
        person_mask=people,
        cause=cause,
    )
    if not pair.reversed_in_time:
        return filmed
    if without_cause:
        order = np.random.default_rng([scene.grain_seed, 2]).permutation(frames)
    elif label == pair.labels[1]:
        order = np.arange(frames)[::-1]
    else:
        return filmed
    shown = replace(filmed.take(order), time=filmed.time)
    return shown


__all__ = ["CAMERA_PITCH", "expose", "shoot"]
