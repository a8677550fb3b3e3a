"""Bundles: fonts embedded, the same spec the same bytes, the command of the manifest draws it again."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

import model
from tests.xai.clips import noise_clip, random_recognizer
from training.clip_file import save_clip
from xai.__main__ import main
from xai.figures import bundle
from xai.figures.bundle import csv_of, write_bundle
from xai.figures.sheet import Table
from xai.figures.spec import FigureError, read_spec

SPEC = """\
checkpoint: net.safetensors
clip: clip.npz
width: 4
out: figures/noise
panels:
  - film: {points: 5, frames: 3}
  - [ledger, map: {method: joint removal, frames: 2}]
  - trust: {method: ledger, on: time, orders: 4}
"""


def figure(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    bundle.add_arguments(parser)
    return bundle.run(parser.parse_args(list(arguments)))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, a clip, a spec and the bundle that was drawn from them there."""
    folder = tmp_path_factory.mktemp("paper")
    recognizer = random_recognizer(size=32, frames=4, width=4)
    model.save(folder / "net.safetensors", recognizer.network, recognizer.card)
    save_clip(folder / "clip.npz", noise_clip(6, 40, 56, 1))
    (folder / "fig.yaml").write_text(SPEC, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert figure("fig.yaml") == 0
    return folder


def test_everything_that_belongs_to_the_figure_is_there(drawn: Path) -> None:
    out = drawn / "figures" / "noise"
    names = {path.name for path in out.iterdir()}
    tables = {"a-sampling-points.csv", "a-joints.csv", "b-ledger.csv", "c-joint-map.csv", "d-trust.csv"}
    pictures = {"figure.pdf", "figure.svg", "figure.png"}
    rest = {"numbers.npz", "frames-net.csv", "caption.txt", "figure.tex", "spec.yaml", "manifest.json"}
    assert names == tables | pictures | rest
    about = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert about["checkpoints"]["net"]["hash"] == model.checkpoint_hash(drawn / "net.safetensors")
    assert about["clip"]["hash"] == noise_clip(6, 40, 56, 1).fingerprint
    assert set(about["files"]) == names - {"manifest.json"}
    for name, digest in about["files"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    assert [entry["kind"] for entry in about["panels"]] == ["film", "ledger", "map", "trust"]
    trusts = {entry["method"]: entry["trust"] for entry in about["maps"]}
    assert trusts["joint removal"] == "not measured"
    assert {"python", "numpy", "torch", "matplotlib"} <= set(about["versions"])
    caption = (out / "caption.txt").read_text(encoding="utf-8")
    assert caption.startswith("Figure. (a) ")
    assert "never trained" in caption
    assert cv2.imread(str(out / "figure.png")).shape[1] == 4 * 300


def test_every_font_of_the_pdf_is_embedded(drawn: Path) -> None:
    pdf = (drawn / "figures" / "noise" / "figure.pdf").read_bytes()
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf
    objects = {int(n): body for n, body in re.findall(rb"(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL)}
    fonts = [body for body in objects.values() if re.search(rb"/Type /Font\b(?!Descriptor)", body)]
    described = 0
    for font in fonts:
        if b"/Subtype /Type0" in font:  # it names a descendant that is embedded
            descendants = [int(n) for n in re.findall(rb"(\d+) 0 R", font.split(b"/DescendantFonts")[1].split(b"]")[0])]
            assert descendants
            assert all(b"/FontDescriptor" in objects[n] for n in descendants)
            continue
        assert b"/Subtype /CIDFontType2" in font or b"/Subtype /TrueType" in font
        descriptor = re.search(rb"/FontDescriptor (\d+) 0 R", font)
        assert descriptor is not None
        assert b"/FontFile2" in objects[int(descriptor[1])]
        described += 1
    assert described >= 2  # text and bold letters


def test_the_svg_keeps_its_text_and_brings_its_font(drawn: Path) -> None:
    svg = (drawn / "figures" / "noise" / "figure.svg").read_text(encoding="utf-8")
    tree = ElementTree.fromstring(svg)
    words = " ".join("".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text"))
    assert "sampling points" in words
    assert svg.count("@font-face") == 2
    assert "http" not in re.sub(r'xmlns[:\w]*="[^"]*"|<!DOCTYPE[^>]*>|<metadata>.*?</metadata>', "", svg, flags=re.S)


def test_numbers_are_the_same_in_both_forms(drawn: Path) -> None:
    out = drawn / "figures" / "noise"
    with np.load(out / "numbers.npz") as arrays:
        parts = arrays["b.ledger.part of the logit"]
        assert arrays["b.ledger/token"].tolist() == ["cls", "rgb", "pose"]
        assert arrays["frames.net.frame of the clip"].tolist() == [0, 2, 3, 5]
    with (out / "b-ledger.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["token", "frame", "part of the logit"]
    assert [float(row["part of the logit"]) for row in rows] == pytest.approx(parts.ravel(), rel=1e-6)


def test_the_command_of_the_manifest_draws_the_same_again(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(drawn, folder)
    out = folder / "figures" / "noise"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    command = shlex.split(json.loads(before["manifest.json"])["command"])
    assert command[:4] == ["python", "-m", "xai", "figure"]
    for name in ("numbers.npz", "figure.png"):
        (out / name).write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(command[3:]) == 0
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert {name for name in before if before[name] != after.get(name)} == set()
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("key", "words"), [("net", "line 1: checkpoint net holds"), ("clip", "line 3: clip.npz holds")]
)
def test_other_content_under_the_same_name_is_refused(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture, key: str, words: str
) -> None:
    text = (drawn / "figures" / "noise" / "spec.yaml").read_text(encoding="utf-8")
    known = read_spec(drawn / "figures" / "noise" / "spec.yaml").made_from[key]
    (tmp_path / "old.yaml").write_text(text.replace(known, "0" * 16), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(drawn)
        assert figure(str(tmp_path / "old.yaml"), "--out", str(tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(drawn: Path, tmp_path: Path) -> None:
    spec = read_spec(drawn / "fig.yaml")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(FigureError, match=r"holds thesis\.txt, which is not of an earlier figure"):
        write_bundle(spec, mine)
    assert (mine / "thesis.txt").read_text() == "years of work"
    copy = tmp_path / "copy"
    shutil.copytree(drawn / "figures" / "noise", copy)
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(FigureError, match=r"notes\.txt"):
        write_bundle(spec, copy)


def test_a_wrong_line_is_one_sentence_and_nothing_is_written(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    spec = tmp_path / "fig.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(drawn)
        for text, words in (
            (SPEC.replace("points: 5", "point: 5"), "line 6: the panel film has no key 'point'"),
            (SPEC.replace("joint removal", "joint removing"), "line 7: There is no method 'joint removing'"),
            (SPEC.replace("net.safe", "not.safe"), "not.safetensors"),
            (SPEC.replace("clip.npz", "clap.npz"), "clap.npz"),
            (SPEC.replace("out: figures/noise\n", ""), "add the key out"),
        ):
            spec.write_text(text, encoding="utf-8")
            assert figure(str(spec), *(["--out", str(tmp_path / "out")] if "out:" in text else [])) == 2
            error = capsys.readouterr().err
            assert words in error
            assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["fig.yaml"]


def test_a_csv_has_one_row_an_entry() -> None:
    table = Table("t", {"a": ["x", "y"], "b": range(2)}, {"v": np.array([[1, 2], [3, 0.1]], np.float32)})
    assert csv_of(table) == "a,b,v\nx,0,1\nx,1,2\ny,0,3\ny,1,0.100000001\n"
    with pytest.raises(ValueError, match="its axes are"):
        Table("t", {"a": ["x"]}, {"v": np.zeros(2)})
