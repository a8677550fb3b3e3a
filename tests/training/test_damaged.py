"""Damaged clips stop neither an epoch nor an evaluation: they are left out, counted and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import model
from tests.training.squares import Squares
from tests.training.test_engine import small, start
from tests.training.test_resume import assert_equal
from training.batches import TrainingViews
from training.checkpointing import RunError, load_state, read_log
from training.clip import Clip
from training.config import RunConfig, TrainConfig
from training.errors import ClipError
from training.evaluate import evaluate, predict
from training.schedule import epoch_batches, make_plan
from training.sources import split_of
from training.transforms import Augmentation


class Broken(Squares):
    """Squares, some of which cannot be read: odd ones as a damaged video, even ones as a disk that fails."""

    def __init__(self, *broken: int, train: int = 24, val: int = 8, test: int = 8) -> None:
        super().__init__(train, val, test)
        self.broken = broken

    def clip(self, index: int) -> Clip:
        if index in self.broken:
            raise ClipError(f"square {index} is damaged.") if index % 2 else OSError(5, "Input/output error")
        return super().clip(index)


def config(workers: int = 0) -> TrainConfig:
    made = small(run=RunConfig(threads=1, log_every=2, device="cpu"))
    return replace(made, data=replace(made.data, workers=workers))


def network() -> model.Network:
    torch.manual_seed(0)
    return model.build(replace(small().model, classes=2, joints=15, size=32, frames=4))


def test_a_batch_holds_the_clips_that_can_be_read() -> None:
    data = split_of(Broken(1, 2), "train")
    (epoch,) = make_plan(small().schedule.stages, clips=24).epochs
    views = TrainingViews(data, epoch, Augmentation(), seed=0)
    batch = views.collate([views[i] for i in range(4)])
    assert batch.frames.shape == (2, 3, 4, 32, 32)
    assert batch.target.tolist() == [0, 1]
    assert batch.damaged == ["square 1 is damaged.", "[Errno 5] Input/output error"]
    whole = TrainingViews(split_of(Squares(), "train"), epoch, Augmentation(), seed=0)
    expected = whole.collate([whole[0], whole[3]])
    assert torch.equal(batch.frames, expected.frames)  # what is left is what it would have been
    nothing = views.collate([views[1], views[2]])
    assert (len(nothing.target), len(nothing.damaged)) == (0, 2)


def test_a_clip_whose_other_is_damaged_stays_as_it_is() -> None:
    data = split_of(Broken(*range(1, 24)), "train")
    (epoch,) = make_plan(small().schedule.stages, clips=24).epochs
    plain, swapped = (TrainingViews(data, epoch, Augmentation(swap_frames=chance), seed=0)[0] for chance in (0.0, 1.0))
    assert np.array_equal(plain[0][0], swapped[0][0])


def test_an_epoch_goes_on_and_says_once_what_it_left_out(tmp_path: Path) -> None:
    run = start(config(), tmp_path / "x", Broken(3, 4, 17, 25))
    assert run.train()
    (entry,) = (entry for entry in read_log(tmp_path / "x" / "log.jsonl") if entry["kind"] == "epoch")
    assert entry["damaged"] == 3
    said = [text for text in run.said if "damaged" in text]  # type: ignore[attr-defined]
    assert len(said) == 1
    assert said[0].startswith("Epoch 1 left out 3 damaged clips; the first: ")
    assert 0 < entry["train_loss"] < 10


def test_a_batch_with_nothing_left_is_skipped(tmp_path: Path) -> None:
    plan = make_plan(config().schedule.stages, clips=24)
    batches = epoch_batches(plan.epochs[0], 24, 1, seed=0)
    run = start(config(), tmp_path / "x", Broken(*batches[1], *batches[2]))
    weights = [weight.detach().clone() for weight in run.network.parameters()]
    assert run.train()
    assert run.step == len(batches)
    assert run.optimiser.state[next(run.network.parameters())]["step"] == len(batches) - 2
    assert any(not torch.equal(a, b) for a, b in zip(weights, run.network.parameters(), strict=True))
    log = read_log(tmp_path / "x" / "log.jsonl")
    assert [entry["step"] for entry in log if entry["kind"] == "step"] == [2, 4, 6]


def test_a_run_without_any_clip_says_so(tmp_path: Path) -> None:
    run = start(config(), tmp_path / "x", Broken(*range(24)))
    with pytest.raises(RunError, match=r"No clip of epoch 1 could be read; the first: "):
        run.train()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_with_damaged_clips_can_be_resumed_bit_for_bit(tmp_path: Path, workers: int) -> None:
    broken = Broken(3, 4, 17)
    assert start(config(), tmp_path / "whole", broken).train()
    run = start(config(), tmp_path / "cut", broken)
    update = run._update

    def stop_then() -> None:
        update()
        run.stopped = run.step >= 3

    run._update = stop_then  # type: ignore[method-assign]
    assert not run.train()
    assert start(config(workers), tmp_path / "cut", broken, resume=True).train()
    states = [load_state(tmp_path / name / "last.pt") for name in ("whole", "cut")]
    for state in states:
        del state["log_bytes"], state["config"]
    assert_equal(*states)
    logs = [read_log(tmp_path / name / "log.jsonl")[-1] for name in ("whole", "cut")]
    assert logs[0]["damaged"] == logs[1]["damaged"] == 3


def test_evaluation_leaves_out_clips_with_their_targets() -> None:
    good, bad = split_of(Squares(test=7), "test"), split_of(Broken(33, 36, test=7), "test")  # places 1 and 4
    options = {"size": 32, "frames": 4, "batch_size": 3}
    all_of, left = (predict(network(), data, **options) for data in (good, bad))  # type: ignore[arg-type]
    assert left.index == (0, 2, 3, 5, 6)
    assert left.damaged == ("square 33 is damaged.", "[Errno 5] Input/output error")
    assert torch.allclose(left.logits, all_of.logits[list(left.index)], atol=1e-5)
    scores = evaluate(network(), bad, **options)  # type: ignore[arg-type]
    assert scores.clips == 5
    assert [sum(row) for row in scores.confusion] == [3, 2]  # places 0 2 6 and 3 5
    assert scores.damaged == left.damaged
    with pytest.raises(ClipError, match="None of the 7 clips of squares can be read"):
        evaluate(network(), split_of(Broken(*range(32, 39), test=7), "test"), **options)  # type: ignore[arg-type]


def test_every_clip_is_read_and_counted_once_whatever_the_batch_and_the_conditions() -> None:
    read: list[int] = []

    class Watched(Squares):
        def clip(self, index: int) -> Clip:
            read.append(index)
            return super().clip(index)

    for batch_size in (1, 3, 7, 16):
        scores = evaluate(network(), split_of(Watched(test=7), "test"), size=32, frames=4, batch_size=batch_size,
                          less=True)  # fmt: skip
        assert read == list(range(32, 39))
        assert scores.clips == sum(map(sum, scores.confusion)) == 7
        assert set(scores.hidden) == {"rgb only", "pose only", "frames shuffled"}
        read.clear()
