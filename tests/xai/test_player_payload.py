"""The payload of the player: small, faithful to its step, and honest about what is missing."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.synthetic import one_point, painted_clip, synthetic_evidence
from xai.dashboard.player import Place
from xai.evidence import gather_evidence
from xai.figures.player import pack, player_payload, size, unpack
from xai.figures.player_script import FOLDER, script


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40), st.sampled_from(["u1", "u2"]))
def test_unpacking_is_within_half_a_step(values: list[float], levels: str) -> None:
    packed = pack(np.array(values), levels)
    assert np.abs(unpack(packed) - values).max() <= 0.5 * packed["step"] * (1 + 1e-6)


def test_quantised_by_hand() -> None:
    packed = pack(np.array([0.0, 0.5, 1.0]), "u1", 0.0, 1.0)
    assert base64.b64decode(packed["b64"]) == bytes([0, 128, 255])
    assert unpack(packed)[2] == pytest.approx(1.0)


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        pack(np.array([1.0, np.nan]))


def test_places_masses_and_ledger_survive_the_trip() -> None:
    evidence = synthetic_evidence(frames=7, height=60, width=100, people=2)
    payload = json.loads(json.dumps(player_payload(evidence)))
    points, curves = evidence.sampling_points, evidence.joint_curves
    np.testing.assert_allclose(unpack(payload["points"]["place"]), points.companions["place"], atol=0.001)
    np.testing.assert_allclose(unpack(payload["points"]["mass"]), points.values.mean(3), atol=1e-6)
    np.testing.assert_allclose(unpack(payload["joints"]["mass"]), curves.values, atol=1e-6)
    np.testing.assert_allclose(unpack(payload["skeleton"]["place"]), evidence.clip.joints, atol=0.002)
    for index, entry in enumerate(payload["classes"]):
        total = sum(map(sum, payload["ledger"]["parts"][index])) + entry["bias"]
        assert total == pytest.approx(entry["logit"], abs=1e-4)
    found = [entry["probability"] for entry in payload["classes"]]
    np.testing.assert_allclose(found, np.sort(evidence.probabilities)[::-1], rtol=1e-5)
    assert payload["classes"][0]["label"] == evidence.labels[evidence.top]


def test_the_sprite_holds_the_frames_row_by_row() -> None:
    clip = painted_clip(frames=7, height=60, width=100)
    sprite = player_payload(synthetic_evidence(clip=clip))["sprite"]
    data = np.frombuffer(base64.b64decode(sprite["src"].split(",", 1)[1]), np.uint8)
    sheet = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    assert (sprite["width"], sprite["height"], sprite["columns"]) == (100, 60, 3)
    for t in range(7):
        cell = sheet[t // 3 * 60 : t // 3 * 60 + 60, t % 3 * 100 : t % 3 * 100 + 100]
        assert np.abs(cell.astype(int) - clip.frames[t]).mean() < 4


@pytest.mark.parametrize(
    ("settings", "budget"),
    [
        ({"frames": 12, "height": 112, "width": 112, "layers": 3, "heads": 8, "grid": (6, 8, 8)}, 1_000_000),
        ({"frames": 12, "height": 240, "width": 320, "layers": 3, "heads": 8, "grid": (6, 22, 22)}, 2_000_000),
    ],
)
def test_a_clip_fits_its_budget(settings: dict, budget: int) -> None:
    payload = player_payload(synthetic_evidence(**settings))
    assert size(payload) < budget
    assert payload["points"]["number"] is None  # no point was left out


def test_a_small_budget_drops_query_frames_first_and_then_the_lightest_points() -> None:
    evidence = synthetic_evidence(frames=12, height=60, width=80, grid=(6, 8, 8))
    full = player_payload(evidence)
    assert full["points"]["by_query_frame"] is not None
    means_only = player_payload(evidence, budget=size(full) - 1000)
    assert means_only["points"]["by_query_frame"] is None
    assert means_only["points"]["number"] is None
    few = player_payload(evidence, budget=60_000)
    kept = np.array(few["points"]["number"])
    assert kept.shape[1] < 384
    assert few["points"]["count"] == 384
    assert few["points"]["sums"] == full["points"]["sums"]  # shares stay shares of all points
    strength = evidence.sampling_points.values.mean(3).max((1, 2))
    left_out = np.delete(strength[0], kept[0])
    assert strength[0, kept[0]].min() >= left_out.max()
    with pytest.raises(ValueError, match="explain fewer"):
        player_payload(evidence, budget=5_000)


def test_parts_that_a_variant_does_not_have_come_with_a_sentence() -> None:
    payload = player_payload(synthetic_evidence(without=("sampling_points", "joint_curves", "temporal_windows")))
    assert payload["points"] is payload["joints"] is payload["windows"] is payload["looks"] is None
    assert payload["said"]["noCurves"].startswith("This variant")
    assert payload["said"]["noPoints"].startswith("This variant")


def test_a_clip_whose_joints_all_have_score_zero_has_no_skeleton() -> None:
    clip = painted_clip()
    payload = player_payload(synthetic_evidence(clip=replace(clip, score=np.zeros_like(clip.score))))
    assert payload["skeleton"] is None
    assert payload["joints"] is None
    assert payload["said"]["noCurves"].startswith("No joint was seen")
    assert payload["said"]["noJoints"] == payload["said"]["noCurves"]


@pytest.mark.parametrize("mode", ["cross", "single", "none"])
def test_evidence_of_a_real_network_becomes_a_payload(mode: str) -> None:
    evidence = gather_evidence(random_recognizer(token_mode=mode), noise_clip())
    payload = player_payload(evidence)
    assert payload["clip"]["frames"] == 5
    np.testing.assert_allclose(unpack(payload["joints"]["mass"]), evidence.joint_curves.values, atol=1e-5)


def test_curves_of_another_clip_are_refused() -> None:
    evidence = synthetic_evidence(frames=7)
    with pytest.raises(ValueError, match="explain the clip that the model read"):
        player_payload(replace(evidence, joint_curves=synthetic_evidence(frames=8).joint_curves))


def test_the_same_evidence_has_the_same_name() -> None:
    first, second = player_payload(synthetic_evidence()), player_payload(synthetic_evidence())
    other = player_payload(one_point(synthetic_evidence(), 1, 2, 3))
    assert first["id"] == second["id"] != other["id"]


def test_what_lies_beyond_the_frame_is_said_and_the_lattice_ends_with_it() -> None:
    known, clip = random_recognizer(), noise_clip()
    known = replace(known, card=replace(known.card, trained_on="noise"))
    around = replace(known, card=replace(known.card, fit="person"))
    evidence = gather_evidence(around, clip)
    payload = player_payload(evidence)
    (left, top), (right, low) = evidence.box.min(0) + 0.5, evidence.box.max(0) + 0.5
    height, width = clip.size
    assert left < 0
    assert top < 0
    out = 1 - width * height / ((right - left) * (low - top))
    assert f"a square around the joints, the same in all frames, {100 * out:.0f} % of it" in payload["said"]["warning"]
    assert "square" not in player_payload(gather_evidence(known, clip))["said"]["warning"]
    assert evidence.sampling_points is not None
    place = evidence.sampling_points.companions["place"][-1]
    count = sum(not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5) for _, x, y in place)
    assert count > 0
    assert f" {count} of the points lie beyond the frame and are not drawn." in payload["points"]["about"][-1]
    style = payload["lattice"]["late"]
    box = [float(style.partition(f"{name}:")[2].partition("%")[0]) for name in ("left", "top", "width", "height")]
    cut = [float(part.strip("%)")) for part in style.partition("inset(")[2].split()]
    assert box[1] + box[3] * cut[0] / 100 == pytest.approx(0, abs=0.05)  # cut off at the upper edge of the frame
    assert box[0] + box[2] * (1 - cut[1] / 100) == pytest.approx(100, abs=0.05)
    assert box[1] + box[3] * (1 - cut[2] / 100) == pytest.approx(100, abs=0.05)
    assert box[0] + box[2] * cut[3] / 100 == pytest.approx(0, abs=0.05)


def test_a_place_survives_a_link() -> None:
    place = Place(frame=0, joint=11, person=1, layer=2, head=-1, query="cls", label="golf")
    assert place.to_query() == {
        "frame": "1", "joint": "12", "person": "2", "layer": "3", "head": "0", "query": "cls", "label": "golf",
    }  # fmt: skip
    assert Place.from_query(place.to_query()) == place
    assert Place.from_query({"frame": "-3", "joint": "x", "head": "99999"}) == Place()


def test_the_modules_are_one_script_without_imports() -> None:
    lines = script().splitlines()
    assert not [line for line in lines if line.startswith(("import ", "export "))]
    assert script().count("function mount(") == 1


def test_the_player_stays_readable() -> None:
    """No build step and no framework: what a browser runs is what one reads."""
    sources = [path.read_text(encoding="utf-8").splitlines() for path in FOLDER.glob("*.js")]
    assert sum(map(len, sources)) <= 1000
    assert max(len(line) for lines in sources for line in lines) <= 120
