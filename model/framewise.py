"""The frame-wise ViT and what it becomes when frames may look at their neighbours: TokenShift and MSCA.

    every frame:  patches -> linear -> [CLS | patches] + position          one pre-LN ViT, shared by all frames
    every block:  x <- x + W_o MSA(LN(x))      MSCA shifts queries, keys or values of some heads by one frame
                  x <- x + MLP(LN(x))          TokenShift shifts channels of CLS before each of the two lines
    after L blocks: the head reads LN(CLS) of every frame; the logits are averaged over frames (late fusion)

It takes what the 3D deformable transformer takes and ignores the joints. Parameters are named as in timm's
`vit_base_patch16_224`, so that `load_vit_weights` reads such a file. Shifting adds no parameter and no product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from model.attention import DropPath
from model.framewise_config import FrameWiseConfig
from model.tap import HEAD_TOKENS, Kind, tap, tapped, tokens_tap
from model.temporal_mixing import EVERY, FramewiseTap

Grid = tuple[int, int]


def framewise_attention_tap(layer: int) -> str:
    """Name of the tap of the attention of one block; its value is a `FramewiseTap`."""
    return f"blocks.{layer}.attention"


class PatchEmbedding(nn.Module):
    """[B, 3, T, H, W] -> [B, T, H/p * W/p, d]: one linear map, the same for every patch."""

    def __init__(self, config: FrameWiseConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.proj = nn.Conv2d(3, config.dim, config.patch, config.patch)

    def forward(self, frames: Tensor) -> Tensor:
        cut = rearrange(frames, "b c t (y p) (x q) -> b t (y x) (c p q)", p=self.patch, q=self.patch)
        return F.linear(cut, self.proj.weight.flatten(1), self.proj.bias)


class Attention(nn.Module):
    """Multi-head self-attention within each frame; with MSCA, cross-attention to a neighbour in some heads."""

    def __init__(self, config: FrameWiseConfig, layer: int) -> None:
        super().__init__()
        self.name, self.heads, self.mixing = framewise_attention_tap(layer), config.heads, config.mix
        self.chosen = slice(1, None) if config.across == "patches" else EVERY
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.proj = nn.Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, 1 + S, d] -> the same."""
        frames = x.shape[1]
        qkv = rearrange(self.qkv(x), "b t n (s h e) -> s b t n h e", s=3, h=self.heads)
        q, k, v = self.mixing.attention(qkv, self.chosen, in_place=not torch.is_grad_enabled())
        # frames join the batch, as the fused kernel wants four axes
        q, k, v = (rearrange(y, "b t n h e -> (b t) h n e") for y in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v)
        if tapped():
            q, k, v, attended = (y.unflatten(0, (-1, frames)) for y in (q, k, v, attended))
            index = torch.arange(x.shape[2], device=x.device)
            kind = torch.where(index > 0, int(Kind.PATCH), int(Kind.CLS))
            place = (index - 1).clamp_min(0)
            sources = self.mixing.sources(frames, x.shape[2], self.heads, self.chosen, x.device)
            tap(self.name, FramewiseTap(q, k, v, attended, None, kind, place, *sources))
            attended = attended.flatten(0, 1)  # so that a recorder can ask for its gradient
        return self.dropout(self.proj(rearrange(attended, "(b t) h n e -> b t n (h e)", t=frames)))


class Mlp(nn.Module):
    def __init__(self, config: FrameWiseConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.dim, config.ffn_ratio * config.dim)
        self.fc2 = nn.Linear(config.ffn_ratio * config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.fc2(self.dropout(F.gelu(self.fc1(x)))))


