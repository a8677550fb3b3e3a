"""Relevance carried through every attention, from what the head pools to the tokens that enter layer 0.

`attention rollout` (Abnar and Zuidema 2020) follows attention mass: each attention hands half of a token's relevance
to what the token read and leaves half where it is, R <- R (I + A) / 2. It knows nothing of the class, and the masses
of all patches, joints and modal tokens sum to 1.

`gradient x attention` (Chefer, Gur and Wolf 2021, rule for self-attention) keeps of every attention what speaks for
the class: R <- R + R A', A' = mean over heads of relu(dS/dA * A), where S is the score that the question explains.
The gradient comes from the tap: attended = A value, so dS/dA = (dS/d attended) value^T, row by row. The row that R
starts with holds the parts of the score that speak for the class; the maps show R - I, what attention has added to it.

Both carry one row, the relevance of what the head reads, and not the matrix: their memory is that of the tokens. How
windows, sampled points and the projection of the CLS token enter is written in token_graph.py.

What the maps hold, and what they do not:
- `frames` is the relevance of Z, the patches of F_b, and `joints` that of P. A joint token is built from F_a around
  the joint; what ends on it is shown at the joint and not added to the pixels. With `pose_track` it also holds the
  motion of the whole person, so that relevance of a joint's token need not be about that joint.
- `tokens` is what ends on the modal tokens. They are learned and the same for every clip: this part explains nothing
  of the clip. Whatever they read on the way (from points, joints, each other) has been handed on to Z and P.
- A point hands its relevance to the patches it was mixed from. That patches also decide where the points lie, by the
  offsets, is in no attention and is left out.
- Unseen joints are keys of no attention and get exactly nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.attention import attention_rows
from model.framewise import FrameWise
from model.tap import FEATURES_B, HEAD_TOKENS, AttentionTap, PointsTap, recording, tokens_tap
from model.transformer import DeformableTransformer
from xai.explanation import Explanation
from xai.framewise import framewise_gradient_x_attention, framewise_rollout
from xai.methods import Method
from xai.question import Question
from xai.token_graph import Corners, Reading, Rows, TokenGraph, Tokens, pass_down

KEPT = 0.5
"""Share of a token's relevance that attention rollout leaves with the token itself: its residual connection."""


@dataclass(frozen=True)
class Heard:
    """One forward pass of the question's clip. `score` and `head` have a graph behind them if it was asked for."""

    graph: TokenGraph
    head: Tensor
    """What the head pools [1, T, slots, d]."""
    seen: Tensor
    """[T, R] bool."""
    score: Tensor


def rollout(question: Question, on: str) -> Explanation:
    """Attention rollout."""
    if isinstance(question.recognizer.network, FrameWise):
        return framewise_rollout(question, on)
    network = _followed(question, on, "attention rollout")
    watch = _Watch(question, network, passes=1, walks=2)
    heard = _listen(question, network, gradient=False)
    watch.step()
    start = _start(heard, heard.head.new_ones(heard.head.shape[1:3]))

    def step(reading: Reading, relevance: Tensor, rows: Rows, points: Corners | None) -> Tensor:
        given, arrived = pass_down(reading, relevance, rows, points, watch.tick)
        watch.step()
        # A token that could read nothing has given nothing and keeps all of its relevance.
        return relevance + (1 - KEPT) * (arrived - given)

    with torch.no_grad():
        values = heard.graph.carry(start, lambda reading, held: step(reading, held, _attention, reading.found))
        base = heard.graph.carry(start, lambda reading, held: step(reading, held, _uniform, reading.lattice))
    return _answer(
        question, on, heard.graph.tokens, values, base,
        method="attention rollout", unit="attention mass", parameters={"kept": KEPT},
        base_rate_of="rollout of uniform attention over the readable keys, with no point moved",
    )  # fmt: skip


