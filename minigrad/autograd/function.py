"""Operations defined by users: a forward, and a backward that is given what forward saved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import numpy as np

from .. import memory
from ..engine import Node, Plan, TensorBase, as_tensor, edge_of, grad_mode, hidden, mode, new_node, new_tensor, pick
from ..ops import inplace


class FunctionCtx:
    """What forward leaves for backward. It takes any further attributes too.

    Saved tensors, and inputs kept as attributes, must not change before backward: that is an error.
    Other tensors kept as attributes may change.

    Attributes:
        needs_input_grad: for each argument of forward, whether its gradient is wanted.
        saved_tensors: in backward, the tensors given to :meth:`save_for_backward`.
    """

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _constant: tuple[Any, ...] = ()
    _materialize = True
    _unpacked: tuple[Any, ...] | None = None
    _outputs: Sequence[tuple[tuple[int, ...], np.dtype] | None] = ()  # shape and dtype of each, None if no Tensor
    _sources: Sequence[int | None] = ()  # of each saved tensor: input i, output -1-i, or neither

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs, outputs or other Tensors (or None) for :attr:`saved_tensors`."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, TensorBase):
                raise TypeError(f"save_for_backward: takes Tensors and None, got {type(tensor).__name__}; "
                                "keep other values as attributes of ctx")  # fmt: skip
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        if self._unpacked is None:
            raise RuntimeError("saved_tensors: there are none outside of backward")
        return self._unpacked

    def mark_dirty(self, *tensors: Any) -> None:
        """Declare inputs that forward changes in place. It must return them too."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Declare outputs that require no gradient."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs that received no gradient."""
        self._materialize = value


class _FunctionPlan(Plan):
    """How the engine sees one Function: a joint rule for all arguments, which gets what a node saved.

    That is the context, and two things that the engine guards: the arrays given to
    ``save_for_backward``, and inputs that the context keeps as attributes.
    """

    shortcut = None
    names = ["ctx", "saved_tensors"]  # noqa: RUF012
    guarded = [1]  # noqa: RUF012
    broadcasts = True  # as in PyTorch: a gradient may have the shape that its input broadcasts to

    def __init__(self, function: type[Function]) -> None:
        self.primitive = self  # type: ignore[assignment]
        self.name = function.__name__
        self.rules = [(None, partial(_call_backward, function), [0, 1])]

    def save(self, arrays: Sequence[Any], out: Any, options: dict[str, Any], edges: Sequence[Any]) -> list[Any]:
        return [options["ctx"], tuple(arrays), options["kept"]]

    def guarded_values(self, saved: Sequence[Any]) -> list[tuple[str, Any]]:
        kept = [(f"ctx.{name}", array) for name, array in saved[2].items()]
        return [*super().guarded_values(saved), *kept]

    def as_tensors(self, node: Node, saved: Sequence[Any]) -> list[Any]:
        ctx, arrays, _ = saved
        tensors = [
            array if source is None or array is None
            else as_tensor(array, node.edges[source]) if source >= 0
            else pick(node, array, -1 - source, len(ctx._outputs))
            for source, array in zip(ctx._sources, arrays, strict=True)
        ]  # fmt: skip
        return [ctx, tuple(tensors)]


def _call_backward(function: type[Function], g: Any, ctx: FunctionCtx, saved: tuple[Any, ...]) -> list[Any]:
    """The rule of a Function: Tensors for its backward, and what it returns, checked."""
    if function.backward is Function.backward:
        raise NotImplementedError(f"{function.__name__}: define the static method backward")
    given = [
        np.zeros(*output) if received is None and output is not None and ctx._materialize else received
        for received, output in zip(g if g.__class__ is tuple else (g,), ctx._outputs, strict=True)
    ]
    ctx._unpacked = tuple(map(_wrap, saved))
    try:
        results = function.backward(ctx, *map(_wrap, given))
    finally:
        ctx._unpacked = None
    results = list(results) if isinstance(results, (tuple, list)) else [results]
    count = len(ctx.needs_input_grad)
    if len(results) < count or any(r is not None for r in results[count:]):
        raise RuntimeError(f"{function.__name__}.backward: returned {len(results)} gradients for the {count} arguments "
                           "of forward; it must return one for each, None where there is none")  # fmt: skip
    for i, result in enumerate(results[:count]):
        if result is not None and not isinstance(result, TensorBase):
            raise TypeError(f"{function.__name__}.backward: gradient {i} must be a Tensor or None, "
                            f"got {type(result).__name__}")  # fmt: skip
    needed = [r if need else None for r, need in zip(results, ctx.needs_input_grad, strict=False)]
    if mode.grad:
        return needed
    # Views, for the engine adds in place to no memory that has another owner.
    return [None if r is None else r._array[...] for r in needed]


def _wrap(value: Any) -> Any:
    return value if value is None or isinstance(value, TensorBase) else new_tensor(np.asarray(value))


class Function:
    """A differentiable operation of your own.

    Subclass it with static methods, and call ``Name.apply(*args)``::

        class Exp(Function):
            @staticmethod
            def forward(ctx, x):
                y = x.exp()
                ctx.save_for_backward(y)
                return y

            @staticmethod
            def backward(ctx, g):
                (y,) = ctx.saved_tensors
                return g * y

    ``forward`` runs unrecorded. ``backward`` gets one gradient per output and returns one per
    argument of forward, None where there is none; written with operations, it can be differentiated
    again. Instead of taking ``ctx``, forward can leave it to ``setup_context(ctx, inputs, output)``.
    """

    _plan: _FunctionPlan

    def __init__(self, *_: Any) -> None:
        raise TypeError(f"{type(self).__name__}: call {type(self).__name__}.apply(...); a Function has no instances")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result: a Tensor, or a tuple of Tensors and other values."""
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what backward needs. Where this is defined, forward takes no ``ctx``."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: FunctionCtx, *grad_outputs: Any) -> Any:
        """The gradient of each argument of forward, given that of each output."""
        raise NotImplementedError

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call forward, and record it."""
        if cls.forward is Function.forward:
            raise NotImplementedError(f"{cls.__name__}: define the static method forward")
        ctx = FunctionCtx()
        separate = cls.setup_context is not Function.setup_context
        if separate:
            bound = inspect.signature(cls.forward).bind(*args)
            bound.apply_defaults()
            args = bound.args
        edges = [edge_of(a) if isinstance(a, TensorBase) else None for a in args]
        ctx.needs_input_grad = tuple(edge is not None for edge in edges)
        with grad_mode(False):
            if separate:
                results = cls.forward(*args)
                cls.setup_context(ctx, args, results)
            else:
                results = cls.forward(ctx, *args)
        if not isinstance(results, (tuple, TensorBase)):
            raise TypeError(f"{cls.__name__}.forward: must return a Tensor or a tuple, got {type(results).__name__}")
        outputs = list(results) if isinstance(results, tuple) else [results]
        record = mode.grad and any(ctx.needs_input_grad)
        wrapped = _record(cls, ctx, args, edges, outputs) if record else outputs
        for name in ("_to_save", "_dirty", "_constant"):
            ctx.__dict__.pop(name, None)  # a graph must not point to its own outputs
        return tuple(wrapped) if isinstance(results, tuple) else wrapped[0]


def _record(function: type[Function], ctx: FunctionCtx, args: tuple, edges: list[Any], outputs: list[Any]) -> list[Any]:
    """New Tensors for what forward returned, with the node that it left behind."""
    name = function.__name__
    for dirty in ctx._dirty:
        if not any(dirty is output for output in outputs):
            raise RuntimeError(f"{name}: forward must return the input that it marks dirty (shape {dirty.shape})")
        inplace.check_writable(dirty, name)
        memory.changed(dirty._array)
    owners = {id(memory.owner(a._array)) for a in args if isinstance(a, TensorBase)}
    arrays: list[Any] = []
    for output in outputs:
        array = output._array if isinstance(output, TensorBase) else None
        if array is not None and id(memory.owner(array)) in owners and not _among(output, ctx._dirty):
            array = array.copy()  # memory of an input, which must not be changed through the output
        arrays.append(array)
    places = {id(arg): i for i, arg in reversed(list(enumerate(args)))}  # of arguments, and before them of outputs
    places |= {id(output): -1 - i for i, output in reversed(list(enumerate(outputs)))}
    ctx._sources = [None if t is None else places.get(id(t)) for t in ctx._to_save]
    ctx._outputs = [None if a is None else (a.shape, a.dtype) for a in arrays]
    own = dict(zip(map(id, outputs), arrays, strict=True))
    saved = [None if t is None else own.get(id(t), t._array) for t in ctx._to_save]
    known = [a for a in arrays if a is not None]
    if not known:
        return outputs
    if "_plan" not in vars(function):
        function._plan = _FunctionPlan(function)
    kept = {n: v._array for n, v in vars(ctx).items() if isinstance(v, TensorBase) and _among(v, args)}
    out = known[0] if len(arrays) == 1 else tuple(known)
    node = new_node(function._plan, edges, saved, out, {"ctx": ctx, "kept": kept})
    tensors = list(outputs)
    for i, (output, array) in enumerate(zip(outputs, arrays, strict=True)):
        if array is not None and _among(output, ctx._constant):
            tensors[i] = new_tensor(array)
        elif array is not None:
            tensors[i] = pick(node, array, i, len(arrays))
            if _among(output, ctx._dirty):
                inplace.take_history(output, tensors[i])
                tensors[i] = output
    return tensors


def _among(tensor: Any, tensors: Sequence[Any]) -> bool:
    return any(tensor is other for other in tensors)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Declare that a backward cannot be differentiated again: to try is an error."""

    @wraps(backward)
    def once(ctx: FunctionCtx, *grad_outputs: Any) -> Any:
        with grad_mode(False):
            results = backward(ctx, *grad_outputs)
        used = [t for t in (*grad_outputs, *ctx.saved_tensors, *vars(ctx).values()) if isinstance(t, TensorBase)]
        edges = [edge for edge in map(edge_of, used) if edge is not None]
        if not mode.grad or not edges:
            return results
        return tuple(
            r if r is None else new_tensor(r._array, True, new_node(_REFUSAL, edges, (), r._array, {}))
            for r in (results if isinstance(results, (tuple, list)) else [results])
        )

    return once


def _once(*inputs: Any) -> None:
    """What depends on ``inputs`` in a way that cannot be differentiated."""


def _refuse(g: Any) -> Any:
    raise RuntimeError("once_differentiable: this backward was declared to be differentiable only once")


_REFUSAL = hidden(_once, "inputs", joint=_refuse)
