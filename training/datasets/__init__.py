"""Data sets behind one interface (`base.Dataset`), opened by a short text.

gym                          clips of known cause
gym?train=4000&size=80       with options
jhmdb:FOLDER?split=2         JHMDB, official split 2
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from training.datasets.base import Dataset
from training.errors import ClipError

__all__ = ["Dataset", "open_dataset"]


def open_dataset(text: str) -> Dataset:
    """The data set that `text` names. Raises ClipError in one sentence for unknown names and options."""
    head, _, query = text.partition("?")
    kind, _, path = head.partition(":")
    try:
        options = {name: int(value) for name, value in parse_qsl(query, strict_parsing=bool(query))}
    except ValueError as error:
        raise ClipError(f"Options of a data set look like ?split=1&size=112; {query!r} does not.") from error
    try:
        if kind == "gym" and not path:
            from training.datasets.gym import Gym

            return Gym(**options)
        if kind == "jhmdb" and path:
            from training.datasets.jhmdb import Jhmdb

            return Jhmdb(path, **options)  # type: ignore[arg-type]
    except TypeError as error:
        raise ClipError(f"{kind} does not take all of the options {', '.join(options)}.") from error
    raise ClipError(f"Unknown data set {text!r}; known are gym and jhmdb:FOLDER.")
