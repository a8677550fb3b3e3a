"""`python -m xai explain`: numbers and pictures of a clip, and errors in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import model
from tests.xai.clips import random_recognizer
from xai.__main__ import main
from xai.evidence import Evidence


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recognizer = random_recognizer()
    path = tmp_path_factory.mktemp("checkpoint") / "net.safetensors"
    model.save(path, recognizer.network, recognizer.card)
    return path


def test_a_gym_clip_gives_numbers_and_pictures(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["explain", "gym:bow:3", "--checkpoint", str(checkpoint), "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {f"{n}.{kind}" for n in ("sampling_points", "joint_curves", "ledger") for kind in ("png", "pdf")}
    assert names == pictures | {"evidence.npz", "explanation.json"}
    summary = json.loads((tmp_path / "explanation.json").read_text())
    assert summary["label"] == "bow"
    assert sum(entry["probability"] for entry in summary["top"]) == pytest.approx(1, abs=1e-3)
    assert summary["parts"]["joint_curves"]["trust"] == "not measured"
    assert Evidence.load(tmp_path / "evidence.npz").clip.label == "bow"
    assert b"/FontFile2" in (tmp_path / "ledger.pdf").read_bytes()
    assert cv2.imread(str(tmp_path / "sampling_points.png")).std() > 10
    assert "Wrote evidence.npz" in capsys.readouterr().out


def test_a_real_clip_with_its_joints(checkpoint: Path, tmp_path: Path, data_dir: Path) -> None:
    jhmdb = data_dir / "jhmdb"
    video = sorted((jhmdb / "videos" / "golf").iterdir())[0]
    joints = jhmdb / "joint_positions" / "golf" / video.stem / "joint_positions.mat"
    given = ["explain", str(video), "--joints", str(joints), "--checkpoint", str(checkpoint), "--out", str(tmp_path)]
    assert main(given) == 0
    evidence = Evidence.load(tmp_path / "evidence.npz")
    assert evidence.clip.size == (240, 320)
    assert (evidence.clip.score > 0).mean() > 0.5
    named = [
        "explain",
        f"jhmdb:{jhmdb}:golf/{video.stem}",
        "--checkpoint",
        str(checkpoint),
        "--out",
        str(tmp_path / "b"),
    ]
    assert main(named) == 0
    assert np.array_equal(Evidence.load(tmp_path / "b" / "evidence.npz").probabilities, evidence.probabilities)


@pytest.mark.parametrize(
    ("clip", "sentence"),
    [("nothing.mp4", "no video at"), ("gym:jump", "names no gym clip"), ("jhmdb:/nowhere:golf/x", "no JHMDB folder")],
)
def test_wrong_clips_get_one_sentence(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture, clip: str, sentence: str
) -> None:
    assert main(["explain", clip, "--checkpoint", str(checkpoint), "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_a_wrong_checkpoint_gets_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["explain", "gym:bow", "--checkpoint", str(tmp_path / "x"), "--out", str(tmp_path)]) == 2
    assert "There is no checkpoint" in capsys.readouterr().err
