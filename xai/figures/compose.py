"""Composing a figure: every panel of a spec on one sheet, with letters, a caption and the numbers behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from training.recognizer import Recognizer
from xai.figures import grids, leader_board, panel_kinds
from xai.figures.ablation import ablation
from xai.figures.block import block
from xai.figures.curves import joints, ledger, trust
from xai.figures.enlarge import enlarge
from xai.figures.maps import map_panel
from xai.figures.order_panel import order_panel
from xai.figures.paper import UNTRAINED
from xai.figures.sheet import MARGIN, Area, Drawn, Sheet, Table
from xai.figures.sources import Sources
from xai.figures.spec import FigureError, FigureSpec, Panel
from xai.figures.strip import film
from xai.figures.style import SMALL, STYLE, TEXT, THEMES, Look
from xai.figures.variants import variants
from xai.figures.without import without
from xai.known_cause import TARGETS
from xai.known_cause_bench import Entry, Row, summarise

BETWEEN, BESIDE = 0.2, 0.28
"""Inches between rows of panels, between panels side by side."""
LEAST = 0.5
"""The text of a figure on a sheet of fixed height is made smaller to this part of what was asked for, before the figure
is made smaller as a whole."""


@dataclass(frozen=True, eq=False)
class Composed:
    """A figure with what belongs to it."""

    figure: Figure
    panels: tuple[tuple[str, Panel, Drawn], ...]
    """(letter, what was asked for, what was drawn)."""
    frames: tuple[Table, ...]
    """Which frames of the clip each checkpoint read, and when."""
    notes: tuple[str, ...]
    """What a reader must be told of the whole figure; it stands below it."""
    limits: tuple[str, ...] = ()
    """What the checkpoints say that they are not good for; it stands in the caption."""
    lead: str = ""
    """What the author says first."""
    cards: tuple[str, ...] = ()
    """One sentence a checkpoint: its hash, what it was trained on, its licence. It travels inside the pictures."""
    text: float = TEXT
    """Points of the headings, after everything was made to fit."""

    @property
    def caption(self) -> str:
        """A caption to start from."""
        parts = [f"({letter}) {panel.caption or drawn.caption}" for letter, panel, drawn in self.panels]
        lead = [f"{self.lead.rstrip('. ')}."] if self.lead.strip() else []
        return "Figure. " + " ".join([*lead, *parts, *self.notes, *self.limits]) + "\n"

    @property
    def about(self) -> str:
        """What is told of the figure inside the files of its pictures."""
        return " ".join([self.caption.strip(), *self.cards])

    @property
    def tables(self) -> list[tuple[str, Table]]:
        drawn = [(letter, table) for letter, _, drawn in self.panels for table in drawn.tables]
        return [*drawn, *(("frames", table) for table in self.frames)]


def compose(
    spec: FigureSpec, sources: Sources | None = None, progress: Callable[[int, int], None] = lambda done, total: None
) -> Composed:
    """Draw the figure of a spec; `progress` is told how many panels are drawn.

    Raises: FigureError that names the line of the panel that cannot be drawn.
    """
    sources = sources or Sources(spec)
    look = Look(THEMES[spec.theme], spec.scale == "per clip")
    factor = spec.text / TEXT
    with rc_context(STYLE):
        sheet, done, height = _laid_out(spec, look, sources, spec.width / factor, progress)
        if spec.height is not None:
            most = factor
            while height * factor > spec.height and factor > LEAST * most:
                # Too high for its sheet: with smaller text the same sheet is wider for it.
                factor *= 0.85
                sheet, done, height = _laid_out(spec, look, sources, spec.width / factor, progress)
            factor = min(factor, spec.height / height)
        page = None if spec.height is None else (spec.width / factor, spec.height / factor)
        figure = sheet.finish(height, page)
        enlarge(figure, factor)
        figure.set_size_inches(spec.width, figure.get_size_inches()[1])  # to the last digit
    notes = _notes(sources)
    limits = tuple(f"Limits of {name}: {r.card.limits}" for name, r in sources.opened().items() if r.card.limits)
    cards = tuple(in_a_sentence(name, network) for name, network in sources.opened().items())
    of_all = (tuple(sources.frames()), notes, limits, spec.caption or "", cards)
    return Composed(figure, tuple(done), *of_all, text=factor * TEXT)


def _laid_out(
    spec: FigureSpec, look: Look, sources: Sources, wide: float, progress: Callable[[int, int], None]
) -> tuple[Sheet, list[tuple[str, Panel, Drawn]], float]:
    """The panels on a sheet so wide, and how high it is."""
    done: list[tuple[str, Panel, Drawn]] = []
    letters = iter(spec.letters)
    sheet = Sheet(wide, look)
    top, inner = MARGIN, wide - 2 * MARGIN
    single = sum(map(len, spec.rows)) == 1
    for row in spec.rows:
        width = (inner - BESIDE * (len(row) - 1)) / len(row)
        for place, panel in enumerate(row):
            progress(len(done), len(spec.letters))
            letter = next(letters)
            area = Area(sheet, MARGIN + place * (width + BESIDE), top, width, "" if single else letter)
            done.append((letter, panel, _panel(area, panel, sources)))
        top += max(drawn.height for _, _, drawn in done[-len(row) :]) + BETWEEN
    progress(len(done), len(spec.letters))
    top -= BETWEEN - 0.06
    for note in _notes(sources):
        top += Area(sheet, MARGIN, top, inner).words(0, note, size=SMALL, color=look.theme.warning, weight="bold")
    return sheet, done, top + MARGIN


def _notes(sources: Sources) -> tuple[str, ...]:
    return tuple(f"{name} {UNTRAINED}" for name, r in sources.opened().items() if not r.card.trained_on)


def in_a_sentence(name: str, network: Recognizer) -> str:
    """What its card says of a checkpoint."""
    card = network.card
    said = [f"trained on {card.trained_on}" if card.trained_on else UNTRAINED.rstrip(".")]
    said += [f"{measure} {value:.3g}" for measure, value in card.metrics.items() if measure.endswith("top1")]
    said += [f"licence {card.licence}"] if card.licence else []
    called = f" ({card.name})" if card.name not in ("", name) else ""
    return f"Checkpoint {name}{called}, {network.checkpoint}: {', '.join(said)}."


def _panel(area: Area, panel: Panel, sources: Sources) -> Drawn:
    try:
        return DRAW[panel.kind](area, panel.options, sources)
    except FigureError:
        raise
    except (ValueError, OSError) as error:
        sentence = str(error) if isinstance(error, ValueError) else f"{error.filename} cannot be read."
        raise FigureError(f"{sources.spec.file}, line {panel.line}: {sentence}") from error


def _film(area: Area, options: panel_kinds.Film, sources: Sources) -> Drawn:
    evidence = sources.evidence(options.checkpoint, options.clip)
    return film(area, evidence, options.frames, options.layer, options.query, options.points, options.head)


def _joints(area: Area, options: panel_kinds.Joints, sources: Sources) -> Drawn:
    evidence = sources.evidence(options.checkpoint, options.clip)
    return joints(area, evidence, options.layer, options.query, options.person, options.named, options.head)


def _ledger(area: Area, options: panel_kinds.Ledger, sources: Sources) -> Drawn:
    return ledger(area, sources.evidence(options.checkpoint, options.clip), options.label)


def _variants(area: Area, options: panel_kinds.Variants, sources: Sources) -> Drawn:
    names = options.checkpoints or tuple(sources.spec.checkpoints)
    evidences = {sources.name(name): sources.evidence(name, options.clip) for name in names or (None,)}
    return variants(area, evidences, options.layer, options.person, options.label, options.classes)


def _map(area: Area, options: panel_kinds.Map, sources: Sources) -> Drawn:
    explanation, question = sources.explanation(options), sources.question(options)
    signed = sources.signed(explanation)
    return map_panel(area, explanation, question.seen, signed, options.frames, options.person, options.named)


def _trust(area: Area, options: panel_kinds.Trust, sources: Sources) -> Drawn:
    return trust(area, sources.measured(options))


def _cube(area: Area, options: panel_kinds.Cube, sources: Sources) -> Drawn:
    evidence = sources.evidence(options.checkpoint, options.clip)
    return block(area, evidence, options.layer, options.query, options.points, options.frames, options.head)


def _without(area: Area, options: panel_kinds.Without, sources: Sources) -> Drawn:
    return without(area, sources.changed(options), options.label, options.frames, options.classes)


def _order(area: Area, options: panel_kinds.Order, sources: Sources) -> Drawn:
    return order_panel(area, sources.orders(options))


def _leader_board(area: Area, options: panel_kinds.LeaderBoard, sources: Sources) -> Drawn:
    try:
        text = sources.scores(options.scores).read_text(encoding="utf-8")
        if options.scores.endswith(".json"):
            known = {entry.name for entry in fields(Row)}
            each = json.loads(text)["rows"]
            rows = [Row(**{name: value for name, value in row.items() if name in known}) for row in each]
        else:
            first, *texts = text.splitlines()
            asked = [Entry(**entry) for entry in json.loads(first)["entries"]]
            rows = summarise([json.loads(text) for text in texts], asked)
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{options.scores} holds no scores of a benchmark ({error}).") from error
    chosen = [row for row in rows if row.measure == options.measure and row.kind == options.kind]
    if not chosen:
        kinds = ", ".join(sorted({row.kind for row in rows}))
        raise ValueError(f"{options.scores} holds no {options.measure} of kind {options.kind!r}; kinds are {kinds}.")
    top = area.heading("Known causes: which methods point at what decides?")
    label = 1.45
    for target in [target for target in TARGETS if any(row.target == target for row in chosen)]:
        of_target = [row for row in chosen if row.target == target]
        height = 0.17 * (len(of_target) + 0.6)
        axes = area.axes(label, top + 0.16, area.width - label - 0.05, height)
        leader_board.panel(axes, of_target, leader_board.TITLES[target])
        axes.title.set_color(area.look.theme.ink)
        axes.tick_params(axis="y", labelsize=SMALL, length=0)
        top += 0.16 + height + 0.16
    axes.set_xlabel(leader_board.WORDS[options.measure])
    columns = {name: [getattr(row, name) for row in chosen] for name in ("mean", "low", "high", "base", "clips")}
    names = [f"{row.method} on {row.target}" for row in chosen]
    table = Table("leader board", {"method": names}, {name: np.asarray(values) for name, values in columns.items()})
    caption = (
        f"Methods on clips whose cause is known: {leader_board.WORDS[options.measure]}, mean and 95 % bootstrap "
        "interval over clips; hollow: what a map gets that knows nothing; grey: not above it."
    )
    return Drawn(top + 0.14, caption, (table,))


def _flow(area: Area, options: panel_kinds.WhoReads, sources: Sources) -> Drawn:
    return grids.who_reads(area, sources.evidence(options.checkpoint, options.clip), options.layer)


def _confusion(area: Area, options: panel_kinds.Confusion, sources: Sources) -> Drawn:
    if sources.spec.checkpoints:
        sources.recognizer(options.checkpoint)  # its card travels with the figure
    return grids.confusion(area, options)


def _agreement(area: Area, options: panel_kinds.Agreement, sources: Sources) -> Drawn:
    for name in options.checkpoints:
        sources.recognizer(name)
    return grids.agreement(area, options)


def _ablation(area: Area, options: panel_kinds.Ablation, sources: Sources) -> Drawn:
    return ablation(area, options)


DRAW: Mapping[str, Callable[[Area, Any, Sources], Drawn]] = {
    "film": _film, "joints": _joints, "ledger": _ledger, "variants": _variants, "map": _map, "trust": _trust,
    "cube": _cube, "without": _without, "order": _order, "flow": _flow,
    "confusion": _confusion, "agreement": _agreement, "ablation": _ablation,
    "leader board": _leader_board,
}  # fmt: skip
