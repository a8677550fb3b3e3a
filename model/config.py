"""Every choice of the 3D deformable transformer in one frozen dataclass, and the presets that ship.

The paper (arXiv 2212.05638) fixes the shapes of F_a and F_b, T = 12, 224 px, k = 7 and the three modal tokens. It is
silent on the depth, the heads, the window sizes and the width of the Gaussian; those defaults are our choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

TokenMode = Literal["none", "single", "cross"]
DeformableMode = Literal["deformable", "full", "off"]
StrideMode = Literal["stride", "full", "off"]
TemporalMode = Literal["stride", "full", "off", "tokenshift", "msca"]
Pairing = Literal["cyclic", "self", "slide", "both"]
OffsetMode = Literal["volume", "cells", "tokens"]
TRAIL = 5
"""Moments of the trail of a joint in one frame: two before it, the frame itself, two after it."""


@dataclass(frozen=True)
class Settings:
    """What the configurations of all networks share: plain values in and out, each of them checked."""

    def check(self, bounds: Mapping[str, tuple[float, float]]) -> None:
        """ValueError for a value that its type hint does not list or that lies outside its bounds."""
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if get_origin(kind) is Literal and value not in get_args(kind):
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, get_args(kind)))}.")
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between {low} and {high}.")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The configuration in `values`. Unknown names and wrong types are a `ValueError`."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(
                f"Unknown model settings {', '.join(unknown)}; this version knows {', '.join(sorted(known))}."
            )
        hints = get_type_hints(cls)
        for name, value in values.items():
            allowed = {int: (int,), float: (int, float), bool: (bool,)}.get(hints[name])
            if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and hints[name] is not bool)):
                raise ValueError(f"{name} is {value!r}; it must be of type {hints[name].__name__}.")
        return cls(**values)


@dataclass(frozen=True)
class ModelConfig(Settings):
    """Configuration of `model.transformer.DeformableTransformer`."""

    # What goes in and out
    classes: int = 15
    joints: int = 13
    """J, joints of one person."""
    people: int = 2
    """Person embeddings that are learned. More people may come; they share the last one."""
    frames: int = 12
    """T0, the length at which time embeddings and modal tokens are stored. Any T >= 1 runs; they are resized."""
    size: int = 224
    """Image side at which the spatial embedding is stored. Any multiple of 8 from 32 up runs; it is resized."""

    # Size of the network
    width: int = 64
    """C, channels of F_a; the tokens have d = 4C."""
    layers: int = 3
    """L. The paper does not say."""
    heads: int = 4
    """Heads of each attention. The paper does not say; 4 heads of 64 channels cost half the exponentials of 8 of 32."""
    ffn_ratio: int = 4
    dropout: float = 0.1
    drop_path: float = 0.1
    attention_prenorm: bool = True
    """LayerNorm before the attention too. The paper's equations have it before the FFN only; F_b is an unnormalised
    ReLU output and every transformer the paper builds on is pre-LN, so False is the literal reading."""

    # Backbone
    fa_from: Literal["stem", "layer1"] = "layer1"
    """Which stage is F_a; both have C channels at half resolution."""
    backbone_norm: Literal["batch", "group", "frozen"] = "batch"
    """Group normalisation does not depend on the batch; batch normalisation reads Kinetics weights. `frozen` keeps what
    it read (`run.backbone_weights`), for batches that are too small to say anything about. With either, `pose_track` is
    normalised by groups too."""

    backbone_reads: Literal["colour", "motion", "gradients"] = "colour"
    """What of the frames the trunk sees. `motion` is how they change from each one to the next, which few clips teach
    more than what things look like. `gradients` replaces MC3-18 by histograms of edges and of how they move, whose
    filters are not learnt (model/gradients.py). Neither is in the paper."""

    # Joint tokens (Eq. 1)
    sigma: float = 2.0
    """Standard deviation of the joint heatmap, in F_a pixels at 224 px; scales with the image height."""
    normalise_heatmap: bool = True
    """Weighted mean instead of the literal weighted sum, whose size would depend on sigma and on the border."""
    pose_geometry: bool = False
    """Add where each joint is (relative to its person) and how it moves to its token. Not in the paper, whose pose
    tokens carry the appearance at a joint only."""

    pose_distances: bool = False
    """With `pose_geometry`: also how far each joint is from every other of its person, as in DD-Net."""

    pose_trail: bool = False
    """With `pose_geometry`: also where each joint goes between the frames that are read. Joints are then given as
    [B, T, M, J, TRAIL, 2], so that what is faster than T frames a clip is not lost; pixels are read as before."""

    pose_track: bool = False
    """With `pose_trail`: also what the whole pose does around each frame, by convolutions in time over all moments of
    the trail; the same for all joints of a person."""

    # Tokens that talk across modalities (Table 5)
    token_mode: TokenMode = "cross"

    # The three attentions (Table 4); "full" is the full attention that the paper compares with
    deformable: DeformableMode = "deformable"
    joint: StrideMode = "stride"
    temporal: TemporalMode = "stride"
    """`tokenshift` and `msca` (MSCA-KV) replace it by frame-wise attention whose modal tokens are shifted between
    frames, with the same parameters; see model/temporal_mixing.py."""

    # 3D token search (Algorithm A3)
    offset_kernel: int = 7
    offset_conv: Literal["depthwise", "full"] = "depthwise"
    offset_mode: OffsetMode = "volume"
    """Unit of `offset_range`: half the volume, cells of the reference grid, or tokens of F_b."""
    offset_range: float = 1.0
    offset_time_range: float | None = None
    """Range along time, where it shall differ from that in space."""

    # Stride attentions (Algorithms A1 and A2)
    joint_window: int = 4
    joint_stride: int | None = None
    """None is the paper's floor(window / 2)."""
    joint_pairing: Pairing = "cyclic"
    temporal_window: int = 4
    temporal_stride: int | None = None
    temporal_pairing: Pairing = "cyclic"
    temporal_wrap: bool = True
    """False hides keys that the cyclic shift brings from the other end of the clip."""

    def __post_init__(self) -> None:
        # Upper bounds keep a hostile checkpoint from asking for a network that no memory holds.
        self.check({
            "classes": (2, 10_000), "joints": (1, 512), "people": (1, 64), "frames": (1, 1024), "size": (32, 1024),
            "width": (4, 512), "layers": (1, 48), "heads": (1, 64), "ffn_ratio": (1, 16), "offset_kernel": (1, 15),
            "joint_window": (1, 512), "temporal_window": (1, 1024), "sigma": (0.1, 64), "dropout": (0, 0.9),
            "drop_path": (0, 0.9), "offset_range": (0, 64),
        })  # fmt: skip
        if self.dim % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.dim} channels (4 x width).")
        if self.size % 8:
            raise ValueError(f"size is {self.size}; it must be a multiple of 8, the stride of F_b.")
        if self.pose_distances and not self.pose_geometry:
            raise ValueError("pose_distances adds to what pose_geometry says; it needs pose_geometry.")
        if self.pose_trail and not self.pose_geometry:
            raise ValueError("pose_trail adds to what pose_geometry says; it needs pose_geometry.")
        if self.pose_track and not self.pose_trail:
            raise ValueError("pose_track reads the moments of pose_trail; it needs pose_trail.")
        if self.offset_time_range is not None and not 0 <= self.offset_time_range <= 64:
            raise ValueError(f"offset_time_range is {self.offset_time_range}; it must lie between 0 and 64.")
        for name in ("joint", "temporal"):
            stride, window = getattr(self, f"{name}_stride"), getattr(self, f"{name}_window")
            if stride is not None and not 1 <= stride <= window:
                raise ValueError(f"{name}_stride is {stride}; it must lie between 1 and the window of {window}.")
        if self.temporal in ("tokenshift", "msca") and self.token_mode == "none":
            raise ValueError(f"temporal {self.temporal!r} shifts modal tokens; token_mode 'none' has none.")
        if self.temporal == "msca" and self.heads < 2:
            raise ValueError("temporal 'msca' shifts one head each way; heads is 1, it must be at least 2.")

    @property
    def dim(self) -> int:
        """d = 4C, channels of every token."""
        return 4 * self.width

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the modal tokens of one frame, in the order they are stored."""
        return {"cross": ("cls", "rgb", "pose"), "single": ("shared",), "none": ()}[self.token_mode]


def paper(**changes: Any) -> ModelConfig:
    """The setting of the paper: 224 px, 12 frames, C = 64."""
    return replace(ModelConfig(), **changes)


def demo(**changes: Any) -> ModelConfig:
    """112 px and a quarter of the channels: a forward pass in a fraction of a second on two CPU cores."""
    return replace(ModelConfig(size=112, width=16, layers=2, joints=15), **changes)


def tiny(**changes: Any) -> ModelConfig:
    """For tests and examples."""
    return replace(ModelConfig(size=48, width=8, layers=2, heads=2, frames=8, joints=15), **changes)


PRESETS = {"paper": paper, "demo": demo, "tiny": tiny}
