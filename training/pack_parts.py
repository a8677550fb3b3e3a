"""The unfinished part of a pack: what is done stays done when the process is killed, and the end is the same.

    .F.part/frames      the frames of all clips so far, behind a header that is filled in at the end
    .F.part/00000.npz   what the index says of the first clips, where their frames end, and a SHA-256 of them; 00001 ...
    .F.part/lock        held by the process that writes

Every `PART_CLIPS` clips the frames are flushed to disk, and then a part is written and renamed. On the way back parts
are read in order up to the first that is absent or does not fit its frames; the frames are cut off there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
from numpy.lib import format as npy

from training.clip import Clip
from training.npz import map_npz

try:
    import fcntl
except ImportError:  # Windows: two processes that write the same pack at once are not noticed there
    fcntl = None  # type: ignore[assignment]

PART_CLIPS = 64
HEADER_BYTES = 128
BLOCK = 1 << 22
ARRAYS = {"joints": "<f4", "score": "<f4", "time": "<f8"}
"""What there is of every frame, and its type: too much of a large data set to be held."""


@dataclass
class Entries:
    """What the index says of some clips, and of those that were left out."""

    jobs: int = 0
    """Clips that were asked for, damaged ones included."""
    damaged: list[str] = field(default_factory=list)
    columns: dict[str, list] = field(
        default_factory=lambda: {
            name: [] for name in ("split", "label", "name", "source", "kind", "shape", "people", "amodal")
        }
    )
    arrays: dict[str, list[np.ndarray]] = field(default_factory=lambda: {name: [] for name in ARRAYS})

    def add(self, clip: Clip, split: str, label: int) -> None:
        self.jobs += 1
        kind = clip.cause.kind if clip.cause else ""
        row = (split, label, clip.name, clip.source, kind, clip.frames.shape[:3], clip.people, clip.amodal)
        for column, value in zip(self.columns.values(), row, strict=True):
            column.append(value)
        self.arrays["joints"].append(clip.joints.astype("<f4").ravel())
        self.arrays["score"].append(clip.score.astype("<f4").ravel())
        self.arrays["time"].append(clip.time.astype("<f8"))

    def leave_out(self, sentence: str) -> None:
        self.jobs += 1
        self.damaged.append(sentence)

    def __len__(self) -> int:
        return len(self.columns["label"])

    def take_rows(self, later: Entries) -> None:
        """The rows of later clips too; their joints, scores and times stay where they are written."""
        self.jobs += later.jobs
        self.damaged += later.damaged
        for name in self.columns:
            self.columns[name] += later.columns[name]

    def rows(self) -> dict[str, np.ndarray]:
        text = ("split", "name", "source", "kind")
        columns = {name: np.array(of, dtype=np.str_ if name in text else np.int64) for name, of in self.columns.items()}
        return columns | {"shape": columns["shape"].reshape(-1, 3)}

    def to_arrays(self) -> dict[str, np.ndarray]:
        return self.rows() | {
            name: np.concatenate([np.empty(0, ARRAYS[name]), *of]).astype(ARRAYS[name])
            for name, of in self.arrays.items()
        }

    @classmethod
    def of_rows(cls, values: Mapping[str, np.ndarray], jobs: int, damaged: list[str]) -> Entries:
        new = cls(jobs, damaged)
        for name, column in new.columns.items():
            column += values[name].tolist() if name in values else [False] * len(values["label"])  # of an older version
        return new


class Parts:
    """The folder of an unfinished pack, open for writing."""

    def __init__(self, folder: Path, key: str) -> None:
        """Go on with what `folder` holds if it belongs to `key`, which says all that decides the content."""
        self.folder, self.key = folder, key
        self.done, self.new = Entries(), Entries()
        self.digest, self._part_digest = hashlib.sha256(), hashlib.sha256()
        self._count = 0
        path = folder / "frames"
        path.touch()
        self._file: BinaryIO = open(path, "r+b")  # noqa: SIM115  closed in `close`
        self._start_array(0)
        self._read()

    def _read(self) -> None:
        end = HEADER_BYTES
        while True:
            try:
                with np.load(self._part(self._count)) as file:
                    values = {name: file[name] for name in file.files}  # the arrays too: their checksums are compared
                header = json.loads(str(values["header"]))
                if header["key"] != self.key:
                    break
                entries = Entries.of_rows(values, header["jobs"], header["damaged"])
            except (OSError, ValueError, KeyError, BadZipFile):
                break
            whole, part = self.digest.copy(), hashlib.sha256()
            for block in self._blocks(end, header["end"]):
                whole.update(block)
                part.update(block)
            if part.hexdigest() != header["sha256"]:
                break
            self.done.take_rows(entries)
            self.digest, end = whole, header["end"]
            self._count += 1
        self._file.truncate(end)
        self._file.seek(end)
        number = self._count
        while (stale := self._part(number)).exists():
            stale.unlink()
            number += 1

    def _blocks(self, start: int, end: int) -> Iterator[bytes]:
        self._file.seek(start)
        while start < end and (block := self._file.read(min(BLOCK, end - start))):
            start += len(block)
            yield block

    def add(self, clip: Clip, split: str, label: int) -> None:
        block = np.ascontiguousarray(clip.frames)
        self._file.write(block.data)
        self.digest.update(block.data)
        self._part_digest.update(block.data)
        self.new.add(clip, split, label)
        if self.new.jobs == PART_CLIPS:
            self._write_part()

    def leave_out(self, sentence: str) -> None:
        self.new.leave_out(sentence)
        if self.new.jobs == PART_CLIPS:
            self._write_part()

    def _write_part(self) -> None:
        """What is there is safe from now on."""
        self._flush()
        header = {
            "key": self.key, "jobs": self.new.jobs, "damaged": self.new.damaged, "end": self._file.tell(),
            "sha256": self._part_digest.hexdigest(),
        }  # fmt: skip
        path = self._part(self._count)
        with open(path.with_suffix(".new"), "wb") as file:
            np.savez(file, header=np.array(json.dumps(header)), **self.new.to_arrays())  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(path.with_suffix(".new"), path)
        self.done.take_rows(self.new)
        self.new, self._part_digest = Entries(), hashlib.sha256()
        self._count += 1

    def finish(self) -> tuple[Path, Entries]:
        """Everything is there: the file of the frames, complete and on disk, and the rows of all entries."""
        if self.new.jobs:
            self._write_part()
        end = self._file.tell()
        self._start_array(end - HEADER_BYTES)
        self._flush()
        self._file.close()
        return self.folder / "frames", self.done

    def write_index(self, path: Path, header: Mapping[str, Any]) -> None:
        """The index of the pack, as `np.savez` would write it, without holding it: the parts are copied one by one."""
        with open(path, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name, values in ({"header": np.array(json.dumps(header))} | self.done.rows()).items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                        npy.write_array(entry, values, allow_pickle=False)
                for name, kind in ARRAYS.items():
                    parts = [map_npz(self._part(number), name) for number in range(self._count)]
                    about = {"descr": kind, "fortran_order": False, "shape": (sum(map(len, parts)),)}
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                        npy.write_array_header_1_0(entry, about)
                        for part in parts:
                            entry.write(part.tobytes())
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        self._file.close()

    @property
    def bytes(self) -> int:
        """How much of the frames is written."""
        return self._file.tell() - HEADER_BYTES

    @property
    def jobs(self) -> int:
        """Clips that are done."""
        return self.done.jobs + self.new.jobs

    @property
    def worth_keeping(self) -> bool:
        return self._count > 0

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:05d}.npz"

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _start_array(self, length: int) -> None:
        """Write the header of a flat uint8 .npy file of `length` bytes at its start, in a fixed number of bytes."""
        text = repr({"descr": "|u1", "fortran_order": False, "shape": (length,)})
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little"))
        self._file.write(text.ljust(HEADER_BYTES - 11).encode() + b"\n")


@contextmanager
def working_folder(folder: Path, say: Callable[[str], None]) -> Iterator[bool]:
    """The folder of an unfinished pack, ours alone until the end; True if another process had it before us."""
    waited = False
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "wb")  # noqa: SIM115  held to the end
        try:
            if fcntl is not None:
                try:  # of this process: workers that outlive it for a moment do not hold it
                    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except (BlockingIOError, PermissionError):
                    say(f"Another process writes in {folder}; waiting for it.")
                    waited = True
                    fcntl.lockf(lock, fcntl.LOCK_EX)
                except OSError:
                    pass  # a file system without locks
            if not _is_there(folder / "lock", lock):
                continue  # the other one finished and removed its folder
            yield waited
            return
        finally:
            lock.close()


def _is_there(path: Path, file: Any) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def pack_key(about: dict[str, Any], jobs: Sequence[tuple[str, int]]) -> str:
    """A name for all that decides what is in a pack: what it is made of and which clips, in which order."""
    return hashlib.sha256(json.dumps([about, list(jobs)], sort_keys=True).encode()).hexdigest()[:32]
