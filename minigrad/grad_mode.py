"""Switches of the current thread: whether operations are recorded, and whether NaN is looked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from .engine import Watcher, describe_caller, mode
from .nested import mapped

F = TypeVar("F", bound=Callable[..., Any])


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded."""
    return mode.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside :class:`inference_mode`."""
    return mode.inference


class _Switch:
    """A context manager that is a decorator too."""

    def __init__(self) -> None:
        self._before: list[tuple[bool, bool]] = []  # what each entry found, to go back to

    def _set(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> None:
        self._before.append((mode.grad, mode.inference))
        self._set()

    def __exit__(self, *_: object) -> None:
        mode.grad, mode.inference = self._before.pop()

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A call within it, which may run in several threads at once."""
        before = mode.grad, mode.inference
        self._set()
        try:
            return function(*args, **kwargs)
        finally:
            mode.grad, mode.inference = before

    def __call__(self, function: F) -> F:
        if inspect.isclass(function):
            raise TypeError(f"{type(self).__name__}: decorate a function, not the class {function.__name__}")

        @wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            return self._call(function, *args, **kwargs)

        @wraps(function)
        def switched_generator(*args: Any, **kwargs: Any) -> Any:
            """Switched while the generator runs, and not while its consumer does."""
            generator: Any = function(*args, **kwargs)
            resume, value = generator.send, None
            try:
                while True:
                    result = self._call(resume, value)
                    try:
                        resume, value = generator.send, (yield result)
                    except BaseException as error:
                        resume, value = generator.throw, error
            except StopIteration as end:
                return end.value

        return switched_generator if inspect.isgeneratorfunction(function) else switched  # type: ignore[return-value]


class _PlainSwitch(_Switch):
    """A switch without arguments, which decorates without parentheses as well."""

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)


class no_grad(_PlainSwitch):
    """Record nothing: results require no gradient. ``with no_grad():``, ``@no_grad()`` or ``@no_grad``."""

    def _set(self) -> None:
        mode.grad = False


class enable_grad(_PlainSwitch):
    """Record again, inside :class:`no_grad`."""

    def _set(self) -> None:
        mode.grad = True


class set_grad_enabled(_Switch):
    """Switch recording on or off: for good when called, for the block in a ``with`` statement."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.mode = bool(mode)
        self._previous = is_grad_enabled()
        self._set()

    def _set(self) -> None:
        mode.grad = self.mode

    def __enter__(self) -> None:
        self._before.append((self._previous, mode.inference))
        self._set()

    def __call__(self, function: F) -> F:
        mode.grad = self._previous
        return super().__call__(function)


class inference_mode(_Switch):
    """:class:`no_grad` under the name for code that is sure never to need gradients.

    Unlike PyTorch's, its tensors may be used in recorded operations afterwards.
    """

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = mode

    def _set(self) -> None:
        mode.inference, mode.grad = self.mode, not self.mode


class set_detect_anomaly:
    """Look for NaN: for good when called, for the block in a ``with`` statement.

    The first operation that makes a NaN from inputs without one raises, and names itself and its
    line; in backward, the operation whose gradient is the first with a NaN.

    Args:
        mode: on or off.
        check_nan: look for NaN; False makes this context do nothing.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = is_anomaly_enabled()
        _set_anomaly(mode and check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _set_anomaly(self._before)


class detect_anomaly(set_detect_anomaly):
    """:class:`set_detect_anomaly`, for a block."""

    def __init__(self, check_nan: bool = True) -> None:
        self._check = check_nan

    def __enter__(self) -> None:
        self._before = is_anomaly_enabled()
        _set_anomaly(self._before or self._check)


def is_anomaly_enabled() -> bool:
    """Whether this thread looks for NaN."""
    return any(isinstance(watcher, _FirstNaN) for watcher in mode.watchers)


def _set_anomaly(enabled: bool) -> None:
    if enabled and not is_anomaly_enabled():
        _FirstNaN().__enter__()
    for watcher in mode.watchers:
        if not enabled and isinstance(watcher, _FirstNaN):
            watcher.__exit__()


class _FirstNaN(Watcher):
    def operation(self, definition: Any, args: Any, arrays: Any, options: Any, compute: Callable[[], Any]) -> Any:
        out = compute()
        if _has_nan(out) and not _has_nan(arrays):
            raise RuntimeError(f"detect_anomaly: {definition.name} made the first NaN, at {describe_caller()}")
        return out

    def rule(self, node: Any, compute: Callable[[], Any]) -> Any:
        result = compute()
        if _has_nan(result):
            raise RuntimeError(f"detect_anomaly: the gradient of {node.name}, recorded at {node.line}, "
                               "is the first to contain NaN")  # fmt: skip
        return result


def _has_nan(value: Any) -> bool:
    """Whether an array, a Tensor or one of several contains NaN."""
    parts: list[Any] = []
    mapped(lambda part: parts.append(getattr(part, "_array", part)), value)
    return any(bool(np.isnan(a).any()) for a in parts if hasattr(a, "dtype") and a.dtype.kind == "f")
