"""A whole corpus explained: one file a clip, named by its content and the checkpoint, and a table of all of them.

    python -m xai explain-corpus gym --checkpoint F --out DIR
    torchrun --nproc-per-node 2 -m xai explain-corpus jhmdb:FOLDER --checkpoint F --out DIR

Every process takes its share of the clips (rank r of n takes r, r + n, ...) and talks to no other, so any number of
them on any number of machines may write to one folder. A file is written under a temporary name and then renamed; a
clip whose file exists is not computed again, whoever made it; a damaged clip is a line in the table, and the next run
tries it again. Runs over other clips may share the folder: each has logs and a table of its own. Memory does not grow
with the corpus.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.evaluate import ClipSet
from training.npz import read_npz, write_npz
from training.recognizer import Recognizer
from xai.evidence import PARTS, Evidence, gather_evidence
from xai.explanation import Explanation

FORMAT = 1
COLUMNS = ("position", "clip", "label", "predicted", "probability", "file", "problem")


@dataclass(frozen=True)
class Share:
    """Which part of the corpus this process takes."""

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> Share:
        """As torchrun tells it (RANK, WORLD_SIZE); everything without."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def device(self, asked: str) -> str:
        """`asked`, and for `auto` the GPU of this process where torchrun started several on a machine."""
        local = os.environ.get("LOCAL_RANK")
        if asked != "auto" or local is None or not torch.cuda.is_available():
            return asked
        return f"cuda:{int(local) % torch.cuda.device_count()}"


def corpus_of(recognizer: Recognizer, data: ClipSet, source: str = "") -> str:
    """Names what is explained by what: the checkpoint, and which clips of which `source`."""
    about = [source, data.clips.dataset.name, list(data.labels), list(data.clips.indices), list(data.targets)]
    return f"{recognizer.checkpoint}-{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]}"


def explain_corpus(
    recognizer: Recognizer, data: ClipSet, out: Path, share: Share = Share(), source: str = ""
) -> Iterator[dict[str, Any]]:
    """Explain this process's share of `data`, yielding the line of each clip; lines of an earlier run are kept."""
    out.mkdir(parents=True, exist_ok=True)
    name = corpus_of(recognizer, data, source)
    log = out / f"clips-{name}-{share.rank}-of-{share.world}.jsonl"
    known = _lines_of_all(out, name)
    with log.open("a", encoding="utf-8") as file:
        if file.tell() and not log.read_bytes().endswith(b"\n"):
            file.write("\n")  # a killed run left half a line
        for position in range(share.rank, len(data), share.world):
            line = known.get(position)
            if line is None or not line["file"] or not (out / line["file"]).is_file():
                line = _explain_one(recognizer, data, position, out)
                file.write(json.dumps(line) + "\n")
                file.flush()
            yield line


def _explain_one(recognizer: Recognizer, data: ClipSet, position: int, out: Path) -> dict[str, Any]:
    label = data.labels[data.targets[position]]
    line: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"position": position, "label": label}
    try:
        clip = data.clips[position]
        line["clip"] = clip.name
        name = f"{clip.fingerprint}-{recognizer.checkpoint}.npz"
        said = _read_answer(out / name)
        evidence = None if said else gather_evidence(recognizer, clip)
    except (ValueError, OSError) as error:
        return line | {"problem": str(error)}
    if evidence is not None:  # a disk that is full is no damaged clip
        save_slim(out / name, evidence)
        said = evidence.labels, evidence.probabilities
    assert said is not None
    labels, probabilities = said
    top = int(probabilities.argmax())
    return line | {"predicted": labels[top], "probability": round(float(probabilities[top]), 6), "file": name}


def _read_answer(path: Path) -> tuple[Sequence[str], np.ndarray] | None:
    """Labels and probabilities of a file of `save_slim`, whoever wrote it; None if there is none that is whole."""
    try:
        found = read_npz(path)
        labels = json.loads(found["header"].tobytes())["labels"]
    except (ValueError, LookupError):
        return None
    return (labels, found["probabilities"]) if found["probabilities"].shape == (len(labels),) else None


def save_slim(path: Path, evidence: Evidence) -> None:
    """The evidence without its pictures, averaged over heads, in half precision: a tenth of the size."""
    header: dict[str, Any] = {"format": FORMAT, "model": dict(evidence.model), "labels": evidence.labels, "parts": {}}
    arrays: dict[str, np.ndarray] = {"probabilities": evidence.probabilities, "frame_index": evidence.frame_index}
    for name in PARTS:
        part: Explanation | None = getattr(evidence, name)
        if part is None:
            continue
        if any(axis.name == "head" for axis in part.axes):
            part = part.mean("head")
        header["parts"][name], packed = part.pack()
        for key, array in packed.items():
            arrays[f"{name}/{key}"] = array.astype(np.float16) if array.dtype.kind == "f" else array
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    write_npz(path, arrays)


def _lines_of_all(out: Path, name: str) -> dict[int, dict[str, Any]]:
    """What every process has written so far, by position; half a line at the end of a log is left out. A clip that was
    damaged in one run and not in another is not damaged."""
    found: dict[int, dict[str, Any]] = {}
    for log in sorted(out.glob(f"clips-{name}-*.jsonl")):
        for text in log.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue
            if line["file"] or not found.get(line["position"], {}).get("file"):
                found[line["position"]] = line
    return found


def write_summary(recognizer: Recognizer, data: ClipSet, out: Path, source: str = "") -> tuple[Path, dict[str, int]]:
    """`summary-CORPUS.csv`, one row a clip, of all processes; and how many there are. Whoever finishes last has all:
    who wrote while another one added lines writes again."""
    name = corpus_of(recognizer, data, source)
    path, written = out / f"summary-{name}.csv", None
    while (lines := _lines_of_all(out, name)) != written:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(line for _, line in sorted(lines.items()))
        part = out / f".summary-{secrets.token_hex(8)}.part"
        part.write_text(text.getvalue(), encoding="utf-8")
        os.replace(part, path)
        written = lines
    return path, {
        "clips": len(data),
        "explained": sum(bool(line["file"]) for line in lines.values()),
        "damaged": sum(bool(line["problem"]) for line in lines.values()),
        "right": sum(bool(line["file"]) and line["predicted"] == line["label"] for line in lines.values()),
    }
