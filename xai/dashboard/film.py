"""Film: frames with their skeletons as pictures for a page, from a clip or from a stored payload (then without torch).

Pictures are small JPEG images in a grid that wraps: twelve in a row on a wide screen, three on a telephone. Places are
pixels of the film's own frames, (x, y), with integer coordinates at pixel centres.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import cv2
import numpy as np

from training.clip import Clip
from xai.dashboard.colours import ACCENT, LIMBS, rgb
from xai.figures.player import unpack

STRIP, LARGE = 232, 560
"""Pixels of the long side of a picture in the strip, and of a single one."""
LIMB_COLOURS = tuple(map(rgb, LIMBS))
EDGE = (20, 22, 26)
UNREAD = 0.45
"""How bright the part of a frame is that the network does not see."""
Image = np.ndarray
"""[h, w, 3] uint8, RGB."""


@dataclass(frozen=True, eq=False)
class Film:
    """What is on screen: the frames that the network read, and who was seen in them."""

    frames: np.ndarray
    """[T, H, W, 3] uint8."""
    joints: np.ndarray
    """[T, M, J, 2] pixels of the frames."""
    score: np.ndarray
    """[T, M, J]."""
    bones: tuple[tuple[int, int], ...] = ()
    limb_of: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    """What stands under each frame, counted from 1; empty for 1, 2, 3, ..."""
    cause: np.ndarray | None = None
    """[T, H, W] bool: the pixels that decide the label, where that is known."""
    limbs: tuple[str, ...] = ()
    """What the body parts are called; `limb_of` points into it."""
    seen: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, right and bottom of what the network sees, as parts of the frame; the rest is drawn dark."""

    @classmethod
    def of_clip(
        cls, clip: Clip, numbers: Iterable[int] = (), seen: tuple[float, float, float, float] | None = None
    ) -> Film:
        layout, cause = clip.layout, None if clip.cause is None else clip.cause.pixels
        return cls(
            clip.frames, clip.joints, clip.score, layout.bones, layout.limb_of, layout.joints, tuple(numbers), cause,
            tuple(name for name, _ in layout.limbs), seen or cls.seen,
        )  # fmt: skip

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> Film:
        """The film of the player's payload, at the size at which it travels."""
        about, sprite, skeleton = payload["clip"], payload["sprite"], payload["skeleton"]
        data = base64.b64decode(sprite["src"].partition(",")[2])
        sheet = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert sheet is not None
        wide, high, columns, length = sprite["width"], sprite["height"], sprite["columns"], about["frames"]
        corners = [(t // columns * high, t % columns * wide) for t in range(length)]
        frames = np.stack([sheet[y : y + high, x : x + wide, ::-1] for y, x in corners])
        box = np.clip((np.array(about["box"]) + 0.5) / (about["width"], about["height"]), 0, 1)
        left, top, right, low = map(float, (*box.min(0), *box.max(0)))
        seen = left, top, right, low
        if skeleton is None:
            return cls(frames, np.zeros((length, 0, 0, 2)), np.zeros((length, 0, 0)), seen=seen)
        scale = np.array([wide / about["width"], high / about["height"]])
        joints = scale * (unpack(skeleton["place"]) + 0.5) - 0.5
        return cls(
            frames, joints, unpack(skeleton["score"]), tuple(tuple(bone) for bone in skeleton["bones"]),
            tuple(skeleton["limb"]), tuple(skeleton["names"]), limbs=tuple(skeleton["limbs"]), seen=seen,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def people(self) -> int:
        """How many are seen in it."""
        return int((self.score > 0).any(axis=(0, 2)).sum())

    def number(self, t: int) -> int:
        return self.numbers[t] if self.numbers else t + 1

    def take(self, indices: Sequence[int]) -> Film:
        """The film of these frames only, in this order."""
        chosen = list(indices)
        cause = None if self.cause is None else self.cause[chosen]
        return replace(
            self, frames=self.frames[chosen], joints=self.joints[chosen], score=self.score[chosen], cause=cause,
            numbers=tuple(self.number(t) for t in chosen),
        )  # fmt: skip

    @property
    def telling(self) -> int:
        """The frame that is least like the others, where something is to be seen: by its joints, else by its pixels.

        A ball that rolls past changes more pixels than a hand that waves, and is not what the clip is about.
        """
        seen = (self.score > 0).all(axis=0)
        if len(self) > 1 and seen.any():
            moved = np.linalg.norm(self.joints - np.median(self.joints, axis=0), axis=-1)
            return int((moved * seen).sum(axis=(1, 2)).argmax())
        frames = self.frames.astype(np.float32)
        return int(np.abs(frames - frames.mean(axis=0)).mean(axis=(1, 2, 3)).argmax())

    def zoom(self, side: int) -> float:
        return side / max(self.frames.shape[1:3])

    def picture(self, t: int, side: int = STRIP) -> Image:
        """Frame t with its long side at `side` pixels."""
        height, width = self.frames.shape[1:3]
        zoom = self.zoom(side)
        size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
        how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
        image = np.ascontiguousarray(cv2.resize(self.frames[t], size, interpolation=how))
        if self.seen != Film.seen:
            edges = (np.array(self.seen) * [*size, *size]).round().astype(int)
            dark = np.ones(image.shape[:2], bool)
            dark[edges[1] : edges[3], edges[0] : edges[2]] = False
            image[dark] = (UNREAD * image[dark]).astype(np.uint8)
        return image


def at(places: np.ndarray, zoom: float) -> np.ndarray:
    """Places (x, y) of the film in pixels of a picture with this zoom."""
    return zoom * (np.asarray(places, float) + 0.5) - 0.5


def draw_skeleton(image: Image, film: Film, t: int, zoom: float, *, untouched: Film | None = None) -> None:
    """Bones and joints in the hues of their limbs. A joint seen in frame t of `untouched` and not here is a ring."""
    places, seen = at(film.joints[t], zoom), film.score[t] > 0
    thick = max(1, round(0.007 * max(image.shape[:2])))
    for person in range(seen.shape[0]):
        for a, b in film.bones:
            if seen[person, a] and seen[person, b]:
                if thick > 2:  # in a small picture, edges would hide what they edge
                    line(image, places[person, a], places[person, b], EDGE, thick + 2)
                line(image, places[person, a], places[person, b], LIMB_COLOURS[film.limb_of[b]], thick)
        for joint in np.flatnonzero(seen[person]):
            disc(image, places[person, joint], 1.2 + 0.7 * thick, LIMB_COLOURS[film.limb_of[joint]])
        if untouched is None or untouched.score[t].shape != film.score[t].shape:
            continue
        before = at(untouched.joints[t], zoom * film.frames.shape[2] / untouched.frames.shape[2])
        for joint in np.flatnonzero((untouched.score[t, person] > 0) & ~seen[person]):
            ring(image, before[person, joint], 1.5 + 0.9 * thick, (255, 255, 255))


def line(image: Image, start: np.ndarray, end: np.ndarray, colour: Sequence[int], thick: int) -> None:
    cv2.line(image, _dot(start), _dot(end), tuple(int(c) for c in colour), thick, cv2.LINE_AA, _SHIFT)


def disc(image: Image, place: np.ndarray, radius: float, colour: Sequence[int]) -> None:
    size = round(radius * (1 << _SHIFT))
    cv2.circle(image, _dot(place), size + (1 << _SHIFT), EDGE, -1, cv2.LINE_AA, _SHIFT)
    cv2.circle(image, _dot(place), size, tuple(int(c) for c in colour), -1, cv2.LINE_AA, _SHIFT)


def ring(image: Image, place: np.ndarray, radius: float, colour: Sequence[int]) -> None:
    size = round(radius * (1 << _SHIFT))
    cv2.circle(image, _dot(place), size, EDGE, 3, cv2.LINE_AA, _SHIFT)
    cv2.circle(image, _dot(place), size, tuple(int(c) for c in colour), 1, cv2.LINE_AA, _SHIFT)


def outline(image: Image, mask: np.ndarray) -> None:
    """The edge of `mask` [H, W] bool, of any size, in white on black: what is known to decide the label."""
    scaled = cv2.resize(mask.astype(np.uint8), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
    edges, _ = cv2.findContours(scaled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, edges, -1, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.drawContours(image, edges, -1, (255, 255, 255), 1, cv2.LINE_AA)


_SHIFT = 4
"""OpenCV draws at sixteenths of a pixel."""


def _dot(place: np.ndarray) -> tuple[int, int]:
    x, y = np.rint(np.clip(place, -1e4, 1e4) * (1 << _SHIFT)).astype(int)
    return int(x), int(y)


def source(image: Image, quality: int = 88) -> str:
    """The picture as the address of an image. JPEG: WebP would be a little smaller and takes thirty times as long."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of {image.shape[1]}x{image.shape[0]} as JPEG.")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def skeleton_pictures(film: Film, *, untouched: Film | None = None, side: int = STRIP) -> list[Image]:
    """Every frame with its skeletons."""
    pictures = []
    for t in range(len(film)):
        image = film.picture(t, side)
        draw_skeleton(image, film, t, film.zoom(side), untouched=untouched)
        pictures.append(image)
    return pictures


STYLE = """<style>
.film-strip { display: grid; gap: 6px 4px; margin: 0;
  grid-template-columns: repeat(auto-fill, minmax(max(72px, calc(100% / var(--frames) - 4px)), 1fr)); }
.film-strip figure { margin: 0; }
.film-strip img, .film-single img { display: block; width: 100%; border-radius: 2px; }
.film-strip figcaption { font-size: 11px; line-height: 1.5; text-align: center; opacity: 0.66;
  font-variant-numeric: tabular-nums; }
.film-strip .here figcaption { opacity: 1; font-weight: 600; }
.film-strip .here img { outline: 2px solid ACCENT; }
</style>""".replace("ACCENT", ACCENT)


def strip_html(images: Sequence[Image], film: Film, what: str, here: int | None = None) -> str:
    """The pictures in a row that wraps, with their numbers under them; `what` is read to who cannot see them."""
    figures = []
    for t, image in enumerate(images):
        number = film.number(t)
        alt = escape(f"{what}, frame {number}", quote=True)
        mark = ' class="here"' if t == here else ""
        figures.append(
            f'<figure{mark}><img src="{source(image)}" alt="{alt}"><figcaption>{number}</figcaption></figure>'
        )
    return f'{STYLE}<div class="film-strip" style="--frames: {len(figures)}">{"".join(figures)}</div>'
