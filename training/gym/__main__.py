"""`python -m training.gym --out sheet.png`: a contact sheet of every label."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2

from training.gym.labels import LABELS
from training.gym.palette import SPLITS
from training.gym.sheet import contact_sheet


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.gym", description="Draw a contact sheet of the gym.")
    parser.add_argument("--out", type=Path, default=Path("gym.png"), help="the PNG to write")
    parser.add_argument("--labels", nargs="+", default=list(LABELS), choices=LABELS, metavar="LABEL")
    parser.add_argument("--seed", type=int, default=0, help="which scene of each pair")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--size", type=int, default=112, help="side of a frame in pixels")
    parser.add_argument("--frames", type=int, default=16, help="frames of a clip")
    parser.add_argument("--shown", type=int, default=12, help="frames shown of each clip")
    parser.add_argument("--zoom", type=int, default=1, help="enlarge each frame")
    parser.add_argument("--no-joints", action="store_true", help="do not draw the skeletons")
    parser.add_argument("--no-cause", action="store_true", help="do not outline the causal pixels")
    chosen = parser.parse_args(arguments)
    sheet = contact_sheet(
        chosen.labels, chosen.seed, chosen.size, chosen.frames, chosen.shown, chosen.zoom, chosen.split,
        joints=not chosen.no_joints, cause=not chosen.no_cause,
    )  # fmt: skip
    if not cv2.imwrite(str(chosen.out), sheet[..., ::-1]):
        print(f"Could not write {chosen.out}; its folder must exist and the name must end in .png.", file=sys.stderr)
        return 1
    print(f"{chosen.out}: {len(chosen.labels)} labels, {sheet.shape[1]}x{sheet.shape[0]} pixels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
