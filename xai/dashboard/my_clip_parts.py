"""The parts of My clip: opening a file, cutting it, bringing joints. Each takes the draft and gives back the next."""

from __future__ import annotations

from html import escape
from typing import Any

import streamlit as st

from training.skeleton import LAYOUTS, layout_named
from xai.dashboard.choose import card_of, mine
from xai.dashboard.draft import MOST_PEOPLE, Draft, start
from xai.dashboard.draft_room import draft_room
from xai.dashboard.library import open_library
from xai.dashboard.limits import limits
from xai.dashboard.methods_panel import followed
from xai.dashboard.shown import plain

VIDEOS = ["mp4", "mov", "webm", "mkv", "avi", "gif", "webp"]
JOINTS = ["npz", "json", "mat", "pkl", "pickle"]
DRAFT = "my clip"
"""Where the draft of a visitor is in their session."""
ROOM = "room for my clip"
TRY = "my clip to try"
"""A clip that ships, for who has no video at hand."""
WAYS = ("By hand", "From a file", "Pose model")
TITLES = {
    "jhmdb15": "JHMDB, 15 joints", "penn13": "Penn Action, 13 joints", "coco17": "COCO, 17 joints",
    "kinect25": "Kinect, 25 joints",
}  # fmt: skip


def keep(draft: Draft | None) -> None:
    """Make this the draft of the visitor; None forgets everything."""
    if draft is None:
        for name in (DRAFT, ROOM, f"{DRAFT} tracker", "my video", "my cut", "my layout", "my people", "my label"):
            st.session_state.pop(name, None)
        mine(None)
    else:
        st.session_state[DRAFT] = draft


def layout_of(checkpoint: Any) -> str:
    """The layout that a chosen checkpoint reads; of the bundled ones when there is none. Raises CheckpointError."""
    return "jhmdb15" if checkpoint is None else str(card_of(checkpoint).get("layout", "jhmdb15"))


def _try_drawn() -> None:
    st.session_state[TRY] = next(iter(open_library().clips), None)


def open_file(layout: str) -> None:
    """The first thing to do: a video, or a clip that was saved."""
    most = limits()
    left, right = st.columns([3, 2], gap="large")
    with left:
        file = st.file_uploader(
            "A video, or a clip saved here", [*VIDEOS, "npz"], key="my video", max_upload_size=most.upload_mb
        )
        st.caption(
            f"At most {most.upload_mb} MB, {most.seconds} s and {most.frames} frames; frames longer than {most.side} "
            "pixels on a side are shrunk. The file stays in memory for this session and is not stored."
        )
    with right:
        st.markdown(
            "1. **Cut** it to the action.\n"
            "2. **Joints**: from a file, or placed by hand on three or so frames; optical flow finds the rest.\n"
            "3. **Open in Explore**, or save the clip with its joints as one file."
        )
    drawn = st.session_state.pop(TRY, None)
    if file is None and drawn is None:
        left.button("No video at hand? Try a drawn clip", on_click=_try_drawn)
        return
    from xai.dashboard import own_clip
    from xai.dashboard.live import Upload

    if file is not None:
        upload = Upload(file.name, file.getvalue())
    else:
        upload = Upload(f"{drawn.name}.npz", drawn.path.read_bytes())
    try:
        with st.spinner("Reading the frames"):
            clip, original = own_clip.open_own(upload)
        st.session_state.pop(ROOM, None)
        st.session_state[ROOM] = draft_room().place(
            clip.frames.nbytes + clip.frames.nbytes // 2
        )  # tracking keeps greys
        draft = start(clip, original, layout, upload.digest)
    except ValueError as error:
        st.error(plain(error))
        return
    keep(draft)
    st.rerun()


STRIP = """<style>
.cut { display: flex; overflow: hidden; border-radius: 2px; }
.cut img { flex: 1 1 0; min-width: 0; display: block; object-fit: cover; aspect-ratio: var(--shape); }
.cut img.out { opacity: 0.3; }
@media (max-width: 640px) { .cut img:nth-child(even) { display: none; } }
</style>"""


def cut(draft: Draft) -> Draft:
    """The timeline: thumbnails of the whole video, and a slider with two ends under it."""
    from xai.dashboard import own_clip

    length = len(draft.clip)
    shown, pictures = own_clip.thumbnails(draft)
    span = draft.span
    if length > 1:
        st.session_state.setdefault("my cut", (span[0] + 1, span[1] + 1))
        first, last = st.session_state["my cut"]
        span = (max(0, min(first, length) - 1), max(0, min(last, length) - 1))
    height, width = draft.clip.size
    alt = escape(f"{len(shown)} frames of the video", quote=True)
    images = "".join(
        f'<img class="{"in" if span[0] <= t <= span[1] else "out"}" src="{picture}" alt="">'
        for t, picture in zip(shown, pictures, strict=True)
    )
    st.html(f'{STRIP}<div class="cut" role="img" aria-label="{alt}" style="--shape: {width}/{height}">{images}</div>')
    if length > 1:
        st.slider("Cut: first and last frame", 1, length, key="my cut", label_visibility="collapsed")
    time = draft.clip.time
    frames = f"frames {span[0] + 1} to {span[1] + 1} of {length}" if length > 1 else "one frame"
    took = float(time[span[1]] - time[span[0]])
    st.caption(
        f"Cut: {frames}, {time[span[0]]:.2f} s to {time[span[1]]:.2f} s ({took:.2f} s of {time[-1] - time[0]:.2f} s). "
        "The network reads a dozen or so frames, spread evenly over the cut."
    )
    return draft.cut(*span)


