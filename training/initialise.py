"""Weights to start from: a checkpoint of this architecture, or a pretrained trunk. Says what was loaded."""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F

import model
from model import DeformableTransformer
from model.backbone import load_backbone_weights
from model.tokenizer import resize_time
from training.config import ConfigError, RunConfig


def starting_weights(network: DeformableTransformer, run: RunConfig, labels: tuple[str, ...]) -> list[str]:
    """Load what the configuration names into `network`; returns in words what was loaded."""
    said = []
    if run.init_from:
        said.append(initialise(network, Path(run.init_from), labels))
    if run.backbone_weights:
        try:
            read, unused = load_backbone_weights(network.backbone, run.backbone_weights)
        except Exception as error:  # torch raises many kinds for files that are not its own
            raise ConfigError(f"run.backbone_weights {run.backbone_weights} cannot be used: {error}") from error
        said.append(f"{len(read)} tensors of the trunk from {run.backbone_weights}, {len(unused)} of the file unused")
    return said


def initialise(network: DeformableTransformer, path: Path, labels: tuple[str, ...]) -> str:
    """Copy the weights of a checkpoint into `network`; returns in words what was copied.

    Embeddings stored at another size or length are resized as the network resizes them at run time. The head is
    copied only if the labels are the same. Any other difference is a ConfigError.
    """
    source, card = model.load(path)
    state, wanted = source.state_dict(), network.state_dict()
    resized = []
    free = {"classes", "size", "frames", "dropout", "drop_path"}
    theirs, ours = source.config.to_dict(), network.config.to_dict()
    if differing := [key for key in ours if key not in free and ours[key] != theirs[key]]:
        listed = ", ".join(f"{key} {theirs[key]!r} instead of {ours[key]!r}" for key in differing)
        raise ConfigError(f"run.init_from {path} has {listed}; make model the same or start without it.")
    for name, tensor in wanted.items():
        if state[name].shape == tensor.shape or name.startswith("head."):
            continue
        if name == "tokenizer.spatial_embedding":
            state[name] = F.interpolate(state[name], size=tensor.shape[-2:], mode="bilinear", align_corners=False)
        else:
            state[name] = resize_time(state[name], tensor.shape[-2])
        resized.append(name)
    same_labels = tuple(card.labels) == tuple(labels)
    if not same_labels:
        state |= {name: tensor for name, tensor in wanted.items() if name.startswith("head.")}
    network.load_state_dict(state)
    head = "with its head" if same_labels else "with a fresh head (its labels differ)"
    return f"{path}, {len(wanted)} tensors {head}" + (f", resized {', '.join(resized)}" if resized else "")
