"""Joints that somebody brings for a video of their own, whatever they were written by. Nothing in a file is ever run.

.npz, COCO .json, JHMDB .mat      training.joints_file
Penn Action .mat                  x, y and visibility [T, 13]
PySKL and MMAction2 .pkl          training.datasets.skeleton_pickle; a file of many clips is asked for one by name
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io

from training.clip_file import seen
from training.datasets.skeleton_pickle import read_annotations
from training.errors import ClipError
from training.joints_file import LARGEST_FILE, Joints, read_joints
from training.mat import read_mat
from training.skeleton import PENN

SUFFIXES = (".npz", ".json", ".mat", ".pkl", ".pickle")
MOST_PEOPLE = 2
"""Of a pickle, those that are seen best."""


@dataclass(frozen=True)
class Entries:
    """The clips that a file has joints for; empty for a file of one clip without a name."""

    names: tuple[str, ...] = ()

    def like(self, video: str) -> int:
        """Which of them is most likely the video's: the one of its name, or the first."""
        stems = [name.rpartition("/")[2] for name in self.names]
        wanted = Path(video).stem
        return next((i for i, stem in enumerate(stems) if stem == wanted or f"{stem}_rgb" == wanted), 0)


def entries(path: str | Path) -> Entries:
    """What a file has to choose from. Raises ClipError in one sentence for what cannot be used."""
    if Path(path).suffix.lower() not in (".pkl", ".pickle"):
        return Entries()
    return Entries(tuple(annotation.name for annotation in read_annotations(path).annotations))


def bring_joints(path: str | Path, name: str | None = None) -> Joints:
    """The joints of a file, and of the clip `name` where it has several. Raises ClipError in one sentence."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ClipError(
            f"Joints come as .npz, COCO .json, JHMDB or Penn Action .mat, or PySKL .pkl; {path.name} is none of them."
        )
    if suffix in (".pkl", ".pickle"):
        return _read_pickle(path, name)
    if suffix == ".mat" and path.is_file() and path.stat().st_size <= LARGEST_FILE and _is_penn(path):
        return _read_penn(path)
    return read_joints(path)


def fitted(
    found: Joints, length: int, span: tuple[int, int], size: tuple[int, int], original: tuple[int, int]
) -> Joints:
    """The joints on the frames `span` (first, last) of a video of `length` frames.

    Args:
        size: (height, width) of the frames as they are shown, `original` as they are in the file.

    A file has one set of joints for each frame of the video, or for each frame of the span. Raises ClipError otherwise.
    """
    first, last = span
    count = len(found.joints)
    if count == length:
        joints, score = found.joints[first : last + 1], found.score[first : last + 1]
    elif count == last - first + 1:
        joints, score = found.joints, found.score
    else:
        raise ClipError(
            f"The file has joints for {count} frames, the video has {length} and the cut {last - first + 1}; bring one "
            "set of joints for each frame of either."
        )
    rows, columns = found.size or original
    if rows < 1 or columns < 1:
        raise ClipError(f"The file says that its frames are {columns}x{rows} pixels; expected at least one.")
    factor = np.array([size[1] / columns, size[0] / rows])
    places = ((joints + 0.5) * factor - 0.5).astype(np.float32)
    if not np.isfinite(places).all():
        raise ClipError("The file has joints that lie farther away than numbers reach; bring pixels of the video.")
    score = score if found.amodal else seen(places, score, *size)
    return Joints(places, score, found.layout, size, found.amodal)


def _is_penn(path: Path) -> bool:
    try:
        names = {str(name) for name, *_ in scipy.io.whosmat(path)}
    except Exception:  # scipy raises whatever a damaged file leads it to; the reader says it in a sentence
        return False
    return {"x", "y"} <= names and "pos_img" not in names


def _read_penn(path: Path) -> Joints:
    try:
        data = read_mat(path, ["x", "y", "visibility", "dimensions"], LARGEST_FILE)
        places = np.stack([np.asarray(data[axis], np.float32) for axis in "xy"], axis=-1) - 1  # MATLAB counts from 1
        score = np.asarray(data.get("visibility", np.ones(places.shape[:2])), np.float32)
        if places.ndim != 3 or places.shape[1] != len(PENN) or score.shape != places.shape[:2]:
            raise ValueError(f"x is {list(places.shape[:2])} and visibility {list(score.shape)}")
        sides = data.get("dimensions")
        size = None if sides is None else (int(sides.flat[0]), int(sides.flat[1]))
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise ClipError(f"{path.name} is no Penn Action label file: expected x, y [T, 13] ({error}).") from error
    if not np.isfinite(places).all() or not np.isfinite(score).all():
        raise ClipError(f"{path.name} has joints that are not numbers; mark a missing joint with visibility 0 instead.")
    return Joints(places[:, None], np.clip(score, 0, 1)[:, None], PENN, size)


def _read_pickle(path: Path, name: str | None) -> Joints:
    found = read_annotations(path)
    named = {annotation.name: annotation for annotation in found.annotations}
    if name is None and len(found.annotations) > 1:
        raise ClipError(f"{path.name} has joints of {len(found.annotations):,} clips; say which one.")
    if name is not None and name not in named:
        raise ClipError(f"{path.name} has no clip {name[:80]!r}; choose one of its {len(named):,}.")
    annotation = found.annotations[0] if name is None else named[name]
    joints, score = annotation.read(MOST_PEOPLE)
    if joints.shape[2] != len(found.layout):
        raise ClipError(f"{annotation.name} has {joints.shape[2]} joints a person, not {len(found.layout)}.")
    if not np.isfinite(joints).all() or not np.isfinite(score).all():
        raise ClipError(f"{annotation.name} has joints that are not numbers; mark a missing one with score 0 instead.")
    return Joints(
        np.ascontiguousarray(joints, np.float32), np.clip(score, 0, 1).astype(np.float32), found.layout, annotation.size
    )
