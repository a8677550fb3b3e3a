"""The frame-wise ViT, TokenShift and MSCA: against loops, against each other, and against timm's names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import model
from model.attention import attention_rows
from model.checkpoint import METADATA
from model.framewise import FrameWise, framewise_attention_tap, load_vit_weights, resize_positions
from model.framewise_config import FRAMEWISE_PRESETS, VARIANTS, FrameWiseConfig, vit_b16
from model.tap import HEAD_TOKENS, Kind, attention_tap, recording, tokens_tap
from model.temporal_mixing import FramewiseTap, Mixing, from_frame
from tests.model import literal_framewise as literal
from tests.model.networks import build as build_deformable
from tests.model.networks import inputs

BOUNDARIES = ("zero", "self")
HEAD_VARIANTS = [name for name in VARIANTS if name.startswith("msca-") and "patches" not in name]


def config(variant: str = "vit", **changes: Any) -> FrameWiseConfig:
    settings: dict[str, Any] = {
        "classes": 3, "joints": 5, "frames": 4, "size": 24, "patch": 8, "width": 16, "layers": 2, "heads": 4,
        "ffn_ratio": 2, "shift_period": 5,
    }  # fmt: skip
    return FrameWiseConfig(**{**settings, **VARIANTS[variant], **changes})


def network(variant: str = "vit", seed: int = 0, **changes: Any) -> FrameWise:
    torch.manual_seed(seed)
    net = FrameWise(config(variant, **changes)).eval()
    for parameter in net.parameters():  # large enough that attention is far from uniform
        torch.nn.init.normal_(parameter, std=0.4)
    return net


def clip(frames: int = 4, height: int = 24, width: int = 32, batch: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(batch, 3, frames, height, width, generator=torch.Generator().manual_seed(seed))


def record(net: torch.nn.Module, *given: Tensor) -> tuple[Tensor, dict[str, Any]]:
    taps: dict[str, Any] = {}
    with torch.no_grad(), recording(taps.__setitem__):
        return net(*given), taps


# ---- the operations ---------------------------------------------------------------------------------------------


def test_frames_come_from_their_neighbours() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0]])
    assert from_frame(x, +1, "zero").tolist() == [[2, 3, 0]]
    assert from_frame(x, +1, "self").tolist() == [[2, 3, 3]]
    assert from_frame(x, -1, "zero").tolist() == [[0, 1, 2]]
    assert from_frame(x, -1, "self").tolist() == [[1, 1, 2]]
    assert from_frame(x[:, :1], +1, "zero").tolist() == [[0]]
    assert from_frame(x[:, :1], -1, "self").tolist() == [[1]]


def test_token_shift_by_hand() -> None:
    # 3 frames of 2 tokens of 8 channels; the value is 100 frame + 10 token + channel
    t, n, c = torch.meshgrid(torch.arange(3), torch.arange(2), torch.arange(8), indexing="ij")
    x = (100 * t + 10 * n + c)[None].float()
    moved = Mixing("tokenshift").stream(x, slice(0, 1))[0]
    assert moved[1, 0].tolist() == [200, 201, 2, 3, 104, 105, 106, 107]
    assert moved[0, 0].tolist() == [100, 101, 0, 0, 4, 5, 6, 7]
    assert moved[2, 0].tolist() == [0, 0, 102, 103, 204, 205, 206, 207]
    assert torch.equal(moved[:, 1], x[0, :, 1])


def test_patches_that_shift_by_hand() -> None:
    mixing = Mixing("msca", "K", "patches", period=4, boundary="self")
    _, k, v = mixing.sources(3, 1 + 6, 2, slice(1, None), torch.device("cpu"))
    # CLS, then patches 0 ... 5: patches 0 and 4 from t+1, patch 2 from t-1
    assert k[1].tolist() == [[1, 2, 1, 0, 1, 2, 1]] * 2
    assert k[2, 0].tolist() == [2, 2, 2, 1, 2, 2, 2]
    assert v[1, 0].tolist() == [1] * 7


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_network_agrees_with_loops(variant: str, boundary: str) -> None:
    net, frames = network(variant, boundary=boundary), clip()
    with torch.no_grad():
        assert torch.allclose(net(frames)[0], literal.forward(net, frames[0]), atol=1e-5)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_with_and_without_gradients_is_the_same_to_the_bit(variant: str, boundary: str) -> None:
    """Where nothing asks for gradients, what moves is written in place."""
    net, frames = network(variant, boundary=boundary), clip()
    with torch.no_grad():
        written = net(frames)
    assert torch.equal(net(frames).detach(), written)
    mixing = net.config.mix
    chosen = slice(1, None) if mixing.across == "patches" else slice(0, None)
    qkv = torch.randn(3, 2, 4, 1 + 9, net.config.heads, 2)
    kept = qkv.clone()
    apart = mixing.attention(qkv, chosen)
    assert torch.equal(qkv, kept)  # only where it is said
    for one, other in zip(apart, mixing.attention(qkv, chosen, in_place=True), strict=True):
        assert torch.equal(one, other)


def test_more_heads_and_more_patches_shift_when_asked() -> None:
    for changes in ({"shift_heads": 2}, {"shift_heads": 0}, {"across": "patches", "shift_period": 2}, {"shifted": "Q"}):
        net, frames = network("msca-kv", **changes), clip(3)
        with torch.no_grad():
            assert torch.allclose(net(frames)[0], literal.forward(net, frames[0]), atol=1e-5), changes


@pytest.mark.parametrize("variant", HEAD_VARIANTS)
def test_heads_that_do_not_shift_are_those_of_the_plain_vit_bit_for_bit(variant: str) -> None:
    frames = clip(batch=2)
    plain = record(network(), frames)[1][framewise_attention_tap(0)]
    mixed = record(network(variant), frames)[1][framewise_attention_tap(0)]
    assert torch.equal(plain.attended[:, :, 1:-1], mixed.attended[:, :, 1:-1])
    assert not torch.allclose(plain.attended[:, :, 0], mixed.attended[:, :, 0])
    assert not torch.allclose(plain.attended[:, :, -1], mixed.attended[:, :, -1])


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_shifting_query_key_and_value_shifts_what_the_head_says(boundary: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 4, 7, 4, 8, generator=generator) for _ in range(3))  # [B, T, N, heads, d_head]

    def heads(*given: Tensor) -> Tensor:
        q, k, v = (x.transpose(2, 3) for x in given)
        return attention_rows(q, k) @ v

    moved = heads(*Mixing("msca", "QKV", boundary=boundary).attention(torch.stack([q, k, v])))
    plain = heads(q, k, v)
    assert torch.allclose(moved[:, :, 0], from_frame(plain[:, :, 0], +1, boundary), atol=1e-6)
    assert torch.allclose(moved[:, :, -1], from_frame(plain[:, :, -1], -1, boundary), atol=1e-6)
    assert torch.equal(moved[:, :, 1:-1], plain[:, :, 1:-1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_frame_is_a_clip(variant: str) -> None:
    frames = clip(1)
    with torch.no_grad():
        for boundary in BOUNDARIES:
            assert torch.isfinite(network(variant, boundary=boundary)(frames)).all()
        alone = network(variant, boundary="self")(frames)
        assert torch.allclose(alone, network()(frames), atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_frames_may_be_shuffled_only_if_they_do_not_see_each_other(variant: str) -> None:
    net, frames = network(variant), clip(6)
    with torch.no_grad():
        plain, shuffled = net(frames), net(frames[:, :, [3, 0, 5, 1, 4, 2]])
    assert torch.allclose(plain, shuffled, atol=1e-5) == (variant == "vit")


@pytest.mark.parametrize("variant", VARIANTS)
def test_how_far_a_frame_sees_in_two_layers(variant: str) -> None:
    """One frame a layer. TokenShift shifts twice a layer, but the first time CLS is the same everywhere; so is the
    first query of CLS, hence MSCA-Q sees one frame only."""
    reach = {"vit": 0, "tokenshift": 3, "msca-q": 1}.get(variant, 2)
    net, frames, changed = network(variant), clip(9), clip(9)
    changed[:, :, 4] += 1
    with torch.no_grad():
        differs = (net.features(frames) != net.features(changed)).any(-1).any(-1)[0]
    assert differs.nonzero().flatten().tolist() == list(range(4 - reach, 4 + reach + 1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_gets_a_gradient_and_the_count_is_the_same(variant: str) -> None:
    net = network(variant).train()
    torch.nn.functional.cross_entropy(net(clip(batch=2)), torch.tensor([0, 2])).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in network().parameters())


# ---- what it takes and what it says ----------------------------------------------------------------------------


def test_joints_are_taken_and_ignored_and_batches_do_not_mix() -> None:
    net, frames = network("msca-kv"), clip(batch=2)
    joints, score = torch.randn(2, 4, 1, 5, 2), torch.ones(2, 4, 1, 5)
    with torch.no_grad():
        both = net(frames, joints, score)
        assert torch.equal(both, net(frames))
        assert torch.allclose(both[1:], net(frames[1:]), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 40), (48, 24)])
def test_any_size_that_the_patch_divides_runs(height: int, width: int) -> None:
    with torch.no_grad():
        assert torch.isfinite(network("msca-patches-kv")(clip(3, height, width))).all()


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (torch.zeros(1, 3, 4, 20, 24), "multiples of the patch of 8; these are 20 x 24"),
        (torch.zeros(3, 4, 24, 24), r"must be \[B, 3, T, H, W\]"),
        (torch.zeros(1, 3, 0, 24, 24), "At least one clip"),
        (torch.zeros(1, 3, 4, 24, 24, dtype=torch.uint8), "torch.uint8"),
    ],
)
def test_frames_it_cannot_use_get_one_sentence(frames: Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network()(frames)


def test_configurations_that_cannot_be_get_one_sentence() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"shift_heads": 3, "mixing": "msca"}, "of 4 heads at most 2"),
        ({"size": 20}, "multiple of the patch"),
        ({"heads": 3}, "do not divide"),
        ({"shifted": "QKV"}, "must be one of 'Q'"),
        ({"boundary": "wrap"}, "must be one of 'zero'"),
    ]
    for changes, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            config(**changes)
    with pytest.raises(ValueError, match="Unknown model settings depth"):
        FrameWiseConfig.from_dict({"depth": 3})


def test_positions_are_resized_with_their_layout_and_cls_keeps_its_own() -> None:
    rows = torch.arange(4.0)[:, None].expand(4, 4).reshape(1, 16, 1)  # the embedding says its row
    embedding = torch.cat([torch.full((1, 1, 1), 9.0), rows], dim=1)
    assert resize_positions(embedding, (4, 4)) is embedding
    wide = resize_positions(embedding, (4, 8))
    assert wide.shape == (1, 33, 1)
    assert wide[0, 0] == 9
    assert torch.allclose(wide[0, 1:].reshape(4, 8), torch.arange(4.0)[:, None].expand(4, 8), atol=1e-5)
    small = resize_positions(embedding, (2, 2))[0, 1:].reshape(2, 2)
    assert torch.allclose(small.mean(), torch.tensor(1.5))
    assert small[1, 0] > small[0, 0]


def test_the_ledger_adds_up_to_the_logits() -> None:
    net, frames = network("msca-kv"), clip(batch=2)
    with torch.no_grad():
        tokens = net.features(frames)
        ledger = net.ledger(tokens)
        assert ledger.shape == (2, 3, len(net.slots), 4)
        assert torch.allclose(ledger.sum((2, 3)) + net.head.bias, net(frames), atol=1e-5)
        by_frame = torch.stack([net.head(tokens[:, t, 0]) for t in range(4)]).mean(0)
        assert torch.allclose(by_frame, net(frames), atol=1e-5)


# ---- taps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_listening_changes_no_bit_and_the_tap_is_what_the_block_did(variant: str) -> None:
    net, frames = network(variant), clip(batch=2)
    with torch.no_grad():
        plain = net(frames)
    traced, taps = record(net, frames)
    assert torch.equal(plain, traced)
    for layer in range(2):
        tap = taps[framewise_attention_tap(layer)]
        assert isinstance(tap, FramewiseTap)
        assert tap.query.shape == tap.key.shape == tap.value.shape == tap.attended.shape == (2, 4, 4, 13, 4)
        assert tap.kind.tolist() == [int(Kind.CLS)] + [int(Kind.PATCH)] * 12
        assert tap.place.tolist() == [0, *range(12)]
        rows = attention_rows(tap.query, tap.key)
        assert torch.allclose(rows @ tap.value, tap.attended, atol=1e-5)


def test_a_tap_says_from_which_frame_each_head_reads() -> None:
    tap = record(network("msca-kv"), clip())[1][framewise_attention_tap(1)]
    assert tap.key_frames[:, :, 0].T.tolist() == [[1, 2, 3, -1], [0, 1, 2, 3], [0, 1, 2, 3], [-1, 0, 1, 2]]
    assert torch.equal(tap.value_frames, tap.key_frames)
    assert tap.query_frames[:, 0, 5].tolist() == [0, 1, 2, 3]
    at_home = record(network("msca-kv", boundary="self"), clip())[1][framewise_attention_tap(1)]
    assert at_home.key_frames[:, 0, 0].tolist() == [1, 2, 3, 3]
    query = record(network("msca-q"), clip())[1][framewise_attention_tap(0)]
    assert query.query_frames[:, 0, 0].tolist() == [1, 2, 3, -1]
    assert query.key_frames[:, 0, 0].tolist() == [0, 1, 2, 3]


NOWHERE = {"msca-v", "msca-kv", "msca-qv"}
"""Variants whose shifted heads read values of the neighbouring frame, which the ends of a clip do not have."""


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("msca") and "patches" not in name])
def test_a_head_without_a_frame_shows_no_map(variant: str) -> None:
    tap = record(network(variant), clip())[1][framewise_attention_tap(0)]
    rows = tap.rows(torch.tensor([0, 3]))
    assert rows.shape == (1, 4, 4, 2, 13)
    ends = [[0, 3], [3, 0]]  # last head in the first frame, first head in the last
    assert torch.isnan(rows).all(-1).all(-1)[0].nonzero().tolist() == ends
    assert torch.allclose(rows[0, 1].sum(-1), torch.ones(4, 2))
    assert (~tap.mapped.all(-1)).nonzero().tolist() == ends
    # What a head does there: it reads nothing, or, with nothing to compare, the mean of what is there.
    for frame, head in ends:
        read, values = tap.attended[0, frame, head], tap.value[0, frame, head]
        if variant in NOWHERE:
            assert (read == 0).all()
            assert (tap.value_frames[frame, head] == -1).all()
        else:
            assert torch.allclose(read, values.mean(0).expand_as(read), atol=1e-6)
            assert read.abs().max() > 1e-3
            assert not tap.compared[frame, head].any()
            assert (tap.value_frames[frame, head] == frame).all()


def test_a_patch_from_no_frame_takes_mass_and_is_named() -> None:
    tap = record(network("msca-patches-kv"), clip())[1][framewise_attention_tap(0)]
    for frames in (tap.key_frames, tap.value_frames):
        assert (frames[3, 0] == -1).nonzero().flatten().tolist() == [1, 6, 11]  # patches 0, 5, 10 look at t+1
        assert (frames[0, 2] == -1).nonzero().flatten().tolist() == [3, 8]
    assert tap.mapped.all()
    rows = tap.rows(torch.tensor([0]))
    assert torch.allclose(rows.sum(-1), torch.ones(()), atol=1e-5)


def test_few_patches_leave_none_for_the_frame_before() -> None:
    with pytest.raises(ValueError, match="none would come from the frame before"):
        FRAMEWISE_PRESETS["tiny"](size=16, patch=8, **VARIANTS["msca-patches-kv"])


@pytest.mark.parametrize(
    "name",
    [HEAD_TOKENS, *(tokens_tap(layer, "patches") for layer in (0, 1)), *(tokens_tap(i, "modal") for i in (1, 2))],
)
def test_what_a_recorder_gives_back_is_what_the_network_goes_on_with(name: str) -> None:
    net, frames = network("msca-kv"), clip()

    def exchange(change: float) -> Tensor:
        def other(tap: str, value: Any) -> Any:
            return value + change * torch.linspace(0, 1, value.numel()).reshape(value.shape) if tap == name else None

        with torch.no_grad(), recording(other):
            return net(frames)

    with torch.no_grad():
        plain = net(frames)
    assert torch.equal(exchange(0.0), plain)
    assert not torch.allclose(exchange(0.5), plain, atol=1e-6)


def test_the_attended_value_carries_the_gradient() -> None:
    taps: dict[str, Any] = {}
    with recording(taps.__setitem__):
        logits = network("msca-kv")(clip())
    (gradient,) = torch.autograd.grad(logits[0, 0], taps[framewise_attention_tap(0)].attended)
    assert gradient.abs().max() > 0


# ---- files ------------------------------------------------------------------------------------------------------

TIMM_BLOCK = {
    "norm1.weight": (768,),
    "norm1.bias": (768,),
    "attn.qkv.weight": (2304, 768),
    "attn.qkv.bias": (2304,),
    "attn.proj.weight": (768, 768),
    "attn.proj.bias": (768,),
    "norm2.weight": (768,),
    "norm2.bias": (768,),
    "mlp.fc1.weight": (3072, 768),
    "mlp.fc1.bias": (3072,),
    "mlp.fc2.weight": (768, 3072),
    "mlp.fc2.bias": (768,),
}
TIMM_VIT_B16 = {
    "cls_token": (1, 1, 768),
    "pos_embed": (1, 197, 768),
    "patch_embed.proj.weight": (768, 3, 16, 16),
    "patch_embed.proj.bias": (768,),
    **{f"blocks.{i}.{name}": shape for i in range(12) for name, shape in TIMM_BLOCK.items()},
    "norm.weight": (768,),
    "norm.bias": (768,),
    "head.weight": (1000, 768),
    "head.bias": (1000,),
}
"""timm's `vit_base_patch16_224`, written by hand."""


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_and_shapes_are_those_of_vit_b16(variant: str) -> None:
    with torch.device("meta"):
        net = FrameWise(vit_b16(classes=1000, **VARIANTS[variant]))
    found = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert found == TIMM_VIT_B16
    assert len(found) == 152
    assert sum(p.numel() for p in net.parameters()) == 86_567_656  # as timm and torchvision count it


