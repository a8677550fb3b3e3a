"""NTU RGB+D 60 and 120: Kinect recordings of one or two people (Shahroudy et al., 2016; Liu et al., 2019).

    nturgb+d_skeletons/S001C001P001R001A001.skeleton    text, 25 joints a body and frame
    nturgb+d_rgb/S001C001P001R001A001_rgb.avi           1920x1080
    *missing_skeletons*.txt                             optional: the published list of samples to leave out

The joints of the paper are `colorX`, `colorY`: places in the RGB frames. Frames without a body stay, so that joints
and frames share one index. Who counts as a person is decided as the data set's authors advise: see `choose_bodies`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.clip import Clip
from training.datasets.frames import make_clip, videos_in
from training.datasets.ntu_actions import ACTIONS
from training.datasets.parts import with_validation
from training.errors import ClipError
from training.skeleton import KINECT, SkeletonLayout
from training.video import read_video

NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
LARGEST_FILE = 64 << 20
LONGEST = 5000
MOST_BODIES = 64
FRAME_SIZE = (1080, 1920)
"""(height, width) that `colorX` and `colorY` refer to, also where videos were stored smaller."""

XSUB_60 = frozenset((1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38))
XSUB_120 = XSUB_60 | frozenset(
    (
        45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93,
        94, 95, 97, 98, 100, 103,
    )
)  # fmt: skip
"""Performers of the training part."""
PROTOCOLS = {60: ("xsub", "xview"), 120: ("xsub", "xset")}

PEOPLE = 2
"""For every action: to give two people only to the actions of two would tell the label."""
SHORTEST_BODY = 11
"""A body seen in no more frames is noise."""
WIDEST = 0.8
"""Largest ratio of horizontal to vertical spread of a person's joints; tables and seats are wider."""
MOST_WIDE = 0.69754
"""A body that is wider than that in a larger part of its frames is no person. Both numbers are those of the field."""


@dataclass(frozen=True, eq=False)
class Body:
    """What the sensor followed under one number."""

    frames: np.ndarray
    """[N] int: the frames it was seen in."""
    places: np.ndarray
    """[N, 25, 3] metres."""
    colour: np.ndarray
    """[N, 25, 2] pixels of the RGB frames."""
    tracking: np.ndarray
    """[N, 25]: 0 not tracked, 1 inferred, 2 tracked."""

    @property
    def motion(self) -> float:
        """Sum of the variances of x, y and z over all joints and frames."""
        return float(np.nanvar(self.places.reshape(-1, 3), axis=0).sum())

    @property
    def wide(self) -> float:
        """Part of its frames in which it is too wide to be a person."""
        x, y = np.ptp(self.places[..., 0], axis=1), np.ptp(self.places[..., 1], axis=1)
        return float(np.mean(~(x <= WIDEST * y)))


