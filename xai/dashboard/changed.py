"""A changed clip through the network: its answer, and the model's own evidence of the changed pass for the player."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.tap import AttentionTap
from training.clip import Clip
from training.recognizer import Prediction, Recognizer
from training.view import View
from xai.dashboard.film_points import Points
from xai.evidence import gather_evidence
from xai.explanation import MadeBy
from xai.figures.player import player_payload
from xai.removal import Removal, Shown, Thin, shown_with
from xai.removal_words import words_of
from xai.rerun import NOTHING, Exchange, Rerun, exchanging
from xai.sampling import sampling_points
from xai.trace import Trace


@dataclass(frozen=True, eq=False)
class Changed:
    """What was taken away, what the network was shown, and what it says now."""

    removals: tuple[Removal, ...]
    shown: Shown
    prediction: Prediction
    index: np.ndarray
    """[T] int: the frames of the clip that the network reads when nothing is taken away."""
    before: Clip
    """The frames of `shown`, in its order, with nothing taken away."""
    words: tuple[str, ...]
    """What was taken away, one by one."""
    points: tuple[Points, ...] = ()
    """Of every block; empty for a network that searches no tokens."""

    @property
    def other_frames(self) -> bool:
        """Does the network read other frames of the clip than those that it reads when nothing is taken away?"""
        return any(isinstance(removal, Thin) for removal in self.removals)

    @property
    def numbers(self) -> tuple[int, ...]:
        """What stands under each frame that is shown now, from 1: its place in the untouched film; or in the clip,
        where the network reads other frames of it."""
        if self.other_frames:
            return tuple(int(number) + 1 for number in self.shown.index)
        return tuple(int(np.flatnonzero(self.index == number)[0]) + 1 for number in self.shown.index)


@dataclass(frozen=True, eq=False)
class Without(Recognizer):
    """The recognizer of a changed clip: reads all its frames in the untouched view, and exchanges inside every pass."""

    untouched: View | None = None
    exchange: Exchange = NOTHING

    def view(self, clip: Clip, frames: int | None = None) -> View:
        assert self.untouched is not None
        return replace(self.untouched, frame_index=np.arange(len(clip)))

    def __call__(self, clip: Clip, view: View | None = None) -> Prediction:
        with exchanging([self.exchange]):
            return super().__call__(clip, view)


def change(rerun: Rerun, removals: Sequence[Removal], others: Mapping[str, Clip]) -> Changed:
    """Take `removals` away and classify again. Raises ValueError in one sentence for what there is not to take."""
    shown = shown_with(rerun, removals, others)
    with PointsOnly() as trace:
        prediction = rerun.predict(shown.clip, shown.index, shown.exchange)
    before = rerun.clip.take(shown.index)
    words = words_of(removals, rerun)
    shown = replace(shown, others={})  # whoever keeps the answer shall not keep all clips with it
    return Changed(tuple(removals), shown, prediction, rerun.index, before, words, points_of(trace, rerun))


class PointsOnly(Trace):
    """Listens to the token search alone, which costs next to nothing beside the pass."""

    def _record(self, name: str, value: Any) -> None:
        if not isinstance(value, AttentionTap) or name.endswith(".deformable.attention"):
            super()._record(name, value)


def points_of(trace: Trace, rerun: Rerun) -> tuple[Points, ...]:
    """The points of every block, weighed by the mean over heads and queries, as the player does."""
    nobody = MadeBy("", "", "")
    found = sampling_points(trace, rerun.view, rerun.recognizer.network.config.layers, nobody)
    if found is None:
        return ()
    place, reference = found.companions["place"], found.companions["reference"]
    mass = found.values.mean(axis=(1, 2, 3))
    return tuple(Points(*each) for each in zip(place, reference, mass, strict=True))


def changed_payload(rerun: Rerun, changed: Changed) -> dict[str, Any]:
    """What the player shows of the changed pass."""
    known, shown = rerun.recognizer, changed.shown
    network = Without(known.network, known.card, known.checkpoint, rerun.view, shown.exchange)
    evidence = gather_evidence(network, shown.clip, looks=True)
    return player_payload(replace(evidence, frame_index=shown.index))


def as_lane(payload: Mapping[str, Any], title: str) -> dict[str, Any]:
    """The payload under another name, for lanes of one and the same network."""
    said = {**payload["said"], "name": title}
    return {**payload, "said": said, "model": {**payload["model"], "name": title}, "id": f"{payload['id']} {title}"}


class ByName(Mapping[str, Clip]):
    """Clips that are opened when they are asked for."""

    def __init__(self, paths: Mapping[str, Callable[[], Clip]]) -> None:
        self._paths = paths

    def __getitem__(self, name: str) -> Clip:
        return self._paths[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
