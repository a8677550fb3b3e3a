"""Joints from files: `.npz`, COCO keypoints `.json`, JHMDB `joint_positions.mat`. Nothing is ever unpickled.

`.npz` holds `joints` [T, M, J, 2] (pixels x, y) and, optionally, `score` [T, M, J], `layout` (a name) and `size`
(height, width of the frames they were measured on). The spelling of the field, `keypoint` [M, T, J, 2] with
`keypoint_score` [M, T, J] and `img_shape`, is read too.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import ClipError
from training.mat import read_mat
from training.npz import read_npz
from training.skeleton import COCO, JHMDB, LAYOUTS, SkeletonLayout, layout_named

LARGEST_FILE = 64 << 20
MANY_PEOPLE, MANY_FRAMES = 16, 20_000
LONGEST_SIDE = 1 << 16


@dataclass(frozen=True, eq=False)
class Joints:
    joints: np.ndarray
    """[T, M, J, 2] float32."""
    score: np.ndarray
    """[T, M, J] float32."""
    layout: SkeletonLayout
    size: tuple[int, int] | None = None
    """(height, width) of the frames they were measured on, where the file says."""
    amodal: bool = False
    """Joints outside the picture count too: whole bodies were annotated, also where the picture cuts them off."""


def read_joints(path: str | Path) -> Joints:
    """The joints of a file, by its suffix. Raises ClipError in one sentence for what cannot be used."""
    path = Path(path)
    readers = {".npz": _read_npz, ".json": _read_coco, ".mat": _read_jhmdb}
    if path.suffix.lower() not in readers:
        raise ClipError(f"Joints come as .npz, COCO keypoints .json or JHMDB .mat; {path.name} is none of them.")
    if not path.is_file():
        raise ClipError(f"There are no joints at {path}.")
    if path.stat().st_size > LARGEST_FILE:
        raise ClipError(f"{path.name} has {path.stat().st_size >> 20} MB; joints of a clip need a few at most.")
    found = readers[path.suffix.lower()](path)
    _check_count(path, *found.joints.shape[:2])
    if not np.isfinite(found.joints).all() or not np.isfinite(found.score).all():
        count = int((~np.isfinite(found.joints)).any(-1).sum())
        raise ClipError(
            f"{path.name} has {count} joints that are not numbers; mark a missing joint with score 0 instead."
        )
    return found


def _check_count(path: Path, frames: int, people: int) -> None:
    if people > MANY_PEOPLE:
        raise ClipError(f"{path.name} has {people} people; at most {MANY_PEOPLE} are read.")
    if frames > MANY_FRAMES:
        raise ClipError(f"{path.name} has joints for {frames:,} frames; at most {MANY_FRAMES:,} are read.")


def _size(height: Any, width: Any, path: Path) -> tuple[int, int]:
    try:
        size = int(height), int(width)
    except (TypeError, ValueError, OverflowError):
        size = 0, 0
    if not all(1 <= side <= LONGEST_SIDE for side in size):
        raise ClipError(
            f"{path.name} says that its frames are {str(width)[:20]} x {str(height)[:20]} pixels; expected sides from "
            f"1 to {LONGEST_SIDE}."
        )
    return size


def _layout_of(count: int, path: Path) -> SkeletonLayout:
    for layout in LAYOUTS.values():
        if len(layout) == count:
            return layout
    known = ", ".join(f"{len(layout)} ({layout.name})" for layout in LAYOUTS.values())
    raise ClipError(f"{path.name} has {count} joints a person; known layouts have {known}.")


def _read_npz(path: Path) -> Joints:
    try:
        arrays = read_npz(path, LARGEST_FILE)
    except ValueError as error:
        raise ClipError(f"{path.name} cannot be read as joints: {error}.") from error
    if "keypoint" in arrays:
        for theirs, ours in (("keypoint", "joints"), ("keypoint_score", "score")):
            if theirs in arrays:
                arrays[ours] = np.swapaxes(arrays[theirs], 0, 1) if arrays[theirs].ndim > 1 else arrays[theirs]
    joints = arrays.get("joints")
    if joints is None or joints.ndim != 4 or joints.shape[3] != 2 or joints.dtype.kind not in "fiu":
        found = "none" if joints is None else f"{joints.dtype} {list(joints.shape)}"
        raise ClipError(f"{path.name} needs an array `joints` [T, M, J, 2] of pixels; found {found}.")
    score = arrays.get("score", np.ones(joints.shape[:3]))
    if score.shape != joints.shape[:3] or score.dtype.kind not in "fiub":
        raise ClipError(f"{path.name}: `score` is {list(score.shape)}, and `joints` needs {list(joints.shape[:3])}.")
    try:
        layout = layout_named(str(arrays["layout"])) if "layout" in arrays else _layout_of(joints.shape[2], path)
    except ValueError as error:
        raise ClipError(f"{path.name}: {error}") from error
    if len(layout) != joints.shape[2]:
        raise ClipError(f"{path.name} says layout {layout.name} ({len(layout)} joints) and holds {joints.shape[2]}.")
    size = arrays.get("size", arrays.get("img_shape"))
    shape = None if size is None or size.size != 2 else _size(size.flat[0], size.flat[1], path)
    return Joints(joints.astype(np.float32), np.clip(score, 0, 1).astype(np.float32), layout, shape)


def _read_coco(path: Path) -> Joints:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        images = sorted(data["images"], key=lambda image: (str(image.get("file_name", "")), int(image["id"])))
        by_image: dict[int, list[Any]] = defaultdict(list)
        for annotation in data["annotations"]:
            if "keypoints" in annotation:
                by_image[int(annotation["image_id"])].append(annotation)
        counts = {len(a["keypoints"]) // 3 for annotations in by_image.values() for a in annotations}
        if len(counts) != 1:
            raise ClipError(f"{path.name} needs keypoints of one layout; found {sorted(counts) or 'none'}.")
        count = counts.pop()
        layout = {17: COCO, 15: JHMDB}.get(count) or _layout_of(count, path)
        people = max(len(annotations) for annotations in by_image.values())
        _check_count(path, len(images), people)
        joints = np.zeros((len(images), people, count, 2), np.float32)
        score = np.zeros((len(images), people, count), np.float32)
        for t, image in enumerate(images):
            found = sorted(by_image[int(image["id"])], key=lambda a: int(a.get("track_id", a.get("id", 0))))
            for m, annotation in enumerate(found):
                values = np.array(annotation["keypoints"], np.float32).reshape(count, 3)
                joints[t, m], score[t, m] = values[:, :2], values[:, 2] > 0
        first = images[0]
        size = _size(first["height"], first["width"], path) if "height" in first and "width" in first else None
    except ClipError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        why = " ".join(str(error).split())[:160]
        raise ClipError(
            f"{path.name} is not a COCO keypoints file: expected `images` and `annotations` with `keypoints` ({why})."
        ) from error
    return Joints(joints, score, layout, size)


def _read_jhmdb(path: Path) -> Joints:
    try:
        found = read_mat(path, ["pos_img"], LARGEST_FILE).get("pos_img", np.zeros(0))
        if found.ndim != 3 or found.shape[:2] != (2, 15):
            raise ValueError(f"found {list(found.shape)}")
        with np.errstate(over="ignore"):  # what float32 does not hold is found to be infinite
            places = found.astype(np.float32)
    except ValueError as error:
        raise ClipError(
            f"{path.name} is not a JHMDB joint_positions.mat: expected pos_img [2, 15, T] ({error})."
        ) from error
    joints = np.ascontiguousarray(places.transpose(2, 1, 0)[:, None]) - 1  # MATLAB counts pixels from 1
    return Joints(joints, np.ones(joints.shape[:3], np.float32), JHMDB, amodal=True)
