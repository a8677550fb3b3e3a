"""The page Tokens under its lanes: who reads whom, agreement, and the ablations, without a browser."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.test_dashboard import run_app
from tests.xai.test_dashboard_data import predicted, six, tiny
from training.ablate import TABLES, Result, write_tables
from xai.dashboard import token_ablations
from xai.dashboard.data_scores import Share, Verdicts
from xai.dashboard.lanes import trained_words, warned_once
from xai.dashboard.library import ASSETS, open_library
from xai.dashboard.token_ablations import ablation_figure, read_runs, rows_of, titled
from xai.dashboard.token_agreement import agreement_figure, pairs_of, part_tile
from xai.dashboard.token_answers import read_answers, row_tile
from xai.dashboard.token_flow import PAD, Flow, flow_figure, table
from xai.evidence import gather_evidence
from xai.figures.player import player_payload

__all__ = ["tiny"]
"""A fixture."""
PAGE = "xai/dashboard/pages/tokens.py"


def test_lanes_are_called_alike_only_where_their_cards_say_so() -> None:
    shipped = [c for c in open_library().checkpoints if c.key in ("gym-none", "gym-single", "gym-cross")]
    said, recipes = trained_words(shipped)
    alike = len({lane.card["recipe"] for lane in shipped}) == 1
    assert ("not trained alike" in said) != alike
    assert recipes.count("\n\n") == 2
    same, _ = trained_words([replace(lane, card=shipped[0].card) for lane in shipped])
    assert "trained alike" in same
    assert "not trained alike" not in same
    assert trained_words(shipped[:1]) == ("", "")


def test_the_lanes_are_of_the_same_kind_as_the_clip_until_the_visitor_chooses() -> None:
    app = run_app(PAGE)
    assert app.selectbox(key="family").value == "gym"
    app.selectbox(key="source").set_value("Upload").run()
    assert not app.exception, app.exception
    assert app.selectbox(key="family").value == "jhmdb"
    app.selectbox(key="family").set_value("gym").run().run()
    assert app.selectbox(key="family").value == "gym"
    app.selectbox(key="source").set_value("Gym").run()
    assert app.selectbox(key="family").value == "gym"
    app.selectbox(key="source").set_value("Upload").run()
    assert app.selectbox(key="family").value == "jhmdb"


def test_what_holds_of_every_lane_is_said_once() -> None:
    payloads = [{"id": name, "said": {"warning": "Beware.", "frames": name}} for name in "ab"]
    warning, quiet = warned_once(payloads)
    assert warning == "Beware."
    assert [(lane["said"], lane["id"]) for lane in quiet] == [
        ({"warning": "", "frames": name}, f"{name} warned") for name in "ab"
    ]
    assert payloads[0]["said"]["warning"] == "Beware."  # other pages show it with the one network
    other = {"id": "c", "said": {"warning": ""}}
    for kept in ([payloads[0], other], payloads[:1], [other, other]):
        assert warned_once(kept) == ("", kept)


def small_flow() -> Flow:
    """One block: CLS reads points and itself, 3 to 1; joints read joints, in another attention."""
    nan = math.nan
    mass = [[[[nan] * 3, [0.75, 0.0, 0.25], [nan] * 3], [[nan] * 3, [nan] * 3, [0.0, 1.0, 0.0]]]]
    base = [[[[nan] * 3, [0.9, 0.0, 0.1], [nan] * 3], [[nan] * 3, [nan] * 3, [0.0, 1.0, 0.0]]]]
    names = ("point", "joint", "cls")
    return Flow(("deformable", "joint"), ("point", "cls", "joint"), names, np.array(mass), np.array(base))


def test_bands_are_the_numbers_of_the_evidence() -> None:
    evidence = gather_evidence(random_recognizer(), noise_clip())
    flow, whole = Flow.of(player_payload(evidence)), evidence.token_flow
    assert flow is not None
    assert flow.mass == pytest.approx(whole.values, abs=1e-5, nan_ok=True)
    assert flow.uniform == pytest.approx(np.broadcast_to(whole.base_rate, whole.values.shape), abs=1e-5, nan_ok=True)
    for layer in range(flow.layers):
        sums: dict[tuple[str, str], float] = {}
        for band in flow.bands(layer):
            assert band.mass > 0
            sums[band.attention, band.reader] = sums.get((band.attention, band.reader), 0.0) + band.mass
        assert sums
        assert list(sums.values()) == pytest.approx([1.0] * len(sums), abs=1e-4)


def test_the_diagram_leads_from_who_reads_to_what_is_read() -> None:
    figure = flow_figure(small_flow(), 0)
    deformable, joint = figure.data
    assert list(deformable.node.label) == ["CLS", "", ""]  # names of what is read stand beside
    assert (list(deformable.link.source), list(deformable.link.target)) == ([0, 0], [1, 2])
    assert list(deformable.link.value) == [0.75, 0.25]
    assert [note.text for note in figure.layout.annotations] == [
        "points", "CLS", "3D deformable attention", "joints", "joint stride attention",
    ]  # fmt: skip
    assert "attention mass 0.250<br>uniform 0.100, so 2.5 times that" in deformable.link.customdata[1]
    assert joint.domain.y[1] <= deformable.domain.y[0]
    # Names stand where their nodes do: half of the mass of points, from the top of the diagram.
    low, high = deformable.domain.y
    height = (high - low) * figure.layout.height
    unit = height - PAD
    assert (high - figure.layout.annotations[0].y) * figure.layout.height == pytest.approx(0.75 * unit / 2)
    assert (high - figure.layout.annotations[1].y) * figure.layout.height == pytest.approx(
        0.75 * unit + PAD + 0.25 * unit / 2
    )
    assert table(small_flow(), 0)[1] == {
        "attention": "3D deformable attention", "who reads": "CLS", "what is read": "CLS", "attention mass": 0.25,
        "uniform": 0.1, "times uniform": 2.5,
    }  # fmt: skip


def test_agreement_is_shown_on_both_sides_of_the_diagonal() -> None:
    split = six()
    one = Verdicts.of(split, predicted(split, "ab", {0: "a", 1: "a", 2: "b", 3: "b"}))
    other = Verdicts.of(split, predicted(split, "ab", {0: "a", 1: "b", 2: "b", 3: "b"}))
    nothing = Verdicts.of(split, None)
    pairs = pairs_of([one, nothing, other])
    assert {pair: each.same for pair, each in pairs.items()} == {(0, 2): Share(3, 4)}
    figure = agreement_figure(("none", "single", "cross"), pairs)
    assert figure.data[0].z[0][2] == figure.data[0].z[2][0] == 0.75
    assert figure.data[0].z[0][1] is None
    assert "the same on 3 of 4 clips" in figure.data[0].customdata[0][2]
    tile = part_tile(("none", "cross"), (one, other), lambda position: f"#{position}", lambda *_: {})(1, None)
    assert (tile.title, tile.lines, tile.link) == ("a", ("none: a 0.90", "cross: b 0.90"), "#1")


def test_ablations_are_those_of_the_command(tmp_path: Path) -> None:
    results = [("tokens", Result(row, seed, accuracy, 120.0)) for row, seed, accuracy in (
        ("none", 0, 0.5), ("none", 1, 0.6), ("cross", 0, 0.8))]  # fmt: skip
    write_tables(tmp_path / "first", results, "gym-cross")
    runs = read_runs(tmp_path)
    none, cross = rows_of(runs, "tokens")
    assert (none.name, none.accuracies, none.mean, none.minutes) == ("none", (0.5, 0.6), pytest.approx(0.55), 2.0)
    assert none.half == pytest.approx(12.706 * 0.1 / math.sqrt(2) / math.sqrt(2), rel=1e-3)  # Student's t, 1 degree
    assert none.words == "55.0 ± 63.5 % (2 seeds)"
    assert cross.words == "80.0 % (1 seed)"
    assert math.isnan(cross.half)
    figure = ablation_figure([none, cross])
    assert figure.layout.xaxis.title.text == "accuracy on validation clips"
    write_tables(tmp_path / "first", results, "gym-cross", "test")
    assert {run.split for run in read_runs(tmp_path)} == {"test"}
    assert list(figure.data[0].x) == [0.5, 0.6, 0.8]
    assert list(figure.data[1].x) == pytest.approx([0.55, 0.8])
    assert list(figure.layout.yaxis.categoryarray) == ["cross", "none"]  # the first row on top


@pytest.mark.parametrize(
    "text", ["{}", "[1]", "[{", '[{"table": "t", "row": "r", "seed": 0, "accuracy": 7, "seconds": 1}]']
)
def test_a_file_that_is_no_ablation_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    if text == "{}":
        assert read_runs(tmp_path) == []
        return
    with pytest.raises(
        ValueError, match=r"^results\.json is not what `python -m training ablate` writes; run it again\.$"
    ):
        read_runs(tmp_path)


def test_the_same_table_of_two_data_sets_stays_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, accuracy in (("gym", 0.5), ("jhmdb", 0.8)):
        write_tables(tmp_path / folder, [("tokens", Result("none", 0, accuracy, 60.0))], "gym-cross")
    kept_answers(tmp_path / "jhmdb", source="jhmdb?split=1", recipe="5 epochs")
    assert [rows_of([run], "tokens")[0].accuracies for run in read_runs(tmp_path)] == [(0.5,), (0.8,)]
    title = TABLES["tokens"].title
    tables = {"gym/tokens": ("gym", "tokens"), "jhmdb/tokens": ("jhmdb", "tokens"), "gym/x": ("gym", "x")}
    assert [found for found, _ in titled(tables, tmp_path).values()] == [
        f"{title} (gym)",
        f"{title} (JHMDB)",
        "x (gym)",
    ]
    again = tables | {"later/tokens": ("later", "tokens")}
    (tmp_path / "later").mkdir()
    kept_answers(tmp_path / "later", source="jhmdb?split=2")
    assert titled(again, tmp_path)["later/tokens"][0] == f"{title} (JHMDB, later)"
    monkeypatch.setattr(token_ablations, "FOLDER", tmp_path)
    for folder, words, kept in (("gym", "50.0 %", False), ("JHMDB", "80.0 %", True)):
        app = run_app(PAGE, ablations="true", table=f"{title} ({folder})", rows=["none"])
        assert not app.exception, app.exception
        assert app.selectbox(key="table").options == [f"{title} (gym)", f"{title} (JHMDB)"]
        assert any(words in each.proto.spec for each in app.get("plotly_chart"))
        assert any("was not kept" in each.value for each in app.caption) is not kept
        assert any("on 3 validation clips" in each.value for each in app.caption) is kept
        assert any("Every row: 5 epochs." in each.value for each in app.caption) is kept


def test_the_readme_and_the_page_name_the_same_folders() -> None:
    readme = (ASSETS.parent / "README.md").read_text(encoding="utf-8")
    assert all(command in readme for command in token_ablations.COMMANDS)
    assert f" {token_ablations.FOLDER.relative_to(ASSETS.parent)}/gym/" in token_ablations.COMMANDS[-1]


def test_the_page_shows_what_there_is(tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(token_ablations, "FOLDER", tmp_path)
    clip = {"source": "Data", "set": "Tiny", "number": "2"}
    app = run_app(PAGE, **clip)
    assert not app.exception, app.exception
    assert len(app.get("plotly_chart")) == 3
    assert any("Not measured yet" in info.value for info in app.info)
    assert app.code[0].value == "\n".join(token_ablations.COMMANDS)
    row = {"table": "tokens", "row": "cross", "seed": 0, "accuracy": 0.9, "seconds": 60.0}
    (tmp_path / "results.json").write_text(json.dumps([row]), encoding="utf-8")
    app = run_app(PAGE, ablations="true", block="2", **clip)
    assert not app.exception, app.exception
    assert app.selectbox(key="table").value == "tokens"
    assert any("a difference may be chance" in caption.value for caption in app.caption)
    assert len(app.get("plotly_chart")) == 4


# ---- Rows clip by clip ----------------------------------------------------------------------------------------------


def kept_answers(folder: Path, **changes: object) -> None:
    said = {"none": [0, 1, 1], "cross": [0, 0, 1], "single": [1, 1, 0]}
    found = {
        "source": "gym", "labels": ["a", "b"], "positions": [4, 0, 7], "target": [0, 0, 1],
        "runs": [{"table": "tokens", "row": row, "seed": 0, "said": said[row]} for row in said]
        + [{"table": "tokens", "row": "none", "seed": 1, "said": [1, 1, 1]}],
    }  # fmt: skip
    (folder / "answers.json").write_text(json.dumps(found | changes), encoding="utf-8")


def test_rows_part_on_the_clips_that_they_name_differently(tmp_path: Path) -> None:
    assert read_answers(tmp_path, "tokens") is None
    kept_answers(tmp_path)
    found = read_answers(tmp_path, "tokens")
    assert found is not None
    assert read_answers(tmp_path, "blocks") is None
    assert found.parted(["none", "cross"]) == [1]
    assert found.parted(["none", "cross", "single"]) == [0, 1, 2]
    assert found.parted(["none"]) == [1]  # what it gets wrong, of seed 0
    assert found.parted([]) == found.parted(["nobody"]) == []
    assert found.split() is None  # the gym has no clips a and b


@pytest.mark.parametrize(
    "wrong", [{"runs": 7}, {"positions": [1]}, {"target": [0, 0, 2]}, {"positions": [-1, 0, 1]}, {"labels": None}]
)
def test_a_file_that_holds_no_answers_is_a_sentence(tmp_path: Path, wrong: dict[str, object]) -> None:
    kept_answers(tmp_path, **wrong)
    with pytest.raises(ValueError, match=r"^answers\.json is not what"):
        read_answers(tmp_path, "tokens")


def test_a_row_opens_its_clips_where_the_server_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.datasets.gym import Gym

    gym = Gym()
    target = [gym.label(gym.splits["val"][p]) for p in (4, 0, 7)]
    other = [(t + 1) % len(gym.labels) for t in target]
    runs = [{"table": "tokens", "row": r, "seed": 0, "said": s} for r, s in (("none", other), ("cross", target))]
    kept_answers(tmp_path, labels=list(gym.labels), target=target, runs=runs, source="gym?val=360")
    found = read_answers(tmp_path, "tokens")
    assert found is not None
    split = found.split()
    assert split is not None
    tile = row_tile(found, ["none", "cross"], split)(0, None)
    label = gym.labels[target[1]]
    assert (tile.number, tile.title, tile.lines[1]) == (1, label, f"cross: {label}")
    assert tile.link == "./tokens?source=Data&set=Gym&split=val&number=1"
    late = [gym.label(gym.splits["test"][p]) for p in (4, 0, 7)]
    of_test = [run | {"said": late} for run in runs]
    kept_answers(tmp_path, labels=list(gym.labels), target=late, runs=of_test, source="gym", split="test")
    test = read_answers(tmp_path, "tokens")
    assert test is not None
    there = test.split()
    assert there is not None
    assert row_tile(test, ["none"], there)(0, None).link == "./tokens?source=Data&set=Gym&split=test&number=1"
    kept_answers(tmp_path, labels=list(gym.labels), target=target, runs=runs, source="gym?val=360")
    write_tables(tmp_path, [("tokens", Result(row, 0, 0.5, 60.0)) for row in ("none", "cross")], "gym-cross")
    monkeypatch.setattr(token_ablations, "FOLDER", tmp_path)
    app = run_app(PAGE, ablations="true", rows=["none", "cross"])
    assert not app.exception, app.exception
    assert any("They part on 3 of 3 validation clips" in each.value for each in app.markdown)
    assert any("3 of 720 clips" in each.value for each in app.markdown)
