"""Weights to start from: a checkpoint of the same architecture, or a pretrained trunk or ViT. Says what was loaded."""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

import model
from model import FrameWise, Network, load_vit_weights
from model.backbone import Backbone, load_backbone_weights
from model.framewise import resize_positions
from model.tokenizer import resize_time
from training.config import ConfigError, RunConfig
from training.transforms import Normalisation


def starting_weights(
    network: Network, run: RunConfig, labels: tuple[str, ...], normalisation: Normalisation | None = None
) -> list[str]:
    """Load what the configuration names into `network`; returns in words what was loaded."""
    said = []
    if run.init_from:
        said.append(initialise(network, Path(run.init_from), labels, normalisation))
    if run.backbone_weights:
        try:
            if isinstance(network, FrameWise):
                part = "ViT"
                read, unused = load_vit_weights(network, run.backbone_weights)
            else:
                part = "trunk"
                if not isinstance(network.backbone, Backbone):
                    raise ValueError("backbone_reads 'gradients' has no convolutions to read them; choose colour.")
                if Path(run.backbone_weights).suffix == ".safetensors":
                    _check_trunk(Path(run.backbone_weights), network, normalisation or Normalisation())
                read, unused = load_backbone_weights(network.backbone, run.backbone_weights)
        except Exception as error:  # torch raises many kinds for files that are not its own
            raise ConfigError(f"run.backbone_weights {run.backbone_weights} cannot be used: {error}") from error
        said.append(f"{len(read)} tensors of the {part} from {run.backbone_weights}, {len(unused)} of the file unused")
    return said


def _check_trunk(path: Path, network: Network, colours: Normalisation) -> None:
    """ValueError unless the trunk of a checkpoint was made for what this network gives its own."""
    config, card = model.read_card(path)
    theirs = (getattr(config, "backbone_reads", None), list(card.mean), list(card.std))
    ours = (getattr(network.config, "backbone_reads", None), list(colours.mean), list(colours.std))
    for name, found, expected in zip(
        ("model.backbone_reads", "normalisation.mean", "normalisation.std"), theirs, ours, strict=True
    ):
        if found != expected:
            raise ValueError(f"its {name} is {found} and not {expected}; set it like that")


def initialise(
    network: Network, path: Path, labels: tuple[str, ...], normalisation: Normalisation | None = None
) -> str:
    """Copy the weights of a checkpoint into `network`; returns in words what was copied.

    Embeddings stored at another size or length are resized as the network resizes them at run time. The head is
    copied only if the labels are the same. Any other difference is a ConfigError, and so are colours of another mean or
    deviation than `normalisation` (by default those of Kinetics).
    """
    source, card = model.load(path)
    if type(source) is not type(network):
        found, expected = (model.architecture_of(of.config) for of in (source, network))
        raise ConfigError(
            f"run.init_from {path} holds a {found}, and the configuration asks for a {expected}; choose architecture "
            "like that of the checkpoint."
        )
    colours = normalisation or Normalisation()
    if (tuple(card.mean), tuple(card.std)) != (tuple(colours.mean), tuple(colours.std)):
        raise ConfigError(
            f"run.init_from {path} expects colours of mean {list(card.mean)} and deviation {list(card.std)}; set "
            "normalisation.mean and normalisation.std like that."
        )
    state, wanted = source.state_dict(), network.state_dict()
    resized = []
    free = {"classes", "size", "frames", "dropout", "drop_path"}
    if isinstance(network, FrameWise):
        free |= {"joints", "mixing", "shifted", "across", "shift_heads", "shift_period", "fold", "boundary"}
    theirs, ours = source.config.to_dict(), network.config.to_dict()
    if differing := [key for key in ours if key not in free and ours[key] != theirs[key]]:
        listed = ", ".join(f"{key} {theirs[key]!r} instead of {ours[key]!r}" for key in differing)
        raise ConfigError(f"run.init_from {path} has {listed}; make model the same or start without it.")
    for name, tensor in wanted.items():
        if state[name].shape == tensor.shape or name.startswith("head."):
            continue
        state[name] = _resized(network, name, state[name], tensor)
        resized.append(name)
    same_labels = tuple(card.labels) == tuple(labels)
    if not same_labels:
        state |= {name: tensor for name, tensor in wanted.items() if name.startswith("head.")}
    network.load_state_dict(state)
    head = "with its head" if same_labels else "with a fresh head (its labels differ)"
    return f"{path}, {len(wanted)} tensors {head}" + (f", resized {', '.join(resized)}" if resized else "")


def _resized(network: Network, name: str, stored: Tensor, wanted: Tensor) -> Tensor:
    """An embedding for another size or length, as the network itself resizes it."""
    if isinstance(network, FrameWise):
        side = network.config.size // network.config.patch
        return resize_positions(stored, (side, side))
    if name == "tokenizer.spatial_embedding":
        return F.interpolate(stored, size=wanted.shape[-2:], mode="bilinear", align_corners=False)
    return resize_time(stored, wanted.shape[-2])
