"""Layer: a module with options, which computes a function of ``nn.functional``."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any, ClassVar

import minigrad

from . import init
from .module import Module
from .parameter import Parameter


@cache
def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(signature(function).parameters)


class Layer(Module):
    """A module whose options are attributes, and are printed.

    Its class names the function that it computes, as in ``class ReLU(Layer, function=F.relu)``. That gets what the
    layer is called with and, by their names, those options, weights and the mode ``training`` that it has parameters
    for. Layers that need more define ``forward``.

    Other words in the line of a class are attributes of it: those below, or for example ``dims``, which tells
    classes that differ by nothing else over how many dimensions they go.

    Args:
        arguments: the ``locals()`` of the constructor, which are the options; ``device`` and ``dtype`` are not kept.
    """

    function: Callable[..., Any] = Module.forward
    dims: Any
    shown: tuple[str, ...] | None = None  # which options are printed; None means all
    others: tuple[str, ...] = ("training",)  # what besides options the function may get
    unnamed = 0  # how many of them are printed without their names
    usual: ClassVar[dict[str, Any]] = {"inplace": False}  # values that go without saying

    def __init_subclass__(cls, function: Callable[..., Any] | None = None, **attributes: Any) -> None:
        super().__init_subclass__()
        if function is not None:
            cls.function = staticmethod(function)
        for name, value in attributes.items():
            setattr(cls, name, value)

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__()
        self._options = [name for name in arguments if name not in ("self", "__class__", "device", "dtype")]
        for name in self._options:
            setattr(self, name, arguments[name])
        known = (*self._options, *self.others)
        self._passed = [name for name in _parameters(type(self).function) if name in known]

    def forward(self, *inputs: Any, **more: Any) -> Any:
        own = self.__dict__
        return self.function(*inputs, **more, **{name: own[name] for name in self._passed})

    def _check_sizes(self, *names: str, minimum: int = 1) -> None:
        """Raise unless these options are ints of at least ``minimum``."""
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{type(self).__name__}: {name} must be an int, got {value!r}")
            if value < minimum:
                raise ValueError(f"{type(self).__name__}: {name} must be at least {minimum}, got {value}")

    def extra_repr(self) -> str:
        parts = []
        for position, name in enumerate(self._options if self.shown is None else self.shown):
            value = getattr(self, name)
            if name == "bias":  # the option, or what it has become: a Parameter or None
                value = value is not None and value is not False
            single = value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value  # for each dimension
            if name not in self.usual or self.usual[name] != single:
                parts.append(repr(value) if position < self.unnamed else f"{name}={value!r}")
        return ", ".join(parts)


class WeightedLayer(Layer):
    """A layer with parameters."""

    others = ("weight", "bias")
    weight: Any
    bias: Any

    def _add_parameters(self, device: Any, dtype: Any, **shapes: Any) -> None:
        """Register parameters of these shapes, None for those that are absent, and give them their first values."""
        for name, shape in shapes.items():
            param = None if shape is None else Parameter(minigrad.empty(shape, device=device, dtype=dtype))
            self._register("parameter", name, param)
        self.reset_parameters()

    def _fan_in(self) -> int:
        """How many numbers are summed up for one output."""
        return math.prod(self.weight.shape[1:])

    def reset_parameters(self) -> None:
        """Draw all parameters anew, uniform within ``1 / sqrt(fan-in)``."""
        bound = 1 / math.sqrt(max(self._fan_in(), 1))
        for param in self.parameters():
            init.uniform_(param, -bound, bound)
