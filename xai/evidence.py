"""Evidence: what the 3D deformable transformer itself did on one clip, in one forward pass, with nothing estimated.

Five explanations of one prediction that share one clock (the T frames that the model read):

| field              | axes of `values`                                     | unit                |
|--------------------|------------------------------------------------------|---------------------|
| `sampling_points`  | layer, head, query, query frame, point               | attention mass      |
| `joint_curves`     | layer, head, query, frame, person, joint             | attention mass      |
| `temporal_windows` | layer, head, query, query frame, frame               | attention mass      |
| `token_flow`       | layer, attention, reader, read                       | attention mass      |
| `ledger`           | class, token, frame                                  | logit               |

Places are (t, x, y): t counts the frames that the model read (`frame_index[t]` is the frame of the clip; t may be
fractional), x and y are pixels of the ORIGINAL clip. `sampling_points.companions` holds `reference` [layer, point, 3],
`place` [layer, point, 3] and `clamped` [layer, point]; `ledger.companions` holds `bias` [class] and `logits` [class].
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.framewise import FrameWise
from training.clip import Clip
from training.npz import read_npz, write_npz
from training.recognizer import Prediction, Recognizer
from training.skeleton import layout_named
from training.view import View
from xai.explanation import FRAMEWISE, Explanation, MadeBy
from xai.framewise import frame_reading, framewise_flow, grid_of, listen, look, neighbour_attention, reads_whom
from xai.joints import joint_curves
from xai.ledger import ledger
from xai.looks import Looks, Watch
from xai.sampling import sampling_points
from xai.temporal import temporal_windows
from xai.tokens import token_flow
from xai.trace import Trace

FORMAT_VERSION = 1
PARTS = ("sampling_points", "joint_curves", "temporal_windows", "token_flow", "ledger")
LARGEST_FILE = 256 << 20


@dataclass(frozen=True, eq=False)
class Evidence:
    """One prediction and the model's own account of it. Parts that a variant does not have are None."""

    clip: Clip
    """The frames that the model read, uncropped and unscaled: frame t of every part is frame t of this clip."""
    frame_index: np.ndarray
    """[T] int: which frame of the source each of them was."""
    box: np.ndarray
    """[4, 2] corners (x, y), in pixels of the clip, of the region that the model saw."""
    labels: tuple[str, ...]
    probabilities: np.ndarray
    """[class]."""
    model: Mapping[str, Any]
    """How to draw the network: `name`, `token_mode`, `layers`, `heads`, `queries`, `trained_on`, `checkpoint` hash;
    `size` (height, width) of its input, and the side of a `patch` of a frame-wise network, None for the others."""
    sampling_points: Explanation | None
    joint_curves: Explanation | None
    temporal_windows: Explanation | None
    token_flow: Explanation
    ledger: Explanation
    looks: Looks | None = None
    """What each single patch and joint reads most, where it was asked for. Not saved: large, and quickly made again."""

    @property
    def top(self) -> int:
        return int(self.probabilities.argmax())

    def save(self, path: str | Path) -> None:
        """One `.npz`: the arrays and a JSON header. Written to a temporary name first, so never half there."""
        path = Path(path)
        arrays: dict[str, np.ndarray] = {
            "frames": self.clip.frames,
            "joints": self.clip.joints,
            "score": self.clip.score,
            "time": self.clip.time,
            "frame_index": self.frame_index,
            "box": self.box,
            "probabilities": self.probabilities,
        }
        if self.clip.trail is not None:
            arrays["trail"] = self.clip.trail
        header: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "labels": self.labels,
            "model": dict(self.model),
            "clip": {
                "layout": self.clip.layout.name,
                "name": self.clip.name,
                "source": self.clip.source,
                "amodal": self.clip.amodal,
                "label": self.clip.label,
            },
            "parts": {},
        }
        for name in PARTS:
            part: Explanation | None = getattr(self, name)
            if part is not None:
                header["parts"][name], packed = part.pack()
                arrays |= {f"{name}/{key}": array for key, array in packed.items()}
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        write_npz(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Evidence:
        """Read what `save` wrote. Raises ValueError in one sentence for anything else; runs nothing of the file."""
        path = Path(path)
        try:
            arrays = read_npz(path, LARGEST_FILE)
            header = json.loads(arrays.pop("header").tobytes())
            if header["format_version"] != FORMAT_VERSION:
                raise ValueError(
                    f"its format version is {header['format_version']}, this program reads {FORMAT_VERSION}"
                )
            about = header["clip"]
            clip = Clip(
                frames=arrays["frames"],
                joints=arrays["joints"],
                score=arrays["score"],
                layout=layout_named(about["layout"]),
                time=arrays["time"],
                label=about["label"],
                name=about["name"],
                source=about["source"],
                amodal=about.get("amodal", False) is True,
                trail=arrays.get("trail"),
            )
            parts = {
                name: Explanation.unpack(
                    header["parts"][name],
                    {key.split("/", 1)[1]: array for key, array in arrays.items() if key.startswith(f"{name}/")},
                )
                if name in header["parts"]
                else None
                for name in PARTS
            }
            return cls(
                clip=clip,
                frame_index=arrays["frame_index"],
                box=arrays["box"],
                labels=tuple(header["labels"]),
                probabilities=arrays["probabilities"],
                model=header["model"],
                **parts,  # type: ignore[arg-type]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name} cannot be read as evidence: {error}.") from error


def gather_evidence(recognizer: Recognizer, clip: Clip, *, looks: bool = False) -> Evidence:
    """Classify `clip` once and keep what the network did on the way; with `looks`, of every single token.

    A frame-wise network has neither points nor joints; its `temporal_windows` say which frames its heads read.
    """
    view = recognizer.view(clip)
    framewise = isinstance(recognizer.network, FrameWise)
    seen = view.shown(clip)
    made_by = MadeBy(
        checkpoint=recognizer.checkpoint,
        clip=clip.fingerprint,
        method="own evidence",
        parameters={"frames": len(seen), "size": list(view.size)},
        versions={"torch": torch.__version__, "numpy": np.__version__},
    )
    prediction, parts = (
        _of_framewise(recognizer, clip, view, made_by)
        if framewise
        else _of_deformable(recognizer, clip, view, made_by, len(seen), looks)
    )
    config = recognizer.network.config
    return Evidence(
        clip=seen,
        frame_index=np.asarray(view.frame_index),
        box=view.box(),
        labels=prediction.labels,
        probabilities=prediction.probabilities,
        model={
            "name": recognizer.card.name,
            "token_mode": getattr(config, "token_mode", FRAMEWISE),
            "layers": config.layers,
            "heads": config.heads,
            "queries": list(config.roles),
            "trained_on": recognizer.card.trained_on,
            "checkpoint": recognizer.checkpoint,
            "size": list(view.size),
            "patch": getattr(config, "patch", None),
            "whole_pose": getattr(config, "pose_track", False),
            "reads": getattr(config, "backbone_reads", "colour"),
            "fit": recognizer.card.fit,
        },
        ledger=ledger(prediction, made_by),
        **parts,
    )


def _of_deformable(
    recognizer: Recognizer, clip: Clip, view: View, made_by: MadeBy, frames: int, looks: bool
) -> tuple[Prediction, dict[str, Any]]:
    layers, layout = recognizer.network.config.layers, layout_named(recognizer.card.layout)
    with Watch(recognizer, view, max(1, clip.people)) if looks else Trace() as trace:
        prediction = recognizer(clip, view)
    made_by = replace(made_by, parameters={"spread": trace.spread, **made_by.parameters})
    return prediction, {
        "sampling_points": sampling_points(trace, view, layers, made_by),
        "joint_curves": joint_curves(trace, layout, frames, max(1, clip.people), layers, made_by),
        "temporal_windows": temporal_windows(trace, frames, layers, made_by),
        "token_flow": token_flow(trace, layers, made_by),
        "looks": trace.looks() if isinstance(trace, Watch) else None,
    }


def _of_framewise(recognizer: Recognizer, clip: Clip, view: View, made_by: MadeBy) -> tuple[Prediction, dict[str, Any]]:
    grid = grid_of(recognizer, view)
    prediction, blocks = listen(recognizer, clip, view, lambda tap: (look(tap), reads_whom(tap)))
    looks = neighbour_attention([each for each, _ in blocks], grid, made_by)
    return prediction, {
        "sampling_points": None,
        "joint_curves": None,
        "temporal_windows": frame_reading(looks),
        "token_flow": framewise_flow([each for _, each in blocks], 1 + grid[0] * grid[1], made_by),
    }
