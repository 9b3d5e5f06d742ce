"""A reverse-mode autograd tensor framework over NumPy, with PyTorch's names."""

from __future__ import annotations

from .tensor import Tensor  # first: the module minigrad.tensor makes room for the function

# isort: split
from .creation import (
    arange,
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    frombuffer,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .devices import device
from .printing import set_printoptions
from .dtypes import (
    bool,
    double,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    result_type,
    set_default_dtype,
    short,
    uint8,
)

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
