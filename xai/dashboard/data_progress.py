"""Have a data set predicted, and see how far it is: nothing yet, waiting, working, stopped half-way, failed.

Predictions come in stretches (data_live.py). When one has ended the page is drawn again with what is there, and asks
for the next. Whoever asks for the same pair of data set and checkpoint shares one computation; who cancels or closes
the page leaves what was done on disk for the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from xai.dashboard import data_live
from xai.dashboard.choose import open_checkpoint
from xai.dashboard.data_predictions import Predicted, content_hash
from xai.dashboard.data_sets import Split
from xai.dashboard.fitting import say_misfit
from xai.dashboard.jobs import Standing
from xai.dashboard.library import BundledCheckpoint
from xai.dashboard.methods_panel import EVERY, visitor
from xai.dashboard.shown import plain


@dataclass(frozen=True, eq=False)
class Network:
    """A checkpoint as the pages choose it, and the hash of its content; its weights are not read."""

    chosen: Any
    key: str
    """What a link calls it."""
    name: str
    checkpoint: str

    @classmethod
    def of(cls, chosen: Any) -> Network:
        if isinstance(chosen, BundledCheckpoint):
            return cls(chosen, chosen.key, chosen.name, _hash(str(chosen.path), chosen.path.stat().st_mtime_ns))
        return cls(chosen, "upload", chosen.name, chosen.digest)


@st.cache_resource(max_entries=32, show_spinner=False)
def _hash(path: str, stamp: int) -> str:
    from pathlib import Path

    return content_hash(Path(path))


def span(seconds: float) -> str:
    """A time to wait, in words."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def working_words(standing: Standing, clips: int, done: int, pace: float | None) -> str:
    """What stands on the bar."""
    if standing.state == "waiting" and standing.ahead:
        return f"In the queue: {standing.ahead} before this. {done:,} of {clips:,} clips are done."
    done = max(done, round(standing.part * clips))
    left = "" if pace is None or done >= clips else f"; about {span(pace * (clips - done))} left"
    return f"{done:,} of {clips:,} clips{left}"


def predictions(split: Split, networks: Sequence[Network], panel: str) -> list[Predicted | None]:
    """What there is of each network on the split; under way or to be started, with its state on the page. First it is
    said when they were trained on something else."""
    say_misfit(split.dataset.name, [network.chosen for network in networks])
    found = [data_live.predicted(split, network.checkpoint) for network in networks]
    open_ = [i for i, each in enumerate(found) if each is None or each.done < len(split)]
    wanted = _wish(panel)
    if wanted != (split.fingerprint, *(network.checkpoint for network in networks)):
        wanted = None
    if not open_:
        return found
    i = open_[0]
    if wanted is None:
        _offer(split, [networks[k] for k in open_], [found[k] for k in open_], panel, networks)
    else:
        _follow(split, networks[i], found[i], panel)
    return found


def _wish(panel: str) -> Any:
    return st.session_state.get(f"predict {panel}")


def _want(panel: str, wish: tuple[str, ...]) -> None:
    st.session_state[f"predict {panel}"] = wish


def _stop(panel: str) -> None:
    data_live.data_jobs().leave(visitor(panel))
    st.session_state.pop(f"predict {panel}", None)


def _offer(
    split: Split,
    missing: Sequence[Network],
    found: Sequence[Predicted | None],
    panel: str,
    all_of: Sequence[Network],
) -> None:
    """Nothing is computed without being asked for; how long it takes is said where it is known."""
    clips = len(split)
    left = sum(clips - (each.done if each else 0) for each in found)
    names = " and ".join(f"**{plain(network.name)}**" for network in missing)
    begun = any(each is not None and each.done for each in found)
    pace = next((each.pace() for each in found if each is not None and each.pace() is not None), None)
    time = "" if pace is None else f" About {span(pace * left)}."
    if not begun:
        said = (
            f"What {names} says of the {clips:,} clips of {plain(split.title)} is not known yet. It is computed once, "
            "beside the page, and kept on disk for everyone."
        )
    else:
        done = ", ".join(f"{(each.done if each else 0):,}" for each in found)
        said = f"{names}: {done} of {clips:,} clips are predicted; the numbers below are of these."
    wish = (split.fingerprint, *(network.checkpoint for network in all_of))
    with st.container(border=True):
        text, button = st.columns([5, 2], vertical_alignment="center")
        text.markdown(said + time)
        button.button(
            f"Predict {left:,} clips" if not begun else "Go on", key=f"start {panel}", type="primary",
            on_click=_want, args=(panel, wish), width="stretch",
        )  # fmt: skip


def _follow(split: Split, network: Network, found: Predicted | None, panel: str) -> None:
    jobs, who = data_live.data_jobs(), visitor(panel)
    turn = st.session_state.get(f"turn {panel}", 0)
    key: Hashable = ("predict", split.fingerprint, network.checkpoint, found.rounds if found else 0, turn)
    standing = jobs.standing(key, who)
    if standing is not None and standing.state == "failed":
        _failed(standing.sentence, panel)
        return
    if standing is not None and standing.state == "done":
        # It ended and the file does not say so: somebody emptied the folder. Begin again under another name.
        st.session_state[f"turn {panel}"] = turn + 1
        st.rerun()
    if standing is None or not standing.mine:
        try:
            with st.spinner("Loading the network"):
                recognizer = open_checkpoint(network.chosen)
        except ValueError as error:
            _failed(str(error), panel)
            return
        jobs.ask(key, data_live.predicting(split, recognizer), who)
    _bar(key, split, network.name, found, panel)


def _failed(sentence: str, panel: str) -> None:
    text, button = st.columns([5, 1], vertical_alignment="center")
    text.error(f"The predictions stopped. {sentence}")

    def again() -> None:
        st.session_state[f"turn {panel}"] = st.session_state.get(f"turn {panel}", 0) + 1

    button.button("Try again", key=f"again {panel}", on_click=again, width="stretch")


@st.fragment(run_every=EVERY)
def _bar(key: Hashable, split: Split, name: str, found: Predicted | None, panel: str) -> None:
    """How far it is; looks again by itself, and draws the page again when the stretch has ended."""
    jobs, who = data_live.data_jobs(), visitor(panel)
    standing = jobs.standing(key, who)
    if standing is None or not standing.pending or not standing.mine:
        st.rerun()
    done = found.done if found else 0
    words = working_words(standing, len(split), done, found.pace() if found else None)
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.progress(max(standing.part, done / len(split)), text=f"{name}: {words}")
    if right.button("Cancel", key=f"cancel {panel}", width="stretch"):
        _stop(panel)
        st.rerun()
