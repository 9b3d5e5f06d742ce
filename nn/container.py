"""Modules that hold other modules or parameters. What they hold is an attribute of theirs, of the same name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from itertools import groupby
from operator import index
from typing import Any, Self

from minigrad.tensor import Tensor

from .module import Module
from .parameter import Parameter


class _Container(Module):
    """What all containers share: entries in an order."""

    def _names(self) -> list[str]:
        return [name for name, kind in self._kinds.items() if kind == "module"]

    def _set(self, name: str, value: Any) -> None:
        self.add_module(name, value)

    def __len__(self) -> int:
        return len(self._names())

    def _check_iterable(self, method: str, given: Any, expected: str) -> None:
        if not isinstance(given, Iterable) or isinstance(given, Tensor):
            kind = type(given).__name__
            raise TypeError(f"{type(self).__name__}.{method}: expected {expected}, got {kind}")


class _Parameters(_Container):
    """What ParameterList and ParameterDict share: Tensors become Parameters; other objects are kept as they are."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}

    def _names(self) -> list[str]:
        return list(self._keys)

    def _set(self, name: str, value: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: a key must be a string, got {type(name).__name__}")
        if name not in self._keys and hasattr(self, name):
            raise KeyError(f"{type(self).__name__}: {name!r} is the name of an attribute")
        plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
        setattr(self, name, Parameter(value) if plain else value)
        self._keys[name] = None

    def _printed_members(self) -> list[tuple[str, str]]:
        return [(name, self._described(getattr(self, name))) for name in self._keys]

    @staticmethod
    def _described(value: Any) -> str:
        if not isinstance(value, Tensor):
            return f"Object of type: {type(value).__name__}"
        size = "x".join(map(str, value.shape))
        return f"{'Parameter' if isinstance(value, Parameter) else 'Tensor'} containing: [{value.dtype} of size {size}]"


# ----------------------------------------------------------------------------------------- lists


class _List(_Container):
    """Entries named "0", "1", ..., or in a Sequential as its constructor was told."""

    def _position(self, number: Any, end: bool = False) -> int:
        """``number`` counted from the front; ``end`` allows the place after the last."""
        position, length = index(number), len(self)
        if not -length <= position < length + end:
            raise IndexError(f"{type(self).__name__}: index {position} is out of range for {length} entries")
        return position + length if position < 0 else position

    def __iter__(self) -> Iterator[Any]:
        return iter([self.__dict__[name] for name in self._names()])

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            return type(self)(list(self)[idx])  # type: ignore[call-arg]
        return getattr(self, self._names()[self._position(idx)])

    def __setitem__(self, idx: Any, value: Any) -> None:
        self._set(self._names()[self._position(idx)], value)

    def append(self, value: Any) -> Self:
        """Add ``value`` at the end."""
        self._set(str(len(self)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add all ``values`` at the end."""
        self._check_iterable("extend", values, "an iterable")
        for value in list(values):
            self.append(value)
        return self

    __iadd__ = extend


class _ModuleList(_List):
    """What Sequential and ModuleList share."""

    def __delitem__(self, idx: Any) -> None:
        names = self._names()
        dropped = names[idx] if isinstance(idx, slice) else [names[self._position(idx)]]
        kept = [(name, module) for name, module in self._modules.items() if name not in dropped]
        self._modules.clear()
        for i, (name, module) in enumerate(kept):
            self._set(str(i) if name.isdigit() else name, module)  # names of an OrderedDict stay

    def insert(self, index: int, module: Module) -> Self:
        """Add ``module`` before the one at ``index``."""
        position = self._position(index, end=True)
        modules = list(self.append(module))
        modules.insert(position, modules.pop())
        for name, module in zip(self._names(), modules, strict=True):
            self._set(name, module)
        return self

    def pop(self, key: int | slice = -1) -> Module:
        """Take the module at ``key`` out and return it."""
        module = self[key]
        del self[key]
        return module


class Sequential(_ModuleList):
    """The composition of its modules: each gets the output of the one before.

    Takes what the first module takes, and gives what the last one gives.

    Args:
        args: the modules, or one OrderedDict of modules by name.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args)
        for name, module in named:
            self._set(str(name), module)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            return type(self)(dict(list(self._modules.items())[idx]))
        return super().__getitem__(idx)

    def __add__(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"Sequential: only another Sequential can be added, got {type(other).__name__}")
        return Sequential(*self, *other)

    def __mul__(self, other: int) -> Sequential:
        if not isinstance(other, int) or other < 1:
            raise ValueError(f"Sequential: can only be repeated a positive int times, got {other!r}")
        return Sequential(*list(self) * other)

    __rmul__ = __mul__


class ModuleList(_ModuleList):
    """A list of modules, all of which are registered."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(() if modules is None else modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def _printed_members(self) -> list[tuple[str, str]]:
        """Equal modules in a row are printed once: ``(0-2): 3 x Linear(...)``."""
        runs = [(text, list(run)) for text, run in groupby(super()._printed_members(), lambda member: member[1])]
        return [
            (run[0][0], text) if len(run) == 1 else (f"{run[0][0]}-{run[-1][0]}", f"{len(run)} x {text}")
            for text, run in runs
        ]


class ParameterList(_Parameters, _List):
    """A list of parameters, all of which are registered; Tensors in it become Parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(() if values is None else values)


# ---------------------------------------------------------------------------------- dictionaries


class _Dict(_Container, MutableMapping[str, Any]):
    """A dictionary, with all the methods of one; but two are equal only if they are the same module."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __getitem__(self, key: str) -> Any:
        if key not in self._names():
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._set(key, value)

    def __delitem__(self, key: str) -> None:
        if key not in self._names():
            raise KeyError(key)
        delattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def update(self, entries: Any = (), /, **more: Any) -> None:
        """Add the entries of a mapping, or of pairs of name and value."""
        self._check_iterable("update", entries, "a mapping or pairs")
        super().update(entries, **more)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The entry named ``key``, which becomes ``default`` if there is none."""
        super().setdefault(key, default)
        return self[key]


class ModuleDict(_Dict):
    """A dictionary of modules, all of which are registered; it keeps the order of insertion."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(() if modules is None else modules)


class ParameterDict(_Parameters, _Dict):
    """A dictionary of parameters, all of which are registered; Tensors in it become Parameters."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self.update(() if parameters is None else parameters)

    def update(self, entries: Any = (), /, **more: Any) -> None:
        """Add the entries of a mapping, or of pairs of name and value; a plain dictionary's as in PyTorch sorted."""
        super().update(sorted(entries.items()) if type(entries) is dict else entries, **more)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        del self._keys[key]
