"""Saving and loading, in PyTorch's file format.

A file is an uncompressed zip archive. ``data.pkl`` describes the object as a pickle in which each
tensor refers to a numbered piece of memory, its storage; ``data/0``, ``data/1``, ... hold those.

A pickle is a little program, and Python's own reader runs whatever it says. Here it is run by
:func:`_unpickle`, which can build only what this module knows: **no file can make** :func:`load`
**run other code**.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import pickle
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from . import dtypes, memory
from .devices import check_device, device
from .engine import TensorBase, new_tensor

parameter_class: Any = None  # nn.Parameter puts itself here

_ALIGNMENT = 64  # of storages in the file, as in PyTorch
_NAMES = {"Half": "float16", "Float": "float32", "Double": "float64", "Char": "int8", "Short": "int16", "Int": "int32",
          "Long": "int64", "Byte": "uint8", "Bool": "bool", "BFloat16": "bfloat16"}  # fmt: skip
_STORAGES = {dtype: f"{name}Storage" for name, dtype in _NAMES.items()}
_DTYPES = {dtype.name: dtype for dtype in dtypes.DTYPES}


class LoadError(pickle.UnpicklingError, RuntimeError):
    """A file is damaged, is not of PyTorch's format, or holds what minigrad cannot or will not load."""


# ----------------------------------------------------------------------------------------- saving


def save(obj: Any, f: Any) -> None:
    """Write ``obj`` to a file that :func:`load` and ``torch.load`` read.

    A file given by its path is replaced as a whole or not at all, even if the program dies meanwhile.
    Tensors that share memory still do after loading; the whole of the shared memory is written.

    Args:
        obj: tensors and parameters, numbers, strings, bytes, None, dtypes and devices, in dicts,
            OrderedDicts, lists, tuples and sets. Of a module or an optimizer save the ``state_dict()``.
        f: a path, or a file object open for binary writing.
    """
    pickler = _Pickler()
    program = pickler.dump(obj)
    if hasattr(f, "write"):
        buffer = io.BytesIO()
        _write_archive(buffer, program, pickler.storages)
        f.write(buffer.getbuffer())
        return
    path = os.path.realpath(f)
    if os.path.exists(path) and not os.path.isfile(path):  # a device, or a pipe
        with open(path, "wb") as file:
            save(obj, file)
        return
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            _write_archive(file, program, pickler.storages)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)  # makes the new name durable too
        finally:
            os.close(directory)


def _write_archive(file: BinaryIO, program: bytes, storages: list[np.ndarray]) -> None:
    import zipfile

    little = [("data.pkl", program), (".format_version", b"1"), (".storage_alignment", str(_ALIGNMENT).encode()),
              ("byteorder", sys.byteorder.encode())]  # fmt: skip
    blobs = [(f"data/{i}", array.view(np.uint8).data if array.size else b"") for i, array in enumerate(storages)]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [*little, *blobs, ("version", b"3\n")]:
            info = zipfile.ZipInfo(f"archive/{name}")
            info.file_size, info.CRC = len(content), 0
            header = len(info.FileHeader(zip64=len(content) * 1.05 > zipfile.ZIP64_LIMIT)) + 4
            padding = -(file.tell() + header) % _ALIGNMENT
            info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding  # as PyTorch pads
            archive.writestr(info, content)


