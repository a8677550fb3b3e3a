"""Pack: a data set decoded or rendered once, so that training reads pixels and nothing else.

    F.npy   uint8, the frames of all clips one after the other (memory-mapped when read)
    F.npz   the index: where each clip starts, its shape, joints, scores, labels, names, split, and a SHA-256 of F.npy

Frames are shrunk so that their short side is `size` pixels, keeping the aspect; joints move with them. Masks are not
packed: training does not read them. Both files are written under another name and renamed at the end, the index last,
so that a pack is either complete or absent.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
from tqdm import tqdm

from training.clip import Clip
from training.datasets.base import Dataset
from training.errors import ClipError
from training.skeleton import SkeletonLayout, layout_named

FORMAT_VERSION = 1


class PackError(ClipError):
    """A pack that cannot be read or written; the message says why and what to do."""


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
) -> Path:
    """Write some clips of a data set; returns the path of the index.

    Args:
        path: name of the pack; `.npz` and `.npy` are put behind it.
        splits: split name -> clip indices; clips are read one by one, so that they need not fit in memory.
        size: short side in pixels.
        labels: the labels of the pack, in order; those of the data set by default.
        workers: processes that decode or render; 0 does it in this one.
    """
    labels = tuple(dataset.labels if labels is None else labels)
    jobs = [(split, index) for split, indices in splits.items() for index in indices]
    index_path, frames_path = pack_files(path)
    index_path.parent.mkdir(parents=True, exist_ok=True)
    temporary = [file.with_name(f".{file.name}.{os.getpid()}.part") for file in (frames_path, index_path)]
    entries: dict[str, list] = {name: [] for name in ("split", "label", "name", "source", "kind", "shape", "people")}
    joints, scores, times = [], [], []
    digest = hashlib.sha256()
    try:
        with open(temporary[0], "wb") as file:
            _start_array(file, 0)
            read = _in_order(_Reader(dataset, size), [index for _, index in jobs], workers)
            bar = tqdm(read, total=len(jobs), desc="pack", unit="clip", disable=not progress)
            for (split, _), clip in zip(jobs, bar, strict=True):
                if clip.label not in labels:
                    raise PackError(f"Clip {clip.name!r} has label {clip.label!r}, which is not among the labels.")
                block = np.ascontiguousarray(clip.frames)
                file.write(block.data)
                digest.update(block.data)
                entries["split"].append(split)
                entries["label"].append(labels.index(clip.label))
                entries["name"].append(clip.name)
                entries["source"].append(clip.source)
                entries["kind"].append(clip.cause.kind if clip.cause else "")
                entries["shape"].append(clip.frames.shape[:3])
                entries["people"].append(clip.people)
                joints.append(clip.joints.astype("<f4").ravel())
                scores.append(clip.score.astype("<f4").ravel())
                times.append(clip.time.astype("<f8"))
            if not joints:
                raise PackError("There is no clip to pack; check the name of the data set and its splits.")
            shape = np.array(entries["shape"], dtype=np.int64)
            _start_array(file, int(shape.prod(1).sum()) * 3)
            file.flush()
            os.fsync(file.fileno())
        header = {
            "format_version": FORMAT_VERSION,
            "name": dataset.name,
            "labels": labels,
            "layout": dataset.layout.name,
            "flipped": {label: dataset.flipped(label) for label in labels},
            "size": size,
            "sha256": digest.hexdigest(),
        }
        with open(temporary[1], "wb") as file:
            np.savez(
                file,
                header=np.array(json.dumps(header)),
                split=np.array(entries["split"], dtype=np.str_),
                label=np.array(entries["label"], dtype=np.int64),
                name=np.array(entries["name"], dtype=np.str_),
                source=np.array(entries["source"], dtype=np.str_),
                kind=np.array(entries["kind"], dtype=np.str_),
                shape=shape,
                people=np.array(entries["people"], dtype=np.int64),
                joints=np.concatenate(joints),
                score=np.concatenate(scores),
                time=np.concatenate(times),
            )
            file.flush()
            os.fsync(file.fileno())
        index_path.unlink(missing_ok=True)  # an old index must never describe new frames
        os.replace(temporary[0], frames_path)
        os.replace(temporary[1], index_path)
    except BaseException:
        for part in temporary:
            part.unlink(missing_ok=True)
        raise
    return index_path


def pack_files(path: str | Path) -> tuple[Path, Path]:
    """(index, frames) of the pack called `path`, with or without `.npz`."""
    path = Path(path).expanduser()
    stem = path.with_suffix("") if path.suffix in (".npz", ".npy") else path
    return stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + ".npy")


HEADER_BYTES = 128


def _start_array(file: Any, length: int) -> None:
    """Write the header of a flat uint8 .npy file of `length` bytes at its start, in a fixed number of bytes."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": (length,)})
    file.seek(0)
    file.write(b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little"))
    file.write(text.ljust(HEADER_BYTES - 11).encode() + b"\n")


class _Reader:
    """Reads and shrinks one clip of a data set; a class so that it can be sent to a process."""

    def __init__(self, dataset: Dataset, size: int) -> None:
        self.dataset, self.size = dataset, size

    def __call__(self, index: int) -> Clip:
        return shrink(self.dataset.clip(index), self.size)


def _in_order(read: _Reader, indices: Sequence[int], workers: int) -> Iterator[Clip]:
    """The clips in the order of `indices`; with workers, only a few are held at a time."""
    if workers == 0:
        yield from map(read, indices)
        return
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        waiting: deque[Future[Clip]] = deque()
        for index in indices:
            waiting.append(pool.submit(read, index))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class PackedDataset:
    """A pack as a data set. Clips are views of the memory-mapped file: opening is instant, reading is a copy."""

    def __init__(self, path: str | Path) -> None:
        index_path, frames_path = pack_files(path)
        index = _read_index(index_path)
        header = json.loads(str(index["header"]))
        self.name: str = header["name"]
        self.labels: tuple[str, ...] = tuple(header["labels"])
        self.layout: SkeletonLayout = layout_named(header["layout"])
        self._flipped: dict[str, str | None] = header["flipped"]
        split = index["split"].tolist()
        self.splits: Mapping[str, Sequence[int]] = {
            name: tuple(i for i, of in enumerate(split) if of == name) for name in dict.fromkeys(split)
        }
        self._shape, self._people, self._label = index["shape"], index["people"], index["label"]
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
            joints=self._joints[2 * joint : 2 * (joint + count)].reshape(length, people, joints, 2),
            score=self._score[joint : joint + count].reshape(length, people, joints),
            layout=self.layout,
            time=self._time[frame : frame + length],
            label=self.labels[self._label[index]],
            name=str(self._text["name"][index]),
            source=str(self._text["source"][index]),
        )


def verify(path: str | Path) -> None:
    """Read the whole pack and compare it with its checksum; PackError if they differ."""
    index_path, frames_path = pack_files(path)
    header = json.loads(str(_read_index(index_path)["header"]))
    digest = hashlib.sha256()
    with open(frames_path, "rb") as file:
        file.seek(HEADER_BYTES)
        while block := file.read(1 << 22):
            digest.update(block)
    if digest.hexdigest() != header["sha256"]:
        raise PackError(f"{frames_path} is damaged (its checksum differs from the index); pack again.")


def _read_index(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise PackError(f"There is no pack at {path}; write it with `python -m training pack`.")
    try:
        with np.load(path) as file:
            index = {name: file[name] for name in file.files}
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
