"""The restricted reader: real annotation pickles come out as they went in, hostile ones do nothing at all."""

from __future__ import annotations

import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import restricted_pickle
from training.errors import ClipError
from training.restricted_pickle import read_pickle
from training.stored_array import StoredArray

PROTOCOLS = (2, 3, 4, 5)


def _content() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    shape = (1080, 1920)
    return {
        "split": {"xsub_train": ["S001", "S002"], "xsub_val": ("S003",), "some": {"a", "b"}},
        "annotations": [
            {
                "frame_dir": "S001C001P001R001A00é",
                "label": np.int64(7),
                "share": np.float32(0.5),
                "total_frames": 300,
                "img_shape": shape,
                "original_shape": shape,
                "keypoint": generator.random((2, 40, 17, 2)).astype(np.float16),
                "keypoint_score": generator.random((2, 5, 17)).astype(np.float16),
                "small": np.array([[1, 2], [3, -4]], np.int32),
                "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
                "big endian": np.arange(5, dtype=">i2"),
                "flags": np.array([True, False]),
                "empty": np.zeros((0, 17, 2), np.float32),
                "single": np.array(2.5),
                "bytes": np.arange(256, dtype=np.uint8),
                "nothing": None,
                "numbers": [-1, 255, 65535, 1 << 20, -(1 << 40), 1.5, True],
            }
        ],
    }


def _same(read: Any, original: Any) -> None:
    if isinstance(original, np.ndarray):
        assert isinstance(read, StoredArray)
        values = read.read()
        assert values.shape == original.shape
        assert values.dtype == original.dtype
        np.testing.assert_array_equal(values, original)
    elif isinstance(original, dict):
        assert list(read) == list(original)
        for key in original:
            _same(read[key], original[key])
    elif isinstance(original, list | tuple):
        assert type(read) is type(original)
        for one, other in zip(read, original, strict=True):
            _same(one, other)
    else:
        assert read == original
        assert not isinstance(read, np.generic)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_what_numpy_2_writes(tmp_path: Path, protocol: int) -> None:
    content = _content()
    path = _write(tmp_path / "a.pkl", pickle.dumps(content, protocol))
    _same(read_pickle(path), content)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_what_numpy_1_wrote(tmp_path: Path, protocol: int) -> None:
    content = {"keypoint": np.arange(6, dtype=np.float16).reshape(1, 2, 3), "label": np.int64(3)}
    data = pickle.dumps(content, protocol)
    old = data
    for module in (b"numeric", b"multiarray"):
        new, name = b"numpy._core." + module, b"numpy.core." + module
        changed = old.count(new)
        # protocol 4 writes the length before a name, and of the whole block before all
        old = old.replace(b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(name)]) + name).replace(new, name)
        if protocol >= 4:
            (block,) = struct.unpack_from("<Q", old, 3)
            old = old[:3] + struct.pack("<Q", block - changed) + old[11:]
    assert b"numpy.core." in old
    assert b"_core" not in old
    _same(read_pickle(_write(tmp_path / "a.pkl", old)), content)


def test_arrays_stay_in_the_file(tmp_path: Path) -> None:
    values = np.arange(100_000, dtype=np.float32)
    path = _write(tmp_path / "a.pkl", pickle.dumps([values, values], 4))
    first, second = read_pickle(path)
    assert first is second
    assert not isinstance(first.data, bytes)
    again = pickle.loads(pickle.dumps(first))  # as processes that read clips receive it
    np.testing.assert_array_equal(again.read(), values)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ClipError, match=r"array of \[100000\] with"):
        first.read()


def test_reads_a_real_file(data_dir: Path) -> None:
    content = read_pickle(data_dir / "samples" / "mmaction2" / "sample.pkl")
    first = content["annotations"][0]
    assert first["frame_dir"] == "jf7RDuUTrsQ"
    assert first["img_shape"] == (320, 570)
    assert first["frame_inds"].read().dtype == np.int16
    assert (first["frame_inds"].shape, len(content["annotations"])) == ((260,), 100)
    assert first["valid"][0.5] == 150


