"""Evidence with known places: a painted figure swings its right arm, and a made-up model reads it.

Nothing here comes from a network. The point is that everything on screen can be checked against what was painted:
attention falls off with the distance (in space and time) to the right wrist around the middle of the clip, and the
parts of the ledger add up to the logits exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from training.clip import Clip
from training.skeleton import JHMDB
from xai.evidence import Evidence
from xai.explanation import Axis, Explanation, MadeBy
from xai.looks import Looks

CLASSES = ("golf", "swing baseball", "wave", "pick", "shoot bow", "throw", "catch", "clap")
WRIST = JHMDB.joints.index("right wrist")
LIMB_COLOURS = ((214, 190, 160), (70, 110, 160), (190, 90, 70), (60, 80, 120), (120, 70, 80))


def figure(t: int, frames: int, height: int, width: int, person: int) -> np.ndarray:
    """[15, 2] joints (x, y) of one person at frame `t`: still, except for the right arm and a small sway."""
    scale, phase = height / 100, t / max(1, frames - 1)
    centre = width * (0.42 if person == 0 else 0.8) + 4 * scale * np.sin(2 * np.pi * phase + person)
    swing = np.radians(-70 + 190 * phase) if person == 0 else np.radians(80.0)
    shoulder = np.array([-9.0, 30.0])
    elbow = shoulder + 15 * np.array([-np.cos(swing) * 0.7, np.sin(swing)])
    wrist = elbow + 16 * np.array([-np.cos(swing), np.sin(swing)])
    body = {
        "neck": (0, 27), "belly": (0, 47), "face": (0, 15), "right shoulder": shoulder, "left shoulder": (9, 30),
        "right hip": (-6, 56), "left hip": (6, 56), "right elbow": elbow, "left elbow": (15, 43),
        "right knee": (-8, 74), "left knee": (8, 74), "right wrist": wrist, "left wrist": (18, 57),
        "right ankle": (-9, 92), "left ankle": (10, 92),
    }  # fmt: skip
    places = np.array([body[name] for name in JHMDB.joints], dtype=np.float64)
    return (places * scale * (1 if person == 0 else 0.8) + (centre, height * (0.0 if person == 0 else 0.17))).astype(
        np.float32
    )


def painted_clip(frames: int = 12, height: int = 96, width: int = 128, people: int = 1) -> Clip:
    """A clip whose joints are exact: the figure is painted where the joints say."""
    joints = np.stack(
        [[figure(t, frames, height, width, m) for m in range(people)] for t in range(frames)]
        if people
        else np.zeros((frames, 0, 15, 2), np.float32)
    ).astype(np.float32)
    rows = np.linspace(0, 1, height)[:, None, None]
    scene = np.broadcast_to((1 - rows) * (176, 190, 196) + rows * (120, 138, 118), (height, width, 3)).astype(np.uint8)
    images = []
    for t in range(frames):
        image = np.ascontiguousarray(scene)
        cv2.rectangle(image, (0, int(0.86 * height)), (width, height), (96, 108, 84), -1)
        for m in range(people):
            for limb, (_, members) in enumerate(JHMDB.limbs):
                for a, b in JHMDB.bones:
                    if b in members:
                        ends = [tuple(int(v) for v in joints[t, m, j]) for j in (a, b)]
                        cv2.line(image, *ends, LIMB_COLOURS[limb], max(2, height // 18), cv2.LINE_AA)
            face = tuple(int(v) for v in joints[t, m, 2])
            cv2.circle(image, face, max(2, height // 14), (214, 178, 150), -1, cv2.LINE_AA)
        images.append(image)
    score = np.full((frames, people, 15), 0.95, np.float32)
    if people:
        score[:, :, JHMDB.joints.index("left ankle")] = 0.2
        score[: frames // 3, 0, JHMDB.joints.index("left wrist")] = 0
    return Clip(np.stack(images), joints, score, JHMDB, np.arange(frames) / 12.0, label="golf", name="painted figure")


def _made_by(clip: Clip, method: str) -> MadeBy:
    return MadeBy(checkpoint="0123456789abcdef", clip=clip.fingerprint, method=method)


def _normalised(weights: np.ndarray, axes: int | tuple[int, ...], total: float) -> np.ndarray:
    return weights / weights.sum(axis=axes, keepdims=True) * total


def sampling_points(
    clip: Clip, layers: int, heads: int, queries: tuple[str, ...], grid: tuple[int, int, int], seed: int
) -> Explanation:
    """A reference grid pulled towards the right wrist (the middle of the frame without one)."""
    rng = np.random.default_rng(seed)
    (height, width), T = clip.size, len(clip)
    axes = [(np.arange(n) + 0.5) * full / n - 0.5 for n, full in zip(grid, (T, height, width), strict=True)]
    t, y, x = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
    reference = np.broadcast_to(np.stack([t, x, y], -1), (layers, t.size, 3))
    goal = np.array([T * 0.55, width * 0.5, height * 0.5])
    if clip.people:
        goal[1:] = clip.joints[int(goal[0]), 0, WRIST]
    pull = rng.uniform(0.02, 0.3, (layers, t.size, 1)) * np.linspace(0.6, 1.2, layers)[:, None, None]
    wanted = reference + pull * (goal - reference) + rng.normal(0, (0.5, 3, 3), (layers, t.size, 3))
    place = wanted.clip(0, (T - 1, width - 1, height - 1))
    unit = np.array([T, width, height])
    values = np.empty((layers, heads, len(queries), T, t.size))
    for head in range(heads):
        for q in range(len(queries)):
            aim = goal / unit + rng.normal(0, 0.06 + 0.06 * q, 3)
            distance = ((place / unit - aim) ** 2).sum(-1)
            for f in range(T):
                near = ((place[..., 0] - f) / T) ** 2
                values[:, head, q, f] = np.exp(-distance / (0.015 + 0.01 * head) - near / 0.3) + 0.02
    values = _normalised(values, -1, 0.93)
    names = ("layer", "head", "query", "query frame", "point")
    labels = {"query": queries}
    return Explanation(
        "sampling points", values.astype(np.float32), tuple(Axis(n, labels.get(n, ())) for n in names),
        "attention mass", _made_by(clip, "sampling points"), np.full((1, 1, 1, 1, 1), 0.93 / t.size),
        "uniform attention over the points and modal tokens",
        companions={"reference": reference, "place": place, "clamped": (place != wanted).any(-1)},
    )  # fmt: skip


def joint_curves(clip: Clip, layers: int, heads: int, queries: tuple[str, ...], seed: int) -> Explanation:
    rng = np.random.default_rng(seed + 1)
    T, M, J = clip.score.shape
    weights = rng.gamma(6.0, 1.0, (layers, heads, len(queries), T, M, J))
    bump = np.exp(-(((np.arange(T) - 0.5 * T) / (0.16 * T)) ** 2))
    if M:
        for joint, strength in ((WRIST, 40.0), (JHMDB.joints.index("right elbow"), 18.0)):
            weights[..., 0, joint] += strength * bump * rng.uniform(0.5, 1, (layers, heads, len(queries), 1))
    values = _normalised(weights, (3, 4, 5), 0.9)
    names = ("layer", "head", "query", "frame", "person", "joint")
    labels = {"query": queries, "joint": JHMDB.joints}
    return Explanation(
        "joint curves", values.astype(np.float32), tuple(Axis(n, labels.get(n, ())) for n in names), "attention mass",
        _made_by(clip, "joint curves"), np.full((1,) * 6, 0.9 / max(1, T * M * J)),
        "uniform attention over the keys of the windows",
    )  # fmt: skip


def temporal_windows(clip: Clip, layers: int, heads: int, queries: tuple[str, ...], seed: int) -> Explanation:
    rng = np.random.default_rng(seed + 2)
    T = len(clip)
    apart = np.abs(np.arange(T)[:, None] - np.arange(T)[None])
    weights = np.exp(-np.abs(apart - 2) / 1.5) * rng.uniform(0.3, 1, (layers, heads, len(queries), T, T))
    names = ("layer", "head", "query", "query frame", "frame")
    labels = {"query": queries}
    return Explanation(
        "temporal windows", _normalised(weights, -1, 1.0).astype(np.float32),
        tuple(Axis(n, labels.get(n, ())) for n in names), "attention mass", _made_by(clip, "temporal windows"),
        np.full((1,) * 5, 1 / T), "uniform attention over the frames of the window",
    )  # fmt: skip


def synthetic_evidence(
    frames: int = 12,
    height: int = 96,
    width: int = 128,
    people: int = 1,
    layers: int = 3,
    heads: int = 4,
    token_mode: str = "cross",
    grid: tuple[int, int, int] = (6, 8, 8),
    without: tuple[str, ...] = (),
    clip: Clip | None = None,
    seed: int = 0,
) -> Evidence:
    """`without` names parts that the variant does not have ('sampling_points', 'joint_curves', 'temporal_windows')."""
    rng = np.random.default_rng(seed + 3)
    clip = clip or painted_clip(frames, height, width, people)
    (height, width), T = clip.size, len(clip)
    tokens = {"cross": ("cls", "rgb", "pose"), "single": ("shared",), "none": ("patch", "joint")}[token_mode]
    slots = ("patches", "joints") if token_mode == "none" else tokens
    with_points = tuple(q for q in tokens if q not in ("pose", "joint"))
    with_joints = tuple(q for q in tokens if q not in ("rgb", "patch"))
    parts = rng.normal(0, 0.12, (len(CLASSES), len(tokens), T))
    bump = np.exp(-(((np.arange(T) - 0.5 * T) / (0.2 * T)) ** 2))
    parts[0] += np.linspace(0.5, 0.2, len(tokens))[:, None] * bump * 12 / T
    bias = rng.normal(0, 0.3, len(CLASSES))
    logits = parts.sum((1, 2)) + bias
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    attentions = ("deformable", "joint", "temporal")
    kinds = tuple(dict.fromkeys(("patch", "point", "joint", *tokens)))
    flow = rng.gamma(2.0, 1.0, (layers, 3, len(tokens), len(kinds)))
    readable = np.zeros((3, len(kinds)))
    for a, names in enumerate((("point", *with_points), ("joint", *with_joints), ("patch", "joint", *tokens))):
        readable[a] = [name in names for name in kinds]
    flow = _normalised(flow * (0.01 + readable[None, :, None]) * readable[None, :, None], -1, 1.0)
    for a, present in enumerate((with_points, with_joints, tokens)):
        for r, token in enumerate(tokens):
            if token not in present:
                flow[:, a, r] = np.nan
    axes = (Axis("layer"), Axis("attention", attentions), Axis("reader", tokens), Axis("read", kinds))
    square = min(height, width)
    left, top = (width - square) / 2 - 0.5, (height - square) / 2 - 0.5
    found = {
        "sampling_points": sampling_points(clip, layers, heads, with_points, grid, seed),
        "joint_curves": joint_curves(clip, layers, heads, with_joints, seed),
        "temporal_windows": temporal_windows(clip, layers, heads, tokens, seed),
    }
    parts_present: dict[str, Any] = {name: None if name in without else part for name, part in found.items()}
    return Evidence(
        clip=clip,
        frame_index=np.arange(T) * 2,
        box=np.array([[left, top], [left + square, top], [left + square, top + square], [left, top + square]]),
        labels=CLASSES,
        probabilities=probabilities,
        model={
            "name": f"demo, {token_mode}", "token_mode": token_mode, "layers": layers, "heads": heads,
            "queries": () if token_mode == "none" else tokens, "trained_on": "gym", "checkpoint": "0123456789abcdef",
            "size": [48, 48],
        },
        token_flow=Explanation(
            "token flow", flow, axes, "attention mass", _made_by(clip, "token flow"), np.zeros((1,) * 4), "not given"
        ),
        ledger=Explanation(
            "ledger", parts, (Axis("class", CLASSES), Axis("token", slots), Axis("frame")), "logit",
            _made_by(clip, "ledger"), np.zeros((1,) * 3), "zero", companions={"bias": bias, "logits": logits},
        ),
        **parts_present,
    )  # fmt: skip


def one_point(evidence: Evidence, t: float, x: float, y: float) -> Evidence:
    """The same evidence with every point parked at mass 0, except one at (frame t, pixel x, pixel y) that holds all."""
    points = evidence.sampling_points
    assert points is not None
    values = np.zeros_like(points.values)
    values[..., 0] = 0.93
    place = np.array(points.companions["place"], copy=True)
    place[:, 0] = (t, x, y)
    companions = {**points.companions, "place": place, "clamped": np.zeros(place.shape[:2], bool)}
    return replace(evidence, sampling_points=replace(points, values=values, companions=companions))


def with_looks(evidence: Evidence) -> Evidence:
    """The same evidence with what single tokens read, made by hand on a grid of 8 px: patch 0 reads point 5 (0.6), the
    right wrist of frame 2 and patch (x 19.5, y 11.5) of frame 2; the wrist of frame 1 reads the one of frame 6. In
    head h alone patch 0 reads point 5 + h."""
    clip, points = evidence.clip, evidence.sampling_points
    assert points is not None
    (height, width), frames, (layers, number) = clip.size, len(clip), points.companions["place"].shape[:2]
    columns, rows = np.arange(3.5, width, 8), np.arange(3.5, height, 8)
    places = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
    cells, joints = len(places), clip.people * len(clip.layout)
    first = frames * cells, frames * cells + frames * joints  # where joints and points begin
    read = {
        name: np.full((layers, readers, 2), -1)
        for name, readers in (("deformable", first[0]), ("joint", frames * joints), ("temporal", first[1]))
    }
    mass = {name: np.zeros(keys.shape, np.float32) for name, keys in read.items()}
    wrist = clip.layout.joints.index("right wrist")
    patch = 2 * cells + len(columns) + 2
    for name, reader, rank, key, amount in (
        ("deformable", 0, 0, first[1] + 5, 0.6), ("joint", joints + wrist, 0, first[0] + 6 * joints + wrist, 0.5),
        ("temporal", 0, 0, first[0] + 2 * joints + wrist, 0.4), ("temporal", 0, 1, patch, 0.2),
    ):  # fmt: skip
        read[name][:, reader, rank], mass[name][:, reader, rank] = key, amount
    sizes = first[0], frames * joints, number
    heads = points.values.shape[1]
    head_read = np.full((layers, heads, first[0], 1), -1)
    head_read[:, :, 0, 0] = first[1] + 5 + np.arange(heads)
    head_mass = np.where(head_read < 0, 0, 0.7).astype(np.float32)
    of_heads = {"deformable": head_read}, {"deformable": head_mass}
    return replace(evidence, looks=Looks(places, (8.0, 8.0), np.arange(cells), sizes, read, mass, *of_heads))
