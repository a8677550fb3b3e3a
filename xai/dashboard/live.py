"""Live computation: checkpoints, uploads and predictions, shared by all sessions and bounded.

Imported only when something must be computed: the first screen is drawn from bundled traces without torch. Everything
cached is immutable and keyed by content, so sessions that ask for the same get the same, and nobody gets another's.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from model import CheckpointError, checkpoint_hash, read_card
from training.clip import Clip
from training.clip_file import read_clip
from training.datasets.jhmdb import Jhmdb
from training.errors import ClipError
from training.recognizer import Recognizer
from xai.dashboard.changed import ByName, Changed, change, changed_payload
from xai.dashboard.choose import bundled_clip, jhmdb_folder
from xai.dashboard.library import open_library
from xai.dashboard.limits import limits
from xai.dashboard.turnstile import once_for_all, our_turn
from xai.evidence import Evidence, gather_evidence
from xai.figures.player import player_payload
from xai.removal import from_json, to_json
from xai.rerun import Rerun


@st.cache_resource(max_entries=limits().networks, show_spinner=False)
def _recognizer(path: str, digest: str) -> Recognizer:
    return Recognizer.load(path)


def recognizer(path: Path) -> Recognizer:
    """The network of a checkpoint file, loaded once for everyone."""
    return _recognizer(str(path), checkpoint_hash(path))


def evidence(network: Recognizer, clip: Clip) -> Evidence:
    """What a checkpoint did on a clip; computed once for everyone who asks."""

    def make() -> Evidence:
        with our_turn():
            return gather_evidence(network, clip, looks=True)

    return once_for_all(("evidence", network.checkpoint, clip.identity), make)


def payload(network: Recognizer, clip: Clip) -> dict[str, Any]:
    """What the player shows of a checkpoint on a clip."""
    key = "payload", network.checkpoint, clip.identity
    return once_for_all(key, lambda: player_payload(evidence(network, clip)))


def rerun(network: Recognizer, clip: Clip) -> Rerun:
    """One clip and one network, with what all changes of the clip have in common (F_a and F_b of the untouched one)."""
    return once_for_all(("rerun", network.checkpoint, clip.identity), lambda: Rerun.of(network, clip))


def bundled_clips() -> ByName:
    """The clips that ship, by name, opened when asked for."""
    return ByName({clip.name: partial(bundled_clip, clip.path) for clip in open_library().clips})


def changed(network: Recognizer, clip: Clip, removals: str) -> Changed:
    """What the network says without `removals` (JSON). Raises ValueError in one sentence, whoever wrote them."""
    asked = from_json(removals)
    again = rerun(network, clip)

    def make() -> Changed:
        with our_turn():
            return change(again, asked, bundled_clips())

    return once_for_all(("changed", network.checkpoint, clip.identity, to_json(asked)), make)


def payload_without(network: Recognizer, clip: Clip, removals: str) -> dict[str, Any]:
    """What the player shows of the changed clip: the evidence of the changed pass."""
    again, found = rerun(network, clip), changed(network, clip, removals)

    def make() -> dict[str, Any]:
        with our_turn():
            return changed_payload(again, found)

    return once_for_all(("payload without", network.checkpoint, clip.identity, to_json(from_json(removals))), make)


def figure(network: Recognizer, clip: Clip, name: str, kind: str) -> bytes:
    """One of the figures for print, as the bytes of a file."""
    from xai.figures.paper import FIGURES, render

    key = "printed", network.checkpoint, clip.identity, name, kind
    return once_for_all(key, lambda: render(FIGURES[name](evidence(network, clip)), kind))


def numbers(network: Recognizer, clip: Clip) -> bytes:
    """The evidence as the bytes of an `.npz`."""

    def make() -> bytes:
        with tempfile.TemporaryDirectory(prefix="kinescope-") as folder:
            path = Path(folder) / "evidence.npz"
            evidence(network, clip).save(path)
            return path.read_bytes()

    return once_for_all(("numbers", network.checkpoint, clip.identity), make)


@st.cache_resource(show_spinner=False)
def _jhmdb() -> Jhmdb:
    folder = jhmdb_folder()
    assert folder is not None
    return Jhmdb(folder)


def jhmdb_names() -> list[str]:
    """`class/clip` of every test clip of split 1."""
    data = _jhmdb()
    return ["/".join(data.clips[i]) for i in data.splits["test"]]


def jhmdb_clip(label: str, name: str) -> Clip:
    return once_for_all(("jhmdb", label, name), lambda: _jhmdb().named(label, name))


@dataclass(frozen=True)
class Upload:
    """The bytes of one uploaded file, named by their hash."""

    name: str
    data: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:16]

    def spool(self, folder: Path) -> Path:
        """Write the bytes under a name of our own: the user's name decides the suffix and nothing else."""
        suffix = Path(self.name).suffix.lower()
        path = folder / f"upload{suffix if re.fullmatch('[.][a-z0-9]{1,12}', suffix) else ''}"
        path.write_bytes(self.data)
        return path

    @contextmanager
    def named(self) -> Iterator[None]:
        """What is wrong with the file is said under the name by which its owner knows it."""
        try:
            yield
        except (ClipError, CheckpointError) as error:  # others cannot be made of a sentence
            ours = f"upload{Path(self.name).suffix.lower()}"
            raise type(error)(str(error).replace(ours, self.name[:80])) from error


def uploaded_clip(video: Upload, joints: Upload | None) -> Clip:
    """The clip of an uploaded video and joints. Raises ClipError in one sentence; nothing stays on disk."""

    def make() -> Clip:
        with tempfile.TemporaryDirectory(prefix="kinescope-") as folder:
            first, second = Path(folder) / "video", Path(folder) / "joints"
            first.mkdir()
            second.mkdir()
            placed = None if joints is None else joints.spool(second)
            with video.named(), joints.named() if joints else nullcontext():
                return read_clip(video.spool(first), placed, limits().video())

    return once_for_all(("upload", video.digest, joints.digest if joints else None), make)


@st.cache_resource(max_entries=limits().networks, show_spinner=False)
def _uploaded_checkpoint(digest: str, _upload: Upload) -> Recognizer:
    with tempfile.TemporaryDirectory(prefix="kinescope-") as folder, _upload.named():
        path = _upload.spool(Path(folder))
        _, card = read_card(path)
        if card.frames * card.size**2 > limits().input_pixels:
            raise CheckpointError(
                f"{path.name} reads {card.frames} frames of {card.size} x {card.size} pixels, and this server runs at "
                f"most {limits().input_pixels / 1e6:.1f} million pixels; run it on a machine of your own."
            )
        return Recognizer.load(path)


def uploaded_checkpoint(upload: Upload) -> Recognizer:
    """The network in an uploaded file. Raises CheckpointError in one sentence; nothing in the file is run."""
    return _uploaded_checkpoint(upload.digest, upload)
