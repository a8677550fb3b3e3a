"""The basket of a session: panels put aside for a figure, as what to draw and of what, never as pixels.

    add_to_figure({"film strip": Film(layer=3)}, clip, [checkpoint], key="player")       # the button under a view

A basket holds at most `MOST` panels and lives in the session; the page Export composes a figure of it. Nothing here
needs torch or matplotlib, so that every page can carry the button.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from xai.dashboard.add_here import add_here
from xai.dashboard.library import BundledCheckpoint, open_library
from xai.dashboard.player import Place
from xai.dashboard.shown import plain
from xai.explanation import FRAMEWISE
from xai.figures.panel_kinds import KINDS, Cube, Film, Joints, Ledger, Map, Order, Trust, Variants, WhoReads, Without

if TYPE_CHECKING:
    from training.clip import Clip
    from training.recognizer import Recognizer
    from xai.dashboard.methods_panel import Ask

KEY, PAIRS, SEEN, SAID = "basket", "pairs that were opened", "seen on Explore", "said of the basket"
MOST, BESIDE = 24, 3
"""Panels of a basket, and of one row."""
NAMES = {
    "film": "film strip", "joints": "joint curves", "ledger": "ledger", "cube": "space and time",
    "variants": "variants", "map": "map", "trust": "trust curves", "without": "break it", "order": "order test",
    "flow": "who reads whom", "confusion": "confusion matrix", "agreement": "agreement", "ablation": "ablation",
    "leader board": "leader-board",
}  # fmt: skip
Width = Literal["column", "wide column", "page", "slide"]
INCHES: Mapping[str, float | str] = {"column": 3.25, "wide column": 3.5, "page": 6.75, "slide": "slide"}


@dataclass(frozen=True)
class Item:
    """One panel: what is drawn (`xai.figures.panel_kinds`, without names) of which clip and which checkpoints."""

    options: Any
    clip: Any
    """How the clip was chosen; it has `open()`. None for a panel of no single clip."""
    checkpoints: tuple[Any, ...]
    caption: str = ""
    """Said in place of the panel's own."""
    letter: str = ""
    beside: bool = False
    """Stands beside the panel before it, not below."""
    number: int = 0
    """Names it in its session."""

    @property
    def kind(self) -> str:
        return next(kind for kind, made in KINDS.items() if isinstance(self.options, made))

    @property
    def title(self) -> str:
        """'map: limb removal on joints, kick left, gym-cross'."""
        options, said = self.options, NAMES.get(self.kind, self.kind)
        method = getattr(options, "method", None)
        said += f": {method}{f' on {options.on}' if options.on else ''}" if method else ""
        looks = [f"block {layer}" for layer in [getattr(options, "layer", None)] if layer]
        looks += [f"head {head}" for head in [getattr(options, "head", None)] if head]
        looks += [text for text in [getattr(options, "query", None), getattr(options, "label", None)] if text]
        networks = ", ".join(name_of(each) for each in self.checkpoints)
        looks += [text for text in [getattr(options, "of", None)] if text]
        return ", ".join(filter(None, [said, *looks, clip_name(self.clip), networks]))


@dataclass(frozen=True)
class Basket:
    """The figure of a session: its panels and how it shall look. Every change makes another basket."""

    items: tuple[Item, ...] = ()
    width: Width = "page"
    text: float = 7.0
    theme: Literal["light", "dark"] = "light"
    scale: Literal["raw", "per clip"] = "raw"
    dpi: int = 300
    caption: str = ""
    made: int = 0
    """Panels that were ever put in."""

    def adding(self, *items: Item) -> Basket:
        """Behind the others, as far as there is room."""
        new = [replace(item, number=self.made + i) for i, item in enumerate(items[: MOST - len(self.items)])]
        return replace(self, items=(*self.items, *new), made=self.made + len(new))

    def removing(self, number: int) -> Basket:
        return replace(self, items=tuple(item for item in self.items if item.number != number))

    def moving(self, number: int, by: int) -> Basket:
        """A panel so many places further back; at the ends it stays."""
        items = list(self.items)
        place = self.place(number)
        items.insert(max(0, min(len(items) - 1, place + by)), items.pop(place))
        return replace(self, items=tuple(items))

    def changing(self, number: int, **values: Any) -> Basket:
        place = self.place(number)
        changed = replace(self.items[place], **values)
        return replace(self, items=(*self.items[:place], changed, *self.items[place + 1 :]))

    def in_columns(self, count: int) -> Basket:
        """So many panels side by side in every row."""
        return replace(
            self, items=tuple(replace(item, beside=place % count != 0) for place, item in enumerate(self.items))
        )

    def place(self, number: int) -> int:
        return next(place for place, item in enumerate(self.items) if item.number == number)

    @property
    def rows(self) -> tuple[tuple[Item, ...], ...]:
        """The panels as they stand; no row holds more than three."""
        rows: list[list[Item]] = []
        for item in self.items:
            if rows and item.beside and len(rows[-1]) < BESIDE:
                rows[-1].append(item)
            else:
                rows.append([item])
        return tuple(map(tuple, rows))

    @property
    def columns(self) -> int:
        return max((len(row) for row in self.rows), default=1)