def gradient_x_attention(question: Question, on: str) -> Explanation:
    """Chefer's rule."""
    if isinstance(question.recognizer.network, FrameWise):
        return framewise_gradient_x_attention(question, on)
    network = _followed(question, on, "gradient x attention")
    watch = _Watch(question, network, passes=2, walks=1)
    heard = _listen(question, network, gradient=True)
    watch.step()
    readings = heard.graph.readings
    wanted = [heard.head, *(reading.tap.attended for reading in readings)]
    found = torch.autograd.grad(heard.score, wanted, allow_unused=True)
    gradients = {r.name: g for r, g in zip(readings, found[1:], strict=True) if g is not None}
    watch.step()
    with torch.no_grad():
        start = _start(heard, (found[0] * heard.head)[0].sum(-1))

        def rows(reading: Reading, window: int, queries: Tensor) -> Tensor:
            mass = _masses(reading, window, queries)
            change = gradients[reading.name][0, window][:, queries] @ reading.tap.value[0, window].transpose(-1, -2)
            # A mean over copies of a token is already in the gradient, which each copy gets its share of.
            return mass.mul_(change).clamp_min_(0).mean(0)

        def step(reading: Reading, relevance: Tensor) -> Tensor:
            if reading.name in gradients:  # without one, the score does not depend on this attention
                relevance = relevance + pass_down(reading, relevance, rows, reading.found, watch.tick)[1]
            watch.step()
            return relevance

        # R - I: what attention has carried. The start itself, which the head reads directly, is in the ledger, exactly.
        values = heard.graph.carry(start, step) - start
        base = _evenly(values, heard)
    return _answer(
        question, on, heard.graph.tokens, values, base,
        method="gradient x attention", unit="relevance", parameters={"start": "positive parts of the score"},
        base_rate_of="the same relevance spread evenly over the map (over the seen joints)",
    )  # fmt: skip


def _masses(reading: Reading, window: int, queries: Tensor) -> Tensor:
    """Attention of some queries of one window, [heads, n, N_k]."""
    tap = reading.tap
    mask = None if tap.mask is None else tap.mask[0, window]
    return attention_rows(tap.query[0, window][:, queries], tap.key[0, window], mask)


def _attention(reading: Reading, window: int, queries: Tensor) -> Tensor:
    return _masses(reading, window, queries).mean(0) / reading.copies[window, queries, None]


def _uniform(reading: Reading, window: int, queries: Tensor) -> Tensor:
    readable = reading.readable[window].float()
    return (readable / readable.sum().clamp_min(1)) / reading.copies[window, queries, None]


def _evenly(values: Tensor, heard: Heard) -> Tensor:
    """What ended on the patches, on the seen joints and on the modal tokens, each spread evenly."""
    patches, pose, modal = heard.graph.tokens.split(values)
    return heard.graph.tokens.join(
        patches.mean().expand_as(patches),
        pose.sum() * heard.seen / heard.seen.sum().clamp_min(1),
        (modal.sum() / max(1, modal.numel())).expand_as(modal),
    )


class _Watch:
    """Counts passes and attentions for `Question.progress`, and calls it between chunks too, so that it can cancel."""

    def __init__(self, question: Question, network: DeformableTransformer, passes: int, walks: int) -> None:
        config = network.config
        steps = config.layers * sum(kind != "off" for kind in (config.deformable, config.joint, config.temporal))
        self.report, self.done, self.total = question.progress, 0, passes + walks * steps
        self.tick()

    def tick(self) -> None:
        self.report(self.done, self.total)

    def step(self) -> None:
        self.done += 1
        self.tick()


def _followed(question: Question, on: str, method: str) -> DeformableTransformer:
    """The network, if these methods can follow all of its attentions. Raises ValueError for any other question."""
    network = question.recognizer.network
    if not isinstance(network, DeformableTransformer):
        raise ValueError(f"{method} follows the 3D deformable transformer, not a {type(network).__name__} network.")
    if network.config.temporal not in ("stride", "full", "off"):
        # Shifted heads and channels join tokens outside of any attention map.
        raise ValueError(f"{method} follows attention, but this network shifts tokens: {network.config.temporal!r}.")
    if on == "joints" and not question.tensors[2].any():
        raise ValueError(f"{method} on joints needs a clip with joints in view, and this one has none.")
    return network


