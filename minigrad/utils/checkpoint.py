"""Activation checkpointing: memory saved by computing a part of the network twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import memory, random
from ..engine import Plan, Primitive, edge_of, grad_mode, mode, new_node, pick
from ..nested import mapped, tensors_in


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None,
               preserve_rng_state: bool = True, **kwargs: Any) -> Any:  # fmt: skip
    """``function(*args, **kwargs)``, of which nothing is kept for backward but the arguments.

    Backward calls the function once more, records it this time, and goes on in what was recorded.
    So hooks, parameters that the function uses, ``autograd.grad`` and higher derivatives all work,
    and checkpoints may contain others. If the second call computes something else than the first
    (because a parameter or buffer has changed meanwhile), an error is raised.

    Args:
        function: returns a Tensor, or Tensors and other values in tuples, lists and dicts. Its floating-point
            results require a gradient, for they may depend on parameters that it uses.
        use_reentrant: no matter: PyTorch has two implementations, of which this has the best sides.
        preserve_rng_state: the second call draws the same random numbers, as dropout needs.
    """
    rng = random.get_rng_state() if preserve_rng_state else None
    record = mode.grad
    with grad_mode(False):
        results = function(*args, **kwargs)
    arrays = tuple(y._array for y in _floating(results))
    if not record or not arrays:
        return results
    sums = list(map(memory.checksum, arrays))

    def resume(g: Any) -> dict[Any, Any]:
        """Record the call this time, and say where the gradient of its results goes on."""
        with random.fork_rng(enabled=rng is not None), grad_mode(True):
            if rng is not None:
                random.set_rng_state(rng)
            tensors = _floating(function(*args, **kwargs))
        if [memory.checksum(y._array) for y in tensors] != sums:
            raise RuntimeError("checkpoint: called again in backward, the function computed something else; what "
                               "it depends on (a parameter, a buffer, a generator) must not change in between")
        ends: dict[Any, Any] = {}
        for tensor, gi in zip(tensors, g if isinstance(g, tuple) else (g,), strict=True):
            edge = edge_of(tensor)
            if edge is not None and gi is not None:
                ends[edge] = ends[edge] + gi if edge in ends else gi
        return ends

    given = tensors_in((args, kwargs))
    out = arrays[0] if len(arrays) == 1 else arrays
    node = new_node(_PLAN, list(map(edge_of, given)), [a._array for a in given], out, {"resume": resume})
    recorded = {id(y): pick(node, y._array, i, len(arrays)) for i, y in enumerate(_floating(results))}
    return mapped(lambda y: recorded.get(id(y), y), results)


def _floating(results: Any) -> list[Any]:
    """The floating-point Tensors among what a function returned."""
    return [y for y in tensors_in(results) if y._array.dtype.kind == "f"]


def _checkpoint(*args: Any, resume: Callable[[Any], dict]) -> None:
    """How the engine sees a checkpoint: of a call, whose arguments must not change."""


_PLAN = Plan(Primitive(_checkpoint, {}, joint=lambda g, args, resume: resume(g), inputs=["args"]), mask=0)
_PLAN.expands = True


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None,
                          preserve_rng_state: bool = True) -> Any:  # fmt: skip
    """The composition of ``functions`` (a sequence or Sequential) on ``input``, checkpointed in ``segments`` parts.

    The last part is not checkpointed: backward starts there, so nothing would be saved.
    """
    steps = list(functions.children() if hasattr(functions, "children") else functions)
    if not 1 <= segments <= len(steps):
        raise ValueError(f"checkpoint_sequential: segments must be from 1 to {len(steps)}, got {segments}")
    size = len(steps) // segments
    for k in range(segments - 1):
        input = checkpoint(_run, steps[k * size : (k + 1) * size], input, preserve_rng_state=preserve_rng_state)
    return _run(steps[(segments - 1) * size :], input)


def _run(steps: Sequence[Callable[[Any], Any]], input: Any) -> Any:
    for step in steps:
        input = step(input)
    return input
