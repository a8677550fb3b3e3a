"""Pack: a data set decoded or rendered once, so that training reads pixels and nothing else.

    F.npy   uint8, the frames of all clips one after the other (memory-mapped when read)
    F.npz   the index: where each clip starts, its shape, joints, scores, labels, names, split, and a SHA-256 of F.npy

Frames are shrunk so that their short side is `size` pixels, keeping the aspect; joints move with them. Masks are not
packed: training does not read them. Damaged clips are left out and counted. Both files are written in a folder beside
(`training.pack_parts`) and renamed at the end, the index last, so that a pack is either complete or absent; packing
that was killed goes on where it was when it is started again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
from tqdm import tqdm

from training.clip import Clip
from training.datasets.base import Dataset
from training.errors import ClipError
from training.npz import map_npz
from training.pack_parts import (
    ARRAYS,
    BLOCK,
    HEADER_BYTES,
    PART_CLIPS,
    Parts,
    pack_key,
    remove,
    working_folder,
)
from training.skeleton import SkeletonLayout, layout_named

FORMAT_VERSION = 1
NAMED = 5
"""Damaged clips that are named; all are counted."""


class PackError(ClipError):
    """A pack that cannot be read or written; the message says why and what to do."""


class FullDiskError(PackError):
    """What is left to pack will not fit on the disk. What was done is kept."""


def shrink(clip: Clip, size: int) -> Clip:
    """The clip with a short side of `size` pixels; a smaller clip stays as it is. Mask and cause pixels are dropped."""
    height, width = clip.size
    scale = size / min(height, width)
    cause = clip.cause and replace(clip.cause, pixels=np.zeros((len(clip), 0, 0), dtype=bool))
    if scale >= 1:
        return replace(clip, person_mask=None, cause=cause)
    shape = round(width * scale), round(height * scale)
    frames = np.stack([cv2.resize(frame, shape, interpolation=cv2.INTER_AREA) for frame in clip.frames])
    # rounding makes the two scales differ by a fraction of a pixel, so each axis has its own
    factor = np.array([shape[0] / width, shape[1] / height])
    joints = ((clip.joints + 0.5) * factor - 0.5).astype(np.float32)
    return replace(clip, frames=frames, joints=joints, person_mask=None, cause=cause)


def write_pack(
    path: Path,
    dataset: Dataset,
    splits: Mapping[str, Sequence[int]],
    size: int,
    *,
    labels: Sequence[str] | None = None,
    workers: int = 0,
    progress: bool = True,
    source: str = "",
    say: Callable[[str], None] = tqdm.write,
) -> Path:
    """Write some clips of a data set; returns the path of the index.

    If the same was begun before and killed, it goes on; the result is the same to the bit.

    Args:
        path: name of the pack; `.npz` and `.npy` are put behind it.
        splits: split name -> clip indices; clips are read one by one, so that they need not fit in memory.
        size: short side in pixels.
        labels: the labels of the pack, in order; those of the data set by default.
        workers: processes that decode or render; 0 does it in this one.
        source: how the data set was called; what was begun for another one is not gone on with.
        say: gets a sentence about clips that are left out.

    Raises PackError if no clip can be read, and FullDiskError once the clips so far say that the rest will not fit
    on the disk. What was done is kept after a kill and after every error but the first.
    """
    labels = tuple(dataset.labels if labels is None else labels)
    jobs = [(split, index) for split, indices in splits.items() for index in indices]
    if not jobs:
        raise PackError("There is no clip to pack; check the name of the data set and its splits.")
    index_path, frames_path = pack_files(path)
    about = {
        "format_version": FORMAT_VERSION,
        "name": dataset.name,
        "labels": labels,
        "layout": dataset.layout.name,
        "flipped": {label: dataset.flipped(label) for label in labels},
        "size": size,
    }
    read = _Reader(dataset, size)
    first = read(jobs[0][1])  # tells clips of another version of the data from those that are there
    content = first if isinstance(first, str) else first.fingerprint
    key = pack_key(about | {"source": source, "first": content}, jobs)
    folder = frames_path.with_name(f".{frames_path.stem}.part")
    with working_folder(folder, say) as waited:
        if waited and _is_pack_of(index_path, key):
            remove(folder)
            return index_path
        parts = Parts(folder, key)
        try:
            if parts.jobs:
                say(f"Going on with {index_path}: {parts.jobs} of {len(jobs)} clips are done.")
            _read_all(parts, read, jobs, labels, workers, progress)
            frames, entries = parts.finish()
            if not len(entries):
                raise PackError(f"None of {len(jobs)} clips of {dataset.name} can be read: {_first(entries.damaged)}")
            about |= {"sha256": parts.digest.hexdigest(), "key": key, "damaged": entries.damaged}
            parts.write_index(folder / "index", about)
            index_path.unlink(missing_ok=True)  # an old index must never describe new frames
            os.replace(frames, frames_path)
            os.replace(folder / "index", index_path)
        except BaseException as error:
            parts.close()
            if type(error) is PackError or not parts.worth_keeping:
                remove(folder)
            raise
        remove(folder)
    if entries.damaged:
        say(f"{len(entries.damaged)} of {len(jobs)} clips are damaged and were left out: {_first(entries.damaged)}")
    return index_path


def _read_all(
    parts: Parts, read: _Reader, jobs: list[tuple[str, int]], labels: Sequence[str], workers: int, progress: bool
) -> None:
    """All clips that `parts` does not have yet, in order."""
    left = jobs[parts.jobs :]
    with tqdm(total=len(jobs), initial=parts.jobs, desc="pack", unit="clip", disable=not progress) as bar:
        for (split, _), clip in zip(left, _in_order(read, [index for _, index in left], workers), strict=True):
            if isinstance(clip, str):
                parts.leave_out(clip)
            elif clip.label not in labels:
                raise PackError(f"Clip {clip.name!r} has label {clip.label!r}, which is not among the labels.")
            else:
                parts.add(clip, split, labels.index(clip.label))
            bar.update()
            if parts.jobs % PART_CLIPS == 0:
                ahead = parts.bytes * (len(jobs) - parts.jobs) // parts.jobs
                free = shutil.disk_usage(parts.folder).free
                bar.set_postfix_str(f"{_gigabytes(parts.bytes)} of about {_gigabytes(parts.bytes + ahead)}")
                if ahead > free:
                    raise FullDiskError(
                        f"{len(jobs) - parts.jobs} clips are left to pack, about {_gigabytes(ahead)}, and "
                        f"{_gigabytes(free)} are free on the disk of {parts.folder.parent}. Make room, or give another "
                        f"--out or a smaller --size; started again the same, it goes on behind {parts.jobs} clips."
                    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"


def _first(damaged: Sequence[str]) -> str:
    more = len(damaged) - NAMED
    return "; ".join(damaged[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def _is_pack_of(index_path: Path, key: str) -> bool:
    try:
        return json.loads(str(_read_index(index_path, mapped=tuple(ARRAYS))["header"])).get("key") == key
    except PackError:
        return False


def pack_files(path: str | Path) -> tuple[Path, Path]:
    """(index, frames) of the pack called `path`, with or without `.npz`."""
    path = Path(path).expanduser()
    stem = path.with_suffix("") if path.suffix in (".npz", ".npy") else path
    return stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + ".npy")


class _Reader:
    """Reads and shrinks one clip of a data set, or says why it cannot; a class so that it can be sent to a process."""

    def __init__(self, dataset: Dataset, size: int) -> None:
        self.dataset, self.size = dataset, size

    def __call__(self, index: int) -> Clip | str:
        try:
            return shrink(self.dataset.clip(index), self.size)
        except (ClipError, OSError) as error:
            return f"clip {index}: {error}"


_READER: ContextVar[_Reader] = ContextVar("_READER")
"""In a worker: what it reads with, sent once when it starts. A data set may hold a table of a million names."""


def _start_worker(read: _Reader, parent: int) -> None:
    cv2.setNumThreads(0)  # workers are the parallelism already
    _READER.set(read)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, killed: the pool alone would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _read_in_worker(index: int) -> Clip | str:
    return _READER.get()(index)


def _in_order(read: _Reader, indices: Sequence[int], workers: int) -> Iterator[Clip | str]:
    """The clips in the order of `indices`; with workers, only a few are held at a time."""
    if workers == 0:
        yield from map(read, indices)
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(read, os.getpid())) as pool:
        waiting: deque[Future[Clip | str]] = deque()
        try:
            for index in indices:
                waiting.append(pool.submit(_read_in_worker, index))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class PackedDataset:
    """A pack as a data set. Frames are views of a memory-mapped file, joints are copied out of another."""

    def __init__(self, path: str | Path) -> None:
        index_path, frames_path = pack_files(path)
        index = _read_index(index_path, mapped=tuple(ARRAYS))
        header = json.loads(str(index["header"]))
        self.name: str = header["name"]
        self.labels: tuple[str, ...] = tuple(header["labels"])
        self.layout: SkeletonLayout = layout_named(header["layout"])
        self._flipped: dict[str, str | None] = header["flipped"]
        self.left_out = {"damaged": len(header["damaged"])} if header.get("damaged") else {}
        split = index["split"].tolist()
        self.splits: Mapping[str, Sequence[int]] = {
            name: tuple(i for i, of in enumerate(split) if of == name) for name in dict.fromkeys(split)
        }
        self._shape, self._people, self._label = index["shape"], index["people"], index["label"]
        self._amodal = index.get("amodal", np.full(len(self._label), header.get("amodal", False)))
        self._text = {name: index[name] for name in ("name", "source", "kind")}
        self._frames = _map_frames(frames_path, self._shape)
        self._joints, self._score, self._time = index["joints"], index["score"], index["time"]
        length = self._shape[:, 0]
        self._first_pixel = _starts(self._shape.prod(1) * 3)
        self._first_frame = _starts(length)
        self._first_joint = _starts(length * self._people * len(self.layout))

    def __len__(self) -> int:
        return len(self._label)

    def label(self, index: int) -> int:
        return int(self._label[index])

    def kind(self, index: int) -> str | None:
        """What decides the clip's label, where that is known."""
        return str(self._text["kind"][index]) or None

    def flipped(self, label: str) -> str | None:
        return self._flipped[label]

    def clip(self, index: int) -> Clip:
        length, height, width = (int(n) for n in self._shape[index])
        people, joints = int(self._people[index]), len(self.layout)
        pixel, frame, joint = (int(s[index]) for s in (self._first_pixel, self._first_frame, self._first_joint))
        count = length * people * joints
        return Clip(
            frames=self._frames[pixel : pixel + length * height * width * 3].reshape(length, height, width, 3),
            joints=self._joints[2 * joint : 2 * (joint + count)].copy().reshape(length, people, joints, 2),
            score=self._score[joint : joint + count].copy().reshape(length, people, joints),
            layout=self.layout,
            time=self._time[frame : frame + length].copy(),
            label=self.labels[self._label[index]],
            name=str(self._text["name"][index]),
            source=str(self._text["source"][index]),
            amodal=bool(self._amodal[index]),
        )


