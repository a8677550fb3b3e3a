"""Maps, trust and the leader board as panels: words stay free, a cell is where it is, curves are those given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text

from tests.xai.figure_checks import collisions, curves, keep, map_of, pixel, shown
from tests.xai.synthetic import painted_clip
from xai.explanation import Explanation
from xai.figures.compose import compose
from xai.figures.curves import trust
from xai.figures.maps import map_panel
from xai.figures.paper import one_panel
from xai.figures.sheet import Drawn
from xai.figures.spec import FigureError, parse_spec
from xai.figures.style import Look


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


def test_a_map_by_limb_names_body_parts_and_not_joints() -> None:
    values = np.zeros((7, 1, 15))
    clip = painted_clip(7, 60, 100)
    for limb, (_, joints) in enumerate(clip.layout.limbs):
        values[:, :, list(joints)] = limb + 1
    by_joint = map_of("joint map", values)
    by_limb = replace(by_joint, made_by=replace(by_joint.made_by, method="limb removal"))

    def bars(explanation: Explanation) -> dict[str, float]:
        figure, _ = shown(lambda area: map_panel(area, explanation, clip, True))
        assert collisions(figure) == []
        chart = next(axes for axes in figure.axes if len(axes.get_yticklabels()) > 3 and axes.patches)
        names = [tick.get_text() for tick in chart.get_yticklabels()]
        return dict(zip(names, (float(bar.get_width()) for bar in chart.patches), strict=True))

    def key(explanation: Explanation) -> set[str]:
        moving = replace(explanation, values=explanation.values * np.linspace(1, 2, 7)[:, None, None])
        figure, _ = shown(lambda area: map_panel(area, moving, clip, True))
        assert collisions(figure) == []
        return {text.get_text() for text in figure.findobj(Text)}

    limbs, joints = {name for name, _ in clip.layout.limbs}, set(clip.layout.joints)
    assert key(by_joint) & joints
    assert not key(by_joint) & limbs
    assert len(key(by_limb) & limbs) == 4
    assert not key(by_limb) & joints
    assert len(bars(by_joint)) == 15
    assert bars(by_limb) == {name: limb + 1 for limb, (name, _) in enumerate(clip.layout.limbs)}


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
    composed = compose(spec)
    assert collisions(composed.figure) == []
    ((_, table),) = composed.tables
    assert dict(zip(table.axes["method"], table.values["mean"], strict=True)) == pytest.approx(
        {"good on joints": 0.925, "bad on joints": 0.4}
    )
    wrong = parse_spec(f"panels:\n  - leader board: {{scores: {path}, kind: time}}", "fig.yaml")
    with pytest.raises(FigureError, match=r"^fig.yaml, line 2: .*kinds are all, pose"):
        compose(wrong)
