"""Normalization, against loops over what shares statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import floats, shapes
from nn import functional as F

from .spec import Case, Spec

CHANNELS = st.sampled_from([(3, 2), (2, 3, 2), (2, 2, 2, 2), (4, 1)])


def _spread(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    return draw(floats(shape, -3, 3, avoid=()))


@st.composite
def with_affine(draw: Any, shapes: Any, parameter_shape: Callable[[tuple[int, ...]], tuple[int, ...]],
                rest: Callable[[tuple[int, ...]], tuple], bias: bool = True) -> Case:  # fmt: skip
    """An input, further arguments that depend on its shape, and perhaps weight and bias."""
    shape = draw(shapes)
    affine = {"weight": _spread(draw, parameter_shape(shape))} if draw(st.booleans()) else {}
    if bias and draw(st.booleans()):
        affine["bias"] = _spread(draw, parameter_shape(shape))
    return Case(_spread(draw, shape), *rest(shape), **affine)


def _standard(part: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    return (part - part.mean()) / np.sqrt(((part - part.mean()) ** 2).mean() + eps)


def _affine(y: np.ndarray, weight: Any, bias: Any) -> np.ndarray:
    """Weight and bias for each channel (dimension 1)."""
    for c in range(y.shape[1]):
        y[:, c] = y[:, c] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


def _batch_norm(x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, training: bool = True) -> Any:
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        y[:, c] = _standard(x[:, c]) if training else (x[:, c] - mean[c]) / np.sqrt(var[c] + 1e-5)
    return _affine(y, weight, bias)


def _instance_norm(x: np.ndarray, weight: Any = None, bias: Any = None) -> np.ndarray:
    return _affine(np.stack([[_standard(channel) for channel in sample] for sample in x]), weight, bias)


def _group_norm(x: np.ndarray, groups: int, weight: Any = None, bias: Any = None) -> np.ndarray:
    parts = [np.concatenate([_standard(p) for p in np.split(sample, groups)]) for sample in x]
    return _affine(np.stack(parts), weight, bias)


def _layer_norm(x: np.ndarray, shape: tuple[int, ...], weight: Any = None, bias: Any = None) -> np.ndarray:
    y = np.empty_like(x)
    for i in np.ndindex(x.shape[: x.ndim - len(shape)]):
        y[i] = _standard(x[i]) * (1 if weight is None else weight) + (0 if bias is None else bias)
    return y


def _rms_norm(x: np.ndarray, shape: tuple[int, ...], weight: Any = None, eps: float = 1e-3) -> np.ndarray:
    y = np.empty_like(x)
    for i in np.ndindex(x.shape[: x.ndim - len(shape)]):
        y[i] = x[i] / np.sqrt((x[i] ** 2).mean() + eps) * (1 if weight is None else weight)
    return y


def _local_response_norm(x: Any, size: int, alpha: float, k: float, beta: float = 0.75) -> np.ndarray:
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        squares = x[:, max(c - size // 2, 0) : c + (size - 1) // 2 + 1] ** 2
        y[:, c] = x[:, c] / (k + alpha * squares.sum(1) / size) ** beta
    return y


def _last_two(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[-min(2, len(shape) - 1) :]


SPECS: dict[str, Spec] = {
    "batch_norm": Spec(
        lambda input, *rest, **affine: F.batch_norm(input, *rest, **affine, training=True),
        with_affine(CHANNELS, lambda s: s[1:2], lambda s: (None, None)),
        _batch_norm,
        primitive="standardize",
        twice=False,
    ),
    "batch_norm in evaluation": Spec(
        lambda input, mean, var, weight=None, bias=None: F.batch_norm(input, mean, var, weight, bias),
        CHANNELS.flatmap(
            lambda s: st.builds(Case, floats(s), floats(s[1:2]), floats(s[1:2], 0.5, 2.0), floats(s[1:2]))),
        lambda *args: _batch_norm(*args, training=False),
        primitive="affine",
        twice=False,
    ),
    "instance_norm": Spec(
        F.instance_norm,
        with_affine(st.sampled_from([(2, 3, 2), (2, 2, 2, 2)]), lambda s: s[1:2], lambda s: ()),
        _instance_norm,
        primitive="standardize",
        twice=False,
    ),
    "group_norm": Spec(
        F.group_norm,
        st.sampled_from([1, 2]).flatmap(
            lambda groups: with_affine(st.sampled_from([(2, 4), (2, 2, 3), (1, 4, 2, 1)]), lambda s: s[1:2],
                                       lambda s: (groups,))),
        _group_norm,
        primitive="standardize",
        twice=False,
    ),
    "layer_norm": Spec(
        F.layer_norm,
        with_affine(st.sampled_from([(2, 3), (2, 3, 2), (2, 1, 2, 2)]), _last_two, lambda s: (_last_two(s),)),
        _layer_norm,
        edges=[Case(np.ones((0, 3)), (3,)), Case(np.full((2, 3), 7.0), (3,))],
        twice=False,
    ),
    "rms_norm": Spec(
        lambda *args, **affine: F.rms_norm(*args, **affine, eps=1e-3),
        with_affine(st.sampled_from([(2, 3), (2, 3, 2)]), _last_two, lambda s: (_last_two(s),), bias=False),
        _rms_norm,
        primitive="standardize",
        edges=[Case(np.zeros((2, 3)), (3,))],
        twice=False,
    ),
    "local_response_norm": Spec(
        F.local_response_norm,
        st.builds(Case, st.sampled_from([(2, 3, 2), (1, 4, 2, 2)]).flatmap(floats), st.integers(1, 4),
                  alpha=st.just(0.5), k=st.just(1.5)),
        _local_response_norm,
        duck=False,  # its band of neighbouring channels is an ndarray
    ),
    "normalize": Spec(
        F.normalize,
        st.builds(Case, shapes(2, 3).flatmap(floats), p=st.sampled_from([1.0, 2.0, 3.0]),
                  dim=st.sampled_from([0, 1, -1])),
        lambda x, p=2.0, dim=1: x / np.maximum((np.abs(x) ** p).sum(dim, keepdims=True) ** (1 / p), 1e-12),
        edges=[Case(np.zeros((2, 3)))],
    ),
}  # fmt: skip


def _x(*shape: int) -> mg.Tensor:
    return mg.ones(*shape)


ERRORS = [
    ("batch_norm one value", lambda: F.batch_norm(_x(1, 3), None, None, training=True), ValueError,
     r"in training each channel needs more than one value, but input \(1, 3\) has one"),
    ("batch_norm 1-D", lambda: F.batch_norm(_x(3), None, None, training=True),
     ValueError, r"\(N, C, ...\), got shape \(3,\)"),
    ("batch_norm weight", lambda: F.batch_norm(_x(2, 3), None, None, _x(2), training=True), ValueError,
     r"weight has shape \(2,\), expected \(3,\)"),
    ("batch_norm running mean", lambda: F.batch_norm(_x(2, 3), _x(4), _x(3)),
     ValueError, r"running_mean has shape \(4,\)"),
    ("batch_norm no running", lambda: F.batch_norm(_x(2, 3), None, None),
     ValueError, "running_mean and running_var must be"),
    ("batch_norm int", lambda: F.batch_norm(mg.ones(2, 3, dtype=mg.int64), None, None, training=True),
     TypeError, "int64"),
    ("batch_norm eps", lambda: F.batch_norm(_x(2, 3), None, None, training=True, eps=-1.0),
     ValueError, "eps must not be"),
    ("instance_norm one value", lambda: F.instance_norm(_x(2, 3, 1)),
     ValueError, r"more than one value, but input \(2, 3, 1\)"),
    ("instance_norm bias", lambda: F.instance_norm(_x(2, 3, 4), bias=_x(4)), ValueError, r"bias has shape \(4,\)"),
    ("instance_norm running", lambda: F.instance_norm(_x(2, 3, 4), use_input_stats=False), ValueError, "must be given"),
    ("layer_norm shape", lambda: F.layer_norm(_x(2, 3), (4,)),
     ValueError, r"\(4,\) is not the end of the input's shape \(2, 3\)"),
    ("layer_norm longer", lambda: F.layer_norm(_x(3), (2, 3)), ValueError, r"\(2, 3\) is not the end"),
    ("layer_norm empty", lambda: F.layer_norm(_x(3), ()), ValueError, r"layer_norm: normalized_shape \(\)"),
    ("layer_norm weight", lambda: F.layer_norm(_x(2, 3), (3,), _x(2)),
     ValueError, r"weight has shape \(2,\), expected \(3,\)"),
    ("layer_norm int", lambda: F.layer_norm(mg.ones(2, dtype=mg.int64), (2,)), TypeError,
     "floating-point tensor, got int64"),
    ("rms_norm shape", lambda: F.rms_norm(_x(2, 3), (2,)), ValueError, "rms_norm: normalized_shape"),
    ("rms_norm weight", lambda: F.rms_norm(_x(2, 3), (3,), _x(3, 1)), ValueError, r"weight has shape \(3, 1\)"),
    ("group_norm groups", lambda: F.group_norm(_x(2, 3), 2), ValueError, "3 channels .* do not divide into 2 groups"),
    ("group_norm no groups", lambda: F.group_norm(_x(2, 3), 0), ValueError, "into 0 groups"),
    ("group_norm one value", lambda: F.group_norm(_x(1, 3), 3), ValueError, "more than one value"),
    ("local_response_norm 2-D", lambda: F.local_response_norm(_x(2, 3), 2),
     ValueError, r"\(N, C, L, ...\), got shape \(2, 3\)"),
    ("local_response_norm size", lambda: F.local_response_norm(_x(2, 3, 2), 0), ValueError, "size must be at least 1"),
    ("normalize dim", lambda: F.normalize(_x(2, 3), dim=2), IndexError, "dim 2 is out of range"),
]  # fmt: skip
