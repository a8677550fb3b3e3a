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
import scipy.io

from training.errors import ClipError
from training.npz import read_npz
from training.skeleton import COCO, JHMDB, LAYOUTS, SkeletonLayout, layout_named

LARGEST_FILE = 64 << 20
MANY_PEOPLE = 16


@dataclass(frozen=True, eq=False)
class Joints:
    joints: np.ndarray
    """[T, M, J, 2] float32."""
    score: np.ndarray
    """[T, M, J] float32."""
    layout: SkeletonLayout
    size: tuple[int, int] | None = None
    """(height, width) of the frames they were measured on, where the file says."""


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
    if not np.isfinite(found.joints).all() or not np.isfinite(found.score).all():
        count = int((~np.isfinite(found.joints)).any(-1).sum())
        raise ClipError(
            f"{path.name} has {count} joints that are not numbers; mark a missing joint with score 0 instead."
        )
    if found.joints.shape[1] > MANY_PEOPLE:
        raise ClipError(f"{path.name} has {found.joints.shape[1]} people; at most {MANY_PEOPLE} are read.")
    return found


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
        arrays["joints"] = np.swapaxes(arrays["keypoint"], 0, 1) if arrays["keypoint"].ndim == 4 else arrays["keypoint"]
        if "keypoint_score" in arrays:
            arrays["score"] = np.swapaxes(arrays["keypoint_score"], 0, 1)
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
    shape = None if size is None or size.size != 2 else (int(size.flat[0]), int(size.flat[1]))
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
        joints = np.zeros((len(images), people, count, 2), np.float32)
        score = np.zeros((len(images), people, count), np.float32)
        for t, image in enumerate(images):
            found = sorted(by_image[int(image["id"])], key=lambda a: int(a.get("track_id", a.get("id", 0))))
            for m, annotation in enumerate(found):
                values = np.array(annotation["keypoints"], np.float32).reshape(count, 3)
                joints[t, m], score[t, m] = values[:, :2], values[:, 2] > 0
        first = images[0]
        size = (int(first["height"]), int(first["width"])) if "height" in first and "width" in first else None
    except ClipError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, UnicodeDecodeError) as error:
        raise ClipError(
            f"{path.name} is not a COCO keypoints file: expected `images` and `annotations` with `keypoints` ({error})."
        ) from error
    return Joints(joints, score, layout, size)


def _read_jhmdb(path: Path) -> Joints:
    try:
        data = scipy.io.loadmat(path, variable_names=["pos_img"])
        places = np.asarray(data["pos_img"], np.float32)
        if places.ndim != 3 or places.shape[:2] != (2, 15):
            raise ValueError(f"pos_img is {list(places.shape)}")
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise ClipError(
            f"{path.name} is not a JHMDB joint_positions.mat: expected pos_img [2, 15, T] ({error})."
        ) from error
    joints = np.ascontiguousarray(places.transpose(2, 1, 0)[:, None]) - 1  # MATLAB counts pixels from 1
    return Joints(joints, np.ones(joints.shape[:3], np.float32), JHMDB)
