"""Ablations: the tables and curves of the paper, each row trained with several seeds, redrawn by one command.

    python -m training ablate --base gym-cross --out runs/ablation [--table tokens blocks] [--seeds 3] [--set a.b=c]

A row is the base recipe with a few changes. Every run lies in OUT/<table>/<row>/<seed>, goes on where it was when it
was stopped, and is not run again when it is done; rows of several tables that come to the same recipe are one run. The
table is written after each, so it can be read while others still run. All rows of a table have the same clips, budget
and seeds. The base may be made cheaper with --set, for all alike.
Rows are compared on the validation clips; with `--split test` on the test clips, once there is nothing left to choose.
What each run says of every clip is kept beside it, so that rows can be compared clip by clip.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model import VARIANTS
from training.checkpointing import read_log, write_atomically
from training.config import TrainConfig, check_recipe, recipe_of, resolve, saved_values, without_place
from training.datasets.parts import COMPARED_ON
from training.interval import spread_of
from training.order import Told, told_apart

ANSWERS = "answers.json"
"""Of one run, about its validation clips (see `kept_in` for others); of all runs, about the clips of the tables."""
Changes = tuple[str, ...]
"""`a.b=c` as of --set."""


@dataclass(frozen=True)
class Table:
    """One table or curve of the paper."""

    title: str
    about: str
    rows: Mapping[str, Changes]
    tests: Mapping[str, Mapping[str, int]] | None = None
    """Figure A1 tests one trained network with fewer frames: name -> arguments of the evaluation."""
    architecture: str = "deformable"
    """Of the recipes that its rows change."""


def _given(window: int, stride: int) -> str:
    """The stride as a recipe names it: half a window is what it is without being named."""
    return "null" if stride == window // 2 else str(stride)


_OFF = {"deformable": "model.deformable=off", "joint": "model.joint=off", "temporal": "model.temporal=off"}
_FULL = {"deformable": "model.deformable=full", "joint": "model.joint=full", "temporal": "model.temporal=full"}

_KNOWN = ("geometry", "distances", "trail", "track")

TABLES: Mapping[str, Table] = {
    "blocks": Table(
        "Table 4: the three attentions",
        "An attention that is off is the identity; full attention reads every token.",
        {
            "all three": (),
            "without deformable": (_OFF["deformable"],),
            "without joint stride": (_OFF["joint"],),
            "without temporal stride": (_OFF["temporal"],),
            "full instead of deformable": (_FULL["deformable"],),
            "full instead of joint stride": (_FULL["joint"],),
            "full instead of temporal stride": (_FULL["temporal"],),
            "TokenShift instead of temporal stride": ("model.temporal=tokenshift",),
            "MSCA-KV instead of temporal stride": ("model.temporal=msca",),
        },
    ),
    "tokens": Table(
        "Table 5: tokens that talk across modalities",
        "No modal tokens, one that plays all roles, or a CLS, an RGB and a pose token.",
        {mode: (f"model.token_mode={mode}",) for mode in ("none", "single", "cross")},
    ),
    "windows": Table(
        "Figure 7a: window and stride in time",
        "Temporal stride attention; the stride shifts the windows that are read.",
        {
            f"window {window}, stride {stride}": (
                f"model.temporal_window={window}",
                f"model.temporal_stride={_given(window, stride)}",
            )
            for window, stride in ((2, 1), (4, 1), (4, 2), (4, 4), (6, 3), (8, 4))
        },
    ),
    "frames": Table(
        "Figure 7b: frames in training",
        "The same network, trained and tested with so many frames.",
        {f"{frames} frames": (f"schedule.stages.*.frames={frames}",) for frames in (4, 6, 8, 12)},
    ),
    "fewer": Table(
        "Figure A1: fewer frames in testing",
        "One network, tested with fewer frames than it was trained with.",
        {"trained once": ()},
        {f"{frames} frames": {"frames": frames} for frames in (2, 4, 6, 8)},
    ),
    "pairing": Table(
        "Readings of Algorithms A1 and A2: which windows read which",
        "Cyclic shifts the windows and wraps around; self reads its own; slide overlaps.",
        {
            pairing: (f"model.joint_pairing={pairing}", f"model.temporal_pairing={pairing}")
            for pairing in ("cyclic", "self", "slide")
        },
    ),
    "offsets": Table(
        "Readings of Algorithm A3: how far the points may go",
        "The unit of an offset of 1: half the volume, a cell of the reference grid, a token; or no offset at all; or "
        "keys that are not sampled, which is full attention.",
        {
            "volume": ("model.offset_mode=volume",),
            "cells": ("model.offset_mode=cells",),
            "tokens": ("model.offset_mode=tokens",),
            "fixed lattice": ("model.offset_range=0",),
            "not sampled": ("model.deformable=full",),
        },
    ),
    "geometry": Table(
        "What a pose token knows (not in the paper)",
        "Appearance at the joint only, as in the paper; where it is and how it moves; how far from the other joints; "
        "where it goes between the frames; what the whole pose does meanwhile.",
        {
            name: tuple(f"model.pose_{part}={str(number < known).lower()}" for number, part in enumerate(_KNOWN))
            for known, name in enumerate(
                ("appearance", "and motion", "and distances", "and the way between", "and the whole pose")
            )
        },
    ),
    "pictures": Table(
        "What the backbone sees (not in the paper)",
        "Crops of the frame, as in the paper; of a square around the person; how the frames change, or their edges "
        "and how these move, in place of colours.",
        {
            f"{what} {where}": (f"fit={fit}", f"model.backbone_reads={what}")
            for where, fit in (("of the frame", "crop"), ("around the person", "person"))
            for what in ("colour", "motion", "gradients")
        },
    ),
    "mixing": Table(
        "Temporal mixing of a frame-wise ViT",
        "Each frame alone, TokenShift, or MSCA with what comes from the neighbouring frames, across heads or patches "
        "(the paper names patches only; how they are shifted is our reading). On Kinetics-400 the paper has MSCA-KV "
        "best, 0.1 above TokenShift and 1.2 above the ViT.",
        {
            variant: tuple(f"model.{key}={value}" for key, value in changes.items())
            for variant, changes in VARIANTS.items()
        },
        architecture="framewise",
    ),
}


def tables_for(base: str, asked: Sequence[str]) -> list[str]:
    """The tables that were asked for, all of the recipe's network if none were. Raises ValueError for others."""
    if unknown := sorted(set(asked) - set(TABLES)):
        raise ValueError(f"There is no table {unknown[0]!r}; there are {', '.join(TABLES)}.")
    architecture = resolve(base, []).architecture
    fitting = [name for name, table in TABLES.items() if table.architecture == architecture]
    if other := [name for name in asked if name not in fitting]:
        raise ValueError(
            f"Table {other[0]!r} changes a {TABLES[other[0]].architecture} network, and {base} trains a {architecture} "
            f"one; its tables are {', '.join(fitting)}."
        )
    return list(asked) or fitting


