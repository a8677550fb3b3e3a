"""What a stranger makes of valid files: seeded changes of every kind, and lies made by hand; the same every time."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from tests.xai import hostile_seeds as seeds


@dataclass(frozen=True)
class Mutant:
    """One file of a stranger."""

    kind: str
    """Which door it comes through, see `doors`."""
    what: str
    name: str
    data: bytes
    refused: bool = False
    """Must it end in a sentence? Otherwise it may also be read: a flipped pixel is still a video."""


def mutated(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    """One seeded change of valid bytes: flips, cuts, lies in numbers, pieces doubled, lost or put elsewhere."""
    found = bytearray(data)
    head = min(len(found), 512)
    place = draw.randrange(head if draw.random() < 0.6 else len(found))
    how = draw.choice(("flips", "cut", "huge number", "zeros", "doubled", "lost", "swapped", "noise", "tail"))
    length = draw.randint(1, 64)
    match how:
        case "flips":
            for _ in range(draw.choice((1, 3, 40))):
                at = draw.randrange(head if draw.random() < 0.6 else len(found))
                found[at] ^= 1 << draw.randrange(8)
        case "cut":
            del found[place:]
        case "huge number":
            number = draw.choice((b"\xff" * 4, b"\xff" * 8, b"\x7f" + b"\xff" * 3, b"\xff\xff\xff\x7f", b"\x80\0\0\0"))
            found[place : place + len(number)] = number
        case "zeros":
            found[place : place + length] = bytes(length)
        case "doubled":
            found[place:place] = found[place : place + length] * draw.choice((1, 50))
        case "lost":
            del found[place : place + length]
        case "swapped":
            other = draw.randrange(len(found))
            found[place : place + 8], found[other : other + 8] = found[other : other + 8], found[place : place + 8]
        case "noise":
            found[place : place + length] = draw.randbytes(length)
        case "tail":
            found += draw.randbytes(length) * 100
    return how, bytes(found)


def many(kind: str, name: str, data: bytes, count: int) -> Iterator[Mutant]:
    draw = random.Random(f"{kind} {name}")
    for number in range(count):
        how, changed = mutated(data, draw)
        yield Mutant(kind, f"{name} {number} {how}", name, changed)


class _Runs:
    """Pickles as a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


def _touch(canary: Path) -> _Runs:
    return _Runs(os.system, f"touch {canary}")


def _gif(width: int, height: int, frames: int) -> bytes:
    """A canvas of any size whose frames are one pixel each."""
    block = b"\x21\xf9\x04\x00\x0a\x00\x00\x00" + b"\x2c" + bytes(4) + b"\1\0\1\0\0" + b"\x02\x02\x44\x01\0"
    return (
        b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + block * frames + b"\x3b"
    )


