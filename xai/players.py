"""Players: what can be taken away one by one or in sets, and the scores of a question without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch

from xai import edits
from xai.edits import JointHow
from xai.question import Question
from xai.rerun import Rerun, Variant

UNIT = "change of the logit"
By = Literal["joint", "limb"]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """The joints of a clip as players: one each, or one a limb. Joints that the network never sees do not play."""

    question: Question
    rerun: Rerun
    by: By
    how: JointHow

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise ValueError(f"The players are each a {' or each a '.join(get_args(By))}, not {self.by!r}.")

    @cached_property
    def players(self) -> list[np.ndarray]:
        """[M, J] bool each, joints in the order of the layout."""
        layout = self.question.layout
        seen = np.zeros(self.rerun.seen.score.shape[1:], bool)
        read = (self.rerun.tensors[2][0] > 0).any(dim=0).cpu().numpy()  # [M, J], without joints outside the view
        seen[:, self._order] = read[: len(seen)]
        groups = [j for _, j in layout.limbs] if self.by == "limb" else [(j,) for j in range(len(layout))]
        players = []
        for person in range(len(seen)):
            for joints in groups:
                member = np.zeros(seen.shape, bool)
                member[person, list(joints)] = True
                if (member & seen).any():
                    players.append(member)
        return players

    @cached_property
    def untouched(self) -> Variant:
        _, joints, score = self.rerun.tensors
        return Variant(joints, score)

    @cached_property
    def emptied(self) -> Variant:
        """All joints taken away. Joints are taken one by one, so any set is a mix of this and the untouched clip."""
        clip = edits.take_joints(self.rerun.seen, np.ones(self.rerun.seen.score.shape, bool), self.how)
        return self.rerun.variant(clip)

    @cached_property
    def _order(self) -> list[int]:
        layout = self.question.layout
        mirrored = self.rerun.view.mirrored
        return [layout.mirrored[joint] if mirrored else joint for joint in layout.window_order]

    def without(self, gone: np.ndarray) -> Variant:
        """`gone` [T, M, J] or [M, J] bool, in the order of the layout."""
        gone = np.broadcast_to(gone, self.rerun.seen.score.shape)
        if self.untouched.joints.ndim == 6 and (gone != gone[:1]).any():
            # a trail ends where a neighbouring frame lost the joint, so this is no mix of the two
            return self.rerun.variant(edits.take_joints(self.rerun.seen, gone, self.how))
        mask = gone[..., self._order]
        taken = torch.from_numpy(mask.copy()).to(self.untouched.score.device)[None]
        places = taken.reshape(*taken.shape, *(1,) * (self.untouched.joints.ndim - taken.ndim))
        return Variant(
            torch.where(places, self.emptied.joints, self.untouched.joints),
            torch.where(taken, self.emptied.score, self.untouched.score),
        )

    def without_players(self, gone: np.ndarray) -> Variant:
        """`gone` [players] bool."""
        none = np.zeros(self.rerun.seen.score.shape[1:], bool)
        return self.without(np.any([m for m, taken in zip(self.players, gone, strict=True) if taken] or [none], axis=0))

    def spread(self, values: Iterable[float]) -> np.ndarray:
        """One value a player -> [T, M, J], the same in all frames."""
        spread = np.zeros(self.rerun.seen.score.shape)
        for member, value in zip(self.players, values, strict=True):
            spread[:, member] = value
        return spread


def untouched_by(rerun: Rerun) -> Variant:
    _, joints, score = rerun.tensors
    return Variant(joints, score)


def scores_of(question: Question, rerun: Rerun, variants: Iterable[Variant]) -> np.ndarray:
    return question.score(rerun.logits(variants)).double().numpy()


def within(question: Question, budget: int) -> Callable[[int], None]:
    return lambda done: question.progress(done, max(done, budget))
