"""Pickles as PyTorch writes them: of objects in which each tensor refers to a storage, memory that is kept elsewhere.

A pickle is a little program, and Python's own reader runs whatever it says. Here it is run by
:class:`Unpickler`, which can build only what this module knows: **no file can make it run other code**, but
for the classes and functions that the program itself allows with :func:`safe_globals`.
"""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from . import dtypes, memory
from .devices import device
from .engine import TensorBase, new_tensor

parameter_class: Any = ()  # nn.Parameter puts itself here

_DTYPES = {dtype.name: dtype for dtype in dtypes.DTYPES}
_NAMES = {"Half": "float16", "Float": "float32", "Double": "float64", "Char": "int8", "Short": "int16", "Int": "int32",
          "Long": "int64", "Byte": "uint8", "Bool": "bool", "BFloat16": "bfloat16"}  # fmt: skip
_KINDS = {dtype: name for name, dtype in _NAMES.items()}


class LoadError(pickle.UnpicklingError, RuntimeError):
    """A file is damaged, is not of PyTorch's format, or holds what minigrad cannot or will not load."""


def require(held: bool, otherwise: str) -> None:
    """Refuse a file that is being read, and say why, unless something holds."""
    if not held:
        raise LoadError(f"load: {otherwise}")


class Storage(NamedTuple):
    """What a pickle says of a piece of memory."""

    dtype: str
    key: str
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * (2 if self.dtype == "bfloat16" else _DTYPES[self.dtype].itemsize)


