"""Spec of a figure: one YAML file that says what is drawn, read strictly. A wrong line is named in one sentence.

    checkpoint: assets/checkpoints/gym-cross.safetensors     # or checkpoints: {none: F, single: F, cross: F}
    clip: gym:wave left hand:3                               # or clips: {left: CLIP, right: CLIP}
    width: page                # column (3.25 in), page (6.75 in), slide (16:9) or a number of inches
    text: 7                    # points; lines and marks grow with it
    theme: light               # or dark
    scale: raw                 # or per clip
    dpi: 300                   # of the PNG
    caption: What the network reads when somebody waves.     # in front of what the panels say themselves
    out: figures/wave
    panels:
      - film                                         # Fig. 5: skeleton and sampling points on the film strip
      - joints: {layer: 2, query: cls}               # Fig. 6: attention on joints over the frames
      - map: {method: integrated gradients, on: frames}
      - [ledger, trust: {method: joint removal}]     # a list in the list stands side by side

Every panel also takes `caption`, which is said in place of its own, and `letter`.
Paths are relative to where the command is run, as in every command. Anchors and tags are not read.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from xai.figures.panel_kinds import KINDS
from xai.figures.style import COLUMN_WIDTH, PAGE_WIDTH, TEXT

LARGEST, DEEPEST = 64 << 10, 12
SLIDE = (40 / 3, 7.5)
"""Inches of a 16:9 slide, as presentation programs count them."""
LARGEST_NUMBER = 1 << 53
WIDTHS = {"column": COLUMN_WIDTH, "page": PAGE_WIDTH, "slide": SLIDE[0]}
NARROWEST, WIDEST = 2.0, 20.0
TEXTS, DPIS = (5.0, 32.0), (50, 1200)
MOST_WORDS = 2000


class FigureError(ValueError):
    """A figure that cannot be drawn. One sentence: where, what was found, what was expected."""


@dataclass(frozen=True)
class Panel:
    """One panel and the line that asks for it."""

    kind: str
    options: Any
    line: int
    caption: str | None = None
    """Said in place of what the panel says of itself."""
    letter: str | None = None


@dataclass(frozen=True)
class FigureSpec:
    """A figure, as asked for."""

    rows: tuple[tuple[Panel, ...], ...]
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    """File by name."""
    clips: Mapping[str, str] = field(default_factory=dict)
    """By name; the clip of the key `clip` is called clip."""
    joints: str | None = None
    """Joints of the first clip, when that is a video."""
    width: float = PAGE_WIDTH
    height: float | None = None
    """Of a sheet of fixed height, in whose middle the figure stands; otherwise the figure is as high as it gets."""
    text: float = TEXT
    """Points of the headings; everything else keeps its proportion to them."""
    theme: Literal["light", "dark"] = "light"
    scale: Literal["raw", "per clip"] = "raw"
    out: str | None = None
    dpi: int = 300
    caption: str | None = None
    """In front of what the panels say."""
    seed: int = 0
    made_from: Mapping[str, str] = field(default_factory=dict)
    """Hashes of the clip and the checkpoints; where they are given, other content is refused."""
    file: str = "spec"
    lines: Mapping[str, int] = field(default_factory=dict)

    def at(self, key: str, sentence: str) -> FigureError:
        """What is wrong with the value of a key."""
        return FigureError(f"{self.file}, line {self.lines.get(key, 1)}: {sentence}")

    @property
    def letters(self) -> tuple[str, ...]:
        """Of the panels, row by row."""
        panels = [panel for row in self.rows for panel in row]
        return tuple(panel.letter or chr(ord("a") + index) for index, panel in enumerate(panels))

    def to_yaml(self, made_from: Mapping[str, str]) -> str:
        """This figure with every default written out; `read_spec` reads it back."""
        found: dict[str, Any] = {"checkpoints": dict(self.checkpoints)}
        found |= {"clip": self.clips["clip"]} if list(self.clips) == ["clip"] else {"clips": dict(self.clips)}
        found |= {"joints": self.joints, "width": "slide" if self.height else self.width, "text": self.text}
        found |= {"theme": self.theme, "scale": self.scale, "dpi": self.dpi, "caption": self.caption}
        found |= {"out": self.out, "seed": self.seed, "made_from": dict(made_from)}
        rows = [
            [{panel.kind: {"caption": panel.caption, "letter": panel.letter, **_plain(panel.options)}} for panel in row]
            for row in self.rows
        ]
        for panel in (each for row in rows for each in row):
            for name, options in panel.items():
                panel[name] = {key: value for key, value in options.items() if value is not None}
        found["panels"] = [row[0] if len(row) == 1 else row for row in rows]
        kept = {key: value for key, value in found.items() if value is not None and value != {}}
        return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)


def _plain(options: Any) -> dict[str, Any]:
    values = {entry.name: getattr(options, entry.name) for entry in fields(options)}
    plain = {
        n: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v for n, v in values.items()
    }
    return {name: value for name, value in plain.items() if value not in (None, [], {})}


def read_spec(path: str | Path) -> FigureSpec:
    """Read a spec file. Raises FigureError that names the line."""
    path = Path(path)
    if not path.is_file():
        raise FigureError(f"There is no spec {path}; give a YAML file with the keys clip, checkpoint, panels and out.")
    if path.stat().st_size > LARGEST:
        raise FigureError(f"{path} takes {path.stat().st_size >> 10} kB, and a spec takes at most {LARGEST >> 10} kB.")
    try:
        return parse_spec(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise FigureError(f"{path} is no text in UTF-8; give a YAML file.") from error


def parse_spec(text: str, file: str = "spec") -> FigureSpec:
    """The spec in `text`; `file` is how errors call it."""
    if len(text) > LARGEST:
        raise FigureError(f"{file} has {len(text) >> 10} thousand characters, and a spec at most {LARGEST >> 10}.")
    try:
        return _Reader(text, file).spec()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise FigureError(f"{file}, line {line}: this is not YAML ({error.problem or error.context}).") from error
    except yaml.YAMLError as error:
        raise FigureError(f"{file}, line 1: this is not YAML ({str(error).splitlines()[0]}).") from error


class _Reader:
    """Walks the nodes of a YAML document, so that every value knows its line."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            opens = isinstance(event, yaml.CollectionStartEvent)
            depth += opens - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise self.wrong(event, f"this is nested {depth} deep; a spec takes {DEEPEST}.")
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise self.wrong(event, "anchors (& and *) are not read; write the value out.")
        self.loader = yaml.SafeLoader(text)
        self.root = self.loader.get_single_node()

    def wrong(self, where: Any, sentence: str) -> FigureError:
        return FigureError(f"{self.file}, line {where.start_mark.line + 1}: {sentence}")

    def entries(self, node: Any, what: str, known: Any) -> dict[str, tuple[Any, Any]]:
        """Key -> (node of the key, node of the value) of a mapping whose keys are `known` (None: any text)."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{what} must be keys with values, not {_shown(node)}.")
        found: dict[str, tuple[Any, Any]] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None or (known is not None and name not in known):
                near = difflib.get_close_matches(str(name), known or (), 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known or ())}."
                raise self.wrong(key, f"{what} has no key {name!r}{hint}")
            if name in found:
                raise self.wrong(key, f"{name!r} is given twice.")
            found[name] = (key, value)
        return found

    def value(self, node: Any, hint: Any, what: str) -> Any:
        """The value of a node, checked against a type hint."""
        if get_origin(hint) in (dict, Mapping) or hint is Mapping:
            self.entries(node, what, None)
            return self.built(node, what)
        if get_origin(hint) is tuple:
            if isinstance(node, yaml.ScalarNode):
                return (self.value(node, str, what),)
            if not isinstance(node, yaml.SequenceNode):
                raise self.wrong(node, f"{what} must be a list, not {_shown(node)}.")
            return tuple(self.value(each, get_args(hint)[0], what) for each in node.value)
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(node, f"{what} must be {_hint(hint)}, not {_shown(node)}.")
        value = self.built(node, what)
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        for kind in kinds:
            if get_origin(kind) is Literal and value in get_args(kind):
                return value
            if kind is NoneType and value is None:
                return None
            if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
            if kind is int and isinstance(value, int) and not isinstance(value, bool):
                if value < 0:
                    raise self.wrong(node, f"{what} is {value}; it must not be negative.")
                return value
            if kind is bool and isinstance(value, bool):
                return value
            if kind is str and not isinstance(value, bool | NoneType):
                return node.value  # `3` and `2024-01-01` are text where text is asked for
        raise self.wrong(node, f"{what} is {node.value[:60]!r}; expected {_hint(hint)}.")

    def built(self, node: Any, what: str) -> Any:
        """Text, numbers and lists of them; what looks like a number or a date and is none is refused."""
        try:
            value = self.loader.construct_object(node, deep=True)
        except ValueError as error:
            raise self.wrong(
                node, f"{what} looks like a number or a date and is none; put text into quotes."
            ) from error
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise self.wrong(node, f"{what} is a number beyond {LARGEST_NUMBER:,}, which no figure needs.")
        return value

    def spec(self) -> FigureSpec:
        keys = ("checkpoint", "checkpoints", "clip", "clips", "joints", "width", "text", "theme", "scale", "dpi",
                "caption", "out", "seed", "made_from")  # fmt: skip
        if self.root is None:
            raise FigureError(f"{self.file}, line 1: the spec is empty; give clip, checkpoint, panels and out.")
        found = self.entries(self.root, "the spec", (*keys, "panels"))
        hints = get_type_hints(FigureSpec)
        values: dict[str, Any] = {}
        for name, (_, node) in found.items():
            if name == "checkpoint":
                file = self.value(node, str, name)
                values["checkpoints"] = {Path(file).stem: file}
            elif name == "clip":
                values["clips"] = {"clip": self.value(node, str, name)}
            elif name in ("checkpoints", "clips", "made_from"):
                values[name] = {
                    key: self.value(value, str, f"{name}: {key}")
                    for key, (_, value) in self.entries(node, name, None).items()
                }
            elif name == "width":
                values[name] = self.width(node)
                values["height"] = SLIDE[1] if getattr(node, "value", None) == "slide" else None
            elif name == "panels":
                values["rows"] = self.rows(node)
            else:
                values[name] = self.value(node, hints[name], name)
        if "checkpoint" in found and "checkpoints" in found:
            raise self.wrong(found["checkpoints"][0], "give either checkpoint or checkpoints, not both.")
        if "clip" in found and "clips" in found:
            raise self.wrong(found["clips"][0], "give either clip or clips, not both.")
        if both := sorted({*values.get("checkpoints", ())} & {*values.get("clips", ())}):
            raise self.wrong(self.root, f"{both[0]!r} names a checkpoint and a clip; give one of them another name.")
        for name, (least, most) in (("text", TEXTS), ("dpi", DPIS)):
            if not least <= values.get(name, least) <= most:
                raise self.wrong(found[name][1], f"{name} is {values[name]:g}; expected {least:g} to {most:g}.")
        if values.get("width", PAGE_WIDTH) * TEXT / values.get("text", TEXT) < NARROWEST:
            words = f"text is {values['text']:g} points, which leaves too little room; choose less, or a wider figure."
            raise self.wrong(found["text"][1], words)
        if len(values.get("caption") or "") > MOST_WORDS:
            raise self.wrong(found["caption"][1], f"caption has more than {MOST_WORDS} characters.")
        if "panels" not in found:
            raise self.wrong(self.root, f"the spec has no panels; there are {', '.join(KINDS)}.")
        lines = {name: key.start_mark.line + 1 for name, (key, _) in found.items()}
        for name in ("checkpoint", "clip"):
            lines[f"{name}s"] = lines.get(f"{name}s", lines.get(name, 1))
        spec = FigureSpec(**values, file=self.file, lines=lines)
        if twice := [letter for letter in spec.letters if spec.letters.count(letter) > 1]:
            raise self.wrong(found["panels"][0], f"two panels have the letter {twice[0]!r}.")
        return spec

    def width(self, node: Any) -> float:
        if isinstance(node, yaml.ScalarNode) and node.value in WIDTHS:
            return WIDTHS[node.value]
        try:
            width = self.value(node, float, "width")
        except FigureError as error:
            words = f"width is {_shown(node)}; expected column, page or a number of inches, or slide."
            raise self.wrong(node, words) from error
        if not NARROWEST <= width <= WIDEST:
            raise self.wrong(node, f"width is {width:g} in; expected {NARROWEST:g} to {WIDEST:g} in.")
        return float(width)

    def rows(self, node: Any) -> tuple[tuple[Panel, ...], ...]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.wrong(node, f"panels must be a list of one or more of {', '.join(KINDS)}.")
        rows = []
        for each in node.value:
            parts = each.value if isinstance(each, yaml.SequenceNode) else [each]
            if not 1 <= len(parts) <= 3:
                raise self.wrong(each, f"{len(parts)} panels side by side; expected one to three.")
            rows.append(tuple(self.panel(part) for part in parts))
        if sum(map(len, rows)) > 26:
            raise self.wrong(node, f"{sum(map(len, rows))} panels; a figure has letters for 26.")
        return tuple(rows)

    def panel(self, node: Any) -> Panel:
        line = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            kind, body = node.value, None
        else:
            entries = self.entries(node, "a panel", None)
            if len(entries) != 1:
                raise self.wrong(
                    node, f"a panel is one of {', '.join(KINDS)} and its options, not {len(entries)} keys."
                )
            kind, (_, body) = next(iter(entries.items()))
        if kind not in KINDS:
            near = difflib.get_close_matches(kind, KINDS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(KINDS)}."
            raise self.wrong(node, f"there is no panel {kind!r}{hint}")
        known = {entry.name: entry for entry in fields(KINDS[kind])}
        hints = {**get_type_hints(KINDS[kind]), "caption": str, "letter": str}
        empty = body is None or (isinstance(body, yaml.ScalarNode) and not body.value)
        given = {} if empty else self.entries(body, f"the panel {kind}", (*known, "caption", "letter"))
        options = {name: self.value(value, hints[name], f"{kind}: {name}") for name, (_, value) in given.items()}
        for name, entry in known.items():
            if entry.default is MISSING and entry.default_factory is MISSING and name not in options:
                raise self.wrong(node, f"the panel {kind} needs the key {name!r}.")
        for name in ("layer", "person", "frames", "points", "named", "classes", "orders", "head"):
            if options.get(name) == 0:
                raise self.wrong(given[name][1], f"{kind}: {name} is 0; it counts from 1.")
        caption, letter = options.pop("caption", None), options.pop("letter", None)
        if letter is not None and not re.fullmatch(r"\w{1,3}", letter):
            raise self.wrong(given["letter"][1], f"{kind}: letter is {letter!r}; expected one to three letters.")
        if len(caption or "") > MOST_WORDS:
            raise self.wrong(given["caption"][1], f"{kind}: caption has more than {MOST_WORDS} characters.")
        return Panel(kind, KINDS[kind](**options), line, caption, letter)


def _shown(node: Any) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value[:60])
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys with values"


def _hint(hint: Any) -> str:
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    kinds = [kind for kind in (get_args(hint) if isinstance(hint, UnionType) else (hint,)) if kind is not NoneType]
    return " or ".join(" or ".join(get_args(k)) if get_origin(k) is Literal else words[k] for k in kinds)
