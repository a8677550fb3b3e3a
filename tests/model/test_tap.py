"""Taps: they fire with the promised shapes, change no bit, agree with the fused path, and never mix threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from model.attention import attention_rows
from model.tap import (
    ATTENTIONS,
    FEATURES_A,
    FEATURES_B,
    HEAD_TOKENS,
    AttentionTap,
    Kind,
    attention_tap,
    modal_tap,
    offsets_tap,
    points_tap,
    recording,
    tokens_tap,
)
from tests.model.networks import build, inputs


def record(network: torch.nn.Module, *given: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
    taps: dict[str, Any] = {}
    with torch.no_grad(), recording(taps.__setitem__):
        return network(*given), taps


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
def test_every_tap_fires_and_no_bit_changes(token_mode: str) -> None:
    network, given = build(token_mode=token_mode), inputs(batch=2)
    with torch.no_grad():
        plain = network(*given)
    traced, taps = record(network, *given)
    assert torch.equal(plain, traced)
    for layer in range(2):
        assert points_tap(layer) in taps
        for attention in ATTENTIONS:
            tap = taps[attention_tap(layer, attention)]
            batch, count, heads, queries, size = tap.query.shape
            assert (batch, heads, size) == (2, 2, 8)
            for ids, length in ((tap.queries, queries), (tap.keys, tap.key.shape[3])):
                assert ids.kind.shape == ids.frame.shape == ids.place.shape == (count, length)
            if tap.mask is not None:
                assert tap.mask.shape == (2, count, tap.key.shape[3])


def test_rows_sum_to_one_and_masked_keys_get_exactly_nothing() -> None:
    _, taps = record(build(), *inputs())
    for name, tap in taps.items():
        if isinstance(tap, AttentionTap):
            rows = attention_rows(tap.query, tap.key, tap.mask)
            assert torch.allclose(rows.sum(-1), torch.ones(()), atol=1e-5), name
            if tap.mask is not None:
                hidden = rows.masked_select(~tap.mask[:, :, None, None])
                assert len(hidden) > 0
                assert (hidden == 0).all()


def test_explicit_rows_agree_with_the_fused_path() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, 7, 8), torch.randn(2, 3, 11, 8), torch.randn(2, 3, 11, 8)
    mask = torch.rand(2, 11) > 0.4
    from model.attention import AttentionBlock

    for allowed in (None, mask, mask & (torch.arange(2) > 0)[:, None]):
        fused = AttentionBlock._attend(q, k, v, allowed)
        assert torch.allclose(fused, attention_rows(q, k, allowed) @ v, atol=1e-5)


def test_identities_name_every_patch_joint_and_modal_token_once() -> None:
    _, taps = record(build(), *inputs())  # T = 5, 5 x 6 patches, 2 people x 5 joints
    temporal = taps[attention_tap(0, "temporal")]
    joint = taps[attention_tap(0, "joint")]
    deformable = taps[attention_tap(0, "deformable")]

    def count(tap: AttentionTap, side: str, kind: Kind) -> int:
        ids = getattr(tap, side)
        chosen = ids.kind == kind
        triples = list(zip(ids.frame[chosen].tolist(), ids.place[chosen].tolist(), strict=True))
        assert len(set(triples)) == len(triples)
        return len(triples)

    for side in ("queries", "keys"):
        assert count(temporal, side, Kind.PATCH) == 5 * 30
        assert count(temporal, side, Kind.JOINT) == 5 * 10
        assert count(temporal, side, Kind.POSE) == 5
        assert count(joint, side, Kind.JOINT) == 5 * 10
    assert count(deformable, "queries", Kind.PATCH) == 5 * 30
    assert count(deformable, "keys", Kind.POINT) == 3 * 3 * 3
    assert count(deformable, "keys", Kind.RGB) == 5


def test_two_threads_on_one_network_never_see_each_others_values() -> None:
    network = build()
    clips = [inputs(seed=seed, height=32, width=32) for seed in (1, 2)]
    name = points_tap(1)
    expected = [record(network, *clip)[1][name].position for clip in clips]
    assert not torch.equal(*expected)
    wrong: list[int] = []
    barrier = threading.Barrier(2)

    def work(which: int) -> None:
        barrier.wait()
        for _ in range(100):
            _, taps = record(network, *clips[which])
            if len([n for n in taps if n == name]) != 1 or not torch.equal(taps[name].position, expected[which]):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_tap_is_closed_after_an_exception() -> None:
    seen: list[str] = []
    with pytest.raises(RuntimeError), recording(lambda name, _: seen.append(name)):
        raise RuntimeError
    with torch.no_grad():
        build()(*inputs())
    assert seen == []


EXCHANGEABLE = (
    FEATURES_A,
    FEATURES_B,
    HEAD_TOKENS,
    offsets_tap(1),
    *(tokens_tap(layer, tokens) for layer in (0, 1) for tokens in ("patches", "pose", "modal")),
    tokens_tap(2, "modal"),
    *(modal_tap(layer, after) for layer in (0, 1) for after in ("deformable", "joint", "project")),
)


@pytest.mark.parametrize("name", EXCHANGEABLE)
def test_what_a_recorder_gives_back_is_what_the_network_goes_on_with(name: str) -> None:
    network, given = build(), inputs()

    def exchange(change: float) -> torch.Tensor:
        def other(tap: str, value: Any) -> Any:
            # neither a constant nor a factor: normalisation layers undo those
            return value + change * torch.linspace(0, 1, value.numel()).reshape(value.shape) if tap == name else None

        with torch.no_grad(), recording(other):
            return network(*given)

    with torch.no_grad():
        plain = network(*given)
    assert torch.equal(exchange(0.0), plain)
    assert not torch.allclose(exchange(0.5), plain, atol=1e-6)


def test_zero_offsets_read_at_the_reference_points() -> None:
    seen: dict[str, Any] = {}

    def still(name: str, value: Any) -> Any:
        seen[name] = value
        return torch.zeros_like(value) if name == offsets_tap(0) else None

    with torch.no_grad(), recording(still):
        build()(*inputs())
    moved, unmoved = seen[points_tap(1)], seen[points_tap(0)]
    assert torch.equal(unmoved.position[0], unmoved.reference)
    assert not torch.equal(moved.position[0], moved.reference)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_attended_value_is_rows_times_values_and_carries_the_gradient(attention: str) -> None:
    taps: dict[str, Any] = {}
    with recording(taps.__setitem__):
        logits = build()(*inputs())
    tap = taps[attention_tap(0, attention)]
    rows = attention_rows(tap.query, tap.key, tap.mask)
    assert torch.allclose(rows @ tap.value, tap.attended, atol=1e-5)
    (gradient,) = torch.autograd.grad(logits[0, 0], tap.attended)
    assert gradient.shape == tap.attended.shape
    assert gradient.abs().max() > 0
