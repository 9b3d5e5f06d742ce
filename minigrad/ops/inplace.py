"""In-place operations: writing to memory that a graph, and views of it, already know.

An in-place operation computes its result out of place, as a recorded operation; then the result's
values go into the target's memory and the result's history becomes the target's. If the target is
a view, its root has changed too, in one part: :func:`_overwrite` says so in the root's history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import memory
from ..conversion import to_array
from ..dtypes import RANK
from ..engine import Node, TensorBase, edge_of, mode, primitive, rebase, refresh
from ..memory import Array
from .elementwise import _nothing


class Path:
    """The way from a root to a view of it: the view operations on the way, to be taken again."""

    def __init__(self, target: TensorBase) -> None:
        self.steps: list[Callable[[Any], Any]] = []
        while (view := target._view) is not None:
            self.steps.append(view.replay)
            target = view.parent
        self.steps.reverse()
        self.root = target.shape
        # From the largest stride to the smallest. Where the root's memory allowed a view without a
        # copy, memory with the dimensions in the same order does so as well.
        strides = target._array.strides
        self.order = sorted(range(target.ndim), key=lambda dim: -abs(strides[dim]))

    def __call__(self, root: Any) -> Any:
        for step in self.steps:
            root = step(root)
        return root


@primitive(input=lambda g, view: _blank(g, view))
def _blank(input: Array, view: Path) -> Array:
    """``input`` with zeros where ``view`` looks. It is its own adjoint."""
    out = np.transpose(input, view.order).copy()
    out = np.transpose(out, sorted(range(out.ndim), key=view.order.__getitem__))
    view(out)[...] = 0
    return out


@primitive(input=lambda g, view: _blank(g, view), part=lambda g, view: view(g))
def _overwrite(input: Array, part: Array, view: Path) -> Array:
    """``input`` after ``part`` was written where ``view`` looks (the memory holds it already)."""
    return input


@primitive(input=_nothing, value=lambda g: g, broadcasts=True)
def _replaced(input: Array, value: Array) -> Array:
    """``value``, broadcast and cast to take the place of ``input``."""
    return np.broadcast_to(value, input.shape).astype(input.dtype, copy=False)


def records(*operands: Any) -> bool:
    """Whether an operation on these operands leaves a node behind."""
    return mode.grad and any(isinstance(a, TensorBase) and edge_of(a) is not None for a in operands)


def check_writable(target: TensorBase, name: str) -> None:
    """Raise unless an in-place operation may write to ``target``."""
    refresh(target)
    array, root = target._array, target if target._view is None else target._view.root
    leaves = [t for t in (target, root) if mode.grad and t._requires_grad and t._node is None]
    if leaves:
        kind = "a leaf" if leaves[0] is target else "a view of a leaf"
        problem = f"is {kind} that requires a gradient, so its value before the change would be lost; change it " \
                  "within no_grad(), or change a clone()"  # fmt: skip
    elif mode.grad and root._requires_grad and not target._requires_grad:
        problem = "is a view, taken within no_grad(), of a tensor that requires a gradient; take the view outside " \
                  "of no_grad(), or change it within"  # fmt: skip
    elif array.size and any(step == 0 and size > 1 for step, size in zip(array.strides, array.shape, strict=True)):
        problem = "is expanded: several elements are one place in memory; clone() it first"
    elif not array.flags.writeable:
        problem = "is read-only (it came from a read-only NumPy array, or its elements overlap); clone() it first"
    else:
        return
    raise RuntimeError(f"{name}: the tensor {problem}")


def become(target: Any, result: Any, name: str, since: int | None = None) -> Any:
    """Give ``target`` the values and the history of ``result``, an operation's on it. Returns it.

    ``since`` is the time on the clock before that operation, if it may have recorded several nodes.
    """
    check_writable(target, name)
    array, new = target._array, result._array
    if new.shape != array.shape:
        raise ValueError(f"{name}: the result has shape {new.shape}, which does not fit in place into {array.shape}")
    if RANK[new.dtype.kind] > RANK[array.dtype.kind]:
        raise TypeError(f"{name}: the result is {new.dtype}, which cannot be stored in place in {array.dtype}")
    if result._node is not None and result._node is not target._node:
        _keep_old_values(result._node, array, since)
    np.copyto(array, new, casting="unsafe")
    memory.changed(array)
    if mode.grad and (result._requires_grad or target._requires_grad):
        take_history(target, result)
    return target


def _keep_old_values(node: Node, array: Array, since: int | None) -> None:
    """Copy what ``node``, and all that it used and that is younger than ``since``, saved of ``array``.

    Those values are about to disappear, and the operation that is going to write over them knew that.
    """
    nodes = [node]
    for node in nodes:
        if node.saved and any(_overlap(value, array) for _, value in node.plan.guarded_values(node.saved)):
            node.saved = [
                tuple(_kept(v, array) for v in value) if isinstance(value, tuple) else _kept(value, array)
                for value in node.saved
            ]
            if node.digests:
                node.digests = [memory.digest(value) for _, value in node.plan.guarded_values(node.saved)]
        if since is not None:
            nodes += [e for e in node.edges if isinstance(e, Node) and e.order > since and e not in nodes]


def _overlap(value: Any, array: Array) -> bool:
    return isinstance(value, np.ndarray) and np.may_share_memory(value, array)


def _kept(value: Any, array: Array) -> Any:
    return value.copy() if _overlap(value, array) else value


def take_history(target: Any, result: Any) -> None:
    """Make ``result``, which has taken the memory of ``target``, the history of it and of all its views."""
    refresh(target)
    rebase(target, result)
    if (view := target._view) is None:
        target._rebased += 1
        return
    # The root has changed in one part. Other views, also those between the two, take their history
    # from the root when they are used next: through an expanded one, more may have changed than part.
    root = view.root
    rebase(root, _overwrite(root, target, view=Path(target)))
    root._rebased += 1
    view.seen = root._rebased


def copy_(input: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write ``src`` (a tensor or number that broadcasts to the shape) into ``input``."""
    return write(input, src, "copy_")


def fill_(input: Any, value: Any) -> Any:
    """Write ``value``, a number or a tensor without dimensions, into each element of ``input``."""
    if getattr(value, "ndim", 0):
        raise ValueError(f"fill_: value must be a number or a 0-d tensor, got shape {tuple(value.shape)}")
    return write(input, value, "fill_")


def zero_(input: Any) -> Any:
    """Write 0 into each element of ``input``."""
    return write(input, 0, "zero_")


def write(input: Any, src: Any, name: str) -> Any:
    """:func:`copy_`, with the name to report errors under."""
    if not isinstance(src, (TensorBase, np.ndarray, np.generic, int, float)):
        raise TypeError(f"{name}: expected a Tensor or a number, got {type(src).__name__}")
    try:
        if records(input, src):
            return become(input, _replaced(input, src), name)
        check_writable(input, name)
        values: Any = src._array if isinstance(src, TensorBase) else src
        np.copyto(input._array, values, casting="unsafe")
    except ValueError:
        shape = tuple(getattr(src, "shape", ()))
        raise ValueError(f"{name}: shape {shape} does not broadcast to {input.shape}") from None
    except OverflowError:  # an int that does not fit, or that is negative
        np.copyto(input._array, to_array(src, input.dtype, name=name))
    memory.changed(input._array)
    return input