def timm_file(path: Path, classes: int = 3, side: int = 3, **changes: Any) -> dict[str, Tensor]:
    """A file of timm's layout for the small network; returns what is in it."""
    generator = torch.Generator().manual_seed(7)
    state = {n: torch.randn(t.shape, generator=generator) for n, t in network(classes=classes).state_dict().items()}
    state["pos_embed"] = torch.randn(1, 1 + side * side, 16, generator=generator)
    state |= {"pre_logits.fc.weight": torch.zeros(16, 16)}
    state |= changes
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    return state


@pytest.mark.parametrize("name", ["vit.safetensors", "vit.pth"])
def test_a_file_of_timms_layout_is_read(tmp_path: Path, name: str) -> None:
    state = timm_file(tmp_path / name)
    net = network("msca-kv")
    read, unused = load_vit_weights(net, tmp_path / name)
    assert set(read) == set(net.state_dict())
    assert unused == ["pre_logits.fc.weight"]
    assert all(torch.equal(tensor, state[key]) for key, tensor in net.state_dict().items())


def test_a_file_of_vit_b16_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "vit_base_patch16_224.safetensors"
    save_file({name: torch.full(shape, 0.5, dtype=torch.float16) for name, shape in TIMM_VIT_B16.items()}, path)
    with torch.device("meta"):
        net = FrameWise(vit_b16(classes=18, **VARIANTS["msca-kv"]))
    net.to_empty(device="cpu")
    read, unused = load_vit_weights(net, path)
    assert set(read) == set(TIMM_VIT_B16) - {"head.weight", "head.bias"}
    assert unused == ["head.bias", "head.weight"]
    assert all((tensor == 0.5).all() for name, tensor in net.state_dict().items() if not name.startswith("head."))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_multiplies_as_often_as_the_vit(variant: str) -> None:
    counts = []
    for name in ("vit", variant):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(name)(clip())
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 1e5