class _Runs:
    """Pickles as a call of anything with anything."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return self.call[0], tuple(self.call[1:])


def _by_hand(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls a name which this process need not have."""
    pushed = b"".join(b"X" + struct.pack("<I", len(text)) + text.encode() for text in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + pushed + b"tR."


def _array(*, shape: bytes = b"K\x02\x85", kind: str = "f4", data: bytes = b"C\x08" + bytes(8)) -> bytes:
    """A pickled array of whatever is claimed."""
    dtype = b"cnumpy\ndtype\nX" + struct.pack("<I", len(kind)) + kind.encode() + b"\x89\x88\x87R"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    return b"\x80\x03" + made + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb."


def _bomb(levels: int) -> bytes:
    """Lists that hold the list before ten times: 10 ** levels values in a few bytes."""
    data = b"]q\x00K\x01a"
    for level in range(levels):
        data = b"](" + data + (b"h" + bytes([level])) * 9 + b"eq" + bytes([level + 1])
    return b"\x80\x02" + data + b"."


def _hostile(target: Path) -> dict[str, bytes]:
    touch = f"touch {target}"
    return {
        "system": pickle.dumps(_Runs(os.system, touch), 2),
        "system as posix, protocol 4": pickle.dumps({"annotations": [_Runs(os.system, touch)]}, 4),
        "eval": pickle.dumps(_Runs(eval, f"open({str(target)!r}, 'w')"), 3),
        "exec of builtins": _by_hand("__builtin__", "exec", f"open({str(target)!r}, 'w')"),
        "getattr chain": b"\x80\x02cbuiltins\ngetattr\n(cos\nX\x06\x00\x00\x00systemtR(X\x02\x00\x00\x00idtR.",
        "import": _by_hand("builtins", "__import__", "antigravity"),
        "module with a dotted name": b"\x80\x04\x8c\x08builtins\x8c\x0fdict.fromkeys.x\x93.",
        "numpy load": _by_hand("numpy", "load", str(target)),
        "numpy file": _by_hand("numpy", "fromfile", str(target)),
        "numpy format with pickles": _by_hand("numpy.lib.format", "read_array", str(target)),
        "numpy runs text": _by_hand("numpy.testing._private.utils", "runstring", f"open({str(target)!r}, 'w')", "{}"),
        "codec that unpacks": _by_hand("_codecs", "encode", "A" * 100, "bz2"),
        "codec that decodes": _by_hand("_codecs", "decode", "A" * 100, "zip"),
        "class made and set up": b"\x80\x02csubprocess\nPopen\n)\x81}b.",
        "persistent name": b"\x80\x02X\x01\x00\x00\x00aQ.",
        "registered extension": b"\x80\x02\x82\x01.",
        "old instance": b"\x80\x02(X\x02\x00\x00\x00idios\nsystem\n.",
        "call of what was read": b"\x80\x02X\x02\x00\x00\x00id)R.",
        "8 exabytes of bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 63) + b"abc.",
        "4 GB of text": b"\x80\x02X\xff\xff\xff\xffabc.",
        "array of a trillion": _array(shape=b"\x8a\x06" + (10**12).to_bytes(6, "little") + b"\x85"),
        "array of nothing, very often": _array(
            shape=b"K\x00\x8a\x08" + (10**18).to_bytes(8, "little") + b"\x86", data=b"C\x00"
        ),
        "array larger than its bytes": _array(shape=b"K\x64\x85"),
        "array of negative shape": _array(shape=b"J\xff\xff\xff\xff\x85"),
        "array of objects": _array(kind="O8"),
        "array of records": _array(kind="f4,f4"),
        "array type that does not exist": _array(kind="b4"),
        "array with a list as bytes": _array(data=b"](cnumpy\nndarray\ne"),
        "array without values": b"\x80\x03" + _array()[2:].partition(b"(K\x01")[0] + b"cnumpy\ndtype\nb.",
        "dictionary of tuples": b"\x80\x02}" + b"K\x01\x85" + b"K\x02s.",
        "number of 2000 bits": b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
        "bomb of lists": _bomb(9),
        "list in itself": b"\x80\x02]q\x00h\x00a.",
        "deep lists": b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
        "deep tuples": b"\x80\x02)" + b"\x85" * 50_000 + b".",
        "marks only": b"\x80\x02" + b"(" * 50_000 + b".",
        "two values": b"\x80\x02K\x01K\x02.",
        "nothing": b"\x80\x02.",
        "no end": b"\x80\x02K\x01",
        "memory that was never set": b"\x80\x02j\xff\xff\xff\xff.",
        "protocol 0": pickle.dumps({"a": 1}, 0),
        "buffers elsewhere": b"\x80\x05\x97.",
        "text": b"annotations: []",
    }


REASONS = {
    "system": ".system, which no annotation file needs",
    "eval": ".eval, which no annotation file needs",
    "exec of builtins": "__builtin__.exec, which",
    "getattr chain": "builtins.getattr, which",
    "numpy load": "numpy.load, which",
    "numpy file": "numpy.fromfile, which",
    "codec that unpacks": "uses encode in a way",
    "codec that decodes": "_codecs.decode, which",
    "class made and set up": "subprocess.Popen, which",
    "registered extension": "uses EXT1",
    "8 exabytes of bytes": "breaks off",
    "array of nothing, very often": "whose shape is no shape",
    "array of a trillion": "claims an array of 4000000000000 bytes and holds 8",
    "array larger than its bytes": "claims an array of 400 bytes and holds 8",
    "array of objects": "array of type O8",
    "dictionary of tuples": "keys that are neither text nor numbers",
    "number of 2000 bits": "more than 64 bits",
    "bomb of lists": "unfolds to more than 40,000,000 values",
    "list in itself": "in a circle",
    "deep lists": "lists in lists",
    "deep tuples": "lists in lists",
    "buffers elsewhere": "uses NEXT_BUFFER",
}
"""What must be said of some of them, so that each is refused for what it is."""


def test_hostile_files_are_refused_and_nothing_runs(tmp_path: Path) -> None:
    target = tmp_path / "it ran"
    for kind, data in _hostile(target).items():
        path = _write(tmp_path / "hostile.pkl", data)
        try:
            read_pickle(path)
            message = "read"
        except ClipError as error:
            message = str(error)
        assert message.startswith("hostile.pkl"), kind
        assert message.endswith("."), kind
        assert REASONS.get(kind, "") in message, kind
        assert len(message) < 300, kind
        assert "\n" not in message, kind
        assert not target.exists(), kind
    assert "antigravity" not in sys.modules


def test_a_large_place_in_memory_costs_nothing(tmp_path: Path) -> None:
    # Python's own reader makes a table of 2 ** 31 entries here
    data = b"\x80\x02]r\xff\xff\xff\x7fK\x05aj\xff\xff\xff\x7f\x86."
    assert read_pickle(_write(tmp_path / "a.pkl", b"\x80\x02]r\xff\xff\xff\x7fK\x05a.")) == [5]
    assert read_pickle(_write(tmp_path / "a.pkl", data)) == ([5], [5])


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "a.pkl", pickle.dumps([[n, str(n)] for n in range(1000)], 4))
    with pytest.raises(ClipError, match="at most 0 MB are read"):
        read_pickle(path, largest=100)
    for name, limit, sentence in [
        ("MOST_CONTAINERS", 900, "lists and dictionaries"),
        ("MOST_STEPS", 2000, "2,000 steps"),
        ("MOST_TEXT", 1 << 8, "MB of text"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(restricted_pickle, name, limit)
            with pytest.raises(ClipError, match=sentence):
                read_pickle(path)
    assert len(read_pickle(path)) == 1000
    with pytest.raises(ClipError, match="There is no file"):
        read_pickle(tmp_path / "none.pkl")


def _read_all(value: Any) -> None:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, StoredArray):
            found.read()
        elif isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, list | tuple | set):
            waiting += found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_damage_is_a_sentence_wherever_it_is(tmp_path: Path, protocol: int) -> None:
    content = {"a": [np.arange(3, dtype=np.float16), np.float64(2)], "b": {"c": (1, "text", None)}}
    data = pickle.dumps(content, protocol)
    path = tmp_path / "a.pkl"
    for end in range(0, len(data), 2):
        with pytest.raises(ClipError):
            read_pickle(_write(path, data[:end]))
    generator = np.random.default_rng(protocol)
    for _ in range(200):
        bad = bytearray(data)
        bad[generator.integers(2, len(bad))] = generator.integers(256)
        try:
            _read_all(read_pickle(_write(path, bytes(bad))))
        except ClipError:
            continue
