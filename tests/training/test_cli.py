"""`python -m training`: every sub-command, from the command line to the files."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

import model
from tests.training.squares import Squares
from training.__main__ import main
from training.checkpointing import Log, read_log
from training.config import DataConfig, resolve
from training.pack import PackedDataset, pack_files, write_pack
from training.sources import cached_pack, open_data, spread, training_data

SMALL = """
base: tiny
name: squares
model: {width: 4, layers: 1, heads: 1, offset_kernel: 3, ffn_ratio: 1}
data: {source: "pack:%s", labels: [], train_clips: 0, val_clips: 0}
schedule: {stages: [{epochs: 2, size: 32, frames: 4, batch: 4}]}
run: {threads: 1}
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    squares = Squares(train=8, val=4, test=4)
    return write_pack(tmp_path_factory.mktemp("data") / "squares", squares, squares.splits, 40, progress=False)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "small.yaml").write_text(SMALL % pack)
    command = ["train", "--config", str(folder / "small.yaml"), "--set", "optimiser.lr=1e-3", "--quiet"]
    assert main([*command, "--out", str(folder / "x")]) == 0
    return folder / "x"


def test_train_writes_a_checkpoint_for_the_data(run_folder: Path) -> None:
    card = model.read_card(run_folder / "best.safetensors")[1]
    assert card.labels == Squares.labels
    assert card.trained_on == "squares, 8 clips"
    assert [entry["kind"] for entry in read_log(run_folder / "log.jsonl")] == ["start", "epoch", "step", "epoch"]
    assert "lr: 0.001" in (run_folder / "config.yaml").read_text()


def test_resume_of_a_finished_run_changes_nothing(run_folder: Path) -> None:
    before = (run_folder / "last.pt").read_bytes()
    assert main(["train", "--out", str(run_folder), "--resume", "--quiet"]) == 0
    assert (run_folder / "last.pt").read_bytes() == before


def test_evaluate_prints_and_writes_scores(
    run_folder: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "--checkpoint", str(run_folder / "best.safetensors"), "--data", f"pack:{pack}", "--quiet"]
    assert main([*command, "--json", str(tmp_path / "out.json")]) == 0
    scores = json.loads((tmp_path / "out.json").read_text())
    assert scores["clips"] == 4
    assert scores["labels"] == list(Squares.labels)
    assert scores["per_kind"] == {"time": scores["top1"]}
    assert len(scores["hash"]) == 16
    assert f"top-1 {scores['top1']:.1%}" in capsys.readouterr().out
    assert main([*command, "--split", "val", "--mute", "joints", "--clips", "2"]) == 0
    assert "(2 clips)" in capsys.readouterr().out


def test_evaluate_exports_a_checkpoint_that_says_its_scores(run_folder: Path, pack: Path, tmp_path: Path) -> None:
    checkpoint, out = run_folder / "best.safetensors", tmp_path / "small.safetensors"
    command = ["evaluate", "--checkpoint", str(checkpoint), "--data", f"pack:{pack}", "--quiet"]
    assert main([*command, "--json", str(tmp_path / "out.json"), "--export", str(out)]) == 0
    scores = json.loads((tmp_path / "out.json").read_text())
    card = model.read_card(out)[1]
    assert card.metrics["test top1"] == round(scores["top1"], 4)
    assert card.metrics["test clips"] == 4
    assert card.labels == model.read_card(checkpoint)[1].labels
    assert out.stat().st_size < 0.6 * checkpoint.stat().st_size
    first, second = (model.load(path)[0].state_dict() for path in (checkpoint, out))
    assert all(torch.allclose(first[name], second[name], atol=1e-2, rtol=1e-3) for name in first)


