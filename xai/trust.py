"""Trust: how far can this map be believed? Measured, and said in words from thresholds that are declared here.

    report = trust(recognizer, clip, explanation)
    print(report.verdict)          # "Beats random removal (2.4 times the fall); depends on the network; stable."
    explanation = trusted(explanation, report)     # travels with it into every file

Four measures (`xai.faithfulness`, `xai.sanity`), completeness where the method promises it, and where the clip has a
known cause or a person mask, how well the map finds it (`xai.known_cause`) and how well maps do that know nothing of
the network (`xai.base_rates`). What was not asked for is "not measured".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from training.clip import Clip
from training.recognizer import Recognizer
from xai.base_rates import BaseRate, base_rates, on_people
from xai.explanation import Explanation
from xai.faithfulness import Faithfulness, faithfulness
from xai.known_cause import Score, score
from xai.methods import answer, methods
from xai.question import Progress, Question, silent
from xai.sanity import Make, Sanity, Stability, sanity, stability, within

PARTS = ("faithfulness", "sanity", "stability")
CHANCE = 0.026
"""A map beats random removal if at most this share of random orders does as well (none of 40)."""
SURVIVES = 0.5
"""A map depends on the network if its rank correlation with that of a randomised network is below this."""
SAME_CLASS = 0.95
"""A map depends on the class if its rank correlation with that of another class is below this."""
STABLE = 0.7
"""A map is stable if every small change leaves a rank correlation of at least this."""
DRAFT_STEPS = 8
"""Sanity and stability compare maps of a path of at most so many steps with each other: they make the map seven times,
and the rank of its parts settles long before its sum does."""
INCOMPLETE = 0.05
"""A map is complete if its sum misses the difference of scores by at most this part of it."""


@dataclass(frozen=True, eq=False)
class TrustReport:
    """What was measured about one map; None is "not measured"."""

    faithfulness: Faithfulness | None = None
    sanity: Sanity | None = None
    stability: Stability | None = None
    completeness: tuple[float, float] | None = None
    """(sum of the map, what it should sum to); None where the method promises nothing."""
    causes: tuple[Score, ...] = ()
    """Against the known cause or the person mask, each beside its base rate."""
    base_rates: tuple[BaseRate, ...] = ()
    """The same measures of maps that never asked the network: person mask, motion energy, centre, no offsets."""
    draft_steps: int | None = None
    """Steps of the maps that sanity and stability compared, where the map itself has more."""
    people: tuple[Score, ...] = ()
    """How much of a pixel map lies on the people, where a mask says who is there, beside how much of the view they are.
    """

    @property
    def beats_random(self) -> bool | None:
        """None too where so few random orders were drawn that no map could beat them."""
        if self.faithfulness is None or 1 / (1 + len(self.faithfulness.random_gains)) > CHANCE:
            return None
        return self.faithfulness.chance <= CHANCE

    @property
    def depends_on_network(self) -> bool | None:
        return None if self.sanity is None else self.sanity.network < SURVIVES

    @property
    def depends_on_class(self) -> bool | None:
        if self.sanity is None or self.sanity.other_class is None:
            return None
        return self.sanity.other_class < SAME_CLASS

    @property
    def stable(self) -> bool | None:
        return None if self.stability is None else self.stability.worst >= STABLE

    @property
    def complete(self) -> bool | None:
        if self.completeness is None:
            return None
        found, promised = self.completeness
        return abs(found - promised) <= INCOMPLETE * max(abs(promised), 1e-6)

    @property
    def level(self) -> str:
        """One of "supported" (it beats random removal, and nothing measured speaks against it), "doubtful" and
        "not measured"."""
        asked = (self.beats_random, self.depends_on_network, self.stable, self.complete)
        if False in asked:
            return "doubtful"
        return "supported" if self.beats_random else "not measured"

    @property
    def sentences(self) -> tuple[str, ...]:
        """One for each measure."""
        said = []
        if (faithful := self.faithfulness) is None:
            said.append("Removal: not measured.")
        elif self.beats_random is None:
            said.append(f"Removal: {len(faithful.random_gains)} random orders are too few to tell.")
        elif self.beats_random:
            times = faithful.times_random
            much = f" ({times:.1f} times the fall of the score)" if times is not None else ""
            motion = "and motion energy" if faithful.gain > faithful.motion_gain else "but not motion energy"
            said.append(f"Beats random removal{much} {motion}.")
        else:
            said.append(f"No better than random removal of {faithful.units}.")
        if (sane := self.sanity) is None:
            said.append("Randomised network: not measured.")
        elif self.depends_on_network:
            said.append("Depends on the network: with random weights it is another map.")
        else:
            said.append(f"Survives randomisation: random weights give the same map ({sane.network:.2f} of 1).")
        if sane is not None and self.depends_on_class is not None:
            words = "Another class gives another map." if self.depends_on_class else "The same map for every class."
            said.append(words)
        if (steady := self.stability) is None:
            said.append("Stability: not measured.")
        else:
            said.append(f"{'Stable' if self.stable else 'Unstable'} under small changes ({steady.worst:.2f} of 1).")
        if self.completeness is not None:
            found, promised = self.completeness
            words = "Complete" if self.complete else "Incomplete"
            said.append(f"{words}: sums to {found:+.2f}, should be {promised:+.2f}.")
        return tuple(said)

    @property
    def verdict(self) -> str:
        """All of it in words."""
        return " ".join(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the verdict, the numbers behind it and the thresholds."""
        found: dict[str, Any] = {"level": self.level, "verdict": self.verdict, "sentences": list(self.sentences)}
        if self.faithfulness is not None:
            faithful = self.faithfulness
            over, low, high = faithful.over_random
            found["faithfulness"] = {
                "units": faithful.units, "gain": faithful.gain, "over_random": over, "interval": [low, high],
                "chance": faithful.chance, "beats_random": self.beats_random, "times_random": faithful.times_random,
                "motion_gain": faithful.motion_gain,
                "share": faithful.share.tolist(), "deletion": faithful.deletion.tolist(),
                "insertion": faithful.insertion.tolist(), "motion_deletion": faithful.motion_deletion.tolist(),
                "motion_insertion": faithful.motion_insertion.tolist(),
                **_band("random_deletion", faithful.random_deletion),
                **_band("random_insertion", faithful.random_insertion),
            }  # fmt: skip
        for name in ("sanity", "stability"):
            if (part := getattr(self, name)) is not None:
                found[name] = asdict(part)
        if self.completeness is not None:
            found["completeness"] = list(self.completeness)
        if self.draft_steps is not None:
            found["draft_steps"] = self.draft_steps
        for name in ("causes", "base_rates", "people"):
            found[name] = [asdict(each) for each in getattr(self, name)]
        found["thresholds"] = {
            "chance": CHANCE, "survives": SURVIVES, "same_class": SAME_CLASS, "stable": STABLE,
            "incomplete": INCOMPLETE,
        }  # fmt: skip
        return found


