"""Do the variants say the same? Pairs of checkpoints over a data set, and the clips on which they part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from xai.dashboard.basket import add_of_data
from xai.dashboard.colours import ACCENT, rgb
from xai.dashboard.data_grid import Tile
from xai.dashboard.data_scores import Agreement, Verdicts, agreement, disagreements
from xai.dashboard.data_thumbnails import Thumbnail
from xai.dashboard.library import BundledCheckpoint
from xai.figures.panel_kinds import Agreement as AgreementPanel

Pairs = dict[tuple[int, int], Agreement]


def pairs_of(all_of: Sequence[Verdicts]) -> Pairs:
    """Every pair of networks that share a clip."""
    count = range(len(all_of))
    found = {(i, j): agreement(all_of[i], all_of[j]) for i in count for j in count if i < j}
    return {pair: each for pair, each in found.items() if each is not None}


def agreement_figure(names: Sequence[str], pairs: Pairs) -> go.Figure:
    """A cell a pair: the share of clips on which both say the same. Both halves show the same numbers."""
    red, green, blue = rgb(ACCENT)
    count = len(names)
    shares: list[list[Any]] = [[None] * count for _ in names]
    words: list[list[Any]] = [[""] * count for _ in names]
    figure = go.Figure()
    for (i, j), found in pairs.items():
        low, high = found.same.interval
        for row, column in ((i, j), (j, i)):
            shares[row][column] = found.same.value
            words[row][column] = (
                f"{names[row]} and {names[column]}<br>the same on {found.same.hits:,} of {found.same.count:,} clips "
                f"({100 * low:.1f} to {100 * high:.1f} %)<br>by chance {100 * found.by_chance:.1f} %<br>"
                f"both right on {found.both_right:,}"
            )
            figure.add_annotation(
                x=column, y=row, showarrow=False, font={"size": 14},
                text=f"<b>{100 * found.same.value:.1f} %</b><br>chance {100 * found.by_chance:.1f} %",
            )  # fmt: skip
    figure.add_heatmap(
        z=shares, customdata=words, hovertemplate="%{customdata}<extra></extra>", zmin=0, zmax=1, showscale=False,
        colorscale=[[0, f"rgba({red},{green},{blue},0.05)"], [1, f"rgba({red},{green},{blue},0.55)"]], xgap=2, ygap=2,
        hoverongaps=False,
    )  # fmt: skip
    axis = {"tickvals": list(range(count)), "ticktext": list(names), "showgrid": False, "zeroline": False}
    figure.update_xaxes(**axis, fixedrange=True, side="top")
    figure.update_yaxes(**axis, fixedrange=True, autorange="reversed")
    figure.update_layout(
        height=60 + 84 * count, margin={"l": 0, "r": 0, "t": 0, "b": 0}, plot_bgcolor="rgba(0,0,0,0)", dragmode=False
    )
    return figure


def agreement_numbers(names: Sequence[str], pairs: Pairs, of: str) -> AgreementPanel:
    """The same numbers as a panel of a figure."""
    count = range(len(names))
    found = {(i, j): pairs.get((min(i, j), max(i, j))) for i in count for j in count}
    same = tuple(tuple(0.0 if (p := found[i, j]) is None else p.same.value for j in count) for i in count)
    chance = tuple(tuple(0.0 if (p := found[i, j]) is None else p.by_chance for j in count) for i in count)
    return AgreementPanel(tuple(names), same, chance, of)


def part_tile(
    names: Sequence[str], all_of: Sequence[Verdicts], link: Callable[[int], str], shape: Callable[..., dict[str, Any]]
) -> Callable[[int, Thumbnail | None], Tile]:
    """What each network says of a clip."""
    split = all_of[0].split

    def tile(position: int, picture: Thumbnail | None) -> Tile:
        lines = tuple(
            f"{name}: {each.said(position)} {each.confidence[position]:.2f}"
            for name, each in zip(names, all_of, strict=True)
        )
        label = split.label(position)
        words = f"Clip {position + 1}: {label}. {'; '.join(lines)}. Opens in Tokens."
        return Tile(position + 1, link(position), label, lines, "", words, **shape(split, picture))

    return tile


def agreement_panel(lanes: Sequence[BundledCheckpoint]) -> None:
    """The section of the page Tokens; closed until somebody opens it, or a link with `agree=true` does."""
    st.subheader("Do the variants say the same?", anchor=False)
    if not st.toggle("Compare them over a data set", key="agree", bind="query-params"):
        st.caption("How often each pair gives the same answer, and the clips on which they part, to open in the lanes.")
        return
    # The page needs none of this until it is asked for.
    from xai.dashboard.data_choice import choose_split, member_link, member_query
    from xai.dashboard.data_panels import clips, shape_of
    from xai.dashboard.data_progress import Network, predictions

    first, second = st.columns([2, 1])
    split = choose_split(first, second, ("over", "over_split"))
    if split is None:
        return
    networks = [Network.of(checkpoint) for checkpoint in lanes]
    found = predictions(split, networks, "tokens")
    names = [checkpoint.token_mode for checkpoint in lanes]
    told = [(name, Verdicts.of(split, each)) for name, each in zip(names, found, strict=True) if each and each.done]
    pairs = pairs_of([each for _, each in told])
    if not pairs:
        return
    shown, all_of = [name for name, _ in told], [each for _, each in told]
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.plotly_chart(
            agreement_figure(shown, pairs), key="agreement", config={"displayModeBar": False},
            alt="Share of clips on which each pair of checkpoints gives the same answer.",
        )  # fmt: skip
        accuracies = [f"{name} {each.accuracy}" for name, each in told if each.accuracy is not None]
        st.caption(
            "Share of clips with the same answer; by chance: if each gave its answers as often as it does, but to any "
            f"clip. Right, with the 95 % interval: {'; '.join(accuracies) or 'no clip has a label that they know'}."
        )
        of = f"{split.title}, {max(pair.same.count for pair in pairs.values()):,} clips"
        add_of_data("agreement", lambda: agreement_numbers(shown, pairs, of), lanes)
        if never := [checkpoint.token_mode for checkpoint in lanes if not checkpoint.card.get("trained_on")]:
            st.caption(f":orange[The weights of {', '.join(never)} were never trained: its answers mean nothing.]")
    with right:
        parted = disagreements(all_of)
        if not parted:
            st.success("They say the same of every clip that all of them were shown.")
            return
        st.markdown("**The clips on which they part**")
        tile = part_tile(shown, all_of, lambda position: member_link("tokens", member_query(split, position)), shape_of)
        clips(split, parted, tile, "tokens")
