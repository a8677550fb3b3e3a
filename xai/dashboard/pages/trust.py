"""Trust: which methods point at what decides, where that is known; and two methods side by side on one clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from xai.dashboard.basket import add_of_data
from xai.dashboard.basket_spec import BOARD
from xai.dashboard.choose import ClipChoice, choose_checkpoint, choose_clip
from xai.dashboard.leader_board import MEASURES, Board, board_figure
from xai.dashboard.library import ASSETS, open_library
from xai.dashboard.methods_panel import answered, choose_ask, open_pair
from xai.dashboard.shown import plain
from xai.figures.panel_kinds import LeaderBoard

if TYPE_CHECKING:
    from training.clip import Clip
    from training.recognizer import Recognizer

PANELS = {"_left": "limb removal", "_right": "joint attention"}


def read_board() -> Board | None:
    """The leader-board that ships, if one does."""
    try:
        found = Board.read(ASSETS / "leader_board.json")
    except ValueError as error:
        st.error(plain(error))
        return None
    return found if found is not None and found.rows else None


@st.fragment
def board(found: Board | None) -> None:
    """The leader-board, or a sentence that says how to make one."""
    st.subheader("Which methods find what decides?", anchor=False)
    if found is None:
        st.caption(
            "On gym clips it is known which joints, frames and pixels decide, so methods can be scored against that. "
            "No scores are bundled; this writes some:"
        )
        st.code(
            "python -m xai gym-bench --checkpoint assets/checkpoints/gym-cross.safetensors --out out/bench\n"
            "cp out/bench/leader_board.json assets/",
            language=None,
        )
        return
    measures, kinds = found.options("measure", tuple(MEASURES)), found.options("kind", ("all",))
    measures = [measure for measure in measures if measure in MEASURES]
    left, right = st.columns(2)
    measure = left.selectbox(
        "Measure", measures, key="measure", bind="query-params",
        help="Rank: how often what decides outranks what does not. Pointing: does the strongest entry lie on what "
        "decides. Mass: which share of the map lies on it.",
    )  # fmt: skip
    kind = right.selectbox("What decides", kinds, key="kind", bind="query-params")
    rows = found.chosen(str(measure), str(kind))
    if not rows:
        st.info("Nothing was measured for this choice; choose another measure or kind.")
        return
    st.plotly_chart(board_figure(rows, str(measure)), key="board", config={"displayModeBar": False})
    panel = LeaderBoard(BOARD, str(measure), str(kind))  # type: ignore[arg-type]
    add_of_data("leader-board", lambda: panel, [])
    st.caption(
        "On gym clips it is known by construction which joints, frames and pixels decide the label. Blue: the 95 % "
        "interval lies above what a map that knows nothing gets on the same clips; grey: it does not. "
        + " ".join(f"{name.capitalize()}: {plain(value)}." for name, value in found.about.items() if value)
    )


@st.fragment
def side_by_side(network: Recognizer, clip: Clip) -> None:
    """Two methods on one clip, with their verdicts; maps of the same unit share one scale."""
    from xai.dashboard.map_view import show_map, show_scale

    columns = st.columns(2, gap="large")
    pairs = []
    for column, (panel, first) in zip(columns, PANELS.items(), strict=True):
        with column:
            ask, start = choose_ask(network, clip, panel, first, narrow=True)
            explanation = None if ask is None else answered(ask, network, clip, panel, start)
            if ask is not None and explanation is not None:
                pairs.append((ask, explanation))
    look = show_scale(clip, "")
    if pairs:
        show_map(pairs, network, clip, look)


def page() -> None:
    found = read_board()
    if found is None:  # first what there is
        two_methods()
        board(None)
    else:
        board(found)
        two_methods()


def two_methods() -> None:
    """Which clip and network, and the two methods."""
    library = open_library()
    st.subheader("Two methods on one clip", anchor=False)
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        clip = choose_clip(library)
    with right:
        checkpoint = choose_checkpoint(library)
    if checkpoint is None or clip == ClipChoice():
        st.info("Upload what is missing, a clip or a checkpoint, to ask two methods about it.")
        return
    if not st.toggle("Compare two methods", value=True, key="compare", bind="query-params"):
        st.caption("Two answers to one question, each with its base rate, its known cause and its measure of trust.")
        return
    opened = open_pair(clip, checkpoint)
    if opened is not None:
        side_by_side(*opened)


page()