def test_another_head_is_left_out_and_another_grid_is_resized(tmp_path: Path) -> None:
    state = timm_file(tmp_path / "vit.safetensors", classes=7, side=6)
    net = network("msca-kv")
    before = net.head.weight.detach().clone()
    read, unused = load_vit_weights(net, tmp_path / "vit.safetensors")
    assert unused == ["head.bias", "head.weight", "pre_logits.fc.weight"]
    assert len(read) == len(net.state_dict()) - 2
    assert torch.equal(net.head.weight, before)
    assert torch.equal(net.pos_embed, resize_positions(state["pos_embed"], (3, 3)))


def test_files_that_are_no_vit_get_one_sentence(tmp_path: Path) -> None:
    path, other = tmp_path / "vit.safetensors", tmp_path / "vit.pth"

    def damaged() -> None:
        path.write_bytes(b"nonsense")

    def hostile() -> None:
        torch.save({"a": Path("x")}, other)

    def lacking() -> None:
        state = timm_file(path)
        del state["blocks.1.mlp.fc1.bias"]
        save_file(state, path)

    cases = [
        (damaged, path, "not a safetensors file"),
        (hostile, other, "cannot be opened without running code"),
        (lacking, path, "lacks 1 of 32 tensors, first blocks.1.mlp.fc1.bias"),
        (lambda: timm_file(path, **{"cls_token": torch.zeros(1, 1, 8)}), path, r"cls_token is \[1, 1, 8\]"),
        (lambda: timm_file(path, **{"pos_embed": torch.zeros(1, 13, 16)}), path, r"pos_embed is \[1, 13, 16\]"),
        (lambda: torch.save([1, 2], other), other, "holds a list"),
        (lambda: None, tmp_path / "none.pth", "There are no ViT weights"),
    ]
    for damage, file, sentence in cases:
        damage()
        with pytest.raises(ValueError, match=sentence) as error:
            load_vit_weights(network(), file)
        assert "\n" not in str(error.value)


