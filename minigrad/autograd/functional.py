"""Derivatives of functions of Tensors: whole Jacobians and Hessians, and their products with vectors.

``inputs`` is a Tensor or a tuple of them, and so is what ``func`` returns; results have the same
structure. With ``create_graph`` results can be differentiated again. An output that does not depend
on an input has derivative zero there; with ``strict`` it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backprop import grad
from ..engine import TensorBase, new_tensor
from ..grad_mode import enable_grad
from ..ops import shaping

F = Callable[..., Any]


def vjp(func: F, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """The value of ``func``, and ``v`` times its Jacobian. ``v`` is like the output; one number needs none."""
    call = _Call("vjp", func, inputs, create_graph, strict)
    cotangents = call.like(v, call.outputs, "the output")
    with enable_grad():
        products = call.gradients(call.outputs, call.inputs, cotangents, create_graph)
    return call.results(), call.finish(products, call.single_input)


def jvp(func: F, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """The value of ``func``, and its Jacobian times ``v``, which is like the inputs; one number needs none.

    The product with the transposed Jacobian is linear in its vector, and its gradient with respect
    to that is the product wanted: two backward passes, whatever the size of the output.
    """
    call = _Call("jvp", func, inputs, create_graph, strict)
    tangents = call.like(v, call.inputs, "the inputs")
    with enable_grad():
        probes = [_leaf(np.zeros_like(output._array)) for output in call.outputs]
        pulled = call.gradients(call.outputs, call.inputs, probes, True)
        products = call.gradients(pulled, probes, tangents, create_graph)
    return call.results(), call.finish(products, call.single_output)


def jacobian(func: F, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
             strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """The derivative of each element of the output with respect to each of the input.

    Its shape is the output's followed by the input's. If ``func`` returns a tuple, the result is a
    tuple over outputs; if ``inputs`` is a tuple, each of them is a tuple over inputs.
    """
    _refuse_vectorize("jacobian", vectorize, strategy)
    call = _Call("jacobian", func, inputs, create_graph, strict)
    table = []
    with enable_grad():
        for output in call.outputs:
            size, like = output._array.size, output._array
            units = np.eye(size, dtype=output.dtype, like=like).reshape(size, *output.shape)
            rows = [call.gradients([output], call.inputs, [new_tensor(u)], create_graph, keep=True) for u in units]
            blocks = [
                shaping.reshape(shaping.stack([row[i] for row in rows]), output.shape + x.shape) if rows
                else new_tensor(np.zeros_like(x._array, shape=output.shape + x.shape))
                for i, x in enumerate(call.inputs)
            ]  # fmt: skip
            table.append(call.finish(blocks, call.single_input))
    return table[0] if call.single_output else tuple(table)


def hessian(func: F, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
            outer_jacobian_strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """The second derivatives of ``func``, which returns one number.

    For one input its shape is the input's, twice; for a tuple, a tuple of tuples over pairs of inputs.
    """
    _refuse_vectorize("hessian", vectorize, outer_jacobian_strategy)

    def slope(*xs: Any) -> Any:
        call = _Call("hessian", func, xs if isinstance(inputs, tuple) else xs[0], True, strict)
        if len(call.outputs) != 1 or call.outputs[0]._array.size != 1:
            shapes = ", ".join(str(y.shape) for y in call.outputs)
            raise RuntimeError(f"hessian: the function must return a single number, got shape {shapes}")
        slopes = call.gradients(call.outputs, call.inputs, call.like(None, call.outputs, ""), True)
        return call.finish(slopes, call.single_input)

    return jacobian(slope, inputs, create_graph=create_graph, strict=strict)


class _Call:
    """One call of ``func`` on inputs that require a gradient, and what the functions above do with it."""

    def __init__(self, name: str, func: F, inputs: Any, create_graph: bool, strict: bool) -> None:
        self.name, self.create_graph, self.strict = name, create_graph, strict
        self.single_input = not isinstance(inputs, tuple)
        given = self.tensors(inputs, "inputs")
        with enable_grad():
            # Copies: the function itself may use the originals, which then are constants to it.
            self.inputs = [shaping.clone(x) if create_graph and x.requires_grad else _leaf(x._array) for x in given]
            outputs = func(*self.inputs)
        self.single_output = not isinstance(outputs, tuple)
        self.outputs = self.tensors(outputs, "what the function returned")
        for i, output in enumerate(self.outputs):
            if strict and not output.requires_grad:
                raise RuntimeError(f"{name}: output {i} does not depend on the inputs, which strict does not allow")

    def tensors(self, values: Any, what: str) -> list[Any]:
        found = list(values) if isinstance(values, tuple) else [values]
        for value in found:
            if not isinstance(value, TensorBase):
                raise TypeError(f"{self.name}: {what} must be Tensors, one or a tuple, got {type(value).__name__}")
        return found

    def like(self, v: Any, others: Sequence[Any], what: str) -> list[Any]:
        """The vector to multiply with, checked against what it must look like; 1 by default."""
        if v is None:
            if len(others) != 1 or others[0]._array.size != 1:
                raise ValueError(f"{self.name}: v must be given unless {what} is a single number")
            return [new_tensor(np.ones_like(others[0]._array))]
        vectors = self.tensors(v, "v")
        if [x.shape for x in vectors] != [x.shape for x in others]:
            given, wanted = (", ".join(str(x.shape) for x in xs) for xs in (vectors, others))
            raise ValueError(f"{self.name}: v must have the shapes of {what}, {wanted}; got {given}")
        return vectors

    def gradients(self, outputs: Sequence[Any], inputs: Sequence[Any], cotangents: Sequence[Any],
                  create_graph: bool, keep: bool = False) -> list[Any]:  # fmt: skip
        """:func:`grad`, with zeros where nothing depends on an input."""
        used = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y.requires_grad]
        found: Sequence[Any] = [None] * len(inputs)
        if used:
            ys, gs = zip(*used, strict=True)
            keep = keep or create_graph
            found = grad(ys, inputs, gs, retain_graph=keep, create_graph=create_graph, allow_unused=True)
        for i, g in enumerate(found):
            if self.strict and g is None:
                raise RuntimeError(f"{self.name}: no output depends on input {i}, which strict does not allow")
        return [new_tensor(np.zeros_like(x._array)) if g is None else g for x, g in zip(inputs, found, strict=True)]

    def finish(self, tensors: Sequence[Any], single: bool) -> Any:
        done = [t if self.create_graph else t.detach() for t in tensors]
        return done[0] if single else tuple(done)

    def results(self) -> Any:
        """What the function returned."""
        return self.finish(self.outputs, self.single_output)


def _leaf(array: Any) -> Any:
    return new_tensor(array, requires_grad=True)


def _refuse_vectorize(name: str, vectorize: bool, strategy: str) -> None:
    if vectorize or strategy != "reverse-mode":
        raise NotImplementedError(f"{name}: only the reverse mode, one row at a time, is supported")
