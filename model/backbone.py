"""MC3-18 up to layer3 (mixed 3-D/2-D convolutions, Tran et al. 2018): frames -> F_a, F_b.

    frames 3 x T x H x W
      stem    3x7x7 / (1,2,2)                  C x T x H/2 x W/2
      layer1  two blocks of 3x3x3              C x T x H/2 x W/2      = F_a
      layer2  two blocks of 1x3x3, / (1,2,2)  2C x T x H/4 x W/4
      layer3  two blocks of 1x3x3, / (1,2,2)  4C x T x H/8 x W/8      = F_b

The paper names the backbone by a citation only; its shapes, with T kept throughout, fit no other ResNet of that work.
Parameter names are torchvision's, so that a file of `mc3_18` weights can be read.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from model.config import ModelConfig


class FrozenNorm(nn.BatchNorm3d):
    """Batch normalisation by the statistics and weights that it was given, in training too: none of them changes."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> FrozenNorm:
        super().train(False)
        return self


def make_norm(kind: str, channels: int) -> nn.Module:
    """The normalisation that `ModelConfig.backbone_norm` names."""
    if kind == "group":
        return nn.GroupNorm(max(1, channels // 8), channels)
    return FrozenNorm(channels) if kind == "frozen" else nn.BatchNorm3d(channels)


def _convolve(conv: nn.Conv3d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if x.device.type == "cpu" and len(x) == 1 and x.dtype == weight.dtype == torch.float32 and _onednn():
        # For a single small clip F.conv3d leaves oneDNN for a loop that is up to 18 times slower.
        padding = [int(size) for size in conv.padding]
        return torch.mkldnn_convolution(x, weight, bias, padding, conv.stride, conv.dilation, conv.groups)
    return F.conv3d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


def _onednn() -> bool:
    return torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu")


class ConvNorm(nn.Sequential):
    """Convolution, normalisation and, if `relu`, ReLU. In evaluation batch normalisation is folded into the weights."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int],
        stride: int,
        norm: str,
        *,
        relu: bool,
    ) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        conv = nn.Conv3d(inputs, outputs, kernel, (1, stride, stride), padding, bias=False)
        super().__init__(conv, make_norm(norm, outputs), *[nn.ReLU(inplace=True)] * relu)

    def forward(self, x: Tensor) -> Tensor:
        conv, norm = self[0], self[1]
        if self.training or not isinstance(norm, nn.BatchNorm3d) or norm.running_mean is None:
            return super().forward(x)
        assert isinstance(conv, nn.Conv3d)
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight = conv.weight * scale[:, None, None, None, None]
        y = _convolve(conv, x, weight, norm.bias - norm.running_mean * scale)
        return self[2](y) if len(self) == 3 else y


class BasicBlock(nn.Module):
    """relu(conv(relu(conv(x))) + x), with a 1x1x1 convolution on the shortcut where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, temporal: int, stride: int, norm: str) -> None:
        super().__init__()
        kernel = (temporal, 3, 3)
        self.conv1 = ConvNorm(inputs, outputs, kernel, stride, norm, relu=True)
        self.conv2 = ConvNorm(outputs, outputs, kernel, 1, norm, relu=False)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = ConvNorm(inputs, outputs, (1, 1, 1), stride, norm, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu_(self.conv2(self.conv1(x)) + shortcut)


class Trunk(nn.Module):
    """What reads frames: [B, 3, T, H, W] -> F_a [B, C, T, H/2, W/2], F_b [B, 4C, T, H/8, W/8]."""

    @torch.no_grad()
    def of_nothing(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """F_a and F_b of clips like `frames` that show the mean colour only, as in evaluation; changes no statistic."""
        training = self.training
        self.eval()
        try:
            features_a, features_b = self(torch.zeros_like(frames[:1]))
        finally:
            self.train(training)
        return features_a.expand(len(frames), -1, -1, -1, -1), features_b.expand(len(frames), -1, -1, -1, -1)


class Backbone(Trunk):
    """frames [B, 3, T, H, W] -> F_a [B, C, T, H/2, W/2], F_b [B, 4C, T, H/8, W/8].

    The receptive field of F_a index i is centred on image pixel 2i, that of F_b index j on pixel 8j.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c, norm = config.width, config.backbone_norm
        self.fa_from, self.reads = config.fa_from, config.backbone_reads
        self.stem = ConvNorm(3, c, (3, 7, 7), 2, norm, relu=True)

        def stage(inputs: int, outputs: int, temporal: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                BasicBlock(inputs, outputs, temporal=temporal, stride=stride, norm=norm),
                BasicBlock(outputs, outputs, temporal=temporal, stride=1, norm=norm),
            )

        self.layer1 = stage(c, c, temporal=3, stride=1)
        self.layer2 = stage(c, 2 * c, temporal=1, stride=2)
        self.layer3 = stage(2 * c, 4 * c, temporal=1, stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        # Channels last is up to twice as fast on CPU and is what tensor cores want.
        seen = (changes(frames) if self.reads == "motion" else frames).contiguous(memory_format=torch.channels_last_3d)
        stem = self.stem(seen)
        first = self.layer1(stem)
        features_b = self.layer3(self.layer2(first))
        return (stem if self.fa_from == "stem" else first), features_b


def changes(frames: Tensor) -> Tensor:
    """[B, 3, T, H, W] -> [B, 3, T, H, W]: each frame subtracted from the next one, and the last change once more.

    A single frame does not change: zeros.
    """
    if frames.shape[2] == 1:
        return torch.zeros_like(frames)
    steps = frames[:, :, 1:] - frames[:, :, :-1]
    return torch.cat([steps, steps[:, :, -1:]], dim=2)


def load_backbone_weights(backbone: Backbone, path: str | Path) -> tuple[list[str], list[str]]:
    """Read a user's own `mc3_18` state dict (torchvision's names) into `backbone`, or the trunk of a checkpoint of this
    project (`.safetensors`).

    Returns the names that were read and the names in the file that this trunk has no place for (`layer4`, `fc`).
    Raises ValueError when the file lacks a tensor of the trunk or one has another shape.
    """
    own = "backbone."
    if Path(path).suffix == ".safetensors":
        state = {name[len(own) :]: tensor for name, tensor in load_file(path).items() if name.startswith(own)}
    else:
        read = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(read, dict):
            raise ValueError(f"{path} holds a {type(read).__name__}; expected a state dict of mc3_18.")
        state = {name.removeprefix("module."): value for name, value in read.get("state_dict", read).items()}
    wanted = backbone.state_dict()
    optional = {name for name in wanted if name.endswith("num_batches_tracked")}
    if missing := sorted(set(wanted) - set(state) - optional):
        raise ValueError(
            f"{path} lacks {len(missing)} tensors of the trunk, first {missing[0]}; expected mc3_18 weights."
        )
    for name, tensor in wanted.items():
        if name in state and state[name].shape != tensor.shape:
            raise ValueError(
                f"{name} is {list(state[name].shape)} in {path} and {list(tensor.shape)} here; "
                "weights fit the width they were trained with, those of mc3_18 width 64 only."
            )
    backbone.load_state_dict({name: state.get(name, tensor) for name, tensor in wanted.items()})
    return sorted(set(wanted) & set(state)), sorted(set(state) - set(wanted))
