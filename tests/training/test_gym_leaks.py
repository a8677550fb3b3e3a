"""No leaks: what does not hold the cause tells a linear probe nothing.

Most of it is exact: the two sides of a pair share the scene, so a first frame, a background or a bag of frames that
is the same, byte for byte, on both sides cannot tell them apart whatever the probe (test_gym.py). Probes are for
what is only equal in distribution, and one control shows that they see a cause where there is one.
"""

from __future__ import annotations

import numpy as np
import pytest

from training import gym
from training.clip import Clip
from training.gym.scene import draw_scene

SCENES, HELD_OUT, SIZE, FRAMES = 100, 40, 32, 6


def probe(first: np.ndarray, second: np.ndarray, held_out: int = HELD_OUT) -> float:
    """Held-out accuracy of a ridge classifier between two sets of features [N, D]; rows share their scene."""
    train = np.concatenate([first[:-held_out], second[:-held_out]])
    test = np.concatenate([first[-held_out:], second[-held_out:]])
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-6
    train, test = (train - mean) / spread, (test - mean) / spread
    sides = np.repeat([1.0, -1.0], len(first) - held_out)
    gram = train @ train.T
    dual = np.linalg.solve(gram + 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram)), sides)
    guess = np.sign(test @ (train.T @ dual))
    return float((guess == np.repeat([1.0, -1.0], held_out)).mean())


def at_chance(accuracy: float, held_out: int = HELD_OUT) -> bool:
    """Inside the 95 % interval of guessing on `held_out` scenes.

    The two clips of a scene are not independent (one who guesses the sign's side is right or wrong on both), so that
    scenes are counted, not clips.
    """
    return abs(accuracy - 0.5) <= 1.96 * np.sqrt(0.25 / held_out)


def sides(pair: str) -> tuple[list[Clip], list[Clip]]:
    first, second = gym.PAIRS[pair].labels
    shot = [gym.clip(first, seed, SIZE, FRAMES) for seed in range(SCENES)]
    if gym.PAIRS[pair].reversed_in_time:
        return shot, [clip.take(np.arange(FRAMES)[::-1]) for clip in shot]
    return shot, [gym.clip(second, seed, SIZE, FRAMES) for seed in range(SCENES)]


@pytest.fixture(scope="module")
def steps() -> tuple[list[Clip], list[Clip]]:
    return sides("step")


def mean_frames(clips: list[Clip]) -> np.ndarray:
    return np.stack([clip.frames.mean(axis=0).ravel() for clip in clips])


def joint_means(clips: list[Clip]) -> np.ndarray:
    return np.stack([(clip.joints[:, 0] * (clip.score[:, 0, :, None] > 0)).mean(axis=0).ravel() for clip in clips])


def test_neither_pixels_nor_joints_alone_decide_the_step(steps: tuple[list[Clip], list[Clip]]) -> None:
    toward, away = steps
    assert at_chance(probe(mean_frames(toward), mean_frames(away)))
    assert at_chance(probe(joint_means(toward), joint_means(away)))
    last = [np.stack([clip.joints[-1, 0].ravel() for clip in clips]) for clips in steps]
    assert at_chance(probe(*last))


def test_background_of_a_step_tells_nothing(steps: tuple[list[Clip], list[Clip]]) -> None:
    behind = [
        np.stack([(clip.frames * ~clip.person_mask[..., None]).mean(axis=0).ravel() for clip in clips])
        for clips in steps
    ]
    assert at_chance(probe(*behind))


@pytest.mark.parametrize("pair", ["wave", "kick", "bow", "hand over"])
def test_background_tells_nothing_where_neither_side_has_a_person(pair: str) -> None:
    """Cast shadows and contact shadows included. Each side's own mask would be a silhouette, so both are taken out."""
    one, other = sides(pair)
    outside = [~(a.person_mask | b.person_mask)[..., None] for a, b in zip(one, other, strict=True)]
    behind = [
        np.stack([(clip.frames * keep).mean(axis=0).ravel() for clip, keep in zip(clips, outside, strict=True)])
        for clips in (one, other)
    ]
    assert at_chance(probe(*behind))


def test_order_leaves_no_trace_outside_the_clap() -> None:
    # The first and the last frame of a clapping clip hold no clap; their difference knows the direction of time.
    early, late = sides("clap")
    arrow = [
        np.stack([(clip.frames[-1].astype(float) - clip.frames[0]).ravel() for clip in clips])
        for clips in (early, late)
    ]
    assert at_chance(probe(*arrow))
    drift = [np.stack([(clip.joints[-1, 0] - clip.joints[0, 0]).ravel() for clip in clips]) for clips in (early, late)]
    assert at_chance(probe(*drift))


def test_distractors_have_no_preferred_direction() -> None:
    scenes = [draw_scene(pair, seed) for pair in ("sit", "pick", "clap", "hand over") for seed in range(150)]
    speeds = [np.sign(scene.ball.speed) for scene in scenes if scene.ball is not None]
    assert abs(np.mean(speeds)) < 1.96 / np.sqrt(len(speeds))
    phases = np.array([scene.camera.phases for scene in scenes])
    assert (np.abs(np.exp(1j * phases).mean(axis=0)) < 2.5 / np.sqrt(len(scenes))).all()


def test_the_probe_sees_a_cause_where_there_is_one() -> None:
    left, right = ([gym.clip(label, seed, SIZE, FRAMES) for seed in range(45)] for label in gym.PAIRS["kick"].labels)
    assert probe(joint_means(left), joint_means(right), 15) > 0.8
