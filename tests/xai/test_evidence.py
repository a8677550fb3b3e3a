"""The model's own evidence against dense attention written out, and places against painted dots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.attention import attention_rows
from model.tap import AttentionTap, Kind, PointsTap, attention_tap, points_tap, recording
from tests.xai.clips import noise_clip, random_recognizer
from training.clip import Clip
from training.recognizer import Recognizer
from training.skeleton import COCO, JHMDB
from training.view import View, centre_view, fit_matrix
from xai.dashboard.map_view import of_joint_tokens
from xai.dashboard.methods_panel import Ask
from xai.evidence import PARTS, Evidence, gather_evidence
from xai.figures.player import player_payload
from xai.figures.sentence import SEEN, WHOLE_POSE
from xai.sampling import places
from xai.tokens import token_flow
from xai.trace import Trace

MODES = ["none", "single", "cross"]
READERS = {"cross": ["cls", "rgb", "pose"], "single": ["shared"], "none": ["patch", "joint"]}


def dense(recognizer: Recognizer, clip: Clip) -> dict[str, tuple[AttentionTap, np.ndarray]]:
    """Every attention map of a forward pass in full: name -> (tap, [D, heads, N_q, N_k])."""
    taps: dict[str, Any] = {}
    with recording(taps.__setitem__):
        recognizer(clip)
    return {
        name: (tap, attention_rows(tap.query, tap.key, tap.mask)[0].numpy())
        for name, tap in taps.items()
        if isinstance(tap, AttentionTap)
    }


def test_evidence_under_autocast_is_float32_and_nearly_the_same() -> None:
    recognizer, clip = random_recognizer(), noise_clip()
    plain = gather_evidence(recognizer, clip, looks=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = gather_evidence(recognizer, clip, looks=True)
    for name in PARTS:
        one, other = getattr(plain, name), getattr(found, name)
        assert other.values.dtype == one.values.dtype == np.float32, name
        np.testing.assert_allclose(other.values, one.values, atol=0.1 * np.nanmax(np.abs(one.values)), err_msg=name)
    np.testing.assert_allclose(found.probabilities, plain.probabilities, atol=0.05)


@pytest.mark.parametrize("mode", MODES)
def test_joint_curves_equal_the_dense_maps(mode: str) -> None:
    recognizer, clip = random_recognizer(token_mode=mode), noise_clip()
    curves = gather_evidence(recognizer, clip).joint_curves
    assert curves is not None
    maps = dense(recognizer, clip)
    queries = curves.axes[curves.axis("query")].labels
    assert queries == tuple(q for q in READERS[mode] if q not in ({"rgb"} if mode == "cross" else {"patch"}))
    for layer in range(2):
        tap, full = maps[attention_tap(layer, "joint")]
        expected = np.zeros(curves.values.shape[1:])
        for d in range(full.shape[0]):
            for q, name in enumerate(queries):
                rows = [n for n in range(full.shape[2]) if tap.queries.kind[d, n] == Kind[name.upper()]]
                for k in range(full.shape[3]):
                    if tap.keys.kind[d, k] == Kind.JOINT:
                        frame, place = int(tap.keys.frame[d, k]), int(tap.keys.place[d, k])
                        person, joint = place // 15, JHMDB.window_order[place % 15]
                        expected[:, q, frame, person, joint] = full[d][:, rows, k].mean(1)
        assert np.allclose(curves.values[layer], expected, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_temporal_windows_equal_the_dense_maps(mode: str) -> None:
    recognizer, clip = random_recognizer(token_mode=mode, temporal_window=2), noise_clip()
    windows = gather_evidence(recognizer, clip).temporal_windows
    assert windows is not None
    tap, full = dense(recognizer, clip)[attention_tap(1, "temporal")]
    name = windows.axes[windows.axis("query")].labels[-1]
    expected = np.zeros((full.shape[1], 5, 5))
    for d in range(full.shape[0]):
        for frame in range(5):
            chosen = (tap.queries.kind[d] == Kind[name.upper()]) & (tap.queries.frame[d] == frame)
            for read in range(5):
                keys = (tap.keys.frame[d] == read) & (tap.keys.kind[d] >= 0)
                if chosen.any():
                    expected[:, frame, read] += full[d][:, chosen][:, :, keys].sum(2).mean(1)
    assert np.allclose(windows.values[1, :, -1], expected, atol=1e-5)
    assert np.allclose(windows.values.sum(-1), 1, atol=1e-4)
    assert np.allclose(windows.base_rate.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("mode", ["single", "cross"])
def test_point_mass_and_flow_equal_the_dense_maps(mode: str) -> None:
    recognizer, clip = random_recognizer(token_mode=mode), noise_clip()
    evidence = gather_evidence(recognizer, clip)
    points = evidence.sampling_points
    assert points is not None
    maps = dense(recognizer, clip)
    tap, full = maps[attention_tap(0, "deformable")]
    count = points.values.shape[-1]
    for q, name in enumerate(points.axes[2].labels):
        for frame in range(5):
            row = int(((tap.queries.kind[0] == Kind[name.upper()]) & (tap.queries.frame[0] == frame)).nonzero()[0, 0])
            assert np.allclose(points.values[0, :, q, frame], full[0][:, row, :count], atol=1e-6)
    sampled = evidence.token_flow
    assert np.allclose(np.nansum(sampled.values, -1)[np.isfinite(sampled.values[..., 0])], 1, atol=1e-4)
    with Trace(spread=10_000) as trace:  # everybody is asked
        recognizer(clip)
    flow = token_flow(trace, 2, sampled.made_by)
    modal = [i for i, name in enumerate(flow.axes[2].labels) if name in ("cls", "rgb", "pose", "shared")]
    assert np.allclose(sampled.values[:, :, modal], flow.values[:, :, modal], atol=1e-6, equal_nan=True)
    assert np.allclose(sampled.values, flow.values, atol=0.05, equal_nan=True)
    kinds = [Kind[name.upper()] for name in flow.axes[2].labels]
    for a, attention in enumerate(flow.axes[1].labels):
        tap, full = maps[attention_tap(1, attention)]
        for i, reader in enumerate(kinds):
            who = tap.queries.kind == reader
            if not who.any():
                continue
            for j, read in enumerate(kinds):
                given = [
                    full[d][:, who[d]][:, :, tap.keys.kind[d] == read].sum(2) for d in range(len(full)) if who[d].any()
                ]
                assert flow.values[1, a, i, j] == pytest.approx(np.concatenate(given, 1).mean(), abs=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_explaining_changes_no_bit_and_the_ledger_adds_up(mode: str) -> None:
    recognizer, clip = random_recognizer(token_mode=mode), noise_clip()
    plain, evidence = recognizer(clip), gather_evidence(recognizer, clip)
    assert np.array_equal(plain.probabilities, evidence.probabilities)
    ledger = evidence.ledger
    total = ledger.values.sum((1, 2)) + ledger.companions["bias"]
    assert np.allclose(total, plain.logits, atol=1e-4)
    assert evidence.clip.frames.shape[0] == 5
    assert np.array_equal(evidence.clip.frames, clip.frames[evidence.frame_index])


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_place_is_where_the_dot_was_painted(mirrored: bool) -> None:
    """Paint a dot at a pixel of the clip; the token that the view brings it to must map back onto it."""
    clip = noise_clip(frames=3, height=70, width=110)
    frames = np.zeros_like(clip.frames)
    frames[1, 38:41, 60:63] = 255  # centre (61, 39)
    clip = Clip(frames, clip.joints, clip.score, JHMDB, clip.time)
    view = View(np.arange(3), fit_matrix((20.3, 5.1, 60.0, 50.0), (96, 80), mirrored), (96, 80), mirrored)
    seen = view.apply(clip)[0][1, ..., 0].astype(float)
    y, x = (float((seen * axis).sum() / seen.sum()) for axis in np.mgrid[:96, :80])
    volume = (3, 12, 10)
    index = np.array([1.0, y / 8, x / 8])
    position = torch.tensor((2 * index + 1) / np.array(volume) - 1)
    tap = PointsTap(position.view(1, 1, 1, 3), position.view(1, 1, 1, 1, 3), torch.zeros(1, 1, 1, 1), volume)
    assert places(tap, tap.reference, view)[0].tolist() == pytest.approx([1, 61, 39], abs=0.25)


def test_references_are_spread_over_the_region_that_was_seen() -> None:
    recognizer, clip = random_recognizer(), noise_clip()
    evidence = gather_evidence(recognizer, clip)
    points = evidence.sampling_points
    assert points is not None
    reference = points.companions["reference"][0]
    left, top = evidence.box.min(0)
    right, bottom = evidence.box.max(0)
    assert (right - left, bottom - top) == pytest.approx((60, 60))
    assert (reference[:, 1] > left).all()
    assert (reference[:, 1] < right).all()
    assert (reference[:, 2] > top).all()
    assert (reference[:, 2] < bottom).all()
    assert reference[:, 0].min() >= 0
    assert reference[:, 0].max() <= 4
    # F_b token j is image pixel 8 j, so the lattice's centre lies 3.5 input pixels before the region's centre.
    scale = 60 / 48
    assert reference[:, 1:].mean(0).tolist() == pytest.approx(
        [(left + right) / 2 - 3.5 * scale, (top + bottom) / 2 - 3.5 * scale], abs=0.2
    )


def test_a_clip_without_joints_or_of_another_layout() -> None:
    recognizer = random_recognizer()
    clip = noise_clip()
    empty = np.zeros((9, 0, 17), np.float32)
    bare = Clip(clip.frames, np.zeros((9, 0, 17, 2), np.float32), empty, COCO, clip.time)
    evidence = gather_evidence(recognizer, bare)
    assert evidence.joint_curves is not None
    assert (evidence.joint_curves.values == 0).all()
    people = np.ones((9, 1, 17), np.float32)
    coco = Clip(clip.frames, np.zeros((9, 1, 17, 2), np.float32), people, COCO, clip.time)
    with pytest.raises(ValueError, match="follow the layout coco17"):
        recognizer(coco)


@pytest.mark.parametrize(
    "changes", [{"deformable": "full"}, {"deformable": "off"}, {"joint": "off"}, {"temporal": "off"}]
)
def test_what_a_variant_does_not_have_is_none(changes: dict[str, str]) -> None:
    evidence = gather_evidence(random_recognizer(**changes), noise_clip())
    part = {"deformable": "sampling_points", "joint": "joint_curves", "temporal": "temporal_windows"}
    name = part[next(iter(changes))]
    assert getattr(evidence, name) is None
    assert all(getattr(evidence, other) is not None for other in PARTS if other != name)


@pytest.mark.parametrize("pairing", ["self", "slide", "both"])
def test_every_pairing_gives_finite_evidence(pairing: str) -> None:
    evidence = gather_evidence(random_recognizer(joint_pairing=pairing, temporal_pairing=pairing), noise_clip())
    for name in ("joint_curves", "temporal_windows"):
        assert np.isfinite(getattr(evidence, name).values).all()


def test_saved_evidence_comes_back_and_strangers_are_refused(tmp_path: Path) -> None:
    evidence = gather_evidence(random_recognizer(deformable="off"), noise_clip())
    evidence.save(tmp_path / "evidence.npz")
    again = Evidence.load(tmp_path / "evidence.npz")
    assert again.sampling_points is None
    assert again.labels == evidence.labels
    assert again.ledger.made_by == evidence.ledger.made_by
    assert np.array_equal(again.joint_curves.values, evidence.joint_curves.values)
    assert np.array_equal(again.clip.frames, evidence.clip.frames)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nothing")
    np.savez(tmp_path / "pickle.npz", header=np.array([{"a": 1}], dtype=object))
    for name in ("bad.npz", "pickle.npz"):
        with pytest.raises(ValueError, match=f"{name} cannot be read as evidence"):
            Evidence.load(tmp_path / name)


def test_traces_of_one_network_do_not_see_each_other() -> None:
    recognizer = random_recognizer()
    with Trace() as outer:
        recognizer(noise_clip(seed=1))
        with Trace() as inner:
            recognizer(noise_clip(seed=2))
        names = set(outer.points)
    assert names == set(inner.points) == {points_tap(0), points_tap(1)}
    assert not torch.equal(outer.points[points_tap(0)].position, inner.points[points_tap(0)].position)
    with Trace() as later:
        pass
    assert not later.points


def test_short_clips_repeat_frames() -> None:
    view = centre_view(noise_clip(frames=2), 5, 48)
    assert view.frame_index.tolist() == [0, 0, 1, 1, 1]
    assert gather_evidence(random_recognizer(), noise_clip(frames=2)).frame_index.tolist() == [0, 0, 1, 1, 1]


def test_a_network_that_sees_no_colours_is_said_to() -> None:
    for reads in ("colour", "motion", "gradients"):
        made = random_recognizer(backbone_reads=reads)
        recognizer = replace(made, card=replace(made.card, trained_on="clips of a test"))
        evidence = gather_evidence(recognizer, noise_clip())
        assert evidence.model["reads"] == reads
        assert player_payload(evidence)["said"]["warning"] == SEEN.get(reads, "")


def test_joint_tokens_that_hold_the_whole_pose_are_said_to() -> None:
    poses = {"pose_geometry": True, "pose_trail": True}
    for whole in (False, True):
        made = random_recognizer(**poses, pose_track=whole)
        recognizer = replace(made, card=replace(made.card, trained_on="clips of a test"))
        evidence = gather_evidence(recognizer, noise_clip())
        assert evidence.model["whole_pose"] is whole
        assert (WHOLE_POSE in player_payload(evidence)["said"]["warning"]) is whole
    for method, on, told in (
        ("joint attention", "joints", True), ("saliency", "pose", True), ("saliency", "joints", False),
        ("joint removal", "joints", False), ("attention rollout", "frames", False),
    ):  # fmt: skip
        assert of_joint_tokens(Ask(method, on)) is told
