"""Joints from every format, rescaled to the frames, and hostile files that end in a sentence."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from tests.training.test_video import ramp
from training.clip_file import load_clip, read_clip, save_clip
from training.errors import ClipError
from training.joints_file import read_joints
from training.video import VideoLimits, write_video


def test_npz_and_the_fields_own_spelling(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(0, 40, (9, 2, 17, 2)).astype(np.float32)
    np.savez(tmp_path / "ours.npz", joints=joints, layout="coco17", size=[48, 64])
    np.savez(
        tmp_path / "theirs.npz",
        keypoint=joints.swapaxes(0, 1).astype(np.float16),
        keypoint_score=np.full((2, 9, 17), 0.5),
        img_shape=[48, 64],
    )
    ours, theirs = read_joints(tmp_path / "ours.npz"), read_joints(tmp_path / "theirs.npz")
    assert ours.layout.name == theirs.layout.name == "coco17"
    assert ours.size == theirs.size == (48, 64)
    assert np.array_equal(ours.joints, joints)
    assert np.allclose(theirs.joints, joints, atol=0.03)
    assert (ours.score == 1).all()
    assert (theirs.score == 0.5).all()


def test_coco_keypoints(tmp_path: Path) -> None:
    def person(image: int, x: float, visible: int) -> dict[str, object]:
        return {"image_id": image, "id": image * 10, "keypoints": [x, 7, visible] * 17}

    data = {
        "images": [{"id": 2, "file_name": "b.jpg", "height": 48, "width": 64}, {"id": 1, "file_name": "a.jpg"}],
        "annotations": [person(1, 5, 2), person(2, 6, 0), person(2, 9, 1), {"image_id": 2}],
    }
    (tmp_path / "joints.json").write_text(json.dumps(data))
    found = read_joints(tmp_path / "joints.json")
    assert found.joints.shape == (2, 2, 17, 2)
    assert found.joints[0, 0, 0].tolist() == [5, 7]
    assert found.score[:, :, 0].tolist() == [[1, 0], [0, 1]]


def test_jhmdb_counts_from_one(tmp_path: Path) -> None:
    places = np.arange(2 * 15 * 4, dtype=float).reshape(2, 15, 4)
    scipy.io.savemat(tmp_path / "joint_positions.mat", {"pos_img": places})
    found = read_joints(tmp_path / "joint_positions.mat")
    assert found.joints.shape == (4, 1, 15, 2)
    assert found.joints[3, 0, 2].tolist() == [places[0, 2, 3] - 1, places[1, 2, 3] - 1]


def test_joints_follow_frames_that_are_shrunk_or_were_measured_elsewhere(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.webm", ramp(3, 100, 200))
    joints = np.full((3, 1, 17, 2), [99.5, 49.5], np.float32)
    joints[0, 0, 0] = [250, 20]  # outside
    np.savez(tmp_path / "joints.npz", joints=joints)
    np.savez(tmp_path / "double.npz", joints=(joints + 0.5) * 2 - 0.5, size=[200, 400])
    for name in ("joints.npz", "double.npz"):
        clip = read_clip(tmp_path / "clip.webm", tmp_path / name, VideoLimits(longest_side=100))
        assert clip.size == (50, 100)
        assert np.allclose(clip.joints[1], [49.5, 24.5])
        assert clip.score[0, 0, 0] == 0
        assert clip.score.sum() == 3 * 17 - 1


def test_a_video_without_joints_is_a_clip(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.webm", ramp(3))
    clip = read_clip(tmp_path / "clip.webm")
    assert clip.people == 0
    assert len(clip) == 3


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"joints": np.zeros((3, 17, 2))}, "needs an array `joints`"),
        ({"points": np.zeros((3, 1, 17, 2))}, "found none"),
        ({"joints": np.zeros((3, 1, 11, 2))}, "has 11 joints a person"),
        ({"joints": np.full((3, 1, 17, 2), np.nan)}, "51 joints that are not numbers"),
        ({"joints": np.zeros((3, 1, 17, 2)), "score": np.zeros((3, 17))}, "`score` is"),
        ({"joints": np.zeros((3, 1, 17, 2)), "layout": np.array("coco99")}, "Unknown skeleton layout"),
        ({"joints": np.zeros((3, 1, 17, 2)), "layout": np.array("penn13")}, r"penn13 \(13 joints\) and holds 17"),
        ({"joints": np.zeros((3, 40, 17, 2))}, "40 people"),
        ({"joints": np.array(["a"]).reshape(1, 1, 1, 1)}, "needs an array"),
    ],
)
def test_wrong_arrays_get_one_sentence(tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str) -> None:
    np.savez(tmp_path / "joints.npz", **arrays)
    with pytest.raises(ClipError, match=sentence) as error:
        read_joints(tmp_path / "joints.npz")
    assert "\n" not in str(error.value)


def test_joints_of_another_length_get_both_numbers(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.webm", ramp(9))
    np.savez(tmp_path / "joints.npz", joints=np.zeros((7, 1, 17, 2)))
    with pytest.raises(ClipError, match=r"7 frames and clip.webm has 9"):
        read_clip(tmp_path / "clip.webm", tmp_path / "joints.npz")


def test_hostile_files_run_nothing_and_allocate_nothing(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "object.npz", joints=np.array([Hostile()], dtype=object))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Hostile()))
    (tmp_path / "pickle.mat").write_bytes(pickle.dumps(Hostile()))
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "other.json").write_text('{"images": []}')
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("joints.npy", bytes(80 << 20))
    with zipfile.ZipFile(tmp_path / "claims.npz", "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
        header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
        archive.writestr("joints.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ClipError) as error:
            read_joints(path)
        assert path.name in str(error.value)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ClipError, match="none of them"):
        read_joints(tmp_path / "joints.pkl")


def test_a_saved_clip_comes_back_whole(tmp_path: Path) -> None:
    from training import gym

    clip = gym.clip(gym.LABELS[0], 3, size=48, frames=8)
    save_clip(tmp_path / "clip.npz", clip)
    again = load_clip(tmp_path / "clip.npz")
    assert again.fingerprint == clip.fingerprint
    assert (again.label, again.name, again.layout) == (clip.label, clip.name, clip.layout)
    assert np.array_equal(again.person_mask, clip.person_mask)
    assert again.cause.kind == clip.cause.kind
    for name in ("frames", "joints", "pixels"):
        assert np.array_equal(getattr(again.cause, name), getattr(clip.cause, name))
    np.savez(tmp_path / "other.npz", frames=clip.frames)
    with pytest.raises(ClipError, match=r"other.npz is no saved clip"):
        load_clip(tmp_path / "other.npz")


def test_official_samples(data_dir: Path) -> None:
    samples = data_dir / "samples" / "jhmdb_official"
    found = read_joints(samples / "joint_positions.mat")
    assert found.joints.shape[1:] == (1, 15, 2)
    for path in (samples / "mmpose").glob("**/*.json"):
        coco = read_joints(path)
        assert coco.layout.name == "jhmdb15"
        assert coco.score.any()
