"""What was taken away, with undo and redo, and what the answer became. The list lives in the address of the page.

Removals are held as the JSON that the link carries (xai/removal.py reads and checks it), so this needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import streamlit as st

from xai.dashboard.colours import ACCENT, GREY
from xai.dashboard.film import Film, draw_skeleton, source
from xai.dashboard.maps import token_name

if TYPE_CHECKING:
    from training.recognizer import Prediction

PARAMETER = "without"


@dataclass(frozen=True)
class History:
    """JSON lists of removals: what is taken away now, before it, and what was undone. "" is nothing."""

    now: str = ""
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()

    def do(self, text: str) -> History:
        return self if text == self.now else History(text, (*self.past, self.now)[-64:], ())

    def undo(self) -> History:
        return History(self.past[-1], self.past[:-1], (self.now, *self.future)) if self.past else self

    def redo(self) -> History:
        return History(self.future[0], (*self.past, self.now), self.future[1:]) if self.future else self

    def knows(self, text: str) -> bool:
        return text == self.now or text in self.past or text in self.future

    @property
    def removals(self) -> list[Any]:
        """The removals as plain values; none when the text (from a link, of whoever) is no list."""
        try:
            found = json.loads(self.now or "[]")
        except (ValueError, RecursionError):
            return []
        return found if isinstance(found, list) else []

    def adding(self, removal: Mapping[str, Any]) -> History:
        return self.do(written([*self.removals, dict(removal)]))

    def dropping(self, index: int) -> History:
        return self.do(written([each for i, each in enumerate(self.removals) if i != index]))


def written(removals: Sequence[Any]) -> str:
    return json.dumps(removals, separators=(",", ":")) if removals else ""


def current() -> History:
    """The history of this visitor. A link leads it; what was here before does not, for the address that comes with a
    click may be older than the click, and then it is the address that is put right."""
    asked = st.query_params.get(PARAMETER, "")
    history: History | None = st.session_state.get("history")
    if history is None or not history.knows(asked):
        history = (history or History()).do(asked)
    become(history)
    return history


def become(history: History) -> None:
    st.session_state["history"] = history
    if history.now == st.query_params.get(PARAMETER, ""):
        return
    if history.now:
        st.query_params[PARAMETER] = history.now
    else:
        st.query_params.pop(PARAMETER, None)


# ---- The answer -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What the network says: labels with probabilities, and the ledger of each label by token and frame."""

    probabilities: Mapping[str, float]
    logits: Mapping[str, float]
    tokens: tuple[str, ...]
    parts: Mapping[str, Any]
    """label -> [token, frame]."""

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> Answer:
        classes = payload["classes"]
        return cls(
            {c["label"]: c["probability"] for c in classes}, {c["label"]: c["logit"] for c in classes},
            tuple(payload["ledger"]["tokens"]),
            {c["label"]: parts for c, parts in zip(classes, payload["ledger"]["parts"], strict=True)},
        )  # fmt: skip

    @classmethod
    def of_prediction(cls, prediction: Prediction) -> Answer:
        labels = prediction.labels
        return cls(
            dict(zip(labels, prediction.probabilities.tolist(), strict=True)),
            dict(zip(labels, prediction.logits.tolist(), strict=True)),
            prediction.slots,
            dict(zip(labels, prediction.ledger.tolist(), strict=True)),
        )

    @property
    def top(self) -> str:
        return max(self.probabilities, key=lambda label: self.probabilities[label])


def share(value: float) -> str:
    return "> 0.99" if value > 0.995 else "< 0.01" if value < 0.005 else f"{value:.2f}"


