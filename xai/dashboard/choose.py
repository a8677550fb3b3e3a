"""The two choices every page starts with: which clip, which checkpoint. Bundled, from a folder, or uploaded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from xai.dashboard.held import held_upload
from xai.dashboard.library import BundledCheckpoint, BundledClip, Library
from xai.dashboard.limits import limits

if TYPE_CHECKING:
    from training.clip import Clip
    from training.recognizer import Recognizer

OWN = "upload"
PAGES = "xai/dashboard/pages"


@dataclass(frozen=True)
class ClipChoice:
    """What the user chose to look at: one of these is set, or none yet."""

    bundled: BundledClip | None = None
    jhmdb: tuple[str, str] | None = None
    upload: Any = None
    data: tuple[str, str, int] | None = None
    """Title of a data set, split, and which clip of it, counted from 0."""
    own: Clip | None = None
    """The clip of the page My clip."""

    def open(self) -> Clip:
        """The clip itself. Raises ClipError in one sentence."""
        if self.bundled:
            return bundled_clip(self.bundled.path)
        from xai.dashboard import live

        if self.jhmdb:
            return live.jhmdb_clip(*self.jhmdb)
        if self.data:
            from xai.dashboard import data_live

            return data_live.clip(*self.data)
        if self.own:
            return self.own
        return live.uploaded_clip(*self.upload)


def bundled_clip(path: Path) -> Clip:
    """A clip that ships, read without torch."""
    from training.clip_file import load_clip
    from xai.dashboard.kept import kept

    return kept().get(("clip", str(path)), lambda: load_clip(path))


def jhmdb_folder() -> Path | None:
    """The JHMDB folder of this server, named by KINESCOPE_DATA (a folder with jhmdb/ in it)."""
    folder = os.environ.get("KINESCOPE_DATA")
    path = Path(folder) / "jhmdb" if folder else None
    return path if path and (path / "joint_positions").is_dir() else None


def within(key: str, options: Sequence[Any]) -> None:
    """Forget a choice that does not exist (any more); of several, those that do not."""
    chosen = st.session_state.get(key)
    if isinstance(chosen, list):
        st.session_state[key] = [each for each in chosen if each in options]
    elif key in st.session_state and chosen not in options:
        del st.session_state[key]


def chosen_among(key: str, options: Sequence[Any]) -> None:
    """`within`, and the choice made again if there is one: the address names it, also where another page made it."""
    within(key, options)
    if key in st.session_state:
        st.session_state[key] = st.session_state[key]


def look_for(key: str, options: Sequence[str]) -> None:
    """Before a choice is shown: does the address ask for what there is not? It forgets that as soon as it is shown."""
    asked = st.query_params.get(key)
    if asked is not None and asked not in options:
        st.session_state[f"lost {key}"] = asked, None


def say_lost(key: str, what: str, shown: str, place: Any = st) -> None:
    """After it: what a link asked for and was not found, until somebody chooses."""
    asked, instead = st.session_state.get(f"lost {key}", (None, None))
    if asked is None:
        return
    if instead not in (None, shown):
        del st.session_state[f"lost {key}"]
        return
    st.session_state[f"lost {key}"] = asked, shown
    from xai.dashboard.shown import plain

    place.info(f"There is no {what} “{plain(asked[:80])}” here; shown instead: {plain(shown)}.")


def mine(*clip: Clip | None) -> Clip | None:
    """The clip that was made on My clip, held in this session only; with an argument, remember that one (or None)."""
    if clip:
        st.session_state["own clip"] = clip[0]
    found: Clip | None = st.session_state.get("own clip")
    return found


NOT_HERE = {
    "Mine": "This link leads to a clip of somebody's own, which lived in another session and was stored nowhere",
    "JHMDB": "This link leads to a clip of JHMDB, which this server does not have",
}
"""Sources of a link that is followed where they are not there."""


def choose_clip(library: Library, first: str = "") -> ClipChoice:
    """The clip selector, with sources beside it; bundled clips first, and of them `first` until the visitor or a link
    chooses one."""
    sources = (
        ["Gym"] * bool(library.clips) + ["JHMDB"] * bool(jhmdb_folder()) + ["Data", "Upload"] + ["Mine"] * bool(mine())
    )
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    asked = st.query_params.get("source")
    if asked in NOT_HERE and asked not in sources:
        st.session_state["not here"] = asked  # the address forgets it, and the page is drawn again at once
    elif st.session_state.get("not here") in sources:
        _chosen()
    chosen_among("source", sources)
    source = left.selectbox(
        "Source", sources, key="source", bind="query-params", on_change=_chosen,
        help="Gym clips are drawn so that what decides is known. Upload takes your own video and joints.",
    )  # fmt: skip
    chosen = _choose_of(str(source), library, right, first)
    if missing := st.session_state.get("not here"):
        from xai.dashboard.basket import clip_name
        from xai.dashboard.shown import plain

        st.info(f"{NOT_HERE[missing]}; shown instead: {plain(clip_name(chosen))}.")
    return chosen


def _chosen() -> None:
    """Whoever chooses has read what was not there, and no page chooses for them any more."""
    st.session_state.pop("not here", None)
    st.session_state["clip was chosen"] = True


def _choose_of(source: str, library: Library, right: Any, first: str) -> ClipChoice:
    """A clip of a source."""
    if source == "JHMDB":
        from xai.dashboard import live

        names = live.jhmdb_names()
        look_for("jhmdb", names)
        chosen = right.selectbox("Clip", names, key="jhmdb", bind="query-params")
        say_lost("jhmdb", "clip of JHMDB", str(chosen))
        label, _, name = str(chosen).partition("/")
        return ClipChoice(jhmdb=(label, name))
    if source == "Data":
        from xai.dashboard.data_choice import choose_member

        return choose_member(right)
    if source == "Upload":
        return _upload(right)
    if source == "Mine" and (own := mine()):
        right.page_link(f"{PAGES}/my_clip.py", label=f"{own.name}, {len(own)} frames: change it on My clip")
        return ClipChoice(own=own)
    causes = "; ".join(f"{clip.name}: {clip.cause}" for clip in library.clips)
    names = [clip.name for clip in library.clips]
    if first in names and "clip" not in st.query_params and "clip was chosen" not in st.session_state:
        st.session_state["clip"] = first  # what another page shows by itself was nobody's choice
    look_for("clip", names)
    name = right.selectbox(
        "Clip", names, key="clip", bind="query-params", on_change=_chosen,
        help=f"What tells each class from its twin, by construction. {causes}.",
    )  # fmt: skip
    say_lost("clip", "clip of the gym", str(name))
    return ClipChoice(bundled=next(clip for clip in library.clips if clip.name == name))


def _upload(place: Any) -> ClipChoice:
    with place.popover("Video and joints", width="stretch"):
        video = held_upload("Video", ["mp4", "mov", "webm", "mkv", "avi", "gif", "webp"], "video")
        joints = held_upload(
            "Joints of every frame (optional)", ["npz", "json", "mat"], "joints",
            "`.npz` with joints [T, M, J, 2] in pixels, COCO keypoints `.json`, or JHMDB `joint_positions.mat`.",
        )  # fmt: skip
        st.caption(
            f"At most {limits().frames} frames and {limits().seconds} s. Files stay in memory for this session and are "
            "not stored."
        )
    return ClipChoice() if video is None else ClipChoice(upload=(video, joints))


def choose_checkpoint(library: Library) -> BundledCheckpoint | Any:
    """The checkpoint selector: a bundled one, or an `Upload`, or None while nothing was uploaded."""
    keys = [checkpoint.key for checkpoint in library.checkpoints] + [OWN]
    chosen_among("checkpoint", keys)
    look_for("checkpoint", keys)
    key = str(st.selectbox("Checkpoint", keys, key="checkpoint", bind="query-params"))
    say_lost("checkpoint", "checkpoint", key)
    if key != OWN:
        return library.checkpoint(key)
    return held_upload(
        "Checkpoint", ["safetensors"], "own_checkpoint",
        "A `.safetensors` file written by `python -m training train`. Pickles can run code and are refused.",
    )  # fmt: skip


def card_of(chosen: Any) -> Mapping[str, Any]:
    """What the card of a choice says, under the name by which it is chosen. Raises CheckpointError in one sentence."""
    if isinstance(chosen, BundledCheckpoint):
        return {**chosen.card, "name": chosen.name}
    return {**asdict(open_checkpoint(chosen).card), "name": chosen.name}


def open_checkpoint(chosen: Any) -> Recognizer:
    """The network behind a choice. Raises CheckpointError in one sentence."""
    from xai.dashboard import live

    if isinstance(chosen, BundledCheckpoint):
        return live.recognizer(chosen.path)
    return live.uploaded_checkpoint(chosen)
