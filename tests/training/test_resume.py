"""A run that was cut off and resumed equals one that was not: every bit of the weights, every number of the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import model
from tests.training.squares import Squares
from tests.training.test_engine import small, start
from training.checkpointing import load_state, read_log
from training.config import RunConfig, ScheduleConfig, TrainConfig
from training.engine import Run, train_whole
from training.schedule import Epoch, Stage
from training.sources import split_of

ROOT = Path(__file__).parents[2]
TIMED = ("seconds", "clips_per_s")
STAGES = (Stage(epochs=1, size=32, frames=4, batch=4), Stage(epochs=1, size=40, frames=5, batch=4))  # 6 + 6 steps


def config(checkpoint_minutes: float = 5) -> TrainConfig:
    return small(
        schedule=ScheduleConfig(stages=STAGES, warmup_epochs=1),
        run=RunConfig(threads=1, log_every=4, device="cpu", checkpoint_minutes=checkpoint_minutes),
    )


def numbers(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if k not in TIMED} for entry in read_log(folder / "log.jsonl")]


def assert_equal(one: Any, two: Any, where: str = "state") -> None:
    assert type(one) is type(two), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, two), where
    elif isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            assert_equal(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(two), where
        for number, (a, b) in enumerate(zip(one, two, strict=True)):
            assert_equal(a, b, f"{where}[{number}]")
    else:
        assert one == two, where


def assert_same_run(one: Path, two: Path) -> None:
    assert numbers(one) == numbers(two)
    for name in ("last.pt", "best.pt"):
        states = [load_state(folder / name) for folder in (one, two)]
        for state in states:
            del state["log_bytes"], state["config"]  # the log holds timings, the configuration how often to save
        assert_equal(*states)
    for name in ("last.safetensors", "best.safetensors"):
        (network, card), (other, other_card) = model.load(one / name), model.load(two / name)
        assert card == other_card
        assert_equal(dict(network.state_dict()), dict(other.state_dict()))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert start(config(), folder).train()
    return folder


@pytest.mark.parametrize("stop_at", [0, 4, 6])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, uninterrupted: Path, stop_at: int) -> None:
    folder = tmp_path / "x"
    run = start(config(), folder)
    update = run._update

    def stop_then() -> None:
        update()
        run.stopped = run.step >= stop_at

    run._update = stop_then  # type: ignore[method-assign]
    run.stopped = stop_at == 0
    assert not run.train()
    assert f"Stopped at step {stop_at} of 12" in run.said[-1]  # type: ignore[attr-defined]
    torch.manual_seed(99)  # whatever else the process does with the global generator
    again = start(config(), folder, resume=True)
    assert again.spent == run.spent > 0  # an epoch takes as long as all of its parts
    again.spent += 1000
    assert again.train()
    assert_same_run(folder, uninterrupted)
    times = [line["seconds"] for line in read_log(folder / "log.jsonl") if line["kind"] == "epoch"]
    assert [seconds > 1000 for seconds in times] == [True, False]


def test_a_stop_while_the_last_epoch_is_validated_still_stops_a_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "training.sources.training_data", lambda *_, **__: [split_of(Squares(), part) for part in ("train", "val")]
    )
    validate = Run._finish_epoch

    def stopped_meanwhile(run: Run, epoch: Epoch, seconds: float) -> None:
        run.stopped = epoch.index == 1
        validate(run, epoch, seconds)

    monkeypatch.setattr(Run, "_finish_epoch", stopped_meanwhile)
    with pytest.raises(KeyboardInterrupt):
        train_whole(config(), tmp_path / "x", resume=False, progress=False)
    assert numbers(tmp_path / "x")[-1]["step"] == 12  # and the run is done


SCRIPT = """
    import sys
    from pathlib import Path
    from tests.training.test_resume import config
    from tests.training.test_engine import start
    start(config(checkpoint_minutes=0), Path(sys.argv[1]), resume=sys.argv[2] == "resume").train()
"""


def run_script(folder: Path, how: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), how],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_for_step(folder: Path, step: int, process: subprocess.Popen) -> None:
    """Until the log of the run has reached a step."""
    for _ in range(12_000):
        log = folder / "log.jsonl"
        if log.exists() and any(entry.get("step", 0) >= step for entry in read_log(log)):
            return
        if process.poll() is not None:
            raise AssertionError(f"the run ended early: {process.communicate()[0].decode()}")
        time.sleep(0.01)
    raise AssertionError("the run did not get anywhere")


def test_a_killed_process_goes_on_bit_for_bit(tmp_path: Path, uninterrupted: Path) -> None:
    folder = tmp_path / "x"
    process = run_script(folder, "start")
    wait_for_step(folder, 4, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < load_state(folder / "last.pt")["step"] < 12  # it died on the way
    assert start(config(), folder, resume=True).train()
    assert_same_run(folder, uninterrupted)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path, uninterrupted: Path) -> None:
    folder = tmp_path / "x"
    process = run_script(folder, "start")
    wait_for_step(folder, 4, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    assert start(config(), folder, resume=True).train()
    assert_same_run(folder, uninterrupted)


def test_a_log_that_ran_ahead_of_the_checkpoint_is_cut_back(tmp_path: Path, uninterrupted: Path) -> None:
    folder = tmp_path / "x"
    run = start(config(), folder)
    run.log.write(kind="step", step=1, loss=0.5)
    with open(folder / "log.jsonl", "a") as file:
        file.write('{"kind": "step", "st')  # and a line that was cut by a crash
    assert start(config(), folder, resume=True).train()
    assert_same_run(folder, uninterrupted)


def test_workers_and_order_of_reading_change_nothing(tmp_path: Path, uninterrupted: Path) -> None:
    folder = tmp_path / "x"
    two = config()
    two = replace(two, data=replace(two.data, workers=2))
    assert isinstance(start(two, folder, Squares()), Run)
    assert start(two, folder, resume=True).train()
    assert numbers(folder) == numbers(uninterrupted)
