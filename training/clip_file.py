"""Clips from files: a video with its joints, or one `.npz` that holds everything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.clip import Cause, Clip
from training.errors import ClipError
from training.joints_file import read_joints
from training.npz import read_npz, write_npz
from training.skeleton import JHMDB, layout_named
from training.video import VideoLimits, read_video

FORMAT_VERSION = 1


def read_clip(video: str | Path, joints: str | Path | None = None, limits: VideoLimits | None = None) -> Clip:
    """A video and, optionally, its joints. Raises ClipError in one sentence for what cannot be used.

    Joints are measured on the frames of the file (or on the `size` their file names) and follow them when large frames
    are shrunk. There must be one set of joints a frame. A joint outside the frame counts as not seen, but for
    files of whole bodies (`Joints.amodal`).
    """
    read = read_video(video, limits)
    name = Path(video).stem
    length, height, width = read.frames.shape[:3]
    if joints is None:
        empty = np.zeros((length, 0, len(JHMDB)), np.float32)
        return Clip(
            read.frames, np.zeros((*empty.shape, 2), np.float32), empty, JHMDB, read.time, name=name, source="file"
        )
    found = read_joints(joints)
    if len(found.joints) != length:
        raise ClipError(
            f"{Path(joints).name} has joints for {len(found.joints)} frames and {Path(video).name} has {length}; "
            "bring one set of joints a frame."
        )
    rows, columns = found.size or read.original
    factor = np.array([width / columns, height / rows])
    places = ((found.joints + 0.5) * factor - 0.5).astype(np.float32)
    score = found.score if found.amodal else seen(places, found.score, height, width)
    return Clip(read.frames, places, score, found.layout, read.time, name=name, source="file", amodal=found.amodal)


def seen(joints: np.ndarray, score: np.ndarray, height: int, width: int) -> np.ndarray:
    """The scores, 0 for joints outside the frame."""
    x, y = joints[..., 0], joints[..., 1]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return (score * inside).astype(np.float32)


def save_clip(path: str | Path, clip: Clip) -> None:
    """Write everything a clip holds to one `.npz`."""
    header = {
        "format_version": FORMAT_VERSION,
        "layout": clip.layout.name,
        "label": clip.label,
        "name": clip.name,
        "source": clip.source,
        "cause": None if clip.cause is None else clip.cause.kind,
        "amodal": clip.amodal,
    }
    arrays = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "frames": clip.frames,
        "joints": clip.joints,
        "score": clip.score,
        "time": clip.time,
    }
    if clip.person_mask is not None:
        arrays["person_mask"] = clip.person_mask
    if clip.trail is not None:
        arrays["trail"] = clip.trail
    if clip.cause is not None:
        arrays |= {f"cause_{name}": getattr(clip.cause, name) for name in ("frames", "joints", "pixels")}
    write_npz(path, arrays)


def load_clip(path: str | Path) -> Clip:
    """Read what `save_clip` wrote. Raises ClipError in one sentence for anything else."""
    path = Path(path)
    try:
        arrays = read_npz(path)
        header = json.loads(arrays["header"].tobytes())
        if header["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format version is {header['format_version']}, this program reads {FORMAT_VERSION}")
        clip = Clip(
            frames=arrays["frames"],
            joints=arrays["joints"],
            score=arrays["score"],
            layout=layout_named(header["layout"]),
            time=arrays["time"],
            label=header["label"],
            name=header["name"],
            source=header["source"],
            person_mask=arrays.get("person_mask"),
            amodal=header.get("amodal", False) is True,
            trail=arrays.get("trail"),
        )
        if header["cause"] is None:
            return clip
        masks = (arrays[f"cause_{name}"] for name in ("frames", "joints", "pixels"))
        return replace(clip, cause=Cause(header["cause"], *masks))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise ClipError(f"{path.name} is no saved clip: {said}.") from error
