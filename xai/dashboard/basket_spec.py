"""A basket as the text of a figure's spec, and back: what the page Export draws from, writes, and reads again.

Names in a spec stand for what the session may open: bundled clips and checkpoints, clips of this server's JHMDB, gym
clips, and what the session itself uploaded. A spec of a stranger opens nothing else; it names, and never points at
files of the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xai.dashboard.basket import INCHES, Basket, Item, clip_name, name_of
from xai.dashboard.choose import ClipChoice, jhmdb_folder
from xai.dashboard.library import ASSETS, BundledCheckpoint, Library
from xai.figures.spec import WIDTHS, FigureError, FigureSpec, Panel, parse_spec

if TYPE_CHECKING:
    from training.clip import Clip

FOLDER = "kinescope-figure"
"""What the bundle unpacks to."""
CLIPS = f"{FOLDER}-clips"
"""Beside it: clips that are nobody else's."""
BOARD = "assets/leader_board.json"
"""The one leader-board that a spec may name here."""
SEVERAL = ("variants", "order", "agreement")
"""Panels of more than one checkpoint."""


@dataclass(frozen=True)
class GymClip:
    """A gym clip that does not ship, by its name in a spec."""

    name: str

    def open(self) -> Clip:
        from xai.clips import open_clip

        return open_clip(self.name)


@dataclass(frozen=True)
class Request:
    """A figure to draw: the text of its spec, and what the names in it stand for."""

    text: str
    clips: Mapping[str, Any]
    """Choice of a clip by what the spec says of it."""
    checkpoints: Mapping[str, Any]

    @property
    def spec(self) -> FigureSpec:
        return parse_spec(self.text, "figure")


def request_of(basket: Basket) -> Request:
    """Raises FigureError in one sentence for a basket that cannot be written as a spec."""
    taken: dict[str, Any] = {}
    checkpoints = [each for item in basket.items for each in item.checkpoints]
    networks = {_named(each, name_of(each), taken): each for each in checkpoints}
    clips = {_named(clip, clip_name(clip), taken): clip for clip in [*_clips(basket.items)]}
    names = list(taken.items())

    def called(thing: Any) -> str:
        return next(name for name, other in names if other == thing)

    def panel(item: Item) -> Panel:
        options: dict[str, Any] = {}
        if len(clips) > 1 and item.clip is not None:
            options["clip"] = called(item.clip)
        if item.kind in SEVERAL:
            options["checkpoints"] = tuple(called(each) for each in item.checkpoints)
        elif len(networks) > 1 and item.checkpoints:
            options["checkpoint"] = called(item.checkpoints[0])
        return Panel(item.kind, replace(item.options, **options), 1, item.caption or None, item.letter or None)

    files = {name: _clip_text(clip, name) for name, clip in clips.items()}
    width = INCHES[basket.width]
    spec = FigureSpec(
        rows=tuple(tuple(panel(item) for item in row) for row in basket.rows),
        checkpoints={name: _checkpoint_text(network, name) for name, network in networks.items()},
        clips={"clip": next(iter(files.values()))} if len(files) == 1 else files,
        width=WIDTHS["slide"] if width == "slide" else float(width),
        height=1.0 if width == "slide" else None,  # written as the word
        text=basket.text, theme=basket.theme, scale=basket.scale, dpi=basket.dpi, caption=basket.caption or None,
        out=FOLDER,
    )  # fmt: skip
    request = Request(
        spec.to_yaml({}),
        {files[name]: clip for name, clip in clips.items()},
        {_checkpoint_text(network, name): network for name, network in networks.items()},
    )
    _ = request.spec  # whatever is wrong with it is said here
    return request


def _clips(items: Iterable[Item]) -> list[Any]:
    """Every clip that the panels show, and those whose backgrounds are pasted, which keep their names."""
    from xai.dashboard.library import open_library

    found: list[Any] = []
    for item in items:
        removals = getattr(item.options, "removals", ())
        pasted = {each.get("clip") for each in removals if each.get("kind") == "background"}
        others = [ClipChoice(bundled=each) for each in open_library().clips if each.name in pasted]
        found += [clip for clip in [item.clip, *others] if clip is not None and clip not in found]
    return found


def _named(thing: Any, name: str, taken: dict[str, Any]) -> str:
    """A name of its own for a thing; the same thing keeps its name."""
    for known, other in taken.items():
        if other == thing:
            return known
    first = re.sub(r"[^\w .-]+", "-", name).strip(" .-") or "clip"
    number, found = 1, first
    while found in taken:
        number += 1
        found = f"{first} {number}"
    taken[found] = thing
    return found


def _checkpoint_text(checkpoint: Any, name: str) -> str:
    if isinstance(checkpoint, BundledCheckpoint):
        return checkpoint.path.relative_to(ASSETS.parent).as_posix()
    return name if name.endswith(".safetensors") else f"{name}.safetensors"


def _clip_text(clip: Any, name: str) -> str:
    if getattr(clip, "bundled", None):
        return str(clip.bundled.path.relative_to(ASSETS.parent).as_posix())
    if getattr(clip, "jhmdb", None):
        return "jhmdb:jhmdb:" + "/".join(clip.jhmdb)
    return clip.name if isinstance(clip, GymClip) else f"{CLIPS}/{Path(name).stem}.npz"


def is_own(text: str) -> bool:
    """Is this a clip that nobody else has, so that it must travel with the bundle?"""
    return text.startswith(f"{CLIPS}/")