def test_pack_copies_some_clips_of_each_split(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", f"pack:{pack}", "--size", "32", "--clips", "2", "--out", str(tmp_path / "p"), "--quiet"]) == 0
    assert "2 train, 2 val, 2 test clips" in capsys.readouterr().out
    packed = PackedDataset(tmp_path / "p")
    assert packed.clip(0).size == (32, 38)
    assert [packed.label(i) for i in packed.splits["train"]] == [0, 1]


def test_describe_prints_a_configuration_that_can_be_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["describe", "--config", "tiny", "--set", "model.width=4"]) == 0
    text = capsys.readouterr().out
    assert "parameters" in text
    assert "GFLOP" in text
    (tmp_path / "again.yaml").write_text(text)
    assert main(["describe", "--config", str(tmp_path / "again.yaml")]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--config", "nothing", "--out", "x"], "There is no preset 'nothing'"),
        (["train", "--out", "x"], "Give --config"),
        (["train", "--out", "x", "--resume"], "There is no run in x"),
        (["train", "--out", "x", "--resume", "--set", "run.seed=1"], "There is no run in x"),
        (["describe", "--config", "demo", "--set", "model.widht=3"], "did you mean one of model.width"),
        (["evaluate", "--checkpoint", "none.safetensors", "--data", "gym"], "There is no checkpoint"),
        (["pack", "unknown", "--out", "x"], "Unknown data set 'unknown'"),
        (["pack", "pack:none", "--out", "x"], "There is no pack"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_other_labels_than_the_checkpoints_are_refused(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Squares(train=2, val=2, test=2)
    other.labels = ("stays", "goes right")
    path = write_pack(tmp_path / "other", other, other.splits, 40, progress=False)
    assert main(["evaluate", "--checkpoint", str(run_folder / "last.safetensors"), "--data", f"pack:{path}"]) == 2
    assert "does not know 1 labels of squares, first 'stays'" in capsys.readouterr().err


def test_spread_takes_turns_between_the_classes() -> None:
    assert spread([0, 0, 0, 1, 1, 2], 4) == [0, 1, 3, 5]
    assert spread([0, 1, 0], 0) == [0, 1, 2]
    assert spread([0, 1, 0], 9) == [0, 1, 2]


def test_rendered_clips_are_packed_once(tmp_path: Path) -> None:
    from dataclasses import replace

    from training.config import PRESETS

    data = replace(
        PRESETS["tiny"].data, source="gym?size=32&frames=4&train=36&val=36&test=18", train_clips=3, val_clips=3,
        pack_size=32, cache=str(tmp_path),
    )  # fmt: skip
    said: list[str] = []
    train, val = training_data(data, say=said.append)
    assert (len(train), len(val), train.labels) == (3, 3, data.labels)
    assert train.kinds == ("pose", "time", "time")
    direct = open_data(data.source, "train")
    first = direct.targets.index(direct.labels.index("wave left hand"))
    assert train.clips[0].fingerprint == direct.clips[first].fingerprint
    stamp = cached_pack(data).stat().st_mtime_ns
    training_data(data, say=said.append)
    assert cached_pack(data).stat().st_mtime_ns == stamp
    assert len(said) == 1
    assert cached_pack(replace(data, train_clips=4)) != cached_pack(data)


def test_a_folder_that_changed_is_packed_anew(tmp_path: Path) -> None:
    data = DataConfig(source=f"folder:{tmp_path / 'own'}", cache=str(tmp_path))
    (tmp_path / "own" / "wave").mkdir(parents=True)
    (tmp_path / "own" / "wave" / "a.npz").write_bytes(b"one")
    before = cached_pack(data)
    assert cached_pack(data) == before
    (tmp_path / "own" / "wave" / "b.npz").write_bytes(b"two")
    after = cached_pack(data)
    assert after != before
    os.utime(tmp_path / "own" / "wave" / "a.npz", ns=(1, 1))
    assert cached_pack(data) != after


@pytest.mark.parametrize("cache", [".", "packs", "wave", "link"])
def test_what_training_writes_into_the_folder_of_the_data_is_no_change_of_it(tmp_path: Path, cache: str) -> None:
    own = tmp_path / "own"
    (own / "wave").mkdir(parents=True)
    (own / "wave" / "a.npz").write_bytes(b"one")
    (own / "wave" / "1.jpg").write_bytes(b"a frame")
    (own / "samples.png").write_bytes(b"a picture beside the classes")
    if cache == "link":
        (tmp_path / "far").mkdir()
        (own / "link").symlink_to(tmp_path / "far")
    data = DataConfig(source=f"folder:{own}", cache=str(own / cache))
    before = cached_pack(data)
    before.parent.mkdir(exist_ok=True)
    before.write_bytes(b"a pack")
    pack_files(before)[1].write_bytes(b"its frames")
    unfinished = before.parent / f".{before.stem}.part"
    unfinished.mkdir()
    (unfinished / "frames").write_bytes(b"of another pack")
    run = own / "runs" / "x"
    run.mkdir(parents=True)
    for name in ("config.yaml", "env.json", "log.jsonl", "last.pt"):
        (run / name).write_bytes(b"of a run")
    (own / "runs" / "latest").symlink_to(run)
    assert cached_pack(data) == before
    (own / "wave" / "2.jpg").write_bytes(b"another frame")
    after = cached_pack(data)
    assert after != before
    (own / "jump").mkdir()
    assert cached_pack(data) == after, "a folder without a file says nothing"
    (own / "jump" / "config.yaml").write_bytes(b"not of a run")
    assert cached_pack(data) != after


def test_what_lies_behind_a_link_is_data_too(tmp_path: Path) -> None:
    """A class that lies on another disk; a link back to where it lies ends."""
    own, far = tmp_path / "own", tmp_path / "far"
    own.mkdir()
    (far / "wave").mkdir(parents=True)
    (far / "wave" / "a.npz").write_bytes(b"one")
    data = DataConfig(source=f"folder:{own}", cache=str(tmp_path))
    before = cached_pack(data)
    (own / "wave").symlink_to(far / "wave")
    linked = cached_pack(data)
    assert linked != before
    (far / "wave" / "b.npz").write_bytes(b"two")
    grown = cached_pack(data)
    assert grown != linked
    (own / "wave" / "back").symlink_to(own)
    assert cached_pack(data) != grown
    (own / "nowhere").symlink_to(tmp_path / "gone")
    cached_pack(data)


def test_the_same_command_starts_a_run_and_goes_on_with_it(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a scheduler does that starts a killed job again."""
    folder = tmp_path / "x"
    shutil.copytree(run_folder, folder)
    values = yaml.safe_load((folder / "config.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    command = ["train", "--config", str(tmp_path / "mine.yaml"), "--resume", "--quiet", "--out"]
    before = (folder / "log.jsonl").read_text()
    assert main([*command, str(folder)]) == 0
    assert (folder / "log.jsonl").read_text() == before
    assert main([*command, str(tmp_path / "y")]) == 0
    assert (tmp_path / "y" / "last.safetensors").is_file()
    capsys.readouterr()
    assert main([*command, str(folder), "--set", "optimiser.lr=0.5"]) == 2
    assert "holds a run of another recipe" in capsys.readouterr().err
    assert main([*command, str(folder), "--set", "run.threads=1", "--set", "run.checkpoint_minutes=9"]) == 0
    assert (folder / "log.jsonl").read_text() == before
    (tmp_path / "z").mkdir()
    shutil.copy(folder / "config.yaml", tmp_path / "z")  # killed before there was anything to go on with
    assert main(["train", "--resume", "--quiet", "--out", str(tmp_path / "z")]) == 0
    assert (tmp_path / "z" / "last.safetensors").read_bytes() == (tmp_path / "y" / "last.safetensors").read_bytes()


def test_evaluate_writes_tables_and_pictures(
    run_folder: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "--checkpoint", str(run_folder / "best.safetensors"), "--data", f"pack:{pack}", "--quiet"]
    assert main([*command, "--less", "--out", str(tmp_path / "report")]) == 0
    names = {file.name for file in (tmp_path / "report").iterdir()}
    assert names == {
        "scores.json", "per_class.csv", "confusion.csv", "confusion.png", "calibration.csv", "calibration.png"
    }  # fmt: skip
    scores = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert scores["interval"][0] <= scores["top1"] <= scores["interval"][1]
    assert set(scores["hidden"]) == {"rgb only", "pose only", "frames shuffled"}
    assert scores["told_apart"] == {}, "no pair of the gym is among these labels"
    printed = capsys.readouterr().out
    assert f"rgb only {scores['hidden']['rgb only']:.1%}" in printed
    assert "confusion.png" in printed


def test_evaluate_says_how_often_pairs_that_time_tells_apart_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The share is counted again from the table of answers."""
    checkpoint = Path("assets/checkpoints/gym-vit.safetensors")
    command = ["evaluate", "--checkpoint", str(checkpoint), "--data", "gym", "--clips", "54", "--quiet"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    rows = [line.split(",") for line in (tmp_path / "confusion.csv").read_text().splitlines()]
    table = {row[0]: dict(zip(rows[0][1:], map(int, row[1:]), strict=True)) for row in rows[1:]}
    told = json.loads((tmp_path / "scores.json").read_text())["told_apart"]
    assert set(told) == {"sit down / stand up", "pick up / put down", "clap early / clap late"}
    for pair, (right, answered) in told.items():
        one, other = pair.split(" / ")
        assert right == table[one][one] + table[other][other]
        assert answered == right + table[one][other] + table[other][one]
    assert sum(answered for _, answered in told.values()) > 0
    assert "sit down / stand up: " in capsys.readouterr().out


def test_the_folder_of_a_run_says_what_it_was_made_with(run_folder: Path) -> None:
    environment = json.loads((run_folder / "env.json").read_text())
    assert environment["packages"]["torch"]
    assert (environment["processes"], environment["commit"] is None or len(environment["commit"]) >= 40) == (1, True)
    train, val = environment["data"]["train"], environment["data"]["val"]
    assert (len(train), len(val), train != val) == (16, 16, True)


def test_what_has_changed_when_a_run_goes_on_is_noted(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(run_folder, folder)
    first = json.loads((folder / "env.json").read_text())
    assert main(["train", "--out", str(folder), "--resume", "--quiet"]) == 0
    assert json.loads((folder / "env.json").read_text()) == first
    older = first | {"packages": first["packages"] | {"torch": "2.4.0"}, "commit": "0" * 40}
    (folder / "env.json").write_text(json.dumps(older))
    for _ in range(2):  # the second time nothing is new
        assert main(["train", "--out", str(folder), "--resume", "--quiet"]) == 0
        noted = json.loads((folder / "env.json").read_text())
        (resumed,) = noted.pop("resumed")
        assert noted == older
        assert set(resumed) == {"step", "command", "packages", "commit"}
        assert (resumed["packages"], resumed["commit"]) == (first["packages"], first["commit"])
        assert resumed["step"] > 0


def test_resume_with_other_clips_of_the_same_number_is_said(
    run_folder: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "x"
    shutil.copytree(run_folder, folder)
    environment = json.loads((folder / "env.json").read_text())
    assert main(["train", "--out", str(folder), "--resume", "--quiet"]) == 0
    assert "another content" not in "".join(capsys.readouterr())
    environment["data"]["train"] = "0" * 16
    (folder / "env.json").write_text(json.dumps(environment))
    assert main(["train", "--out", str(folder), "--resume", "--quiet"]) == 0
    assert "another content" in "".join(capsys.readouterr())


def test_scalars_go_to_tensorboard_if_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            written.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def close(self) -> None:
            written.append(("closed",))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    log = Log(tmp_path / "log.jsonl", step=7)
    log.write(kind="start", device="cpu", steps=9)
    log.write(kind="step", step=8, loss=0.5, lr=0.1)
    log.write(kind="epoch", step=9, val_accuracy=0.75)
    log.close()
    assert written == [
        (str(tmp_path / "tensorboard"), 7), ("step/loss", 0.5, 8), ("step/lr", 0.1, 8), ("epoch/val_accuracy", 0.75, 9),
        ("closed",),
    ]  # fmt: skip
    assert len(read_log(tmp_path / "log.jsonl")) == 3


def test_verify_finds_damage(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in pack_files(pack):
        shutil.copy(file, tmp_path / f"p{file.suffix}")
    assert main(["verify", str(tmp_path / "p")]) == 0
    assert "16 clips, as they were written" in capsys.readouterr().out
    with open(tmp_path / "p.npy", "r+b") as file:
        file.seek(500)
        file.write(b"\0\1\2\3")
    assert main(["verify", str(tmp_path / "p")]) == 2
    assert "checksum" in capsys.readouterr().err


def test_check_data_draws_a_sheet(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-data", f"pack:{pack}", "--out", str(tmp_path / "sheet.png"), "--quiet"]) == 0
    assert "16 clips of 2 classes" in capsys.readouterr().out
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_help_names_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["pack"], ["evaluate"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        text = capsys.readouterr().out
        for source in ("gym", "jhmdb:", "penn:", "ntu:", "finegym:", "skeletons:", "folder:", "pack:"):
            assert source in text


def test_clips_of_unknown_labels_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, known = tmp_path / "two.safetensors", ("bow", "sit down")
    network = model.build(resolve("tiny", ["model.classes=2"]).model)
    model.save(checkpoint, network, model.Card(known, "jhmdb15", frames=4, size=48))
    command = ["evaluate", "--checkpoint", str(checkpoint), "--data", "gym?size=64&test=36", "--quiet"]
    assert main(command) == 2
    assert "leave these clips out (evaluate --known-labels)" in capsys.readouterr().err
    assert main([*command, "--known-labels", "--json", str(tmp_path / "scores.json")]) == 0
    assert f"Left out {36 - 2 * len(known)} clips of labels" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores.json").read_text())["clips"] == 2 * len(known)


def test_commands_of_the_readme_fit_their_processes() -> None:
    """A batch smaller than the processes that share it is refused, and then a cluster has been waited for in vain."""
    text = (Path(__file__).parents[2] / "README.md").read_text().replace("\\\n", " ")
    commands = [line for line in text.splitlines() if "torchrun" in line and "-m training train" in line]
    assert len(commands) == 2
    for line in commands:
        words = shlex.split(line)
        told = dict(word.lstrip("-").split("=", 1) for word in words if word.startswith("--n") and "=" in word)
        processes = int(told.get("nnodes", 1)) * int(told["nproc_per_node"])
        changes = [word for before, word in pairwise(words) if before == "--set"]
        config = resolve(words[words.index("--config") + 1], changes)
        assert processes > 1
        assert min(stage.batch for stage in config.schedule.stages) >= processes
