"""Fixtures shared by every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; its README describes the layout. Tests that need it are skipped without it."""
    folder = os.environ.get("KINESCOPE_DATA")
    if not folder:
        pytest.skip("needs real data: set KINESCOPE_DATA to a folder with jhmdb/ and samples/")
    path = Path(folder)
    if not (path / "jhmdb" / "index.json").is_file():
        pytest.fail(f"KINESCOPE_DATA={folder} holds no jhmdb/index.json")
    return path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all tests of a process: two of them at once do not go together."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import FLAGS, find_chromium

    path = find_chromium()
    if path is None:
        pytest.fail(
            "No Chromium was found for the browser tests; install one with `python -m tests.browser.chromium`.",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        browser.close()