def _band(name: str, curves: np.ndarray) -> dict[str, list[float]]:
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    return {name: curves.mean(axis=0).tolist(), f"{name}_low": low.tolist(), f"{name}_high": high.tolist()}


def trust(
    recognizer: Recognizer,
    clip: Clip,
    explanation: Explanation,
    *,
    make: Make | None = None,
    parts: Sequence[str] = PARTS,
    seed: int = 0,
    orders: int = 40,
    progress: Progress = silent,
) -> TrustReport:
    """Measure one map.

    Args:
        explanation: of `clip` by `recognizer`, from `xai.methods.explain`, or any map of the same form.
        make: makes the map again for another question; by default the method that the explanation names. A map that
            cannot be made again (drawn by hand) is tested for faithfulness only.
        parts: which of `PARTS`.
        orders: random orders to compare with.
        progress: called with (done, total); what it raises ends the computation.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ValueError(f"There is no measure {unknown[0]!r}; there are {', '.join(PARTS)}.")
    about = explanation.made_by.parameters
    question = Question.ask(recognizer, clip, about.get("target"), about.get("against"), seed=seed)
    steps = about.get("steps")
    draft = DRAFT_STEPS if make is None and isinstance(steps, int) and steps > DRAFT_STEPS else None
    make = make or remade(explanation, **({} if draft is None else {"steps": draft}))
    compared: Explanation | None = None
    measured: dict[str, Any] = {}
    for number, part in enumerate(parts):

        def report(done: int, total: int, number: int = number) -> None:
            progress(number * 100 + (max(0, done) * 100) // max(total, 1), 100 * len(parts))

        if part == "faithfulness":
            if explanation.kind == "token map" and np.ptp(explanation.values, axis=0).max() == 0:
                continue  # it speaks of whole parts, and says nothing of frames that could be taken away
            measured[part] = faithfulness(replace(question, progress=report), explanation, orders=orders)
        elif make is not None:
            run = sanity if part == "sanity" else stability
            compared = compared or (explanation if draft is None else make(replace(question, progress=within(report))))
            measured[part] = run(question, compared, make, report)
    complete = explanation.companions.get("completeness")
    seen = question.seen
    known = seen.cause is not None or seen.person_mask is not None
    return TrustReport(
        **measured,
        draft_steps=draft if compared is not None else None,
        completeness=None if complete is None else (float(complete[0]), float(complete[1])),
        causes=tuple(score(explanation, seen)) if known else (),
        base_rates=base_rates(question, explanation) if known else (),
        people=on_people(question, explanation),
    )


def remade(explanation: Explanation, **other: Any) -> Make | None:
    """How to make this map again for another question, with `other` options where given; None when no method of ours
    made it."""
    about = explanation.made_by
    method = next((each for each in methods() if each.name == about.method), None)
    if method is None:
        return None
    options = {name: about.parameters[name] for name in method.options if name in about.parameters}
    options |= {name: value for name, value in other.items() if name in method.options}
    on = about.parameters.get("on", method.on[0])
    return lambda question: answer(question, about.method, on=on, **options)


def trusted(explanation: Explanation, report: TrustReport) -> Explanation:
    """The explanation with the report in it: it goes into every file that is written of it."""
    found: Mapping[str, Any] = report.to_dict()
    return replace(explanation, trust=found)
