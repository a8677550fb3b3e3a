"""Drawing for the page Export: a figure with every file that belongs to it, a report, an animation. Work for jobs.

Nothing here calls Streamlit. Networks and clips are opened before; evidence and maps are those that the server keeps,
so a panel shows the numbers of the view that it was added from, and changing a caption computes no map again.
"""

from __future__ import annotations

import hashlib
import io
import shlex
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from training.clip import Clip
from training.clip_file import save_clip
from training.recognizer import Recognizer
from xai.dashboard.basket_spec import BOARD, FOLDER, Request, is_own
from xai.dashboard.kept import Kept
from xai.dashboard.library import ASSETS
from xai.dashboard.limits import limits
from xai.dashboard.turnstile import Turnstile
from xai.evidence import Evidence, gather_evidence
from xai.explanation import Explanation
from xai.figures import animation
from xai.figures.bundle import write_bundle
from xai.figures.compose import Composed, compose, in_a_sentence
from xai.figures.moving_map import map_frames
from xai.figures.panel_kinds import Cube, Film, Joints, Map, Trust
from xai.figures.paper import UNTRAINED, render
from xai.figures.report import Wanted, report_html, report_maps, titled
from xai.figures.sources import Sources
from xai.figures.spec import FigureError, FigureSpec
from xai.figures.style import THEMES, Look
from xai.known_trust import Known, shipped_trust
from xai.methods import methods
from xai.trust import PARTS

Progress = Callable[[int, int], None]
MOST_TIMES = 4
"""A number of a method is at most so many times its default, as on the page that asks methods."""
MOST_ORDERS = 200


@dataclass(frozen=True)
class Opened:
    """A request whose clips and networks are opened."""

    request: Request
    clips: Mapping[str, Clip]
    """By what the spec says of them, like the networks."""
    networks: Mapping[str, Recognizer]
    kept: Kept
    turnstile: Turnstile

    @property
    def digest(self) -> str:
        """Names the figure: the same for everyone who asks for the same of the same content."""
        said = [self.request.text]
        said += [f"{name} {clip.identity}" for name, clip in self.clips.items()]
        said += [f"{name} {network.checkpoint}" for name, network in self.networks.items()]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Preview:
    """A figure as it will be exported, and what is said of it."""

    png: bytes
    caption: str
    own_captions: tuple[tuple[str, str], ...]
    """What each panel says of itself, by its letter."""
    notes: tuple[str, ...]
    cards: tuple[str, ...]
    """What the cards of the checkpoints say; it is inside every file."""
    inches: tuple[float, float]
    text: float
    seconds: float


@dataclass(frozen=True)
class Files:
    """What goes with the preview."""

    pdf: bytes
    svg: bytes
    bundle: bytes
    """A zip: the folder of `python -m xai figure`, and beside it the clips that nobody else has."""
    spec: str
    tex: str
    seconds: float


