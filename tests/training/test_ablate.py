"""Ablations: every row is a configuration that can be built, runs are kept, and tables say what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import model
from training import gym
from training.__main__ import main
from training.ablate import (
    TABLES,
    Answers,
    Result,
    ablate,
    configured,
    markdown,
    result_of,
    tables_for,
    write_answers,
    write_tables,
)  # fmt: skip
from training.config import DataConfig, TrainConfig
from training.interval import spread_of
from training.order import Told, told_apart
from training.sources import compared_on, open_source, split_of, training_data


@pytest.mark.parametrize("table", list(TABLES))
@pytest.mark.parametrize("data", ["gym", "jhmdb"])
def test_every_row_can_be_built_and_differs(table: str, data: str) -> None:
    seen = set()
    base = data + {"deformable": "-cross", "framewise": "-vit"}[TABLES[table].architecture]
    for changes in TABLES[table].rows.values():
        config = configured(base, ["schedule.stages=[{epochs: 1, size: 64, frames: 8, batch: 4}]"], changes, 2)
        assert config.run.seed == 2
        model.build(config.model)
        seen.add(json.dumps(config.to_dict(), sort_keys=True))
    assert len(seen) == len(TABLES[table].rows)


def test_rows_that_are_the_recipe_itself_are_known_to_be() -> None:
    shared = ["schedule.stages=[{epochs: 1, size: 32, frames: 8, batch: 4}]"]
    plain = configured("gym-cross", shared, (), 0)
    same = {
        name: [row for row, each in table.rows.items() if configured("gym-cross", shared, each, 0) == plain]
        for name, table in TABLES.items()
        if table.architecture == "deformable"
    }
    assert same == {
        "blocks": ["all three"], "tokens": ["cross"], "windows": ["window 4, stride 2"], "frames": ["8 frames"],
        "fewer": ["trained once"], "pairing": ["cyclic"], "offsets": ["volume"], "geometry": ["appearance"],
        "pictures": ["colour of the frame"],
    }  # fmt: skip


def test_stages_are_changed_together() -> None:
    shared = [
        "schedule.stages=[{epochs: 2, size: 32, frames: 8, batch: 4}, {epochs: 1, size: 48, frames: 12, batch: 4}]"
    ]
    config = configured("gym-cross", shared, ("schedule.stages.*.frames=4",), 0)
    assert [(stage.size, stage.frames) for stage in config.schedule.stages] == [(32, 4), (48, 4)]
    assert config.model.frames == 4


def fake_run(folder: Path, accuracy: float, planned: int = 6, done: int = 6) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"kind": "start", "steps": planned}]
    lines += [
        {"kind": "epoch", "step": step, "val_accuracy": accuracy, "seconds": 30.0} for step in range(3, done + 1, 3)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_only_finished_runs_count(tmp_path: Path) -> None:
    fake_run(tmp_path / "a", 0.5)
    fake_run(tmp_path / "b", 0.5, done=3)
    assert result_of(tmp_path / "a", "x", 1) == Result("x", 1, 0.5, 60.0)
    assert result_of(tmp_path / "b", "x", 1) is None
    assert result_of(tmp_path / "c", "x", 1) is None


def test_what_is_done_is_not_run_again(tmp_path: Path) -> None:
    trained: list[tuple[str, bool]] = []

    def train(config: TrainConfig, folder: Path, resume: bool) -> None:
        trained.append((folder.relative_to(tmp_path).as_posix(), resume))
        fake_run(folder, 0.4 + 0.1 * config.run.seed)

    def test(config: TrainConfig, checkpoint: Path, arguments: dict) -> float:
        return arguments["frames"] / 10

    half = tmp_path / "tokens" / "none" / "0"
    half.mkdir(parents=True)
    (half / "last.pt").write_bytes(b"")  # stopped in the middle
    results = list(ablate(["tokens", "fewer"], "gym-cross", [], 2, tmp_path, train, test))
    assert trained[0] == ("tokens/none/0", True)
    assert trained[1] == ("tokens/single/0", False)
    assert len(trained) == 6  # the row of `fewer` is the network of tokens/cross
    assert (tmp_path / "fewer" / "trained-once" / "1").resolve() == (tmp_path / "tokens" / "cross" / "1").resolve()
    assert list(ablate(["tokens", "fewer"], "gym-cross", [], 2, tmp_path, train, test)) == results
    assert len(trained) == 6
    assert ("fewer", Result("4 frames", 1, 0.4, 60.0)) in results
    write_tables(tmp_path, results, "gym-cross")
    text = (tmp_path / "tables.md").read_text()
    assert "| cross | 45.0 ± 63.5 % | 2 | 1.0 |" in text
    assert "| 2 frames | 20.0 ± 0.0 % | 2 | 1.0 |" in text
    assert len(json.loads((tmp_path / "results.json").read_text())) == len(results)


def test_a_run_of_another_recipe_is_not_passed_off(tmp_path: Path) -> None:
    def train(config: TrainConfig, folder: Path, resume: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(config.to_yaml())

    def run(*shared: str) -> list:
        return list(ablate(["tokens"], "gym-cross", shared, 1, tmp_path, train, lambda *_: 0.0))

    run("optimiser.lr=1e-3")
    run("optimiser.lr=1e-3")
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        run("optimiser.lr=5e-3")


def test_what_each_run_says_is_kept_clip_by_clip(tmp_path: Path) -> None:
    asked: list[str] = []

    def train(config: TrainConfig, folder: Path, resume: bool) -> None:
        fake_run(folder, 0.5)

    def answer(config: TrainConfig, checkpoint: Path) -> Answers:
        asked.append(checkpoint.parent.relative_to(tmp_path).as_posix())
        source = "elsewhere" if config.model.token_mode == "single" and config.run.seed else "folder:/here?val=8"
        return Answers(source, ("a", "b"), (0, 4), (0, 1), (0, len(asked) % 2))

    def run() -> list[tuple[str, Result]]:
        return list(ablate(["tokens"], "gym-cross", [], 2, tmp_path, train, lambda *_: 0.0, answer))

    results = run()
    assert len(asked) == 6
    assert run() == results
    assert len(asked) == 6  # kept, not asked again
    write_answers(tmp_path, results, "as ever")
    found = json.loads((tmp_path / "answers.json").read_text())
    assert (found["source"], found["recipe"]) == ("folder?val=8", "as ever")
    assert (found["labels"], found["positions"], found["target"]) == (
        ["a", "b"],
        [0, 4],
        [0, 1],
    )
    assert [(run["row"], run["seed"]) for run in found["runs"]] == [
        ("none", 0), ("single", 0), ("cross", 0), ("none", 1), ("cross", 1),
    ]  # fmt: skip
    assert [run["said"] for run in found["runs"][:2]] == [[0, 1], [0, 0]]


def test_rows_may_be_compared_on_test_clips(tmp_path: Path) -> None:
    """The accuracies are those of what each network says of the test clips, and nothing is overwritten."""

    def train(config: TrainConfig, folder: Path, resume: bool) -> None:
        fake_run(folder, 0.5)

    def run(split: str) -> list[tuple[str, Result]]:
        def answer(config: TrainConfig, checkpoint: Path) -> Answers:
            said = {"none": (1, 1, 0), "single": (0, 1, 0), "cross": (0, 1, 1)}[config.model.token_mode]
            return Answers("folder:/here", ("a", "b"), (0, 1, 2), (0, 1, 1), said, split)

        return list(ablate(["tokens"], "gym-cross", [], 1, tmp_path, train, lambda *_: 0.0, answer, split))

    assert [result.accuracy for _, result in run("val")] == [0.5, 0.5, 0.5]
    before = (tmp_path / "tokens/none/0/answers.json").read_bytes()
    results = run("test")
    assert [result.accuracy for _, result in results] == pytest.approx([1 / 3, 2 / 3, 1])
    assert (tmp_path / "tokens/none/0/answers.json").read_bytes() == before
    write_answers(tmp_path, results, "", "test")
    write_tables(tmp_path, results, "gym-cross", "test")
    kept = json.loads((tmp_path / "answers.json").read_text())
    assert (kept["split"], [run["said"] for run in kept["runs"]]) == ("test", [[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    assert {run["split"] for run in json.loads((tmp_path / "results.json").read_text())} == {"test"}
    text = (tmp_path / "tables.md").read_text()
    assert "Last epoch, test clips." in text
    assert "| single | 66.7 % |" in text

    def silent(config: TrainConfig, checkpoint: Path) -> None:
        return None

    with pytest.raises(ValueError, match="not known which clips are those of split 'test'"):
        list(ablate(["blocks"], "gym-cross", [], 1, tmp_path, train, lambda *_: 0.0, silent, "test"))


def test_positions_are_those_of_the_whole_split() -> None:
    config = DataConfig(
        source="gym?train=36&val=72&test=54&size=32&frames=4", val_clips=4, labels=("bow", "look up"), pack=False
    )
    val, places = compared_on(config, "val")
    assert val.clips.indices == training_data(config)[1].clips.indices
    test, test_places = compared_on(config, "test")
    for split, found, at, count in (("val", val, places, 4), ("test", test, test_places, 6)):
        whole = split_of(open_source(config.source), split)
        assert len(at) == len(found) == count, split  # the limit of validation clips is none of test clips
        assert [whole.labels[whole.targets[place]] for place in at] == [found.labels[t] for t in found.targets]
        assert [whole.clips[place].fingerprint for place in at] == [
            found.clips[i].fingerprint for i in range(count)
        ]  # fmt: skip


def test_spread_by_hand() -> None:
    mean, half = spread_of([0.4, 0.5, 0.6])
    assert mean == pytest.approx(0.5)
    assert half == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
    assert "| a | 40.0 % | 1 |" in markdown(TABLES["tokens"], [Result("a", 0, 0.4, 60)], "x")


def test_unknown_tables_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["ablate", "--out", str(tmp_path), "--table", "tea"]) == 2
    assert "no table 'tea'; there are blocks" in capsys.readouterr().err
    assert main(["ablate", "--base", "gym-vit", "--out", str(tmp_path), "--table", "tokens"]) == 2
    assert "'tokens' changes a deformable network, and gym-vit trains a framewise one" in capsys.readouterr().err
    assert "mixing" not in tables_for("gym-cross", [])
    assert tables_for("gym-vit", []) == ["mixing"]


def test_rows_without_validation_clips_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["ablate", "--base", "tiny", "--table", "tokens", "--out", str(tmp_path / "x")]
    assert main([*command, "--set", "data.hold_out=false"]) == 2
    assert "compared on validation clips" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_pairs_that_only_time_tells_apart_are_counted(tmp_path: Path) -> None:
    labels = gym.LABELS
    sit, stand, bow = (labels.index(label) for label in ("sit down", "stand up", "bow"))
    # of five clips of the pair, one is called another class; three of the others are right
    told = told_apart(labels, (sit, sit, stand, stand, stand, bow), (sit, stand, stand, stand, bow, sit))
    assert told["sit down / stand up"] == Told(3, 4)
    assert told["pick up / put down"] == Told(0, 0)
    assert set(told) == {"sit down / stand up", "pick up / put down", "clap early / clap late"}
    assert told_apart(("walk", "run"), (0,), (1,)) == {}
    once, thrice = Told(30, 40), Told(30, 40) + Told(32, 40) + Told(28, 40)
    assert thrice == Told(90, 120, 3)
    assert str(once) == "75.0 % [59.8, 85.8] of 40"
    assert str(thrice) == "75.0 % [59.8, 85.8] of 120 in 3 runs"
    results = [("mixing", Result("vit", seed, 0.5, 60.0)) for seed in (0, 1)]
    for seed in (0, 1):
        folder = tmp_path / "mixing" / "vit" / str(seed)
        folder.mkdir(parents=True)
        kept = {"source": "gym", "labels": labels, "positions": [0, 1], "target": [sit, stand], "said": [sit, sit]}
        (folder / "answers.json").write_text(json.dumps(kept))
    write_tables(tmp_path, results, "gym-vit")
    assert (
        "| vit | 50.0 ± 0.0 % | 2 | 1.0 | 50.0 % [9.5, 90.5] of 4 in 2 runs | none | none |"
        in (tmp_path / "tables.md").read_text()
    )
