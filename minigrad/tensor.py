"""The Tensor: an array that knows how it was computed. Its methods are the operations of ``ops``."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import backprop, dtypes, engine, memory
from .arguments import ints, normalize_dim
from .conversion import own_dtype, to_array
from .devices import CPU
from .devices import device as Device
from .engine import TensorBase, new_tensor
from .ops import elementwise, inplace, shaping


def _reflected(operation: Callable) -> Callable[[Any, Any], Any]:
    """The operator for the case that only the right operand is a Tensor."""

    def operator(self: Any, other: Any) -> Any:
        return operation(other, self)

    return operator


def _in_place(operation: Callable) -> Callable[..., Any]:
    """The in-place variant of an operation: its result takes the place of the first operand."""
    name = operation.__name__.strip("_") + "_"

    def method(self: Any, *args: Any, **options: Any) -> Any:
        since = memory.clock()
        return inplace.become(self, operation(self, *args, **options), name, since)

    method.__name__ = name
    method.__doc__ = f"In-place :func:`{name.strip('_')}`. Returns the tensor."
    return method


def _operators(operation: Callable) -> tuple[Callable, Callable, Callable]:
    """What ``x + y``, ``1 + x`` and ``x += y`` call."""
    return operation, _reflected(operation), _in_place(operation)


class Tensor(TensorBase):
    """A multi-dimensional array that records the operations on it.

    Args:
        data: numbers, nested sequences of them, an array or a Tensor; always copied.
        size: further integers if ``data`` is one: ``Tensor(2, 3)`` is of that shape, and zero.
        requires_grad: whether :meth:`backward` shall compute a gradient for it.
    """

    __slots__ = ()

    def __new__(cls, data: Any = (), *size: int, dtype: Any = None, requires_grad: bool = False) -> Any:
        if size or (isinstance(data, (builtins.int, np.integer)) and data.__class__ is not builtins.bool):
            data = np.zeros(ints((data, *size), "Tensor", minimum=0))
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
            if value.dtype != self.dtype:
                raise TypeError(f"grad: the gradient is {value.dtype}, the tensor {self.dtype}")
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

    # --------------------------------------------------------------- its memory and values

    is_cuda = is_mps = is_xpu = is_sparse = is_quantized = is_meta = False
    is_cpu = True

    @property
    def device(self) -> Device:
        """Where the memory is: the CPU."""
        return CPU

    def size(self, dim: builtins.int | None = None) -> Any:
        """The shape, or the size of dimension ``dim``."""
        return self.shape if dim is None else self.shape[normalize_dim(dim, self.ndim, "size")]

    def dim(self) -> builtins.int:
        """The number of dimensions."""
        return self._array.ndim

    def numel(self) -> builtins.int:
        """The number of elements."""
        return self._array.size

    ndimension, nelement = dim, numel

    @property
    def itemsize(self) -> builtins.int:
        """Bytes per element."""
        return self._array.itemsize

    def element_size(self) -> builtins.int:
        """Bytes per element."""
        return self._array.itemsize

    @property
    def nbytes(self) -> builtins.int:
        """Bytes of all elements."""
        return self._array.nbytes

    def stride(self, dim: builtins.int | None = None) -> Any:
        """How many elements lie between neighbours along each dimension, or along ``dim``."""
        steps = tuple(step // self._array.itemsize for step in self._array.strides)
        return steps if dim is None else steps[normalize_dim(dim, self.ndim, "stride")]

    def is_contiguous(self) -> builtins.bool:
        """Whether the elements lie in memory in row-major order, without gaps."""
        return self._array.flags.c_contiguous

    def data_ptr(self) -> builtins.int:
        """The address of the first element."""
        return self._array.ctypes.data

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self._array.size != 1:
            raise ValueError(f"item: a tensor of shape {self.shape} is not one number; use tolist() for all elements")
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers; one number if there are no dimensions."""
        return self._array.tolist()

    def numpy(self, *, force: builtins.bool = False) -> Any:
        """An array over the same memory. Changes to it are noticed by backward.

        Raises RuntimeError if a gradient is required, which NumPy would lose, unless ``force``.
        """
        if self.requires_grad and not force:
            raise RuntimeError("numpy: the tensor requires a gradient, which NumPy would lose; use x.detach().numpy()")
        return memory.lend(self._array) if isinstance(self._array, np.ndarray) else self._array

    def __array__(self, dtype: Any = None, copy: builtins.bool | None = None) -> Any:
        if copy is False and dtype is not None and np.dtype(dtype) != self.dtype:
            raise ValueError(f"__array__: {self.dtype} elements cannot become {np.dtype(dtype)} without a copy")
        if copy is True or (dtype is not None and np.dtype(dtype) != self.dtype):
            if self.requires_grad:
                return self.numpy()  # which refuses
            return self._array.astype(self.dtype if dtype is None else dtype)
        return self.numpy()

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        if self.requires_grad:
            raise BufferError("__dlpack__: the tensor requires a gradient, which other libraries lose; use x.detach()")
        if stream is not None:
            raise BufferError("__dlpack__: stream must be None on the CPU")
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[builtins.int, builtins.int]:
        return self._array.__dlpack_device__()

    def __len__(self) -> builtins.int:
        if not self.ndim:
            raise TypeError("len: a tensor without dimensions has no length")
        return len(self._array)

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iter: a tensor without dimensions cannot be iterated over; use item()")
        return map(self.__getitem__, range(len(self)))

    def __contains__(self, element: Any) -> builtins.bool:
        if not isinstance(element, (builtins.int, builtins.float, np.generic, np.ndarray, TensorBase)):
            raise TypeError(f"in: a tensor contains numbers, not {type(element).__name__}")
        return builtins.bool((self == element)._array.any())

    def __bool__(self) -> builtins.bool:
        if self._array.size != 1:
            raise ValueError(f"bool: the truth of a tensor of shape {self.shape} is ambiguous; use any() or all()")
        return builtins.bool(self._array.item())

    def __int__(self) -> builtins.int:
        return builtins.int(self.item())

    def __float__(self) -> builtins.float:
        return builtins.float(self.item())

    def __index__(self) -> builtins.int:
        if self._array.dtype.kind == "f" or self._array.size != 1:
            raise TypeError(f"index: only a single integer can be an index, got a {self.dtype} tensor {self.shape}")
        return builtins.int(self._array.item())

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec) if self.ndim else format(self.item(), spec)

    def __repr__(self) -> str:
        from .printing import tensor_repr  # imported when the first tensor is printed

        return tensor_repr(self)

    def detach_(self) -> Any:
        """Cut the tensor itself off the graph."""
        if self._view is not None:
            raise RuntimeError("detach_: a view cannot be cut off its base in place; use detach()")
        self._node, self._requires_grad = None, False
        return self

    # ------------------------------------------------------------------------- gradients

    retains_grad = property(backprop.retains_grad)

    def backward(self, gradient: Any = None, retain_graph: builtins.bool | None = None,
                 create_graph: builtins.bool = False, inputs: Any = None) -> None:  # fmt: skip
        """Add the gradient of this tensor to the ``.grad`` of the leaves: :func:`minigrad.autograd.backward`."""
        backprop.backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    # ------------------------------------------------------------------ copying and pickling

    def _leaf(self, name: str) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError(f"{name}: the tensor is part of a graph, which is not copied; use x.detach()")
        return self

    def __copy__(self) -> Tensor:
        return _rebuild(type(self), self._leaf("copy")._array, self._requires_grad, _attributes(self))

    def __deepcopy__(self, memo: dict[builtins.int, Any]) -> Tensor:
        from copy import deepcopy  # rarely needed, and loaded if anybody asks for this

        array = self._leaf("deepcopy")._array.copy()
        memo[id(self)] = copied = _rebuild(type(self), array, self._requires_grad, {})
        copied.__dict__.update(deepcopy({**_attributes(self), "_grad": self._grad}, memo))
        return copied

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return _rebuild, (type(self), self._leaf("pickle")._array, self._requires_grad, _attributes(self))

    # ----------------------------------- functions of other modules that are methods under the same names

    from .backprop import register_hook, register_post_accumulate_grad_hook, retain_grad  # type: ignore[misc]
    from .creation import new_empty, new_full, new_ones, new_zeros  # type: ignore[misc]
    from .dtypes import is_complex, is_floating_point, is_signed  # type: ignore[misc]
    from .numpy_protocol import __array_function__, __array_ufunc__  # type: ignore[misc]
    from .ops.activation import hardshrink, prelu, relu  # type: ignore[misc]
    from .ops.casting import (  # type: ignore[misc]
        bool, byte, char, cpu, cuda, double, float, half, int, long, short, to, type, type_as,
    )
    from .ops.elementwise import (  # type: ignore[misc]
        abs, absolute, acos, acosh, add, addcdiv, addcmul, allclose, arccos, arccosh, arcsin, arcsinh, arctan,
        arctan2, arctanh, asin, asinh, atan, atan2, atanh, bitwise_and, bitwise_left_shift, bitwise_not,
        bitwise_or, bitwise_right_shift, bitwise_xor, ceil, clamp, clamp_max, clamp_min, clip, copysign, cos, cosh,
        deg2rad, div, divide, eq, equal, erf, erfc, exp, exp2, expm1, fix, float_power, floor, floor_divide, fmax,
        fmin, fmod, frac, ge, greater, greater_equal, gt, heaviside, hypot, isclose, isfinite, isinf, isnan,
        isneginf, isposinf, ldexp, le, lerp, less, less_equal, log, log1p, log2, log10, logaddexp, logical_and,
        logical_not, logical_or, logical_xor, logit, lt, maximum, minimum, mul, multiply, nan_to_num, ne, neg,
        negative, not_equal, positive, pow, rad2deg, reciprocal, remainder, round, rsqrt, rsub, sgn, sigmoid,
        sign, signbit, sin, sinc, sinh, sqrt, square, sub, subtract, tan, tanh, true_divide, trunc, xlogy,
    )
    from .ops.indexing import (  # type: ignore[misc]
        argwhere, gather, index_add, index_put, index_select, masked_fill, masked_select, nonzero, scatter,
        scatter_add, scatter_reduce, take, take_along_dim,
    )
    from .ops.inplace import copy_, fill_, zero_  # type: ignore[misc]
    from .ops.linalg import (  # type: ignore[misc]
        addmm, baddbmm, bmm, cholesky, det, dot, inner, matmul, mm, mv, outer,
    )
    from .ops.reduction import (  # type: ignore[misc]
        all, amax, amin, aminmax, any, argmax, argmin, count_nonzero, cummax, cummin, cumprod, cumsum, log_softmax,
        logcumsumexp, logsumexp, max, mean, min, nanmean, nansum, norm, prod, softmax, std, sum, var,
    )
    from .ops.shaping import (  # type: ignore[misc]
        broadcast_to, chunk, clone, contiguous, diag, diag_embed, diagflat, diagonal, expand, expand_as, flatten,
        flip, fliplr, flipud, moveaxis, movedim, narrow, permute, ravel, repeat, repeat_interleave, reshape,
        reshape_as, roll, rot90, select, split, squeeze, swapaxes, swapdims, t, tile, trace,
        transpose, tril, triu, unbind, unflatten, unfold, unsqueeze, view, view_as,
    )
    from .ops.sorting import argsort, bincount, kthvalue, median, sort, topk, unique  # type: ignore[misc]
    from .random import (  # type: ignore[misc]
        bernoulli, bernoulli_, exponential_, multinomial, normal_, random_, uniform_,
    )

    # ------------------------------------------------------------------------ and under other names

    from .creation import new_tensor_ as new_tensor  # type: ignore[misc]
    from .ops.indexing import getitem as __getitem__  # type: ignore[misc]
    from .ops.indexing import setitem as __setitem__  # type: ignore[misc]
    from .ops.linalg import inv as inverse  # type: ignore[misc]

    T, mT = property(shaping.reverse_dims), property(shaping.matrix_transpose)
    __hash__ = object.__hash__
    __add__, __radd__, __iadd__ = _operators(elementwise._add)
    __sub__, __rsub__, __isub__ = _operators(elementwise._sub)
    __mul__, __rmul__, __imul__ = _operators(mul)
    __truediv__, __rtruediv__, __itruediv__ = _operators(elementwise._div)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _operators(floor_divide)
    __mod__, __rmod__, __imod__ = _operators(remainder)
    __pow__, __rpow__, __ipow__ = _operators(pow)
    __matmul__, __rmatmul__ = matmul, _reflected(matmul)
    __and__, __rand__, __iand__ = _operators(bitwise_and)
    __or__, __ror__, __ior__ = _operators(bitwise_or)
    __xor__, __rxor__, __ixor__ = _operators(bitwise_xor)
    __lshift__, __rlshift__, __ilshift__ = _operators(bitwise_left_shift)
    __rshift__, __rrshift__, __irshift__ = _operators(bitwise_right_shift)
    __neg__, __pos__, __abs__, __invert__ = neg, positive, abs, bitwise_not
    __lt__, __le__, __gt__, __ge__ = lt, le, gt, ge

    def __eq__(self, other: object) -> Any:
        return False if other is None or isinstance(other, str) else elementwise.eq(self, other)

    def __ne__(self, other: object) -> Any:
        return True if other is None or isinstance(other, str) else elementwise.ne(self, other)

    def where(self, condition: Any, other: Any) -> Any:
        """The elements where ``condition`` is True, those of ``other`` elsewhere."""
        return elementwise.where(condition, self, other)

    # ------------------------------------------------------------------------------ in-place variants

    add_, sub_, mul_, div_, pow_, float_power_, floor_divide_, remainder_, fmod_ = map(
        _in_place, (add, sub, mul, div, pow, float_power, floor_divide, remainder, fmod)
    )
    neg_, abs_, sign_, copysign_, reciprocal_, square_, sqrt_, rsqrt_, lerp_, addcmul_, addcdiv_, ldexp_ = map(
        _in_place, (neg, abs, sign, copysign, reciprocal, square, sqrt, rsqrt, lerp, addcmul, addcdiv, ldexp)
    )
    exp_, exp2_, expm1_, log_, log2_, log10_, log1p_, xlogy_, logit_, sigmoid_, erf_, erfc_, sinc_, relu_ = map(
        _in_place, (exp, exp2, expm1, log, log2, log10, log1p, xlogy, logit, sigmoid, erf, erfc, sinc, relu)
    )
    sin_, cos_, tan_, asin_, acos_, atan_, atan2_, hypot_, sinh_, cosh_, tanh_, asinh_, acosh_, atanh_ = map(
        _in_place, (sin, cos, tan, asin, acos, atan, atan2, hypot, sinh, cosh, tanh, asinh, acosh, atanh)
    )
    floor_, ceil_, trunc_, round_, frac_, clamp_, clamp_min_, clamp_max_, nan_to_num_, deg2rad_, rad2deg_ = map(
        _in_place, (floor, ceil, trunc, round, frac, clamp, clamp_min, clamp_max, nan_to_num, deg2rad, rad2deg)
    )
    heaviside_, logical_and_, logical_or_, logical_xor_, logical_not_ = map(
        _in_place, (heaviside, logical_and, logical_or, logical_xor, logical_not)
    )
    bitwise_and_, bitwise_or_, bitwise_xor_, bitwise_not_, cumsum_, cumprod_, tril_, triu_ = map(
        _in_place, (bitwise_and, bitwise_or, bitwise_xor, bitwise_not, cumsum, cumprod, tril, triu)
    )
    addmm_, baddbmm_ = map(_in_place, (addmm, baddbmm))
    scatter_, scatter_add_, scatter_reduce_ = map(_in_place, (scatter, scatter_add, scatter_reduce))
    index_add_, index_put_, masked_fill_ = map(_in_place, (index_add, index_put, masked_fill))
    subtract_, multiply_, divide_, negative_, absolute_, clip_ = sub_, mul_, div_, neg_, abs_, clamp_


def _attributes(tensor: Tensor) -> dict[str, Any]:
    """What users attached to a tensor; gradients and hooks are not theirs."""
    return {name: value for name, value in tensor.__dict__.items() if not name.startswith("_")}


def _rebuild(cls: type, array: Any, requires_grad: bool, attributes: dict[str, Any]) -> Any:
    """A leaf of class ``cls``, from a pickle or for a copy."""
    tensor: Any = object.__new__(cls)
    tensor._array, tensor._node, tensor._view, tensor._requires_grad = own_dtype(array), None, None, requires_grad
    tensor.__dict__.update(attributes)
    return tensor


engine.tensor_class = Tensor
