"""Reports: one file that asks nobody for anything, in a real Chromium; its text is never read as HTML."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

import model
from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.figure_checks import SIZE, curves, map_of
from tests.xai.synthetic import synthetic_evidence
from training.clip_file import save_clip
from xai.explanation import Explanation
from xai.figures import report
from xai.figures.player import unpack
from xai.figures.player_script import FOLDER, modules, script
from xai.figures.report import Wanted, coarse, map_payload, report_html
from xai.figures.spec import FigureError
from xai.methods import Method

READY = "() => document.querySelector('.player').player?.lanes.every((lane) => lane.images)"
HOSTILE = "</script><img src=x onerror=alert(1)>"


def method(name: str, signed: bool = True) -> Method:
    return Method(
        name, "removal", "What a value says.", "logit", ("here",), "1 forward", lambda q, on: q, signed=signed
    )


def page_maps() -> list[dict]:
    rng = np.random.default_rng(0)
    verdict = {"level": "doubtful", "sentences": ["No better than random removal."], "faithfulness": curves()}
    cells = np.zeros((7, 6, 10))
    cells[:, 2, 7] = 1.0
    found: list[Explanation] = [
        map_of("pixel map", cells, {**verdict, "verdict": "No better than random removal."}),
        map_of("joint map", rng.normal(size=(7, 1, 15)), base=0.2),
        map_of("frame map", rng.normal(size=7), base=0.1),
        map_of("token map", rng.normal(size=(7, 3))),
    ]
    drawn = [map_payload(each, method(each.kind)) for each in found]
    return [*drawn, {"title": "temporal attention", "about": "Frames.", "refused": f"needs more {HOSTILE}"}]


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A report of hostile names, opened from its file; what it asks for and says in the console is kept on the page."""
    evidence = synthetic_evidence(**SIZE)
    clip = replace(evidence.clip, name=f"clip {HOSTILE}", label=HOSTILE)
    evidence = replace(evidence, clip=clip, labels=(HOSTILE, *evidence.labels[1:]))
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(report_html(evidence, page_maps(), f"python {HOSTILE}"), encoding="utf-8")
    opened = chromium.new_context(offline=True, viewport={"width": 1320, "height": 900}).new_page()
    opened.said = []  # type: ignore[attr-defined]
    opened.on("console", lambda message: opened.said.append(message.text))  # type: ignore[attr-defined]
    opened.on("pageerror", lambda error: opened.said.append(str(error)))  # type: ignore[attr-defined]
    opened.on("request", lambda request: opened.said.append(request.url))  # type: ignore[attr-defined]
    opened.on("dialog", lambda dialog: opened.said.append(dialog.message))  # type: ignore[attr-defined]
    opened.goto(file.as_uri())
    opened.wait_for_function(READY, timeout=60_000)
    yield opened
    opened.close()


def test_it_asks_the_network_for_nothing_and_complains_of_nothing(page: Page) -> None:
    page.wait_for_timeout(300)
    asked = [text for text in page.said if not text.startswith(("file:", "data:", "blob:"))]  # type: ignore[attr-defined]
    assert asked == []
    assert sum(text.startswith("file:") for text in page.said) == 1  # type: ignore[attr-defined]


def test_arrow_keys_step_the_player_and_the_maps(page: Page) -> None:
    page.evaluate("document.querySelector('.player').player.clock.seek(2)")
    at = page.locator(".when")
    page.wait_for_function("() => document.querySelector('.when').textContent.startsWith('frame 3')")
    before = page.evaluate("document.querySelector('.map-stage canvas').toDataURL()")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.when').textContent.startsWith('frame 4')")
    assert at.inner_text().startswith("frame 4 of 7")
    assert page.evaluate("document.querySelector('.map-stage canvas').toDataURL()") != before


def test_a_cell_is_painted_where_it_is(page: Page) -> None:
    colour = """(place) => {
      const canvas = document.querySelector(".map-stage canvas"), ratio = canvas.width / 100;
      return [...canvas.getContext("2d").getImageData((place[0] + 0.5) * ratio, (place[1] + 0.5) * ratio, 1, 1).data];
    }"""
    red, green, blue, _ = page.evaluate(colour, [74.5, 24.5])  # row 2 of 6, column 7 of 10: speaks for, so brown
    assert red > green > blue
    assert red - blue > 60
    for place in ([66, 24.5], [83, 24.5], [74.5, 17], [74.5, 33]):
        red, green, blue, _ = page.evaluate(colour, place)
        assert max(red, green, blue) - min(red, green, blue) < 4