def answer_html(before: Answer, now: Answer | None, count: int = 5) -> str:
    """A bar for each of the likeliest classes of either answer, in the order of the last: grey untouched, blue now."""
    after = now or before
    both = (before.probabilities, after.probabilities)
    strength = {label: max(each.get(label, 0.0) for each in both) for label in [*both[0], *both[1]]}
    likeliest = sorted(strength, key=lambda label: -strength[label])[:count]
    shown = sorted(likeliest, key=lambda label: -after.probabilities.get(label, 0.0))
    rows = []
    for label in shown:
        was, is_ = before.probabilities.get(label, 0.0), after.probabilities.get(label, 0.0)
        bold = ' class="top"' if label == after.top else ""
        bars = f'<i class="was" style="width:{100 * was:.1f}%"></i>'
        numbers = share(was)
        if now is not None:
            bars += f'<i class="now" style="width:{100 * is_:.1f}%"></i>'
            numbers += f" → <b>{share(is_)}</b>"
        rows.append(
            f'<tr{bold}><td class="label">{escape(label)}</td><td class="bars">{bars}</td><td>{numbers}</td></tr>'
        )
    return (
        "<style>.answer { width: 100%; border-collapse: collapse; font-size: 14px; "
        "font-variant-numeric: tabular-nums; }"
        ".answer td { padding: 4px 10px 4px 0; vertical-align: middle; white-space: nowrap; }"
        ".answer .label { max-width: 11em; overflow: hidden; text-overflow: ellipsis; }"
        ".answer .top .label { font-weight: 600; } .answer .bars { width: 100%; }"
        ".answer i { display: block; height: 7px; min-width: 1px; border-radius: 1px; margin: 2px 0; }"
        f".answer .was {{ background: {GREY}; }} .answer .now {{ background: {ACCENT}; }}</style>"
        f'<table class="answer">{"".join(rows)}</table>'
    )


def sentence(before: Answer, now: Answer | None, plain: Any) -> str:
    """What it says, and what it said."""
    first, likely = before.top, before.probabilities
    if now is None:
        return f"Untouched, the model says **{plain(first)}** ({share(likely[first])}). Take something away."
    was = f"**{plain(first)}** ({share(likely[first])})"
    if now.top == first:
        return f"It still says **{plain(first)}**: {share(likely[first])} → {share(now.probabilities[first])}."
    return f"The answer changes: it said {was}, now it says **{plain(now.top)}** ({share(now.probabilities[now.top])})."