def verify(path: str | Path) -> None:
    """Read the whole pack and compare it with its checksum; PackError if they differ."""
    index_path, frames_path = pack_files(path)
    header = json.loads(str(_read_index(index_path)["header"]))  # all of it, against the checksums of the archive
    digest = hashlib.sha256()
    with open(frames_path, "rb") as file:
        file.seek(HEADER_BYTES)
        while block := file.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != header["sha256"]:
        raise PackError(f"{frames_path} is damaged (its checksum differs from the index); pack again.")


def _read_index(path: Path, mapped: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of an index; those that `mapped` names stay in the file."""
    if not path.is_file():
        raise PackError(f"There is no pack at {path}; write it with `python -m training pack`.")
    try:
        with np.load(path) as file:
            index = {name: map_npz(path, name) if name in mapped else file[name] for name in file.files}
        version = json.loads(str(index["header"]))["format_version"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise PackError(f"{path} is not the index of a pack ({type(error).__name__}); pack again.") from error
    if version != FORMAT_VERSION:
        raise PackError(f"{path} has format version {version}; this program reads {FORMAT_VERSION}: pack again.")
    return index


def _map_frames(path: Path, shape: np.ndarray) -> np.ndarray:
    expected = int(shape.prod(1).sum()) * 3
    try:
        frames = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise PackError(f"{path} cannot be read ({type(error).__name__}); pack again.") from error
    if frames.shape != (expected,) or frames.dtype != np.uint8:
        raise PackError(f"{path} holds {frames.size} bytes where its index says {expected}; pack again.")
    return np.asarray(frames)  # a plain array over the same mapping: slicing a memmap is slow


def _starts(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]])
