"""A corpus: every clip once over all processes, none twice after a kill, damaged ones as lines."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.xai.clips import noise_clip, random_recognizer
from training.clip import Clip
from training.errors import ClipError
from training.evaluate import Chosen, ClipSet
from training.npz import read_npz
from training.recognizer import Recognizer
from training.skeleton import JHMDB
from xai import corpus
from xai.corpus import Share, explain_corpus, write_summary
from xai.evidence import gather_evidence


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
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_two_processes_take_every_clip_once(recognizer: Recognizer, tmp_path: Path) -> None:
    taken = [
        [line["position"] for line in explain_corpus(recognizer, data(Noise()), tmp_path, Share(r, 2))] for r in (0, 1)
    ]
    assert taken == [[0, 2, 4, 6], [1, 3, 5]]
    counts = write_summary(tmp_path, recognizer.checkpoint, 7)
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
    assert computed == ["clip 2", "clip 3", "clip 5", "clip 6"]  # clip 2 has its file, but its line was lost
    assert source.read == 5
    assert write_summary(tmp_path, recognizer.checkpoint, 7)["explained"] == 6
    again = Noise()
    assert list(explain_corpus(recognizer, data(again), tmp_path)) == lines
    assert again.read == 0


def test_other_processes_reuse_what_is_there(recognizer: Recognizer, tmp_path: Path) -> None:
    list(explain_corpus(recognizer, data(Noise()), tmp_path, Share(0, 1)))
    source = Noise()
    list(explain_corpus(recognizer, data(source), tmp_path, Share(1, 3)))
    assert source.read == 0


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
