"""A corpus: every clip once over all processes, none twice after a kill, damaged ones as lines."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from model import save
from tests.xai.clips import noise_clip, random_recognizer
from training.clip import Clip
from training.errors import ClipError
from training.evaluate import Chosen, ClipSet
from training.npz import read_npz
from training.recognizer import Recognizer
from training.skeleton import JHMDB
from training.sources import choose
from xai import corpus
from xai.corpus import Share, explain_corpus, write_summary
from xai.evidence import gather_evidence

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Noise:
    """Seven clips of noise; number 4 is torn."""

    name: str = "noise"
    labels: tuple[str, ...] = ("a", "b", "c", "d")
    read: int = 0

    def clip(self, index: int) -> Clip:
        self.read += 1
        if index == 4:
            raise ClipError("This clip is torn.")
        return replace(noise_clip(6, 40, 50, seed=index), name=f"clip {index}")


def data(source: Noise) -> ClipSet:
    return ClipSet(Chosen(source, tuple(range(7))), (0, 1, 2, 3, 0, 1, 2), source.labels, JHMDB)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return random_recognizer(size=32, frames=4, width=4)


def rows(out: Path) -> list[dict[str, str]]:
    (path,) = out.glob("summary-*.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_two_processes_take_every_clip_once(recognizer: Recognizer, tmp_path: Path) -> None:
    taken = [
        [line["position"] for line in explain_corpus(recognizer, data(Noise()), tmp_path, Share(r, 2))] for r in (0, 1)
    ]
    assert taken == [[0, 2, 4, 6], [1, 3, 5]]
    _, counts = write_summary(recognizer, data(Noise()), tmp_path)
    assert counts["explained"] == 6
    assert counts["damaged"] == 1
    table = rows(tmp_path)
    assert [row["position"] for row in table] == list("0123456")
    assert table[4]["problem"] == "This clip is torn."
    assert len({row["file"] for row in table if row["file"]}) == 6
    assert not list(tmp_path.glob(".*"))


def test_a_killed_run_goes_on(recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = explain_corpus(recognizer, data(Noise()), tmp_path)
    for _ in range(3):
        next(run)
    run.close()
    log = next(tmp_path.glob("clips-*.jsonl"))
    log.write_bytes(log.read_bytes()[:-15])  # killed in the middle of a line
    computed = []
    monkeypatch.setattr(corpus, "gather_evidence", lambda r, c: computed.append(c.name) or gather_evidence(r, c))
    source = Noise()
    lines = list(explain_corpus(recognizer, data(source), tmp_path, Share(0, 1)))
    assert [line["position"] for line in lines] == list(range(7))
    assert computed == ["clip 3", "clip 5", "clip 6"]  # clip 2 has its file, and only its line was lost
    assert source.read == 5
    assert write_summary(recognizer, data(source), tmp_path)[1]["explained"] == 6
    again = Noise()
    assert list(explain_corpus(recognizer, data(again), tmp_path)) == lines
    assert again.read == 1, "only the torn clip is tried again"


def test_a_clip_that_has_its_file_is_not_computed_again(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = list(explain_corpus(recognizer, choose(data(Noise()), [1, 5]), tmp_path))
    computed = []
    monkeypatch.setattr(corpus, "gather_evidence", lambda r, c: computed.append(c.name) or gather_evidence(r, c))
    lines = list(explain_corpus(recognizer, data(Noise()), tmp_path))
    assert computed == ["clip 0", "clip 2", "clip 3", "clip 6"]  # clip 4 is damaged
    assert [{**lines[position], "position": 0} for position in (1, 5)] == [{**line, "position": 0} for line in some]
    torn = tmp_path / lines[0]["file"]
    torn.write_bytes(torn.read_bytes()[:99])
    for log in tmp_path.glob("clips-*.jsonl"):
        log.unlink()
    computed.clear()
    assert list(explain_corpus(recognizer, data(Noise()), tmp_path)) == lines
    assert computed == ["clip 0"]


def test_other_clips_in_the_same_folder_are_other_clips(recognizer: Recognizer, tmp_path: Path) -> None:
    list(explain_corpus(recognizer, data(Noise()), tmp_path, source="one"))
    for other, name in (
        (data(Noise(name="other")), "one"),
        (choose(data(Noise()), [1, 2]), "one"),
        (data(Noise()), "two"),
    ):
        source = other.clips.dataset
        lines = list(explain_corpus(recognizer, other, tmp_path, source=name))
        assert source.read == len(other)  # type: ignore[attr-defined]
        assert [line["position"] for line in lines] == list(range(len(other)))
        assert write_summary(recognizer, other, tmp_path, name)[1]["clips"] == len(other)
    assert len(list(tmp_path.glob("summary-*.csv"))) == 3


def test_a_disk_that_fails_once_costs_one_run_one_clip(recognizer: Recognizer, tmp_path: Path) -> None:
    class Shaky(Noise):
        def clip(self, index: int) -> Clip:
            if index == 2 and not self.read:
                self.read += 1
                raise OSError("Input/output error")
            return replace(noise_clip(6, 40, 50, seed=index), name=f"clip {index}")

    shaky = Shaky()
    first = list(explain_corpus(recognizer, data(shaky), tmp_path))
    assert [line["problem"] for line in first] == ["", "", "Input/output error", "", "", "", ""]
    second = list(explain_corpus(recognizer, data(shaky), tmp_path))
    assert not any(line["problem"] for line in second)
    assert write_summary(recognizer, data(shaky), tmp_path)[1] == {"clips": 7, "explained": 7, "damaged": 0, "right": 2}


def test_two_processes_of_which_one_is_killed(recognizer: Recognizer, tmp_path: Path) -> None:
    """As torchrun starts them; what was killed goes on, and the table is that of one process."""
    save(tmp_path / "net.safetensors", recognizer.network, recognizer.card)

    def start(out: str, rank: int, world: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "xai", "explain-corpus", "gym?test=36&size=40&frames=6", "--out", out]
        command += ["--checkpoint", str(tmp_path / "net.safetensors"), "--clips", "18"]
        about = {"RANK": str(rank), "WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, cwd=tmp_path, env=os.environ | about, stderr=subprocess.DEVNULL)

    both = [start("two", rank, 2) for rank in (0, 1)]
    deadline = time.monotonic() + 120
    while not any(log.read_text().count("\n") >= 2 for log in tmp_path.glob("two/clips-*-0-of-2.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    both[0].send_signal(signal.SIGKILL)
    assert both[0].wait(60) == -signal.SIGKILL
    assert both[1].wait(120) == 0
    assert start("two", 0, 2).wait(120) == 0
    assert start("one", 0, 1).wait(120) == 0
    (two,), (one,) = (list(tmp_path.glob(f"{name}/summary-*.csv")) for name in ("two", "one"))
    assert two.read_text() == one.read_text()
    assert len(one.read_text().splitlines()) == 19
    assert not list(tmp_path.glob("two/.*"))


def test_other_processes_reuse_what_is_there(recognizer: Recognizer, tmp_path: Path) -> None:
    list(explain_corpus(recognizer, data(Noise()), tmp_path, Share(0, 1)))
    source = Noise()
    lines = list(explain_corpus(recognizer, data(source), tmp_path, Share(1, 3)))
    assert [line["position"] for line in lines] == [1, 4]
    assert source.read == 1, "the torn one is tried again"


def test_a_file_is_the_evidence_averaged_over_heads(recognizer: Recognizer, tmp_path: Path) -> None:
    line = next(explain_corpus(recognizer, data(Noise()), tmp_path))
    arrays = read_npz(tmp_path / line["file"], 1 << 24)
    evidence = gather_evidence(recognizer, noise_clip(6, 40, 50, seed=0))
    assert line["file"].endswith(f"-{recognizer.checkpoint}.npz")
    np.testing.assert_allclose(arrays["probabilities"], evidence.probabilities, rtol=1e-6)
    assert evidence.joint_curves is not None
    np.testing.assert_allclose(
        arrays["joint_curves/values"], evidence.joint_curves.values.mean(axis=1), rtol=2e-3, atol=1e-4
    )
    header = json.loads(arrays["header"].tobytes())
    assert [axis["name"] for axis in header["parts"]["joint_curves"]["axes"]] == [
        "layer", "query", "frame", "person", "joint",
    ]  # fmt: skip
