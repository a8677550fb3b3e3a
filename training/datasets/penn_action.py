"""Penn Action: 2,326 sequences of 15 sports actions, one person, 13 joints (Zhang, Zhu, Derpanis, ICCV 2013).

    frames/0001/000001.jpg ...    up to 640x480
    labels/0001.mat               action, train (1 or -1), x [T, 13], y [T, 13], visibility [T, 13], dimensions

Places are counted from 1, as in MATLAB, and an occluded joint keeps its place: `visibility` is the score. Joints are
numbered and named as the data set does; what it calls left is the person's right (in 95 % of the clips that it calls
frontal, its left shoulder is on the viewer's left, and most of its throws are made with its left hand). The
official split is the `train` flag, 1,258 training and 1,068 test sequences. The last eighth of each class's training
sequences is validation: neighbouring numbers are often cut from one video, so they stay together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from training.clip import Clip
from training.datasets.frames import blank_video, make_clip, read_pictures
from training.datasets.parts import HELD_OUT
from training.errors import ClipError
from training.mat import check_unpacked
from training.skeleton import PENN, SkeletonLayout

LABELS = (
    "baseball_pitch", "baseball_swing", "bench_press", "bowl", "clean_and_jerk", "golf_swing", "jump_rope",
    "jumping_jacks", "pullup", "pushup", "situp", "squat", "strum_guitar", "tennis_forehand", "tennis_serve",
)  # fmt: skip
"""As the label files spell them."""
ALIASES = {
    "bowling": "bowl", "jumping_jack": "jumping_jacks", "pull_ups": "pullup", "push_ups": "pushup",
    "sit_ups": "situp", "squats": "squat", "strumming_guitar": "strum_guitar",
}  # fmt: skip
"""As the data set's own description spells some of them."""
RATE = 30.0
"""The data set names no frame rate; this one only numbers the time axis."""


class PennAction:
    """Penn Action in its official layout; with `joints_only` the frames are black and need not be there."""

    layout: SkeletonLayout = PENN
    labels: tuple[str, ...] = LABELS

    def __init__(self, folder: str | Path, joints_only: bool = False) -> None:
        self.folder, self.joints_only = Path(folder).expanduser(), joints_only
        self.name = "penn action, joints only" if joints_only else "penn action"
        self.left_out: dict[str, int] = {}
        """Why some sequences are not in the data set, and how many."""
        files = sorted((self.folder / "labels").glob("[0-9]*.mat"))
        if not files:
            raise ClipError(f"{self.folder} is no Penn Action folder; expected labels/0001.mat and so on in it.")
        if not joints_only and not (self.folder / "frames").is_dir():
            raise ClipError(f"{self.folder} has no folder frames; add it, or read the joints with ?joints_only=1.")
        self.clips: list[tuple[str, int]] = []
        flags = []
        for file in files:
            try:
                found = _load(file, "action", "train")
                label = str(found["action"][0])
                number = LABELS.index(ALIASES.get(label, label))
                flags.append(int(found["train"].flat[0]))
            except (ClipError, ValueError, LookupError, TypeError, OverflowError):
                self.left_out["unreadable label file"] = self.left_out.get("unreadable label file", 0) + 1
                continue
            self.clips.append((file.stem, number))
        self.splits: Mapping[str, Sequence[int]] = _parts([number for _, number in self.clips], flags)

    def __len__(self) -> int:
        return len(self.clips)

    def label(self, index: int) -> int:
        return self.clips[index][1]

    def flipped(self, label: str) -> str | None:
        return label

    def clip(self, index: int) -> Clip:
        name, number = self.clips[index]
        found = _load(self.folder / "labels" / f"{name}.mat", "x", "y", "visibility", "dimensions")
        try:
            # whole numbers without a sign in some files: subtracting before they are floats would wrap around
            places = np.stack([np.asarray(found[axis], np.float32) for axis in "xy"], axis=-1) - 1
            score = np.asarray(found["visibility"], np.float32)
            height, width = (int(side) for side in found["dimensions"].flat[:2])
            if places.ndim != 3 or places.shape[1:] != (len(PENN), 2) or score.shape != places.shape[:2]:
                raise ValueError(f"x and y are {list(places.shape[:2])} and visibility {list(score.shape)}")
            if min(height, width) < 1:
                raise ValueError(f"its frames are {width}x{height}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ClipError(f"Penn Action {name}.mat cannot be used ({error}); expected 13 joints a frame.") from error
        if self.joints_only:
            video = blank_video(len(places), (height, width), RATE)
        else:
            video = read_pictures(self._pictures(name, len(places)), RATE)
        rows, columns = video.original
        # frames often differ from `dimensions` by a pixel; by more only if someone has resized them
        resized = abs(rows - height) > 2 or abs(columns - width) > 2
        return make_clip(
            video,
            places[:, None],
            score[:, None],
            PENN,
            measured=(height, width) if resized else None,
            label=LABELS[number],
            name=name,
            source="Penn Action",
        )

    def _pictures(self, name: str, length: int) -> list[Path]:
        """The pictures 1, 2, ... up to the first that is missing; some folders have one more than there are joints."""
        folder = self.folder / "frames" / name
        if not folder.is_dir():
            raise ClipError(f"Penn Action has no frames for {name} in {self.folder}; get them again.")
        paths: list[Path] = []
        while len(paths) < length and (path := folder / f"{len(paths) + 1:06d}.jpg").is_file():
            paths.append(path)
        if not paths:
            raise ClipError(f"{folder} has no picture 000001.jpg; expected one a frame.")
        return paths


def _load(file: Path, *names: str) -> dict[str, Any]:
    try:
        check_unpacked(file)
        return scipy.io.loadmat(file, variable_names=names)
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise ClipError(
            f"{file.name} is no label file of Penn Action; get it again ({type(error).__name__})."
        ) from error


def _parts(classes: Sequence[int], flags: Sequence[int]) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for number in sorted(set(classes)):
        members = [i for i, of in enumerate(classes) if of == number]
        training = [i for i in members if flags[i] == 1]
        kept = len(training) - len(training) // HELD_OUT
        parts["train"] += training[:kept]
        parts["val"] += training[kept:]
        parts["test"] += [i for i in members if flags[i] != 1]
    return {part: sorted(indices) for part, indices in parts.items()}
