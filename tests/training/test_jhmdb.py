"""JHMDB: the official splits, joints that lie on the person, and damage that is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.clip_file import load_clip, read_clip, save_clip
from training.datasets import open_dataset
from training.datasets.jhmdb import Jhmdb, _source
from training.errors import ClipError
from training.pack import PackedDataset, write_pack


def test_split_sizes_and_no_leak(data_dir: Path) -> None:
    for split, (train, test) in {1: (433, 176), 2: (433, 176), 3: (434, 175)}.items():
        data = open_dataset(f"jhmdb:{data_dir / 'jhmdb'}?split={split}")
        sizes = {name: len(members) for name, members in data.splits.items()}
        assert sizes["train"] + sizes["val"] == train
        assert sizes["test"] == test
        assert 30 <= sizes["val"] <= 70
        assert len(data) == 609
        assert len({i for members in data.splits.values() for i in members}) == 609
        sources = {
            name: {(data.clips[i][0], _source(data.clips[i][1], data.clips[i][0])) for i in members}
            for name, members in data.splits.items()
        }
        assert not sources["train"] & sources["val"]
    assert len(data.labels) == 14
    assert len(data.near_ties) == 38


def test_with_all_classes_the_splits_are_the_published_ones(data_dir: Path, tmp_path: Path) -> None:
    """As if joints were there for every clip that the official lists name."""
    shutil.copytree(data_dir / "jhmdb" / "splits", tmp_path / "splits")
    for listed in (tmp_path / "splits").glob("*_test_split1.txt"):
        for line in listed.read_text().split("\n"):
            if line.strip():
                folder = tmp_path / "joint_positions" / listed.name.removesuffix("_test_split1.txt")
                (folder / line.split()[0].removesuffix(".avi")).mkdir(parents=True)
    for split, (train, test) in {1: (660, 268), 2: (658, 270), 3: (663, 265)}.items():
        data = Jhmdb(tmp_path, split)
        assert (len(data), len(data.labels)) == (928, 21)
        assert len(data.splits["train"]) + len(data.splits["val"]) == train
        assert len(data.splits["test"]) == test


def test_joints_lie_on_the_person(data_dir: Path) -> None:
    data = Jhmdb(data_dir / "jhmdb", amodal=False)
    inside = []
    for index in range(0, len(data), 40):
        clip = data.clip(index)
        assert clip.label == data.labels[data.label(index)]
        assert clip.size == (240, 320)
        t, m, j = np.nonzero(clip.score > 0)
        x, y = np.rint(clip.joints[t, m, j]).astype(int).T
        near = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) for mask in clip.person_mask])
        inside.append(near[t, y.clip(0, 239), x.clip(0, 319)].mean())
    assert np.mean(inside) > 0.98


def test_joints_outside_the_frame_are_kept_unless_asked_otherwise(data_dir: Path, tmp_path: Path) -> None:
    usual, whole = (open_dataset(f"jhmdb:{data_dir / 'jhmdb'}?masks=0&amodal={each}") for each in (0, 1))
    index = next(i for i in range(len(usual)) if not usual.clip(i).score.all())
    part, clip = usual.clip(index), whole.clip(index)
    assert not part.amodal
    assert clip.amodal
    assert clip.score.all()
    label, name = whole.clips[index]
    folder = data_dir / "jhmdb"
    brought = read_clip(
        folder / "videos" / label / f"{name}.avi", folder / f"joint_positions/{label}/{name}/joint_positions.mat"
    )
    assert brought.fingerprint == clip.fingerprint
    assert part.fingerprint != clip.fingerprint
    save_clip(tmp_path / "clip.npz", clip)
    assert load_clip(tmp_path / "clip.npz").fingerprint == clip.fingerprint
    packed = PackedDataset(write_pack(tmp_path / "pack", whole, {"test": (index,)}, 240, progress=False)).clip(0)
    assert packed.fingerprint == clip.fingerprint


def test_damage_is_named_and_does_not_spread(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "jhmdb"
    for part in ("joint_positions", "videos", "puppet_mask"):
        for label in ("golf", "wave"):
            first = sorted((source / part / label).iterdir())[0]
            target = tmp_path / part / label / first.name
            target.parent.mkdir(parents=True)
            (shutil.copytree if first.is_dir() else shutil.copy)(first, target)
    shutil.copytree(source / "splits", tmp_path / "splits")
    data = Jhmdb(tmp_path)
    assert len(data) == 2
    video = next((tmp_path / "videos" / "golf").iterdir())
    video.chmod(0o644)
    video.write_bytes(b"nothing")
    with pytest.raises(ClipError, match="does not look like a video"):
        data.clip(0)
    assert data.clip(1).label == "wave"


def test_wrong_names_get_one_sentence(tmp_path: Path) -> None:
    for text, sentence in [
        ("jhmdb:" + str(tmp_path), "is no JHMDB folder"),
        ("imagenet", "Unknown data set"),
        ("gym?size=big", "Options of a data set"),
        ("gym?colour=1", "does not take"),
    ]:
        with pytest.raises(ClipError, match=sentence):
            open_dataset(text)
