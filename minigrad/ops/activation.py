"""Activation functions: what makes a stack of linear maps more than one linear map.

Where a function has a kink, its gradient there is the one that PyTorch gives. ``inplace=True``
puts the result into the memory of the input, as the in-place methods of a Tensor do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import along, normalize_dim
from ..engine import TensorBase
from ..kernels import activation, special
from ..kernels.formula import masked
from ..memory import Array
from .elementwise import abs, elementwise, erf, float_elementwise, sigmoid, sign, tanh, where
from .inplace import become


def _result(y: Any, input: Any, inplace: bool, name: str) -> Any:
    return become(input, y, f"{name}_") if inplace else y


# ------------------------------------------------------------------------------ piecewise linear


@elementwise(input=activation.gate)
def _relu(input: Array) -> Array:
    return activation.relu(input)


def relu(input: Any, inplace: bool = False) -> Any:
    """``max(input, 0)``; its gradient at 0 is 0. Takes any shape, and keeps it."""
    return become(input, _relu(input), "relu_") if inplace else _relu(input)


@elementwise(input=lambda g, input, min_val, max_val: masked(
    g, np.logical_and(np.greater(input, min_val), np.less(input, max_val))
))  # fmt: skip
def _hardtanh(input: Array, min_val: float, max_val: float) -> Array:
    return np.clip(input, min_val, max_val)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Each element limited to ``min_val`` to ``max_val``; the gradient is 0 on the limits themselves.

    Takes any shape, and keeps it.
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is above max_val {max_val}")
    return _result(_hardtanh(input, min_val, max_val), input, inplace, "hardtanh")


def relu6(input: Any, inplace: bool = False) -> Any:
    """``min(max(input, 0), 6)``. Takes any shape, and keeps it."""
    return _result(_hardtanh(input, 0, 6), input, inplace, "relu6")


@elementwise(input=lambda g, input, negative_slope: np.where(np.greater(input, 0), g, g * negative_slope),
             negative_slope=lambda g, input: np.where(np.greater(input, 0), 0, g * input))  # fmt: skip
def _leaky_relu(input: Array, negative_slope: Array) -> Array:
    return np.where(np.greater(input, 0), input, input * negative_slope)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """``input`` where it is above 0, ``negative_slope * input`` elsewhere. Takes any shape, and keeps it."""
    return _result(_leaky_relu(input, negative_slope), input, inplace, "leaky_relu")


def prelu(input: Any, weight: Any) -> Any:
    """:func:`leaky_relu` with learned slopes: one for all, or one for each channel (dimension 1)."""
    if weight.ndim > 1:
        raise ValueError(f"prelu: weight must be a scalar or 1-D, got shape {weight.shape}")
    count = math.prod(weight.shape)
    channels = input.shape[1] if input.ndim > 1 else 1
    if count not in (1, channels):
        raise ValueError(f"prelu: weight has {count} slopes, but input of shape {input.shape} has {channels} channels")
    shape = (1, count) + (1,) * (input.ndim - 2) if count > 1 else ()
    return _leaky_relu(input, np.reshape(weight, shape))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """``input`` where it is above ``threshold``, the constant ``value`` elsewhere. Takes any shape, and keeps it."""
    return _result(where(input <= threshold, value, input), input, inplace, "threshold")


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """0 from ``-lambd`` to ``lambd``, ``input`` elsewhere. Takes any shape, and keeps it."""
    return where(abs(input) <= lambd, 0, input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """``input`` moved towards 0 by ``lambd``, and 0 if it is nearer than that. Takes any shape, and keeps it."""
    if lambd < 0:
        raise ValueError(f"softshrink: lambd must be at least 0, got {lambd}")
    return where(abs(input) <= lambd, 0, input - lambd * sign(input))


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """``relu6(input + 3) / 6``. Takes any shape, and keeps it."""
    return _result(_hardtanh(input + 3, 0, 6) / 6, input, inplace, "hardsigmoid")


def _hardswish_input(g: Array, input: Array) -> Array:
    slope = np.where(np.less(input, 3), input / 3 + 0.5, np.ones_like(input))
    return np.where(np.less_equal(input, -3), 0, g * slope)  # also at -infinity


@float_elementwise(input=_hardswish_input)
def _hardswish(input: Array) -> Array:
    return input * (np.clip(input + 3, 0, 6) / 6)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """``input * relu6(input + 3) / 6`` (Howard et al. 2019, MobileNetV3). Takes any shape, and keeps it."""
    return _result(_hardswish(input), input, inplace, "hardswish")


# ---------------------------------------------------------------------------- exponential linear


def _elu_input(g: Array, input: Array, alpha: float, scale: float, input_scale: float) -> Array:
    slope = alpha * input_scale * np.exp(input_scale * np.minimum(input, 0))
    return g * scale * np.where(np.greater(input, 0), np.ones_like(slope), slope)


@float_elementwise(input=_elu_input)
def _elu(input: Array, alpha: float, scale: float = 1.0, input_scale: float = 1.0) -> Array:
    below = alpha * np.expm1(input_scale * np.minimum(input, 0))
    return scale * np.where(np.greater(input, 0), input, below)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``input`` where it is above 0, ``alpha * (exp(input) - 1)`` elsewhere (Clevert et al. 2016).

    Takes any shape, and keeps it.
    """
    return _result(_elu(input, alpha), input, inplace, "elu")


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``input`` where it is above 0, ``alpha * (exp(input / alpha) - 1)`` elsewhere (Barron 2017).

    Takes any shape, and keeps it.
    """
    if alpha == 0:
        raise ZeroDivisionError("celu: alpha must not be 0")
    return _result(_elu(input, alpha, 1.0, 1.0 / alpha), input, inplace, "celu")


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def selu(input: Any, inplace: bool = False) -> Any:
    """``scale * elu(input, alpha)`` with the two constants that keep mean 0 and variance 1 (Klambauer et al. 2017).

    Takes any shape, and keeps it.
    """
    return _result(_elu(input, _SELU_ALPHA, _SELU_SCALE), input, inplace, "selu")


# ---------------------------------------------------------------------------------------- smooth

_SQRT_HALF = math.sqrt(0.5)
_INV_SQRT_2PI = 1 / math.sqrt(2 * math.pi)
_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715


def _gelu_tanh(x: Array) -> Array:
    """The inner tanh of the approximation."""
    x = np.clip(x, -10, 10)  # tanh is exactly -1 or 1 beyond, in every dtype, and the cube cannot overflow
    return np.tanh(x * (_TANH_SCALE + _TANH_SCALE * _TANH_CUBIC * x * x))


def _gelu_input(g: Array, input: Array, approximate: str) -> Array:
    if approximate == "none" and input.dtype == np.float32 and not isinstance(input, TensorBase):
        return special.gelu_gradient(g, input)
    x = np.clip(input, -40, 40)  # the bell is exactly 0 beyond, and the square cannot overflow
    if approximate == "none":
        return g * (0.5 * erf(input * _SQRT_HALF) + 0.5 + x * np.exp(-0.5 * x * x) * _INV_SQRT_2PI)
    t = _gelu_tanh(input)
    return g * (0.5 + 0.5 * t + 0.5 * x * (1 - t * t) * (_TANH_SCALE + 3 * _TANH_SCALE * _TANH_CUBIC * x * x))


@float_elementwise(input=_gelu_input)
def gelu(input: Array, *, approximate: str = "none") -> Array:
    """``input * P(Z <= input)`` for a standard normal Z (Hendrycks and Gimpel 2016).

    Takes any shape, and keeps it.

    ``approximate="tanh"`` takes ``0.5 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))`` for the probability.
    """
    if approximate == "none":
        if input.dtype == np.float32:
            return special.gelu(input)
        return input * (0.5 * special.erf(input * _SQRT_HALF) + 0.5)
    if approximate == "tanh":
        return input * (0.5 * _gelu_tanh(input) + 0.5)
    raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")


def _silu_input(g: Array, input: Array) -> Array:
    s = sigmoid(input)
    return g * (s * (1 + input * (1 - s)))


@float_elementwise(input=_silu_input)
def _silu(input: Array) -> Array:
    return input * special.sigmoid(input)


def silu(input: Any, inplace: bool = False) -> Any:
    """``input * sigmoid(input)``, also known as swish. Takes any shape, and keeps it."""
    return _result(_silu(input), input, inplace, "silu")


def _softplus_input(g: Array, input: Array, beta: float, threshold: float) -> Array:
    x = input * beta
    return np.where(np.greater(x, threshold), g, g * sigmoid(x))


@float_elementwise(input=_softplus_input)
def softplus(input: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """``log(1 + exp(beta * input)) / beta``, a smooth relu; ``input`` itself where ``beta * input > threshold``.

    Takes any shape, and keeps it.
    """
    x = input * beta
    return np.where(np.greater(x, threshold), input, (np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))) / beta)


@float_elementwise(input=lambda g, input: g * sigmoid(-input))
def logsigmoid(input: Array) -> Array:
    """``log(sigmoid(input))`` without overflow. Takes any shape, and keeps it."""
    return np.minimum(input, 0) - np.log1p(np.exp(-np.abs(input)))


def _mish_input(g: Array, input: Array) -> Array:
    t = tanh(softplus(input))
    return g * (t + input * (1 - t * t) * sigmoid(input))


@float_elementwise(input=_mish_input)
def _mish(input: Array) -> Array:
    return input * np.tanh(np.maximum(input, 0) + np.log1p(np.exp(-np.abs(input))))


def mish(input: Any, inplace: bool = False) -> Any:
    """``input * tanh(softplus(input))`` (Misra 2019). Takes any shape, and keeps it."""
    return _result(_mish(input), input, inplace, "mish")


def softsign(input: Any) -> Any:
    """``input / (1 + |input|)``. Takes any shape, and keeps it."""
    return input / (abs(input) + 1)


def tanhshrink(input: Any) -> Any:
    """``input - tanh(input)``. Takes any shape, and keeps it."""
    return input - tanh(input)


def glu(input: Any, dim: int = -1) -> Any:
    """The first half of ``input`` along ``dim`` times the sigmoid of the second half (Dauphin et al. 2017).

    From (..., 2n, ...) to (..., n, ...).
    """
    if input.ndim == 0:
        raise ValueError("glu: input has no dimension to halve")
    dim = normalize_dim(dim, input.ndim, "glu")
    half, odd = divmod(input.shape[dim], 2)
    if odd:
        raise ValueError(f"glu: dimension {dim} of input {input.shape} must have an even size, to be halved")
    return input[along(dim, slice(0, half))] * sigmoid(input[along(dim, slice(half, None))])
