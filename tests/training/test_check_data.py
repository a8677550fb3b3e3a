"""The check of a data set: what it counts, what it draws, and that damage is named and does not stop it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.small_video import dot_frames, write_avi
from training.check_data import TEXT_HEIGHT, TILE, add_arguments, check, check_dataset, draw_tile, run
from training.clip import Clip
from training.errors import ClipError
from training.skeleton import PENN, SkeletonLayout
from training.sources import spread


class _Counted:
    """Ten clips of two classes; clip 7 is damaged, clip 2 has no joint in its frame, clip 3 is short."""

    name = "counted"
    labels: tuple[str, ...] = ("left", "right", "never")
    layout: SkeletonLayout = PENN
    splits: Mapping[str, Sequence[int]] = {"train": range(6), "val": [5, 6], "test": range(7, 10)}
    left_out: Mapping[str, int] = {"without a video": 4}

    def __len__(self) -> int:
        return 10

    def label(self, index: int) -> int:
        return index % 2

    def flipped(self, label: str) -> str | None:
        return label

    def clip(self, index: int) -> Clip:
        if index == 7:
            raise ClipError("Clip seven is torn.")
        length = 5 if index == 3 else 10 + index
        people = 2 if index == 4 else 1
        score = np.full((length, people, 13), 0.0 if index == 2 else 1.0, np.float32)
        score[:, :, 0] = 0
        return Clip(
            frames=np.zeros((length, 30, 40, 3), np.uint8),
            joints=np.full((*score.shape, 2), 10, np.float32),
            score=score,
            layout=PENN,
            time=np.arange(length) / 10.0,
            label=self.labels[index % 2],
            name=f"clip {index}",
        )


def test_counts(tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "sheets" / "a.png"
    report = check_dataset(_Counted(), out, 9, clips=0, progress=False, say=said.append, spread=spread)
    assert (report.clips, report.classes, report.read) == (10, 3, 10)
    assert report.lengths == (10, 11, 12, 5, 14, 15, 16, 18, 19)
    assert report.sizes == {"40x30": 9}
    assert report.people == {1: 8, 2: 1}
    frames = np.array(report.lengths)
    joints = 13 * (frames.sum() + 14)
    unseen = frames.sum() + 14 + 12 * 12  # the head of everyone, and everything of clip 2
    assert report.seen == pytest.approx(1 - unseen / joints)
    assert report.splits == {"train": 6, "val": 2, "test": 3}
    assert report.damaged == ("clip 7: Clip seven is torn.",)
    assert report.problems == (
        "1 of 3 classes have no clip of split 'train'.",
        "1 of 3 classes have no clip of split 'val'.",
        "1 of 3 classes have no clip of split 'test'.",
        "1 clips are in more than one split.",
        "1 clips have people of whom no joint is seen; check the size the joints refer to.",
        "1 clips have fewer than 8 frames; training repeats some of theirs.",
    )
    text = said[0]
    assert "frames    5 to 19, median 14" in text
    assert "left out  4 without a video" in text
    assert text.endswith("7 problems")
    assert cv2.imread(str(out)).shape == (3 * TILE[0], 3 * TILE[1], 3)


def test_joints_are_drawn_where_they_are() -> None:
    clip = _Counted().clip(0)
    joints = clip.joints.copy()
    joints[5, 0, 2] = (30, 20)  # right shoulder in the middle frame; every other joint at (10, 10)
    score = np.zeros_like(clip.score)
    score[5, 0, 2] = 1
    tile = draw_tile(replace(clip, joints=joints, score=score)).astype(int)
    picture = tile[TEXT_HEIGHT:]
    scale = TILE[1] / 40  # 8: the frame is 320 x 240 on the sheet
    drawn = np.argwhere(picture.sum(-1) > 300)
    y, x = drawn.mean(0)
    assert (x, y) == pytest.approx((scale * 30.5 - 0.5, scale * 20.5 - 0.5), abs=0.6)
    assert tile[:TEXT_HEIGHT].max() > 200  # the label is written
    empty = draw_tile(replace(clip, score=np.zeros_like(score)))[TEXT_HEIGHT : TEXT_HEIGHT + 240]
    assert not empty.any()
    # the middle frame is the one that counts
    other = np.zeros_like(clip.score)
    other[4] = 1
    assert not draw_tile(replace(clip, score=other))[TEXT_HEIGHT : TEXT_HEIGHT + 240].any()


def _folder(root: Path) -> None:
    for label in ("jump", "wave"):
        for number in range(4):
            write_avi(root / label / f"{number}.avi", dot_frames(9, 48, 64))
    (root / "jump" / "1.avi").write_bytes(b"nothing")


def test_sub_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _folder(tmp_path / "mine")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    sheet = tmp_path / "sheet.png"
    options = parser.parse_args([f"folder:{tmp_path / 'mine'}", "--out", str(sheet), "--quiet"])
    assert run(options) == 1
    printed = capsys.readouterr().out
    assert "folder mine: 8 clips of 2 classes (4 train, 2 val, 2 test)" in printed
    assert "1.avi does not look like a video" in printed
    assert "No clip has joints" in printed
    assert "2 problems" in printed
    assert f"8 clips are drawn in {sheet}" in printed
    assert sheet.is_file()
    assert run(parser.parse_args([f"folder:{tmp_path / 'mine'}", "--clips", "1", "--quiet"])) == 0
    assert "read      1 clips, 0 damaged" in capsys.readouterr().out


def test_wrong_arguments_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"written as \.png, not \.jpg"):
        check("gym", tmp_path / "a.jpg")
    with pytest.raises(ClipError, match="at least one sample"):
        check("gym", None, 0)
    with pytest.raises(ClipError, match="Unknown data set"):
        check("nothing", None)


def test_real_clips(data_dir: Path, tmp_path: Path) -> None:
    source = f"jhmdb:{data_dir / 'jhmdb'}?masks=0"
    report = check(source, tmp_path / "a.png", 4, clips=14, progress=False, say=lambda text: None)
    assert not report.damaged
    assert not report.problems
    assert report.sizes == {"320x240": 14}
    assert not report.left_out
    assert cv2.imread(str(tmp_path / "a.png")).shape == (2 * TILE[0], 2 * TILE[1], 3)
