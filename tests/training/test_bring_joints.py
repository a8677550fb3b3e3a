"""Joints from files of every kind, fitted to a video or to a cut of it; hostile files end in a sentence."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from training.bring_joints import Entries, bring_joints, entries, fitted
from training.errors import ClipError
from training.joints_file import Joints
from training.skeleton import COCO, JHMDB, PENN

T, M = 7, 2


def places(joints: int, people: int = 1) -> np.ndarray:
    return np.random.default_rng(2).uniform(5, 60, (T, people, joints, 2)).astype(np.float32)


def annotation(name: str, keypoint: np.ndarray) -> dict[str, object]:
    """As PySKL writes it: [M, T, V, 2]."""
    return {
        "frame_dir": name, "total_frames": T, "img_shape": (80, 100),
        "keypoint": np.ascontiguousarray(keypoint.swapaxes(0, 1)),
        "keypoint_score": np.ones((keypoint.shape[1], T, keypoint.shape[2]), np.float32),
    }  # fmt: skip


def test_a_pickle_of_one_clip_needs_no_name(tmp_path: Path) -> None:
    joints, path = places(17, 2), tmp_path / "one.pkl"
    path.write_bytes(pickle.dumps([annotation("only", joints)]))
    found = bring_joints(path)
    assert found.layout is COCO
    assert found.size == (80, 100)
    assert found.joints == pytest.approx(joints)
    assert entries(path) == Entries(("only",))


def test_a_pickle_of_several_clips_is_asked_for_one_by_name(tmp_path: Path) -> None:
    first, second = places(17), places(17) + 3
    path = tmp_path / "many.pickle"
    path.write_bytes(pickle.dumps({"annotations": [annotation("a/run", first), annotation("a/jump", second)]}))
    assert entries(path).names == ("a/run", "a/jump")
    assert entries(path).like("jump.mp4") == 1
    assert entries(path).like("other.mp4") == 0
    assert bring_joints(path, "a/jump").joints == pytest.approx(second)
    with pytest.raises(ClipError, match="2 clips; say which"):
        bring_joints(path)
    with pytest.raises(ClipError, match="no clip 'a/swim'"):
        bring_joints(path, "a/swim")


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, ("/tmp/kinescope-was-here",)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pkl"
    path.write_bytes(pickle.dumps([{"frame_dir": _Bomb()}]))
    with pytest.raises(ClipError, match="nothing of it was run"):
        bring_joints(path)
    assert not Path("/tmp/kinescope-was-here").exists()


def test_both_kinds_of_mat(tmp_path: Path) -> None:
    joints = places(13)[:, 0]
    seen = np.ones((T, 13), np.uint8)
    seen[2, 4] = 0
    penn = tmp_path / "0001.mat"
    scipy.io.savemat(
        penn, {"x": joints[..., 0] + 1, "y": joints[..., 1] + 1, "visibility": seen, "dimensions": [[80, 100, T]]}
    )
    found = bring_joints(penn)
    assert found.layout is PENN
    assert found.size == (80, 100)
    assert found.joints[:, 0] == pytest.approx(joints, abs=1e-4)
    assert found.score[2, 0, 4] == 0
    assert found.score.sum() == T * 13 - 1
    jhmdb = tmp_path / "joint_positions.mat"
    scipy.io.savemat(jhmdb, {"pos_img": places(15)[:, 0].transpose(2, 1, 0) + 1})
    assert bring_joints(jhmdb).layout is JHMDB
    scipy.io.savemat(penn, {"x": joints[:, :5, 0], "y": joints[:, :5, 1]})
    with pytest.raises(ClipError, match="no Penn Action label file"):
        bring_joints(penn)
    scipy.io.savemat(penn, {"x": joints[..., 0] * np.nan, "y": joints[..., 1]})
    with pytest.raises(ClipError, match="not numbers"):
        bring_joints(penn)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.txt", b"hello", "is none of them"),
        ("x.pkl", b"\x80", "no pickle"),
        ("x.mat", b"not a mat file at all" * 20, "not a JHMDB"),
        ("x.json", b"[" * 100_000, "not a COCO"),
        ("x.npz", b"PK\x03\x04 and then nothing", "cannot be read as joints"),
    ],
)
def test_other_files_end_in_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ClipError, match=sentence):
        bring_joints(path)


def test_coco_and_npz_are_read_as_before(tmp_path: Path) -> None:
    joints = places(17)
    path = tmp_path / "joints.npz"
    np.savez(path, joints=joints)
    assert bring_joints(path).joints == pytest.approx(joints)
    flat = np.concatenate([joints[:, 0], np.full((T, 17, 1), 2)], axis=-1).reshape(T, -1)
    coco = {
        "images": [{"id": t, "file_name": f"{t:03d}.jpg"} for t in range(T)],
        "annotations": [{"id": t, "image_id": t, "keypoints": flat[t].tolist()} for t in range(T)],
    }
    path = tmp_path / "joints.json"
    path.write_text(json.dumps(coco))
    assert bring_joints(path).joints == pytest.approx(joints, abs=1e-4)


def test_joints_are_fitted_to_the_cut_and_to_the_size() -> None:
    joints = np.zeros((T, 1, 15, 2), np.float32)
    joints[..., 0], joints[..., 1] = np.arange(T)[:, None, None] + 10, 20
    found = Joints(joints, np.ones(joints.shape[:3], np.float32), JHMDB)
    cut = fitted(found, T, (2, 4), (60, 80), (120, 160))  # frames shrunk to half their size
    assert cut.joints.shape == (3, 1, 15, 2)
    assert cut.joints[0, 0, 0].tolist() == [(12 + 0.5) / 2 - 0.5, (20 + 0.5) / 2 - 0.5]
    whole = fitted(found, 30, (3, 3 + T - 1), (120, 160), (120, 160))  # as many as the cut has
    assert whole.joints == pytest.approx(joints)
    assert fitted(found, T, (0, T - 1), (15, 160), (15, 160)).score.sum() == 0  # below the frame: not seen
    with pytest.raises(ClipError, match="joints for 7 frames, the video has 30 and the cut 5"):
        fitted(found, 30, (0, 4), (60, 80), (60, 80))
