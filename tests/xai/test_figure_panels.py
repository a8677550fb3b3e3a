"""Panels of figures: nothing lies over anything else, marks are where they should be, numbers are the model's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from tests.xai.figure_checks import SIZE, collisions, pixel, shown
from tests.xai.synthetic import WRIST, one_point, synthetic_evidence
from xai.evidence import Evidence
from xai.figures.block import block, project
from xai.figures.compose import compose
from xai.figures.curves import joints, ledger, telling
from xai.figures.paper import FIGURES
from xai.figures.sources import Sources
from xai.figures.spec import FigureError, FigureSpec, parse_spec
from xai.figures.strip import film
from xai.figures.style import DARK, Look, number, text_width, wrapped
from xai.figures.variants import variants


class Drawings(Sources):
    """Evidence that is made up instead of computed."""

    def evidence(self, checkpoint: str | None, clip: str | None = None) -> Evidence:
        return self._once(("made up", checkpoint), lambda: synthetic_evidence(**SIZE, token_mode=checkpoint or "cross"))

    def name(self, checkpoint: str | None) -> str:
        return checkpoint or "cross"


SPECS = {
    "page": "panels: [film, joints, [ledger, cube: {frames: 3}]]",
    "column": "width: column\nscale: per clip\npanels: [film, joints, ledger, cube]",
    "dark": "width: 4.0\ntheme: dark\npanels: [cube, [ledger, ledger]]",
    "variants": "checkpoints: {none: a, single: b, cross: c}\npanels: [variants]",
    "slide": "width: slide\ntext: 14\ntheme: dark\npanels: [film, [joints, ledger]]",
    "large text": "width: column\ntext: 9\npanels: [film: {letter: xii}, joints]",
    "who reads": "width: column\npanels: [flow, flow: {layer: 1}]",
    "confusion": "panels: [confusion: {rows: [kick left, kick right, bow], columns: [kick left, kick right, bow], "
    "counts: [[9, 1, 0], [0, 10, 0], [2, 0, 120]], of: gym-cross on Gym}, film]",
    "agreement": "panels: [agreement: {names: [none, cross], same: [[0.0, 0.9], [0.9, 0.0]], "
    "chance: [[0.0, 0.1], [0.1, 0.0]]}, ledger]",
    "ablation": "width: column\npanels: [ablation: {rows: [without deformable, all three], accuracies: [[0.5, 0.6], "
    "[0.8]], of: Table 4}, ledger]",
    "narrow variants": "width: column\ncheckpoints: {none: a, cross: c}\npanels: [variants: {classes: 3}]",
}


def test_a_strip_is_dark_where_the_network_does_not_look_and_says_what_lies_beyond_the_frame() -> None:
    evidence = synthetic_evidence(height=96, width=128)
    grey = replace(evidence.clip, frames=np.full_like(evidence.clip.frames, 200), score=0 * evidence.clip.score)
    box = np.array([[19.5, -30.5], [89.5, -30.5], [89.5, 39.5], [19.5, 39.5]])
    around = replace(evidence, clip=grey, box=box, model=evidence.model | {"fit": "person"})
    figure, drawn = shown(lambda area: film(area, around, points=1))
    figure.canvas.draw()
    axes = next(each for each in figure.axes if each.images)
    for x, y, dark in ((25, 3, False), (85, 35, False), (8, 20, True), (120, 5, True), (50, 60, True), (85, 45, True)):
        assert (pixel(figure, axes, x, y).max() < 120) == dark, (x, y)
    assert "darkened it does not see" in drawn.caption
    whole = replace(evidence, clip=grey, box=np.array([[-0.5, -0.5], [127.5, -0.5], [127.5, 95.5], [-0.5, 95.5]]))
    assert "darkened" not in shown(lambda area: film(area, whole))[1].caption
    seen = replace(around, clip=replace(evidence.clip, frames=grey.frames))
    assert (
        "a square around the joints, the same in all frames, 43 % of it beyond"
        in shown(lambda area: film(area, seen))[1].caption
    )
    points = evidence.sampling_points
    assert points is not None
    place = points.companions["place"].copy()
    place[..., 1] = 200
    far = replace(seen, sampling_points=replace(points, companions=dict(points.companions) | {"place": place}))
    assert " 48 of the points lie beyond the frame" in shown(lambda area: film(area, far))[1].caption


def test_the_check_sees_what_lies_over_something() -> None:
    spec = parse_spec("panels: [film, ledger]")
    figure = compose(spec, Drawings(spec)).figure
    figure.text(0.3, 0.75, "over the film")
    figure.text(0.99, 0.5, "out of the sheet")
    found = " ".join(collisions(figure))
    assert "'over the film' over a chart" in found
    assert "'out of the sheet' outside" in found


@pytest.mark.parametrize("name", SPECS)
def test_nothing_lies_over_anything_else(name: str) -> None:
    spec = parse_spec(SPECS[name])
    composed = compose(spec, Drawings(spec))
    assert collisions(composed.figure) == []
    assert composed.figure.get_size_inches()[0] == spec.width
    letters = [letter for letter, _, _ in composed.panels]
    assert letters == [panel.letter or "abcdefgh"[i] for i, panel in enumerate(sum(spec.rows, ()))]
    for letter in letters:
        assert f"({letter})" in composed.caption


def test_a_sampling_point_is_drawn_between_its_two_frames() -> None:
    evidence = one_point(synthetic_evidence(**SIZE), 3.25, 70, 20)
    figure, drawn = shown(lambda area: film(area, evidence, 7, points=1))
    dots = {}
    for frame, axes in enumerate([axes for axes in figure.axes if axes.images][:7]):
        for found in axes.collections:
            if found.get_zorder() == 5:
                dots[frame] = (found.get_offsets()[0].tolist(), float(np.ravel(found.get_alpha())[0]))
    assert dots == {3: ([70, 20], 0.75), 4: ([70, 20], 0.25)}
    assert "1 of 24 sampling points hold 100" in drawn.caption
    assert drawn.tables[0].values["x"].tolist() == [70]


def test_the_numbers_are_those_of_the_evidence() -> None:
    evidence = synthetic_evidence(**SIZE)
    assert evidence.joint_curves is not None
    _, drawn = shown(lambda area: joints(area, evidence, 1, "pose"))
    expected = evidence.joint_curves.values[0, :, 1, :, 0].mean(0)  # layer 1, mean of heads, the pose token, person 1
    np.testing.assert_allclose(drawn.tables[0].values["attention mass"], expected, rtol=1e-6)
    assert list(drawn.tables[0].axes) == ["frame", "joint"]
    _, drawn = shown(lambda area: ledger(area, evidence, "wave"))
    parts = drawn.tables[0].values["part of the logit"]
    index = evidence.labels.index("wave")
    total = parts.sum() + evidence.ledger.companions["bias"][index]
    assert total == pytest.approx(evidence.ledger.companions["logits"][index])


def test_per_clip_divides_by_the_largest_and_raw_does_not() -> None:
    evidence = synthetic_evidence(**SIZE)
    for look, uniform in ((Look(), 1.0), (Look(DARK, per_clip=True), None)):
        figure, drawn = shown(lambda area: joints(area, evidence), look=look)
        chart = next(axes for axes in figure.axes if look.scale in axes.get_ylabel())
        *curves, level = (np.asarray(line.get_ydata()) for line in chart.lines)
        tallest = max(float(np.nanmax(each)) for each in curves)
        times = np.nanmax(drawn.tables[0].values["attention mass"] / drawn.tables[0].values["uniform"])
        assert tallest == pytest.approx(times if uniform else 1)
        assert level == pytest.approx(np.full(len(level), uniform or 1 / times))
        assert look.scale in drawn.caption


def test_the_joint_that_was_painted_is_named_and_what_is_level_is_not() -> None:
    evidence = synthetic_evidence(**SIZE)
    figure, _ = shown(lambda area: joints(area, evidence))
    words = [text.get_text() for text in figure.findobj(Text)]
    assert evidence.clip.layout.joints[WRIST] in words
    ratio = np.ones((4, 3))
    ratio[2, 1] = 3.0
    ratio[:, 2] = np.nan
    assert telling(ratio, 3) == [1]
    assert telling(np.ones((4, 3)), 3) == [0]  # somebody is named


def test_what_a_network_or_a_clip_does_not_have_is_said() -> None:
    bare = synthetic_evidence(**SIZE, without=("sampling_points", "joint_curves"))
    figure, drawn = shown(lambda area: film(area, bare))
    assert "no 3D token search" in drawn.caption
    _, drawn = shown(lambda area: joints(area, bare))
    assert "no joint attention" in drawn.caption
    nobody = synthetic_evidence(**SIZE, people=0)
    assert "No joint was seen" in shown(lambda area: joints(area, nobody))[1].caption
    assert "No joint was seen" in shown(lambda area: film(area, nobody))[1].caption
    with pytest.raises(ValueError, match="no 3D token search"):
        shown(lambda area: block(area, bare))
    untrained = replace(bare, model={**bare.model, "trained_on": ""})
    for evidence, said in ((untrained, True), (bare, False)):
        texts = FIGURES["ledger"](evidence).texts
        assert any("was never trained" in text.get_text() for text in texts) == said
    assert figure.get_size_inches()[0] == 6.65


def test_variants_share_one_scale_when_raw() -> None:
    evidences = {mode: synthetic_evidence(**SIZE, token_mode=mode) for mode in ("none", "single", "cross")}
    for look in (Look(), Look(per_clip=True)):
        figure, drawn = shown(lambda area: variants(area, evidences), look=look)
        charts = [axes for axes in figure.axes if "uniform" in axes.get_ylabel()]
        assert len(charts) == 3
        assert len({axes.get_ylim() for axes in charts}) == 1
        probabilities = [table for table in drawn.tables if table.name == "cross probabilities"]
        np.testing.assert_array_equal(probabilities[0].values["probability"], evidences["cross"].probabilities)
    other = replace(evidences["none"], labels=tuple("abcdefgh"))
    with pytest.raises(ValueError, match="same frames and classes"):
        shown(lambda area: variants(area, {"a": evidences["cross"], "b": other}))


def test_the_block_keeps_lengths_along_its_axes() -> None:
    step = 30.0
    origin = project(np.array([0, 0, 0]), step)
    assert project(np.array([2, 0, 0]), step) - origin == pytest.approx([60, 0])
    assert project(np.array([0, 0, 5]), step) - origin == pytest.approx([0, 5])
    assert project(np.array([0, 100, 0]), step) - origin == pytest.approx([42, -20])


@pytest.mark.parametrize(
    ("panel", "words"),
    [
        ("film: {layer: 9}", "layer is 9, and the network has 2"),
        ("joints: {query: nobody}", "query is 'nobody'"),
        ("joints: {person: 3}", "person is 3, and the clip shows 1"),
        ("ledger: {label: swim}", "no class 'swim'"),
        ("leader board: {scores: nowhere.jsonl}", "nowhere.jsonl cannot be read"),
    ],
)
def test_a_panel_that_cannot_be_drawn_is_named_by_its_line(panel: str, words: str) -> None:
    spec = parse_spec(f"panels:\n  - ledger\n  - {panel}", "fig.yaml")
    with pytest.raises(FigureError, match=r"^fig\.yaml, line 3: ") as caught:
        compose(spec, Drawings(spec))
    assert words in str(caught.value)


def test_a_panel_without_a_clip_or_a_checkpoint_says_what_to_add() -> None:
    spec = FigureSpec(parse_spec("panels: [film]").rows)
    with pytest.raises(FigureError, match="add the key checkpoint"):
        compose(spec)


def test_words_are_wrapped_to_their_width() -> None:
    text = "a figure is read before its words are " * 3
    lines = wrapped(text.strip(), 1.5)
    assert " ".join(lines) == text.strip()
    assert all(text_width(line) <= 1.5 for line in lines)
    assert text_width("attention", 12) == pytest.approx(2 * text_width("attention", 6), rel=0.02)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0, "0"), (0.00724, "0.0072"), (0.213, "0.21"), (-3.42, "−3.4"), (12.34, "12.3"), (1234.5, "1234")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_grids_show_the_numbers_they_were_given() -> None:
    spec = parse_spec(SPECS["who reads"])
    sources = Drawings(spec)
    (_, _, last), (_, _, first) = compose(spec, sources).panels
    flow = sources.evidence(None).token_flow
    for drawn, layer in ((first, 0), (last, len(flow.values) - 1)):
        for table in drawn.tables:
            names = [{"patches": "patch", "points": "point", "joints": "joint"}.get(n, n) for n in table.axes["reader"]]
            a = list(flow.axes[1].labels).index(table.name)
            rows = [list(flow.axes[2].labels).index(name) for name in names]
            found = table.values["attention mass"].sum(axis=1)
            assert found == pytest.approx(np.nansum(flow.values[layer, a, rows], axis=1), abs=1e-5)
    spec = parse_spec(SPECS["confusion"])
    drawn = compose(spec, Drawings(spec)).panels[0][2]
    assert "139 of 142 on the diagonal" in drawn.caption
    assert drawn.tables[0].values["clips"].tolist() == [[9, 1, 0], [0, 10, 0], [2, 0, 120]]


@pytest.mark.parametrize("counts", ["[[1, 2]]", "[[1], [2]]", "[]"])
def test_a_grid_whose_numbers_do_not_fit_its_names_is_refused(counts: str) -> None:
    spec = parse_spec(f"panels: [confusion: {{rows: [a, b], columns: [a, b], counts: {counts}}}]", "fig")
    with pytest.raises(FigureError, match="line 1: counts must have 2 rows of 2 numbers"):
        compose(spec, Drawings(spec))
