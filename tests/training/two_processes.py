"""What each process of `test_distributed` runs: torchrun ... two_processes.py FOLDER."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from tests.training.squares import Squares
from tests.training.test_damaged import Broken
from tests.training.test_engine import STILL, small
from training.__main__ import main
from training.config import RunConfig, ScheduleConfig, TrainConfig
from training.distributed import Peers, joined
from training.engine import Run
from training.evaluate import evaluate, predict
from training.optimiser import OptimiserConfig
from training.schedule import Stage
from training.sources import split_of

BROKEN = (5, 26)
"""A training clip and a validation clip that cannot be read, so that slices are unequal."""


def config(norm: str = "group") -> TrainConfig:
    """Batches of 5 clips, which two processes cannot halve, twice a step; no noise, which slices would not share."""
    made = small(
        augmentation=STILL,
        optimiser=OptimiserConfig(lr=0.01, ema=0.9, accumulate=2),
        schedule=ScheduleConfig(stages=(Stage(epochs=2, size=32, frames=4, batch=5),), warmup_epochs=0),
        run=RunConfig(threads=1, log_every=1, device="cpu"),
    )
    return replace(made, model=replace(made.model, backbone_norm=norm, dropout=0.0, drop_path=0.0))


def run_in(folder: Path, peers: Peers, norm: str = "group", resume: bool = False) -> Run:
    data = Broken(*BROKEN, train=20, val=7)
    train, val = split_of(data, "train"), split_of(data, "val")
    return Run(config(norm), folder, train, val, resume=resume, say=lambda _: None, peers=peers)


def first_gradient(run: Run) -> torch.Tensor:
    """The gradient of the first step, after what the processes found is summed."""
    batches = run._batches(run.plan.epochs[0])
    for part in range(2):
        run._backward(next(batches), part)
    run.peers.sum_gradients(run.network)
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in run.network.parameters()])


def check(folder: Path) -> None:
    with joined() as peers:
        assert peers.count == 2
        run = run_in(folder / "gradient", peers)
        gradient = first_gradient(run)
        own = torch.tensor(run.sums[5].item())
        logits = predict(run.network, run.val_data, size=32, frames=4, batch_size=2, peers=peers)
        scores = evaluate(run.network, split_of(Squares(test=7), "test"), size=32, frames=4, peers=peers)

        stopping = run_in(folder / "run", peers)
        update = stopping._update

        def stop_then() -> None:
            update()
            if peers.rank == 1:  # a signal to any process stops them all at the same step
                stopping.stopped = stopping.step == 1

        stopping._update = stop_then  # type: ignore[method-assign]
        assert not stopping.train()
        assert stopping.step == 1
        peers.wait()
        assert run_in(folder / "run", peers, resume=True).train()

        batch_norm = run_in(folder / "batch", peers, norm="batch")
        assert batch_norm.train()
        state = torch.cat([v.flatten().double() for v in batch_norm.network.state_dict().values()])
        states = [torch.empty_like(state) for _ in range(2)]
        dist.all_gather(states, state)
        # what `torchrun -m training ...` runs
        checkpoint = str(folder / "command" / "last.safetensors")
        command = ["train", "--config", str(folder / "small.yaml"), "--out", str(folder / "command"), "--quiet"]
        assert main(command) == 0
        peers.wait()
        command = ["evaluate", "--checkpoint", checkpoint, "--data", f"pack:{folder / 'squares'}", "--quiet"]
        assert main([*command, "--json", str(folder / f"scores-{peers.rank}.json")]) == 0
        torch.save(
            {
                "gradient": gradient, "own": own, "logits": logits.logits, "index": list(logits.index),
                "damaged": list(logits.damaged), "clips": scores.clips, "confusion": list(map(list, scores.confusion)),
                "same": torch.equal(*states),
            },
            folder / f"process-{peers.rank}.pt",
        )  # fmt: skip


if __name__ == "__main__":
    check(Path(sys.argv[1]))
