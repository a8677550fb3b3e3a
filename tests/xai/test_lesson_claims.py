"""What the lessons call correct, computed from the clip and the checkpoint of the step: a retrained checkpoint must not
make a lesson lie. Every question with a correct option is in CLAIMS, or in BY_CONSTRUCTION with what makes it so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from model.stride import windows
from model.tokenizer import joint_features
from model.transformer import DeformableTransformer
from tests.xai.clips import random_recognizer
from training.clip import Clip
from training.clip_file import load_clip
from training.recognizer import Prediction, Recognizer
from xai.dashboard.library import ASSETS, open_library
from xai.evidence import Evidence, gather_evidence
from xai.explanation import Explanation
from xai.lessons import Step, lessons_of
from xai.removal import from_json, predict_with
from xai.rerun import Rerun

STEPS = {(lesson.key, step.title): step for lesson in lessons_of(ASSETS / "lessons") for step in lesson.steps}


@cache
def network(checkpoint: str) -> Recognizer:
    return Recognizer.load(open_library().checkpoint(checkpoint).path, "cpu")


@cache
def clip(key: str) -> Clip:
    return load_clip(open_library().clip(key).path)


@cache
def evidence(checkpoint: str, key: str) -> Evidence:
    return gather_evidence(network(checkpoint), clip(key))


def of(step: Step) -> Evidence:
    return evidence(step.checkpoint, step.clip)


def without(step: Step, removal: str = "") -> Prediction:
    """What the network says without what the step takes away."""
    rerun = Rerun.of(network(step.checkpoint), clip(step.clip))
    return predict_with(rerun, None, from_json(removal or step.removal))


def parts_of(checkpoint: str, key: str) -> tuple[DeformableTransformer, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The network and what it is given of a clip: frames, joints, score."""
    recognizer = network(checkpoint)
    assert isinstance(recognizer.network, DeformableTransformer)
    return recognizer.network, *recognizer.tensors(clip(key), recognizer.view(clip(key)))


