"""Explanation: numbers with named axes, a unit, a base rate and the story of how they were made.

`Evidence` is the set of explanations that the 3D deformable transformer gives of itself in one forward pass:
where it sampled, which joints its tokens read, which frames, who read whom, and the exact split of the logits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from training.npz import read_npz, write_npz

FRAMEWISE = "frame-wise"
"""What stands for the token mode of a frame-wise network, which has no modal tokens to choose."""

Normalisation = Literal["raw", "per clip", "per frame"]


@dataclass(frozen=True)
class Axis:
    """One dimension of `Explanation.values`: its name and, where entries have names, one label for each."""

    name: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class MadeBy:
    """How an explanation came to be; enough to make it again."""

    checkpoint: str
    """Hash of the network's weights and configuration."""
    clip: str
    """`Clip.fingerprint` of the explained clip."""
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Values with named axes. `base_rate` broadcasts to `values` and says what an uninformed picture would give."""

    kind: str
    values: np.ndarray
    axes: tuple[Axis, ...]
    unit: str
    made_by: MadeBy
    base_rate: np.ndarray
    base_rate_of: str
    """What the base rate stands for, in words: 'uniform attention over the keys of the window'."""
    normalisation: Normalisation = "raw"
    companions: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Arrays that belong to the values (places of points, offsets); each kind documents its own."""
    trust: Mapping[str, Any] | None = None
    """Measured numbers about how far this picture can be believed; None means not measured."""

    def __post_init__(self) -> None:
        if len(self.axes) != self.values.ndim:
            raise ValueError(f"{self.kind}: {self.values.ndim} dimensions need as many axes, not {len(self.axes)}.")
        for axis, length in zip(self.axes, self.values.shape, strict=True):
            if axis.labels and len(axis.labels) != length:
                raise ValueError(f"{self.kind}: axis {axis.name!r} has {len(axis.labels)} labels for {length} entries.")
        np.broadcast_shapes(self.base_rate.shape, self.values.shape)

    @property
    def by_limb(self) -> bool:
        """Were whole body parts asked about? All joints of one then carry its value, and none is named alone."""
        return self.made_by.method == "limb removal" or self.made_by.parameters.get("by") == "limb"

    def axis(self, name: str) -> int:
        """The dimension called `name`."""
        return [axis.name for axis in self.axes].index(name)

    def mean(self, *names: str) -> Explanation:
        """The same explanation averaged over the named axes (heads, layers, queries, ...)."""
        dimensions = tuple(self.axis(name) for name in names)
        base = np.broadcast_to(self.base_rate, self.values.shape)
        return Explanation(
            **{
                **self.__dict__,
                "values": self.values.mean(axis=dimensions),
                "base_rate": base.mean(axis=dimensions),
                "axes": tuple(a for i, a in enumerate(self.axes) if i not in dimensions),
            }
        )

    def pack(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Header (JSON) and arrays; `unpack` is the inverse."""
        header = {
            "kind": self.kind,
            "axes": [asdict(axis) for axis in self.axes],
            "unit": self.unit,
            "made_by": {**asdict(self.made_by), "parameters": dict(self.made_by.parameters)},
            "base_rate_of": self.base_rate_of,
            "normalisation": self.normalisation,
            "trust": None if self.trust is None else dict(self.trust),
        }
        arrays = {"values": self.values, "base_rate": self.base_rate}
        return header, arrays | {f"companion.{name}": array for name, array in self.companions.items()}

    @classmethod
    def unpack(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Explanation:
        """The explanation that `pack` took apart. Raises ValueError when the parts do not fit together."""
        try:
            return cls(
                kind=header["kind"],
                values=arrays["values"],
                axes=tuple(Axis(axis["name"], tuple(axis["labels"])) for axis in header["axes"]),
                unit=header["unit"],
                made_by=MadeBy(**header["made_by"]),
                base_rate=arrays["base_rate"],
                base_rate_of=header["base_rate_of"],
                normalisation=header["normalisation"],
                companions={n.removeprefix("companion."): a for n, a in arrays.items() if n.startswith("companion.")},
                trust=header["trust"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is no explanation: {error}.") from error


LARGEST_FILE = 256 << 20


def save_explanation(path: str | Path, explanation: Explanation) -> None:
    """One `.npz`: the arrays of `pack` and the header as JSON bytes. Never half there."""
    header, arrays = explanation.pack()
    write_npz(Path(path), {**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})


def load_explanation(path: str | Path) -> Explanation:
    """Read what `save_explanation` wrote. Raises ValueError in one sentence for anything else."""
    path = Path(path)
    try:
        arrays = read_npz(path, LARGEST_FILE)
        return Explanation.unpack(json.loads(arrays.pop("header").tobytes()), arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read as an explanation: {error}.") from error
