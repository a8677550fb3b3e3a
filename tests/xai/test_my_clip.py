"""My clip without a browser: drafts, what a browser may report, and the page from an upload to Explore."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.training.small_video import dot_frames
from tests.training.test_pose_onnx import DotFinder
from tests.xai.clips import noise_clip
from tests.xai.test_dashboard import ROOT, run_app
from training.clip import Clip
from training.clip_file import load_clip
from training.errors import ClipError
from training.joints_file import Joints
from training.pose_onnx import pose_model, sha256_of
from training.skeleton import COCO, JHMDB
from training.track_joints import Tracker
from training.video import write_video
from xai.dashboard.draft import BY_HAND, Draft, start
from xai.dashboard.placing import Key, Placed, Scene, read_placed

PAGE = "xai/dashboard/pages/my_clip.py"
T, H, W, J = 12, 60, 84, 15


def bare(length: int = T) -> Clip:
    frames = dot_frames(length, H, W, x=30, y=22)
    empty = np.zeros((length, 0, J), np.float32)
    return Clip(frames, np.zeros((*empty.shape, 2), np.float32), empty, JHMDB, np.arange(length) / 10, name="dot")


def draft(length: int = T) -> Draft:
    return start(bare(length), (H, W), "jhmdb15", "d1")


def key(frame: int, x: float = 30, y: float = 22, person: int = 0) -> Key:
    """The face on the dot, the other joints beside it."""
    places = tuple((x, y) if j == 2 else (x - 10 + j, y + 20) for j in range(J))
    return Key(frame, person, places, (True,) * J)


def finished(made: Draft) -> Clip:
    return made.finished(made.joints(Tracker(made.frames)), "wave")


# ---- Drafts ---------------------------------------------------------------------------------------------------------


def test_what_is_placed_on_one_frame_is_followed_on_the_others() -> None:
    clip = finished(draft().placing((key(0),)))
    assert clip.joints.shape == (T, 1, J, 2)
    assert np.abs(clip.joints[:, 0, 2, 0] - (30 + np.arange(T))).max() < 0.8
    assert clip.score[0].min() == 1
    assert 0 < clip.score[1:, 0, 2].min() <= clip.score[1:].max() < 1
    assert (clip.label, clip.source) == ("wave", BY_HAND)


def test_a_cut_takes_frames_times_and_key_frames_with_it() -> None:
    made = draft().placing((key(0), key(6, 36)))
    short = made.cut(4, 9)
    assert [each.frame for each in short.placed] == [2]
    assert short.edition == made.edition + 1
    clip = finished(short)
    assert len(clip) == 6
    assert clip.time.tolist() == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert np.abs(clip.joints[:, 0, 2, 0] - (34 + np.arange(6))).max() < 0.8
    moved = short.placing((key(0, 34),)).cut(0, T - 1)  # what was placed outside a cut is not lost in it
    assert sorted(each.frame for each in moved.placed) == [0, 4]
    assert made.cut(0, T - 1) is made
    with pytest.raises(ValueError, match="is no cut of it"):
        made.cut(5, T)


def test_each_skeleton_keeps_what_was_placed_in_it() -> None:
    made = draft().placing((key(0), key(0, person=0)))
    other = made.of(COCO, 1)
    assert other.placed == ()
    assert finished(other).joints.shape == (T, 0, 17, 2)
    assert len(other.of(JHMDB, 1).placed) == 2
    assert made.of(JHMDB, 1) is made
    assert made.of(JHMDB, 7).people == 2


def test_brought_joints_stay_and_a_drag_corrects_one_frame() -> None:
    joints = np.tile(np.array([20, 30], np.float32), (T, 3, J, 1))
    score = np.ones((T, 3, J), np.float32) * np.array([0.2, 0.9, 0.8], np.float32)[:, None]
    made = draft().bring(Joints(joints, score, JHMDB), "three.npz")
    assert made.people == 2  # those seen best
    assert made.given == (True, True)
    clip = finished(made.placing((key(5, 35),)))
    assert clip.joints[5, 0, 2].tolist() == [35, 22]
    assert clip.joints[4, 0, 2].tolist() == clip.joints[6, 0, 2].tolist() == [20, 30]
    assert clip.score[4, 0, 0] == pytest.approx(0.9)
    assert clip.score[4, 1, 0] == pytest.approx(0.8)
    assert finished(made.without_joints()).people == 0
    for_the_cut = draft().cut(2, 6).bring(Joints(joints[:5, :1], score[:5, :1], JHMDB), "cut.npz")
    assert finished(for_the_cut).score.min() == pytest.approx(0.2)
    with pytest.raises(ClipError, match="the video has 12 and the cut 5"):
        draft().cut(2, 6).bring(Joints(joints[:7], score[:7], JHMDB), "wrong.npz")


def test_a_saved_clip_goes_on_where_it_was_left() -> None:
    made = draft().placing((key(0), key(7, 37)))
    again = start(finished(made), (H, W), "coco17", "d2")
    assert again.layout is JHMDB
    assert [each.frame for each in again.placed] == [0, 7]
    assert again.placed[1].places[2] == (37, 22)
    assert not again.brought
    assert finished(again).joints == pytest.approx(finished(made).joints)
    other = start(noise_clip(), noise_clip().size, "coco17", "d3")
    assert other.brought
    assert other.placed == ()
    assert other.joints().joints == pytest.approx(noise_clip().joints)


def test_long_videos_are_cut_to_what_can_be_placed_on() -> None:
    frames = np.zeros((200, 8, 10, 3), np.uint8)
    empty = np.zeros((200, 0, J), np.float32)
    long = Clip(frames, np.zeros((*empty.shape, 2), np.float32), empty, JHMDB, np.arange(200) / 30)
    assert start(long, (8, 10), "jhmdb15", "d4").span == (0, 149)


# ---- What a browser reports -----------------------------------------------------------------------------------------


def report(**changes: Any) -> dict[str, Any]:
    entry = {"frame": 3, "person": 0, "place": [[1.5, 2]] * J, "seen": [True] * J}
    return {"edition": "e", "revision": 4, "keys": [{**entry, **changes}]}


def test_a_report_is_read() -> None:
    read = read_placed(report(seen=[1] * 14 + [0]), T, 2, J, (H, W))
    assert read.revision == 4
    assert read.keys[0].frame == 3
    assert read.keys[0].places[7] == (1.5, 2.0)
    assert read.keys[0].seen == (True,) * 14 + (False,)
    far = read_placed(report(place=[[1e300, -1e300]] * J), T, 2, J, (H, W))
    assert far.keys[0].places[0] == (2 * W, -H)


@pytest.mark.parametrize(
    "reported",
    [
        {"keys": 7, "revision": 0}, {"keys": [3], "revision": 0}, {"keys": [], "revision": -1},
        {"keys": [], "revision": True}, {"keys": [{}] * 99, "revision": 0}, report(frame=T), report(frame=-1),
        report(frame="3"), report(person=2), report(place=[[1, 2]] * 3), report(place=[[1, float("nan")]] * J),
        report(place=[["1", 2]] * J), report(place=[[1, 2, 3]] * J), report(seen=[True]), report(seen=None),
    ],
)  # fmt: skip
def test_a_report_that_no_placing_makes_is_a_sentence(reported: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="came"):
        read_placed(reported, T, 2, J, (H, W))


# ---- The page -------------------------------------------------------------------------------------------------------


def video_bytes(length: int = T) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dot.webm"
        write_video(path, dot_frames(length, H, W, x=30, y=22))
        return path.read_bytes()


def uploaded(name: str = "my dot.webm", data: bytes | None = None) -> AppTest:
    app = run_app(PAGE)
    assert not app.exception, app.exception
    app.file_uploader(key="my video").set_value((name, video_bytes() if data is None else data, "video/webm")).run()
    assert not app.exception, app.exception
    return app


def data_of(app: AppTest) -> dict[str, Any]:
    """What the placing component was given."""
    return dict(json.loads(app.get("bidi_component")[-1].proto.json))


def place(app: AppTest, *keys: Key, revision: int = 1) -> None:
    entries = [
        {"frame": k.frame, "person": k.person, "place": [list(p) for p in k.places], "seen": list(k.seen)}
        for k in keys
    ]  # fmt: skip
    app.session_state["my clip"] = app.session_state["my clip"].placing(keys)
    assert read_placed({"keys": entries, "revision": revision}, T, 2, J, (H, W)).keys == keys
    app.run()
    assert not app.exception, app.exception


def test_a_video_is_cut_placed_on_and_made_a_clip_of_this_session() -> None:
    app = uploaded()
    data = data_of(app)
    assert data["clip"]["frames"] == T
    assert data["layout"]["joints"] == list(JHMDB.joints)
    assert data["tracked"]["score"][0][0] == [0] * J
    app.slider(key="my cut").set_value((3, 10)).run()
    assert data_of(app)["clip"]["numbers"] == list(range(3, 11))
    place(app, key(0, 32))
    data = data_of(app)
    assert data["tracked"]["place"][5][0][2][0] == pytest.approx(37, abs=0.8)
    assert "own clip" not in app.session_state
    app.text_input(key="my label").set_value("wave").run()
    next(b for b in app.button if b.label == "Open in Explore").click().run()
    clip = app.session_state["own clip"]
    assert (len(clip), clip.label, clip.name) == (8, "wave", "my dot")
    assert clip.score[0].min() == 1


def test_what_the_browser_reports_with_a_new_cut_belongs_to_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A joint is dragged and the cut moved at once: both arrive in one run of the page."""
    app = uploaded()
    edition = data_of(app)["edition"]

    def fake(_: str, scene: Scene) -> Placed | None:
        return Placed((key(4, 36),), 1) if scene.edition == edition else None

    monkeypatch.setattr("xai.dashboard.placing.placed", fake)
    app.slider(key="my cut").set_value((3, 10)).run()
    assert not app.exception, app.exception
    assert [each["frame"] for each in data_of(app)["keys"]] == [2]
    assert data_of(app)["edition"] != edition


