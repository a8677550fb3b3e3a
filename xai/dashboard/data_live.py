"""Data sets, predictions and thumbnails of this server: opened once, shared by all, bounded, computed beside the page.

The work on data sets has a queue of its own (`data_jobs`): a data set that takes minutes must not keep anybody from
asking a method, and thumbnails are made beside the predictions. Predictions come in stretches of `STRETCH` seconds, so
that several visitors who want different ones take turns. Torch is imported by whoever hands in a network, not here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from training.clip import Clip
from training.datasets import Dataset
from training.errors import ClipError
from xai.dashboard.data_predictions import Predicted, find, predict_some
from xai.dashboard.data_sets import Offer, Split, offers
from xai.dashboard.data_thumbnails import Thumbnail
from xai.dashboard.jobs import Jobs, Progress
from xai.dashboard.kept import Kept, kept
from xai.dashboard.limits import limits

if TYPE_CHECKING:
    from training.recognizer import Recognizer

STRETCH = 15.0
"""Seconds of predicting before somebody else has a turn."""


@st.cache_resource(show_spinner=False)
def data_jobs() -> Jobs:
    """The queue of work on whole data sets: one worker predicts, the other makes thumbnails."""
    return Jobs(limits().data_results, queue=limits().queue, long=limits().data_jobs)


@st.cache_resource(show_spinner=False)
def _thumbnails() -> Kept:
    return Kept(limits().thumbnails, limits().thumbnails_mb << 20)


@st.cache_resource(max_entries=8, show_spinner=False)
def _dataset(offer: Offer) -> Dataset:
    return offer.open()


def dataset(title: str) -> Dataset:
    """A data set of this server by its title. Raises ValueError in one sentence."""
    return _dataset(offered(title))


def offered(title: str) -> Offer:
    for offer in offers():
        if offer.title == title:
            return offer
    raise ClipError(f"This server has no data set {title[:60]!r}; it has {', '.join(o.title for o in offers())}.")


@st.cache_resource(max_entries=16, show_spinner=False)
def _split(offer: Offer, name: str) -> Split:
    return Split.of(offer, _dataset(offer), name)


def split(title: str, name: str) -> Split:
    """One split of a data set. Raises ValueError in one sentence."""
    return _split(offered(title), name)


def clip(title: str, name: str, position: int) -> Clip:
    """One clip of a split, counted from 0. Raises ClipError in one sentence."""
    chosen = split(title, name)
    return kept().get(("data", chosen.fingerprint, position), lambda: chosen.clip(position))


def predicted(chosen: Split, checkpoint: str) -> Predicted | None:
    """What is on disk of this checkpoint on this split; None where there is nothing."""
    path = find(chosen.fingerprint, checkpoint)
    try:
        about = path.stat()
    except OSError:
        return None
    return _read(str(path), (about.st_mtime_ns, about.st_size), len(chosen))


@st.cache_resource(max_entries=24, show_spinner=False)
def _read(path: str, stamp: tuple[int, int], clips: int) -> Predicted | None:
    return Predicted.read(Path(path), clips)


# ---- Work beside the page -------------------------------------------------------------------------------------------


def predicting(chosen: Split, network: Recognizer) -> Callable[[Progress], int]:
    """The next stretch of predictions, as work for a job."""
    return lambda progress: predict_some(chosen, network, STRETCH, progress)


def thumbnail(chosen: Split, position: int) -> Thumbnail | None:
    """The thumbnail of a clip, if it was made."""
    found: Thumbnail | None = _thumbnails().peek((chosen.fingerprint, position))
    return found


def picturing(chosen: Split, positions: Sequence[int]) -> tuple[Hashable, Callable[[Progress], int]]:
    """Key and work of a job that makes thumbnails."""
    kept = _thumbnails()

    def picture(position: int) -> Thumbnail:
        try:
            return Thumbnail.of(chosen.clip(position))
        except ValueError as error:
            return Thumbnail.missing(str(error))

    def work(progress: Progress) -> int:
        for count, position in enumerate(positions):
            progress(count, len(positions))
            kept.get((chosen.fingerprint, position), lambda position=position: picture(position))  # type: ignore[misc]
        return len(positions)

    return ("thumbnails", chosen.fingerprint, tuple(positions)), work
