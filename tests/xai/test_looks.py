"""What single tokens read: the strongest keys of a real network, and their way to the player."""

from __future__ import annotations

import re

import numpy as np
import pytest

from model.attention import attention_rows
from model.tap import Kind, attention_tap, recording
from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.synthetic import synthetic_evidence, with_looks
from xai.evidence import gather_evidence
from xai.figures.opening import lattice
from xai.figures.player import player_payload, size, unpack
from xai.figures.player_looks import look_tables
from xai.looks import KEPT, KEPT_OF_HEAD


@pytest.fixture(scope="module")
def taken():
    """Evidence with looks, and the taps of the same pass."""
    recognizer, clip = random_recognizer(), noise_clip()
    taps = {}
    with recording(lambda name, value: taps.update({name: value})):
        recognizer(clip)
    return gather_evidence(recognizer, clip, looks=True), taps


def test_a_patch_reads_the_points_that_its_own_row_says(taken) -> None:
    evidence, taps = taken
    looks, tap = evidence.looks, taps[attention_tap(0, "deformable")]
    row = attention_rows(tap.query[0, 0][:, [7]], tap.key[0, 0])[:, 0].mean(0)
    mass, best = row.topk(KEPT["deformable"])
    np.testing.assert_allclose(looks.mass["deformable"][0, 7], mass, atol=1e-6)
    first = looks.sizes[0] + looks.sizes[1]
    is_point = tap.keys.kind[0, best] == Kind.POINT
    expected = np.where(is_point, first + tap.keys.place[0, best], -1)
    np.testing.assert_array_equal(looks.read["deformable"][0, 7], expected)


def test_a_joint_reads_joints_by_the_order_of_the_layout(taken) -> None:
    evidence, taps = taken
    looks, layout, tap = evidence.looks, evidence.clip.layout, taps[attention_tap(0, "joint")]
    window, query = 1, 2
    assert tap.queries.kind[window, query] == Kind.JOINT
    people_joints = looks.sizes[1] // len(evidence.clip)

    def number(ids, at: int) -> int:
        person, joint = divmod(int(ids.place[window, at]), len(layout))
        return int(ids.frame[window, at]) * people_joints + person * len(layout) + layout.window_order[joint]

    mask = None if tap.mask is None else tap.mask[0, window]
    row = attention_rows(tap.query[0, window][:, [query]], tap.key[0, window], mask)[:, 0].mean(0)
    best = int(row.argmax())
    expected = looks.sizes[0] + number(tap.keys, best) if tap.keys.kind[window, best] == Kind.JOINT else -1
    assert looks.read["joint"][0, number(tap.queries, query), 0] == expected


def test_listening_changes_nothing_and_rows_stay_below_one(taken) -> None:
    evidence, _ = taken
    alone = gather_evidence(random_recognizer(), noise_clip())
    np.testing.assert_array_equal(alone.probabilities, evidence.probabilities)
    np.testing.assert_array_equal(alone.joint_curves.values, evidence.joint_curves.values)
    assert alone.looks is None
    for mass in evidence.looks.mass.values():
        assert (mass >= 0).all()
        assert (np.diff(mass, axis=-1) <= 1e-6).all()  # strongest first
        assert mass.sum(-1).max() <= 1 + 1e-5


def test_in_the_last_layer_patches_and_joints_read_nothing_across_frames(taken) -> None:
    looks = taken[0].looks
    assert (looks.read["temporal"][-1] == -1).all()
    assert (looks.mass["temporal"][-1] == 0).all()
    assert (looks.mass["temporal"][0, :, 0] > 0).all()
    assert (looks.mass["deformable"][-1, :, 0] > 0).all()


def test_a_head_reads_what_its_own_row_says(taken) -> None:
    evidence, taps = taken
    looks, tap = evidence.looks, taps[attention_tap(1, "deformable")]
    rows = attention_rows(tap.query[0, 0][:, [7]], tap.key[0, 0])[:, 0]
    mass, best = rows.topk(KEPT_OF_HEAD["deformable"])
    np.testing.assert_allclose(looks.head_mass["deformable"][1, :, 7], mass, atol=1e-6)
    first = looks.sizes[0] + looks.sizes[1]
    expected = np.where(tap.keys.kind[0, best] == Kind.POINT, first + tap.keys.place[0, best], -1)
    np.testing.assert_array_equal(looks.head_read["deformable"][1, :, 7], expected)
    assert len(np.unique(best[:, 0])) > 1  # heads differ, so a mean would not do


def test_places_and_masses_survive_the_trip() -> None:
    evidence = with_looks(synthetic_evidence(frames=7, height=60, width=100, layers=2))
    looks, tables = player_payload(evidence)["looks"], look_tables(evidence)
    spots = unpack(looks["spots"])
    key = round(unpack(looks["mean"]["deformable"]["read"])[1, 0, 0, 0])
    np.testing.assert_allclose(spots[1, key], evidence.sampling_points.companions["place"][1, 5], atol=0.01)
    assert unpack(looks["mean"]["deformable"]["mass"])[1, 0, 0, 0] == pytest.approx(0.6, abs=0.6 / 255)
    np.testing.assert_allclose(spots[0, looks["patches"][1]], (0, 11.5, 3.5), atol=0.01)
    assert looks["ends"] == tables.ends
    assert looks["columns"] == 13  # patches of 8 px across 100 px


def test_the_lattice_of_the_drawn_model_has_the_patches_in_its_tiles(taken) -> None:
    """What the player draws as a background, against where the view says that the patches are."""
    evidence = taken[0]
    (height, width), places = evidence.clip.size, evidence.looks.places
    numbers = [
        float(v) for v in re.findall(r"(-?[\d.]+)(?:%|\))", lattice(evidence)["patch"].partition(";clip-path")[0])
    ]
    left, top, wide, high, full, columns, again, rows = numbers
    assert full == again == 100
    assert columns * rows == len(places)
    first = np.array([left + wide / columns / 2, top + high / rows / 2]) / 100 * (width, height) - 0.5
    step = np.array([wide / columns * width, high / rows * height]) / 100
    np.testing.assert_allclose(first, places[0], atol=0.01)
    np.testing.assert_allclose(first + step * (columns - 1, rows - 1), places[-1], atol=0.01)


def test_a_small_budget_leaves_out_the_heads_first_then_all_of_it_and_says_so(taken) -> None:
    full = player_payload(taken[0])
    assert full["looks"]["heads"]
    assert full["said"]["looks"].endswith("in the chosen head.")
    heads, all_ = (size(part) for part in (full["looks"]["heads"], full["looks"]))
    mean = player_payload(taken[0], budget=size(full) - heads // 2)
    assert mean["looks"]["heads"] is None
    assert "whichever head is chosen" in mean["said"]["looks"]
    none = player_payload(taken[0], budget=size(full) - heads - (all_ - heads) // 2)
    assert none["looks"] is None
    assert none["points"]["by_query_frame"] is not None
    assert "is left out" in none["said"]["looks"]
    assert player_payload(synthetic_evidence())["said"]["looks"] == ""  # nobody asked


def test_trust_is_said_as_it_was_measured_or_that_it_was_not() -> None:
    assert player_payload(synthetic_evidence())["said"]["trust"] == "Trust: not measured"
    verdict = "Beats random removal (2.4 times the fall)."
    assert player_payload(synthetic_evidence(), trust=verdict)["said"]["trust"] == f"Trust: {verdict}"
