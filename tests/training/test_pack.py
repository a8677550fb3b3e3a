"""Packs: what is written is what is read, in place and in pixels; a pack is complete or absent."""

import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from training.clip import Cause, Clip
from training.errors import ClipError
from training.pack import PackedDataset, PackError, pack_files, shrink, verify, write_pack
from training.skeleton import JHMDB, SkeletonLayout

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("room", [0, 10**9])
def test_a_disk_that_is_too_small_is_said_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    used = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: used._replace(free=136 * 2 * 8 * 9 * 3 - 1 + room))
    if room:
        assert write_many(tmp_path / "pack", Many(broken=-1))[2] == []
        return
    with pytest.raises(PackError, match=r"136 clips are left to pack, about 0\.00 GB.* it goes on behind 64 clips"):
        write_many(tmp_path / "pack", Many(broken=-1))
    monkeypatch.undo()
    dataset = Many(broken=-1)
    write_many(tmp_path / "pack", dataset)
    assert dataset.read == [0, *range(64, 200)]


def test_an_index_that_cannot_be_written_costs_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write_many(tmp_path / "whole" / "pack", Many())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(npy, "write_array_header_1_0", full)
    with pytest.raises(OSError, match="No space left"):
        write_many(tmp_path / "pack", Many())
    monkeypatch.undo()
    dataset = Many()
    assert write_many(tmp_path / "pack", dataset)[:2] == whole[:2]
    assert dataset.read == [0]


def test_joints_stay_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "pack")
    with np.load(path) as index:
        joints, score = index["joints"], index["score"]
    dataset = PackedDataset(path)
    assert isinstance(dataset._joints.base, np.memmap)
    assert isinstance(dataset._score.base, np.memmap)
    assert np.array_equal(dataset._joints, joints)
    assert np.array_equal(dataset._score, score)
    for part in (dataset.clip(1).joints, dataset.clip(1).score, dataset.clip(1).time):
        assert part.flags.aligned
        assert part.flags.writeable


def test_a_damaged_index_is_found(tmp_path: Path) -> None:
    index, _ = pack_files(write(tmp_path / "pack"))
    content = bytearray(index.read_bytes())
    content[content.index(CLIPS[0].joints.tobytes())] ^= 1
    index.write_bytes(bytes(content))
    with pytest.raises(PackError, match="not the index of a pack"):
        verify(index)


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


class Partly(Made):
    """The four clips, some of them damaged."""

    def __init__(self, *broken: int) -> None:
        self.broken = broken

    def clip(self, index: int) -> Clip:
        if index in self.broken:
            raise ClipError(f"video {index} ends in the middle.")
        return CLIPS[index]


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_clips_are_left_out_and_counted(tmp_path: Path, workers: int) -> None:
    said: list[str] = []
    path = write_pack(
        tmp_path / "pack", Partly(0, 2), Made.splits, 64, workers=workers, progress=False, say=said.append
    )
    packed = PackedDataset(path)
    assert said == [
        "2 of 4 clips are damaged and were left out: clip 0: video 0 ends in the middle.; clip 2: video 2 ends in the "
        "middle."
    ]
    assert packed.splits == {"train": (0,), "val": (1,)}
    assert [packed.clip(i).fingerprint for i in range(2)] == [CLIPS[1].fingerprint, CLIPS[3].fingerprint]
    assert packed.left_out == {"damaged": 2}
    verify(path)


def test_only_the_first_damaged_clips_are_named(tmp_path: Path) -> None:
    said: list[str] = []
    write_pack(tmp_path / "pack", Partly(1), {"train": [1] * 8 + [0]}, 64, progress=False, say=said.append)
    assert said[0].count("ends in the middle") == 5
    assert "8 of 9 clips" in said[0]
    assert "and 3 more" in said[0]


def test_a_pack_of_damaged_clips_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"None of 4 clips of made up can be read: clip 0: video 0 ends"):
        write_pack(tmp_path / "pack", Partly(0, 1, 2, 3), Made.splits, 64, progress=False)
    assert list(tmp_path.iterdir()) == []


