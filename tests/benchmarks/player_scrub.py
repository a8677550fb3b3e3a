"""How long one step of the player takes in Chromium: `python -m tests.benchmarks.player_scrub`.

Prints median and 95th percentile of (a) the script that redraws everything and (b) a key press until it is drawn.
The bar is a median of 16 ms, one refresh of a screen.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from playwright.sync_api import sync_playwright

from tests.browser.chromium import FLAGS, find_chromium
from tests.xai.synthetic import synthetic_evidence
from xai.dashboard.player import FOLDER, script
from xai.figures.player import player_payload, size

CASES = {
    "demo, 12 x 112 px, 384 points": [{"height": 112, "width": 112, "layers": 3, "heads": 8}],
    "paper, 12 x 320x240, 2904 points": [{"height": 240, "width": 320, "layers": 3, "heads": 8, "grid": (6, 22, 22)}],
    "three lanes, 12 x 112 px": [{"height": 112, "width": 112, "token_mode": m} for m in ("none", "single", "cross")],
}

MEASURE = """async (steps) => {
  const { player } = document.querySelector(".player");
  const shown = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const times = { draw: [], press: [] };
  const render = player.render.bind(player);
  let finished;
  player.render = () => {
    const start = performance.now();
    render();
    times.draw.push(performance.now() - start);
    finished = performance.now();
  };
  for (let i = 0; i < steps; i++) {
    const start = performance.now();
    player.root.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    await shown();
    if (i >= 5) times.press.push(finished - start);
  }
  times.draw = times.draw.slice(5);
  return times;
}"""


def page_of(payloads: list[dict]) -> str:
    css = (FOLDER / "player.css").read_text(encoding="utf-8")
    data = json.dumps({"readings": payloads}).replace("</", "<\\/")
    mount = f"mount({{ data: {data}, parentElement: document.body, setStateValue: () => {{}} }});"
    module = script().replace("export default function mount", "function mount")
    return (
        f'<!doctype html><meta charset="utf-8"><style>{css}</style>'
        f'<div class="player-frame"><div class="player"></div></div><script type="module">{module}\n{mount}</script>'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=120)
    steps = parser.parse_args().steps
    path = find_chromium()
    if path is None:
        raise SystemExit("No Chromium was found; install one with `python -m tests.browser.chromium`.")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for name, settings in CASES.items():
            payloads = [player_payload(synthetic_evidence(**setting)) for setting in settings]
            file = Path(folder) / "player.html"
            file.write_text(page_of(payloads), encoding="utf-8")
            page = browser.new_page(viewport={"width": 1320, "height": 900})
            page.goto(file.as_uri())
            page.wait_for_function("() => document.querySelector('.player').player?.lanes.every((lane) => lane.images)")
            times = page.evaluate(MEASURE, steps)
            print(f"{name}: payload {sum(map(size, payloads)) / 1e6:.2f} MB")
            measured = {"draw": "script of one step", "press": "key press to drawn, with the wait for the screen"}
            for label, words in measured.items():
                median, high = np.percentile(times[label], [50, 95])
                print(f"  {words}: median {median:.1f} ms, 95 % below {high:.1f} ms ({len(times[label])} steps)")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
