"""Every method by name, behind one call.

explanation = explain(recognizer, clip, "integrated gradients", on="joints")
for method in methods():
    print(method.name, method.unit, method.cost)

A method is a function `(question, on, **options) -> Explanation` and a few words that say what its numbers mean. The
modules that hold them are imported when a method is first asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any, Literal

from model import FrameWise, Network
from training.clip import Clip
from training.recognizer import Recognizer
from xai.explanation import Explanation
from xai.question import Progress, Question, silent

Family = Literal["evidence", "gradient", "attention", "removal", "counterfactual"]
INSTEAD = ("tokenshift", "msca")
"""Of temporal stride attention, in an ablation: frames are read one by one, so there are no windows to show."""
FAMILIES = ("xai.own", "xai.framewise", "xai.attribution", "xai.relevance", "xai.perturb")


@dataclass(frozen=True)
class Method:
    """A way to explain a prediction, and what a reader must know of it."""

    name: str
    family: Family
    about: str
    """One sentence: what a value says."""
    unit: str
    on: tuple[str, ...]
    """What it can explain; the first is the default. "frames", "features_a", "features_b", "patches" give a pixel map,
    "joints" and "pose" a joint map, "time" a frame map, "modal" and "parts" a token map."""
    cost: str
    """In passes of the network, in words: '1 forward, 1 backward'."""
    run: Callable[..., Explanation]
    needs: tuple[str, ...] = ()
    """Attentions the network must have (deformable, joint, temporal), or joints for a clip with a skeleton."""
    signed: bool = True
    """Do values below zero mean 'speaks against'?"""

    @property
    def options(self) -> dict[str, Any]:
        """Names and defaults of what `run` takes beside the question and `on`."""
        parameters = list(inspect.signature(self.run).parameters.values())[2:]
        return {p.name: p.default for p in parameters}


@cache
def _all() -> dict[str, Method]:
    found = [method for module in FAMILIES for method in import_module(module).METHODS]
    return {method.name: method for method in found}


def methods() -> tuple[Method, ...]:
    """Every method there is."""
    return tuple(_all().values())


def refusal(method: Method, on: str, network: Network, joints: bool) -> str:
    """Why `method` cannot be asked about `on` of this network and a clip with or without `joints`: a sentence, empty if
    it can."""
    if isinstance(network, FrameWise) and ("joints" in method.needs or on in ("joints", "pose")):
        return f"{method.name} on {on} needs a network that reads joints, and this one reads pictures only."
    for part in method.needs:
        if part == "joints":
            if not joints:
                return f"{method.name} needs a clip with joints, and this one has none."
        elif getattr(network.config, part, "off") in ("off", *(INSTEAD if part == "temporal" else ())):
            return f"{method.name} needs {part} attention, which this network does not have."
    return ""


def explain(
    recognizer: Recognizer,
    clip: Clip,
    method: str,
    target: int | str | None = None,
    against: int | str | None = None,
    *,
    on: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
    **options: Any,
) -> Explanation:
    """Explain the prediction of `clip` by the method called `method`.

    Args:
        target: the class (a label or its number) whose logit is explained; the most probable one by default.
        against: explain why `target` rather than this class.
        on: which of `Method.on`; its first by default.
        progress: called with (done, total); what it raises ends the computation.
        options: of the method (`Method.options`).

    Raises: ValueError in one sentence for what the method, the network or the clip does not have.
    """
    question = Question.ask(recognizer, clip, target, against, seed=seed, progress=progress)
    return answer(question, method, on=on, **options)


def answer(question: Question, method: str, *, on: str | None = None, **options: Any) -> Explanation:
    """`explain` for a question that is already asked."""
    if method not in _all():
        raise ValueError(f"There is no method {method!r}; there are {', '.join(_all())}.")
    chosen = _all()[method]
    if on is not None and on not in chosen.on:
        raise ValueError(f"{chosen.name} explains {', '.join(chosen.on)}, not {on!r}.")
    if unknown := sorted(set(options) - set(chosen.options)):
        known = ", ".join(chosen.options) or "none"
        raise ValueError(f"{chosen.name} has no option {unknown[0]!r}; it has {known}.")
    if why := refusal(chosen, on or chosen.on[0], question.recognizer.network, bool(question.seen.score.any())):
        raise ValueError(why)
    on = on or chosen.on[0]
    found = chosen.run(question, on, **options)
    # What was asked for goes along, so that the same map can be made again.
    parameters = {**found.made_by.parameters, "on": on, **options}
    return replace(found, made_by=replace(found.made_by, parameters=parameters))
