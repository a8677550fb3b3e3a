"""Live computation: checkpoints, uploads and predictions, shared by all sessions and bounded.

Imported only when something must be computed: the first screen is drawn from bundled traces without torch. Everything
cached is immutable and keyed by content, so sessions that ask for the same get the same, and nobody gets another's.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from model import checkpoint_hash, read_card
from training.clip import Clip
from training.clip_file import load_clip, read_clip
from training.datasets.jhmdb import Jhmdb
from training.recognizer import Recognizer
from xai.dashboard.changed import ByName, Changed, change, changed_payload
from xai.dashboard.choose import jhmdb_folder
from xai.dashboard.library import open_library
from xai.evidence import Evidence, gather_evidence
from xai.figures.player import player_payload
from xai.removal import from_json, to_json
from xai.rerun import Rerun


@st.cache_resource(show_spinner=False)
def turnstile() -> threading.Semaphore:
    """Two predictions at a time: more would only slow each other down."""
    return threading.Semaphore(2)


@st.cache_resource(max_entries=6, show_spinner=False)
def _recognizer(path: str, digest: str) -> Recognizer:
    return Recognizer.load(path)


def recognizer(path: Path) -> Recognizer:
    """The network of a checkpoint file, loaded once for everyone."""
    return _recognizer(str(path), checkpoint_hash(path))


@st.cache_resource(max_entries=64, show_spinner=False)
def _bundled_clip(path: str) -> Clip:
    return load_clip(path)


def bundled_clip(path: Path) -> Clip:
    return _bundled_clip(str(path))


@st.cache_resource(max_entries=48, show_spinner=False)
def _evidence(checkpoint: str, clip: str, _recognizer: Recognizer, _clip: Clip) -> Evidence:
    with turnstile():
        return gather_evidence(_recognizer, _clip)


def evidence(network: Recognizer, clip: Clip) -> Evidence:
    """What a checkpoint did on a clip; computed once for everyone who asks."""
    return _evidence(network.checkpoint, clip.fingerprint, network, clip)


@st.cache_resource(max_entries=48, show_spinner=False)
def _payload(checkpoint: str, clip: str, _evidence: Evidence) -> dict[str, Any]:
    return player_payload(_evidence)


def payload(network: Recognizer, clip: Clip) -> dict[str, Any]:
    """What the player shows of a checkpoint on a clip."""
    return _payload(network.checkpoint, clip.fingerprint, evidence(network, clip))


@st.cache_resource(max_entries=6, show_spinner=False)
def _rerun(checkpoint: str, clip: str, _recognizer: Recognizer, _clip: Clip) -> Rerun:
    return Rerun.of(_recognizer, _clip)


def rerun(network: Recognizer, clip: Clip) -> Rerun:
    """One clip and one network, with what all changes of the clip have in common (F_a and F_b of the untouched one)."""
    return _rerun(network.checkpoint, clip.fingerprint, network, clip)


def bundled_clips() -> ByName:
    """The clips that ship, by name, opened when asked for."""
    return ByName({clip.name: partial(bundled_clip, clip.path) for clip in open_library().clips})


@st.cache_resource(max_entries=48, show_spinner=False)
def _changed(checkpoint: str, clip: str, removals: str, _rerun: Rerun) -> Changed:
    with turnstile():
        return change(_rerun, from_json(removals), bundled_clips())


def changed(network: Recognizer, clip: Clip, removals: str) -> Changed:
    """What the network says without `removals` (JSON). Raises ValueError in one sentence, whoever wrote them."""
    return _changed(network.checkpoint, clip.fingerprint, to_json(from_json(removals)), rerun(network, clip))


@st.cache_resource(max_entries=16, show_spinner=False)
def _payload_without(checkpoint: str, clip: str, removals: str, _rerun: Rerun, _changed: Changed) -> dict[str, Any]:
    with turnstile():
        return changed_payload(_rerun, _changed)


def payload_without(network: Recognizer, clip: Clip, removals: str) -> dict[str, Any]:
    """What the player shows of the changed clip: the evidence of the changed pass."""
    key = network.checkpoint, clip.fingerprint, to_json(from_json(removals))
    return _payload_without(*key, rerun(network, clip), changed(network, clip, removals))


def figure(network: Recognizer, clip: Clip, name: str, kind: str) -> bytes:
    """One of the figures for print, as the bytes of a file."""
    from xai.figures.paper import FIGURES, render

    return render(FIGURES[name](evidence(network, clip)), kind)


def numbers(network: Recognizer, clip: Clip) -> bytes:
    """The evidence as the bytes of an `.npz`."""
    with tempfile.TemporaryDirectory(prefix="kinescope-") as folder:
        path = Path(folder) / "evidence.npz"
        evidence(network, clip).save(path)
        return path.read_bytes()


@st.cache_resource(show_spinner=False)
def _jhmdb() -> Jhmdb:
    folder = jhmdb_folder()
    assert folder is not None
    return Jhmdb(folder, masks=False)


def jhmdb_names() -> list[str]:
    """`class/clip` of every test clip of split 1."""
    data = _jhmdb()
    return ["/".join(data.clips[i]) for i in data.splits["test"]]


@st.cache_resource(max_entries=16, show_spinner=False)
def jhmdb_clip(label: str, name: str) -> Clip:
    return _jhmdb().named(label, name)


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
        path = folder / f"upload{suffix if suffix[1:].isalnum() else ''}"
        path.write_bytes(self.data)
        return path


@st.cache_resource(max_entries=8, show_spinner=False)
def _uploaded_clip(video: str, joints: str | None, _video: Upload, _joints: Upload | None) -> Clip:
    with tempfile.TemporaryDirectory(prefix="kinescope-") as folder:
        first, second = Path(folder) / "video", Path(folder) / "joints"
        first.mkdir()
        second.mkdir()
        return read_clip(_video.spool(first), None if _joints is None else _joints.spool(second))


def uploaded_clip(video: Upload, joints: Upload | None) -> Clip:
    """The clip of an uploaded video and joints. Raises ClipError in one sentence; nothing stays on disk."""
    return _uploaded_clip(video.digest, joints.digest if joints else None, video, joints)


@st.cache_resource(max_entries=4, show_spinner=False)
def _uploaded_checkpoint(digest: str, _upload: Upload) -> Recognizer:
    with tempfile.TemporaryDirectory(prefix="kinescope-") as folder:
        path = _upload.spool(Path(folder))
        read_card(path)
        return Recognizer.load(path)


def uploaded_checkpoint(upload: Upload) -> Recognizer:
    """The network in an uploaded file. Raises CheckpointError in one sentence; nothing in the file is run."""
    return _uploaded_checkpoint(upload.digest, upload)
