"""The pages without a browser: the library, the first screen without torch, and bad input that ends in a sentence."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model import save
from model.checkpoint import Card, checkpoint_hash, read_card
from tests.xai.clips import noise_clip, random_recognizer
from xai.dashboard.film import Film
from xai.dashboard.library import ASSETS, Library, open_library, trained_here
from xai.evidence import gather_evidence
from xai.figures.cube import cube_arrays, cube_figure
from xai.figures.player import FORMAT_VERSION, player_payload

ROOT = Path(__file__).resolve().parents[2]


def run_app(page: str = "app.py", **query: str | list[str]) -> AppTest:
    app = AppTest.from_file(str(ROOT / page), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.session_state["settled"] = True  # Explore shows all of itself at once, not first the player
    return app.run()


HALF_IMPORTED = """
import runpy, sys, threading
from importlib import import_module
import streamlit

def configure(**_):
    raise SystemExit(0 if hasattr(sys.modules.get("pandas"), "Series") else 1)

streamlit.set_page_config = configure
threading.Thread(target=import_module, args=("pandas",), daemon=True).start()
while "pandas" not in sys.modules:
    pass
runpy.run_path("app.py")
"""
"""Another session has begun to import pandas; is it whole when this one shows its first element?"""


def test_no_session_draws_while_another_imports_pandas() -> None:
    found = subprocess.run(
        [sys.executable, "-c", HALF_IMPORTED], check=False, cwd=ROOT, capture_output=True, timeout=120
    )
    assert found.returncode == 0, found.stderr.decode()


def test_the_library_lists_what_is_there() -> None:
    library = open_library()
    assert len(library.clips) >= 12
    assert len({clip.cause for clip in library.clips}) >= 4
    assert {checkpoint.token_mode for checkpoint in library.checkpoints} == {"none", "single", "cross", "frame-wise"}
    assert library.checkpoints[0].token_mode == "cross"
    for clip in library.clips:
        assert clip.path.is_file()
        for checkpoint in library.checkpoints:
            assert checkpoint.path.is_file()
            if checkpoint.key.startswith("gym"):
                payload = library.payload(checkpoint.key, clip.key)
                assert payload is not None
                assert payload["clip"]["label"] == clip.label


def test_the_index_and_the_traces_belong_to_the_checkpoints_that_ship() -> None:
    index = json.loads((ASSETS / "index.json").read_text(encoding="utf-8"))
    hashes = {}
    for entry in index["checkpoints"]:
        path = ASSETS / entry["file"]
        assert read_card(path)[1] == Card.from_dict(entry["card"])
        hashes[entry["key"]] = checkpoint_hash(path)
    traces = open_library().traces
    assert len(traces) >= 3 * 12
    for (checkpoint, clip), path in traces.items():
        payload = json.loads(lzma.decompress(path.read_bytes()))
        assert payload["model"]["checkpoint"] == hashes[checkpoint], f"{checkpoint} of {clip}: run python -m xai bundle"


def test_what_ships_stays_small() -> None:
    sizes = {path: path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()}
    compared = sum(size for path, size in sizes.items() if path.parent == ASSETS / "checkpoints" / "mixing")
    assert sum(sizes.values()) - compared < 40e6
    assert compared < 10e6  # seven frame-wise networks that only Temporal shows


def test_without_assets_the_library_is_empty(tmp_path: Path) -> None:
    assert open_library(tmp_path).clips == ()


def test_the_first_screen_is_drawn_without_torch() -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        "app = AppTest.from_file('app.py', default_timeout=60).run(); "
        "assert not app.exception, app.exception; "
        "assert app.get('bidi_component'), 'no player'; "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]


def test_tokens_shows_three_lanes() -> None:
    app = run_app("xai/dashboard/pages/tokens.py")
    assert not app.exception
    assert len(app.get("bidi_component")) == 1


def test_a_clip_and_checkpoint_without_trace_are_computed_and_bundled_traces_are_what_is_computed() -> None:
    """The bundled payload of a pair is what the live path gives for it today."""
    from training.clip_file import load_clip
    from training.recognizer import Recognizer

    library = open_library()
    clip, checkpoint = library.clips[0], library.checkpoints[0]
    evidence = gather_evidence(Recognizer.load(checkpoint.path, "cpu"), load_clip(clip.path), looks=True)
    live = player_payload(evidence)
    bundled = library.payload(checkpoint.key, clip.key)
    assert bundled is not None
    assert bundled["clip"]["source"] == live["clip"]["source"]
    assert [c["label"] for c in bundled["classes"][:3]] == [c["label"] for c in live["classes"][:3]]
    assert bundled["classes"][0]["logit"] == pytest.approx(live["classes"][0]["logit"], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("setup.mp4", b"MZ" + bytes(100), "does not look like a video"),
        ("clip.webm", b"", "does not look like a video"),
    ],
)
def test_bad_uploads_end_in_a_sentence(name: str, data: bytes, sentence: str) -> None:
    app = run_app("xai/dashboard/pages/explore.py")
    app.selectbox(key="source").select("Upload").run()
    assert "Upload a video" in app.info[0].value
    app.get("file_uploader")[0].set_value((name, data, "video/mp4")).run()
    assert not app.exception
    assert sentence in app.error[0].value.replace("\\", "")


def test_a_pickle_as_checkpoint_is_refused() -> None:
    import pickle

    app = run_app("xai/dashboard/pages/explore.py")
    app.selectbox(key="checkpoint").select("upload").run()
    app.get("file_uploader")[0].set_value(("x.safetensors", pickle.dumps([1]), "application/octet-stream")).run()
    assert not app.exception
    assert "not a safetensors file" in app.error[0].value.replace("\\", "")


def looks(app: AppTest) -> Any:
    """What the page sends of what single tokens read."""
    sent = [json.loads(each.proto.json or "{}") for each in app.get("bidi_component")]
    return next(each["readings"][0]["looks"] for each in sent if "readings" in each)


def test_a_first_visit_shows_the_player_first() -> None:
    app = AppTest.from_file(str(ROOT / "xai/dashboard/pages/explore.py"), default_timeout=60).run()
    assert not app.exception
    assert not app.subheader  # "Ask another way", the cube and the downloads wait until the browser shows the player
    assert looks(app) is None  # most of the bytes, for who hovers
    app.run()
    assert not app.exception
    assert looks(app)["mean"]
    assert "Take it with you" in [each.value for each in app.subheader]
    asked = AppTest.from_file(str(ROOT / "xai/dashboard/pages/explore.py"), default_timeout=60)
    asked.query_params["ask"] = "true"
    assert "Ask another way" in [each.value for each in asked.run().subheader]


def test_the_cube_draws_places_where_they_are() -> None:
    evidence = gather_evidence(random_recognizer(), noise_clip())
    arrays = cube_arrays(player_payload(evidence))
    assert arrays is not None
    given = arrays.of(1, 0)
    figure = cube_figure(**given, keep=1)
    heaviest = int(given["mass"].argmax())
    t, x, y = evidence.sampling_points.companions["place"][1, heaviest]
    dots = figure.data[-1]
    assert (dots.x[0], dots.y[0], dots.z[0]) == pytest.approx((x, t + 1, y), abs=0.02)  # frames are counted from 1
    without = gather_evidence(random_recognizer(deformable="off"), noise_clip())
    assert cube_arrays(player_payload(without)) is None


def test_traces_are_plain_compressed_json() -> None:
    path = next(iter(open_library().traces.values()))
    assert json.loads(lzma.decompress(path.read_bytes()))["version"] == FORMAT_VERSION


@pytest.mark.parametrize(
    ("state", "query", "shown"),
    [
        ({}, {}, "sit down"),
        ({"clip": "wave left hand"}, {}, "sit down"),  # what Explore shows by itself
        ({"clip": "wave left hand", "clip was chosen": True}, {}, "wave left hand"),
        ({}, {"clip": "bow"}, "bow"),
    ],
)
def test_temporal_begins_with_a_clip_that_order_decides(
    state: dict[str, object], query: dict[str, str], shown: str
) -> None:
    app = AppTest.from_file(str(ROOT / "xai/dashboard/pages/temporal.py"), default_timeout=60)
    for name, value in state.items():
        app.session_state[name] = value
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert app.session_state["clip"] == shown
    assert len(app.multiselect[0].options) >= 10  # every variant can be looked at
    names = app.multiselect[0].value
    assert names == ["gym-vit", "gym-tokenshift", "gym-msca-kv"]  # from the one that mixes nothing


def test_explore_says_where_the_heads_of_a_frame_wise_network_are_seen() -> None:
    app = run_app(checkpoint="gym-msca-kv", clip="sit down")
    assert not app.exception
    titles = [each.value for each in app.subheader]
    assert "Frame by frame" in titles
    assert "The points in space and time" not in titles
    assert {button.proto.label for button in app.get("download_button")} == {"PNG", "PDF", "NPZ"}
    assert len(app.get("download_button")) == 3


def test_temporal_says_what_to_do_and_then_finds_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.xai.test_framewise_evidence import framewise

    monkeypatch.setattr("xai.dashboard.library.RUNS", tmp_path)
    page = "xai/dashboard/pages/temporal.py"
    monkeypatch.setattr("xai.dashboard.library.open_library", lambda: Library((), (), {}))
    app = run_app(page)
    assert "training train --config gym-msca-kv" in app.code[0].value
    assert not app.selectbox  # nothing to choose from yet
    assert any("three quarters of an hour" in each.value for each in app.markdown)
    assert "Multi-head self/cross-attention" in app.get("html")[0].proto.body
    monkeypatch.undo()
    monkeypatch.setattr("xai.dashboard.library.RUNS", tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "best.safetensors").write_bytes(b"no weights")
    for variant in ("vit", "msca-kv"):
        made = framewise(variant)
        (tmp_path / variant).mkdir()
        save(tmp_path / variant / "best.safetensors", made.network, made.card)
    assert [each.name for each in trained_here("frame-wise")] == ["msca-kv", "vit"]
    assert trained_here("cross") == []
    app = run_app(page)
    assert not app.exception
    assert "training train --config gym-msca-kv" in app.expander[0].code[0].value
    assert "What each head reads" in [each.value for each in app.subheader]


def test_the_telling_frame_is_where_somebody_moves_and_not_where_a_ball_rolls() -> None:
    film = Film.of_payload(open_library().payload("gym-cross", "wave-left-hand") or {})
    wrist = film.names.index("left wrist")
    assert film.joints[film.telling, 0, wrist, 1] < np.median(film.joints[:, 0, wrist, 1]) - 5  # the hand is up
    bare = Film(film.frames, film.joints[:, :0], film.score[:, :0])
    pixels = film.frames.astype(float)
    assert bare.telling == np.abs(pixels - pixels.mean(0)).mean((1, 2, 3)).argmax()


def test_a_file_is_named_as_its_owner_knows_it() -> None:
    from training.errors import ClipError
    from xai.dashboard.live import Upload, uploaded_clip

    with pytest.raises(ClipError, match=r"^my holiday\.mp4 does not look like a video"):
        uploaded_clip(Upload("my holiday.mp4", b"MZ" + bytes(50)), None)


def test_the_same_pixels_under_two_names_are_two_clips_to_visitors() -> None:
    from tests.xai.clips import noise_clip, random_recognizer
    from xai.dashboard import live

    network, clip = random_recognizer(frames=5), noise_clip()
    first, second = (replace(clip, label=label, name=f"of {label}") for label in ("a", "b"))
    assert first.fingerprint == second.fingerprint
    assert len({clip.identity, first.identity, second.identity, replace(first, time=clip.time + 1).identity}) == 4
    assert first.identity == replace(first).identity
    for each in (first, second):
        assert json.dumps(live.payload(network, each)).count(f"of {each.label}")
        assert live.evidence(network, each).clip.label == each.label