def test_what_was_made_is_a_source_on_other_pages_and_nobody_else_has_it() -> None:
    made = finished(draft().placing((key(0),)))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state["own clip"] = made
    app.query_params["source"] = "Mine"
    app.run()
    assert not app.exception, app.exception
    payload = json.loads(app.get("bidi_component")[0].proto.json)
    assert payload["readings"][0]["clip"]["label"] == "wave"
    assert payload["readings"][0]["skeleton"]["people"] == [0]
    told = next(each.value for each in app.caption if "classes only" in each.value).replace("\\", "")
    assert told.index("**gym-cross** was trained on drawn clips") < told.index(
        "**jhmdb-cross** fits better: real videos"
    )
    other = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    other.query_params["source"] = "Mine"
    other.run()
    assert not other.exception, other.exception
    assert "Mine" not in other.selectbox(key="source").options
    assert "which lived in another session" in other.info[0].value
    assert not any("classes only" in each.value for each in other.caption)


def test_a_saved_clip_is_opened_again_and_can_be_left_for_another() -> None:
    from xai.dashboard.own_clip import saved

    data = saved(finished(draft().placing((key(0), key(7, 37)))))
    app = uploaded("saved.npz", data)
    assert [each["frame"] for each in data_of(app)["keys"]] == [0, 7]
    next(b for b in app.button if b.label == "Another video").click().run()
    assert "my clip" not in app.session_state
    assert app.file_uploader(key="my video")


