"""Ways to fill parameters before training. All work in place, record nothing, and return the tensor.

"fan-in" is the number of inputs that one output sums over, "fan-out" the number of outputs that one
input goes to; for the weight of a convolution both count the kernel's positions.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

import minigrad
from minigrad import engine
from minigrad.arguments import MATRICES, check_dims
from minigrad.tensor import Tensor


def _initializer(fill: Callable) -> Callable:
    """Check the tensor, switch recording off, and return the tensor."""

    @wraps(fill)
    def initialize(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{fill.__name__}: expected a Tensor, got {type(tensor).__name__}")
        with engine.grad_mode(False):
            fill(tensor, *args, **kwargs)
        return tensor

    return initialize


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on the standard deviation that keeps activations in scale after ``nonlinearity``.

    Args:
        param: the negative slope of ``"leaky_relu"``, 0.01 by default.
    """
    if nonlinearity == "leaky_relu":
        if isinstance(param, bool) or not isinstance(param, (int, float, type(None))):
            raise ValueError(f"calculate_gain: the negative slope must be a number, got {param!r}")
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        names = ", ".join(["leaky_relu", *_GAINS])
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; there are {names}")
    return _GAINS[nonlinearity]


_GAINS = dict.fromkeys(("linear", "sigmoid", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))), 1.0)
_GAINS |= {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """The fan-in and fan-out of a weight; programs know this by PyTorch's name."""
    check_dims("fan-in and fan-out", MATRICES, tensor=tensor)
    positions = math.prod(tensor.shape[2:])
    return tensor.shape[1] * positions, tensor.shape[0] * positions


@_initializer
def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Draw from the uniform distribution between ``a`` and ``b``."""
    tensor.uniform_(a, b, generator=generator)


@_initializer
def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Draw from the normal distribution."""
    tensor.normal_(mean, std, generator=generator)


@_initializer
def trunc_normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator: Any = None) -> Any:  # fmt: skip
    """Draw from the normal distribution, restricted to values from ``a`` to ``b``."""
    if std <= 0 or a >= b:
        raise ValueError(f"trunc_normal_: std must be positive and a < b, got std={std}, a={a}, b={b}")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(f"trunc_normal_: mean {mean} is more than 2 std away from [{a}, {b}]", stacklevel=3)
    low, high = (a - mean) / std, (b - mean) / std
    peak = max(low, min(0.0, high))  # where the density is highest
    low, high = max(low, peak - 9), min(high, peak + 9)  # beyond, nothing is ever drawn
    z = minigrad.empty(0, dtype=minigrad.float64)
    while len(z) < tensor.numel():  # rejection: of uniform candidates, as many as the density wants
        more = minigrad.empty(2 * tensor.numel(), dtype=z.dtype).uniform_(low, high, generator=generator)
        height = minigrad.empty_like(more).uniform_(generator=generator)
        z = minigrad.cat([z, more[height <= ((peak * peak - more * more) / 2).exp()]])
    values = z[: tensor.numel()].reshape(tensor.shape).to(tensor.dtype) * std + mean
    tensor.copy_(values.clamp(a, b))  # rounding must not leave the interval


@_initializer
def constant_(tensor: Any, val: float) -> Any:
    """Fill with ``val``."""
    tensor.fill_(val)


@_initializer
def ones_(tensor: Any) -> Any:
    """Fill with 1."""
    tensor.fill_(1)


@_initializer
def zeros_(tensor: Any) -> Any:
    """Fill with 0."""
    tensor.zero_()


@_initializer
def eye_(tensor: Any) -> Any:
    """Make a matrix the identity: ones on the diagonal, zeros elsewhere."""
    check_dims("eye_", (2,), tensor=tensor)
    tensor.copy_(minigrad.eye(*tensor.shape, dtype=tensor.dtype))


@_initializer
def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Make a convolution's weight (3 to 5 dimensions) hand its input channels through, in each group."""
    check_dims("dirac_", (3, 4, 5), tensor=tensor)
    if tensor.shape[0] % groups:
        raise ValueError(f"dirac_: the {tensor.shape[0]} output channels must be divisible by groups={groups}")
    per_group = tensor.shape[0] // groups
    center = tuple(size // 2 for size in tensor.shape[2:])
    tensor.zero_()
    for row in range(len(tensor)):
        if (channel := row % per_group) < tensor.shape[1]:
            tensor[(row, channel, *center)] = 1


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2 / sum(_calculate_fan_in_and_fan_out(tensor)))


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes = ("fan_in", "fan_out")
    if str(mode).lower() not in modes:
        raise ValueError(f"{name}: mode {mode!r} is not supported, use one of {modes}")
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=4)
        return 0.0
    fan = _calculate_fan_in_and_fan_out(tensor)[modes.index(mode.lower())]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _uniform_with(tensor: Any, std: float, generator: Any) -> None:
    tensor.uniform_(-math.sqrt(3) * std, math.sqrt(3) * std, generator=generator)


@_initializer
def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Uniform with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))`` (Glorot & Bengio, 2010)."""
    _uniform_with(tensor, _xavier_std(tensor, gain), generator)


@_initializer
def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Normal with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))`` (Glorot & Bengio, 2010)."""
    tensor.normal_(0.0, _xavier_std(tensor, gain), generator=generator)


@_initializer
def kaiming_uniform_(tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     generator: Any = None) -> Any:  # fmt: skip
    """Uniform with standard deviation ``gain / sqrt(fan)`` (He et al., 2015).

    Args:
        a: the negative slope of the leaky ReLU that follows.
        mode: ``"fan_in"`` keeps the scale of activations, ``"fan_out"`` that of gradients.
        nonlinearity: what follows; see :func:`calculate_gain`.
    """
    _uniform_with(tensor, _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity), generator)


@_initializer
def kaiming_normal_(tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    generator: Any = None) -> Any:  # fmt: skip
    """Normal with standard deviation ``gain / sqrt(fan)`` (He et al., 2015); see :func:`kaiming_uniform_`."""
    tensor.normal_(0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator=generator)


@_initializer
def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Any:
    """A random matrix with orthonormal rows or columns, times ``gain`` (Saxe et al., 2013).

    Dimensions after the first count as one.
    """
    check_dims("orthogonal_", MATRICES, tensor=tensor)
    if tensor.numel() == 0:
        return
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    drawn = minigrad.empty(rows, columns, dtype=minigrad.float64).normal_(generator=generator).numpy()
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    q = q * np.sign(np.diag(r))  # makes the distribution uniform (Mezzadri, 2006)
    matrix = gain * (q.T if rows < columns else q).reshape(tensor.shape)
    tensor.copy_(minigrad.from_numpy(np.ascontiguousarray(matrix)))


@_initializer
def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Any:
    """Normal, with a fraction ``sparsity`` of each column of the matrix set to zero (Martens, 2010)."""
    check_dims("sparse_", (2,), tensor=tensor)
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for column in range(columns):
        chosen = minigrad.empty(rows).uniform_(generator=generator).numpy().argsort()[:zeros]
        tensor[chosen.tolist(), column] = 0
