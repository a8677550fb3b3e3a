"""How fast the player is in Chromium: `python -m tests.benchmarks.player [--steps N] [--visits N] [--only WORDS]`.

On a page of its own: a step along the film, a hover (what the patch under the pointer reads, in every frame), a change
of block, head and query, each from the event until the page is drawn, and the bytes that were sent. Through a server
that is warm: a first visit until an explained clip moves; on Explore a change to a clip that nobody asked for yet,
which is drawn, predicted and explained; on Break it a removal until the new answer. Prints medians and 95th percentiles
beside their bars.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import FLAGS, find_chromium
from tests.browser.conftest import ROOT, free_port
from tests.browser.player_page import PLAYER
from tests.xai.synthetic import synthetic_evidence
from xai.dashboard.library import open_library
from xai.figures.player import player_payload, size
from xai.figures.player_script import markup, script, style

MEASURE = """async (steps) => {
  const { player } = document.querySelector(".player");
  player.clock.play(false);
  const times = {}, drawn = [];
  const render = player.render.bind(player);
  let done = () => {};
  player.render = () => {
    const start = performance.now();
    render();
    document.querySelector(".player").getBoundingClientRect();  // styles and layout belong to it
    drawn.push(performance.now() - start);
    done();
  };
  const settled = () => new Promise((resolve) => setTimeout(resolve, 30));
  const measure = async (name, act) => {
    drawn.length = 0;
    const waits = [];
    for (let i = 0; i < steps + 5; i++) {
      await settled();
      const rendered = new Promise((resolve) => (done = resolve));
      const start = performance.now();
      act(i);
      await rendered;
      if (i >= 5) waits.push(performance.now() - start);
    }
    times[name] = { work: drawn.slice(5), wait: waits };
  };
  const press = (key) => () => player.root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  await measure("scrub", press("ArrowRight"));
  if (player.readings[0].looks) {
    const canvas = document.querySelector(".stage canvas"), box = canvas.getBoundingClientRect();
    await measure("hover", (i) => {
      const x = box.left + (0.05 + 0.9 * ((i * 37) % 101) / 101) * box.width;
      const y = box.top + (0.05 + 0.9 * ((i * 61) % 97) / 97) * box.height;
      const at = { clientX: x, clientY: y, pointerType: "mouse", bubbles: true };
      canvas.dispatchEvent(new PointerEvent("pointermove", at));
    });
    player.store.preview({});
  }
  await measure("layer", press("["));
  await measure("head", press("h"));
  await measure("query", press("q"));
  return times;
}"""
BARS = {"scrub": (16, 33), "hover": (16, 33), "layer": (100, None), "head": (100, None), "query": (100, None)}


def page_of(payloads: list[dict]) -> str:
    """A page with the player and nothing else."""
    data = json.dumps({"readings": payloads}).replace("</", "<\\/")
    return (
        f'<!doctype html><meta charset="utf-8"><style>{style()}</style>{markup()}'
        f'<script type="module">{script()}\nmount({{ data: {data}, parentElement: document.body }});</script>'
    )


def said(times: Sequence[float] | np.ndarray, bars: tuple[int | None, int | None] = (None, None)) -> str:
    middle, high = np.percentile(times, [50, 95])
    wanted = "".join(f" (bar {bar} ms)" for bar in bars[:1] if bar)
    above = f" (bar {bars[1]} ms)" if bars[1] else ""
    return f"median {middle:7.1f} ms{wanted}, 95 % below {high:7.1f} ms{above}"


def cases() -> dict[str, list[dict]]:
    library = open_library()
    demo = library.payload(library.checkpoints[0].key, library.clips[0].key)
    modes = ("none", "single", "cross")
    found = {} if demo is None else {"bundled gym clip, 12 x 112 px": [demo]}
    return found | {
        "12 x 320x240, 2904 points": [
            player_payload(synthetic_evidence(height=240, width=320, layers=3, heads=8, grid=(6, 22, 22)))
        ],
        "three lanes, 12 x 112 px": [
            player_payload(synthetic_evidence(height=112, width=112, token_mode=mode)) for mode in modes
        ],
    }


def alone(browser: Browser, steps: int) -> None:
    """The player on a page of its own."""
    with TemporaryDirectory() as folder:
        for name, payloads in cases().items():
            looks = size(payloads[0]["looks"]) if payloads[0]["looks"] else 0
            print(f"{name}: payload {sum(map(size, payloads)):,} bytes (looks {looks:,}); bar 2,000,000")
            file = Path(folder) / "player.html"
            file.write_text(page_of(payloads), encoding="utf-8")
            page = browser.new_page(viewport={"width": 1320, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(file.as_uri())
            page.wait_for_function("() => document.querySelector('.player').player?.lanes.every((lane) => lane.images)")
            for what, times in page.evaluate(MEASURE, steps).items():
                print(f"  {what:<6} script, style, layout: {said(times['work'], BARS[what])}")
                print(f"  {what:<6} event to drawn:        {said(times['wait'])}")
            page.close()


@contextmanager
def server(app: Path) -> Iterator[str]:
    """Streamlit on an app, from when it answers."""
    port = free_port()
    command = [
        sys.executable, "-m", "streamlit", "run", str(app), "--server.port", str(port), "--server.headless", "true",
        "--server.address", "127.0.0.1", "--server.fileWatcherType", "none", "--browser.gatherUsageStats", "false",
    ]  # fmt: skip
    quiet = subprocess.DEVNULL
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for(page: Any, condition: str, before: str = "") -> float:
    """When the player fulfils a condition over `player` and `before`, by the clock of this process."""
    page.wait_for_function(f"(before) => {{ const player = {PLAYER}; return {condition}; }}", arg=before, polling=20)
    return time.perf_counter()


def visits(browser: Browser, times: int) -> None:
    """A new browser at the dashboard, until a clip with its explanation moves; in turn with a page of one line, which
    says what any page of Streamlit costs here."""
    moves = "player?.lanes?.[0].images && player.store.playing"
    with TemporaryDirectory() as folder:
        bare = Path(folder) / "page.py"
        bare.write_text("import streamlit as st\n\nst.text('one line')\n", encoding="utf-8")
        with server(ROOT / "app.py") as dashboard, server(bare) as line:
            seconds: dict[str, list[float]] = {"dashboard": [], "line": []}
            for _ in range(times + 1):
                for name, address, shown in (
                    ("dashboard", dashboard, moves),
                    ("line", line, "document.body?.innerText.includes('one line')"),
                ):
                    context = browser.new_context(viewport={"width": 1440, "height": 900})
                    context.set_default_timeout(300_000)
                    page = context.new_page()
                    start = time.perf_counter()
                    page.goto(address, wait_until="commit")
                    seconds[name].append(wait_for(page, shown) - start)
                    context.close()
    warm = {name: 1000 * np.array(found[1:]) for name, found in seconds.items()}
    print(f"first visit of all, server cold: {seconds['dashboard'][0]:.2f} s")
    print(f"first visit, server warm, to a moving explained clip: {said(warm['dashboard'], (2000, None))}")
    print(f"  a page of one line, in turn with it: {said(warm['line'], (None, None))}")


def served(browser: Browser, times: int) -> None:
    """What the dashboard answers on pages that stand open, from the click to what is drawn."""
    with server(ROOT / "app.py") as address:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(300_000)
        switches(context.new_page(), f"{address}/?source=Data&set=Gym&split=test&number=101", times)
        breaks(context.new_page(), f"{address}/break_it?checkpoint=gym-cross", times)
        context.close()


def switches(page: Page, link: str, times: int) -> None:
    """Explore, to gym clips that nobody asked for yet: drawn, predicted, explained, until their frames are there."""
    page.goto(link)
    wait_for(page, "player?.lanes?.[0].images")
    page.get_by_text("Take it with you").wait_for()  # torch and the network are loaded, the page is whole
    seconds = []
    for _ in range(times + 1):
        before = page.evaluate(f"() => ({PLAYER}).shown")
        start = time.perf_counter()
        page.get_by_test_id("stNumberInputStepUp").click()
        seconds.append(wait_for(page, "player?.shown !== before && player?.lanes?.[0].images", before) - start)
        page.get_by_text("Take it with you").wait_for()
    print(f"Explore, another clip that nobody asked for: {said(1000 * np.array(seconds[1:]), (2000, None))}")


def breaks(page: Page, link: str, times: int) -> None:
    """Break it, one removal after the other: all frames are read anew, until the new answer stands beside the old."""
    page.goto(link)
    page.get_by_role("radio", name="Frames", exact=True).click()
    seconds = []
    for number in range(1, times + 2):
        button = page.get_by_role("button", name="Shuffle")
        button.wait_for()
        page.wait_for_timeout(1500)  # what the last answer still draws
        start = time.perf_counter()
        button.click()
        page.get_by_text(f"{number}. shuffled").wait_for()
        seconds.append(time.perf_counter() - start)
    print(f"Break it, from the click to the new answer: {said(1000 * np.array(seconds[1:]), (1000, None))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--only", choices=("alone", "served"))
    given = parser.parse_args()
    path = find_chromium()
    if path is None:
        raise SystemExit("No Chromium was found; install one with `python -m tests.browser.chromium`.")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        if given.only != "served":
            alone(browser, given.steps)
        if given.only != "alone":
            visits(browser, given.visits)
            served(browser, given.visits)
        browser.close()
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
