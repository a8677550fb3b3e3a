"""What the panels of one figure are drawn from: networks, clip, evidence, maps and their trust, each made once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from training.clip import Clip
from training.recognizer import Prediction, Recognizer
from xai.clips import open_clip
from xai.evidence import Evidence, gather_evidence
from xai.explanation import Explanation
from xai.figures.order import order_test
from xai.figures.panel_kinds import Map, Order, Trust, Without
from xai.figures.sheet import Table
from xai.figures.spec import FigureSpec
from xai.known_trust import shipped_trust
from xai.methods import answer, methods
from xai.question import Progress, Question, silent
from xai.removal import Removal, Shown, from_json, predict_with, shown_with
from xai.rerun import Rerun
from xai.trust import trust, trusted

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Changed:
    """A pass without what was taken away, beside the untouched one."""

    removals: tuple[Removal, ...]
    rerun: Rerun
    shown: Shown
    before: Prediction
    now: Prediction


class _Clips(Mapping[str, Clip]):
    """The clips of a spec, opened when they are asked for."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def __getitem__(self, name: str) -> Clip:
        return self._sources.clip(name)

    def __contains__(self, name: object) -> bool:
        return name in self._sources.spec.clips

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources.spec.clips)

    def __len__(self) -> int:
        return len(self._sources.spec.clips)


