"""`make bench`, or `python -m tests.benchmarks [NAME ...]`: the times and memories of assets/docs/results.md.

Writes build/benchmarks/*.json, a table to the terminal and the chart of Tables A1 and A2. Ratios come from one run.
`peers` needs the optional packages of the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from model import VARIANTS
from tests.benchmarks.cases import block, recognise
from tests.benchmarks.explaining import explaining, memory
from tests.benchmarks.framewise import ROUNDS, compare, in_turn
from tests.benchmarks.measure import Cost, measure
from tests.benchmarks.training_step import loading, training
from training import gym

OUT = Path("build/benchmarks")
Rows = list[tuple[str, Cost]]


def show(title: str, rows: Rows) -> None:
    print(f"\n{title}")
    for name, cost in rows:
        print(f"  {name:<52}{cost.seconds * 1000:>10.1f} ms{cost.megabytes:>10.0f} MB")
    OUT.mkdir(parents=True, exist_ok=True)
    data = [{"name": name, "seconds": cost.seconds, "megabytes": cost.megabytes} for name, cost in rows]
    (OUT / f"{title.split(':')[0].replace(' ', '-').lower()}.json").write_text(json.dumps(data, indent=1) + "\n")


def ratio(name: str, over: Cost, under: Cost) -> None:
    memory = over.megabytes / max(under.megabytes, 1)
    print(f"  -> {name}: time x{over.seconds / under.seconds:.2f}, added memory x{memory:.2f}")


def attentions() -> None:
    """The three attentions of one layer against full attention over the same tokens (paper preset, 224 px, T = 12)."""
    rows: Rows = []
    for part in ("deformable", "joint", "temporal", "block"):
        rows += [(f"{part}, {mode}", measure("block", mode=mode, part=part)) for mode in ("ours", "full")]
    show("Attentions: paper preset, one layer", rows)
    found = dict(rows)
    total = {}
    for mode in ("ours", "full"):
        three = [found[f"{part}, {mode}"] for part in ("deformable", "joint", "temporal")]
        total[mode] = Cost(
            sum(cost.seconds for cost in three),
            max(cost.megabytes for cost in three),
            sum(cost.processor for cost in three),
        )
    ratio("three attentions, full over ours", total["full"], total["ours"])
    ratio("block, full over ours", found["block, full"], found["block, ours"])


def predict() -> None:
    """Whole forward passes, and what it costs to listen."""
    rows = [
        ("paper preset L=3, 224 px, predict", measure("predict", preset="paper")),
        ("paper preset L=3, 224 px, predict + modal rows", measure("predict", preset="paper", trace=True)),
        ("demo preset, 112 px clip, predict", measure("recognise", runs=15, explain=False)),
        ("demo preset, 112 px clip, all evidence", measure("recognise", runs=15, explain=True)),
    ]
    show("Predict: one clip", rows)
    # Both in turn in one process: a tenth of a second is less than what other programs change from minute to minute.
    torch.set_num_threads(2)
    with torch.inference_mode():
        seconds = in_turn({"predict": recognise(explain=False), "evidence": recognise(explain=True)}, 40)
    less, more = (min(seconds[name]) for name in ("predict", "evidence"))
    print(f"  -> evidence over predict, 112 px, in turn: processor time x{more / less:.2f}")
    if find_spec("transformers"):
        other = measure("timesformer")
        show("Timesformer: base, 8 x 224", [("transformers' TimeSformer-base", other)])
        ratio("paper preset with rows over TimeSformer-base", rows[1][1], other)


def peers() -> None:
    """Our 3D deformable attention against the public one on 1 x 256 x 12 x 14 x 14."""
    if not find_spec("deformable_attention"):
        print("\nPeers: install the extra `bench` to compare with the public DeformableAttention3D.")
        return
    rows = [(whose, measure("deformable_3d", whose=whose)) for whose in ("ours", "deformable-attention")]
    show("Peers: 3D deformable attention, 1x256x12x14x14", rows)
    ratio("deformable-attention over ours", rows[1][1], rows[0][1])


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of log(seconds) over log(size), by least squares: 1 is linear, 2 is quadratic."""
    x, y = [math.log(s) for s in sizes], [math.log(s) for s in seconds]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)


