"""JHMDB as its authors pack it: ReCompress_Videos or Rename_Images, joints without `scale`, all classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from tests.training.small_video import dot_frames, dot_places, write_avi, write_pictures
from training.datasets import open_dataset
from training.datasets.jhmdb import Jhmdb
from training.errors import ClipError


def _lists(root: Path, label: str, clips: dict[str, int]) -> None:
    (root / "splits").mkdir(exist_ok=True)
    for split in (1, 2, 3):
        part = {name: number if split == 1 else 3 - number for name, number in clips.items()}
        text = "".join(f"{name}.avi {number}\n" for name, number in part.items())
        (root / "splits" / f"{label}_test_split{split}.txt").write_text(text)


def _joints(root: Path, label: str, name: str, length: int, **more: np.ndarray) -> None:
    """Every joint on the dot of `dot_frames`, counted from 1 as MATLAB does."""
    place = root / "joint_positions" / label / name
    place.mkdir(parents=True)
    x, y = 11 + np.arange(length), np.full(length, 13)
    positions = np.tile(np.stack([x, y])[:, None], (1, 15, 1)).astype(float)
    scipy.io.savemat(place / "joint_positions.mat", {"pos_img": positions, "pos_world": positions / 240, **more})


def test_official_folders(tmp_path: Path) -> None:
    frames = dot_frames(9, 60, 80)
    one, two, lost = (
        "Ball_@_7_(a)+b!_catch_f_cm_np1_ri_med_0",
        "Other_catch_f_cm_np1_ri_med_1",
        "No_catch_f_cm_np1_ri_med_2",
    )
    _joints(tmp_path, "catch", one, 8, scale=np.ones((1, 8)))
    _joints(tmp_path, "catch", two, 9)
    write_avi(tmp_path / "ReCompress_Videos" / "catch" / f"{one}.avi", frames)
    write_pictures(tmp_path / "Rename_Images" / "catch" / two, frames, "{:05d}.png")
    _lists(tmp_path, "catch", {one: 1, two: 2, lost: 1})
    (tmp_path / "joint_positions" / ".DS_Store").touch()
    (tmp_path / "joint_positions" / "._catch").mkdir()
    data = Jhmdb(tmp_path)
    assert data.labels == ("catch",)
    assert data.left_out == {"without joints": 1}
    by_name = {data.clips[i][1]: i for i in range(2)}
    assert data.splits["test"] == [by_name[two]]
    assert Jhmdb(tmp_path, split=3).splits["test"] == [by_name[one]]
    for name, length in ((one, 8), (two, 9)):  # a video may be a frame longer than its joints
        clip = data.clip(by_name[name])
        assert len(clip) == length
        np.testing.assert_allclose(clip.joints[:, 0, 3], dot_places(clip.frames), atol=0.3)
    np.testing.assert_allclose(data.clip(by_name[two]).time, np.arange(9) / 30)


def test_real_file_without_scale(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "samples" / "jhmdb_official" / "joint_positions.mat"
    place = tmp_path / "joint_positions" / "catch" / "a_catch_b"
    place.mkdir(parents=True)
    shutil.copy(source, place)
    write_avi(tmp_path / "videos" / "catch" / "a_catch_b.avi", dot_frames(40, 240, 320))
    _lists(tmp_path, "catch", {"a_catch_b": 1})
    clip = open_dataset(f"jhmdb:{tmp_path}").clip(0)
    found = scipy.io.loadmat(source)["pos_img"]
    assert "scale" not in scipy.io.loadmat(source)
    assert clip.joints.shape == (40, 1, 15, 2)
    np.testing.assert_allclose(clip.joints[:, 0], found.transpose(2, 1, 0) - 1, atol=1e-4)


def test_lists_are_asked_for(tmp_path: Path) -> None:
    _joints(tmp_path, "catch", "a_catch_b", 8)
    (tmp_path / "splits").mkdir()
    with pytest.raises(ClipError, match=r"no list splits/catch_test_split2\.txt"):
        Jhmdb(tmp_path, split=2)
    _lists(tmp_path, "catch", {"a_catch_b": 1})
    with pytest.raises(ClipError, match=r"has no video catch/a_catch_b\.avi"):
        Jhmdb(tmp_path).clip(0)
