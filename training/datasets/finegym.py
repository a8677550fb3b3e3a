"""FineGYM: elements of gymnastics, 99 or 288 classes (Shao et al., CVPR 2020).

    annotations/gym99_train_element_v1.1.txt   "A0xAXXysHUo_E_002184_002237_A_0035_0036 93" a line
    annotations/gym99_val_element.txt          its validation part, on which results are published: our test part
    annotations/gym99_categories.txt           optional, "Clabel: 0; set: 1; Glabel: 1; (VT) round-off, ..."
    annotations/finegym_annotation_info_v1.1.json   times, where only videos of whole events are there
    subactions/<name>.mp4                      one element, or
    events/<video>_E_002184_002237.mp4         one event, from which the elements are cut
    gym_hrnet.pkl                              optional, the poses of PySKL (17 joints)

A name is the YouTube id (11 characters, which may hold `_` and `-`), the event in seconds of the video, and the
element in seconds of the event. Many videos are gone: what is not there is counted in `left_out`. The score of the
data set is the mean over classes of their accuracies.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from training.clip import Clip
from training.datasets.frames import blank_video, make_clip, videos_in
from training.datasets.parts import with_validation
from training.datasets.skeleton_pickle import RATE, Annotation, read_annotations
from training.errors import ClipError
from training.skeleton import COCO, SkeletonLayout
from training.video import Video, VideoLimits, read_video, sniff

NAME = re.compile(r"(.{11})_E_(\d{6})_(\d{6})_A_(\d{4,6})_(\d{4,6})")


@dataclass(frozen=True)
class Element:
    """One line of a list."""

    name: str
    label: int

    @property
    def video(self) -> str:
        return self.name[:11]

    @property
    def event(self) -> str:
        return self.name[: len("A0xAXXysHUo_E_002184_002237")]


def read_list(path: Path) -> list[Element]:
    """The elements of a list, in its order. ClipError names the first line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"The list {path} cannot be read; expected a text file of names and labels.") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        if not NAME.fullmatch(name) or not label.isdecimal():
            raise ClipError(f"Line {number} of {path.name} is no element; expected a name, a space and a label.")
        found.append(Element(name, int(label)))
    return found


def pose_key(name: str) -> str:
    """A name without `E_` and `A_`, as some pose files write it. The id is cut off first: it may hold them."""
    return name[:11] + name[11:].replace("_E_", "_").replace("_A_", "_")


