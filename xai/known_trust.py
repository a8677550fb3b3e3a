"""Trust that is known before anybody measures: what ships (`python -m xai bundle --trust`), and a verdict in short.

Reading it needs no torch. A report is what `TrustReport.to_dict` says (`xai.trust`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).resolve().parents[1] / "assets"
AGAINST = ("No better", "Survives", "Unstable", "Incomplete")
"""How a sentence of a report begins that speaks against a map."""
Known = Mapping[tuple[str, str], Mapping[str, Any]]
"""Report by method and by what its map is over, each asked why the clip is what the network says it is."""


@lru_cache(maxsize=4)
def _shipped(path: Path) -> dict[str, dict[str, Any]]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def shipped_trust(checkpoint: str, fingerprint: str, folder: Path = ASSETS) -> Known:
    """What ships of a checkpoint on a clip, which are named by their hashes; empty where nothing does."""
    found = _shipped(folder / "trust.json").get(checkpoint, {}).get(fingerprint)
    return {} if found is None else {(found["method"], found["on"]): found}


def in_short(found: Mapping[str, Any]) -> str:
    """The verdict of a report, with what speaks against the map if anything does."""
    sentences = found["sentences"]
    telling = next((each for each in sentences if each.startswith(AGAINST)), sentences[0])
    return f"Trust: {found['level']}. {telling}"
