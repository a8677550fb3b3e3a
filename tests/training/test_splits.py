"""The protocol of several splits: each trained once and tested once, and the mean with its interval by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from training.__main__ import main
from training.config import ConfigError, TrainConfig
from training.datasets import protocols
from training.errors import ClipError
from training.splits import SplitResult, each_split, markdown

ACCURACY = {"1": 0.8, "2": 0.7, "3": 0.9}


class Lab:
    """Trains nothing and knows the result."""

    def __init__(self) -> None:
        self.trained: list[tuple[str, str, bool]] = []
        self.tested: list[str] = []

    def train(self, config: TrainConfig, folder: Path, resume: bool) -> None:
        self.trained.append((folder.name, config.data.source, resume))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(config.to_yaml())
        (folder / "last.pt").touch()

    def test(self, config: TrainConfig, checkpoint: Path, split: str) -> SplitResult:
        assert config.data.source.endswith(f"split={split}")
        self.tested.append(split)
        return SplitResult(split, ACCURACY[split], 100, {"pose only": ACCURACY[split] - 0.1}, "h")

    def run(self, out: Path, *changes: str) -> list[SplitResult]:
        splits = protocols("jhmdb:F?amodal=0")
        return list(each_split("jhmdb-cross", changes, splits, out, self.train, self.test))


def test_each_split_is_trained_and_tested_once(tmp_path: Path) -> None:
    lab = Lab()
    found = lab.run(tmp_path, "data.hold_out=false")
    assert [each.top1 for each in found] == [0.8, 0.7, 0.9]
    sources = [f"jhmdb:F?amodal=0&split={split}" for split in (1, 2, 3)]
    assert lab.trained == [(f"split-{i + 1}", source, False) for i, source in enumerate(sources)]
    (tmp_path / "split-2" / "test.json").unlink()  # as if it had been stopped there
    assert lab.run(tmp_path, "data.hold_out=false") == found
    assert lab.trained[3:] == [("split-2", sources[1], True)]
    assert lab.tested == ["1", "2", "3", "2"]
    with pytest.raises(ConfigError, match="a run of another recipe"):
        lab.run(tmp_path, "data.hold_out=false", "optimiser.lr=0.5")
    assert json.loads((tmp_path / "split-1" / "test.json").read_text())["clips"] == 100


def test_the_mean_and_its_interval_by_hand(tmp_path: Path) -> None:
    text = markdown(Lab().run(tmp_path), "jhmdb-cross")
    # Student's t for two degrees of freedom is 4.3027; the deviation of 0.8, 0.7, 0.9 is 0.1.
    half = 100 * 4.3027 * 0.1 / math.sqrt(3)
    assert f"| mean | 80.0 ± {half:.1f} % |  | 70.0 % |" in text
    assert "| 1 | 80.0 % [71.1, 86.7] | 100 | 70.0 % |" in text
    alone = markdown([SplitResult("1", 0.8, 100, {}, "h")], "x")
    assert "| mean | 80.0 % |" in alone
    protocols_differ = markdown([SplitResult(name, 0.8, 100, {}, "h") for name in ("xsub", "xview")], "x")
    assert "| xview | 80.0 % [71.1, 86.7] | 100 |" in protocols_differ
    assert "mean" not in protocols_differ


def test_what_was_published_of_a_data_set() -> None:
    assert protocols("jhmdb:F") == [(f"split-{n}", f"jhmdb:F?split={n}") for n in (1, 2, 3)]
    assert protocols("jhmdb:F?masks=1", ["2"]) == [("split-2", "jhmdb:F?masks=1&split=2")]
    assert [name for name, _ in protocols("ntu:F")] == ["protocol-xsub", "protocol-xview"]
    assert protocols("ntu:F?classes=120")[1] == ("protocol-xset", "ntu:F?classes=120&protocol=xset")
    assert protocols("finegym:F")[1] == ("set-288", "finegym:F?set=288")
    assert protocols("ntu:F?protocol=xsub") == [("official", "ntu:F?protocol=xsub")]
    assert protocols("penn:F") == [("official", "penn:F")]
    assert protocols("skeletons:F.pkl", ["xsub"]) == [("split-xsub", "skeletons:F.pkl?split=xsub")]
    for text, asked, sentence in (
        ("penn:F", ["1"], "no choice of splits; leave out --splits"),
        ("jhmdb:F?split=2", ["1"], "names its own; leave out --splits"),
        ("skeletons:F.pkl", [], "say which with --splits"),
    ):
        with pytest.raises(ClipError, match=sentence):
            protocols(text, asked)


@pytest.mark.parametrize(
    "command",
    [
        ["splits", "--config", "tiny", "--data", "gym", "--out", "x"],
        ["ablate", "--base", "tiny", "--table", "tokens", "--out", "x"],
    ],
)
def test_what_trains_one_run_after_the_other_refuses_torchrun(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(command) == 2
    assert f"`{command[0]}` trains one run after the other" in capsys.readouterr().err
