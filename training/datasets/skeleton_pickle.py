"""Skeleton annotations of PySKL and MMAction2 (`ntu60_hrnet.pkl`, `gym_2d.pkl`, ...), with or without their videos.

    {"split": {"xsub_train": [frame_dir, ...], ...},
     "annotations": [{"frame_dir", "label", "total_frames", "img_shape": (height, width),
                      "keypoint" [M, T, V, 2] pixels, "keypoint_score" [M, T, V]}, ...]}

A bare list of annotations is read too, and the compressed form (`keypoint` [N, V, 3] with `frame_inds` [N]). The file
is read by `training.restricted_pickle`: nothing in it is run, and arrays stay in the file until a clip is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.clip import Clip
from training.datasets.frames import blank_video, make_clip, videos_in
from training.datasets.parts import by_hash, mirrored_label, with_validation
from training.errors import ClipError
from training.restricted_pickle import read_pickle
from training.skeleton import LAYOUTS, SkeletonLayout
from training.stored_array import StoredArray
from training.video import read_video

RATE = 30.0
"""Without a video there is no frame rate; this one only numbers the time axis."""
MOST_PLACES = 1 << 24
"""Joints of all people in all frames of one annotation: 2,000 frames of 400 people, more than any data set has."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """The joints of one clip; its arrays are in the file."""

    name: str
    label: int | None
    frames: int
    size: tuple[int, int] | None
    """(height, width) of the frames the joints were measured on."""
    keypoint: StoredArray
    score: StoredArray | None
    frame_index: StoredArray | None
    """[N]: the frame of each skeleton, in the compressed form."""

    def read(self, people: int) -> tuple[np.ndarray, np.ndarray]:
        """joints [T, M, V, 2] and score [T, M, V] of the `people` that are seen best."""
        values = self.keypoint.read().astype(np.float32)
        if self.frame_index is not None:
            values, held = self._unpacked(values, self.frame_index.read())
        elif self.score is not None:
            held = self.score.read().astype(np.float32)
        elif values.shape[-1] == 3:  # places and a confidence in one array
            held = values[..., 2]
        else:  # a person or joint that is not there lies at (0, 0)
            held = (values[..., :2] != 0).any(-1).astype(np.float32)
        if values.ndim != 4 or held.shape != values.shape[:3]:
            raise ClipError(f"{self.name} has joints {list(values.shape)} and scores {list(held.shape)}.")
        best = np.argsort(-np.nan_to_num(held).sum((1, 2)), kind="stable")[:people]
        best = np.sort(best[np.nan_to_num(held[best]).any((1, 2))])  # the file's order; rows of padding go
        return np.swapaxes(values[best, ..., :2], 0, 1), np.swapaxes(held[best], 0, 1)

    def _unpacked(self, values: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if values.ndim != 3 or values.shape[2] != 3 or index.shape != values.shape[:1]:
            raise ClipError(f"{self.name} has {list(values.shape)} joints for {list(index.shape)} frame numbers.")
        frame = index.astype(np.int64)
        if len(frame) and frame.min() > 0 and frame.max() == self.frames:  # some files count from 1
            frame = frame - 1
        if len(frame) and (frame.min() < 0 or frame.max() >= self.frames):
            raise ClipError(f"{self.name} has joints outside its {self.frames} frames; the file may be damaged.")
        order = np.argsort(frame, kind="stable")
        ordered = frame[order]
        place = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
        people = int(place.max()) + 1 if len(place) else 0
        if people * self.frames * values.shape[1] > MOST_PLACES:
            raise ClipError(f"{self.name} claims {people} people in {self.frames} frames; the file may be damaged.")
        joints = np.zeros((people, self.frames, values.shape[1], 2), np.float32)
        score = np.zeros(joints.shape[:3], np.float32)
        joints[place, ordered], score[place, ordered] = values[order, :, :2], values[order, :, 2]
        return joints, score


@dataclass(frozen=True)
class AnnotationFile:
    """All annotations of a file, and its splits by name."""

    annotations: tuple[Annotation, ...]
    split: Mapping[str, frozenset[str]]
    layout: SkeletonLayout
    damaged: int
    """Annotations that lack what every clip needs."""


def read_annotations(path: str | Path) -> AnnotationFile:
    """The annotations of a PySKL or MMAction2 pickle. Raises ClipError in one sentence for any other file."""
    name = Path(path).name
    content = read_pickle(path)
    listed = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(listed, list) or not listed or not all(isinstance(entry, dict) for entry in listed):
        raise ClipError(f"{name} is no annotation file; expected a dictionary with `annotations`, or a list of them.")
    if not any("keypoint" in entry for entry in listed):
        if any("box_score" in entry or "raw_file" in entry for entry in listed):
            raise ClipError(
                f"{name} is of the Kinetics kind: it has boxes and no keypoints, which lie in separate files; "
                "bring a file with `keypoint`."
            )
        raise ClipError(f"{name} has annotations without `keypoint`; expected joints [M, T, V, 2].")
    flat = [entry for entry in listed if isinstance(entry.get("keypoint"), StoredArray)]
    spatial = [entry for entry in flat if _is_spatial(entry)]
    if spatial:
        raise ClipError(
            f"{name} has 3-D joints in metres, which are no places in a video; bring the 2-D file (`*_2d.pkl` or "
            "`*_hrnet.pkl`)."
        )
    counts = sorted({entry["keypoint"].shape[-2] for entry in flat if len(entry["keypoint"].shape) >= 3})
    layouts = {len(layout): layout for layout in LAYOUTS.values()}
    if len(counts) != 1 or counts[0] not in layouts:
        raise ClipError(
            f"{name} has {', '.join(map(str, counts)) or 'no'} joints a person; expected one of "
            f"{', '.join(f'{count} ({layout.name})' for count, layout in layouts.items())}."
        )
    annotations = [made for entry in flat if (made := _annotation(entry)) is not None]
    if not annotations:
        raise ClipError(f"{name} has no annotation with a name and a number of frames; it may be damaged.")
    split = content.get("split", {}) if isinstance(content, dict) else {}
    if not isinstance(split, dict) or not all(isinstance(members, list) for members in split.values()):
        raise ClipError(f"{name} has a `split` that is no dictionary of lists of names.")
    parts = {str(part): frozenset(m for m in members if isinstance(m, str)) for part, members in split.items()}
    return AnnotationFile(tuple(annotations), parts, layouts[counts[0]], len(listed) - len(annotations))


def _is_spatial(entry: dict[str, Any]) -> bool:
    """3-D files name no image: their joints are metres."""
    held = entry["keypoint"]
    return len(held.shape) == 4 and held.shape[-1] == 3 and "img_shape" not in entry


def _annotation(entry: dict[str, Any]) -> Annotation | None:
    held: StoredArray = entry["keypoint"]
    score, index = entry.get("keypoint_score"), entry.get("frame_inds")
    name = entry.get("frame_dir", entry.get("filename"))
    frames = entry.get("total_frames", held.shape[1] if len(held.shape) == 4 else None)
    label, size = entry.get("label"), entry.get("img_shape", entry.get("original_shape"))
    compressed = len(held.shape) == 3
    if not isinstance(name, str) or type(frames) is not int or frames < 1 or len(held.shape) not in (3, 4):
        return None
    if compressed != isinstance(index, StoredArray) or held.shape[-1] not in (2, 3):
        return None
    if label is not None and (type(label) is not int or not 0 <= label < 100_000):
        return None
    shape = None
    if isinstance(size, tuple | list) and len(size) == 2 and all(type(n) is int and n > 0 for n in size):
        shape = size[0], size[1]
    return Annotation(
        name=name,
        label=label,
        frames=frames,
        size=shape,
        keypoint=held,
        score=score if isinstance(score, StoredArray) else None,
        frame_index=index if compressed else None,
    )


class SkeletonPickle:
    """The clips of an annotation file.

    Args:
        file: the pickle.
        videos: folder of the videos, called as the annotations name them (with `_rgb` for NTU), in it or in folders of
            it; without it the frames are black.
        split: `xsub`, `xview`, `xset`, `1` ... where the file has several; `xsub_train` says the same as `xsub`.
        names: text file with the name of a class a line; `class 12` and so on without it.
        people: at most so many people a clip, those that are seen best.
    """

    def __init__(
        self,
        file: str | Path,
        videos: str | Path | None = None,
        split: str | int | None = None,
        names: str | Path | None = None,
        people: int = 2,
    ) -> None:
        path = Path(file).expanduser()
        if people < 1:
            raise ClipError(f"A clip needs at least one person; people={people} was asked for.")
        found = read_annotations(path)
        self.layout, self.people = found.layout, people
        self.left_out: dict[str, int] = {"damaged annotation": found.damaged} if found.damaged else {}
        self._videos = None if videos is None else videos_in(Path(videos).expanduser())
        training, testing, chosen = _split_keys(found.split, split, path.name)
        self.name = " ".join([path.stem, *([chosen] if chosen else []), *([] if videos else ["(joints only)"])])
        listed = frozenset().union(*(found.split[key] for key in (*training, *testing))) if training else None
        self.annotations: list[Annotation] = []
        names_met: set[str] = set()
        for annotation in found.annotations:
            if annotation.name in names_met:
                self._leave_out("of a name that was there before")
                continue
            names_met.add(annotation.name)
            if annotation.label is None:
                self._leave_out("without a label")
            elif listed is not None and annotation.name not in listed:
                self._leave_out("in no part of the split")
            elif self._videos is not None and self._video(annotation.name) is None:
                self._leave_out("without a video")
            else:
                self.annotations.append(annotation)
        if lost := len((listed or frozenset()) - names_met):
            self.left_out["in the split and without an annotation"] = lost
        if not self.annotations:
            why = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            raise ClipError(f"{path.name} has no clip that can be used: {why}.")
        count = max(annotation.label or 0 for annotation in found.annotations) + 1
        self.labels: tuple[str, ...] = _class_names(names, count)
        self.splits: Mapping[str, Sequence[int]] = self._parts(found.split, training, testing)

    def _leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def _video(self, name: str) -> Path | None:
        assert self._videos is not None
        stem = name.rpartition("/")[2]
        return self._videos.get(stem) or self._videos.get(f"{stem}_rgb")

    def _parts(self, split: Mapping[str, frozenset[str]], training: list[str], testing: list[str]) -> dict:
        names = [annotation.name for annotation in self.annotations]
        if not training:
            return by_hash(names, [self.label(i) for i in range(len(names))])
        members = {key: [i for i, name in enumerate(names) if name in split[key]] for key in (*training, *testing)}
        if len(testing) == 2:
            return {"train": members[training[0]], "val": members[testing[0]], "test": members[testing[1]]}
        held = "setup" if training[0].startswith("xset") else "performer"
        sources = {i: source_of(name, held, self.labels[self.label(i)]) for i, name in enumerate(names)}
        return with_validation(members[training[0]], members[testing[0]] if testing else [], sources)

    def __len__(self) -> int:
        return len(self.annotations)

    def label(self, index: int) -> int:
        return self.annotations[index].label or 0

    def flipped(self, label: str) -> str | None:
        return mirrored_label(label, self.labels)

    def clip(self, index: int) -> Clip:
        annotation = self.annotations[index]
        joints, score = annotation.read(self.people)
        if joints.shape[2] != len(self.layout):
            raise ClipError(f"{annotation.name} has {joints.shape[2]} joints a person, not {len(self.layout)}.")
        if self._videos is None:
            size = annotation.size
            if size is None:
                raise ClipError(f"{annotation.name} has no `img_shape`, so its joints cannot be placed; add its video.")
            video = blank_video(len(joints), size, RATE)
        else:
            path = self._video(annotation.name)
            assert path is not None
            video = read_video(path)
            size = _upright(annotation.size, video.original)
        return make_clip(
            video,
            joints,
            score,
            self.layout,
            measured=size,
            label=self.labels[self.label(index)],
            name=annotation.name,
            source=self.name,
        )


def _upright(size: tuple[int, int] | None, original: tuple[int, int]) -> tuple[int, int] | None:
    """`img_shape` as (height, width): some writers had it the other way round, which the video shows."""
    if size is None or size[0] == size[1]:
        return size
    fits = abs(size[0] / size[1] - original[0] / original[1])
    return size if fits <= abs(size[1] / size[0] - original[0] / original[1]) else (size[1], size[0])


def _split_keys(
    split: Mapping[str, frozenset[str]], wanted: str | int | None, name: str
) -> tuple[list[str], list[str], str]:
    """(training keys, keys of validation and test, what is chosen): one training key or none."""
    families: dict[str, dict[str, str]] = {}
    for key in split:
        if match := re.fullmatch(r"(?:(.+)_)?(train|val|test)(\d*)", key):
            families.setdefault((match[1] or "") + match[3], {})[match[2]] = key
    families = {family: parts for family, parts in families.items() if "train" in parts}
    if not families:
        if wanted is not None:
            raise ClipError(f"{name} has no split {wanted!r}; it has {', '.join(split) or 'none'}.")
        return [], [], ""
    if wanted is None:
        if len(families) > 1:
            raise ClipError(f"{name} has several splits; choose with ?split= one of {', '.join(sorted(families))}.")
        chosen = next(iter(families))
    else:
        chosen = re.sub(r"_?(train|val|test)(?=\d*$)", "", str(wanted))
        if chosen not in families:
            raise ClipError(f"{name} has no split {wanted!r}; it has {', '.join(sorted(families))}.")
    parts = families[chosen]
    return [parts["train"]], [parts[part] for part in ("val", "test") if part in parts], chosen


HMDB = re.compile(r"(.+)_[fhlu]_[cn]m_np\d_(?:ba|fr|le|ri)_(?:bad|med|goo)_\d+")
"""Source and class, the visible part of the body, camera motion, people, view, quality, and which cut it is."""


def source_of(name: str, held: str = "performer", label: str = "") -> str:
    """What a clip was cut from, by its name: NTU's performer or setup, UCF's group, FineGYM's YouTube video, HMDB51's
    video (whose name ends before `label`, where labels have names); else the clip."""
    stem = name.rpartition("/")[2]
    if match := re.match(r"(?P<setup>S\d{3})C\d{3}(?P<performer>P\d{3})R\d{3}A\d{3}", stem):
        return match[held]
    if match := HMDB.fullmatch(stem):
        return match[1].removesuffix(f"_{label}")
    if match := re.match(r"(.+_g\d\d)_c\d\d", stem):
        return match[1]
    if match := re.match(r"(.{11})_(?:E_)?\d{6}_\d{6}_", stem):
        return match[1]
    return stem


def _class_names(names: str | Path | None, count: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"class {number}" for number in range(count))
    try:
        listed = [line.strip() for line in Path(names).expanduser().read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"The class names {names} cannot be read; expected a text file, one name a line.") from error
    found = tuple(line for line in listed if line)
    if len(found) < count or len(set(found)) != len(found):
        raise ClipError(f"{names} has {len(set(found))} different names, and the labels need {count}.")
    return found