def current() -> Basket:
    """The basket of this session."""
    found: Basket = st.session_state.setdefault(KEY, Basket())
    return found


def become(basket: Basket) -> None:
    st.session_state[KEY] = basket


def name_of(checkpoint: Any) -> str:
    return checkpoint.key if isinstance(checkpoint, BundledCheckpoint) else str(getattr(checkpoint, "name", "own"))


def clip_name(clip: Any) -> str:
    """What a person calls the clip that a choice stands for; "" for none."""
    if clip is None:
        return ""
    if getattr(clip, "bundled", None):
        return str(clip.bundled.name)
    if getattr(clip, "jhmdb", None):
        return "/".join(clip.jhmdb)
    if getattr(clip, "data", None):
        title, split, index = clip.data
        return f"{title} {split} {index + 1}"
    upload = getattr(clip, "upload", None)
    return str(upload[0].name if upload else getattr(clip, "name", "own clip"))


# ---- The button -----------------------------------------------------------------------------------------------------


def put(*items: Item) -> None:
    """Into the basket; the next button that is drawn says so."""
    before = current()
    become(before.adding(*items))
    count = len(current().items)
    if count - len(before.items) < len(items):
        st.session_state[SAID] = f"The figure holds {MOST} panels, which is all it can; remove some on the page Export."
        return
    what = " and ".join(f"**{plain(NAMES.get(item.kind, item.kind))}**" for item in items)
    panels = "1 panel" if count == 1 else f"{count} panels"
    st.session_state[SAID] = f"Added to the figure: {what}. It has {panels}; compose them on the page Export."


def add_to_figure(panels: Mapping[str, Callable[[], Any]], clip: Any, checkpoints: Sequence[Any], key: str) -> None:
    """One small button a panel; what it describes is read when it is pressed."""
    _say()
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if len(panels) > 1:
            st.caption("Add to figure:", width="content")
        for name, options in panels.items():
            st.button(
                "Add to figure" if len(panels) == 1 else name[0].upper() + name[1:], key=f"add {name} {key}",
                type="tertiary", on_click=_add, args=(options, clip, tuple(checkpoints)),
                help=f"Puts the {name} into the figure that the page Export composes.",
            )  # fmt: skip


def _say() -> None:
    """What was put in by the click that this run follows; a callback inside a fragment may show nothing itself."""
    if said := st.session_state.pop(SAID, None):
        st.toast(said)


def _add(options: Callable[[], Any], clip: Any, checkpoints: tuple[Any, ...]) -> None:
    put(Item(options(), clip, checkpoints))


# ---- What each page puts in -----------------------------------------------------------------------------------------


def add_player(payload: Mapping[str, Any], clip: Any, checkpoint: Any, key: str) -> None:
    """Under the player of `payload`: what it shows, through the block, head and query at which it stands."""
    st.session_state[SEEN] = clip, checkpoint, opening(payload)
    _say()

    def pressed(panel: str, place: Place, points: int | None) -> None:
        put(Item(seen_from(panel, place, payload, points), clip, (checkpoint,)))

    add_here(parts(payload), f"add {key}", pressed)


def parts(payload: Mapping[str, Any]) -> list[str]:
    """Parts of the player that can be added, by name."""
    there = {"joints": payload["model"]["token_mode"] != FRAMEWISE, "cube": payload["points"] is not None}
    return [NAMES[kind] for kind in ("film", "joints", "ledger", "cube") if there.get(kind, True)]


def opening(payload: Mapping[str, Any]) -> tuple[Film | Joints | Ledger | Cube, ...]:
    """What the parts of the player show when it opens."""
    return tuple(seen_from(panel, Place(), payload) for panel in parts(payload))


