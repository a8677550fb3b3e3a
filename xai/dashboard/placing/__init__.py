"""Placing joints by hand, in the browser: a frame with its skeletons whose joints are dragged, and the film under it.

    placing_film("film", "a name of the frames", pictures)          # once: the frames
    placing(scene, key="placing")                                   # again and again: joints
    found = placed("placing", scene)                                # what the browser reported last

The browser keeps what was placed and how to undo it; the page keeps what was reported, and says where the joints of the
other frames are. What comes from a browser is checked like any file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import streamlit as st

from training.skeleton import SkeletonLayout
from training.standing import standing
from training.track_joints import Tracked
from xai.dashboard.colours import LIMBS

FOLDER = Path(__file__).parent
MODULES = ("keys.js", "stage.js", "placing.js")


@dataclass(frozen=True)
class Key:
    """One person on one key frame."""

    frame: int
    person: int
    places: tuple[tuple[float, float], ...]
    """(x, y) of every joint, pixels of the frame."""
    seen: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """What is placed on."""

    film: str
    """Name of the frames."""
    size: tuple[int, int]
    """(height, width) of the frames, in pixels."""
    numbers: tuple[int, ...]
    """What the frames are called, counted from 1."""
    seconds: tuple[float, ...]
    layout: SkeletonLayout
    people: int
    keys: tuple[Key, ...]
    """Where placing starts; frames are counted from 0 within the scene."""
    given: tuple[bool, ...]
    """Of which people joints were brought, so that a drag corrects one frame only."""
    edition: str
    """A new one starts placing anew, from `keys`."""


@dataclass(frozen=True)
class Placed:
    keys: tuple[Key, ...]
    revision: int
    """How many changes the browser had made."""


def placing_film(key: str, name: str, pictures: Sequence[str]) -> None:
    """Hand the frames over, as addresses of pictures. They are sent once, and shown by whoever knows their name."""
    _film()(key=key, data={"name": name, "pictures": list(pictures)})


def placing(scene: Scene, tracked: Tracked, revision: int, key: str) -> None:
    """Show the scene, with the joints that were found for `revision` of what was placed."""
    layout, colours = scene.layout, [LIMBS[limb % len(LIMBS)] for limb in scene.layout.limb_of]
    data = {
        "film": scene.film,
        "clip": {
            "frames": len(scene.numbers), "height": scene.size[0], "width": scene.size[1],
            "numbers": list(scene.numbers), "seconds": [round(second, 3) for second in scene.seconds],
        },
        "layout": {
            "joints": list(layout.joints), "bones": [list(bone) for bone in layout.bones], "colours": colours,
            "pose": np.round(standing(layout), 3).tolist(),
        },
        "people": scene.people,
        "keys": [
            {"frame": k.frame, "person": k.person, "place": [list(p) for p in k.places], "seen": list(k.seen)}
            for k in scene.keys
        ],
        "given": list(scene.given),
        "edition": scene.edition,
        "revision": revision,
        "tracked": {
            "revision": revision,
            "place": np.round(tracked.joints.astype(float), 1).tolist(),
            "score": np.round(tracked.score.astype(float), 2).tolist(),
        },
    }  # fmt: skip
    _placing()(key=key, data=data, on_keys_change=lambda: None)


def placed(key: str, scene: Scene) -> Placed | None:
    """What was placed in this edition of the scene; None before the first change. ValueError for what is no placing."""
    reported = (st.session_state.get(key) or {}).get("keys")
    if not isinstance(reported, Mapping) or reported.get("edition") != scene.edition:
        return None
    return read_placed(reported, len(scene.numbers), scene.people, len(scene.layout), scene.size)


def read_placed(reported: Mapping[str, Any], frames: int, people: int, joints: int, size: tuple[int, int]) -> Placed:
    """The report of a browser. Raises ValueError in one sentence for anything that no placing has."""
    listed, revision = reported.get("keys"), reported.get("revision")
    if not isinstance(listed, list) or len(listed) > frames * people or not _whole(revision, 1 << 40):
        raise ValueError(f"What was placed is a list of at most {frames * people} key frames; something else came.")
    found: dict[tuple[int, int], Key] = {}
    for entry in listed:
        if not isinstance(entry, Mapping):
            raise ValueError("A key frame names its frame, its person and its joints; something else came.")
        frame, person, places, seen = (entry.get(name) for name in ("frame", "person", "place", "seen"))
        if not _whole(frame, frames) or not _whole(person, people):
            raise ValueError(f"A key frame is one of {frames} frames and of {people} people; something else came.")
        if not isinstance(places, list) or not isinstance(seen, list) or len(places) != joints or len(seen) != joints:
            raise ValueError(f"A key frame has {joints} joints; another number came.")
        key = Key(frame, person, tuple(_place(place, size) for place in places), tuple(bool(value) for value in seen))
        found[frame, person] = key
    return Placed(tuple(found[name] for name in sorted(found)), revision)


def _whole(value: Any, below: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below


def _place(place: Any, size: tuple[int, int]) -> tuple[float, float]:
    """(x, y), at most a frame away from the frame."""
    numbers = isinstance(place, list) and len(place) == 2 and all(type(value) in (int, float) for value in place)
    if not numbers or not all(math.isfinite(value) for value in place):
        raise ValueError("A joint is placed at two numbers, x and y in pixels; something else came.")
    (x, y), (height, width) = place, size
    return min(max(float(x), -width), 2.0 * width), min(max(float(y), -height), 2.0 * height)


@cache
def _script() -> str:
    """All modules as one: names are unique across them, so imports and exports fall away in this fixed order."""
    joined = "\n".join(
        re.sub(r"^import .*\n", "", (FOLDER / name).read_text(encoding="utf-8"), flags=re.M) for name in MODULES
    )
    return re.sub(r"^export (?!default)", "", joined, flags=re.M)


@cache
def _placing() -> Any:
    css = (FOLDER / "placing.css").read_text(encoding="utf-8")
    return st.components.v2.component("kinescope_placing", html='<div class="placing"></div>', css=css, js=_script())


@cache
def _film() -> Any:
    script = (FOLDER / "film.js").read_text(encoding="utf-8")
    return st.components.v2.component("kinescope_film", html="<div hidden></div>", js=script)
