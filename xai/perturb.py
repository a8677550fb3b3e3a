"""Removal: take something away, classify again, and see how far the score falls.

    value = score(untouched) - score(without it)

so what speaks for the class is above 0 and what speaks against it is below. Joints are taken away by their scores
(the network reads them as not detected) or held at rest; frames are held; tubelets, cells of space in a few frames, are
covered; modal tokens are set to zero inside the network; whole parts (a modality, a person, the offsets, the order of
the frames) are taken away at once. The base rate of a map is the mean of its removals: what
taking away one of them, picked at random, does. Shapley values average over all orders of removal; counterfactuals are
the smallest sets whose removal changes the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np

from model import DeformableTransformer
from xai import edits
from xai.counterfactual import counterfactual_frames, counterfactual_joints
from xai.edits import Cover, FrameHow, JointHow
from xai.explanation import Explanation
from xai.methods import Method
from xai.players import UNIT, By, Skeleton, untouched_by
from xai.question import Question
from xai.removal import Ground, Land, Modality, Offsets, People, Removal, TimeOrder, shown_with
from xai.rerun import Exchange, Rerun, Variant
from xai.shapley import shapley_frames, shapley_joints

Runs = tuple[np.ndarray, ...]
"""Of frames: [T] bool each."""


def joint_removal(
    question: Question, on: str, how: JointHow = "unseen", window: int | None = None, *, by: By = "joint"
) -> Explanation:
    """One joint of one person at a time, in the whole clip or, with `window`, in runs of so many frames."""
    skeleton = Skeleton(question, Rerun.of_question(question), by, how)
    length = len(skeleton.rerun.seen)
    runs = _runs(length, window or length)
    units = [(run, member) for run in runs for member in skeleton.players]
    effects = _effects(
        question,
        skeleton.rerun,
        skeleton.untouched,
        (skeleton.without(run[:, None, None] & member) for run, member in units),
        len(units),
    )
    values = np.zeros(skeleton.rerun.seen.score.shape)
    for (run, member), effect in zip(units, effects, strict=True):
        values[run[:, None, None] & member] = effect
    made_by = question.made_by(f"{by} removal", how=how, window=window)
    return question.joint_map(values, made_by, UNIT, **_at_random(effects, by))


def limb_removal(question: Question, on: str, how: JointHow = "unseen", window: int | None = None) -> Explanation:
    """One body part of one person at a time; every joint of it carries the value."""
    return joint_removal(question, on, how, window, by="limb")


def frame_removal(question: Question, on: str, how: FrameHow = "hold", window: int = 1) -> Explanation:
    """Runs of `window` frames, pictures and joints."""
    rerun = Rerun.of_question(question)
    runs = _runs(len(rerun.seen), window)
    variants = (rerun.variant(edits.take_frames(rerun.seen, run, how)) for run in runs)
    effects = _effects(question, rerun, untouched_by(rerun), variants, len(runs))
    values = sum((run * effect for run, effect in zip(runs, effects, strict=True)), np.zeros(len(rerun.seen)))
    made_by = question.made_by("frame removal", how=how, window=window)
    return question.frame_map(values, made_by, UNIT, **_at_random(effects, "run of frames" if window > 1 else "frame"))


def tubelet_removal(question: Question, on: str, how: Cover = "blur", cells: int = 7, window: int = 4) -> Explanation:
    """Cells of a grid of `cells` x `cells` over the view, in runs of `window` frames. Joints stay."""
    rerun = Rerun.of_question(question)
    if not 1 <= cells <= min(rerun.view.size):
        raise ValueError(f"A grid of {cells} x {cells} cells does not fit {rerun.view.size[1]} pixels; choose fewer.")
    cell_of = _cells(rerun, cells)
    runs = _runs(len(rerun.seen), window)
    held = np.unique(cell_of[cell_of >= 0])  # a view may reach beyond the frame, where there is nothing to take away
    units = [(run, int(cell)) for run in runs for cell in held]

    def variants() -> Iterator[Variant]:
        for run, cell in units:
            yield rerun.variant(edits.cover(rerun.seen, run[:, None, None] & (cell_of == cell), how))

    effects = _effects(question, rerun, untouched_by(rerun), variants(), len(units))
    values = np.zeros((len(rerun.seen), cells**2))
    for (run, cell), effect in zip(units, effects, strict=True):
        values[run, cell] = effect
    made_by = question.made_by("tubelet removal", how=how, cells=cells, window=window)
    return question.pixel_map(values.reshape(-1, cells, cells), made_by, UNIT, **_at_random(effects, "tubelet"))


def token_removal(
    question: Question, on: str, where: Literal["everywhere", "head"] = "everywhere", window: int = 1
) -> Explanation:
    """One modal token in runs of `window` frames; xai/removal.py says what `everywhere` and `head` mean."""
    if where not in ("everywhere", "head"):
        raise ValueError(f"Tokens are set to zero everywhere or at the head, not {where!r}.")
    rerun = Rerun.of_question(question)
    slots = question.recognizer.network.slots
    runs = _runs(len(rerun.seen), window)
    units = [(run, slot) for run in runs for slot in range(len(slots))]
    untouched = untouched_by(rerun)

    def variants() -> Iterator[Variant]:
        for run, slot in units:
            gone = run[:, None] & (np.arange(len(slots)) == slot)
            exchange = Exchange(tokens=gone) if where == "everywhere" else Exchange(head=gone)
            yield Variant(untouched.joints, untouched.score, exchange=exchange)

    effects = _effects(question, rerun, untouched, variants(), len(units))
    values = np.zeros((len(rerun.seen), len(slots)))
    for (run, slot), effect in zip(units, effects, strict=True):
        values[run, slot] = effect
    made_by = question.made_by("modal token removal", where=where, window=window)
    return question.token_map(values, slots, made_by, UNIT, **_at_random(effects, "token of a run of frames"))


def part_removal(question: Question, on: str, how: JointHow = "unseen") -> Explanation:
    """One whole part of what the network gets: what there is of pictures, joints, the joints of one of several people
    (taken away or held at rest, by `how`), the pixels of the people or of the background (where a mask says which), the
    offsets of the 3D token search in all blocks and in each, and the order of the frames (played backwards). The same
    value in every frame."""
    rerun = Rerun.of_question(question)
    seen, config = rerun.seen, question.recognizer.network.config
    parts: dict[str, Sequence[Removal]] = {"pictures": [Modality("rgb")]}
    if seen.score.any() and isinstance(question.recognizer.network, DeformableTransformer):
        people = [int(person) for person in np.flatnonzero(seen.score.any(axis=(0, 2)))]
        parts["joints"] = [Modality("pose") if how == "unseen" else People(tuple(people), how=how)]
        if len(people) > 1:
            parts |= {f"joints of person {person + 1}": [People((person,), how=how)] for person in people}
    if seen.person_mask is not None and seen.person_mask.any() and not seen.person_mask.all():
        parts |= {f"pixels of the {what}": [Ground(what)] for what in get_args(Land)}
    if getattr(config, "deformable", "off") == "deformable":
        parts["offsets"] = [Offsets()]
        if config.layers > 1:
            parts |= {f"offsets of block {layer + 1}": [Offsets((layer,))] for layer in range(config.layers)}
    if len(seen) > 1:
        parts["order of the frames"] = [TimeOrder("reverse")]
    shown = [shown_with(rerun, removals) for removals in parts.values()]
    variants = (rerun.variant(each.clip, each.exchange) for each in shown)
    effects = _effects(question, rerun, untouched_by(rerun), variants, len(parts))
    values = np.tile(effects, (len(seen), 1))
    made_by = question.made_by("part removal", how=how)
    return question.token_map(values, tuple(parts), made_by, UNIT, **_at_random(effects, "of these parts"))


# ---- Shared ---------------------------------------------------------------------------------------------------------


def _effects(
    question: Question, rerun: Rerun, untouched: Variant, variants: Iterable[Variant], count: int
) -> np.ndarray:
    """[count]: score(untouched) - score(variant)."""

    def all_of_them() -> Iterator[Variant]:
        yield untouched
        yield from variants

    logits = rerun.logits(all_of_them(), lambda done: question.progress(max(0, done - 1), count))
    scores = question.score(logits).double().numpy()
    effects: np.ndarray = scores[0] - scores[1:]
    return effects


def _at_random(effects: np.ndarray, what: str) -> dict[str, Any]:
    mean = float(effects.mean()) if len(effects) else 0.0
    return {"base_rate": mean, "base_rate_of": f"taking away one {what} picked at random"}


def _runs(length: int, window: int) -> Runs:
    """Frames 0 ... window - 1, and so on; the last run may be shorter."""
    if window < 1:
        raise ValueError(f"A window must hold at least one frame; this one holds {window}.")
    frame = np.arange(length)
    return tuple((frame >= start) & (frame < start + window) for start in range(0, length, window))


def _cells(rerun: Rerun, cells: int) -> np.ndarray:
    """[H, W] int: the cell of the grid over the view that each pixel of the clip lies in; -1 outside."""
    (height, width), (rows, columns) = rerun.view.size, rerun.seen.size
    places = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
    part = (rerun.view.to_model(places) + 0.5) / [width, height]
    inside = ((part >= 0) & (part < 1)).all(axis=-1)
    x, y = np.moveaxis(np.floor(part * cells).astype(int), -1, 0)
    return np.where(inside, y * cells + x, -1)


METHODS: tuple[Method, ...] = (
    Method(
        name="joint removal",
        family="removal",
        about="How far the logit falls when the network does not get this joint (or gets it held at rest).",
        unit=UNIT,
        on=("joints",),
        cost="1 forward a joint, after the backbone",
        run=lambda question, on, how="unseen", window=None: joint_removal(question, on, how, window),
        needs=("joints",),
    ),
    Method(
        name="limb removal",
        family="removal",
        about="How far the logit falls when the network does not get this body part (or gets it held at rest).",
        unit=UNIT,
        on=("joints",),
        cost="1 forward a limb, after the backbone",
        run=limb_removal,
        needs=("joints",),
    ),
    Method(
        name="frame removal",
        family="removal",
        about="How far the logit falls when a neighbouring frame is shown instead of this one, picture and joints.",
        unit=UNIT,
        on=("time",),
        cost="1 forward a frame",
        run=frame_removal,
    ),
    Method(
        name="tubelet removal",
        family="removal",
        about="How far the logit falls when these pixels are covered in these frames; joints stay.",
        unit=UNIT,
        on=("frames",),
        cost="1 forward a cell and run of frames (147 for a grid of 7 x 7 and 12 frames)",
        run=tubelet_removal,
    ),
    Method(
        name="modal token removal",
        family="removal",
        about="How far the logit falls when this token is zero in these frames.",
        unit=UNIT,
        on=("modal",),
        cost="1 forward a token and frame, after the backbone",
        run=token_removal,
    ),
    Method(
        name="part removal",
        family="removal",
        about="How far the logit falls without a whole part: pictures, joints, a person, offsets, the time order.",
        unit=UNIT,
        on=("parts",),
        cost="1 forward a part (3 to 12)",
        run=part_removal,
    ),
    Method(
        name="Shapley joints",
        family="removal",
        about="What this joint adds to the logit, averaged over all orders in which joints can be given.",
        unit=UNIT,
        on=("joints",),
        cost="400 forwards after the backbone (fewer when all sets of limbs can be tried)",
        run=shapley_joints,
        needs=("joints",),
    ),
    Method(
        name="Shapley frames",
        family="removal",
        about="What this frame adds to the logit, averaged over all orders in which frames can be given.",
        unit=UNIT,
        on=("time",),
        cost="400 forwards",
        run=shapley_frames,
    ),
    Method(
        name="counterfactual joints",
        family="counterfactual",
        about="The smallest set of joints that was found without which the network gives another answer.",
        unit="member of the set",
        on=("joints",),
        cost="up to 600 forwards after the backbone",
        run=counterfactual_joints,
        needs=("joints",),
        signed=False,
    ),
    Method(
        name="counterfactual frames",
        family="counterfactual",
        about="The smallest set of frames that was found without which the network gives another answer.",
        unit="member of the set",
        on=("time",),
        cost="up to 600 forwards",
        run=counterfactual_frames,
        signed=False,
    ),
)
