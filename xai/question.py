"""Question: what is asked about one prediction. Why this class on this clip, or why this class rather than that one?

question = Question.ask(recognizer, clip)                                   # why the most probable class
question = Question.ask(recognizer, clip, target="sit down", against="stand up")

Every method of `xai.methods` answers a question with an `Explanation`. What they share is here: the class, the score
that is explained (a logit, or the difference of two), the tensors that the network reads, and the maps in which
answers come: `pixel_map`, `joint_map`, `frame_map`, all on the T frames that the network read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.clip import Clip
from training.recognizer import Prediction, Recognizer
from training.skeleton import SkeletonLayout, layout_named
from training.view import View
from xai.explanation import Axis, Explanation, MadeBy, Normalisation

Progress = Callable[[int, int], None]
"""Called with (done, total) between two passes of the network. What it raises ends the computation: that is cancel."""


def silent(done: int, total: int) -> None:
    """The progress of someone who does not watch."""


@dataclass(frozen=True, eq=False)
class Question:
    """One prediction and what is asked about it. Nothing in it changes."""

    recognizer: Recognizer
    clip: Clip
    view: View
    prediction: Prediction
    target: int
    """The class whose logit is explained."""
    against: int | None = None
    """If given, the difference of the two logits is explained."""
    seed: int = 0
    progress: Progress = field(default=silent, repr=False)

    @classmethod
    def ask(
        cls,
        recognizer: Recognizer,
        clip: Clip,
        target: int | str | None = None,
        against: int | str | None = None,
        *,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Question:
        """Classify the clip and ask about `target` (a label or its number; the most probable class by default).

        Raises: ValueError for a class that the network does not know, or one asked against itself.
        """
        view = recognizer.view(clip)
        prediction = recognizer(clip, view)
        chosen = int(prediction.probabilities.argmax()) if target is None else _class(recognizer, target)
        other = None if against is None else _class(recognizer, against)
        if chosen == other:
            raise ValueError(f"{prediction.labels[chosen]!r} cannot be asked against itself; choose two classes.")
        return cls(recognizer, clip, view, prediction, chosen, other, seed, progress)

    def score(self, logits: Tensor) -> Tensor:
        """What is explained: logits [B, classes] -> [B]."""
        score = logits[:, self.target].float()
        return score if self.against is None else score - logits[:, self.against].float()

    @property
    def in_words(self) -> str:
        """The question as a person would ask it."""
        target = self.prediction.labels[self.target]
        return f"why {target}?" if self.against is None else f"why {target} and not {self.labels[self.against]}?"

    @property
    def labels(self) -> tuple[str, ...]:
        return self.prediction.labels

    @cached_property
    def seen(self) -> Clip:
        """The frames that the network read, uncropped and unscaled."""
        return self.view.shown(self.clip)

    @cached_property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """frames [1, 3, T, h, w], joints [1, T, M, J, 2], score [1, T, M, J] as the network reads them. Do not write
        to them; joints are in the window order of the layout (`in_layout` turns them back)."""
        return self.recognizer.tensors(self.clip, self.view)

    @cached_property
    def layout(self) -> SkeletonLayout:
        return layout_named(self.recognizer.card.layout)

    def in_layout(self, values: np.ndarray) -> np.ndarray:
        """[..., J] in the network's order of joints -> [..., J] in the order of the layout."""
        return values[..., np.argsort(self.layout.window_order)]

    @cached_property
    def generator(self) -> torch.Generator:
        """Randomness of this question, seeded once; on the CPU."""
        return torch.Generator().manual_seed(self.seed)

    # ---- answers ------------------------------------------------------------------------------------------------

    def made_by(self, method: str, **parameters: Any) -> MadeBy:
        asked = {"target": self.labels[self.target], "frames": len(self.view.frame_index), "size": list(self.view.size)}
        if self.against is not None:
            asked["against"] = self.labels[self.against]
        versions = {"torch": torch.__version__, "numpy": np.__version__}
        return MadeBy(
            self.recognizer.checkpoint, self.clip.fingerprint, method, asked | parameters, self.seed, versions
        )

    def pixel_map(
        self, values: np.ndarray | Tensor, made_by: MadeBy, unit: str, *, stride: int = 0, **about: Any
    ) -> Explanation:
        """Explanation "pixel map" [frame, y, x] of `values` [T, rows, columns], one value a cell of an even grid.

        `stride`: 0 for a grid that divides the view (pixels, or cells of an occluder); 2 for F_a and 8 for F_b and Z,
        whose index j stands for pixel `stride` j of the input, so that their cells are centred there.
        `companions["box"]` [4, 2]: corners (x, y) of the grid in pixels of the clip. `about`: `base_rate`,
        `base_rate_of` and, if they differ, `normalisation` and more `companions`."""
        box = self.view.box()
        if stride:
            rows, columns = values.shape[1:]
            corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]])
            box = self.view.to_clip(stride * (corners - 0.5))
        companions = {"box": box, **about.pop("companions", {})}
        axes = (Axis("frame"), Axis("y"), Axis("x"))
        return _explanation("pixel map", values, axes, made_by, unit, companions=companions, **about)

    def joint_map(self, values: np.ndarray | Tensor, made_by: MadeBy, unit: str, **about: Any) -> Explanation:
        """Explanation "joint map" [frame, person, joint] of `values` [T, M, J], joints in the order of the layout."""
        axes = (Axis("frame"), Axis("person"), Axis("joint", self.layout.joints))
        return _explanation("joint map", values, axes, made_by, unit, **about)

    def frame_map(self, values: np.ndarray | Tensor, made_by: MadeBy, unit: str, **about: Any) -> Explanation:
        """Explanation "frame map" [frame] of `values` [T]."""
        return _explanation("frame map", values, (Axis("frame"),), made_by, unit, **about)

    def token_map(
        self, values: np.ndarray | Tensor, tokens: tuple[str, ...], made_by: MadeBy, unit: str, **about: Any
    ) -> Explanation:
        """Explanation "token map" [frame, token] of `values` [T, K] for tokens called `tokens` (cls, rgb, pose)."""
        return _explanation("token map", values, (Axis("frame"), Axis("token", tokens)), made_by, unit, **about)


def _explanation(
    kind: str,
    values: np.ndarray | Tensor,
    axes: tuple[Axis, ...],
    made_by: MadeBy,
    unit: str,
    *,
    base_rate: np.ndarray | float = 0.0,
    base_rate_of: str = "no effect",
    normalisation: Normalisation = "raw",
    companions: Mapping[str, np.ndarray] | None = None,
) -> Explanation:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return Explanation(
        kind=kind,
        values=np.asarray(values, np.float32),
        axes=axes,
        unit=unit,
        made_by=made_by,
        base_rate=np.asarray(base_rate, np.float32),
        base_rate_of=base_rate_of,
        normalisation=normalisation,
        companions=companions or {},
    )


def _class(recognizer: Recognizer, wanted: int | str) -> int:
    labels = recognizer.card.labels
    if isinstance(wanted, str):
        if wanted not in labels:
            raise ValueError(f"The network has no class {wanted!r}; it knows {', '.join(labels)}.")
        return labels.index(wanted)
    if not 0 <= wanted < len(labels):
        raise ValueError(f"The network has no class number {wanted}; it has {len(labels)}.")
    return wanted
