"""Lessons: guided tours over the live views, as data. A lesson is a YAML file, and teachers write their own.

    title: What is a token?
    minutes: 15
    about: One sentence for the shelf.                     # optional
    steps:
      - title: A frame is many numbers
        text: Markdown, with formulas between dollar signs.
        clip: wave-right-hand                              # a key of assets/index.json
        checkpoint: gym-cross                              # or lanes: [none, single, cross]
        open: {frame: 6, joint: right wrist, block: 1, head: mean, query: cls, label: bow}     # optional, all of it
        focus: stage                                       # optional: a part of the player, see FOCUS
        question:                                          # optional: predict, then reveal
          ask: What will happen?
          options: [This, That]
          reveal: Markdown that is shown afterwards.
          right: 2                                         # optional, when one option is right whatever is done
        removal: [{kind: limbs, limbs: [right arm]}]       # optional: what is taken away at the reveal (xai/removal.py)

`clip`, `checkpoint` and `lanes` stay as they are until a step changes them. Frames, blocks, heads, people and options
count from 1, as on screen; frames of a removal are those of xai/removal.py, the clip's own, from 0.

`read_lesson` checks the form, `check_lesson` whether what a lesson names exists. Both raise LessonError in one sentence
with the line and the key. Neither imports torch unless a step takes something away.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import yaml

LARGEST = 1 << 16
"""Bytes of a lesson."""
DEEPEST = 8
LONGEST_TEXT = 4000
MOST_STEPS = 40
MOST_OPTIONS = 6
LONGEST_REMOVAL = 4000
FOCUS = {
    "sentence": "the sentence on top",
    "answers": "the answers",
    "stage": "the large picture",
    "film": "the film strip",
    "curves": "the joint curves",
    "ledger": "the ledger",
    "key": "the key beside the picture",
    "model": "the drawn model",
}
"""Parts of the player that a step can point at, and what they are called on the page."""
QUERIES = ("cls", "rgb", "pose", "shared")
LANES = ("none", "single", "cross")


_PLAIN = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp"))


class LessonError(ValueError):
    """What is wrong with a lesson, in one sentence, with its line and key."""


@dataclass(frozen=True)
class Opens:
    """Where the player opens, as it is written: counted from 1, the joint by its name."""

    frame: int | None = None
    joint: str | None = None
    person: int | None = None
    block: int | None = None
    head: int | None = None
    """0 is the mean of the heads."""
    query: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Question:
    """Predict, then reveal."""

    ask: str
    options: tuple[str, ...]
    reveal: str
    right: int | None = None
    """Index of the option that is right, from 0; tests compute it for the lessons that ship."""


@dataclass(frozen=True)
class Step:
    """One step of a lesson."""

    title: str
    text: str
    clip: str
    checkpoint: str
    lanes: tuple[str, ...] = ()
    opens: Opens = Opens()
    focus: str | None = None
    question: Question | None = None
    removal: str = ""
    """JSON that xai/removal.py reads; "" is nothing."""
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Where each key of the step stands in its file."""

    def checkpoints(self, library: Shelf) -> list[Any]:
        """The checkpoint that is shown, or one for each lane, out of the same family."""
        if not self.lanes:
            return [each for each in library.checkpoints if each.key == self.checkpoint]
        family = self.checkpoint.split("-")[0]
        of_family = [each for each in library.checkpoints if each.key.split("-")[0] == family]
        return [each for mode in self.lanes for each in of_family if each.token_mode == mode]


@dataclass(frozen=True)
class Lesson:
    """A lesson; `digest` names its text, so that answers to one version never count for another."""

    key: str
    title: str
    minutes: int
    about: str
    steps: tuple[Step, ...]
    digest: str = field(compare=False)


class Shelf(Protocol):
    """What a lesson is checked against: the bundled clips, checkpoints and traces (xai/dashboard/library.py)."""

    @property
    def clips(self) -> tuple[Any, ...]: ...
    @property
    def checkpoints(self) -> tuple[Any, ...]: ...
    def payload(self, checkpoint: str, clip: str) -> dict[str, Any] | None: ...


@lru_cache(maxsize=4)
def lessons_of(folder: Path) -> tuple[Lesson, ...]:
    """All lessons of a folder, in the order of their file names (`1-tokens.yaml` comes first)."""
    return tuple(read_lesson(path.read_bytes(), path.name) for path in sorted(folder.glob("*.yaml")))