# ---- Back -----------------------------------------------------------------------------------------------------------


def basket_of(text: str, file: str, library: Library, before: Basket) -> tuple[Basket, FigureSpec]:
    """The basket that a spec describes. Uploads that it names must be in the basket `before` it.

    Raises: FigureError in one sentence, with the line, for a spec that is wrong or names what is not here.
    """
    spec = parse_spec(text, Path(file).name)
    known = request_of(before) if before.items else Request("", {}, {})
    networks = {name: _checkpoint(spec, path, library, known) for name, path in spec.checkpoints.items()}
    clips = {name: _clip(spec, given, library, known) for name, given in spec.clips.items()}
    kinds = [panel.options for row in spec.rows for panel in row]
    for missing, there in (("checkpoint", networks), ("clip", clips)):
        if there or not any(hasattr(each, missing) for each in kinds):
            continue
        raise spec.at(missing, f"the spec names no {missing}; give the key {missing}.")
    items = []
    for row in spec.rows:
        for place, panel in enumerate(row):
            items.append(_item(spec, panel, networks, clips, place > 0))
    width = next(
        (name for name, inches in INCHES.items() if inches == ("slide" if spec.height else spec.width)), "page"
    )
    if spec.joints:
        raise spec.at("joints", "joints of a video are given with its upload; load the spec of a clip that has them.")
    basket = replace(
        before, items=(), width=width, text=spec.text, theme=spec.theme, scale=spec.scale, dpi=spec.dpi,  # type: ignore[arg-type]
        caption=spec.caption or "",
    )  # fmt: skip
    return basket.adding(*items), spec


def _item(spec: FigureSpec, panel: Panel, networks: Mapping[str, Any], clips: Mapping[str, Any], beside: bool) -> Item:
    options = panel.options
    if panel.kind == "leader board" and options.scores != BOARD:
        raise FigureError(
            f"{spec.file}, line {panel.line}: only {BOARD} can be drawn here, the leader-board that ships."
        )
    if panel.kind in ("leader board", "ablation"):  # numbers that no single checkpoint made
        return Item(options, None, (), panel.caption or "", panel.letter or "", beside)
    named = getattr(options, "checkpoints", None) or (getattr(options, "checkpoint", None),)
    if panel.kind in SEVERAL and not options.checkpoints:
        named = tuple(networks)
    of = getattr(options, "clip", None)
    for name, there, what in [*((n, networks, "checkpoint") for n in named), (of, clips, "clip")]:
        if name is not None and name not in there:
            raise FigureError(f"{spec.file}, line {panel.line}: there is no {what} {name!r} among {', '.join(there)}.")
    chosen = tuple(next(iter(networks.values())) if name is None else networks[name] for name in named)
    empty = {each.name: each.default for each in fields(options) if each.name in ("clip", "checkpoint", "checkpoints")}
    clip = None
    if hasattr(options, "clip"):
        clip = next(iter(clips.values())) if of is None else clips[of]
    return Item(replace(options, **empty), clip, chosen, panel.caption or "", panel.letter or "", beside)


def _checkpoint(spec: FigureSpec, path: str, library: Library, known: Request) -> Any:
    if path in known.checkpoints:
        return known.checkpoints[path]
    found = next((each for each in library.checkpoints if each.path.name == Path(path).name), None)
    if found is None:
        here = ", ".join(each.path.name for each in library.checkpoints)
        sentence = (
            f"there is no checkpoint {path!r} here, only {here}; upload it on the page Explore, add a panel of it "
        )
        raise spec.at("checkpoints", sentence + "to the figure, and load the spec again.")
    return found


def _clip(spec: FigureSpec, given: str, library: Library, known: Request) -> Any:
    if given in known.clips:
        return known.clips[given]
    kind, _, rest = given.partition(":")
    if kind == "gym":
        from training import gym

        label, _, seed = rest.partition(":")
        if label in gym.LABELS and re.fullmatch(r"\d{0,9}", seed):
            return GymClip(given)
    elif kind == "jhmdb":
        label, _, name = rest.rpartition(":")[2].partition("/")
        simple = all(re.fullmatch(r"\w[^/\\\0]{0,200}", each) for each in (label, name))
        if simple and jhmdb_folder() is not None:
            return ClipChoice(jhmdb=(label, name))
    found = next((each for each in library.clips if each.path.name == Path(given).name), None)
    if found is None:
        sentence = f"there is no clip {given!r} here; upload it on the page Explore, add a panel of it to the figure, "
        raise spec.at("clips", sentence + "and load the spec again.")
    return ClipChoice(bundled=found)


def drawn_from(spec: FigureSpec, basket: Basket) -> tuple[tuple[str, Any, str], ...]:
    """What a spec says its figure was drawn from: (name, how it is chosen here, hash)."""
    things: dict[str, Any] = {}
    for item, panel in zip(basket.items, (panel for row in spec.rows for panel in row), strict=False):
        clip = getattr(panel.options, "clip", None) or next(iter(spec.clips), "")
        named = getattr(panel.options, "checkpoints", None) or (getattr(panel.options, "checkpoint", None),)
        first = next(iter(spec.checkpoints), "")
        things |= {clip: item.clip} | {name or first: each for name, each in zip(named, item.checkpoints, strict=False)}
    return tuple((name, things[name], known) for name, known in spec.made_from.items() if name in things)
