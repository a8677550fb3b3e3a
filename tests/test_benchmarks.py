"""The tables of the benchmarks are drawn from whatever is measured; the measuring itself is no test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks.measure import Cost


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("attentions", "three attentions, full over ours: time x2.00, added memory x3.00"),
        ("peers", "deformable-attention over ours: time x2.00, added memory x3.00"),
    ],
)
def test_costs_become_a_table_and_ratios(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(case: str, **settings: Any) -> Cost:
        ours = settings.get("mode", settings.get("whose")) == "ours"
        return Cost(1.0, 10.0, 1.5) if ours else Cost(2.0, 30.0, 3.0)

    monkeypatch.setattr(benchmarks, "measure", measured)
    monkeypatch.setattr(benchmarks, "find_spec", lambda name: True)
    monkeypatch.setattr(benchmarks, "OUT", tmp_path)
    benchmarks.BENCHMARKS[name]()
    assert says in capsys.readouterr().out
    (table,) = tmp_path.glob("*.json")
    assert {row["seconds"] for row in json.loads(table.read_text(encoding="utf-8"))} == {1.0, 2.0}