def read_lesson(data: bytes | str, name: str = "lesson.yaml") -> Lesson:
    """The lesson in the text of a YAML file called `name`. Raises LessonError."""
    raw = data.encode() if isinstance(data, str) else data
    if len(raw) > LARGEST:
        raise LessonError(f"{name} is larger than {LARGEST // 1024} KB; a lesson is text, so make it shorter.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise LessonError(f"{name}, line {line}: this is not text in UTF-8; save the lesson as UTF-8.") from error
    root = _compose(text, name)
    top = _Keys.of(root, name, "title", "a lesson", ("title", "minutes", "about", "steps"))
    title, minutes = top.text("title", 120), top.number("minutes", 1, 240)
    assert minutes is not None
    about = top.text("about", 400, needed=False)
    steps: list[Step] = []
    for node in top.items("steps", 1, MOST_STEPS, "steps"):
        steps.append(_step(node, name, steps[-1] if steps else None))
    key = re.sub(r"^\d+-|\.ya?ml$", "", name)
    return Lesson(key, title, minutes, about, tuple(steps), hashlib.sha256(raw).hexdigest()[:12])


_STEP = ("title", "text", "clip", "checkpoint", "lanes", "open", "focus", "question", "removal")


def _step(node: yaml.Node, name: str, before: Step | None) -> Step:
    keys = _Keys.of(node, name, "steps", "a step", _STEP)
    title, text = keys.text("title", 120), keys.text("text", LONGEST_TEXT)
    clip = keys.text("clip", 120, needed=before is None) or (before.clip if before else "")
    checkpoint = keys.text("checkpoint", 120, needed=False) or (before.checkpoint if before else "gym-cross")
    lanes = before.lanes if before and "checkpoint" not in keys else ()
    if "lanes" in keys:
        lanes = tuple(keys.scalar("lanes", each) for each in keys.items("lanes", 0, 3, "lanes"))
        for lane in lanes:
            keys.among("lanes", lane, LANES)
        if len(set(lanes)) < len(lanes):
            raise keys.wrong("lanes", "names a lane twice; name each once.")
    focus = keys.text("focus", 40, needed=False) or None
    if focus:
        keys.among("focus", focus, tuple(FOCUS))
    question = _question(keys.pairs["question"], name) if "question" in keys else None
    removal = _removal(keys) if "removal" in keys else ""
    if removal and question is None:
        raise keys.wrong("removal", "is shown at the reveal of a question, and this step asks none; add a 'question'.")
    if removal and lanes:
        raise keys.wrong("removal", "needs one checkpoint, and this step shows lanes; write 'lanes: []' or drop it.")
    opens = _opens(keys.pairs["open"], name) if "open" in keys else Opens()
    return Step(title, text, clip, checkpoint, lanes, opens, focus, question, removal, keys.lines)


def _opens(node: yaml.Node, name: str) -> Opens:
    keys = _Keys.of(node, name, "open", "open", ("frame", "joint", "person", "block", "head", "query", "label"))
    head = 0 if "head" in keys and keys.text("head", 8) == "mean" else keys.number("head", 1, 64, needed=False)
    if query := keys.text("query", 20, needed=False):
        keys.among("query", query, QUERIES)
    return Opens(
        keys.number("frame", 1, 1024, needed=False), keys.text("joint", 80, needed=False) or None,
        keys.number("person", 1, 64, needed=False), keys.number("block", 1, 48, needed=False), head, query or None,
        keys.text("label", 120, needed=False) or None,
    )  # fmt: skip


def _question(node: yaml.Node, name: str) -> Question:
    keys = _Keys.of(node, name, "question", "a question", ("ask", "options", "reveal", "right"))
    ask, reveal = keys.text("ask", 600), keys.text("reveal", LONGEST_TEXT)
    options = tuple(keys.scalar("options", each, 200) for each in keys.items("options", 2, MOST_OPTIONS, "options"))
    if len(set(options)) < len(options):
        raise keys.wrong("options", "holds the same option twice; make them different.")
    right = keys.number("right", 1, len(options), needed=False)
    return Question(ask, options, reveal, None if right is None else right - 1)


def _removal(keys: _Keys) -> str:
    """The form only: what may stand in a removal is known to xai/removal.py, which `check_lesson` asks."""
    items = keys.items("removal", 1, 16, "removals")
    try:
        found = [yaml.constructor.SafeConstructor().construct_object(each, deep=True) for each in items]
        text = json.dumps(found, separators=(",", ":"))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise keys.wrong("removal", "holds what JSON cannot; write text, numbers and lists only.") from error
    if not all(isinstance(each, dict) and isinstance(each.get("kind"), str) for each in found):
        raise keys.wrong("removal", "must be a list of mappings that have a 'kind', as in {kind: offsets}.")
    if len(text) > LONGEST_REMOVAL:
        raise keys.wrong("removal", f"is longer than {LONGEST_REMOVAL} characters; take less away.")
    return text


# ---- Does it exist? -------------------------------------------------------------------------------------------------


def check_lesson(lesson: Lesson, library: Shelf, name: str = "lesson.yaml") -> None:
    """Are the clips, checkpoints, joints, labels and removals of a lesson there? Raises LessonError."""
    for number, step in enumerate(lesson.steps, start=1):

        def wrong(key: str, sentence: str, step: Step = step, number: int = number) -> LessonError:
            line = step.lines.get(key, step.lines.get("step", 0))
            return LessonError(f"{name}, line {line}: {key!r} of step {number} {sentence}")

        clips = [clip.key for clip in library.clips]
        if step.clip not in clips:
            raise wrong("clip", f"is {step.clip!r}; the bundled clips are {', '.join(clips)}.")
        chosen = step.checkpoints(library)
        if len(chosen) < max(1, len(step.lanes)):
            keys = ", ".join(checkpoint.key for checkpoint in library.checkpoints)
            key = "lanes" if step.lanes else "checkpoint"
            asked = f"asks for {', '.join(step.lanes)} of the family of" if step.lanes else "is"
            raise wrong(key, f"{asked} {step.checkpoint!r}; the bundled checkpoints are {keys}.")
        payloads = [library.payload(checkpoint.key, step.clip) for checkpoint in chosen]
        if any(payload is None for payload in payloads):
            raise wrong("clip", f"is {step.clip!r}, which has no bundled trace for every checkpoint of this step.")
        shown = [payload for payload in payloads if payload is not None]
        for key, value, known in _asked(step.opens, shown):
            if value not in known:
                raise wrong("open", f"asks for {key} {value!r}; there is {_listed(known)}.")
        if step.removal:
            from xai.removal import from_json

            try:
                removals = from_json(step.removal)
            except ValueError as error:
                raise wrong("removal", f"cannot be read: {error}") from error
            for removal in removals:
                for key, value, known in _removed(removal, shown[0]):
                    if value not in known:
                        raise wrong("removal", f"takes away {key} {value!r}; there is {_listed(known)}.")


def _asked(opens: Opens, payloads: Sequence[dict[str, Any]]) -> list[tuple[str, Any, Sequence[Any]]]:
    """(key, what is asked for, what there is)."""
    first, models = payloads[0], [payload["model"] for payload in payloads]
    skeleton = first["skeleton"] or {"names": [], "people": []}
    queries = [query for model in models for query in model.get("queries") or []]
    known: dict[str, Sequence[Any]] = {
        "frame": range(1, first["clip"]["frames"] + 1),
        "joint": skeleton["names"],
        "person": [person + 1 for person in skeleton["people"]],
        "block": range(1, max(int(model.get("layers") or 1) for model in models) + 1),
        "head": range(max(int(model.get("heads") or 1) for model in models) + 1),
        "query": queries,
        "label": [each["label"] for each in first["classes"]],
    }
    asked = {key: getattr(opens, key) for key in known}
    return [(key, value, known[key]) for key, value in asked.items() if value is not None]


def _removed(removal: Any, payload: dict[str, Any]) -> list[tuple[str, Any, Sequence[Any]]]:
    skeleton = payload["skeleton"] or {"names": [], "limbs": []}
    known = {
        "joints": skeleton["names"],
        "limbs": skeleton["limbs"],
        "tokens": payload["ledger"]["tokens"],
        "layers": range(int(payload["model"].get("layers") or 1)),
    }
    return [(key, value, there) for key, there in known.items() for value in getattr(removal, key, None) or ()]


def _listed(known: Sequence[Any]) -> str:
    if isinstance(known, range):
        return f"{known[0]} to {known[-1]}"
    return ", ".join(map(str, known)) or "none"


# ---- YAML with lines ------------------------------------------------------------------------------------------------


def _compose(text: str, name: str) -> yaml.Node:
    """The nodes of the text, which know their lines. Nothing is constructed, aliases and deep nesting are refused."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            line = event.start_mark.line if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent):
                raise LessonError(f"{_place(text, line, name)} refers to something else by '*'; write it out.")
            if depth > DEEPEST:
                raise LessonError(f"{_place(text, line, name)} is nested more than {DEEPEST} deep; make it flatter.")
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join((error.problem or "it cannot be read").split())[:120]
        place = _place(text, mark.line if mark else 0, name)
        raise LessonError(f"{place} is no YAML here ({problem}); check the indent, colons and quotes.") from error
    except yaml.reader.ReaderError as error:
        place = _place(text, text.count("\n", 0, error.position), name)
        raise LessonError(f"{place} holds a character that YAML does not allow; retype the line.") from error
    if root is None:
        raise LessonError(f"{name}, line 1: 'title' is missing, the file is empty; start from one of the lessons here.")
    return root


def _place(text: str, line: int, name: str) -> str:
    """'x.yaml, line 7: 'minutes'': the line, and the key on it or nearest above it."""
    lines = text.splitlines()
    for above in range(min(line, len(lines) - 1), -1, -1):
        if found := re.match(r"[\s-]*['\"]?(\w+)['\"]?\s*:", lines[above]):
            return f"{name}, line {line + 1}: {found[1]!r}"
    return f"{name}, line {line + 1}: the text before the first key"


@dataclass(frozen=True)
class _Keys:
    """A mapping of the file: its keys with their nodes, read one by one."""

    name: str
    what: str
    pairs: Mapping[str, yaml.Node]
    lines: Mapping[str, int]

    @classmethod
    def of(cls, node: yaml.Node, name: str, key: str, what: str, known: Sequence[str]) -> _Keys:
        start = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise LessonError(f"{name}, line {start}: {key!r} needs keys with values here; {_known(what, known)}.")
        pairs: dict[str, yaml.Node] = {}
        lines = {"step": start}
        for left, value in node.value:
            said = str(left.value)[:40] if isinstance(left, yaml.ScalarNode) else "a list"
            line = left.start_mark.line + 1
            if said not in known:
                raise LessonError(f"{name}, line {line}: {said!r} is no key of {what}; {_known(what, known)}.")
            if said in pairs:
                raise LessonError(f"{name}, line {line}: {said!r} stands twice in {what}; keep one.")
            pairs[said], lines[said] = value, line
        return cls(name, what, pairs, lines)

    def __contains__(self, key: str) -> bool:
        return key in self.pairs

    def wrong(self, key: str, sentence: str, node: yaml.Node | None = None) -> LessonError:
        line = node.start_mark.line + 1 if node is not None else self.lines.get(key, self.lines["step"])
        return LessonError(f"{self.name}, line {line}: {key!r} {sentence}")

    def among(self, key: str, value: str, known: Sequence[str]) -> None:
        if value not in known:
            raise self.wrong(key, f"is {value[:40]!r}; it must be one of {', '.join(known)}.")

    def scalar(self, key: str, node: yaml.Node, longest: int = 80) -> str:
        """Text, as it is written: a plain `No` stays 'No'."""
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _PLAIN:
            raise self.wrong(key, "must hold plain text; put it into quotes if it looks like a list or mapping.", node)
        value = str(node.value).strip()
        if not value or (node.tag == "tag:yaml.org,2002:null" and node.style is None):
            raise self.wrong(key, "is empty; write something or drop the key.", node)
        if len(value) > longest:
            raise self.wrong(key, f"has {len(value)} characters; it may have {longest}.", node)
        if "![" in value:
            raise self.wrong(key, "links a picture; lessons show the live views, so take it out.", node)
        return value

    def text(self, key: str, longest: int, needed: bool = True) -> str:
        if key in self.pairs:
            return self.scalar(key, self.pairs[key], longest)
        if needed:
            raise self.wrong(key, f"is missing from {self.what}; add it.")
        return ""

    def number(self, key: str, low: int, high: int, needed: bool = True) -> int | None:
        if key not in self.pairs:
            if needed:
                raise self.wrong(key, f"is missing from {self.what}; add it.")
            return None
        value = self.scalar(key, self.pairs[key])
        if not re.fullmatch(r"\d{1,6}", value) or not low <= int(value) <= high:
            raise self.wrong(key, f"is {value[:40]!r}; it must be a whole number from {low} to {high}.")
        return int(value)

    def items(self, key: str, fewest: int, most: int, of: str) -> list[yaml.Node]:
        node = self.pairs.get(key)
        if node is None:
            raise self.wrong(key, f"is missing from {self.what}; add it.")
        if not isinstance(node, yaml.SequenceNode) or not fewest <= len(node.value) <= most:
            raise self.wrong(key, f"must be a list of {fewest} to {most} {of}.")
        return list(node.value)


def _known(what: str, known: Sequence[str]) -> str:
    return f"{what} has {', '.join(known)}"
