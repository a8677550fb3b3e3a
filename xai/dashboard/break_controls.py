"""The controls of Break it: each button takes one thing away, as the plain values of a removal (xai/removal.py).

What there is to take away is read off the player's payload, so that looking at the controls needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from xai.dashboard.breaking import Rectangle, become, current
from xai.dashboard.choose import within
from xai.dashboard.maps import token_name
from xai.explanation import FRAMEWISE

if TYPE_CHECKING:
    from training.clip import Clip

KINDS = ("Joints", "Region", "Background", "Frames", "Inside")
HOW_JOINTS = {"unseen": "not detected", "first": "held where first seen", "mean": "held at the mean place"}
HOW_PIXELS = {"blur": "blur", "inpaint": "paint over", "mean": "mean colour"}
MOST_FRAMES = 24
"""That the network reads of a clip, as in `xai.removal`, which would import torch."""
HOW_FRAMES = {"hold": "hold the nearest that stays", "interpolate": "mix the neighbours"}


@dataclass(frozen=True)
class Scene:
    """What there is to take away."""

    size: tuple[int, int]
    """(height, width) of the clip in pixels."""
    numbers: tuple[int, ...]
    """Of the frames that the network reads of the untouched clip, in the clip."""
    joints: tuple[str, ...]
    limbs: tuple[str, ...]
    people: tuple[int, ...]
    tokens: tuple[str, ...]
    layers: int
    deformable: bool
    pixels_only: bool
    """Is the network given no joints?"""
    mask: bool
    """Is it known where the people are, pixel by pixel?"""
    others: tuple[str, ...]
    """Clips whose background can be pasted."""
    length: int
    """Frames of the whole clip."""

    @classmethod
    def of(cls, payload: Mapping[str, Any], clip: Clip, others: tuple[str, ...]) -> Scene:
        about, skeleton = payload["clip"], payload["skeleton"] or {"names": (), "limbs": (), "people": ()}
        return cls(
            (about["height"], about["width"]), tuple(about["source"]), tuple(skeleton["names"]),
            tuple(skeleton["limbs"]), tuple(skeleton["people"]), tuple(payload["ledger"]["tokens"]),
            int(payload["model"].get("layers") or 1), payload["points"] is not None,
            payload["model"]["token_mode"] == FRAMEWISE,
            clip.person_mask is not None, others, len(clip),
        )  # fmt: skip

    def frames(self, first: int, last: int, whole: bool = False) -> list[int] | None:
        """Numbers in the clip of the frames first ... last, counted from 1; None for all. What is counted: the frames
        that the network reads, or with `whole` those of the clip."""
        numbers = range(self.length) if whole else self.numbers
        return None if (first, last) == (1, len(numbers)) else sorted(set(numbers[first - 1 : last]))


def controls(scene: Scene) -> str:
    """Show them; returns which kind is open."""
    kinds = [kind for kind in KINDS if kind != "Joints" or not scene.pixels_only]
    within("what", kinds)
    kind = st.segmented_control(
        "What to take away", kinds, default=kinds[0], required=True, key="what", label_visibility="collapsed",
        width="stretch", wrap=True,
    )  # fmt: skip
    kind = str(kind)
    whole = _thinned() is not None  # then the films count the frames of the clip, too
    count = scene.length if whole else len(scene.numbers)
    first, last = 1, count
    if count > 1 and kind != "Background":
        if st.session_state.get("frames counted", count) != count:  # all of them, of another clip or another reading
            st.session_state.pop("in_frames", None)
        st.session_state["frames counted"] = count
        span = st.session_state.get("in_frames", (1, count))
        st.session_state["in_frames"] = tuple(min(frame, count) for frame in span)
        st.slider("In frames of the clip" if whole else "In frames", 1, count, key="in_frames")
        first, last = st.session_state["in_frames"]
    frames = scene.frames(first, last, whole)
    {"Joints": _joints, "Region": _region, "Background": _background, "Frames": _frames, "Inside": _inside}[kind](
        scene, frames
    )
    return kind


def rectangle(scene: Scene) -> Rectangle:
    """The region that the sliders describe."""
    height, width = scene.size
    defaults = (width // 4, height // 4, max(1, width // 3), max(1, height // 3))
    values = [st.session_state.get(f"region {name}", value) for name, value in zip("xywh", defaults, strict=True)]
    return Rectangle(*values)


def dragged(box: Mapping[str, Sequence[float]], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels of what was dragged in the picture; `size` is its (height, width).

    Pixel n reaches from n - 0.5 to n + 0.5, and belongs to the region when its centre does.
    """
    found = []
    for axis, most in zip("xy", size[::-1], strict=True):
        first, last = (round(min(max(float(edge) + 0.5, 0), most)) for edge in sorted(box[axis]))
        start = min(first, most - 1)
        found.append((start, max(1, last - start)))
    (left, width), (top, height) = found
    return left, top, width, height


