"""Two processes are one run: the gradient of one process with the whole batch, every clip counted once, one writer."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import model
from tests.training.squares import Squares
from tests.training.test_cli import SMALL
from tests.training.two_processes import first_gradient, run_in
from training.checkpointing import load_state, read_log
from training.config import ConfigError
from training.distributed import Peers, _synchronise_batch_norm, needs_every_slice
from training.evaluate import evaluate, predict
from training.pack import write_pack
from training.sources import split_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left behind."""
    folder = tmp_path_factory.mktemp("two")
    squares = Squares(train=8, val=4, test=5)
    pack = write_pack(folder / "squares", squares, squares.splits, 40, progress=False)
    (folder / "small.yaml").write_text(SMALL % pack)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m",
         "tests.training.two_processes", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    (folder / "said").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"process-{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_gradients_are_those_of_one_process_with_the_whole_batch(found: list[dict], tmp_path: Path) -> None:
    alone = first_gradient(run_in(tmp_path / "x", Peers()))
    assert alone.abs().max() > 1e-2
    for each in found:
        assert (each["gradient"] - alone).abs().max() < 1e-6
    assert torch.equal(found[0]["gradient"], found[1]["gradient"])
    # 10 clips in two batches of 5, cut into 2 and 3; clip 5 is damaged, if it is among them
    assert 9 <= found[0]["own"] + found[1]["own"] <= 10
    assert found[0]["own"] != 0 != found[1]["own"]


def test_evaluation_counts_each_clip_once(found: list[dict], tmp_path: Path) -> None:
    run = run_in(tmp_path / "x", Peers())
    alone = predict(run.network, run.val_data, size=32, frames=4)
    scores = evaluate(run.network, split_of(Squares(test=7), "test"), size=32, frames=4)
    for each in found:  # every process has all of them
        assert each["index"] == list(alone.index) == [0, 1, 2, 3, 4, 5]  # the seventh, clip 26, is damaged
        assert each["damaged"] == list(alone.damaged)
        assert torch.allclose(each["logits"], alone.logits, atol=1e-5)
        assert each["clips"] == scores.clips == 7
        assert each["confusion"] == [list(row) for row in scores.confusion]


def test_a_run_of_two_that_was_stopped_and_resumed_is_that_of_one(folder: Path, tmp_path: Path) -> None:
    assert run_in(tmp_path / "x", Peers()).train()
    two, one = (load_state(place / "last.pt") for place in (folder / "run", tmp_path / "x"))
    for name, value in one["network"].items():
        assert torch.allclose(two["network"][name], value, atol=1e-3), name  # AdamW divides by what is almost zero
    logs = [read_log(place / "log.jsonl") for place in (folder / "run", tmp_path / "x")]
    assert [entry["kind"] for entry in logs[0]] == [entry["kind"] for entry in logs[1]]
    for entry, alone in zip(*logs, strict=True):
        for key in ("step", "damaged", "train_accuracy", "val_accuracy"):
            assert entry.get(key) == alone.get(key)
        for key in {"loss", "grad_norm", "train_loss", "val_loss"} & set(alone):
            assert entry[key] == pytest.approx(alone[key], rel=1e-3)


def test_batch_statistics_stay_the_same_in_both(found: list[dict]) -> None:
    assert found[0]["same"]


def test_the_command_line_trains_and_evaluates_and_one_process_writes(folder: Path) -> None:
    log = read_log(folder / "command" / "log.jsonl")
    assert [entry["kind"] for entry in log] == ["start", "epoch", "step", "epoch"]
    assert model.read_card(folder / "command" / "last.safetensors")[1].labels == Squares.labels
    assert json.loads((folder / "command" / "env.json").read_text())["processes"] == 2
    assert json.loads((folder / "scores-0.json").read_text())["clips"] == 5
    assert not (folder / "scores-1.json").exists()
    said = (folder / "said").read_text()
    assert (said.count("Best validation accuracy"), said.count("top-1")) == (1, 1)


def test_a_slice_is_consecutive_and_nothing_is_lost() -> None:
    for count in (1, 2, 3, 4):
        parts = [Peers(rank, count).slice(list(range(10))) for rank in range(count)]
        assert list(itertools.chain(*parts)) == list(range(10))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_batch_must_reach_for_all_processes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="A batch of 5 clips does not reach for 6 processes"):
        run_in(tmp_path / "x", Peers(0, 6))


def test_synchronised_batch_norm_keeps_names_and_values() -> None:
    network = model.build(model.PRESETS["tiny"]())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert not needs_every_slice(network)
    _synchronise_batch_norm(network)
    assert needs_every_slice(network)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in network.modules())
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