CARD = model.Card(labels=("a", "b", "c"), layout="jhmdb15", frames=4, size=24)


def test_a_checkpoint_of_either_architecture_comes_back(tmp_path: Path) -> None:
    path, net, frames = tmp_path / "net.safetensors", network("msca-patches-kv", boundary="self"), clip()
    model.save(path, net, CARD)
    again, card = model.load(path)
    assert isinstance(again, FrameWise)
    assert (again.config, card) == (net.config, CARD)
    assert model.read_card(path)[0] == net.config
    assert isinstance(model.build(net.config), FrameWise)
    with torch.no_grad():
        assert torch.equal(again(frames), net(frames))
    model.save(path, build_deformable(), replace(CARD, size=32))
    assert isinstance(model.load(path)[0], model.DeformableTransformer)


def test_a_file_that_says_nothing_of_its_architecture_is_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    model.save(path, build_deformable(), replace(CARD, size=32))
    with safe_open(path, framework="pt") as file:
        described = json.loads(file.metadata()[METADATA])
    del described["architecture"]
    save_file(load_file(path), path, {METADATA: json.dumps(described)})
    assert isinstance(model.load(path)[0], model.DeformableTransformer)
    described["architecture"] = ["framewise-vit"]
    save_file(load_file(path), path, {METADATA: json.dumps(described)})
    with pytest.raises(model.CheckpointError, match="knows deformable-transformer-3d, framewise-vit"):
        model.load(path)


