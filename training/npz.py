"""`.npz` files that may come from strangers: bounded before anything is allocated, never a pickle, atomic to write."""

from __future__ import annotations

import math
import os
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

LARGEST = 512 << 20


def read_npz(path: str | Path, largest: int = LARGEST) -> dict[str, np.ndarray]:
    """All arrays of the file, at most `largest` bytes of them.

    Raises ValueError for anything else: no zip archive, object arrays, headers that claim more than the file holds.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            if total > largest:
                raise ValueError(f"it unpacks to {total >> 20} MB, and at most {largest >> 20} MB are read")
            for entry in entries:
                with archive.open(entry) as file:
                    version = npy.read_magic(file)
                    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                    shape, _, dtype = read(file)
                    if dtype.hasobject:
                        raise ValueError("it holds Python objects, which are never unpacked")
                    if math.prod(shape) * dtype.itemsize > entry.file_size:
                        raise ValueError(f"{entry.filename} claims more values than it holds")
                with archive.open(entry) as file:
                    name = entry.filename.removesuffix(".npy")
                    arrays[name] = npy.read_array(file, allow_pickle=False)
    except Exception as error:  # damaged bytes lead zipfile, zlib and NumPy to raise whatever they may
        said = " ".join(str(error).split())[:160]
        raise ValueError(said if isinstance(error, ValueError) else f"it is no .npz archive ({said})") from error
    return arrays


def map_npz(path: str | Path, name: str) -> np.ndarray:
    """One array of an uncompressed archive (`np.savez`), memory-mapped: its values are read when they are asked for.

    It cannot be written to and may lie unaligned, so copy what goes on to PyTorch. Raises ValueError and KeyError for
    what is no such array.
    """
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(f"{name}.npy")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed, and cannot be mapped")
        with archive.open(entry) as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(file)
            start = file.tell()
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never unpacked")
    if math.prod(shape) * dtype.itemsize != entry.file_size - start:
        raise ValueError(f"{name} claims other values than it holds")
    if not math.prod(shape):
        return np.empty(shape, dtype)
    with open(path, "rb") as raw:
        raw.seek(entry.header_offset + 26)  # the local header may be longer than that of the directory
        start += entry.header_offset + 30 + sum(struct.unpack("<HH", raw.read(4)))
    mapped = np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
    return np.asarray(mapped)  # a plain array over the same mapping: slicing a memmap is slow


def write_npz(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Write compressed arrays; the file appears complete or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())  # before it gets its name: after a power cut, what has a name is whole
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
