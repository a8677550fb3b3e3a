"""`python -m training train | evaluate | ablate | pack | verify | check-data | describe`.

Clips come from a SOURCE:

    gym                    rendered clips of known cause; gym?train=4000&val=540&test=1080&size=112&frames=16
    jhmdb:FOLDER           JHMDB in its own layout; jhmdb:FOLDER?split=2
    penn:FOLDER            Penn Action, official split
    ntu:FOLDER             NTU RGB+D; ntu:FOLDER?protocol=xsub&classes=60 (or xview, xset; 120)
    finegym:FOLDER         FineGYM 99 or 288; finegym:FOLDER?set=99
    skeletons:FILE.pkl     annotations of PySKL and MMAction2; skeletons:FILE.pkl?videos=FOLDER&split=xsub
    folder:FOLDER          one's own videos, a folder a class
    pack:FILE              what `pack` wrote

Several GPUs, or several processes on the CPU, make one run:

    torchrun --nproc_per_node=4 -m training train --config gym-cross --out runs/x
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.config import PRESETS, ConfigError, TrainConfig, check_recipe, resolve, without_place
from training.datasets.parts import COMPARED_ON

SOURCES = "gym, jhmdb:FOLDER, penn:FOLDER, ntu:FOLDER, finegym:FOLDER, skeletons:FILE, folder:FOLDER or pack:FILE"


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command; returns the exit status. Bad input is one sentence on stderr and status 2."""
    options = _parser().parse_args(arguments)
    who = f"process {os.environ['RANK']}: " if os.environ.get("RANK", "0") != "0" else ""
    try:
        status: int = options.run(options)
    except (ValueError, OSError) as error:
        text = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else str(error)
        print(who + text, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{who}Interrupted.", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    from training import check_data, splits

    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    def add_config(sub: argparse.ArgumentParser, required: bool) -> None:
        sub.add_argument(
            "--config", required=required, metavar="NAME|FILE", help=f"a YAML file or one of {', '.join(PRESETS)}"
        )
        sub.add_argument(
            "--set", action="append", default=[], metavar="A.B=C", help="change one value; may be repeated"
        )

    train = command("train", _train, "Train a network.")
    add_config(train, required=False)
    train.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder of the run")
    train.add_argument(
        "--resume", action="store_true", help="go on with the run in FOLDER; with --config, start it if there is none"
    )
    train.add_argument("--quiet", action="store_true", help="no progress bar")

    rows = command("ablate", _ablate, "Train the rows of the paper's tables with several seeds; a stopped one goes on.")
    rows.add_argument("--base", default="gym-cross", metavar="NAME_OR_FILE", help="the recipe that every row changes")
    rows.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    rows.add_argument("--table", nargs="*", default=[], metavar="TABLE", help="all by default")
    rows.add_argument("--seeds", type=int, default=3)
    rows.add_argument("--split", default="val", choices=tuple(COMPARED_ON), help="clips that the rows are compared on")
    rows.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe of all rows")
    rows.add_argument("--quiet", action="store_true", help="no progress bar")

    test = command("evaluate", _evaluate, "Score a checkpoint on a split of a data set.")
    test.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="a .safetensors checkpoint")
    test.add_argument("--data", required=True, metavar="SOURCE", help=SOURCES)
    test.add_argument("--split", default="test", choices=("train", "val", "test"))
    test.add_argument("--clips", type=int, default=0, help="use so many clips only, spread over the labels")
    test.add_argument(
        "--known-labels", action="store_true", help="leave out clips of labels that the network does not know"
    )
    test.add_argument("--size", type=int, help="image side; default: that of the checkpoint")
    test.add_argument("--frames", type=int, help="frames of a clip; default: those of the checkpoint")
    test.add_argument(
        "--mute", choices=("joints", "frames", "order"), help="hide a modality, or the order of the frames"
    )
    test.add_argument(
        "--less", action="store_true", help="also the accuracies of RGB only, pose only and shuffled frames (4 x time)"
    )
    test.add_argument(
        "--views", type=_views, default=(1, 1), metavar="CLIPSxCROPS", help="average so many views of a video: 4x3"
    )
    test.add_argument("--batch", type=int, default=16)
    test.add_argument("--device", default="auto")
    test.add_argument("--json", type=Path, metavar="FILE", help="write all scores there")
    test.add_argument("--out", type=Path, metavar="FOLDER", help="write scores, confusion and calibration there")
    test.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write the checkpoint there, in half precision, these scores on its card",
    )
    test.add_argument("--quiet", action="store_true", help="no progress bar")

    pack = command(
        "pack", _pack, "Decode or render a data set once, for fast training. When it was killed, the same goes on."
    )
    pack.add_argument("data", metavar="SOURCE", help=SOURCES)
    pack.add_argument("--size", type=int, default=128, help="short side of the packed frames in pixels")
    pack.add_argument("--out", type=Path, required=True, metavar="FILE", help="name of the pack")
    pack.add_argument("--splits", default="train,val,test", help="comma-separated; absent ones are left out")
    pack.add_argument("--clips", type=int, default=0, help="at most so many clips of each split")
    pack.add_argument("--workers", type=int, default=0, help="processes that decode or render")
    pack.add_argument("--quiet", action="store_true", help="no progress bar")

    verify = command("verify", _verify, "Read a pack in full and compare it with its checksum.")
    verify.add_argument("pack", type=Path, metavar="FILE", help="name of the pack")

    check_data.add_arguments(command("check-data", check_data.run, "Look at a data set before training on it."))

    splits.add_arguments(command("splits", splits.run, "Train and test every split of a data set, and take the mean."))

    describe = command("describe", _describe, "Print a configuration in full, with the size and cost of its network.")
    add_config(describe, required=True)
    return parser