def _listen(question: Question, network: DeformableTransformer, gradient: bool) -> Heard:
    """One forward pass with every attention kept; with `gradient`, a graph from the tokens of layer 0 to the score."""
    taps: dict[str, Any] = {}
    entering = {tokens_tap(0, kind) for kind in ("patches", "pose", "modal")}

    def record(name: str, value: Any) -> Any:
        if isinstance(value, AttentionTap | PointsTap) or name == HEAD_TOKENS:
            taps[name] = value
        elif name == FEATURES_B:
            taps[name] = tuple(value.shape[-3:])
        elif gradient and name in entering:
            # The graph begins here: the backbone's would be most of the memory, and no attention stands before it.
            torch.set_grad_enabled(True)
            return value.detach().requires_grad_()
        return None

    frames, joints, score = question.tensors
    with torch.no_grad(), recording(record):  # leaving no_grad also ends what `record` has enabled
        explained = question.score(network(frames, joints, score)).sum()
    seen = (score[0] > 0).flatten(1)
    tokens = Tokens(taps[FEATURES_B], seen.shape[1], network.config.roles)
    return Heard(TokenGraph.of(network, taps, tokens), taps[HEAD_TOKENS], seen, explained)


def _start(heard: Heard, parts: Tensor) -> Tensor:
    """Relevance of the tokens that the head pools, summing to 1, from the parts [T, slots] that it takes from each.

    Parts below zero speak against the class and start nothing; if no part speaks for it, all are equal. Without modal
    tokens a slot is a mean over patches or seen joints, and its part is shared among them evenly.
    """
    parts = parts.detach().double().clamp_min(0)  # double, for R - I is a small difference
    tokens = heard.graph.tokens
    if tokens.roles:
        share = torch.ones_like(parts)
    else:
        share = torch.stack([torch.ones_like(parts[:, 0]), heard.seen.any(1).to(parts.dtype)], 1)
    parts = parts * share
    parts = share / share.sum() if not parts.any() else parts / parts.sum()
    patches, pose, modal = tokens.split(parts.new_zeros(sum(tokens.sizes)))
    if tokens.roles:
        modal += parts.T
    else:
        patches += parts[:, 0, None, None] / patches[0].numel()
        pose += parts[:, 1, None] * heard.seen / heard.seen.sum(1, keepdim=True).clamp_min(1)
    return tokens.join(patches, pose, modal)


def _answer(
    question: Question,
    on: str,
    tokens: Tokens,
    values: Tensor,
    base: Tensor,
    *,
    method: str,
    unit: str,
    parameters: dict[str, Any],
    base_rate_of: str,
) -> Explanation:
    """The map of one kind of token."""
    made_by = question.made_by(method, **parameters)

    def maps(vector: Tensor) -> dict[str, np.ndarray]:
        patches, pose, modal = (part.cpu().numpy() for part in tokens.split(vector))
        people = question.tensors[2].shape[2]
        joints = question.in_layout(pose.reshape(len(pose), people, -1))
        totals = {"patches": patches.sum((1, 2)), "joints": joints.sum((1, 2))}
        named = modal.T if tokens.roles else np.stack(list(totals.values()), 1)
        return {"frames": patches, "joints": joints, "modal": named, **{f"on {n}": v for n, v in totals.items()}}

    found, expected = maps(values), maps(base)
    about: dict[str, Any] = {"base_rate": expected[on], "base_rate_of": base_rate_of}
    if on == "frames":
        return question.pixel_map(found[on], made_by, unit, stride=8, **about)
    if on == "joints":
        return question.joint_map(found[on], made_by, unit, **about)
    # Beside the modal tokens, how much has ended on the patches and the joints of each frame.
    companions = {name: found[name] for name in ("on patches", "on joints")}
    return question.token_map(found[on], question.prediction.slots, made_by, unit, companions=companions, **about)


METHODS = (
    Method(
        name="attention rollout",
        family="attention",
        about="Share of the attention mass that reaches a patch, joint or modal token when every attention is followed "
        "from the head to the first layer; the same for every class.",
        unit="attention mass",
        on=("frames", "joints", "modal"),
        cost="1 forward",
        run=rollout,
        signed=False,
    ),
    Method(
        name="gradient x attention",
        family="attention",
        about="Relevance that reaches a patch, joint or modal token through attention that raises the score "
        "(Chefer's rule); a number without a natural unit, to be compared within one map.",
        unit="relevance",
        on=("frames", "joints", "modal"),
        cost="1 forward, 1 backward",
        run=gradient_x_attention,
        signed=False,
    ),
)
