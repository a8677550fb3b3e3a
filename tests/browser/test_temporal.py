"""Temporal in Chromium, with frame-wise networks that a training left: lanes, heads, the order test, a figure of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from model import save
from tests.browser.conftest import ROOT, OpenPage, Serve
from tests.browser.test_accessibility import keep, settle, violations
from tests.xai.test_framewise_evidence import framewise

VARIANTS = ("msca-kv", "vit")


@pytest.fixture(scope="module")
def app(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("runs")
    for variant in VARIANTS:
        made = framewise(variant)
        (folder / variant).mkdir()
        save(folder / variant / "best.safetensors", made.network, made.card)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESCOPE_RUNS", str(folder))
        # Another spelling of the path: a server of its own, which knows these trainings.
        yield serve(ROOT / "xai" / "dashboard" / ".." / ".." / "app.py")


def test_frame_wise_networks_are_compared_and_leave_as_a_figure(
    app: str, open_page: OpenPage, screenshots: Path
) -> None:
    page = open_page(f"{app}/temporal?clip=sit+down&framewise=msca-kv&framewise=vit")
    expect(page.locator(".player .lane h2")).to_have_count(2)
    expect(page.locator(".n-heads button").first).to_be_visible()
    expect(page.get_by_text("Does the order matter?")).to_be_visible()
    expect(page.locator(".js-plotly-plot .barlayer .point").first).to_be_attached()
    bars = page.locator(".js-plotly-plot").last.evaluate("""(plot) => plot.data.map(({ name, x, y }) => {
      const list = (value) => Array.from(value?.bdata ? new Float64Array(Uint8Array.from(atob(value.bdata),
        (c) => c.charCodeAt(0)).buffer) : value);
      return { name, x: list(x), y: list(y) };
    })""")
    heights = [height for bar in bars for height in bar["y"]]
    assert len(heights) == 2 * 4
    assert all(0 < height < 1 for height in heights)
    by_name = {bar["name"]: dict(zip(bar["x"], bar["y"], strict=True)) for bar in bars}
    for order in ("backwards", "shuffled"):  # it averages the same answers
        assert by_name[order]["vit"] == pytest.approx(by_name["as filmed"]["vit"], abs=1e-6)
    assert by_name["one frame held"]["vit"] != pytest.approx(by_name["as filmed"]["vit"], abs=1e-6)
    sentence = page.locator(".n-sentence")
    page.locator(".neighbours").focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(sentence).to_have_text(re.compile(r"^The patch in row 1, column 1 of frame \d+ reads its own frame;"))
    expect(page.locator(".n-rollout")).to_have_text(re.compile(r" 0 % from those of other frames\."))  # a plain ViT
    settle(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        keep(page, screenshots / f"temporal-filled-{scheme}.png")
        assert violations(page) == []
    page.get_by_role("button", name="Order test").click()
    expect(page.get_by_text(re.compile("It has 1 panel;")).first).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    settle(page)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("(node) => node.scrollWidth <= node.clientWidth + 1")
