"""The networks and their checkpoints. Knows nothing of files of clips, of skeletons' names, or of screens."""

from model.checkpoint import Card, CheckpointError, checkpoint_hash, load, read_card, save
from model.config import PRESETS, ModelConfig
from model.transformer import DeformableTransformer

__all__ = [
    "PRESETS",
    "Card",
    "CheckpointError",
    "DeformableTransformer",
    "ModelConfig",
    "checkpoint_hash",
    "load",
    "read_card",
    "save",
]
