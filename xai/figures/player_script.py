"""The player's JavaScript as one text, its page parts and its style: for the component and for pages without a server.

The order of the modules is that of their imports, read from the files; names are unique across them, so imports and
exports fall away.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "dashboard" / "player"
_IMPORT = re.compile(r'^import .*? from "\./([\w-]+\.js)";\n', re.MULTILINE)


def modules(first: str = "player.js") -> list[str]:
    """Every module that `first` needs, each after those that it imports itself; `first` is the last."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        for imported in _IMPORT.findall((FOLDER / name).read_text(encoding="utf-8")):
            visit(imported)
        order.append(name)

    visit(first)
    return order


@cache
def script() -> str:
    """All modules in one text that defines `mount` and exports nothing."""
    sources = [_IMPORT.sub("", (FOLDER / name).read_text(encoding="utf-8")) for name in modules()]
    return re.sub(r"^export (default )?", "", "\n".join(sources), flags=re.MULTILINE)


def markup() -> str:
    """The frame that the player fills, and the templates of its parts."""
    return (FOLDER / "player.html").read_text(encoding="utf-8")


def style() -> str:
    return (FOLDER / "player.css").read_text(encoding="utf-8")