class _Pickler:
    """Writes the pickle of an object, and collects the storages that it refers to."""

    def __init__(self) -> None:
        self.out = bytearray(b"\x80\x02")  # protocol 2, as PyTorch writes
        self.memo: dict[int, int] = {}  # id -> number, of objects that may be met again
        self.alive: list[Any] = []  # keeps those ids unique
        self.storages: list[np.ndarray] = []
        self.numbers: dict[tuple[int, str], int] = {}  # (id of the memory's owner, dtype) -> number of the storage

    def dump(self, obj: Any) -> bytes:
        try:
            self.write(obj, "the object")
        except RecursionError:
            raise ValueError("save: the object is nested too deeply") from None
        return bytes(self.out + b".")

    def write(self, obj: Any, place: str) -> None:
        kind = type(obj)
        if obj is None or kind is bool:
            self.out += {None: b"N", True: b"\x88", False: b"\x89"}[obj]
        elif isinstance(obj, np.generic):
            self.write(obj.item(), place)
        elif isinstance(obj, int):
            self.write_int(int(obj))
        elif isinstance(obj, float):
            self.out += b"G" + struct.pack(">d", obj)
        elif isinstance(obj, str):
            text = str(obj).encode("utf-8", "surrogatepass")
            self.out += b"X" + struct.pack("<I", len(text)) + text
        elif kind is bytes:
            self.call("_codecs encode", obj.decode("latin1"), "latin1")
        elif isinstance(obj, np.dtype) and obj.name in _DTYPES:
            self.name(f"torch {obj.name}")
        elif kind is device:
            self.call("torch device", "cpu")
        elif id(obj) in self.memo:
            self.out += b"j" + struct.pack("<I", self.memo[id(obj)])
        elif kind is tuple:
            self.write_tuple(obj, place)
            self.remember(obj)
        elif kind is set:
            self.call("__builtin__ set", sorted(obj, key=repr))
            self.remember(obj)
        elif kind is list:
            self.out += b"]"
            self.remember(obj)
            self.out += b"("
            for i, item in enumerate(obj):
                self.write(item, f"{place}[{i}]")
            self.out += b"e"
        elif kind in (dict, OrderedDict):
            self.write_dict(obj, place)
        elif isinstance(obj, TensorBase):
            self.write_tensor(obj, place)
            self.remember(obj)
        else:
            hint = "; save its state_dict() instead" if hasattr(obj, "state_dict") else ""
            hint = "; turn it into a Tensor with from_numpy()" if isinstance(obj, np.ndarray) else hint
            name = f"{kind.__module__}.{kind.__qualname__}"
            raise TypeError(f"save: {place} is of type {name}, which cannot be saved{hint}")

    def remember(self, obj: Any) -> None:
        self.memo[id(obj)] = len(self.alive)
        self.out += b"r" + struct.pack("<I", len(self.alive))
        self.alive.append(obj)

    def write_int(self, value: int) -> None:
        if 0 <= value < 256:
            self.out += b"K" + bytes((value,))
        elif -(2**31) <= value < 2**31:
            self.out += b"J" + struct.pack("<i", value)
        else:
            encoded = pickle.encode_long(value)
            if len(encoded) > 255:
                raise ValueError("save: an integer of more than 255 bytes cannot be saved")
            self.out += b"\x8a" + bytes((len(encoded),)) + encoded

    def write_tuple(self, items: tuple, place: str = "") -> None:
        self.out += b"("
        for i, item in enumerate(items):
            self.write(item, f"{place}[{i}]")
        self.out += b"t"

    def write_dict(self, obj: dict[Any, Any], place: str) -> None:
        if type(obj) is dict:
            self.out += b"}"
        else:
            self.call("collections OrderedDict")
        self.remember(obj)
        self.out += b"("
        for key, value in obj.items():
            self.write(key, f"a key of {place}")
            self.write(value, f"{place}[{key!r}]")
        self.out += b"u"
        if getattr(obj, "_metadata", None) is not None:  # a state_dict's versions of its modules
            self.write({"_metadata": obj._metadata}, f"{place}._metadata")  # type: ignore[attr-defined]
            self.out += b"b"

    def name(self, dotted: str) -> None:
        self.out += b"c" + dotted.replace(" ", "\n").encode() + b"\n"

    def call(self, dotted: str, *args: Any) -> None:
        self.name(dotted)
        self.write_tuple(args)
        self.out += b"R"

    def write_tensor(self, tensor: Any, place: str) -> None:
        wrapped = parameter_class is not None and isinstance(tensor, parameter_class)
        if wrapped:
            self.name("torch._utils _rebuild_parameter")
            self.out += b"("
        key, numel, offset, strides = self.locate(tensor._array, place)
        self.name("torch._utils _rebuild_tensor_v2")
        self.out += b"(("
        self.write("storage", "")
        self.name(f"torch {_STORAGES[tensor.dtype.name]}")
        for value in (str(key), "cpu", numel):
            self.write(value, "")
        self.out += b"tQ"
        for part in (offset, tuple(tensor.shape), strides, tensor.requires_grad and not wrapped):
            self.write_tuple(part) if type(part) is tuple else self.write(part, "")
        self.call("collections OrderedDict")
        self.out += b"tR"
        if wrapped:
            self.write(tensor.requires_grad, "")
            self.call("collections OrderedDict")
            self.out += b"tR"

    def locate(self, array: Any, place: str) -> tuple[int, int, int, tuple[int, ...]]:
        """The storage for ``array``: its number and size, and offset and strides of the array in it."""
        if not isinstance(array, np.ndarray):
            raise TypeError(f"save: {place} holds a {type(array).__name__}; only NumPy's arrays can be saved")
        root, size = memory.owner(array), array.itemsize
        dense = root.flags.c_contiguous or root.flags.f_contiguous
        steps = [step for n, step in zip(array.shape, array.strides, strict=True) if n > 1]
        regular = all(step >= 0 and step % size == 0 for step in steps)
        if array.size == 0 or not dense or not regular or root.dtype != array.dtype:
            root = array = np.ascontiguousarray(array).reshape(array.shape)  # a storage of its own
        if (key := (id(root), root.dtype.str)) not in self.numbers:
            self.numbers[key] = len(self.storages)
            self.storages.append(root.ravel("K"))
            self.alive.append(root)
        offset = (array.__array_interface__["data"][0] - root.__array_interface__["data"][0]) // size
        strides = _row_major(array.shape)
        if not array.flags.c_contiguous:  # a dimension of size 1 may have any stride, even a negative one
            strides = tuple(step // size if n > 1 else 1 for n, step in zip(array.shape, array.strides, strict=True))
        return self.numbers[key], root.size, offset if array.size else 0, strides


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of an array without gaps."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


# ---------------------------------------------------------------------------------------- loading


def load(f: Any, map_location: Any = None, *, weights_only: bool = True, mmap: bool = False) -> Any:
    """Read what :func:`save` or ``torch.save`` wrote, PyTorch's format from before version 1.6 too.

    Tensors of any device arrive on the CPU, those of dtype bfloat16 as float32.

    Args:
        f: a path, or a file object open for binary reading that can seek.
        map_location: None or the CPU.
        weights_only: there is only the safe reader, which loads what :func:`save` names; False
            changes nothing.
        mmap: leave tensors in the file until they are used; needs a path, and the file must not
            change meanwhile. Writing to such a tensor does not change the file.

    Raises:
        LoadError: if the file is damaged, or holds anything else.
    """
    for place in map_location.values() if isinstance(map_location, Mapping) else (map_location,):
        if callable(place):
            raise NotImplementedError("load: map_location as a function is not supported; everything loads to the CPU")
        check_device(place)
    if not hasattr(f, "read"):
        with open(f, "rb") as file:
            return _load(file, f if mmap else None)
    if mmap:
        raise ValueError("load: mmap=True needs a path, not a file object")
    return _load(f, None)


def _load(file: BinaryIO, path: Any) -> Any:
    import zipfile
    import zlib

    start = file.tell()
    first = file.read(4)
    file.seek(start)
    try:
        if first == b"PK\x03\x04":
            with zipfile.ZipFile(file) as archive:
                return _load_archive(archive, file, path)
        if path is not None:
            raise LoadError("load: mmap=True is possible for files of PyTorch's zip format only")
        return _load_legacy(file)
    except LoadError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError,
            OverflowError, NotImplementedError, RuntimeError, MemoryError, Warning, struct.error) as error:  # fmt: skip
        reason = f"{type(error).__name__}: {error}"
        raise LoadError(f"load: the file is damaged, or not one that torch.save writes ({reason})") from error


