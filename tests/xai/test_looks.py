"""What single tokens read: the strongest keys of a real network, and their way to the player."""

from __future__ import annotations

import numpy as np
import pytest

from model.attention import attention_rows
from model.tap import Kind, attention_tap, recording
from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.synthetic import synthetic_evidence, with_looks
from xai.evidence import gather_evidence
from xai.figures.player import player_payload, size, unpack
from xai.figures.player_looks import look_tables, readers_of_points
from xai.looks import KEPT


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


def test_points_turned_around_by_hand() -> None:
    read = np.array([[[10, 11], [11, 3], [11, -1]]])  # patches 100, 101, 102; points 0 and 1 are keys 10 and 11
    mass = np.array([[[0.5, 0.2], [0.4, 0.1], [0.3, 0.1]]])
    found, weight = readers_of_points(read, mass, np.array([100, 101, 102]), 10, 3)
    np.testing.assert_array_equal(found[0, 0, :2], [100, -1])
    np.testing.assert_array_equal(found[0, 1, :4], [101, 102, 100, -1])
    np.testing.assert_allclose(weight[0, 1, :3], [0.4, 0.3, 0.2])
    assert (found[0, 2] == -1).all()


def test_places_and_masses_survive_the_trip() -> None:
    evidence = with_looks(synthetic_evidence(frames=7, height=60, width=100, layers=2))
    looks, tables = player_payload(evidence)["looks"], look_tables(evidence)
    spots = unpack(looks["spots"])
    key = round(unpack(looks["deformable"]["read"])[1, 0, 0])
    np.testing.assert_allclose(spots[1, key], evidence.sampling_points.companions["place"][1, 5], atol=0.01)
    assert unpack(looks["deformable"]["mass"])[1, 0, 0] == pytest.approx(0.6, abs=0.6 / 255)
    np.testing.assert_allclose(spots[0, looks["patches"][1]], (0, 11.5, 3.5), atol=0.01)
    assert looks["ends"] == tables.ends


def test_a_small_budget_leaves_them_out_first() -> None:
    evidence = with_looks(synthetic_evidence(frames=12, height=60, width=80, grid=(6, 8, 8)))
    full = player_payload(evidence)
    assert full["looks"] is not None
    smaller = player_payload(evidence, budget=size(full) - 1000)
    assert smaller["looks"] is None
    assert smaller["points"]["by_query_frame"] is not None