class Global:
    """A class or function that a pickle names. Calling one runs what stands for it in ``_KNOWN``, and nothing else."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __str__(self) -> str:
        return f"{self.module.replace('__builtin__', 'builtins')}.{self.name}"

    def __call__(self, *args: Any) -> Any:
        require(str(self) in _KNOWN, "the file calls something that is not safe to call")
        return _KNOWN[str(self)](*args)


# ----------------------------------------------------------------------------------------- writing


class Pickler(pickle._Pickler):
    """Writes a pickle, and collects the storages that it refers to."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, 2)  # the protocol that PyTorch writes
        self.storages: list[np.ndarray] = []  # arrays without gaps, of any shape
        self.numbers: dict[tuple[int, str], int] = {}  # (id of a storage, dtype) -> its number
        self.path: list[Any] = []  # what is being written: the object, a part of it, a part of that, ...

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, np.generic):
            obj = obj.item()
        for plain in (str, int, float):
            if isinstance(obj, plain) and type(obj) is not bool:
                obj = plain(obj)  # of a subclass
        if isinstance(obj, np.dtype) and obj.name in _DTYPES:
            obj = Global("torch", obj.name)
        if isinstance(obj, Global):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())  # type: ignore[attr-defined]
            return
        self.path.append(obj)
        super().save(obj, save_persistent_id)  # type: ignore[misc]
        self.path.pop()

    def persistent_id(self, obj: Any) -> tuple | None:
        if not isinstance(obj, Storage):
            return None
        return "storage", Global("torch", f"{_KINDS[obj.dtype]}Storage"), obj.key, "cpu", obj.numel

    def reducer_override(self, obj: Any) -> Any:
        """How to write an object: which function makes it again of which arguments."""
        kind = type(obj)
        if kind is int and obj.bit_length() > 2039:
            raise ValueError("save: an integer of more than 255 bytes cannot be saved")
        if obj is None or kind in (bool, int, float, str, tuple, list, dict):
            return NotImplemented  # there are instructions for these
        if kind is bytes:
            return Global("_codecs", "encode"), (obj.decode("latin1"), "latin1")
        if kind is set:
            return Global("__builtin__", "set"), (sorted(obj, key=repr),)
        if kind is device:
            return Global("torch", "device"), ("cpu",)
        if kind is OrderedDict:
            versions = getattr(obj, "_metadata", None)  # of modules, in a state_dict
            state = None if versions is None else {"_metadata": versions}
            return Global("collections", "OrderedDict"), (), state, None, iter(obj.items())
        if isinstance(obj, TensorBase):
            array, requires_grad = obj._array, obj._requires_grad
            if not isinstance(array, np.ndarray):
                found = type(array).__name__
                raise TypeError(f"save: {self.place()} holds a {found}; only NumPy's arrays can be saved")
            if isinstance(obj, parameter_class):
                return Global("torch._utils", "_rebuild_parameter"), (new_tensor(array), requires_grad, OrderedDict())
            storage, offset, strides = self.locate(array)
            parts: tuple = (storage, offset, array.shape, strides, requires_grad, OrderedDict())
            return Global("torch._utils", "_rebuild_tensor_v2"), parts
        if any(hasattr(part, "named_modules") for part in self.path):
            return NotImplemented  # a module, or in one: as Python does it
        hint = "; save its state_dict() instead" if hasattr(obj, "state_dict") else ""
        hint = "; turn it into a Tensor with from_numpy()" if isinstance(obj, np.ndarray) else hint
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise TypeError(f"save: {self.place()} is of type {name}, which cannot be saved{hint}")

    def place(self) -> str:
        """Where the part that is being written is in the object."""
        keys = ""
        for whole, part in pairwise(self.path):
            if isinstance(whole, (dict, list, tuple)):
                items = whole.items() if isinstance(whole, dict) else enumerate(whole)
                keys += next((f"[{key!r}]" for key, value in items if value is part), "")
        return f"the object{keys}"

    def locate(self, array: np.ndarray) -> tuple[Storage, int, tuple[int, ...]]:
        """The storage for ``array``, and its offset and strides in that."""
        root, size = memory.owner(array), array.itemsize
        dense = root.flags.c_contiguous or root.flags.f_contiguous
        steps = [step for n, step in zip(array.shape, array.strides, strict=True) if n > 1]
        regular = all(step >= 0 and step % size == 0 for step in steps)
        if array.size == 0 or not dense or not regular or root.dtype != array.dtype:
            root = array = np.ascontiguousarray(array).reshape(array.shape)  # a storage of its own
        if (key := (id(root), root.dtype.str)) not in self.numbers:
            self.numbers[key] = len(self.storages)
            self.storages.append(root)
        offset = (array.ctypes.data - root.ctypes.data) // size
        if array.flags.c_contiguous:
            strides = tuple(math.prod(array.shape[i + 1 :]) for i in range(array.ndim))
        else:  # a dimension of size 1 may have any stride, even a negative one
            strides = tuple(step // size if n > 1 else 1 for n, step in zip(array.shape, array.strides, strict=True))
        return Storage(array.dtype.name, str(self.numbers[key]), root.size), offset if array.size else 0, strides


# ----------------------------------------------------------------------------------------- reading


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, *_: Any) -> Any:
    numbers = (offset, *size, *stride)
    regular = len(size) == len(stride) <= 64 and all(type(n) is int and 0 <= n < 2**63 for n in numbers)
    require(regular and isinstance(storage, np.ndarray), "unknown description of a tensor")
    if 0 in size:
        array = np.empty(size, storage.dtype)
    else:
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        require(last < storage.size, f"a tensor of shape {size} and stride {stride} at {offset} exceeds its storage of "
                                     f"{storage.size} elements")  # fmt: skip
        steps = [step * storage.itemsize for step in stride]
        array = np.ndarray(size, storage.dtype, storage, offset * storage.itemsize, steps)
    return new_tensor(array, requires_grad is True and array.dtype.kind == "f")


def _rebuild_parameter(data: Any, requires_grad: Any, *_: Any) -> Any:
    _expect(data, TensorBase)
    make = parameter_class or (lambda tensor, wanted: tensor.requires_grad_(wanted))
    return make(data, requires_grad is True)


def _encode(text: Any, encoding: Any) -> bytes:
    require(encoding in ("latin1", "latin-1"), "unknown description of bytes")
    return _expect(text, str).encode("latin1")


_KNOWN: dict[str, Callable] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "collections.OrderedDict": lambda items=(): OrderedDict((_key(k), v) for k, v in items),
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch.device": lambda *_: device("cpu"),
    "_codecs.encode": _encode,
    "builtins.set": lambda items=(): set(map(_key, items)),
}


_trusted: ContextVar[tuple[tuple[Any, str], ...]] = ContextVar("trusted", default=())  # each with its dotted name


