"""Look at a data set before training on it: a sheet of clips with their joints, what they are like, what is wrong.

Some clips are read, spread over the labels; each damaged one is named and the rest goes on. The sheet shows the
middle frame of some of them, with joints and bones coloured by limb: joints that do not lie on the person are seen at
once, and no statistic shows them as well.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from training.clip import Clip
from training.datasets.base import Dataset
from training.errors import ClipError

TILE = (300, 320)
"""(height, width) of a picture on the sheet, its two lines of text included."""
TEXT_HEIGHT = 40
LIMB_COLOURS = ((255, 255, 255), (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167))
"""RGB, told apart by colour-blind eyes; one a limb, head and torso first."""
MOST_NAMED = 20
"""Problems printed; the rest is counted."""
FEWEST_FRAMES = 8


@dataclass(frozen=True)
class Report:
    """What `check` found."""

    name: str
    classes: int
    clips: int
    layout: str
    splits: dict[str, int]
    read: int
    """Clips that were read, damaged ones included."""
    lengths: tuple[int, ...]
    """Frames of each clip that could be read."""
    sizes: dict[str, int]
    """Width x height -> clips."""
    people: dict[int, int]
    """People -> clips."""
    seen: float | None
    """Share of the joints that are seen; None without joints."""
    left_out: dict[str, int]
    damaged: tuple[str, ...] = field(default=())
    """One sentence a damaged clip."""
    problems: tuple[str, ...] = field(default=())

    def text(self) -> str:
        """The report as printed."""
        counts = ", ".join(f"{count:,} {part}" for part, count in self.splits.items())
        lines = [
            f"{self.name}: {self.clips:,} clips of {self.classes} classes ({counts}); joints {self.layout}",
            f"read      {self.read:,} clips, {len(self.damaged):,} damaged",
        ]
        if self.lengths:
            middle = statistics.median(self.lengths)
            lines.append(f"frames    {min(self.lengths)} to {max(self.lengths)}, median {middle:g}")
            lines.append(f"sizes     {_most(self.sizes)}")
            lines.append(f"people    {_most(self.people)}")
            lines.append(f"joints    {'none' if self.seen is None else f'{self.seen:.1%} seen'}")
        if self.left_out:
            lines.append(f"left out  {', '.join(f'{count:,} {reason}' for reason, count in self.left_out.items())}")
        sentences = [*self.problems, *self.damaged]
        lines += [f"  - {sentence}" for sentence in sentences[:MOST_NAMED]]
        if len(sentences) > MOST_NAMED:
            lines.append(f"  - and {len(sentences) - MOST_NAMED:,} more")
        lines.append(f"{len(sentences):,} problem{'' if len(sentences) == 1 else 's'}")
        return "\n".join(lines)


def _most(counts: dict) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{value} ({count})" for value, count in ordered[:5])
    return shown + (f" and {len(ordered) - 5} others" if len(ordered) > 5 else "")


def check(
    source: str,
    out: str | Path | None,
    samples: int = 16,
    *,
    clips: int = 200,
    progress: bool = True,
    say: Callable[[str], object] = print,
) -> Report:
    """Read clips of `source`, write a sheet of them to `out` (a .png) and say what was found.

    Args:
        source: `jhmdb:FOLDER`, `penn:FOLDER`, ..., as for training.
        out: where the sheet goes; None writes none.
        samples: pictures on the sheet.
        clips: clips to read, spread over the labels; 0 reads all.
        say: gets the report as text.

    Raises ClipError if the data set cannot be opened at all, or the sheet not be written.
    """
    from training.sources import open_source, spread  # imports torch, which drawing does not need

    if samples < 1 or clips < 0:
        raise ClipError("A check needs at least one sample, and a number of clips of 0 (all) or more.")
    if out is not None and Path(out).suffix.lower() != ".png":
        raise ClipError(f"The sheet is written as .png, not {Path(out).suffix or 'without a suffix'}.")
    dataset = open_source(source)
    return check_dataset(dataset, out, samples, clips=clips, progress=progress, say=say, spread=spread)


def check_dataset(
    dataset: Dataset,
    out: str | Path | None,
    samples: int,
    *,
    clips: int,
    progress: bool,
    say: Callable[[str], object],
    spread: Callable[[list[int], int], list[int]],
) -> Report:
    """`check` for an open data set."""
    targets = [dataset.label(index) for index in range(len(dataset))]
    chosen = spread(targets, clips)
    if not chosen:
        raise ClipError(f"{dataset.name} has no clips; check its folder.")
    shown = {chosen[i] for i in spread([targets[i] for i in chosen], min(samples, len(chosen)))}
    tiles: list[np.ndarray] = []
    damaged: list[str] = []
    lengths: list[int] = []
    sizes: Counter[str] = Counter()
    people: Counter[int] = Counter()
    seen, joints, unseen, short, wrong = 0, 0, 0, 0, 0
    for index in tqdm(chosen, desc="check", unit="clip", disable=not progress, leave=False):
        try:
            clip = dataset.clip(index)
        except (ClipError, OSError) as error:
            damaged.append(f"clip {index}: {error}")
            if index in shown and len(tiles) < samples:
                tiles.append(_damaged_tile(index, dataset.labels[targets[index]]))
            continue
        lengths.append(len(clip))
        height, width = clip.size
        sizes[f"{width}x{height}"] += 1
        people[clip.people] += 1
        found = int((clip.score > 0).sum())
        seen, joints = seen + found, joints + clip.score.size
        unseen += bool(clip.people and not found)
        short += len(clip) < FEWEST_FRAMES
        wrong += clip.label != dataset.labels[targets[index]]
        if index in shown and len(tiles) < samples:
            tiles.append(draw_tile(clip))
    problems = _problems(dataset, targets)
    if unseen:
        problems.append(f"{unseen} clips have people of whom no joint is seen; check the size the joints refer to.")
    if short:
        problems.append(f"{short} clips have fewer than {FEWEST_FRAMES} frames; training repeats some of theirs.")
    if wrong:
        problems.append(f"{wrong} clips say another label than their data set; this is a fault of the reader.")
    if not joints and lengths:
        problems.append("No clip has joints; a network that reads joints learns nothing from them here.")
    report = Report(
        name=dataset.name,
        classes=len(dataset.labels),
        clips=len(dataset),
        layout=dataset.layout.name,
        splits={part: len(members) for part, members in dataset.splits.items()},
        read=len(chosen),
        lengths=tuple(lengths),
        sizes=dict(sizes),
        people=dict(people),
        seen=seen / joints if joints else None,
        left_out=dict(getattr(dataset, "left_out", {})),
        damaged=tuple(damaged),
        problems=tuple(problems),
    )
    say(report.text())
    if out is not None:
        write_sheet(Path(out), tiles)
        say(f"{len(tiles)} clips are drawn in {out}")
    return report


def _problems(dataset: Dataset, targets: list[int]) -> list[str]:
    """What is wrong with the splits, without decoding anything."""
    problems = []
    for part in ("train", "val", "test"):
        members = dataset.splits.get(part, ())
        if not members:
            problems.append(f"There are no clips of split {part!r}.")
        elif absent := len(dataset.labels) - len({targets[i] for i in members}):
            problems.append(f"{absent} of {len(dataset.labels)} classes have no clip of split {part!r}.")
    counted = Counter(index for members in dataset.splits.values() for index in members)
    if shared := sum(count > 1 for count in counted.values()):
        problems.append(f"{shared} clips are in more than one split.")
    return problems


def draw_tile(clip: Clip) -> np.ndarray:
    """[h, w, 3] uint8 RGB: the middle frame of a clip, its joints and bones, its label and name."""
    frame = len(clip) // 2
    height, width = clip.size
    scale = min((TILE[0] - TEXT_HEIGHT) / height, TILE[1] / width)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(clip.frames[frame], shape, interpolation=method)
    factor = np.array([shape[0] / width, shape[1] / height])
    for person in range(clip.people):
        places = (clip.joints[frame, person] + 0.5) * factor - 0.5
        _draw_person(picture, places, clip.score[frame, person] > 0, clip, first=person == 0)
    tile = np.full((*TILE, 3), 24, np.uint8)
    left = (TILE[1] - shape[0]) // 2
    tile[TEXT_HEIGHT : TEXT_HEIGHT + shape[1], left : left + shape[0]] = picture
    seen = int((clip.score[frame] > 0).sum())
    _write(tile, 15, clip.label or "no label", (255, 255, 255))
    about = f"frame {frame + 1}/{len(clip)}, {seen}/{clip.score[frame].size} joints"
    _write(tile, 33, f"{about}, {clip.name}", (170, 170, 170))
    return tile


def _draw_person(picture: np.ndarray, places: np.ndarray, seen: np.ndarray, clip: Clip, *, first: bool) -> None:
    """The first person with filled joints, others with rings. Sixteenths of a pixel, so that a joint is where it is."""
    fixed = np.clip(np.rint(places * 16), -(1 << 20), 1 << 20).astype(int)
    colours = [LIMB_COLOURS[limb % len(LIMB_COLOURS)] for limb in clip.layout.limb_of]
    for start, end in clip.layout.bones:
        if seen[start] and seen[end]:
            ends = tuple(map(int, fixed[start])), tuple(map(int, fixed[end]))
            cv2.line(picture, *ends, (0, 0, 0), 4, cv2.LINE_AA, 4)
            cv2.line(picture, *ends, colours[end], 2, cv2.LINE_AA, 4)
    for joint in np.flatnonzero(seen):
        centre = int(fixed[joint, 0]), int(fixed[joint, 1])
        cv2.circle(picture, centre, 4 * 16, (0, 0, 0), -1, cv2.LINE_AA, 4)
        cv2.circle(picture, centre, 3 * 16, colours[joint], -1 if first else 1, cv2.LINE_AA, 4)


def _damaged_tile(index: int, label: str) -> np.ndarray:
    tile = np.full((*TILE, 3), (90, 20, 20), np.uint8)
    _write(tile, 15, label, (255, 255, 255))
    _write(tile, 33, f"clip {index} is damaged", (255, 255, 255))
    return tile


def _write(tile: np.ndarray, baseline: int, text: str, colour: tuple[int, int, int]) -> None:
    """A line of text, cut to the width; the font of OpenCV has ASCII only."""
    plain = text.encode("ascii", "replace").decode()
    while plain and cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0] > tile.shape[1] - 8:
        plain = plain[:-1]
    cv2.putText(tile, plain, (4, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)


def write_sheet(path: Path, tiles: list[np.ndarray]) -> None:
    """The tiles in a square as one .png."""
    columns = int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * TILE[0], columns * TILE[1], 3), 24, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * TILE[0], place % columns * TILE[1]
        sheet[top : top + TILE[0], left : left + TILE[1]] = tile
    written, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not written:
        raise ClipError(f"{path} could not be written; this build of OpenCV lacks the encoder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command `check-data`."""
    parser.add_argument("data", metavar="SOURCE", help="jhmdb:FOLDER, penn:FOLDER, folder:FOLDER, ...")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="the sheet of clips with their joints")
    parser.add_argument("--samples", type=int, default=16, help="clips on the sheet")
    parser.add_argument("--clips", type=int, default=200, help="clips to read, spread over the labels; 0: all")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> int:
    """The sub-command: 0, or 1 when a clip is damaged. What cannot be opened at all is a ClipError."""
    report = check(options.data, options.out, options.samples, clips=options.clips, progress=not options.quiet)
    return 1 if report.damaged else 0
