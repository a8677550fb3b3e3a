"""A figure in a paper: the lines of LaTeX that put it there, caption and all."""

from __future__ import annotations

import re

from xai.figures.style import COLUMN_WIDTH

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "→": r"$\rightarrow$", "×": r"$\times$",
    "≤": r"$\leq$", "≥": r"$\geq$", "\N{NO-BREAK SPACE}": "~", "<": r"\textless{}", ">": r"\textgreater{}",
    '"': "''", "·": r"$\cdot$", "…": r"\dots{}", "–": "--", "—": "---", "|": r"\textbar{}",
}  # fmt: skip
TWO_COLUMNS = COLUMN_WIDTH + 0.5
"""Inches: a wider figure goes over both columns of a page."""


def escaped(text: str) -> str:
    """Text in which LaTeX finds no command."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text if letter.isprintable() or letter == " ")


def include(caption: str, width: float, file: str = "figure.pdf", label: str = "") -> str:
    """A figure environment; `width` in inches decides how many columns of the page it takes."""
    both = width > TWO_COLUMNS
    environment, room = ("figure*", r"\textwidth") if both else ("figure", r"\columnwidth")
    words = escaped(re.sub(r"^Figure\.\s*", "", caption.strip()))
    name = escaped(label or re.sub(r"\W+", "-", file.rsplit(".", 1)[0]).strip("-"))
    return (
        f"\\begin{{{environment}}}[t]\n  \\centering\n"
        f"  \\includegraphics[width={room}]{{{file}}} % {width:g} in\n"
        f"  \\caption{{{words}}}\n  \\label{{fig:{name}}}\n\\end{{{environment}}}\n"
    )
