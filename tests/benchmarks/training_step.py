"""Where a training step goes: the loop of `training.engine` under torch's profiler, by part of the network.

Operators of the backward pass carry the sequence number of the forward operator they belong to, and with it its part.
One thread, and the clips are read and varied in the same process.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from model.attention import AttentionBlock
from model.backbone import Backbone
from model.cross_modal import CrossProjection
from model.stride import JointStrideAttention, TemporalStrideAttention
from model.token_search import TokenSearch
from model.tokenizer import Tokenizer
from tests.benchmarks.measure import measure
from training.batches import TrainingViews, load_batches
from training.config import DataConfig, resolve
from training.engine import Run
from training.schedule import Epoch, Stage
from training.sources import training_data
from training.transforms import Augmentation

PARTS: dict[type[nn.Module], str] = {
    Backbone: "backbone",
    AttentionBlock: "attention and FFN",
    Tokenizer: "tokenizer",
    TokenSearch: "3D token search",
    JointStrideAttention: "windows of joints",
    TemporalStrideAttention: "windows of frames",
    CrossProjection: "projection of CLS",
}
DATA, UPDATE, REST = "read, vary, collate", "clip norm, AdamW, moving average", "head, loss, the loop itself"
MAIN = ("backbone", "attention and FFN")
MARK = "part: "
STEPS = 6
OUT = Path("build/benchmarks")


class Profiled(Run):
    """The same run, whose batches and updates are named in the profile."""

    def _update(self) -> None:
        with record_function(MARK + UPDATE):
            super()._update()

    def _batches(self, epoch: Any) -> Iterator[Any]:
        batches = super()._batches(epoch)
        while True:
            with record_function(MARK + DATA):
                found = next(batches, None)
            if found is None:
                return
            yield found


@contextmanager
def named(network: nn.Module) -> Iterator[None]:
    """While it lasts, the forward pass of every part is a range of the profile."""
    ranges: list[Any] = []

    def enter(module: nn.Module, _: Any) -> None:
        ranges.append(record_function(MARK + PARTS[type(module)]).__enter__())

    def leave(*_: Any) -> None:
        ranges.pop().__exit__(None, None, None)

    hooks = []
    for module in network.modules():
        if type(module) in PARTS:
            hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def by_part(events: Iterable[FunctionEvent]) -> dict[str, float]:
    """Microseconds of each part, forward and backward."""
    events = list(events)

    def outwards(event: FunctionEvent | None, start: str) -> FunctionEvent | None:
        """The event itself or the nearest one around it whose name starts so."""
        while event is not None and not event.name.startswith(start):
            event = event.cpu_parent
        return event

    def part_of(event: FunctionEvent) -> str:
        found = outwards(event, MARK)
        return REST if found is None else found.name.removeprefix(MARK)

    backward = {event.id: outwards(event, "autograd::engine::evaluate_function") for event in events}
    forward = {e.sequence_nr: part_of(e) for e in events if e.sequence_nr >= 0 and backward[e.id] is None}
    spent: Counter[str] = Counter()
    for event in events:
        node = backward[event.id]
        part = part_of(event) if node is None else forward.get(node.sequence_nr, REST)
        spent[part] += event.self_cpu_time_total
    return dict(spent)


def profiled(preset: str) -> dict[str, float]:
    """Microseconds of each part in `STEPS` steps of the last stage of a preset of the gym, after one to warm up."""
    stage = resolve(preset, []).to_dict()["schedule"]["stages"][-1] | {"epochs": 2}
    clips = STEPS * stage["batch"]
    with tempfile.TemporaryDirectory() as folder:
        config = resolve(preset, [
            f"schedule.stages={json.dumps([stage])}", "schedule.warmup_epochs=0", "data.workers=0", "run.threads=1",
            f"data.source=gym?train={clips}&val=18", f"data.train_clips={clips}", f"data.cache={folder}",
        ])  # fmt: skip
        train, val = training_data(config.data, say=lambda _: None)
        run = Profiled(config, Path(folder) / "run", train, val, say=lambda _: None)
        warm, counted = run.plan.epochs
        run._train_epoch(warm, run._bar())
        with (
            named(run.network), profile(activities=[ProfilerActivity.CPU]) as found, record_function(MARK + REST)
        ):  # fmt: skip
            run._train_epoch(counted, run._bar())
        run.log.close()
    return by_part(found.events())


def loading(clips: int = 144, batch: int = 8) -> None:
    """Clips a second that two processes read and vary at 112 px, T = 12: from the data set itself, and from a pack."""
    folder = os.environ.get("KINESCOPE_DATA")
    sources = {"gym, rendered": f"gym?train={clips}&val=18"} | (
        {"JHMDB, decoded": f"jhmdb:{folder}/jhmdb"} if folder else {}
    )
    augmentation, stage = Augmentation(), Stage(epochs=1, size=112, frames=12, batch=batch)
    print(f"\nLoading: {clips} clips, 112 px x 12 frames, two processes")
    rows = {}
    for name, source in sources.items():
        for pack in (False, True):
            with tempfile.TemporaryDirectory() as cache:
                config = DataConfig(source, train_clips=clips, val_clips=18, pack=pack, pack_size=128, cache=cache)
                data, _ = training_data(config, say=lambda _: None)
                epoch = Epoch(0, 0, stage, batch, 0, len(data) // batch)
                order = [list(range(i, i + batch)) for i in range(0, len(data) - batch + 1, batch)]
                views = TrainingViews(data, epoch, augmentation, 0)
                start, first = time.perf_counter(), 0.0
                for _ in load_batches(views, order, 2, torch.device("cpu")):
                    first = first or time.perf_counter() - start  # the processes start
                rate = (len(order) - 1) * batch / (time.perf_counter() - start - first)
            said = f"{name}, {'from a pack' if pack else 'each time'}"
            rows[said] = rate
            print(f"  {said:<40}{rate:>8.0f} clips/s")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "loading.json").write_text(json.dumps(rows, indent=1) + "\n")


def training(preset: str = "gym-cross") -> None:
    """The shares of a training step of the demo network at 112 px."""
    spent = profiled(preset)
    total = sum(spent.values())
    print(f"\nTraining step: {preset}, last stage, one thread, {total / 1e6 / STEPS:.2f} s a step")
    for part, microseconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"  {part:<40}{microseconds / total:>8.1%}")
    others = {part: value for part, value in spent.items() if part not in MAIN}
    most = max(others, key=lambda part: others[part])
    print(f"  -> outside backbone, attention and FFN the most is {most}: {others[most] / total:.1%}")
    clips = STEPS * resolve(preset, []).schedule.stages[-1].batch
    reads, trains = clips / spent[DATA] * 1e6, clips / total * 1e6
    print(f"  -> clips/s of one thread: {reads:.0f} read from a pack and varied, {trains:.2f} trained on")
    OUT.mkdir(parents=True, exist_ok=True)
    shares = {part: value / total for part, value in spent.items()}
    (OUT / "training-step.json").write_text(json.dumps(shares, indent=1) + "\n")
    keeping()


def keeping(runs: int = 3) -> None:
    """Processor time of a step in a process that keeps the memory it frees, over one that gives it back; in turn."""
    print("\nMemory kept by the process: processor seconds of a step, one thread")
    for preset in ("gym-cross", "jhmdb-cross", "jhmdb-cross-literal"):
        pairs = [
            [measure("trained", preset=preset, keep=keep, threads=1, runs=3).processor for keep in (False, True)]
            for _ in range(runs)
        ]
        back, kept = map(min, zip(*pairs, strict=True))
        ratio = statistics.median(after / before for before, after in pairs)
        print(f"  {preset:<40}{back:>8.2f} s{kept:>8.2f} s  x{ratio:.2f}")