@torch.inference_mode()
def tokens(checkpoint: str, key: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Z [1, T, S, d] and P [1, T, R, d] of a clip."""
    net, frames, joints, score = parts_of(checkpoint, key)
    features_a, features_b = net.backbone(frames)
    return net.tokenizer.patches(features_b), net.tokenizer.pose(features_a, joints, score)


def labelled(explanation: Explanation | None, axis: str) -> tuple[str, ...]:
    assert explanation is not None
    return explanation.axes[explanation.axis(axis)].labels


def read_of(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Attention mass of joints and its base rate, [layer, query, frame, person, joint], mean of heads."""
    curves = of(step).joint_curves
    assert curves is not None
    base = np.broadcast_to(curves.base_rate, curves.values.shape)
    return curves.values.mean(1), base.mean(1)


# ---- What a token is ------------------------------------------------------------------------------------------------


@torch.inference_mode()
def patch_tokens(step: Step) -> int:
    net = parts_of(step.checkpoint, step.clip)[0]
    features_a, features_b = net.backbone(torch.zeros(1, 3, 3, 64, 64))
    assert (features_a.shape[-2:], features_b.shape[-2:]) == ((32, 32), (8, 8))  # half, and an eighth
    assert step.question is not None
    return step.question.options.index(str(net.tokenizer.patches(features_b).shape[2]))


@torch.inference_mode()
def ball_beside_a_patch(step: Step) -> int:
    """The pixels right of a token's own 8 x 8 become white, in one frame."""
    net, frames, *_ = parts_of(step.checkpoint, step.clip)
    changed = frames.clone()
    changed[:, :, 5, 40:48, 48:56] = 3
    moved = (net.backbone(changed)[1] - net.backbone(frames)[1]).abs().amax(1)[0]
    assert moved[4, 5, 5] > 0  # neighbouring frames are mixed in
    return int(bool(moved[5, 5, 5] > 0))


def an_unseen_joint(step: Step) -> int:
    """Nothing of the picture comes in, and no mass goes to it."""
    net, frames, joints, score = parts_of(step.checkpoint, step.clip)
    seen = clip(step.clip)
    wrist, score_without = seen.layout.joints.index("right wrist"), seen.score.copy()
    score_without[:, 0, wrist] = 0
    curves = gather_evidence(network(step.checkpoint), replace(seen, score=score_without)).joint_curves
    assert curves is not None
    assert (curves.values[..., 0, wrist] == 0).all()
    assert net.config.normalise_heatmap  # the mean under the bell, as the lesson has it
    with torch.inference_mode():
        features, unseen = net.backbone(frames)[0], torch.zeros_like(score.flatten(2))
        assert not joint_features(features, joints.flatten(2, 3), unseen, 2.0, normalise=True).any()
    return 1


def cup_or_phone(step: Step) -> int:
    """Which tokens differ between the twins, whose joints are the same."""
    assert (clip("raise-cup").joints == clip("raise-phone").joints).all()
    pairs = zip(tokens(step.checkpoint, "raise-cup"), tokens(step.checkpoint, "raise-phone"), strict=True)
    patches, pose = (bool((one - other).abs().max() > 1e-3) for one, other in pairs)
    return {(True, False): 0, (False, True): 1, (True, True): 2}[patches, pose]


# ---- Where the points go --------------------------------------------------------------------------------------------


def another_query(step: Step) -> int:
    """The places have no query among their axes; the weights differ."""
    points = of(step).sampling_points
    assert points is not None
    assert points.companions["place"].shape == (points.values.shape[0], points.values.shape[-1], 3)
    queries = labelled(points, "query")
    cls, rgb = (points.values[:, :, queries.index(query)] for query in ("cls", "rgb"))
    return 1 if np.abs(cls - rgb).max() > 1e-3 else 0


def several_times_uniform(step: Step) -> int:
    points = of(step).sampling_points
    assert points is not None
    times = points.values.mean((1, 3)) / points.base_rate[:, 0, :, 0]  # [layer, query, point]
    assert times.max(-1).min() > 2
    assert len(points.values[0, 0, 0, 0]) < len(of(step).frame_index) * np.prod(np.array(of(step).model["size"]) // 8)
    return 1


# ---- Windows --------------------------------------------------------------------------------------------------------


def example_of_joints(step: Step) -> int:
    assert step.question is not None
    first, *_, last = (windows(8, 4, 2).key[0] + 1).tolist()
    return next(i for i, said in enumerate(step.question.options) if (said[0], said[-1]) == (str(first), str(last)))


def messengers(step: Step) -> int:
    """The pose token reads joints of every window."""
    mass, base = read_of(step)
    pose = labelled(of(step).joint_curves, "query").index("pose")
    assert (mass[:, pose][base[:, pose] > 0] > 0).all()
    return 2


def example_of_frames(step: Step) -> int:
    """The example of the lesson is this network: which frames have any mass."""
    read = of(step).temporal_windows
    assert read is not None
    reached = read.values.max((0, 1, 2)) > 0  # [query frame, frame]
    assert [list(np.flatnonzero(row) + 1) for row in reached[[0, 4]]] == [[3, 4, 5, 6], [7, 8, 9, 10]]
    assert {tuple(np.flatnonzero(row) + 1) for row in reached[8:12]} == {(1, 2, 11, 12)}
    return 2


def in_two_steps(step: Step) -> int:
    read = of(step).temporal_windows
    assert read is not None
    first, second = (read.values[layer].max((0, 1)) > 0 for layer in (0, 1))
    assert not second[0, 7]  # frame 1 never reads frame 8 itself
    return 0 if (second.astype(int) @ first.astype(int))[0, 7] else 1


# ---- Three tokens ---------------------------------------------------------------------------------------------------


def takes_part_in_both(step: Step) -> int:
    flow = of(step).token_flow
    attentions, readers = labelled(flow, "attention"), labelled(flow, "reader")
    part = {
        reader: {name for a, name in enumerate(attentions) if np.isfinite(flow.values[0, a, i]).any()}
        for i, reader in enumerate(readers)
    }
    assert all("temporal" in part[token] for token in ("cls", "rgb", "pose"))
    both = [i for i, token in enumerate(("cls", "rgb", "pose")) if {"deformable", "joint"} <= part[token]]
    assert len(both) == 1
    return both[0]


def one_lane_is_wrong(step: Step) -> int:
    said = [evidence(f"gym-{mode}", step.clip) for mode in step.lanes]
    assert [each.labels[each.top] == clip(step.clip).label for each in said].count(False) == 1
    return 1


def pose_at_the_head(step: Step) -> int:
    found = of(step)
    assert found.labels[found.top] == step.opens.label
    pose = labelled(found.ledger, "token").index("pose")
    parts = found.ledger.values[found.top].sum(-1)
    now = without(step)
    assert now.ledger[found.top].sum(-1) == pytest.approx([*parts[:pose], 0.0, *parts[pose + 1 :]], abs=1e-4)
    change = now.logits[found.top] - found.ledger.companions["logits"][found.top]
    return 0 if change == pytest.approx(-parts[pose], abs=1e-4) else 2


# ---- Is attention an explanation? -----------------------------------------------------------------------------------


def mass_given_away(step: Step) -> int:
    """What each reader reads sums to 1, trained or not."""
    for found in (of(step), gather_evidence(random_recognizer(), clip(step.clip))):
        sums = found.token_flow.values.sum(-1)
        assert sums[np.isfinite(sums)] == pytest.approx(1.0, abs=1e-4)
    return 2


def what_decides(step: Step) -> int:
    cause, layout = clip(step.clip).cause, clip(step.clip).layout
    assert cause is not None
    assert [layout.joints[j] for j in np.flatnonzero(cause.joints.any((0, 1)))] == ["right elbow", "right wrist"]
    assert 0 < cause.joints.any((1, 2)).sum() < len(cause.joints)  # while they wave
    return 0


def arm_or_leg(step: Step) -> int:
    before, top = of(step).ledger.companions["logits"], of(step).top
    falls = [
        abs(before[top] - without(step, f'[{{"kind":"limbs","limbs":["{limb}"]}}]').logits[top])
        for limb in ("right arm", "left leg")
    ]
    return 0 if falls[0] > 2 * falls[1] else 1 if falls[1] > 2 * falls[0] else 2


def without_all_joints(step: Step) -> int:
    """The network did use the joints for something: its answer does not stay as it was."""
    found, now = of(step), without(step)
    mass, base = read_of(step)
    assert (mass[base > 0] / base[base > 0]).max() > 1.5  # some are drawn brighter than others
    return int(now.probabilities[found.top] < 0.9 * found.probabilities[found.top])


def what_may_be_written(step: Step) -> int:
    """The sentence is true of the place at which the step opens the player."""
    opens, question = step.opens, step.question
    assert question is not None
    assert opens.block is not None
    assert opens.joint is not None
    said = f"The {(opens.query or '').upper()} token of block {opens.block} read the {opens.joint} more than uniform"
    written = next(i for i, option in enumerate(question.options) if option.startswith(said))
    mass, base = read_of(step)
    query = labelled(of(step).joint_curves, "query").index(opens.query or "")
    place = (opens.block - 1, query, slice(None), 0, clip(step.clip).layout.joints.index(opens.joint))
    return written if mass[place].sum() > 1.1 * base[place].sum() else -1


CLAIMS: dict[tuple[str, str], Callable[[Step], int]] = {
    ("tokens", "Where the picture goes"): patch_tokens,
    ("tokens", "A token is not a tile cut out of the picture"): ball_beside_a_patch,
    ("tokens", "When nobody saw the joint"): an_unseen_joint,
    ("tokens", "Cup or phone"): cup_or_phone,
    ("points", "Everyone reads the same points"): another_query,
    ("points", "Much, compared with what?"): several_times_uniform,
    ("windows", "Neighbours on the body"): example_of_joints,
    ("windows", "The messengers"): messengers,
    ("windows", "Windows of frames"): example_of_frames,
    ("windows", "Far apart, in two steps"): in_two_steps,
    ("three-tokens", "Who reads what"): takes_part_in_both,
    ("three-tokens", "The three variants of the paper"): one_lane_is_wrong,
    ("three-tokens", "Who adds what to the answer"): pose_at_the_head,
    ("attention", "What attention mass is"): mass_given_away,
    ("attention", "Here the cause is known"): what_decides,
    ("attention", "Take away what cannot matter"): arm_or_leg,
    ("attention", "An answer that joints cannot give"): without_all_joints,
    ("attention", "How can the two differ?"): what_may_be_written,
}
"""(lesson, title of the step) -> which option the numbers give, from 0."""
BY_CONSTRUCTION = {
    ("tokens", "Which joint, whose, and when"): "softmax over a set knows no order",
    ("points", "Reading everything is dear"): "arithmetic",
    ("points", "Then each point is moved"): "what the player draws in orange; tests/browser/test_player.py",
    ("points", "A point between two frames"): "linear interpolation; tests/model",
    ("three-tokens", "Three messengers in every frame"): "modal tokens are parameters, which see no clip",
    ("three-tokens", "Two versions become one"): "a linear layer can hold zeros",
}


@pytest.mark.parametrize(("place", "claim"), CLAIMS.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_the_numbers_give_the_option_that_a_lesson_calls_correct(
    place: tuple[str, str], claim: Callable[[Step], int]
) -> None:
    step = STEPS[place]
    assert step.question is not None
    assert claim(step) == step.question.right


def test_every_question_with_a_correct_option_is_looked_after() -> None:
    asked = {place for place, step in STEPS.items() if step.question and step.question.right is not None}
    assert asked == CLAIMS.keys() | BY_CONSTRUCTION.keys()


def test_the_lessons_call_a_button_by_its_name() -> None:
    button = "ghosts: zero offsets, uniform"
    assert f"*{button}*" in STEPS["points", "It starts with an even grid"].text
    assert button in (ASSETS.parent / "xai/dashboard/player/player.html").read_text(encoding="utf-8")


def test_twins_differ_in_what_the_lessons_say() -> None:
    early, late = clip("clap-early"), clip("clap-late")
    assert (early.frames[::-1] == late.frames).all()
    assert early.joints[::-1] == pytest.approx(late.joints)
    right, left = clip("wave-right-hand"), clip("wave-left-hand")
    moved = np.abs(right.joints - left.joints).max((0, 1, 3)) > 1e-3
    assert {right.layout.joints[j] for j in np.flatnonzero(moved)} == {
        f"{side} {joint}" for side in ("right", "left") for joint in ("elbow", "wrist")
    }


def test_a_token_that_is_gone_from_every_block_moves_the_parts_of_the_others() -> None:
    step = STEPS["three-tokens", "And further down?"]
    found = of(step)
    change = without(step).ledger[found.top].sum(-1) - found.ledger.values[found.top].sum(-1)
    assert np.abs(change).min() > 0.01
