"""An optional pose estimator: an RTMPose network in a local ONNX file, run by onnxruntime (the extra `pose`).

Nothing is downloaded: whoever runs the program names a file of their own. The network looks at one person in an upright
crop and answers with two rows of logits a joint, one over the columns and one over the rows of the crop, `split` bins a
pixel (SimCC; Li et al., ECCV 2022; RTMPose, Jiang et al., 2023). Where each row is highest, the joint is.

    model = load_pose_model(path)
    joints = estimate(model, frames, box)          # box: where the person is in the first frame
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from training.clip_file import seen
from training.errors import ClipError
from training.joints_file import Joints
from training.skeleton import LAYOUTS, SkeletonLayout

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of the pixels, RGB, as RTMPose was trained on."""
PADDING = 1.25
"""Side of the crop over that of the box around the person."""
SURE = 0.3
"""Score from which a joint helps to say where the person is in the next frame."""
SMALLEST = 0.15
"""Side of the box over that of the frame, at least: a few joints in one place are no box around a person."""
LARGEST_FILE = 1 << 30


class Session(Protocol):
    """What is used of onnxruntime.InferenceSession."""

    def run(self, output_names: Sequence[str] | None, input_feed: dict[str, np.ndarray]) -> list[Any]: ...


@dataclass(frozen=True, eq=False)
class PoseModel:
    session: Session
    entry: str
    """Name of its input."""
    outputs: tuple[str, str]
    """Names of the logits over columns and over rows."""
    size: tuple[int, int]
    """(height, width) of the crop."""
    layout: SkeletonLayout
    sha256: str
    name: str


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of a frame, (x, y) of its corners."""

    left: float
    top: float
    right: float
    bottom: float


def sha256_of(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_pose_model(path: str | Path) -> PoseModel:
    """The network of a local file. Raises ClipError in one sentence for what cannot be used."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise ClipError(f"There is no pose model at {path}; name a local ONNX file.")
    if path.stat().st_size > LARGEST_FILE:
        raise ClipError(f"{path.name} has {path.stat().st_size >> 20} MB; a pose model has at most a few hundred.")
    try:
        import onnxruntime
    except ImportError as error:
        raise ClipError("Pose models need onnxruntime; install it with `pip install 'kinescope[pose]'`.") from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception of its own for each thing that can be wrong
        raise ClipError(f"{path.name} is no ONNX model that can be run ({type(error).__name__}).") from error
    return pose_model(session, path.name, sha256_of(path))


def pose_model(session: Any, name: str, digest: str) -> PoseModel:
    """The network of a session, checked: one input [N, 3, H, W], two outputs [N, K, bins], over columns and rows."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    if len(shape) != 4 or shape[1] != 3 or not all(isinstance(side, int) and 16 <= side <= 2048 for side in shape[2:]):
        raise ClipError(f"{name} reads {shape or f'{len(inputs)} inputs'}; a pose model reads one crop [N, 3, H, W].")
    names = [output.name for output in outputs]
    ordered = ("simcc_x", "simcc_y") if {"simcc_x", "simcc_y"} <= set(names) else tuple(names)
    if len(ordered) != 2:
        raise ClipError(f"{name} answers with {', '.join(names)[:80]}; expected simcc_x and simcc_y (RTMPose).")
    joints = next((o.shape[1] for o in outputs if len(o.shape) == 3 and isinstance(o.shape[1], int)), None)
    layouts = {len(layout): layout for layout in LAYOUTS.values()}
    if joints not in layouts:
        raise ClipError(
            f"{name} finds {joints} joints; expected one of "
            f"{', '.join(f'{count} ({layout.name})' for count, layout in layouts.items())}."
        )
    return PoseModel(
        session, inputs[0].name, (ordered[0], ordered[1]), (shape[2], shape[3]), layouts[joints], digest, name
    )


def decode_simcc(columns: np.ndarray, rows: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Places [N, K, 2] (x, y) in pixels of the crop and scores [N, K] of logits over columns and rows [N, K, bins].

    `size` is (height, width) of the crop. The score is the lower of the two heights, within [0, 1].
    """
    if columns.ndim != 3 or rows.ndim != 3 or columns.shape[:2] != rows.shape[:2] or 0 in (*columns.shape, *rows.shape):
        raise ClipError(
            f"SimCC logits are [N, K, bins] over columns and over rows; found {list(columns.shape)} and "
            f"{list(rows.shape)}."
        )
    split = columns.shape[2] / size[1], rows.shape[2] / size[0]
    places = np.stack([columns.argmax(-1) / split[0], rows.argmax(-1) / split[1]], axis=-1).astype(np.float32)
    height = np.minimum(columns.max(-1), rows.max(-1))
    return places, np.clip(np.nan_to_num(height, nan=0.0), 0, 1).astype(np.float32)


def crop_matrix(box: Box, size: tuple[int, int]) -> np.ndarray:
    """[2, 3]: pixels of the frame -> pixels of the crop, which shows the box and a margin in its own aspect."""
    height, width = size
    middle = np.array([(box.left + box.right) / 2, (box.top + box.bottom) / 2])
    wide, high = max(box.right - box.left, 1.0), max(box.bottom - box.top, 1.0)
    scale = width / (PADDING * max(wide, high * width / height))
    move = np.array([width / 2, height / 2]) - scale * middle
    return np.array([[scale, 0, move[0]], [0, scale, move[1]]])


def estimate(
    model: PoseModel, frames: np.ndarray, box: Box | None = None, progress: Callable[[int, int], None] | None = None
) -> Joints:
    """Joints of one person on frames [T, H, W, 3]. The person is in `box` (the whole frame by default) at first, and
    then where the joints of the frame before are."""
    length, height, width = frames.shape[:3]
    whole = Box(0, 0, width - 1, height - 1)
    here = box or whole
    joints = np.zeros((length, 1, len(model.layout), 2), np.float32)
    score = np.zeros(joints.shape[:3], np.float32)
    for t, frame in enumerate(frames):
        if progress:
            progress(t, length)
        matrix = crop_matrix(here, model.size)
        crop = cv2.warpAffine(frame, matrix, (model.size[1], model.size[0]), flags=cv2.INTER_LINEAR)
        pixels = ((crop.astype(np.float32) - MEAN) / STD).astype(np.float32).transpose(2, 0, 1)[None]
        try:
            found = model.session.run(list(model.outputs), {model.entry: np.ascontiguousarray(pixels)})
        except Exception as error:  # onnxruntime has an exception of its own for each thing that can be wrong
            raise ClipError(f"{model.name} cannot read a crop of {model.size[1]}x{model.size[0]} ({error}).") from error
        places, sure = decode_simcc(np.asarray(found[0]), np.asarray(found[1]), model.size)
        if places.shape[1] != len(model.layout):
            raise ClipError(f"{model.name} found {places.shape[1]} joints; it said {len(model.layout)}.")
        joints[t, 0] = (places[0] - matrix[:, 2]) / matrix[0, 0]
        score[t, 0] = sure[0]
        known = joints[t, 0][sure[0] >= SURE]
        if len(known) >= 3:
            middle, half = (known.min(0) + known.max(0)) / 2, np.ptp(known, axis=0) / 2
            half = np.maximum(half, SMALLEST * max(height, width) / 2)
            here = Box(*map(float, (*(middle - half), *(middle + half))))
        elif t == 0 or not score[t - 1].any():
            here = whole
    return Joints(joints, seen(joints, score, height, width), model.layout, (height, width))
