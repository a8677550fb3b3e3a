"""What a frame-wise ViT looked at: every head in the previous, its own and the next frame, and through time.

| explanation             | axes of `values`                        | unit           |
|-------------------------|-----------------------------------------|----------------|
| `neighbour_attention`   | layer, head, frame, from, y, x          | attention mass |
| `frame_reading`         | layer, head, query, query frame, frame  | attention mass |
| `framewise_rollout`     | frame, y, x                             | attention mass |

`from` is previous, own, next: where the values that the CLS token of that frame reads come from (its query, or the keys
it is compared with, may come from elsewhere). A head reads one of them, so two of three are zero; at the ends of a clip
a head may have nothing to read or nothing to compare, and its map is NaN and not uniform.

`cone` is the structure behind it: which frames of the clip can change the CLS token of a frame at all. A frame-wise ViT
sees one; MSCA one more on each side with every block, TokenShift two, as it shifts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from model.attention import attention_rows
from model.framewise import FrameWise, framewise_attention_tap
from model.framewise_config import FrameWiseConfig
from model.tap import HEAD_TOKENS, recording, tokens_tap
from model.temporal_mixing import EVERY, FramewiseTap
from training.clip import Clip
from training.recognizer import Prediction, Recognizer
from training.view import View
from xai.explanation import Axis, Explanation, MadeBy
from xai.methods import Method
from xai.question import Question

FROM = ("previous", "own", "next")
KEPT = 0.5
"""Share of a token's relevance that rollout leaves with the token itself: its residual connection."""


Kept = TypeVar("Kept")


