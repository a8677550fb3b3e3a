"""What the panels of one figure are drawn from: networks, clip, evidence, maps and their trust, each made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from training.clip import Clip
from training.recognizer import Recognizer
from xai.clips import open_clip
from xai.evidence import Evidence, gather_evidence
from xai.explanation import Explanation
from xai.figures.panel_kinds import Map, Trust
from xai.figures.sheet import Table
from xai.figures.spec import FigureSpec
from xai.methods import answer, methods
from xai.question import Question
from xai.trust import trust, trusted

Made = TypeVar("Made")


class Sources:
    """Opened when first asked for, and kept as long as the figure is drawn."""

    def __init__(self, spec: FigureSpec, device: str = "auto") -> None:
        self.spec, self.device = spec, device
        self._kept: dict[tuple[Any, ...], Any] = {}

    def _once(self, key: tuple[Any, ...], make: Callable[[], Made]) -> Made:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    @cached_property
    def clip(self) -> Clip:
        """The clip of the spec, checked against the content that the spec was drawn from."""
        spec = self.spec
        if spec.clip is None:
            raise ValueError("this panel needs a clip; add the key clip to the spec.")
        clip = open_clip(spec.clip, spec.joints)
        known = spec.made_from.get("clip", clip.fingerprint)
        if known != clip.fingerprint:
            raise spec.at("clip", f"{spec.clip} holds {clip.fingerprint}, and this figure was drawn from {known}.")
        return clip

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
            found = Recognizer.load(self.spec.checkpoints[name], self.device)
            known = self.spec.made_from.get(name, found.checkpoint)
            if known != found.checkpoint:
                sentence = f"checkpoint {name} holds {found.checkpoint}, and this figure was drawn from {known}."
                raise self.spec.at("checkpoints", sentence)
            return found

        return self._once(("recognizer", name), load)

    def evidence(self, checkpoint: str | None) -> Evidence:
        name = self.name(checkpoint)
        return self._once(("evidence", name), lambda: gather_evidence(self.recognizer(name), self.clip))

    def question(self, panel: Map | Trust) -> Question:
        name = self.name(panel.checkpoint)
        key = ("question", name, panel.target, panel.against)
        ask = (self.recognizer(name), self.clip, panel.target, panel.against)
        return self._once(key, lambda: Question.ask(*ask, seed=self.spec.seed))

    def explanation(self, panel: Map | Trust) -> Explanation:
        """The map that a panel asks for."""
        key = self._map_key(panel)
        make = lambda: answer(self.question(panel), panel.method, on=panel.on, **panel.options)  # noqa: E731
        return self._once(key, make)

    def measured(self, panel: Trust) -> Explanation:
        """The same map with its trust."""

        def make() -> Explanation:
            map_ = self.explanation(panel)
            report = trust(
                self.recognizer(panel.checkpoint), self.clip, map_, parts=panel.parts, seed=self.spec.seed,
                orders=panel.orders,
            )  # fmt: skip
            return trusted(map_, report)

        return self._once((*self._map_key(panel), "trust", panel.parts, panel.orders), make)

    def _map_key(self, panel: Map | Trust) -> tuple[Any, ...]:
        options = tuple(sorted((name, repr(value)) for name, value in panel.options.items()))
        return "map", self.name(panel.checkpoint), panel.method, panel.on, panel.target, panel.against, options

    def signed(self, explanation: Explanation) -> bool:
        return next((m.signed for m in methods() if m.name == explanation.made_by.method), True)

    def opened(self) -> dict[str, Recognizer]:
        """The networks that were asked for, by name."""
        return {key[1]: value for key, value in self._kept.items() if key[0] == "recognizer"}

    def frames(self) -> list[Table]:
        """Which frames of the clip each network read."""
        tables = []
        for name, network in self.opened().items():
            index = network.view(self.clip).frame_index
            values = {"frame of the clip": np.asarray(index), "seconds": self.clip.time[index]}
            tables.append(Table(name, {"frame": range(len(index))}, values))
        return tables

    def maps(self) -> list[Explanation]:
        """Every map that was made, with its trust where that was measured."""
        return [value for key, value in self._kept.items() if key[0] == "map"]