def read_bodies(path: Path) -> tuple[int, list[Body]]:
    """(number of frames, bodies in order of appearance) of a .skeleton file; ClipError for a damaged one."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ClipError(f"{path.name} has {path.stat().st_size >> 20} MB; a .skeleton file has a few.")
        words = path.read_text(encoding="ascii").split()
    except OSError as error:
        raise ClipError(f"{path.name} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ClipError(f"{path.name} is no .skeleton file; expected text.") from error
    parts: dict[int, list[tuple[int, np.ndarray]]] = {}
    try:
        length, at = int(words[0]), 1
        if not 0 < length <= LONGEST:
            raise ValueError(f"it says {length} frames")
        for frame in range(length):
            bodies, at = int(words[at]), at + 1
            for _ in range(bodies):
                number = int(words[at])  # more digits than a float keeps
                if int(words[at + 10]) != len(KINECT):
                    raise ValueError(f"a body has {words[at + 10]} joints")
                start, at = at + 11, at + 11 + 12 * len(KINECT)
                if at > len(words):
                    raise IndexError
                rows = _numbers(words[start:at]).reshape(len(KINECT), 12)
                parts.setdefault(number, []).append((frame, rows))
                if len(parts) > MOST_BODIES:
                    raise ValueError(f"it has more than {MOST_BODIES} bodies")
        if at != len(words):
            raise ValueError("it goes on after its last frame")
    except (IndexError, ValueError) as error:
        why = "it breaks off" if isinstance(error, IndexError) else str(error)
        raise ClipError(f"{path.name} is no .skeleton file of 25 joints, or it is damaged: {why}.") from error
    found = []
    for seen in parts.values():
        values = np.stack([rows for _, rows in seen])
        frames = np.array([frame for frame, _ in seen])
        frames, first = np.unique(frames, return_index=True)  # a number given twice in a frame counts once
        values = values[first]
        found.append(Body(frames, values[..., :3], values[..., 5:7], values[..., 11]))
    return length, found


def _numbers(words: list[str]) -> np.ndarray:
    """Windows writes `-1.#IND` and the like for what is no number."""
    try:
        return np.array(words, np.float64)
    except ValueError:
        return np.array(["nan" if "#" in word else word for word in words], np.float64)


def choose_bodies(bodies: Iterable[Body], people: int) -> list[list[Body]]:
    """The people of a sample, at most `people`: each a track of bodies that do not overlap in time.

    Bodies that are seen briefly or are wider than people are go, unless none would be left. The others come in order
    of their motion. A body joins the first track in which it is alone: the sensor gives one person a new number after
    losing it.
    """
    found = [body for body in bodies if np.isfinite(body.places).any() and np.any(body.places)]
    for keep in (lambda body: len(body.frames) > SHORTEST_BODY, lambda body: body.wide < MOST_WIDE):
        found = [body for body in found if keep(body)] or found
    tracks: list[list[Body]] = []
    for body in sorted(found, key=lambda body: -body.motion):
        for track in tracks:
            if not any(np.isin(body.frames, other.frames).any() for other in track):
                track.append(body)
                break
        else:
            if len(tracks) < people:
                tracks.append([body])
    return tracks


def is_training(name: str, protocol: str, classes: int) -> bool:
    """Whether a sample is for training: by performer, by camera (1 is test) or by setup (odd ones are test)."""
    setup, camera, performer, _, _ = _numbers_of(name)
    if protocol == "xview":
        return camera != 1
    if protocol == "xset":
        return setup % 2 == 0
    return performer in (XSUB_60 if classes == 60 else XSUB_120)


def _numbers_of(name: str) -> tuple[int, int, int, int, int]:
    match = NAME.fullmatch(name)
    if match is None:
        raise ClipError(f"{name} is no name of an NTU sample; expected one like S001C002P003R002A013.")
    setup, camera, performer, replication, action = (int(number) for number in match.groups())
    return setup, camera, performer, replication, action


class Ntu:
    """NTU RGB+D in its official files.

    Args:
        folder: the folder with the skeletons and videos, in folders of any name.
        protocol: `xsub`, `xview` (60 classes) or `xset` (120 classes).
        classes: 60 or 120.
        missing: the published list of samples with missing skeletons; one in `folder` is found by its name.
    """

    layout: SkeletonLayout = KINECT

    def __init__(
        self, folder: str | Path, protocol: str = "xsub", classes: int = 60, missing: str | Path | None = None
    ) -> None:
        folder = Path(folder).expanduser()
        if classes not in PROTOCOLS or protocol not in PROTOCOLS[classes]:
            raise ClipError(
                f"NTU RGB+D has protocols xsub and xview with 60 classes, xsub and xset with 120; {protocol} with "
                f"{classes} was asked for."
            )
        if not folder.is_dir():
            raise ClipError(f"There is no folder {folder}; expected one with .skeleton files and _rgb.avi videos.")
        self.name = f"ntu rgb+d {classes} {protocol}"
        self.labels: tuple[str, ...] = ACTIONS[:classes]
        self.left_out: dict[str, int] = {}
        self._skeletons = {path.stem: path for path in sorted(folder.glob("*.skeleton"))}
        self._skeletons |= {path.stem: path for path in sorted(folder.glob("*/*.skeleton"))}
        self._videos = {stem.removesuffix("_rgb"): path for stem, path in videos_in(folder).items()}
        if not self._skeletons or not self._videos:
            raise ClipError(
                f"{folder} has {len(self._skeletons)} .skeleton files and {len(self._videos)} videos; expected both, "
                "for example in nturgb+d_skeletons and nturgb+d_rgb."
            )
        without = _missing(folder, missing)
        self.clips: list[str] = []
        for name in sorted(self._skeletons):
            if not NAME.fullmatch(name) or _numbers_of(name)[4] > len(ACTIONS):
                self._leave_out("not named like a sample")
            elif name in without:
                self._leave_out("in the list of missing skeletons")
            elif classes == 60 and (_numbers_of(name)[4] > 60 or _numbers_of(name)[0] > 17):
                self._leave_out("of the 120 classes only")
            elif name not in self._videos:
                self._leave_out("without a video")
            else:
                self.clips.append(name)
        if not self.clips:
            why = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            raise ClipError(f"{folder} has no sample that can be used: {why}.")
        train = [i for i, name in enumerate(self.clips) if is_training(name, protocol, classes)]
        test = [i for i, name in enumerate(self.clips) if not is_training(name, protocol, classes)]
        group = 0 if protocol == "xset" else 2  # validation generalises as the test does: to setups, else to people
        sources = {i: f"{_numbers_of(name)[group]:03d}" for i, name in enumerate(self.clips)}
        self.splits: Mapping[str, Sequence[int]] = with_validation(train, test, sources)

    def _leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def __len__(self) -> int:
        return len(self.clips)

    def label(self, index: int) -> int:
        return _numbers_of(self.clips[index])[4] - 1

    def flipped(self, label: str) -> str | None:
        return label

    def clip(self, index: int) -> Clip:
        name = self.clips[index]
        action = _numbers_of(name)[4]
        length, bodies = read_bodies(self._skeletons[name])
        tracks = choose_bodies(bodies, PEOPLE)
        joints = np.zeros((length, len(tracks), len(KINECT), 2), np.float32)
        score = np.zeros(joints.shape[:3], np.float32)
        for person, track in enumerate(tracks):
            for body in track:
                joints[body.frames, person] = body.colour
                there = (body.colour != 0).any(-1) & np.isfinite(body.places).all(-1)
                score[body.frames, person] = np.where(there, body.tracking / 2, 0)
        return make_clip(
            read_video(self._videos[name]),
            joints,
            score,
            KINECT,
            measured=FRAME_SIZE,
            label=self.labels[action - 1],
            name=name,
            source="NTU RGB+D",
        )


def _missing(folder: Path, listed: str | Path | None) -> frozenset[str]:
    """Names in the list of samples with missing skeletons: two sentences of prose, then one name a line."""
    files = [Path(listed).expanduser()] if listed else sorted(folder.glob("*missing_skeletons*.txt"))
    try:
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    except OSError as error:
        raise ClipError(f"The list of missing skeletons {files[0]} cannot be read ({error.strerror}).") from error
    names = frozenset(match[0] for text in texts for match in NAME.finditer(text))
    if files and not names:
        raise ClipError(f"{files[0].name} names no sample; expected a list of names like S001C002P003R002A013.")
    return names
