"""JHMDB: short clips of one person with 2-D joints and person masks (Jhuang et al., ICCV 2013).

    videos/<class>/<clip>.avi                         or ReCompress_Videos/..., as the official archive is called,
    Rename_Images/<class>/<clip>/00001.png            or its pictures; 15 joints a frame in
    joint_positions/<class>/<clip>/joint_positions.mat   pos_img [2, 15, T], counted from 1; `scale` is not needed
    puppet_mask/<class>/<clip>/puppet_mask.mat        part_mask [H, W, T], optional
    splits/<class>_test_split{1,2,3}.txt              "<clip>.avi 1|2", 1 = train, 2 = test

Classes without joints are left out, and so are clips without joints of the others, which `left_out` counts. No
visibility is annotated. Annotators fitted a puppet of the whole body, so that every joint has a place even where the
picture cuts it off, 13 % of all; without `amodal` those count as not seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from training.clip import Clip
from training.clip_file import seen
from training.datasets.frames import read_pictures, shared_length
from training.errors import ClipError
from training.joints_file import read_joints
from training.mat import read_mat
from training.skeleton import JHMDB, SkeletonLayout
from training.video import Video, read_video

HELD_OUT = 8
"""Every eighth source video of a class's training part is validation, with all its clips: clips of one source look
alike. Test clips are never looked at for a choice."""
VIDEO_FOLDERS = ("videos", "ReCompress_Videos")
PICTURES = "Rename_Images"
RATE = 30.0
"""Frames a second of every clip: pictures do not say it."""


class Jhmdb:
    """JHMDB in its official layout. `split` is 1, 2 or 3; the published figure is the mean over the three."""

    layout: SkeletonLayout = JHMDB

    def __init__(self, folder: str | Path, split: int = 1, masks: bool = True, amodal: bool = True) -> None:
        self.folder, self.split, self.masks, self.amodal = Path(folder).expanduser(), split, masks, amodal
        self.name = f"jhmdb split {split}"
        if split not in (1, 2, 3):
            raise ClipError(f"JHMDB has splits 1, 2 and 3; {split} was asked for.")
        if not (self.folder / "joint_positions").is_dir() or not (self.folder / "splits").is_dir():
            raise ClipError(f"{self.folder} is no JHMDB folder; expected joint_positions, videos and splits in it.")
        places = [p for p in (self.folder / "joint_positions").iterdir() if p.is_dir() and not p.name.startswith(".")]
        self.labels: tuple[str, ...] = tuple(sorted(place.name for place in places))
        self.left_out: dict[str, int] = {}
        self.clips: list[tuple[str, str]] = []
        parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
        for label in self.labels:
            listed = self.folder / "splits" / f"{label}_test_split{split}.txt"
            if not listed.is_file():
                raise ClipError(f"JHMDB has no list splits/{listed.name}; add the official lists of the three splits.")
            lines = [line.strip().rpartition(" ") for line in sorted(listed.read_text().splitlines())]
            named = [(video.removesuffix(".avi"), part) for video, _, part in lines if part in ("1", "2")]
            found = [pair for pair in named if (self.folder / "joint_positions" / label / pair[0]).is_dir()]
            if len(found) < len(named):
                self.left_out["without joints"] = self.left_out.get("without joints", 0) + len(named) - len(found)
            sources = sorted({_source(clip, label) for clip, part in found if part == "1"})
            held_out = set(sources[HELD_OUT - 1 :: HELD_OUT])
            for clip, part in found:
                name = "test" if part == "2" else "val" if _source(clip, label) in held_out else "train"
                parts[name].append(len(self.clips))
                self.clips.append((label, clip))
        self.splits: Mapping[str, Sequence[int]] = parts

    def __len__(self) -> int:
        return len(self.clips)

    def label(self, index: int) -> int:
        return self.labels.index(self.clips[index][0])

    def flipped(self, label: str) -> str | None:
        return label

    @cached_property
    def near_ties(self) -> frozenset[tuple[str, str]]:
        """(label, clip) whose joints may belong to another cut of the same source, where an index says so."""
        path = self.folder / "index.json"
        if not path.is_file():
            return frozenset()
        index = json.loads(path.read_text(encoding="utf-8"))
        return frozenset((entry["label"], name) for name, entry in index.items() if entry.get("near_tie"))

    def clip(self, index: int) -> Clip:
        label, name = self.clips[index]
        return self.named(label, name)

    def named(self, label: str, name: str) -> Clip:
        """One clip by its class and name."""
        read = self._frames(label, name)
        found = read_joints(self.folder / "joint_positions" / label / name / "joint_positions.mat")
        length = shared_length(f"{label}/{name}", len(read.frames), len(found.joints))
        height, width = read.frames.shape[1:3]
        joints, score = found.joints[:length], found.score[:length]
        clip = Clip(
            frames=read.frames[:length],
            joints=joints,
            score=score if self.amodal else seen(joints, score, height, width),
            amodal=self.amodal,
            layout=JHMDB,
            time=read.time[:length],
            label=label,
            name=f"{label}/{name}",
            source="JHMDB",
        )
        path = self.folder / "puppet_mask" / label / name / "puppet_mask.mat"
        if not self.masks or not path.is_file():
            return clip
        try:
            part = read_mat(path, ["part_mask"])["part_mask"]
            mask = np.ascontiguousarray(part.transpose(2, 0, 1)) > 0
            if len(mask) < length or mask.shape[1:] != (height, width):
                raise ValueError(f"{list(mask.shape)} for {length} frames of {width}x{height}")
        except (ValueError, LookupError) as error:
            raise ClipError(f"The person mask of {label}/{name} cannot be used: {error}.") from error
        return replace(clip, person_mask=mask[:length])

    def _frames(self, label: str, name: str) -> Video:
        for folder in VIDEO_FOLDERS:
            video = self.folder / folder / label / f"{name}.avi"
            if video.is_file():
                return read_video(video)
        pictures = sorted((self.folder / PICTURES / label / name).glob("[0-9]*.png"))
        if not pictures:
            raise ClipError(f"JHMDB has no video {label}/{name}.avi in {self.folder}.")
        return read_pictures(pictures, RATE)


def _source(clip: str, label: str) -> str:
    """The video that a clip was cut from: its name up to the class."""
    return clip.partition(f"_{label}_")[0]
