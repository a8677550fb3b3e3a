"""The sentence above the player, from numbers made by hand: who stands out, against what, and in which frames."""

from __future__ import annotations

import numpy as np
import pytest

from tests.xai.synthetic import synthetic_evidence
from xai.figures.opening import opening
from xai.figures.sentence import ALONE, STANDS_OUT, hardest, peak, point_frames, read_joints, times

NAMES = ("head", "left elbow", "left wrist", "right elbow", "right wrist", "knee")
LIMBS = ("torso", "left arm", "right arm", "leg")
LIMB_OF = (0, 1, 1, 2, 2, 3)


def mass_of(ratio: list[float], uniform: float = 0.1, frames: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """[T, 1, J] mass with these multiples of the base rate, the same in every frame."""
    base = np.full((frames, 1, len(ratio)), uniform)
    return base * np.array(ratio), base


def found_in(ratio: list[float], uniform: float = 0.1):
    return hardest(*mass_of(ratio, uniform), NAMES, LIMBS, LIMB_OF)


def test_a_limb_that_stands_out_is_named_even_when_joints_as_a_whole_are_read_little() -> None:
    found = found_in([0.02, 0.08, 0.06, 0.02, 0.02, 0.02])
    assert found is not None
    assert (found.name, found.joints, found.out) == ("left arm", ((0, 1), (0, 2)), True)
    assert found.times_others == pytest.approx(0.07 / 0.02)
    assert found.times_uniform == pytest.approx(0.07)


def test_a_joint_far_above_the_rest_of_its_limb_is_named_alone() -> None:
    found = found_in([1, 0.9 * ALONE + 0.3, 0.9, 1, 1, 1])
    assert found is not None
    assert (found.name, found.joints) == ("left elbow", ((0, 1),))
    assert found.times_others == pytest.approx(2.1)


def test_the_base_rate_decides_not_the_mass() -> None:
    """The knee has three times the mass, and could not have less: its window holds fewer joints."""
    mass, base = mass_of([1, 1, 1, 1, 1, 1])
    mass[..., 5] *= 3
    base[..., 5] *= 3
    found = hardest(mass, base, NAMES, LIMBS, LIMB_OF)
    assert found is not None
    assert not found.out
    assert found.times_others == pytest.approx(1)


@pytest.mark.parametrize(("ratio", "out"), [(STANDS_OUT - 0.01, False), (STANDS_OUT + 0.01, True)])
def test_the_threshold_is_the_declared_one(ratio: float, out: bool) -> None:
    found = found_in([ratio, 1, 1, 1, 1, 1])
    assert found is not None
    assert (found.name, found.out) == ("head", out)


def test_nobody_is_said_to_stand_out_when_nobody_does() -> None:
    mass, base = mass_of([1.1, 1, 1, 1, 1, 1.2])
    found = hardest(mass, base, NAMES, LIMBS, LIMB_OF)
    assert found is not None
    said = "".join(text for text, _ in read_joints("cls", found, mass))
    assert said == (
        "Its CLS token read all joints about alike; the most is the knee (1.2 × the others, 1.2 × uniform attention)."
    )


def test_the_sentence_names_limb_numbers_and_frames() -> None:
    mass, base = mass_of([1, 1, 1, 4, 3, 1], frames=6)
    mass[:, :, 3:5] *= np.array([0.2, 0.2, 1.0, 0.9, 0.2, 0.2])[:, None, None]
    found = hardest(mass, base, NAMES, LIMBS, LIMB_OF)
    assert found is not None
    pieces = read_joints("shared", found, mass)
    said = "".join(text for text, _ in pieces).replace("\u2060", "").replace("\u00a0", " ")
    assert said == (
        "Of the joints, its shared token read the right arm most, 1.6 × the others, above all in frames 3–4. "
        "In all 1.6 × uniform."
    )
    assert [text for text, strong in pieces if strong] == ["right arm"]


def test_little_read_as_a_whole_is_said_beside_who_was_read_most() -> None:
    mass, base = mass_of([0.02, 0.08, 0.06, 0.02, 0.02, 0.02])
    found = hardest(mass, base, NAMES, LIMBS, LIMB_OF)
    assert found is not None
    said = "".join(text for text, _ in read_joints("joint", found, mass))
    assert said == (
        "Of the joints, its mean joint read the left arm most, 3.5 × the others, over the whole clip. "
        "In all 0.070 × uniform: joints are little of what it reads."
    )


def test_of_two_people_the_person_is_named() -> None:
    mass, base = mass_of([1, 1, 1, 1, 1, 1])
    mass, base = np.concatenate([mass, mass], 1), np.concatenate([base, base], 1)
    mass[:, 1, 0] *= 3
    found = hardest(mass, base, NAMES, LIMBS, LIMB_OF)
    assert found is not None
    assert (found.name, found.joints) == ("head of person 2", ((1, 0),))


def test_joints_that_could_not_be_read_are_no_others() -> None:
    mass, base = mass_of([2, 1, 1, 0, 0, 0])
    base[..., 3:] = 0
    found = hardest(mass, base, NAMES, LIMBS, LIMB_OF)
    assert found is not None
    assert found.times_others == pytest.approx(2)
    assert hardest(mass * 0, base * 0, NAMES, LIMBS, LIMB_OF) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [([1, 1, 8, 4, 1, 1], "frames 3–4"), ([0, 0, 0, 9, 0, 0], "frame 4"), ([1, 1, 1.1, 1, 1, 1], None)],
)
def test_frames_are_named_where_they_stand_out(values: list[float], said: str | None) -> None:
    found = peak(np.array(values, float))
    assert (found and found.replace("\u2060", "").replace("\u00a0", " ")) == said


def test_a_point_between_frames_is_shared_by_both() -> None:
    np.testing.assert_allclose(point_frames(np.array([1.0, 2.0]), np.array([0.25, 2.0]), 4), [0.75, 0.25, 2, 0])


@pytest.mark.parametrize(("value", "text"), [(0.0671, "0.067"), (1.0, "1.0"), (12.4, "12"), (np.inf, "many")])
def test_two_digits_that_tell(value: float, text: str) -> None:
    assert times(value) == text


def test_every_view_has_its_sentence_and_the_first_frame_is_the_telling_one() -> None:
    evidence = synthetic_evidence(frames=7, layers=2, heads=3)
    first = opening(evidence, True, list(evidence.labels))
    assert [len(first["sentences"]), len(first["sentences"][0]), len(first["sentences"][0][0])] == [2, 4, 3]
    texts = {"".join(text for text, _ in pieces) for heads in first["sentences"] for row in heads for pieces in row}
    assert len(texts) == 2 * 4 * 3  # no two views say the same
    arm = evidence.joint_curves.values[-1].mean(0)[0][:, 0]
    assert first["start"]["frame"] == arm[:, [3, 7, 11]].sum(1).argmax()
    assert first["lists"]["joint"][:2] == [None, 0]
