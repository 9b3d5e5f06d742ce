"""What a model is made of: layers, shapes, parameters, multiply-adds and memory, in a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import creation
from .engine import Primitive, Watcher, mode
from .grad_mode import no_grad


def _einsum(operands: Sequence[Any], out: Any, terms: Sequence[str], output: str) -> int:
    sizes = {label: n for term, x in zip(terms, operands) for label, n in zip(term, x.shape)}
    return math.prod(sizes.values()) * (len(terms) - 1)


# How often the operations multiply and add that do so, given their inputs, their output and their options.
_MULTIPLY_ADDS: dict[str, Callable[..., int]] = {
    "linear": lambda inputs, out: out.size * inputs[1].shape[-1],
    "matmul": lambda inputs, out: out.size * inputs[0].shape[-1],
    "attention": lambda inputs, out, **_: (inputs[0].size + out.size) * inputs[1].shape[-2],
    "einsum": _einsum,
    "convolution": lambda inputs, out, **_: out.size * math.prod(inputs[1].shape[1:]),
    "convolution_input": lambda inputs, out, **_: inputs[0].size * math.prod(inputs[1].shape[1:]),
    "recurrence": lambda inputs, out, **_: len(inputs[0]) * inputs[1].size,
}


@dataclass
class Layer:
    """One row of a :class:`Summary`. What belongs to layers inside it is counted there alone."""

    name: str
    depth: int = 0
    output_shape: Any = "not called"  # a tuple, or a list of them if it has several outputs
    parameters: int = 0
    multiply_adds: int = 0
    state_bytes: int = 0  # of parameters and buffers
    activation_bytes: int = 0  # of all arrays that its operations compute


class Summary:
    """What :func:`summary` found; its ``str`` is the table.

    Attributes:
        layers: a :class:`Layer` for the model itself and for each module in it, outer ones first.
        total: a Layer that holds their sums.
    """

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers
        fields = ("parameters", "multiply_adds", "state_bytes", "activation_bytes")
        sums = {field: sum(getattr(layer, field) for layer in layers) for field in fields}
        self.total = Layer("Total", output_shape="", **sums)

    def __str__(self) -> str:
        rows = [("Layer", "Output shape", "Parameters", "Multiply-adds", "Activations")]
        for layer in [*self.layers, self.total]:
            counts = f"{layer.parameters:,}", f"{layer.multiply_adds:,}", _memory(layer.activation_bytes)
            rows.append(("  " * layer.depth + layer.name, str(layer.output_shape), *counts))
        widths = [max(map(len, column)) for column in zip(*rows)]
        sides = (str.ljust, str.ljust, str.rjust, str.rjust, str.rjust)
        lines = ["  ".join(side(cell, n) for side, cell, n in zip(sides, row, widths)) for row in rows]
        lines[1:1] = lines[-1:-1] = ["-" * len(lines[0])]
        return "\n".join([*lines, f"Memory of parameters and buffers: {_memory(self.total.state_bytes)}"])


def _memory(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


class _Counter(Watcher):
    """Adds to the layer that is being called what an operation costs."""

    def __init__(self, layers: dict[Any, Layer]) -> None:
        self.layers = layers

    def operation(self, definition: Primitive, args: Sequence[Any], arrays: Sequence[Any],
                  options: dict[str, Any], compute: Callable[[], Any]) -> Any:  # fmt: skip
        out = compute()
        layer = self.layers[next(module for module in reversed(mode.modules) if module in self.layers)]
        if definition.name in _MULTIPLY_ADDS:
            layer.multiply_adds += _MULTIPLY_ADDS[definition.name](arrays, out, **options)
        for result in out if isinstance(out, tuple) else (out,):
            if not any(isinstance(a, np.ndarray) and np.may_share_memory(a, result) for a in arrays):
                layer.activation_bytes += result.nbytes
        return out

    def note_shape(self, module: Any, inputs: Any, output: Any) -> None:
        """A forward hook."""
        self.layers[module].output_shape = _shapes(output)


def _shapes(output: Any) -> Any:
    if isinstance(output, (tuple, list)):
        return [_shapes(value) for value in output]
    return getattr(output, "shape", output)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Every module of a model, if it is one, in evaluation mode, and afterwards in its own."""
    before = {module: module.training for module in getattr(model, "modules", list)()}
    try:
        for module in before:
            module.training = False
        yield
    finally:
        for module, training in before.items():
            module.training = training


def summary(model: Any, input_size: Any = None, input_data: Any = None, *, dtype: Any = None,
            verbose: bool = True) -> Summary:  # fmt: skip
    """Print a table of the layers of ``model``: output shapes, parameters, multiply-adds and memory.

    The model is called once, in evaluation mode and without gradients, and left as it was. Multiply-adds are
    those of products of matrices, convolutions and recurrences, whether in layers or in functions.

    Args:
        model: an nn.Module.
        input_size: the shape of its input, or a list of the shapes of several; they are filled with ones.
        input_data: the input itself instead: a Tensor, or a tuple of arguments.
        dtype: of inputs that are given by their shapes.
        verbose: whether to print; the :class:`Summary` is returned in any case.

    >>> from minigrad import nn
    >>> found = summary(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), (8, 3))
    Layer        Output shape  Parameters  Multiply-adds  Activations
    -----------------------------------------------------------------
    Sequential   (8, 2)                 0              0          0 B
      0: Linear  (8, 4)                16             96        128 B
      1: ReLU    (8, 4)                 0              0        128 B
      2: Linear  (8, 2)                10             64         64 B
    -----------------------------------------------------------------
    Total                              26            160        320 B
    Memory of parameters and buffers: 104 B
    """
    if (input_size is None) == (input_data is None):
        raise ValueError("summary: give either input_size or input_data")
    if input_data is None:
        several = isinstance(input_size, (tuple, list)) and not all(isinstance(n, int) for n in input_size)
        input_data = tuple(creation.ones(size, dtype=dtype) for size in (input_size if several else [input_size]))
    arguments = input_data if isinstance(input_data, tuple) else (input_data,)
    rows: dict[str, Layer] = {}
    layers: dict[Any, Layer] = {}
    for path, module in model.named_modules():
        name = path.rpartition(".")[2]
        rows[path] = layers[module] = Layer(f"{name}: {type(module).__name__}".removeprefix(": "))
        rows[path].depth = path.count(".") + bool(path)
    for path, parameter in model.named_parameters():
        rows[path.rpartition(".")[0]].parameters += parameter.numel()
    for path, tensor in (*model.named_parameters(), *model.named_buffers()):
        rows[path.rpartition(".")[0]].state_bytes += tensor.nbytes
    counter = _Counter(layers)
    handles = [module.register_forward_hook(counter.note_shape) for module in layers]
    try:
        with evaluating(model), no_grad(), counter:
            model(*arguments)
    finally:
        for handle in handles:
            handle.remove()
    found = Summary(list(layers.values()))
    if verbose:
        print(found)
    return found
