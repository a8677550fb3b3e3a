"""Composing a figure: every panel of a spec on one sheet, with letters, a caption and the numbers behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from training.recognizer import Recognizer
from xai.figures import grids, panel_kinds
from xai.figures.ablation import ablation
from xai.figures.block import block
from xai.figures.curves import joints, ledger, trust
from xai.figures.enlarge import enlarge
from xai.figures.leader_board import leader_board
from xai.figures.maps import map_panel
from xai.figures.order_panel import order_panel
from xai.figures.paper import UNTRAINED
from xai.figures.sheet import MARGIN, Area, Drawn, Sheet, Table
from xai.figures.sources import Sources
from xai.figures.spec import FigureError, FigureSpec, Panel
from xai.figures.strip import film
from xai.figures.style import SMALL, TEXT, THEMES, Look, drawing
from xai.figures.variants import variants
from xai.figures.without import without
from xai.known_cause_bench import Entry
from xai.known_cause_table import Row, summarise

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
    rows, notes = _made(spec, sources, progress), _notes(sources)
    with drawing():
        sheet, done, height = _laid_out(rows, notes, look, spec.width / factor)
        if spec.height is not None:
            most = factor
            while height * factor > spec.height and factor > LEAST * most:
                # Too high for its sheet: with smaller text the same sheet is wider for it.
                factor *= 0.85
                sheet, done, height = _laid_out(rows, notes, look, spec.width / factor)
            factor = min(factor, spec.height / height)
        page = None if spec.height is None else (spec.width / factor, spec.height / factor)
        figure = sheet.finish(height, page)
        enlarge(figure, factor)
        figure.set_size_inches(spec.width, figure.get_size_inches()[1])  # to the last digit
    limits = tuple(f"Limits of {name}: {r.card.limits}" for name, r in sources.opened().items() if r.card.limits)
    cards = tuple(in_a_sentence(name, network) for name, network in sources.opened().items())
    of_all = (tuple(sources.frames()), notes, limits, spec.caption or "", cards)
    return Composed(figure, tuple(done), *of_all, text=factor * TEXT)


Draw = Callable[[Area], Drawn]
"""Draws one panel of which everything is known; a sheet that is too high is drawn again."""


def _made(
    spec: FigureSpec, sources: Sources, progress: Callable[[int, int], None]
) -> list[list[tuple[str, Panel, Draw]]]:
    """What every panel needs, made: from here on no network is asked, and nothing takes long."""
    total, letters = len(spec.letters), iter(enumerate(spec.letters))
    rows = []
    for row in spec.rows:
        made = []
        for panel in row:
            done, letter = next(letters)
            progress(done, total)
            with _naming_the_line(panel, sources):
                draw = DRAW[panel.kind](panel.options, sources)
            made.append((letter, panel, _named(draw, panel, sources)))
        rows.append(made)
    progress(total, total)
    return rows


def _laid_out(
    rows: list[list[tuple[str, Panel, Draw]]], notes: tuple[str, ...], look: Look, wide: float
) -> tuple[Sheet, list[tuple[str, Panel, Drawn]], float]:
    """The panels on a sheet so wide, and how high it is."""
    done: list[tuple[str, Panel, Drawn]] = []
    sheet = Sheet(wide, look)
    top, inner = MARGIN, wide - 2 * MARGIN
    single = sum(map(len, rows)) == 1
    for row in rows:
        width = (inner - BESIDE * (len(row) - 1)) / len(row)
        for place, (letter, panel, draw) in enumerate(row):
            area = Area(sheet, MARGIN + place * (width + BESIDE), top, width, "" if single else letter)
            done.append((letter, panel, draw(area)))
        top += max(drawn.height for _, _, drawn in done[-len(row) :]) + BETWEEN
    top -= BETWEEN - 0.06
    for note in notes:
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


@contextmanager
def _naming_the_line(panel: Panel, sources: Sources) -> Iterator[None]:
    try:
        yield
    except FigureError:
        raise
    except (ValueError, OSError) as error:
        sentence = str(error) if isinstance(error, ValueError) else f"{error.filename} cannot be read."
        raise FigureError(f"{sources.spec.file}, line {panel.line}: {sentence}") from error


def _named(draw: Draw, panel: Panel, sources: Sources) -> Draw:
    def draw_it(area: Area) -> Drawn:
        with _naming_the_line(panel, sources):
            return draw(area)

    return draw_it


def _film(options: panel_kinds.Film, sources: Sources) -> Draw:
    evidence = sources.evidence(options.checkpoint, options.clip)
    how = options.frames, options.layer, options.query, options.points, options.head, options.frame
    return lambda area: film(area, evidence, *how)


def _joints(options: panel_kinds.Joints, sources: Sources) -> Draw:
    evidence = sources.evidence(options.checkpoint, options.clip)
    how = options.layer, options.query, options.person, options.named, options.head
    return lambda area: joints(area, evidence, *how)


def _ledger(options: panel_kinds.Ledger, sources: Sources) -> Draw:
    evidence = sources.evidence(options.checkpoint, options.clip)
    return lambda area: ledger(area, evidence, options.label)


def _variants(options: panel_kinds.Variants, sources: Sources) -> Draw:
    names = options.checkpoints or tuple(sources.spec.checkpoints)
    evidences = {sources.name(name): sources.evidence(name, options.clip) for name in names or (None,)}
    how = options.layer, options.person, options.label, options.classes
    return lambda area: variants(area, evidences, *how)


def _map(options: panel_kinds.Map, sources: Sources) -> Draw:
    explanation, seen = sources.explanation(options), sources.question(options).seen
    signed = sources.signed(explanation)
    return lambda area: map_panel(area, explanation, seen, signed, options.frames, options.person, options.named)


def _trust(options: panel_kinds.Trust, sources: Sources) -> Draw:
    measured = sources.measured(options)
    return lambda area: trust(area, measured)


def _cube(options: panel_kinds.Cube, sources: Sources) -> Draw:
    evidence = sources.evidence(options.checkpoint, options.clip)
    how = options.layer, options.query, options.points, options.frames, options.head, options.frame
    return lambda area: block(area, evidence, *how)


def _without(options: panel_kinds.Without, sources: Sources) -> Draw:
    changed = sources.changed(options)
    return lambda area: without(area, changed, options.label, options.frames, options.classes)


def _order(options: panel_kinds.Order, sources: Sources) -> Draw:
    orders = sources.orders(options)
    return lambda area: order_panel(area, orders)


def _leader_board(options: panel_kinds.LeaderBoard, sources: Sources) -> Draw:
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
    return partial(leader_board, rows=rows, measure=options.measure, kind=options.kind)


def _flow(options: panel_kinds.WhoReads, sources: Sources) -> Draw:
    evidence = sources.evidence(options.checkpoint, options.clip)
    return lambda area: grids.who_reads(area, evidence, options.layer)


def _confusion(options: panel_kinds.Confusion, sources: Sources) -> Draw:
    if sources.spec.checkpoints:
        sources.recognizer(options.checkpoint)  # its card travels with the figure
    return lambda area: grids.confusion(area, options)


def _agreement(options: panel_kinds.Agreement, sources: Sources) -> Draw:
    for name in options.checkpoints:
        sources.recognizer(name)
    return lambda area: grids.agreement(area, options)


def _ablation(options: panel_kinds.Ablation, sources: Sources) -> Draw:
    return lambda area: ablation(area, options)


DRAW: Mapping[str, Callable[[Any, Sources], Draw]] = {
    "film": _film, "joints": _joints, "ledger": _ledger, "variants": _variants, "map": _map, "trust": _trust,
    "cube": _cube, "without": _without, "order": _order, "flow": _flow,
    "confusion": _confusion, "agreement": _agreement, "ablation": _ablation,
    "leader board": _leader_board,
}  # fmt: skip