def pointed(scene: Scene) -> None:
    """What was pointed at on the stage becomes the choice of the controls: joints, or a region."""
    selection = (st.session_state.get("stage") or {}).get("selection") or {}
    if st.session_state.get("what") == "Region":
        for box in selection.get("box", [])[-1:]:
            for name, value in zip("xywh", dragged(box, scene.size), strict=True):
                st.session_state[f"region {name}"] = value
        return
    if scene.pixels_only:
        return
    found = [point["customdata"] for point in selection.get("points", []) if point.get("customdata")]
    names = list(dict.fromkeys(str(joint) for joint, _ in found if joint in scene.joints))
    if names:
        chosen = st.session_state.get("joints chosen", [])
        st.session_state["joints chosen"] = [*chosen, *(name for name in names if name not in chosen)]
        if len(scene.people) > 1:
            who = {*st.session_state.get("people chosen", []), *(int(person) for _, person in found)}
            st.session_state["people chosen"] = sorted(who)


def _take(removal: Mapping[str, Any]) -> None:
    become(current().adding({name: value for name, value in removal.items() if value is not None}))


def _button(label: str, removal: Mapping[str, Any], *, disabled: bool = False, key: str = "") -> None:
    st.button(label, key=key or label, on_click=_take, args=(dict(removal),), disabled=disabled, width="stretch")


def _known(key: str, options: Sequence[Any]) -> None:
    """Forget what was chosen on another clip or network and does not exist on this one."""
    if isinstance(chosen := st.session_state.get(key), list):
        st.session_state[key] = [each for each in chosen if each in options]


def _joints(scene: Scene, frames: list[int] | None) -> None:
    if not scene.joints:
        st.info("No joint was seen in this clip, so there is none to take away.")
        return
    for key, options in (("people", scene.people), ("limbs", scene.limbs), ("joints", scene.joints)):
        _known(f"{key} chosen", options)
    people = None
    if len(scene.people) > 1:
        chosen = st.pills(
            "Of", scene.people, selection_mode="multi", format_func=lambda m: f"person {m + 1}", key="people chosen",
            help="Everybody when none is chosen.",
        )  # fmt: skip
        people = sorted(chosen) or None
    limbs = st.pills("Limbs", scene.limbs, selection_mode="multi", key="limbs chosen", wrap=True)
    joints = st.multiselect(
        "Joints", scene.joints, key="joints chosen", placeholder="click them in the picture, or choose here"
    )
    how = st.selectbox("Make them", list(HOW_JOINTS), format_func=HOW_JOINTS.__getitem__, key="how joints")
    about = {"people": people, "frames": frames, "how": None if how == "unseen" else how}
    if limbs and not joints:
        _button("Take limbs away", {"kind": "limbs", "limbs": list(limbs), **about}, key="take joints")
    else:
        removal = {"kind": "joints", "joints": list(joints), **about}
        _button("Take joints away", removal, disabled=not joints, key="take joints")
    if people:
        _button(
            "Take the whole person" if how == "unseen" else "Hold the whole person",
            {"kind": "people", "people": people, "frames": about["frames"], "how": about["how"]}, key="take people",
        )  # fmt: skip
    else:
        _button("Take all joints away, in all frames", {"kind": "modality", "modality": "pose"}, key="take pose")


def _region(scene: Scene, frames: list[int] | None) -> None:
    st.caption("Drag a rectangle in the picture, or set it here (pixels of the clip).")
    height, width = scene.size
    drawn = rectangle(scene)
    values = {}
    places = [*st.columns(2), *st.columns(2)]
    for place, name, label, value, least, most in (
        (places[0], "x", "Left", drawn.x, 0, width - 1), (places[1], "y", "Top", drawn.y, 0, height - 1),
        (places[2], "w", "Width", drawn.width, 1, width), (places[3], "h", "Height", drawn.height, 1, height),
    ):  # fmt: skip
        key = f"region {name}"
        st.session_state[key] = int(min(max(value, least), most))
        values[name] = place.slider(label, least, most, key=key)
    how = st.selectbox("Cover it", list(HOW_PIXELS), format_func=HOW_PIXELS.__getitem__, key="how region")
    _button(
        "Cover the region",
        {
            "kind": "region", "x": values["x"], "y": values["y"], "width": values["w"], "height": values["h"],
            "frames": frames, "how": None if how == "blur" else how,
        },
    )  # fmt: skip
    _button("No pictures, in all frames", {"kind": "modality", "modality": "rgb"}, key="take rgb")


