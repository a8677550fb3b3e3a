"""Uploads that outlive their page: held in the session until another comes or they are forgotten."""

from __future__ import annotations

from pathlib import Path

from tests.xai.test_dashboard import run_app
from xai.dashboard.library import open_library

EXPLORE = "xai/dashboard/pages/explore.py"
VIDEO = ("golf swing.mp4", b"no video at all", "video/mp4")


def test_a_video_is_there_after_its_widget_was_gone_and_until_it_is_forgotten() -> None:
    app = run_app(EXPLORE, source="Upload")
    app.get("file_uploader")[0].set_value(VIDEO).run()
    sentence = app.error[0].value.replace("\\", "")
    for source in ("Gym", "Upload"):  # a run without the widget, as another page is
        app.selectbox(key="source").select(source).run()
    assert not app.exception
    assert app.get("file_uploader")[0].value is None
    assert app.error[0].value.replace("\\", "") == sentence
    assert any("golf swing" in caption.value for caption in app.caption)
    app.button(key="forget video").click().run()
    assert not app.error
    assert "Upload a video" in app.info[0].value


def test_a_file_that_is_taken_out_of_the_widget_is_not_held() -> None:
    app = run_app(EXPLORE, source="Upload")
    app.get("file_uploader")[0].set_value(VIDEO).run()
    assert app.error
    app.get("file_uploader")[0].set_value([]).run()
    assert not app.exception
    assert not app.error
    assert "Upload a video" in app.info[0].value


def test_a_checkpoint_is_there_after_its_widget_was_gone() -> None:
    path: Path = open_library().checkpoints[0].path
    app = run_app(EXPLORE, checkpoint="upload")
    data = path.read_bytes()
    app.get("file_uploader")[0].set_value(("mine.safetensors", data, "application/octet-stream")).run()
    assert not app.error
    assert not app.info
    for key in (open_library().checkpoints[0].key, "upload"):
        app.selectbox(key="checkpoint").select(key).run()
    assert not app.exception
    assert not app.info
    assert app.session_state["held own_checkpoint"].data == data