class Served(Sources):
    """What panels are drawn from, on a server: opened by the session, computed once for everyone."""

    def __init__(self, spec: FigureSpec, opened: Opened, progress: Progress) -> None:
        super().__init__(spec, progress=progress)
        self._opened = opened

    def open_clip(self, text: str, joints: str | None) -> Clip:
        return self._opened.clips[text]

    def open_recognizer(self, file: str) -> Recognizer:
        return self._opened.networks[file]

    def scores(self, file: str) -> Path:
        if file != BOARD:
            raise ValueError(f"only {BOARD} can be drawn here, the leader-board that ships.")
        return ASSETS / Path(BOARD).name

    def evidence(self, checkpoint: str | None, clip: str | None = None) -> Evidence:
        network, seen = self.recognizer(checkpoint), self.clip(clip)

        def make() -> Evidence:
            with self._opened.turnstile:
                return gather_evidence(network, seen, looks=True)  # as Explore has it: what is kept serves both

        return self._opened.kept.get(("evidence", network.checkpoint, seen.identity), make)

    def _once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        if key[0] not in ("map", "order") or key in self._kept:
            return super()._once(key, make)
        return super()._once(key, lambda: self._opened.kept.get(self._content(key), make))

    def _content(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        """A key of this figure as one that means the same to every session."""
        of = (key[1],) if key[0] == "map" else key[1]
        content = (*(self.recognizer(name).checkpoint for name in of), self.clip(key[2]).identity)
        return "figure", key[0], self.spec.seed, content, *key[3:]

    def give(self, options: Map | Trust, found: Explanation) -> None:
        """A map that a page has made already; with its trust, where that is what the panel wants."""
        key = self._map_key(options)
        if isinstance(options, Trust) and found.trust is not None:
            key = (*key, "trust", options.parts, options.orders)
        self._opened.kept.put(self._content(key), found)


@dataclass
class _Steps:
    """Progress of a figure from that of its panels."""

    progress: Progress
    done: int = 0
    total: int = 1

    def panel(self, done: int, total: int) -> None:
        self.done, self.total = done, total + 1  # and the writing of the files
        self.progress(1000 * done, 1000 * self.total)

    def within(self, done: int, total: int) -> None:
        part = 1000 * max(0, done) // max(total, 1)
        self.progress(1000 * self.done + min(part, 1000), 1000 * self.total)


def _composed(opened: Opened, progress: Progress) -> tuple[FigureSpec, Served, Composed]:
    spec = opened.request.spec
    bound(spec)
    steps = _Steps(progress)
    sources = Served(spec, opened, steps.within)
    try:
        composed = compose(spec, sources, steps.panel)
    except FigureError as error:
        raise FigureError(_by_letter(spec, str(error))) from error
    width, height = composed.figure.get_size_inches()
    pixels = float(width * height * spec.dpi**2)
    if pixels > (most := limits().figure_pixels):
        raise FigureError(
            f"The PNG would have {pixels / 1e6:.0f} million pixels, and {most / 1e6:.0f} are the most; choose fewer "
            "dots per inch or a smaller figure."
        )
    return spec, sources, composed


def preview(opened: Opened, progress: Progress) -> Preview:
    """The figure, rendered as it is exported. Raises FigureError in one sentence that names the panel."""
    start = time.monotonic()
    spec, _, composed = _composed(opened, progress)
    png = render(composed.figure, "png", spec.dpi, composed.about)
    width, height = (float(each) for each in composed.figure.get_size_inches())
    own = tuple((letter, drawn.caption) for letter, _, drawn in composed.panels)
    rest = (composed.notes, composed.cards, (width, height), composed.text)
    return Preview(png, composed.caption, own, *rest, seconds=time.monotonic() - start)


def files(opened: Opened, png: bytes, progress: Progress) -> Files:
    """All other files of a figure whose PNG is there."""
    start = time.monotonic()
    spec, sources, composed = _composed(opened, progress)
    with tempfile.TemporaryDirectory(prefix="kinescope-") as folder:
        out = Path(folder) / FOLDER
        write_bundle(spec, out, drawn=(sources, composed), called=Path(FOLDER), pictures={"png": png})
        found = {f"{FOLDER}/{path.name}": path.read_bytes() for path in sorted(out.iterdir())}
        for text, clip in opened.clips.items():
            if is_own(text):
                save_clip(Path(folder) / "clip.npz", clip)
                found[text] = (Path(folder) / "clip.npz").read_bytes()
    own = {name: found[f"{FOLDER}/{name}"] for name in ("figure.pdf", "figure.svg", "figure.tex", "spec.yaml")}
    return Files(
        own["figure.pdf"], own["figure.svg"], zipped(found), own["spec.yaml"].decode(), own["figure.tex"].decode(),
        time.monotonic() - start,
    )  # fmt: skip


def bound(spec: FigureSpec) -> None:
    """A spec may come from anybody: no panel of it asks for more than a page would."""
    known = {method.name: method for method in methods()}
    for panel in (each for row in spec.rows for each in row):
        method = known.get(getattr(panel.options, "method", ""))
        for name, value in getattr(panel.options, "options", {}).items():
            default = method.options.get(name) if method else None
            if not isinstance(default, int | float) or isinstance(default, bool):
                continue
            if not isinstance(value, int | float) or not 0 < value <= MOST_TIMES * default:
                sentence = f"{panel.options.method}: {name} is {value!r}; expected more than 0 and at most "
                raise FigureError(f"{sentence}{MOST_TIMES * default:g}.")
        orders = getattr(panel.options, "orders", 1)
        if not 1 <= orders <= MOST_ORDERS:
            raise FigureError(f"trust: orders is {orders}; expected 1 to {MOST_ORDERS}.")


def _by_letter(spec: FigureSpec, sentence: str) -> str:
    """'figure, line 9: ...' as 'Panel b: ...', for a figure that has no lines to look at."""
    start, _, rest = sentence.partition(": ")
    panels = [panel for row in spec.rows for panel in row]
    lines = {f"{spec.file}, line {panel.line}": letter for panel, letter in zip(panels, spec.letters, strict=True)}
    if start in lines:
        return f"Panel {lines[start]}: {rest}"
    return rest if start.startswith(f"{spec.file}, line ") else sentence


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Equal files make equal archives."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
    return out.getvalue()


# ---- Report ---------------------------------------------------------------------------------------------------------


def report(
    network: Recognizer,
    clip: Clip,
    names: tuple[str, str],
    wanted: Sequence[str],
    parts: Sequence[str],
    kept: Kept,
    progress: Progress,
    known: Known = MappingProxyType({}),
) -> bytes:
    """The report of one clip; `names`: of the clip and the checkpoint, for the command that makes it again.

    Trust that is `known` is not measured anew. The command finds what ships; for the rest it must measure.
    """
    steps, done = len(wanted) + 1, 0

    def say(text: str) -> None:
        nonlocal done
        done += 1
        progress(done, steps)

    progress(0, steps)
    found = [Wanted.parse(text) for text in wanted]
    key = "evidence", network.checkpoint, clip.identity
    evidence = kept.get(key, lambda: gather_evidence(network, clip, looks=True))
    maps = report_maps(network, clip, found, parts, known=known, say=say)
    shown = {titled(*asked) for asked in known.keys() - shipped_trust(network.checkpoint, clip.fingerprint).keys()}
    if not parts and any(each["title"] in shown for each in maps):
        parts = PARTS
    command = ["python", "-m", "xai", "report", names[0], "--checkpoint", names[1], "--out", "report.html"]
    command += ["--methods", *wanted, "--trust", *parts]
    return report_html(evidence, maps, shlex.join(command), card_of(network), known).encode("utf-8")


def card_of(network: Recognizer) -> str:
    """All that the card says, in words."""
    limits = f"Limits: {network.card.limits}" if network.card.limits else ""
    return f"{in_a_sentence(network.card.name, network)} {limits}".strip()


# ---- Animation ------------------------------------------------------------------------------------------------------

Format = Literal["WebP", "WebM", "GIF"]
SUFFIX: Mapping[str, str] = {"WebP": ".webp", "WebM": ".webm", "GIF": ".gif"}
SIDES: Mapping[str, int] = {"360 px": 100, "576 px": 160, "864 px": 240}
"""Dots an inch of a film of 3.6 in."""
MOVING = (Film, Joints, Cube, Map, Trust)
"""Panels that have something to show in every frame."""


@dataclass(frozen=True)
class Animated:
    data: bytes
    frames: int
    width: int
    height: int
    seconds: float
    """That it plays."""


def animate(
    opened: Opened, kind: Format, dpi: int, speed: float, theme: str, progress: Progress, per_clip: bool = False
) -> Animated:
    """The one panel of `opened` as a film: a map of its method, or the skeleton and the points for all others."""
    spec = opened.request.spec
    bound(spec)
    (panel,) = (each for row in spec.rows for each in row)
    options = panel.options
    sources = Served(spec, opened, lambda done, total: progress(max(0, done), 2 * max(total, 1)))
    network, clip = sources.recognizer(options.checkpoint), sources.clip(options.clip)
    look = Look(THEMES[theme], per_clip)
    note = None if network.card.trained_on else f"{network.card.name or 'The network'} {UNTRAINED}"
    if isinstance(options, Map | Trust):
        explanation = sources.measured(options) if isinstance(options, Trust) else sources.explanation(options)
        seen = network.view(clip).shown(clip)
        drawn = map_frames(
            explanation, seen, sources.signed(explanation), name=network.card.name, note=note, look=look, dpi=dpi
        )
        times = seen.time
    else:
        evidence = sources.evidence(options.checkpoint, options.clip)
        looks: dict[str, Any] = {name: getattr(options, name, None) for name in ("layer", "query", "head")}
        looks |= {"points": options.points} if isinstance(options, Film | Cube) else {}
        drawn = animation.overlay_frames(evidence, **looks, look=look, dpi=dpi)
        times = evidence.clip.time
    pictures: list[np.ndarray] = []
    for picture in drawn:
        pictures.append(picture)
        progress(len(times) + len(pictures), 2 * len(times) + 2)
    stays = animation.stays(times, speed)
    with tempfile.TemporaryDirectory(prefix="kinescope-") as folder:
        path = Path(folder) / f"film{SUFFIX[kind]}"
        animation.write_animation(path, pictures, stays, card_of(network))
        data = path.read_bytes()
    height, width = pictures[0].shape[:2]
    return Animated(data, len(pictures), width, height, float(stays.sum()))
