"""Arrays that are mapped out of an archive are those that were written; what is no such archive is refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from training.npz import map_npz


def test_every_array_of_an_archive_can_be_mapped(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "a": random.random((3, 5), dtype=np.float32),
        "columns": np.asfortranarray(random.random((4, 7))),
        "none": np.empty((0, 2), np.int16),
        "odd": random.integers(0, 256, 5, dtype=np.uint8),
        "last": np.arange(11),
        "word": np.array(["left", "right"]),
    }
    np.savez(tmp_path / "some.npz", **arrays)  # type: ignore[arg-type]
    for name, values in arrays.items():
        mapped = map_npz(tmp_path / "some.npz", name)
        assert mapped.dtype == values.dtype
        assert np.array_equal(mapped, values), name
        assert not mapped.size or not mapped.flags.writeable


def test_an_array_that_cannot_be_mapped_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    np.savez_compressed(path, a=np.zeros(9))
    with pytest.raises(ValueError, match="compressed"):
        map_npz(path, "a")
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):
        map_npz(path, "a")
    with pytest.raises(KeyError):
        map_npz(path, "b")
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)})
    with pytest.raises(ValueError, match="claims other values"):
        map_npz(path, "a")
