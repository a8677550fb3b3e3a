"""Command line of the explanations.

    python -m xai explain CLIP --checkpoint F --out DIR [--joints FILE] [--trust]
    python -m xai methods
    python -m xai ask CLIP METHOD --checkpoint F --out FILE.npz [--on joints] [--target A] [--against B] [--trust]
    python -m xai figure SPEC.yaml
    python -m xai report CLIP --checkpoint F --out FILE.html [--methods METHOD ...]
    python -m xai animate CLIP --checkpoint F --out FILE.webp
    python -m xai explain-corpus DATA --checkpoint F --out DIR      (also under torchrun)
    python -m xai gym-bench --checkpoint F --out DIR [--clips 216]
    python -m xai bundle [--assets DIR] [--trust]

CLIP is a video file, a saved clip (.npz), `gym:LABEL:SEED`, or `jhmdb:FOLDER:CLASS/CLIP`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from training.clip import Clip
    from training.recognizer import Recognizer
    from xai.evidence import Evidence


def explain(arguments: argparse.Namespace) -> int:
    from training.recognizer import Recognizer
    from xai.clips import open_clip
    from xai.evidence import PARTS, gather_evidence
    from xai.figures.paper import save_figures
    from xai.sampling import moved

    recognizer = Recognizer.load(arguments.checkpoint, arguments.device)
    clip = open_clip(arguments.clip, arguments.joints)
    evidence = gather_evidence(recognizer, clip)
    if arguments.trust:
        evidence = _doubted(evidence, recognizer, clip)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    evidence.save(out / "evidence.npz")
    order = np.argsort(-evidence.probabilities)[:5]
    summary: dict[str, Any] = {
        "clip": clip.name or arguments.clip,
        "label": clip.label,
        "checkpoint": recognizer.checkpoint,
        "top": [
            {"label": evidence.labels[i], "probability": round(float(evidence.probabilities[i]), 6)} for i in order
        ],
        "frames": evidence.frame_index.tolist(),
        "parts": {
            name: {
                "axes": {
                    axis.name: list(axis.labels) or size
                    for axis, size in zip(part.axes, part.values.shape, strict=True)
                },
                "unit": part.unit,
                "normalisation": part.normalisation,
                "base_rate": part.base_rate_of,
                "made_by": {"method": part.made_by.method, "parameters": dict(part.made_by.parameters)},
                "trust": "not measured" if part.trust is None else dict(part.trust),
            }
            for name in PARTS
            if (part := getattr(evidence, name)) is not None
        },
    }
    if evidence.sampling_points is not None:
        summary["parts"]["sampling_points"]["mean_offset"] = moved(evidence.sampling_points)
    (out / "explanation.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    written = save_figures(evidence, out)
    for entry in summary["top"]:
        print(f"{entry['probability']:7.1%}  {entry['label']}")
    for layer, far in enumerate(summary["parts"].get("sampling_points", {}).get("mean_offset", []), 1):
        print(
            f"Block {layer} moved its points by {far['frames']:.1f} frames, {far['x']:.0f} px across and "
            f"{far['y']:.0f} px down on average; {far['clamped']:.0%} would have left the clip."
        )
    print(f"Wrote evidence.npz, explanation.json and {', '.join(path.name for path in written)} to {out}.")
    return 0


def _doubted(evidence: Evidence, recognizer: Recognizer, clip: Clip) -> Evidence:
    """The evidence with how far each part of it can be trusted, and the verdicts printed."""
    from tqdm import tqdm

    from xai.methods import explain as explain_by
    from xai.own import AS_METHODS
    from xai.trust import trust, trusted

    found: dict[str, Any] = {}
    for part, (method, on) in AS_METHODS.items():
        if getattr(evidence, part) is None:
            continue
        with tqdm(desc=f"trust of {method}", leave=False, disable=None) as bar:

            def progress(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total, bar.n = total, max(done, 0)
                bar.refresh()

            try:
                report = trust(recognizer, clip, explain_by(recognizer, clip, method, on=on), progress=progress)
            except ValueError as error:  # a network or a clip without what the method needs
                print(f"Trust of {method}: not measured. {error}", file=sys.stderr)
                continue
        found[part] = trusted(getattr(evidence, part), report)
        print(f"{method[0].upper()}{method[1:]}: {report.verdict}")
    return replace(evidence, **found)


def list_methods(arguments: argparse.Namespace) -> int:
    from xai.methods import methods

    for method in methods():
        print(f"{method.name}  ({method.family}; on {', '.join(method.on)}; {method.cost})\n    {method.about}")
        needs = "".join(f"; needs {need if need == 'joints' else f'{need} attention'}" for need in method.needs)
        print(f"    unit: {method.unit}{needs}")
        if method.options:
            print("    options: " + ", ".join(f"{name}={value}" for name, value in method.options.items()))
    return 0


def ask(arguments: argparse.Namespace) -> int:
    import yaml
    from tqdm import tqdm

    from training.recognizer import Recognizer
    from xai.clips import open_clip
    from xai.explanation import save_explanation
    from xai.methods import explain as explain_by
    from xai.trust import trust, trusted

    recognizer = Recognizer.load(arguments.checkpoint, arguments.device)
    clip = open_clip(arguments.clip, arguments.joints)
    options = {}
    for text in arguments.option:
        name, found, value = text.partition("=")
        if not found:
            raise ValueError(f"--option {text!r} holds no '='; write it as name=value.")
        options[name] = yaml.safe_load(value)

    with tqdm(desc=arguments.method, leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.n = max(done, 0)
            bar.refresh()

        explanation = explain_by(
            recognizer, clip, arguments.method, arguments.target, arguments.against,
            on=arguments.on, seed=arguments.seed, progress=progress, **options,
        )  # fmt: skip
        if arguments.trust:
            bar.set_description("trust")
            explanation = trusted(explanation, trust(recognizer, clip, explanation, progress=progress))
    out = Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_explanation(out, explanation)
    shape = " x ".join(f"{axis.name} {n}" for axis, n in zip(explanation.axes, explanation.values.shape, strict=True))
    print(f"{explanation.kind} ({explanation.unit}): {shape}; base rate: {explanation.base_rate_of}.")
    if explanation.trust is not None:
        print("\n".join(explanation.trust["sentences"]))
    print(f"Wrote {out}.")
    return 0


def corpus(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from training.recognizer import Recognizer
    from training.sources import choose, open_data, spread
    from xai.corpus import Share, explain_corpus, write_summary

    share, out = Share.of_environment(), Path(arguments.out)
    recognizer = Recognizer.load(arguments.checkpoint, share.device(arguments.device))
    data = open_data(arguments.data, arguments.split)
    data = choose(data, spread(data.targets, arguments.clips))
    source = f"{arguments.data} {arguments.split}"
    mine = range(share.rank, len(data), share.world)
    for line in tqdm(
        explain_corpus(recognizer, data, out, share, source),
        total=len(mine),
        unit="clip",
        disable=None,
        position=share.rank,
    ):
        if line["problem"]:
            tqdm.write(f"Clip {line['position']} was left out: {line['problem']}", file=sys.stderr)
    table, counts = write_summary(recognizer, data, out, source)
    print(
        f"{counts['explained']} of {counts['clips']} clips explained, {counts['damaged']} damaged, {counts['right']} "
        f"classified right. Wrote {table}."
    )
    return 0


def gym_bench(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from training.recognizer import Recognizer
    from training.sources import open_data, spread
    from xai.acting_cause import found_in_words
    from xai.figures.leader_board import leader_board
    from xai.figures.paper import PAGE_WIDTH, Look, one_panel, render
    from xai.known_cause_bench import THRIFTY, entries, run
    from xai.known_cause_table import summarise, write_table

    recognizer = Recognizer.load(arguments.checkpoint, arguments.device)
    data = open_data(arguments.data, "test")
    chosen = spread(data.targets, arguments.clips)
    asked = entries(arguments.methods, THRIFTY)
    out = Path(arguments.out)
    clips = [lambda i=i: data.clips[i] for i in chosen]
    with tqdm(total=len(clips), unit="clip", disable=None) as bar:
        lines = []
        for line in run(recognizer, clips, out, asked, paired=not arguments.alone, say=tqdm.write):
            lines.append(line)
            bar.update()
    if not lines:
        raise ValueError("No clip could be scored; the sentences above say why.")
    rows = summarise(lines, asked)
    command = f"python -m xai gym-bench --checkpoint {arguments.checkpoint} --data {arguments.data}"
    write_table(out, rows, lines, recognizer, f"{command} --clips {arguments.clips} --out {arguments.out}")
    for measure in ("rank", "pointing", "mass"):
        chart = one_panel(partial(leader_board, rows=rows, measure=measure), PAGE_WIDTH, Look())
        (out / f"leader_board_{measure}.png").write_bytes(render(chart, "png", 200))
    right = sum(line["predicted"] == line["label"] for line in lines)
    print(*found_in_words(lines), sep="\n")
    print(
        f"{len(lines)} clips, {right} classified right. Wrote leader_board.json, leader_board.md and charts to {out}."
    )
    return 0


def bundle(arguments: argparse.Namespace) -> int:
    from xai.bundle import build, measure_trust

    counts = build(Path(arguments.assets))
    if arguments.trust:
        counts["measures of trust"] = measure_trust(Path(arguments.assets))
    print(f"{arguments.assets} holds " + ", ".join(f"{count} {name}" for name, count in counts.items()) + ".")
    return 0


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m xai", description="Explain what a checkpoint did on a clip.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("explain", help="one clip: numbers (.npz, .json) and pictures (.png, .pdf)")
    one.add_argument("clip", metavar="CLIP", help="video, saved clip, gym:LABEL:SEED or jhmdb:FOLDER:CLASS/CLIP")
    one.add_argument("--checkpoint", required=True, metavar="F")
    one.add_argument("--out", required=True, metavar="DIR")
    one.add_argument(
        "--joints", metavar="FILE", help="joints of a video: .npz, COCO keypoints .json, joint_positions.mat"
    )
    one.add_argument("--trust", action="store_true", help="measure how far each part can be believed (a minute or two)")
    one.add_argument("--device", default="auto")
    one.set_defaults(run=explain)
    listing = commands.add_parser("methods", help="every way to explain a prediction, what it says and what it costs")
    listing.set_defaults(run=list_methods)
    method = commands.add_parser("ask", help="one clip by one method, with its trust report if wanted")
    method.add_argument("clip", metavar="CLIP")
    method.add_argument("method", metavar="METHOD", help="a name that `python -m xai methods` lists")
    method.add_argument("--checkpoint", required=True, metavar="F")
    method.add_argument("--out", required=True, metavar="FILE.npz")
    method.add_argument("--on", help="frames, joints, time, modal, ...; the first that the method explains by default")
    method.add_argument("--target", metavar="LABEL", help="the class to explain; the most probable one by default")
    method.add_argument("--against", metavar="LABEL", help="explain why not this one")
    method.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the method; repeatable")
    method.add_argument("--trust", action="store_true", help="measure how far the map can be believed (up to 30 s)")
    method.add_argument("--seed", type=int, default=0)
    method.add_argument("--joints", metavar="FILE")
    method.add_argument("--device", default="auto")
    method.set_defaults(run=ask)
    for name, module, words in (
        ("figure", "bundle", "a figure for a paper from a spec: PDF, SVG, PNG, numbers and a manifest"),
        ("report", "report", "one clip as one interactive HTML file that opens without a server"),
        ("animate", "animation", "the film with points and attention, as WebP or WebM"),
    ):
        drawn = commands.add_parser(name, help=words)
        if argv[:1] == [name]:  # only then pay for matplotlib
            drawing = import_module(f"xai.figures.{module}")
            drawing.add_arguments(drawn)
            drawn.set_defaults(run=drawing.run)
    many = commands.add_parser("explain-corpus", help="the evidence of every clip of a data set, one file a clip")
    many.add_argument("data", metavar="DATA", help="gym, jhmdb:FOLDER, pack:FILE, ... as for training")
    many.add_argument("--checkpoint", required=True, metavar="F")
    many.add_argument("--out", required=True, metavar="DIR", help="clips whose files are there are not computed again")
    many.add_argument("--split", default="test")
    many.add_argument("--clips", type=int, default=0, help="so many clips, evenly over the classes; all by default")
    many.add_argument("--device", default="auto")
    many.set_defaults(run=corpus)
    bench = commands.add_parser("gym-bench", help="score every method against causes that are known")
    bench.add_argument("--checkpoint", required=True, metavar="F")
    bench.add_argument("--out", required=True, metavar="DIR", help="a stopped run goes on from what is there")
    bench.add_argument("--data", default="gym", help="gym, or a data set with person masks (jhmdb:FOLDER)")
    bench.add_argument("--clips", type=int, default=216, help="test clips, evenly over the classes")
    bench.add_argument("--methods", nargs="*", default=[], metavar="METHOD", help="only these")
    bench.add_argument("--alone", action="store_true", help="ask 'why A?' and not 'why A rather than its twin?'")
    bench.add_argument("--device", default="auto")
    bench.set_defaults(run=gym_bench)
    assets = commands.add_parser("bundle", help="rebuild the clips, traces and index that the dashboard opens with")
    assets.add_argument("--assets", default="assets", metavar="DIR")
    assets.add_argument(
        "--trust", action="store_true", help="also how far each trace can be believed (half a minute a trace)"
    )
    assets.set_defaults(run=bundle)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
