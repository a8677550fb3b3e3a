"""A video of one's own on its way to becoming a clip: opened, shown, given joints by a file or by a pose model.

Imported when a file has come. What is read is bounded by `limits()` and kept for whoever brings the same bytes; files
are written to a folder of their own while they are read, and removed with it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import cv2
import numpy as np

from training.bring_joints import Entries, bring_joints, entries
from training.clip import Clip
from training.clip_file import load_clip, save_clip
from training.errors import ClipError
from training.joints_file import Joints
from training.pose_onnx import PoseModel, load_pose_model
from training.skeleton import JHMDB
from training.video import read_video
from xai.dashboard.draft import Draft
from xai.dashboard.film import source
from xai.dashboard.kept import kept
from xai.dashboard.limits import limits
from xai.dashboard.live import Upload

POSE_MODEL = "KINESCOPE_POSE_MODEL"
"""Environment variable: path of an RTMPose network as a local ONNX file."""
THUMBNAILS, THUMBNAIL_SIDE = 24, 96
LARGEST_SIDE = 480
"""Pixels of the longer side of the frames that joints are placed on."""


def open_own(upload: Upload) -> tuple[Clip, tuple[int, int]]:
    """The clip of a video or of a saved clip, and (height, width) of its frames in the file; or ClipError."""

    def make() -> tuple[Clip, tuple[int, int]]:
        with tempfile.TemporaryDirectory(prefix="kinescope-") as folder, upload.named():
            path = upload.spool(Path(folder))
            if path.suffix == ".npz":
                return _saved(path, upload.name)
            read = read_video(path, limits().video())
        empty = np.zeros((len(read.frames), 0, len(JHMDB)), np.float32)
        nowhere = np.zeros((*empty.shape, 2), np.float32)
        name = Path(upload.name).stem[:60]
        return Clip(read.frames, nowhere, empty, JHMDB, read.time, name=name, source="file"), read.original

    return kept().get(("own clip", upload.digest, upload.name), make)


def _saved(path: Path, name: str) -> tuple[Clip, tuple[int, int]]:
    try:
        clip = load_clip(path)
    except ClipError as error:
        raise ClipError(
            f"{name} is no clip that was saved here (joints alone come later, beside a video): {error}"
        ) from error
    most = limits()
    if len(clip) > most.frames or clip.frames.nbytes > most.decoded_mb << 20:
        raise ClipError(
            f"{name} has {len(clip)} frames of {clip.size[1]}x{clip.size[0]}; at most {most.frames} frames and "
            f"{most.decoded_mb} MB are read."
        )
    if not np.isfinite(clip.time).all():
        raise ClipError(f"{name} has time stamps that are not numbers; save it again.")
    return clip, clip.size


def saved(clip: Clip) -> bytes:
    """The clip as the bytes of a file that `open_own` reads."""

    def make() -> bytes:
        with tempfile.TemporaryDirectory(prefix="kinescope-") as folder:
            path = Path(folder) / "clip.npz"
            save_clip(path, clip)
            return path.read_bytes()

    return kept().get(("saved", clip.identity), make)


# ---- Pictures -------------------------------------------------------------------------------------------------------


def _address(frame: np.ndarray, side: int) -> str:
    height, width = frame.shape[:2]
    zoom = min(1.0, side / max(height, width))
    if zoom < 1:
        size = max(1, round(width * zoom)), max(1, round(height * zoom))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return source(np.ascontiguousarray(frame), quality=85)


def film_of(draft: Draft) -> tuple[str, list[str]]:
    """Name and pictures of the frames of a cut, as joints are placed on them."""
    key = "film", draft.digest, draft.span
    return f"{draft.digest} {draft.span}", kept().get(key, lambda: [_address(f, LARGEST_SIDE) for f in draft.frames])


def thumbnails(draft: Draft) -> tuple[tuple[int, ...], list[str]]:
    """Frames spread over the whole video, counted from 0, and their pictures."""
    shown = tuple(np.unique(np.linspace(0, len(draft.clip) - 1, THUMBNAILS).round().astype(int)).tolist())
    key = "thumbnails", draft.digest
    return shown, kept().get(key, lambda: [_address(draft.clip.frames[t], THUMBNAIL_SIDE) for t in shown])


# ---- Joints ---------------------------------------------------------------------------------------------------------


def names_in(upload: Upload) -> Entries:
    """The clips that a file of joints has to choose from."""

    def make() -> Entries:
        with tempfile.TemporaryDirectory(prefix="kinescope-") as folder, upload.named():
            return entries(upload.spool(Path(folder)))

    return kept().get(("names", upload.digest, Path(upload.name).suffix), make)


def joints_of(upload: Upload, name: str | None) -> Joints:
    """The joints of a file. Raises ClipError in one sentence; nothing in the file is run, nothing stays on disk."""
    with tempfile.TemporaryDirectory(prefix="kinescope-") as folder, upload.named():
        return bring_joints(upload.spool(Path(folder)), name)


def pose_model_path() -> Path | None:
    """The pose model that whoever runs this server named, if any."""
    named = os.environ.get(POSE_MODEL)
    return Path(named) if named else None


def own_pose_model(path: Path) -> PoseModel:
    """The network of that file, loaded once for everyone. Raises ClipError in one sentence."""
    try:
        stamp = path.stat()
    except OSError as error:
        raise ClipError(f"There is no pose model at {path.name}, which {POSE_MODEL} names.") from error
    return kept().get(("pose model", str(path), stamp.st_mtime_ns, stamp.st_size), lambda: load_pose_model(path))
