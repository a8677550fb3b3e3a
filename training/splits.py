"""The published protocol of a data set with several splits: train on each, test each once, and take the mean.

    python -m training splits --config jhmdb-cross --data jhmdb:FOLDER --set data.hold_out=false --out runs/jhmdb

Nothing is chosen on a test part: what is tested is the last epoch. A run lies in OUT/split-1 (or OUT/protocol-xsub, as
the data set calls them), goes on where it was stopped, and is not repeated when it is done; `splits.md` is written
after each. One process trains one run after the other; `--splits` shares them out among machines.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.checkpointing import write_atomically
from training.config import TrainConfig, check_recipe, resolve
from training.datasets import protocols
from training.interval import spread_of, wilson

SCORES = "test.json"


@dataclass(frozen=True)
class SplitResult:
    """What the last epoch of one split's run says of that split's test clips."""

    split: str
    top1: float
    clips: int
    hidden: dict[str, float]
    """Accuracy of the same network without joints, without pictures, with frames shuffled."""
    checkpoint: str
    """Its hash."""


Train = Callable[[TrainConfig, Path, bool], None]
"""(configuration, folder, whether to go on): trains one run to its end."""
Test = Callable[[TrainConfig, Path, str], SplitResult]
"""(configuration, checkpoint, name of the split): its scores on the test clips of the source."""


def each_split(
    config: str, changes: Sequence[str], splits: Sequence[tuple[str, str]], out: Path, train: Train, test: Test
) -> Iterator[SplitResult]:
    """Train and test what is missing, split by split. `splits`: (name, data set), of `protocols`."""
    for name, source in splits:
        made, folder = resolve(config, [*changes, f"data.source={source}"]), out / name
        scores = folder / SCORES
        check_recipe(folder, made)
        if not scores.is_file():
            train(made, folder, (folder / "last.pt").is_file())
            found = test(made, folder / "last.safetensors", name.removeprefix("split-"))
            write_atomically(scores, json.dumps(vars(found)).encode())
        kept = json.loads(scores.read_text(encoding="utf-8"))
        yield SplitResult(**kept | {"split": str(kept["split"])})


def markdown(results: Sequence[SplitResult], recipe: str) -> str:
    """The table as it stands, and the mean over the splits with its 95 % interval where they are alike, as those that
    have numbers are."""
    hidden = list(results[0].hidden)
    lines = [f"Recipe: `{recipe}`; last epoch, test clips.\n", f"| split | right | {' | '.join(['clips', *hidden])} |"]
    lines.append("|---" * (3 + len(hidden)) + "|")
    for each in results:
        low, high = wilson(round(each.top1 * each.clips), each.clips)
        parts = [f"{100 * each.hidden[name]:.1f} %" for name in hidden]
        said = f"{100 * each.top1:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        lines.append(f"| {each.split} | {said} | {' | '.join([str(each.clips), *parts])} |")
    if not all(each.split.isdecimal() for each in results):
        return "\n".join(lines) + "\n"
    mean, half = spread_of([each.top1 for each in results])
    interval = "" if math.isnan(half) else f" ± {100 * half:.1f}"
    means = [f"{100 * spread_of([each.hidden[name] for each in results])[0]:.1f} %" for name in hidden]
    lines.append(f"| mean | {100 * mean:.1f}{interval} % | {' | '.join(['', *means])} |")
    return "\n".join(lines) + "\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, metavar="NAME|FILE", help="the recipe of all splits")
    parser.add_argument("--data", required=True, metavar="SOURCE", help="without its split, such as jhmdb:FOLDER")
    parser.add_argument("--splits", nargs="+", default=[], metavar="NAME", help="some of them; default: as published")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change one value; may be repeated")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> int:
    import model
    from training.distributed import alone
    from training.engine import train_whole
    from training.evaluate import evaluate
    from training.malloc import keep_freed_memory
    from training.process import choose_device
    from training.sources import for_labels, open_data, with_labels
    from training.transforms import Normalisation

    alone("splits")
    progress = not options.quiet
    splits = protocols(options.data, options.splits)
    keep_freed_memory()

    def train(config: TrainConfig, folder: Path, resume: bool) -> None:
        train_whole(config, folder, resume, progress)

    def test(config: TrainConfig, checkpoint: Path, split: str) -> SplitResult:
        network, card = model.load(checkpoint, choose_device(config.run.device))
        data = for_labels(with_labels(open_data(config.data.source, "test"), config.data.labels), card.labels)
        found = evaluate(
            network,
            data,
            size=card.size,
            frames=card.frames,
            normalisation=Normalisation(card.mean, card.std),
            fit=card.fit,
            less=True,
            progress=progress,
        )
        hidden = {name: float(value) for name, value in found.hidden.items()}
        return SplitResult(split, float(found.top1), found.clips, hidden, model.checkpoint_hash(checkpoint))

    done: list[SplitResult] = []
    recipe = " ".join([options.config, *options.set])
    try:
        for result in each_split(options.config, options.set, splits, options.out, train, test):
            done.append(result)
            write_atomically(options.out / "splits.md", markdown(done, recipe).encode())
    except KeyboardInterrupt:
        print("Stopped; the same command goes on.")
        return 130
    print(markdown(done, recipe), end="")
    return 0
