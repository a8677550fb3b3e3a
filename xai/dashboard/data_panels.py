"""The parts of the page Data: how good the network is, who is taken for whom, and the clips that pass the filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from xai.dashboard import data_live
from xai.dashboard.basket import add_of_data
from xai.dashboard.data_choice import choose_link, member_link, member_query, open_link
from xai.dashboard.data_grid import Tile, data_grid
from xai.dashboard.data_matrix import cell_of, matrix_figure
from xai.dashboard.data_predictions import Predicted, forget
from xai.dashboard.data_progress import Network
from xai.dashboard.data_scores import ORDERS, OUTCOMES, Confusion, Verdicts, Wanted
from xai.dashboard.data_sets import Split
from xai.dashboard.data_thumbnails import Thumbnail, address
from xai.dashboard.methods_panel import visitor
from xai.dashboard.shown import plain
from xai.figures.panel_kinds import Confusion as Panel

ANY = "any"
PAGE = 30
"""Clips on a sheet of the grid."""
BATCH = 6
"""Thumbnails that one visitor has made before the next has a turn."""
AT_ONCE = 0.4
FILTERS = ("labelled", "predicted")
"""Keys of the two filters that a click on the matrix sets."""


# ---- The numbers ----------------------------------------------------------------------------------------------------


def accuracy(verdicts: Verdicts, damaged: dict[int, str]) -> None:
    """How often it is right, with the interval, beside what guessing would score."""
    share = verdicts.accuracy
    if share is None:
        if (verdicts.predicted >= 0).any():
            st.info(
                "The network knows none of these labels, so nothing is right or wrong; the table says what it says."
            )
        return
    low, high = share.interval
    st.markdown(f"#### {100 * share.value:.1f} % right")
    parts = [
        f"{share.hits:,} of {share.count:,} clips; 95 % interval {100 * low:.1f} to {100 * high:.1f} %. Always naming "
        f"the commonest label: {100 * verdicts.guessing:.1f} %."
    ]
    kinds = verdicts.by_kind
    if kinds:
        parts.append("By what decides: " + "; ".join(f"{kind} {each}" for kind, each in kinds.items()) + ".")
    unjudged = int((verdicts.outcome == OUTCOMES.index("no verdict")).sum())
    if unjudged:
        parts.append(f"{unjudged:,} clips have labels that the network does not know; they are not counted.")
    st.caption(" ".join(parts))
    if damaged:
        count = len(damaged)
        with st.expander(f"{count} {'clip' if count == 1 else 'clips'} cannot be read and are not counted"):
            for position, sentence in sorted(damaged.items())[:50]:
                st.markdown(f"Clip {position + 1}: {plain(sentence)}")
            if count > 50:
                st.markdown(f"And {count - 50} more.")


def matrix(verdicts: Verdicts, network: Network) -> None:
    """The confusion matrix; a click shows the clips of a cell."""
    confusion = Confusion.of(verdicts)
    if not confusion.counts.any():
        return
    label, predicted = (st.session_state.get(key, ANY) for key in FILTERS)
    chosen = None if label == ANY else str(label), None if predicted == ANY else str(predicted)
    judged = ", blue right, orange wrong" if verdicts.accuracy else ""
    ink = "#fafafa" if st.context.theme.type == "dark" else "#31333f"
    st.plotly_chart(
        matrix_figure(confusion, chosen, ink), key="confusion", on_select=_cell_clicked, selection_mode="points",
        config={"displayModeBar": False},
        alt="Confusion matrix: rows are the labels of the clips, columns what the network says.",
    )  # fmt: skip
    shown = "" if not confusion.left_out else (
        f" The {len(confusion.rows)} labels with the most mistakes are shown; {confusion.left_out} are left out."
    )  # fmt: skip
    st.caption(
        f"Clips by what they are (rows) and what they are said to be (columns); colour by share of the row{judged}. "
        f"Click a cell for its clips, and again for all.{shown}"
    )
    counts = tuple(tuple(int(count) for count in row) for row in confusion.counts)
    of = f"{network.name} on {verdicts.split.title}"
    panel = Panel(confusion.rows, confusion.columns, counts, of)
    add_of_data("confusion matrix", lambda: panel, [network.chosen])


def _cell_clicked() -> None:
    cell = cell_of(st.session_state.get("confusion"))
    now = tuple(st.session_state.get(key, ANY) for key in FILTERS)
    label, predicted = cell if cell and cell != now else (ANY, ANY)
    st.session_state["labelled"], st.session_state["predicted"] = label, predicted
    st.session_state["sheet"] = 1


# ---- The clips ------------------------------------------------------------------------------------------------------


def filters(verdicts: Verdicts) -> Wanted:
    """The controls of the grid."""
    split, known = verdicts.split, verdicts.predicted >= 0
    labels = [label for i, label in enumerate(split.labels) if (split.targets == i).any()]
    said = [label for i, label in enumerate(verdicts.labels) if (verdicts.predicted == i).any()]
    outcomes = [outcome for i, outcome in enumerate(OUTCOMES) if (verdicts.outcome == i).any()]
    kinds = list(dict.fromkeys(kind for kind in split.kinds if kind))
    places = iter([*st.columns(3), *st.columns(3)])
    label = _choice(next(places), "Label", labels, "labelled")
    predicted = _choice(next(places), "Said to be", said, "predicted") if said else None
    outcome = _choice(next(places), "Verdict", outcomes, "outcome") if len(outcomes) > 1 else None
    kind = _choice(next(places), "What decides", kinds, "cause") if kinds else None
    least, most, order = 0.0, 1.0, ORDERS[0]
    if known.any():
        least, most = next(places).slider(
            "Probability of the answer",
            0.0,
            1.0,
            (0.0, 1.0),
            0.01,
            key="sure",
            bind="query-params",
            on_change=_first_sheet,
        )
        order = str(next(places).selectbox("Order", ORDERS, key="order", bind="query-params", on_change=_first_sheet))
    return Wanted(label, predicted, outcome, least, most, kind, order)


def _first_sheet() -> None:
    st.session_state["sheet"] = 1


def _choice(place: Any, title: str, options: Sequence[str], key: str) -> str | None:
    """A filter; a choice that is not there any more is forgotten."""
    offered = [ANY, *options]
    if st.session_state.get(key, ANY) not in offered:
        st.session_state[key] = ANY
    chosen = place.selectbox(title, offered, key=key, bind="query-params", on_change=_first_sheet)
    return None if chosen == ANY else str(chosen)


def clips(
    split: Split,
    positions: Sequence[int],
    tile: Callable[[int, Thumbnail | None], Tile],
    panel: str,
    key: str = "sheet",
) -> None:
    """One sheet of clips. Pictures are made for what is on it, and come as they are made.

    `panel` begins with the name of the page; `key` names the sheet in the address.
    """
    sheets = max(1, -(-len(positions) // PAGE))
    asked = int(st.session_state.get(key) or 1)
    if not 1 <= asked <= sheets:
        st.session_state[key] = min(max(1, asked), sheets)
    if not positions:
        st.info("No clip passes these filters; take one away.")
        return
    count = f"{len(positions):,} of {len(split):,} clips" if len(positions) < len(split) else f"{len(split):,} clips"
    left, right = st.columns([1, 3], vertical_alignment="center")
    left.markdown(f"**{count}**")
    sheet = 1
    if sheets > 1:
        sheet = right.pagination(sheets, key=key, bind="query-params")
    shown = list(positions[(sheet - 1) * PAGE : sheet * PAGE])
    _sheet(split, shown, tile, panel)


def _make(split: Split, shown: Sequence[int], panel: str) -> bool:
    """Have the pictures made that are not there; is there any left to wait for?"""
    jobs, who = data_live.data_jobs(), visitor(f"{panel} pictures")
    missing = [position for position in shown if data_live.thumbnail(split, position) is None]
    if not missing:
        jobs.leave(who)
        return False
    key, work = data_live.picturing(split, missing[:BATCH])
    standing = jobs.standing(key, who)
    if standing is None or not standing.pending or not standing.mine:
        jobs.ask(key, work, who, quick=True)
        jobs.wait(key, AT_ONCE)
    return any(data_live.thumbnail(split, position) is None for position in shown)


@st.fragment
def _sheet(split: Split, shown: Sequence[int], tile: Callable[[int, Thumbnail | None], Tile], panel: str) -> None:
    waiting = _make(split, shown, panel)
    tiles = [tile(position, data_live.thumbnail(split, position)) for position in shown]
    if (opened := data_grid(tiles, f"{panel} grid", waiting, lambda tile: choose_link(tile.link))) is not None:
        open_link(opened.link, panel.partition(" ")[0])


def shape_of(split: Split, picture: Thumbnail | None) -> dict[str, Any]:
    """What a tile shows of a picture that is there, or is not yet."""
    if picture is None or picture.sentence:
        return {"sentence": picture.sentence if picture else ""}
    return {
        "moving": address(picture.moving),
        "still": address(picture.still),
        "shape": (picture.width, picture.height),
    }


def explore_tile(
    verdicts: Verdicts, network: Network, damaged: dict[int, str]
) -> Callable[[int, Thumbnail | None], Tile]:
    """Label, answer and probability, and a link to the page Explore."""
    split = verdicts.split

    def tile(position: int, picture: Thumbnail | None) -> Tile:
        label, said = split.label(position), verdicts.said(position)
        mark: Any = ("right", "wrong", "")[min(2, int(verdicts.outcome[position]))]
        probability = f"{verdicts.confidence[position]:.2f}"
        lines = (f"→ {said} {probability}",) if said else ("cannot be read",) if position in damaged else ()
        if picture is not None and changed(verdicts, position, picture):
            lines = (*lines, "changed since")
        words = f"Clip {position + 1}: {label}"
        words += f", said to be {said} with probability {probability}" if said else ""
        words += f", {mark}." if mark else "."
        return Tile(
            position + 1, member_link("", member_query(split, position, network.key)), label, lines, mark,
            f"{words} Opens in Explore.", **shape_of(split, picture),
        )  # fmt: skip

    return tile


# ---- What changed under our hands -----------------------------------------------------------------------------------


def changed(verdicts: Verdicts, position: int, picture: Thumbnail) -> bool:
    """Is the clip on disk another than the one that was predicted?"""
    return bool(verdicts.clip[position] and picture.clip and picture.clip != verdicts.clip[position])


def changed_clips(verdicts: Verdicts, network: Network, positions: Sequence[int], found: Predicted | None) -> None:
    """Say so where a clip on this sheet was changed since, and offer to predict it again."""
    if found is None:
        return
    others = {
        position
        for position in positions
        if (picture := data_live.thumbnail(verdicts.split, position)) is not None
        and changed(verdicts, position, picture)
    }
    if not others:
        return
    text, button = st.columns([5, 2], vertical_alignment="center")
    text.warning(f"{len(others)} of these clips were changed since they were predicted.")
    button.button(
        "Predict them again", on_click=forget, args=(verdicts.split, network.checkpoint, others), width="stretch"
    )
