"""Figures for print: the three pictures of one prediction, and any figure as the bytes of a file. Evidence -> Figure.

Pure: no pyplot, no global state, so thirty sessions may draw at once. Fonts travel with the file: as TrueType (Type 42)
in a PDF, and in an SVG, whose text stays text, as a subset of the font. A figure of many panels is a spec
(`xai.figures.compose`).
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fontTools import subset
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont

from xai.evidence import Evidence
from xai.figures.curves import joints, ledger
from xai.figures.sheet import MARGIN, Area, Drawn, Sheet
from xai.figures.strip import film
from xai.figures.style import COLUMN_WIDTH, FONT, PAGE_WIDTH, SMALL, Look, drawing

__all__ = [
    "COLUMN_WIDTH", "FIGURES", "PAGE_WIDTH", "UNTRAINED", "Look", "joints_figure", "ledger_figure",
    "one_panel", "render", "sampling_figure", "save_figures",
]  # fmt: skip
UNTRAINED = "was never trained: what it reads explains nothing."


def one_panel(draw: Callable[[Area], Drawn], width: float, look: Look, note: str | None = None) -> Figure:
    """A figure of a single panel; `note` is said below it."""
    with drawing():
        sheet = Sheet(width, look)
        area = Area(sheet, MARGIN, MARGIN, width - 2 * MARGIN)
        height = draw(area).height + MARGIN
        if note:
            height += 0.05 + area.words(height, note, size=SMALL, color=look.theme.warning, weight="bold")
        return sheet.finish(height + MARGIN)


def note_of(evidence: Evidence) -> str | None:
    return None if evidence.model.get("trained_on") else f"{evidence.model['name'] or 'The network'} {UNTRAINED}"


def sampling_figure(
    evidence: Evidence, layer: int | None = None, query: str | None = None, most: int = 48, *,
    width: float = PAGE_WIDTH, look: Look | None = None,
) -> Figure:  # fmt: skip
    """The paper's Fig. 5: film strip with skeleton and the `most` points of most mass. Layers count from 1."""
    return one_panel(
        lambda area: film(area, evidence, None, layer, query, most), width, look or Look(), note_of(evidence)
    )


def joints_figure(
    evidence: Evidence, layer: int | None = None, query: str | None = None, person: int | None = None, *,
    width: float = PAGE_WIDTH, look: Look | None = None,
) -> Figure:  # fmt: skip
    """The paper's Fig. 6: one curve a joint over frames, uniform level dotted, and the mass over uniform as a map."""
    return one_panel(
        lambda area: joints(area, evidence, layer, query, person), width, look or Look(), note_of(evidence)
    )


def ledger_figure(
    evidence: Evidence, target: int | None = None, *, width: float = PAGE_WIDTH, look: Look | None = None
) -> Figure:
    """The exact split of one logit over frames and tokens."""
    label = None if target is None else evidence.labels[target]
    return one_panel(lambda area: ledger(area, evidence, label), width, look or Look(), note_of(evidence))


FIGURES: Mapping[str, Callable[[Evidence], Figure]] = {
    "sampling_points": sampling_figure,
    "joint_curves": joints_figure,
    "ledger": ledger_figure,
}


ABOUT = {"png": "Description", "pdf": "Subject", "svg": "Description"}
"""Where each kind of file keeps what is said of it."""


def render(figure: Figure, kind: str, dpi: int = 300, about: str = "") -> bytes:
    """The figure as `png`, `pdf` or `svg`, with fonts embedded and no date, so that equal figures are equal files.

    `about` goes along inside the file.
    """
    FigureCanvasAgg(figure)
    out = io.BytesIO()
    metadata: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
    if about:
        metadata = metadata | {ABOUT[kind]: about}
    with drawing():
        figure.savefig(out, format=kind, dpi=dpi, metadata=metadata, facecolor=figure.get_facecolor())
    return with_fonts(out.getvalue()) if kind == "svg" else out.getvalue()


def with_fonts(svg: bytes) -> bytes:
    """The SVG with the characters that it uses, in each weight that it uses, as fonts of its own."""
    text = svg.decode("utf-8")
    faces = []
    for weight, number in (("normal", 400), ("bold", 700)):
        if number == 700 and not re.search(r'font(?:-weight)?:[^;"]*\b(?:bold|700)\b', text):
            continue
        options = subset.Options(layout_features=["kern"], hinting=False)
        options.drop_tables += ["FFTM"]  # a time stamp of the font editor
        font = subset.load_font(findfont(FontProperties(family=FONT, weight=weight)), options)
        chosen = subset.Subsetter(options)
        chosen.populate(text="".join(sorted(set(text))))
        chosen.subset(font)
        out = io.BytesIO()
        font.save(out)
        data = base64.b64encode(out.getvalue()).decode("ascii")
        source = f"url(data:font/ttf;base64,{data}) format('truetype')"
        faces.append(f"@font-face {{font-family: '{FONT}'; font-weight: {number}; src: {source};}}")
    style = f'<style type="text/css">{"".join(faces)}</style>\n'
    head = text.index("<defs>")
    return (text[:head] + style + text[head:]).encode("utf-8")


def save_figures(evidence: Evidence, folder: Path, kinds: tuple[str, ...] = ("png", "pdf")) -> list[Path]:
    """Write the three main pictures in every kind; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in FIGURES.items():
        figure = draw(evidence)
        for kind in kinds:
            path = folder / f"{name}.{kind}"
            path.write_bytes(render(figure, kind))
            written.append(path)
    return written
