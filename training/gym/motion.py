"""What the people of a scene do: idle, and for the main person the action of the label.

`perform` returns figures over time in their own frames, and where the thing in the hand is. With `acting=False`
nobody acts and everything else goes on as before: the difference between the two is the cause of a pose clip.
Actions of the pairs that are reversed in time are written once, for the first label; the film turns them round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.gym.kinematics import (
    ANKLE_HEIGHT,
    HIP_HEIGHT,
    LEFT,
    RIGHT,
    SIDES,
    Arm,
    Figure,
    Trunk,
    arm,
    ease,
    envelope,
    leg,
    mix,
    trunk,
    vector,
)
from training.gym.scene import Person, Scene

SIGNS = (1.0, -1.0)
"""x of the left side and of the right side in the person's own frame."""


@dataclass(frozen=True)
class Controls:
    """What an action may steer; everything is [T] or [T, 3] in the person's own frame, in body heights."""

    pelvis: np.ndarray
    lean: np.ndarray
    tilt: np.ndarray
    turn: np.ndarray
    head: tuple[np.ndarray, np.ndarray, np.ndarray]
    ankles: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Performance:
    """Figures over time, one a person of the scene, and the thing they hold, if any."""

    figures: tuple[Figure, ...]
    offsets: np.ndarray
    """[T] sideways shift of the main person on screen in body heights, positive to the right of the image."""
    held_by: np.ndarray | None = None
    """[T, 3]: weight of (stand, main person, other person) on where the thing is."""
    held_hand: tuple[int, int] = (RIGHT, RIGHT)


def idle(person: Person, time: np.ndarray) -> Controls:
    """Breathing, swaying and looking about."""
    p, build, n = person.sway, person.build, len(time)
    beat = 2 * np.pi * time
    sway = 0.010 * np.sin(0.8 * beat + p[0])
    hip = HIP_HEIGHT * (build.thigh + build.shin) / 0.457
    stance = 0.062 + 0.012 * np.cos(p[1])
    foot = 0.014 * np.sin(p[2])
    return Controls(
        pelvis=vector(sway, hip - 0.006 + 0.003 * np.sin(1.3 * beat + p[3]), 0.004 * np.sin(beat + p[4]), n),
        lean=0.03 + 0.02 * np.sin(0.9 * beat + p[5]),
        tilt=-0.9 * sway,
        turn=0.05 * np.sin(0.7 * beat + p[6]),
        head=(
            0.22 * np.sin(0.8 * beat + p[7]) + 0.1 * np.sin(p[8]),
            0.05 * np.sin(1.1 * beat + p[8]),
            0.05 * np.sin(0.9 * beat + p[9]),
        ),
        ankles=(
            vector(stance, ANKLE_HEIGHT, 0.01 + foot, n),
            vector(-stance, ANKLE_HEIGHT, 0.01 - foot, n),
        ),
    )


def body_of(person: Person, controls: Controls) -> Trunk:
    return trunk(person.build, controls.pelvis, controls.lean, controls.tilt, controls.turn, controls.head)


