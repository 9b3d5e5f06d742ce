"""Tensors that belong to a module: parameters, which are trained, and buffers, which are only kept."""

from __future__ import annotations

from typing import Any

from minigrad import engine, pickling
from minigrad.tensor import Tensor


def _share(cls: type, data: Any, requires_grad: bool) -> Any:
    """A tensor of class ``cls`` over the memory of ``data``."""
    if not isinstance(data, Tensor):
        raise TypeError(f"{cls.__name__}: expected a Tensor, got {type(data).__name__}; use minigrad.tensor(...) first")
    tensor: Any = object.__new__(cls)
    tensor._array, tensor._node, tensor._view, tensor._requires_grad = data._array, None, None, False
    tensor.requires_grad = requires_grad
    return tensor


class Parameter(Tensor):
    """A Tensor that a :class:`Module` registers when it is assigned as an attribute.

    Args:
        data: the initial values; their memory is shared, their history is not.
        requires_grad: whether it is trained.
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        return _share(cls, Tensor() if data is None else data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{engine.new_tensor(self._array, self.requires_grad)!r}"


class Buffer(Tensor):
    """A Tensor that a :class:`Module` registers as a buffer when it is assigned as an attribute.

    Args:
        data: the initial values; their memory is shared.
        persistent: whether it is part of the module's ``state_dict``.
    """

    __slots__ = ()
    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        buffer = _share(cls, Tensor() if data is None else data, False)
        buffer.persistent = persistent
        return buffer


pickling.parameter_class = Parameter
