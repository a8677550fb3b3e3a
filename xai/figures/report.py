"""Report: one HTML file of one clip that works offline: the player, maps of other methods on its clock, their trust.

    python -m xai report CLIP --checkpoint F --out report.html --methods "joint removal" "integrated gradients:joints"

The file holds everything (script, style, frames, numbers) and asks the network for nothing; its own rules
(Content-Security-Policy) forbid it to, and let no script run but the one that it was written with.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from model import CheckpointError
from training.checkpointing import write_atomically
from training.clip import Clip
from training.recognizer import Recognizer
from xai.evidence import Evidence, gather_evidence
from xai.explanation import Explanation
from xai.figures.maps import heading_of
from xai.figures.paper import UNTRAINED
from xai.figures.player import main_method, pack, player_payload
from xai.figures.player_script import markup, script, style
from xai.figures.spec import FigureError
from xai.known_trust import Known, in_short, shipped_trust
from xai.methods import Method, answer, methods
from xai.question import Question
from xai.trust import PARTS, trust, trusted

HERE = Path(__file__).parent
METHODS = ("joint removal", "integrated gradients", "frame removal", "ledger")
CELLS = 64
"""A pixel map travels on at most so many rows and columns."""
ORDERS = 40
"""Random orders that a map is compared with; trust that is known was measured with so many."""


@dataclass(frozen=True)
class Wanted:
    """A method and what it is asked about."""

    method: str
    on: str | None = None

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """'integrated gradients' or 'integrated gradients:joints'."""
        name, _, on = text.partition(":")
        known = {method.name: method for method in methods()}
        if name not in known:
            raise FigureError(f"There is no method {name!r}; there are {', '.join(known)}.")
        if on and on not in known[name].on:
            raise FigureError(f"{name} explains {', '.join(known[name].on)}, not {on!r}.")
        return cls(name, on or None)


def coarse(values: np.ndarray, most: int = CELLS) -> np.ndarray:
    """[T, rows, columns] on at most `most` rows and columns: means over blocks that divide the grid."""
    frames, rows, columns = values.shape

    def block(size: int) -> int:
        return next(b for b in range(1, size + 1) if size % b == 0 and size // b <= most)

    r, c = block(rows), block(columns)
    return np.asarray(values.reshape(frames, rows // r, r, columns // c, c).mean(axis=(2, 4)))


def titled(method: str, on: str) -> str:
    return f"{method} on {on}"


def map_payload(explanation: Explanation, method: Method) -> dict[str, Any]:
    """What the page draws of a map. A token map goes as [frame, token], a joint map as [frame, person, joint]."""
    values = explanation.values.astype(float)
    if explanation.kind == "pixel map":
        values = coarse(values)
    base = float(np.broadcast_to(explanation.base_rate, explanation.values.shape).mean())
    found: dict[str, Any] = {
        "title": titled(method.name, explanation.made_by.parameters.get("on", method.on[0])),
        "about": method.about,
        "question": heading_of(explanation),
        "kind": explanation.kind,
        "unit": explanation.unit,
        "signed": bool(method.signed or values.min() < 0),
        "most": float(np.abs(values).max()),
        "values": pack(values),
        "base": base,
        "base_of": explanation.base_rate_of,
        "trust": explanation.trust,
    }
    if explanation.kind == "pixel map":
        found["box"] = np.asarray(explanation.companions["box"], float).round(3).tolist()
    if explanation.kind == "token map":
        found["tokens"] = list(explanation.axes[explanation.axis("token")].labels)
    return found


def report_maps(
    recognizer: Recognizer,
    clip: Clip,
    wanted: Sequence[Wanted],
    parts: Sequence[str],
    *,
    target: str | None = None,
    against: str | None = None,
    orders: int = ORDERS,
    seed: int = 0,
    known: Known = MappingProxyType({}),
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """The maps of a report. A method that this network or clip cannot be asked is a card with its one sentence.

    Args:
        parts: what is measured of each map whose trust is not `known`.
        known: trust of maps of the question that is asked.
    """
    question = Question.ask(recognizer, clip, target, against, seed=seed)
    named = {method.name: method for method in methods()}
    found = []
    for each in wanted:
        method = named[each.method]
        try:
            explanation = answer(question, each.method, on=each.on)
        except ValueError as error:
            found.append({"title": each.method, "about": method.about, "refused": str(error)})
            continue
        if (there := known.get((each.method, explanation.made_by.parameters["on"]))) is not None:
            explanation = replace(explanation, trust=there)
        elif parts:
            measured = trust(recognizer, clip, explanation, parts=parts, seed=seed, orders=orders)
            explanation = trusted(explanation, measured)
        found.append(map_payload(explanation, method))
        say(f"{found[-1]['title']}: {explanation.trust['verdict'] if explanation.trust else 'trust not measured'}")
    return found


def report_html(
    evidence: Evidence,
    maps: Sequence[dict[str, Any]],
    command: str = "",
    card: str = "",
    known: Known = MappingProxyType({}),
) -> str:
    """The page as text. `card`: what the model card says, in words; `known`: trust that is known of maps, and so of
    what the player shows where none of `maps` is just that."""
    clip, top = evidence.clip, evidence.top
    payload = player_payload(evidence)
    main = main_method(payload)
    asked = f"Why {evidence.labels[top]}? "
    same = (each["trust"] for each in maps if each["title"] == titled(*main) and each["question"].startswith(asked))
    trust_of_player = next(same, None) or known.get(main)
    badges = [] if trust_of_player is None else [{"textContent": in_short(trust_of_player)}]
    data = {"payload": payload, "maps": list(maps), "trust": badges}
    # Inside a script element only "<" can end it.
    packed = json.dumps(data, separators=(",", ":"), default=_plain, allow_nan=False).replace("<", "\\u003c")
    code = f"\n{script()}\n{(HERE / 'report.js').read_text(encoding='utf-8')}\n"
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    sheet = style() + (HERE / "report.css").read_text(encoding="utf-8")
    title = f"{evidence.labels[top]}: {clip.name or 'a clip'}"
    question = next((each["question"] for each in maps if "question" in each), "")
    asked = question.split("?")[0] + "?" if question else ""
    made = {
        "clip": f"{clip.name or 'unnamed'}, content {evidence.ledger.made_by.clip}, {len(clip)} frames read",
        "label": clip.label or "not given",
        "checkpoint": f"{evidence.model['name'] or 'unnamed'}, {evidence.model['checkpoint']}",
        "trained on": evidence.model.get("trained_on") or "nothing",
        "model card": card,
        "versions": ", ".join(f"{name} {text}" for name, text in evidence.ledger.made_by.versions.items()),
        "command": command,
    }
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in made.items() if value)
    untrained = "" if evidence.model.get("trained_on") else f"<p class=warning>This network {UNTRAINED}</p>"
    if maps:
        other = (
            f"<h2 class=part>What other methods say</h2>{untrained}<p>"
            f"{escape(asked)} On the same clock as above: step with the arrow keys. Amounts are raw, each map has its "
            'own scale, and its trust says how far it can be believed.</p><div class="maps"></div>'
        )
    else:
        other = '<div class="maps" hidden></div>'
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{sheet}</style></head>\n<body><main>"
        f"<h1>{escape(title)}</h1>"
        f"<p>The network says {escape(evidence.labels[top])} with probability {evidence.probabilities[top]:.2f}. "
        "Below is its own evidence: what it read, and the exact parts of its answer.</p>"
        f"{markup()}{other}"
        f'<h2 class=part>How this was made</h2><dl class="made">{rows}</dl></main>\n'
        f'<script type="application/json" id="data">{packed}</script>\n'
        f'<script type="module">{code}</script></body></html>\n'
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a report.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", metavar="CLIP", help="video, saved clip, gym:LABEL:SEED or jhmdb:FOLDER:CLASS/CLIP")
    parser.add_argument("--checkpoint", required=True, metavar="F")
    parser.add_argument("--out", required=True, metavar="FILE.html")
    parser.add_argument("--joints", metavar="FILE", help="joints of a video")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), metavar="METHOD[:ON]")
    parser.add_argument("--target", help="explain this class; the most probable by default")
    parser.add_argument("--against", help="and not this one")
    parser.add_argument(
        "--trust", nargs="*", default=list(PARTS), choices=PARTS,
        help="what is measured of each map; what is known of it and ships is not measured again",
    )  # fmt: skip
    parser.add_argument("--orders", type=int, default=ORDERS, help="random orders that a map is compared with")
    parser.add_argument("--device", default="auto")


def run(arguments: argparse.Namespace) -> int:
    import shlex

    from xai.clips import open_clip
    from xai.figures.compose import in_a_sentence

    try:
        wanted = [Wanted.parse(text) for text in arguments.methods]
        recognizer = Recognizer.load(arguments.checkpoint, arguments.device)
        clip = open_clip(arguments.clip, arguments.joints)
        evidence = gather_evidence(recognizer, clip)
        shipped = shipped_trust(recognizer.checkpoint, clip.fingerprint)
        usual = (arguments.target, arguments.against, arguments.orders) == (None, None, ORDERS)
        maps = report_maps(
            recognizer, clip, wanted, arguments.trust, target=arguments.target, against=arguments.against,
            orders=arguments.orders, known=shipped if usual else {}, say=print,
        )  # fmt: skip
        given = ["python", "-m", "xai", "report", arguments.clip, "--checkpoint", arguments.checkpoint]
        given += ["--out", arguments.out, "--methods", *arguments.methods, "--orders", str(arguments.orders)]
        given += ["--trust", *arguments.trust]
        for name in ("joints", "target", "against"):
            if value := getattr(arguments, name):
                given += [f"--{name}", value]
        card = in_a_sentence(recognizer.card.name, recognizer)
        page = report_html(evidence, maps, shlex.join(given), card, shipped)
        write_atomically(Path(arguments.out), page.encode("utf-8"))
    except (CheckpointError, ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Wrote {arguments.out} ({len(page) / 1e6:.1f} MB).")
    return 0