class Sources:
    """Opened when first asked for, and kept as long as the figure is drawn."""

    def __init__(self, spec: FigureSpec, device: str = "auto", progress: Progress = silent) -> None:
        self.spec, self.device, self.progress = spec, device, progress
        self._kept: dict[tuple[Any, ...], Any] = {}

    def _once(self, key: tuple[Any, ...], make: Callable[[], Made]) -> Made:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def clip_name(self, clip: str | None) -> str:
        """The clip that a panel names; the first by default."""
        names = list(self.spec.clips)
        if not names:
            raise ValueError("this panel needs a clip; add the key clip to the spec.")
        if clip is not None and clip not in names:
            raise ValueError(f"there is no clip {clip!r} among {', '.join(names)}.")
        return names[0] if clip is None else clip

    def clip(self, clip: str | None = None) -> Clip:
        """A clip of the spec, checked against the content that the spec was drawn from."""
        name = self.clip_name(clip)

        def load() -> Clip:
            spec, first = self.spec, name == next(iter(self.spec.clips))
            found = self.open_clip(spec.clips[name], spec.joints if first else None)
            known = spec.made_from.get(name, found.fingerprint)
            if known != found.fingerprint:
                sentence = f"{spec.clips[name]} holds {found.fingerprint}, and this figure was drawn from {known}."
                raise spec.at("clips", sentence)
            return found

        return self._once(("clip", name), load)

    def open_clip(self, text: str, joints: str | None) -> Clip:
        """What a name of a clip stands for."""
        return open_clip(text, joints)

    def open_recognizer(self, file: str) -> Recognizer:
        return Recognizer.load(file, self.device)

    def scores(self, file: str) -> Path:
        """The file of a leader board."""
        return Path(file)

    def name(self, checkpoint: str | None) -> str:
        """The checkpoint that a panel names; the first by default."""
        names = list(self.spec.checkpoints)
        if not names:
            raise ValueError("this panel needs a checkpoint; add the key checkpoint to the spec.")
        if checkpoint is not None and checkpoint not in names:
            raise ValueError(f"there is no checkpoint {checkpoint!r} among {', '.join(names)}.")
        return names[0] if checkpoint is None else checkpoint

    def recognizer(self, checkpoint: str | None) -> Recognizer:
        name = self.name(checkpoint)

        def load() -> Recognizer:
            found = self.open_recognizer(self.spec.checkpoints[name])
            known = self.spec.made_from.get(name, found.checkpoint)
            if known != found.checkpoint:
                sentence = f"checkpoint {name} holds {found.checkpoint}, and this figure was drawn from {known}."
                raise self.spec.at("checkpoints", sentence)
            return found

        return self._once(("recognizer", name), load)

    def evidence(self, checkpoint: str | None, clip: str | None = None) -> Evidence:
        name, seen = self.name(checkpoint), self.clip_name(clip)
        return self._once(("evidence", name, seen), lambda: gather_evidence(self.recognizer(name), self.clip(seen)))

    def question(self, panel: Map | Trust) -> Question:
        name, clip = self.name(panel.checkpoint), self.clip_name(panel.clip)
        key = ("question", name, clip, panel.target, panel.against)
        ask = (self.recognizer(name), self.clip(clip), panel.target, panel.against)
        return self._once(key, lambda: Question.ask(*ask, seed=self.spec.seed, progress=self.progress))

    def explanation(self, panel: Map | Trust) -> Explanation:
        """The map that a panel asks for, with its trust where that ships."""

        def make() -> Explanation:
            found = answer(self.question(panel), panel.method, on=panel.on, **panel.options)
            if panel.target or panel.against or panel.options:  # what ships was asked nothing else
                return found
            shipped = shipped_trust(found.made_by.checkpoint, found.made_by.clip)
            return replace(found, trust=shipped.get((found.made_by.method, found.made_by.parameters["on"])))

        return self._once(self._map_key(panel), make)

    def measured(self, panel: Trust) -> Explanation:
        """The same map with its trust."""

        def make() -> Explanation:
            map_ = self.explanation(panel)
            report = trust(
                self.recognizer(panel.checkpoint), self.clip(panel.clip), map_, parts=panel.parts,
                seed=self.spec.seed, orders=panel.orders, progress=self.progress,
            )  # fmt: skip
            return trusted(map_, report)

        return self._once((*self._map_key(panel), "trust", panel.parts, panel.orders), make)

    def changed(self, panel: Without) -> Changed:
        """What the network says and was shown without what a panel takes away. Raises ValueError in one sentence."""
        name, clip = self.name(panel.checkpoint), self.clip_name(panel.clip)
        text = json.dumps([dict(each) for each in panel.removals])

        def make() -> Changed:
            rerun = Rerun.of(self.recognizer(name), self.clip(clip))
            shown = shown_with(rerun, removals := from_json(text), _Clips(self))
            now = rerun.predict(shown.clip, shown.index, shown.exchange)
            return Changed(removals, rerun, shown, predict_with(rerun, None, ()), now)

        return self._once(("changed", name, clip, text), make)

    def orders(self, panel: Order) -> dict[str, Any]:
        """What each network says of the clip's class when the frames come in another order."""
        names, clip = panel.checkpoints or tuple(self.spec.checkpoints), self.clip_name(panel.clip)
        names = tuple(self.name(name) for name in names or (None,))

        def make() -> dict[str, Any]:
            return {**order_test([self.recognizer(name) for name in names], self.clip(clip)), "networks": list(names)}

        return self._once(("order", names, clip), make)

    def _map_key(self, panel: Map | Trust) -> tuple[Any, ...]:
        options = tuple(sorted((name, repr(value)) for name, value in panel.options.items()))
        of = (self.name(panel.checkpoint), self.clip_name(panel.clip))
        return "map", *of, panel.method, panel.on, panel.target, panel.against, options

    def signed(self, explanation: Explanation) -> bool:
        return next((m.signed for m in methods() if m.name == explanation.made_by.method), True)

    def opened(self) -> dict[str, Recognizer]:
        """The networks that were asked for, by name."""
        return {key[1]: value for key, value in self._kept.items() if key[0] == "recognizer"}

    def clips(self) -> dict[str, Clip]:
        """The clips that were asked for, by name."""
        return {key[1]: value for key, value in self._kept.items() if key[0] == "clip"}

    def frames(self) -> list[Table]:
        """Which frames of a clip each network read."""
        tables = []
        for clip_name, clip in self.clips().items():
            for name, network in self.opened().items():
                index = network.view(clip).frame_index
                values = {"frame of the clip": np.asarray(index), "seconds": clip.time[index]}
                called = name if len(self.clips()) == 1 else f"{name} {clip_name}"
                tables.append(Table(called, {"frame": range(len(index))}, values))
        return tables

    def maps(self) -> list[Explanation]:
        """Every map that was made, with its trust where that was measured."""
        return [value for key, value in self._kept.items() if key[0] == "map"]
