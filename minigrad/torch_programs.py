"""Programs written for PyTorch, unchanged: ``import torch`` imports minigrad while one runs.

In a shell ``python -m minigrad program.py [args]``, from Python :func:`run`, in a notebook::

    with as_torch():
        import torch
        from torch import nn

What such an import gives is minigrad's own: ``torch.Tensor`` is :class:`minigrad.Tensor`. A name that
minigrad does not have raises an error that says which. Outside, a real torch is what it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType, SimpleNamespace, TracebackType
from typing import Any

_PACKAGES = ("torch", "torchvision")
_OWN = ("minigrad", "nn")
_MACHINERY = (__file__, os.path.join(os.path.dirname(__file__), "__main__.py"), "<frozen runpy>")
_VERSION = "2.13.0"  # of the PyTorch whose names and meanings these are

# Modules whose place in minigrad is another; None: only others are in it.
_HOMES = {
    "torch": "minigrad",
    "torch.nn": "nn",
    "torch.nn.modules": "nn",
    "torch.nn.modules.linear": "nn.linear",
    "torch.nn.parallel": "minigrad.distributed",
    "torch.cuda.amp": "minigrad.amp",
    "torchvision": None,
    "torchvision.datasets": "minigrad.data.vision",
    "torchvision.transforms": "minigrad.data.transforms",
    "torchvision.utils": "minigrad.viz.grid",
}


class _Alias(ModuleType):
    """A module under PyTorch's name, whose contents are those of its home in minigrad."""

    def __init__(self, name: str, home: Any) -> None:
        super().__init__(name, getattr(home, "__doc__", None))
        self._home = home
        if name in _PACKAGES:
            self.__version__ = f"{_VERSION}+minigrad.{import_module('minigrad.version').__version__}"

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return [name for name in dir(self._home) if not name.startswith("_")]
        value = _find(self._home, name, f"{self.__name__}.{name}")
        if isinstance(value, (ModuleType, SimpleNamespace)):
            value = self.__dict__[name] = _Alias(f"{self.__name__}.{name}", value)
        return value


def _find(home: Any, name: str, fullname: str) -> Any:
    """What minigrad has under PyTorch's ``fullname``: an attribute or a submodule of ``home``, or what is listed."""
    if fullname in _HOMES:
        place = _HOMES[fullname]
        return import_module(place) if place else SimpleNamespace()
    if fullname.startswith("torch.nn.modules.") and name.islower():
        return home  # PyTorch's files, whose layers are all in one place here
    value = getattr(home, name, None)
    if isinstance(value, ModuleType) and value.__name__.partition(".")[0] not in _OWN:
        value = None
    if value is None and isinstance(home, ModuleType) and not name.startswith("__"):
        with suppress(ModuleNotFoundError):
            value = import_module(f"{home.__name__}.{name}")
    if value is None:
        raise AttributeError(f"{fullname} is not provided by minigrad")
    return value


class _Finder(MetaPathFinder, Loader):
    """Finds PyTorch's modules in minigrad."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if fullname.partition(".")[0] in _PACKAGES else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        parent, _, name = spec.name.rpartition(".")
        try:
            module = getattr(sys.modules[parent], name) if parent else _Alias(name, _find(None, name, name))
        except AttributeError as error:
            raise ModuleNotFoundError(str(error)) from None
        if not isinstance(module, _Alias):
            raise ModuleNotFoundError(f"{spec.name} is not a module")
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: an alias is complete from the start."""


def _uses_alias(module: Any) -> bool:
    """Whether a module is an alias, or took something from one."""
    for value in (module, *getattr(module, "__dict__", {}).values()):
        home = value.__module__ if isinstance(value, (type, FunctionType)) else ""
        if isinstance(value, _Alias) or str(home).partition(".")[0] in _OWN:
            return True
    return False


@contextmanager
def as_torch() -> Iterator[None]:
    """While it is open, ``import torch`` and ``import torchvision`` import minigrad; then all is as before.

    Modules imported meanwhile that use this torch are forgotten at the end: imported again, they get
    the real one. Worker processes inherit it where they are forked, not where they are spawned.
    """
    import_module("minigrad.nn")  # while it can be found: a program has a path of its own
    before = set(sys.modules)
    hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in _PACKAGES}
    for name in hidden:
        del sys.modules[name]
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if name not in before and name.partition(".")[0] not in _OWN and _uses_alias(module):
                del sys.modules[name]
        sys.modules.update(hidden)


def run(path: str | os.PathLike[str], argv: Sequence[str] = ()) -> dict[str, Any]:
    """Run a program as ``python path *argv`` does, with minigrad as its torch.

    Returns:
        The program's names and their values.
    """
    file = os.path.abspath(path)
    with open(file, "rb") as source:
        code = compile(source.read(), file, "exec")
    module = ModuleType("__main__")
    module.__file__ = file
    before = sys.argv, sys.path, sys.modules["__main__"]
    sys.argv, sys.path, sys.modules["__main__"] = [os.fspath(path), *argv], [os.path.dirname(file), *sys.path], module
    try:
        with as_torch():
            exec(code, module.__dict__)
    finally:
        sys.argv, sys.path, sys.modules["__main__"] = before
    return module.__dict__


def main(args: Sequence[str]) -> None:
    """The command line, as Python's: ``program.py`` and its arguments."""
    sys.excepthook = _show
    del sys.path[0]  # the folder that this was started in
    if not args or not os.path.isfile(args[0]):
        found = f"\nthere is no file {args[0]!r}" if args else ""
        print(f"usage: python -m minigrad program.py [args]{found}", file=sys.stderr)
        sys.exit(2)
    run(args[0], args[1:])


def _show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print an uncaught error without the lines of the machinery here, at its start and at its end."""
    steps: list[TracebackType] = []
    while traceback is not None:
        steps.append(traceback)
        traceback = traceback.tb_next
    for step in reversed(steps):
        if step.tb_frame.f_code.co_filename not in _MACHINERY:
            step.tb_next, traceback = traceback, step
    sys.__excepthook__(kind, error.with_traceback(traceback), traceback)
