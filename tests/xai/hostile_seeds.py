"""One small valid file of every kind that the dashboard opens: what the hostile ones begin with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

ROOT = Path(__file__).resolve().parents[2]


def _frames(count: int = 6, height: int = 48, width: int = 64) -> np.ndarray:
    frames = np.random.default_rng(3).integers(0, 255, (count, height // 8, width // 8, 3), dtype=np.uint8)
    return frames.repeat(8, 1).repeat(8, 2)


def _written(suffix: str, write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"seed{suffix}"
        write(path)
        return path.read_bytes()


def videos() -> dict[str, bytes]:
    import cv2

    from tests.training.small_video import write_avi
    from training.video import write_video

    def mp4(path: Path) -> None:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
        for frame in _frames():
            writer.write(frame)
        writer.release()

    made = {
        suffix: _written(suffix, lambda path: write_video(path, _frames())) for suffix in (".webm", ".webp", ".gif")
    }
    return {**made, ".avi": _written(".avi", lambda path: write_avi(path, _frames())), ".mp4": _written(".mp4", mp4)}


def coco(count: int = 6) -> dict[str, Any]:
    return {
        "images": [{"id": i, "file_name": f"{i:04d}.jpg", "height": 48, "width": 64} for i in range(count)],
        "annotations": [{"id": i, "image_id": i, "keypoints": [10, 12, 2] * 17} for i in range(count)],
    }


def joints(count: int = 6) -> np.ndarray:
    return np.random.default_rng(4).uniform(0, 47, (count, 1, 15, 2)).astype(np.float32)


def npz(**arrays: Any) -> bytes:
    held = BytesIO()
    np.savez_compressed(held, **arrays)
    return held.getvalue()


def mat(values: np.ndarray, name: str = "pos_img", compressed: bool = True) -> bytes:
    held = BytesIO()
    scipy.io.savemat(held, {name: values}, do_compression=compressed)
    return held.getvalue()


def joints_files() -> dict[str, bytes]:
    return {
        ".npz": npz(joints=joints(), layout="jhmdb15"),
        ".json": json.dumps(coco()).encode(),
        ".mat": mat(joints()[:, 0].transpose(2, 1, 0).astype(np.float64)),
    }


def penn(**changed: Any) -> bytes:
    """Labels of a clip of Penn Action; what is None is left out."""
    places = np.random.default_rng(6).uniform(1, 48, (6, 13))
    held: dict[str, Any] = {"x": places, "y": places + 1, "visibility": np.ones((6, 13)), "dimensions": [[48, 64, 6]]}
    written = BytesIO()
    scipy.io.savemat(
        written, {name: value for name, value in {**held, **changed}.items() if value is not None}, do_compression=True
    )
    return written.getvalue()


def annotations() -> dict[str, Any]:
    keypoint = np.random.default_rng(5).random((1, 6, 17, 2)).astype(np.float32)
    entry = {"frame_dir": "a", "label": 1, "total_frames": 6, "img_shape": (48, 64), "keypoint": keypoint}
    return {"split": {"train": ["a"]}, "annotations": [entry]}


def checkpoint() -> bytes:
    import model
    from tests.xai.clips import random_recognizer

    made = random_recognizer()
    return _written(".safetensors", lambda path: model.save(path, made.network, made.card))


def clip_file() -> bytes:
    from tests.xai.clips import noise_clip
    from training.clip_file import save_clip

    return _written(".npz", lambda path: save_clip(path, noise_clip(frames=3, height=16, width=20)))


def lesson() -> bytes:
    return (ROOT / "assets" / "lessons" / "5-attention.yaml").read_bytes()


SPEC = b"""checkpoint: assets/checkpoints/gym-cross.safetensors
clip: gym:wave left hand:3
width: page
panels:
  - film
  - joints: {layer: 2, query: cls}
  - [ledger, map: {method: joint removal, on: joints}]
out: figures/wave
"""
REMOVALS = b'[{"kind":"limbs","limbs":["left leg"]},{"kind":"joints","joints":["neck"],"frames":[0,1]}]'
