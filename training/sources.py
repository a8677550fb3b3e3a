"""Where clips come from: a data set by name, a pack, and the training and validation clips of a configuration.

gym                      the gym, rendered
jhmdb:FOLDER?split=2     a data set in its own layout (`training.datasets`)
pack:FILE                a pack (`training.pack`)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from training import gym
from training.config import ConfigError, DataConfig
from training.datasets import Dataset, open_dataset
from training.datasets.gym import Gym
from training.evaluate import Chosen, ClipSet
from training.gym.labels import pair_of
from training.pack import PackedDataset, write_pack


def choose(data: ClipSet, positions: Sequence[int]) -> ClipSet:
    """The clips of `data` at `positions`."""
    return replace(
        data,
        clips=Chosen(data.clips.dataset, tuple(data.clips.indices[i] for i in positions)),
        targets=tuple(data.targets[i] for i in positions),
        kinds=tuple(data.kinds[i] for i in positions) if data.kinds else (),
    )


def with_labels(data: ClipSet, labels: Sequence[str]) -> ClipSet:
    """Only the clips of `labels`, whose classes are numbered in that order; every label if `labels` is empty.

    The mirror of a clip must keep its place in the new numbering; otherwise mirroring is not allowed.
    """
    if not labels:
        return data
    if unknown := sorted(set(labels) - set(data.labels)):
        raise ConfigError(f"{data.name} has no label {', '.join(unknown)}; it has {', '.join(data.labels)}.")
    new_class = {data.labels.index(label): number for number, label in enumerate(labels)}
    chosen = choose(data, [i for i, target in enumerate(data.targets) if target in new_class])
    mirrored = None
    if data.mirrored is not None and all(data.mirrored[old] in new_class for old in new_class):
        mirrored = tuple(new_class[data.mirrored[old]] for old in new_class)
    return replace(chosen, targets=tuple(new_class[t] for t in chosen.targets), labels=tuple(labels), mirrored=mirrored)


def spread(targets: Sequence[int], count: int) -> list[int]:
    """Indices of `count` clips, as evenly over the classes as they allow, in their order; all of them for 0."""
    if not count or count >= len(targets):
        return list(range(len(targets)))
    turn: dict[int, int] = {}
    ranked = []
    for index, target in enumerate(targets):
        ranked.append((turn.get(target, 0), index))
        turn[target] = turn.get(target, 0) + 1
    return sorted(index for _, index in sorted(ranked)[:count])


def for_labels(data: ClipSet, labels: Sequence[str]) -> ClipSet:
    """The same clips with the classes of a network that knows `labels`; ConfigError if it lacks one of theirs."""
    if unknown := sorted({data.labels[target] for target in data.targets} - set(labels)):
        raise ConfigError(
            f"The network does not know {len(unknown)} labels of {data.name}, first {unknown[0]!r}; choose the data "
            "set it was trained on, or leave these clips out (evaluate --known-labels)."
        )
    targets = tuple(labels.index(data.labels[target]) for target in data.targets)
    return replace(data, targets=targets, labels=tuple(labels), mirrored=None)


def known_only(data: ClipSet, labels: Sequence[str]) -> tuple[ClipSet, int]:
    """The clips of a data set whose label is one of `labels`, and how many are left out. ConfigError if all are."""
    positions = [i for i, target in enumerate(data.targets) if data.labels[target] in labels]
    if not positions:
        raise ConfigError(f"The network knows no label of {data.name}; it knows {', '.join(labels)}.")
    return choose(data, positions), len(data) - len(positions)


def open_source(source: str) -> Dataset:
    """The data set or pack called `source`. Raises ClipError in one sentence."""
    kind, _, path = source.partition(":")
    return PackedDataset(path) if kind == "pack" else open_dataset(source)


def open_data(source: str, split: str) -> ClipSet:
    """One split of a data set; clips are read when they are asked for."""
    return split_of(open_source(source), split)


def split_of(dataset: Dataset, split: str) -> ClipSet:
    """One split of an open data set."""
    if not dataset.splits.get(split):
        there = ", ".join(name for name, members in dataset.splits.items() if members) or "none"
        raise ConfigError(f"{dataset.name} has no clips of split {split!r}; it has {there}.")
    indices = tuple(dataset.splits[split])
    targets = tuple(dataset.label(i) for i in indices)
    kinds: tuple[str | None, ...] = ()
    if isinstance(dataset, PackedDataset):
        kinds = tuple(dataset.kind(i) for i in indices)
    elif isinstance(dataset, Gym):
        kinds = tuple(pair_of(dataset.labels[target]).kind for target in targets)
    mirrored: tuple[int, ...] | None = None
    flipped = [dataset.flipped(label) for label in dataset.labels]
    if all(label in dataset.labels for label in flipped):
        mirrored = tuple(dataset.labels.index(label) for label in flipped if label is not None)
    return ClipSet(Chosen(dataset, indices), targets, dataset.labels, dataset.layout, kinds, mirrored, dataset.name)


def training_data(
    config: DataConfig, *, progress: bool = False, say: Callable[[str], None] = tqdm.write
) -> tuple[ClipSet, ClipSet]:
    """The training and validation clips of a configuration; never those of the test split. No validation clips if none
    are held out: they are trained on."""
    source = config.source
    if config.pack and not source.startswith("pack:"):
        path = cached_pack(config)
        if not path.is_file():
            say(f"Packing {source} into {path}; this is done once.")
            dataset = open_dataset(source)
            chosen = {split: _part(dataset, config, split) for split in ("train", "val")}
            splits = {split: data.clips.indices for split, data in chosen.items()}
            write_pack(
                path,
                dataset,
                splits,
                config.pack_size,
                labels=config.labels or None,
                workers=config.pack_workers,
                progress=progress,
            )
        source = f"pack:{path}"
    opened = open_source(source)
    if lost := getattr(opened, "left_out", {}):
        say(f"{opened.name}: left out " + ", ".join(f"{count} {reason}" for reason, count in lost.items()) + ".")
    train, val = (_part(opened, config, split) for split in ("train", "val"))
    if not config.hold_out:
        train, val = joined(train, val), choose(val, ())
    # a recipe for all labels also serves for some
    times = {label: n for label, n in config.repeat.items() if not config.labels or label in config.labels}
    return repeated(train, times), val


def joined(first: ClipSet, second: ClipSet) -> ClipSet:
    """The clips of two splits of one data set."""
    return replace(
        first,
        clips=Chosen(first.clips.dataset, first.clips.indices + second.clips.indices),
        targets=first.targets + second.targets,
        kinds=first.kinds + second.kinds,
    )


def compared_on(config: DataConfig, split: str) -> tuple[ClipSet, tuple[int, ...]]:
    """The clips on which networks of a configuration are compared: its validation clips, as training reads them, or
    the test clips of its labels; and where each is in that split of the source, packed or not. No places if it is not
    known which clips they are: a pack leaves damaged ones out."""
    whole = split_of(open_source(config.source), split)
    place = {index: position for position, index in enumerate(whole.clips.indices)}
    chosen = _chosen(whole, config, split)
    places = tuple(place[index] for index in chosen.clips.indices)
    data = training_data(config)[1] if split == "val" else chosen
    return data, places if len(places) == len(data) else ()


def repeated(data: ClipSet, times: Mapping[str, int]) -> ClipSet:
    """The clips of some labels several times over: once all in their order, then the repeated ones in theirs."""
    if unknown := sorted(set(times) - set(data.labels)):
        raise ConfigError(f"data.repeat names {unknown[0]!r}; the labels are {', '.join(data.labels)}.")
    rounds = max(times.values(), default=1)
    often = [times.get(label, 1) for label in data.labels]
    positions = [i for turn in range(rounds) for i, target in enumerate(data.targets) if often[target] > turn]
    return choose(data, positions)


PICTURES = (".jpg", ".jpeg", ".png")
RUN_FILES = {"config.yaml", "env.json", "log.jsonl"}
"""What every run writes into its folder."""
PACK = re.compile(r"\.?\w+-\d+px-[0-9a-f]{10}\.")
"""Files of the cache, and the folders of unfinished ones: see `cached_pack`."""
READERS = 3
"""Version of what the readers of data sets make of the same files: a pack of an older one is made again."""


def state_of(path: Path, cache: Path | None = None) -> str:
    """Changes when files of a data set come, go or are written anew, those behind links too. Of pictures, which may be
    a million, their names tell: one that is written anew in place is not seen. What training writes is no part of the
    data, even if it lies in the same folder: runs, and packs in the folder `cache`."""
    told = hashlib.sha256()
    entered: set[tuple[int, int]] = set()
    packs = _place(cache) if cache is not None and cache.is_dir() else None

    def tell(place: Path) -> None:
        state = place.stat()
        told.update(f"{place.relative_to(path)} {state.st_size} {state.st_mtime_ns}\n".encode())

    if path.is_file():
        tell(path)
    for folder, folders, files in os.walk(path, followlinks=True):
        here = Path(folder)
        if here != path and set(files) >= RUN_FILES:
            folders.clear()
            continue
        if _place(here) in entered:  # a link, maybe back to where it lies
            told.update(f"{here.relative_to(path)} again\n".encode())
            folders.clear()
            continue
        entered.add(_place(here))
        if _place(here) == packs:
            folders[:] = [name for name in folders if not PACK.match(name)]
            files = [name for name in files if not PACK.match(name)]
        folders.sort()
        pictures = sorted(name for name in files if Path(name).suffix.lower() in PICTURES)
        if pictures:
            told.update(f"{here.relative_to(path)} {' '.join(pictures)}\n".encode())
        for name in sorted(set(files) - set(pictures)):
            if (here / name).exists():  # a link may lead nowhere
                tell(here / name)
    return told.hexdigest()


def _place(folder: Path) -> tuple[int, int]:
    """The same for a folder and for all links to it."""
    state = folder.stat()
    return state.st_dev, state.st_ino


def cached_pack(config: DataConfig) -> Path:
    """Where the pack of a configuration lies in the cache: its name says what is in it."""
    head, _, options = config.source.partition("?")
    kind, _, path = head.partition(":")
    key = [kind, str(Path(path).expanduser().resolve()) if path else "", options, config.train_clips]
    key += [config.val_clips, list(config.labels), config.pack_size]
    if kind == "gym":
        # rendered by this very program: clips of another version of the renderer are other clips
        files = sorted(Path(gym.__file__).parent.glob("*.py"))
        key.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    else:
        key += [READERS, state_of(Path(path).expanduser().resolve(), Path(config.cache).expanduser().resolve())]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:10]
    return Path(config.cache).expanduser() / f"{kind}-{config.pack_size}px-{digest}.npz"


def _part(dataset: Dataset, config: DataConfig, split: str) -> ClipSet:
    """The clips of a split that a configuration chooses. There may be none to validate where nothing is held out."""
    if split == "val" and not config.hold_out and not dataset.splits.get(split):
        return choose(_part(dataset, config, "train"), ())
    return _chosen(split_of(dataset, split), config, split)


def _chosen(data: ClipSet, config: DataConfig, split: str) -> ClipSet:
    data = with_labels(data, config.labels)
    count = {"train": config.train_clips, "val": config.val_clips}.get(split, 0)
    return choose(data, spread(data.targets, count))
