"""The bundle of a figure: pictures, numbers, caption and how to draw it again. `python -m xai figure SPEC.yaml`.

    OUT/figure.pdf  figure.svg  figure.png   fonts embedded; the PNG has 300 dots per inch
    OUT/numbers.npz                          every number drawn: `a.joints.attention mass`, axes as `a.joints/frame`
    OUT/a-joints.csv ...                     the same, one table each
    OUT/caption.txt                          a caption to start from: layer, head, query, scale, base rate, trust
    OUT/figure.tex                           the lines that include figure.pdf under that caption
    OUT/spec.yaml                            the spec with every default written out and the hashes of what it read
    OUT/manifest.json                        checkpoints with their cards, clips, versions, hashes, the command

The same spec gives the same bytes. A bundle appears whole or not at all, and only ever replaces a bundle.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import platform
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from model import CheckpointError
from training.clip import Clip
from training.npz import write_npz
from xai.explanation import Explanation
from xai.figures.compose import Composed, compose
from xai.figures.latex import include
from xai.figures.paper import render
from xai.figures.sheet import Table
from xai.figures.sources import Sources
from xai.figures.spec import FigureError, FigureSpec, read_spec

FORMAT_VERSION = 1
PACKAGES = ("kinescope", "matplotlib", "numpy", "opencv-python-headless", "torch")
KINDS = ("pdf", "svg", "png")


def arrays_of(tables: Iterable[tuple[str, Table]]) -> dict[str, np.ndarray]:
    """Values as `letter.table.values`, the entries of their axes as `letter.table/axis`."""
    arrays: dict[str, np.ndarray] = {}
    for letter, table in tables:
        name = f"{letter}.{table.name}"
        arrays |= {f"{name}/{axis}": np.asarray(list(entries)) for axis, entries in table.axes.items()}
        arrays |= {f"{name}.{value}": np.ascontiguousarray(array) for value, array in table.values.items()}
    return arrays


def csv_of(table: Table) -> str:
    """One row an entry: its place on every axis, then its values with nine digits, which a float32 needs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*table.axes, *table.values])
    columns = [np.asarray(values).ravel() for values in table.values.values()]
    for place, *values in zip(product(*table.axes.values()), *columns, strict=True):
        writer.writerow([*place, *(f"{value:.9g}" for value in values)])
    return out.getvalue()


def file_name(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def manifest(spec: FigureSpec, sources: Sources, composed: Composed, out: Path) -> dict[str, Any]:
    """All but the hashes of the files."""
    networks = sources.opened()
    return {
        "format_version": FORMAT_VERSION,
        "command": shlex.join(["python", "-m", "xai", "figure", (out / "spec.yaml").as_posix()]),
        "checkpoints": {
            name: {"file": spec.checkpoints[name], "hash": network.checkpoint, "card": asdict(network.card)}
            for name, network in networks.items()
        },
        **_clips(sources),
        "width_in": spec.width,
        "text_points": composed.text,
        "dpi": spec.dpi,
        "scale": spec.scale,
        "seed": spec.seed,
        "panels": [
            {"letter": letter, "kind": panel.kind, "tables": [table.name for table in drawn.tables]}
            for letter, panel, drawn in composed.panels
        ],
        "maps": [_about(explanation) for explanation in sources.maps()],
        "notes": list(composed.notes),
        "versions": versions(),
    }


def _clips(sources: Sources) -> dict[str, Any]:
    """`clip` where there is one, `clips` by name where there are several."""
    found = {name: _clip(sources.spec.clips[name], clip) for name, clip in sources.clips().items()}
    return {"clips": found} if len(found) > 1 else {"clip": next(iter(found.values()), None)}


def _clip(given: str, clip: Clip) -> dict[str, Any]:
    about = {"given": given, "hash": clip.fingerprint, "name": clip.name, "label": clip.label}
    return about | {"frames": len(clip), "size": list(clip.size)}


def _about(explanation: Explanation) -> dict[str, Any]:
    made_by = explanation.made_by
    return {
        "method": made_by.method,
        "parameters": dict(made_by.parameters),
        "seed": made_by.seed,
        "unit": explanation.unit,
        "base_rate": explanation.base_rate_of,
        "trust": "not measured" if explanation.trust is None else dict(explanation.trust),
    }


def write_bundle(
    spec: FigureSpec,
    out: Path,
    device: str = "auto",
    *,
    drawn: tuple[Sources, Composed] | None = None,
    called: Path | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> Path:
    """Draw a spec and put everything that belongs to the figure into the folder `out`. Raises FigureError.

    Args:
        drawn: the figure, where it is drawn already.
        called: how commands call the folder, where it will not stay at `out`.
        pictures: by kind, those that are rendered already.
    """
    _check_replaceable(out)
    called = called or out
    spec = replace(spec, out=called.as_posix())
    sources = drawn[0] if drawn else Sources(spec, device)
    composed = drawn[1] if drawn else compose(spec, sources)
    made_from = {name: network.checkpoint for name, network in sources.opened().items()}
    made_from |= {name: clip.fingerprint for name, clip in sources.clips().items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part"))
    try:
        for kind in KINDS:
            picture = (pictures or {}).get(kind) or render(composed.figure, kind, spec.dpi, composed.about)
            (part / f"figure.{kind}").write_bytes(picture)
        write_npz(part / "numbers.npz", arrays_of(composed.tables))
        for letter, table in composed.tables:
            (part / f"{letter}-{file_name(table.name)}.csv").write_text(csv_of(table), encoding="utf-8")
        (part / "caption.txt").write_text(composed.caption, encoding="utf-8")
        (part / "figure.tex").write_text(include(composed.caption, spec.width), encoding="utf-8")
        (part / "spec.yaml").write_text(spec.to_yaml(made_from), encoding="utf-8")
        about = manifest(spec, sources, composed, called)
        about["files"] = {path.name: _sha256(path) for path in sorted(part.iterdir())}
        (part / "manifest.json").write_text(_json(about), encoding="utf-8")
        part.chmod(0o755)
        _swap(part, out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return out


def _json(values: Mapping[str, Any]) -> str:
    plain = lambda value: value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)  # noqa: E731
    return json.dumps(values, indent=2, ensure_ascii=False, default=plain) + "\n"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_replaceable(out: Path) -> None:
    """Only a bundle is replaced, and only while nobody has put a file of their own into it."""
    if not out.exists():
        return
    if not out.is_dir():
        raise FigureError(f"{out} is a file; give a folder that does not exist yet, or one with an earlier figure.")
    names = {path.name for path in out.iterdir()}
    try:
        known = {"manifest.json", *json.loads((out / "manifest.json").read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    if foreign := sorted(names - known):
        raise FigureError(f"{out} holds {foreign[0]}, which is not of an earlier figure; give another folder.")


def _swap(part: Path, out: Path) -> None:
    if not out.exists():
        os.replace(part, out)
        return
    old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".old"))
    os.replace(out, old)
    os.replace(part, out)
    shutil.rmtree(old)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC.yaml", help="what to draw; see xai/figures/spec.py")
    parser.add_argument("--out", metavar="DIR", help="folder of the bundle; by default the key out of the spec")
    parser.add_argument("--device", default="auto")


def run(arguments: argparse.Namespace) -> int:
    try:
        spec = read_spec(arguments.spec)
        out = arguments.out or spec.out
        if not out:
            raise FigureError(f"{spec.file} says no folder; add the key out, or give --out DIR.")
        folder = write_bundle(spec, Path(out), arguments.device)
    except (FigureError, CheckpointError, ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Wrote {', '.join(sorted(path.name for path in folder.iterdir()))} to {folder}.")
    return 0
