"""Is the known cause what moves this network, and do removals name it?

That a cause is in a clip does not say that a network reads it there: a kick is in the pictures too. So there are two
questions. `cause_effect`: how far does the score fall when exactly the deciding joints are taken away, whatever any
map says? And `found_rows`: in how many clips does a removal call a deciding joint the strongest, of all clips with a
cause in the joints, and of those in which the deciding joints act (their effect is at least `ACTS`)?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.interval import wilson
from xai.players import Skeleton, scores_of
from xai.question import Question
from xai.rerun import Rerun

ACTS = 1.0
"""Logits. Asked about a pair of labels: without the deciding joints, the odds of the right one fall to 1/e or less."""
METHODS = ("joint removal", "limb removal", "Shapley joints")
"""Removals that give every joint a value of its own or of its limb. A limb counts as found with any deciding joint."""
FOUND, FOUND_ACTING = "found", "found where they act"
"""Measures of the rows: over all clips, and over those in which the deciding joints act."""


def cause_effect(question: Question) -> float | None:
    """Fall of the score, in logits, when the deciding joints are not detected in any frame; None for a clip without a
    known cause in its joints."""
    cause = question.seen.cause
    if cause is None or not cause.joints.any():
        return None
    rerun = Rerun.of_question(question)
    skeleton = Skeleton(question, rerun, "joint", "unseen")
    deciding = np.asarray(cause.joints.any(axis=0))
    whole, without = scores_of(question, rerun, (skeleton.untouched, skeleton.without(deciding)))
    return float(whole - without)


def found(result: Mapping[str, Any]) -> tuple[bool, float] | None:
    """Is the strongest joint of a scored map (or one of the strongest, of a limb) a deciding one, and how often is one
    picked at random? A map of one value has no strongest joint. None where joints were not asked about."""
    for each in result.get("scores", ()):
        if (each["target"], each["measure"]) == ("joints", "pointing"):
            return each["value"] > 0 and not np.isclose(each["value"], each["base"]), each["base"]
    return None


def found_rows(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Shares of the clips of kind "pose" as the fields of rows of the table, with 95 % intervals."""
    rows = []
    for method in METHODS:
        for measure in (FOUND, FOUND_ACTING):
            answers, seconds = [], []
            for line in lines:
                result = line["maps"].get(f"{method} on joints", {})
                answer = found(result)
                acts = (line.get("cause effect") or 0) >= ACTS
                if line["kind"] == "pose" and answer is not None and (acts or measure == FOUND):
                    answers.append(answer)
                    seconds.append(result["seconds"])
            if answers:
                hits, bases = zip(*answers, strict=True)
                low, high = wilson(sum(hits), len(hits))
                rows.append({
                    "method": method, "on": "joints", "target": "planted", "measure": measure, "kind": "pose",
                    "clips": len(hits), "mean": sum(hits) / len(hits), "low": low, "high": high,
                    "base": sum(bases) / len(bases), "seconds": float(np.median(seconds)),
                })  # fmt: skip
    return rows


def found_in_words(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence a row."""
    words = {FOUND: "clips that joints decide", FOUND_ACTING: f"of them where these joints move {ACTS:g} logit or more"}
    return [
        f"{row['method']} calls a deciding joint the strongest in {row['mean']:.0%} "
        f"[{row['low']:.0%}, {row['high']:.0%}] of {row['clips']} {words[row['measure']]} "
        f"(at random {row['base']:.0%})."
        for row in found_rows(lines)
    ]
