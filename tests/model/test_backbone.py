"""MC3-18: torchvision's names and shapes, the paper's F_a and F_b, and reading a user's own weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import model
from model.backbone import Backbone, ConvNorm, load_backbone_weights
from model.config import paper
from tests.model.networks import small


def golden() -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision 0.28's mc3_18, stem to layer3, written down from its state dict."""
    table: dict[str, tuple[int, ...]] = {"stem.0.weight": (64, 3, 3, 7, 7)}

    def norm(prefix: str, channels: int) -> None:
        table.update({f"{prefix}.{name}": (channels,) for name in ("weight", "bias", "running_mean", "running_var")})
        table[f"{prefix}.num_batches_tracked"] = ()

    norm("stem.1", 64)
    for stage, (inputs, outputs, depth) in enumerate([(64, 64, 3), (64, 128, 1), (128, 256, 1)], start=1):
        for block in range(2):
            first = inputs if block == 0 else outputs
            table[f"layer{stage}.{block}.conv1.0.weight"] = (outputs, first, depth, 3, 3)
            norm(f"layer{stage}.{block}.conv1.1", outputs)
            table[f"layer{stage}.{block}.conv2.0.weight"] = (outputs, outputs, depth, 3, 3)
            norm(f"layer{stage}.{block}.conv2.1", outputs)
        if inputs != outputs:
            table[f"layer{stage}.0.downsample.0.weight"] = (outputs, inputs, 1, 1, 1)
            norm(f"layer{stage}.0.downsample.1", outputs)
    return table


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_motion_is_what_changes_from_frame_to_frame(frames: int) -> None:
    """Frame by frame: the trunk of colours, given the differences, says what the trunk of motion says of the film."""
    torch.manual_seed(0)
    motion = Backbone(small(backbone_reads="motion")).eval()
    colour = Backbone(small()).eval()
    colour.load_state_dict(motion.state_dict())
    film = torch.randn(2, 3, frames, 40, 48)
    given = torch.zeros_like(film)
    for t in range(frames if frames > 1 else 0):
        this = min(t, frames - 2)
        given[:, :, t] = film[:, :, this + 1] - film[:, :, this]
    with torch.no_grad():
        for found, wanted in zip(motion(film), colour(given), strict=True):
            assert torch.allclose(found, wanted, atol=1e-6)
        still = motion(film[:, :, :1].expand(-1, -1, frames, -1, -1))
        assert torch.equal(still[1], motion(torch.zeros_like(film))[1])


def test_names_shapes_and_size_are_torchvisions() -> None:
    with torch.device("meta"):
        backbone = Backbone(paper())
    assert {name: tuple(value.shape) for name, value in backbone.state_dict().items()} == golden()
    assert sum(p.numel() for p in backbone.parameters()) == 3_096_512


@pytest.mark.parametrize("frames", [1, 2, 7, 12, 16])
def test_time_is_kept_and_space_is_halved_and_eighthed(frames: int) -> None:
    features_a, features_b = Backbone(small())(torch.randn(2, 3, frames, 40, 64))
    assert features_a.shape == (2, 4, frames, 20, 32)
    assert features_b.shape == (2, 16, frames, 5, 8)


@pytest.mark.parametrize(("stage", "stride"), [(0, 2), (1, 8)])
def test_receptive_fields_are_centred_on_pixel_2i_and_8j(stage: int, stride: int) -> None:
    torch.manual_seed(0)
    backbone = Backbone(small()).eval()
    frames = torch.randn(1, 3, 1, 96, 96, requires_grad=True)
    centre = 24 if stage == 0 else 6
    backbone(frames)[stage][0, :, 0, centre, centre].sum().backward()
    touched = frames.grad.abs().sum((0, 1, 2)).nonzero().float()
    assert touched.mean(0).tolist() == pytest.approx([stride * centre] * 2, abs=0.75)


def test_a_frozen_normalisation_keeps_what_it_read_in_training_too() -> None:
    torch.manual_seed(0)
    warm, frozen = Backbone(small()), Backbone(small(backbone_norm="frozen"))
    for _ in range(3):
        warm(torch.randn(4, 3, 4, 40, 48) * 2 + 1)
    frozen.load_state_dict(warm.state_dict())
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    frames = torch.randn(2, 3, 4, 40, 48)
    trained = frozen.train()(frames)
    sum(features.sum() for features in trained).backward()
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())
    norms = [module for module in frozen.modules() if isinstance(module, nn.BatchNorm3d)]
    assert norms
    assert all(parameter.grad is None for norm in norms for parameter in norm.parameters())
    for one, other in zip(trained, warm.eval()(frames), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("norm", ["batch", "group", "frozen"])
def test_folding_the_normalisation_changes_nothing(batch: int, norm: str) -> None:
    torch.manual_seed(0)
    backbone = Backbone(small(backbone_norm=norm))
    frames = torch.randn(batch, 3, 4, 40, 48)
    for _ in range(3):
        backbone(torch.randn(4, 3, 4, 40, 48) * 2 + 1)  # statistics worth folding
    backbone.eval()
    with torch.no_grad():
        folded = backbone(frames)
        for module in backbone.modules():
            if isinstance(module, ConvNorm):
                module.forward = nn.Sequential.forward.__get__(module)  # layer after layer, as written
        plain = backbone(frames)
    for a, b in zip(folded, plain, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_own_weights_are_read_and_wrong_ones_refused(tmp_path: Path) -> None:
    config = small(width=64)
    source, target = Backbone(config), Backbone(config)
    state = {**source.state_dict(), "layer4.0.conv1.0.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}
    torch.save(state, tmp_path / "mc3_18.pth")
    read, unused = load_backbone_weights(target, tmp_path / "mc3_18.pth")
    assert len(read) == len(source.state_dict())
    assert unused == ["fc.weight", "layer4.0.conv1.0.weight"]
    assert torch.equal(target.layer2[0].conv1[0].weight, source.layer2[0].conv1[0].weight)
    with pytest.raises(ValueError, match="width 64 only"):
        load_backbone_weights(Backbone(small()), tmp_path / "mc3_18.pth")
    torch.save({"stem.0.weight": torch.zeros(64, 3, 3, 7, 7)}, tmp_path / "part.pth")
    with pytest.raises(ValueError, match="lacks"):
        load_backbone_weights(target, tmp_path / "part.pth")


def test_the_trunk_of_a_checkpoint_is_read(tmp_path: Path) -> None:
    source = model.build(small(width=6))
    card = model.Card(labels=tuple(map(str, range(source.config.classes))), layout="jhmdb15", frames=4, size=32)
    model.save(tmp_path / "own.safetensors", source, card)
    target = Backbone(small(width=6))
    read, unused = load_backbone_weights(target, tmp_path / "own.safetensors")
    assert set(read) == set(target.state_dict())
    assert unused == []
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, source.backbone.state_dict()[name])
    with pytest.raises(ValueError, match="fit the width they were trained with"):
        load_backbone_weights(Backbone(small(width=8)), tmp_path / "own.safetensors")