def grid_of(recognizer: Recognizer, view: View) -> tuple[int, int]:
    """Rows and columns of the patches of a frame."""
    assert isinstance(recognizer.network, FrameWise)
    height, width = (side // recognizer.network.config.patch for side in view.size)
    return height, width


def listen(
    recognizer: Recognizer, clip: Clip, view: View, keep: Callable[[FramewiseTap], Kept]
) -> tuple[Prediction, list[Kept]]:
    """Classify a clip and keep what `keep` makes of each block, while it runs: the queries, keys and values of all
    twelve blocks of ViT-B/16 would be a quarter of a gigabyte."""
    assert isinstance(recognizer.network, FrameWise)
    kept: dict[str, Kept] = {}

    def record(name: str, value: Any) -> None:
        if isinstance(value, FramewiseTap):
            with torch.no_grad(), torch.autocast(value.query.device.type, enabled=False):
                kept[name] = keep(value)

    with recording(record):
        prediction = recognizer(clip, view)
    return prediction, [kept[framewise_attention_tap(i)] for i in range(recognizer.network.config.layers)]


def whole(tap: FramewiseTap) -> FramewiseTap:
    """Keep all of it, for what goes through the blocks backwards."""
    return tap


class Look(NamedTuple):
    """What the CLS tokens read in one block."""

    maps: np.ndarray
    """[heads, T, from, N - 1] attention mass on the patches; NaN where there is no map."""
    cls: np.ndarray
    """[heads, T, from] on CLS tokens."""
    nowhere: np.ndarray
    """[heads, T] on values from no frame; 1 where all are."""
    alike: np.ndarray
    """[heads, T] 1 where nothing is compared, so that all values are read alike."""
    share: np.ndarray
    """[heads, T, from] of the tokens: what uniform attention would read."""


def read_from(tap: FramewiseTap) -> Tensor:
    """[T, heads, from, N] bool: whether a value is of the previous, its own or the next frame."""
    source = tap.value_frames
    offset = source - torch.arange(len(source), device=source.device)[:, None, None]
    return torch.stack([(offset == step) & (source >= 0) for step in (-1, 0, 1)], 2)


def look(tap: FramewiseTap) -> Look:
    """Reduce one block to what its CLS tokens read."""
    rows = tap.rows(torch.zeros(1, dtype=torch.long, device=tap.query.device))[0, :, :, 0]  # [T, heads, N]
    source, here = tap.value_frames, read_from(tap)
    blind, nothing = rows.isnan().all(-1), (source < 0).all(-1)
    read = torch.where(here, rows[:, :, None], 0.0).masked_fill(blind[:, :, None, None], float("nan")).transpose(0, 1)
    lost = torch.where(source < 0, rows, 0.0).sum(-1)
    lost = lost.masked_fill(blind & ~nothing, 0.0).masked_fill(blind & nothing, 1.0)
    parts = read[..., 1:], read[..., 0], lost.T, (blind & ~nothing).float().T, here.float().mean(-1).transpose(0, 1)
    return Look(*(part.float().cpu().numpy() for part in parts))


def neighbour_attention(looks: Sequence[Look], grid: tuple[int, int], made_by: MadeBy) -> Explanation:
    """Where the CLS token of each frame looks: explanation [layer, head, frame, from, y, x].

    Companions: the other fields of `Look`, with the layer in front.
    """
    together = Look(*(np.stack(part) for part in zip(*looks, strict=True)))
    count = together.maps.shape[-1] + 1
    return Explanation(
        kind="neighbour attention",
        values=together.maps.reshape(*together.cls.shape, *grid),
        axes=(Axis("layer"), Axis("head"), Axis("frame"), Axis("from", FROM), Axis("y"), Axis("x")),
        unit="attention mass",
        made_by=made_by,
        base_rate=np.full((), 1 / count, np.float32),
        base_rate_of="uniform attention over the tokens of the frame that the head reads",
        companions={name: part for name, part in together._asdict().items() if name != "maps"},
    )


def frame_reading(looks: Explanation) -> Explanation:
    """Which frames each head reads: explanation [layer, head, query, query frame, frame], as of temporal attention.

    Where nothing is compared the values of the own frame are read alike; what falls on no frame is in no column. The
    base rate is uniform attention over what the head can read there: a head that reads one frame has no choice.
    """
    mass = np.nan_to_num(looks.values).sum(axis=(-2, -1)) + np.nan_to_num(looks.companions["cls"])
    mass = mass + looks.companions["alike"][..., None] * looks.companions["share"]
    return Explanation(
        kind="temporal_windows",
        values=_by_frame(mass),
        axes=(Axis("layer"), Axis("head"), Axis("query", ("cls",)), Axis("query frame"), Axis("frame")),
        unit="attention mass",
        made_by=looks.made_by,
        base_rate=_by_frame(looks.companions["share"]),
        base_rate_of="uniform attention over the tokens that the head can read",
    )


def _by_frame(mass: np.ndarray) -> np.ndarray:
    """[layer, head, T, from] -> [layer, head, 1, T, T]."""
    layers, heads, frames, _ = mass.shape
    table = np.zeros((layers, heads, 1, frames, frames), np.float32)
    for t in range(frames):
        for index, step in enumerate((-1, 0, 1)):
            if 0 <= t + step < frames:
                table[:, :, 0, t, t + step] += mass[:, :, t, index]
    return table


Rows = Callable[[FramewiseTap], Tensor]
"""How much each query takes from each value of its frame, [T, heads, N, N]."""


def carry(config: FrameWiseConfig, taps: Sequence[FramewiseTap], relevance: Tensor, rows: Rows) -> Tensor:
    """Relevance [T, N] of the tokens that leave the last block -> of those that enter the first.

    Each attention adds a token's relevance, times `rows` and averaged over heads, to the values that were read, in the
    frames they are from. TokenShift hands the CLS token's over by the share of its channels. What comes from no frame
    is lost, so that the sum may fall.
    """
    for tap in reversed(taps):
        relevance = _unshift(config, relevance)
        taken = rows(tap)
        given = torch.einsum("tn,thnm->thm", relevance, taken) / taken.shape[1]
        source, token = tap.value_frames, torch.arange(taken.shape[-1], device=taken.device)
        real = source >= 0
        index = (source * taken.shape[-1] + token)[real]
        arrived = torch.zeros_like(relevance).flatten().index_add_(0, index, given[real]).view_as(relevance)
        relevance = _unshift(config, relevance + arrived)
    return relevance


def _unshift(config: FrameWiseConfig, relevance: Tensor) -> Tensor:
    """[..., T, N] back through TokenShift: a part of the CLS token's channels was that of its neighbours."""
    if config.mixing != "tokenshift":
        return relevance
    share = (config.dim // config.fold) / config.dim
    cls = relevance[..., 0]
    back = (1 - 2 * share) * cls
    back[..., 1:] += share * cls[..., :-1]  # the channels that frame t took from t + 1 belong to t + 1
    back[..., :-1] += share * cls[..., 1:]
    if config.boundary == "self":
        back[..., -1] += share * cls[..., -1]
        back[..., 0] += share * cls[..., 0]
    relevance = relevance.clone()
    relevance[..., 0] = back
    return relevance


def transfer(tap: FramewiseTap) -> Tensor:
    """What attention takes in one block, [T, from, N, N]: the mass that each token of a frame gives to each value of
    the previous, its own and the next frame, averaged over heads. What falls on no frame is in none."""
    rows = _masses(tap)
    return torch.einsum("thnm,thsm->tsnm", rows, read_from(tap).to(rows.dtype)) / rows.shape[1]


def rollout_through_time(config: FrameWiseConfig, blocks: Sequence[Tensor]) -> np.ndarray:
    """Attention rollout of every single frame, [T, T, N]: of the CLS token of frame t after the last block, how much
    comes from each token of each frame before the first. `blocks`: of `transfer`.

    Every head counts alike and its mass is 1, so how much comes from a frame as a whole is nearly the same for every
    clip and all weights: it says how the network is built. What was learned is where in the frame it comes from. Only
    values are followed; a frame that sends queries or keys alone has nothing here, and may still be in the `cone`.
    """
    frames, count = len(blocks[0]), blocks[0].shape[-1]
    relevance = blocks[0].new_zeros(frames, frames, count)
    relevance[torch.arange(frames), torch.arange(frames), 0] = 1
    with torch.autocast(relevance.device.type, enabled=False):
        for block in reversed(blocks):
            relevance = _unshift(config, relevance)
            before, arrived, after = torch.einsum("atn,tsnm->satm", relevance, block)
            arrived[:, :-1] += before[:, 1:]
            arrived[:, 1:] += after[:, :-1]
            relevance = _unshift(config, KEPT * relevance + (1 - KEPT) * arrived)
    return relevance.cpu().numpy()


def cone(config: FrameWiseConfig, frames: int) -> np.ndarray:
    """[layers + 1, T, T] bool: after l blocks, can frame s of the clip change the CLS token of frame t?

    Any of query, key and value counts: a key decides how much of a value is read.
    """
    heads, patches = config.heads, (config.size // config.patch) ** 2
    chosen = slice(1, None) if config.across == "patches" else EVERY
    sources = config.mix.sources(frames, 1 + patches, heads, chosen, torch.device("cpu"))
    own = np.eye(frames, dtype=bool)
    cls, patch = np.zeros((frames, frames), bool), own  # the CLS token enters with nothing of the clip
    # [T, T] bool: from which frames some head of frame t takes a query, or keys and values
    asks, reads = np.zeros((frames, frames), bool), np.zeros((frames, frames), bool)
    for part, source in enumerate(sources):
        table = asks if part == 0 else reads
        for t in range(frames):
            found = source[t].unique()
            table[t, found[found >= 0].numpy()] = True
    shift = own | np.eye(frames, k=1, dtype=bool) | np.eye(frames, k=-1, dtype=bool)

    def stream(x: np.ndarray) -> np.ndarray:
        return (shift @ x) if config.mixing == "tokenshift" and config.dim >= config.fold else x

    found = [cls]
    for _ in range(config.layers):
        cls = stream(cls)
        everything = reads @ (cls | patch)
        cls, patch = cls | everything | asks @ cls, patch | everything | asks @ patch
        cls = stream(cls)
        found.append(cls)
    return np.stack(found)


def reads_whom(tap: FramewiseTap) -> np.ndarray:
    """[reader, read] over CLS tokens and patches: mean attention mass in one block. Readers without a map are left
    out."""
    # frame by frame: the rows of all of them are the largest thing of ViT-B/16
    each = (attention_rows(query, key, None)[..., 0] for query, key in zip(tap.query[0], tap.key[0], strict=True))
    shown = tap.mapped.float()
    to_cls = torch.stack(list(each)) * shown  # [T, heads, N]
    share = [float(to_cls[..., who].sum() / shown[..., who].sum()) for who in (slice(0, 1), slice(1, None))]
    return np.array([[each, 1 - each] for each in share], np.float32)


def framewise_flow(blocks: Sequence[np.ndarray], count: int, made_by: MadeBy) -> Explanation:
    """Who reads whom: explanation [layer, attention, reader, read] over CLS tokens and patches, as of the deformable
    transformer. `blocks`: of `reads_whom`; `count`: tokens of a frame."""
    names, share = ("cls", "patch"), 1 / count
    return Explanation(
        kind="token_flow",
        values=np.stack(blocks)[:, None],
        axes=(Axis("layer"), Axis("attention", ("frame",)), Axis("reader", names), Axis("read", names)),
        unit="attention mass",
        made_by=made_by,
        base_rate=np.broadcast_to(np.array([share, 1 - share], np.float32), (len(blocks), 1, 2, 2)),
        base_rate_of="share of each kind among the keys",
    )


# ---- as methods -----------------------------------------------------------------------------------------------------


def neighbours(question: Question, on: str) -> Explanation:
    """Attention mass that the CLS tokens of all frames give to each patch of each frame, averaged over heads, blocks
    and CLS tokens."""
    made_by = question.made_by("neighbour attention")
    _, blocks = listen(question.recognizer, question.clip, question.view, look)
    question.progress(1, 1)
    looks = neighbour_attention(blocks, grid_of(question.recognizer, question.view), made_by)
    by_patch = np.nan_to_num(looks.values).mean(axis=(0, 1))  # [T, from, y, x]
    total = np.zeros_like(by_patch[:, 1])
    for index, step in enumerate((-1, 0, 1)):
        for t in range(len(total)):
            if 0 <= t + step < len(total):
                total[t + step] += by_patch[t, index]
    total /= len(total)
    uniform = float(looks.base_rate) / len(total)
    about: dict[str, Any] = {"base_rate_of": "uniform attention of every frame to itself"}
    if on == "time":
        return question.frame_map(
            total.sum(axis=(1, 2)), made_by, looks.unit, base_rate=uniform * total[0].size, **about
        )
    return question.pixel_map(total, made_by, looks.unit, base_rate=uniform, **about)


def framewise_rollout(question: Question, on: str) -> Explanation:
    """Attention rollout from the CLS tokens of all frames, which the head averages, to the patches of all frames."""
    network = question.recognizer.network
    assert isinstance(network, FrameWise)
    _, blocks = listen(question.recognizer, question.clip, question.view, transfer)
    question.progress(1, 2)
    found = rollout_through_time(network.config, blocks).mean(0)
    question.progress(2, 2)
    made_by = question.made_by("attention rollout", kept=KEPT)
    return _map(question, on, torch.from_numpy(found), made_by, "attention mass")


def framewise_gradient_x_attention(question: Question, on: str) -> Explanation:
    """Chefer's rule, from the positive parts of the score that the CLS tokens of the frames make."""
    network = question.recognizer.network
    assert isinstance(network, FrameWise)
    taps: dict[str, Any] = {}

    def record(name: str, value: Any) -> Any:
        if isinstance(value, FramewiseTap) or name == HEAD_TOKENS:
            taps[name] = value
        elif name in (tokens_tap(0, "patches"), tokens_tap(0, "modal")):
            torch.set_grad_enabled(True)  # the graph begins here; leaving no_grad below ends it
            return value.detach().requires_grad_()
        return None

    with torch.no_grad(), recording(record):
        explained = question.score(network(*question.tensors)).sum()
    question.progress(1, 3)
    blocks = [taps[framewise_attention_tap(i)] for i in range(network.config.layers)]
    head = taps[HEAD_TOKENS]
    gradients = torch.autograd.grad(explained, [head, *(tap.attended for tap in blocks)])
    changes = dict(zip(map(id, blocks), gradients[1:], strict=True))
    question.progress(2, 3)

    def rows(tap: FramewiseTap) -> Tensor:
        return (_masses(tap) * (changes[id(tap)][0] @ tap.value[0].transpose(-1, -2))).clamp_min(0)

    with torch.no_grad():
        parts = (gradients[0] * head)[0, :, 0].sum(-1).clamp_min(0)  # [T]
        parts = parts / parts.sum() if parts.sum() > 0 else torch.full_like(parts, 1 / len(parts))
        start = torch.zeros_like(blocks[0].query[0, :, 0, :, 0]).double()
        start[:, 0] = parts
        # what attention has added: without it, nearly all of the map would be the start itself
        found = carry(network.config, blocks, start, lambda tap: rows(tap).double())
        plain = carry(network.config, blocks, start, lambda tap: torch.zeros_like(rows(tap)).double())
    question.progress(3, 3)
    made_by = question.made_by("gradient x attention", start="positive parts of the score")
    return _map(question, on, found - plain, made_by, "relevance")


def _masses(tap: FramewiseTap) -> Tensor:
    return attention_rows(tap.query[0], tap.key[0], None)


def _map(question: Question, on: str, found: Tensor, made_by: MadeBy, unit: str) -> Explanation:
    """Relevance [T, N] as the map that was asked for."""
    values = found.float().cpu().numpy()
    cls, patches = values[:, :1], values[:, 1:].reshape(len(values), *grid_of(question.recognizer, question.view))
    about: dict[str, Any] = {"base_rate_of": "the same relevance spread evenly over the map"}
    if on == "frames":
        return question.pixel_map(patches, made_by, unit, base_rate=patches.mean(), **about)
    if on == "modal":
        return question.token_map(cls, ("cls",), made_by, unit, base_rate=cls.mean(), **about)
    raise ValueError(f"{made_by.method} of a frame-wise ViT, which reads no joints, explains frames and modal.")


METHODS = (
    Method(
        "neighbour attention", "evidence", "How much the class tokens read each patch, in whichever frame it lies.",
        "attention mass", ("frames", "time"), "1 forward", neighbours, needs=("mixing",), signed=False,
    ),
)  # fmt: skip