def bring(draft: Draft, checkpoint: Any) -> Draft:
    """How joints come: by hand (layout and people), from a file, or from a pose model where there is one."""
    from xai.dashboard import own_clip

    model = own_clip.pose_model_path()
    ways = WAYS if model else WAYS[:2]
    if model is None:
        st.caption(
            f"Joints can also be estimated: name an RTMPose network, a local ONNX file, in {own_clip.POSE_MODEL} "
            "before the server starts."
        )
    left, right = st.columns([2, 5], vertical_alignment="bottom", gap="large")
    way = left.segmented_control(
        "Joints", ways, key="my way", default=ways[0], required=True, width="stretch", persist_state="session"
    )
    with right:
        if way == "From a file":
            return _from_file(draft)
        if way == "Pose model" and model:
            return _from_model(draft, model)
        return _by_hand(draft, checkpoint)


def _by_hand(draft: Draft, checkpoint: Any) -> Draft:
    names = list(LAYOUTS)
    if st.session_state.get("my layout") not in names:
        st.session_state["my layout"] = draft.layout.name
    if st.session_state.get("my people") not in range(1, MOST_PEOPLE + 1):
        st.session_state["my people"] = draft.people
    first, second, third = st.columns([3, 2, 2], vertical_alignment="bottom")
    first.selectbox(
        "Skeleton", names, key="my layout", format_func=lambda name: TITLES.get(name, name), persist_state="session",
        help="The joints that data sets name. A network reads the skeleton it was trained on.",
    )  # fmt: skip
    second.segmented_control(
        "People", range(1, MOST_PEOPLE + 1), key="my people", required=True, persist_state="session"
    )
    if draft.placed or draft.brought:
        third.button("Remove all joints", on_click=lambda: keep(draft.without_joints()), width="stretch")
    wanted = layout_of(checkpoint)
    if st.session_state["my layout"] != wanted:
        st.caption(f"The chosen checkpoint reads {TITLES.get(wanted, wanted)}; it cannot use another skeleton.")
    return draft.of(layout_named(str(st.session_state["my layout"])), int(st.session_state["my people"]))


def _brought(draft: Draft) -> Draft:
    """With joints that came, the choices of placing by hand follow them."""
    st.session_state["my layout"], st.session_state["my people"] = draft.layout.name, draft.people
    keep(draft)
    return draft


def _from_file(draft: Draft) -> Draft:
    file = st.file_uploader(
        "One set of joints for each frame of the video, or of the cut", JOINTS, key="my joints",
        max_upload_size=limits().upload_mb,
        help="`.npz` with joints [T, M, J, 2], COCO `.json`, PySKL or MMAction2 `.pkl`, JHMDB `joint_positions.mat`, "
        "Penn Action `.mat`. Nothing in a file is run.",
    )  # fmt: skip
    if file is None:
        return draft
    from xai.dashboard import own_clip
    from xai.dashboard.live import Upload

    upload = Upload(file.name, file.getvalue())
    try:
        with st.spinner("Reading the joints"):
            found = own_clip.names_in(upload)
            name = None
            if len(found.names) > 1:
                name = str(st.selectbox("Which clip of the file", found.names, index=found.like(draft.clip.name)))
            whence = f"{file.name[:60]} {name or ''}".strip()
            if st.session_state.get("my joints read") == (upload.digest, name, draft.digest, len(draft)):
                return draft
            draft = draft.bring(own_clip.joints_of(upload, name), whence)
    except ValueError as error:
        st.error(plain(error))
        return draft
    st.session_state["my joints read"] = (upload.digest, name, draft.digest, len(draft))
    return _brought(draft)


def _from_model(draft: Draft, path: Any) -> Draft:
    from training.joints_file import Joints
    from xai.dashboard import own_clip
    from xai.dashboard.jobs import Progress

    try:
        with st.spinner("Loading the pose model"):
            model = own_clip.own_pose_model(path)
    except ValueError as error:
        st.error(plain(error))
        return draft
    st.caption(
        f"{plain(model.name)}, {TITLES.get(model.layout.name, model.layout.name)}, SHA-256 `{model.sha256}`. It looks "
        "for one person: where joints were placed on the first frame of the cut, else anywhere."
    )
    first = next((key for key in draft.placed if key.frame == 0 and key.person == 0), None)
    box = None
    if first is not None:
        from training.pose_onnx import Box

        (left, right), (top, bottom) = ((min(axis), max(axis)) for axis in zip(*first.places, strict=True))
        box = Box(left, top, right, bottom)
    frames = draft.frames

    def work(progress: Progress) -> Joints:
        from training.pose_onnx import estimate

        return estimate(model, frames, box, progress)

    key = ("pose", model.sha256, draft.digest, draft.span, box)
    pressed = st.button("Find the joints", type="primary")
    found = followed(key, work, "pose", pressed, kind="pose model")
    if found is None or st.session_state.get("my pose read") == key:
        return draft
    st.session_state["my pose read"] = key
    return _brought(draft.bring(found, model.name))
