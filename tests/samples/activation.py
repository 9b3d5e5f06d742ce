"""Activation functions, each against its definition on one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import floats, shapes
from nn import functional as F

from .spec import Case, Spec

SMALL = shapes(max_dims=2)
NO_OPTIONS: st.SearchStrategy[dict[str, Any]] = st.just({})
EXTREMES = Case(np.array([-1e4, -100.0, -30.0, 30.0, 100.0, 1e4]))


def each(function: Callable[..., float]) -> Callable[..., Any]:
    """A function of numbers, on arrays."""
    return np.vectorize(function, otypes=[float])


def unary(function: Callable, reference: Callable[..., float], kinks: Sequence[float] = (0.0,), span: float = 3.0,
          options: st.SearchStrategy[dict[str, Any]] = NO_OPTIONS, **spec: Any) -> Spec:  # fmt: skip
    """A Spec for a function of one number and options."""
    inputs = floats(SMALL, -span, span, avoid=kinks)
    return Spec(
        function,
        st.builds(lambda x, o: Case(x, **o), inputs, options),
        each(reference),
        edges=[EXTREMES, Case(np.ones((2, 0))), Case(np.array(0.75))],
        **spec,
    )


def _softplus(x: float, beta: float = 1.0, threshold: float = 20.0) -> float:
    return x if x * beta > threshold else math.log1p(math.exp(x * beta)) / beta


def _elu(x: float, alpha: float = 1.0) -> float:
    return x if x > 0 else alpha * math.expm1(x)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def _gelu(x: float, approximate: str = "none") -> float:
    if approximate == "none":
        return x * math.erfc(-x / math.sqrt(2)) / 2
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _glu(x: np.ndarray, dim: int = -1) -> np.ndarray:
    a, b = np.split(x, 2, axis=dim)
    return a * each(_sigmoid)(b)


def _prelu(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    out = x.copy()
    for i in np.ndindex(x.shape):
        if x[i] < 0:
            out[i] *= weight[i[1]] if weight.size > 1 else weight.reshape(-1)[0]
    return out


def _optional(**values: Sequence[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in values.items()})


SPECS: dict[str, Spec] = {
    "relu": unary(F.relu, lambda x: max(x, 0.0)),
    "relu6": unary(F.relu6, lambda x: min(max(x, 0.0), 6.0), (0.0, 6.0), 8.0),
    "hardtanh": unary(F.hardtanh, lambda x, min_val=-1, max_val=1: min(max(x, min_val), max_val),
                      (-1.5, -1.0, 0.5, 1.0), options=_optional(min_val=(-1.5,), max_val=(0.5,))),
    "leaky_relu": Spec(
        F.leaky_relu,
        st.builds(Case, floats(SMALL), st.sampled_from([0.01, 0.3, 1.5])),
        each(lambda x, slope: x if x > 0 else slope * x),
        edges=[Case(np.ones((2, 0)), 0.1), Case(np.array(-2.0), 0.1)],
    ),
    "prelu": Spec(
        F.prelu,
        st.sampled_from([((2, 3), 3), ((2, 3), 1), ((2, 2, 2), 2), ((4,), 1), ((), 1)]).flatmap(
            lambda s: st.builds(Case, floats(s[0]), floats((s[1],), 0.1, 0.9))),
        _prelu, any_shape=False,
        primitive="leaky_relu",
        twice=False,
    ),
    "threshold": unary(lambda x, threshold=0.5, value=-7.0: F.threshold(x, threshold, value),
                       lambda x, threshold=0.5, value=-7.0: x if x > threshold else value, (0.5, 1.0),
                       options=_optional(threshold=(1.0,), value=(2.0,))),
    "hardshrink": unary(F.hardshrink, lambda x, lambd=0.5: x if abs(x) > lambd else 0.0, (-1.0, -0.5, 0.5, 1.0),
                        options=_optional(lambd=(1.0,))),
    "softshrink": unary(F.softshrink, lambda x, lambd=0.5: math.copysign(max(abs(x) - lambd, 0.0), x),
                        (-1.0, -0.5, 0.5, 1.0), options=_optional(lambd=(1.0,))),
    "hardsigmoid": unary(F.hardsigmoid, lambda x: min(max(x / 6 + 0.5, 0.0), 1.0), (-3.0, 3.0), 5.0),
    "hardswish": unary(F.hardswish, lambda x: x * min(max(x / 6 + 0.5, 0.0), 1.0), (-3.0, 3.0), 5.0),
    "elu": unary(F.elu, _elu, options=_optional(alpha=(0.5, 2.0))),
    "celu": unary(F.celu, lambda x, alpha=1.0: x if x > 0 else alpha * math.expm1(x / alpha),
                  options=_optional(alpha=(0.5, 2.0))),
    "selu": unary(F.selu, lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772)),
    "gelu": unary(F.gelu, _gelu, options=_optional(approximate=("none", "tanh"))),
    "silu": unary(F.silu, lambda x: x * _sigmoid(x)),
    "softplus": unary(F.softplus, _softplus, (1.0, 0.5, 10.0), options=_optional(beta=(2.0,), threshold=(1.0,))),
    "logsigmoid": unary(F.logsigmoid, lambda x: -_softplus(-x, threshold=700)),
    "mish": unary(F.mish, lambda x: x * math.tanh(_softplus(x))),
    "softsign": unary(F.softsign, lambda x: x / (1 + abs(x))),
    "tanhshrink": unary(F.tanhshrink, lambda x: x - math.tanh(x)),
    "glu": Spec(
        F.glu,
        st.sampled_from([((4,), -1), ((3, 2), 1), ((2, 3), 0), ((2, 4, 1), -2)]).flatmap(
            lambda s: st.builds(Case, floats(s[0]), dim=st.just(s[1]))),
        _glu,
        edges=[Case(np.ones((0, 2))), Case(np.ones((2, 0)))],
    ),
}  # fmt: skip


def _x(*shape: int) -> mg.Tensor:
    return mg.ones(*shape)


ERRORS = [
    ("relu list", lambda: F.relu([1.0]), TypeError, "relu: expected a Tensor.*list"),
    ("gelu approximate", lambda: F.gelu(_x(2), approximate="erf"), ValueError, "'none' or 'tanh', got 'erf'"),
    ("glu odd", lambda: F.glu(_x(2, 3)), ValueError, r"dimension 1 of input \(2, 3\) must have an even size"),
    ("glu dim", lambda: F.glu(_x(2, 4), dim=2), IndexError, "glu: dim 2 is out of range"),
    ("glu scalar", lambda: F.glu(_x()), ValueError, "glu: input has no dimension"),
    ("hardtanh limits", lambda: F.hardtanh(_x(2), 1.0, -1.0), ValueError, "min_val 1.0 is above max_val -1.0"),
    ("prelu channels", lambda: F.prelu(_x(2, 3), _x(2)), ValueError, r"2 slopes, but input of shape \(2, 3\) has 3"),
    ("prelu matrix", lambda: F.prelu(_x(2, 3), _x(1, 3)), ValueError, r"prelu: weight .* got shape \(1, 3\)"),
    ("prelu vector input", lambda: F.prelu(_x(3), _x(3)), ValueError, "prelu: weight has 3 slopes.*1 channels"),
    ("softshrink negative", lambda: F.softshrink(_x(2), -0.1), ValueError, "lambd must be at least 0, got -0.1"),
    ("celu zero", lambda: F.celu(_x(2), 0.0), ZeroDivisionError, "celu: alpha"),
    ("rrelu bounds", lambda: F.rrelu(_x(2), 0.5, 0.1), ValueError, "lower 0.5 is above upper 0.1"),
    ("relu_ of a leaf", lambda: F.relu(mg.ones(2, requires_grad=True), inplace=True), RuntimeError, "relu_: .*leaf"),
    ("elu_ of integers", lambda: F.elu(mg.ones(2, dtype=mg.int64), inplace=True), TypeError, "elu_: .*int64"),
    ("silu_ of expanded", lambda: F.silu(mg.ones(1).expand(3), inplace=True), RuntimeError, "silu_: .*expanded"),
    ("softplus positional", lambda: F.softplus(_x(2), 1.0, 20.0, 3), TypeError, "softplus: takes at most 3"),
    ("logsigmoid argument", lambda: F.logsigmoid(_x(2), inplace=True), TypeError, "unexpected argument 'inplace'"),
]
