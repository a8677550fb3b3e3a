"""Every choice of the frame-wise ViT and its relatives in one frozen dataclass, presets, and the variants by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from model.config import Settings
from model.temporal_mixing import Across, Boundary, Mixing, MixingKind

Shifted = Literal["Q", "K", "V", "QK", "KV", "QV"]


@dataclass(frozen=True)
class FrameWiseConfig(Settings):
    """Configuration of `model.framewise.FrameWise`."""

    # What goes in and out
    classes: int = 15
    joints: int = 13
    """Not read: this network sees pixels only. Kept so that data sets can state it for every network alike."""
    frames: int = 8
    """Frames it is meant for. Nothing is stored a frame, so that any T >= 1 runs."""
    size: int = 224
    """Image side at which the position embedding is stored. Any multiple of `patch` runs; it is resized."""
    patch: int = 16
    """Side of a patch in pixels."""

    # Size of the network
    width: int = 768
    """Channels of every token."""
    layers: int = 12
    heads: int = 12
    ffn_ratio: int = 4
    dropout: float = 0.0
    drop_path: float = 0.0

    # What a frame sees of its neighbours
    mixing: MixingKind = "msca"
    """`none` is the ViT, frame by frame; `tokenshift` shifts channels of CLS; `msca` shifts heads or patches."""
    shifted: Shifted = "KV"
    """MSCA: what comes from the neighbouring frame. KV is the paper's best."""
    across: Across = "heads"
    """MSCA: along the head dimension, or along the patch dimension (our reading; the abstract only names it)."""
    shift_heads: int = 1
    """MSCA across heads: heads that are shifted in each direction. The official configuration shifts 1 of 12."""
    shift_period: int = 12
    """MSCA across patches: one patch of so many is shifted in each direction."""
    fold: int = 4
    """TokenShift: one channel of so many is shifted in each direction."""
    boundary: Boundary = "zero"
    """What stands for the frames before the first and after the last: zeros (official), or the frame itself."""

    def __post_init__(self) -> None:
        # Upper bounds keep a hostile checkpoint from asking for a network that no memory holds.
        self.check({
            "classes": (2, 10_000), "joints": (1, 512), "frames": (1, 1024), "patch": (2, 64), "size": (2, 1024),
            "width": (4, 2048), "layers": (1, 48), "heads": (1, 64), "ffn_ratio": (1, 16), "dropout": (0, 0.9),
            "drop_path": (0, 0.9), "shift_heads": (0, 32), "shift_period": (2, 1024), "fold": (2, 2048),
        })  # fmt: skip
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.width} channels.")
        if self.size % self.patch:
            raise ValueError(f"size is {self.size}; it must be a multiple of the patch of {self.patch}.")
        patches = (self.size // self.patch) ** 2
        if self.mixing == "msca" and self.across == "patches" and patches <= self.shift_period // 2:
            raise ValueError(
                f"shift_period is {self.shift_period} and a frame has {patches} patches, so none would come from the "
                "frame before; take a shorter period or a larger frame."
            )
        if self.mixing == "msca" and self.across == "heads" and 2 * self.shift_heads > self.heads:
            raise ValueError(
                f"shift_heads is {self.shift_heads} each way; of {self.heads} heads at most {self.heads // 2} can be."
            )

    @property
    def dim(self) -> int:
        """d, channels of every token."""
        return self.width

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the modal tokens of one frame."""
        return ("cls",)

    @property
    def mix(self) -> Mixing:
        return Mixing(
            self.mixing, self.shifted, self.across, self.shift_heads, self.shift_period, self.fold, self.boundary
        )


VARIANTS: Mapping[str, Mapping[str, str]] = {
    "vit": {"mixing": "none"},
    "tokenshift": {"mixing": "tokenshift"},
    **{f"msca-{s.lower()}": {"mixing": "msca", "shifted": s} for s in ("Q", "K", "V", "QK", "KV", "QV")},
    **{
        f"msca-patches-{s.lower()}": {"mixing": "msca", "across": "patches", "shifted": s}
        for s in ("V", "KV")
    },
}  # fmt: skip
"""The networks that are compared, as changes of a configuration; all have the same parameters. `msca-patches-*` are
our reading of the paper's patch dimension."""


def vit_b16(**changes: Any) -> FrameWiseConfig:
    """ViT-B/16, the network of both papers; takes weights of `vit_base_patch16_224` (`load_vit_weights`)."""
    return replace(FrameWiseConfig(), **changes)


def demo(**changes: Any) -> FrameWiseConfig:
    """112 px, trains on two CPU cores."""
    settings: dict[str, Any] = {"size": 112, "patch": 16, "width": 96, "layers": 4, "heads": 6, "frames": 12}
    return replace(FrameWiseConfig(), **{**settings, "joints": 15, **changes})


def tiny(**changes: Any) -> FrameWiseConfig:
    """For tests and examples."""
    settings: dict[str, Any] = {"size": 48, "patch": 8, "width": 32, "layers": 2, "heads": 4, "frames": 8}
    return replace(FrameWiseConfig(), **{**settings, "joints": 15, **changes})


FRAMEWISE_PRESETS = {"vit_b16": vit_b16, "demo": demo, "tiny": tiny}
