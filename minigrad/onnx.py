"""Models as ONNX files, which other runtimes execute.

:func:`export` calls the model once with arrays that write down what NumPy is asked to do with them. So what
a model does between its layers is exported as well as the layers. A few operations have a counterpart in
ONNX as a whole (``_OPERATIONS``); all others are exported as the NumPy functions that they are made of, recurrent
layers as all steps of the example.

How sizes of the graph depend on a size of the inputs shows when the model is called with twice that size, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from .engine import TensorBase, Watcher, grad_mode, mode, new_tensor
from .extras import extra
from .kernels.pooling import counts
from .model_summary import evaluating
from .nested import mapped, tensors_in
from .serialization import atomic_write

_FAR = 2**62  # beyond the end of any dimension


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that the exported model computes: its name there, and its value in the example."""

    base = None  # views are known by their family

    def __init__(self, graph: Graph, value: Any, name: str, family: Any = None) -> None:
        self.graph, self.value, self.name = graph, np.asarray(value), name
        self.family = WeakValueDictionary() if family is None else family  # all that share the memory, by id
        self.family[id(self)] = self

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, out: Any = (), **options: Any) -> Any:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        result = self.graph.call(getattr(ufunc, method), name, args, options)
        return _write(out[0], result) if out else result

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return self.graph.call(function, function.__name__, args, options)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self.graph.error("a value that the inputs determine is used as a constant array")

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype", "ndim", "size", "itemsize", "strides", "flags"):
            return getattr(self.value, name)
        if name in ("max", "min"):  # by which operations check indices; the runtime will do that, too
            return getattr(self.value, name)
        if name in ("swapaxes", "ravel", "squeeze", "sum", "mean", "any", "all", "argmax", "argmin"):
            return partial(getattr(np, name), self)
        raise AttributeError(name)

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        raise self.graph.error("what is computed next depends on values; only operations on tensors can be exported")

    __int__ = __float__ = __index__ = item = tolist = __bool__

    @property
    def T(self) -> Any:
        return np.transpose(self)

    def reshape(self, *shape: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def copy(self, order: str = "C") -> Traced:
        return Traced(self.graph, self.value, self.name)

    def astype(self, dtype: Any, copy: bool = True) -> Traced:
        if self.dtype == dtype and not copy:
            return self
        return Traced(self.graph, self.value.astype(dtype), self.graph.cast(self, np.dtype(dtype)))

    def become(self, other: Any) -> Traced:
        """Take the values of ``other``, as an operation in place does."""
        if len(self.family) > 1:
            raise self.graph.error("an operation in place writes to memory that several tensors share")
        if not isinstance(other, Traced):
            other = Traced(self.graph, other, self.graph.name(np.asarray(other)))
        value: Any = (other if other.shape == self.shape else np.broadcast_to(other, self.shape)).astype(self.dtype)
        self.value, self.name = value.value, value.name
        return self

    def __getitem__(self, index: Any) -> Traced:
        items = list(index if isinstance(index, tuple) else (index,))
        given = sum(item is not None and item is not ... for item in items)
        at = next((k for k, item in enumerate(items) if item is ...), len(items))
        items[at : at + 1] = [slice(None)] * (self.ndim - given)
        value = self.value[tuple(map(_plain, items))]
        if not all(item is None or isinstance(item, (int, slice)) for item in items):
            return self._gather(items, value)
        cuts = []
        for axis, item in enumerate(item for item in items if item is not None):
            if item != slice(None):
                part = item if isinstance(item, slice) else slice(item, item + 1 or None)
                step = part.step or 1
                first, end = (0, _FAR) if step > 0 else (_FAR, -_FAR)
                start, stop = first if part.start is None else part.start, end if part.stop is None else part.stop
                cuts.append((start, stop, axis, step))
        name = self.graph.op("Slice", self, *np.array(cuts).T) if cuts else self.name
        if not all(isinstance(item, slice) for item in items):
            name = self.graph.op("Reshape", name, np.array(value.shape, np.int64))
        return Traced(self.graph, value, name, self.family)

    def __setitem__(self, *_: Any) -> None:
        raise self.graph.error("an assignment to a part of a tensor cannot be exported")

    def _gather(self, items: list[Any], value: Any) -> Traced:
        """Indexing with an array and full slices, or with arrays of which all but one say where they are."""
        arrays = {k: item for k, item in enumerate(items) if not isinstance(item, slice) or item != slice(None)}
        kind = "Gather"
        if len(arrays) == self.ndim == value.ndim > 1:
            kind, grid = "GatherElements", np.indices(value.shape)
            arrays = {k: a for k, a in arrays.items() if isinstance(a, Traced) or np.any(a != grid[k])}
        masks = [a for a in arrays.values() if getattr(a, "dtype", np.dtype(bool)).kind == "b"]
        if masks or len(arrays) != 1 or len(items) > self.ndim:
            raise self.graph.error("indexing with a mask or with several arrays cannot be exported")
        ((axis, index),) = arrays.items()
        return Traced(self.graph, value, self.graph.op(kind, self, index, axis=axis))


def _write(target: Any, source: Any) -> Any:
    if not isinstance(target, Traced):
        raise source.graph.error("a value that the inputs determine is written to a constant array")
    return target.become(source)


def _plain(value: Any) -> Any:
    """``value`` with arrays of the example for traced ones."""
    return mapped(lambda part: part.value if isinstance(part, Traced) else part, value)


class Graph(Watcher):
    """What a call of the model computes."""

    def __init__(self, model: Any) -> None:
        members = [*model.named_parameters(), *model.named_buffers()] if hasattr(model, "named_parameters") else []
        modules = model.named_modules() if hasattr(model, "named_modules") else ()
        self.parameters = {id(tensor._array): name for name, tensor in members}
        self.paths = {id(module): path for path, module in modules}
        self.nodes: list[Any] = []  # of ONNX
        self.constants: dict[str, np.ndarray] = {}
        self.outputs: list[Traced] = []
        self.current = ""  # the operation

    @property
    def place(self) -> str:
        return self.paths.get(id(mode.modules[-1]), "") if mode.modules else ""

    def error(self, what: str) -> NotImplementedError:
        module = type(mode.modules[-1]).__name__ if mode.modules else "the model"
        return NotImplementedError(f"onnx.export: in {module} {self.place!r}, operation {self.current!r}: {what}")

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node; the name of its output."""
        from onnx.helper import make_node

        output = f"{kind}_{len(self.nodes)}"
        path = f"{self.place}/{output}".lstrip("/")
        self.nodes.append(make_node(kind, list(map(self.name, inputs)), [output], path, **attributes))
        return output

    def name(self, value: Any) -> str:
        """The name of an input of a node, which may be a constant."""
        if value is None or isinstance(value, (str, Traced)):
            return value.name if isinstance(value, Traced) else value or ""
        name = self.parameters.get(id(value), f"constant_{len(self.constants)}")
        self.constants[name] = np.asarray(value)
        return name

    def cast(self, value: Any, dtype: np.dtype) -> Any:
        """``value`` as an input of that dtype."""
        from onnx.helper import np_dtype_to_tensor_dtype

        if not isinstance(value, Traced):
            return np.asarray(value, dtype)
        return value.name if value.dtype == dtype else self.op("Cast", value, to=np_dtype_to_tensor_dtype(dtype))

    def call(self, function: Callable, name: str, args: Any, options: dict[str, Any]) -> Any:
        """A function of NumPy."""
        if name in ("ceil", "floor", "rint", "round", "trunc") and args[0].dtype.kind != "f":
            return args[0]
        if name in _REWRITTEN:
            return _REWRITTEN[name](*args, **options)
        elementwise = name in _UFUNCS and not options
        if not (elementwise or name in _FUNCTIONS or name in _OF_SHAPES or name.endswith("_like")):
            raise self.error(f"NumPy's {name} has no counterpart")
        value = function(*_plain(args), **_plain(options))
        if elementwise:
            dtype = np.result_type(*_plain(args)) if value.dtype.kind == "b" else value.dtype
            dtype = np.dtype(bool) if name.startswith("logical") else dtype
            kind = (_OF_BOOLS if dtype.kind == "b" else _UFUNCS).get(name, _UFUNCS[name])
            return Traced(self, value, self.op(kind, *[self.cast(a, dtype) for a in args]))
        if name not in _FUNCTIONS:
            return value  # what is the same for all values
        family = args[0].family if name in _VIEWS else None
        return Traced(self, value, _FUNCTIONS[name](self, value, *args, **options), family)

    def operation(self, definition: Any, args: Any, arrays: Any, options: Any, compute: Callable[[], Any]) -> Any:
        self.current = definition.name
        emit = _OPERATIONS.get(definition.name)
        if emit is None or not any(isinstance(a, Traced) for a in arrays):
            return compute()
        options = {name: value for name, value in options.items() if name != "memory"}  # that is for gradients
        value = definition.forward(*map(_plain, arrays), **options)
        name = emit(self, value, *arrays, **options)
        return compute() if name is None else Traced(self, value, name)


# ------------------------------------------------------------------------------- NumPy's functions

_UFUNCS = {
    "absolute": "Abs", "add": "Add", "arccos": "Acos", "arccosh": "Acosh", "arcsin": "Asin", "arcsinh": "Asinh",
    "arctan": "Atan", "arctanh": "Atanh", "ceil": "Ceil", "cos": "Cos", "cosh": "Cosh", "divide": "Div",
    "equal": "Equal", "exp": "Exp", "floor": "Floor", "greater": "Greater", "greater_equal": "GreaterOrEqual",
    "isinf": "IsInf", "isnan": "IsNaN", "less": "Less", "less_equal": "LessOrEqual", "log": "Log", "logical_and": "And",
    "logical_not": "Not", "logical_or": "Or", "logical_xor": "Xor", "matmul": "MatMul", "maximum": "Max",
    "minimum": "Min", "multiply": "Mul", "negative": "Neg", "power": "Pow", "reciprocal": "Reciprocal", "rint": "Round",
    "sign": "Sign", "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt", "subtract": "Sub", "tan": "Tan", "tanh": "Tanh",
    "bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor", "invert": "BitwiseNot",
}  # fmt: skip
_OF_BOOLS = {"bitwise_and": "And", "multiply": "And", "minimum": "And", "bitwise_or": "Or", "add": "Or",
             "maximum": "Or", "bitwise_xor": "Xor", "invert": "Not"}  # fmt: skip


def _below(x: Any, high: Any) -> Any:
    return x if high is None else np.minimum(x, high)


# Functions that are others in turn.
_REWRITTEN: dict[str, Callable] = {
    "square": lambda x: x * x,
    "expm1": lambda x: np.exp(x) - 1,
    "log1p": lambda x: np.log(x + 1),
    "floor_divide": lambda a, b: np.floor(a / b).astype(np.result_type(a, b)),
    "remainder": lambda a, b: a - a // b * b,
    "not_equal": lambda a, b: np.logical_not(np.equal(a, b)),
    "add.reduce": lambda x, axis=0, **options: np.sum(x, axis, **options),
    "any": lambda x, axis=None, **options: np.max(x.astype(bool).astype(np.int32), axis, **options).astype(bool),
    "all": lambda x, axis=None, **options: np.min(x.astype(bool).astype(np.int32), axis, **options).astype(bool),
    "isfinite": lambda x: np.equal(x - x, 0),
    "trunc": lambda x: np.sign(x) * np.floor(np.abs(x)),
    "round": lambda x, decimals=0: np.rint(x * 10.0**decimals) / 10.0**decimals if decimals else np.rint(x),
    "clip": lambda x, low, high, **_: _below(x if low is None else np.maximum(x, low), high),
    "stack": lambda parts, axis=0: np.concatenate([np.expand_dims(part, axis) for part in parts], axis),
    "asarray": lambda x, *_, **__: x if isinstance(x, Traced) else np.asarray(x),
    "copy": lambda x, **_: x.copy(),
    "copyto": lambda target, source, **_: _write(target, source),
}


def _reshape(graph: Graph, y: Any, x: Any, *_: Any, **__: Any) -> str:
    return graph.op("Reshape", x, np.array(y.shape, np.int64))


def _permute(function: Callable, graph: Graph, y: Any, x: Any, *args: Any, **options: Any) -> str:
    return graph.op("Transpose", x, perm=list(function(np.empty(range(x.ndim)), *args, **options).shape))


def _reduce(kind: str, graph: Graph, y: Any, x: Any, axis: Any = None, *_: Any, keepdims: int = 0, **__: Any) -> str:
    axes = None if axis is None else np.array(axis, np.int64).reshape(-1)
    return graph.op(kind, graph.cast(x, y.dtype), axes, keepdims=int(keepdims))


def _extreme(kind: str, graph: Graph, y: Any, x: Any, axis: Any = None, keepdims: bool = False, **_: Any) -> str:
    return graph.op(kind, np.ravel(x) if axis is None else x, axis=axis or 0, keepdims=int(keepdims))


def _sides(widths: Any) -> list[int]:
    """What is added before each dimension, and then what is added after each."""
    return np.ravel(widths, "F").tolist()


def _pad(graph: Graph, y: Any, x: Any, widths: Any, value: Any = 0, **options: Any) -> str:
    return graph.op("Pad", x, np.array(_sides(widths)), np.asarray(options.get("constant_values", value), y.dtype))


_OF_SHAPES = ("shape", "ndim", "size", "arange", "result_type", "can_cast", "may_share_memory", "shares_memory")
_VIEWS = ("reshape", "ravel", "expand_dims", "squeeze", "transpose", "swapaxes", "moveaxis", "broadcast_to")
_FUNCTIONS: dict[str, Callable] = {
    **dict.fromkeys(("reshape", "ravel", "expand_dims", "squeeze"), _reshape),
    **{function.__name__: partial(_permute, function) for function in (np.transpose, np.swapaxes, np.moveaxis)},
    "broadcast_to": lambda graph, y, x, *_: graph.op("Expand", x, np.array(y.shape, np.int64)),
    "concatenate": lambda graph, y, parts, axis=0, **_: graph.op(
        "Concat", *[graph.cast(part, y.dtype) for part in parts], axis=axis),
    "where": lambda graph, y, mask, *parts: graph.op("Where", mask, *[graph.cast(part, y.dtype) for part in parts]),
    "take": lambda graph, y, x, index, axis=None, **_: graph.op(
        "Gather", np.ravel(x) if axis is None else x, index, axis=axis or 0),
    "take_along_axis": lambda graph, y, x, index, axis: graph.op("GatherElements", x, index, axis=axis),
    "pad": _pad,
    **{name: partial(_reduce, f"Reduce{name.title()}") for name in ("sum", "mean", "prod", "max", "min")},
    "argmax": partial(_extreme, "ArgMax"), "argmin": partial(_extreme, "ArgMin"),
}  # fmt: skip


# ----------------------------------------------------------------------- operations as a whole


def _linear(graph: Graph, y: Any, x: Any, weight: Any, bias: Any) -> str:
    if x.ndim == 2:
        return graph.op("Gemm", x, weight, bias, transB=1)
    name = graph.op("MatMul", x, weight.T)
    return name if bias is None else graph.op("Add", name, bias)


def _steps(geometry: Any) -> dict[str, Any]:
    return {"strides": geometry.stride, "dilations": geometry.dilation, "group": geometry.groups}


def _pool(graph: Graph, kind: str, y: Any, x: Any, windows: Any, **attributes: Any) -> str:
    """Pooling, of what may lack a batch."""
    lead = y.shape[: -len(windows.out)]
    whole = x if len(lead) == 2 else np.reshape(x, (1, math.prod(lead), *x.shape[len(lead) :]))
    name = graph.op(kind, whole, kernel_shape=windows.kernel, strides=windows.stride, **attributes)
    return name if len(lead) == 2 else graph.op("Reshape", name, np.array(y.shape))


def _avg_pool(graph: Graph, y: Any, x: Any, windows: Any, divisor: Any) -> str:
    if any(map(any, windows.padding)):
        x = np.pad(x, ((0, 0),) * (x.ndim - len(windows.padding)) + windows.padding)
    name = _pool(graph, "AveragePool", y, x, windows)
    divisor = divisor if isinstance(divisor, (int, float)) else counts(y, windows, divisor)
    factor = np.asarray(math.prod(windows.kernel) / divisor, y.dtype)
    return name if np.all(factor == 1) else graph.op("Mul", name, factor)


def _resample(graph: Graph, y: Any, x: Any, maps: Any) -> str:
    for axis, taps in enumerate(maps, x.ndim - len(maps)):
        if taps.copies:
            x = np.take(x, taps.index[:, 0], axis)
        else:
            x = np.moveaxis(np.matmul(np.moveaxis(x, axis, -1), taps.matrix.T.astype(x.dtype)), -1, axis)
    return x.name


def _gelu(graph: Graph, y: Any, x: Any, approximate: str) -> str | None:
    if approximate != "none":
        return None
    half = Traced(graph, y, graph.op("Erf", x * math.sqrt(0.5))) * 0.5
    return (x * (half + 0.5)).name


_OPERATIONS: dict[str, Callable] = {
    "linear": _linear, "avg_pool": _avg_pool, "resample": _resample, "pad": _pad, "gelu": _gelu,
    "convolution": lambda graph, y, x, weight, bias, geometry: graph.op(
        "Conv", x, weight, bias, pads=_sides(geometry.padding), **_steps(geometry)),
    "convolution_input": lambda graph, y, x, weight, spatial, geometry: graph.op(
        "ConvTranspose", x, weight, pads=[low for low, _ in geometry.padding] * 2,
        output_padding=[low - high for low, high in geometry.padding], **_steps(geometry)),
    "max_pool": lambda graph, y, x, windows: _pool(
        graph, "MaxPool", y, x, windows, dilations=windows.dilation, pads=_sides(windows.padding)),
    "relu": lambda graph, y, x: graph.op("Relu", x),
    "sigmoid": lambda graph, y, x: graph.op("Sigmoid", graph.cast(x, y.dtype)),
    "erf": lambda graph, y, x: graph.op("Erf", graph.cast(x, y.dtype)),
    "softmax": lambda graph, y, x, dim, dtype: graph.op("Softmax", graph.cast(x, y.dtype), axis=dim),
    "log_softmax": lambda graph, y, x, dim, dtype: graph.op("LogSoftmax", graph.cast(x, y.dtype), axis=dim),
    "embedding": lambda graph, y, weight, indices, padding_idx: graph.op("Gather", weight, indices, axis=0),
}  # fmt: skip


# ---------------------------------------------------------------------------------------- the file


def _trace(model: Any, args: tuple, names: Sequence[str], symbols: dict[tuple[str, int], str],
           sizes: dict[str, int]) -> Graph:  # fmt: skip
    """Call the model with inputs of the open sizes given."""
    graph, left = Graph(model), iter(names)

    def traced(part: Any) -> Any:
        if not isinstance(part, TensorBase):
            return part
        name, array = next(left), part._array
        for (place, axis), symbol in symbols.items():
            if place == name:
                array = np.take(array, np.arange(sizes[symbol]) % array.shape[axis], axis)
        return new_tensor(Traced(graph, array, name))

    with grad_mode(False), graph:
        arrays = [tensor._array for tensor in tensors_in(model(*mapped(traced, args)))]
        graph.outputs = [a if isinstance(a, Traced) else Traced(graph, a, graph.op("Identity", a)) for a in arrays]
    return graph


def _used(graph: Graph) -> list[Any]:
    """The nodes that the outputs need."""
    needed, used = {output.name for output in graph.outputs}, []
    for node in reversed(graph.nodes):
        if node.output[0] in needed:
            needed.update(node.input)
            used.append(node)
    return used[::-1]


class _File:
    """Puts the parts of the file together, in which a constant that depends on open sizes is computed from them."""

    def __init__(self, places: dict[str, tuple[str, int]], sizes: dict[str, int], graph: Graph,
                 others: dict[str, Graph]) -> None:  # fmt: skip
        self.places, self.sizes, self.graph, self.others = places, sizes, graph, others
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}  # None for what nodes compute
        for node, *same in zip_longest(_used(graph), *map(_used, others.values())):
            if any(other != node for other in same):
                raise self.error(node or graph.nodes[-1])
            for k, name in enumerate(node.input):
                if name in graph.constants and name not in self.initializers:
                    self.constant(node, name, inferred=node.op_type == "Reshape" and k == 1)
            self.nodes.append(node)

    def error(self, node: Any) -> NotImplementedError:
        return NotImplementedError(f"onnx.export: how {node.name} depends on the sizes {', '.join(self.sizes)} "
                                   "cannot be expressed; make fewer dynamic")  # fmt: skip

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node that no module computes; the name of its output."""
        from onnx.helper import make_node

        output = output or f"{kind}_of_size_{len(self.nodes)}"
        self.nodes.append(make_node(kind, inputs, [output], output, **attributes))
        return output

    def store(self, name: str, value: np.ndarray) -> str:
        from onnx.numpy_helper import from_array

        self.initializers[name] = from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        return name

    def constant(self, node: Any, name: str, inferred: bool) -> None:
        """A constant input of ``node``, which for another size of the model's inputs may be another."""
        value = self.graph.constants[name]
        found = {symbol: g.constants[name] for symbol, g in self.others.items()}
        self.initializers[name] = None
        if all(v.shape == value.shape for v in found.values()):
            varies = np.any([v != value for v in found.values()], 0) & (value == value)  # NaN stays NaN
            if inferred and varies.sum() == 1:
                self.store(name, np.where(varies, -1, value))
            elif varies.any():
                self.sized(node, name, value, found)
            else:
                self.store(name, value)
        else:  # the same along dimensions of open size
            fixed = [all(v.shape[axis] == n for v in found.values()) for axis, n in enumerate(value.shape)]
            core = value[tuple(slice(None) if f else slice(1) for f in fixed)]
            if not all(np.array_equal(v, np.broadcast_to(core, v.shape)) for v in [value, *found.values()]):
                raise self.error(node)
            shapes = {symbol: np.array(v.shape) for symbol, v in found.items()}
            shape = self.sized(node, f"{name}_shape", np.array(value.shape), shapes)
            self.add("Expand", self.store(f"{name}_core", core), shape, output=name)

    def sized(self, node: Any, name: str, value: np.ndarray, found: dict[str, np.ndarray]) -> str:
        """Compute integers that are open sizes times constants, from what they are when each size is doubled."""
        if value.dtype != np.int64:
            raise self.error(node)
        factor, product = value, f"{name}_factor"
        for symbol, doubled in found.items():
            grows = doubled != value
            factor, rest = np.divmod(factor, np.where(grows, self.sizes[symbol], 1))
            if rest.any() or np.any(doubled != value << grows):
                raise self.error(node)
            if grows.any():
                place, axis = self.places[symbol]
                size = self.add("Shape", place, start=axis, end=axis + 1)
                sizes = self.add("Pow", size, self.store(f"{name}_{symbol}", grows.astype(np.int64)))
                product = self.add("Mul", product, sizes)
        self.store(f"{name}_factor", factor)
        return self.add("Identity", product, output=name)


def export(model: Any, args: Any, f: Any = None, *, input_names: Sequence[str] | None = None,
           output_names: Sequence[str] | None = None, opset_version: int = 18,
           dynamic_axes: Mapping[str, Any] | None = None) -> Any:  # fmt: skip
    """Write a model, in evaluation mode, as an ONNX file, and return what the file says (an ``onnx.ModelProto``).

    Args:
        model: a module, or any function of tensors.
        args: example arguments: a tensor, or a tuple of all arguments. What is no tensor becomes fixed, and so
            does the way that the program takes with these.
        f: the file's path; None writes nothing.
        input_names, output_names: of the tensors in arguments and results, in order.
        opset_version: of ONNX's operators; from 18.
        dynamic_axes: which sizes stay open: ``{"input": {0: "batch"}}``, or ``{"input": [0]}``. Sizes of
            the same name are equal. The model is called with twice the example's sizes as well.

    Raises:
        NotImplementedError: naming the module, if something has no counterpart in ONNX, depends on the
            values of tensors, or depends on open sizes otherwise than as products.
    """
    onnx = extra("onnx", "onnx", "ONNX files")
    if opset_version < 18:
        raise NotImplementedError(f"onnx.export: opset_version must be at least 18, got {opset_version}")
    args = args if isinstance(args, tuple) else (args,)
    tensors = tensors_in(args)
    names = list(input_names or (f"input_{k}" for k in range(len(tensors))))
    if len(names) != len(tensors):
        raise ValueError(f"onnx.export: {len(names)} input_names for {len(tensors)} tensors in args")
    symbols: dict[tuple[str, int], str] = {}  # of the dimensions that stay open
    for name, axes in (dynamic_axes or {}).items():
        if name in names:
            shape = tensors[names.index(name)].shape
            given = axes if isinstance(axes, Mapping) else {axis: f"{name}_{axis}" for axis in axes}
            symbols.update({(name, axis % len(shape)): symbol for axis, symbol in given.items()})
        elif name not in (output_names or ()):  # those follow
            raise ValueError(f"onnx.export: dynamic_axes names {name!r}; the inputs are {', '.join(names)}")
    places = {symbol: place for place, symbol in symbols.items()}
    sizes = {symbol: max(tensors[names.index(name)].shape[axis], 2) for symbol, (name, axis) in places.items()}
    trace = partial(_trace, model, args, names, symbols)
    with evaluating(model):
        graph = trace(sizes)
        others = {symbol: trace({**sizes, symbol: 2 * size}) for symbol, size in sizes.items()}
    file = _File(places, sizes, graph, others)
    results = [f"output_{k}" for k in range(len(graph.outputs))] if output_names is None else list(output_names)
    if len(results) != len(graph.outputs):
        raise ValueError(f"onnx.export: {len(results)} output_names for {len(graph.outputs)} tensors in the result")

    def described(name: str, array: Any, dims: list[Any]) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), dims)

    inputs = [described(name, tensor, [symbols.get((name, axis), n) for axis, n in enumerate(tensor.shape)])
              for name, tensor in zip(names, tensors, strict=True)]  # fmt: skip
    outputs = []
    for k, (name, output) in enumerate(zip(results, graph.outputs, strict=True)):
        dims: list[Any] = list(output.shape)
        for symbol, other in others.items():
            same = zip(dims, output.shape, other.outputs[k].shape, strict=True)
            dims = [d if a == b else symbol if a == sizes[symbol] else None for d, a, b in same]
        file.add("Identity", output.name, output=name)
        outputs.append(described(name, output, dims))
    constants = [value for value in file.initializers.values() if value is not None]
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(file.nodes, type(model).__name__, inputs, outputs, constants),
        opset_imports=[opset := onnx.helper.make_opsetid("", opset_version)], producer_name="minigrad",
        ir_version=onnx.helper.find_min_ir_version_for([opset]),
    )  # fmt: skip
    onnx.checker.check_model(proto)
    if f is not None:
        with atomic_write(f) as out:
            out.write(proto.SerializeToString())
    return proto