def configured(base: str, shared: Sequence[str], row: Changes, seed: int, name: str = "") -> TrainConfig:
    """The configuration of one run. `schedule.stages.*.KEY=VALUE` changes every stage. `name`: of the row, for the card
    of its checkpoint."""
    plain = [change for change in row if ".*." not in change]
    config = resolve(base, [*shared, *plain, f"run.seed={seed}"])
    for change in row:
        if ".*." not in change:
            continue
        key, value = change.split(".*.")[1].split("=")
        stages = [{**stage, key: int(value)} for stage in config.to_dict()["schedule"]["stages"]]
        config = resolve(base, [*shared, *plain, f"run.seed={seed}", f"schedule.stages={json.dumps(stages)}"])
    return replace(config, name=f"{config.name}, {name}, seed {seed}") if name else config


@dataclass(frozen=True)
class Result:
    """Accuracy of one run at its last epoch (nothing is picked)."""

    row: str
    seed: int
    accuracy: float
    seconds: float


def result_of(folder: Path, row: str, seed: int) -> Result | None:
    """The result of a finished run; None if it is not there or not finished."""
    path = folder / "log.jsonl"
    if not path.is_file():
        return None
    lines = read_log(path)
    epochs = [line for line in lines if line["kind"] == "epoch"]
    planned = next((line["steps"] for line in lines if line["kind"] == "start"), None)
    if not epochs or epochs[-1]["step"] != planned or "val_accuracy" not in epochs[-1]:
        return None
    return Result(row, seed, epochs[-1]["val_accuracy"], sum(line["seconds"] for line in epochs))


