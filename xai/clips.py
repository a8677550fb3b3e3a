"""Clips by name, for the command line: a video, a saved clip, a gym clip or a clip of JHMDB."""

from __future__ import annotations

from pathlib import Path

from training.clip import Clip
from training.clip_file import load_clip, read_clip
from training.errors import ClipError


def open_clip(text: str, joints: str | None = None) -> Clip:
    """`FILE.npz`, a video file, `gym:LABEL[:SEED]`, or `jhmdb:FOLDER:CLASS/CLIP`. Raises ClipError in one sentence."""
    kind, _, rest = text.partition(":")
    if kind == "gym":
        from training import gym

        label, _, seed = rest.partition(":")
        if label not in gym.LABELS or not (seed or "0").isdigit():
            raise ClipError(f"{text!r} names no gym clip; labels are {', '.join(gym.LABELS)}, e.g. gym:bow:3.")
        return gym.clip(label, int(seed or 0), split="test")
    if kind == "jhmdb":
        from training.datasets.jhmdb import Jhmdb

        folder, _, name = rest.rpartition(":")
        label, _, clip = name.partition("/")
        return Jhmdb(folder, masks=False).named(label, clip)
    if Path(text).suffix == ".npz":
        return load_clip(text)
    return read_clip(text, joints)
