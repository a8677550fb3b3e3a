"""Files of strangers given to a running server, as a browser gives them: sentences, and the next visitor is served.

Hundreds more are opened by the same functions in tests/xai/test_hostile_uploads.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.visitor import Seen, Visitor
from tests.browser.conftest import ROOT, Serve
from tests.browser.test_crowd import finished
from tests.xai.hostile import CANARY
from tests.xai.hostile_files import Mutant, mutants
from xai.dashboard.library import open_library

DOORS = {
    "video": ("", {"source": "Upload"}, "Video"),
    "joints": ("", {"source": "Upload"}, "Joints"),
    "checkpoint": ("", {"clip": "bow", "checkpoint": "upload"}, "Checkpoint"),
    "lesson": ("lessons", {}, "A lesson"),
    "clip": ("my_clip", {}, "A video"),
}
"""Kind of file -> page, its address, the widget that takes it."""
EACH = 5


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def app(serve: Serve, temporary: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        patch.setenv("KINESCOPE_MAX_DECODE_SECONDS", "2")
        # Another spelling of the path: a server of its own, under these limits.
        yield serve(ROOT / "tests" / ".." / "app.py")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Mutant]]:
    """The file that appears if anything is run, and all files."""
    canary = tmp_path_factory.mktemp("canary") / CANARY
    return canary, list(mutants(canary))


@pytest.mark.parametrize("kind", DOORS)
def test_each_ends_in_one_sentence(app: str, temporary: Path, strangers: tuple[Path, list[Mutant]], kind: str) -> None:
    page, address, label = DOORS[kind]
    canary, everything = strangers
    refused = [mutant for mutant in everything if mutant.kind == kind and mutant.refused]
    given = refused[:: len(refused) // EACH][:EACH]
    assert len(given) == EACH

    async def visit() -> tuple[list[tuple[Mutant, Seen]], Seen]:
        found = []
        async with Visitor(app) as visitor:
            for mutant in given:
                seen = await visitor.link(page, **address)
                if kind == "joints":  # are read for a video
                    clip = open_library().clips[0].path
                    seen = await visitor.upload(seen, "Video", "clip.webm", film_of(clip))
                found.append((mutant, await visitor.upload(seen, label, mutant.name, mutant.data)))
            return found, await visitor.link("", clip="bow", checkpoint="gym-cross")

    found, after = finished(visit())
    for mutant, seen in found:
        assert seen.finished, mutant.what
        assert seen.exceptions == [], mutant.what
        assert len(seen.alarms) == 1, (mutant.what, seen.alarms)
        assert "Traceback" not in seen.alarms[0]
    assert [payload["clip"]["label"] for payload in after.readings] == ["bow"]
    assert not canary.exists()
    assert [path.name for path in temporary.rglob("*") if path.is_file()] == []


def film_of(path: Path) -> bytes:
    """A clip that ships, as a video."""
    from tempfile import TemporaryDirectory

    from training.clip_file import load_clip
    from training.video import write_video

    with TemporaryDirectory() as folder:
        made = Path(folder) / "clip.webm"
        write_video(made, load_clip(path).frames)
        return made.read_bytes()
