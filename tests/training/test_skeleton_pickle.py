"""Annotation files of PySKL and MMAction2: splits, people, places on frames of another size, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.small_video import dot_frames, dot_places, write_avi
from training.datasets import open_dataset
from training.datasets.skeleton_pickle import SkeletonPickle, source_of
from training.errors import ClipError
from training.skeleton import COCO


def _annotation(name: str, label: int, frames: int = 8, people: int = 1, **more: Any) -> dict[str, Any]:
    """Joint j of person m in frame t lies at (10 + t + j, 12 + 20 m)."""
    t, m, j = np.meshgrid(np.arange(frames), np.arange(people), np.arange(17), indexing="ij")
    places = np.stack([10.0 + t + j, 12.0 + 20 * m], -1).transpose(1, 0, 2, 3)
    return {
        "frame_dir": name,
        "label": label,
        "total_frames": frames,
        "img_shape": (48, 64),
        "original_shape": (48, 64),
        "keypoint": places.astype(np.float16),
        "keypoint_score": np.full(places.shape[:3], 0.75, np.float16),
        **more,
    }


def _ntu_names(count: int) -> list[str]:
    return [f"S001C001P{1 + i % 16:03d}R001A{1 + i % 3:03d}" for i in range(count)]


def _write(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.fixture
def several(tmp_path: Path) -> Path:
    names = _ntu_names(48)
    annotations = [_annotation(name, int(name[-3:]) - 1) for name in names]
    split = {
        "xsub_train": names[:32],
        "xsub_val": names[32:],
        "xview_train": names[:10],
        "xview_val": names[10:20],
    }
    return _write(tmp_path / "ntu60_hrnet.pkl", {"split": split, "annotations": annotations})


def test_joints_scores_and_labels(several: Path) -> None:
    data = open_dataset(f"skeletons:{several}?split=xsub")
    assert data.layout is COCO
    assert data.labels == ("class 0", "class 1", "class 2")
    assert len(data) == 48
    clip = data.clip(4)
    assert (clip.label, clip.name) == ("class 1", "S001C001P005R001A002")
    assert clip.frames.shape == (8, 48, 64, 3)
    assert not clip.frames.any()
    np.testing.assert_allclose(clip.joints[3, 0, 5], (18, 12), atol=1e-3)
    np.testing.assert_allclose(clip.score, 0.75)


def test_official_parts_and_validation_by_performer(several: Path) -> None:
    for text in ("xsub", "xsub_train"):
        data = SkeletonPickle(several, split=text)
        sizes = {part: len(members) for part, members in data.splits.items()}
        assert sizes["train"] + sizes["val"] == 32
        assert sizes["test"] == 16
        performers = {part: {data.annotations[i].name[8:12] for i in m} for part, m in data.splits.items()}
        assert len(performers["val"]) == 2
        assert not performers["train"] & performers["val"]
    assert {len(m) for m in SkeletonPickle(several, split="xview").splits.values()} == {9, 1, 10}
    assert SkeletonPickle(several, split="xview").left_out == {"in no part of the split": 28}
    with pytest.raises(ClipError, match="choose with \\?split= one of xsub, xview"):
        SkeletonPickle(several)
    with pytest.raises(ClipError, match="no split 'xset'; it has xsub, xview"):
        SkeletonPickle(several, split="xset")


def test_other_spellings_of_splits(tmp_path: Path) -> None:
    names = [f"v_Run_g{g:02d}_c{c:02d}" for g in range(9) for c in range(4)]
    annotations = [_annotation(name, 0) for name in names]
    path = tmp_path / "ucf.pkl"
    _write(path, {"split": {"train1": names[:32], "test1": names[32:]}, "annotations": annotations})
    data = open_dataset(f"skeletons:{path}?split=1")
    groups = {part: {source_of(data.annotations[i].name) for i in members} for part, members in data.splits.items()}
    assert {part: len(found) for part, found in groups.items()} == {"train": 7, "val": 1, "test": 1}
    _write(path, {"split": {"train": names[:5], "val": names[5:7], "test": names[7:10]}, "annotations": annotations})
    assert [len(m) for m in SkeletonPickle(path).splits.values()] == [5, 2, 3]
    _write(path, annotations)  # a bare list: a tenth each, the same every time
    first, second = SkeletonPickle(path).splits, SkeletonPickle(path).splits
    assert first == second
    assert {part: len(m) for part, m in first.items()} == {"train": 28, "val": 4, "test": 4}


def test_sources_of_names() -> None:
    assert source_of("S017C003P020R002A060") == "P020"
    assert source_of("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02") == "v_ApplyEyeMakeup_g08"
    assert source_of("A0x_E_XYsHU_E_002184_002237_A_0035_0036") == "A0x_E_XYsHU"
    assert source_of("A0xAXXysHUo_002184_002237_0035_0036") == "A0xAXXysHUo"
    assert source_of("anything else") == "anything else"
    assert source_of("S017C003P020R002A060", "setup") == "S017"
    cut = "Torwarttraining_2_(_sterreich)_catch_f_cm_np1_le_goo_3"
    assert source_of(cut) == "Torwarttraining_2_(_sterreich)_catch"
    assert source_of(cut, label="catch") == "Torwarttraining_2_(_sterreich)"


def test_validation_generalises_as_the_test_does(tmp_path: Path) -> None:
    names = [f"S{s:03d}C001P{p:03d}R001A001" for s in range(1, 19) for p in (1, 2)]
    split = {"xset_train": names[:32], "xset_val": names[32:]}
    _write(tmp_path / "ntu.pkl", {"split": split, "annotations": [_annotation(name, 0) for name in names]})
    data = SkeletonPickle(tmp_path / "ntu.pkl", split="xset")
    setups = {part: {data.annotations[i].name[:4] for i in members} for part, members in data.splits.items()}
    assert {part: len(found) for part, found in setups.items()} == {"train": 14, "val": 2, "test": 2}
    names = [f"video_{n}_catch_u_nm_np1_fr_med_{cut}" for n in range(10) for cut in range(3)]
    split = {"train1": names[:24], "test1": names[24:]}
    _write(tmp_path / "hmdb.pkl", {"split": split, "annotations": [_annotation(name, 0) for name in names]})
    data = SkeletonPickle(tmp_path / "hmdb.pkl", split="1")
    videos = {part: {data.annotations[i].name[:7] for i in members} for part, members in data.splits.items()}
    assert {part: len(found) for part, found in videos.items()} == {"train": 7, "val": 1, "test": 2}
    assert not videos["train"] & videos["val"]


def test_padding_and_surplus_people_go(tmp_path: Path) -> None:
    annotation = _annotation("clip", 0, people=4, img_shape=(96, 64))
    annotation["keypoint"][1] = annotation["keypoint_score"][1] = 0
    annotation["keypoint_score"][2] = 0.5
    annotation["keypoint_score"][3, 2, 6] = 1.25  # detectors exceed 1
    annotation["keypoint"][3, 2, 7] = np.nan
    path = _write(tmp_path / "a.pkl", [annotation])
    clip = SkeletonPickle(path).clip(0)
    assert clip.joints[0, :, 0, 1].tolist() == [12, 72]  # person 0, then 3: the two seen best, in the file's order
    assert SkeletonPickle(path, people=3).clip(0).people == 3
    assert clip.score.max() <= 1
    assert np.isfinite(clip.joints).all()


def test_places_follow_the_video(tmp_path: Path) -> None:
    frames = dot_frames(8, 96, 128, x=20, y=30)
    write_avi(tmp_path / "videos" / "walk" / "clip_rgb.avi", frames)
    annotation = _annotation("clip", 0)
    # measured on frames of half the size: 96x128 pixel (20 + t, 30) is (x + 0.5) / 2 - 0.5 there
    annotation["keypoint"][0, :, 0] = [((20 + t + 0.5) / 2 - 0.5, (30 + 0.5) / 2 - 0.5) for t in range(8)]
    lost = _annotation("lost", 0)
    path = _write(tmp_path / "a.pkl", {"annotations": [annotation, lost], "split": {}})
    data = open_dataset(f"skeletons:{path}?videos={tmp_path / 'videos'}")
    assert data.left_out == {"without a video": 1}  # type: ignore[attr-defined]
    clip = data.clip(0)
    np.testing.assert_allclose(clip.joints[:, 0, 0], dot_places(clip.frames), atol=0.3)
    turned = annotation | {"img_shape": (64, 48)}  # some writers say (width, height)
    clip = SkeletonPickle(_write(path, [turned]), videos=tmp_path / "videos").clip(0)
    np.testing.assert_allclose(clip.joints[:, 0, 0], dot_places(clip.frames), atol=0.3)
    longer = _annotation("clip", 0, frames=14)
    with pytest.raises(ClipError, match="clip has 8 frames and joints for 14"):
        SkeletonPickle(_write(path, [longer]), videos=tmp_path / "videos").clip(0)
    write_avi(tmp_path / "videos" / "walk" / "clip_rgb.avi", frames[:7])
    assert len(SkeletonPickle(_write(path, [annotation]), videos=tmp_path / "videos").clip(0)) == 7


def test_compressed_annotations(tmp_path: Path) -> None:
    full = _annotation("clip", 0, frames=4, people=2)
    rows = [(0, 0), (2, 0), (2, 1), (3, 0)]  # (frame, person): nobody in frame 1
    keypoint = np.stack([np.c_[full["keypoint"][m, t], full["keypoint_score"][m, t]] for t, m in rows])
    compressed = full | {"keypoint": keypoint.astype(np.float16), "frame_inds": np.array([0, 2, 2, 3], np.int16)}
    del compressed["keypoint_score"]
    clip = SkeletonPickle(_write(tmp_path / "a.pkl", [compressed])).clip(0)
    assert (clip.score[:, :, 0] > 0).tolist() == [[True, False], [False, False], [True, True], [True, False]]
    np.testing.assert_allclose(clip.joints[2, 1, 4], (16, 32), atol=1e-3)
    endless = compressed | {"total_frames": 10**12}
    with pytest.raises(ClipError, match=r"claims \d people in 1000000000000 frames"):
        SkeletonPickle(_write(tmp_path / "c.pkl", [endless])).clip(0)
    outside = compressed | {"frame_inds": np.array([0, 2, 2, 9], np.int16)}
    with pytest.raises(ClipError, match="outside its 4 frames"):
        SkeletonPickle(_write(tmp_path / "a.pkl", [outside])).clip(0)


def test_class_names(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.pkl", [_annotation("one", 0), _annotation("two", 1)])
    (tmp_path / "names.txt").write_text("left hook\nright hook\n")
    data = SkeletonPickle(path, names=tmp_path / "names.txt")
    assert data.labels == ("left hook", "right hook")
    assert data.flipped("left hook") == "right hook"
    (tmp_path / "names.txt").write_text("left hook\n")
    with pytest.raises(ClipError, match="has 1 different names, and the labels need 2"):
        SkeletonPickle(path, names=tmp_path / "names.txt")


def test_the_kinetics_sample_is_refused_in_one_sentence(data_dir: Path) -> None:
    with pytest.raises(ClipError, match="of the Kinetics kind: it has boxes and no keypoints"):
        open_dataset(f"skeletons:{data_dir / 'samples' / 'mmaction2' / 'sample.pkl'}")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"split": {}}, "is no annotation file"),
        ([1, 2], "is no annotation file"),
        ([{"frame_dir": "a", "label": 0}], "annotations without `keypoint`"),
        ([{"frame_dir": "a", "label": 0, "total_frames": 4, "keypoint": np.zeros((1, 4, 25, 3))}], "in metres"),
        ([_annotation("a", 0) | {"keypoint": np.zeros((1, 8, 18, 2))}], "has 18 joints a person; expected one of"),
        ([_annotation("a", 0) | {"frame_dir": 5}], "no annotation with a name"),
        ([_annotation("a", 0) | {"label": None}], "no clip that can be used: 1 without a label"),
        ({"annotations": [_annotation("a", 0)], "split": {"train": {"a": 1}}}, "no dictionary of lists"),
    ],
)
def test_other_files_get_one_sentence(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(ClipError, match=sentence):
        SkeletonPickle(_write(tmp_path / "a.pkl", content))


def test_a_damaged_annotation_does_not_spread(tmp_path: Path) -> None:
    bad = _annotation("bad", 0) | {"keypoint_score": np.ones((1, 3, 17), np.float16)}
    path = _write(tmp_path / "a.pkl", [bad, _annotation("good", 1), {"keypoint": np.zeros(3)}])
    data = SkeletonPickle(path)
    assert data.left_out == {"damaged annotation": 1}
    with pytest.raises(ClipError, match="bad has joints"):
        data.clip(0)
    assert data.clip(1).label == "class 1"
