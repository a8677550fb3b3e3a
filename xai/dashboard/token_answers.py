"""What the rows of an ablation say clip by clip, and the clips on which they part, to be opened.

assets/ablations/answers.json        or assets/ablations/ANY/answers.json, beside the results of `training ablate`
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from training.datasets.parts import COMPARED_ON
from xai.dashboard.data_grid import Tile
from xai.dashboard.library import compared, open_library
from xai.dashboard.shown import plain

if TYPE_CHECKING:
    from xai.dashboard.data_sets import Split
    from xai.dashboard.data_thumbnails import Thumbnail


@dataclass(frozen=True, eq=False)
class RowAnswers:
    """Answers of every row of one table by one seed, on the same clips."""

    source: str
    recipe: str
    """In words, what all rows have in common; "" if it was not kept."""
    labels: tuple[str, ...]
    position: np.ndarray
    """[n] of the clips in their split of the source."""
    target: np.ndarray
    """[n] class of each."""
    said: dict[str, np.ndarray]
    """Row -> [n] class that its network gives."""
    of: str = "val"
    """The split: "val" or "test"."""

    def parted(self, rows: Sequence[str]) -> list[int]:
        """Which of the n clips the rows disagree on, those with most answers first; of one row, those it gets wrong."""
        all_of = np.array([self.said[row] for row in rows if row in self.said])
        if not len(all_of):
            return []
        if len(all_of) == 1:
            return [int(i) for i in np.flatnonzero(all_of[0] != self.target)]
        answers = np.array([len(set(column)) for column in all_of.T.tolist()])
        return [int(i) for i in np.argsort(-answers, kind="stable") if answers[i] > 1]

    def split(self) -> Split | None:
        """The same clips on this server; None where it has no such data set, or another one under that name."""
        from xai.dashboard import data_live
        from xai.dashboard.data_sets import offers

        kind = kind_of(self.source)
        for offer in offers():
            if kind_of(offer.source) != kind:
                continue
            try:
                split = data_live.split(offer.title, self.of)
            except ValueError:
                continue
            if int(self.position.max(initial=0)) >= len(split):
                continue
            labels = [split.label(int(p)) for p in self.position]
            if labels == [self.labels[t] for t in self.target]:
                return split
        return None


def kind_of(source: str) -> str:
    """'gym' of 'gym?val=360', 'jhmdb' of 'jhmdb:FOLDER': where its files lie is another on every machine."""
    return source.partition(":")[0].partition("?")[0]


def data_of(folder: Path) -> str:
    """The data set that the answers in a folder are of, as a reader calls it; the folder's name if none are kept."""
    try:
        kind = kind_of(json.loads((folder / "answers.json").read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return folder.name
    return {"gym": "the gym", "jhmdb": "JHMDB"}.get(kind, kind)


def read_answers(folder: Path, table: str) -> RowAnswers | None:
    """Answers of a table by the first seed that most of its rows have. Raises ValueError for a file that is none."""
    for path in sorted([*folder.glob("answers.json"), *folder.glob("*/answers.json")]):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            runs = [run for run in found["runs"] if run["table"] == table]
            if not runs:
                continue
            seeds = [int(run["seed"]) for run in runs]
            seed = min(seeds, key=lambda each: (-seeds.count(each), each))
            position, target = (np.array(found[name], int) for name in ("positions", "target"))
            said = {str(run["row"]): np.array(run["said"], int) for run in runs if int(run["seed"]) == seed}
            labels = tuple(map(str, found["labels"]))
            for each in (target, *said.values()):
                if each.shape != position.shape or not ((each >= 0) & (each < len(labels))).all():
                    raise ValueError
            if (position < 0).any():
                raise ValueError
            split = str(found.get("split", "val"))
            if split not in COMPARED_ON:
                raise ValueError
            recipe = str(found.get("recipe", ""))
            return RowAnswers(str(found["source"]), recipe, labels, position, target, said, split)
        except (ValueError, KeyError, TypeError) as error:
            name = path.relative_to(folder).as_posix()
            raise ValueError(f"{name} is not what `python -m training ablate` writes; run it again.") from error
    return None


def row_tile(answers: RowAnswers, rows: Sequence[str], split: Split, framewise: bool = False) -> Any:
    """What each row says of a clip, and a link to it: to Tokens, or for frame-wise networks to Temporal."""
    from xai.dashboard.data_choice import SEVERAL, member_link, member_query
    from xai.dashboard.data_panels import shape_of

    page = "temporal" if framewise else "tokens"
    shipped = _shipped(rows) if framewise else []
    lanes: dict[str, Sequence[str]] = {SEVERAL: shipped} if shipped else {}
    at = {int(position): i for i, position in enumerate(answers.position)}

    def tile(position: int, picture: Thumbnail | None) -> Tile:
        i, label = at[position], split.label(position)
        lines = tuple(f"{row}: {answers.labels[answers.said[row][i]]}" for row in rows)
        words = f"Clip {position + 1}: {label}. {'; '.join(lines)}. Opens in {page.capitalize()}."
        link = member_link(page, {**member_query(split, position), **lanes})
        return Tile(position + 1, link, label, lines, "", words, **shape_of(split, picture))

    return tile


def _shipped(rows: Sequence[str]) -> list[str]:
    """What the page Temporal calls the networks of these rows that ship: three at most."""
    known = {each.name for each in (*open_library().checkpoints, *compared())}
    return [name for row in rows for name in (row, f"gym-{row}") if name in known][:3]


def parted_clips(answers: RowAnswers | None, chosen: Sequence[str], framewise: bool = False) -> None:
    """Under the chart of a table: the clips on which the chosen rows part."""
    if answers is None:
        st.caption("What each row says clip by clip was not kept; `python -m training ablate` keeps it now.")
        return
    rows = [row for row in chosen if row in answers.said]
    if not rows:
        st.caption("Choose rows, here or in the chart, to see the clips on which they part.")
        return
    parted = answers.parted(rows)
    share = f"{len(parted):,} of {len(answers.position):,} {COMPARED_ON[answers.of]}"
    said = f"{plain(rows[0])} is wrong on {share}" if len(rows) == 1 else f"They part on {share}"
    st.markdown(f"**{said}** :gray[(one seed)]")
    if not parted:
        return
    with st.spinner("Opening the data set"):
        split = answers.split()
    if split is None:
        st.info(
            "This server does not have the clips that these networks were tested on, so they cannot be opened here."
        )
        return
    from xai.dashboard.data_panels import clips

    st.caption(
        "A clip opens in Temporal, with the networks of these rows as far as they ship."
        if framewise
        else "A clip opens in the lanes above, with the networks that ship; those of the table are not kept."
    )
    tile = row_tile(answers, rows, split, framewise)
    clips(split, [int(answers.position[i]) for i in parted], tile, "tokens rows", "row_sheet")
