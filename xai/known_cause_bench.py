"""Known-cause benchmark: which methods point at what decides? `python -m xai gym-bench --checkpoint F --out DIR`.

Every method explains every clip, by default asking the question of the minimal pair ("why wave left hand and not wave
right hand?"), and is scored against the cause (`xai.known_cause`). One line of `scores.jsonl` a clip, so a stopped run
goes on where it was; xai/known_cause_table.py makes the table with 95 % intervals, by kind of cause.

A second question is asked of the methods that measure both inputs alike: does the share that they give to the joints
tell pose clips from appearance clips (`modality`, an AUC), and does what they give to the order tell time clips?

A third is asked of removals (xai/acting_cause.py): do they name the deciding joints, and do these act in this network?
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.clip import Clip
from training.gym.labels import PAIRS
from training.recognizer import Recognizer
from xai.acting_cause import cause_effect
from xai.explanation import Explanation
from xai.known_cause import known_cause, score
from xai.methods import Method, answer, methods
from xai.question import Question

FORMAT = 1
THRIFTY: Mapping[str, Mapping[str, Any]] = {
    "integrated gradients": {"steps": 8},
    "gradient SHAP": {"samples": 8},
    "smoothgrad": {"samples": 4},
    "tubelet removal": {"cells": 5, "window": 6},
    "modal token removal": {"window": 12},
    "Shapley joints": {"budget": 96},
    "Shapley frames": {"budget": 24},
    "counterfactual joints": {"by": "limb", "budget": 48},
    "counterfactual frames": {"budget": 12, "largest": 3},
}
"""Options that make hundreds of clips affordable; the table names them."""


@dataclass(frozen=True)
class Entry:
    """One method asked about one thing."""

    method: str
    on: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.method} on {self.on}"


def entries(chosen: Sequence[str] = (), options: Mapping[str, Mapping[str, Any]] | None = None) -> tuple[Entry, ...]:
    """Every method (or those in `chosen`) on everything it explains in frames, joints, time, modal tokens or parts, and
    on F_b if on none of them; what a gradient says of both inputs is known from its maps on frames and joints."""
    wanted = ("frames", "joints", "time", "modal", "parts")
    known: dict[str, Method] = {method.name: method for method in methods()}
    if unknown := sorted(set(chosen) - set(known)):
        raise ValueError(f"There is no method {unknown[0]!r}; there are {', '.join(known)}.")
    return tuple(
        Entry(name, on, dict((options or {}).get(name, {})))
        for name, method in known.items()
        if (not chosen or name in chosen)
        for on in method.on
        if (on in wanted and not (on == "modal" and method.family == "gradient"))
        or (on == "features_b" and not set(wanted) & set(method.on))
    )


def partner(label: str) -> str | None:
    """The other label of the minimal pair; None for a label that is in none."""
    for pair in PAIRS.values():
        if label in pair.labels:
            return pair.labels[1 - pair.labels.index(label)]
    return None


def amounts(explanation: Explanation) -> dict[str, float]:
    """How much of the map there is: in all, or by token of a token map (absolute values)."""
    size = np.abs(explanation.values)
    if explanation.kind == "token map":
        tokens = explanation.axes[explanation.axis("token")].labels
        by_token = size.sum(axis=tuple(i for i in range(size.ndim) if i != explanation.axis("token")))
        return {token: float(value) for token, value in zip(tokens, by_token, strict=True)}
    return {"all": float(size.sum())}


def score_clip(recognizer: Recognizer, clip: Clip, asked: Sequence[Entry], paired: bool) -> dict[str, Any]:
    """One line of the scores: the prediction, and for every entry its scores, its amounts and its seconds."""
    assert clip.label is not None
    against = partner(clip.label) if paired else None
    question = Question.ask(recognizer, clip, clip.label, against if against in recognizer.card.labels else None)
    line: dict[str, Any] = {
        "clip": clip.name,
        "label": clip.label,
        "kind": known_cause(clip).kind,
        "predicted": question.prediction.top(1)[0][0],
        "cause effect": cause_effect(question),
        "maps": {},
    }
    for entry in asked:
        start = time.perf_counter()
        try:
            explanation = answer(question, entry.method, on=entry.on, **entry.options)
        except ValueError as error:
            line["maps"][entry.name] = {"refused": str(error)}
            continue
        line["maps"][entry.name] = {
            "seconds": round(time.perf_counter() - start, 4),
            "amounts": amounts(explanation),
            "scores": [asdict(each) for each in score(explanation, question.seen)],
        }
    return line


def run(
    recognizer: Recognizer,
    clips: Iterable[Callable[[], Clip]],
    out: Path,
    asked: Sequence[Entry],
    *,
    paired: bool = True,
    say: Callable[[str], None] = print,
) -> Iterator[dict[str, Any]]:
    """Score every clip, yielding its line.

    What `out` holds for the same checkpoint and entry is kept: a stopped run goes on, and methods may be added later.
    A clip that cannot be read or explained is said in one sentence and left out.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "scores.jsonl"
    header: dict[str, Any] = {"format": FORMAT, "checkpoint": recognizer.checkpoint, "paired": paired}
    before, lines = read_lines(path, header, asked)
    header["entries"] = [asdict(entry) for entry in (*asked, *before)]
    done = {line["position"]: line for line in lines}
    text = "".join(json.dumps(line) + "\n" for line in (header, *done.values()))
    part = path.with_name(".scores.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)  # without the half line that a kill may have left
    with path.open("a", encoding="utf-8") as file:
        for position, read in enumerate(clips):
            known = done.get(position, {}).get("maps", {})
            missing = [entry for entry in asked if entry.name not in known]
            if not missing and "cause effect" in done.get(position, {}):
                yield done[position]
                continue
            try:
                line = {"position": position, **score_clip(recognizer, read(), missing, paired)}
                line["maps"] = known | line["maps"]
            except ValueError as error:
                say(f"Clip {position} was left out: {error}")
                continue
            file.write(json.dumps(line) + "\n")
            file.flush()
            yield line


def read_lines(
    path: Path, header: Mapping[str, Any], asked: Sequence[Entry]
) -> tuple[list[Entry], list[dict[str, Any]]]:
    """What an earlier run left: the entries that are not asked for now, and its lines, without the maps of entries that
    are asked for with other options. Nothing if there was no run, or one of another checkpoint or question."""
    if not path.is_file():
        return [], []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break  # the line that was being written
    if not lines or any(lines[0].get(key) != value for key, value in header.items()):
        return [], []
    now = {entry.name: entry for entry in asked}
    before = [Entry(**entry) for entry in lines[0]["entries"]]
    same = [entry for entry in before if now.get(entry.name, entry) == entry]
    names = [entry.name for entry in same]

    def kept(maps: Mapping[str, Any]) -> dict[str, Any]:
        return {name: maps[name] for name in names if name in maps}

    return [each for each in same if each.name not in now], [{**each, "maps": kept(each["maps"])} for each in lines[1:]]
