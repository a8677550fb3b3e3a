"""What a network says of every clip of a data set, on disk: computed once, saved as it comes, gone on with later.

    ~/.cache/kinescope/predictions/DATA-CHECKPOINT.npz     KINESCOPE_CACHE names another folder

DATA names the content of the data set and CHECKPOINT that of the checkpoint file, so what lies there fits or is not
found. Files are written beside and renamed. What ships with the dashboard lies in `assets/predictions` and is read
where there is nothing newer. A clip that cannot be read is kept as a sentence and never stops the rest. No torch here:
the network is handed in by whoever computes.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.errors import ClipError
from training.npz import read_npz, write_npz
from xai.dashboard.data_sets import Split, in_turn
from xai.dashboard.library import ASSETS
from xai.dashboard.limits import limits

if TYPE_CHECKING:
    from training.recognizer import Recognizer

_WRITING = threading.Lock()
"""Predictions that grow and predictions that are forgotten are one file."""
FORMAT_VERSION = 1
CACHE = "~/.cache/kinescope"
SAVE_EVERY = 5.0
"""Seconds of work that a killed server loses at most."""
HOPELESS = 5
"""So many clips that all fail, and none that does not: then it is not the clips."""
LARGEST = 256 << 20


def content_hash(path: Path) -> str:
    """Names a checkpoint by its content, as `model.checkpoint_hash` does, which would import torch."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Predicted:
    """What one network said of n clips of one split, in the order of their positions."""

    labels: tuple[str, ...]
    """Of the network, K of them."""
    position: np.ndarray
    """[n] int32: which clip of the split."""
    logits: np.ndarray
    """[n, K] float32."""
    clip: tuple[str, ...]
    """[n] fingerprint of what was read."""
    name: tuple[str, ...]
    """[n] what the data set calls it."""
    seconds: np.ndarray
    """[n] float32: reading and predicting it."""
    damaged: Mapping[int, str] = field(default_factory=dict)
    """position -> why it could not be read."""
    rounds: int = 0
    """How often work on it came to the end of its time; tells one stretch of work from the next."""
    about: Mapping[str, str] = field(default_factory=dict)
    """The data set and the checkpoint in words."""

    @classmethod
    def none_yet(cls, labels: tuple[str, ...] = (), about: Mapping[str, str] | None = None) -> Predicted:
        empty = np.zeros(0, np.float32)
        return cls(labels, empty.astype(np.int32), empty.reshape(0, len(labels)), (), (), empty, about=about or {})

    @property
    def done(self) -> int:
        """Clips that need no more work."""
        return len(self.position) + len(self.damaged)

    @property
    def probabilities(self) -> np.ndarray:
        """[n, K]."""
        logits = self.logits.astype(np.float64)
        likely = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(likely / likely.sum(axis=1, keepdims=True))

    def pace(self, latest: int = 48) -> float | None:
        """Seconds a clip, lately."""
        return float(self.seconds[-latest:].mean()) if len(self.seconds) else None

    def without(self, positions: set[int]) -> Predicted:
        """As if these clips had not been looked at."""
        keep = [i for i, position in enumerate(self.position.tolist()) if position not in positions]
        return replace(
            self, position=self.position[keep], logits=self.logits[keep], clip=tuple(self.clip[i] for i in keep),
            name=tuple(self.name[i] for i in keep), seconds=self.seconds[keep],
            damaged={at: why for at, why in self.damaged.items() if at not in positions},
        )  # fmt: skip

    def save(self, path: Path) -> None:
        header = {
            "format_version": FORMAT_VERSION, "labels": self.labels, "clip": self.clip, "name": self.name,
            "damaged": {str(at): why for at, why in self.damaged.items()}, "rounds": self.rounds,
            "about": dict(self.about),
        }  # fmt: skip
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        write_npz(path, {"header": text, "position": self.position, "logits": self.logits, "seconds": self.seconds})

    @classmethod
    def read(cls, path: Path, clips: int) -> Predicted | None:
        """The file, or None where there is none that fits a split of so many clips: then all is computed again."""
        try:
            found = read_npz(path, LARGEST)
            header: dict[str, Any] = json.loads(found["header"].tobytes())
            if header["format_version"] != FORMAT_VERSION:
                return None
            predicted = cls(
                tuple(map(str, header["labels"])), found["position"], found["logits"], tuple(map(str, header["clip"])),
                tuple(map(str, header["name"])), found["seconds"],
                {int(at): str(why) for at, why in header["damaged"].items()}, int(header["rounds"]),
                {str(name): str(value) for name, value in header["about"].items()},
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        count = len(predicted.position)
        places = [*predicted.position.tolist(), *predicted.damaged]
        fits = (
            predicted.logits.shape == (count, len(predicted.labels))
            and len(predicted.clip) == len(predicted.name) == len(predicted.seconds) == count
            and len(set(places)) == len(places)
            and all(0 <= place < clips for place in places)
            and bool(np.isfinite(predicted.logits).all())
        )
        return predicted if fits else None


# ---- The folder -----------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    return Path(os.environ.get("KINESCOPE_CACHE") or CACHE).expanduser() / "predictions"


def file_name(data: str, checkpoint: str) -> str:
    return f"{data}-{checkpoint}.npz"


def find(data: str, checkpoint: str, shipped: Path = ASSETS / "predictions") -> Path:
    """Where the predictions lie, or will."""
    own = cache_folder() / file_name(data, checkpoint)
    return own if own.is_file() or not (shipped / own.name).is_file() else shipped / own.name


def prune(folder: Path, keep: int = limits().prediction_files) -> None:
    """Uploaded checkpoints leave files behind; the oldest go."""
    files = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[keep:]:
        path.unlink(missing_ok=True)


def forget(split: Split, checkpoint: str, positions: set[int]) -> None:
    """Have these clips predicted again."""
    with _WRITING:
        found = Predicted.read(find(split.fingerprint, checkpoint), len(split))
        if found is not None:
            again = replace(found.without(positions), rounds=found.rounds + 1)
            again.save(cache_folder() / file_name(split.fingerprint, checkpoint))


# ---- The work -------------------------------------------------------------------------------------------------------


def predict_some(
    split: Split,
    network: Recognizer,
    seconds: float,
    progress: Callable[[int, int], None],
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Predict clips that are not there yet for about so many seconds; returns how many clips are done in all.

    Raises ClipError when the first clips all fail, for then it is the network that does not take them. What was done
    is saved however this ends, also when `progress` raises because nobody waits any more.
    """
    known = Predicted.read(find(split.fingerprint, network.checkpoint), len(split))
    if known is None or known.labels != network.card.labels:
        about = {"data": split.title, "checkpoint": network.card.name}
        known = Predicted.none_yet(network.card.labels, about)
    path = cache_folder() / file_name(split.fingerprint, network.checkpoint)
    growing = _Growing(known, path, len(split), clock)
    done = {*known.position.tolist(), *known.damaged}
    left = [position for position in in_turn(split.targets.tolist()) if position not in done]
    start, ended = clock(), True
    try:
        for position in left:
            progress(growing.done, len(split))
            if clock() - start >= seconds:
                break
            growing.look(split, network, position)
    except BaseException:
        ended = False
        raise
    finally:
        growing.close(ended)
    prune(cache_folder())
    return growing.done


class _Growing:
    """Predictions that grow clip by clip and are saved now and then; `known` is what the file holds."""

    def __init__(self, known: Predicted, path: Path, clips: int, clock: Callable[[], float]) -> None:
        self.known, self.path, self.clips, self.clock = known, path, clips, clock
        self.rows: list[tuple[int, np.ndarray, str, str, float]] = []
        self.damaged: dict[int, str] = {}
        self.saved = clock()

    @property
    def done(self) -> int:
        return self.known.done + len(self.rows) + len(self.damaged)

    def look(self, split: Split, network: Recognizer, position: int) -> None:
        start = self.clock()
        try:
            clip = split.clip(position)
            logits = network(clip).logits.astype(np.float32)
            if not np.isfinite(logits).all():
                raise ClipError(f"The network gives no finite score for clip {position + 1}.")
            self.rows.append((position, logits, clip.fingerprint, clip.name, self.clock() - start))
        except Exception as error:  # one clip, whatever the matter is with it, never stops the rest
            known = isinstance(error, ValueError)
            sentence = str(error) if known else f"Clip {position + 1} cannot be predicted ({type(error).__name__})."
            self.damaged[position] = sentence
            if not self.rows and not len(self.known.position) and len(self.damaged) == min(HOPELESS, len(split)):
                self.damaged = {}
                raise ClipError(f"None of the first clips can be predicted: {sentence}") from error
        if self.clock() - self.saved > SAVE_EVERY:
            self.save(self.known.rounds)

    def close(self, ended: bool) -> None:
        self.save(self.known.rounds + ended)

    def save(self, rounds: int) -> None:
        with _WRITING:
            self._save(rounds)

    def _save(self, rounds: int) -> None:
        if not self.rows and not self.damaged and rounds == self.known.rounds:
            return
        there = Predicted.read(self.path, self.clips) if self.path.is_file() else None
        if there is not None and there.rounds > self.known.rounds and there.labels == self.known.labels:
            # somebody had clips forgotten meanwhile: they stay forgotten
            rounds += there.rounds - self.known.rounds
            self.known = there
        positions, logits, clips, names, seconds = zip(*self.rows, strict=True) if self.rows else ((), (), (), (), ())
        shape = len(self.rows), len(self.known.labels)
        whole = replace(
            self.known,
            position=np.concatenate([self.known.position, np.array(positions, np.int32)]),
            logits=np.concatenate([self.known.logits, np.array(logits, np.float32).reshape(shape)]),
            clip=self.known.clip + tuple(clips), name=self.known.name + tuple(names),
            seconds=np.concatenate([self.known.seconds, np.array(seconds, np.float32)]),
            damaged=dict(self.known.damaged) | self.damaged, rounds=rounds,
        )  # fmt: skip
        whole.save(self.path)
        self.known, self.rows, self.damaged, self.saved = whole, [], {}, self.clock()
