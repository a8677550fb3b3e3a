"""A pose model from a local file: SimCC logits, crops and the walk through a clip, with a session of a few lines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.small_video import dot_frames, dot_places
from training.errors import ClipError
from training.pose_onnx import (
    MEAN,
    STD,
    Box,
    crop_matrix,
    decode_simcc,
    estimate,
    load_pose_model,
    pose_model,
    sha256_of,
)
from training.skeleton import COCO

HEIGHT, WIDTH, SPLIT = 64, 48, 2


@dataclass
class Port:
    name: str
    shape: list[Any]


class DotFinder:
    """Stands for an RTMPose network: every joint is at the brightest place of the crop."""

    def __init__(self, joints: int = 17, names: Sequence[str] = ("simcc_x", "simcc_y")) -> None:
        self.joints, self.names, self.seen = joints, names, []  # type: ignore[var-annotated]

    def get_inputs(self) -> list[Port]:
        return [Port("input", ["batch", 3, HEIGHT, WIDTH])]

    def get_outputs(self) -> list[Port]:
        bins = {"simcc_x": WIDTH * SPLIT, "simcc_y": HEIGHT * SPLIT}
        return [Port(name, ["batch", self.joints, bins.get(name, 9)]) for name in self.names]

    def run(self, output_names: Sequence[str] | None, input_feed: dict[str, np.ndarray]) -> list[Any]:
        crop = input_feed["input"]
        assert crop.shape == (1, 3, HEIGHT, WIDTH)
        assert crop.dtype == np.float32
        light = (crop[0].transpose(1, 2, 0) * STD + MEAN).min(-1)
        self.seen.append(light)
        ys, xs = np.nonzero(light > 190)
        x, y = np.zeros((1, self.joints, WIDTH * SPLIT)), np.zeros((1, self.joints, HEIGHT * SPLIT))
        if len(xs):
            x[..., round(SPLIT * xs.mean())] = 0.9
            y[..., round(SPLIT * ys.mean())] = 0.8
        return [{"simcc_x": x, "simcc_y": y}[name] for name in output_names or self.names]


def test_the_highest_bins_are_the_place_and_the_lower_of_the_two_the_score() -> None:
    columns, rows = np.zeros((2, 3, WIDTH * SPLIT)), np.zeros((2, 3, HEIGHT * SPLIT))
    columns[1, 2, 31], rows[1, 2, 100] = 0.7, 0.4
    columns[0, 0, 5], rows[0, 0, 6] = 1.8, 1.3
    places, score = decode_simcc(columns, rows, (HEIGHT, WIDTH))
    assert places[1, 2].tolist() == [15.5, 50.0]
    assert score[1, 2] == pytest.approx(0.4)
    assert score[0, 0] == 1
    assert score[0, 1] == 0
    assert decode_simcc(columns * np.nan, rows, (HEIGHT, WIDTH))[1].sum() == 0
    with pytest.raises(ClipError, match=r"SimCC logits are \[N, K, bins\]"):
        decode_simcc(columns, rows[:, :2], (HEIGHT, WIDTH))


def test_the_crop_shows_the_box_and_a_margin_in_its_own_aspect() -> None:
    matrix = crop_matrix(Box(10, 20, 40, 100), (HEIGHT, WIDTH))
    assert matrix @ [25, 60, 1] == pytest.approx([WIDTH / 2, HEIGHT / 2])
    top, bottom = matrix @ [25, 20, 1], matrix @ [25, 100, 1]
    assert (bottom - top)[1] == pytest.approx(HEIGHT / 1.25)  # the taller side fills the crop but for the margin
    assert matrix[0, 0] == matrix[1, 1]


def test_a_dot_is_found_in_pixels_of_the_frame_on_every_frame() -> None:
    frames = dot_frames(9, 90, 120, x=40, y=33)
    finder = DotFinder()
    model = pose_model(finder, "dots", "00")
    assert model.layout is COCO
    assert model.size == (HEIGHT, WIDTH)
    told: list[tuple[int, int]] = []
    found = estimate(model, frames, Box(20, 10, 70, 60), lambda done, total: told.append((done, total)))
    assert found.joints.shape == (9, 1, 17, 2)
    assert np.abs(found.joints[:, 0, 0] - dot_places(frames)).max() < 1.5
    assert found.score == pytest.approx(np.full((9, 1, 17), 0.8))
    assert told[-1] == (8, 9)
    again = estimate(model, frames)  # without a box: anywhere in the frame
    assert np.abs(again.joints[0, 0, 0] - dot_places(frames)[0]).max() < 2.5


def test_a_person_who_is_lost_is_looked_for_in_the_whole_frame() -> None:
    frames = dot_frames(4, 90, 120, x=100, y=70)
    model = pose_model(DotFinder(), "dots", "00")
    found = estimate(model, frames, Box(5, 5, 25, 25))
    assert found.score[0].max() == 0
    assert found.score[1:].min() > 0.5


@pytest.mark.parametrize(
    ("session", "sentence"),
    [
        (DotFinder(16), "16 joints; expected one of"),
        (DotFinder(names=("heatmaps",)), "expected simcc_x and simcc_y"),
    ],
)
def test_other_networks_are_refused(session: DotFinder, sentence: str) -> None:
    with pytest.raises(ClipError, match=sentence):
        pose_model(session, "other", "00")


def test_files_that_are_no_model_end_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="name a local ONNX file"):
        load_pose_model(tmp_path / "none.onnx")
    path = tmp_path / "text.onnx"
    path.write_bytes(b"not a model")
    assert sha256_of(path) == hashlib.sha256(b"not a model").hexdigest()
    with pytest.raises(ClipError, match=r"no ONNX model|install it with `pip"):
        load_pose_model(path)
