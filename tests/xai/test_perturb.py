"""Removal maps on networks whose answer is known by hand, and their agreement with single removals on others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.linear import linear_recognizer
from training.clip import Cause, Clip
from training.skeleton import JHMDB
from xai.edits import JointHow, take_joints
from xai.explanation import Explanation
from xai.known_cause import planted_joint_found
from xai.methods import Method
from xai.perturb import METHODS
from xai.players import Skeleton
from xai.question import Question
from xai.removal import (
    Frames,
    Ground,
    Joints,
    Limbs,
    Modality,
    Offsets,
    People,
    Region,
    TimeOrder,
    Tokens,
    predict_with,
)  # fmt: skip
from xai.rerun import Rerun
from xai.trust import trust

torch.set_num_threads(1)
JOINTS = {"left wrist": 2.0, "right knee": -1.0, "face": 0.5}
WEIGHTS = np.array([JOINTS.get(name, 0.0) for name in JHMDB.joints])


def method(name: str) -> Method:
    return next(method for method in METHODS if method.name == name)


def run(question: Question, name: str, **options: object) -> Explanation:
    chosen = method(name)
    return chosen.run(question, chosen.on[0], **options)


def read_scores(question: Question) -> np.ndarray:
    """[T, M, J] as the network reads them, in the order of the layout: without joints outside the view."""
    return question.in_layout(question.tensors[2][0].numpy())


def black_clip(frames: int = 5, people: int = 0) -> Clip:
    clip = noise_clip(frames, 48, 48, people=people)
    return replace(clip, frames=np.zeros_like(clip.frames))


@pytest.mark.parametrize("people", [1, 2])
def test_joint_removal_of_a_sum(people: int) -> None:
    question = Question.ask(linear_recognizer(JOINTS), noise_clip(5, people=people), target="a")
    score = read_scores(question)
    explanation = run(question, "joint removal")
    expected = score.mean(axis=0) * WEIGHTS
    np.testing.assert_allclose(explanation.values, np.broadcast_to(expected, (5, people, 15)), atol=1e-6)
    assert [axis.name for axis in explanation.axes] == ["frame", "person", "joint"]
    seen = (score > 0).any(axis=0)
    assert explanation.base_rate == pytest.approx(expected.sum() / seen.sum(), abs=1e-6)
    in_runs = run(question, "joint removal", window=2)
    for start, stop in ((0, 2), (2, 4), (4, 5)):
        part = score[start:stop].sum(axis=0) * WEIGHTS / 5
        np.testing.assert_allclose(
            in_runs.values[start:stop], np.broadcast_to(part, (stop - start, people, 15)), atol=1e-6
        )


def test_limb_removal_of_a_sum() -> None:
    question = Question.ask(linear_recognizer({**JOINTS, "left elbow": 1.0}), noise_clip(5, 48, 48), target="a")
    explanation = run(question, "limb removal")
    score = question.seen.score.mean(axis=0)
    arm = 2 * score[:, JHMDB.joints.index("left wrist")] + score[:, JHMDB.joints.index("left elbow")]
    for joint in dict(JHMDB.limbs)["left arm"]:
        np.testing.assert_allclose(explanation.values[3, :, joint], arm, atol=1e-6)


def test_against_is_the_difference_of_two() -> None:
    clip = noise_clip(5, 48, 48)
    recognizer = linear_recognizer(JOINTS, frames=[1.0] * 5)
    alone = run(Question.ask(recognizer, clip, target="a"), "joint removal").values
    turned = run(Question.ask(recognizer, clip, target="b", against="a"), "joint removal").values
    np.testing.assert_allclose(turned, -alone, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_planted_joint_is_found(seed: int) -> None:
    generator = np.random.default_rng(seed)
    joint, person = int(generator.integers(15)), int(generator.integers(2))
    clip = noise_clip(6, 48, 48, seed=seed)
    score = np.where(np.arange(2)[:, None] == person, 1.0, 0.5).astype(np.float32) * np.ones((6, 2, 15), np.float32)
    joints = np.zeros((6, 2, 15), bool)
    joints[2:4, person, joint] = True
    cause = Cause("pose", joints.any((1, 2)), joints, np.zeros((6, *clip.size), bool))
    weights = dict.fromkeys(JHMDB.joints, 0.05) | {JHMDB.joints[joint]: 1.0}
    question = Question.ask(linear_recognizer(weights), replace(clip, score=score), target="a")
    for name in ("joint removal", "limb removal", "Shapley joints"):
        assert planted_joint_found(run(question, name), cause), name
    elsewhere = replace(cause, joints=np.roll(joints, 1, axis=1))
    assert not planted_joint_found(run(question, "limb removal"), elsewhere)


def test_frame_removal_of_a_sum() -> None:
    """Frame 3 alone is bright and counts for 2: held at a neighbour it is lost; others gain it when held at it."""
    clip = black_clip(5)
    clip.frames[3] = 255
    question = Question.ask(linear_recognizer(frames=[0.0, 0.0, 1.0, 2.0, 0.0]), clip, target="b")
    held = run(question, "frame removal")
    np.testing.assert_allclose(held.values, [0, 0, 0, 0.4, 0], atol=1e-6)  # frame 2 is held at frame 1, dark too
    mixed = run(question, "frame removal", how="interpolate")
    np.testing.assert_allclose(mixed.values, [0, 0, -128 / 255 / 5, 0.4, 0], atol=1e-3)
    pairs = run(question, "frame removal", window=2)  # 2 and 3 shown as 1 and 4
    np.testing.assert_allclose(pairs.values, [0, 0, 0.4, 0.4, 0], atol=1e-6)
    assert held.base_rate == pytest.approx(0.08)


@pytest.mark.parametrize("how", ["blur", "inpaint", "mean"])
def test_a_planted_tubelet_is_found(how: str) -> None:
    clip = black_clip(6)
    clip.frames[2:4, 16:32, 32:48] = 255  # row 1, column 2 of a grid of three by three
    question = Question.ask(linear_recognizer(frames=[1.0] * 6), clip, target="b")
    values = run(question, "tubelet removal", how=how, cells=3, window=2).values
    if how == "blur":  # a bright cell blurred with itself stays bright
        np.testing.assert_allclose(values, 0, atol=1e-6)
        return
    assert np.unravel_index(values[2].argmax(), (3, 3)) == (1, 2)
    np.testing.assert_array_equal(values[2], values[3])
    lost = 2 / 6 / 9 * (1 if how == "inpaint" else 1 - round(255 / 27) / 255)
    assert values[2, 1, 2] == pytest.approx(lost, rel=0.02)
    assert values[[0, 1, 4, 5]].max() <= 0


def test_cells_beyond_the_frame_are_not_taken_away_and_dilute_no_base_rate() -> None:
    known, clip = linear_recognizer(frames=[1.0] * 4), noise_clip(4, 60, 90, people=1)
    around = replace(known, card=replace(known.card, fit="person"))
    question = Question.ask(around, clip, target="b")
    height = np.ptp(question.view.box()[:, 1])
    assert height > 100  # the joints fill the frame, so a third of the rows of the grid lies beyond it
    explanation = run(question, "tubelet removal", how="mean", cells=6, window=4)
    values = explanation.values[0]
    assert (values[[0, -1]] == 0).all()
    inside = np.abs(values) > 0
    assert 6 < inside.sum() < 36
    rate = float(np.mean(explanation.base_rate))
    cells = [values[row, column] for row in range(6) for column in range(6) if inside[row, column]]
    assert rate == pytest.approx(np.mean(cells), rel=1e-3)


def test_cells_lie_where_the_view_is() -> None:
    """The view is the centre square of a wide clip; the grid and its box follow it."""
    clip = noise_clip(4, 60, 90, people=0)
    frames = np.zeros_like(clip.frames)
    frames[:, 30:60, 15:45] = 255  # left lower quarter of the square x = 15 ... 74
    question = Question.ask(linear_recognizer(frames=[1.0] * 4), replace(clip, frames=frames), target="b")
    explanation = run(question, "tubelet removal", how="mean", cells=2, window=4)
    assert explanation.values.shape == (4, 2, 2)
    np.testing.assert_allclose(explanation.companions["box"][0], [14.5, -0.5])
    assert np.unravel_index(explanation.values[0].argmax(), (2, 2)) == (1, 0)
    assert (explanation.values[0].ravel()[[0, 1, 3]] < 0).all()


@pytest.mark.parametrize(("token_mode", "frames", "people"), [("none", 4, 1), ("single", 5, 2), ("cross", 16, 1)])
def test_every_method_on_every_variant(token_mode: str, frames: int, people: int) -> None:
    options = {
        "tubelet removal": {"cells": 2, "window": 8},
        "Shapley joints": {"by": "limb", "budget": 32},
        "Shapley frames": {"budget": 32},
        "counterfactual joints": {"by": "limb", "budget": 1},
        "counterfactual frames": {"budget": 1},
        "modal token removal": {"window": 4},
    }
    recognizer = random_recognizer(size=32, frames=frames, token_mode=token_mode)
    question = Question.ask(recognizer, noise_clip(frames, 40, 50, people=people))
    parts = 6 + people * (people > 1)  # pictures, joints, those of each of several people, offsets (all, each), order
    shapes = {
        "joints": (frames, people, 15),
        "modal": (frames, len(question.prediction.slots)),
        "parts": (frames, parts),
    }
    for chosen in METHODS:
        if frames == 16 and chosen.family == "counterfactual":
            continue  # greed over 16 frames is many passes
        explanation = run(question, chosen.name, **options.get(chosen.name, {}))
        assert np.isfinite(explanation.values).all(), chosen.name
        assert explanation.made_by.method == chosen.name
        assert explanation.unit == chosen.unit
        wanted = (frames, 2, 2) if chosen.name == "tubelet removal" else shapes.get(chosen.on[0], (frames,))
        assert explanation.values.shape == wanted, chosen.name
        header, arrays = explanation.pack()
        assert Explanation.unpack(header, arrays).made_by == explanation.made_by


def test_maps_agree_with_single_removals() -> None:
    recognizer, clip = random_recognizer(frames=5), noise_clip(5, 48, 48)
    question = Question.ask(recognizer, clip, against="a" if recognizer(clip).top(1)[0][0] != "a" else "b")

    def effect(removal: Joints | Limbs | Frames | Region | Tokens) -> float:
        logits = np.stack([question.prediction.logits, predict_with(recognizer, question, [removal]).logits])
        before, after = question.score(torch.from_numpy(logits)).tolist()
        return before - after

    joint, limb = run(question, "joint removal"), run(question, "limb removal", how="mean")
    assert joint.values[0, 1, 12] == pytest.approx(effect(Joints(("left wrist",), people=(1,))), abs=1e-5)
    assert limb.values[0, 0, 9] == pytest.approx(effect(Limbs(("right leg",), people=(0,), how="mean")), abs=1e-5)
    windowed = run(question, "joint removal", how="first", window=2).values
    assert windowed[3, 0, 2] == pytest.approx(effect(Joints(("face",), (0,), (2, 3), "first")), abs=1e-5)
    assert run(question, "frame removal").values[2] == pytest.approx(effect(Frames((2,))), abs=1e-5)
    cells = run(question, "tubelet removal", cells=3, window=5)
    assert cells.values[0, 1, 2] == pytest.approx(effect(Region(32, 16, 16, 16)), abs=1e-5)
    tokens = run(question, "modal token removal")
    assert tokens.values[1, 2] == pytest.approx(effect(Tokens(("pose",), frames=(1,))), abs=1e-5)


@pytest.mark.parametrize("how", ["unseen", "first"])
def test_whole_parts_agree_with_single_removals(how: JointHow) -> None:
    mask = np.zeros((5, 48, 48), bool)
    mask[:, 10:30, 12:25] = True
    recognizer, clip = random_recognizer(frames=5), replace(noise_clip(5, 48, 48), person_mask=mask)
    question = Question.ask(recognizer, clip)
    found = run(question, "part removal", how=how)
    removals = {
        "pictures": Modality("rgb"),
        "joints": Modality("pose") if how == "unseen" else People((0, 1), how=how),
        "joints of person 1": People((0,), how=how),
        "joints of person 2": People((1,), how=how),
        "pixels of the person": Ground("person"),
        "pixels of the background": Ground("background"),
        "offsets": Offsets(),
        "offsets of block 1": Offsets((0,)),
        "offsets of block 2": Offsets((1,)),
        "order of the frames": TimeOrder("reverse"),
    }
    assert found.axes[1].labels == tuple(removals)
    before = question.prediction.logits[question.target]
    for value, (part, removal) in zip(found.values[0], removals.items(), strict=True):
        without = predict_with(recognizer, question, [removal]).logits[question.target]
        assert value == pytest.approx(before - without, abs=1e-5), part
        assert abs(value) > 1e-6, part
    assert (found.values == found.values[0]).all()
    # It says nothing of frames, so taking frames away says nothing of it.
    report = trust(recognizer, clip, found, parts=("faithfulness", "stability"))
    assert report.faithfulness is None
    assert report.stability is not None


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
def test_tokens_at_the_head_are_the_ledger(token_mode: str) -> None:
    question = Question.ask(random_recognizer(frames=5, token_mode=token_mode), noise_clip(5))
    values = run(question, "modal token removal", where="head").values
    np.testing.assert_allclose(values, question.prediction.ledger[question.target].T, atol=1e-5)


def test_progress_is_told_between_batches() -> None:
    told: list[tuple[int, int]] = []
    question = Question.ask(
        random_recognizer(frames=4), noise_clip(4, 48, 48), progress=lambda done, total: told.append((done, total))
    )
    run(question, "joint removal")
    assert len(told) >= 2
    assert told == sorted(told)
    assert told[-1] == (30, 30)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("joint removal", {"how": "gone"}, "not by 'gone'"),
        ("frame removal", {"how": "gone"}, "not by 'gone'"),
        ("frame removal", {"window": 0}, "at least one frame"),
        ("frame removal", {"window": 5}, "at least one"),
        ("tubelet removal", {"how": "gone"}, "not by 'gone'"),
        ("tubelet removal", {"cells": 0}, "does not fit"),
        ("modal token removal", {"where": "gone"}, "not 'gone'"),
        ("Shapley joints", {"by": "bone"}, "not 'bone'"),
        ("Shapley joints", {"budget": 3}, "too small"),
        ("counterfactual joints", {"by": "bone"}, "not 'bone'"),
    ],
)
def test_bad_options_are_a_sentence(name: str, options: dict[str, object], says: str) -> None:
    question = Question.ask(random_recognizer(frames=5), noise_clip(5))
    with pytest.raises(ValueError, match=says) as caught:
        run(question, name, **options)
    assert str(caught.value).endswith(".")


def test_the_methods_describe_themselves() -> None:
    assert [m.name for m in METHODS] == [
        "joint removal", "limb removal", "frame removal", "tubelet removal", "modal token removal", "part removal",
        "Shapley joints", "Shapley frames", "counterfactual joints", "counterfactual frames",
    ]  # fmt: skip
    assert all(m.about.endswith(".") for m in METHODS)
    assert method("joint removal").options == {"how": "unseen", "window": None}
    assert method("Shapley frames").options == {"how": "hold", "budget": 400}


@pytest.mark.parametrize("how", ["unseen", "first", "mean"])
def test_joints_with_a_trail_are_taken_as_the_edit_takes_them(how: str) -> None:
    recognizer = random_recognizer(pose_geometry=True, pose_distances=True, pose_trail=True)
    question = Question.ask(recognizer, noise_clip())
    skeleton = Skeleton(question, Rerun.of_question(question), "joint", how)  # type: ignore[arg-type]
    seen = skeleton.rerun.seen
    always = np.zeros(seen.score.shape, bool)
    always[:, 0, 3] = True
    once = np.zeros(seen.score.shape, bool)
    once[2, 0, 3] = True
    for gone in (always, once):
        fast, slow = skeleton.without(gone), skeleton.rerun.variant(take_joints(seen, gone, how))  # type: ignore[arg-type]
        assert torch.equal(fast.joints, slow.joints)
        assert torch.equal(fast.score, slow.score)
