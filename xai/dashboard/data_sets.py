"""The data sets that this server shows: the gym, JHMDB if it is there, and what its operator names. No torch.

    KINESCOPE_SETS="Judo=folder:/data/judo; Penn, packed=pack:/data/penn-112.npz" streamlit run app.py

Each is TITLE=SOURCE with a source as in `training.sources`; a visitor chooses among the titles and never types a path.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training import gym
from training.clip import Clip
from training.datasets import Dataset, open_dataset
from training.datasets.gym import Gym
from training.errors import ClipError
from training.gym.labels import pair_of
from training.pack import PackedDataset, pack_files
from xai.dashboard.choose import jhmdb_folder

VARIABLE = "KINESCOPE_SETS"
FIRST = ("test", "val", "train")
"""The order in which splits are offered: what a network has not seen comes first."""
SAMPLED = 8
"""Clips whose content names a data set that says nothing else of its content."""


@dataclass(frozen=True)
class Offer:
    """A data set that can be chosen."""

    title: str
    """What a visitor and a link call it."""
    source: str

    def open(self) -> Dataset:
        """Raises ClipError in one sentence, without the paths of the server."""
        kind, _, path = self.source.partition(":")
        try:
            return PackedDataset(path) if kind == "pack" else open_dataset(self.source)
        except (ClipError, OSError) as error:
            raise ClipError(f"The data set {self.title!r} cannot be opened: {self.without_path(str(error))}") from error

    def without_path(self, sentence: str) -> str:
        """A sentence for a visitor, who need not know where the data lie."""
        path = self.source.partition(":")[2].partition("?")[0]
        for place in sorted({path, str(Path(path).expanduser())} - {"", "."}, key=len, reverse=True):
            sentence = sentence.replace(place, self.title)
        return sentence


def offers(environment: Mapping[str, str] | None = None) -> tuple[Offer, ...]:
    """The data sets of this server. Raises ValueError in one sentence if the operator's list cannot be read."""
    found = [Offer("Gym", "gym")]
    if folder := jhmdb_folder():
        found.append(Offer("JHMDB", f"jhmdb:{folder}"))
    text = (os.environ if environment is None else environment).get(VARIABLE, "")
    for entry in filter(None, map(str.strip, text.split(";"))):
        title, equals, source = (part.strip() for part in entry.partition("="))
        if not (title and equals and source):
            raise ValueError(f"{VARIABLE} lists TITLE=SOURCE, parted by semicolons; {entry[:60]!r} is no such pair.")
        if title in {offer.title for offer in found}:
            raise ValueError(f"{VARIABLE} names {title!r} twice, or names a data set that is there without it.")
        found.append(Offer(title, source))
    return tuple(found)


def splits_of(dataset: Dataset) -> list[str]:
    """The splits that have clips; `test` first."""
    there = [name for name, members in dataset.splits.items() if len(members)]
    return [name for name in FIRST if name in there] + [name for name in there if name not in FIRST]


@dataclass(frozen=True, eq=False)
class Split:
    """One split of an open data set: N clips, each read when it is asked for."""

    offer: Offer
    name: str
    dataset: Dataset
    indices: tuple[int, ...]
    targets: np.ndarray
    """[N] class of each clip in `labels`."""
    labels: tuple[str, ...]
    kinds: tuple[str | None, ...]
    """What decides each clip's label, where that is known; empty where it is known of none."""
    fingerprint: str
    """Sixteen hex digits that name the content."""

    @classmethod
    def of(cls, offer: Offer, dataset: Dataset, name: str) -> Split:
        if not dataset.splits.get(name):
            raise ClipError(f"{offer.title} has no clips of split {name!r}; it has {', '.join(splits_of(dataset))}.")
        indices = tuple(dataset.splits[name])
        targets = np.array([dataset.label(i) for i in indices])
        kinds: tuple[str | None, ...] = ()
        if isinstance(dataset, PackedDataset):
            kinds = tuple(dataset.kind(i) for i in indices)
        elif isinstance(dataset, Gym):
            kinds = tuple(pair_of(dataset.labels[target]).kind for target in targets)
        kinds = kinds if any(kinds) else ()
        return cls(
            offer, name, dataset, indices, targets, dataset.labels, kinds, _fingerprint(offer, dataset, name, targets)
        )

    def __len__(self) -> int:
        return len(self.indices)

    def label(self, position: int) -> str:
        return self.labels[self.targets[position]]

    def clip(self, position: int) -> Clip:
        """Raises ClipError in one sentence, whatever the matter is with the file."""
        if not 0 <= position < len(self):
            raise ClipError(f"{self.title} has clips 1 to {len(self)}; {position + 1} was asked for.")
        try:
            return self.dataset.clip(self.indices[position])
        except ClipError as error:
            raise ClipError(self.offer.without_path(str(error))) from error
        except Exception as error:  # decoders raise whatever a damaged file leads them to
            raise ClipError(f"Clip {position + 1} of {self.title} cannot be read ({type(error).__name__}).") from error

    @property
    def title(self) -> str:
        return f"{self.offer.title}, {self.name}"


def _fingerprint(offer: Offer, dataset: Dataset, name: str, targets: np.ndarray) -> str:
    """Gym clips are what the renderer makes of a seed, a pack has a checksum; of others some clips are read.

    A clip that was changed since it was predicted is noticed when it is shown (`Predicted.clip`).
    """
    key = [name, dataset.name, dataset.labels, dataset.layout.name, targets.tolist()]
    digest = hashlib.sha256(json.dumps(key).encode())
    if isinstance(dataset, Gym):
        digest.update(json.dumps([dataset.size, dataset.frames, dataset.counts]).encode())
        for file in sorted(Path(gym.__file__).parent.glob("*.py")):
            digest.update(file.read_bytes())
    elif isinstance(dataset, PackedDataset):
        with np.load(pack_files(offer.source.partition(":")[2])[0]) as index:
            digest.update(json.loads(str(index["header"]))["sha256"].encode())
    else:
        for number in sorted({len(targets) * part // SAMPLED for part in range(SAMPLED)}):
            try:
                digest.update(dataset.clip(dataset.splits[name][number]).fingerprint.encode())
            except Exception:  # a damaged clip names itself by being damaged
                digest.update(b"damaged")
    return digest.hexdigest()[:16]


def in_turn(targets: Sequence[int]) -> list[int]:
    """Positions, one of each class after the other, so that any beginning of them is spread over the classes."""
    turn: dict[int, int] = {}
    ranked = []
    for position, target in enumerate(targets):
        ranked.append((turn.get(target, 0), position))
        turn[target] = turn.get(target, 0) + 1
    return [position for _, position in sorted(ranked)]
