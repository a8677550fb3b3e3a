"""Chromium and a Streamlit server for the tests that look at the real page."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.browser.player_page import APP, PLAYER, settle

ROOT = Path(__file__).resolve().parents[2]
START = 120.0
PATIENCE = 120_000  # ms; what waits is a busy machine, never what a test measures
expect.set_options(timeout=PATIENCE)
STREAMLITS_OWN = re.compile(r"404 \(Not Found\).* \S+/\w+/_stcore/(health|host-config)$")
"""The only error on the console that is none: Streamlit looks for its server below the page first, then at the root."""
Serve = Callable[[str | Path], str]
OpenPage = Callable[..., Page]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve(app)` starts Streamlit on an app (a path, or the text of one) once and returns its address."""
    servers: dict[str, tuple[subprocess.Popen[bytes], str]] = {}

    def start(app: str | Path) -> str:
        if str(app) in servers:
            return servers[str(app)][1]
        folder = tmp_path_factory.mktemp("app")
        path = app if isinstance(app, Path) else folder / "page.py"
        if isinstance(app, str):
            path.write_text(app, encoding="utf-8")
        port = free_port()
        flags = {
            "server.headless": "true", "server.port": port, "server.address": "127.0.0.1",
            "server.fileWatcherType": "none", "browser.gatherUsageStats": "false", "client.toolbarMode": "minimal",
        }  # fmt: skip
        command = [sys.executable, "-m", "streamlit", "run", str(path)]
        for name, value in flags.items():
            command += [f"--{name}", str(value)]
        log = folder / "server.log"
        # An app of the project runs under the project's configuration, the text of one under Streamlit's own.
        place = ROOT if isinstance(app, Path) else folder
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with log.open("wb") as output:
            server = subprocess.Popen(command, cwd=place, env=environment, stdout=output, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        servers[str(app)] = server, address
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and server.poll() is None:
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                    return address
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        pytest.fail(f"Streamlit did not start within {START:.0f} s; it said:\n{log.read_text()[-2000:]}", pytrace=False)

    yield start
    for server, _ in servers.values():
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages are kept: the folder KINESCOPE_SCREENSHOTS, or one that pytest throws away."""
    folder = os.environ.get("KINESCOPE_SCREENSHOTS")
    path = Path(folder).resolve() if folder else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """`open_page(address, width=1440, ...)` opens a fresh browser context.

    An error on the page or on its console fails the test, but for the one that is Streamlit's own (`STREAMLITS_OWN`).
    """
    contexts: list[Any] = []
    errors: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        said = f"{message.text} {(message.location or {}).get('url', '')}"
        if message.type == "error" and not STREAMLITS_OWN.search(said):
            errors.append(f"console: {said[:400]}")

    def open_(address: str, width: int = 1440, height: int = 900, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.on("console", heard)  # of every page that is opened in it
        page = context.new_page()
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not errors, f"The page raised: {errors}"


@pytest.fixture
def show(serve: Serve, open_page: OpenPage) -> Any:
    """`show(case)` opens the page of `player_page` on one of its cases, drawn and at rest."""

    def open_(case: str = "one", **options: Any) -> Page:
        options.setdefault("reduced_motion", "reduce")  # else the film moves by itself
        page = open_page(f"{serve(APP)}/?case={case}", **options)
        page.locator(".player .sentence").first.wait_for()
        page.wait_for_function(f"() => ({PLAYER})?.lanes.every((lane) => lane.images)")
        settle(page)
        return page

    return open_
