"""The limits of a server: one place, read strictly, used where something comes from a stranger or is kept."""

from __future__ import annotations

import threading
import time
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from training.clip_file import read_clip
from training.errors import ClipError
from training.video import VideoLimits, read_video, write_video
from xai.dashboard.draft_room import Room
from xai.dashboard.kept import Kept, size_of
from xai.dashboard.limits import PREFIX, Limits

ROOT = Path(__file__).resolve().parents[2]


def test_the_environment_sets_limits_and_nothing_else_does() -> None:
    found = Limits.of({"KINESCOPE_MAX_UPLOAD_MB": "300", "KINESCOPE_DATA": "x", "HOME": "/"})
    assert found == Limits(upload_mb=300)
    assert Limits.of({}) == Limits()


@pytest.mark.parametrize("text", ["", "0", "-3", "many", "1e3", "٣", "9" * 16, "nan"])
def test_what_is_no_limit_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^KINESCOPE_MAX_FRAMES is .*; it must be a whole number from 1 up\.$"):
        Limits.of({"KINESCOPE_MAX_FRAMES": text})


def test_a_misspelt_limit_is_not_silently_ignored() -> None:
    with pytest.raises(ValueError, match="KINESCOPE_MAX_UPLOADS is no limit of the dashboard; there are KINESCOPE_MAX"):
        Limits.of({"KINESCOPE_MAX_UPLOADS": "3"})


def test_every_limit_is_a_whole_number_with_a_word_about_it() -> None:
    source = (ROOT / "xai" / "dashboard" / "limits.py").read_text(encoding="utf-8").splitlines()
    for field in fields(Limits):
        line = next(i for i, text in enumerate(source) if text.startswith(f"    {field.name}: int = "))
        assert source[line + 1].strip().startswith('"""'), f"{PREFIX}{field.name.upper()} is not explained"


def test_the_server_is_configured_alike_and_sends_nothing_away() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["maxUploadSize"] == Limits().upload_mb
    assert config["browser"]["gatherUsageStats"] is False


def test_videos_are_read_within_the_limits(tmp_path: Path) -> None:
    frames = np.broadcast_to(np.arange(0, 200, 50, dtype=np.uint8)[:, None, None, None], (4, 32, 48, 3)).copy()
    write_video(tmp_path / "slow.webp", frames, rate=0.5)
    write_video(tmp_path / "slow.webm", frames, rate=1)
    limits = Limits(seconds=2, frames=3, side=24)
    for name in ("slow.webp", "slow.webm"):
        with pytest.raises(ClipError, match=r"slow\.web. (is longer than 2 s|has 4 frames|has more than 3 frames)"):
            read_video(tmp_path / name, limits.video())
        with pytest.raises(ClipError, match=r"slow\.web. is longer than 2 s; cut it to a few seconds\."):
            read_video(tmp_path / name, VideoLimits(seconds=2))
    assert read_clip(tmp_path / "slow.webm", limits=Limits(side=24).video()).size == (16, 24)


def test_what_was_computed_is_kept_until_it_takes_too_much() -> None:
    kept, made = Kept(entries=3, size=100_000), []

    def make(key: str, size: int = 10_000) -> np.ndarray:
        return kept.get(key, lambda: (made.append(key), np.zeros(size, np.uint8))[1])

    for key in "abac":
        make(key)
    assert made == ["a", "b", "c"]
    make("d")  # the fourth: "b" was not asked for longest
    make("a")
    assert made == ["a", "b", "c", "d"]
    make("e", 95_000)
    assert len(kept) == 1
    assert kept.bytes <= 100_000
    assert len(make("f", 200_000)) == 200_000  # larger than all that may be kept: given, not kept
    assert len(kept) == 0


def test_thirty_who_ask_at_once_share_one_computation_and_one_error() -> None:
    kept, gate, count, seen = Kept(entries=4, size=1 << 20), threading.Event(), [], []

    def slow(fail: bool) -> str:
        gate.wait(20)
        count.append(1)
        if fail:
            raise ValueError("This cannot be read.")
        return "result"

    def ask(fail: bool) -> None:
        try:
            seen.append(kept.get(("x", fail), lambda: slow(fail)))
        except ValueError as error:
            seen.append(str(error))

    for fail, expected in ((False, "result"), (True, "This cannot be read.")):
        gate.clear()
        count.clear()
        seen.clear()
        threads = [threading.Thread(target=ask, args=(fail,)) for _ in range(30)]
        for thread in threads:
            thread.start()
        while not kept._made:  # somebody has begun
            time.sleep(0.001)
        gate.set()
        for thread in threads:
            thread.join(20)
        assert seen == [expected] * 30
        assert len(count) < 30 if fail else len(count) == 1  # who comes after the error tries again
    assert len(kept) == 1


def test_sizes_are_those_of_what_is_held_and_count_what_is_shared_once() -> None:
    frames = np.zeros((12, 100, 100, 3), np.uint8)
    assert size_of(frames) == pytest.approx(360_000, rel=0.01)
    assert size_of({"a": frames, "b": [frames, frames]}) == pytest.approx(360_000, rel=0.01)
    assert size_of("x" * 5000) == pytest.approx(5000, rel=0.05)
    circle: list[object] = [b"123"]
    circle.append(circle)
    assert size_of(circle) < 1000


def test_drafts_take_so_much_together_and_a_session_that_ends_makes_room() -> None:
    room = Room(100 << 20)
    first, second = room.place(60 << 20), room.place(30 << 20)
    with pytest.raises(ValueError, match=r"takes 20 MB, and there is room for 10 MB beside what others have open"):
        room.place(20 << 20)
    assert room.taken == 90 << 20
    del first
    third = room.place(60 << 20)
    assert (room.taken, second is third) == (90 << 20, False)
