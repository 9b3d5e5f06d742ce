"""Backward as users call it: from Tensors, into their ``.grad`` or as a result, with hooks on the way."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from . import memory
from .engine import Node, TensorBase, edge_of, grad_mode, mode, new_tensor
from .traversal import backward as traverse


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
             grad_variables: None = None, inputs: Any = None) -> None:  # fmt: skip
    """Add the gradient of the sum of ``tensors`` (each weighted by its ``grad_tensors``) to the ``.grad`` of leaves.

    Args:
        tensors: a Tensor or a sequence of them.
        grad_tensors: for each the gradient that arrives there, of its shape; None means 1, which
            only a tensor with one element takes.
        retain_graph: keep the graph for another backward; the default is ``create_graph``.
        create_graph: record the computation of the gradients, so that they can be differentiated.
        inputs: collect gradients in these tensors only, which need not be leaves; None means all leaves.
    """
    if grad_variables is not None:
        raise NotImplementedError("backward: grad_variables is the former name of grad_tensors")
    roots = _sequence(tensors, "backward", "tensors")
    cotangents = _cotangents(roots, grad_tensors, create_graph, "backward")
    wanted = None
    if inputs is not None:
        chosen = _sequence(inputs, "backward", "inputs")
        if not chosen:
            raise RuntimeError("backward: inputs is empty; leave it out to collect the gradients of all leaves")
        wanted = _edges(chosen, "backward")
        # A computed tensor gets its gradient as if retain_grad() had been called on it.
        for tensor in chosen:
            retain_grad(tensor)
    keep = create_graph if retain_graph is None else retain_graph
    found = traverse(roots, cotangents, wanted=wanted, retain_graph=keep, create_graph=create_graph)
    with grad_mode(create_graph):
        for edge, g in found.items():
            # A leaf that has stopped to require a gradient since, or has become a result, gets none.
            if not isinstance(edge, Node) and edge._requires_grad and edge._node is None:
                _accumulate(edge, g)


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
         create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
         is_grads_batched: bool = False, materialize_grads: bool = False) -> tuple[Any, ...]:  # fmt: skip
    """The gradients of the sum of ``outputs`` (each weighted by its ``grad_outputs``) with respect to ``inputs``.

    No ``.grad`` changes. Operations that lead to no input are not visited.

    Args:
        outputs, inputs: a Tensor or a sequence of them; inputs need not be leaves.
        grad_outputs: for each output the gradient that arrives there; None means 1, which only a
            tensor with one element takes.
        retain_graph: keep the graph for another backward; the default is ``create_graph``.
        create_graph: record the computation of the gradients, so that they can be differentiated.
        allow_unused: give None for an input that no output depends on, instead of an error.
        materialize_grads: give zeros for such an input.
    """
    if is_grads_batched:
        raise NotImplementedError("grad: is_grads_batched is not supported; call grad once for each of the batch")
    if not only_inputs:
        raise NotImplementedError("grad: only_inputs=False is not supported; use backward() to fill .grad")
    if materialize_grads and allow_unused is False:
        raise ValueError("grad: materialize_grads gives zeros for unused inputs, so allow_unused cannot be False")
    roots = _sequence(outputs, "grad", "outputs")
    chosen = _sequence(inputs, "grad", "inputs")
    cotangents = _cotangents(roots, grad_outputs, create_graph, "grad")
    edges = _edges(chosen, "grad")
    keep = create_graph if retain_graph is None else retain_graph
    found = traverse(roots, cotangents, wanted=edges, retain_graph=keep, create_graph=create_graph)
    results: list[Any] = []
    given: set[Any] = set()
    for i, (edge, tensor) in enumerate(zip(edges, chosen, strict=True)):
        g = found.get(edge)
        if g is None:
            if not (allow_unused or materialize_grads):
                raise RuntimeError(f"grad: no output depends on input {i} (shape {tensor.shape}); "
                                   "pass allow_unused=True for None in its place, or materialize_grads=True for zeros")
            g = new_tensor(np.zeros_like(tensor._array)) if materialize_grads else None
        elif not create_graph:
            g = new_tensor(g.copy() if edge in given else g)
        given.add(edge)
        results.append(g)
    return tuple(results)


def _sequence(tensors: Any, name: str, argument: str) -> list[Any]:
    if not isinstance(tensors, (TensorBase, Iterable)):
        raise TypeError(f"{name}: {argument} must be a Tensor or a sequence of them, got {type(tensors).__name__}")
    found = [tensors] if isinstance(tensors, TensorBase) else list(tensors)
    for i, tensor in enumerate(found):
        if not isinstance(tensor, TensorBase):
            raise TypeError(f"{name}: {argument}[{i}] must be a Tensor, got {type(tensor).__name__}")
    return found


def _edges(tensors: Sequence[Any], name: str) -> list[Any]:
    """Where the gradients of ``tensors`` arrive."""
    edges = [edge_of(tensor) for tensor in tensors]
    for i, edge in enumerate(edges):
        if edge is None:
            raise RuntimeError(f"{name}: inputs[{i}] (shape {tensors[i].shape}) does not require a gradient")
    return edges


def _cotangents(roots: Sequence[Any], given: Any, create_graph: bool, name: str) -> list[Any]:
    """The gradient that arrives at each root, checked, as the traversal wants it."""
    values = [None] * len(roots) if given is None else given if isinstance(given, (list, tuple)) else [given]
    if len(values) != len(roots):
        raise ValueError(f"{name}: got {len(values)} gradients for {len(roots)} tensors")
    result = []
    for root, value in zip(roots, values, strict=True):
        if edge_of(root) is None:
            raise RuntimeError(
                f"{name}: the tensor (shape {root.shape}) does not require a gradient: it was computed from "
                "constants, by an operation without a gradient, or within no_grad()"
            )
        if value is None:
            if root._array.size != 1:
                raise RuntimeError(f"{name}: a tensor of shape {root.shape} needs the gradient that arrives at it; "
                                   "only one with a single element has the default 1")  # fmt: skip
            value = new_tensor(np.ones_like(root._array))
        elif not isinstance(value, TensorBase):
            raise TypeError(f"{name}: the gradient of a tensor must be a Tensor or None, got {type(value).__name__}")
        elif value.shape != root.shape:
            raise ValueError(f"{name}: the gradient has shape {value.shape}, its tensor {root.shape}")
        elif value.dtype != root.dtype:
            value = value.to(root.dtype)  # type: ignore[attr-defined]
        result.append(value if create_graph else value._array)
    return result


def _accumulate(leaf: Any, g: Any) -> None:
    """Add ``g`` (an array of our own, or a Tensor that was recorded) to the ``.grad`` of a leaf."""
    present = leaf._grad
    if present is None and not mode.grad:
        leaf._grad = new_tensor(g)
    elif mode.grad:  # create_graph
        leaf._grad = g * 1 if present is None else present + g  # a Tensor that nobody else holds
    else:
        add_to_gradient(present, g)
    for hook in list((leaf._accumulated_hooks or {}).values()):
        hook(leaf)


def add_to_gradient(gradient: Any, g: Any) -> None:
    """``gradient += g`` in place: who holds the gradient sees the sum."""
    array = gradient._array
    array += g
    memory.changed(array)


# ---------------------------------------------------------------------------------------- hooks


class RemovableHandle:
    """What registering a hook returns: :meth:`remove`, or the end of a ``with`` block, takes the hook away."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.hooks = hooks
        self.id = next(self._ids)
        hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook away, if it is still there."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def register_hook(input: Any, hook: Callable[[Any], Any]) -> RemovableHandle:
    """Call ``hook(gradient)`` in backward, once the gradient of this tensor is complete.

    What it returns, if not None, takes the place of the gradient. It must not change its argument.
    """
    edge = edge_of(input)
    if edge is None:
        raise RuntimeError("register_hook: the tensor does not require a gradient, so the hook would never be called")
    edge._hooks = edge._hooks or {}
    return RemovableHandle(edge._hooks, hook)


def register_post_accumulate_grad_hook(input: Any, hook: Callable[[Any], None]) -> RemovableHandle:
    """Call ``hook(tensor)`` whenever backward has added to the ``.grad`` of this leaf."""
    if not isinstance(edge_of(input), TensorBase):
        raise RuntimeError("register_post_accumulate_grad_hook: only a leaf that requires a gradient accumulates it")
    input._accumulated_hooks = input._accumulated_hooks or {}
    return RemovableHandle(input._accumulated_hooks, hook)


def retain_grad(input: Any) -> None:
    """Let backward add to the ``.grad`` of this tensor, though it is computed; leaves do that anyway."""
    edge = edge_of(input)
    if edge is None:
        raise RuntimeError("retain_grad: the tensor does not require a gradient")
    if isinstance(edge, Node):
        edge._retain = weakref.ref(input)


def retains_grad(input: Any) -> bool:
    """Whether :func:`retain_grad` was called on this computed tensor."""
    edge = edge_of(input)
    return edge is not None and edge._retain is not None and edge._retain() is input