def scaling() -> None:
    """Tables A1 and A2: time and memory against people (1-8) and frames (4-64), stride against full attention.

    Whole blocks first; then attention alone, without projections and FFN, which is what the tables count.
    """
    plans = {
        "A1: joint stride attention against people": ("people", (1, 2, 3, 4, 6, 8), {"part": "joint", "joints": 25}),
        "A2: temporal stride attention against frames": (
            "frames",
            (4, 8, 16, 32, 64),
            {"part": "temporal", "size": 64},
        ),
    }
    torch.set_num_threads(1)
    curves = {}
    for title, (axis, values, settings) in plans.items():
        asked = {
            (mode, bare, value): {**settings, "mode": mode, "bare": bare, axis: value}
            for mode in ("ours", "full")
            for bare in (False, True)
            for value in values
        }
        # All in turn in one process: what other programs change from minute to minute would bend the curves.
        with torch.inference_mode():
            seconds = in_turn({json.dumps(key): block(**asked[key]) for key in asked}, 15)
        fastest = {key: min(seconds[json.dumps(key)]) for key in asked}
        costs = {
            key: replace(measure("block", runs=1, **asked[key]), seconds=fastest[key], processor=fastest[key])
            for key in asked
        }
        show(title, [
            (f"{mode}, {'attention alone' if bare else 'whole block'}, {value} {axis}", cost)
            for (mode, bare, value), cost in costs.items()
        ])  # fmt: skip
        tail = values[-(len(values) // 2) - 1 :]  # small sizes are all overhead
        for mode in ("ours", "full"):
            alone = [costs[mode, True, value] for value in values]
            slope = exponent(tail, [cost.seconds for cost in alone[-len(tail) :]])
            curves[title, mode] = (axis, values, alone, slope)
            print(f"  -> attention alone: time grows with {axis} to the power {slope:.2f} ({mode})")
    _chart(curves)


def _chart(curves: dict[tuple[str, str], tuple[str, Sequence[int], list[Cost], float]]) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(6.75, 4.6), layout="constrained")
    grid = figure.subplots(2, 2)
    titles = list(dict.fromkeys(title for title, _ in curves))
    for column, title in enumerate(titles):
        for mode, colour in (("ours", "#0072b2"), ("full", "#d55e00")):
            axis, values, costs, slope = curves[title, mode]
            name = "stride" if mode == "ours" else "full"
            grid[0, column].loglog(
                values, [cost.seconds * 1000 for cost in costs], "o-", color=colour, label=f"{name}, power {slope:.2f}"
            )
            grid[1, column].loglog(values, [max(cost.megabytes, 0.1) for cost in costs], "o-", color=colour, label=name)
        grid[0, column].set_title(title, fontsize=8)
        grid[0, column].set_ylabel("time (ms)")
        grid[1, column].set_ylabel("added peak memory (MB)")
        for row in grid[:, column]:
            row.set_xlabel(axis)
            row.set_xticks(values, [str(value) for value in values])
            row.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            row.yaxis.set_major_formatter("{x:g}")
            row.minorticks_off()
            row.grid(axis="y", linewidth=0.4, alpha=0.4)
            row.legend(fontsize=7, frameon=False)
    OUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT / "scaling.png", dpi=200)
    print(f"\nChart: {OUT / 'scaling.png'}")


def _rendered(number: int) -> int:
    return len(gym.clip(gym.LABELS[number % len(gym.LABELS)], number // len(gym.LABELS)))


def rendering() -> None:
    """Clips of the gym at 112 px, 16 frames, in the order of the data set, drawn by two processes."""
    torch.set_num_threads(1)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_rendered, range(36)))  # the first clips pay for the imports
        start = time.perf_counter()
        clips = len(list(pool.map(_rendered, range(36, 22 * len(gym.LABELS)), chunksize=6)))
        rate = clips / (time.perf_counter() - start)
    print(f"\nGym: {rate:.1f} clips/s at 112 px x 16 frames, {clips} clips, two processes")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "gym.json").write_text(json.dumps({"clips a second": rate, "clips": clips}) + "\n")


def shifting() -> None:
    """The frame-wise networks at ViT-B/16, 8 x 224: what shifting costs, and what the evidence of every head costs
    where TimeSformer returns its maps in space."""
    compare("vit_b16", rounds=ROUNDS, train=False, variants=list(VARIANTS))
    rows = [
        ("MSCA-KV, evidence of every head, fp32", measure("framewise_evidence")),
        ("MSCA-KV, evidence of every head, bf16", measure("framewise_evidence", bf16=True)),
    ]
    if find_spec("transformers"):
        rows.append(("TimeSformer-base, eager, its maps in space, fp32", measure("timesformer", maps=True)))
    show("Framewise evidence: ViT-B/16, 8 x 224", rows)
    for name, cost in rows[:2]:
        if len(rows) > 2:
            ratio(f"{name} over TimeSformer's maps", cost, rows[2][1])


BENCHMARKS: dict[str, Callable[[], None]] = {
    "attentions": attentions,
    "predict": predict,
    "peers": peers,
    "scaling": scaling,
    "shifting": shifting,
    "rendering": rendering,
    "loading": loading,
    "training": training,
    "explaining": explaining,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHMARKS)}; all by default")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark {', '.join(unknown)}")
    for name in names:
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
