"""FineGYM: the published lists, YouTube ids that look like separators, elements cut from events, and poses."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.small_video import dot_frames, dot_places, write_avi
from training.datasets import open_dataset
from training.datasets.finegym import FineGym, pose_key, read_list, read_passage
from training.errors import ClipError
from training.skeleton import COCO

EVENTS = ("A_E_AXXyA_o_E_002184_002237", "AZ4wWG6Rcak_E_003643_003675", "0LtLS9wROrk_E_002407_002435")


def test_published_lists(data_dir: Path) -> None:
    folder = data_dir / "samples" / "finegym"
    train = read_list(folder / "gym99_train_element_v1.1.txt")
    val = read_list(folder / "gym99_val_element.txt")
    assert (len(train), len(val)) == (26_320, 8_521)
    assert {element.label for element in train} == set(range(99))
    assert train[0].name == "A0xAXXysHUo_E_002184_002237_A_0035_0036"
    assert (train[0].video, train[0].event, train[0].label) == ("A0xAXXysHUo", "A0xAXXysHUo_E_002184_002237", 93)
    assert not {element.name for element in train} & {element.name for element in val}


def test_published_lists_with_poses_only(data_dir: Path, tmp_path: Path) -> None:
    for path in (data_dir / "samples" / "finegym").glob("*.txt"):
        shutil.copy(path, tmp_path)
    train = read_list(tmp_path / "gym99_train_element_v1.1.txt")
    val = read_list(tmp_path / "gym99_val_element.txt")
    # the poses of every twentieth element; half of them named as one public file names them
    names = [element.name for element in [*train, *val]][::20]
    written = [name if i % 2 else pose_key(name) for i, name in enumerate(names)]
    _write_poses(tmp_path / "gym_hrnet.pkl", [_pose(name, 4) for name in written])
    data = open_dataset(f"finegym:{tmp_path}?set=99&joints_only=1")
    assert isinstance(data, FineGym)
    sizes = {part: len(members) for part, members in data.splits.items()}
    assert sizes["train"] + sizes["val"] == 26_320 // 20
    assert sizes["test"] == len(names) - 26_320 // 20
    assert data.left_out == {"without poses": 26_320 + 8_521 - len(names)}
    videos = {part: {data.clips[i].video for i in members} for part, members in data.splits.items()}
    assert not videos["train"] & videos["val"]
    clip = data.clip(3)
    assert clip.name == names[3]
    assert clip.label == f"class {data.label(3)}"
    assert clip.layout is COCO


def _pose(name: str, frames: int) -> dict[str, Any]:
    """Joint 0 on the dot of `dot_frames`."""
    keypoint = np.zeros((1, frames, 17, 2), np.float16)
    keypoint[0, :, :] = np.stack([10 + np.arange(frames), np.full(frames, 12)], -1)[:, None]
    return {
        "frame_dir": name, "label": 0, "total_frames": frames, "img_shape": (48, 64), "original_shape": (48, 64),
        "keypoint": keypoint, "keypoint_score": np.full(keypoint.shape[:3], 0.5, np.float16),
    }  # fmt: skip


def _write_poses(path: Path, annotations: list[dict[str, Any]]) -> None:
    path.write_bytes(pickle.dumps({"split": {"train": [], "val": []}, "annotations": annotations}, 4))


def _lists(root: Path, train: dict[str, int], val: dict[str, int]) -> None:
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for part, listed in (("train_element_v1.0", {}), ("train_element_v1.1", train), ("val_element", val)):
        lines = "".join(f"{name} {label}\n" for name, label in listed.items())
        (root / "annotations" / f"gym99_{part}.txt").write_text(lines)


def test_elements_with_poses(tmp_path: Path) -> None:
    one, two, three = (f"{event}_A_0035_0036" for event in EVENTS)
    _lists(tmp_path, {one: 93, f"{EVENTS[0]}_A_0040_0041": 5}, {two: 0, three: 98})
    write_avi(tmp_path / "subactions" / f"{one}.avi", dot_frames(8, 48, 64))
    write_avi(tmp_path / "subactions" / "AZ4wWG6Rcak" / f"{two}.avi", dot_frames(8, 48, 64))
    _write_poses(tmp_path / "gym_hrnet.pkl", [_pose(one, 8), _pose(two, 20), _pose(three, 8)])
    (tmp_path / "annotations" / "gym99_categories.txt").write_text(
        "Clabel: 93; set: 41; Glabel: 393; (UB) giant circle backward\n"
        "Clabel: 0; set: 1; Glabel: 1; (VT) round-off, 1\n"
    )
    data = FineGym(tmp_path)
    assert data.left_out == {"without poses": 1, "without a video": 1}
    assert {part: list(members) for part, members in data.splits.items()} == {"train": [0], "val": [], "test": [1]}
    assert (data.labels[93], data.labels[0], data.labels[7]) == (
        "(UB) giant circle backward", "(VT) round-off, 1", "class 7",
    )  # fmt: skip
    clip = data.clip(0)
    assert (clip.label, clip.people) == ("(UB) giant circle backward", 1)
    np.testing.assert_allclose(clip.joints[:, 0, 0], dot_places(clip.frames), atol=0.3)
    with pytest.raises(ClipError, match="has 8 frames and joints for 20"):
        data.clip(1)


def test_elements_are_cut_from_events_by_time(tmp_path: Path) -> None:
    # one dot that moves a pixel a frame, ten frames a second: the element from 1.2 s to 2.5 s starts at x = 22
    event = EVENTS[0]
    first, stages, lost = f"{event}_A_0001_0003", f"{event}_A_0002_0004", f"{event}_A_0009_0010"
    _lists(tmp_path, {first: 1, stages: 2, lost: 3}, {f"{EVENTS[1]}_A_0001_0002": 4})
    write_avi(tmp_path / "events" / f"{event}.avi", dot_frames(40, 48, 64))
    info = {
        event[:11]: {
            event[12:]: {
                "event": 4,
                "timestamps": [[2184.1, 2237.6]],
                "segments": {
                    "A_0001_0003": {"stages": 1, "timestamps": [[1.2, 2.5]]},
                    "A_0002_0004": {"stages": 2, "timestamps": [[2.0, 2.4], [2.4, 3.0]]},
                },
            },
            "E_000001_000002": {"event": 1, "timestamps": [[1, 2]], "segments": None},
        }
    }
    (tmp_path / "annotations" / "finegym_annotation_info_v1.1.json").write_text(json.dumps(info))
    data = FineGym(tmp_path)
    assert data.left_out == {"without a time in the annotations": 1, "without a video": 1}
    clip = data.clip(0)
    assert (len(clip), clip.people, clip.name) == (13, 0, first)
    np.testing.assert_allclose(dot_places(clip.frames)[:, 0], 10 + np.arange(12, 25), atol=0.3)
    np.testing.assert_allclose(clip.time, np.arange(12, 25) / 10, atol=1e-6)
    np.testing.assert_allclose(dot_places(data.clip(1).frames)[:, 0], 10 + np.arange(20, 30), atol=0.3)
    with pytest.raises(ClipError, match="no frame from 9 to 10 s"):
        read_passage(tmp_path / "events" / f"{event}.avi", 9, 10)
    (tmp_path / "annotations" / "finegym_annotation_info_v1.1.json").write_text('{"a": [1]}')
    with pytest.raises(ClipError, match="is no annotation of FineGYM"):
        FineGym(tmp_path)


def test_names_are_cut_at_the_eleventh_character() -> None:
    name = "A_E_AXXyA_o_E_002184_002237_A_0035_0036"
    assert pose_key(name) == "A_E_AXXyA_o_002184_002237_0035_0036"
    assert pose_key(pose_key(name)) == pose_key(name)


def test_wrong_folders_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="has no lists gym99_train_element"):
        open_dataset(f"finegym:{tmp_path}")
    with pytest.raises(ClipError, match="sets of 99 and 288 classes; 5 was"):
        open_dataset(f"finegym:{tmp_path}?set=5")
    _lists(tmp_path, {f"{EVENTS[0]}_A_0035_0036": 1}, {f"{EVENTS[1]}_A_0035_0036": 120})
    with pytest.raises(ClipError, match="has label 120"):
        open_dataset(f"finegym:{tmp_path}")
    _lists(tmp_path, {f"{EVENTS[0]}_A_0035_0036": 1}, {f"{EVENTS[1]}_A_0035_0036": 2})
    with pytest.raises(ClipError, match=r"none of the listed elements \(2 without a video\)"):
        open_dataset(f"finegym:{tmp_path}")
    with pytest.raises(ClipError, match=r"has no gym_hrnet\.pkl"):
        open_dataset(f"finegym:{tmp_path}?joints_only=1")
    (tmp_path / "annotations" / "gym99_val_element.txt").write_text(f"{EVENTS[0]}_A_0035_0036 1\nhello 2\n")
    with pytest.raises(ClipError, match=r"Line 2 of gym99_val_element\.txt is no element"):
        open_dataset(f"finegym:{tmp_path}")


def test_labels_are_spread_as_in_the_list(data_dir: Path) -> None:
    counts = Counter(element.label for element in read_list(data_dir / "samples" / "finegym" / "gym99_val_element.txt"))
    assert sum(counts.values()) == 8_521
    assert len(counts) == 99
