"""Time and peak memory of one case, in a process of its own so that nothing before it counts.

    seconds, megabytes = measure("block", mode="stride", frames=12)

Memory is what the case adds at its peak to a process that has everything loaded (resident set, Linux).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    seconds: float
    """The fastest of the counted runs: the one that other programs disturbed least."""
    megabytes: float
    """Peak resident memory of a run beyond what was resident before it."""
    processor: float
    """Processor seconds of the run that took fewest, of all threads together: what is left when other programs are in
    the way. With `patient` threads, which sleep where others wait in a loop."""


def measure(case: str, *, runs: int = 5, threads: int = 2, patient: bool = False, **settings: Any) -> Cost:
    """Run `cases.CASES[case](**settings)` in a fresh process: one warm-up, then `runs` counted runs.

    With `runs` 0 it is the warm-up that counts."""
    request = json.dumps({"case": case, "runs": runs, "threads": threads, "settings": settings})
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.measure", request], capture_output=True, text=True, check=False,
        env=os.environ | ({"OMP_WAIT_POLICY": "passive"} if patient else {}),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{case} {settings} failed: {done.stderr.strip().splitlines()[-1:]}")
    return Cost(**json.loads(done.stdout.strip().splitlines()[-1]))


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return float(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def _run(request: dict[str, Any]) -> Cost:
    import torch

    from tests.benchmarks.cases import CASES

    torch.set_num_threads(request["threads"])
    case: Callable[[], object] = CASES[request["case"]](**request["settings"])

    def timed() -> tuple[float, float]:
        start, spent = time.perf_counter(), time.process_time()
        case()
        return time.perf_counter() - start, time.process_time() - spent

    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    with torch.inference_mode():
        warm_up = timed()
        peak = _status("VmHWM") - before
        costs = [timed() for _ in range(request["runs"])] or [warm_up]
    seconds, processor = zip(*costs, strict=True)
    return Cost(min(seconds), peak, min(processor))


if __name__ == "__main__":
    print(json.dumps(_run(json.loads(sys.argv[1])).__dict__))
