"""Data sets behind one interface (`base.Dataset`), opened by a short text.

gym                                         clips of known cause
gym?train=4000&size=80                      with options
jhmdb:FOLDER?split=2                        JHMDB, official split 2
jhmdb:FOLDER?split=2&amodal=0               without joints that lie outside the frame
penn:FOLDER                                 Penn Action, official split
ntu:FOLDER?protocol=xsub&classes=60         NTU RGB+D 60 or 120
finegym:FOLDER?set=99                       FineGYM 99 or 288
skeletons:FILE.pkl?videos=FOLDER&split=xsub annotations of PySKL and MMAction2
folder:FOLDER                               one's own videos, a folder a class

Options are written as they are: nothing is decoded, so a path may hold any character but `&`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from training.datasets.base import Dataset
from training.errors import ClipError

__all__ = ["Dataset", "open_dataset", "protocols"]

_SWITCH = {"0": False, "1": True}
_KINDS: dict[str, tuple[str, str, dict[str, type]]] = {
    "gym": ("gym", "Gym", {"train": int, "val": int, "test": int, "size": int, "frames": int}),
    "jhmdb": ("jhmdb", "Jhmdb", {"split": int, "masks": bool, "amodal": bool}),
    "penn": ("penn_action", "PennAction", {"joints_only": bool}),
    "ntu": ("ntu", "Ntu", {"protocol": str, "classes": int, "missing": str}),
    "finegym": ("finegym", "FineGym", {"set": int, "poses": str, "joints_only": bool}),
    "skeletons": ("skeleton_pickle", "SkeletonPickle", {"videos": str, "split": str, "names": str, "people": int}),
    "folder": ("folder", "Folder", {"layout": str}),
}
"""Name -> (module, class, options with their types)."""
PROTOCOLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "jhmdb": ("split", ("1", "2", "3")),
    "ntu": ("protocol", ("xsub", "xview")),
    "finegym": ("set", ("99", "288")),
    "skeletons": ("split", ()),
}
"""Name -> the option that chooses a protocol, and what was published."""
_CALLED = {"set": "classes"}
"""Options that the readers call by another name."""


def protocols(text: str, asked: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(name, data set) of each published protocol of a data set that is named without one, or of those asked for.

    split-1 to split-3 of JHMDB, protocol-xsub and protocol-xview of NTU RGB+D 60; one that is called `official` where
    there is one only, or the text names it. Raises ClipError where nobody published any.
    """
    head, _, query = text.partition("?")
    option, published = PROTOCOLS.get(head.partition(":")[0], ("", ()))
    parts = query.split("&") if query else []
    if not option or any(part.startswith(f"{option}=") for part in parts):
        if asked:
            why = f"{text!r} names its own" if option else f"{head} has no choice of splits"
            raise ClipError(f"{why}; leave out --splits.")
        return [("official", text)]
    if option == "protocol" and "classes=120" in parts:
        published = "xsub", "xset"
    if not (names := asked or published):
        raise ClipError(f"The splits of {head} are named in its file; say which with --splits.")
    return [(f"{option}-{name}", f"{text}{'&' if parts else '?'}{option}={name}") for name in names]


def open_dataset(text: str) -> Dataset:
    """The data set that `text` names. Raises ClipError in one sentence for unknown names and options."""
    head, _, query = text.partition("?")
    kind, _, path = head.partition(":")
    if kind not in _KINDS or bool(path) == (kind == "gym"):
        known = ", ".join(name if name == "gym" else f"{name}:PATH" for name in _KINDS)
        raise ClipError(f"Unknown data set {text!r}; known are {known}.")
    module, name, types = _KINDS[kind]
    options: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        option, equals, value = part.partition("=")
        if not equals or not value:
            raise ClipError(f"Options of a data set look like ?split=1&size=112; {part!r} does not.")
        if option not in types:
            raise ClipError(f"{kind} does not take the option {option!r}; it takes {', '.join(types)}.")
        options[_CALLED.get(option, option)] = _read(value, types[option], part)
    reader = getattr(import_module(f"training.datasets.{module}"), name)
    return reader(path, **options) if path else reader(**options)


def _read(value: str, kind: type, part: str) -> Any:
    try:
        return _SWITCH[value] if kind is bool else kind(value)
    except (ValueError, KeyError) as error:
        expected = "0 or 1" if kind is bool else "a whole number"
        raise ClipError(f"Options of a data set look like ?split=1&size=112; {part!r} needs {expected}.") from error
