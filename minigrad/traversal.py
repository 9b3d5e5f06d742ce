"""The traversal of a recorded graph: from the gradients of results to those of what they were computed from.

Nodes are visited newest first. A node is always newer than its inputs, so each is visited once, after
all who use it have sent their gradient, which are added up on the way. A heap keeps the order; nothing recurses.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from heapq import heappop, heappush
from sys import getrefcount
from typing import Any

import numpy as np
from numpy import ndarray

from . import memory
from .engine import Edge, Node, TensorBase, edge_of, grad_mode, new_tensor, sum_to, suspect, watched, watching
from .memory import Array, exposed, stamps

# minigrad.ops puts here what shares large sums among threads
accumulate: Callable[[Any, Any], Any] = operator.iadd
add: Callable[[Any, Any], Any] = operator.add

_LARGE = 1 << 12  # elements of a sum to which a rule may add by itself: below, that takes as long as to ask


def backward(roots: Sequence[Any], cotangents: Sequence[Any], *, wanted: Iterable[Edge] | None = None,
             retain_graph: bool = False, create_graph: bool = False) -> dict[Edge, Any]:  # fmt: skip
    """Traverse the graph from ``roots``, given the gradient of each.

    Args:
        roots: Tensors that require a gradient.
        cotangents: for each root, an array of its shape; a Tensor if ``create_graph``.
        wanted: the edges to differentiate with respect to; None means all leaves. Nodes that lead
            to none of them are not visited.
        retain_graph: keep what the nodes saved, for another traversal.
        create_graph: hand Tensors to the rules, so that the result can be differentiated again.

    Returns:
        The gradient (array, or Tensor if ``create_graph``) of each leaf or wanted edge reached.
        Each array is the caller's own: nothing else refers to it.
    """
    grads: dict[Edge, Any] = {}  # what has arrived so far, by destination
    fresh: set[Edge] = set()  # destinations whose array nobody else refers to: it can be added to
    heap: list[tuple[int, Node]] = []
    found: dict[Edge, Any] = {}
    targets = None if wanted is None else set(wanted)

    def finish(edge: Edge, g: Any) -> None:
        found[edge] = g if create_graph or edge in fresh else _copy(g)

    starts = [edge_of(root) for root in roots]
    leading = None if targets is None else _leading_to(starts, targets)
    for edge, g in zip(starts, cotangents, strict=True):
        assert edge is not None
        if edge in grads:
            g = grads[edge] + g
        elif edge.__class__ is Node:
            heappush(heap, (-edge.order, edge))
        grads[edge] = g
    with grad_mode(create_graph), np.errstate(all="ignore"):  # a gradient may be infinite or NaN, quietly
        while heap:
            node = heappop(heap)[1]
            g = grads.pop(node)
            overwriting = targets is None and node in fresh  # nobody else refers to g
            if node._hooks or node._retain:
                g = _run_hooks(node, g, create_graph)
                fresh.discard(node)
                overwriting = False
            if targets is not None:
                if node in targets:
                    finish(node, g)
                if node not in leading:  # type: ignore[operator]
                    continue
            saved = node.saved
            if saved is None:
                raise _released(node)
            if (stamps or exposed) and suspect(node):
                _check_intact(node)
            if not retain_graph and node.plan.guarded:
                node.saved = None
            if create_graph:
                saved = node.plan.as_tensors(node, saved)
            elif node.plan.arrange is not None:
                arrange, takes = node.plan.arrange
                g = arrange(g, *[saved[k] for k in takes])
            edges: Sequence[Edge | None] = node.edges
            if targets is not None:
                edges = [edge if edge in targets or edge in leading else None for edge in edges]  # type: ignore[operator]
            overwriting = overwriting and len(node.plan.overwriting) > 0
            for target, rule, takes in node.plan.overwriting if overwriting else node.plan.rules:
                if target is not None:
                    if (edge := edges[target]) is None:
                        continue
                    # Watchers see the rule itself.
                    if edge in fresh and (total := grads[edge]).size >= _LARGE and not watching:
                        adds = getattr(rule, "adds", None)
                        if adds and _apply(node, partial(adds, total), takes, g, saved) is not None:
                            continue
                result = _apply(node, rule, takes, g, saved)
                if target is not None:
                    pairs: Iterable[tuple[Edge | None, Any]] = ((edges[target], result),)
                elif result.__class__ is dict:  # it recorded anew what it stands for: go on there
                    pairs = result.items()
                    if targets is not None:
                        leading |= _leading_to(result, targets)  # type: ignore[operator]
                else:
                    pairs = zip(edges, result, strict=True)
                for edge, gi in pairs:
                    if edge is None or gi is None:
                        continue
                    present = grads.get(edge)
                    if gi.__class__ is tuple:  # for a node of several outputs, of one of them
                        if present is not None:
                            gi = tuple(map(_add_optional, present, gi))
                    else:
                        if gi.shape != edge.shape or gi.dtype is not edge.dtype:
                            gi = _fit(gi, edge, node)
                        if present is not None:
                            if edge in fresh:
                                accumulate(present, gi)
                                continue
                            gi = present + gi if create_graph else add(present, gi)
                            if not create_graph and gi.__class__ is ndarray:
                                fresh.add(edge)
                        elif gi.__class__ is ndarray and (
                            (overwriting and gi is g) or (_owns(gi) and _private(gi, g, saved, result))
                        ):
                            fresh.add(edge)
                    if present is None and edge.__class__ is Node:
                        heappush(heap, (-edge.order, edge))
                    grads[edge] = gi
        for edge, g in grads.items():
            if targets is not None and edge not in targets:
                continue
            if edge._hooks:
                g = _run_hooks(edge, g, create_graph)
                fresh.discard(edge)
            finish(edge, g)
    return found


def _apply(node: Node, rule: Callable, takes: Any, g: Any, saved: Sequence[Any]) -> Any:
    """What a rule of ``node`` makes of the gradient ``g`` of its output, with what it takes of all that was saved."""
    try:
        if watching:
            needs = [saved[k] for k in ((takes,) if takes.__class__ is int else takes or ())]
            return watched("rule", node, partial(rule, g, *needs))
        if takes is None:
            return rule(g)
        if takes.__class__ is int:
            return rule(g, saved[takes])
        return rule(g, *[saved[k] for k in takes])
    except Exception as error:
        error.add_note(f"in the gradient of {node.name}, recorded at {node.line}")
        raise


def _copy(g: Array) -> Array:
    return np.array(g) if isinstance(g, np.generic) else g.copy(order="K")  # stored as it was


def _owns(array: ndarray) -> bool:
    """Whether the array can be added to: all of the memory is its own, or that of a base known to it alone."""
    base = array.base
    if base is None:
        return True
    alone = base.__class__ is ndarray and base.base is None and getrefcount(base) == 3
    return alone and array.flags.forc and array.flags.writeable  # of a broadcast array, places share memory


def _private(array: ndarray, g: Any, saved: Sequence[Any], result: Any) -> bool:
    """Whether ``array``, of what a rule gave, is nothing it was given, and no other result shares its memory."""
    for value in saved:
        if value is array or (value.__class__ is tuple and any(v is array for v in value)):
            return False
    if array is g or (g.__class__ is tuple and any(v is array for v in g)):
        return False
    if result.__class__ is tuple:
        return sum(r is array or getattr(r, "base", None) is array for r in result) == 1
    return result is array


def _add_optional(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _leading_to(starts: Iterable[Edge | None], targets: set[Edge]) -> set[Edge]:
    """The nodes below ``starts`` that have an input from which one of the targets can be reached."""
    nodes: set[Node] = set()
    stack = [edge for edge in starts if edge.__class__ is Node]
    while stack:
        node = stack.pop()
        if node not in nodes:
            nodes.add(node)
            stack.extend(edge for edge in node.edges if edge.__class__ is Node)
    leading: set[Edge] = set()
    for node in sorted(nodes, key=lambda n: n.order):
        if node.plan.expands or any(edge in targets or edge in leading for edge in node.edges):
            leading.add(node)
    return leading


def _released(node: Node) -> RuntimeError:
    return RuntimeError(
        f"{node.name}: backward went through this graph before, which released the values it saved "
        f"at {node.line}; pass retain_graph=True to the first backward to keep them"
    )


def _check_intact(node: Node) -> None:
    """Raise if an array among what ``node`` saved has been changed since."""
    digests = node.digests
    for k, (name, array) in enumerate(node.plan.guarded_values(node.saved)):  # type: ignore[arg-type]
        if not memory.intact(array, digests[k] if digests else None, node.order):
            raise RuntimeError(
                f"{node.name}: its gradient needs {name!r} (shape {array.shape}, {array.dtype}) as it was when "
                f"recorded at {node.line}, but those values have been changed in place since; "
                "change a clone() instead, or change them after backward"
            )


def _fit(g: Any, edge: Edge, node: Node) -> Any:
    """The gradient in the shape and dtype of what it belongs to."""
    shape = edge.shape
    if g.shape != shape:
        if not node.plan.primitive.broadcasts or not _expands(shape, g.shape):
            raise RuntimeError(
                f"{node.name}: its rule gave a gradient of shape {g.shape} for an input of shape {shape}"
            )
        g = sum_to(g, shape)
    if g.dtype != edge.dtype:
        g = g.to(edge.dtype) if isinstance(g, TensorBase) else g.astype(edge.dtype)  # type: ignore[attr-defined]
    return g


def _expands(shape: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    """Whether an array of ``shape`` broadcasts to the shape ``larger``."""
    matches = zip(reversed(shape), reversed(larger), strict=False)
    return len(shape) <= len(larger) and all(a in (1, b) for a, b in matches)


def _run_hooks(edge: Edge, g: Any, create_graph: bool) -> Any:
    """Show the gradient to the hooks of a node or leaf, which may replace it, and retain it."""
    tensor = g if create_graph else new_tensor(_copy(g))
    for hook in list((edge._hooks or {}).values()):
        replaced = hook(tensor)
        if replaced is not None:
            if not isinstance(replaced, TensorBase) or replaced.shape != tensor.shape:
                raise RuntimeError(f"a hook must return None or a Tensor of shape {tensor.shape}, got {replaced!r}")
            tensor = replaced
    if edge._retain is not None and (retained := edge._retain()) is not None:
        own = tensor if create_graph else new_tensor(tensor._array.copy())
        retained._grad = own if retained._grad is None else retained._grad + own
    return tensor if create_graph else tensor._array
