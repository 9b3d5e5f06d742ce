"""A reverse-mode autograd tensor framework over NumPy, with PyTorch's names."""

from __future__ import annotations

from .tensor import Tensor

# Operations, by family.
from .ops.activation import celu, hardshrink, prelu, relu, selu, threshold
from .ops.shaping import (
    broadcast_shapes,
    broadcast_tensors,
    broadcast_to,
    cat,
    clone,
    concat,
    concatenate,
    flatten,
    moveaxis,
    movedim,
    permute,
    ravel,
    reshape,
    squeeze,
    stack,
    swapaxes,
    t,
    transpose,
    unflatten,
    unsqueeze,
)
from .ops.linalg import bmm, dot, matmul, mm, mv, vdot
