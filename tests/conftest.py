"""Fixtures shared by every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