def test_presets_are_what_they_say() -> None:
    assert FRAMEWISE_PRESETS["vit_b16"]().size == 224
    for preset in FRAMEWISE_PRESETS.values():
        assert FrameWiseConfig.from_dict(preset(classes=4).to_dict()) == preset(classes=4)


# ---- in place of temporal stride attention -----------------------------------------------------------------------


@pytest.mark.parametrize("temporal", ["tokenshift", "msca"])
@pytest.mark.parametrize("token_mode", ["cross", "single"])
def test_in_the_deformable_transformer_it_agrees_with_loops(temporal: str, token_mode: str) -> None:
    net = build_deformable(temporal=temporal, token_mode=token_mode, heads=4)
    attention = net.layers[0].temporal
    generator = torch.Generator().manual_seed(3)
    patches, pose = torch.randn(1, 4, 3, 16, generator=generator), torch.randn(1, 4, 5, 16, generator=generator)
    modal = torch.randn(1, len(net.config.roles), 4, 16, generator=generator)
    visible = torch.rand(1, 4, 5, generator=generator) > 0.3
    with torch.no_grad():
        for seen in (visible, torch.ones_like(visible)):
            z, p, m = attention(patches, pose, modal, seen, list(net.config.roles))
            found = torch.cat([z, p, m.transpose(1, 2)], dim=2)[0]
            expected = literal.modal_attention(attention, patches[0], pose[0], modal[0], seen[0])
            assert torch.allclose(found, torch.stack(expected), atol=1e-5)


