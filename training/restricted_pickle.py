"""Annotation pickles from strangers, read without running anything and without loading their arrays.

A pickle is a program for a small stack machine, and Python's own machine may import and call whatever the file names.
This one knows containers, numbers, text and the few names that NumPy arrays are written with. It never imports or
calls what the file says: a name is a word, and an array is the place of its bytes in the file until it is asked for.
Protocols 2 to 5, written under NumPy 1 or 2. Every claim of the file is checked against its size before it is
believed, and what it may make is bounded.
"""

from __future__ import annotations

import math
import mmap
import pickletools
import re
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from training.errors import ClipError
from training.stored_array import Stored, StoredArray, from_text

LARGEST_FILE = 8 << 30
MOST_STEPS = 40_000_000
"""The largest published file (NTU RGB+D 120) takes about ten million."""
MOST_CONTAINERS = 4_000_000
LONG_TEXT = 256
"""Longer text stays in the file: protocol 2 writes the bytes of arrays as text."""
MOST_TEXT = 256 << 20
"""Bytes of shorter text, all together."""
MOST_AXES, MOST_PLACES = 8, 1 << 50
DEEPEST = 32
"""Containers in containers; annotation files need four."""


def read_pickle(path: str | Path, largest: int = LARGEST_FILE) -> Any:
    """What the file holds: dict, list, tuple, set, str, int, float, bool, None, and `StoredArray` for arrays.

    Raises ClipError in one sentence for a file that asks for anything else, is damaged or is too large.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ClipError(f"There is no file {path}.")
    size = path.stat().st_size
    if size > largest:
        raise ClipError(f"{path.name} has {size >> 20} MB; at most {largest >> 20} MB are read.")
    if size < 4:
        raise ClipError(f"{path.name} is no pickle: it has {size} bytes.")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[0] != 0x80 or data[1] not in (2, 3, 4, 5):
            raise ClipError(f"{path.name} is no pickle of protocol 2 to 5, which annotation files are written in.")
        return _Machine(data, path).run()


class _Name:
    """A name that the file asks for; a word, never the thing."""

    __slots__ = ("word",)

    def __init__(self, word: str) -> None:
        self.word = word


class _Dtype:
    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype


_U1, _U2, _U4, _U8 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<Q"))
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")
_MARK = object()
_CONTAINERS = frozenset((list, tuple, dict, set))
_BUILTINS = ("list", "tuple", "dict", "set", "frozenset", "bytes", "bytearray")
NAMES: dict[tuple[str, str], str] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "dict",
    **{(f"numpy.{core}.multiarray", word): word for core in ("core", "_core") for word in ("_reconstruct", "scalar")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "_frombuffer" for core in ("core", "_core")},
    **{(module, word): word for module in ("builtins", "__builtin__") for word in _BUILTINS},
}
"""All that a file may ask for."""
_PLAIN_TYPE = re.compile(r"[<>=|]?([fiub])([1248])")


def _inside(container: Any) -> Iterator[Any]:
    return iter(container.values() if type(container) is dict else container)


class _Machine:
    """The stack machine. Each operation is a method; none calls itself, so that nesting costs nothing."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data, self.size, self.place = data, len(data), 0
        self.path, self.name = str(path), path.name
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.containers = self.characters = 0

    def run(self) -> Any:
        operations = self._operations()
        data, steps = self.data, 0
        try:
            while True:
                code = data[self.place]
                self.place += 1
                if code == 0x2E:  # STOP
                    break
                operation: Callable[[], object] | None = operations.get(code)
                if operation is None:
                    self._unknown(code)
                operation()
                steps += 1
                if steps > MOST_STEPS:
                    self._refuse(f"takes more than {MOST_STEPS:,} steps to read, which no annotation file does")
        except (IndexError, KeyError, struct.error):
            self._broken()
        except (TypeError, UnicodeError):
            self._refuse("is damaged: its parts do not fit together")
        if len(self.stack) != 1 or self.stack[0] is _MARK:
            self._broken()
        self._check_nesting(self.stack[0])
        return self.stack[0]

    def _check_nesting(self, root: Any) -> None:
        """Parts may be used twice, but what a reader would go through stays small: no bomb of lists of lists."""
        if type(root) not in _CONTAINERS:
            return
        counted: dict[int, int] = {}
        path = [(root, _inside(root))]
        totals, entered = [1], {id(root)}
        while path:
            node, rest = path[-1]
            for child in rest:
                if type(child) not in _CONTAINERS:
                    totals[-1] += 1
                elif id(child) in counted:
                    totals[-1] += counted[id(child)]
                elif id(child) in entered or len(path) == DEEPEST:
                    self._refuse(f"has lists in lists, more than {DEEPEST} deep or in a circle")
                else:
                    path.append((child, _inside(child)))
                    entered.add(id(child))
                    totals.append(1)
                    break
            else:
                path.pop()
                total = counted[id(node)] = totals.pop()
                if total > MOST_STEPS:
                    self._refuse(f"unfolds to more than {MOST_STEPS:,} values, which no annotation file has")
                if totals:
                    totals[-1] += total

    def _operations(self) -> dict[int, Callable[[], object]]:
        """Operation code -> what it does. Buffers outside the file are not for files."""
        push = self.stack.append
        return {
            # numbers and constants
            0x4E: partial(push, None), 0x88: partial(push, True), 0x89: partial(push, False), 0x4B: self.int1,
            0x4D: partial(self._push_number, _U2), 0x4A: partial(self._push_number, _I4), 0x8A: self.long,
            0x47: partial(self._push_number, _F8),
            # text and bytes
            0x8C: partial(self._sized, self._text, _U1), 0x58: partial(self._sized, self._text, _U4),
            0x8D: partial(self._sized, self._text, _U8), 0x43: partial(self._sized, self._bytes, _U1),
            0x42: partial(self._sized, self._bytes, _U4), 0x8E: partial(self._sized, self._bytes, _U8),
            0x96: partial(self._sized, self._bytes, _U8), 0x55: partial(self._sized, self._old_text, _U1),
            0x54: partial(self._sized, self._old_text, _I4),
            # containers
            0x28: partial(push, _MARK), 0x29: partial(push, ()), 0x85: partial(self._tuple, 1),
            0x86: partial(self._tuple, 2), 0x87: partial(self._tuple, 3), 0x74: self.marked_tuple,
            0x5D: partial(self._empty, list), 0x61: self.append, 0x65: self.appends, 0x7D: partial(self._empty, dict),
            0x73: self.set_item, 0x75: self.set_items, 0x8F: partial(self._empty, set), 0x90: self.add_items,
            0x91: self.frozen_set,
            # memory: what was made is used again
            0x71: self.put1, 0x72: self.put4, 0x94: self.memoise, 0x68: self.get1, 0x6A: self.get4,
            # names and arrays; the version and the lengths of blocks say nothing that is needed
            0x63: self.name_in_file, 0x93: self.name_on_stack, 0x52: self.call, 0x62: self.build,
            0x80: partial(self._take, 1), 0x95: partial(self._take, 8),
        }  # fmt: skip

    def _refuse(self, why: str) -> NoReturn:
        raise ClipError(f"{self.name} {why}; nothing of it was run, and it is not read.")

    def _broken(self) -> NoReturn:
        raise ClipError(f"{self.name} breaks off or is damaged after {self.place} of {self.size} bytes; get it again.")

    def _unknown(self, code: int) -> NoReturn:
        known = {operation.code: operation.name for operation in pickletools.opcodes}
        self._refuse(f"uses {known.get(chr(code), f'byte {code}')}, which annotation files do not need")

    # Reading

    def _take(self, count: int) -> int:
        """Where the next `count` bytes are; the machine goes on behind them."""
        start = self.place
        if count < 0 or count > self.size - start:
            self._broken()
        self.place = start + count
        return start

    def _number(self, form: struct.Struct) -> Any:
        (value,) = form.unpack_from(self.data, self.place)  # struct.error at the end of the file
        self.place += form.size
        return value

    def _held(self, size: int, encoding: str) -> str:
        self.characters += size
        if self.characters > MOST_TEXT:
            self._refuse(f"has more than {MOST_TEXT >> 20} MB of text, which no annotation file has")
        start = self._take(size)
        return self.data[start : start + size].decode(encoding, "surrogatepass")

    def _text(self, size: int) -> None:
        self.stack.append(Stored(self._take(size), size, True) if size > LONG_TEXT else self._held(size, "utf-8"))

    def _bytes(self, size: int) -> None:
        self.stack.append(Stored(self._take(size), size, False))

    def _old_text(self, size: int) -> None:
        """`str` of Python 2: text or bytes, which its use will tell."""
        self.stack.append(Stored(self._take(size), size, False) if size > LONG_TEXT else self._held(size, "latin-1"))

    def _sized(self, push: Callable[[int], None], form: struct.Struct) -> None:
        push(self._number(form))

    def _push_number(self, form: struct.Struct) -> None:
        self.stack.append(self._number(form))

    def int1(self) -> None:
        self.stack.append(self.data[self.place])
        self.place += 1

    def long(self) -> None:
        size = self._number(_U1)
        if size > 9:
            self._refuse("has a whole number of more than 64 bits")
        start = self._take(size)
        self.stack.append(int.from_bytes(self.data[start : start + size], "little", signed=True))

    # Containers

    def _made(self) -> None:
        self.containers += 1
        if self.containers > MOST_CONTAINERS:
            self._refuse(f"has more than {MOST_CONTAINERS:,} lists and dictionaries, which no annotation file has")

    def _pop_to_mark(self) -> list[Any]:
        stack = self.stack
        place = len(stack) - 1
        while stack[place] is not _MARK:
            place -= 1
            if place < 0:
                self._broken()
        items = stack[place + 1 :]
        del stack[place:]
        return items

    def _tuple(self, count: int) -> None:
        self._made()
        items = tuple(self.stack[-count:])
        if len(items) != count or _MARK in items:
            self._broken()
        self.stack[-count:] = [items]

    def marked_tuple(self) -> None:
        self._made()
        self.stack.append(tuple(self._pop_to_mark()))

    def _empty(self, kind: type) -> None:
        self._made()
        self.stack.append(kind())

    def _into(self, kind: type) -> Any:
        target = self.stack[-1]
        if type(target) is not kind:
            self._refuse(f"is damaged: a {kind.__name__} was expected where something else is")
        return target

    def append(self) -> None:
        item = self.stack.pop()
        self._into(list).append(item)

    def appends(self) -> None:
        items = self._pop_to_mark()
        self._into(list).extend(items)

    def _key(self, key: Any) -> Any:
        if type(key) not in (str, int, float, bool, type(None)):
            self._refuse("has keys that are neither text nor numbers, which no annotation file has")
        return key

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._into(dict)[self._key(key)] = value

    def set_items(self) -> None:
        items = self._pop_to_mark()
        target = self._into(dict)
        if len(items) % 2:
            self._broken()
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._key(key)] = value

    def add_items(self) -> None:
        items = self._pop_to_mark()
        self._into(set).update(self._key(item) for item in items)

    def frozen_set(self) -> None:
        self._made()
        self.stack.append({self._key(item) for item in self._pop_to_mark()})

    # Memory

    def put1(self) -> None:
        self.memo[self._number(_U1)] = self._top()

    def put4(self) -> None:  # protocol 2 does this after every object
        self.memo[_U4.unpack_from(self.data, self.place)[0]] = self._top()
        self.place += 4

    def memoise(self) -> None:
        self.memo[len(self.memo)] = self._top()

    def _top(self) -> Any:
        top = self.stack[-1]
        if top is _MARK:
            self._broken()
        return top

    def get1(self) -> None:
        self.stack.append(self.memo[self.data[self.place]])
        self.place += 1

    def get4(self) -> None:
        self.stack.append(self.memo[self._number(_U4)])

    # Names and arrays

    def name_in_file(self) -> None:
        words = []
        for _ in range(2):
            end = self.data.find(b"\n", self.place, self.place + 256)
            if end < 0:
                self._broken()
            words.append(self.data[self.place : end].decode("utf-8"))
            self.place = end + 1
        self._name(*words)

    def name_on_stack(self) -> None:
        word, module = self.stack.pop(), self.stack.pop()
        self._name(module, word)

    def _name(self, module: Any, word: Any) -> None:
        if type(module) is not str or type(word) is not str:
            self._refuse("asks for something without a name")
        if (module, word) not in NAMES:
            shown = re.sub(r"[^\w.]", "?", f"{module}.{word}")[:80]
            self._refuse(f"asks for {shown}, which no annotation file needs")
        self.stack.append(_Name(NAMES[module, word]))

    def call(self) -> None:
        """What NumPy and the containers would have made of the arguments; the name decides, nothing is called."""
        values, name = self.stack.pop(), self.stack.pop()
        if type(values) is not tuple or type(name) is not _Name:
            self._refuse("calls something that is not a name")
        self._made()
        match name.word, values:
            case "_reconstruct", (_Name(word="ndarray"), _, _):
                self.stack.append(StoredArray(self.path))
            case "dtype", (str() as text, *_):
                self.stack.append(_Dtype(self._plain_type(text)))
            case "encode", (str() | Stored() as text, "latin1" | "latin-1"):
                self.stack.append(text if isinstance(text, Stored) else text.encode("latin-1"))
            case "_frombuffer", (held, _Dtype() as kind, tuple() as shape, "C" | "F" as order):
                array = StoredArray(self.path)
                self._fill(array, shape, kind, order == "F", held)
                self.stack.append(array)
            case "scalar", (_Dtype() as kind, held):
                self.stack.append(self._scalar(kind.dtype, held))
            case ("bytes", ()) | ("bytearray", ()):
                self.stack.append(b"")
            case (("bytes" | "bytearray"), (Stored() | bytes() as held,)):
                self.stack.append(held)
            case "dict", ():
                self.stack.append({})
            case "list", ():
                self.stack.append([])
            case (("set" | "frozenset"), (list() as items,)):
                self.stack.append({self._key(item) for item in items})
            case _:
                self._refuse(f"uses {name.word} in a way that no annotation file does")

    def build(self) -> None:
        state, target = self.stack.pop(), self._top()
        match target, state:
            case StoredArray(data=None), (1, tuple() as shape, _Dtype() as kind, bool() as fortran, held):
                self._fill(target, shape, kind, fortran, held)
            case _Dtype(), (3 | 4, "<" | ">" | "|" | "=" as order, None, None, None, *_):
                if order in "<>":
                    target.dtype = target.dtype.newbyteorder(order)
            case _:
                self._refuse("sets up something that is no plain array")

    def _plain_type(self, text: str) -> np.dtype:
        if not _PLAIN_TYPE.fullmatch(text):
            shown = re.sub(r"[^\w<>|=]", "?", text)[:20]
            self._refuse(f"has an array of type {shown}; arrays of plain numbers were expected")
        try:
            return np.dtype(text)
        except TypeError:
            self._refuse(f"has an array of type {text}, which does not exist")

    def _fill(self, array: StoredArray, shape: Any, kind: _Dtype, fortran: bool, held: Any) -> None:
        if len(shape) > MOST_AXES or any(type(n) is not int or n < 0 for n in shape):
            self._refuse("has an array whose shape is no shape")
        if math.prod(n or 1 for n in shape) > MOST_PLACES:  # NumPy refuses it too, even where another axis is empty
            self._refuse("has an array whose shape is no shape")
        if type(held) is str:
            held = held.encode("latin-1", "replace")
        if type(held) not in (Stored, bytes):
            self._refuse("has an array without plain bytes")
        needed = math.prod(shape) * kind.dtype.itemsize
        found = held.size if type(held) is Stored else len(held)
        # as text, a byte takes one or two: the exact number shows when it is read
        if needed != found and not (type(held) is Stored and held.text and needed < found <= 2 * needed):
            self._refuse(f"claims an array of {needed} bytes and holds {found}")
        array.shape, array.dtype, array.fortran, array.data = shape, kind.dtype, fortran, held

    def _scalar(self, dtype: np.dtype, held: Any) -> Any:
        if type(held) is Stored and held.size <= 2 * dtype.itemsize:
            found = self.data[held.offset : held.offset + held.size]
            held = from_text(found, self.name) if held.text else found
        elif type(held) is str:
            held = held.encode("latin-1", "replace")
        if type(held) is not bytes or len(held) != dtype.itemsize:
            self._refuse("has a number that does not fit its type")
        return np.frombuffer(held, dtype)[0].item()
