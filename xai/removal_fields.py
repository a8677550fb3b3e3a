"""What a field of a removal (xai/removal.py) may hold, whoever wrote it, and how it is said in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

MOST_ENTRIES = 1024
LONGEST_NAME = 200
LARGEST_NUMBER = 1 << 20

Numbers = tuple[int, ...]


def read(name: str, value: Any, hint: Any) -> Any:
    """`value` as the field wants it; a ValueError in one sentence for everything else."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{name} must be one of {', '.join(get_args(hint))}.")
        return value
    if hint == tuple[str, ...]:
        return tuple(dict.fromkeys(read(name, each, str) for each in _list(name, value, "names")))
    if hint == Numbers | None and value is None:
        return None
    if hint in (Numbers, Numbers | None):
        return tuple(sorted({read(name, each, int) for each in _list(name, value, "whole numbers")}))
    if hint is str:
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
            raise ValueError(f"{name} must be text of 1 to {LONGEST_NAME} characters.")
        return value
    if isinstance(value, bool) or not isinstance(value, int if hint is int else int | float):
        raise ValueError(f"{name} must be a {'whole ' * (hint is int)}number.")
    if not (0 if hint is int else -LARGEST_NUMBER) <= value <= LARGEST_NUMBER:  # and never for NaN
        raise ValueError(f"{name} must be a number up to {LARGEST_NUMBER}.")
    return hint(value)


def _list(name: str, value: Any, of: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST_ENTRIES:
        raise ValueError(f"{name} must be a list of 1 to {MOST_ENTRIES} {of}.")
    return value


def listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def people_in_words(people: Numbers) -> str:
    return f"{'person' if len(people) == 1 else 'people'} {listed(str(person + 1) for person in people)}"


def whose(people: Numbers | None) -> str:
    return "" if people is None else f" of {people_in_words(people)}"


def frames_in_words(frames: Numbers) -> str:
    """'frame 3', 'frames 3-8', 'frames 3, 5 and 9-12'."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    spans = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return f"frame{'s' * (len(frames) > 1)} {listed(spans)}"


def when(frames: Numbers | None) -> str:
    return "" if frames is None else f" in {frames_in_words(frames)}"
