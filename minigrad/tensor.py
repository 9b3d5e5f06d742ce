"""The Tensor: an array that knows how it was computed. Its methods are the operations of ``ops``."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import creation, dtypes, engine, numpy_protocol
from .conversion import to_array
from .engine import TensorBase, mode, new_tensor
from .ops import activation, elementwise, indexing, inplace, linalg, shaping


def _reflected(operation: Callable) -> Callable[[Any, Any], Any]:
    """The operator for the case that only the right operand is a Tensor."""

    def operator(self: Any, other: Any) -> Any:
        return operation(other, self)

    return operator


def _in_place(operation: Callable, name: str) -> Callable[..., Any]:
    """The in-place variant of an operation: its result takes the place of the first operand."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return inplace.become(self, operation(self, *args, **options), name)

    method.__name__ = name
    method.__doc__ = f"In-place :func:`{name.strip('_')}`. Returns the tensor."
    return method


class Tensor(TensorBase):
    """A multi-dimensional array that records the operations on it.

    Args:
        data: numbers, nested sequences of them, an array or a Tensor; always copied.
        requires_grad: whether :meth:`backward` shall compute a gradient for it.
    """

    __slots__ = ()

    def __new__(cls, data: Any = (), *, dtype: Any = None, requires_grad: bool = False) -> Any:
        array = to_array(data, dtypes.get_default_dtype() if dtype is None else dtype, copy=True)
        tensor = object.__new__(cls)
        tensor._array, tensor._node, tensor._view, tensor._requires_grad = array, None, None, False
        tensor.requires_grad = requires_grad
        return tensor

    # ------------------------------------------------------------------- what it is

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor: as a leaf, or because an input of it needs one."""
        engine.refresh(self)
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._array.dtype.kind != "f":
            raise TypeError(f"requires_grad: only floating-point tensors have gradients, this is {self.dtype}")
        if not value and self._node is not None:
            raise RuntimeError("requires_grad: only a leaf can stop requiring a gradient; use detach()")
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set :attr:`requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the user made it: no operation on tensors that require a gradient did."""
        engine.refresh(self)
        return self._node is None

    @property
    def grad_fn(self) -> engine.Node | None:
        """The node of the operation that made it; None for leaves."""
        engine.refresh(self)
        return self._node

    @property
    def grad(self) -> Any:
        """The gradient that :meth:`backward` accumulated, a Tensor; None before."""
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, TensorBase):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value.shape != self.shape:
                raise ValueError(f"grad: the gradient has shape {value.shape}, the tensor {self.shape}")
        self._grad = value

    @property
    def data(self) -> Tensor:
        """The same memory outside the graph; changes to it are noticed by backward."""
        return new_tensor(self._array)

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, TensorBase):
            raise TypeError(f"data: expected a Tensor, got {type(value).__name__}")
        self._array = value._array

    def detach(self) -> Tensor:
        """The same memory outside the graph."""
        return new_tensor(self._array)

    # --------------------------------------------------------------- creation and NumPy

    new_tensor = creation.new_tensor_
    new_zeros = creation.new_zeros
    new_ones = creation.new_ones
    new_full = creation.new_full
    new_empty = creation.new_empty
    __array_ufunc__ = numpy_protocol.array_ufunc
    __array_function__ = numpy_protocol.array_function

    # ---------------------------------------------------------------------- arithmetic

    __hash__ = object.__hash__
    __add__ = elementwise._add
    __radd__ = _reflected(elementwise._add)
    __iadd__ = _in_place(elementwise._add, "add_")
    __sub__ = elementwise._sub
    __rsub__ = _reflected(elementwise._sub)
    __isub__ = _in_place(elementwise._sub, "sub_")
    __mul__ = elementwise.mul
    __rmul__ = _reflected(elementwise.mul)
    __imul__ = _in_place(elementwise.mul, "mul_")
    __truediv__ = elementwise._div
    __rtruediv__ = _reflected(elementwise._div)
    __itruediv__ = _in_place(elementwise._div, "div_")
    __floordiv__ = elementwise.floor_divide
    __rfloordiv__ = _reflected(elementwise.floor_divide)
    __ifloordiv__ = _in_place(elementwise.floor_divide, "floor_divide_")
    __mod__ = elementwise.remainder
    __rmod__ = _reflected(elementwise.remainder)
    __imod__ = _in_place(elementwise.remainder, "remainder_")
    __pow__ = elementwise.pow
    __rpow__ = _reflected(elementwise.pow)
    __ipow__ = _in_place(elementwise.pow, "pow_")
    __neg__ = elementwise.neg
    __pos__ = elementwise.positive
    __abs__ = elementwise.abs
    __invert__ = elementwise.bitwise_not
    __and__ = elementwise.bitwise_and
    __rand__ = _reflected(elementwise.bitwise_and)
    __iand__ = _in_place(elementwise.bitwise_and, "bitwise_and_")
    __or__ = elementwise.bitwise_or
    __ror__ = _reflected(elementwise.bitwise_or)
    __ior__ = _in_place(elementwise.bitwise_or, "bitwise_or_")
    __xor__ = elementwise.bitwise_xor
    __rxor__ = _reflected(elementwise.bitwise_xor)
    __ixor__ = _in_place(elementwise.bitwise_xor, "bitwise_xor_")
    __lt__ = elementwise.lt
    __le__ = elementwise.le
    __gt__ = elementwise.gt
    __ge__ = elementwise.ge

    # ------------------------------------------------------------------ linear algebra

    __matmul__ = linalg.matmul
    __rmatmul__ = _reflected(linalg.matmul)
    matmul = linalg.matmul
    mm = linalg.mm
    bmm = linalg.bmm
    mv = linalg.mv
    dot = linalg.dot
    vdot = linalg.vdot

    def __eq__(self, other: object) -> Any:
        return False if other is None or isinstance(other, str) else elementwise.eq(self, other)

    def __ne__(self, other: object) -> Any:
        return True if other is None or isinstance(other, str) else elementwise.ne(self, other)

    # ------------------------------------------------------------------- shapes and order

    reshape = shaping.reshape
    view = shaping.view
    view_as = shaping.view_as
    reshape_as = shaping.reshape_as
    flatten = shaping.flatten
    unflatten = shaping.unflatten
    ravel = shaping.ravel
    squeeze = shaping.squeeze
    unsqueeze = shaping.unsqueeze
    transpose = shaping.transpose
    swapaxes = swapdims = shaping.swapaxes
    t = shaping.t
    T = property(shaping.reverse_dims)
    mT = property(shaping.matrix_transpose)
    permute = shaping.permute
    movedim = moveaxis = shaping.movedim
    expand = shaping.expand
    expand_as = shaping.expand_as
    broadcast_to = shaping.broadcast_to
    clone = shaping.clone
    contiguous = shaping.contiguous

    # ------------------------------------------------------------------- elements by index

    __getitem__ = indexing.getitem
    __setitem__ = indexing.setitem
    copy_ = inplace.copy_

    # ------------------------------------------------------------ activation functions

    relu = activation.relu
    relu_ = _in_place(activation.relu, "relu_")
    prelu = activation.prelu
    hardshrink = activation.hardshrink


engine.tensor_class = Tensor