def _train(options: argparse.Namespace) -> int:
    from training.checkpointing import RunError
    from training.distributed import joined
    from training.engine import Run
    from training.malloc import keep_freed_memory
    from training.sources import training_data

    saved = options.out / "config.yaml"
    resume = options.resume and (options.out / "last.pt").is_file()  # not yet there in a run killed at its start
    if options.resume and not saved.is_file() and not options.config:
        raise RunError(f"There is no run in {options.out}; give --config too, and it starts one.")
    if not options.resume and not options.config:
        raise RunError(f"Give --config: a YAML file or one of {', '.join(PRESETS)}.")
    if not options.config and options.set:
        raise RunError("--set changes a --config; a run goes on with its own configuration.")
    config = resolve(options.config or str(saved), options.set)
    if resume:
        check_recipe(options.out, config, elsewhere=True)
    keep_freed_memory()
    with joined() as peers:
        progress = peers.first and not options.quiet
        train, val = peers.one_after_the_first(lambda: training_data(config.data, progress=progress))
        run = Run(config, options.out, train, val, resume=resume, progress=progress, peers=peers)
        if not run.train():
            return 130
    if run.best and peers.first:
        print(f"Best validation accuracy {run.best['accuracy']:.1%}; {options.out / 'best.safetensors'}")
    return 0


