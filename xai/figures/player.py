"""Payload of the player: one `Evidence` as one JSON-able dictionary, sent to the browser once.

Everything that the browser may be asked to show (each layer, head, query, class and frame) is inside, so that choosing
and scrubbing never come back to the server. Arrays travel as unsigned integers in base64 with their scale:

    value = low + step * integer        |error| <= step / 2, and step = (high - low) / 65535

A clip of the demo preset takes one megabyte. What does not fit `budget` is left out in this order: what single
patches and joints read in each head, what they read at all, the sampling points of each single query frame, image
quality and size, the points with the least attention mass. The page says which of the first two it was. The shares on
screen stay true: the sums over all points travel too.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from training.clip import Clip
from xai.explanation import FRAMEWISE, Explanation
from xai.figures.flow import flow_numbers
from xai.figures.hues import reach
from xai.figures.opening import flow, frames_said, looks_said, opening, points_beyond, points_said, unread
from xai.figures.player_looks import Table, look_tables
from xai.figures.sentence import probability as shortly
from xai.figures.sentence import times, token_name

if TYPE_CHECKING:  # a page that draws a stored payload must not pay for torch
    from xai.evidence import Evidence

FORMAT_VERSION = 2
LEVELS = {"u1": 255, "u2": 65535}
MANY_CLASSES = 64
SHOWN_CLASSES = 5
"""On the short list, and so on one scale in the ledger."""
MAIN = (
    ("joints", "joint attention", "joints"), ("points", "sampling points", "frames"),
    ("windows", "temporal attention", "time"),
)  # fmt: skip
"""Part of a payload, and the method of `xai.methods` that says the same as a map, and what that is over."""
Payload = dict[str, Any]


def pack(values: np.ndarray, levels: str = "u2", low: float | None = None, high: float | None = None) -> Payload:
    """Quantise `values` linearly between `low` and `high` (their own extremes unless given)."""
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("The player shows finite numbers only, and this array holds NaN or infinity.")
    low = float(values.min(initial=0.0)) if low is None else low
    high = float(values.max(initial=low)) if high is None else high
    step = (high - low) / LEVELS[levels] or 1.0
    integers = np.rint((values - low) / step).clip(0, LEVELS[levels]).astype("<" + levels)
    text = base64.b64encode(integers.tobytes()).decode("ascii")
    return {"b64": text, "levels": levels, "shape": list(values.shape), "low": low, "step": step}


def unpack(packed: Mapping[str, Any]) -> np.ndarray:
    """What the browser will read; the inverse of `pack` up to half a step."""
    integers = np.frombuffer(base64.b64decode(packed["b64"]), dtype="<" + packed["levels"])
    return packed["low"] + packed["step"] * integers.reshape(packed["shape"])


def size(payload: Mapping[str, Any]) -> int:
    """Bytes of the payload as it travels."""
    return len(json.dumps(payload, separators=(",", ":")))


def player_payload(evidence: Evidence, *, budget: int = 2_000_000, longest_side: int = 480, trust: str = "") -> Payload:
    """The whole evidence of one prediction, at most `budget` bytes of JSON.

    Args:
        trust: the verdict on the model's own evidence (`TrustReport.verdict`) where somebody measured it.
    """
    seen = bool(evidence.clip.people and (evidence.clip.score > 0).any())
    if seen:
        _check_joints(evidence)
    classes = _classes(evidence)
    windows = evidence.temporal_windows
    first = opening(evidence, seen, [entry["label"] for entry in classes])
    payload: Payload = {
        "version": FORMAT_VERSION,
        "name": evidence.clip.name,
        "clip": _clip(evidence),
        "model": {key: value for key, value in evidence.model.items() if _is_plain(value)},
        "classes": classes,
        "ledger": _ledger(evidence),
        "skeleton": _skeleton(evidence.clip) if seen else None,
        "joints": _joints(evidence.joint_curves) if seen and evidence.joint_curves else None,
        # a frame-wise network gives every frame the same mass, by how it is built
        "windows": _windows(windows) if windows and evidence.model["token_mode"] != FRAMEWISE else None,
        "flow": flow(evidence, first["queries"]),
        "who_reads": flow_numbers(evidence.token_flow),
        "looks": _looks(evidence),
        "points": None,
        "sprite": film_sprite(evidence.clip, longest_side, quality=90),
        **first,
    }
    points = evidence.sampling_points
    if points is not None:
        payload["points"] = _points(points, evidence.clip.size, keep=None, by_query_frame=True)
    asked = payload["looks"] is not None
    if asked and size(payload) > budget:
        payload["looks"]["heads"] = None
    if size(payload) > budget:
        payload["looks"] = None
    payload["said"]["trust"] = f"Trust: {trust or 'not measured'}"
    payload["said"]["looks"] = looks_said(payload["looks"], budget) if asked else ""
    if points is not None and size(payload) > budget:
        payload["points"] = _points(points, evidence.clip.size, keep=None, by_query_frame=False)
    side, quality = longest_side, 90
    while size(payload) > budget and quality > 50:
        side, quality = max(160, int(side * 0.8)), quality - 10
        payload["sprite"] = film_sprite(evidence.clip, side, quality)
    keep = points.values.shape[-1] if points is not None else 0
    while points is not None and size(payload) > budget and keep > 64:
        keep //= 2
        payload["points"] = _points(points, evidence.clip.size, keep, by_query_frame=False)
    if (bytes_ := size(payload)) > budget:
        raise ValueError(
            f"The player's payload takes {bytes_ / 1e6:.1f} MB and {budget / 1e6:.1f} MB are allowed; explain fewer "
            f"than {len(evidence.clip)} frames at a time."
        )
    payload["id"] = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:16]
    return payload


def main_method(payload: Payload) -> tuple[str, str]:
    """What the player shows first of all, as a method of `xai.methods` and what its map is over."""
    if payload["model"]["token_mode"] == FRAMEWISE:
        return "neighbour attention", "time"
    for part, method, on in MAIN:
        if payload[part] is not None:
            return method, on
    return "ledger", "time"


def _check_joints(evidence: Evidence) -> None:
    clip = evidence.clip
    curves = evidence.joint_curves
    if curves is not None and curves.values.shape[3:] != clip.score.shape:
        raise ValueError(
            f"Joint curves end in {list(curves.values.shape[3:])}, and the clip has frames x people x joints "
            f"{list(clip.score.shape)}; explain the clip that the model read."
        )
    if curves is not None and (names := curves.axes[-1].labels) and names != clip.layout.joints:
        raise ValueError(
            f"Joint curves name {names[0]!r} first, and layout {clip.layout.name} {clip.layout.joints[0]!r}."
        )


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | tuple) or value is None


def _round(values: np.ndarray) -> Any:
    """Nested lists of floats with six significant digits; NaN becomes None."""
    if isinstance(values, np.ndarray) and values.ndim:
        return [_round(part) for part in values]
    return None if not math.isfinite(values) else float(f"{float(values):.6g}")


def _clip(evidence: Evidence) -> Payload:
    clip = evidence.clip
    height, width = clip.size
    return {
        "width": width,
        "height": height,
        "frames": len(clip),
        "seconds": _round(np.asarray(clip.time, dtype=np.float64) - clip.time[0]),
        "source": [int(index) for index in evidence.frame_index],
        "label": clip.label,
        "box": _round(np.asarray(evidence.box, dtype=np.float64)),
        "unread": unread(evidence),
        "said": frames_said(evidence),
    }


def film_sprite(clip: Clip, longest_side: int, quality: int) -> Payload:
    """All frames in one WebP image, row by row; the cells hold whole frames, so `width / clip.width` is their scale."""
    height, width = clip.size
    scale = min(1.0, longest_side / max(height, width))
    cell = max(1, round(width * scale)), max(1, round(height * scale))
    columns = math.ceil(math.sqrt(len(clip)))
    rows = math.ceil(len(clip) / columns)
    sheet = np.zeros((rows * cell[1], columns * cell[0], 3), np.uint8)
    for t, frame in enumerate(clip.frames):
        y, x = t // columns * cell[1], t % columns * cell[0]
        sheet[y : y + cell[1], x : x + cell[0]] = cv2.resize(frame, cell, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".webp", sheet[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV could not encode {len(clip)} frames of {width}x{height} as WebP.")
    source = "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode("ascii")
    return {"src": source, "width": cell[0], "height": cell[1], "columns": columns}


def _skeleton(clip: Clip) -> Payload:
    layout = clip.layout
    return {
        "names": list(layout.joints),
        "bones": [list(bone) for bone in layout.bones],
        "limbs": [name for name, _ in layout.limbs],
        "limb": list(layout.limb_of),
        "people": [m for m in range(clip.people) if (clip.score[:, m] > 0).any()],
        "place": pack(clip.joints),
        "score": pack(clip.score, "u1", 0.0, 1.0),
    }


def _shown_classes(evidence: Evidence) -> np.ndarray:
    """Most probable first. With very many classes only the first ones: the rest is not on screen."""
    return np.argsort(-evidence.probabilities, kind="stable")[:MANY_CLASSES]


def _classes(evidence: Evidence) -> list[Payload]:
    """`adds`: the sum of the ledger, which adds up as it is written; `tokens`: what each of them adds to it."""
    companions, names = evidence.ledger.companions, _labels(evidence.ledger, "token")
    found = []
    for c in _shown_classes(evidence):
        probability, logit, bias = (
            float(v[c]) for v in (evidence.probabilities, companions["logits"], companions["bias"])
        )
        parts = round(logit, 2) - round(bias, 2)
        found.append(
            {
                "label": evidence.labels[c],
                "probability": _round(np.asarray(probability)),
                "logit": _round(np.asarray(logit)),
                "bias": _round(np.asarray(bias)),
                "share": shortly(probability),
                "title": f"probability {times(probability)}, logit {minus(logit)}",
                "adds": f"adds up to logit {minus(logit)} = parts {minus(parts)} + bias {minus(bias)}",
                "tokens": [
                    f"{token_name(name)} {minus(float(values.sum()))}"
                    for name, values in zip(names, evidence.ledger.values[c], strict=True)
                ],
            }
        )
    return found


def minus(value: float) -> str:
    """Two decimals, with the sign that is as wide as a plus."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _ledger(evidence: Evidence) -> Payload:
    """`range`: lowest and highest stack of any frame, for a scale that holds every class of the short list."""
    tokens = _labels(evidence.ledger, "token")
    parts = evidence.ledger.values[_shown_classes(evidence)]
    short = parts[:SHOWN_CLASSES]
    stacks = np.minimum(short, 0).sum(1).min(initial=0), np.maximum(short, 0).sum(1).max(initial=0)
    return {"tokens": tokens, "parts": _round(parts), "range": _round(np.array(stacks))}