def test_two_people_and_another_skeleton_start_placing_anew() -> None:
    app = uploaded()
    first = data_of(app)["edition"]
    app.selectbox(key="my layout").set_value("coco17").run()
    app.session_state["my people"] = 2
    app.run()
    data = data_of(app)
    assert len(data["layout"]["joints"]) == 17
    assert data["people"] == 2
    assert data["edition"] != first
    assert any("cannot use another skeleton" in each.value for each in app.caption)


def bring(app: AppTest, name: str, data: bytes) -> AppTest:
    app.session_state["my way"] = "From a file"
    app.run()
    app.file_uploader(key="my joints").set_value((name, data, "application/octet-stream")).run()
    assert not app.exception, app.exception
    return app


def npz(**arrays: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.savez(held, **arrays)  # type: ignore[arg-type]
    return held.getvalue()


def test_joints_from_a_file_are_shown_and_corrected() -> None:
    app = bring(uploaded(), "coco.npz", npz(joints=np.full((T, 1, 17, 2), 25.0)))
    data = data_of(app)
    assert data["given"] == [True]
    assert len(data["layout"]["joints"]) == 17
    assert data["tracked"]["place"][4][0][3] == [25, 25]
    app.session_state["my way"] = "By hand"
    app.run()
    assert app.session_state["my clip"].layout is COCO
    assert data_of(app)["given"] == [True]


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, ("/tmp/kinescope-was-run",)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("nan.npz", npz(joints=np.full((T, 1, 15, 2), np.nan)), "not numbers"),
        ("short.npz", npz(joints=np.zeros((5, 1, 15, 2))), "joints for 5 frames"),
        ("object.npz", npz(joints=np.array([{}, {}], object)), "Python objects"),
        ("bomb.pkl", pickle.dumps([{"frame_dir": _Bomb()}]), "nothing of it was run"),
        ("no.mat", b"MATLAB 5.0 but not really", "JHMDB"),
        ("no.json", b'{"images": 3}', "COCO"),
    ],
)
def test_hostile_joints_are_a_sentence_and_the_page_goes_on(name: str, data: bytes, sentence: str) -> None:
    app = bring(uploaded(), name, data)
    assert sentence in app.error[0].value.replace("\\", "")
    assert data_of(app)["clip"]["frames"] == T
    assert not Path("/tmp/kinescope-was-run").exists()


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("no.mp4", b"#EXTM3U\nhttp://127.0.0.1:1/x\n", "does not look like a video"),
        ("cut.webm", video_bytes()[:60], "cannot be opened|no frame"),
        ("joints.npz", npz(joints=np.zeros((5, 1, 15, 2))), "no clip that was saved here"),
        ("empty.gif", b"GIF89a" + bytes(10), "cannot be opened|no frame"),
    ],
)
def test_hostile_videos_are_a_sentence_and_leave_nothing_on_disk(
    name: str, data: bytes, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    app = run_app(PAGE)
    app.file_uploader(key="my video").set_value((name, data, "video/mp4")).run()
    assert not app.exception, app.exception
    assert any(part in app.error[0].value.replace("\\", "") for part in sentence.split("|"))
    assert not list(tmp_path.glob("kinescope-*"))
    assert "my clip" not in app.session_state


def test_a_pose_model_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Pose model" not in str(uploaded().get("button_group"))
    monkeypatch.setenv("KINESCOPE_POSE_MODEL", "/nowhere/rtmpose.onnx")
    app = uploaded()
    app.session_state["my way"] = "Pose model"
    app.run()
    assert not app.exception, app.exception
    assert "no pose model at rtmpose.onnx" in app.error[0].value.replace("\\", "")


def test_a_pose_model_is_named_with_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rtmpose.onnx"
    path.write_bytes(b"the weights")
    made = pose_model(DotFinder(), path.name, sha256_of(path))
    monkeypatch.setenv("KINESCOPE_POSE_MODEL", str(path))
    monkeypatch.setattr("xai.dashboard.own_clip.load_pose_model", lambda named: made if named == path else None)
    app = uploaded()
    app.session_state["my way"] = "Pose model"
    app.run()
    assert not app.exception, app.exception
    said = " ".join(each.value for each in app.caption)
    assert hashlib.sha256(b"the weights").hexdigest() in said
    assert "COCO" in said


def test_what_is_saved_is_a_clip_file(tmp_path: Path) -> None:
    from xai.dashboard.own_clip import saved

    made = replace(finished(draft().placing((key(0),))), label=None)
    path = tmp_path / "clip.npz"
    path.write_bytes(saved(made))
    again = load_clip(path)
    assert again.fingerprint == made.fingerprint
    assert again.time == pytest.approx(made.time)


def test_who_has_no_video_tries_a_drawn_clip() -> None:
    app = run_app(PAGE)
    next(each for each in app.button if each.label.startswith("No video at hand")).click().run()
    assert not app.exception, app.exception
    assert any("wave left hand" in each.value for each in app.markdown)
    assert [each.label for each in app.button if each.label == "Another video"]


def test_errors_are_said_under_the_name_of_the_file_and_others_pass_as_they_are() -> None:
    from xai.dashboard.live import Upload

    upload = Upload("dance.mp4", b"")
    with pytest.raises(ClipError, match=r"^dance\.mp4 is broken\.$"), upload.named():
        raise ClipError("upload.mp4 is broken.")
    with pytest.raises(UnicodeDecodeError), upload.named():
        b"\xff".decode("utf-8")
