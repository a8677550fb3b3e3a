"""The 3D deformable transformer (arXiv 2212.05638): RGB clips and skeletons -> class logits.

    frames -> MC3-18 -> F_a -> pose tokens P  ----------------------------.
                     -> F_b -> patch tokens Z ------.                      |
    modal tokens M (CLS, RGB, pose)                 |                      |
                                                    v                      v
    one layer:   [Z | M_rgb | M_cls]  reads  3DTS(Z): 3D deformable attention
                 [P | M_pose | M'_cls]        in windows of joints: joint stride attention
                 M_cls <- project [M'_cls | M*_cls]
                 [Z | P | M]                  in windows of frames: temporal stride attention
    after L layers: mean over frames of LN[M_cls | M_rgb | M_pose] -> Linear

The head is linear in what it pools, so every logit is exactly a sum over frames and tokens, plus a bias. The LayerNorm
stands before the mean over frames for that reason (the paper does not mention one).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from einops import rearrange
from torch import Tensor, nn

from model.attention import AttentionBlock
from model.backbone import Backbone
from model.config import TRAIL, ModelConfig
from model.cross_modal import CrossProjection, ModalTokens
from model.gradients import Gradients
from model.stride import JointStrideAttention, TemporalStrideAttention
from model.tap import (
    FEATURES_A,
    FEATURES_B,
    HEAD_TOKENS,
    ROLE_KIND,
    Kind,
    TokenIds,
    attention_tap,
    modal_tap,
    tap,
    tokens_tap,
)
from model.temporal_mixing import FramewiseModalAttention
from model.token_search import TokenSearch, Volume
from model.tokenizer import Tokenizer


class DeformableAttention(nn.Module):
    """3D deformable attention (Eqs. 2-4): all patches and the RGB and CLS tokens read the searched tokens Z~."""

    def __init__(self, config: ModelConfig, layer: int, drop_path: float) -> None:
        super().__init__()
        self.search = TokenSearch(config, layer) if config.deformable == "deformable" else None
        self.block = AttentionBlock(config, attention_tap(layer, "deformable"), drop_path)

    def forward(self, patches: Tensor, modal: Tensor, volume: Volume, roles: list[str]) -> tuple[Tensor, Tensor]:
        """Z [B, T, S, d], M [B, K, T, d] -> new Z and M."""
        frames, spatial = patches.shape[1:3]
        flat_modal = rearrange(modal, "b k t c -> b (k t) c")
        x = torch.cat([patches.flatten(1, 2), flat_modal], dim=1)
        if self.search is None:
            context, points = x, None
        else:
            found = self.search(patches, volume[1], volume[2]).to(x.dtype)
            context, points = torch.cat([found, flat_modal], dim=1), found.shape[1]

        def identify() -> tuple[TokenIds, TokenIds]:
            queries = _volume_ids(frames, spatial, tuple(roles), x.device)
            return queries, queries if points is None else _point_ids(points, frames, tuple(roles), x.device)

        out = self.block(x, context, None, identify)
        patches = out[:, : frames * spatial].unflatten(1, (frames, spatial))
        return patches, rearrange(out[:, frames * spatial :], "b (k t) c -> b k t c", t=frames)


class Layer(nn.Module):
    """One transformer layer; an eliminated attention is the identity (Table 4)."""

    def __init__(self, config: ModelConfig, layer: int, modal: ModalTokens) -> None:
        super().__init__()
        self.layer = layer
        rate = config.drop_path * layer / max(1, config.layers - 1)
        self.deformable = DeformableAttention(config, layer, rate) if config.deformable != "off" else None
        self.joint = JointStrideAttention(config, layer, rate) if config.joint != "off" else None
        framewise = config.temporal in ("tokenshift", "msca")
        temporal = FramewiseModalAttention if framewise else TemporalStrideAttention
        self.temporal = temporal(config, layer, rate) if config.temporal != "off" else None
        self.with_patches, self.with_pose, self.crossing = modal.with_patches, modal.with_pose, modal.crossing
        self.roles = modal.roles
        self.project = CrossProjection(config.dim) if self.crossing is not None else None

    def forward(
        self, patches: Tensor, pose: Tensor, modal: Tensor, visible: Tensor, volume: Volume
    ) -> tuple[Tensor, Tensor, Tensor]:
        tokens = list(modal.unbind(1))
        if self.deformable is not None:
            chosen = self.with_patches
            patches, read = self.deformable(patches, modal[:, chosen], volume, [self.roles[i] for i in chosen])
            read = tap(modal_tap(self.layer, "deformable"), read)
            tokens = _replace(tokens, chosen, read)
        after_patches = tokens[self.crossing] if self.crossing is not None else None
        if self.joint is not None:
            chosen = self.with_pose
            given = torch.stack([tokens[i] for i in chosen], 1) if chosen else modal[:, chosen]
            pose, read = self.joint(pose, given, visible, [self.roles[i] for i in chosen])
            read = tap(modal_tap(self.layer, "joint"), read)
            tokens = _replace(tokens, chosen, read)
        if self.project is not None and self.crossing is not None and after_patches is not None:
            tokens[self.crossing] = self.project(after_patches, tokens[self.crossing])
        modal = tap(modal_tap(self.layer, "project"), torch.stack(tokens, 1) if tokens else modal)
        if self.temporal is not None:
            patches, pose, modal = self.temporal(patches, pose, modal, visible, list(self.roles))
        return patches, pose, modal


class DeformableTransformer(nn.Module):
    """frames [B, 3, T, H, W], joints [B, T, M, J, 2] in image pixels, score [B, T, M, J] -> logits [B, classes]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = (Gradients if config.backbone_reads == "gradients" else Backbone)(config)
        self.tokenizer = Tokenizer(config)
        self.modal = ModalTokens(config)
        self.layers = nn.ModuleList(Layer(config, i, self.modal) for i in range(config.layers))
        slots = len(self.slots)
        self.norm = nn.LayerNorm(slots * config.dim)
        self.head = nn.Linear(slots * config.dim, config.classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @property
    def slots(self) -> tuple[str, ...]:
        """What the head pools in every frame: the modal tokens, or the mean patch and mean pose token without them."""
        return self.config.roles or ("patches", "joints")

    @property
    def reads_trail(self) -> bool:
        """Joints are given with their trail, [B, T, M, J, TRAIL, 2], and not by their places alone."""
        return self.config.pose_trail

    @property
    def joint_places(self) -> tuple[int, ...]:
        """What is given of one joint in one frame."""
        return (TRAIL, 2) if self.reads_trail else (2,)

    def forward(self, frames: Tensor, joints: Tensor, score: Tensor, pictures: bool = True) -> Tensor:
        """Logits [B, classes].

        Args:
            frames: [B, 3, T, H, W] floating point, normalised; T >= 1, H and W multiples of 8 from 32 up.
            joints: [B, T, M, J, 2] pixels (x, y) of the frames, any M, joints in the layout's window order;
                [B, T, M, J, TRAIL, 2] with `pose_trail`, the place in the frame itself in the middle.
            score: [B, T, M, J] in [0, 1]; 0 means not there.
            pictures: False looks at no frame, as if all had the mean colour, and leaves the trunk as it is.

        Raises: ValueError in one sentence for shapes, dtypes, devices or values it cannot use.
        """
        return self.classify(self.features(frames, joints, score, pictures))

    def features(self, frames: Tensor, joints: Tensor, score: Tensor, pictures: bool = True) -> Tensor:
        """What the head pools: normalised tokens [B, T, slots, d]."""
        _check(self.config, frames, joints, score, self.head.weight)
        features_a, features_b = self.backbone(frames) if pictures else self.backbone.of_nothing(frames)
        features_a, features_b = tap(FEATURES_A, features_a), tap(FEATURES_B, features_b)
        length, height, width = features_b.shape[-3:]
        volume: Volume = (length, height, width)
        patches = self.tokenizer.patches(features_b)
        pose = self.tokenizer.pose(features_a, joints, score)
        visible = (score > 0).flatten(2)
        modal = self.modal(len(frames), length).to(patches.dtype)
        patches, pose, modal = _tap_tokens(0, patches, pose, modal)
        for i, layer in enumerate(self.layers, start=1):
            patches, pose, modal = _tap_tokens(i, *layer(patches, pose, modal, visible, volume))
        if self.config.roles:
            pooled = rearrange(modal, "b k t c -> b t k c")
        else:
            seen = visible[..., None].to(pose.dtype)
            mean_pose = (pose * seen).sum(2) / seen.sum(2).clamp_min(1)
            pooled = torch.stack([patches.mean(2), mean_pose], dim=2)
        tokens = self.norm(pooled.flatten(2).float()).unflatten(-1, (len(self.slots), -1))
        return tap(HEAD_TOKENS, tokens)

    def classify(self, tokens: Tensor) -> Tensor:
        """[B, T, slots, d] -> logits [B, classes]."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.head(tokens.flatten(2).mean(1))

    def ledger(self, tokens: Tensor) -> Tensor:
        """The exact parts of every logit: [B, T, slots, d] -> [B, classes, slots, T]; their sum + bias is the logit."""
        weight = self.head.weight.unflatten(1, (len(self.slots), -1))
        with torch.autocast(tokens.device.type, enabled=False):
            return torch.einsum("btsd,csd->bcst", tokens.float(), weight.float()) / tokens.shape[1]


def _tap_tokens(layer: int, patches: Tensor, pose: Tensor, modal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The tokens that enter `layer`, as the recorder gives them back."""
    return (
        tap(tokens_tap(layer, "patches"), patches),
        tap(tokens_tap(layer, "pose"), pose),
        tap(tokens_tap(layer, "modal"), modal),
    )


def _replace(tokens: list[Tensor], chosen: list[int], read: Tensor) -> list[Tensor]:
    """The modal tokens [B, T, d] with those at `chosen` replaced by `read` [B, len(chosen), T, d]."""
    tokens = list(tokens)
    for place, index in enumerate(chosen):
        tokens[index] = read[:, place]
    return tokens


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept may be needed where gradients flow
def _volume_ids(frames: int, spatial: int, roles: tuple[str, ...], device: torch.device) -> TokenIds:
    """Identities of [patches of all frames | modal tokens]: each [1, T * S + K * T]."""
    time = torch.arange(frames, device=device)
    frame = torch.cat([time.repeat_interleave(spatial), time.repeat(len(roles))])
    kind = torch.full_like(frame, int(Kind.PATCH))
    place = torch.zeros_like(frame)
    place[: frames * spatial] = torch.arange(spatial, device=device).repeat(frames)
    for i, role in enumerate(roles):
        start = frames * spatial + i * frames
        kind[start : start + frames] = int(ROLE_KIND[role])
    return TokenIds(kind[None], frame[None], place[None])


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _point_ids(points: int, frames: int, roles: tuple[str, ...], device: torch.device) -> TokenIds:
    """Identities of [points | modal tokens]: each [1, P + K * T]."""
    modal = _volume_ids(frames, 0, roles, device)
    index = torch.arange(points, device=device)[None]
    return TokenIds(
        torch.cat([torch.full_like(index, int(Kind.POINT)), modal.kind], dim=1),
        torch.cat([torch.full_like(index, -1), modal.frame], dim=1),
        torch.cat([index, modal.place], dim=1),
    )


def _check(config: ModelConfig, frames: Tensor, joints: Tensor, score: Tensor, weight: Tensor) -> None:
    """One clear sentence for every input the network cannot use. `weight`: any tensor of the network."""
    if frames.ndim != 5 or frames.shape[1] != 3:
        raise ValueError(f"Frames must be [B, 3, T, H, W]; these are {list(frames.shape)}.")
    batch, _, length, height, width = frames.shape
    if not frames.is_floating_point():
        raise ValueError(f"Frames must be floating point and normalised; these are {frames.dtype}.")
    if length < 1 or batch < 1:
        raise ValueError(f"At least one clip of one frame is needed; these frames are {list(frames.shape)}.")
    if height % 8 or width % 8 or min(height, width) < 32:
        raise ValueError(f"Frame sides must be multiples of 8 from 32 up; these are {height} x {width}.")
    places = (TRAIL, 2) if config.pose_trail else (2,)
    if joints.ndim != 4 + len(places) or joints.shape[:2] != (batch, length) or joints.shape[4:] != places:
        wanted = ", ".join(map(str, places))
        raise ValueError(
            f"Joints must be [{batch}, {length}, M, J, {wanted}] like the frames; these are {list(joints.shape)}."
        )
    if joints.shape[3] != config.joints or joints.shape[2] < 1:
        raise ValueError(
            f"This network was built for {config.joints} joints and at least one person (score 0 if absent); "
            f"these are {joints.shape[3]} joints of {joints.shape[2]} people."
        )
    if score.shape != joints.shape[:4]:
        raise ValueError(f"Scores must be {list(joints.shape[:4])} like the joints; these are {list(score.shape)}.")
    if not joints.is_floating_point() or not score.is_floating_point():
        raise ValueError(f"Joints and scores must be floating point; these are {joints.dtype} and {score.dtype}.")
    devices = {frames.device, joints.device, score.device}
    if len(devices) > 1:
        raise ValueError(f"Frames, joints and scores must be on one device; these are on {sorted(map(str, devices))}.")
    if frames.device != weight.device:
        raise ValueError(f"The inputs are on {frames.device} and this network is on {weight.device}; move one of them.")
    if weight.dtype != torch.float32:
        raise ValueError(
            f"This network has {weight.dtype} weights; it computes with float32 ones, under autocast in less."
        )
    if frames.dtype != weight.dtype and not torch.is_autocast_enabled(frames.device.type):
        raise ValueError(f"Frames are {frames.dtype} and this network computes in {weight.dtype}; convert them.")
    if not bool(torch.isfinite(frames).all()):
        raise ValueError("Frames must be finite; some pixels are NaN or infinite.")
    if not bool(torch.isfinite(joints).all() & torch.isfinite(score).all()):
        raise ValueError("Joints and scores must be finite; mark a missing joint with score 0, not with NaN.")
