"""A folder of one's own: classes by folder, joints beside the videos, parts by folder or by hash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.small_video import dot_frames, dot_places, write_avi
from training.config import DataConfig
from training.datasets import open_dataset
from training.datasets.folder import Folder
from training.datasets.parts import by_hash, held_out, mirrored_label, with_validation
from training.errors import ClipError
from training.skeleton import COCO, PENN
from training.sources import training_data


def _clip(path: Path, joints: int | None = 13, length: int = 5) -> None:
    frames = dot_frames(length, 48, 64)
    write_avi(path, frames)
    if joints:
        places = np.tile(np.stack([10 + np.arange(length), np.full(length, 12)], -1)[:, None, None], (1, 1, joints, 1))
        np.savez(path.with_suffix(".npz"), joints=places.astype(np.float32))


def test_joints_lie_beside_the_video(tmp_path: Path) -> None:
    _clip(tmp_path / "jump" / "anna.avi", joints=None)
    _clip(tmp_path / "wave" / "ben.avi")
    (tmp_path / "wave" / "notes.txt").write_text("not a video")
    (tmp_path / ".hidden").mkdir()
    data = open_dataset(f"folder:{tmp_path}")
    assert (data.labels, len(data), data.layout) == (("jump", "wave"), 2, PENN)
    clip = data.clip(1)
    assert (clip.label, clip.name) == ("wave", "wave/ben")
    np.testing.assert_allclose(clip.joints[:, 0, 4], dot_places(clip.frames), atol=0.3)
    without = data.clip(0)
    assert (without.people, without.layout, len(without)) == (0, PENN, 5)
    assert open_dataset(f"folder:{tmp_path / 'jump' / '..'}?layout=coco17").layout is COCO


def test_parts_by_folder(tmp_path: Path) -> None:
    for part, count in {"train": 3, "val": 1, "test": 2}.items():
        for number in range(count):
            for label in ("jump", "wave"):
                _clip(tmp_path / part / label / f"{number}.avi", joints=None)
    data = Folder(tmp_path)
    assert {part: len(members) for part, members in data.splits.items()} == {"train": 6, "val": 2, "test": 4}
    assert {data.clip(i).name.split("/")[0] for i in data.splits["test"]} == {"test"}
    assert data.labels == ("jump", "wave")
    (tmp_path / "jump").mkdir()
    with pytest.raises(ClipError, match="has folders train, val, test and also jump"):
        Folder(tmp_path)


def test_a_folder_too_small_for_validation_trains_without(tmp_path: Path) -> None:
    for number in range(2):
        for label in ("jump", "wave"):
            _clip(tmp_path / "own" / label / f"{number}.avi", joints=None)
    source = f"folder:{tmp_path / 'own'}"
    config = DataConfig(source=source, cache=str(tmp_path / "cache"), pack_size=32)
    with pytest.raises(ClipError, match=r"no clips of split 'val'; it has train\.$"):
        training_data(config)
    for packed in (True, False):
        train, val = training_data(replace(config, hold_out=False, pack=packed))
        assert (len(train), len(val)) == (4, 0)


def test_parts_by_hash_are_the_same_everywhere() -> None:
    names = [f"{label}/{number}" for label in ("a", "b", "c") for number in range(20)]
    names += ["d/0", "d/1", "e/0", "e/1", "e/2"]
    classes = [0] * 20 + [1] * 20 + [2] * 20 + [3] * 2 + [4] * 3
    parts = by_hash(names, classes)
    assert sorted(i for members in parts.values() for i in members) == list(range(65))
    of = {part: np.bincount([classes[i] for i in members], minlength=5).tolist() for part, members in parts.items()}
    assert of == {"train": [16, 16, 16, 2, 1], "val": [2, 2, 2, 0, 1], "test": [2, 2, 2, 0, 1]}
    # written down, so that no version or machine may split otherwise
    assert [names[i] for i in parts["test"]] == ["a/2", "a/18", "b/10", "b/11", "c/4", "c/6", "e/0"]
    order = np.random.default_rng(0).permutation(65)
    shuffled = by_hash([names[i] for i in order], [classes[i] for i in order])
    assert {names[order[i]] for i in shuffled["test"]} == {names[i] for i in parts["test"]}


def test_sources_are_held_out_whole() -> None:
    assert held_out("abcdefghijklmnop") == {"h", "p"}
    assert held_out("ab") == {"b"}
    assert held_out("a") == frozenset()
    parts = with_validation([0, 1, 2, 3], [4], {0: "x", 1: "y", 2: "x", 3: "y", 4: "y"})
    assert parts == {"train": [0, 2], "val": [1, 3], "test": [4]}


def test_labels_with_sides() -> None:
    labels = ("left hook", "Right hook", "jump", "left_turn", "cleft lip")
    assert mirrored_label("left hook", labels) == "Right hook"
    assert mirrored_label("Right hook", labels) == "left hook"
    assert mirrored_label("jump", labels) == "jump"
    assert mirrored_label("left_turn", labels) is None
    assert mirrored_label("cleft lip", labels) == "cleft lip"


def test_damage_is_named_and_does_not_spread(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d", "e"):
        _clip(tmp_path / "jump" / f"{name}.avi")
    (tmp_path / "jump" / "a.npz").write_bytes(b"nothing")
    (tmp_path / "jump" / "b.avi").write_bytes(b"nothing")
    np.savez(tmp_path / "jump" / "c.npz", joints=np.zeros((4, 1, 13, 2)))
    np.savez(tmp_path / "jump" / "d.npz", joints=np.zeros((5, 1, 17, 2)))
    data = Folder(tmp_path)
    assert data.layout is PENN
    for index, sentence in enumerate(
        [
            "a.npz cannot be read as joints",
            "b.avi does not look like a video",
            "joints for 4 frames",
            "layout coco17, and",
        ]
    ):
        with pytest.raises(ClipError, match=sentence):
            data.clip(index)
    assert data.clip(4).people == 1


def test_wrong_folders_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="There is no folder"):
        open_dataset(f"folder:{tmp_path / 'none'}")
    with pytest.raises(ClipError, match="has no videos; expected CLASS"):
        open_dataset(f"folder:{tmp_path}")
    (tmp_path / "val" / "a").mkdir(parents=True)
    with pytest.raises(ClipError, match="has val and no train"):
        open_dataset(f"folder:{tmp_path}")
