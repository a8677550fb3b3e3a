"""Command line of the explanations.

    python -m xai explain CLIP --checkpoint F --out DIR [--joints FILE]
    python -m xai bundle [--assets DIR]

CLIP is a video file, a saved clip (.npz), `gym:LABEL:SEED`, or `jhmdb:FOLDER:CLASS/CLIP`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from model import CheckpointError
from training.errors import ClipError


def explain(arguments: argparse.Namespace) -> int:
    from training.recognizer import Recognizer
    from xai.clips import open_clip
    from xai.evidence import PARTS, gather_evidence
    from xai.figures.paper import save_figures

    recognizer = Recognizer.load(arguments.checkpoint, arguments.device)
    clip = open_clip(arguments.clip, arguments.joints)
    evidence = gather_evidence(recognizer, clip)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    evidence.save(out / "evidence.npz")
    order = np.argsort(-evidence.probabilities)[:5]
    summary = {
        "clip": clip.name or arguments.clip,
        "label": clip.label,
        "checkpoint": recognizer.checkpoint,
        "top": [
            {"label": evidence.labels[i], "probability": round(float(evidence.probabilities[i]), 6)} for i in order
        ],
        "frames": evidence.frame_index.tolist(),
        "parts": {
            name: {
                "axes": {
                    axis.name: list(axis.labels) or size
                    for axis, size in zip(part.axes, part.values.shape, strict=True)
                },
                "unit": part.unit,
                "normalisation": part.normalisation,
                "base_rate": part.base_rate_of,
                "made_by": {"method": part.made_by.method, "parameters": dict(part.made_by.parameters)},
                "trust": "not measured" if part.trust is None else dict(part.trust),
            }
            for name in PARTS
            if (part := getattr(evidence, name)) is not None
        },
    }
    (out / "explanation.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    written = save_figures(evidence, out)
    for entry in summary["top"]:
        print(f"{entry['probability']:7.1%}  {entry['label']}")
    print(f"Wrote evidence.npz, explanation.json and {', '.join(path.name for path in written)} to {out}.")
    return 0


def bundle(arguments: argparse.Namespace) -> int:
    from xai.bundle import build

    counts = build(Path(arguments.assets))
    print(f"{arguments.assets} holds " + ", ".join(f"{count} {name}" for name, count in counts.items()) + ".")
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m xai", description="Explain what a checkpoint did on a clip.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("explain", help="one clip: numbers (.npz, .json) and pictures (.png, .pdf)")
    one.add_argument("clip", metavar="CLIP", help="video, saved clip, gym:LABEL:SEED or jhmdb:FOLDER:CLASS/CLIP")
    one.add_argument("--checkpoint", required=True, metavar="F")
    one.add_argument("--out", required=True, metavar="DIR")
    one.add_argument(
        "--joints", metavar="FILE", help="joints of a video: .npz, COCO keypoints .json, joint_positions.mat"
    )
    one.add_argument("--device", default="auto")
    one.set_defaults(run=explain)
    assets = commands.add_parser("bundle", help="rebuild the clips, traces and index that the dashboard opens with")
    assets.add_argument("--assets", default="assets", metavar="DIR")
    assets.set_defaults(run=bundle)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (ClipError, CheckpointError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
