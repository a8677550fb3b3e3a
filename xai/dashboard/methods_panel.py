"""Ask another way: one question, any method, on this network and this clip, with its cost before and its trust after.

Nothing is imported of torch until the panel is opened. Maps are computed by the jobs of the server (jobs.py), so that
everyone who asks the same shares one computation; quick methods run at once, long ones when asked, with a bar.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from xai.dashboard.basket import opened_pair
from xai.dashboard.choose import ClipChoice, look_for, open_checkpoint, say_lost
from xai.dashboard.jobs import Progress, Standing, shared_jobs
from xai.dashboard.shown import plain
from xai.known_trust import shipped_trust

if TYPE_CHECKING:
    from training.clip import Clip
    from training.recognizer import Recognizer
    from xai.explanation import Explanation
    from xai.methods import Method

ON_WORDS = {
    "frames": "pixels", "joints": "joints", "time": "frames", "modal": "modal tokens", "features_a": "F_a",
    "features_b": "F_b", "patches": "patch tokens", "pose": "pose tokens", "parts": "whole parts",
}  # fmt: skip
AT_ONCE = 1.5
"""Seconds that a page waits for a job before it shows a bar."""
EVERY = 0.6
"""Seconds between two looks at a job."""
MODEL_CHOICE, NOBODY = "what the model says", "any other"


@dataclass(frozen=True)
class Ask:
    """What is asked: which method, about what, why which class, rather than which."""

    method: str
    on: str
    target: str | None = None
    against: str | None = None
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def kind(self) -> str:
        """Asks that cost about the same."""
        return f"{self.method} on {self.on} {self.options}"


def ask_another_way(clip: ClipChoice, checkpoint: Any) -> None:
    """The section under the player, closed until somebody opens it, or a link with `ask=true` does."""
    st.subheader("Ask another way", anchor=False)
    if not st.toggle("Choose a method", key="ask", bind="query-params"):
        st.caption(
            "Gradients, attention relevance, removal, Shapley values, counterfactuals: asked of this network and this "
            "clip, each with its cost, its base rate and a measure of trust."
        )
        return
    opened = open_pair(clip, checkpoint)
    if opened is not None:
        map_panel(*opened)


def open_pair(clip: ClipChoice, checkpoint: Any) -> tuple[Recognizer, Clip] | None:
    """Network and clip, or None after a sentence."""
    try:
        with st.spinner("Loading the network"):
            opened = open_checkpoint(checkpoint), clip.open()
        opened_pair(clip, checkpoint, opened)
        return opened
    except ValueError as error:
        st.error(plain(error))
        return None


@st.fragment
def map_panel(network: Recognizer, clip: Clip) -> None:
    """One question and its map. Choices redraw this part of the page and nothing else."""
    from xai.dashboard.map_view import show_map, show_scale

    ask, start = choose_ask(network, clip, "")
    if ask is None:
        return
    explanation = answered(ask, network, clip, "", start)
    if explanation is not None:
        show_map([(ask, explanation)], network, clip, show_scale(clip, ""))


def visitor(panel: str) -> str:
    """Who waits: one panel of one person, without a name."""
    return f"{st.session_state.setdefault('visitor', secrets.token_hex(8))} {panel}"


# ---- What to ask ----------------------------------------------------------------------------------------------------


def askable(network: Recognizer, clip: Clip) -> list[Method]:
    """The methods that this network and this clip have what it takes for."""
    from xai.methods import methods

    return [method for method in methods() if sites(method, network, clip)]


def sites(method: Method, network: Recognizer, clip: Clip) -> list[str]:
    """What the method can explain of them."""
    from xai.methods import refusal

    joints = bool(clip.score.any())
    return [on for on in method.on if not refusal(method, on, network.network, joints)]


def quick(method: Method) -> bool:
    """A few passes at most: such a method is asked without a button."""
    return re.fullmatch(r"none|[1-3] forward(, 1 backward)?|1 forward a limb, .*", method.cost) is not None


def choose_ask(
    network: Recognizer, clip: Clip, panel: str, first: str = "limb removal", narrow: bool = False
) -> tuple[Ask | None, bool]:
    """The controls; also whether the person pressed the button that a long method waits for."""
    known = {method.name: method for method in askable(network, clip)}
    if not known:
        st.info("No method can be asked of this network and this clip.")
        return None, False
    names = list(known)
    wide = (st.columns(2), st.columns(2)) if narrow else (st.columns([3, 3, 3, 3]),)
    places = [place for row in wide for place in row]
    labels = list(network.card.labels)
    look_for(f"method{panel}", names)
    look_for(f"why{panel}", [MODEL_CHOICE, *labels])
    name = places[0].selectbox(
        "Method", names, key=f"method{panel}", bind="query-params",
        index=names.index(first) if first in names else 0,
    )  # fmt: skip
    method = known[str(name)]
    on = places[1].selectbox(
        "On", sites(method, network, clip), key=f"on{panel}", bind="query-params", format_func=ON_WORDS.__getitem__,
        help="What the map is over: pixels, joints, frames, or tokens inside the network.",
    )  # fmt: skip
    target = places[2].selectbox("Why", [MODEL_CHOICE, *labels], key=f"why{panel}", bind="query-params")
    others = [NOBODY, *(label for label in labels if label != target)]
    against = places[3].selectbox("rather than", others, key=f"rather{panel}", bind="query-params")
    say_lost(f"method{panel}", "method for this network", method.name)
    say_lost(f"why{panel}", "class", str(target))
    options = _options(method, panel)
    ask = Ask(
        method.name, str(on), None if target == MODEL_CHOICE else str(target),
        None if against == NOBODY else str(against), options,
    )  # fmt: skip
    usual = shared_jobs().usual(_kind(ask, network))
    took = "" if usual is None else f"; the last one took {usual:.1f} s here"
    cost = "no pass of the network" if method.cost == "none" else method.cost
    said = f"**{method.about}** :gray[Cost: {cost}{took}.]"
    if quick(method):
        st.markdown(said)
        return ask, True
    left, right = st.columns([1, 5] if not narrow else [1, 3], vertical_alignment="center")
    pressed = left.button("Ask", key=f"do_ask{panel}", type="primary", width="stretch")
    right.markdown(said)
    return ask, pressed


def _options(method: Method, panel: str) -> tuple[tuple[str, Any], ...]:
    """Numbers that a method can be given, bounded; what is left at its default is not named."""
    numbers = {
        name: value
        for name, value in method.options.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if not numbers:
        return ()
    chosen = []
    with st.popover("Options"):
        for name, default in numbers.items():
            step: Any = 1 if isinstance(default, int) else default / 5
            value = st.number_input(
                name.capitalize(), min_value=step, max_value=4 * default, value=default, step=step,
                key=f"{method.name} {name}{panel}".replace(" ", "_"), bind="query-params",
            )  # fmt: skip
            if value != default:
                chosen.append((name, value))
    return tuple(chosen)


# ---- The answer -----------------------------------------------------------------------------------------------------


def _kind(ask: Ask, network: Recognizer) -> str:
    return f"{ask.kind} {network.checkpoint}"


def map_key(ask: Ask, network: Recognizer, clip: Clip) -> Hashable:
    return _map_key(ask, network.checkpoint, clip.identity)


def _map_key(ask: Ask, checkpoint: str, clip: str) -> Hashable:
    return ("map", checkpoint, clip, ask)


def trust_key(ask: Ask, checkpoint: str, clip: str) -> Hashable:
    """Of the job that measures the map which answers `ask`; both by what names them, so without torch."""
    return ("trust", _map_key(ask, checkpoint, clip))


def known_trust(ask: Ask, checkpoint: str, clip: Clip) -> Mapping[str, Any] | None:
    """`TrustReport.to_dict` of the map that answers `ask`: measured on this server, or shipped."""
    standing = shared_jobs().standing(trust_key(ask, checkpoint, clip.identity))
    if standing is not None and standing.state == "done":
        found: Mapping[str, Any] = standing.result.to_dict()
        return found
    asked = ask == Ask(ask.method, ask.on)  # what ships was asked nothing else
    return shipped_trust(checkpoint, clip.fingerprint).get((ask.method, ask.on)) if asked else None


def answered(ask: Ask, network: Recognizer, clip: Clip, panel: str, start: bool) -> Explanation | None:
    """The map, from whoever asked first; None while it is not there, after saying why."""
    from xai.methods import explain, methods

    method = next(each for each in methods() if each.name == ask.method)

    def work(progress: Progress) -> Explanation:
        return explain(
            network, clip, ask.method, ask.target, ask.against, on=ask.on, progress=progress, **dict(ask.options)
        )

    key = map_key(ask, network, clip)
    return followed(key, work, f"map{panel}", start, quick=quick(method), kind=_kind(ask, network))


def followed(
    key: Hashable, work: Callable[[Progress], Any], panel: str, start: bool, *, quick: bool = False, kind: str = ""
) -> Any:
    """The result of a job: started if `start`, waited for a moment, then followed with a bar and a way to cancel."""
    jobs, who = shared_jobs(), visitor(panel)
    standing = jobs.standing(key, who)
    if standing is None or (standing.state == "failed" and start and not quick):
        if not start:
            return None
        jobs.ask(key, work, who, quick=quick, kind=kind)
        with st.spinner("Computing"):
            jobs.wait(key, AT_ONCE)
        standing = jobs.standing(key, who)
    if standing is None:
        return None
    if standing.pending:
        if start and not standing.mine:
            jobs.ask(key, work, who, quick=quick, kind=kind)
        if start or standing.mine:
            _bar(key, panel)
        return None
    if standing.state == "failed":
        st.warning(plain(standing.sentence))
        return None
    return standing.result


def in_words(standing: Standing) -> str:
    if standing.state == "waiting":
        count = standing.ahead
        return f"In the queue: {count} {'computation' if count == 1 else 'computations'} before this one."
    return f"Computing: {100 * standing.part:.0f} %."


@st.fragment(run_every=EVERY)
def _bar(key: Hashable, panel: str) -> None:
    """How far the job is; looks again by itself, and draws the page again when it has ended."""
    jobs, who = shared_jobs(), visitor(panel)
    standing = jobs.standing(key, who)
    if standing is None or not standing.pending or not standing.mine:
        st.rerun()
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.progress(standing.part, text=in_words(standing))
    right.button("Cancel", key=f"cancel {panel}", on_click=jobs.leave, args=(who,), width="stretch")