def seen_from(
    panel: str, place: Place, payload: Mapping[str, Any], points: int | None = None
) -> Film | Joints | Ledger | Cube:
    """What a part of the player shows at a place, with so many `points` (as it opens by default); what the payload does
    not have is left to the panel."""
    if panel == NAMES["ledger"]:
        return Ledger(label=place.label if place.label in [each["label"] for each in payload["classes"]] else None)
    looks: dict[str, Any] = {}
    if (part := payload["joints" if panel == NAMES["joints"] else "points"]) is not None:
        looks["layer"] = None if place.layer is None else place.layer + 1
        looks["query"] = place.query if place.query in part["queries"] else part["queries"][0]
        looks["head"] = None if place.head is None or place.head < 0 else place.head + 1
    if panel in (NAMES["film"], NAMES["cube"]):
        if place.frame is not None and place.frame < payload["clip"]["frames"]:
            looks["frame"] = place.frame + 1
        if part is not None:
            looks["points"] = min(points or payload["start"]["count"], part["limits"])
        return (Film if panel == NAMES["film"] else Cube)(**looks)
    return Joints(**looks, person=None if place.person is None else place.person + 1)


def add_lanes(clip: Any, checkpoints: Sequence[Any], key: str, order: bool = False) -> None:
    """Under lanes: the checkpoints side by side, and what the order of the frames changes where that is asked."""
    panels: dict[str, Callable[[], Any]] = {"variants": Variants} | ({"order test": Order} if order else {})
    add_to_figure(panels, clip, checkpoints, key)


def add_broken(clip: Any, checkpoint: Any, removals: Sequence[Mapping[str, Any]]) -> None:
    """Break it: the answer without something beside the untouched one."""
    given = tuple(dict(each) for each in removals)
    add_to_figure({"break it": lambda: Without(given)}, clip, [checkpoint], "broken")


def add_flow(clip: Any, checkpoint: Any, layer: int) -> None:
    """Under a diagram of who reads whom: that block of that network; `layer` counts from 1."""
    add_to_figure({"who reads whom": lambda: WhoReads(layer=layer)}, clip, [checkpoint], f"flow {checkpoint.key}")


def add_of_data(name: str, panel: Callable[[], Any], checkpoints: Sequence[Any]) -> None:
    """Under what was counted over a data set, or over many: a panel of no single clip."""
    add_to_figure({name: panel}, None, checkpoints, name)


def add_own(clip: Any, checkpoint: Any) -> None:
    """My clip: what the chosen network read of it, as on Explore."""
    panels = {"film strip": Film, "joint curves": Joints, "ledger": Ledger}
    if getattr(checkpoint, "token_mode", None) == FRAMEWISE:
        del panels["joint curves"]
    add_to_figure(panels, clip, [checkpoint], "own")


def opened_pair(clip: Any, checkpoint: Any, opened: tuple[Recognizer, Clip]) -> None:
    """Remember how a network and a clip were chosen, for views that are handed only the two themselves."""
    pairs: dict[tuple[str, str], tuple[Any, Any]] = st.session_state.setdefault(PAIRS, {})
    key = opened[0].checkpoint, opened[1].identity
    pairs.pop(key, None)
    pairs[key] = clip, checkpoint
    for old in list(pairs)[:-4]:
        del pairs[old]


def add_map(ask: Ask, network: Recognizer, clip: Clip, measured: bool, key: str) -> None:
    """Under a map: the map, and the curves behind its trust where that was measured."""
    pair = st.session_state.get(PAIRS, {}).get((network.checkpoint, clip.identity))
    if pair is None:
        return
    asked: dict[str, Any] = {
        "method": ask.method, "on": ask.on, "target": ask.target, "against": ask.against, "options": dict(ask.options)
    }  # fmt: skip
    panels: dict[str, Callable[[], Any]] = {"map": lambda: Map(**asked)}
    if measured:
        panels["trust curves"] = lambda: Trust(**asked, parts=("faithfulness", "sanity", "stability"))
    add_to_figure(panels, pair[0], [pair[1]], f"{ask.method} {key}")


def first_figure() -> tuple[Item, ...]:
    """What the visitor saw last on Explore, or the demo clip: film, joints, and beside each other ledger and points."""
    from xai.dashboard.choose import ClipChoice

    if (seen := st.session_state.get(SEEN)) is None:
        library = open_library()
        first, network = library.clips[0], library.checkpoints[0]
        payload = library.payload(network.key, first.key)
        panels = (Film(), Joints(), Ledger(), Cube()) if payload is None else opening(payload)
        seen = ClipChoice(bundled=first), network, panels
    clip, checkpoint, panels = seen
    return tuple(Item(panel, clip, (checkpoint,), beside=isinstance(panel, Cube)) for panel in panels)