def _labels(explanation: Explanation, axis: str) -> list[str]:
    index = explanation.axis(axis)
    return list(explanation.axes[index].labels) or [f"{axis} {i + 1}" for i in range(explanation.values.shape[index])]


def _about(explanation: Explanation) -> Payload:
    return {
        "queries": _labels(explanation, "query"),
        "unit": explanation.unit,
        "normalisation": explanation.normalisation,
        "uniform_of": explanation.base_rate_of,
    }


def _joints(curves: Explanation) -> Payload:
    """`uniform` [layer, frame, person, joint]: the base rate, which depends on how many joints share a window."""
    base = np.broadcast_to(curves.base_rate, curves.values.shape)
    return _about(curves) | {"mass": pack(curves.values, low=0.0), "uniform": pack(base.mean((1, 2)), low=0.0)}


def _windows(windows: Explanation) -> Payload:
    """`mass` [layer, head, query, frame] is the mean over query frames."""
    base = np.broadcast_to(windows.base_rate, windows.values.shape)
    return _about(windows) | {
        "mass": pack(windows.values.mean(3), low=0.0),
        "uniform": pack(base.mean((1, 2, 3)), low=0.0),
    }


def _looks(evidence: Evidence) -> Payload | None:
    """What single tokens read (`look_tables`); 65535 is a modal token, which has no place in a frame."""
    tables = look_tables(evidence)
    if tables is None or tables.ends[-1] >= LEVELS["u2"]:
        return None

    def packed(parts: Mapping[str, Table]) -> Payload:
        return {
            name: {
                "read": pack(np.where(read < 0, LEVELS["u2"], read), low=0.0, high=LEVELS["u2"]),
                "mass": pack(mass, "u1", low=0.0),
            }
            for name, (read, mass) in parts.items()
        }

    return {
        "spots": pack(tables.spots),
        "patches": tables.patches,
        "cell": tables.cell,
        "ends": tables.ends,
        "columns": tables.columns,
        "mean": packed(tables.mean),
        "heads": packed(tables.heads) or None,
    }


