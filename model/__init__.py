"""The networks and their checkpoints. Knows nothing of files of clips, of skeletons' names, or of screens."""

from model.backbone import load_backbone_weights
from model.checkpoint import (
    ARCHITECTURES,
    Card,
    CheckpointError,
    Network,
    NetworkConfig,
    architecture_of,
    build,
    checkpoint_hash,
    load,
    read_card,
    save,
)
from model.config import PRESETS, ModelConfig
from model.framewise import FrameWise, load_vit_weights
from model.framewise_config import FRAMEWISE_PRESETS, VARIANTS, FrameWiseConfig
from model.transformer import DeformableTransformer

__all__ = [
    "ARCHITECTURES",
    "FRAMEWISE_PRESETS",
    "PRESETS",
    "VARIANTS",
    "Card",
    "CheckpointError",
    "DeformableTransformer",
    "FrameWise",
    "FrameWiseConfig",
    "ModelConfig",
    "Network",
    "NetworkConfig",
    "architecture_of",
    "build",
    "checkpoint_hash",
    "load",
    "load_backbone_weights",
    "load_vit_weights",
    "read_card",
    "save",
]
