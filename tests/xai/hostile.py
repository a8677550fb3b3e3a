"""Opens every hostile file of tests/xai/hostile_files.py through the door that the dashboard uses, in one process.

`python -m tests.xai.hostile FOLDER` writes a line of JSON before and after each to FOLDER/log.jsonl: a crash of a
native library is then seen, and which file it was.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.xai.hostile_files import Mutant, mutants
from tests.xai.hostile_seeds import videos

CANARY = "canary"
HEADROOM = 4 << 30
"""Bytes of address space beyond what the imports took: a bomb ends in MemoryError, not in the machine's memory."""


def doors() -> dict[str, Callable[[Mutant], object]]:
    """How the dashboard opens each kind of file. What they raise is what a visitor reads."""
    from tests.xai.clips import noise_clip
    from training.bring_joints import fitted
    from training.clip_file import load_clip
    from training.datasets.skeleton_pickle import read_annotations
    from xai.dashboard import live, own_clip
    from xai.dashboard.library import open_library
    from xai.figures.spec import read_spec
    from xai.lessons import check_lesson, read_lesson
    from xai.removal import from_json

    good, clip = live.Upload("good.webm", videos()[".webm"]), noise_clip(frames=5, height=40, width=56, people=1)

    def finite(values: np.ndarray) -> None:
        if not np.isfinite(values).all():
            raise AssertionError("something that is no number came through")

    def video(mutant: Mutant) -> None:
        found = live.uploaded_clip(live.Upload(mutant.name, mutant.data), None)
        finite(found.time)

    def joints(mutant: Mutant) -> None:
        found = live.uploaded_clip(good, live.Upload(mutant.name, mutant.data))
        finite(found.joints)

    def checkpoint(mutant: Mutant) -> None:
        network = live.uploaded_checkpoint(live.Upload(mutant.name, mutant.data))
        live.payload(network, clip)

    def lesson(mutant: Mutant) -> None:
        check_lesson(read_lesson(mutant.data, mutant.name), open_library(), mutant.name)

    def in_a_file(read: Callable[[Path], object]) -> Callable[[Mutant], object]:
        def opened(mutant: Mutant) -> object:
            with tempfile.TemporaryDirectory(prefix="mine-") as folder:
                path = Path(folder) / mutant.name
                path.write_bytes(mutant.data)
                try:
                    return read(path)
                except ValueError as error:  # the folder is this test's own
                    raise type(error)(str(error).replace(f"{folder}/", "")) from error

        return opened

    def own_joints(mutant: Mutant) -> None:
        upload = live.Upload(mutant.name, mutant.data)
        names = own_clip.names_in(upload).names
        found = own_clip.joints_of(upload, names[0] if names else None)
        finite(fitted(found, len(found.joints), (0, len(found.joints) - 1), (48, 64), (48, 64)).joints)

    return {
        "own joints": own_joints, "own pickle": own_joints,
        "own clip": lambda mutant: own_clip.open_own(live.Upload(mutant.name, mutant.data)),
        "video": video, "joints": joints, "checkpoint": checkpoint, "lesson": lesson,
        "clip": in_a_file(load_clip), "pickle": in_a_file(read_annotations), "spec": in_a_file(read_spec),
        "removals": lambda mutant: from_json(mutant.data.decode("utf-8", "replace")),
    }  # fmt: skip


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) << 10


def main(folder: Path, only: str = "") -> None:
    opened = doors()
    everything = [mutant for mutant in mutants(folder / CANARY) if only in f"{mutant.kind}: {mutant.what}"]
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + HEADROOM, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with (folder / "log.jsonl").open("w", buffering=1) as log:
        for mutant in everything:
            log.write(json.dumps({"begun": [mutant.kind, mutant.what], "refused": mutant.refused}) + "\n")
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
            before, start = _status("VmRSS"), time.monotonic()
            try:
                opened[mutant.kind](mutant)
                end = ["read", "", ""]
            except BaseException as error:
                end = ["sentence" if isinstance(error, ValueError) else "raised", type(error).__name__, str(error)]
            took, peak = time.monotonic() - start, _status("VmHWM") - before
            left = sorted(path.name for path in Path(tempfile.gettempdir()).iterdir())
            log.write(json.dumps({"ended": end, "seconds": took, "bytes": peak, "left": left}) + "\n")
        log.write(json.dumps({"all": len(everything)}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