def resting_hand(person: Person, body: Trunk, side: int, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the wrist rests and where the elbow points, both [T, 3], for the arm's posture."""
    n, sign, posture = len(time), SIGNS[side], person.postures[side]
    p = person.sway[side]
    shoulder, reach = body.shoulders[side], person.build.upper_arm + person.build.forearm
    if posture == "hip":
        return body.hips[side] + vector(sign * 0.058, 0.065, 0.035, n), vector(sign, 0.1, -0.45, n)
    if posture == "front":
        return body.pelvis + vector(sign * 0.022, 0.045, 0.12, n), vector(sign, -0.3, -0.5, n)
    if posture == "head":
        rub = 0.010 * np.sin(2 * np.pi * (2.2 * time) + p)
        target = body.head + vector(sign * 0.078, 0.035 + rub, 0.03, n)
        return target, vector(sign, -0.1, 0.15, n)
    swing = 0.012 * np.sin(2 * np.pi * 0.9 * time + p)
    return shoulder + vector(sign * 0.045, -0.965 * reach, 0.035 + swing, n), vector(sign * 0.6, 0.0, -1.0, n)


def assemble(person: Person, controls: Controls, arms: tuple[Arm, Arm]) -> Figure:
    body = body_of(person, controls)
    legs = tuple(leg(person.build, body.hips[side], controls.ankles[side], SIGNS[side] * 0.28) for side in SIDES)
    return Figure(body, arms, (legs[LEFT], legs[RIGHT]))


def resting_arms(person: Person, body: Trunk, time: np.ndarray) -> tuple[Arm, Arm]:
    arms = []
    for side in SIDES:
        target, pole = resting_hand(person, body, side, time)
        arms.append(arm(person.build, body.shoulders[side], target, pole, np.full(len(time), 0.12)))
    return arms[LEFT], arms[RIGHT]


def moved_arm(
    person: Person,
    body: Trunk,
    side: int,
    time: np.ndarray,
    target: np.ndarray,
    pole: np.ndarray,
    weight: np.ndarray,
    spread: float,
) -> Arm:
    """The arm at rest where `weight` [T] is 0 and at `target` [T, 3] where it is 1."""
    rest, rest_pole = resting_hand(person, body, side, time)
    # Swinging out on the way keeps the hand from passing through the body.
    detour = vector(SIGNS[side] * 0.05, 0, 0.07, len(time)) * (4 * weight * (1 - weight))[:, None]
    place = mix(rest, target, weight) + detour
    return arm(person.build, body.shoulders[side], place, mix(rest_pole, pole, weight), 0.12 + (spread - 0.12) * weight)


def _with_arm(arms: tuple[Arm, Arm], side: int, new: Arm) -> tuple[Arm, Arm]:
    return (new, arms[RIGHT]) if side == LEFT else (arms[LEFT], new)


def wave(scene: Scene, controls: Controls, time: np.ndarray, side: int) -> Figure:
    person, script, n, sign = scene.people[0], scene.script, len(time), SIGNS[side]
    body = body_of(person, controls)
    weight = envelope(time, script.start, script.stop, 0.14)
    swing = np.sin(2 * np.pi * ((time - script.start) * 4.6 * script.beat) + script.phase)
    target = body.shoulders[side] + vector(
        sign * (0.115 + 0.085 * script.reach * swing), 0.215 - 0.02 * np.abs(swing), 0.06, n
    )
    raised = moved_arm(person, body, side, time, target, vector(sign, -0.7, -0.1, n), weight, 1.0)
    return assemble(person, controls, _with_arm(resting_arms(person, body, time), side, raised))


def kick(scene: Scene, controls: Controls, time: np.ndarray, side: int) -> Figure:
    person, script, n, sign = scene.people[0], scene.script, len(time), SIGNS[side]
    build, body = person.build, body_of(person, controls)
    middle = 0.5 * (script.start + script.stop)
    weight = ease((time - script.start) / (0.9 * (middle - script.start)))
    weight = weight * ease((script.stop - time) / (0.8 * (script.stop - middle)))
    reach = build.thigh + build.shin
    angle = 1.18 * script.reach * weight
    swing = (
        body.hips[side]
        + reach
        * vector(sign * 0.62 * np.sin(angle), -np.cos(angle), 0.78 * np.sin(angle), n)
        * (1 - 0.12 * np.sin(np.pi * np.clip(weight, 0, 1)))[:, None]
    )
    ankle = mix(controls.ankles[side], swing, ease(weight * 1.6))
    ankles = (ankle, controls.ankles[RIGHT]) if side == LEFT else (controls.ankles[LEFT], ankle)
    kicking = Controls(controls.pelvis, controls.lean, controls.tilt, controls.turn, controls.head, ankles)
    return assemble(person, kicking, resting_arms(person, body, time))


def bow(scene: Scene, controls: Controls, time: np.ndarray, forward: bool) -> Figure:
    person, script = scene.people[0], scene.script
    weight = envelope(time, script.start, script.stop, 0.2) * script.reach
    yaw, pitch, roll = controls.head
    nod, lean = (1.05, 0.85) if forward else (-0.88, -0.2)
    bent = Controls(
        controls.pelvis + vector(0, 0, -0.05 * weight * (1.0 if forward else -0.4), len(time)),
        controls.lean + lean * weight,
        controls.tilt,
        controls.turn,
        (yaw * (1 - 0.6 * np.minimum(weight, 1)), pitch + nod * weight, roll),
        controls.ankles,
    )
    return assemble(person, bent, resting_arms(person, body_of(person, bent), time))


def sit(scene: Scene, controls: Controls, time: np.ndarray) -> Figure:
    person, script, n = scene.people[0], scene.script, len(time)
    progress = (time - script.start) / (script.stop - script.start)
    weight = ease(progress)
    seat = vector(0, script.height + 0.055, -0.19, n)
    stand = controls.pelvis + vector(0, 0, 0.02, n)
    lean = controls.lean + 0.62 * np.sin(np.pi * np.clip(progress, 0, 1)) ** 2 + 0.02 * weight
    yaw, pitch, roll = controls.head
    ankles = tuple(place + vector(0, 0, 0.04, n) for place in controls.ankles)
    down = Controls(
        mix(stand, seat, weight),
        lean,
        controls.tilt,
        controls.turn,
        (yaw, pitch + 0.35 * (lean - controls.lean), roll),
        (ankles[LEFT], ankles[RIGHT]),
    )
    body = body_of(person, down)
    arms = []
    for side in SIDES:
        lap = body.hips[side] + vector(SIGNS[side] * 0.01, 0.075, 0.15, n)
        arms.append(moved_arm(person, body, side, time, lap, vector(SIGNS[side], -0.2, -0.6, n), weight, 0.2))
    return assemble(person, down, (arms[LEFT], arms[RIGHT]))


def pick(scene: Scene, controls: Controls, time: np.ndarray) -> tuple[Figure, np.ndarray]:
    person, script, n = scene.people[0], scene.script, len(time)
    grasp = script.start + 0.5 * (script.stop - script.start)
    down = ease((time - script.start) / (grasp - 0.04 - script.start)) * ease(
        (script.stop - time) / (script.stop - grasp - 0.04)
    )
    lifted = ease((time - grasp - 0.03) / (script.stop - grasp - 0.03))
    bend = down * (1.0 - 1.4 * (script.height - 0.14))
    yaw, pitch, roll = controls.head
    bent = Controls(
        controls.pelvis + vector(0, -0.15 * bend, -0.09 * bend, n),
        controls.lean + 0.98 * bend,
        controls.tilt,
        controls.turn,
        (yaw * 0.4, pitch + 0.4 * bend + 0.12, roll),
        (controls.ankles[LEFT] + vector(0, 0, 0.05, n), controls.ankles[RIGHT] + vector(0, 0, -0.03, n)),
    )
    body, side = body_of(person, bent), script.hand
    stand = vector(0.0, *stand_place(scene), n) + vector(SIGNS[side] * 0.015, 0.085, -0.035, n)
    carry = body.shoulders[side] + vector(-SIGNS[side] * 0.05, -0.13, 0.2, n)
    target = mix(stand, carry, lifted)
    raised = np.maximum(ease((time - script.start) / (grasp - 0.05 - script.start)), lifted)
    hand = moved_arm(person, body, side, time, target, vector(SIGNS[side] * 0.7, -0.6, -0.8, n), raised, 0.35)
    figure = assemble(person, bent, _with_arm(resting_arms(person, body, time), side, hand))
    holding = (time >= grasp).astype(float)
    return figure, np.stack([1 - holding, holding, np.zeros(n)], axis=1)


def stand_place(scene: Scene) -> tuple[float, float]:
    """Height and forward distance of the thing on its stand, in the main person's own frame."""
    return scene.script.height + 0.055, 0.30


def raise_thing(scene: Scene, controls: Controls, time: np.ndarray) -> Figure:
    person, script, n = scene.people[0], scene.script, len(time)
    body, side = body_of(person, controls), script.hand
    sign = SIGNS[side]
    weight = ease((time - script.start) / (script.stop - script.start))
    low = body.shoulders[side] + vector(sign * 0.07, -0.2, 0.15, n)
    high = body.shoulders[side] + vector(sign * 0.085, 0.06 + 0.02 * script.reach, 0.12, n)
    hand = arm(
        person.build,
        body.shoulders[side],
        mix(low, high, weight) + vector(sign * 0.03 * np.sin(np.pi * weight), 0, 0, n),
        vector(sign, -0.8, -0.5, n),
        np.full(n, 0.25),
    )
    return assemble(person, controls, _with_arm(resting_arms(person, body, time), side, hand))


def step(scene: Scene, controls: Controls, time: np.ndarray, direction: float) -> tuple[Figure, np.ndarray]:
    """One step sideways: one foot goes, the weight follows, the other foot closes. `direction`: 1 is right."""
    script, n = scene.script, len(time)
    progress = np.clip((time - script.start) / (script.stop - script.start), 0, 1)
    size = 0.2 * script.reach
    first, second, weight = ease(progress / 0.55), ease((progress - 0.45) / 0.55), ease(progress)
    lead = LEFT if direction > 0 else RIGHT
    ankles = []
    for side in SIDES:
        gone = first if side == lead else second
        lift = 0.055 * np.sin(np.pi * gone)
        ankles.append(controls.ankles[side] + vector(direction * size * (gone - weight), lift, 0, n))
    bob = -0.02 * np.sin(np.pi * progress)
    moving = Controls(
        controls.pelvis + vector(0, bob, 0, n),
        controls.lean,
        controls.tilt - 0.08 * direction * np.sin(np.pi * progress),
        controls.turn,
        controls.head,
        (ankles[LEFT], ankles[RIGHT]),
    )
    person = scene.people[0]
    return assemble(person, moving, resting_arms(person, body_of(person, moving), time)), direction * size * weight


def clap(scene: Scene, controls: Controls, time: np.ndarray) -> Figure:
    """Hands up, once together, and back: symmetric about its middle."""
    person, script, n = scene.people[0], scene.script, len(time)
    body = body_of(person, controls)
    middle, half = 0.5 * (script.start + script.stop), 0.5 * (script.stop - script.start)
    raised = envelope(time, script.start, script.stop, 0.75 * half)
    open_ = ease(np.abs(time - middle) / (0.62 * half))
    arms = []
    for side in SIDES:
        sign = SIGNS[side]
        target = body.neck + vector(sign * (0.016 + 0.16 * open_), -0.045, 0.19 - 0.02 * open_, n)
        arms.append(moved_arm(person, body, side, time, target, vector(sign, -0.8, -0.3, n), raised, 0.5))
    return assemble(person, controls, (arms[LEFT], arms[RIGHT]))


def hand_over(
    scene: Scene, controls: Controls, other: Controls, time: np.ndarray
) -> tuple[tuple[Figure, Figure], np.ndarray, tuple[int, int]]:
    """The main person gives: both reach to the middle, the thing changes hands, both draw back."""
    script, n = scene.script, len(time)
    middle, half = 0.5 * (script.start + script.stop), 0.5 * (script.stop - script.start)
    out = envelope(time, script.start, script.stop, 0.8 * half)
    figures, hands = [], []
    for index, steer in enumerate((controls, other)):
        person = scene.people[index]
        near = RIGHT if person.yaw > 0 else LEFT  # the arm on the viewer's side
        sign = SIGNS[near]
        steer = Controls(
            steer.pelvis,
            steer.lean + 0.1 * out,
            steer.tilt,
            steer.turn,
            (steer.head[0] * 0.4, steer.head[1] + 0.08, steer.head[2]),
            steer.ankles,
        )
        body = body_of(person, steer)
        held = body.shoulders[near] + vector(-sign * 0.01, -0.19, 0.13, n)
        meet = body.shoulders[near] + vector(-sign * 0.05, -0.085, 0.25, n)
        target = mix(held, meet, out)
        # Before the exchange the receiver's hand hangs, after it the giver's: the hand with the thing stays up.
        active = (
            ease((middle + 0.85 * half - time) / (0.7 * half))
            if index == 0
            else ease((time - middle + 0.85 * half) / (0.7 * half))
        )
        hand = moved_arm(person, body, near, time, target, vector(sign * 0.5, -1.0, -0.6, n), active, 0.35)
        figures.append(assemble(person, steer, _with_arm(resting_arms(person, body, time), near, hand)))
        hands.append(near)
    taken = ease((time - middle + 0.035) / 0.07)
    return (figures[0], figures[1]), np.stack([np.zeros(n), 1 - taken, taken], axis=1), (hands[0], hands[1])


def perform(scene: Scene, label: str, time: np.ndarray, acting: bool = True) -> Performance:
    """The people of `scene` under `label` at `time` [T] in [0, 1]; nobody acts if `acting` is off."""
    person = scene.people[0]
    controls = idle(person, time)
    others = tuple(
        assemble(other, steer, resting_arms(other, body_of(other, steer), time))
        for other in scene.people[1:]
        for steer in (idle(other, time),)
    )
    still = np.zeros(len(time))
    offsets, held_by, hands = still, None, (scene.script.hand, RIGHT)
    if scene.pair == "raise":
        figure = raise_thing(scene, controls, time)
        held_by = np.stack([still, still + 1, still], axis=1)
    elif not acting:
        figure = assemble(person, controls, resting_arms(person, body_of(person, controls), time))
    elif scene.pair == "wave":
        figure = wave(scene, controls, time, LEFT if label == "wave left hand" else RIGHT)
    elif scene.pair == "kick":
        figure = kick(scene, controls, time, LEFT if label == "kick left" else RIGHT)
    elif scene.pair == "bow":
        figure = bow(scene, controls, time, forward=label == "bow")
    elif scene.pair == "sit":
        figure = sit(scene, controls, time)
    elif scene.pair == "pick":
        figure, held_by = pick(scene, controls, time)
    elif scene.pair == "step":
        towards = 1.0 if label == "step toward sign" else -1.0
        figure, offsets = step(scene, controls, time, towards * scene.script.sign_side)
    elif scene.pair == "clap":
        figure = clap(scene, controls, time)
    else:
        (figure, receiver), held_by, hands = hand_over(scene, controls, idle(scene.people[1], time), time)
        others = (receiver,)
    return Performance((figure, *others), offsets, held_by, hands)
