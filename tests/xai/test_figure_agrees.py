"""What leaves on paper agrees with what was on screen: hues, frames, scales, and how far a map can be believed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.figure_checks import SIZE, map_of, shown
from tests.xai.synthetic import synthetic_evidence
from tests.xai.test_dashboard_believed import removal
from training.clip_file import load_clip
from training.recognizer import Recognizer
from xai import known_trust
from xai.dashboard.exporting import report
from xai.dashboard.kept import Kept
from xai.dashboard.library import open_library
from xai.evidence import Evidence
from xai.figures.block import block
from xai.figures.cube import cube_arrays, cube_figure
from xai.figures.curves import joints
from xai.figures.hues import LIMBS, MOVED, TOKENS, reach
from xai.figures.maps import map_panel
from xai.figures.panel_kinds import Map
from xai.figures.player import player_payload
from xai.figures.player_script import FOLDER
from xai.figures.reads import peak
from xai.figures.report import Wanted, report_maps
from xai.figures.sources import Sources
from xai.figures.spec import parse_spec
from xai.figures.strip import film, spread
from xai.figures.style import DARK, LIGHT
from xai.trust import PARTS, TrustReport


def below_uniform(evidence: Evidence) -> Evidence:
    """The same evidence of a network that reads joints far less than uniform attention would."""
    curves = evidence.joint_curves
    assert curves is not None
    return replace(evidence, joint_curves=replace(curves, base_rate=50 * curves.base_rate))


# ---- Hues -----------------------------------------------------------------------------------------------------------


def test_hues_are_those_of_the_player() -> None:
    style = (FOLDER / "player.css").read_text(encoding="utf-8")
    for theme, block_of in (("light", r"^\.player \{(.*?)^\}"), ("dark", r"^\.player\.dark \{(.*?)^\}")):
        found = re.search(block_of, style, re.MULTILINE | re.DOTALL)
        assert found
        named = dict(re.findall(r"--([\w-]+): (#\w{6})", found[1]))
        assert LIMBS[theme] == tuple(named[f"limb-{limb}"] for limb in range(5))
        for token in ("cls", "rgb", "pose", "patch", "joint"):
            assert TOKENS[theme][token] == named[f"token-{token}"]
    same = dict(re.findall(r"--token-(\w+): var\(--token-(\w+)\)", style))
    assert {"shared", "patches", "joints"} <= same.keys()
    for token in ("shared", "patches", "joints"):
        assert TOKENS["light"][token] == TOKENS["light"][same[token]]
    source = (FOLDER / "drawing.js").read_text(encoding="utf-8")
    stops = dict(re.findall(r'(EARLIER|LATER) = "(.*?)"', source))
    assert (*reversed(stops["EARLIER"].split()), *stops["LATER"].split()[1:]) == MOVED


def test_a_limb_and_a_displacement_have_one_hue_on_paper_and_on_screen() -> None:
    evidence = synthetic_evidence(**SIZE)
    layout = evidence.clip.layout
    figure, _ = shown(lambda area: joints(area, evidence))
    hues = {text.get_text(): text.get_color() for axes in figure.axes for text in axes.get_yticklabels()}
    for joint, name in enumerate(layout.joints):
        assert hues[name] == LIMBS["light"][layout.limb_of[joint]]
    for theme in (LIGHT, DARK):
        assert [to_hex(theme.moved(share)) for share in (0.0, 1.0)] == [MOVED[0], MOVED[-1]]
    payload = player_payload(evidence)
    arrays = cube_arrays(payload)
    assert arrays is not None
    marker = cube_figure(**arrays.of(0, 0)).data[-1].marker
    assert [colour for _, colour in marker.colorscale] == list(MOVED)
    assert (marker.cmin, marker.cmax) == (-payload["points"]["most"][0], payload["points"]["most"][0])
    for draw in (film, block):
        figure, _ = shown(partial(draw, evidence=evidence, layer=1, points=3))
        ends = [text.get_text() for axes in figure.axes for text in axes.get_xticklabels()]
        assert f"{payload['points']['most'][0]:g} later" in ends
    assert [reach(np.array(each)) for each in ([], [0.1], [-1.2, 0.3], [2.0])] == [0.5, 0.5, 1.5, 2.0]


# ---- Frames ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("about", [None, 0, 1, 3, 11, 31])
@pytest.mark.parametrize("count", [1, 2, 6, 40])
def test_frames_are_spread_evenly_around_the_one_that_matters(count: int, about: int | None) -> None:
    found = spread(32, count, about)
    assert len(found) == min(32, count)
    assert about is None or about in found
    if count == 6:
        steps = np.diff(found)
        assert steps.min() >= 0.5 * 31 / 5 - 1
        assert steps.max() <= 1.5 * 31 / 5 + 1


def times_of(figure: Figure, panel: str) -> list[str]:
    """The times that stand over the frames of a film strip, or under the cards of a block."""
    words: list[Any] = list(figure.texts) if panel == "film" else [text for a in figure.axes for text in a.texts]
    return sorted(match[1] for text in words if (match := re.fullmatch(r"(\d\.\d\d)(?: s)?", text.get_text())))


@pytest.mark.parametrize("frame", [None, 2])
def test_panels_of_one_clip_show_the_same_frames_and_the_one_that_matters(frame: int | None) -> None:
    evidence = synthetic_evidence(**{**SIZE, "frames": 17})
    start = player_payload(evidence)["start"]
    strongest = peak(evidence, None, start["query"], None)
    assert strongest == start["frame"]  # where the player opens
    found = [
        times_of(shown(partial(draw, evidence=evidence, query="cls", frame=frame))[0], name)
        for draw, name in ((film, "film"), (block, "block"))
    ]
    assert found[0] == found[1]
    here = strongest if frame is None else frame - 1
    assert f"{evidence.clip.time[here]:.2f}" in found[0]
    with pytest.raises(ValueError, match="frame is 18, and the network read 17"):
        shown(lambda area: film(area, evidence, frame=18))


def test_a_map_is_shown_on_its_strongest_frame() -> None:
    clip = synthetic_evidence(**{**SIZE, "frames": 17}).clip
    values = np.full((17, 1, 15), 0.1)
    values[4, 0, 3] = -2.0
    figure, _ = shown(lambda area: map_panel(area, map_of("joint map", values), clip, True))
    assert f"{clip.time[4]:.2f}" in times_of(figure, "film")


def test_times_under_cards_that_stand_close_together_do_not_touch() -> None:
    evidence = synthetic_evidence(**{**SIZE, "frames": 17})
    figure, _ = shown(lambda area: block(area, evidence, frames=12, frame=5), 1.8)
    figure.canvas.draw()
    words = [text for axes in figure.axes for text in axes.texts]
    boxes = sorted((text.get_window_extent() for text in words), key=lambda box: box.x0)
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    assert f"{evidence.clip.time[4]:.2f}" in [text.get_text() for text in words]


# ---- Scales ---------------------------------------------------------------------------------------------------------


def curves_of(figure: Figure) -> Axes:
    return next(axes for axes in figure.axes if "uniform" in axes.get_ylabel())


def test_the_axis_holds_the_uniform_level_that_its_key_promises() -> None:
    evidence = below_uniform(synthetic_evidence(**SIZE))
    figure, drawn = shown(lambda area: joints(area, evidence))
    chart = curves_of(figure)
    level = np.asarray(chart.lines[-1].get_ydata(), float)
    assert level == pytest.approx(np.ones(len(level)))
    assert chart.get_ylim()[1] > 1
    assert max(float(np.nanmax(np.asarray(line.get_ydata(), float))) for line in chart.lines[:-1]) < 0.2
    assert "uniform attention lies above its scale, at " in drawn.caption


def test_a_caption_speaks_of_a_mark_only_where_there_is_one() -> None:
    evidence = synthetic_evidence(**SIZE)
    for read, words in ((evidence, "the mark on its scale is"), (below_uniform(evidence), "lies above its scale")):
        caption = shown(partial(film, evidence=read))[1].caption
        assert words in caption
    rgb = shown(lambda area: film(area, evidence, query="rgb"))[1]
    assert "RGB takes no part in joint stride attention" in rgb.caption
    assert [table.name for table in rgb.tables] == ["sampling points"]
    values = np.full((7, 1, 15), 0.1)
    figure, _ = shown(lambda area: map_panel(area, map_of("joint map", values, base=0.4), evidence.clip, False))
    assert any("0.4, beyond the scale" in text.get_text() for text in figure.texts)


# ---- Trust ----------------------------------------------------------------------------------------------------------

MAIN = ("joint attention", "joints")
NOT = TrustReport(faithfulness=removal(0.0)).to_dict()


def page_data(html: str) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_a_report_says_the_trust_that_is_known_and_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    library = open_library()
    network, clip = Recognizer.load(library.checkpoints[0].path, "cpu"), load_clip(library.clips[0].path)

    def never(*given: Any, **more: Any) -> TrustReport:
        raise AssertionError("this was measured anew")

    monkeypatch.setattr("xai.figures.report.trust", never)
    shipped = known_trust.shipped_trust(network.checkpoint, clip.fingerprint)
    assert list(shipped) == [MAIN]
    names = ("assets/clips/x.npz", "x.safetensors")
    kept = Kept(9, 1 << 28)

    def made(wanted: list[str], parts: list[str], known: known_trust.Known) -> tuple[dict[str, Any], str]:
        html = report(network, clip, names, wanted, parts, kept, lambda done, total: None, known).decode()
        return page_data(html), re.findall(r"python -m xai report [^<]*", html)[0]

    data, command = made(["ledger", "joint attention"], [], shipped)
    assert data["trust"] == [{"textContent": known_trust.in_short(shipped[MAIN])}]
    assert [each["trust"] and each["trust"]["level"] for each in data["maps"]] == [None, "doubtful"]
    assert command.endswith("--trust")  # the command finds what ships
    data, _ = made(["joint attention"], list(PARTS), shipped)
    assert data["maps"][0]["trust"]["verdict"] == shipped[MAIN]["verdict"]
    data, command = made(["ledger:time"], [], {("ledger", "time"): NOT})
    assert data["maps"][0]["trust"]["level"] == "doubtful"
    assert data["trust"] == []
    assert command.endswith(f"--trust {' '.join(PARTS)}")  # it was measured here, and nobody else has it


def test_a_trust_that_was_just_measured_is_also_that_of_the_player() -> None:
    network, clip = random_recognizer(size=32, frames=4, width=4), noise_clip(6, 40, 56, 1)
    args = ("c.npz", "n.safetensors"), ["joint attention:joints"], ["faithfulness"], Kept(9, 1 << 28)
    data = page_data(report(network, clip, *args, lambda done, total: None).decode())
    assert data["trust"] == [{"textContent": known_trust.in_short(data["maps"][0]["trust"])}]
    other = report_maps(network, clip, [Wanted(*MAIN)], [], target=network.card.labels[-1], known={})
    assert other[0]["trust"] is None


def test_a_map_in_a_figure_says_the_trust_that_ships_of_it() -> None:
    library = open_library()
    files = {"n": str(library.checkpoints[0].path)}, str(library.clips[0].path)
    spec = replace(parse_spec("panels: [ledger]"), checkpoints=files[0], clips={"clip": files[1]})
    sources = Sources(spec, device="cpu")
    found = sources.explanation(Map(*MAIN)).trust
    assert found is not None
    assert found["level"] == "doubtful"
    assert sources.explanation(Map(*MAIN, target="bow")).trust is None
    assert sources.explanation(Map("ledger", "time")).trust is None