def _background(scene: Scene, frames: list[int] | None) -> None:
    if not scene.mask:
        st.info("It is not known which pixels of this clip are people; gym clips know it, and JHMDB clips with masks.")
        return
    how = st.selectbox("Cover them", ["blur", "mean"], format_func=HOW_PIXELS.__getitem__, key="how ground")
    left, right = st.columns(2)
    for place, what in ((left, "person"), (right, "background")):
        with place:
            _button(f"Cover the {what}", {"kind": "ground", "what": what, "how": None if how == "blur" else how})
    other = st.selectbox("Background of", scene.others, key="other clip")
    _button("Paste it behind the people", {"kind": "background", "clip": other}, disabled=not other)


def _frames(scene: Scene, frames: list[int] | None) -> None:
    how = st.selectbox("Show instead", list(HOW_FRAMES), format_func=HOW_FRAMES.__getitem__, key="how frames")
    _button(
        "Take these frames away", {"kind": "frames", "frames": frames, "how": None if how == "hold" else how},
        disabled=frames is None,
    )  # fmt: skip
    if frames is None:
        st.caption("Choose some of the frames above; at least one must stay.")
    left, right = st.columns(2)
    with left:
        _button("Play backwards", {"kind": "order", "order": "reverse"})
    with right:
        seed = sum(each.get("order") == "shuffle" for each in current().removals if isinstance(each, dict))
        _button("Shuffle", {"kind": "order", "order": "shuffle", "seed": seed or None})
    most = min(MOST_FRAMES, scene.length)
    if most > 1:
        read = _read_now(scene)
        if st.session_state.get("thin from") != read:  # another clip, another network, or another count was taken
            st.session_state["thin from"] = st.session_state["thin"] = read
        st.session_state["thin"] = min(st.session_state.get("thin", read), most)
        count = st.slider(
            "Frames that the network reads", 1, most, key="thin",
            help=f"Spread evenly over the {scene.length} frames of the clip. It was trained on {len(scene.numbers)}.",
        )  # fmt: skip
        _button(
            f"Read {count} frame{'s' * (count > 1)}", {"kind": "thin", "count": count}, key="take thin",
            disabled=count == read,
        )  # fmt: skip


def _read_now(scene: Scene) -> int:
    """How many frames the network reads with what is taken away now; a count that makes no sense is refused anyway."""
    return _thinned() or len(scene.numbers)


def _thinned() -> int | None:
    """How many frames of the clip the network is made to read, in place of its own choice."""
    counts = [each.get("count") for each in current().removals if isinstance(each, dict) and each.get("kind") == "thin"]
    return counts[-1] if counts and isinstance(counts[-1], int) and counts[-1] > 0 else None


def _inside(scene: Scene, frames: list[int] | None) -> None:
    _known("tokens chosen", scene.tokens)
    _known("blocks", range(scene.layers))
    tokens = st.pills(
        "Tokens", scene.tokens, selection_mode="multi", format_func=token_name, key="tokens chosen", wrap=True
    )
    where = st.selectbox(
        "Set them to zero", ["everywhere", "head"], key="where",
        format_func={"everywhere": "in every block and at the head", "head": "for the head only"}.__getitem__,
    )  # fmt: skip
    _button(
        "Mute the tokens",
        {"kind": "tokens", "tokens": list(tokens), "frames": frames, "where": None if where == "everywhere" else where},
        disabled=not tokens,
    )
    if scene.pixels_only:
        return
    if not scene.deformable:
        st.caption("This variant searches no tokens, so there are no offsets to take away.")
        return
    layers = st.pills(
        "Blocks", range(scene.layers), selection_mode="multi", format_func=lambda b: f"block {b + 1}", key="blocks",
        help="All blocks when none is chosen.",
    )  # fmt: skip
    _button("Zero the offsets", {"kind": "offsets", "layers": sorted(layers) or None})
