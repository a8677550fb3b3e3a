"""What a panel shows of an evidence: one block, one query or their mean, one head or their mean; and its frame."""

from __future__ import annotations

import numpy as np

from xai.evidence import Evidence
from xai.explanation import Explanation
from xai.figures.sentence import hardest, over_time, point_frames, token_name


def layer_of(explanation: Explanation, layer: int | None) -> int:
    """Index of a layer counted from 1; the last by default."""
    layers = explanation.values.shape[0]
    if layer is not None and not 1 <= layer <= layers:
        raise ValueError(f"layer is {layer}, and the network has {layers}.")
    return layers - 1 if layer is None else layer - 1


def one_query(
    explanation: Explanation, query: str | None, head: int | None = None
) -> tuple[np.ndarray, np.ndarray, str]:
    """(values, base rate, who reads): of one head (counted from 1) or the mean over all of them, and of one named query
    or the mean of all."""
    axis = explanation.axis("head")
    base = np.broadcast_to(explanation.base_rate, explanation.values.shape)
    heads = explanation.values.shape[axis]
    if head is not None and not 1 <= head <= heads:
        raise ValueError(f"head is {head}, and the network has {heads}.")
    of_heads = (lambda a: a.mean(axis)) if head is None else (lambda a: a.take(head - 1, axis))
    values, base = of_heads(explanation.values), of_heads(base)
    left = [each for index, each in enumerate(explanation.axes) if index != axis]
    axis = next(index for index, each in enumerate(left) if each.name == "query")
    labels = left[axis].labels
    only = "" if head is None else f", head {head}"
    if query is None:
        return values.mean(axis), base.mean(axis), "mean of " + " and ".join(map(token_name, labels)) + only
    if query not in labels:
        raise ValueError(f"query is {query!r}, and the tokens that read here are {', '.join(labels)}.")
    index = labels.index(query)
    return values.take(index, axis), base.take(index, axis), token_name(query) + only


def of_heads(head: int | None) -> str:
    """For a caption."""
    return "mean of heads" if head is None else f"head {head}"


def heaviest(
    evidence: Evidence, layer: int | None, query: str | None, most: int, head: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, str]:
    """(number [k], mass [P], (place, reference) [2, P, 3], base rate, who reads) of the k points of most mass."""
    points = evidence.sampling_points
    if points is None:
        raise ValueError("This network has no 3D token search, so it has no sampling points.")
    index = layer_of(points, layer)
    values, base, who = one_query(points, query, head)
    mass = values[index].mean(0)  # over query frames
    chosen = np.argsort(-mass, kind="stable")[:most]
    both = np.stack([points.companions["place"][index], points.companions["reference"][index]])
    return chosen, mass, both, float(base[index].mean()), f"block {index + 1}, {who}"


def joints_read(
    evidence: Evidence, layer: int | None, query: str | None, head: int | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """(attention mass, its uniform level) of joints, [T, M, J] each; None where no joint was seen, or none is read."""
    curves = evidence.joint_curves
    if curves is None or not evidence.clip.score.any():
        return None
    if query is not None and query not in curves.axes[curves.axis("query")].labels:
        return None
    values, base, _ = one_query(curves, query, head)
    index = layer_of(curves, layer)
    return values[index], base[index]


def over_uniform(mass: np.ndarray, uniform: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """How many times its uniform level each mass is; NaN where a joint was not seen, 0 where it could not be read.

    Windows hold different numbers of joints, so equal attention gives joints of small windows more: divided out.
    """
    times = np.divide(mass, uniform, out=np.zeros(mass.shape), where=uniform > 0)
    return np.where(seen, times, np.nan)


def uniform_on(end: float) -> str:
    """For a caption: where uniform attention is on a scale that ends at `end` times it, which may be short of it."""
    if end > 1:
        return "the mark on its scale is uniform attention"
    return f"uniform attention lies above its scale, at {1 / max(end, 1e-12):.2g} times its end"


def peak(evidence: Evidence, layer: int | None, query: str | None, head: int | None) -> int | None:
    """The frame that the sentence above the player is about: where the joints that stand out were read most, else where
    the points lie that were. None for a network that reads neither."""
    clip, over = evidence.clip, None
    if evidence.sampling_points is not None:
        _, mass, both, _, _ = heaviest(evidence, layer, query, 0, head)
        over = point_frames(mass, both[0, :, 0], len(clip))
    if (found := joints_read(evidence, layer, query, head)) is not None:
        layout = clip.layout
        standing = hardest(*found, layout.joints, [name for name, _ in layout.limbs], layout.limb_of)
        if standing is not None and (standing.out or over is None):
            over = over_time(standing, found[0])
    return None if over is None else int(over.argmax())


def shown_frame(frame: int | None, total: int, strongest: int | None) -> int | None:
    """Index of a frame counted from 1; the strongest one by default."""
    if frame is not None and not 1 <= frame <= total:
        raise ValueError(f"frame is {frame}, and the network read {total}.")
    return strongest if frame is None else frame - 1
