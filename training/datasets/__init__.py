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

from importlib import import_module
from typing import Any

from training.datasets.base import Dataset
from training.errors import ClipError

__all__ = ["Dataset", "open_dataset"]

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
_CALLED = {"set": "classes"}
"""Options that the readers call by another name."""


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
