"""MATLAB files that may come from strangers: plain numbers only, and bounded before anything is allocated."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io

LARGEST = 64 << 20
NUMBERS = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "logical")
COMPRESSED = 15
"""The kind of an element (miCOMPRESSED) whose data are another element, deflated."""
BLOCK = 1 << 20


def read_mat(path: str | Path, names: Sequence[str], largest: int = LARGEST) -> dict[str, np.ndarray]:
    """Those of the arrays `names` that the file has. Raises ValueError for anything but plain numbers.

    Cells, structs and objects are refused, whatever unpacks to more than `largest` bytes too.
    """
    path = Path(path)
    try:
        check_unpacked(path, largest)
        for name, shape, kind in scipy.io.whosmat(path):
            if name not in names:
                continue
            if kind not in NUMBERS:
                raise ValueError(f"{name} is of the kind {kind}, and numbers were expected")
            if min(shape, default=0) < 0 or math.prod(shape) * 8 > largest:
                raise ValueError(f"{name} claims {' x '.join(map(str, shape))} numbers, more than is read")
        found = scipy.io.loadmat(path, variable_names=names)
        return {name: np.asarray(found[name]) for name in names if name in found}
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise ValueError(" ".join(str(error).split())[:160] or type(error).__name__) from error


def check_unpacked(path: Path, largest: int = LARGEST) -> None:
    """Raises ValueError for a file that is, or unpacks to, more than `largest` bytes.

    Inflates every compressed element of a file of version 5 and keeps nothing, so that a bomb never meets scipy.
    """
    if path.stat().st_size > largest:
        raise ValueError(f"it has {path.stat().st_size >> 20} MB, and at most {largest >> 20} MB are read")
    data = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:  # version 4 compresses nothing, version 7.3 is refused
        return
    place, total = 128, 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        if kind == COMPRESSED:
            unpack = zlib.decompressobj()
            rest = data[place + 8 : place + 8 + size]
            while rest and not unpack.eof:
                total += len(unpack.decompress(rest, BLOCK))
                rest = unpack.unconsumed_tail
                if total > largest:
                    raise ValueError(f"it unpacks to more than {largest >> 20} MB")
        place += 8 + size
