"""Packs: what is written is what is read, in place and in pixels; a pack is complete or absent."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from training.clip import Cause, Clip
from training.pack import PackedDataset, PackError, pack_files, shrink, verify, write_pack
from training.skeleton import JHMDB, SkeletonLayout

LABELS = ("left", "right")


def clip(number: int, length: int = 3, height: int = 20, width: int = 30, people: int = 1) -> Clip:
    random = np.random.default_rng(number)
    joints = random.uniform(0, 20, (length, people, 15, 2)).astype(np.float32)
    return Clip(
        frames=random.integers(0, 256, (length, height, width, 3), dtype=np.uint8),
        joints=joints,
        score=random.random((length, people, 15), dtype=np.float32),
        layout=JHMDB,
        time=np.arange(length) / 30,
        label=LABELS[number % 2],
        name=f"clip {number}",
        source="made up",
        cause=Cause(
            "time",
            np.ones(length, bool),
            np.zeros((length, people, 15), bool),
            np.zeros((length, height, width), bool),
        ),
    )


CLIPS = [clip(0), clip(1, length=5, height=24, width=24, people=2), clip(2, people=0), clip(3)]


class Made:
    """The four clips as a data set."""

    name = "made up"
    labels: tuple[str, ...] = LABELS
    layout: SkeletonLayout = JHMDB
    splits: Mapping[str, Sequence[int]] = {"train": (0, 1, 2), "val": (3,)}

    def __len__(self) -> int:
        return len(CLIPS)

    def clip(self, index: int) -> Clip:
        return CLIPS[index]

    def label(self, index: int) -> int:
        return index % 2

    def flipped(self, label: str) -> str | None:
        return "right" if label == "left" else None


def write(path: Path, size: int = 64, workers: int = 0) -> Path:
    return write_pack(path, Made(), Made.splits, size, workers=workers, progress=False)


def test_clips_come_back_as_they_were(tmp_path: Path) -> None:
    path = write(tmp_path / "pack")
    packed = PackedDataset(path)
    assert (packed.name, packed.labels, packed.layout, len(packed)) == ("made up", LABELS, JHMDB, 4)
    assert packed.splits == {"train": (0, 1, 2), "val": (3,)}
    assert (packed.flipped("left"), packed.flipped("right")) == ("right", None)
    for index, written in enumerate(CLIPS):
        read = packed.clip(index)
        assert read.fingerprint == written.fingerprint
        assert (read.label, read.name, read.source) == (written.label, written.name, written.source)
        np.testing.assert_array_equal(read.time, written.time)
        assert (packed.label(index), packed.kind(index)) == (index % 2, "time")
    verify(path)


def test_a_pack_may_hold_a_part_in_another_order(tmp_path: Path) -> None:
    path = write_pack(tmp_path / "pack", Made(), {"val": (2, 0)}, 64, labels=("left",), progress=False)
    packed = PackedDataset(path)
    assert [packed.clip(i).name for i in packed.splits["val"]] == ["clip 2", "clip 0"]
    assert packed.labels == ("left",)
    with pytest.raises(PackError, match="'clip 1' has label 'right'"):
        write_pack(tmp_path / "other", Made(), Made.splits, 64, labels=("left",), progress=False)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pack.npy", "pack.npz"]


def test_packed_frames_are_not_writable(tmp_path: Path) -> None:
    frames = PackedDataset(write(tmp_path / "pack")).clip(0).frames
    with pytest.raises(ValueError, match="read-only"):
        frames[0] = 0


def test_workers_write_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "one"), write(tmp_path / "two", workers=2)
    assert pack_files(first)[1].read_bytes() == pack_files(second)[1].read_bytes()


def test_a_painted_joint_stays_under_its_paint_when_shrunk() -> None:
    frames = np.zeros((1, 120, 160, 3), np.uint8)
    frames[0, 40:48, 80:88] = 255  # centre at pixel (83.5, 43.5)
    joints = np.full((1, 1, 15, 2), (83.5, 43.5), np.float32)
    dark = Clip(frames, joints, np.ones((1, 1, 15), np.float32), JHMDB, np.zeros(1), label="left")
    small = shrink(dark, 60)
    assert small.frames.shape == (1, 60, 80, 3)
    weight = small.frames[0, :, :, 0].astype(float)
    centre = (weight.sum(0) @ np.arange(80) / weight.sum(), weight.sum(1) @ np.arange(60) / weight.sum())
    np.testing.assert_allclose(small.joints[0, 0, 0], centre, atol=1e-4)
    np.testing.assert_allclose(small.joints[0, 0, 0], (41.5, 21.5), atol=1e-4)  # s (x + 0.5) - 0.5


def test_small_clips_are_not_enlarged() -> None:
    assert shrink(CLIPS[0], 64).frames.shape == (3, 20, 30, 3)


def test_an_unfinished_pack_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "pack")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "pack", size=16)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    verify(path)


def test_damage_is_found(tmp_path: Path) -> None:
    index, frames = pack_files(write(tmp_path / "pack"))
    content = bytearray(frames.read_bytes())
    content[-1] ^= 1
    frames.write_bytes(bytes(content))
    with pytest.raises(PackError, match="checksum"):
        verify(index)
    frames.write_bytes(bytes(content[:-7]))
    with pytest.raises(PackError, match="pack again"):
        PackedDataset(index)
    index.write_bytes(b"PK nonsense")
    with pytest.raises(PackError, match="not the index of a pack"):
        PackedDataset(index)


def test_an_index_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array([object()], dtype=object))
    (tmp_path / "bad.npz").write_bytes(buffer.getvalue())
    with pytest.raises(PackError, match="not the index of a pack"):
        PackedDataset(tmp_path / "bad")


def test_a_missing_pack_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="python -m training pack"):
        PackedDataset(tmp_path / "nothing")
