"""What ships with the dashboard: checkpoints, clips and their precomputed traces, listed in `assets/index.json`.

Reading the list and drawing a bundled trace needs neither torch nor a checkpoint: the first screen is never empty and
never waits. `python -m xai bundle` writes the index.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from xai.explanation import FRAMEWISE

ROOT = Path(__file__).resolve().parents[2]
ASSETS, RUNS = ROOT / "assets", Path(os.environ.get("KINESCOPE_RUNS") or ROOT / "runs").expanduser()


@dataclass(frozen=True)
class BundledClip:
    """A clip of `assets/clips`."""

    key: str
    name: str
    label: str
    cause: str
    path: Path


@dataclass(frozen=True)
class BundledCheckpoint:
    """A checkpoint of `assets/checkpoints`, with what its card says."""

    key: str
    name: str
    token_mode: str
    card: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class Library:
    clips: tuple[BundledClip, ...]
    checkpoints: tuple[BundledCheckpoint, ...]
    traces: Mapping[tuple[str, str], Path]
    """(checkpoint key, clip key) -> payload of the player, xz-compressed JSON."""

    def clip(self, key: str) -> BundledClip:
        return next(clip for clip in self.clips if clip.key == key)

    def checkpoint(self, key: str) -> BundledCheckpoint:
        return next(checkpoint for checkpoint in self.checkpoints if checkpoint.key == key)

    def key_of(self, content: str) -> str | None:
        """Which checkpoint has this content (`model.checkpoint_hash`, which would import torch); None if none does."""
        return next((each.key for each in self.checkpoints if _hash(each.path) == content), None)

    def payload(self, checkpoint: str, clip: str) -> dict[str, Any] | None:
        """The precomputed payload, or None when this pair was not bundled."""
        path = self.traces.get((checkpoint, clip))
        return None if path is None else _read_payload(path)


@lru_cache(maxsize=64)
def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@lru_cache(maxsize=64)
def _read_payload(path: Path) -> dict[str, Any]:
    return dict(json.loads(lzma.decompress(path.read_bytes())))


def trained_here(token_mode: str, runs: Path | None = None) -> list[BundledCheckpoint]:
    """The best weights of every finished or running training in `runs/*`, or in `runs/*/TABLE/ROW/SEED` of an ablation,
    of one kind of network. KINESCOPE_RUNS names another folder."""
    runs = RUNS if runs is None else runs
    paths = sorted([*runs.glob("*/best.safetensors"), *runs.glob("*/*/*/*/best.safetensors")])
    return _networks(token_mode, {path: path.parent.relative_to(runs).as_posix() for path in paths}, "runs/")


def compared(folder: Path = ASSETS / "checkpoints" / "mixing") -> list[BundledCheckpoint]:
    """The other frame-wise networks that ship: one seed of the ablation in `assets/ablations/mixing`."""
    return _networks(FRAMEWISE, {path: path.stem for path in sorted(folder.glob("*.safetensors"))}, "mixing/")


def _networks(token_mode: str, names: Mapping[Path, str], shelf: str) -> list[BundledCheckpoint]:
    """Those of one kind, by path and name; a file of another version, or written just now, is left out."""
    from model import CheckpointError, read_card

    found = []
    for path, name in names.items():
        try:
            config, card = read_card(path)
        except (CheckpointError, OSError):
            continue
        if getattr(config, "token_mode", FRAMEWISE) == token_mode:
            found.append(BundledCheckpoint(f"{shelf}{name}", name, token_mode, asdict(card), path))
    return found


@lru_cache(maxsize=4)
def open_library(folder: Path = ASSETS) -> Library:
    """The library that `folder/index.json` lists; empty when there is none."""
    index_path = folder / "index.json"
    if not index_path.is_file():
        return Library((), (), {})
    index = json.loads(index_path.read_text(encoding="utf-8"))
    return Library(
        clips=tuple(
            BundledClip(entry["key"], entry["name"], entry["label"], entry["cause"], folder / entry["file"])
            for entry in index["clips"]
        ),
        checkpoints=tuple(
            BundledCheckpoint(entry["key"], entry["name"], entry["token_mode"], entry["card"], folder / entry["file"])
            for entry in index["checkpoints"]
        ),
        traces={(entry["checkpoint"], entry["clip"]): folder / entry["file"] for entry in index["traces"]},
    )
