"""The trust badge: beside every map, how far it can be believed, in words; "not measured" is one of its states.

Measured when asked for (it costs hundreds of passes), by the jobs of the server, from the thresholds of xai/trust.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from xai.dashboard.colours import ACCENT, GREY
from xai.dashboard.jobs import Progress, shared_jobs
from xai.dashboard.maps import digits

if TYPE_CHECKING:
    from training.clip import Clip
    from training.recognizer import Recognizer
    from xai.dashboard.film import Film
    from xai.dashboard.methods_panel import Ask
    from xai.explanation import Explanation
    from xai.known_cause import Score
    from xai.trust import TrustReport

COST = (
    "Removes in the order of the map and in 40 random orders (about 300 passes), and makes the map six times more: "
    "with a randomised head and network, for another class, and after three changes that should not matter."
)
BADGES = {"supported": ("Trust: supported", "green"), "doubtful": ("Trust: doubtful", "orange")}
NOT_MEASURED = "Trust: not measured"
TARGET_WORDS = {"joints": "joints", "frames": "frames", "pixels": "pixels"}


def show_trust(
    ask: Ask, explanation: Explanation, network: Recognizer, clip: Clip, film: Film, panel: str
) -> Mapping[str, Any] | None:
    """The badge with its sentences, the button that measures, and what is behind the verdict."""
    from xai.dashboard.methods_panel import followed, known_trust, trust_key
    from xai.known_cause import score

    key = trust_key(ask, network.checkpoint, clip.identity)
    found = known_trust(ask, network.checkpoint, clip)
    causes = score(explanation, network.view(clip).shown(clip)) if clip.cause is not None else []
    with st.container(border=True):
        if found is None:
            _measure(key, ask, explanation, network, clip, panel, followed)
        else:
            show_verdict(found)
        if causes:
            st.markdown(cause_sentence(causes))
        if found is not None:
            show_behind(found, f"{ask} {panel}")
    return found


def show_verdict(found: Mapping[str, Any]) -> None:
    """The badge and its sentences, of `TrustReport.to_dict`."""
    label, colour = BADGES.get(found["level"], (NOT_MEASURED, "gray"))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(label, color=colour)  # type: ignore[arg-type]
        st.markdown(found["verdict"])


@st.fragment
def show_behind(found: Mapping[str, Any], key: str) -> None:
    """Curves and numbers behind a verdict, closed; drawn when opened, for the first screen must not wait for plotly."""
    behind = st.expander("Curves and numbers behind the verdict", key=f"behind {key}", on_change="rerun")
    if not behind.open:
        return
    with behind:
        if "faithfulness" in found:
            st.plotly_chart(curves(found), key=f"curves {key}", config={"displayModeBar": False})
        st.html(numbers_html(found))


def _measure(
    key: Any, ask: Ask, explanation: Explanation, network: Recognizer, clip: Clip, panel: str, followed: Any
) -> None:
    def work(progress: Progress) -> TrustReport:
        from xai.trust import trust

        return trust(network, clip, explanation, progress=progress)

    kind, pressed = measure_button(ask, network.checkpoint, panel)
    if followed(key, work, f"trust{panel}", pressed, kind=kind) is not None:
        st.rerun()


def measure_button(ask: Ask, checkpoint: str, panel: str) -> tuple[str, bool]:
    """What stands where nothing was measured: which kind of job it would be, and whether it was asked for."""
    kind = f"trust {ask.kind} {checkpoint}"
    usual = shared_jobs().usual(kind)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(NOT_MEASURED, color="gray")
        pressed = st.button("Measure trust", key=f"measure {ask} {panel}")
    st.caption(COST + ("" if usual is None else f" The last one took {usual:.0f} s here."))
    return kind, pressed


def cause_sentence(causes: list[Score]) -> str:
    """Does the strongest entry lie on what is known to decide the label? Beside the base rate."""
    said = []
    for score in causes:
        if score.measure != "pointing":
            continue
        target = TARGET_WORDS[score.target]
        where = "lies on" if score.value >= 0.999 else "is not among"
        if 0 < score.value < 0.999:
            where = f"shares its place with others, {score.value:.0%} of them on"
        mass = next((each for each in causes if (each.target, each.measure) == (score.target, "mass")), None)
        also = "" if mass is None else f"; {mass.value:.0%} of the map's mass lies on them"
        said.append(f"the strongest entry {where} the deciding {target} (by chance {score.base:.0%}){also}")
    if not said:
        return "Known cause: this map cannot be compared with it."
    return "Known cause: " + "; ".join(said) + "."


def curves(measured: Mapping[str, Any]) -> go.Figure:
    """Deletion and insertion: the map, motion energy, and the band of random orders."""
    found = measured["faithfulness"]
    share = [100 * part for part in found["share"]]
    titles = ("deletion: strongest first", "insertion: strongest first")
    figure = make_subplots(1, 2, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.06)
    for column, name in enumerate(("deletion", "insertion"), start=1):
        first = column == 1
        low, high = found[f"random_{name}_low"], found[f"random_{name}_high"]
        figure.add_scatter(
            x=share + share[::-1], y=high + low[::-1], fill="toself", fillcolor="rgba(128,128,128,0.22)",
            mode="lines", line={"width": 0}, name="random orders, 95 %", hoverinfo="skip", showlegend=first,
            legendgroup="band", row=1, col=column,
        )  # fmt: skip
        lines = (
            ("random orders, mean", found[f"random_{name}"], GREY, "dot"),
            ("motion energy", found[f"motion_{name}"], "#d55e00", "dash"),
            ("this map", found[name], ACCENT, "solid"),
        )
        for label, values, colour, dash in lines:
            figure.add_scatter(
                x=share, y=values, mode="lines", name=label, line={"color": colour, "dash": dash, "width": 2},
                showlegend=first, legendgroup=label, row=1, col=column,
            )  # fmt: skip
    units = found["units"]
    figure.update_xaxes(title=f"{units} taken away, %", row=1, col=1)
    figure.update_xaxes(title=f"{units} given back, %", row=1, col=2)
    figure.update_yaxes(title="score (logit, raw)", row=1, col=1)
    figure.update_layout(
        height=310, margin={"l": 0, "r": 0, "t": 28, "b": 0}, legend={"orientation": "h", "y": -0.34, "x": 0}
    )
    figure.update_annotations(font_size=12)
    return figure


def numbers(found: Mapping[str, Any]) -> list[tuple[str, str, str, bool | None]]:
    """What was measured, its value, its threshold, and whether it passed (None: it decides nothing, or is missing).

    `found` is what `TrustReport.to_dict` says, so that a verdict which ships needs no torch.
    """
    most = found["thresholds"]
    rows: list[tuple[str, str, str, bool | None]] = []
    missing = "not measured"
    if (faithful := found.get("faithfulness")) is not None:
        low, high = faithful["interval"]
        over = digits(faithful["over_random"], plus=True)
        interval = f"{over} logit (95 % {digits(low, plus=True)} to {digits(high, plus=True)})"
        rows.append(("gain over random removal", interval, "above 0", None))
        share = f"{faithful['chance']:.3f}"
        beats = faithful["beats_random"]
        rows.append(("random orders that do as well", share, f"at most {most['chance']}", beats))
        gain, motion = faithful["gain"], faithful["motion_gain"]
        both = f"{digits(gain)} against {digits(motion)} logit"
        rows.append(("gain, and that of motion energy", both, "above it", gain > motion))
    else:
        rows.append(("removal", missing, f"at most {most['chance']} of random orders as good", None))
    if (sane := found.get("sanity")) is not None:
        below = f"below {most['survives']}"
        network, other = sane["network"], sane["other_class"]
        rows.append(("same map with a randomised network", f"{network:.2f}", below, network < most["survives"]))
        rows.append(("same map with a randomised head", f"{sane['head']:.2f}", "no threshold", None))
        if other is not None:
            asked, below = f"same map for {sane['asked']}", f"below {most['same_class']}"
            rows.append((asked, f"{other:.2f}", below, other < most["same_class"]))
    else:
        rows.append(("randomised network", missing, f"below {most['survives']}", None))
    least = f"at least {most['stable']}"
    if (steady := found.get("stability")) is not None:
        changes = {"pixels": "noise in the pixels", "joints": "a jitter of the joints", "shift": "a shift by one frame"}
        for change, name in changes.items():
            if (value := steady[change]) is not None:
                rows.append((f"same map after {name}", f"{value:.2f}", least, value >= most["stable"]))
    else:
        rows.append(("stability", missing, least, None))
    if (complete := found.get("completeness")) is not None:
        total, promised = complete
        within = f"{digits(promised, plus=True)}, within {most['incomplete']:.0%}"
        passed = abs(total - promised) <= most["incomplete"] * max(abs(promised), 1e-6)
        rows.append(("sum of the map", digits(total, plus=True), within, passed))
    for score in (each for each in found.get("causes", ()) if each["measure"] == "rank"):
        others = ", ".join(
            f"{base['of']} {base['value']:.2f}"
            for base in found.get("base_rates", ())
            if (base["target"], base["measure"]) == (score["target"], "rank")
        )
        about = f"no threshold; uniform {score['base']:.2f}{', ' * bool(others)}{others}"
        said = f"deciding {TARGET_WORDS[score['target']]} rank above others"
        rows.append((said, f"{score['value']:.2f}", about, None))
    for score in (each for each in found.get("people", ()) if each["measure"] == "mass"):
        about = f"no threshold; uniform {score['base']:.0%}"
        rows.append(("mass on the people", f"{score['value']:.0%}", about, None))
    return rows


def numbers_html(found: Mapping[str, Any]) -> str:
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td><td>{escape(threshold)}</td>"
        f"<td>{'' if passed is None else 'passed' if passed else '<b>not passed</b>'}</td></tr>"
        for name, value, threshold, passed in numbers(found)
    )
    return (
        "<style>.trust-numbers { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }"
        ".trust-numbers td, .trust-numbers th { padding: 2px 18px 2px 0; text-align: left; border-bottom: 1px solid "
        "rgba(128,128,128,0.25); vertical-align: top; }</style>"
        '<table class="trust-numbers"><tr><th>measure (rank correlation from -1 to 1 for "same map")</th>'
        f"<th>found</th><th>threshold</th><th></th></tr>{body}</table>"
    )
