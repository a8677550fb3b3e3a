"""Build `assets`: draw the gym clips, run every checkpoint on them, keep the pictures' payloads and the index.

    python -m xai bundle [--assets assets]

Run it after a checkpoint in `assets/checkpoints` changed. Clips come from the test split, so no checkpoint saw them.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from training import gym
from training.clip_file import load_clip, save_clip
from training.recognizer import Recognizer
from xai.evidence import gather_evidence
from xai.figures.player import player_payload

BUNDLE_SEED = 7


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
                "token_mode": getattr(recognizer.network.config, "token_mode", ""),
                "card": asdict(card),
                "file": str(path.relative_to(assets)),
            }
        )
        if tuple(card.labels) != tuple(gym.LABELS):
            continue
        for entry in tqdm(clips, desc=path.stem, unit="clip"):
            evidence = gather_evidence(recognizer, load_clip(assets / str(entry["file"])), looks=True)
            trace = Path("traces") / path.stem / f"{entry['key']}.json.gz"
            data = json.dumps(player_payload(evidence), separators=(",", ":")).encode()
            write_atomically(assets / trace, gzip.compress(data, mtime=0))
            traces.append({"checkpoint": path.stem, "clip": entry["key"], "file": str(trace)})
    # The variant that the paper proposes comes first: it is what the first screen shows.
    checkpoints.sort(key=lambda entry: (entry["token_mode"] != "cross", str(entry["key"])))
    index: dict[str, list[dict[str, object]]] = {"clips": clips, "checkpoints": checkpoints, "traces": traces}
    write_atomically(assets / "index.json", (json.dumps(index, indent=1) + "\n").encode())
    return {name: len(entries) for name, entries in index.items()}