def markdown(
    table: Table, results: Sequence[Result], base: str, told: Mapping[str, Mapping[str, Told]] | None = None,
    split: str = "val",
) -> str:  # fmt: skip
    """The table as it stands: mean, interval, runs and minutes (median: a run may have waited) of each row.

    `told`: row -> pairs of classes that only time tells apart -> how often the networks of the row did.
    """
    pairs = list(dict.fromkeys(pair for found in (told or {}).values() for pair in found))
    lines = [f"### {table.title}\n", f"{table.about} Last epoch, {COMPARED_ON[split]}. Recipe: `{base}`.\n"]
    if pairs:
        lines.append(
            "Pairs: the right one of the two, of the clips given one of them, with the 95 % interval for so many clips "
            "(runs with other seeds do not narrow it); a guess is right half the time.\n"
        )
    lines += ["| | accuracy | runs | minutes a run |" + "".join(f" {pair} |" for pair in pairs)]
    lines += ["|---" * (4 + len(pairs)) + "|"]
    for row in dict.fromkeys(result.row for result in results):
        found = [result for result in results if result.row == row]
        mean, half = spread_of([result.accuracy for result in found])
        interval = "" if math.isnan(half) else f" ± {100 * half:.1f}"
        minutes = statistics.median(result.seconds for result in found) / 60
        apart = "".join(f" {(told or {}).get(row, {}).get(pair, '')} |" for pair in pairs)
        lines.append(f"| {row} | {100 * mean:.1f}{interval} % | {len(found)} | {minutes:.1f} |{apart}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Answers:
    """What one network says of the clips of a split."""

    source: str
    """The data set, as the configuration names it."""
    labels: tuple[str, ...]
    positions: tuple[int, ...]
    """Of the clips in that split of the source."""
    target: tuple[int, ...]
    """Their classes in `labels`."""
    said: tuple[int, ...]
    """The class that the network gives to each."""
    split: str = "val"


Answer = Callable[[TrainConfig, Path], Answers | None]
"""(configuration, checkpoint): what it says of the clips; None if it is not known which clips they are."""
Train = Callable[[TrainConfig, Path, bool], None]
"""(configuration, folder, whether to go on): trains one run to its end."""
Test = Callable[[TrainConfig, Path, Mapping[str, int]], float]
"""(configuration, checkpoint, arguments): accuracy on the clips, shown as the arguments say."""


def kept_in(name: str, split: str) -> str:
    """The file of a run about its validation clips, or what it is called for another split."""
    return name if split == "val" else name.replace(".", f"-{split}.")


def tested(config: TrainConfig, folder: Path, table: Table, result: Result, test: Test, split: str) -> Iterator[Result]:
    """The result as it is, and for a table with tests what they found (kept in the folder of the run)."""
    if table.tests is None:
        yield result
        return
    path = folder / kept_in("tests.json", split)
    known: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
    for name, arguments in table.tests.items():
        if name not in known:
            known[name] = test(config, folder / "last.safetensors", arguments)
            write_atomically(path, json.dumps(known).encode())
        yield Result(name, result.seed, known[name], result.seconds)
    yield Result("as in training", result.seed, result.accuracy, result.seconds)


def answered(config: TrainConfig, folder: Path, result: Result, answer: Answer, split: str) -> Result:
    """Keep what a finished run says of the clips, unless it is kept. Returns its result on them; that on the validation
    clips is known from training. Raises ValueError if the clips of another split are not known."""
    path = folder / kept_in(ANSWERS, split)
    if not path.is_file() and (found := answer(config, folder / "last.safetensors")) is not None:
        write_atomically(path, json.dumps(vars(found)).encode())
    if split == "val":
        return result
    if not path.is_file():
        raise ValueError(f"It is not known which clips are those of split {split!r} of {config.data.source}.")
    kept = json.loads(path.read_text(encoding="utf-8"))
    right = sum(said == target for said, target in zip(kept["said"], kept["target"], strict=True))
    return replace(result, accuracy=right / len(kept["target"]))


def ablate(
    tables: Sequence[str], base: str, shared: Sequence[str], seeds: int, out: Path, train: Train, test: Test,
    answer: Answer | None = None, split: str = "val",
) -> Iterator[tuple[str, Result]]:  # fmt: skip
    """Train what is missing, seed by seed so that all rows grow alike, and yield (table, result) of every run.

    split: of the clips that `test` and `answer` are about.
    """
    places = _finished(out)
    for seed in range(seeds):
        for name in tables:
            for row, changes in TABLES[name].rows.items():
                folder = folder_of(out, name, row, seed)
                config = configured(base, shared, changes, seed, row)
                one_run(folder, places.setdefault(recipe_of(config.to_dict()), folder))
                check_recipe(folder, config)
                if (result := result_of(folder, row, seed)) is None:
                    train(config, folder, (folder / "last.pt").is_file())
                    result = result_of(folder, row, seed)
                if result is not None:
                    if answer is not None:
                        result = answered(config, folder, result, answer, split)
                    yield from ((name, each) for each in tested(config, folder, TABLES[name], result, test, split))


def _finished(out: Path) -> dict[str, Path]:
    """Recipe -> folder of every run that is done, of whatever table."""
    places: dict[str, Path] = {}
    for path in sorted(out.glob("*/*/*/config.yaml")):
        if not path.parent.is_symlink() and result_of(path.parent, "", 0) is not None:
            places.setdefault(recipe_of(saved_values(path)), path.parent)
    return places


def one_run(folder: Path, same: Path) -> None:
    """Let `folder` lead to `same`, which has the same recipe, unless there is a run in it already."""
    if folder.is_symlink():
        folder.unlink()  # it may be of another recipe
    if folder != same and not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(os.path.relpath(same, folder.parent), target_is_directory=True)


def folder_of(out: Path, table: str, row: str, seed: int) -> Path:
    """Where a run lies."""
    return out / table / row.replace(" ", "-").replace(",", "") / str(seed)


def write_answers(out: Path, results: Sequence[tuple[str, Result]], recipe: str = "", split: str = "val") -> None:
    """`answers.json`: what every run that is done says, clip by clip; without runs on other clips than the first.

    recipe: in words, what all rows have in common.
    """
    head: dict[str, Any] | None = None
    runs = []
    for name, result in results:
        path = folder_of(out, name, result.row, result.seed) / kept_in(ANSWERS, split)
        if not path.is_file():
            continue
        found = {"split": "val", **json.loads(path.read_text(encoding="utf-8"))}
        found["source"] = without_place(found["source"])
        said = found.pop("said")
        head = head or found
        if found == head:
            runs.append({"table": name, "row": result.row, "seed": result.seed, "said": said})
    if head is not None:
        write_atomically(out / ANSWERS, (json.dumps({**head, "recipe": recipe, "runs": runs}) + "\n").encode())


def _told(out: Path, table: str, results: Sequence[tuple[str, Result]], split: str) -> dict[str, dict[str, Told]]:
    """Row -> pair of classes that only time tells apart -> how often its runs did, all seeds together."""
    found: dict[str, dict[str, Told]] = {}
    for name, result in results:
        path = folder_of(out, table, result.row, result.seed) / kept_in(ANSWERS, split)
        if name == table and path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            row = found.setdefault(result.row, {})
            for pair, told in told_apart(kept["labels"], kept["target"], kept["said"]).items():
                row[pair] = row[pair] + told if pair in row else told
    return found


def write_tables(out: Path, results: Sequence[tuple[str, Result]], base: str, split: str = "val") -> None:
    """`tables.md` and `results.json` of everything that is done."""
    names = list(dict.fromkeys(name for name, _ in results))
    text = "\n".join(
        markdown(TABLES[name], [r for n, r in results if n == name], base, _told(out, name, results, split), split)
        for name in names
    )
    write_atomically(out / "tables.md", text.encode())
    plain: list[dict[str, Any]] = [{"table": name, **vars(result), "split": split} for name, result in results]
    write_atomically(out / "results.json", (json.dumps(plain, indent=1) + "\n").encode())
