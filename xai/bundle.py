"""Build `assets`: draw the gym clips, run every checkpoint on them, keep the pictures' payloads and the index.

    python -m xai bundle [--assets assets] [--trust]

Run it after a checkpoint in `assets/checkpoints` changed. Clips come from the test split, so no checkpoint saw them.
"""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training import gym
from training.clip_file import load_clip, save_clip
from training.recognizer import Recognizer
from xai.evidence import gather_evidence
from xai.explanation import FRAMEWISE
from xai.figures.player import main_method, player_payload
from xai.methods import explain
from xai.trust import trust

BUNDLE_SEED = 7
MIXINGS = ("none", "tokenshift", "msca")
DIGITS = 4
"""Significant digits of what `trust.json` keeps."""


def write_atomically(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def build(assets: Path) -> dict[str, int]:
    """Write clips, traces and index; returns how many of each."""
    clips: list[dict[str, object]] = []
    for label in gym.LABELS:
        clip = gym.clip(label, BUNDLE_SEED, split="test")
        key = label.replace(" ", "-")
        path = assets / "clips" / f"{key}.npz"
        save_clip(path, clip)
        cause = clip.cause.kind if clip.cause else ""
        clips.append({"key": key, "name": label, "label": label, "cause": cause, "file": str(path.relative_to(assets))})
    checkpoints: list[dict[str, object]] = []
    traces: list[dict[str, object]] = []
    for path in sorted((assets / "checkpoints").glob("*.safetensors")):
        recognizer = Recognizer.load(path, "cpu")
        card = recognizer.card
        checkpoints.append(
            {
                "key": path.stem,
                "name": card.name or path.stem,
                "token_mode": getattr(recognizer.network.config, "token_mode", FRAMEWISE),
                "mixing": getattr(recognizer.network.config, "mixing", None),
                "card": asdict(card),
                "file": str(path.relative_to(assets)),
            }
        )
        if tuple(card.labels) != tuple(gym.LABELS):
            continue
        for entry in tqdm(clips, desc=path.stem, unit="clip"):
            evidence = gather_evidence(recognizer, load_clip(assets / str(entry["file"])), looks=True)
            trace = Path("traces") / path.stem / f"{entry['key']}.json.xz"
            data = json.dumps(player_payload(evidence), separators=(",", ":")).encode()
            write_atomically(assets / trace, lzma.compress(data, preset=9))
            traces.append({"checkpoint": path.stem, "clip": entry["key"], "file": str(trace)})
    checkpoints.sort(key=_order)
    index: dict[str, list[dict[str, object]]] = {"clips": clips, "checkpoints": checkpoints, "traces": traces}
    write_atomically(assets / "index.json", (json.dumps(index, indent=1) + "\n").encode())
    return {name: len(entries) for name, entries in index.items()}


def _order(checkpoint: Mapping[str, Any]) -> tuple[bool, int, str]:
    """What the paper proposes comes first, it is what the first screen shows; frame-wise networks come last, from the
    one that mixes nothing."""
    mixing = checkpoint["mixing"]
    return checkpoint["token_mode"] != "cross", 0 if mixing is None else 1 + MIXINGS.index(mixing), checkpoint["key"]


def measure_trust(assets: Path) -> int:
    """How far what the player shows of every bundled trace can be believed, into `trust.json`; returns how many.

    Kept by the hash of the checkpoint, so that weights which changed are measured again, and a stopped run goes on.
    """
    index = json.loads((assets / "index.json").read_text(encoding="utf-8"))
    files = {kind: {entry["key"]: assets / entry["file"] for entry in index[kind]} for kind in ("clips", "checkpoints")}
    path = assets / "trust.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found: dict[str, dict[str, Any]] = {}
    for trace in tqdm(index["traces"], desc="trust", unit="map"):
        recognizer = Recognizer.load(files["checkpoints"][trace["checkpoint"]], "cpu")
        clip = load_clip(files["clips"][trace["clip"]])
        known = before.get(recognizer.checkpoint, {}).get(clip.fingerprint)
        if known is None:
            method, on = main_method(json.loads(lzma.decompress((assets / trace["file"]).read_bytes())))
            measured = trust(recognizer, clip, explain(recognizer, clip, method, on=on))
            known = {"method": method, "on": on, **measured.to_dict()}
        found.setdefault(recognizer.checkpoint, {})[clip.fingerprint] = _short(known)
        write_atomically(path, (json.dumps({**before, **found}, separators=(",", ":")) + "\n").encode())
    write_atomically(path, (json.dumps(found, separators=(",", ":")) + "\n").encode())
    return sum(map(len, found.values()))


def _short(value: Any) -> Any:
    """The same plain values with numbers of a few digits."""
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_short(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