class Many(Made):
    """Two hundred clips that remember which of them were read, and may be cut short."""

    splits: Mapping[str, Sequence[int]] = {"train": range(160), "val": range(160, 200)}

    def __init__(self, stop_at: int | None = None, broken: int = 7) -> None:
        self.stop_at, self.broken, self.read = stop_at, broken, []  # type: ignore[var-annotated]

    def __len__(self) -> int:
        return 200

    def clip(self, index: int) -> Clip:
        if index == self.stop_at:
            raise KeyboardInterrupt
        self.read.append(index)
        if index == self.broken:
            raise ClipError("broken.")
        return clip(index, length=2, height=8, width=9)


def write_many(path: Path, dataset: Many, **changes: object) -> tuple[bytes, bytes, list[str]]:
    said: list[str] = []
    options: dict = {"size": 64, "progress": False, "say": said.append} | changes
    index, frames = pack_files(write_pack(path, dataset, dataset.splits, **options))
    return index.read_bytes(), frames.read_bytes(), said


def test_packing_goes_on_where_it_was_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole = write_many(tmp_path / "whole" / "pack", Many())
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        write_many(cut / "pack", Many(stop_at=150))
    assert [file.name for file in cut.iterdir()] == [".pack.part"]
    dataset = Many()
    again = write_many(cut / "pack", dataset)
    assert again[:2] == whole[:2]
    assert again[2][0] == f"Going on with {cut / 'pack.npz'}: 128 of 200 clips are done."
    assert dataset.read == [0, *range(128, 200)]  # two parts of 64 are not read again
    assert sorted(file.name for file in cut.iterdir()) == ["pack.npy", "pack.npz"]
    verify(cut / "pack")


@pytest.mark.parametrize("damage", ["frames", "short", "part"])
def test_a_damaged_part_is_done_again(tmp_path: Path, damage: str) -> None:
    whole = write_many(tmp_path / "whole" / "pack", Many())
    with pytest.raises(KeyboardInterrupt):
        write_many(tmp_path / "pack", Many(stop_at=199))
    folder = tmp_path / ".pack.part"
    frames = bytearray((folder / "frames").read_bytes())
    if damage == "part":
        (folder / "00001.npz").write_bytes(b"PK nonsense")
    elif damage == "short":
        (folder / "frames").write_bytes(frames[: 128 + 100 * 2 * 8 * 9 * 3])
    else:
        frames[128 + 100 * 2 * 8 * 9 * 3] ^= 1  # in the second part
        (folder / "frames").write_bytes(frames)
    dataset = Many()
    assert write_many(tmp_path / "pack", dataset)[:2] == whole[:2]
    assert dataset.read[1] == 64


def test_what_was_begun_for_other_clips_is_not_gone_on_with(tmp_path: Path) -> None:
    for changes in ({"size": 4}, {"source": "made up?twice=1"}):
        with pytest.raises(KeyboardInterrupt):
            write_many(tmp_path / "pack", Many(stop_at=150))
        dataset = Many()
        write_many(tmp_path / "pack", dataset, **changes)
        assert len(dataset.read) == 201


SCRIPT = """
    import sys, time
    from pathlib import Path
    from tests.training.test_pack import Many
    from training.pack import write_pack

    class Slow(Many):
        def clip(self, index):
            time.sleep(0.02)
            return super().clip(index)

    write_pack(Path(sys.argv[1]), Slow(), Slow.splits, 64, workers=int(sys.argv[2]), progress=False, say=print)
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_process_loses_no_finished_part(tmp_path: Path, workers: int) -> None:
    whole = write_many(tmp_path / "whole" / "pack", Many())
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "pack"), str(workers)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    part = tmp_path / ".pack.part" / "00000.npz"
    for _ in range(6000):
        if part.exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    dataset = Many()
    assert write_many(tmp_path / "pack", dataset)[:2] == whole[:2]
    assert dataset.read[1] >= 64


def test_two_processes_do_not_write_the_same_pack_at_once(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "pack"), "0"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("waiting for it" in text for text in said) <= 1
    verify(tmp_path / "pack")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pack.npy", "pack.npz"]


class Heavy(Made):
    """Counts how often it is sent to another process."""

    def __init__(self, sent: Path) -> None:
        self.sent = sent

    def __getstate__(self) -> dict:
        with open(self.sent, "a") as file:
            file.write("x")
        return self.__dict__


def test_the_data_set_is_sent_once_a_worker_at_most(tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.touch()
    write_pack(tmp_path / "pack", Heavy(sent), {"train": (0, 1, 2, 3) * 5}, 64, workers=2, progress=False)
    assert len(sent.read_text()) <= 2  # none where processes are forked
