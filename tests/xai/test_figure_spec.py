"""Specs of figures: defaults, the way back, and one sentence with the line for everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai.figures.panel_kinds import Film, Joints, Map, Trust
from xai.figures.spec import FigureError, parse_spec, read_spec

GOOD = """\
checkpoints: {none: a.safetensors, cross: b.safetensors}
clip: gym:bow:3
width: column
scale: per clip
panels:
  - film
  - joints: {layer: 2, query: cls}
  - [trust: {method: joint removal, parts: [faithfulness, sanity]}, map: {method: saliency, on: joints}]
"""


def test_a_spec_is_read_with_its_lines() -> None:
    spec = parse_spec(GOOD)
    assert spec.width == 3.25
    assert (spec.theme, spec.scale, spec.seed) == ("light", "per clip", 0)
    assert dict(spec.checkpoints) == {"none": "a.safetensors", "cross": "b.safetensors"}
    assert [[(panel.kind, panel.line) for panel in row] for row in spec.rows] == [
        [("film", 6)], [("joints", 7)], [("trust", 8), ("map", 8)],
    ]  # fmt: skip
    assert spec.rows[0][0].options == Film()
    assert spec.rows[1][0].options == Joints(layer=2, query="cls")
    assert spec.rows[2][0].options == Trust("joint removal", parts=("faithfulness", "sanity"))
    assert spec.rows[2][1].options == Map("saliency", on="joints")


def test_the_resolved_spec_reads_back_the_same() -> None:
    spec = parse_spec(GOOD)
    again = parse_spec(spec.to_yaml({"clip": "0123"}))
    assert [[panel.options for panel in row] for row in again.rows] == [[p.options for p in row] for row in spec.rows]
    assert dict(again.made_from) == {"clip": "0123"}
    assert again.to_yaml(again.made_from) == spec.to_yaml({"clip": "0123"})


def test_one_checkpoint_is_called_by_its_file() -> None:
    assert dict(parse_spec("checkpoint: nets/gym-cross.safetensors\npanels: [film]").checkpoints) == {
        "gym-cross": "nets/gym-cross.safetensors"
    }


@given(st.floats(2, 20))
def test_any_sensible_width_in_inches(width: float) -> None:
    assert parse_spec(f"width: {width!r}\npanels: [film]").width == pytest.approx(width)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("- film", 1, "must be keys with values, not a list"),
        ("clip: x", 1, "has no panels"),
        ("panels: []", 1, "a list of one or more"),
        ("clip: x\npanel: [film]", 2, "did you mean 'panels'?"),
        ("panels:\n  - film\n  - flim", 3, "did you mean 'film'?"),
        ("panels:\n  - film:\n      layers: 2", 3, "did you mean 'layer'?"),
        ("panels:\n  - film:\n      frames: many", 3, "film: frames is 'many'; expected a whole number"),
        ("panels:\n  - film: {points: 0}", 2, "counts from 1"),
        ("panels:\n  - film: {points: -3}", 2, "must not be negative"),
        ("panels:\n  - film: {points: true}", 2, "expected a whole number"),
        ("panels:\n  - map", 2, "needs the key 'method'"),
        ("panels:\n  - {film: {}, joints: {}}", 2, "not 2 keys"),
        ("panels:\n  - [film, film, film, film]", 2, "4 panels side by side"),
        ("panels: [film]\nwidth: wide", 2, "expected column, page or a number of inches"),
        ("panels: [film]\nwidth: 0.5", 2, "expected 2 to 20 in"),
        ("panels: [film]\ntheme: blue", 2, "expected light or dark"),
        ("panels: [film]\nscale: [raw]", 2, "not a list"),
        ("panels: [film]\nclip: a\nclip: b", 3, "given twice"),
        ("checkpoint: a\ncheckpoints: {b: c}\npanels: [film]", 2, "not both"),
        ("clip: &a x\npanels: [film]", 1, "anchors"),
        ("clip: x\npanels: [film", 2, "not YAML"),
        ("clip: !!python/object/apply:os.system [ls]\npanels: [film]", 1, "not a list"),
        ("clip: !!python/name:os.system x\npanels: [film]", 1, "not YAML"),
        ("panels: [" + "[" * 2000, 1, "nested 13 deep"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(FigureError) as caught:
        parse_spec(text, "fig.yaml")
    sentence = str(caught.value)
    assert sentence.startswith(f"fig.yaml, line {line}: ")
    assert words in sentence
    assert "\n" not in sentence


def test_files_that_are_no_specs(tmp_path: Path) -> None:
    with pytest.raises(FigureError, match="There is no spec"):
        read_spec(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * (70 << 10))
    with pytest.raises(FigureError, match="at most 64 kB"):
        read_spec(tmp_path / "big.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"clip: \xe9\n")
    with pytest.raises(FigureError, match="UTF-8"):
        read_spec(tmp_path / "latin.yaml")
