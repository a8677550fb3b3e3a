"""Arrays that stay in a file until they are asked for: what `training.restricted_pickle` makes of a pickled array."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from training.errors import ClipError


class Stored:
    """Bytes that stay in the file."""

    __slots__ = ("offset", "size", "text")

    def __init__(self, offset: int, size: int, text: bool) -> None:
        self.offset, self.size, self.text = offset, size, text


class StoredArray:
    """An array in a pickle: its shape and type are known, its values are read from the file when asked for."""

    __slots__ = ("data", "dtype", "fortran", "path", "shape")

    def __init__(self, path: str) -> None:
        self.path = path
        self.shape: tuple[int, ...] = ()
        self.dtype = np.dtype("f4")
        self.fortran = False
        self.data: Stored | bytes | None = None

    def read(self) -> np.ndarray:
        """The values. Raises ClipError if the file is not the one that was opened."""
        name = Path(self.path).name
        if self.data is None:
            raise ClipError(f"{name} has an array without values; it may be broken off.")
        held = self.data if isinstance(self.data, bytes) else _bytes_at(self.path, self.data)
        if len(held) != math.prod(self.shape) * self.dtype.itemsize:
            raise ClipError(f"{name} has an array of {list(self.shape)} with {len(held)} bytes; it may be damaged.")
        array = np.frombuffer(held, self.dtype)
        return array.reshape(self.shape, order="F" if self.fortran else "C")


def _bytes_at(path: str, place: Stored) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(place.offset)
            found = file.read(place.size)
    except OSError as error:
        raise ClipError(f"{path} cannot be read any more ({error.strerror}).") from error
    return from_text(found, Path(path).name) if place.text else found


def from_text(found: bytes, name: str) -> bytes:
    """The bytes that pickles of protocol 2 write as text: each is the character of its number."""
    try:
        return found.decode("utf-8").encode("latin-1")
    except UnicodeError as error:
        raise ClipError(f"{name} has an array whose bytes are not written as NumPy writes them.") from error
