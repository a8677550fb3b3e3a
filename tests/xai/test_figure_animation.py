"""Animations: every frame once, marks where they should be, times of the clip, two formats that can be read back."""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import model
from tests.xai.clips import random_recognizer
from tests.xai.figure_checks import SIZE
from tests.xai.synthetic import one_point, synthetic_evidence
from xai.figures import animation
from xai.figures.animation import overlay_frames, seconds_of, write_animation
from xai.figures.spec import FigureError


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return list(overlay_frames(synthetic_evidence(**SIZE), dpi=80))


def test_one_picture_a_frame_all_of_one_even_size(pictures: list[np.ndarray]) -> None:
    assert len(pictures) == SIZE["frames"]
    assert len({image.shape for image in pictures}) == 1
    assert all(side % 2 == 0 for side in pictures[0].shape[:2])
    for one, other in pairwise(pictures):
        assert (one != other).mean() > 0.005


def test_the_point_is_on_its_two_frames_only() -> None:
    parked = one_point(synthetic_evidence(**SIZE), 3.25, 85, 10)  # in the sky, away from the figure
    gone = one_point(synthetic_evidence(**SIZE), 3.25, 2, 57)
    pairs = zip(overlay_frames(parked, points=1, dpi=80), overlay_frames(gone, points=1, dpi=80), strict=True)
    changed = [frame for frame, (one, other) in enumerate(pairs) if (one[30:150, 200:] != other[30:150, 200:]).any()]
    assert changed == [3, 4]


def test_webp_and_webm_can_be_read_back(pictures: list[np.ndarray], tmp_path: Path) -> None:
    seconds = np.array([0.1, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1])
    for suffix in (".webp", ".webm"):
        write_animation(tmp_path / f"film{suffix}", pictures, seconds)
    done, found = cv2.imreadanimation(str(tmp_path / "film.webp"))
    assert done
    assert [int(each) for each in found.durations] == [100, 100, 300, 100, 100, 100, 100]
    video = cv2.VideoCapture(str(tmp_path / "film.webm"))
    read = []
    while (frame := video.read())[0]:
        read.append(frame[1][..., ::-1])
    video.release()
    assert len(read) == round(0.9 * animation.RATE)  # the third frame stays three times as long
    for number, shown in ((0, 0), (4, 2), (9, 2), (17, 6)):
        assert np.abs(read[number].astype(int) - pictures[shown]).mean() < 6
    assert {path.name for path in tmp_path.iterdir()} == {"film.webp", "film.webm"}


def test_times_are_those_of_the_clip() -> None:
    evidence = synthetic_evidence(**SIZE)
    clip = replace(evidence.clip, time=np.array([0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9]))
    np.testing.assert_allclose(seconds_of(replace(evidence, clip=clip)), [0.1, 0.1, 0.4, 0.1, 0.1, 0.1, 0.1])
    np.testing.assert_allclose(seconds_of(replace(evidence, clip=clip), speed=0.5)[2], 0.8)


def test_another_format_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(FigureError, match=r"expected \.webp or \.webm"):
        write_animation(tmp_path / "film.avi", [np.zeros((2, 2, 3), np.uint8)], np.ones(1))
    assert run("gym:bow:3", "--checkpoint", "none", "--out", str(tmp_path / "film.mp4")) == 2
    assert "expected .webp or .webm" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    animation.add_arguments(parser)
    return animation.run(parser.parse_args(list(arguments)))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    recognizer = random_recognizer(size=32, frames=3, width=4)
    model.save(tmp_path / "net.safetensors", recognizer.network, recognizer.card)
    out = tmp_path / "bow.webp"
    assert run("gym:bow:3", "--checkpoint", str(tmp_path / "net.safetensors"), "--out", str(out)) == 0
    assert "Wrote 3 frames" in capsys.readouterr().out
    assert len(cv2.imreadanimation(str(out))[1].frames) == 3
    assert run("gym:bow:3", "--checkpoint", str(tmp_path / "none"), "--out", str(out)) == 2
