"""MATLAB files: numbers come out, everything else ends in a reason before it is allocated."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from training.mat import read_mat


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("version", ["4", "5"])
def test_the_arrays_that_are_asked_for_come_out(tmp_path: Path, version: str, compressed: bool) -> None:
    values = np.arange(6.0).reshape(2, 3)
    held = {"x": values, "y": values + 1, "other": values}
    scipy.io.savemat(tmp_path / "a.mat", held, format=version, do_compression=compressed and version == "5")
    found = read_mat(tmp_path / "a.mat", ["x", "y", "missing"])
    assert sorted(found) == ["x", "y"]
    np.testing.assert_array_equal(found["y"], values + 1)


def test_a_bomb_is_met_before_it_goes_off(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.zeros((1000, 300))}, do_compression=True)
    assert (tmp_path / "a.mat").stat().st_size < 20_000
    with pytest.raises(ValueError, match="it unpacks to more than 1 MB"):
        read_mat(tmp_path / "a.mat", ["x"], largest=1 << 20)
    assert read_mat(tmp_path / "a.mat", ["x"], largest=4 << 20)["x"].shape == (1000, 300)


def test_an_element_that_lies_about_its_shape_is_not_believed(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.zeros((3, 2))}, do_compression=False)
    data = bytearray((tmp_path / "a.mat").read_bytes())
    place = data.index(struct.pack("<II", 3, 2))
    data[place : place + 8] = struct.pack("<II", 1 << 20, 1 << 20)
    for suffix, written in ((".plain", bytes(data)), (".packed", None)):
        if written is None:
            packed = zlib.compress(bytes(data[128:]))
            written = bytes(data[:128]) + struct.pack("<II", 15, len(packed)) + packed
        (tmp_path / suffix).write_bytes(written)
        with pytest.raises(ValueError, match="x claims 1048576 x 1048576 numbers, more than is read"):
            read_mat(tmp_path / suffix, ["x"])


def test_only_plain_numbers_are_read(tmp_path: Path) -> None:
    for kind, value in (("cell", np.array([[1, "b"]], object)), ("struct", {"a": 1}), ("char", "text")):
        scipy.io.savemat(tmp_path / "a.mat", {"x": value})
        with pytest.raises(ValueError, match=f"x is of the kind {kind}, and numbers were expected"):
            read_mat(tmp_path / "a.mat", ["x"])
        assert read_mat(tmp_path / "a.mat", ["y"]) == {}
    (tmp_path / "a.mat").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    with pytest.raises(ValueError, match=r"\w"):
        read_mat(tmp_path / "a.mat", ["x"])
