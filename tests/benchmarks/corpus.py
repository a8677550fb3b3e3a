"""A corpus of ten thousand clips: `python -m tests.benchmarks.corpus [--clips 10000] [--alone 60]`.

Clips of the gym, drawn on the fly, through `explain-corpus`: one process for so many seconds, then two of them to the
end, as torchrun starts them. A third of the way one of the two is killed and started again. Prints clips/s of one and
of two, the memory of each process over time, and whether every clip is in the table once.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "benchmarks"
CHECKPOINT = ROOT / "assets" / "checkpoints" / "gym-cross.safetensors"
SAMPLE = 2.0
WARM_UP = 0.1
"""Of the clips: then everything that is ever loaded is."""


def start(clips: int, out: Path, rank: int, world: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "xai", "explain-corpus", f"gym?test={clips}", "--clips", "0", "--out", str(out)]
    about = {"RANK": str(rank), "WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command += ["--checkpoint", str(CHECKPOINT)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | about, stderr=subprocess.DEVNULL)


def done(out: Path) -> int:
    """Lines that all processes have written."""
    return sum(log.read_bytes().count(b"\n") for log in out.glob("clips-*.jsonl"))


def resident(process: subprocess.Popen[bytes]) -> float:
    """Megabytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def alone(clips: int, seconds: float, folder: Path) -> float:
    """Clips a second of one process, once it has begun."""
    out, process = folder / "one", start(clips, folder / "one", 0, 1)
    while not done(out):
        time.sleep(0.05)
    begun, before = time.monotonic(), done(out)
    while process.poll() is None and time.monotonic() < begun + seconds:
        time.sleep(0.2)
    rate = (done(out) - before) / (time.monotonic() - begun)
    process.kill()
    process.wait()
    return rate


def together(clips: int, folder: Path) -> tuple[float, list[tuple[float, int, float, float]]]:
    """Clips a second of two processes, of which one is killed on the way; and (seconds, clips, MB, MB) over time."""
    out = folder / "two"
    both, killed = [start(clips, out, rank, 2) for rank in (0, 1)], False
    while not done(out):
        time.sleep(0.05)
    begun, before, samples = time.monotonic(), done(out), []
    while any(process.poll() is None for process in both):
        time.sleep(SAMPLE)
        count = done(out)
        samples.append((time.monotonic() - begun, count, *map(resident, both)))
        if not killed and count > clips / 3:
            both[0].send_signal(signal.SIGKILL)
            both[0].wait()
            both[0], killed = start(clips, out, 0, 2), True
    if any(process.returncode for process in both):
        raise RuntimeError(f"The processes ended with {[process.returncode for process in both]}.")
    return (done(out) - before) / (time.monotonic() - begun), samples


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--alone", type=float, default=60.0, help="seconds that one process works alone")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        one = alone(given.clips, given.alone, folder)
        two, samples = together(given.clips, folder)
        (table,) = (folder / "two").glob("summary-*.csv")
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        positions = [int(row["position"]) for row in rows]
        files = {row["file"] for row in rows}
        held = sum(path.stat().st_size for path in (folder / "two").glob("*.npz")) / 1e6
        whole = positions == list(range(given.clips)) and all((folder / "two" / file).is_file() for file in files)
    late = np.array([sample for sample in samples if sample[1] > WARM_UP * given.clips and min(sample[2:]) > 100])
    slope = float(np.polyfit(late[:, 1] / 1000, late[:, 3], 1)[0])
    print(f"{given.clips} clips, {held:.0f} MB of files; every clip in the table once, with its file: {whole}")
    print(f"clips/s: one process {one:.1f}, two {two:.1f} (one of them killed and started again)")
    print(
        f"memory of the process that ran through: {late[0, 3]:.0f} MB after warm-up, {late[-1, 3]:.0f} MB at the end, "
        f"{slope:+.2f} MB a thousand clips"
    )
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "corpus.json").write_text(
        json.dumps({"one": one, "two": two, "MB a thousand clips": slope, "samples": samples}) + "\n"
    )
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
