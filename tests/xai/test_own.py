"""The model's own evidence as maps: the numbers are those of the evidence, and mass is conserved."""

from __future__ import annotations

import numpy as np
import pytest

from tests.xai.clips import noise_clip, random_recognizer
from xai.evidence import gather_evidence
from xai.own import flow, joint_attention, ledger, sampled_patches, temporal_attention
from xai.question import Question
from xai.sampling import PatchTrace, sampling_points


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("frames", [4, 7])
def test_every_map_has_its_axes(token_mode: str, people: int, frames: int) -> None:
    question = Question.ask(random_recognizer(token_mode=token_mode, frames=frames), noise_clip(people=people))
    joints = joint_attention(question, "joints")
    assert joints.values.shape == (frames, people, 15)
    assert joints.base_rate.shape == joints.values.shape
    pixels = sampled_patches(question, "frames")
    assert pixels.values.shape == (frames, 6, 6)
    assert temporal_attention(question, "time").values.shape == (frames,)
    assert ledger(question, "time").values.shape == (frames,)
    assert ledger(question, "modal").values.shape == (frames, len(question.prediction.slots))
    for found in (joints, pixels):
        assert np.isfinite(found.values).all()
        assert (found.values >= 0).all()


def test_points_give_all_their_mass_to_patches() -> None:
    recognizer, clip = random_recognizer(), noise_clip()
    evidence = gather_evidence(recognizer, clip)
    points = evidence.sampling_points
    assert points is not None
    query = points.axes[2].labels.index("cls")
    pixels = sampled_patches(Question.ask(recognizer, clip), "frames")
    np.testing.assert_allclose(pixels.values.sum(), points.values[:, :, query].sum(-1).mean(), rtol=1e-5)
    np.testing.assert_allclose(pixels.base_rate.sum(), points.base_rate.mean() * points.values.shape[-1], rtol=1e-5)


def test_joint_map_is_the_mean_curve_of_the_class_token() -> None:
    recognizer, clip = random_recognizer(), noise_clip()
    curves = gather_evidence(recognizer, clip).joint_curves
    assert curves is not None
    question = Question.ask(recognizer, clip)
    wanted = curves.values[:, :, curves.axes[2].labels.index("cls")].mean((0, 1))
    np.testing.assert_allclose(joint_attention(question, "joints").values, wanted, rtol=1e-6)
    assert not np.allclose(joint_attention(question, "joints", query="pose").values, wanted)
    with pytest.raises(ValueError, match="no query 'rgb' here; it has cls, pose"):
        joint_attention(question, "joints", query="rgb")


def test_ledger_adds_up_to_the_difference_of_two_logits() -> None:
    recognizer, clip = random_recognizer(), noise_clip()
    question = Question.ask(recognizer, clip, "a", "c")
    logits, bias = question.prediction.logits, question.prediction.bias
    wanted = (logits[0] - bias[0]) - (logits[2] - bias[2])
    for on in ("time", "modal"):
        found = ledger(question, on)
        assert found.values.sum() == pytest.approx(wanted, abs=1e-4)
        np.testing.assert_allclose(found.companions["completeness"], wanted, atol=1e-4)
    alone = ledger(Question.ask(recognizer, clip, "b"), "modal").companions["completeness"]
    np.testing.assert_allclose(alone, logits[1] - bias[1], atol=1e-4)


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
def test_token_flow_is_the_mean_over_the_attentions_of_the_class_token(token_mode: str) -> None:
    recognizer, clip = random_recognizer(token_mode=token_mode), noise_clip()
    question = Question.ask(recognizer, clip)
    found, whole = flow(question, "parts"), gather_evidence(recognizer, clip).token_flow
    readers, read = whole.axes[2].labels, whole.axes[3].labels
    reader = {"none": "patch", "single": "shared", "cross": "cls"}[token_mode]
    rows = whole.values[:, :, readers.index(reader)]
    taking_part = rows[np.isfinite(rows).all(-1)]
    assert found.axes[1].labels == read
    assert len(taking_part) == {"none": 4, "single": 6, "cross": 6}[token_mode]  # a patch reads no joint attention
    np.testing.assert_allclose(found.values, np.tile(taking_part.mean(0), (len(question.seen), 1)), rtol=1e-6)
    np.testing.assert_allclose(found.values.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.base_rate.sum(1), 1, rtol=1e-5)
    other = flow(question, "parts", query="joint")
    assert not np.allclose(other.values, found.values)
    with pytest.raises(ValueError, match="no reader 'point'; it has"):
        flow(question, "parts", query="point")


def test_networks_that_attend_to_everything_have_no_points() -> None:
    question = Question.ask(random_recognizer(deformable="full"), noise_clip())
    with pytest.raises(ValueError, match="attends to every patch"):
        sampled_patches(question, "frames")


def test_any_patch_may_be_asked_which_points_it_reads() -> None:
    recognizer, clip = random_recognizer(), noise_clip()
    evidence = gather_evidence(recognizer, clip, looks=True)
    looks, view = evidence.looks, recognizer.view(clip)
    assert looks is not None
    patches, joints, points = looks.sizes
    frame, patch = 3, 14
    x, y = (float(v) for v in looks.places[patch])
    with PatchTrace(view, frame, x, y) as trace:
        recognizer(clip, view)
    found = sampling_points(trace, view, 2, evidence.ledger.made_by)
    assert found is not None
    assert found.values.shape == (2, 2, 1, 1, points)
    reader = frame * len(looks.readers) + list(looks.readers).index(patch)
    keys, mass = looks.read["deformable"][:, reader], looks.mass["deformable"][:, reader]
    assert (keys >= 0).sum() > 4
    for layer in (0, 1):
        for key, given in zip(keys[layer], mass[layer], strict=True):
            if key >= 0:  # the modal tokens have no place
                point = key - len(evidence.clip) * (patches // len(evidence.clip) + joints // len(evidence.clip))
                assert found.values[layer, :, 0, 0, point].mean() == pytest.approx(given, rel=1e-4)
    pixels = sampled_patches(Question.ask(recognizer, clip), "frames", query=f"{frame},{x:.3f},{y:.3f}")
    np.testing.assert_allclose(pixels.values.sum(), found.values.sum(-1).mean(), rtol=1e-5)
    for outside in (f"9,{x},{y}", f"{frame},5000,3"):
        with pytest.raises(ValueError, match=r"There is no frame 9|did not see the place"):
            sampled_patches(Question.ask(recognizer, clip), "frames", query=outside)