class Block(nn.Module):
    """A pre-LN transformer block; TokenShift stands before both of its lines, in the main stream."""

    def __init__(self, config: FrameWiseConfig, layer: int) -> None:
        super().__init__()
        self.mixing = config.mix
        self.norm1 = nn.LayerNorm(config.dim, eps=1e-6)
        self.attn = Attention(config, layer)
        self.norm2 = nn.LayerNorm(config.dim, eps=1e-6)
        self.mlp = Mlp(config)
        self.drop_path = DropPath(config.drop_path * layer / max(1, config.layers - 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.mixing.stream(x, slice(0, 1))
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = self.mixing.stream(x, slice(0, 1))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class FrameWise(nn.Module):
    """frames [B, 3, T, H, W] -> logits [B, classes]; joints and score are taken and ignored."""

    def __init__(self, config: FrameWiseConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbedding(config)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + (config.size // config.patch) ** 2, config.dim))
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.layers))
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.head = nn.Linear(config.dim, config.classes)
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    @property
    def reads_trail(self) -> bool:
        """Joints are not read at all."""
        return False

    @property
    def joint_places(self) -> tuple[int, ...]:
        """What is given of one joint in one frame."""
        return (2,)

    @property
    def slots(self) -> tuple[str, ...]:
        """What the head pools in every frame."""
        return ("cls",)

    def forward(self, frames: Tensor, joints: Tensor | None = None, score: Tensor | None = None) -> Tensor:
        """Logits [B, classes].

        Args:
            frames: [B, 3, T, H, W] floating point, normalised; T >= 1, H and W multiples of the patch.
            joints: ignored, as is the score: this network sees pixels only.

        Raises: ValueError in one sentence for frames it cannot use.
        """
        return self.classify(self.features(frames, joints, score))

    def features(self, frames: Tensor, joints: Tensor | None = None, score: Tensor | None = None) -> Tensor:
        """What the head pools: the normalised CLS token of every frame, [B, T, 1, d]."""
        return self.pooled(self.tokens(frames))

    def tokens(self, frames: Tensor) -> Tensor:
        """CLS and patches of every frame after the last block, [B, T, 1 + S, d]."""
        _check(self.config, frames)
        grid = frames.shape[-2] // self.config.patch, frames.shape[-1] // self.config.patch
        patches = self.patch_embed(frames)
        cls = self.cls_token[None].expand(*patches.shape[:2], -1, -1).to(patches.dtype)
        x = torch.cat([cls, patches], dim=2) + resize_positions(self.pos_embed, grid)
        x = _tap_tokens(0, x)
        for i, block in enumerate(self.blocks, start=1):
            x = _tap_tokens(i, block(x))
        return x

    def pooled(self, tokens: Tensor) -> Tensor:
        """The normalised CLS token of every frame, [B, T, 1, d], of all `tokens`."""
        return tap(HEAD_TOKENS, self.norm(tokens[:, :, :1].float()))

    def classify(self, tokens: Tensor) -> Tensor:
        """[B, T, 1, d] -> logits [B, classes]: the head is linear, so this is the mean of the logits of the frames."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.head(tokens.flatten(2).mean(1))

    def ledger(self, tokens: Tensor) -> Tensor:
        """The exact parts of every logit: [B, T, 1, d] -> [B, classes, 1, T]; their sum + bias is the logit."""
        with torch.autocast(tokens.device.type, enabled=False):
            return torch.einsum("btsd,cd->bcst", tokens.float(), self.head.weight.float()) / tokens.shape[1]


def resize_positions(embedding: Tensor, grid: Grid) -> Tensor:
    """Position embeddings [1, 1 + n * n, d] for another grid: [1, 1 + rows * columns, d]; CLS keeps its own."""
    cls, patches = embedding[:, :1], embedding[:, 1:]
    side = math.isqrt(patches.shape[1])
    if grid == (side, side):
        return embedding
    square = rearrange(patches, "1 (y x) d -> 1 d y x", y=side).float()
    resized = F.interpolate(square, size=grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([cls, rearrange(resized, "1 d y x -> 1 (y x) d").to(cls.dtype)], dim=1)


def load_vit_weights(network: FrameWise, path: str | Path) -> tuple[list[str], list[str]]:
    """Read a user's own ViT state dict (timm's names; .safetensors or torch) into `network`. Nothing in it is run.

    Position embeddings of another square grid are resized. The head is left as it is if the file has none or one for
    another number of classes. Returns the names that were read and the names in the file that were not used.
    Raises ValueError in one sentence when the file cannot be opened, lacks a tensor or has one of another shape.
    """
    path = Path(path)
    state, wanted = _read_state(path), network.state_dict()
    head = {name for name in wanted if name.startswith("head.")}
    if any(name not in state or state[name].shape != wanted[name].shape for name in head):
        wanted = {name: tensor for name, tensor in wanted.items() if name not in head}
    if missing := sorted(set(wanted) - set(state)):
        raise ValueError(
            f"{path.name} lacks {len(missing)} of {len(wanted)} tensors, first {missing[0]}; expected a ViT of "
            f"{network.config.layers} blocks with the names of timm."
        )
    position = state["pos_embed"]
    side = math.isqrt(max(position.shape[1] - 1, 0)) if position.ndim == 3 else 0
    if position.ndim == 3 and len(position) == 1 and side and side**2 + 1 == position.shape[1]:
        own = network.config.size // network.config.patch
        state["pos_embed"] = resize_positions(position, (own, own))
    for name, tensor in wanted.items():
        if state[name].shape != tensor.shape:
            raise ValueError(
                f"{name} is {list(state[name].shape)} in {path.name} and {list(tensor.shape)} here; choose width, "
                "patch and ffn_ratio like those of the file."
            )
    network.load_state_dict({name: state[name] for name in wanted}, strict=False)
    return sorted(wanted), sorted(set(state) - set(wanted))


def _read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    if not path.is_file():
        raise ValueError(f"There are no ViT weights at {path}; give a .safetensors or torch file of your own.")
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise ValueError(f"{path.name} is not a safetensors file; save the state dict of a ViT as one.") from error
    except Exception as error:  # torch raises many kinds for files that are not its own
        raise ValueError(
            f"{path.name} cannot be opened without running code ({type(error).__name__}); expected a state dict of a "
            "ViT, as safetensors or torch.save writes it."
        ) from error
    for key in ("state_dict", "model"):  # how training scripts wrap it
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(
            f"{path.name} holds a {type(found).__name__}; expected a state dict of a ViT, tensors by name."
        )
    return {str(name).removeprefix("module."): value for name, value in found.items()}


def _tap_tokens(layer: int, x: Tensor) -> Tensor:
    """The tokens that enter `layer`, as the recorder gives them back; [B, T, S, d] patches and [B, 1, T, d] CLS."""
    if not tapped():
        return x
    patches = tap(tokens_tap(layer, "patches"), x[:, :, 1:])
    modal = tap(tokens_tap(layer, "modal"), rearrange(x[:, :, :1], "b t k c -> b k t c"))
    return torch.cat([rearrange(modal, "b k t c -> b t k c"), patches], dim=2)


def _check(config: FrameWiseConfig, frames: Tensor) -> None:
    """One clear sentence for every input the network cannot use."""
    if frames.ndim != 5 or frames.shape[1] != 3:
        raise ValueError(f"Frames must be [B, 3, T, H, W]; these are {list(frames.shape)}.")
    if not frames.is_floating_point():
        raise ValueError(f"Frames must be floating point and normalised; these are {frames.dtype}.")
    batch, _, length, height, width = frames.shape
    if length < 1 or batch < 1:
        raise ValueError(f"At least one clip of one frame is needed; these frames are {list(frames.shape)}.")
    if height % config.patch or width % config.patch or not min(height, width):
        raise ValueError(f"Frame sides must be multiples of the patch of {config.patch}; these are {height} x {width}.")