def _points(points: Explanation, size: tuple[int, int], keep: int | None, by_query_frame: bool) -> Payload:
    """`mass` [layer, head, query, point] is the mean over query frames; `sums` its sum over all points, kept or not."""
    place, reference = points.companions["place"], points.companions["reference"]
    clamped = np.asarray(points.companions["clamped"], dtype=bool)
    mass = points.values.mean(axis=3)
    moved = np.abs(place - reference)
    base = np.broadcast_to(points.base_rate, points.values.shape)
    about = [
        dict(zip(("frames", "x", "y"), m.mean(0), strict=True)) | {"clamped": c.sum(), "beyond": points_beyond(p, size)}
        for m, c, p in zip(moved, clamped, place, strict=True)
    ]
    uniform = base.mean((1, 2, 3, 4))
    count = int(mass.shape[-1])
    left_out = 0 if keep is None else count - keep
    payload = _about(points) | {
        "count": count,
        "limits": count - left_out,
        "sums": pack(mass.sum(-1)[..., None], low=0.0),
        "uniform": _round(uniform),
        "most": [reach(m[:, 0]) for m in moved],
        "about": [points_said(a, u, left_out) for a, u in zip(about, uniform, strict=True)],
    }
    chosen = np.tile(np.arange(mass.shape[-1]), (len(mass), 1))  # [layer, kept]
    if keep is not None:
        strength = mass.max(axis=(1, 2))
        chosen = np.sort(np.argsort(-strength, axis=1, kind="stable")[:, :keep], axis=1)
    each = chosen[..., None]
    payload |= {
        "number": chosen.tolist() if keep is not None else None,
        "reference": pack(np.take_along_axis(reference, each, 1)),
        "place": pack(np.take_along_axis(place, each, 1)),
        "clamped": pack(np.take_along_axis(clamped, chosen, 1), "u1", 0.0, 255.0),
        "mass": pack(np.take_along_axis(mass, chosen[:, None, None, :], 3), low=0.0),
        "by_query_frame": pack(points.values, "u1", low=0.0) if by_query_frame else None,
    }
    return payload
