"""Attributions: against finite differences, against a network that is linear, complete, repeatable, and leaving
nothing behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import model
from model.tap import FEATURES_A, FEATURES_B, tap
from tests.xai.clips import noise_clip, random_recognizer
from training.clip import Clip
from training.recognizer import Recognizer
from training.skeleton import JHMDB
from xai.attribution import BASELINES, METHODS, SITES, Passes, Site
from xai.explanation import Explanation
from xai.question import Question

BY_NAME = {method.name: method for method in METHODS}
FEW = {
    "integrated gradients": {"steps": 3},
    "gradient SHAP": {"samples": 3},
    "smoothgrad": {"samples": 3},
}


def small(frames: int = 4, seed: int = 1, **changes: object) -> Recognizer:
    """Random weights and biases. Without biases a grey clip is the zero of every layer, where a LayerNorm leaps."""
    recognizer = random_recognizer(seed, size=32, frames=frames, **{"width": 4, "layers": 1, **changes})
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in recognizer.network.named_parameters():
            if name.endswith("bias"):
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return recognizer


def ask(recognizer: Recognizer, people: int = 1, frames: int = 6, **about: object) -> Question:
    return Question.ask(recognizer, noise_clip(frames, 40, 56, people), 1, **about)  # type: ignore[arg-type]


def run(question: Question, method: str, on: str, **options: object) -> Explanation:
    return BY_NAME[method].run(question, on, **{**FEW.get(method, {}), **options})


class Linear(nn.Module):
    """A network whose score is a weighted sum of what comes in: every attribution of it is known exactly."""

    reads_trail = False

    def __init__(self, seed: int = 3) -> None:
        super().__init__()
        self.config = SimpleNamespace(dim=16, width=4, roles=(), joints=15)
        self.slots = ("all",)
        generator = torch.Generator().manual_seed(seed)
        self.pixels = nn.Parameter(torch.randn(4, 3, 4, 32, 32, generator=generator))
        self.places = nn.Parameter(torch.randn(4, 4, 1, 15, 2, generator=generator))
        self.head = nn.Linear(1, 4)

    def backbone(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        return frames[..., ::2, ::2], frames

    def features(self, frames: Tensor, joints: Tensor, score: Tensor) -> Tensor:
        a, b = self.backbone(frames)
        tap(FEATURES_A, a)
        looked = torch.einsum("bcthw,kcthw->bk", tap(FEATURES_B, b), self.pixels)
        return looked + torch.einsum("btmjx,ktmjx->bk", joints * (score > 0)[..., None], self.places)

    def classify(self, tokens: Tensor) -> Tensor:
        return tokens

    def forward(self, frames: Tensor, joints: Tensor, score: Tensor) -> Tensor:
        return self.classify(self.features(frames, joints, score))

    def ledger(self, tokens: Tensor) -> Tensor:
        return tokens[:, :, None, None]


@pytest.fixture(scope="module")
def linear() -> Question:
    card = model.Card(labels=("a", "b", "c", "d"), layout="jhmdb15", frames=4, size=32, name="linear")
    return ask(Recognizer(Linear().eval(), card, "linear"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cross() -> Question:
    return ask(small(), people=2, against=2)


# ---- what the numbers are -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["input x gradient", "integrated gradients"])
def test_a_linear_network_is_attributed_exactly(linear: Question, method: str) -> None:
    network = linear.recognizer.network
    frames, joints, score = linear.tensors
    expected = (network.pixels[1] * frames[0]).sum(0).detach()  # type: ignore[index]
    torch.testing.assert_close(torch.tensor(run(linear, method, "frames").values), expected, atol=1e-4, rtol=1e-4)
    seen = (score[0] > 0)[..., None]
    way = (joints[0] - (joints[0] * seen).sum(0) / seen.sum(0).clamp_min(1)) * seen
    by_joint = linear.in_layout((network.places[1] * way).sum(-1).detach().numpy())  # type: ignore[index]
    np.testing.assert_allclose(run(linear, method, "joints").values, by_joint, atol=1e-3)
    for on in ("frames", "joints", "features_b"):
        parts, difference = run(linear, method, on).companions["completeness"]
        assert parts == pytest.approx(difference, abs=1e-2)
        assert abs(difference) > 0.1


def test_gradient_shap_of_a_linear_network_without_noise_is_input_x_gradient(linear: Question) -> None:
    shap = run(linear, "gradient SHAP", "joints", noise=1e-6)
    np.testing.assert_allclose(shap.values, run(linear, "input x gradient", "joints").values, atol=1e-3)
    noisy = run(linear, "gradient SHAP", "frames", noise=0.5).companions["completeness"]
    assert noisy[0] == pytest.approx(noisy[1], abs=1e-2)


def test_saliency_and_smoothgrad_of_a_linear_network_are_the_lengths_of_its_weights(linear: Question) -> None:
    network, matrix = linear.recognizer.network, linear.view.matrix[:, :2]
    for method in ("saliency", "smoothgrad"):
        pixels = run(linear, method, "frames")
        np.testing.assert_allclose(pixels.values, network.pixels[1].norm(dim=0).detach(), rtol=1e-4)  # type: ignore[index]
        assert pixels.base_rate == pytest.approx(pixels.values.mean(), rel=1e-5)
        joints = run(linear, method, "joints")
        weights = (network.places[1].detach() * (linear.tensors[2][0] > 0)[..., None]).numpy() @ matrix  # type: ignore[index]
        order = np.argsort(JHMDB.window_order)
        np.testing.assert_allclose(joints.companions["direction"], weights[:, :, order], rtol=1e-4)
        np.testing.assert_allclose(joints.values, np.linalg.norm(weights[:, :, order], axis=-1), rtol=1e-4)


def test_grad_cam_of_a_linear_network(linear: Question) -> None:
    weights = linear.recognizer.network.pixels[1].detach()  # type: ignore[index]
    cam = (weights.mean((1, 2, 3), keepdim=True) * linear.tensors[0][0]).sum(0).relu()
    np.testing.assert_allclose(run(linear, "grad-cam", "features_b").values, cam, atol=1e-6)


@pytest.mark.parametrize("on", SITES)
def test_gradients_agree_with_finite_differences(cross: Question, on: str) -> None:
    site = Site.at(cross, on)
    gradient = Passes(site, 1).gradient(site.value)
    # Along the gradient float32 sees the difference best; small enough to cross few of the kinks of ReLU.
    size = {"frames": 5e-5 * site.value.norm(), "joints": 0.05}.get(on, 2e-4 * site.value.norm())
    step = gradient / gradient.norm() * size
    with torch.no_grad():
        rise = site.score(site.value + step) - site.score(site.value - step)
    assert float(rise) == pytest.approx(float(2 * (gradient * step).sum()), rel=0.02)


def test_a_double_network_passes_gradcheck(linear: Question) -> None:
    recognizer = replace(linear.recognizer, network=Linear().double())  # type: ignore[arg-type]
    doubled = replace(linear, recognizer=recognizer)
    doubled.__dict__["tensors"] = tuple(tensor.double() for tensor in linear.tensors)
    site = Site.at(doubled, "joints")
    assert site.value.dtype == torch.float64
    assert torch.autograd.gradcheck(site.score, site.value.requires_grad_(), eps=1e-2, atol=1e-2)


@pytest.mark.parametrize(("on", "baseline"), [("frames", "blur"), *[(on, BASELINES[on][0]) for on in SITES]])
def test_integrated_gradients_are_complete(cross: Question, on: str, baseline: str) -> None:
    found = run(cross, "integrated gradients", on, steps=128, baseline=baseline)
    parts, difference = found.companions["completeness"]
    assert parts == pytest.approx(difference, abs=0.01 * abs(difference) + 2e-4)
    assert parts == pytest.approx(found.values.sum(), rel=1e-3, abs=1e-5)


def test_the_gap_of_too_few_steps_is_told(cross: Question) -> None:
    def gap(steps: int) -> float:
        parts, difference = run(cross, "integrated gradients", "frames", steps=steps).companions["completeness"]
        return abs(parts - difference)

    assert gap(2) > 5 * gap(64)


def test_the_difference_is_that_of_the_question(cross: Question) -> None:
    site = Site.at(cross, "frames")
    logits = cross.prediction.logits
    assert float(site.score(site.value)) == pytest.approx(float(logits[1] - logits[2]), abs=1e-4)
    here = float(logits[1] - logits[2])
    with torch.no_grad():
        there = float(site.score(torch.zeros_like(site.value)))
    difference = run(cross, "input x gradient", "frames").companions["completeness"][1]
    assert difference == pytest.approx(here - there, abs=1e-4)


@pytest.fixture(scope="module")
def trailing() -> Question:
    """Asked of a network that reads joints between its frames."""
    return ask(small(pose_geometry=True, pose_distances=True, pose_trail=True), people=2, frames=9)


def test_joints_that_come_with_a_trail_are_attributed_with_it(trailing: Question) -> None:
    assert trailing.tensors[1].shape == (1, 4, 2, 15, 5, 2)
    complete = run(trailing, "integrated gradients", "joints", steps=128)
    parts, difference = complete.companions["completeness"]
    assert parts == pytest.approx(difference, abs=0.01 * abs(difference) + 2e-4)
    unseen = trailing.view.apply(trailing.clip)[2] == 0
    for method in (each for each in METHODS if "joints" in each.on):
        found = run(trailing, method.name, "joints")
        assert found.values.shape == (4, 2, 15)
        assert not found.values[unseen].any()
    # A stride of pixels to the right, of one joint in one frame, and its trail with it.
    slope = run(trailing, "saliency", "joints").companions["direction"]
    t, person, joint = np.unravel_index(np.abs(slope[..., 0]).argmax(), slope.shape[:3])
    seen, ends = trailing.seen, []
    for step in (-0.05, 0.05):
        joints = seen.joints.copy()
        joints[t, person, joint, 0] += step
        view = replace(trailing.view, frame_index=np.arange(len(seen)))
        ends.append(float(trailing.recognizer(replace(seen, joints=joints), view).logits[1]))
    assert (ends[1] - ends[0]) / 0.1 == pytest.approx(float(slope[t, person, joint, 0]), rel=0.05)


# ---- where the numbers stand ----------------------------------------------------------------------------------------


def test_a_change_at_one_place_is_found_there() -> None:
    """Only cell (2, 3) of F_b in frame 1 and one joint matter: the maps say so, in the order of the layout."""
    card = model.Card(labels=("a", "b", "c", "d"), layout="jhmdb15", frames=4, size=32, name="linear")
    network = Linear()
    with torch.no_grad():
        network.pixels.zero_()[:, :, 1, 2, 3] = 1
        network.places.zero_()[:, 1, 0, 7] = 1
    question = ask(Recognizer(network, card, "one"))  # type: ignore[arg-type]
    assert np.argwhere(run(question, "saliency", "frames").values).tolist() == [[1, 2, 3]]
    joint = int(question.layout.window_order[7])
    question.tensors[2][0, 1, 0, 7] = 1
    assert np.argwhere(run(question, "saliency", "joints").values).tolist() == [[1, 0, joint]]


def test_cells_of_the_features_are_centred_on_their_pixels(cross: Question) -> None:
    for on, stride in (("features_a", 2), ("features_b", 8), ("patches", 8)):
        found = run(cross, "saliency", on)
        rows, columns = found.values.shape[1:]
        assert (rows, columns) == (32 // stride, 32 // stride)
        corners = cross.view.to_model(found.companions["box"])
        side = (corners[2] - corners[0]) / (columns, rows)
        np.testing.assert_allclose(corners[0] + side / 2, [0, 0], atol=1e-4)
        np.testing.assert_allclose(side, [stride, stride], atol=1e-4)
    np.testing.assert_allclose(run(cross, "saliency", "frames").companions["box"], cross.view.box())


@pytest.mark.parametrize("mode", ["none", "single", "cross"])
@pytest.mark.parametrize(("people", "frames", "half"), [(1, 16, 0), (2, 4, 1)])
def test_every_method_at_every_site(mode: str, people: int, frames: int, half: int) -> None:
    """Each of the two clips has one half of the methods and sites, as the squares of a chessboard."""
    question = ask(small(frames, token_mode=mode), people, frames + 1)
    shapes = {
        "frames": (frames, 32, 32), "joints": (frames, people, 15), "features_a": (frames, 16, 16),
        "features_b": (frames, 4, 4), "patches": (frames, 4, 4), "pose": (frames, people, 15),
        "modal": (frames, len(question.recognizer.network.config.roles)),
    }  # fmt: skip
    kinds = {"joints": "joint map", "pose": "joint map", "modal": "token map"}
    few = {**FEW, "integrated gradients": {"steps": 1}, "gradient SHAP": {"samples": 1}, "smoothgrad": {"samples": 2}}
    for number, method in enumerate(METHODS):
        for on in method.on:
            if (number + SITES.index(on)) % 2 != half:
                continue
            if on == "modal" and mode == "none":
                with pytest.raises(ValueError, match="no modal"):
                    method.run(question, on)
                continue
            found = method.run(question, on, **few.get(method.name, {}))
            assert found.kind == kinds.get(on, "pixel map")
            assert found.values.shape == shapes[on]
            assert np.isfinite(found.values).all()
            assert found.values.any() or (mode, method.name) == ("none", "grad-cam")
            assert method.signed or found.values.min() >= 0
            assert found.made_by.method == method.name
            if on in ("joints", "pose"):
                assert found.axes[2].labels == JHMDB.joints
                seen = question.view.apply(question.clip)[2] > 0
                assert on == "pose" or not found.values[~seen].any()


def test_what_a_network_ignores_has_the_map_zero() -> None:
    """Single token, no joint attention and no geometry of any kind: the pose tokens reach no token that is pooled."""
    question = ask(small(joint="off", temporal="off"))
    for method in METHODS:
        on = "joints" if "joints" in method.on else "features_a"
        assert not run(question, method.name, on).values.any(), method.name
        assert run(question, method.name, method.on[0]).values.any(), method.name


def test_a_clip_without_joints_still_has_pixels() -> None:
    clip = noise_clip(5, 40, 56, 1)
    without = Clip(clip.frames, clip.joints[:, :0], clip.score[:, :0], JHMDB, clip.time)
    question = Question.ask(small(), without)
    assert run(question, "saliency", "frames").values.any()
    for on in ("joints", "pose"):
        with pytest.raises(ValueError, match="needs a clip with joints"):
            run(question, "saliency", on)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("integrated gradients", {"steps": 0}, "steps is 0"),
        ("gradient SHAP", {"samples": -1}, "samples is -1"),
        ("smoothgrad", {"noise": 0}, "noise is 0"),
        ("input x gradient", {"baseline": "black"}, "no baseline 'black'"),
    ],
)
def test_errors_are_one_sentence(cross: Question, method: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(cross, method, "frames", **options)


# ---- what is left behind: nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", BY_NAME)
def test_the_network_the_clip_and_the_global_generators_stay_as_they_were(cross: Question, method: str) -> None:
    network = cross.recognizer.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modules = [id(module) for module in network.modules()]
    given = [tensor.clone() for tensor in cross.tensors]
    state, legacy = torch.random.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].copy()
    for on in {"frames", "joints", "pose", "features_b"} & set(BY_NAME[method].on):
        run(cross, method, on)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert modules == [id(module) for module in network.modules()]
    assert all(torch.equal(a, b) and not a.requires_grad for a, b in zip(cross.tensors, given, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state(legacy=False)["state"]["key"])


@pytest.mark.parametrize("method", ["gradient SHAP", "smoothgrad"])
def test_the_seed_alone_decides(cross: Question, method: str) -> None:
    first, again = run(cross, method, "joints"), run(cross, method, "joints")
    other = run(replace(cross, seed=1), method, "joints")
    assert first.values.tobytes() == again.values.tobytes()
    assert not np.allclose(first.values, other.values)


def test_two_threads_get_what_one_gets(cross: Question) -> None:
    jobs = [("integrated gradients", "joints"), ("smoothgrad", "features_b"), ("gradient SHAP", "pose")] * 2
    alone = [run(cross, *job).values for job in jobs[:3]] * 2
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda job: run(cross, *job).values, jobs))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_inside_inference_mode(cross: Question) -> None:
    outside = run(cross, "saliency", "frames").values
    with torch.inference_mode():
        inside = run(ask(cross.recognizer, 2, against=2), "saliency", "frames").values
    np.testing.assert_allclose(inside, outside)


@pytest.mark.parametrize("method", BY_NAME)
def test_progress_is_told_before_every_pass_and_may_cancel(method: str) -> None:
    told: list[tuple[int, int]] = []
    question = ask(small(), progress=lambda done, total: told.append((done, total)))
    options = {"steps": 20} if method == "integrated gradients" else {"samples": 20} if method in FEW else {}
    run(question, method, BY_NAME[method].on[0], **options)
    total = told[-1][1]
    assert told == [(done, total) for done in range(total + 1)]

    def cancel(done: int, total: int) -> None:
        if done == min(1, total - 1):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(replace(question, progress=cancel), method, BY_NAME[method].on[0], **options)


def test_the_batch_shrinks_as_the_clip_grows() -> None:
    demo = Question.ask(small(), noise_clip(5, 40, 56, 1))
    assert Site.at(demo, "frames").batch == 8
    frames = torch.empty(1, 3, 12, 224, 224)
    site = replace(Site.at(demo, "frames"), given=(frames, frames, frames))
    assert site.batch == 4  # d = 16
    object.__setattr__(demo.recognizer.network, "config", model.PRESETS["paper"]())
    assert site.batch == 1  # d = 256
