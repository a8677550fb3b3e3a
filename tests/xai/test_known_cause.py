"""Scores of maps against causes: hand-computed, and on a gym clip with the true map, its opposite and noise."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import model
from model import checkpoint_hash
from model.config import tiny
from training import gym
from training.clip import Cause, Clip
from training.recognizer import Recognizer
from xai.dashboard.library import ASSETS
from xai.explanation import Axis, Explanation, MadeBy
from xai.known_cause import cell_share, known_cause, measure, score, to_cells
from xai.known_cause_bench import Entry, read_lines, run
from xai.known_cause_table import auc, interval, pose_share, summarise
from xai.methods import methods


def gym_clip(label: str, frames: int = 12, seed: int = 0) -> Clip:
    return gym.clip(label, seed, size=64, frames=frames, split="test")


def recognizer() -> Recognizer:
    torch.manual_seed(0)
    network = model.DeformableTransformer(tiny(classes=len(gym.LABELS), frames=4, size=48)).eval()
    return Recognizer(network, model.Card(labels=tuple(gym.LABELS), layout="jhmdb15", frames=4, size=48), "random")


BOX = np.array([[-0.5, -0.5], [31.5, -0.5], [31.5, 15.5], [-0.5, 15.5]])


def pixel_map(values: np.ndarray, box: np.ndarray = BOX, size: tuple[int, int] = (16, 32)) -> Explanation:
    axes = (Axis("frame"), Axis("y"), Axis("x"))
    made_by = MadeBy("n", "c", "drawn", {"size": list(size)})
    return Explanation("pixel map", values, axes, "1", made_by, np.zeros(()), "nothing", companions={"box": box})


def joint_map(values: np.ndarray) -> Explanation:
    axes = (Axis("frame"), Axis("person"), Axis("joint"))
    return Explanation("joint map", values, axes, "1", MadeBy("n", "c", "drawn"), np.zeros(()), "nothing")


def test_hand_computed_measures() -> None:
    found = {
        each.measure: each for each in measure(np.array([4.0, 3.0, -1.0, 1.0]), np.array([0, 1.0, 0, 0]), "joints")
    }
    assert found["pointing"].value == 0
    assert found["pointing"].base == 0.25
    assert found["mass"].value == pytest.approx(3 / 8)
    assert found["mass"].base == 0.25
    assert found["rank"].value == pytest.approx(2 / 3)  # 3 outranks -1 and 1, not 4
    tie = {each.measure: each.value for each in measure(np.zeros(4), np.array([1.0, 0, 0, 0]), "joints")}
    assert tie == {"pointing": 0.25, "mass": 0.25, "rank": 0.5}
    assert measure(np.ones(3), np.ones(3), "frames") == []


def test_cells_are_looked_up_where_they_lie() -> None:
    mask = np.zeros((2, 16, 32), bool)
    mask[1, 8:16, 24:32] = True  # the last cell of 8 pixels
    share = cell_share(mask, BOX, (2, 4))
    expected = np.zeros((2, 2, 4))
    expected[1, 1, 3] = 1
    np.testing.assert_array_equal(share, expected)
    shifted = cell_share(mask, BOX + np.array([4, 0]), (2, 4))  # half of the last cell lies beyond the frame
    assert shifted[1, 1].tolist() == [0, 0, 0.5, 0.5]


def test_a_map_of_pixels_is_asked_in_cells() -> None:
    values = np.zeros((1, 16, 32), np.float32)
    values[0, 3, 5], values[0, 9, 31] = 2.0, 5.0
    assert to_cells(pixel_map(values)).tolist() == [[[2, 0, 0, 0], [0, 0, 0, 5]]]
    cells = np.ones((1, 2, 4), np.float32)
    assert to_cells(pixel_map(cells)) is cells


def test_true_map_beats_its_opposite_on_a_gym_clip() -> None:
    clip = gym_clip("wave left hand", frames=12)
    assert clip.cause is not None
    true = joint_map(clip.cause.joints.astype(np.float32))
    best = {(s.target, s.measure): s for s in score(true, clip)}
    assert all(best["joints", name].value == 1 for name in ("pointing", "mass", "rank"))
    assert best["joints", "pointing"].base < 0.5
    worst = {(s.target, s.measure): s.value for s in score(joint_map(1 - true.values), clip)}
    assert worst["joints", "rank"] == 0
    assert worst["joints", "pointing"] == 0
    height, width = clip.size
    whole = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    cells = cell_share(clip.cause.pixels, whole, (height // 8, width // 8)).astype(np.float32)
    pixels = {(s.target, s.measure): s for s in score(pixel_map(cells, whole, clip.size), clip)}
    assert pixels["pixels", "pointing"].value == 1
    assert pixels["pixels", "rank"].value == 1
    assert pixels["pixels", "mass"].value > 3 * pixels["pixels", "mass"].base
    assert pixels["frames", "rank"].value == 1


def test_a_map_that_does_not_say_when_is_not_asked_when() -> None:
    clip = gym_clip("wave left hand", frames=12)
    constant = np.broadcast_to(np.arange(30.0).reshape(2, 15), (12, 2, 15)).astype(np.float32)
    assert {s.target for s in score(joint_map(constant), clip)} == {"joints"}


def test_a_person_mask_is_a_weak_cause_and_nothing_is_none() -> None:
    clip = replace(gym_clip("raise cup", frames=12), cause=None)
    assert known_cause(clip).kind == "person"
    with pytest.raises(ValueError, match="neither a known cause nor a person mask"):
        known_cause(replace(clip, person_mask=None))


def test_random_maps_score_the_base_rate() -> None:
    clip, rng = gym_clip("kick left", frames=12), np.random.default_rng(0)
    assert isinstance(clip.cause, Cause)
    found = [score(joint_map(rng.random((12, 2, 15)).astype(np.float32)), clip) for _ in range(300)]
    for place, each in enumerate(found[0][:3]):
        values = np.array([scores[place].value for scores in found])
        assert abs(values.mean() - each.base) < 4 * values.std() / np.sqrt(len(values)), each


def test_auc_share_and_interval() -> None:
    assert auc(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx(0.875)
    assert pose_share({"frames": {"amounts": {"all": 1.0}}, "joints": {"amounts": {"all": 3.0}}}) == 0.75
    assert pose_share({"modal": {"amounts": {"cls": 9.0, "rgb": 3.0, "pose": 1.0}}}) == 0.25
    assert pose_share({"joints": {"amounts": {"all": 3.0}}}) is None
    assert pose_share({"parts": {"amounts": {"pictures": 1.0, "joints": 4.0, "offsets": 9.0}}}) == 0.8
    low, high = interval(np.r_[np.zeros(50), np.ones(50)])
    assert 0.38 < low < 0.42
    assert 0.58 < high < 0.62


def test_the_part_that_costs_most_is_compared_with_the_kind_of_the_cause() -> None:
    def line(kind: str, pictures: float, joints: float, order: float) -> dict:
        amounts = {"pictures": pictures, "joints": joints, "order of the frames": order, "offsets": 99.0}
        return {"kind": kind, "maps": {"part removal on parts": {"seconds": 0.5, "scores": [], "amounts": amounts}}}

    lines = [
        line("pose", 1, 2, 0), line("pose", 3, 2, 0), line("appearance", 3, 2, 1), line("time", 0, 0, 1),
        line("time+people", 0, 0, 1),
    ]  # fmt: skip
    rows = {row.kind: row for row in summarise(lines, [Entry("part removal", "parts")]) if row.measure == "named"}
    assert {kind: (row.mean, row.clips) for kind, row in rows.items()} == {
        "pose": (0.5, 2), "appearance": (1.0, 1), "time": (1.0, 1), "all": (0.75, 4),
    }  # fmt: skip
    assert rows["all"].base == pytest.approx(1 / 3)
    assert rows["all"].low < 0.75 < rows["all"].high


def test_a_stopped_bench_goes_on(tmp_path) -> None:
    network = recognizer()
    labels = network.card.labels
    clips = [lambda i=i: gym_clip(labels[i % len(labels)], frames=8, seed=i) for i in range(3)]
    asked = (Entry("ledger", "time"), Entry("joint attention", "joints"))
    full = list(run(network, clips, tmp_path / "a", asked))
    part = tmp_path / "b" / "scores.jsonl"
    part.parent.mkdir()
    text = (tmp_path / "a" / "scores.jsonl").read_text().splitlines()
    part.write_text("\n".join(text[:2]) + "\n" + text[2][:40])  # killed in the middle of a line
    calls = []
    again = list(run(network, [lambda c=c: calls.append(1) or c() for c in clips], part.parent, asked))
    assert len(calls) == 2

    def known(lines):
        return [{name: m["scores"] for name, m in line["maps"].items()} for line in lines]

    assert known(again) == known(full)
    assert read_lines(part, {"format": 0}, asked) == ([], [])
    # A method is added, one is asked with other options, one is not asked for: only what is new is computed.
    more = (asked[0], Entry("joint attention", "joints", {"query": "pose"}))
    grown = list(run(network, clips, part.parent, more))
    assert known(grown) != known(full)
    assert [line["maps"]["ledger on time"] for line in grown] == [line["maps"]["ledger on time"] for line in again]
    list(run(network, clips, part.parent, asked[:1]))
    assert read_lines(part, {"format": 1}, asked[:1])[0] == [more[1]]
    calls.clear()
    assert known(run(network, [lambda: calls.append(1)] * 3, part.parent, more)) == known(grown)
    assert not calls
    rows = summarise(full, asked)
    assert {row.method for row in rows} == {"ledger", "joint attention"}
    assert all(row.low <= row.mean for row in rows)
    json.dumps([row.__dict__ for row in rows])


def test_a_bad_clip_is_said_and_left_out(tmp_path) -> None:
    def broken():
        raise ValueError("This clip is torn.")

    said: list[str] = []
    lines = list(run(recognizer(), [broken], tmp_path, (Entry("ledger", "time"),), say=said.append))
    assert lines == []
    assert said == ["Clip 0 was left out: This clip is torn."]


def test_the_leader_board_that_ships_has_every_method_on_enough_clips() -> None:
    board = json.loads((ASSETS / "leader_board.json").read_text(encoding="utf-8"))
    assert board["clips"] >= 200
    assert board["checkpoint"] == checkpoint_hash(ASSETS / "checkpoints" / "gym-cross.safetensors")
    rows = board["rows"]
    asked = {method.name for method in methods() if "mixing" not in method.needs}
    assert {row["method"] for row in rows} == asked - {"token flow"}, "which says nothing of joints, frames or pixels"
    assert all(row["low"] <= row["mean"] <= row["high"] for row in rows)
    assert {row["measure"] for row in rows} >= {"pointing", "mass", "rank", "auc", "named"}
    assert {row["target"] for row in rows} >= {"joints", "frames", "pixels", "modality"}
