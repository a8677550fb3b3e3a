"""Frame-wise networks explained: rollout against dense matrices, the cone against what really changes, and the maps."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

import model
from model.attention import attention_rows
from model.framewise_config import VARIANTS, tiny
from model.tap import recording, tokens_tap
from tests.xai.clips import noise_clip
from training.recognizer import Recognizer
from xai.evidence import gather_evidence
from xai.figures.player import player_payload
from xai.framewise import (
    cone,
    frame_reading,
    listen,
    look,
    neighbour_attention,
    rollout_through_time,
    transfer,
    whole,
)
from xai.methods import answer
from xai.question import Question

T = 5


def framewise(variant: str, layers: int = 2, boundary: str = "zero") -> Recognizer:
    torch.manual_seed(0)
    config = tiny(classes=4, size=32, frames=T, layers=layers, boundary=boundary, **VARIANTS[variant])
    network = model.FrameWise(config).eval()
    for name, parameter in network.named_parameters():
        if name.endswith(("qkv.weight", "proj.weight", "cls_token")):
            torch.nn.init.normal_(parameter, std=0.3)
    card = model.Card(labels=("a", "b", "c", "d"), layout="jhmdb15", frames=T, size=32, name=variant)
    return Recognizer(network, card, variant)


def ask(recognizer: Recognizer) -> Question:
    return Question.ask(recognizer, noise_clip(2 * T, 40, 44))


def literal_rollout(question: Question) -> np.ndarray:
    """Dense matrices over all tokens of all frames, token by token: [T, T, N], of the CLS token of every frame."""
    network = question.recognizer.network
    config = network.config
    _, taps = listen(question.recognizer, question.clip, question.view, whole)
    count = taps[0].query.shape[3]
    flow = np.eye(T * count)
    shift = np.eye(T * count)
    if config.mixing == "tokenshift":
        share = (config.dim // config.fold) / config.dim
        for t in range(T):
            shift[t * count, t * count] = 1 - 2 * share
            for other in (t - 1, t + 1):
                if 0 <= other < T:
                    shift[t * count, other * count] = share
                elif config.boundary == "self":
                    shift[t * count, t * count] += share
    for tap in taps:
        dense = np.zeros((T * count, T * count))
        for t in range(T):
            for h in range(config.heads):
                logits = tap.query[0, t, h] @ tap.key[0, t, h].T / np.sqrt(tap.query.shape[-1])
                rows = logits.softmax(-1).numpy()
                for n in range(count):
                    for m in range(count):
                        source = int(tap.value_frames[t, h, m])
                        if source >= 0:
                            dense[t * count + n, source * count + m] += rows[n, m] / config.heads
        flow = shift @ (0.5 * np.eye(T * count) + 0.5 * dense) @ shift @ flow  # shift, attend, shift
    return flow[::count].reshape(T, T, count)


@pytest.mark.parametrize("variant", ["vit", "tokenshift", "msca-k", "msca-kv", "msca-qv", "msca-patches-kv"])
@pytest.mark.parametrize("boundary", ["zero", "self"])
def test_rollout_equals_dense_matrices(variant: str, boundary: str) -> None:
    question = ask(framewise(variant, boundary=boundary))
    expected = literal_rollout(question).mean(0)
    np.testing.assert_allclose(
        answer(question, "attention rollout", on="frames").values.reshape(T, -1), expected[:, 1:], atol=1e-6
    )
    np.testing.assert_allclose(answer(question, "attention rollout", on="modal").values, expected[:, :1], atol=1e-6)
    assert expected.sum() == pytest.approx(1) if boundary == "self" or variant == "vit" else expected.sum() < 1 + 1e-6


@pytest.mark.parametrize("variant", [*VARIANTS])
@pytest.mark.parametrize("boundary", ["zero", "self"])
def test_rollout_through_time_equals_dense_matrices_and_stays_in_the_cone(variant: str, boundary: str) -> None:
    question = ask(framewise(variant, boundary=boundary))
    _, blocks = listen(question.recognizer, question.clip, question.view, transfer)
    config = question.recognizer.network.config
    found = rollout_through_time(config, blocks)
    np.testing.assert_allclose(found, literal_rollout(question), atol=1e-6)
    assert not found[..., 1:].max(-1)[~cone(config, T)[-1]].any()


@pytest.mark.parametrize("variant", [*VARIANTS])
def test_the_cone_is_what_really_changes(variant: str) -> None:
    """Change one frame of the clip: exactly the CLS tokens in its cone change, after every block."""
    network = framewise(variant, layers=2).network
    frames = torch.randn(1, 3, T, 32, 32, generator=torch.Generator().manual_seed(1))
    tokens = [tokens_tap(i, "modal") for i in range(network.config.layers + 1)]

    def cls(x: torch.Tensor) -> list[torch.Tensor]:
        seen: dict[str, torch.Tensor] = {}
        with torch.inference_mode(), recording(lambda name, value: seen.update({name: value}) and None):
            network(x)
        return [seen[name][0, 0] for name in tokens]  # [T, d] each

    before, reach = cls(frames), cone(network.config, T)
    assert not reach[0].any()
    for s in range(T):
        changed = frames.clone()
        changed[:, :, s] += 1.0
        for layer, (old, new) in enumerate(zip(before, cls(changed), strict=True)):
            np.testing.assert_array_equal((old - new).abs().amax(-1).numpy() > 0, reach[layer][:, s], err_msg=f"{s}")


def test_how_far_each_variant_sees() -> None:
    wide = {name: int(cone(framewise(name).network.config, 9)[1][4].sum()) for name in ("vit", "tokenshift", "msca-kv")}
    assert wide == {"vit": 1, "tokenshift": 3, "msca-kv": 3}


@pytest.mark.parametrize("variant", [*VARIANTS])
def test_all_of_a_row_is_accounted_for(variant: str) -> None:
    recognizer = framewise(variant)
    question = ask(recognizer)
    _, taps = listen(recognizer, question.clip, question.view, look)
    looks = neighbour_attention(taps, (4, 4), question.made_by("drawn"))
    mass = np.nan_to_num(looks.values).sum((-3, -2, -1)) + np.nan_to_num(looks.companions["cls"]).sum(-1)
    np.testing.assert_allclose(mass + looks.companions["nowhere"] + looks.companions["alike"], 1, atol=1e-5)
    config = recognizer.network.config
    # Frame by frame, what a head reads is what changes when the values of that frame change.
    windows, heads = frame_reading(looks), range(config.heads)
    read = windows.values[:, :, 0]
    _, whole_taps = listen(recognizer, question.clip, question.view, whole)
    for layer, tap in enumerate(whole_taps):
        rows = attention_rows(tap.query[0], tap.key[0], None)[:, :, 0].numpy()  # of the CLS token, also over zeros
        source = tap.value_frames.numpy()
        for t, h, s in product(range(T), heads, range(T)):
            assert read[layer, h, t, s] == pytest.approx(rows[t, h][source[t, h] == s].sum(), abs=1e-5)
            uniform = (source[t, h] == s).mean()
            assert windows.base_rate[layer, h, 0, t, s] == pytest.approx(uniform, abs=1e-6)
    if variant == "msca-kv":  # the first head reads t + 1, so that it is blind in the last frame; the last t - 1
        assert np.isnan(looks.values[:, 0, -1]).all()
        assert np.isnan(looks.values[:, -1, 0]).all()
        assert looks.values[:, 0, 0, 2].sum() > 0
        assert looks.values[:, 0, 0, :2].sum() == 0
    if variant == "vit":
        assert np.isfinite(looks.values).all()
        assert looks.values[:, :, :, [0, 2]].sum() == 0
    assert looks.values.shape == (config.layers, config.heads, T, 3, 4, 4)


@pytest.mark.parametrize("variant", ["vit", "tokenshift", "msca-kv"])
def test_evidence_and_player(variant: str, tmp_path) -> None:
    recognizer, clip = framewise(variant), noise_clip(2 * T, 40, 44)
    evidence = gather_evidence(recognizer, clip)
    assert evidence.sampling_points is None
    assert evidence.joint_curves is None
    windows = evidence.temporal_windows
    assert windows is not None
    band = np.abs(np.subtract.outer(np.arange(T), np.arange(T))) <= (0 if variant != "msca-kv" else 1)
    assert (windows.values[..., ~band] == 0).all()
    np.testing.assert_allclose(windows.values[:, 1, 0].sum(-1), 1, atol=1e-5)  # an unshifted head
    np.testing.assert_allclose(evidence.token_flow.values.sum(-1), 1, atol=1e-5)
    payload = player_payload(evidence)
    assert payload["points"] is None
    assert payload["windows"] is None, "every frame has the same mass, by how the network is built"
    said = json.dumps(payload)
    assert "It sees pixels only" in said
    assert "reads neither points nor joints" not in said
    evidence.save(tmp_path / "evidence.npz")
    assert type(evidence).load(tmp_path / "evidence.npz").model["token_mode"] == "frame-wise"


@pytest.mark.parametrize("variant", [*VARIANTS])
def test_methods_run_on_every_variant(variant: str) -> None:
    question = ask(framewise(variant))
    for name, on, shape in (
        ("neighbour attention", "frames", (T, 4, 4)),
        ("token flow", "parts", (T, 2)),
        ("attention rollout", "frames", (T, 4, 4)),
        ("gradient x attention", "frames", (T, 4, 4)),
        ("gradient x attention", "modal", (T, 1)),
        ("ledger", "time", (T,)),
        ("saliency", "patches", (T, 4, 4)),
        ("frame removal", "time", (T,)),
    ):
        found = answer(question, name, on=on)
        assert found.values.shape == shape, name
        assert np.isfinite(found.values).all(), name
    with pytest.raises(ValueError, match="which this network does not have"):
        answer(question, "sampling points")
    for name in ("joint attention", "joint removal", "limb removal", "saliency", "attention rollout", "Shapley joints"):
        with pytest.raises(ValueError, match="reads pictures only"):
            answer(question, name, on="joints")


def test_gradient_relevance_depends_on_the_class_and_leaves_nothing() -> None:
    question = ask(framewise("msca-kv"))
    first = answer(question, "gradient x attention", on="frames").values
    other = answer(replace(question, target=(question.target + 1) % 4), "gradient x attention", on="frames").values
    assert not np.allclose(first, other, rtol=1e-2)
    assert all(parameter.grad is None for parameter in question.recognizer.network.parameters())