class FineGym:
    """FineGYM in its official lists.

    Args:
        folder: the folder described above; lists and videos may also lie in it directly.
        classes: 99 or 288.
        poses: the pickle of poses; `gym_hrnet.pkl` or `gym_2d.pkl` in `folder` by default. Without one, clips have no
            joints.
        joints_only: the frames are black and need not be there.
    """

    layout: SkeletonLayout = COCO

    def __init__(
        self, folder: str | Path, classes: int = 99, poses: str | Path | None = None, joints_only: bool = False
    ) -> None:
        self.folder, self.joints_only = Path(folder).expanduser(), joints_only
        if classes not in (99, 288):
            raise ClipError(f"FineGYM has sets of 99 and 288 classes; {classes} was asked for.")
        self.name = f"finegym {classes}{', joints only' if joints_only else ''}"
        lists = {part: self._annotation_file(f"gym{classes}_{part}*.txt") for part in ("train", "val")}
        if lists["train"] is None or lists["val"] is None:
            raise ClipError(
                f"{self.folder} has no lists gym{classes}_train_element_v1.1.txt and gym{classes}_val_element.txt; put "
                "them into it or into its folder annotations."
            )
        pose_file = Path(poses).expanduser() if poses else self._default_poses()
        self._poses: dict[str, Annotation] | None = None
        if pose_file is not None:
            read = read_annotations(pose_file)
            if read.layout is not COCO:
                raise ClipError(f"{pose_file.name} has {len(read.layout)} joints; FineGYM's poses have 17 (coco17).")
            self._poses = {pose_key(annotation.name): annotation for annotation in read.annotations}
        elif joints_only:
            raise ClipError(f"{self.folder} has no gym_hrnet.pkl, which joints_only needs; name it with poses=FILE.")
        self._elements = {} if joints_only else self._videos("subactions", depth=2)
        self._events = {} if joints_only else self._videos("events", depth=2)
        self.left_out: dict[str, int] = {}
        self.clips: list[Element] = []
        parts: dict[str, list[int]] = {"train": [], "val": []}
        for part, path in lists.items():
            assert path is not None
            for element in read_list(path):
                if element.label >= classes:
                    raise ClipError(f"{path.name} has label {element.label}; the labels of gym{classes} end before.")
                reason = self._lacks(element)
                if reason:
                    self.left_out[reason] = self.left_out.get(reason, 0) + 1
                    continue
                parts[part].append(len(self.clips))
                self.clips.append(element)
        if not self.clips:
            why = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            raise ClipError(f"{self.folder} has none of the listed elements ({why}); expected subactions/NAME.mp4.")
        self.labels: tuple[str, ...] = self._class_names(classes)
        sources = {index: element.video for index, element in enumerate(self.clips)}
        self.splits: Mapping[str, Sequence[int]] = with_validation(parts["train"], parts["val"], sources)

    def _annotation_file(self, pattern: str) -> Path | None:
        """The newest version of a list: its number is in the name."""
        for place in (self.folder / "annotations", self.folder):
            if found := sorted(place.glob(pattern)):
                return found[-1]
        return None

    def _default_poses(self) -> Path | None:
        files = (self.folder / name for name in ("gym_hrnet.pkl", "gym_2d.pkl"))
        return next((file for file in files if file.is_file()), None)

    def _videos(self, name: str, depth: int) -> dict[str, Path]:
        return videos_in(self.folder / name, depth) if (self.folder / name).is_dir() else {}

    def _lacks(self, element: Element) -> str:
        if self._poses is not None and pose_key(element.name) not in self._poses:
            return "without poses"
        if self.joints_only or element.name in self._elements:
            return ""
        if element.event not in self._events:
            return "without a video"
        return "" if element.name in self._times else "without a time in the annotations"

    @cached_property
    def _times(self) -> dict[str, tuple[float, float]]:
        """Name -> (start, end) in seconds of the event, for the events that are there."""
        path = self._annotation_file("finegym_annotation_info*.json")
        if path is None:
            raise ClipError(
                f"{self.folder} has videos of events, and cutting elements from them needs "
                "finegym_annotation_info_v1.1.json."
            )
        times: dict[str, tuple[float, float]] = {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            for video, events in content.items():
                for event, about in events.items():
                    if f"{video}_{event}" in self._events:
                        for element, found in (about.get("segments") or {}).items():
                            first, last = found["timestamps"][0], found["timestamps"][-1]
                            times[f"{video}_{event}_{element}"] = float(first[0]), float(last[-1])
        except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
            raise ClipError(
                f"{path.name} is no annotation of FineGYM ({type(error).__name__}); get it again."
            ) from error
        return times

    def _class_names(self, classes: int) -> tuple[str, ...]:
        path = self._annotation_file(f"gym{classes}_categories*.txt")
        names = {number: f"class {number}" for number in range(classes)}
        if path is not None:
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                match = re.match(r"\s*Clabel:\s*(\d+);.*?;\s*(?:Glabel:[^;]*;)?\s*(\S[^;]*)$", line)
                if match and int(match[1]) in names:
                    names[int(match[1])] = match[2].strip()
        if len(set(names.values())) < classes:  # a name given twice would make one class of two
            names = {number: f"{name} ({number})" for number, name in names.items()}
        return tuple(names.values())

    def __len__(self) -> int:
        return len(self.clips)

    def label(self, index: int) -> int:
        return self.clips[index].label

    def flipped(self, label: str) -> str | None:
        return label

    def clip(self, index: int) -> Clip:
        element = self.clips[index]
        annotation = self._poses[pose_key(element.name)] if self._poses is not None else None
        if self.joints_only:
            assert annotation is not None
            if annotation.size is None:
                raise ClipError(f"{element.name} has no `img_shape`, so its joints cannot be placed; add its video.")
            video = blank_video(annotation.frames, annotation.size, RATE)
        elif element.name in self._elements:
            video = read_video(self._elements[element.name])
        else:
            video = read_passage(self._events[element.event], *self._times[element.name])
        if annotation is None:
            joints, score = np.zeros((len(video.frames), 0, len(COCO), 2)), np.zeros((len(video.frames), 0, len(COCO)))
        else:
            joints, score = annotation.read(people=1)
        return make_clip(
            video,
            joints,
            score,
            COCO,
            measured=annotation.size if annotation else None,
            label=self.labels[element.label],
            name=element.name,
            source="FineGYM",
        )


def read_passage(path: Path, start: float, end: float, limits: VideoLimits | None = None) -> Video:
    """The frames of a video from `start` to `end` in seconds, found by their time stamps; earlier ones are passed over.

    Frames are not sought: that lands on wrong ones.
    """
    limits = limits or VideoLimits()
    if sniff(path) == "webp" or not 0 <= start < end:
        raise ClipError(f"{path.name} has no passage from {start:g} to {end:g} s; check the annotation.")
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    frames: list[np.ndarray] = []
    stamps: list[float] = []
    original, held = (0, 0), 0
    deadline = time.monotonic() + limits.seconds_to_decode
    try:
        while capture.grab():
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if stamp >= end - 1e-3:
                break
            if time.monotonic() > deadline:
                raise ClipError(f"{path.name} takes longer than {limits.seconds_to_decode:.0f} s to decode; cut it.")
            if stamp < start - 1e-3:
                continue
            read, image = capture.retrieve()
            if not read:
                break
            if not frames:
                original = image.shape[:2]
            elif image.shape[:2] != original:
                raise ClipError(f"{path.name} changes the size of its frames at {stamp:.2f} s; encode it again.")
            scale = limits.longest_side / max(original)
            if scale < 1:
                shape = max(1, round(original[1] * scale)), max(1, round(original[0] * scale))
                image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
            held += image.nbytes
            if len(frames) == limits.frames or held > limits.decoded_bytes:
                raise ClipError(f"{path.name} has a passage of {end - start:.0f} s, longer than is read at once.")
            frames.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            stamps.append(stamp)
    finally:
        capture.release()
    if not frames:
        raise ClipError(f"{path.name} has no frame from {start:g} to {end:g} s; it may be cut short.")
    return Video(np.stack(frames), np.array(stamps), (int(original[0]), int(original[1])))