def ledger_html(before: Answer, now: Answer, label: str) -> str:
    """What each token adds to the logit of a class, before and now; the lines add up."""

    def sums(answer: Answer) -> dict[str, float]:
        parts = {token: sum(row) for token, row in zip(answer.tokens, answer.parts[label], strict=True)}
        return parts | {"bias": answer.logits[label] - sum(parts.values()), "logit": answer.logits[label]}

    was, is_ = sums(before), sums(now)
    rows = "".join(
        f"<tr{' class=sum' if name == 'logit' else ''}><td>{escape(token_name(name))}</td><td>{_signed(was[name])}</td>"
        f"<td>{_signed(is_[name])}</td><td>{_signed(is_[name] - was[name])}</td></tr>"
        for name in was
    )
    return (
        "<style>.ledger-table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }"
        ".ledger-table td, .ledger-table th { padding: 2px 0 2px 18px; text-align: right; font-weight: 400; }"
        ".ledger-table th { opacity: 0.66; } .ledger-table td:first-child { text-align: left; padding-left: 0; }"
        ".ledger-table .sum td { border-top: 1px solid rgba(128,128,128,0.5); font-weight: 600; }</style>"
        '<table class="ledger-table"><tr><th></th><th>untouched</th><th>now</th><th>change</th></tr>'
        f"{rows}</table>"
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−").replace("+0.00", "0.00").replace("−0.00", "0.00")


def ledger_chart(before: Answer, now: Answer, label: str, numbers: Sequence[int]) -> go.Figure:
    """The ledger by frame: grey untouched, blue now. `numbers`: of the frames that are read now, in their order. A
    frame that is only read at another moment stands beside itself; where others are read, the k-th beside the k-th."""
    was, is_ = ([sum(column) for column in zip(*each.parts[label], strict=True)] for each in (before, now))
    usual = list(range(1, len(was) + 1))
    same = sorted(numbers) == usual
    title = "k-th frame that is read: now others of the clip than untouched"
    if same:
        turned = list(numbers) != usual
        title = "frame, numbered as untouched; now they are read in another order" if turned else "frame"
    figure = go.Figure()
    for name, x, values, colour in (
        ("untouched", usual, was, GREY), ("now", list(numbers) if same else list(range(1, len(is_) + 1)), is_, ACCENT),
    ):  # fmt: skip
        figure.add_bar(x=x, y=values, name=name, marker_color=colour)
    figure.update_layout(
        height=220, margin={"l": 0, "r": 0, "t": 6, "b": 0}, bargap=0.25, bargroupgap=0,
        xaxis={"title": title, "dtick": 1, "showgrid": False},
        yaxis={"title": "logit (raw)", "zeroline": True, "zerolinecolor": GREY},
        legend={"orientation": "h", "y": 1.14, "x": 0},
    )  # fmt: skip
    return figure


# ---- The stage ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float


def stage(film: Film, t: int, size: tuple[int, int], untouched: Film, drawn: Rectangle | None) -> go.Figure:
    """One frame at which one can point: joints by clicking, a region by dragging. `size`: (height, width) of the clip.
    `untouched` has the same frames; joints that were taken away can be pointed at, where they were."""
    height, width = size
    side = 720
    image = film.picture(t, side)
    draw_skeleton(image, film, t, film.zoom(side), untouched=untouched)
    figure = go.Figure()
    figure.add_layout_image(
        source=source(image), xref="x", yref="y", x=-0.5, y=-0.5, sizex=width, sizey=height, sizing="stretch",
        layer="below",
    )  # fmt: skip
    scale = width / film.frames.shape[2]
    named = film.names or untouched.names
    points = [
        (scale * (x + 0.5) - 0.5, scale * (y + 0.5) - 0.5, named[joint], person)
        for person in range(film.joints.shape[1])
        for joint, (x, y) in enumerate(film.joints[t, person])
        if untouched.score[:, person, joint].any()
    ]
    figure.add_scatter(
        x=[p[0] for p in points], y=[p[1] for p in points], mode="markers", customdata=[[p[2], p[3]] for p in points],
        text=[p[2] + (f" of person {p[3] + 1}" if film.joints.shape[1] > 1 else "") for p in points],
        hovertemplate="%{text}<extra></extra>", showlegend=False,
        marker={"size": 13, "color": "rgba(255,255,255,0.02)", "line": {"width": 0}},
        selected={"marker": {"color": ACCENT, "opacity": 0.9, "size": 11}}, unselected={"marker": {"opacity": 0.02}},
    )  # fmt: skip
    if drawn is not None:
        figure.add_shape(
            type="rect", x0=drawn.x - 0.5, y0=drawn.y - 0.5, x1=drawn.x + drawn.width - 0.5,
            y1=drawn.y + drawn.height - 0.5, line={"color": "white", "width": 2, "dash": "dot"},
        )  # fmt: skip
    figure.update_layout(
        height=400, margin={"l": 0, "r": 0, "t": 0, "b": 0}, clickmode="event+select",
        dragmode=False if drawn is None else "select",  # dragging over it goes on scrolling the page of a telephone
        plot_bgcolor="rgba(0,0,0,0)", paper_bgcolor="rgba(0,0,0,0)",
        xaxis={"range": [-0.5, width - 0.5], "visible": False, "constrain": "domain", "fixedrange": True},
        yaxis={"range": [height - 0.5, -0.5], "visible": False, "scaleanchor": "x", "constrain": "domain",
               "fixedrange": True},
        newselection={"line": {"color": "white", "width": 1, "dash": "dot"}},
    )  # fmt: skip
    return figure
