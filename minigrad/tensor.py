"""The Tensor: an array that knows how it was computed. Its methods are the operations of ``ops``."""

from __future__ import annotations

import builtins
import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import backprop, creation, dtypes, engine, memory, numpy_protocol, random
from .arguments import normalize_dim
from .conversion import own_dtype, to_array
from .devices import CPU
from .devices import device as Device
from .engine import TensorBase, new_tensor
from .ops import activation, casting, elementwise, indexing, inplace, linalg, reduction, shaping, sorting


def _reflected(operation: Callable) -> Callable[[Any, Any], Any]:
    """The operator for the case that only the right operand is a Tensor."""

    def operator(self: Any, other: Any) -> Any:
        return operation(other, self)

    return operator


def _in_place(operation: Callable, name: str) -> Callable[..., Any]:
    """The in-place variant of an operation: its result takes the place of the first operand."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        since = memory.clock()
        return inplace.become(self, operation(self, *args, **options), name, since)

    method.__name__ = name
    method.__doc__ = f"In-place :func:`{name.strip('_')}`. Returns the tensor."
    return method


def _both(operation: Callable) -> tuple[Callable, Callable]:
    """An operation, and its in-place variant."""
    return operation, _in_place(operation, operation.__name__ + "_")


def _operators(operation: Callable) -> tuple[Callable, Callable, Callable]:
    """What ``x + y``, ``1 + x`` and ``x += y`` call."""
    return operation, _reflected(operation), _in_place(operation, operation.__name__.strip("_") + "_")


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

    is_cuda = False

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

    is_floating_point = dtypes.is_floating_point
    is_signed = dtypes.is_signed
    is_complex = dtypes.is_complex

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

    register_hook = backprop.register_hook
    register_post_accumulate_grad_hook = backprop.register_post_accumulate_grad_hook
    retain_grad = backprop.retain_grad
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
        if id(self) not in memo:
            array = self._leaf("deepcopy")._array.copy()
            memo[id(self)] = copied = _rebuild(type(self), array, self._requires_grad, {})
            for name, value in _attributes(self).items():
                copied.__dict__[name] = copy.deepcopy(value, memo)
            copied._grad = copy.deepcopy(self._grad, memo)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return _rebuild, (type(self), self._leaf("pickle")._array, self._requires_grad, _attributes(self))

    # ------------------------------------------------------------------------ other dtypes

    to = casting.to
    type_as = casting.type_as
    type = casting.type
    cpu = casting.cpu
    cuda = casting.cuda
    half = casting.half
    float = casting.float
    double = casting.double
    byte = casting.byte
    char = casting.char
    short = casting.short
    int = casting.int
    long = casting.long
    bool = casting.bool

    # --------------------------------------------------------------- creation and NumPy

    new_tensor = creation.new_tensor_
    new_zeros = creation.new_zeros
    new_ones = creation.new_ones
    new_full = creation.new_full
    new_empty = creation.new_empty
    __array_ufunc__ = numpy_protocol.array_ufunc
    __array_function__ = numpy_protocol.array_function

    # -------------------------------------------------------------------- random numbers

    bernoulli = random.bernoulli
    multinomial = random.multinomial
    uniform_ = random.uniform_
    normal_ = random.normal_
    exponential_ = random.exponential_
    bernoulli_ = random.bernoulli_
    random_ = random.random_

    # ---------------------------------------------------------------------- arithmetic

    __hash__ = object.__hash__
    __add__, __radd__, __iadd__ = _operators(elementwise._add)
    __sub__, __rsub__, __isub__ = _operators(elementwise._sub)
    __mul__, __rmul__, __imul__ = _operators(elementwise.mul)
    __truediv__, __rtruediv__, __itruediv__ = _operators(elementwise._div)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _operators(elementwise.floor_divide)
    __mod__, __rmod__, __imod__ = _operators(elementwise.remainder)
    __pow__, __rpow__, __ipow__ = _operators(elementwise.pow)
    __neg__ = elementwise.neg
    __pos__ = elementwise.positive
    __abs__ = elementwise.abs
    __invert__ = elementwise.bitwise_not
    __and__, __rand__, __iand__ = _operators(elementwise.bitwise_and)
    __or__, __ror__, __ior__ = _operators(elementwise.bitwise_or)
    __xor__, __rxor__, __ixor__ = _operators(elementwise.bitwise_xor)
    __lt__ = elementwise.lt
    __le__ = elementwise.le
    __gt__ = elementwise.gt
    __ge__ = elementwise.ge

    # ------------------------------------------------------------------ functions of each element

    add, add_ = _both(elementwise.add)
    sub, sub_ = subtract, subtract_ = _both(elementwise.sub)
    rsub = elementwise.rsub
    mul, mul_ = multiply, multiply_ = _both(elementwise.mul)
    div, div_ = divide, divide_ = true_divide, true_divide_ = _both(elementwise.div)
    floor_divide, floor_divide_ = _both(elementwise.floor_divide)
    remainder, remainder_ = _both(elementwise.remainder)
    fmod, fmod_ = _both(elementwise.fmod)
    neg, neg_ = negative, negative_ = _both(elementwise.neg)
    positive = elementwise.positive
    abs, abs_ = absolute, absolute_ = _both(elementwise.abs)
    sign, sign_ = sgn, sgn_ = _both(elementwise.sign)
    signbit = elementwise.signbit
    copysign, copysign_ = _both(elementwise.copysign)
    reciprocal, reciprocal_ = _both(elementwise.reciprocal)
    square, square_ = _both(elementwise.square)
    sqrt, sqrt_ = _both(elementwise.sqrt)
    rsqrt, rsqrt_ = _both(elementwise.rsqrt)
    pow, pow_ = _both(elementwise.pow)
    float_power, float_power_ = _both(elementwise.float_power)
    lerp, lerp_ = _both(elementwise.lerp)
    addcmul, addcmul_ = _both(elementwise.addcmul)
    addcdiv, addcdiv_ = _both(elementwise.addcdiv)
    ldexp, ldexp_ = _both(elementwise.ldexp)
    exp, exp_ = _both(elementwise.exp)
    exp2, exp2_ = _both(elementwise.exp2)
    expm1, expm1_ = _both(elementwise.expm1)
    log, log_ = _both(elementwise.log)
    log2, log2_ = _both(elementwise.log2)
    log10, log10_ = _both(elementwise.log10)
    log1p, log1p_ = _both(elementwise.log1p)
    logaddexp = elementwise.logaddexp
    xlogy, xlogy_ = _both(elementwise.xlogy)
    logit, logit_ = _both(elementwise.logit)
    sin, sin_ = _both(elementwise.sin)
    cos, cos_ = _both(elementwise.cos)
    tan, tan_ = _both(elementwise.tan)
    asin, asin_ = arcsin, arcsin_ = _both(elementwise.asin)
    acos, acos_ = arccos, arccos_ = _both(elementwise.acos)
    atan, atan_ = arctan, arctan_ = _both(elementwise.atan)
    atan2, atan2_ = arctan2, arctan2_ = _both(elementwise.atan2)
    hypot, hypot_ = _both(elementwise.hypot)
    sinh, sinh_ = _both(elementwise.sinh)
    cosh, cosh_ = _both(elementwise.cosh)
    asinh, asinh_ = arcsinh, arcsinh_ = _both(elementwise.asinh)
    acosh, acosh_ = arccosh, arccosh_ = _both(elementwise.acosh)
    atanh, atanh_ = arctanh, arctanh_ = _both(elementwise.atanh)
    sigmoid, sigmoid_ = _both(elementwise.sigmoid)
    tanh, tanh_ = _both(elementwise.tanh)
    sinc, sinc_ = _both(elementwise.sinc)
    erf, erf_ = _both(elementwise.erf)
    erfc, erfc_ = _both(elementwise.erfc)
    deg2rad, deg2rad_ = _both(elementwise.deg2rad)
    rad2deg, rad2deg_ = _both(elementwise.rad2deg)
    floor, floor_ = _both(elementwise.floor)
    ceil, ceil_ = _both(elementwise.ceil)
    trunc, trunc_ = fix, fix_ = _both(elementwise.trunc)
    round, round_ = _both(elementwise.round)
    frac, frac_ = _both(elementwise.frac)
    maximum = elementwise.maximum
    minimum = elementwise.minimum
    fmax = elementwise.fmax
    fmin = elementwise.fmin
    clamp, clamp_ = clip, clip_ = _both(elementwise.clamp)
    clamp_min, clamp_min_ = _both(elementwise.clamp_min)
    clamp_max, clamp_max_ = _both(elementwise.clamp_max)
    nan_to_num, nan_to_num_ = _both(elementwise.nan_to_num)
    heaviside, heaviside_ = _both(elementwise.heaviside)
    eq = elementwise.eq
    ne = not_equal = elementwise.ne
    lt = less = elementwise.lt
    le = less_equal = elementwise.le
    gt = greater = elementwise.gt
    ge = greater_equal = elementwise.ge
    logical_and, logical_and_ = _both(elementwise.logical_and)
    logical_or, logical_or_ = _both(elementwise.logical_or)
    logical_xor, logical_xor_ = _both(elementwise.logical_xor)
    logical_not, logical_not_ = _both(elementwise.logical_not)
    bitwise_and, bitwise_and_ = _both(elementwise.bitwise_and)
    bitwise_or, bitwise_or_ = _both(elementwise.bitwise_or)
    bitwise_xor, bitwise_xor_ = _both(elementwise.bitwise_xor)
    bitwise_not, bitwise_not_ = _both(elementwise.bitwise_not)
    bitwise_left_shift = elementwise.bitwise_left_shift
    bitwise_right_shift = elementwise.bitwise_right_shift
    isnan = elementwise.isnan
    isinf = elementwise.isinf
    isposinf = elementwise.isposinf
    isneginf = elementwise.isneginf
    isfinite = elementwise.isfinite
    isclose = elementwise.isclose
    allclose = elementwise.allclose
    equal = elementwise.equal

    def where(self, condition: Any, other: Any) -> Any:
        """The elements where ``condition`` is True, those of ``other`` elsewhere."""
        return elementwise.where(condition, self, other)

    # ------------------------------------------------------------------- reductions and scans

    sum = reduction.sum
    nansum = reduction.nansum
    mean = reduction.mean
    nanmean = reduction.nanmean
    prod = reduction.prod
    count_nonzero = reduction.count_nonzero
    any = reduction.any
    all = reduction.all
    var = reduction.var
    std = reduction.std
    norm = reduction.norm
    amax = reduction.amax
    amin = reduction.amin
    aminmax = reduction.aminmax
    argmax = reduction.argmax
    argmin = reduction.argmin
    max = reduction.max
    min = reduction.min
    cumsum, cumsum_ = _both(reduction.cumsum)
    cumprod, cumprod_ = _both(reduction.cumprod)
    cummax = reduction.cummax
    cummin = reduction.cummin
    logcumsumexp = reduction.logcumsumexp
    logsumexp = reduction.logsumexp
    softmax = reduction.softmax
    log_softmax = reduction.log_softmax

    # ------------------------------------------------------------------- order and counting

    sort = sorting.sort
    argsort = sorting.argsort
    msort = sorting.msort
    topk = sorting.topk
    kthvalue = sorting.kthvalue
    median = sorting.median
    mode = sorting.mode
    unique = sorting.unique
    unique_consecutive = sorting.unique_consecutive
    bincount = sorting.bincount
    histc = sorting.histc

    # ------------------------------------------------------------------ linear algebra

    __matmul__ = linalg.matmul
    __rmatmul__ = _reflected(linalg.matmul)
    matmul = linalg.matmul
    mm = linalg.mm
    bmm = linalg.bmm
    mv = linalg.mv
    dot = linalg.dot
    vdot = linalg.vdot
    inner = linalg.inner
    outer = ger = linalg.outer
    cross = linalg.cross
    kron = linalg.kron
    addmm, addmm_ = _both(linalg.addmm)
    addmv, addmv_ = _both(linalg.addmv)
    addr, addr_ = _both(linalg.addr)
    baddbmm, baddbmm_ = _both(linalg.baddbmm)
    addbmm, addbmm_ = _both(linalg.addbmm)
    inverse = linalg.inv
    det = linalg.det
    slogdet = linalg.slogdet
    logdet = linalg.logdet
    cholesky = linalg.cholesky
    matrix_power = linalg.matrix_power

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
    swapaxes = shaping.swapaxes
    swapdims = shaping.swapdims
    t = shaping.t
    T = property(shaping.reverse_dims)
    mT = property(shaping.matrix_transpose)
    permute = shaping.permute
    movedim = shaping.movedim
    moveaxis = shaping.moveaxis
    expand = shaping.expand
    expand_as = shaping.expand_as
    broadcast_to = shaping.broadcast_to
    repeat = shaping.repeat
    tile = shaping.tile
    repeat_interleave = shaping.repeat_interleave
    select = shaping.select
    narrow = shaping.narrow
    split = shaping.split
    chunk = shaping.chunk
    tensor_split = shaping.tensor_split
    unbind = shaping.unbind
    flip = shaping.flip
    fliplr = shaping.fliplr
    flipud = shaping.flipud
    roll = shaping.roll
    rot90 = shaping.rot90
    tril, tril_ = _both(shaping.tril)
    triu, triu_ = _both(shaping.triu)
    diagonal = shaping.diagonal
    diag = shaping.diag
    diag_embed = shaping.diag_embed
    diagflat = shaping.diagflat
    trace = shaping.trace
    unfold = shaping.unfold
    clone = shaping.clone
    contiguous = shaping.contiguous

    # ------------------------------------------------------------------- elements by index

    __getitem__ = indexing.getitem
    __setitem__ = indexing.setitem
    copy_ = inplace.copy_
    fill_ = inplace.fill_
    zero_ = inplace.zero_
    gather = indexing.gather
    scatter, scatter_ = _both(indexing.scatter)
    scatter_add, scatter_add_ = _both(indexing.scatter_add)
    scatter_reduce, scatter_reduce_ = _both(indexing.scatter_reduce)
    index_select = indexing.index_select
    index_add, index_add_ = _both(indexing.index_add)
    index_copy, index_copy_ = _both(indexing.index_copy)
    index_fill, index_fill_ = _both(indexing.index_fill)
    index_put, index_put_ = _both(indexing.index_put)
    masked_fill, masked_fill_ = _both(indexing.masked_fill)
    masked_select = indexing.masked_select
    masked_scatter, masked_scatter_ = _both(indexing.masked_scatter)
    take = indexing.take
    take_along_dim = indexing.take_along_dim
    nonzero = indexing.nonzero
    argwhere = indexing.argwhere

    # ------------------------------------------------------------ activation functions

    relu, relu_ = _both(activation.relu)
    prelu = activation.prelu
    hardshrink = activation.hardshrink


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