@pytest.mark.parametrize("temporal", ["tokenshift", "msca"])
def test_in_the_deformable_transformer_it_has_the_same_parameters_and_a_tap(temporal: str) -> None:
    net, stride, given = build_deformable(temporal=temporal), build_deformable(), inputs(batch=2)
    assert {n: t.shape for n, t in net.state_dict().items()} == {n: t.shape for n, t in stride.state_dict().items()}
    with torch.no_grad():
        plain = net(*given)
    traced, taps = record(net, *given)
    assert torch.equal(plain, traced)
    tap = taps[attention_tap(0, "temporal")]
    assert isinstance(tap, FramewiseTap)
    rows = attention_rows(tap.query, tap.key, tap.mask)
    assert torch.allclose(rows @ tap.value, tap.attended, atol=1e-5)
    # 5 x 6 patches, 2 people of 5 joints, CLS, RGB, pose: only the last three come from other frames, with MSCA
    assert tap.key_frames[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert tap.key_frames[:, 0, 40].tolist() == ([1, 2, 3, 4, 4] if temporal == "msca" else [0, 1, 2, 3, 4])
    net.train()(*given).sum().backward()
    assert all(p.grad is not None for p in net.layers[0].temporal.parameters())


def test_without_modal_tokens_there_is_nothing_to_shift() -> None:
    with pytest.raises(ValueError, match="token_mode 'none' has none"):
        build_deformable(temporal="msca", token_mode="none")
    with pytest.raises(ValueError, match="at least 2"):
        build_deformable(temporal="msca", heads=1)
