"""The ablations of the paper as charts, from what `python -m training ablate` wrote, copied into `assets/ablations`.

assets/ablations/results.json            [{"table", "row", "seed", "accuracy", "seconds"}, ...]
assets/ablations/ANY/results.json        as well: one folder for each time it was run
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st

from training.datasets.parts import COMPARED_ON
from xai.dashboard.basket import add_of_data
from xai.dashboard.choose import within
from xai.dashboard.colours import ACCENT, GREY
from xai.dashboard.library import ASSETS
from xai.dashboard.shown import plain
from xai.dashboard.token_answers import data_of, parted_clips, read_answers
from xai.figures.panel_kinds import Ablation

COMMANDS = (
    "python -m training ablate --base gym-cross --seeds 3 --out runs/ablation",
    "mkdir -p assets/ablations/gym && cp runs/ablation/*.json assets/ablations/gym/",
)
FOLDER = ASSETS / "ablations"


@dataclass(frozen=True)
class Run:
    """One trained network: accuracy at its last epoch."""

    measured: str
    """Folder of its file, `.` for the outermost: the same table may be there of several data sets."""
    table: str
    row: str
    seed: int
    accuracy: float
    seconds: float
    split: str = "val"
    """Of the clips: "val" or "test"."""


def read_runs(folder: Path) -> list[Run]:
    """All runs in a folder. Raises ValueError in one sentence for a file that is none of `ablate`."""
    found = []
    for path in sorted([*folder.glob("results.json"), *folder.glob("*/results.json")]):
        try:
            for entry in json.loads(path.read_text(encoding="utf-8")):
                run = Run(
                    path.parent.relative_to(folder).as_posix(), str(entry["table"]), str(entry["row"]),
                    int(entry["seed"]), float(entry["accuracy"]), float(entry["seconds"]),
                    str(entry.get("split", "val")),
                )  # fmt: skip
                if not 0 <= run.accuracy <= 1 or not math.isfinite(run.seconds) or run.split not in COMPARED_ON:
                    raise ValueError
                found.append(run)
        except (ValueError, KeyError, TypeError) as error:
            name = path.relative_to(folder).as_posix()
            raise ValueError(f"{name} is not what `python -m training ablate` writes; run it again.") from error
    return found


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    name: str
    accuracies: tuple[float, ...]
    mean: float
    half: float
    """Half of the 95 % interval over seeds; NaN for one seed."""
    minutes: float
    """Of training, the median of its runs: one may have been held up."""

    @property
    def words(self) -> str:
        interval = "" if math.isnan(self.half) else f" ± {100 * self.half:.1f}"
        count = len(self.accuracies)
        return f"{100 * self.mean:.1f}{interval} % ({count} {'seed' if count == 1 else 'seeds'})"


def rows_of(runs: Sequence[Run], table: str) -> list[Row]:
    """The rows of a table, measured in one folder, in their order, each with its mean and spread over seeds."""
    from training.interval import spread_of

    rows = []
    for name in dict.fromkeys(run.row for run in runs if run.table == table):
        found = {run.seed: run for run in runs if (run.table, run.row) == (table, name)}
        accuracies = tuple(found[seed].accuracy for seed in sorted(found))
        mean, half = spread_of(accuracies)
        minutes = statistics.median(run.seconds for run in found.values()) / 60
        rows.append(Row(name, accuracies, mean, half, minutes))
    return rows


def ablation_figure(rows: Sequence[Row], clips: str = "validation clips") -> go.Figure:
    """The mean of each row with its interval, and every seed as a small ring."""
    names = [row.name for row in rows]
    figure = go.Figure()
    figure.add_scatter(
        x=[accuracy for row in rows for accuracy in row.accuracies],
        y=[row.name for row in rows for _ in row.accuracies], mode="markers", name="one seed",
        marker={"symbol": "circle-open", "size": 7, "color": GREY}, hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[row.mean for row in rows], y=names, mode="markers", name="mean, 95 % interval over seeds",
        error_x={"array": [0 if math.isnan(row.half) else row.half for row in rows], "width": 0, "thickness": 2},
        marker={"size": 10, "color": ACCENT}, customdata=[[row.words, row.minutes] for row in rows],
        hovertemplate="%{y}<br>%{customdata[0]}<br>%{customdata[1]:.1f} min a run<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title=f"accuracy on {clips}", tickformat=".0%", showgrid=True)
    figure.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], tickvals=names,
        ticktext=[f"{row.name}<br>{row.words}" for row in rows], tickfont={"size": 12},
    )  # fmt: skip
    figure.update_layout(
        height=96 + 44 * len(rows), margin={"l": 0, "r": 8, "t": 30, "b": 0},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    return figure


def titled(tables: Mapping[str, tuple[str, str]], folder: Path) -> dict[str, tuple[str, str]]:
    """Name -> title and description of a table, from name -> (its folder in `folder`, table).

    A title ends with the data set, and with its folder where the same table of the same data set lies in several.
    """
    from training.ablate import TABLES

    places = {name: (data_of(folder / measured), table) for name, (measured, table) in tables.items()}
    titles, count = {}, Counter(places.values())
    for name, (data, table) in places.items():
        known = TABLES.get(table)
        where = ", ".join([data] * bool(data) + [tables[name][0]] * (count[data, table] > 1))
        titles[name] = (f"{known.title if known else table}{where and f' ({where})'}", known.about if known else "")
    return titles


def framewise(table: str) -> bool:
    """Does a table compare frame-wise networks?"""
    from training.ablate import TABLES

    return table in TABLES and TABLES[table].architecture == "framewise"


@st.fragment
def ablations_panel() -> None:
    """The section of the page Tokens."""
    st.subheader("What each part is worth", anchor=False)
    try:
        runs = read_runs(FOLDER)
    except ValueError as error:
        st.error(plain(error))
        return
    if not runs:
        st.info(
            "Not measured yet. The first line trains the tables of the paper again, every row with several seeds; it "
            "takes hours, and goes on where it stopped. The second, at any time, copies its numbers to where they are "
            "drawn here."
        )
        st.code("\n".join(COMMANDS), language=None)
        return
    if not st.toggle("Show the ablations", key="ablations", bind="query-params"):
        st.caption(f"{len(runs)} trained networks: mean, spread and number of seeds of every row.")
        return
    tables = {f"{run.measured}/{run.table}".removeprefix("./"): (run.measured, run.table) for run in runs}
    with st.spinner("Reading the tables"):
        titles = titled(tables, FOLDER)
    name = str(
        st.selectbox("Table", list(tables), key="table", bind="query-params", format_func=lambda each: titles[each][0])
    )
    measured, table = tables[name]
    title, about = titles[name]
    found = [run for run in runs if (run.measured, run.table) == (measured, table)]
    rows, kind = rows_of(found, table), COMPARED_ON[found[0].split]
    st.plotly_chart(
        ablation_figure(rows, kind), key="ablation", on_select=_row_clicked, selection_mode="points",
        config={"displayModeBar": False},
        alt=f"{title}: accuracy of each row. " + "; ".join(f"{row.name} {row.words}" for row in rows),
    )  # fmt: skip
    seeds = {len(row.accuracies) for row in rows}
    caveat = " With one seed there is no interval: a difference may be chance." if min(seeds) == 1 else ""
    try:
        answers = read_answers(FOLDER / measured, table)
    except ValueError as error:
        st.error(plain(error))
        answers = None
    clips = f" on {len(answers.position):,} {kind}" if answers else f" on {kind}"
    st.caption(f"{about} Accuracy{clips} at the last epoch; nothing is picked.{caveat}")
    if answers and answers.recipe:
        st.caption(f"Every row: {plain(answers.recipe)}.")
    names = [row.name for row in rows]
    panel = Ablation(tuple(names), tuple(row.accuracies for row in rows), title, kind)
    add_of_data("ablation", lambda: panel, [])
    within("rows", names)
    chosen = st.multiselect(
        "Clips on which these rows part", names, key="rows", bind="query-params",
        help="A click on a row of the chart chooses it too. Of a single row, the clips that it gets wrong.",
    )  # fmt: skip
    parted_clips(answers, chosen, framewise(table))


def _row_clicked() -> None:
    """A click on a row of the chart puts it among the chosen ones, or takes it out again."""
    points = ((st.session_state.get("ablation") or {}).get("selection") or {}).get("points") or []
    chosen = list(st.session_state.get("rows", []))
    for name in dict.fromkeys(str(point.get("y")) for point in points):
        chosen = [each for each in chosen if each != name] if name in chosen else [*chosen, name]
    st.session_state["rows"] = chosen
