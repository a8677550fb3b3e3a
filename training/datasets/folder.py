"""A folder of one's own videos: a folder a class, and joints beside each video.

jump/anna.mp4   jump/anna.npz        joints [T, M, J, 2] and score [T, M, J], or COCO .json, or JHMDB .mat
wave/ben.mp4                         joints may be missing
train/jump/...  val/jump/...  test/jump/...     optional: the parts; else a tenth each by the hash of the names
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.clip import Clip
from training.clip_file import read_clip
from training.datasets.frames import VIDEO_SUFFIXES
from training.datasets.parts import by_hash, mirrored_label
from training.errors import ClipError
from training.joints_file import read_joints
from training.skeleton import COCO, SkeletonLayout, layout_named

PARTS = ("train", "val", "test")
JOINT_SUFFIXES = (".npz", ".json", ".mat")


class Folder:
    """The clips of a folder.

    Args:
        folder: see above.
        layout: name of the skeleton layout; by default that of the first joints file that can be read.
    """

    def __init__(self, folder: str | Path, layout: str | None = None) -> None:
        self.folder = Path(folder).expanduser()
        if not self.folder.is_dir():
            raise ClipError(f"There is no folder {self.folder}; expected one with a folder of videos for each class.")
        self.name = f"folder {self.folder.name}"
        inside = {path.name for path in _folders(self.folder)}
        parts = [part for part in PARTS if part in inside]
        if parts and (strange := sorted(inside - set(PARTS))):
            raise ClipError(
                f"{self.folder} has folders {', '.join(parts)} and also {strange[0]}; expected either parts or classes."
            )
        if parts and "train" not in parts:
            raise ClipError(f"{self.folder} has {', '.join(parts)} and no train; expected train, val and test.")
        found: list[tuple[str, str, Path]] = []
        for part in parts or [""]:
            for place in _folders(self.folder / part):
                found += [(part, place.name, path) for path in _videos(place)]
        if not found:
            raise ClipError(f"{self.folder} has no videos; expected CLASS/CLIP.mp4 in it.")
        self.labels: tuple[str, ...] = tuple(sorted({label for _, label, _ in found}))
        self.clips: list[tuple[str, Path]] = [(label, path) for _, label, path in found]
        self.splits: Mapping[str, Sequence[int]]
        if parts:
            self.splits = {part: [i for i, (of, _, _) in enumerate(found) if of == part] for part in parts}
        else:
            self.splits = by_hash(
                [self._name(i) for i in range(len(found))], [self.label(i) for i in range(len(found))]
            )
        self.layout: SkeletonLayout = layout_named(layout) if layout else self._first_layout()

    def _name(self, index: int) -> str:
        return self.clips[index][1].relative_to(self.folder).as_posix().rpartition(".")[0]

    def _first_layout(self) -> SkeletonLayout:
        for _, path in self.clips:
            joints = _joints_of(path)
            if joints is not None:
                try:
                    return read_joints(joints).layout
                except ClipError:
                    continue  # a damaged file is named when its clip is read
        return COCO

    def __len__(self) -> int:
        return len(self.clips)

    def label(self, index: int) -> int:
        return self.labels.index(self.clips[index][0])

    def flipped(self, label: str) -> str | None:
        return mirrored_label(label, self.labels)

    def clip(self, index: int) -> Clip:
        label, path = self.clips[index]
        joints = _joints_of(path)
        clip = read_clip(path, joints)
        if joints is None:
            empty = np.zeros((len(clip), 0, len(self.layout)), np.float32)
            clip = replace(clip, layout=self.layout, joints=np.zeros((*empty.shape, 2), np.float32), score=empty)
        elif clip.layout is not self.layout:
            raise ClipError(
                f"{joints.name} has joints of layout {clip.layout.name}, and this data set has {self.layout.name}; "
                "keep one layout in a folder, or name it with ?layout=."
            )
        return replace(clip, label=label, name=self._name(index), source=self.name)


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))


def _videos(place: Path) -> list[Path]:
    return sorted(
        path for path in place.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")
    )


def _joints_of(video: Path) -> Path | None:
    return next((path for suffix in JOINT_SUFFIXES if (path := video.with_suffix(suffix)).is_file()), None)
