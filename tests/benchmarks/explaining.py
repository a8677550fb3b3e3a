"""What explanations cost, each in a process of its own: `python -m tests.benchmarks explaining memory`.

explaining    every method and some trust reports: shipped gym network, one clip at 112 px, two threads
memory        every method at 224 px with the paper preset: what it adds at its peak to the loaded model

The bars are for two cores that nothing else uses. On a busy machine the seconds grow and the processor seconds do not:
half of them is what two free cores need at least, all of them what they need at most.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Cost, measure
from xai.methods import Method, methods

OUT = Path("build/benchmarks")
THREADS = 2
SECONDS = {
    "joint removal on joints": 2.0,
    "integrated gradients on frames": 10.0,
    "integrated gradients on joints": 10.0,
}
TRUST = 30.0
MEGABYTES = 1500.0
DOUBTED = (
    ("ledger", "time"), ("joint attention", "joints"), ("sampling points", "frames"), ("saliency", "joints"),
    ("gradient x attention", "frames"), ("joint removal", "joints"), ("frame removal", "time"),
    ("integrated gradients", "joints"), ("integrated gradients", "frames"),
)  # fmt: skip
PASSES = 6
"""Enough for two batches of the largest kind."""


def asked(costly: str = "integrated gradients") -> Iterable[tuple[Method, str]]:
    """Every method that the network has, on everything it explains; gradients at the tokens by one method alone, as
    they all pass there in the same way."""
    for method in methods():
        if "mixing" in method.needs:
            continue  # of frame-wise networks
        sites = method.on if method.family != "gradient" or method.name == costly else ("frames", "joints")
        yield from ((method, on) for on in sites if on in method.on)
        if not set(sites) & set(method.on):
            yield from ((method, on) for on in method.on)


def explaining() -> None:
    """Seconds of every method with its own defaults, and of trust reports."""
    rows: dict[str, Cost] = {}
    for method in methods():
        for on in ("frames", "joints") if method.name == "integrated gradients" else method.on[:1]:
            if "mixing" not in method.needs:
                name = f"{method.name} on {on}"
                rows[name] = _said(name, SECONDS.get(name), None, method=method.name, on=on)
    for chosen, on in DOUBTED:
        name = f"trust in {chosen} on {on}"
        rows[name] = _said(name, TRUST, None, method=chosen, on=on, trust=True)
    _kept("explaining", rows)


def memory() -> None:
    """Megabytes of every method. Gradients and removals are cancelled after `PASSES`: all their passes are alike."""
    rows: dict[str, Cost] = {}
    for method, on in asked():
        name = f"{method.name} on {on}"
        whole = method.family in ("evidence", "attention")
        settings: dict[str, Any] = {"method": method.name, "on": on, "passes": None if whole else PASSES}
        rows[name] = _said(f"224 px, {name}", None, MEGABYTES, preset="paper", **settings)
    most = max(rows, key=lambda name: rows[name].megabytes)
    print(f"  -> most: {most} adds {rows[most].megabytes:.0f} MB; the bar is {MEGABYTES:.0f} MB")
    _kept("explaining-memory", rows)


def _said(name: str, seconds: float | None, megabytes: float | None, **settings: Any) -> Cost:
    """Measure one row and print it as it comes, with a word if it misses its bar."""
    cost = measure("explained", runs=0, threads=THREADS, patient=True, **settings)
    words = ""
    if seconds is not None:
        least = cost.processor / THREADS
        words = f"within {seconds:g} s" if cost.seconds <= seconds else f"OVER the bar of {seconds:g} s"
        if cost.seconds > seconds >= least:
            words += f"; two free cores need {least:.1f} to {cost.processor:.1f} s"
    if megabytes is not None and cost.megabytes > megabytes:
        words = f"OVER the bar of {megabytes:.0f} MB"
    spent = f"{cost.seconds:>8.2f} s{cost.processor:>8.2f} s of the processor{cost.megabytes:>7.0f} MB"
    print(f"  {name:<48}{spent}  {words}", flush=True)
    return cost


def _kept(name: str, rows: dict[str, Cost]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    data = [{"name": row, **asdict(cost)} for row, cost in rows.items()]
    (OUT / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    print(f"  {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")
