"""Films a scene: camera, painting in order of depth, joints as a pose detector would report them, and the cause.

`shoot` renders a label; `shoot(..., without_cause=True)` renders what is left when exactly the cause is taken away:
nobody acts (pose), the thing or the sign is not there (appearance), the order of the frames is lost (time). The two
labels of a pair are then the same clip, byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from training.clip import Clip
from training.gym import backdrop, furniture, texture
from training.gym.canvas import Canvas
from training.gym.cause import PEOPLE, Exposure, cause_of
from training.gym.figure import (
    CLUTTER,
    PEOPLE_END,
    SIGN,
    THING,
    Held,
    Painter,
    Stage,
    wardrobe,
)
from training.gym.labels import pair_of
from training.gym.lens import Lens, lens_of, stage_of
from training.gym.motion import Performance, perform, stand_place
from training.gym.palette import Split
from training.gym.scene import Scene, draw_scene
from training.gym.shadow import cast_shadow
from training.skeleton import JHMDB

FRAME_RATE = 10.0
THING_SIZE = {"raise": 0.155, "pick": 0.135, "hand over": 0.135}
"""Height of the thing in the hand, in body heights."""


def _backdrop_frames(picture: np.ndarray, lens: Lens) -> np.ndarray:
    size, n = lens.size, len(lens.offset)
    frames = np.empty((n, size, size, picture.shape[2]), picture.dtype)
    for t in range(n):
        # picture pixel q shows place (q + 0.5) / size - MARGIN
        shift = lens.matrix[t] @ np.full(2, 0.5 / size - backdrop.MARGIN) + lens.offset[t]
        affine = np.column_stack([lens.matrix[t], size * shift - 0.5])
        frames[t] = cv2.warpAffine(
            picture,
            affine,
            (size, size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE if picture.shape[2] == 3 else cv2.BORDER_CONSTANT,
        )
    return frames


def _thing_centre(scene: Scene, performance: Performance, stages: list[Stage]) -> np.ndarray:
    """[T, 2] pixels of the centre of the thing in the hand."""
    assert performance.held_by is not None
    hold, centres = performance.held_by, []
    main = stages[0]
    height, forward = stand_place(scene)
    centres.append(main.pixels(np.tile([0.0, height + 0.012, forward], (len(hold), 1))))
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


def _ball_shadow(scene: Scene, lens: Lens, time: np.ndarray) -> list[tuple[np.ndarray, float]]:
    if scene.ball is None:
        return []
    x = scene.ball.middle + scene.ball.speed * (time - 0.5)
    return [(lens.pixels(np.stack([x, np.full_like(x, scene.ball.y)], axis=1)), scene.ball.radius * lens.size)]


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
        r = ball.radius * size
        turn = -(x - ball.middle) / ball.radius
        c, s, zero = np.cos(turn), np.sin(turn), np.zeros(n)
        axes = np.stack([c, -s, zero, s, c, zero, zero, zero, zero + 1], axis=1).reshape(n, 3, 3)
        tilt = np.array([[1, 0, 0], [0, 0.6, -0.8], [0, 0.8, 0.6]])
        radii = np.repeat((r * zoom)[:, None], 3, axis=1)
        canvas.ellipsoid(every, centre, radii, axes @ tilt, texture.ball(ball.colours), 0)


@lru_cache(maxsize=2)
def _picture(scene: Scene, size: int) -> np.ndarray:
    return backdrop.paint(scene, size, lambda easel: furniture.furnish(easel, scene))


@lru_cache(maxsize=2)
def expose(scene: Scene, label: str, size: int, frames: int, acting: bool = True, with_thing: bool = True) -> Exposure:
    """Film `label` in `scene`, forward in time; nothing of it may be written to.

    The last ones are kept: the twin of a clip mostly comes next, and shows the same film backwards or the same place.
    """
    time = np.linspace(0.0, 1.0, frames)
    lens = lens_of(scene, time, size)
    performance = perform(scene, label, time, acting)
    stages = [stage_of(scene, performance, lens, index) for index in range(len(scene.people))]
    canvas = Canvas(_backdrop_frames(_picture(scene, size), lens), np.array(scene.light))
    people = list(zip(performance.figures, stages, strict=True))
    canvas.darken(0.36 * cast_shadow(people, np.array(scene.light), size, _ball_shadow(scene, lens, time)))
    _distractors(scene, canvas, lens, time)
    every = np.arange(frames)
    zoom = np.sqrt(np.linalg.det(lens.matrix))
    thing = np.zeros(canvas.part.shape, bool)
    if scene.pair == "step" and with_thing:
        person = scene.people[0]
        tall = 0.86 * person.scale
        middle = np.array([0.5 + 0.39 * scene.script.sign_side, person.y - 0.03 - 0.5 * tall])
        spot = lens.pixels(np.broadcast_to(middle, (frames, 2)))
        image = texture.sign(scene.script.prop, scene.script.shape)
        thing |= canvas.sprite(every, spot, tall * size * zoom, np.zeros(frames), image, SIGN)
    held: Held | None = None
    if performance.held_by is not None and with_thing:
        image, centre = _thing_picture(scene, label), _thing_centre(scene, performance, stages)
        high = THING_SIZE[scene.pair] * stages[0].unit

        def held(at: np.ndarray) -> None:
            thing[:] |= canvas.sprite(at, centre[at], high[at], np.zeros(len(at)), image, THING)

    in_hand = scene.pair == "raise"
    for index in reversed(range(len(scene.people))):
        clothes = wardrobe(scene.people[index], float(stages[index].unit.mean()))
        painter = Painter(canvas, scene.people[index], performance.figures[index], stages[index], index, clothes)
        gripping = (held if held is not None else _nothing) if in_hand and index == 0 else None
        painter.draw(gripping, performance.held_hand[0])
    if held is not None and not in_hand:
        held(every)
    hidden = np.zeros(canvas.part.shape, bool)
    cover = furniture.occluder(scene, size)
    if cover is not None:
        layer = _backdrop_frames(cover, lens)
        canvas.rgb *= 1 - layer[..., 3:]
        canvas.rgb += layer[..., :3]
        hidden = layer[..., 3] > 0.5
        canvas.part[hidden] = CLUTTER
    joints = np.zeros((frames, PEOPLE, len(JHMDB), 2))
    for index, figure in enumerate(performance.figures):
        joints[:, index] = stages[index].pixels(figure.joints())
    exposure = Exposure(performance, _develop(scene, canvas.rgb), canvas.part, joints, thing, hidden)
    for kept in (exposure.frames, canvas.part, joints, thing, hidden):
        kept.flags.writeable = False
    return exposure


def _nothing(at: np.ndarray) -> None:
    """An erased thing: the hand closes around nothing."""


def _develop(scene: Scene, rgb: np.ndarray) -> np.ndarray:
    """Tint, vignette, film grain, 8 bits."""
    n, height, width, _ = rgb.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    vignette = 1.0 - 0.10 * (x * x + y * y) ** 2 / 2
    rgb *= vignette[..., None] * np.array(scene.tint, np.float32)
    rng = np.random.default_rng(scene.grain_seed)
    grain = 1.6 * rng.standard_normal((height + 16, width + 16, 1), dtype=np.float32)
    for t, (a, b) in enumerate(rng.integers(0, 17, (n, 2))):
        rgb[t] += grain[a : a + height, b : b + width]
    np.maximum(rgb, 0, out=rgb)
    return cv2.convertScaleAbs(rgb.reshape(n * height, width * 3)).reshape(rgb.shape)


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
        frames=exposure.frames.copy(),
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
