"""Checkpoints: one `.safetensors` file that explains itself. No pickle, ever.

The tensors are the network's; the metadata of the file holds the format version, the architecture, the configuration
and a `Card`: what the classes and joints are called, how frames are normalised, what it was trained on and how well.
The format is the same for every architecture of `ARCHITECTURES`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.config import ModelConfig
from model.framewise import FrameWise
from model.framewise_config import FrameWiseConfig
from model.transformer import DeformableTransformer

FORMAT_VERSION = 1
METADATA = "kinescope"
"""The one entry of the file's metadata: JSON with `format_version`, `architecture`, `config` and `card`."""

LONGEST_LABEL, LONGEST_TEXT = 200, 10_000
"""Characters of a label and of what else a card says."""

Network = DeformableTransformer | FrameWise
NetworkConfig = ModelConfig | FrameWiseConfig
DEFORMABLE = "deformable-transformer-3d"
ARCHITECTURES: Mapping[str, tuple[type[NetworkConfig], type[Network]]] = {
    DEFORMABLE: (ModelConfig, DeformableTransformer),
    "framewise-vit": (FrameWiseConfig, FrameWise),
}
"""What a checkpoint can hold: its name in the file, and the classes of its configuration and its network."""


class CheckpointError(ValueError):
    """A file that is not a checkpoint this version can use; the message says what was found and what to do."""


