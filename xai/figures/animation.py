"""The film with the skeleton coloured by attention and the sampling points, as an animated WebP, a WebM (VP9) or a GIF.

    python -m xai animate CLIP --checkpoint F --out wave.webp wave.webm wave.gif

Every frame that the network read is drawn once, by the same hand and on the same scales as the film strip. Times are
those of the clip; a WebM has one rate, so there a frame is repeated as often as its time asks for. Which checkpoint it
was stands under the film; a WebP (XMP) and a GIF (comment) also carry what its card says.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from PIL import Image

from model import CheckpointError
from training.clip import Clip
from xai.evidence import Evidence
from xai.figures.paper import note_of
from xai.figures.reads import heaviest, joints_read, over_uniform
from xai.figures.sheet import LABEL, MARGIN, Area, Sheet
from xai.figures.spec import FigureError
from xai.figures.strip import (
    AMOUNTS,
    draw_points,
    draw_skeleton,
    picture,
    said,
    time_norm,
)
from xai.figures.style import SMALL, THEMES, Look, drawing, number

DPI = 160
WIDTH = 3.6
"""Inches: 576 pixels."""
RATE = 20.0
"""Frames a second of a WebM."""
KINDS = (".webp", ".webm", ".gif")


def overlay_frames(
    evidence: Evidence,
    *,
    layer: int | None = None,
    query: str | None = None,
    points: int = 48,
    head: int | None = None,
    look: Look | None = None,
    dpi: int = DPI,
) -> Iterator[np.ndarray]:
    """One picture [h, w, 3] uint8, RGB, for every frame that the network read; all of one size."""
    look = look or Look()
    clip = evidence.clip
    height, side = clip.size
    searched = evidence.sampling_points is not None
    title = said(evidence)
    if searched:
        chosen, mass, both, uniform, who = heaviest(evidence, layer, query, points, head)
        time_scale, time_ends = time_norm(both)
        title += f", {who}"
    times: np.ndarray | None = None
    joint_scale: Normalize | None = None
    if (read := joints_read(evidence, layer, query, head)) is not None:
        times = over_uniform(*read, clip.score > 0)
        most = max(float(np.nanmax(times)), 1e-12)
        joint_scale = Normalize(0, most)
        divide, unit = look.scaled("× uniform", most)
    inner = WIDTH - 2 * MARGIN
    for frame in range(len(clip)):
        with drawing():
            sheet = Sheet(WIDTH, look)
            area = Area(sheet, MARGIN, MARGIN, inner)
            y = area.words(0, title) + 0.04
            axes = area.axes(0, y, inner, inner * height / side)
            axes.set_axis_off()
            picture(axes, clip.frames[frame])
            draw_skeleton(axes, clip, frame, None if times is None else times[frame], joint_scale, scale=2.2)
            if searched:
                place, reference = both[:, chosen]
                draw_points(axes, place, reference, mass[chosen], frame, time_scale, look.theme, 2.2)
            y += inner * height / side + 0.05
            y += playhead(area, y, clip, frame)
            half = (inner - 0.2) / 2
            if searched:
                area.colour_bar(0, y, half, "point: frames from its reference", look.theme.moved, time_scale, time_ends)
            if joint_scale is not None:
                ends = [(0.0, "0"), (most, number(most / divide))]
                area.colour_bar(half + 0.2, y, half, f"joint: {unit}", AMOUNTS, joint_scale, ends, 1.0)
            y += 2 * LABEL + 0.15
            if searched:
                largest = number(float(mass[chosen].max()))
                words = f"area of a point: mass, largest {largest}, uniform {number(uniform)} (raw)"
                y += area.words(y, words, size=SMALL, color=look.theme.soft)
            y += signature(area, y, evidence.model["name"], evidence.model["checkpoint"], note_of(evidence))
            pixels = raster(sheet, y, dpi)
        yield pixels


def playhead(area: Area, top: float, clip: Clip, frame: int) -> float:
    """How far the film is, as a bar and in words; returns the height."""
    theme, share = area.look.theme, (frame + 1) / len(clip)
    bar = area.bare(0, top, area.width, 0.03)
    bar.fill_between([0, area.width], 0, 0.03, color=theme.line, lw=0)
    bar.fill_between([0, area.width * share], 0, 0.03, color=theme.main, lw=0)
    words = f"{clip.time[frame]:.2f} s, frame {frame + 1} of {len(clip)}"
    return 0.06 + area.words(top + 0.06, words, size=SMALL, color=theme.soft) + 0.05


def signature(area: Area, top: float, name: str, checkpoint: str, note: str | None) -> float:
    """Whose picture this is, and that it was never trained where it was not; returns the height."""
    theme, words = area.look.theme, f"{name or 'unnamed'}, checkpoint {checkpoint}"
    height = 0.03 + area.words(top + 0.03, words, size=SMALL, color=theme.soft)
    if note:
        height += area.words(top + height, note, size=SMALL, color=theme.warning, weight="bold")
    return height


def raster(sheet: Sheet, height: float, dpi: int) -> np.ndarray:
    """[h, w, 3] uint8. Video codecs halve the resolution of colour, so they want even sizes."""
    figure = sheet.finish(height + 2 * MARGIN)
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return np.ascontiguousarray(pixels[: len(pixels) // 2 * 2, : pixels.shape[1] // 2 * 2])


def seconds_of(evidence: Evidence, speed: float = 1.0) -> np.ndarray:
    """[T] how long each frame stays: until the next one; the last as long as usual."""
    return stays(evidence.clip.time, speed)


def stays(time: np.ndarray, speed: float = 1.0) -> np.ndarray:
    """[T] seconds that each frame is shown, from their times [T]."""
    steps = np.diff(time)
    usual = float(np.median(steps)) if len(steps) else 0.5
    return np.maximum(np.append(steps, usual), 0.02) / speed


def write_animation(path: Path, pictures: list[np.ndarray], seconds: np.ndarray, about: str = "") -> None:
    """Write `.webp`, `.webm` or `.gif`; the file appears whole or not at all. `about` goes along where it can."""
    if path.suffix not in KINDS:
        raise FigureError(f"{path} ends in {path.suffix or 'nothing'}; expected {' or '.join(KINDS)}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    try:
        if path.suffix != ".webm":
            _images(name, pictures, seconds, about)
        elif not _webm(name, [image[..., ::-1] for image in pictures], seconds):
            raise FigureError(f"OpenCV could not encode {path.name}; install opencv-python-headless 4.12 or newer.")
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _images(name: str, pictures: list[np.ndarray], seconds: np.ndarray, about: str) -> None:
    first, *others = [Image.fromarray(picture) for picture in pictures]
    # A GIF counts in hundredths of a second.
    durations = [10 * max(2, round(100 * each)) if name.endswith(".gif") else round(1000 * each) for each in seconds]
    options: dict[str, Any] = {"quality": 90, "method": 4, "xmp": _xmp(about)} if name.endswith(".webp") else {}
    if name.endswith(".gif"):
        options = {"comment": about.encode("utf-8"), "optimize": False}
    first.save(name, save_all=True, append_images=others, duration=durations, loop=0, **options)


def _xmp(about: str) -> bytes:
    if not about:
        return b""
    words = f'<rdf:li xml:lang="x-default">{escape(about)}</rdf:li>'
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>'
        f"{words}</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def _webm(name: str, pictures: list[np.ndarray], seconds: np.ndarray) -> bool:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"VP90"), RATE, (width, height))
    if not writer.isOpened():
        return False
    ends = np.rint(np.cumsum(seconds) * RATE).astype(int)
    for image, count in zip(pictures, np.maximum(np.diff(ends, prepend=0), 1), strict=True):
        for _ in range(count):
            writer.write(np.ascontiguousarray(image))
    writer.release()
    return Path(name).stat().st_size > 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", metavar="CLIP", help="video, saved clip, gym:LABEL:SEED or jhmdb:FOLDER:CLASS/CLIP")
    parser.add_argument("--checkpoint", required=True, metavar="F")
    parser.add_argument("--out", required=True, nargs="+", metavar="FILE", help="one or more of .webp, .webm and .gif")
    parser.add_argument("--joints", metavar="FILE", help="joints of a video")
    parser.add_argument("--layer", type=int, help="counted from 1; the last by default")
    parser.add_argument("--query", help="token that reads (cls, rgb); their mean by default")
    parser.add_argument("--head", type=int, help="counted from 1; the mean of all by default")
    parser.add_argument("--points", type=int, default=48, help="sampling points shown")
    parser.add_argument("--speed", type=float, default=1.0, help="0.5 is half the speed of the clip")
    parser.add_argument("--theme", choices=tuple(THEMES), default="light")
    parser.add_argument("--device", default="auto")


def run(arguments: argparse.Namespace) -> int:
    from training.recognizer import Recognizer
    from xai.clips import open_clip
    from xai.evidence import gather_evidence
    from xai.figures.compose import in_a_sentence

    try:
        paths = [Path(name) for name in arguments.out]
        if wrong := [path for path in paths if path.suffix not in KINDS]:
            raise FigureError(f"{wrong[0]} ends in {wrong[0].suffix or 'nothing'}; expected {' or '.join(KINDS)}.")
        if not 0.05 <= arguments.speed <= 20:
            raise FigureError(f"--speed is {arguments.speed:g}; expected 0.05 to 20.")
        recognizer = Recognizer.load(arguments.checkpoint, arguments.device)
        evidence = gather_evidence(recognizer, open_clip(arguments.clip, arguments.joints))
        look = Look(THEMES[arguments.theme])
        pictures = list(
            overlay_frames(
                evidence, layer=arguments.layer, query=arguments.query, points=arguments.points, head=arguments.head,
                look=look,
            )
        )  # fmt: skip
        for path in paths:
            about = in_a_sentence(recognizer.card.name, recognizer)
            write_animation(path, pictures, seconds_of(evidence, arguments.speed), about)
    except (CheckpointError, ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    size = f"{pictures[0].shape[1]}x{pictures[0].shape[0]}"
    print(f"Wrote {len(pictures)} frames of {size} to {', '.join(map(str, paths))}.")
    return 0