def test_trust_is_beside_every_map_and_a_refusal_is_a_sentence(page: Page) -> None:
    cards = page.locator(".map")
    assert cards.count() == 5
    assert page.locator(".trust summary").all_inner_texts() == ["Trust: doubtful", *["Trust: not measured"] * 3]
    page.locator(".trust summary").first.click()
    assert page.locator(".removal polyline").count() == 6
    assert "needs more </script>" in cards.nth(4).inner_text()
    base = cards.nth(1).inner_text()
    assert "Base rate 0.20: taking away one at random" in base


def test_names_are_text(page: Page) -> None:
    assert page.locator("h1").inner_text() == f"{HOSTILE}: clip {HOSTILE}"
    assert page.locator("img[onerror]").count() == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 2


def test_the_file_forbids_itself_the_network() -> None:
    html = report_html(synthetic_evidence(**SIZE), [])
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1])  # type: ignore[index]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'sha256-" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r'(?:src|href)\s*=\s*"?(?:https?:)?//', html)
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    assert data["payload"]["clip"]["frames"] == 7
    assert html == report_html(synthetic_evidence(**SIZE), [])


def test_untrained_weights_are_called_so() -> None:
    evidence = synthetic_evidence(**SIZE)
    words = "was never trained: what it reads explains nothing"
    refused = [{"title": "a map", "about": "", "refused": "not here"}]
    assert words not in report_html(evidence, refused)
    assert words in report_html(replace(evidence, model={**evidence.model, "trained_on": ""}), refused)


def test_the_script_holds_every_module_of_the_player_once() -> None:
    assert sorted(modules()) == sorted(path.name for path in FOLDER.glob("*.js"))
    assert modules()[-1] == "player.js"
    assert not re.search(r"^(import|export)\b", script(), re.MULTILINE)
    assert script().count("function mount(") == 1


def test_values_travel_within_half_a_step() -> None:
    values = np.random.default_rng(1).normal(size=(7, 1, 15))
    packed = map_payload(map_of("joint map", values, base=0.25), method("m"))
    np.testing.assert_allclose(unpack(packed["values"]), values, atol=packed["values"]["step"])
    assert packed["most"] == pytest.approx(np.abs(values).max(), rel=1e-6)
    assert packed["base"] == 0.25
    fine = np.arange(2 * 96 * 96, dtype=float).reshape(2, 96, 96)
    small = coarse(fine)
    assert small.shape == (2, 48, 48)
    assert small[0, 0, 0] == (0 + 1 + 96 + 97) / 4
    assert coarse(fine[:, :7, :7]).shape == (2, 7, 7)


def test_methods_are_named_with_what_they_are_asked_about() -> None:
    assert Wanted.parse("integrated gradients:joints") == Wanted("integrated gradients", "joints")
    with pytest.raises(FigureError, match="There is no method 'magic'"):
        Wanted.parse("magic")
    with pytest.raises(FigureError, match="explains joints, not 'frames'"):
        Wanted.parse("joint removal:frames")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    recognizer = random_recognizer(size=32, frames=4, width=4)
    model.save(tmp_path / "net.safetensors", recognizer.network, recognizer.card)
    save_clip(tmp_path / "clip.npz", noise_clip(6, 40, 56, 0))
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    out = tmp_path / "report.html"
    given = [str(tmp_path / "clip.npz"), "--checkpoint", str(tmp_path / "net.safetensors"), "--out", str(out)]
    given += ["--methods", "ledger:time", "joint removal", "--trust", "faithfulness", "--orders", "4"]
    assert report.run(parser.parse_args(given)) == 0
    data = json.loads(re.search(r'id="data">(.*?)</script>', out.read_text("utf-8"), re.DOTALL)[1])  # type: ignore[index]
    assert data["maps"][0]["trust"]["faithfulness"]["units"] == "frames"
    assert data["maps"][1]["refused"].startswith("joint removal needs a clip with joints")
    assert "Wrote" in capsys.readouterr().out
    assert report.run(parser.parse_args([*given[:-6], "--methods", "magic"])) == 2
    assert capsys.readouterr().err.count("\n") == 1
