"""Panels of figures: nothing lies over anything else, marks are where they should be, numbers are those of the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.xai.synthetic import WRIST, one_point, painted_clip, synthetic_evidence
from xai.evidence import Evidence
from xai.explanation import Axis, Explanation, MadeBy
from xai.figures.block import block, project
from xai.figures.compose import compose
from xai.figures.curves import joints, ledger, telling, trust
from xai.figures.maps import map_panel
from xai.figures.paper import FIGURES, one_panel
from xai.figures.sheet import Area, Drawn
from xai.figures.sources import Sources
from xai.figures.spec import FigureError, FigureSpec, parse_spec
from xai.figures.strip import film
from xai.figures.style import DARK, Look, number, text_width, wrapped
from xai.figures.variants import variants

SIZE: dict[str, Any] = {"frames": 7, "height": 60, "width": 100, "layers": 2, "heads": 2, "grid": (2, 3, 4)}


class Drawings(Sources):
    """Evidence that is made up instead of computed."""

    def evidence(self, checkpoint: str | None) -> Evidence:
        return self._once(("made up", checkpoint), lambda: synthetic_evidence(**SIZE, token_mode=checkpoint or "cross"))

    def name(self, checkpoint: str | None) -> str:
        return checkpoint or "cross"


def map_of(kind: str, values: np.ndarray, trusted: Any = None, base: float = 0.0) -> Explanation:
    names = {"pixel map": ("frame", "y", "x"), "joint map": ("frame", "person", "joint"), "frame map": ("frame",)}
    axes = tuple(Axis(name) for name in names.get(kind, ("frame", "token")))
    if kind == "token map":
        axes = (Axis("frame"), Axis("token", ("cls", "rgb", "pose")))
    box = np.array([[-0.5, -0.5], [99.5, -0.5], [99.5, 59.5], [-0.5, 59.5]])
    about = MadeBy("0" * 16, "1" * 16, "some method", {"target": "golf", "against": "clap", "on": "here"})
    return Explanation(
        kind, values.astype(np.float32), axes, "change of the logit", about, np.array(base), "taking away one at random",
        companions={"box": box}, trust=trusted,
    )  # fmt: skip


def curves() -> dict[str, Any]:
    share, falling = np.linspace(0, 1, 6), np.linspace(2, -1, 6)
    found: dict[str, Any] = {"share": share.tolist(), "units": "joints", "gain": 1.0, "over_random": 0.5}
    for kind, line in (("deletion", falling), ("insertion", falling[::-1])):
        found |= {kind: line.tolist(), f"motion_{kind}": (line + 0.2).tolist(), f"random_{kind}": (line * 0.5).tolist()}
        found |= {f"random_{kind}_low": (line * 0.5 - 1).tolist(), f"random_{kind}_high": (line * 0.5 + 1).tolist()}
    return found | {"interval": [0.1, 0.9], "motion_gain": 0.2}


@contextmanager
def drawn_words() -> Iterator[list[Text]]:
    """The texts that are really painted while this is open, not those that matplotlib keeps for later."""
    seen: list[Text] = []
    original = Text.draw

    def draw(self: Text, renderer: Any, *rest: Any, **more: Any) -> Any:
        if self.get_text().strip() and self.get_visible():
            seen.append(self)
        return original(self, renderer, *rest, **more)

    Text.draw = draw  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        Text.draw = original  # type: ignore[method-assign]


def collisions(figure: Figure) -> list[str]:
    """Texts that lie over each other, over a picture or a chart, or outside the figure."""
    figure.set_dpi(150)
    with drawn_words() as words:
        figure.canvas.draw()
    assert len(words) > 3
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [(text.get_text(), text.get_window_extent(renderer).padded(-1.5)) for text in words]
    found = [f"{a!r} over {b!r}" for (a, box), (b, other) in combinations(boxes, 2) if box.overlaps(other)]
    found += [f"{text!r} outside" for text, box in boxes if box.x0 < -2 or box.y0 < -2
              or box.x1 > figure.bbox.x1 + 2 or box.y1 > figure.bbox.y1 + 2]  # fmt: skip
    charts = [axes.get_window_extent() for axes in figure.axes if axes.axison]
    loose = [(text.get_text(), text.get_window_extent(renderer).padded(-1.5)) for text in figure.texts]
    found += [f"{text!r} over a chart" for text, box in loose if any(box.overlaps(chart) for chart in charts)]
    framed = [axes.get_window_extent() for axes in figure.axes]
    solid = [box for box in framed if box.width > 4 and box.height > 4]
    return found + ["axes over axes" for a, b in combinations(solid, 2) if a.padded(-1).overlaps(b.padded(-1))]


SPECS = {
    "page": "panels: [film, joints, [ledger, cube]]",
    "column": "width: column\nscale: per clip\npanels: [film, joints, ledger, cube]",
    "dark": "width: 4.0\ntheme: dark\npanels: [cube, [ledger, ledger]]",
    "variants": "checkpoints: {none: a, single: b, cross: c}\npanels: [variants]",
    "narrow variants": "width: column\ncheckpoints: {none: a, cross: c}\npanels: [variants: {classes: 3}]",
}


@pytest.mark.parametrize("name", SPECS)
def test_nothing_lies_over_anything_else(name: str) -> None:
    spec = parse_spec(SPECS[name])
    composed = compose(spec, Drawings(spec))
    assert collisions(composed.figure) == []
    assert composed.figure.get_size_inches()[0] == spec.width
    letters = "".join(letter for letter, _, _ in composed.panels)
    assert letters == "abcdefgh"[: len(letters)]
    for letter in letters:
        assert f"({letter})" in composed.caption


def maps() -> dict[str, Explanation]:
    rng = np.random.default_rng(0)
    once = np.broadcast_to(rng.normal(size=(1, 1, 15)), (7, 1, 15))
    verdict = {"level": "doubtful", "verdict": "No better than random removal of joints.", "faithfulness": curves()}
    return {
        "pixels": map_of("pixel map", rng.normal(size=(7, 6, 10)), base=0.4),
        "joints": map_of("joint map", rng.normal(size=(7, 1, 15)), verdict, base=-0.3),
        "joints, one value a joint": map_of("joint map", once, base=0.3),
        "amounts": map_of("joint map", rng.random((7, 1, 15)), base=0.5),
        "frames": map_of("frame map", rng.normal(size=7), base=0.2),
        "tokens": map_of("token map", rng.normal(size=(7, 3))),
    }


@pytest.mark.parametrize("name", maps())
@pytest.mark.parametrize("width", [3.15, 6.65])
def test_no_map_lies_over_its_words(name: str, width: float) -> None:
    clip, explanation = painted_clip(7, 60, 100), maps()[name]
    drawn: list[Drawn] = []
    signed = name != "amounts"
    figure = one_panel(lambda a: keep(drawn, map_panel(a, explanation, clip, signed)), width, Look())
    assert collisions(figure) == []
    assert "taking away one at random" in drawn[0].caption
    assert ("Trust: doubtful" in drawn[0].caption) == (explanation.trust is not None)
    np.testing.assert_array_equal(drawn[0].tables[0].values["change of the logit"], explanation.values)


def keep(drawn: list[Drawn], one: Drawn) -> Drawn:
    drawn.append(one)
    return one


def shown(draw: Callable[[Area], Drawn], width: float = 6.65, look: Look | None = None) -> tuple[Figure, Drawn]:
    drawn: list[Drawn] = []
    return one_panel(lambda area: keep(drawn, draw(area)), width, look or Look()), drawn[0]


def pixel(figure: Figure, axes: Axes, x: float, y: float) -> np.ndarray:
    """Colour [3] of the figure at a place in the coordinates of `axes`."""
    image = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
    column, row = axes.transData.transform((x, y))
    return image[round(image.shape[0] - 1 - row), round(column), :3].astype(int)


def test_a_cell_of_a_pixel_map_is_painted_where_it_is() -> None:
    values = np.zeros((7, 6, 10))
    values[3, 4, 8] = 1.0  # the cell x 79.5..89.5, y 39.5..49.5 of frame 3
    clip = painted_clip(7, 60, 100, people=0)
    figure, _ = shown(lambda area: map_panel(area, map_of("pixel map", values), clip, True, frames=7))
    figure.set_dpi(150)
    figure.canvas.draw()
    frames = [axes for axes in figure.axes if len(axes.images) == 2]
    assert len(frames) == 7
    red, green, blue = pixel(figure, frames[3], 84.5, 44.5)
    assert red > green + 30 > blue + 30  # orange: speaks for
    for axes, (x, y) in ((frames[3], (77.0, 44.5)), (frames[3], (84.5, 52.0)), (frames[2], (84.5, 44.5))):
        assert np.ptp(pixel(figure, axes, x, y)) < 6  # grey: nothing


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
    for look, low, high in ((Look(), 0.01, 0.05), (Look(DARK, per_clip=True), 1, 1)):
        figure, drawn = shown(lambda area: joints(area, evidence), look=look)
        chart = next(axes for axes in figure.axes if look.scale in axes.get_ylabel())
        tallest = max(float(np.nanmax(line.get_ydata())) for line in chart.lines)
        assert low <= tallest <= high
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
    for draw in FIGURES.values():
        assert any("was never trained" in text.get_text() for text in draw(untrained).texts)
        assert not any("was never trained" in text.get_text() for text in draw(bare).texts)
    assert figure.get_size_inches()[0] == 6.65


def test_trust_shows_the_map_beside_random_and_motion() -> None:
    found = {"level": "supported", "verdict": "Beats random removal.", "faithfulness": curves()}
    explanation = map_of("joint map", np.zeros((7, 1, 15)), found)
    figure, drawn = shown(lambda area: trust(area, explanation), 3.15)
    assert collisions(figure) == []
    charts = [axes for axes in figure.axes if axes.axison]
    assert [len(axes.lines) for axes in charts] == [3, 3]
    assert charts[0].lines[2].get_ydata().tolist() == found["faithfulness"]["deletion"]
    assert "Beats random removal." in drawn.caption
    assert drawn.tables[0].values["random_insertion_high"].shape == (6,)
    with pytest.raises(ValueError, match="was not measured"):
        shown(lambda area: trust(area, map_of("joint map", np.zeros((7, 1, 15)))))


def test_variants_share_one_scale_when_raw() -> None:
    evidences = {mode: synthetic_evidence(**SIZE, token_mode=mode) for mode in ("none", "single", "cross")}
    for look, alike in ((Look(), True), (Look(per_clip=True), True)):
        figure, drawn = shown(lambda area: variants(area, evidences), look=look)
        charts = [axes for axes in figure.axes if "mass" in axes.get_ylabel()]
        assert len(charts) == 3
        assert (len({axes.get_ylim() for axes in charts}) == 1) == alike
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


def test_a_leader_board_of_a_benchmark(tmp_path: Path) -> None:
    entries = [{"method": name, "on": "joints", "options": {}} for name in ("good", "bad")]
    lines: list[Any] = [{"format": 1, "entries": entries}]
    for position in range(6):
        scores = {name: [{"target": "joints", "measure": "rank", "value": value, "base": 0.5}]
                  for name, value in (("good", 0.9 + 0.01 * position), ("bad", 0.4))}  # fmt: skip
        made = {f"{name} on joints": {"seconds": 0.1, "amounts": {}, "scores": s} for name, s in scores.items()}
        lines.append({"position": position, "kind": "pose", "predicted": "a", "label": "a", "maps": made})
    path = tmp_path / "scores.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    spec = parse_spec(f"width: column\npanels:\n  - leader board: {{scores: {path}}}")
    composed = compose(spec, Drawings(spec))
    assert collisions(composed.figure) == []
    ((_, table),) = composed.tables
    assert dict(zip(table.axes["method"], table.values["mean"], strict=True)) == pytest.approx(
        {"good on joints": 0.925, "bad on joints": 0.4}
    )
    wrong = parse_spec(f"panels:\n  - leader board: {{scores: {path}, kind: time}}", "fig.yaml")
    with pytest.raises(FigureError, match=r"^fig.yaml, line 2: .*kinds are all, pose"):
        compose(wrong, Drawings(wrong))


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
    with pytest.raises(FigureError, match="fig.yaml, line 3: ") as caught:
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