def _webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def special_videos() -> Iterator[Mutant]:
    def each(what: str, name: str, data: bytes, refused: bool = True) -> Mutant:
        return Mutant("video", what, name, data, refused)

    webm = seeds.videos()[".webm"]
    yield each("empty", "a.mp4", b"")
    yield each("a program", "a.mp4", b"MZ" + bytes(500))
    yield each("a playlist", "a.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    yield each("a script of files", "a.avi", b"ffconcat version 1.0\nfile /etc/hostname\n")
    yield each("a picture of text", "a.gif", b"GIF89a" + b"A" * 300)
    yield each("the largest canvas", "a.gif", _gif(65535, 65535, 1))
    yield each("a large canvas of many frames", "a.gif", _gif(3800, 2400, 899))
    yield each("too many frames", "a.gif", _gif(8, 8, 901))
    yield each("a canvas without frames", "a.webp", _webp(16384, 16384))
    yield each("a box of 2^64 bytes", "a.mp4", b"\0\0\0\x01ftyp" + b"\xff" * 8 + bytes(64))
    yield each("boxes in boxes", "a.mp4", b"\0\0\0\x10ftypmp42\0\0\0\0" + b"\0\0\xff\xf0moov" * 4000)
    yield each("elements in elements", "a.webm", b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 * 500)
    yield each("only a head", "a.webm", webm[:100])
    for name in ("../../../up.webm", "/etc/passwd.webm", "a\0.webm", ".." * 400 + ".webm", "x." + "y" * 4000, "..", "",
                 "a.webm/../b", "con.webm\n", "💥.webm", "$(touch canary).webm", "-i.webm"):  # fmt: skip
        yield each(f"a name: {name[:24]!r}", name, webm, refused=False)


def _header(shape: str, dtype: str = "'<f4'", rest: str = "") -> bytes:
    """An .npy whose header says anything, with eight bytes behind it."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, {rest}}}".encode("latin-1")
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + bytes(8)


def _zipped(entries: dict[str, bytes]) -> bytes:
    held = BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return held.getvalue()


def special_arrays(kind: str, canary: Path) -> Iterator[Mutant]:
    """Archives of arrays that lie, for joints and for saved clips."""

    def each(what: str, data: bytes) -> Mutant:
        return Mutant(kind, what, "a.npz", data, refused=True)

    joints = seeds.joints()
    small = _zipped({"joints.npy": bytes(3 << 20)})
    yield each("a bomb", small.replace(struct.pack("<I", 3 << 20), struct.pack("<I", 600 << 20)))
    yield each("a bomb that says it is none", small.replace(struct.pack("<I", 3 << 20), struct.pack("<I", 90)))
    yield each("an archive of an archive", _zipped({"joints.npy": seeds.npz(joints=joints)}))
    yield each("objects that run", seeds.npz(joints=np.array([_touch(canary)], object)))
    yield each("a bare pickle", pickle.dumps(_touch(canary)))
    shapes = ("(9999999999,)", "(-6, -1, 15, 2)", f"({2**70}, 0)", f"({10**18},)", "(6, True, 15, 2)", "()", "6",
              "'six'", "(6.5,)", "[6, 1]")  # fmt: skip
    for shape in shapes:
        yield each(f"the shape {shape}", _zipped({"joints.npy": _header(shape)}))
    for dtype in ("'|O'", "'<U0'", "'|V0'", "'<f16'", "'no type'", "[('a', '<f4')]", "'<M8[s]'", "__import__('os')"):
        yield each(f"the type {dtype}", _zipped({"joints.npy": _header(f"({10**9},)", dtype)}))
    yield each("a deep header", _zipped({"joints.npy": _header("(" * 4000 + ")" * 4000)}))
    yield each("a name upwards", _zipped({"../../joints.npy": _header("(2,)")}))
    yield each("an empty archive", _zipped({}))


def special_joints(canary: Path) -> Iterator[Mutant]:
    def each(what: str, name: str, data: bytes, refused: bool = True) -> Mutant:
        return Mutant("joints", what, name, data, refused)

    good = seeds.joints()
    for what, value in (("not a number", np.nan), ("infinite", np.inf), ("beyond float32", 1e300)):
        wrong = good.astype(np.float64)
        wrong[2, 0, 3] = value
        yield each(f"{what}, npz", "a.npz", seeds.npz(joints=wrong))
        yield each(f"{what}, mat", "a.mat", seeds.mat(wrong[:, 0].transpose(2, 1, 0)))
    yield each("scores that are no numbers", "a.npz", seeds.npz(joints=good, score=np.full((6, 1, 15), np.nan)))
    yield each("a size of nothing", "a.npz", seeds.npz(joints=good, size=[0, 0]))
    yield each("a negative size", "a.npz", seeds.npz(joints=good, size=[-48, 64]))
    yield each("a size that is no number", "a.npz", seeds.npz(joints=good, size=[np.nan, 64]))
    yield each("a size of text", "a.npz", seeds.npz(joints=good, size=["48", "tall"]))
    yield each("complex joints", "a.npz", seeds.npz(joints=good.astype(np.complex64)))
    yield each("no layout of this name", "a.npz", seeds.npz(joints=good, layout="../../etc"))
    yield each("a crowd", "a.npz", seeds.npz(joints=good.repeat(400, 1)))
    yield each("keypoint of one axis", "a.npz", seeds.npz(keypoint=np.zeros(3), keypoint_score=np.zeros(2)))
    yield each("deep JSON", "a.json", b"[" * 200_000)
    yield each("JSON that is no text", "a.json", b"\xff\xfe\0\0")
    yield each("a number of 10,000 digits", "a.json", b'{"images": [{"id": ' + b"1" * 10_000 + b"}]}")
    many_images = seeds.coco(2)
    many_images["images"] = [{"id": i} for i in range(60_000)]
    many_images["annotations"] *= 8000
    yield each("images times people", "a.json", json.dumps(many_images).encode())
    for what, changed in (
        ("ids of text", {"images": [{"id": "x"}]}), ("images of numbers", {"images": [1, 2]}),
        ("no images", {"images": []}), ("an infinite id", {"images": [{"id": float("inf")}]}),
        ("a height of nothing", {"images": [{"id": i, "height": 0, "width": 0} for i in range(6)]}),
        ("keypoints of text", {"annotations": [{"image_id": 0, "keypoints": ["x"] * 51}]}),
        ("keypoints without end", {"annotations": [{"image_id": 0, "keypoints": [float("nan")] * 51}]}),
        ("keypoints nested", {"annotations": [{"image_id": 0, "keypoints": [[1, 2]] * 51}]}),
        ("annotations of nothing", {"annotations": None}),
    ):  # fmt: skip
        yield each(what, "a.json", json.dumps({**seeds.coco(), **changed}).encode())
    yield each("a .mat of the wrong thing", "a.mat", seeds.mat(np.zeros((3, 3))))
    yield each("a .mat bomb", "a.mat", seeds.mat(np.zeros((2, 15, 3_000_000))))
    yield each("a .mat of objects", "a.mat", seeds.mat(np.array([[1, "x", 2.5]], object)))
    yield each("HDF5 called .mat", "a.mat", b"\x89HDF\r\n\x1a\n" + bytes(500))
    yield each("a pickle called .mat", "a.mat", pickle.dumps(_touch(canary)))
    for name in ("../a.npz", "a.exe", "a", "a.npz.", "a.mat\0.npz"):
        yield each(f"a name: {name!r}", name, seeds.joints_files()[".npz"], refused=False)


def special_penn() -> Iterator[Mutant]:
    """Labels of Penn Action that lie."""
    places = np.arange(78.0).reshape(6, 13)
    for what, changed in (
        ("no y", {"y": None}), ("no rows", {"x": np.zeros((0, 13)), "y": np.zeros((0, 13))}),
        ("not numbers", {"x": places * np.nan}), ("beyond float32", {"x": places * 1e300}),
        ("a size of nothing", {"dimensions": np.zeros((1, 2))}), ("an endless size", {"dimensions": [np.inf, 1]}),
        ("a bomb", {"x": np.zeros((700_000, 13))}), ("text", {"x": "where", "y": "there"}),
        ("another number of joints", {"x": places[:, :7], "y": places[:, :7]}),
        ("visibility of another shape", {"visibility": np.ones(3)}),
    ):  # fmt: skip
        yield Mutant("own joints", f"Penn, {what}", "penn.mat", seeds.penn(**changed), refused=True)


def special_pickles(canary: Path) -> Iterator[Mutant]:
    def each(what: str, data: bytes) -> Mutant:
        return Mutant("pickle", what, "a.pkl", data, refused=True)

    for protocol in (2, 4, 5):
        yield each(f"runs, protocol {protocol}", pickle.dumps(_touch(canary), protocol))
    yield each(
        "runs, inside", pickle.dumps({**seeds.annotations(), "more": _Runs(eval, f"open({str(canary)!r}, 'w')")})
    )
    yield each("protocol 0", pickle.dumps(seeds.annotations(), 0))
    yield each("a long text that is claimed", b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.")
    yield each("lists in lists", b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".")
    for changed in ({"annotations": 3}, {"annotations": []}, {"annotations": [{"keypoint": "x"}]}):
        yield each(f"{changed}", pickle.dumps({**seeds.annotations(), **changed}))
    yield each("a shape of wrong axes", pickle.dumps({"annotations": [{**seeds.annotations()["annotations"][0],
               "keypoint": np.zeros((3, 17))}]}))  # fmt: skip


def _described(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A checkpoint whose description was changed."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    described = json.loads(header["__metadata__"]["kinescope"])
    described = change(described) or described
    header["__metadata__"]["kinescope"] = described if isinstance(described, str) else json.dumps(described)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def special_checkpoints(canary: Path) -> Iterator[Mutant]:
    data = seeds.checkpoint()

    def each(what: str, changed: bytes, refused: bool = True) -> Mutant:
        return Mutant("checkpoint", what, "a.safetensors", changed, refused)

    import torch

    held = BytesIO()
    torch.save({"state_dict": _touch(canary)}, held)
    yield each("torch.save", held.getvalue())
    yield each("a bare pickle", pickle.dumps(_touch(canary)))
    yield each("a header of 2^63 bytes", b"\xff" * 7 + b"\x7f" + data[8:])
    yield each("a header that is longer than the file", struct.pack("<Q", 90 << 20) + data[8:])
    yield each("deep JSON", struct.pack("<Q", 100_000) + b'{"a":' * 20_000 + bytes(100))
    for name, value in (
        ("layers", 10**9), ("layers", 48), ("width", -1), ("width", 1e308), ("width", "64"), ("heads", 0),
        ("size", None), ("joints", [5]), ("frames", True), ("dropout", float("nan")), ("sigma", float("inf")),
        ("token_mode", "x"), ("token_mode", ["cross"]), ("joint_stride", "x"), ("joint_stride", 10**9), ("unknown", 1),
        ("normalise_heatmap", 3),
    ):  # fmt: skip
        yield each(
            f"config {name} = {value!r:.20}", _described(data, lambda d, n=name, v=value: d["config"].update({n: v}))
        )  # type: ignore[misc]
    for name, value in (
        ("labels", "abcd"), ("labels", [1, 2, 3, 4]), ("labels", [None] * 4), ("labels", ["x" * 10**6] * 4),
        ("labels", {"a": 1, "b": 2, "c": 3, "d": 4}), ("labels", ["a", "a", "a", "a"]), ("layout", 3),
        ("layout", "coco17"), ("size", 4096),
        ("layout", "../../x"), ("frames", 10**9), ("frames", 0), ("frames", -5), ("frames", "5"), ("frames", 1.5),
        ("size", 10**6), ("size", 33), ("size", 0), ("size", [48]), ("mean", [1, 2]), ("mean", ["a", "b", "c"]),
        ("mean", [float("nan")] * 3), ("std", [0, 0, 0]), ("std", "abc"),
        ("fit", "everyone"), ("fit", ["person"]), ("metrics", 5), ("metrics", {"a": "b"}),
        ("name", 5), ("name", "x" * 10**6), ("trained_on", ["x"]), ("unknown", 5),
    ):  # fmt: skip
        changed = _described(data, lambda d, n=name, v=value: d["card"].update({n: v}))  # type: ignore[misc]
        yield each(f"card {name} = {value!r:.20}", changed)
    for what, value in (
        ("nothing", "null"),
        ("a list", "[]"),
        ("deep", "[" * 100_000),
        ("no JSON", "{"),
        ("1e999", "1e999"),
    ):
        yield each(f"described by {what}", _described(data, lambda d, v=value: v))  # type: ignore[misc]
    yield each("an architecture that is a list", _described(data, lambda d: d.update(architecture=["x"])))
    yield each("a config of nothing", _described(data, lambda d: d.update(config=None)))
    yield each("a card of text", _described(data, lambda d: d.update(card="card")))
    (length,) = struct.unpack_from("<Q", data)
    yield each("weights that are no numbers", data[: 8 + length] + b"\xff" * (len(data) - 8 - length))


def special_yaml(kind: str, seed: bytes, canary: Path) -> Iterator[Mutant]:
    def each(what: str, data: bytes | str) -> Mutant:
        raw = data if isinstance(data, bytes) else data.encode()
        return Mutant(kind, what, "a.yaml", raw, refused=True)

    yield each("empty", b"")
    yield each("no text", b"\xff\xfe\x00")
    yield each("an unknown character", b"title: \x00\x01")
    yield each("a tag that runs", f'title: !!python/object/apply:os.system ["touch {canary}"]')
    yield each("another tag that runs", f"!!python/object/new:os.system [touch {canary}]")
    yield Mutant(kind, "a tag at the top", "a.yaml", b"!!python/name:os.system\n" + seed)  # a tag is no value
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(f'*{chr(97 + i)}' for _ in range(9))}]\n" for i in range(9)
    )
    yield each("a billion laughs", laughs)
    yield each("an alias of itself", b"steps: &a [*a]")
    yield each("merged with itself", b"a: &a\n  <<: *a\n")
    yield each("deep flow", "[" * 20_000)
    yield each("deep maps", "{a: " * 20_000)
    yield each("deep blocks", "".join(" " * i + "a:\n" for i in range(200)))
    yield each("too large", b"# " + b"x" * 200_000 + b"\n" + seed)
    yield each("a scalar", "just words")
    yield each("a list", "- a\n- b")
    yield each("numbers as keys", "1: 2\n")
    yield each("lists as keys", "? [a, b]\n: c\n")
    yield each("two documents", b"a: 1\n---\n" + seed)
    number = "minutes" if kind == "lesson" else "width"
    for what, value in (("a date that is none", "2020-99-99"), ("a number without end", "9" * 50_000),
                        ("sixty to the power", "1" + ":59" * 3000), ("not a number", ".nan"),
                        ("infinite", "-.inf")):  # fmt: skip
        yield each(what, f"{number}: {value}\n".encode() + seed)
        first, _, rest = seed.partition(number.encode())
        yield each(f"{what}, in its place", first + f"{number}: {value}\n".encode() + rest.partition(b"\n")[2])
    yield each("a merge of text", "<<: text\n")


def special_removals() -> Iterator[Mutant]:
    for text in (
        "", "null", "{}", "[" * 30_000, "1e999", '[{"kind": 1}]', '[{"kind": "__class__"}]', '[{"kind":"limbs"}]',
        '[{"kind":"limbs","limbs":"left leg"}]', '[{"kind":"limbs","limbs":[1]}]', '[{"kind":"limbs","limbs":[]}]',
        '[{"kind":"joints","joints":["x"],"frames":[-1]}]', '[{"kind":"joints","joints":["x"],"frames":[NaN]}]',
        '[{"kind":"joints","joints":["x"],"frames":[1e400]}]', '[{"kind":"joints","joints":["x"],"frames":[true]}]',
        '[{"kind":"joints","joints":[["x"]]}]', '[{"kind":"joints","joints":["x"],"more":1}]',
        json.dumps([{"kind": "limbs", "limbs": ["x"]}] * 1000), '["limbs"]',
        '[{"kind":"limbs","limbs":["' + "x" * 9000 + '"]}]',
    ):  # fmt: skip
        yield Mutant("removals", text[:40], "", text.encode(), refused=True)


def mutants_of(kind: str, canary: Path) -> Iterator[Mutant]:
    if kind == "joints":
        for suffix, data in seeds.joints_files().items():
            yield from many(kind, f"seed{suffix}", data, 12)
        yield from special_arrays(kind, canary)
        yield from special_joints(canary)
    elif kind == "clip":
        yield from many(kind, "a.npz", seeds.clip_file(), 16)
        yield from special_arrays(kind, canary)
    else:
        yield from many(kind, "a.pkl", pickle.dumps(seeds.annotations(), 4), 16)
        yield from special_pickles(canary)


def mutants(canary: Path) -> Iterator[Mutant]:
    for suffix, data in seeds.videos().items():
        yield from many("video", f"seed{suffix}", data, 16)
    yield from special_videos()
    for kind in ("joints", "clip", "pickle"):
        yield from mutants_of(kind, canary)
    yield from many("checkpoint", "a.safetensors", seeds.checkpoint(), 16)
    yield from special_checkpoints(canary)
    yield from many("lesson", "a.yaml", seeds.lesson(), 16)
    yield from special_yaml("lesson", seeds.lesson(), canary)
    yield from many("spec", "a.yaml", seeds.SPEC, 16)
    yield from special_yaml("spec", seeds.SPEC, canary)
    for kind in ("joints", "clip", "pickle"):  # the page My clip has doors of its own
        yield from (replace(mutant, kind=f"own {kind}") for mutant in list(mutants_of(kind, canary)))
    yield from many("own joints", "penn.mat", seeds.penn(), 12)
    yield from special_penn()
    yield from many("removals", "", seeds.REMOVALS, 10)
    yield from special_removals()
