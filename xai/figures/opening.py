"""What the player opens with: its choices, its first view, and the words that do not change while one looks.

The query "own" stands for "each attention's own reader", where no token takes part in both deformable and joint
attention (the variant without modal tokens).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from training.clip import Clip
from xai.explanation import FRAMEWISE, Explanation
from xai.figures.sentence import (
    SEEN,
    WHOLE_POSE,
    Pieces,
    hardest,
    over_time,
    point_frames,
    read_joints,
    read_points,
    reader,
    said,
    times,
    token_name,
)

if TYPE_CHECKING:
    from xai.evidence import Evidence

ABSENT = {
    "points": "This variant searches no tokens, so there are no sampling points to draw.",
    "joints": "This variant has no joint stride attention, so no joint has attention mass.",
}
PIXELS_ONLY = (
    "Pixels only, frame by frame: no point is searched and no joint is read; the skeleton is drawn beside. The page "
    "Temporal shows what the heads of such networks read around each patch."
)
NO_SKELETON = "No joint was seen in this clip, so there is no attention on joints to show."
UNTRAINED = "These weights were never trained: what they read explains nothing."
BOXES = ("frame", "early", "late", "point", "skeleton", "joint", "patch", "head")
"""Of the drawn model, that light what they stand for."""
MODES = {"none": "M: none, tokens are averaged", FRAMEWISE: "one for each frame:"}
ATTENTIONS = {
    "deformable": (
        "sampling_points",
        "3D deformable",
        "3D deformable attention reads Z at the places that 3DTS (3D token search) found.",
    ),
    "joint": (
        "joint_curves",
        "joint stride",
        "Joint stride attention reads pose tokens in windows of neighbouring joints.",
    ),
    "temporal": (
        "temporal_windows",
        "temporal stride",
        "Temporal stride attention reads all tokens in windows of neighbouring frames.",
    ),
    "frame": (
        "temporal_windows",
        "frame by frame",
        "Attention among the tokens of one frame, where MSCA puts in some of the frames beside it.",
    ),
}


def opening(evidence: Evidence, seen: bool, labels: list[str]) -> dict[str, Any]:
    """`boxes`: what the boxes of the drawn model light; `lists`: what can be chosen, and its `names` where they are
    more than numbers; `start`: the first state; `said`: words by their place on the page; `sentences`
    [layer][head][query]: `Pieces`, head 0 is the mean of the heads."""
    points, curves = evidence.sampling_points, evidence.joint_curves if seen else None
    both = [part for part in (points, curves) if part]
    parts = [part for part in (evidence.temporal_windows, *both) if part]
    named = [*evidence.model.get("queries", ()), *(query for part in parts for query in queries_of(part))]
    queries = list(dict.fromkeys(named))
    if not any(all(query in queries_of(part) for part in both) for query in queries):
        queries.insert(0, "own")
    layers, heads = parts[0].values.shape[:2] if parts else (evidence.model["layers"], evidence.model["heads"])
    views = [
        [[_view(evidence, seen, layer, head, query) for query in queries] for head in range(heads + 1)]
        for layer in range(layers)
    ]
    start = said(labels[0], float(evidence.probabilities[evidence.top]), evidence.clip.label or "")
    clip = evidence.clip
    joints = len(clip.layout)
    asked = 0 if evidence.looks is None else len(clip) * len(evidence.looks.readers)
    searched = 0 if points is None else points.values.shape[-1]
    counts = {"joint": joints * seen, "point": searched, "patch": asked * (searched > 0)}
    lit = {kind: count for kind, count in counts.items() if count}
    people = [m for m in range(clip.people) if (clip.score[:, m] > 0).any()]
    over = views[-1][0][0][1]
    lists = {
        "frame": list(range(len(clip))),
        "joint": [None, *(person * joints + joint for person in people for joint in range(joints))],
        "person": people,
        "layer": list(range(layers)),
        "head": [-1, *range(heads)],
        "query": queries,
        "label": labels,
        "lit": [None, *lit],
        **{switch: [False, True] for switch in ("ghost", "eachFrame", "heat")},
        "point": list(range(lit.get("point", 0))),
        "patch": list(range(lit.get("patch", 0))),
    }
    names = {
        "joint": ["no joint", *(_joint_names(clip, people))],
        "layer": [f"block {layer + 1}" for layer in range(layers)],
        "head": ["mean of heads", *(f"head {head + 1}" for head in range(heads))],
        "query": [f"query {token_name(query)}" for query in queries],
        "label": [f"class {label}" for label in labels],
    }
    return {
        "layers": layers,
        "heads": heads,
        "names": names,
        "queries": queries,
        "sentences": [[[start + pieces for pieces, _ in row] for row in rows] for rows in views],
        "said": _said(evidence, seen, people),
        "lattice": lattice(evidence),
        "boxes": [None, *BOXES],
        "lists": lists,
        "start": {
            "frame": 0 if over is None else int(over.argmax()),
            "joint": None,
            "person": people[0] if people else 0,
            "layer": layers - 1,
            "head": -1,
            "query": queries[0],
            "label": labels[0],
            "count": 2 ** int(math.log2(max(32, searched / 10))),
            **dict.fromkeys(("lit", "point", "patch")),
            **dict.fromkeys(("ghost", "eachFrame", "heat"), False),
        },
    }


def _joint_names(clip: Clip, people: list[int]) -> list[str]:
    named = [(name, f" (person {person + 1})" * (len(people) > 1)) for person in people for name in clip.layout.joints]
    return [name + person for name, person in named]


def queries_of(part: Explanation) -> list[str]:
    index = part.axis("query")
    return list(part.axes[index].labels) or [f"query {i + 1}" for i in range(part.values.shape[index])]


def _reads(part: Explanation, query: str) -> int | None:
    """The place of a query among those that read in `part`; None when it takes no part in that attention."""
    names = queries_of(part)
    return names.index(query) if query in names else 0 if query == "own" else None


def _view(evidence: Evidence, seen: bool, layer: int, head: int, query: str) -> tuple[Pieces, np.ndarray | None]:
    """What the sentence says of one view, and the mass [T] that it is about. Head 0 is the mean of the heads."""
    points, curves = evidence.sampling_points, evidence.joint_curves if seen else None
    chosen = layer, slice(head - 1, head) if head else slice(None)
    over = None
    if points and (read := _reads(points, query)) is not None:
        mass = points.values[(*chosen, read)].mean((0, 1))
        over = point_frames(mass, points.companions["place"][layer, :, 0], len(evidence.clip))
        about = read_points(queries_of(points)[read], over)
    if curves and (read := _reads(curves, query)) is not None:
        mass = curves.values[(*chosen, read)].mean(0)
        uniform = np.broadcast_to(curves.base_rate, curves.values.shape)[layer, 0, read]
        layout = evidence.clip.layout
        found = hardest(mass, uniform, layout.joints, [name for name, _ in layout.limbs], layout.limb_of)
        if found:
            about = read_joints(queries_of(curves)[read], found, mass)
            over = over_time(found, mass) if found.out or over is None else over
    if over is None and evidence.model["token_mode"] == FRAMEWISE:
        return [("It sees pixels only: its class tokens read patches, frame by frame.", False)], None
    if over is None:
        return [(f"Its {reader(query)} reads neither points nor joints here." if seen else NO_SKELETON, False)], None
    return [*about, (f" (block {layer + 1}, {f'head {head}' if head else 'mean of heads'})", False)], over


def _said(evidence: Evidence, seen: bool, people: list[int]) -> dict[str, str]:
    """Words by the name of their place in player.html."""
    clip, model = evidence.clip, evidence.model
    height, width = clip.size

    def apart(part: Explanation | None, attention: str, absent: str) -> str:
        if part is None:
            return absent
        return f"This query takes no part in {attention}; choose {' or '.join(map(token_name, queries_of(part)))}."

    no_joints = ABSENT["joints"] if seen else NO_SKELETON
    warnings = [
        square_said(evidence) if model.get("fit") == "person" and seen else "",
        SEEN.get(model.get("reads", ""), ""),
        WHOLE_POSE if model.get("whole_pose") and seen else "",
    ]
    return {
        "name": str(model.get("name") or model["token_mode"]),
        "frames": f"{len(clip)} of {width}×{height}",
        "joints": f"{len(people)} × {len(clip.layout)}" if seen else "none seen",
        "modes": MODES.get(model["token_mode"], "M: modal tokens"),
        "patches": f"{model.get('patch')} × {model.get('patch')} px each",
        "pooled": "mean of all frames ↓ " if model["token_mode"] == FRAMEWISE else "",
        "answer": f"{evidence.labels[evidence.top]}: logit {evidence.ledger.companions['logits'][evidence.top]:.2f}",
        "warning": " ".join(filter(None, warnings)) if model.get("trained_on") else UNTRAINED,
        "noPoints": apart(
            evidence.sampling_points,
            "3D deformable attention",
            PIXELS_ONLY if model["token_mode"] == FRAMEWISE else ABSENT["points"],
        ),
        "noCurves": apart(evidence.joint_curves if seen else None, "joint stride attention", no_joints),
        "noJoints": "" if seen else NO_SKELETON,
    }


def square_said(evidence: Evidence) -> str:
    """What a network sees whose pictures are cut out around the joints."""
    out = 1 - _inside(evidence)
    black = f", {100 * out:.0f} % of it beyond the frame, which is black for the network" if out >= 0.005 else ""
    return f"It sees a square around the joints, the same in all frames{black}; what is darkened it does not see."


def points_beyond(place: np.ndarray, size: tuple[int, int]) -> int:
    """How many points [P, 3] (t, x, y) lie outside a frame of `size` (height, width)."""
    edge = np.array(size[::-1]) - 0.5
    return int(np.any((place[:, 1:] < -0.5) | (place[:, 1:] > edge), axis=-1).sum())


def _inside(evidence: Evidence) -> float:
    """Which part of what the network sees lies in the frame."""
    box = np.asarray(evidence.box, float)
    low, high = box.min(0), box.max(0)
    frame = np.array(evidence.clip.size[::-1]) - 0.5
    shared = np.maximum(np.minimum(high, frame) - np.maximum(low, -0.5), 0)
    return float(np.prod(shared) / np.prod(high - low))


def lattice(evidence: Evidence) -> dict[str, str]:
    """Where the features and patches of a frame lie, as a style: one tile of its background is one of them."""
    size, patch = evidence.model.get("size"), evidence.model.get("patch")
    if not size:
        return {}
    corners = (np.asarray(evidence.box, float)[[0, 2]] + 0.5) / evidence.clip.size[::-1]  # corners are edges
    steps = {"patch": patch} if patch else {"early": 2, "late": 8, "patch": 8}
    found = {}
    for name, step in steps.items():
        # The features of the backbone lie on pixels of the model's input, the patches of a ViT side by side.
        shift = 0.0 if patch else 0.5 - step / 2
        count = np.array([size[1] // step, size[0] // step])
        pixel = (corners[1] - corners[0]) / (size[1], size[0])
        (left, top), (width, height) = 100 * (corners[0] + shift * pixel), 100 * count * step * pixel
        tiles = " ".join(f"calc(100% / {n})" for n in count)
        cut = (
            -top / height,
            (left + width - 100) / width,
            (top + height - 100) / height,
            -left / width,
        )  # by the frame
        edges = " ".join(f"{100 * max(part, 0):.2f}%" for part in cut)
        found[name] = (
            f"left:{left:.3f}%;top:{top:.3f}%;width:{width:.3f}%;height:{height:.3f}%;background-size:{tiles};"
            f"clip-path:inset({edges})"
        )
    return found


def frames_said(evidence: Evidence) -> list[str]:
    clip = evidence.clip
    return [
        f"Frame {t + 1} of {len(clip)}, {time:.2f} s (source frame {source})"
        for t, (time, source) in enumerate(zip(clip.time - clip.time[0], evidence.frame_index, strict=True))
    ]


def unread(evidence: Evidence) -> str:
    """The part of the frame that the model did not see, as a clip-path of the style sheet."""
    height, width = evidence.clip.size
    corners = [(0, 0), (100, 0), (100, 100), (0, 100), (0, 0)]
    box = (np.asarray(evidence.box, float) + 0.5) * 100 / (width, height)  # corners are edges, half a pixel off centres
    path = [*corners, *box.clip(0, 100).tolist(), box[0].clip(0, 100).tolist()]
    return f"polygon(evenodd, {', '.join(f'{x:.2f}% {y:.2f}%' for x, y in path)})"


def flow(evidence: Evidence, queries: list[str]) -> dict[str, Any]:
    """`reads` [layer]: what each query reads in each attention, by kind of token, most first."""
    names = {axis.name: list(axis.labels) for axis in evidence.token_flow.axes}
    values = np.nan_to_num(evidence.token_flow.values)

    def of(layer: int, attention: str, query: str) -> dict[str, Any]:
        part = getattr(evidence, ATTENTIONS[attention][0])
        readers = names["reader"]
        own = queries_of(part)[0] if query == "own" and part is not None else query
        row = values[layer, names["attention"].index(attention), readers.index(own)] if own in readers else ()
        parts = [(names["read"][i], float(f"{row[i]:.4g}")) for i in np.argsort(row)[::-1] if row[i] > 0]
        words = [f"{token_name(kind)} {times(mass)}" for kind, mass in parts]
        all_ = f"{', '.join(words)} (attention mass, sums to 1)" if words else "nothing"
        return {
            "text": f"reads {words[0]}" if words else "does not read here",
            "title": f"{ATTENTIONS[attention][2]} {token_name(query)} reads {all_}.",
            "parts": parts,
        }

    return {
        "kinds": names["read"],
        "reads": [
            [
                {"name": title, "by": {query: of(layer, attention, query) for query in queries}}
                for attention, (_, title, _) in ATTENTIONS.items()
                if attention in names["attention"]
            ]
            for layer in range(len(values))
        ],
    }


def looks_said(looks: Mapping[str, Any] | None, budget: int) -> str:
    """What the page shows of the token under the pointer, and what did not fit."""
    if looks is None:
        return (
            f"What single patches, points and joints read is left out: with it this clip takes more than "
            f"{budget / 1e6:.1f} MB."
        )
    heads = "in the chosen head" if looks["heads"] else "in the mean of the heads, whichever head is chosen"
    return f"Hover over a patch, point or joint, or press t: where it looks, {heads}."


def points_said(about: Mapping[str, float], uniform: float, left_out: int) -> str:
    """What is said of the points of one layer."""
    shift = f"{times(about['frames'])} frames, {times(about['x'])} × {times(about['y'])} px"
    kept = f" {left_out} points with the least mass were not sent." if left_out else ""
    if about["beyond"]:
        kept += f" {about['beyond']:.0f} of the points lie beyond the frame and are not drawn."
    return (
        f"Uniform: {times(uniform)} each. Hair: dot to reference, mean shift {shift}. Square: held at the edge "
        f"({about['clamped']:.0f}). Another query weighs the same points anew.{kept}"
    )