def _ablate(options: argparse.Namespace) -> int:
    import model
    from training.ablate import Answers, ablate, tables_for, write_answers, write_tables
    from training.checkpointing import recipe_in_words
    from training.distributed import alone
    from training.engine import train_whole
    from training.evaluate import evaluate, predict
    from training.malloc import keep_freed_memory
    from training.process import choose_device
    from training.sources import compared_on
    from training.transforms import Normalisation

    alone("ablate")
    tables = tables_for(options.base, options.table)
    base = resolve(options.base, options.set)
    if not base.data.hold_out:
        raise ConfigError("The rows are compared on validation clips; leave data.hold_out as it is.")
    keep_freed_memory()

    def train(config: TrainConfig, folder: Path, resume: bool) -> None:
        train_whole(config, folder, resume, not options.quiet)

    def test(config: TrainConfig, checkpoint: Path, arguments: Mapping[str, int]) -> float:
        network, card = model.load(checkpoint, choose_device(config.run.device))
        data, frames = compared_on(config.data, options.split)[0], arguments.get("frames", card.frames)
        colours = Normalisation(card.mean, card.std)
        return evaluate(network, data, size=card.size, frames=frames, normalisation=colours, fit=card.fit).top1

    def answer(config: TrainConfig, checkpoint: Path) -> Answers | None:
        network, card = model.load(checkpoint, choose_device(config.run.device))
        data, places = compared_on(config.data, options.split)
        if not places:
            return None
        colours = Normalisation(card.mean, card.std)
        found = predict(network, data, size=card.size, frames=card.frames, normalisation=colours, fit=card.fit)
        said = tuple(found.logits.argmax(1).tolist())
        target = tuple(data.targets[i] for i in found.index)
        clips = tuple(places[i] for i in found.index)
        return Answers(config.data.source, data.labels, clips, target, said, options.split)

    done: list = []
    recipe = f"{base.name} on {without_place(base.data.source)}, {recipe_in_words(base, seed=False)}"
    try:
        for result in ablate(
            tables, options.base, options.set, options.seeds, options.out, train, test, answer, options.split
        ):
            done.append(result)
            write_answers(options.out, done, recipe, options.split)
            write_tables(options.out, done, " ".join([options.base, *options.set]), options.split)
    except KeyboardInterrupt:
        print("Stopped; the same command goes on.")
        return 130
    print(f"{len(done)} runs; {options.out / 'tables.md'}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    import torch

    import model
    from training.checkpointing import write_atomically
    from training.distributed import joined
    from training.evaluate import evaluate
    from training.order import told_apart
    from training.report import scores_json, write_report
    from training.sources import choose, for_labels, known_only, open_data, spread
    from training.transforms import Normalisation

    if options.export and (options.mute or options.views != (1, 1)):
        raise ConfigError("--export writes the scores of one whole view on the card; leave out --mute and --views.")
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with joined() as peers:
        network, card = model.load(options.checkpoint, device)
        data = open_data(options.data, options.split)
        if options.known_labels:
            data, left = known_only(data, card.labels)
            if left and peers.first:
                print(f"Left out {left} clips of labels that the network does not know.")
        data = for_labels(data, card.labels)
        data = choose(data, spread(data.targets, options.clips))
        scores = evaluate(
            network,
            data,
            size=options.size or card.size,
            frames=options.frames or card.frames,
            normalisation=Normalisation(card.mean, card.std),
            fit=card.fit,
            batch_size=options.batch,
            views=options.views,
            muted=options.mute,
            less=options.less,
            progress=peers.first and not options.quiet,
            peers=peers,
        )
    if not peers.first:
        return 0
    print(scores)
    cells = [(t, s) for t, row in enumerate(scores.confusion) for s, count in enumerate(row) for _ in range(count)]
    pairs = told_apart(card.labels, [t for t, _ in cells], [s for _, s in cells])
    for pair, told in pairs.items():
        print(f"  {pair}: {told}")
    for sentence in scores.damaged[:5]:
        print(f"  - {sentence}")
    about: dict[str, Any] = {
        "checkpoint": str(options.checkpoint),
        "hash": model.checkpoint_hash(options.checkpoint),
        "data": options.data,
        "split": options.split,
        "muted": options.mute,
        "views": list(options.views),
        "told_apart": {pair: [told.right, told.answered] for pair, told in pairs.items()},
    }
    if options.json:
        write_atomically(options.json, scores_json(scores, about))
    if options.export:
        low, high = scores.interval
        found = {"top1": scores.top1, "low": low, "high": high, "clips": scores.clips, **scores.hidden}
        found = {f"{options.split} {name}": round(float(value), 4) for name, value in found.items()}
        model.save(options.export, network, replace(card, metrics={**card.metrics, **found}), half=True)
        print(f"Wrote {options.export}.")
    if options.out:
        names = write_report(options.out, scores, about)
        lacks = "" if "confusion.png" in names else " (for pictures, pip install kinescope[figures])"
        print(f"{options.out}: {', '.join(names)}{lacks}")
    return 0


def _views(text: str) -> tuple[int, int]:
    """ "4x3" -> (4, 3)."""
    clips, cross, crops = text.partition("x")
    if not (cross and clips.isdecimal() and crops.isdecimal() and 1 <= int(clips) <= 100 and 1 <= int(crops) <= 9):
        raise argparse.ArgumentTypeError(f"{text!r} is not CLIPSxCROPS, such as 1x1 or 4x3")
    return int(clips), int(crops)


def _pack(options: argparse.Namespace) -> int:
    from training.pack import PackedDataset, write_pack
    from training.sources import choose, open_source, split_of, spread

    dataset = open_source(options.data)
    splits = {}
    for split in options.splits.split(","):
        if dataset.splits.get(split):
            data = split_of(dataset, split)
            splits[split] = choose(data, spread(data.targets, options.clips)).clips.indices
    path = write_pack(
        options.out,
        dataset,
        splits,
        options.size,
        workers=options.workers,
        progress=not options.quiet,
        source=options.data,
    )
    written = PackedDataset(path).splits
    print(f"{path}: {', '.join(f'{len(indices)} {split}' for split, indices in written.items())} clips")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from training.pack import PackedDataset, verify

    verify(options.pack)
    print(f"{options.pack}: {len(PackedDataset(options.pack))} clips, as they were written")
    return 0


def _describe(options: argparse.Namespace) -> int:
    from training.cost import model_cost

    config: TrainConfig = resolve(options.config, options.set)
    parameters, flops = model_cost(config.model)
    print(config.to_yaml(), end="")
    print(f"# {parameters:,} parameters ({parameters / 1e6:.2f} M)")
    print(
        f"# {flops / 1e9:.1f} GFLOP a clip of {config.model.frames} frames at {config.model.size} px, forward "
        "(two for a multiply-add)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
