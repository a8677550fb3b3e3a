"""What shifting costs: `python -m tests.benchmarks.framewise [--train] [--preset demo]`.

MSCA and TokenShift promise the cost of the frame-wise ViT. All networks run in turn in one process, round by round, on
two threads, each between two runs of the ViT: its time over the mean of theirs is one ratio, so that a machine that
slows down slows both. What is told is the median of all rounds with its 95 % interval. The bar for ViT-B/16 is 1.05; in
small networks on one clip the fixed cost of issuing a few more operations shows. TimeSformer-base of `transformers`,
which attends across frames, runs beside ViT-B/16 if it is installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from scipy.stats import binom
from tqdm import tqdm

from model.framewise import FrameWise
from model.framewise_config import FRAMEWISE_PRESETS, VARIANTS
from tests.benchmarks.cases import Case, timesformer

OUT = Path("build/benchmarks")
BAR = 1.05
THREADS = 2
ROUNDS = 9


def framewise(
    variant: str = "msca-kv", preset: str = "vit_b16", frames: int = 8, train: bool = False, batch: int = 1
) -> Case:
    """One variant on random clips: a forward pass, or with `train` forward and backward."""
    torch.manual_seed(0)
    config = FRAMEWISE_PRESETS[preset](frames=frames, **VARIANTS[variant])
    network = FrameWise(config).train(train)
    clip = torch.randn(batch, 3, frames, config.size, config.size)

    def step() -> object:
        if train:
            network.zero_grad(set_to_none=True)
            return network(clip).sum().backward()
        with torch.inference_mode():
            return network(clip)

    return step


def in_turn(
    cases: dict[str, Case], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Seconds of every case in every round, after one round that does not count; of the processor, by default."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for round_number in range(rounds + 1):
        for name, case in cases.items():
            start = clock()
            case()
            if round_number:
                seconds[name].append(clock() - start)
    return seconds


def beside(cases: dict[str, Case], base: Case, rounds: int) -> dict[str, list[float]]:
    """Time of every case over that of `base`, which runs before and after it, in every round but a first one."""

    def timed(case: Case) -> float:
        start = time.perf_counter()
        case()
        return time.perf_counter() - start

    ratios: dict[str, list[float]] = {name: [] for name in cases}
    for round_number in tqdm(range(rounds + 1), unit="round", disable=rounds < 3):
        before = timed(base)
        for name, case in cases.items():
            own, after = timed(case), timed(base)
            if round_number:
                ratios[name].append(2 * own / (before + after))
            before = after
    return ratios


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and the order statistics between which it lies with a probability of at least 95 %."""
    ordered = sorted(values)
    outside = max(0, int(binom.ppf(0.025, len(ordered), 0.5)) - 1)
    return statistics.median(ordered), ordered[outside], ordered[-1 - outside]


def compare(preset: str, rounds: int, train: bool, variants: list[str], batch: int = 1) -> dict[str, float]:
    """Prints a table and returns the median ratio of every variant over the ViT."""
    base = framewise("vit", preset, train=train, batch=batch)
    cases = {name: framewise(name, preset, train=train, batch=batch) for name in variants}
    if preset == "vit_b16" and not train and batch == 1:
        if find_spec("transformers"):
            theirs: Callable[[], object] = timesformer()
            cases["transformers' TimeSformer-base"] = torch.inference_mode()(theirs)
        else:
            print("TimeSformer is left out: install `transformers` (the extra `bench`) to compare with it.")
    torch.set_num_threads(THREADS)
    what = "forward and backward" if train else "forward"
    print(f"\nFramewise: {preset}, {batch} x 8 frames, {what}, times that of the ViT, {rounds} rounds")
    data = []
    for name, ratios in beside(cases, base, rounds).items():
        ratio, low, high = median_interval(ratios)
        over = f"  over the bar of {BAR}" if ratio > BAR and preset == "vit_b16" and name in VARIANTS else ""
        print(f"  {name:<34}x{ratio:.3f} [{low:.3f}, {high:.3f}]{over}")
        data.append({"name": name, "ratio": ratio, "low": low, "high": high})
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"framewise-{preset}{'-train' if train else ''}.json").write_text(json.dumps(data, indent=1) + "\n")
    return {str(row["name"]): float(row["ratio"]) for row in data}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=FRAMEWISE_PRESETS, default="vit_b16")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--train", action="store_true", help="forward and backward")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    compare(
        options.preset,
        options.rounds,
        options.train,
        options.variants,
        options.batch,
    )


if __name__ == "__main__":
    main()