@contextmanager
def safe_globals(safe_globals: Iterable[Any]) -> Iterator[None]:
    """Within a ``with`` block, let files that :func:`minigrad.load` reads in this thread use what is given.

    That runs its code with what the file says. Each is a class or a function, or a tuple of that and the dotted
    name that the file has for it.
    """
    pairs = tuple(item if isinstance(item, tuple) else (item, f"{item.__module__}.{item.__qualname__}")
                  for item in safe_globals)  # fmt: skip
    before = _trusted.set(pairs + _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(before)


def _trusts(value: Any) -> bool:
    return any(value is allowed for allowed, _ in _trusted.get())


def _expect(value: Any, kind: type) -> Any:
    require(isinstance(value, kind), f"the file treats a {type(value).__name__} as a {kind.__name__}")
    return value


def _key(value: Any) -> Any:
    """``value`` if it may be a key or an element of a set: hashing what is nested deeply would crash Python."""
    for part in value if type(value) is tuple else (value,):
        simple = part is None or isinstance(part, (str, int, float, bytes, np.dtype, TensorBase))
        require(simple, f"a {type(part).__name__} cannot be a key here")
    return value


class _Instructions(dict):
    """What a reader does at each instruction."""

    def __missing__(self, code: int) -> Any:
        raise LoadError(f"load: the file's pickle contains the instruction {chr(code)!r}, which is not supported")


class Unpickler(pickle._Unpickler):
    """Python's own reader, the one in Python, with only the instructions that build what :func:`load` may build.

    ``memory_of`` gives the elements of a storage, if the pickle may have any.
    """

    append: Callable[[Any], None]  # to the stack

    def __init__(self, file: Any, memory_of: Callable[[Storage], np.ndarray] | None = None) -> None:
        super().__init__(file)
        self.memory_of = memory_of
        self.stack: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        for value, dotted in _trusted.get():
            if dotted == f"{module}.{name}":
                return value
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        found = Global(module, name)
        require(str(found) in _KNOWN or (module == "torch" and name.endswith("Storage")),
                f"the file asks for {found}, which is not among what is safe to load: tensors, parameters, numbers, "
                "strings and bytes in dicts, lists, tuples and sets; safe_globals() allows more")  # fmt: skip
        return found

    def persistent_load(self, pid: Any) -> np.ndarray:
        match pid:
            case ("storage", Global(module="torch") as kind, str(key), _, int(n), *view) if n >= 0 and self.memory_of:
                dtype: Any = _NAMES.get(kind.name.removesuffix("Storage"))
                require(dtype is not None, f"{kind} has a dtype that minigrad does not have")
                old = any(part is not None for part in view)
                require(not old, "views of storages in PyTorch's old format are not supported")
                return self.memory_of(Storage(dtype, key, n))
        raise LoadError("load: unknown description of a storage")

    def load_reduce(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        function = function if _trusts(function) else _expect(function, Global)
        self.append(function(*_expect(args, tuple)))

    def load_newobj(self) -> None:
        args, kind = self.stack.pop(), self.stack.pop()
        require(_trusts(kind), f"the file makes an object of {kind}, which is not safe")
        self.append(kind.__new__(kind, *_expect(args, tuple)))

    def load_build(self) -> None:
        if _trusts(type(self.stack[-2])):
            super().load_build()  # type: ignore[misc]
            return
        state, found = self.stack.pop(), self.stack[-1]
        usual = isinstance(found, OrderedDict) and isinstance(state, dict) and set(state) == {"_metadata"}
        require(usual, f"the file sets attributes of a {type(found).__name__}, which is not safe")
        found.__dict__["_metadata"] = _expect(state["_metadata"], dict)

    def load_setitems(self, items: Any = None) -> None:
        items = items or self.pop_mark()  # type: ignore[attr-defined]
        _expect(self.stack[-1], dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))

    def load_setitem(self) -> None:
        self.load_setitems([self.stack.pop(-2), self.stack.pop()])

    def load_additems(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        _expect(self.stack[-1], set).update(map(_key, items))

    _names = ("PROTO FRAME STOP MARK BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET NONE NEWTRUE NEWFALSE EMPTY_DICT "
              "EMPTY_LIST EMPTY_TUPLE EMPTY_SET BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINUNICODE BINUNICODE8 "
              "SHORT_BINUNICODE BINBYTES BINBYTES8 SHORT_BINBYTES TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS GLOBAL "
              "STACK_GLOBAL BINPERSID REDUCE NEWOBJ BUILD SETITEM SETITEMS ADDITEMS")  # fmt: skip
    dispatch = _Instructions()
    for _name in _names.split():
        _load = pickle._Unpickler.dispatch[getattr(pickle, _name)[0]]
        dispatch[getattr(pickle, _name)[0]] = vars().get(_load.__name__, _load)  # the one from above, if there is one
