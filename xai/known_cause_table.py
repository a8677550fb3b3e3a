"""The table of the known-cause benchmark: means over clips with their intervals, from the lines of `known_cause_bench`.

`summarise` gives one row for each method, target, measure and kind of cause; `write_table` writes all of them as JSON
and those of all kinds as Markdown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from training.interval import wilson
from training.recognizer import Recognizer
from xai.acting_cause import found_rows
from xai.known_cause import MEASURES
from xai.known_cause_bench import THRIFTY, Entry

BOTH = ("frames", "joints", "modal", "parts")
"""Where a method may say how much it gives to pictures and to joints."""
DECIDES = {"pose": "joints", "appearance": "pictures", "time": "order of the frames"}
"""Kind of cause -> the part of a clip that decides, where it is one."""


@dataclass(frozen=True)
class Row:
    """A mean over clips with its 95 % interval (bootstrap), beside the base rate of the same clips."""

    method: str
    on: str
    target: str
    measure: str
    kind: str
    """Kind of cause, or "all"."""
    clips: int
    mean: float
    low: float
    high: float
    base: float
    seconds: float
    """Median seconds a clip."""


def interval(values: np.ndarray, seed: int = 0, draws: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    index = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    low, high = np.percentile(values[index].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def summarise(lines: Sequence[Mapping[str, Any]], asked: Sequence[Entry], correct_only: bool = False) -> list[Row]:
    """One row for each entry, target, measure and kind of cause (and all kinds together)."""
    rows = []
    for entry in asked:
        found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
        seconds = []
        for line in lines:
            result = line["maps"].get(entry.name, {})
            if "scores" not in result or (correct_only and line["predicted"] != line["label"]):
                continue
            seconds.append(result["seconds"])
            for each in result["scores"]:
                for kind in (line["kind"], "all"):
                    found.setdefault((each["target"], each["measure"], kind), []).append((each["value"], each["base"]))
        for (target, measured, kind), pairs in found.items():
            values, base = np.array(pairs).T
            rows.append(
                Row(
                    entry.method,
                    entry.on,
                    target,
                    measured,
                    kind,
                    len(values),
                    float(values.mean()),
                    *interval(values),
                    float(base.mean()),
                    float(np.median(seconds)),
                )
            )
    return rows + _modality(lines, asked) + _named(lines) + [Row(**row) for row in found_rows(lines)]


def _modality(lines: Sequence[Mapping[str, Any]], asked: Sequence[Entry]) -> list[Row]:
    """For methods that answer on both inputs: does the share of the joints tell pose from appearance clips?"""
    rows = []
    for method in dict.fromkeys(entry.method for entry in asked):
        shares: dict[str, list[float]] = {"pose": [], "appearance": []}
        for line in lines:
            share = pose_share({on: line["maps"].get(f"{method} on {on}", {}) for on in BOTH})
            if line["kind"] in shares and share is not None:
                shares[line["kind"]].append(share)
        pose, appearance = np.array(shares["pose"]), np.array(shares["appearance"])
        if min(len(pose), len(appearance)) < 2:
            continue
        rng = np.random.default_rng(0)
        draws = [auc(rng.choice(pose, len(pose)), rng.choice(appearance, len(appearance))) for _ in range(500)]
        low, high = np.percentile(draws, [2.5, 97.5])
        count = len(pose) + len(appearance)
        value = auc(pose, appearance)
        rows.append(Row(method, "both", "modality", "auc", "all", count, value, float(low), float(high), 0.5, 0.0))
    return rows


def _named(lines: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Part removal: is the part that costs most the one that decides: joints, pictures, or the order of the frames?"""
    method, on = "part removal", "parts"
    found: dict[str, list[bool]] = {}
    seconds = []
    for line in lines:
        result = line["maps"].get(f"{method} on {on}", {})
        if line["kind"] in DECIDES and set(DECIDES.values()) <= set(result.get("amounts", {})):
            most = max(DECIDES.values(), key=lambda part: result["amounts"][part])
            for kind in (line["kind"], "all"):
                found.setdefault(kind, []).append(most == DECIDES[line["kind"]])
            seconds.append(result["seconds"])
    return [
        Row(
            method, on, "modality", "named", kind, len(hits), float(np.mean(hits)), *wilson(sum(hits), len(hits)),
            1 / len(DECIDES), float(np.median(seconds)),
        )
        for kind, hits in found.items()
    ]  # fmt: skip


def pose_share(results: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Share of the joints in what a method gave to both inputs, from its maps on both or from its token map."""
    amount = {on: result["amounts"] for on, result in results.items() if "amounts" in result}
    if "frames" in amount and "joints" in amount:
        pose, rgb = amount["joints"]["all"], amount["frames"]["all"]
    elif "modal" in amount and {"pose", "rgb"} <= set(amount["modal"]):
        pose, rgb = amount["modal"]["pose"], amount["modal"]["rgb"]
    elif "parts" in amount and {"joints", "pictures"} <= set(amount["parts"]):
        pose, rgb = amount["parts"]["joints"], amount["parts"]["pictures"]
    else:
        return None
    return pose / (pose + rgb) if pose + rgb > 0 else None


def auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """How often a value of `higher` exceeds one of `lower`."""
    ranks = rankdata(np.concatenate([higher, lower]))
    return float((ranks[: len(higher)].sum() - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))


def write_table(
    out: Path, rows: Sequence[Row], lines: Sequence[Mapping[str, Any]], recognizer: Recognizer, command: str
) -> None:
    """`leader_board.json` (all rows and what made them) and `leader_board.md` (the table for all kinds of cause)."""
    about = {
        "checkpoint": recognizer.checkpoint,
        "name": recognizer.card.name,
        "clips": len(lines),
        "right": sum(line["predicted"] == line["label"] for line in lines),
        "command": command,
        "options": {name: dict(options) for name, options in THRIFTY.items()},
        "rows": [asdict(row) for row in rows],
    }
    (out / "leader_board.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    head = "| target | method | pointing | mass | rank | clips | s a clip |\n|---|---|---|---|---|---|---|\n"
    table: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        if row.kind == "all" and row.measure in MEASURES:
            table.setdefault((row.target, row.method, row.on), {})[row.measure] = row

    def cell(row: Row) -> str:
        return f"{row.mean:.2f} [{row.low:.2f}, {row.high:.2f}] ({row.base:.2f})"

    ordered = sorted(table.items(), key=lambda entry: (entry[0][0], entry[1]["rank"].base - entry[1]["rank"].mean))
    body = [
        f"| {target} | {method} on {on} | {' | '.join(cell(found[name]) for name in MEASURES)} "
        f"| {found['rank'].clips} | {found['rank'].seconds:.2f} |\n"
        for (target, method, on), found in ordered
    ]
    note = "\nMean [95 % interval] (a map that knows nothing).\n"
    (out / "leader_board.md").write_text(head + "".join(body) + note, encoding="utf-8")
