"""Relevance against full matrices written out, conserved through windows and points, and planted where it must end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.token_search import sample
from tests.model.literal import trilinear
from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.literal_relevance import Literal
from training.recognizer import Recognizer
from training.skeleton import JHMDB
from xai import relevance, token_graph
from xai.explanation import Explanation
from xai.question import Question
from xai.relevance import METHODS
from xai.token_graph import corners

METHOD = {method.name: method for method in METHODS}
ROLLOUT, GRADIENT = METHOD["attention rollout"], METHOD["gradient x attention"]
ROLES = {"cross": ("cls", "rgb", "pose"), "single": ("shared",), "none": ("patches", "joints")}
VARIANTS = [
    {"token_mode": "cross"},
    {"token_mode": "single"},
    {"token_mode": "none"},
    {"token_mode": "cross", "deformable": "full", "joint": "off"},
    {"token_mode": "cross", "temporal": "off"},
    {"token_mode": "single", "deformable": "off"},
    {"token_mode": "none", "joint": "full", "temporal": "full"},
]


def ask(recognizer: Recognizer, frames: int = 9, people: int = 2, **asked: object) -> Question:
    return Question.ask(recognizer, noise_clip(frames=frames, people=people), **asked)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def question() -> Question:
    return ask(random_recognizer())


def all_maps(question: Question, method: str) -> dict[str, Explanation]:
    return {on: METHOD[method].run(question, on) for on in METHOD[method].on}


@pytest.mark.parametrize("changes", VARIANTS, ids=lambda c: "-".join(c.values()))
def test_both_methods_equal_the_full_matrices(changes: dict[str, str]) -> None:
    question = ask(random_recognizer(width=4, **changes), target="b")
    literal = Literal(question.recognizer.network, question.tensors, 1)
    for method, with_gradient in ((ROLLOUT, False), (GRADIENT, True)):
        expected = literal.carried(with_gradient)
        maps = {on: method.run(question, on).values for on in method.on}
        wanted = {on: np.zeros_like(values) for on, values in maps.items()}
        for (kind, t, place), value in expected.items():
            if kind == "z":
                wanted["frames"][t, place // 6, place % 6] = value
            elif kind == "p":
                wanted["joints"][t, place // 15, JHMDB.window_order[place % 15]] = value
            else:
                wanted["modal"][t, question.prediction.slots.index(kind)] = value
        if changes["token_mode"] == "none":
            wanted["modal"] = np.stack([wanted["frames"].sum((1, 2)), wanted["joints"].sum((1, 2))], 1)
        for on, values in maps.items():
            assert np.allclose(values, wanted[on], rtol=1e-3, atol=1e-8), (method.name, on)
        assert max(np.abs(values).max() for values in wanted.values()) > 1e-6


@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("frames", [4, 16])
@pytest.mark.parametrize("mode", ["none", "single", "cross"])
def test_maps_have_their_axes_and_rollout_sums_to_one(mode: str, frames: int, people: int) -> None:
    question = ask(random_recognizer(token_mode=mode, frames=frames), frames + 3, people)
    unseen = question.in_layout(question.tensors[2][0].numpy()) == 0
    assert unseen.any()
    for name in METHOD:
        maps = all_maps(question, name)
        assert [m.kind for m in maps.values()] == ["pixel map", "joint map", "token map"]
        assert maps["frames"].values.shape == (frames, 6, 6)
        assert maps["joints"].values.shape == (frames, people, 15)
        assert maps["modal"].values.shape == (frames, len(ROLES[mode]))
        assert maps["modal"].axes[1].labels == ROLES[mode]
        for found in maps.values():
            assert np.isfinite(found.values).all()
            assert found.values.min() >= 0
            assert found.base_rate.shape == found.values.shape
        assert (maps["joints"].values[unseen] == 0).all()
        assert (maps["joints"].base_rate[unseen] == 0).all()
        assert maps["joints"].values.max() > 0
        counted = [maps["frames"], maps["joints"], *([maps["modal"]] if mode != "none" else [])]
        total, base = sum(m.values.sum() for m in counted), sum(m.base_rate.sum() for m in counted)
        if name == ROLLOUT.name:
            assert total == pytest.approx(1, abs=1e-5)
            assert base == pytest.approx(1, abs=1e-5)
        else:
            assert base == pytest.approx(total, rel=1e-4)
        assert maps["modal"].companions["on patches"] == pytest.approx(maps["frames"].values.sum((1, 2)), rel=1e-4)
        assert maps["modal"].companions["on joints"] == pytest.approx(maps["joints"].values.sum((1, 2)), rel=1e-4)


@pytest.mark.parametrize("pairing", ["self", "slide", "both"])
def test_nothing_is_lost_in_other_pairings(pairing: str) -> None:
    changes = {"joint_pairing": pairing, "temporal_pairing": pairing, "temporal_wrap": False, "temporal_window": 2}
    for mode in ("none", "cross"):
        maps = all_maps(ask(random_recognizer(token_mode=mode, **changes)), ROLLOUT.name)
        total = maps["frames"].values.sum() + maps["joints"].values.sum()
        assert total + (maps["modal"].values.sum() if mode == "cross" else 0) == pytest.approx(1, abs=1e-5)


SIDE = st.integers(1, 5)
COORDINATE = st.floats(-1, 1, width=32)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(SIDE, SIDE, SIDE),
    st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE, st.floats(0, 1, width=32)), min_size=1, max_size=6),
)
def test_points_give_back_what_they_got_to_the_patches_they_were_read_from(
    volume: tuple[int, int, int], points: list[tuple[float, float, float, float]]
) -> None:
    position = torch.tensor([p[:3] for p in points])
    relevance_of_points = torch.tensor([p[3] for p in points])
    found = corners(position, volume)
    spread = found.scatter(relevance_of_points)
    assert len(spread) == volume[0] * volume[1] * volume[2]
    assert float(spread.sum()) == pytest.approx(float(relevance_of_points.sum()), abs=1e-5)
    assert (found.weight >= 0).all()
    # Densely: reading one-hot volumes one by one gives the matrix of the weights.
    one_hot = torch.eye(len(spread)).view(-1, *volume)
    rows = [trilinear(one_hot, *(((p + 1) * n - 1) / 2 for p, n in zip(place[:3], volume))) for place in points]  # noqa: B905
    assert torch.allclose(spread, relevance_of_points @ torch.stack(rows), atol=1e-5)
    # And it is the adjoint of how the network reads.
    source = torch.ones(1, 1, *volume, requires_grad=True)
    read = sample(source, position.view(1, -1, 1, 1, 3))
    (back,) = torch.autograd.grad(read.flatten() @ relevance_of_points, source)
    assert torch.allclose(spread, back.flatten(), atol=1e-5)


def test_a_point_between_two_patches_is_shared_by_hand() -> None:
    # In a volume of 2 x 1 x 4, t = -0.25 is index 0.25 and x = 0.5 is index 2.5; beyond the last centre is the border.
    found = corners(torch.tensor([[-0.25, 0.3, 0.5], [1.0, -1.0, 1.0]]), (2, 1, 4))
    spread = found.scatter(torch.tensor([8.0, 1.0])).view(2, 4)
    assert torch.allclose(spread, torch.tensor([[0, 0, 3.0, 3.0], [0, 0, 1.0, 2.0]]))


def planted(where: tuple[int, int, int]) -> Recognizer:
    """Full attention whose every query reads the one patch `where`, and no other attention."""
    recognizer = random_recognizer(layers=1, deformable="full", joint="off", temporal="off")
    network = recognizer.network
    block = network.layers[0].deformable.block
    t, y, x = where
    with torch.no_grad():
        for parameter in (network.tokenizer.spatial_embedding, network.tokenizer.time_embedding, block.key.weight):
            parameter.zero_()
        network.tokenizer.spatial_embedding[0, 0, y, x] = 1e3  # channel 0 says where, channel 1 says when
        network.tokenizer.time_embedding[t, 1] = 1e3
        block.key.weight[::16, :2] = 100.0
        block.query.weight.zero_()
        block.query.bias[::16] = 100.0
    return recognizer


def test_where_one_patch_is_read_it_alone_has_relevance() -> None:
    where = (3, 1, 4)
    recognizer = planted(where)
    maps = all_maps(ask(recognizer), ROLLOUT.name)
    expected = np.zeros((5, 6, 6), np.float32)
    expected[where] = 1 / 3  # half of CLS and of RGB, which hold a third each; pose reads nothing
    assert np.allclose(maps["frames"].values, expected, atol=1e-6)
    assert np.allclose(maps["modal"].values.sum(0), [1 / 6, 1 / 6, 1 / 3], atol=1e-6)
    assert (maps["joints"].values == 0).all()
    # Uniform attention over 180 patches and 2 x 5 modal tokens would spread the same third.
    assert np.allclose(maps["frames"].base_rate, 1 / 3 / 190, atol=1e-7)
    both = [GRADIENT.run(ask(recognizer, target=a, against=b), "frames").values for a, b in ((0, 1), (1, 0))]
    for values in both:
        assert (np.delete(values.ravel(), np.ravel_multi_index(where, values.shape)) == 0).all()
    assert max(values[where] for values in both) > 0


def test_joints_that_no_attention_reads_get_nothing() -> None:
    recognizer = random_recognizer(temporal="off")
    with torch.no_grad():
        recognizer.network.modal.tokens.zero_()[..., 0] = 1e3
        for layer in recognizer.network.layers:
            block = layer.joint.block  # keys with a large channel 0 take it all
            block.key.weight.zero_()[::16, 0] = 1e3
            block.query.weight.zero_()
            block.query.bias[::16] = 1e3
    for name in METHOD:
        maps = all_maps(ask(recognizer), name)
        assert (maps["joints"].values == 0).all()
        assert maps["frames"].values.max() > 0


def test_small_chunks_give_the_same(question: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [method.run(question, "frames").values for method in METHODS]
    monkeypatch.setattr(token_graph, "CHUNK", 5000)
    for method, values in zip(METHODS, before, strict=True):
        assert np.allclose(method.run(question, "frames").values, values, rtol=1e-4, atol=1e-9)


def test_rollout_knows_no_class_and_gradient_x_attention_does(question: Question) -> None:
    a, b = (ask(question.recognizer, target=target) for target in (0, 1))
    assert np.array_equal(ROLLOUT.run(a, "frames").values, ROLLOUT.run(b, "frames").values)
    assert not np.allclose(GRADIENT.run(a, "frames").values, GRADIENT.run(b, "frames").values, rtol=1e-2)


def test_the_network_is_left_as_it_was(question: Question) -> None:
    network = question.recognizer.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for method in METHODS:
        for enabled in (True, False):
            with torch.set_grad_enabled(enabled):
                method.run(question, "joints")
                assert torch.is_grad_enabled() is enabled
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_a_frozen_network_can_be_asked_too() -> None:
    recognizer = random_recognizer()
    expected = GRADIENT.run(ask(recognizer), "frames").values
    recognizer.network.requires_grad_(False)
    assert np.allclose(GRADIENT.run(ask(recognizer), "frames").values, expected)


@pytest.mark.parametrize("name", METHOD)
def test_progress_counts_up_and_can_cancel(name: str, question: Question) -> None:
    calls: list[tuple[int, int]] = []
    watched = ask(question.recognizer, progress=lambda done, total: calls.append((done, total)))
    METHOD[name].run(watched, "frames")
    steps = 1 + 2 * 6 if name == ROLLOUT.name else 2 + 6  # rollout walks twice: the base rate is a walk of its own
    assert {total for _, total in calls} == {steps}
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (steps, steps)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        METHOD[name].run(ask(question.recognizer, progress=stop), "frames")
    assert torch.is_grad_enabled()


def test_without_any_attention_nothing_arrives() -> None:
    recognizer = random_recognizer(deformable="off", joint="off", temporal="off")
    for name in METHOD:
        maps = all_maps(ask(recognizer), name)
        assert (maps["frames"].values == 0).all()
        assert maps["modal"].values.sum() == pytest.approx(1 if name == ROLLOUT.name else 0)


def test_a_clip_without_joints_has_no_joint_map() -> None:
    question = ask(random_recognizer(), people=0)
    for method in METHODS:
        with pytest.raises(ValueError, match="needs a clip with joints"):
            method.run(question, "joints")
        assert method.run(question, "frames").values.sum() > 0


@pytest.mark.parametrize("temporal", ["tokenshift", "msca"])
def test_a_network_that_shifts_tokens_is_refused(temporal: str) -> None:
    question = ask(random_recognizer(temporal=temporal))
    for method in METHODS:
        with pytest.raises(ValueError, match=temporal):
            method.run(question, "frames")


def test_every_method_says_what_it_is() -> None:
    for method in relevance.METHODS:
        assert (method.family, method.on, method.options) == ("attention", ("frames", "joints", "modal"), {})
        assert not method.signed