class _Storage(NamedTuple):
    """What a pickle says of a piece of memory."""

    dtype: str
    key: str
    numel: int


def _load_archive(archive: Any, file: BinaryIO, path: Any) -> Any:
    infos = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    if "data.pkl" not in infos:
        kind = "a TorchScript archive" if "constants.pkl" in infos else "a zip file of another kind"
        raise LoadError(f"load: the file has no data.pkl; it is {kind}")
    size = file.seek(0, io.SEEK_END)
    whole = None if path is None else np.memmap(path, np.uint8, "c").view(np.ndarray)
    order = "little"

    def read(name: str) -> np.ndarray:
        info = infos.get(name)
        if info is None:
            raise LoadError(f"load: the file refers to {name}, which it does not contain")
        if info.compress_type != 0 or info.file_size > size:
            raise LoadError(f"load: {name} is compressed, or larger than the file")
        if whole is not None:
            file.seek(info.header_offset + 26)
            begin = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            if begin + info.file_size > size:
                raise LoadError(f"load: {name} ends beyond the end of the file")
            return whole[begin : begin + info.file_size]
        content = np.empty(info.file_size, np.uint8)
        with archive.open(info) as record:
            if record.readinto(content.data) != info.file_size or record.read(1):  # reading on checks the CRC
                raise LoadError(f"load: {name} is shorter than the archive says")
        return content

    if "byteorder" in infos:
        order = read("byteorder").tobytes().decode()
        if order not in ("little", "big"):
            raise LoadError(f"load: unknown byteorder {order!r}")
    storages: dict[str, np.ndarray] = {}

    def fetch(wanted: _Storage) -> np.ndarray:
        if wanted.key not in storages:
            storages[wanted.key] = _decode(read(f"data/{wanted.key}"), wanted, order)
        return storages[wanted.key]

    return _unpickle(io.BytesIO(read("data.pkl").tobytes()), _reader(fetch))


