"""`python -m xai explain`: numbers and pictures of a clip, and errors in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import model
from model.config import tiny
from tests.xai.clips import random_recognizer
from training import gym
from xai.__main__ import main
from xai.evidence import Evidence
from xai.explanation import load_explanation
from xai.own import AS_METHODS


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
    evidence = Evidence.load(tmp_path / "evidence.npz")
    assert evidence.clip.label == "bow"
    points = evidence.sampling_points
    assert points is not None
    second = summary["parts"]["sampling_points"]["mean_offset"][1]
    apart = np.abs(points.companions["place"][1] - points.companions["reference"][1]).mean(0)
    assert [second[axis] for axis in ("frames", "x", "y")] == pytest.approx(apart.tolist(), rel=1e-4)
    assert b"/FontFile2" in (tmp_path / "ledger.pdf").read_bytes()
    assert cv2.imread(str(tmp_path / "sampling_points.png")).std() > 10
    assert "Wrote evidence.npz" in capsys.readouterr().out


def test_the_trust_of_every_part_goes_along(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    asked = ["explain", "gym:bow:3", "--checkpoint", str(checkpoint), "--out", str(tmp_path), "--trust"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    summary = json.loads((tmp_path / "explanation.json").read_text())
    evidence = Evidence.load(tmp_path / "evidence.npz")
    for name, (method, _) in AS_METHODS.items():
        verdict = summary["parts"][name]["trust"]["verdict"]
        assert f"{method[0].upper()}{method[1:]}: {verdict}" in said
        assert getattr(evidence, name).trust["verdict"] == verdict
        assert "not measured" not in verdict
    assert summary["parts"]["token_flow"]["trust"] == "not measured"


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


def test_methods_are_listed(capsys: pytest.CaptureFixture) -> None:
    assert main(["methods"]) == 0
    said = capsys.readouterr().out
    assert "integrated gradients  (gradient; on frames, joints" in said
    assert "steps=32" in said


def test_ask_writes_a_map_with_its_trust(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "map.npz"
    asked = ["ask", "gym:bow:3", "saliency", "--on", "joints", "--checkpoint", str(checkpoint), "--out", str(out)]
    assert main([*asked, "--target", "b", "--against", "c", "--trust"]) == 0
    found = load_explanation(out)
    assert found.kind == "joint map"
    assert found.made_by.parameters["target"] == "b"
    assert found.made_by.parameters["on"] == "joints"
    assert found.trust is not None
    assert found.trust["level"] in ("supported", "doubtful")
    assert found.trust["sentences"][0] in capsys.readouterr().out
    for wrong, words in ((["--option", "steps"], "holds no '='"), (["--on", "smell"], "not 'smell'")):
        assert main([*asked, *wrong]) == 2
        assert words in capsys.readouterr().err


def test_gym_bench_makes_a_table_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.manual_seed(0)
    network = model.DeformableTransformer(tiny(classes=len(gym.LABELS), frames=4, size=48)).eval()
    path = tmp_path / "gym.safetensors"
    model.save(path, network, model.Card(labels=tuple(gym.LABELS), layout="jhmdb15", frames=4, size=48))
    asked = ["gym-bench", "--checkpoint", str(path), "--clips", "4", "--out", str(tmp_path / "bench")]
    asked += ["--methods", "ledger", "joint attention", "sampling points"]
    assert main(asked) == 0
    board = json.loads((tmp_path / "bench" / "leader_board.json").read_text())
    assert board["clips"] == 4
    assert {row["method"] for row in board["rows"]} >= {"joint attention", "sampling points"}
    assert "| pixels | sampling points on frames |" in (tmp_path / "bench" / "leader_board.md").read_text()
    assert cv2.imread(str(tmp_path / "bench" / "leader_board_rank.png")).std() > 10
    before = (tmp_path / "bench" / "scores.jsonl").read_text()
    assert main(asked) == 0
    assert (tmp_path / "bench" / "scores.jsonl").read_text() == before
    assert main([*asked[:-4], "--methods", "tea leaves"]) == 2
    assert "no method 'tea leaves'" in capsys.readouterr().err


def test_a_corpus_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.manual_seed(0)
    network = model.DeformableTransformer(tiny(classes=len(gym.LABELS), frames=4, size=48)).eval()
    path = tmp_path / "gym.safetensors"
    model.save(path, network, model.Card(labels=tuple(gym.LABELS), layout="jhmdb15", frames=4, size=48))
    out = tmp_path / "corpus"
    assert main(["explain-corpus", "gym", "--checkpoint", str(path), "--clips", "3", "--out", str(out)]) == 0
    assert "3 of 3 clips explained, 0 damaged" in capsys.readouterr().out
    assert len(list(out.glob("*.npz"))) == 3
    (table,) = out.glob("summary-*.csv")
    assert len(table.read_text().splitlines()) == 4
