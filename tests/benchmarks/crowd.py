"""A crowd on one server: `python -m tests.benchmarks.crowd --sessions 30 --minutes 10`.

Starts the dashboard and opens that many sessions of Streamlit through its websocket. Each goes from page to page,
changes clips and checkpoints by link and by widget, takes things away, asks methods, uploads a clip of its own, and
comes back as somebody new. What arrives is compared with what this process knows of the clip that was asked for: the
prediction and the pictures of another clip would be a mixed result. Prints errors, mixed results, the time of views
that somebody has seen before, and the memory of the server at the start, after warm-up and at the end; writes
build/benchmarks/crowd.json.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.visitor import LostError, Seen, Visitor
from xai.dashboard.library import Library, open_library
from xai.explanation import FRAMEWISE
from xai.lessons import Lesson, lessons_of

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "benchmarks"
LOG = OUT / "crowd-server.log"
REMOVALS = (
    '[{"kind":"limbs","limbs":["left leg"]}]',
    '[{"kind":"limbs","limbs":["right arm"]}]',
    '[{"kind":"order","order":"reverse"}]',
)
NO_OFFSETS = '[{"kind":"offsets"}]'
"""Only for networks that search tokens; the others answer that they have none."""
METHODS = ("limb removal", "joint attention", "saliency")
QUIET = ("trust", "data", "export", "my_clip")
SAMPLE = 2.0
WARM_UP = 1 / 3
"""Of the run: the first third fills the caches."""
SERVER = {"OMP_NUM_THREADS": "2", "KINESCOPE_MAX_CACHE_MB": "256"}
"""Of its environment. The cache is small enough to be full after warm-up: what grows then is something else."""
CACHED = 1.0
"""Seconds that 95 % of the views that somebody has seen before may take, after warm-up."""
GROWTH = 0.01
"""Of its memory after warm-up that the server may gain in a minute."""


# ---- What is known --------------------------------------------------------------------------------------------------


def signature(payload: dict[str, Any]) -> str:
    """What a clip and a checkpoint are recognised by: the pictures, the frames, the network, the probabilities."""
    known = [payload["clip"], payload["model"]["checkpoint"], payload["sprite"]]
    known += [(each["label"], round(each["probability"], 3)) for each in payload["classes"]]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Planted:
    """A clip that only one visitor has, and what the network says of it."""

    video: bytes
    joints: bytes
    checkpoint: str
    signature: str


def plant(library: Library, count: int) -> list[Planted]:
    """Gym clips with another length for each visitor, as files."""
    from training.clip_file import load_clip, read_clip
    from training.recognizer import Recognizer
    from training.video import write_video
    from xai.evidence import gather_evidence
    from xai.figures.player import player_payload

    networks = {c.key: Recognizer.load(c.path, "cpu") for c in library.checkpoints if c.token_mode == "cross"}
    planted = []
    for number in range(count):
        checkpoint = sorted(networks)[number % len(networks)]
        source = load_clip(library.clips[number % len(library.clips)].path)
        clip = source.take(np.arange(number // len(library.clips), len(source)))
        with tempfile.TemporaryDirectory() as folder:
            video, joints = Path(folder) / "upload.webm", Path(folder) / "upload.npz"
            write_video(video, clip.frames)
            np.savez(joints, joints=clip.joints, score=clip.score, layout=clip.layout.name)
            payload = player_payload(gather_evidence(networks[checkpoint], read_clip(video, joints)))
            planted.append(Planted(video.read_bytes(), joints.read_bytes(), checkpoint, signature(payload)))
    return planted


@dataclass(eq=False)
class Known:
    """What must arrive, and what arrived."""

    library: Library
    lessons: tuple[Lesson, ...]
    signatures: dict[tuple[str, str], str] = field(default_factory=dict)
    """(checkpoint, clip) -> signature of the bundled trace."""
    texts: dict[str, str] = field(default_factory=dict)
    """View -> its words, as the first who saw it read them."""
    seconds: dict[bool, list[tuple[str, float, float]]] = field(default_factory=lambda: {True: [], False: []})
    """Has somebody seen this view before? -> (page, seconds it took, when it ended)."""
    views: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    bytes: int = 0
    start: float = 0.0

    @property
    def traces(self) -> Any:
        return self.library.traces

    def expected(self, checkpoint: str, clip: str) -> str:
        key = checkpoint, clip
        if key not in self.signatures:
            payload = self.library.payload(*key)
            assert payload is not None
            self.signatures[key] = signature(payload)
        return self.signatures[key]

    def arrived(self, view: str, seen: Seen, expected: list[str], texts: tuple[str, ...] = ()) -> None:
        """Note a run: was it fine, was it what was asked for?"""
        page = view.partition("?")[0]
        self.seconds[view in self.views].append((page, seen.seconds, time.monotonic()))
        self.views[view] += 1
        self.bytes += seen.bytes
        self.errors += [f"{view}: {each}" for each in (*seen.exceptions, *seen.alarms)]
        if not seen.finished:
            self.errors.append(f"{view}: the run did not finish")
        found = [signature(payload) for payload in seen.readings]
        if found != expected:
            self.mixed.append(f"{view}: {found} instead of {expected}")
        words = "\n".join(texts)
        if words and self.texts.setdefault(view, words) != words:
            self.mixed.append(f"{view}: {words[:300]!r} instead of {self.texts[view][:300]!r}")


# ---- What a visitor does --------------------------------------------------------------------------------------------


class Guest:
    """One of the crowd; its seed decides everything it does."""

    def __init__(
        self, known: Known, visitor: Visitor, draw: random.Random, planted: Planted | None, pause: float
    ) -> None:
        self.known, self.visitor, self.draw, self.planted, self.pause = known, visitor, draw, planted, pause
        self.clips, self.checkpoints = known.library.clips, known.library.checkpoints

    async def think(self) -> None:
        await asyncio.sleep(self.draw.expovariate(1 / self.pause))

    async def act(self) -> None:
        acts = [
            self.explore,
            self.explore,
            self.tokens,
            self.temporal,
            self.break_it,
            self.lesson,
            self.method,
            self.quiet,
        ]
        if self.planted:
            acts.append(self.upload)
        await self.draw.choice(acts)()

    def pair(self) -> tuple[Any, Any]:
        """A checkpoint and a clip whose trace is bundled."""
        pairs = [(c, k) for c in self.checkpoints for k in self.clips if (c.key, k.key) in self.known.traces]
        return self.draw.choice(pairs)

    async def explore(self) -> None:
        checkpoint, clip = self.pair()
        seen = await self.visitor.link("", clip=clip.name, checkpoint=checkpoint.key)
        self.shown(checkpoint, clip, seen)
        for _ in range(self.draw.randrange(4)):  # the same session, by its widgets
            await self.think()
            if self.draw.random() < 0.3:
                checkpoint = self.draw.choice([c for c in self.checkpoints if (c.key, clip.key) in self.known.traces])
                seen = await self.visitor.choose(seen, "Checkpoint", checkpoint.key)
            else:
                clip = self.draw.choice([k for k in self.clips if (checkpoint.key, k.key) in self.known.traces])
                seen = await self.visitor.choose(seen, "Clip", clip.name)
            self.shown(checkpoint, clip, seen)

    def shown(self, checkpoint: Any, clip: Any, seen: Seen) -> None:
        expected = [self.known.expected(checkpoint.key, clip.key)]
        self.known.arrived(f"explore?{checkpoint.key}&{clip.key}", seen, expected)

    async def tokens(self) -> None:
        await self.lanes("tokens", [next(c.key for c in self.checkpoints if c.token_mode == mode and
                                         c.key.startswith("gym")) for mode in ("none", "single", "cross")])  # fmt: skip

    async def temporal(self) -> None:
        await self.lanes("temporal", [c.key for c in self.checkpoints if c.token_mode == FRAMEWISE][:3])

    async def lanes(self, page: str, checkpoints: list[str]) -> None:
        clip = self.draw.choice(self.clips)
        seen = await self.visitor.link(page, clip=clip.name)
        self.known.arrived(f"{page}?{clip.key}", seen, [self.known.expected(key, clip.key) for key in checkpoints])
        await self.think()
        clip = self.draw.choice(self.clips)
        seen = await self.visitor.choose(seen, "Clip", clip.name)
        self.known.arrived(f"{page}?{clip.key}", seen, [self.known.expected(key, clip.key) for key in checkpoints])

    async def break_it(self) -> None:
        checkpoint, clip = self.pair()
        removal = self.draw.choice(REMOVALS if checkpoint.token_mode == FRAMEWISE else (*REMOVALS, NO_OFFSETS))
        seen = await self.visitor.link("break_it", clip=clip.name, checkpoint=checkpoint.key, without=removal)
        words = tuple(each.body for each in seen.of("markdown") if each.body.startswith("#####"))
        view = f"break_it?{checkpoint.key}&{clip.key}&{removal}"
        self.known.arrived(view, seen, [], words)
        payload = self.known.library.payload(checkpoint.key, clip.key)
        said = payload["classes"][0]["label"] if payload else ""
        if not words or f"**{said}**" not in words[0]:
            self.known.mixed.append(f"{view}: the sentence {words} does not speak of {said}")

    async def lesson(self) -> None:
        lesson = self.draw.choice(self.known.lessons)
        number = self.draw.randrange(len(lesson.steps))
        step = lesson.steps[number]
        seen = await self.visitor.link("lessons", lesson=lesson.key, step=str(number + 1))
        expected = [self.known.expected(c.key, step.clip) for c in step.checkpoints(self.known.library)]
        self.known.arrived(f"lessons?{lesson.key}&{number + 1}", seen, expected)

    async def method(self) -> None:
        checkpoint, clip = self.pair()
        method = self.draw.choice(METHODS)
        link = {"clip": clip.name, "checkpoint": checkpoint.key, "ask": "true", "method": method}
        seen = await self.visitor.link("", **link)
        for _ in range(60):
            if not seen.of("progress"):
                break
            await asyncio.sleep(2)
            seen = await self.visitor.again()
        expected = [self.known.expected(checkpoint.key, clip.key)]
        self.known.arrived(f"method?{checkpoint.key}&{clip.key}&{method}", seen, expected)

    async def quiet(self) -> None:
        page = self.draw.choice(QUIET)
        seen = await (self.visitor.go(page) if self.visitor.session else self.visitor.link(page))
        self.known.arrived(page, seen, [])

    async def upload(self) -> None:
        assert self.planted is not None
        seen = await self.visitor.link("", source="Upload", checkpoint=self.planted.checkpoint)
        seen = await self.visitor.upload(seen, "Joints", "mine.npz", self.planted.joints)
        seen = await self.visitor.upload(seen, "Video", "mine.webm", self.planted.video)
        self.known.arrived(f"upload?{self.planted.signature}", seen, [self.planted.signature])


async def guest(address: str, known: Known, seed: int, planted: Planted | None, until: float, think: float) -> None:
    draw = random.Random(seed)
    await asyncio.sleep(draw.uniform(0, min(10.0, 2 * think)))
    while time.monotonic() < until:
        try:
            async with Visitor(address) as visitor:
                one = Guest(known, visitor, draw, planted, think)
                for _ in range(draw.randint(8, 30)):  # then the tab is closed, and somebody new comes
                    await one.act()
                    await one.think()
                    if time.monotonic() >= until:
                        return
        except (LostError, StopIteration, OSError, RuntimeError) as error:
            known.errors.append(f"visitor {seed}: {type(error).__name__} {error}")
            await asyncio.sleep(think)


# ---- The server -----------------------------------------------------------------------------------------------------


@contextmanager
def server(environment: dict[str, str]) -> Iterator[tuple[str, int, Path]]:
    """Address, process and folder of temporary files of a dashboard of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
        command += ["--server.headless", "true", "--server.address", "127.0.0.1"]
        given = os.environ | {"TMPDIR": folder} | environment
        with LOG.open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=given, stdout=log, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                        break
                except (urllib.error.URLError, OSError):
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise RuntimeError("The server did not start within 120 s.") from None
                    time.sleep(0.2)
            yield address, process.pid, Path(folder)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def resident(pid: int) -> float:
    """Megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def worked(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def watch(pid: int, until: float, samples: list[tuple[float, float]], start: float) -> None:
    while time.monotonic() < until:
        samples.append((time.monotonic() - start, resident(pid)))
        await asyncio.sleep(SAMPLE)


# ---- The report -----------------------------------------------------------------------------------------------------


def percentiles(seconds: list[float]) -> tuple[float, float]:
    return tuple(float(each) for each in np.percentile(seconds, (50, 95))) if seconds else (0.0, 0.0)  # type: ignore[return-value]


def memory(samples: list[tuple[float, float]], minutes: float) -> dict[str, float]:
    """Megabytes after warm-up, at the end (the last tenth), and the slope between them."""
    whole = 60 * minutes
    times, values = (np.array(each) for each in zip(*samples, strict=True))
    after = values[(times >= WARM_UP * whole) & (times < whole / 2)]
    end = values[times >= 0.9 * whole]
    late = times >= WARM_UP * whole
    slope = float(np.polyfit(times[late] / 60, values[late], 1)[0]) if late.sum() > 2 else 0.0
    return {
        "start": float(values[0]), "after warm-up": float(np.median(after)) if len(after) else float(values[-1]),
        "end": float(np.median(end)) if len(end) else float(values[-1]), "peak": float(values.max()),
        "MB a minute after warm-up": slope,
    }  # fmt: skip


def report(
    known: Known, samples: list[tuple[float, float]], left: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    again = [seconds for _, seconds, _ in known.seconds[True]]
    first = [seconds for _, seconds, _ in known.seconds[False]]
    warm = known.start + 60 * options.minutes * WARM_UP
    late = [(page, seconds) for page, seconds, when in known.seconds[True] if when >= warm]
    pages = sorted({page for page, _ in late})
    by_page = {page: percentiles([seconds for of, seconds in late if of == page]) for page in pages}
    return {
        "sessions": options.sessions, "minutes": options.minutes, "think": options.think,
        "load": os.getloadavg()[0], "cores": os.cpu_count(),
        "runs": len(again) + len(first), "views": len(known.views), "megabytes sent": known.bytes / 1e6,
        "errors": known.errors, "mixed": known.mixed, "temporary files left": left,
        "cached view": dict(zip(("p50", "p95"), percentiles(again), strict=True)),
        "cached view after warm-up": dict(zip(("p50", "p95"), percentiles([each for _, each in late]), strict=True)),
        "new view": dict(zip(("p50", "p95"), percentiles(first), strict=True)),
        "cached by page": {page: {"p50": p50, "p95": p95} for page, (p50, p95) in by_page.items()},
        "memory": memory(samples, options.minutes), "samples": samples,
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    sent, load = found["megabytes sent"], found["load"]
    print(f"\n{found['sessions']} sessions, {found['minutes']:g} minutes, a pause of {found['think']:g} s on average")
    print(
        f"{found['runs']} runs of {found['views']} views, {sent:.0f} MB sent; load {load:.1f} on {found['cores']} cores"
    )
    print(f"  {'errors':<34}{len(found['errors']):>10}")
    print(f"  {'mixed results':<34}{len(found['mixed']):>10}")
    print(f"  {'temporary files left':<34}{len(found['temporary files left']):>10}")
    busy, share = found["processor seconds"], found["processor seconds"] / (60 * found["minutes"])
    spent = f"{share:.2f} cores, {1000 * busy / found['runs']:.0f} ms a run"
    print(f"  {'processor time of the server':<34}{busy:>10.0f} s, {spent}")
    for name in ("new view", "cached view", "cached view after warm-up"):
        print(f"  {name + ', p50 / p95':<34}{found[name]['p50']:>10.2f}{found[name]['p95']:>8.2f} s")
    for page, each in found["cached by page"].items():
        print(f"    {page:<32}{each['p50']:>10.2f}{each['p95']:>8.2f} s")
    for name, value in found["memory"].items():
        unit = "" if name.startswith("MB") else " MB"
        print(f"  memory, {name:<26}{value:>10.1f}{unit}")
    for kind in ("errors", "mixed"):
        for line, count in Counter(found[kind]).most_common(12):
            print(f"  {kind}: {count} x {line[:400]}")


def missed(found: dict[str, Any]) -> list[str]:
    """Which bars the run did not hold, in words."""
    words = [f"{len(found[name])} {name}" for name in ("errors", "mixed", "temporary files left") if found[name]]
    slowest = found["cached view after warm-up"]["p95"]
    if slowest > CACHED:
        words.append(f"95 % of the cached views took up to {slowest:.2f} s; the bar is {CACHED:g} s")
    held = found["memory"]
    grown = held["MB a minute after warm-up"]
    if grown > GROWTH * held["after warm-up"]:
        words.append(f"memory grows by {grown:.1f} MB a minute; the bar is {GROWTH:.0%} of what is held after warm-up")
    return words


async def crowd(options: argparse.Namespace) -> dict[str, Any]:
    OUT.mkdir(parents=True, exist_ok=True)
    library = open_library()
    known = Known(library, tuple(lessons_of(ROOT / "assets" / "lessons")))
    planted = plant(library, min(options.uploads, options.sessions))
    with server({name: os.environ.get(name, usual) for name, usual in SERVER.items()}) as (address, pid, folder):
        start, samples = time.monotonic(), []  # type: tuple[float, list[tuple[float, float]]]
        known.start = start
        until = start + 60 * options.minutes
        own = [planted[i] if i < len(planted) else None for i in range(options.sessions)]
        guests = [guest(address, known, seed, each, until, options.think) for seed, each in enumerate(own)]
        await asyncio.gather(*guests, watch(pid, until, samples, start))
        seconds = worked(pid)
        left = sorted(path.name for path in folder.iterdir() if path.name.startswith("kinescope"))
    return {**report(known, samples, left, options), "processor seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sessions", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--think", type=float, default=4.0, help="seconds between two acts of a visitor, on average")
    parser.add_argument("--uploads", type=int, default=6, help="visitors who bring a clip of their own")
    found = asyncio.run(crowd(parser.parse_args()))
    (OUT / "crowd.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(found)
    failed = missed(found)
    print("\n".join(f"  MISSED: {each}" for each in failed) or "  every bar is held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