@dataclass(frozen=True)
class Card:
    """What a user of the network must know and the tensors do not say."""

    labels: tuple[str, ...]
    layout: str
    """Name of the skeleton layout the joints follow; they are read in its window order."""
    frames: int
    """T the network was trained with; others run."""
    size: int
    """Image side the network was trained with; others run."""
    mean: tuple[float, float, float] = (0.43216, 0.394666, 0.37645)
    std: tuple[float, float, float] = (0.22803, 0.22145, 0.216989)
    fit: Literal["crop", "person"] = "crop"
    """What of a clip it is shown: the centre of the frame, or a square around the joints."""
    name: str = ""
    trained_on: str = ""
    licence: str = ""
    recipe: str = ""
    limits: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Card:
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown card entries {', '.join(unknown)}")
        lists = {name: values[name] for name in ("labels", "mean", "std") if name in values}
        if wrong := [name for name, value in lists.items() if not isinstance(value, list | tuple)]:
            raise ValueError(f"{wrong[0]} must be a list")
        card = cls(**{**values, **{name: tuple(value) for name, value in lists.items()}})
        card.check()
        return card

    def check(self) -> None:
        """ValueError for what no network of this program can have: the file may be a stranger's."""
        for name in ("labels", "layout", "name", "trained_on", "licence", "recipe", "limits"):
            texts = getattr(self, name) if name == "labels" else (getattr(self, name),)
            longest = LONGEST_LABEL if name == "labels" else LONGEST_TEXT
            if not all(isinstance(text, str) and len(text) <= longest for text in texts):
                raise ValueError(f"{name} must be text of at most {longest} characters")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels must differ from each other")
        for name, most in (("frames", 1024), ("size", 4096)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise ValueError(f"{name} of the card must be a whole number from 1 to {most}")
        if self.fit not in ("crop", "person"):
            raise ValueError(f"fit is {str(self.fit)[:40]!r}; it must be 'crop' or 'person'")
        for name in ("mean", "std"):
            values = getattr(self, name)
            numbers = all(isinstance(value, int | float) and 0 <= value <= 1 for value in values)
            if len(values) != 3 or not numbers or (name == "std" and min(values) <= 0):
                raise ValueError(f"{name} must be three numbers {'above 0 and up' if name == 'std' else 'from 0'} to 1")
        if not isinstance(self.metrics, Mapping) or not all(
            isinstance(value, int | float) for value in self.metrics.values()
        ):
            raise ValueError("metrics must be numbers by name")


def build(config: NetworkConfig) -> Network:
    """The network of this configuration, with fresh weights."""
    return ARCHITECTURES[architecture_of(config)][1](config)  # type: ignore[arg-type]


def architecture_of(config: NetworkConfig) -> str:
    """The name under which checkpoints hold the network of this configuration."""
    return next(name for name, (kind, _) in ARCHITECTURES.items() if isinstance(config, kind))


def save(path: str | Path, network: Network, card: Card, half: bool = False) -> None:
    """Write network and card to `path` (.safetensors), atomically: the old file stays until the new one is complete.

    `half` stores floating point tensors in float16 (half the size; `load` converts back).
    """
    path = Path(path)
    if len(card.labels) != network.config.classes:
        raise ValueError(f"The card names {len(card.labels)} labels, the network has {network.config.classes} classes.")
    state = {
        name: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    described = {
        "format_version": FORMAT_VERSION,
        "architecture": architecture_of(network.config),
        "config": network.config.to_dict(),
        "card": asdict(card),
    }
    # One entry, its keys sorted: the same network and card give the same bytes, hence the same hash.
    metadata = {METADATA: json.dumps(described, sort_keys=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        save_file(state, temporary, metadata)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: str | Path, device: torch.device | str = "cpu") -> tuple[Network, Card]:
    """Read a checkpoint: the network in evaluation mode on `device`, and its card.

    Nothing in the file is executed. Raises CheckpointError for anything but a complete checkpoint of this version.
    """
    config, card = read_card(path)
    with torch.device("meta"):  # costs no memory, whatever the file asks for
        network = build(config)
    wanted = network.state_dict()
    state = _read_tensors(Path(path), wanted)
    network.load_state_dict(state, assign=True)
    if isinstance(network, DeformableTransformer):
        network.backbone.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network.eval().to(device), card


def read_card(path: str | Path) -> tuple[NetworkConfig, Card]:
    """Configuration and card of a checkpoint, without reading its tensors."""
    path = Path(path)
    described = _description(path)
    version, architecture = described.get("format_version"), described.get("architecture", DEFORMABLE)
    if version != FORMAT_VERSION:
        found = f"format version {version}" if version else "no format version"
        raise CheckpointError(
            f"{path.name} has {found}; this program reads version {FORMAT_VERSION} as `train` writes it."
        )
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"{path.name} holds a network of kind {architecture!r}; this program knows {', '.join(ARCHITECTURES)}."
        )
    try:
        config = ARCHITECTURES[architecture][0].from_dict(described["config"])
        card = Card.from_dict(described["card"])
        if len(card.labels) != config.classes:
            raise ValueError(f"{len(card.labels)} labels for {config.classes} classes")
    except (KeyError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:300].rstrip(".")
        raise CheckpointError(
            f"{path.name} describes its network in a way this program cannot read: {said}."
        ) from error
    return config, card


def checkpoint_hash(path: str | Path) -> str:
    """Sixteen hex digits that name the content of the file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _description(path: Path) -> dict[str, Any]:
    """What the metadata of the file says of its network; empty if it says nothing."""
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA, "{}")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path.name} is not a safetensors file; other formats can run code when opened and are refused. "
            "Save the network with model.save."
        ) from error
    try:
        described = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} describes its network in a way this program cannot read.") from error
    return described if isinstance(described, dict) else {}


def _read_tensors(path: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        found = set(file.keys())
        if missing := sorted(set(wanted) - found):
            raise CheckpointError(f"{path.name} lacks {len(missing)} tensors of its network, first {missing[0]}.")
        if extra := sorted(found - set(wanted)):
            raise CheckpointError(
                f"{path.name} has {len(extra)} tensors its network has no place for, first {extra[0]}."
            )
        for name, tensor in wanted.items():
            shape = file.get_slice(name).get_shape()
            if list(shape) != list(tensor.shape):
                raise CheckpointError(f"{path.name}: {name} is {shape}, its network needs {list(tensor.shape)}.")
        return {name: file.get_tensor(name).to(tensor.dtype) for name, tensor in wanted.items()}
