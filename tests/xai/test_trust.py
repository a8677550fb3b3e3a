"""Trust: a planted cause is believed, a random map and an edge detector are not, and nothing is left behind."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.linear import linear_recognizer
from tests.xai.test_framewise_evidence import framewise
from training.skeleton import JHMDB
from xai.explanation import Explanation
from xai.faithfulness import Faithfulness, Units, faithfulness, play
from xai.methods import answer
from xai.question import Question
from xai.sanity import Sanity, Stability, randomised, similarity
from xai.trust import TrustReport, remade, trust, trusted


def ask(**changes: object) -> Question:
    return Question.ask(random_recognizer(size=32, frames=4, width=4, **changes), noise_clip(8, 40, 56, 1), 1)


def joint_values(question: Question, values: np.ndarray) -> Explanation:
    shape = question.seen.score.shape
    return question.joint_map(np.broadcast_to(values, shape).copy(), question.made_by("drawn"), "1")


def true_effects(question: Question) -> np.ndarray:
    return answer(question, "joint removal").values


def test_curves_are_the_scores_without_the_strongest_units() -> None:
    question = ask()
    explanation = joint_values(question, true_effects(question))
    found = faithfulness(question, explanation, orders=4, steps=3)
    units = Units(question, "joints")
    order = np.argsort(-units.values(explanation), kind="stable")
    for place, share in enumerate(found.share):
        count = round(share * len(units))
        gone = np.zeros(len(units), bool)
        gone[order[:count]] = True
        for curve, mask in ((found.deletion, gone), (found.insertion, np.roll(~gone, 0))):
            if curve is found.insertion:
                mask = np.ones(len(units), bool)
                mask[order[:count]] = False
            score = question.score(units.rerun.logits([units.without(mask)])).item()
            assert curve[place] == pytest.approx(score, abs=1e-4)
    assert found.deletion[0] == found.insertion[-1]
    assert found.deletion[-1] == found.insertion[0]
    assert found.random_deletion.shape == (4, len(found.share))
    np.testing.assert_allclose(found.random_gains[:2], -found.random_gains[2:], atol=1e-6)  # an order and its reverse


@pytest.mark.parametrize("kind", ["frames", "tubelets"])
def test_frames_and_tubelets_too(kind: str) -> None:
    question = ask()
    method, on = ("ledger", "time") if kind == "frames" else ("sampling points", "frames")
    found = faithfulness(question, answer(question, method, on=on), orders=4, steps=2)
    assert found.units == kind
    assert np.isfinite(found.deletion).all()
    assert np.isfinite(found.gain)
    assert found.share[0] == 0
    assert found.share[-1] == (0.75 if kind == "frames" else 1.0)


def test_tubelets_cover_what_the_map_means() -> None:
    question = ask()
    units = Units(question, "tubelets")
    values = np.zeros((4, 8, 8), np.float32)
    values[3, 6:, 6:] = 1  # the last run, the last cell of the grid
    order = units.values(question.pixel_map(values, question.made_by("drawn"), "1"))
    assert order.argmax() == len(units) - 1
    assert (order > 0).sum() == 1
    gone = np.zeros(len(units), bool)
    gone[-1] = True
    left = units.without(gone).frames
    assert left is not None
    changed = (left != question.tensors[0]).any(1)[0]  # [T, h, w] of the network's input
    assert changed[3, 26:, 26:].all()
    assert not changed[:3].any()
    assert not changed[3, :22].any()


def test_tubelets_that_hold_no_pixel_are_no_units() -> None:
    known = random_recognizer(size=32, frames=4, width=4)
    around = replace(known, card=replace(known.card, fit="person"))
    question = Question.ask(around, noise_clip(8, 16, 56, 1), 1)  # the square is as high as the frame is wide
    low, high = question.view.box().min(0), question.view.box().max(0)
    height, width = question.clip.size
    cell = (high - low) / 4
    held = 0
    for row in range(4):  # one by one: does any pixel's centre lie in it?
        for column in range(4):
            left, top = low + cell * [column, row]
            inside = [
                (x, y)
                for x in range(width)
                for y in range(height)
                if left <= x < left + cell[0] and top <= y < top + cell[1]
            ]
            held += bool(inside)
    assert held < 16
    units = Units(question, "tubelets")
    assert len(units) == 3 * held
    assert np.array_equal(np.unique(units.cells), np.arange(len(units)))  # the square holds the whole frame
    for number in range(len(units)):
        gone = np.zeros(len(units), bool)
        gone[number] = True
        left = units.without(gone).frames
        assert left is not None
        assert (left != question.tensors[0]).any()
    drawn = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    values = units.values(question.pixel_map(drawn, question.made_by("drawn"), "1"))
    assert values.shape == (len(units),)
    assert (values > 0).all()


def test_true_effects_beat_random_and_their_opposite_does_not() -> None:
    question = ask()
    effects = true_effects(question)
    good = TrustReport(faithfulness(question, joint_values(question, effects)))
    bad = TrustReport(faithfulness(question, joint_values(question, -effects)))
    assert good.beats_random
    assert good.verdict.startswith("Beats random removal")
    assert good.faithfulness is not None
    assert bad.faithfulness is not None
    assert good.faithfulness.over_random[0] > 0 > bad.faithfulness.over_random[0]
    assert bad.level == "doubtful"
    assert "No better than random removal of joints." in bad.verdict


def test_random_maps_are_seldom_believed_and_the_true_one_always() -> None:
    """A score that a few of fifteen units make, two of them only together: of 200 maps of noise at least 95 % are
    called no better than random, the map of the true effects never is."""
    rng = np.random.default_rng(5)
    weight = np.where(np.arange(15) < 4, 2.0, 0.1)

    def game(gone: list[np.ndarray]) -> np.ndarray:
        kept = ~np.array(gone)
        return kept @ weight + 3.0 * (kept[:, 4] & kept[:, 5])

    def believed(values: np.ndarray) -> bool:
        found = play(game, values, rng.random(15), "joints", most=15, orders=40, steps=6, rng=rng)
        return bool(TrustReport(found).beats_random)

    assert sum(believed(rng.random(15)) for _ in range(200)) <= 10
    assert all(believed(weight + (np.abs(np.arange(15) - 4.5) < 1)) for _ in range(200))


def test_trust_in_random_maps_and_in_the_true_one() -> None:
    """The same of `trust` as a whole, with the network's own passes: each of 200 maps of noise has its own random
    orders to beat, and none of them gains as much as the map of what each joint adds."""
    weights = dict(zip(JHMDB.joints, 0.1 + 2.0 * (np.arange(15) % 4 == 1), strict=True))
    recognizer, clip = linear_recognizer(weights, frames=(0.0, 0.0)), noise_clip(2, 32, 32, people=1)
    question = Question.ask(recognizer, replace(clip, score=np.ones_like(clip.score)), "a")
    rng = np.random.default_rng(3)

    def doubted(values: np.ndarray, seed: int) -> TrustReport:
        return trust(recognizer, question.clip, joint_values(question, values), seed=seed)

    reports = [doubted(rng.random(15), seed) for seed in range(200)]
    believed = [report for report in reports if report.beats_random]
    assert len(believed) <= 10
    for report in reports:
        assert report.verdict.startswith("Beats" if report in believed else "No better than random removal of joints.")
        assert report.level == ("supported" if report in believed else "doubtful")
    true = [doubted(np.array(list(weights.values())), seed) for seed in range(5)]
    assert all(report.beats_random for report in true)
    gains = [report.faithfulness.gain for report in reports if report.faithfulness is not None]
    assert len(gains) == 200
    assert min(report.faithfulness.gain for report in true if report.faithfulness is not None) > max(gains)


def test_an_edge_detector_is_called_out() -> None:
    question = ask()

    def edges(asked: Question) -> Explanation:
        frames = asked.tensors[0][0].mean(0).cpu().numpy()
        return asked.pixel_map(np.abs(np.gradient(frames, axis=-1)), asked.made_by("edges"), "1")

    report = trust(question.recognizer, question.clip, edges(question), make=edges, parts=("sanity",))
    assert report.depends_on_network is False
    assert report.depends_on_class is False
    assert "Survives randomisation" in report.verdict
    assert "The same map for every class." in report.verdict
    assert report.level == "doubtful"


def test_gradients_depend_on_network_and_class() -> None:
    question = ask()
    explanation = answer(question, "input x gradient", on="joints")
    report = trust(question.recognizer, question.clip, explanation, orders=4)
    assert report.depends_on_network
    assert report.depends_on_class
    assert report.stability is not None
    assert report.stability.shift is not None
    made = trusted(explanation, report)
    assert made.trust is not None
    assert json.loads(json.dumps(made.trust))["verdict"] == report.verdict
    header, arrays = made.pack()
    again = Explanation.unpack(json.loads(json.dumps(header)), arrays)
    assert again.trust is not None
    assert again.trust["level"] == report.level


def test_what_was_not_asked_is_not_measured() -> None:
    question = ask()
    explanation = joint_values(question, np.ones((1, 15)))
    assert remade(explanation) is None
    report = trust(question.recognizer, question.clip, explanation, orders=4)
    assert report.sanity is None
    assert report.stability is None
    assert report.depends_on_network is None
    assert "Randomised network: not measured." in report.verdict
    assert TrustReport().level == "not measured"


def test_made_again_with_the_same_options() -> None:
    question = ask()
    first = answer(question, "joint attention", query="pose")
    make = remade(first)
    assert make is not None
    np.testing.assert_array_equal(make(question).values, first.values)
    assert make(question).made_by == first.made_by


def test_long_paths_are_compared_by_their_drafts() -> None:
    question = ask()
    first = answer(question, "integrated gradients", on="joints", steps=16)
    report = trust(question.recognizer, question.clip, first, parts=("sanity", "stability"))
    draft = answer(question, "integrated gradients", on="joints", steps=8)
    own = trust(question.recognizer, question.clip, draft, parts=("sanity", "stability"))
    assert (report.draft_steps, own.draft_steps) == (8, None)
    assert (report.sanity, report.stability) == (own.sanity, own.stability)
    assert report.to_dict()["draft_steps"] == 8


def test_randomising_leaves_the_network_alone() -> None:
    recognizer = random_recognizer()
    before = {name: value.clone() for name, value in recognizer.network.state_dict().items()}
    other = randomised(recognizer, 3)
    head = randomised(recognizer, 3, only_head=True)
    for name, value in recognizer.network.state_dict().items():
        assert torch.equal(value, before[name])
        shuffled = other.network.state_dict()[name]
        assert torch.equal(shuffled.flatten().sort().values, value.flatten().sort().values)
        if not name.startswith("head."):
            assert torch.equal(head.network.state_dict()[name], value)
    assert not torch.equal(other.network.head.weight, recognizer.network.head.weight)


def test_similarity_and_thresholds() -> None:
    ramp = np.arange(10.0)
    assert similarity(ramp, ramp**3) == pytest.approx(1)
    assert similarity(ramp, -ramp) == pytest.approx(-1)
    assert similarity(ramp, np.ones(10)) == 0
    assert similarity(np.ones(3), np.zeros(3)) == 1
    assert TrustReport(stability=Stability(0.9, None, 0.6)).stable is False
    assert TrustReport(sanity=Sanity(0.1, 0.2, None, "")).depends_on_class is None
    assert TrustReport(completeness=(1.0, 1.04)).complete
    assert not TrustReport(completeness=(1.0, 1.2)).complete


def test_cancel_ends_it() -> None:
    question = ask()

    class StopError(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        assert 0 <= done <= total
        raise StopError

    with pytest.raises(StopError):
        trust(question.recognizer, question.clip, answer(question, "ledger", on="time"), progress=cancel)


def test_curves_of_the_same_clip_are_shared() -> None:
    """An order and its reverse read the same states, so no state is computed twice."""
    question = ask()
    calls: list[int] = []
    asked = replace(question, progress=lambda done, total: calls.append(total))
    found = faithfulness(asked, joint_values(question, np.arange(15.0)[None]), orders=10, steps=3)
    assert isinstance(found, Faithfulness)
    assert calls[-1] <= 2 + 7 * 2 * 8


@pytest.mark.parametrize("variant", ["vit", "tokenshift", "msca-kv", "msca-patches-kv"])
def test_frame_wise_networks_are_measured_like_every_other(variant: str) -> None:
    recognizer, clip = framewise(variant), noise_clip(10, 40, 44)
    question = Question.ask(recognizer, clip)
    untouched = question.score(torch.from_numpy(question.prediction.logits)[None]).item()
    for name, on in (
        ("saliency", "patches"), ("attention rollout", "frames"), ("gradient x attention", "frames"),
        ("neighbour attention", "frames"), ("frame removal", "time"), ("ledger", "time"),
    ):  # fmt: skip
        found = answer(question, name, on=on)
        report = trust(recognizer, clip, found, orders=40)
        assert report.faithfulness is not None, name
        assert report.sanity is not None, name
        assert report.stability is not None, name
        assert report.level in ("supported", "doubtful"), name
        faithful = report.faithfulness
        assert faithful.deletion[0] == pytest.approx(untouched, abs=1e-4), name
        units = Units(question, faithful.units)
        order = np.argsort(-units.values(found), kind="stable")
        gone = np.zeros(len(units), bool)
        gone[order[: round(faithful.share[1] * len(units))]] = True
        alone = question.score(units.rerun.logits([units.without(gone)])).item()
        assert faithful.deletion[1] == pytest.approx(alone, abs=1e-4), name
        if name == "neighbour attention":  # what a network reads does not depend on what it is asked
            assert not report.depends_on_class