def _load_legacy(file: BinaryIO) -> Any:
    """The format before PyTorch 1.6: pickles of a magic number, a version, the system and the object; then memory."""

    def nothing(_: Any) -> Any:
        raise LoadError("load: a storage in an unexpected place")

    if _unpickle(file, nothing) != 0x1950A86A20F9469CFC6C:
        raise LoadError("load: the file is not one that torch.save writes")
    version, system = _unpickle(file, nothing), _unpickle(file, nothing)
    if version != 1001 or not isinstance(system, dict):
        raise LoadError(f"load: unknown version {version!r} of PyTorch's old format")
    storages: dict[str, tuple[_Storage, np.ndarray]] = {}

    def allocate(wanted: _Storage) -> np.ndarray:  # to be filled when the object is complete
        if wanted.key not in storages:
            place = file.tell()
            if wanted.numel * _itemsize(wanted.dtype) > file.seek(0, io.SEEK_END):
                raise LoadError(f"load: storage {wanted.key} is larger than the file")
            file.seek(place)
            dtype = "float32" if wanted.dtype == "bfloat16" else wanted.dtype
            storages[wanted.key] = wanted, np.zeros(wanted.numel, dtype)
        return storages[wanted.key][1]

    result = _unpickle(file, _reader(allocate))
    keys = _unpickle(file, nothing)
    if not isinstance(keys, list) or set(keys) != set(storages):
        raise LoadError("load: the list of storages does not match the object")
    for key in keys:
        wanted, array = storages[key]
        (numel,) = struct.unpack("<q", file.read(8))
        content = np.frombuffer(bytearray(file.read(wanted.numel * _itemsize(wanted.dtype))), np.uint8)
        if numel != wanted.numel:
            raise LoadError(f"load: storage {key} has {numel} elements, but {wanted.numel} were announced")
        array[...] = _decode(content, wanted, "little" if system.get("little_endian", True) else "big")
    return result


def _itemsize(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else _DTYPES[dtype].itemsize


def _decode(content: np.ndarray, wanted: _Storage, order: str) -> np.ndarray:
    """The elements of a storage, from its bytes."""
    if content.size != wanted.numel * _itemsize(wanted.dtype):
        raise LoadError(f"load: storage {wanted.key} has {content.size} bytes, "
                        f"which are not {wanted.numel} elements of {wanted.dtype}")  # fmt: skip
    raw = content.view("uint16" if wanted.dtype == "bfloat16" else wanted.dtype)
    if order != sys.byteorder:
        raw = raw.byteswap()
    if wanted.dtype == "bool" and raw.size and raw.view(np.uint8).max() > 1:
        raise LoadError(f"load: storage {wanted.key} of dtype bool holds other bytes than 0 and 1")
    return (raw.astype("uint32") << 16).view("float32") if wanted.dtype == "bfloat16" else raw


def _reader(fetch: Callable[[_Storage], np.ndarray]) -> Callable[[Any], np.ndarray]:
    """What turns a storage's description in the pickle into its elements."""

    def read(description: Any) -> np.ndarray:
        if not isinstance(description, tuple) or len(description) < 5 or description[0] != "storage":
            raise LoadError("load: unknown description of a storage")
        kind, key, _, numel = description[1:5]
        if not isinstance(kind, _Global) or not kind.name.startswith("torch.") or not kind.name.endswith("Storage"):
            raise LoadError("load: unknown kind of storage")
        dtype = _NAMES.get(kind.name[len("torch.") : -len("Storage")])
        if dtype is None:
            raise LoadError(f"load: {kind.name} has a dtype that minigrad does not have")
        if not isinstance(key, str) or type(numel) is not int or numel < 0:
            raise LoadError("load: unknown description of a storage")
        if len(description) > 5 and description[5] is not None:
            raise LoadError("load: views of storages in PyTorch's old format are not supported")
        return fetch(_Storage(dtype, key, numel))

    return read


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, *_: Any) -> Any:
    numbers = (offset, *size, *stride)
    regular = len(size) == len(stride) and all(type(n) is int and n >= 0 for n in numbers)
    if not regular or not isinstance(storage, np.ndarray):
        raise LoadError("load: unknown description of a tensor")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 in size:
        array = np.empty(size, storage.dtype)
    elif last >= storage.size:
        raise LoadError(f"load: a tensor of shape {size} and stride {stride} at {offset} exceeds its storage "
                        f"of {storage.size} elements")  # fmt: skip
    elif stride == _row_major(size):
        array = storage[offset : last + 1].reshape(size)
    else:
        steps = [step * storage.itemsize for step in stride]
        array = np.lib.stride_tricks.as_strided(storage[offset:], size, steps)
    return new_tensor(array, requires_grad is True and array.dtype.kind == "f")


def _rebuild_parameter(data: Any, requires_grad: Any, *_: Any) -> Any:
    if not isinstance(data, TensorBase):
        raise LoadError("load: unknown description of a parameter")
    if parameter_class is None:
        return data.requires_grad_(requires_grad is True)  # type: ignore[attr-defined]
    return parameter_class(data, requires_grad is True)


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise LoadError("load: unknown description of bytes")
    return text.encode("latin1")


class _Global(NamedTuple):
    """A class or function that a pickle names. Only those in ``_CALLABLE`` can be called, by us."""

    name: str


_CALLABLE: dict[str, Callable] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "collections.OrderedDict": lambda items=(): OrderedDict((_key(k), v) for k, v in items),
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch.device": lambda *_: device("cpu"),
    "_codecs.encode": _encode,
    "builtins.set": lambda items=(): set(map(_key, items)),
}


def _key(value: Any) -> Any:
    """``value`` if it may be a key or an element of a set: hashing what is nested deeply would crash Python."""
    for part in value if type(value) is tuple else (value,):
        if part is not None and not isinstance(part, (str, int, float, bytes, np.dtype, TensorBase)):
            raise LoadError(f"load: a {type(part).__name__} cannot be a key here")
    return value


def _global(module: str, name: str) -> Any:
    if module == "torch" and name in _DTYPES:
        return _DTYPES[name]
    full = f"{module.replace('__builtin__', 'builtins')}.{name}"
    if full not in _CALLABLE and not (module == "torch" and name.endswith("Storage")):
        raise LoadError(f"load: the file asks for {full}, which is not among what is safe to load: "
                        "tensors, parameters, numbers, strings and bytes in dicts, lists, tuples and sets")  # fmt: skip
    return _Global(full)


def _unpickle(file: BinaryIO, storage: Callable[[Any], Any]) -> Any:
    """Run a pickle's program up to its end; ``storage`` reads the memory it refers to."""
    import pickletools

    stack: list[Any] = []
    marks: list[list[Any]] = []  # what was below each open mark
    memo: dict[Any, Any] = {}
    argument: Any

    def to_mark() -> list[Any]:
        nonlocal stack
        items, stack = stack, marks.pop()
        return items

    for code, argument, _ in pickletools.genops(file):
        match code.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(stack)
                stack = []
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[code.name])
            case (
                "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE"
                | "BINUNICODE8" | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8"
            ):  # fmt: skip
                stack.append(argument)
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE" | "EMPTY_SET":
                stack.append({"DICT": dict, "LIST": list, "TUPLE": tuple, "SET": set}[code.name[6:]]())
            case "TUPLE":
                items = to_mark()
                stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [stack.pop() for _ in range(int(code.name[-1]))]
                stack.append(tuple(reversed(items)))
            case "APPEND" | "APPENDS":
                items = to_mark() if code.name == "APPENDS" else [stack.pop()]
                _expect(stack[-1], list).extend(items)
            case "ADDITEMS":
                items = to_mark()
                _expect(stack[-1], set).update(map(_key, items))
            case "SETITEM" | "SETITEMS":
                items = to_mark() if code.name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                target = _expect(stack[-1], dict)
                for key, value in zip(items[::2], items[1::2], strict=True):
                    target[_key(key)] = value
            case "GLOBAL":
                stack.append(_global(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_global(str(module), str(name)))
            case "REDUCE":
                args, function = stack.pop(), stack.pop()
                if not isinstance(function, _Global) or function.name not in _CALLABLE:
                    raise LoadError("load: the file calls something that is not safe to call")
                stack.append(_CALLABLE[function.name](*_expect(args, tuple)))
            case "BUILD":
                state = stack.pop()
                target = stack[-1]
                if not isinstance(target, OrderedDict) or not isinstance(state, dict) or set(state) != {"_metadata"}:
                    raise LoadError(f"load: the file sets attributes of a {type(target).__name__}, which is not safe")
                target.__dict__["_metadata"] = _expect(state["_metadata"], dict)
            case "BINPERSID":
                stack.append(storage(stack.pop()))
            case _:
                raise LoadError(f"load: the file's pickle contains the instruction {code.name}, which is not supported")
    raise LoadError("load: the file ends too early")


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise LoadError(f"load: the file treats a {type(value).__name__} as a {kind.__name__}")
    return value
