"""Losses, against their definitions on one pair of numbers or one sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.testing import booleans, floats, integers, shapes
from nn import functional as F

from .spec import Case, Spec

REDUCTIONS = st.sampled_from(["none", "mean", "sum"])
SHAPES = shapes(0, 2, 1, 3)


def reduce(loss: np.ndarray, reduction: str) -> np.ndarray:
    if reduction == "none":
        return loss
    return np.asarray(loss.sum() if reduction == "sum" else loss.mean() if loss.size else math.nan)


def each(function: Callable[..., float]) -> Callable[..., np.ndarray]:
    """The reference of a loss that is given for one pair of numbers."""

    def reference(*args: Any, reduction: str = "mean", **options: Any) -> np.ndarray:
        return reduce(np.vectorize(lambda *a: function(*a, **options), otypes=[float])(*args), reduction)

    return reference


@st.composite
def pairs(draw: Any, low: float = -2.0, high: float = 2.0, avoid: tuple[float, ...] = (0.0,), gap: float | None = None,
          target: Callable[[tuple[int, ...]], Any] | None = None, **options: Any) -> Case:  # fmt: skip
    """Two arrays of one shape; with ``gap``, no difference between them is near 0 or ``gap``."""
    shape = draw(SHAPES)
    x = draw(floats(shape, low, high, avoid))
    if gap is not None:
        y = np.asarray(x - draw(floats(shape, -3.0, 3.0, avoid=(0.0, gap, -gap))))
    else:
        y = draw(floats(shape, low, high, avoid) if target is None else target(shape))
    chosen = {k: draw(st.sampled_from(v)) for k, v in options.items()}
    return Case(x, y, reduction=draw(REDUCTIONS), **chosen)


def signs(shape: tuple[int, ...]) -> Any:
    """Targets of 1 and -1."""
    return booleans(shape).map(lambda b: np.where(b, 1, -1))


def elementwise(function: Callable, reference: Callable[..., float], **how: Any) -> Spec:
    empty = Case(np.ones((0, 2)), np.ones((0, 2)), reduction="sum")
    return Spec(function, pairs(**how), each(reference), edges=[empty])


def _huber(x: float, y: float, delta: float = 1.0) -> float:
    d = abs(x - y)
    return d * d / 2 if d < delta else delta * (d - delta / 2)


def _bce(x: float, y: float) -> float:
    return -y * math.log(x) - (1 - y) * math.log(1 - x)


def _gaussian(x: float, y: float, var: float, full: bool = False) -> float:
    return 0.5 * (math.log(var) + (x - y) ** 2 / var + (math.log(2 * math.pi) if full else 0))


def _poisson(x: float, y: float, log_input: bool = True, full: bool = False) -> float:
    loss = math.exp(x) - y * x if log_input else x - y * math.log(x + 1e-8)
    return loss + (y * math.log(y) - y + 0.5 * math.log(2 * math.pi * y) if full and y > 1 else 0)


# ----------------------------------------------------------------------------- losses of classes


def _places(x: np.ndarray, target: np.ndarray) -> list[tuple[tuple[int, ...], np.ndarray, int]]:
    """Index, logits and class at each place."""
    classes = np.moveaxis(x, 1 if x.ndim > 1 else 0, -1)
    return [(i, classes[i], int(target[i])) for i in np.ndindex(target.shape)]


def _log_softmax(z: np.ndarray) -> np.ndarray:
    return z - z.max() - math.log(sum(math.exp(v - z.max()) for v in z))


def _cross_entropy(x: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, ignore_index: int = -100,
                   reduction: str = "mean", label_smoothing: float = 0.0,
                   normalized: bool = False) -> np.ndarray:  # fmt: skip
    w = np.ones(x.shape[1 if x.ndim > 1 else 0]) if weight is None else np.array(weight)
    loss, total = np.zeros(target.shape), 0.0
    for i, z, t in _places(x, target):
        if t != ignore_index:
            log_p = z if normalized else _log_softmax(z)
            loss[i] = -(1 - label_smoothing) * w[t] * log_p[t] - label_smoothing / z.size * (w * log_p).sum()
            total += w[t]
    return np.asarray(loss.sum() / total) if reduction == "mean" else reduce(loss, reduction)


def _soft_cross_entropy(x: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, reduction: str = "mean",
                        label_smoothing: float = 0.0) -> np.ndarray:  # fmt: skip
    dim = 1 if x.ndim > 1 else 0
    x, target = np.moveaxis(x, dim, -1), np.moveaxis(target, dim, -1)
    w = np.ones(x.shape[-1]) if weight is None else weight
    q = (1 - label_smoothing) * target + label_smoothing / x.shape[-1]
    loss = np.array([-(w * q[i] * _log_softmax(x[i])).sum() for i in np.ndindex(x.shape[:-1])]).reshape(x.shape[:-1])
    return reduce(loss, reduction)


@st.composite
def classified(draw: Any, weighted: bool, smoothing: bool = False) -> Case:
    """Logits, class indices that are not all ignored, and options. Class weights, a list, get no gradient."""
    shape = draw(st.sampled_from([(3,), (2, 3), (4, 2), (2, 3, 2), (2, 3, 1, 2)]))
    dim = 1 if len(shape) > 1 else 0
    target = draw(integers(shape[:dim] + shape[dim + 1 :], 0, shape[dim] - 1))
    options: dict[str, Any] = {"reduction": draw(REDUCTIONS)}
    if weighted:
        options["weight"] = draw(floats((shape[dim],), 0.1, 1.0)).tolist()
    if draw(st.booleans()):
        options["ignore_index"] = int((target.flat[0] + 1) % shape[dim])
    if smoothing and draw(st.booleans()):
        options["label_smoothing"] = 0.3
    return Case(draw(floats(shape)), target, **options)


def _nll(*args: Any, **options: Any) -> np.ndarray:
    return _cross_entropy(*args, **options, normalized=True)


def _with_weights(function: Callable) -> Callable[..., Any]:
    """``function``, with the class weights made a tensor."""
    return lambda x, target, weight=None, **options: function(
        x, target, None if weight is None else mg.tensor(weight, dtype=x.dtype), **options)  # fmt: skip


@st.composite
def soft_classified(draw: Any) -> Case:
    shape = draw(st.sampled_from([(3,), (2, 3), (2, 3, 2)]))
    return Case(draw(floats(shape)), draw(floats(shape, 0.0, 1.0)), reduction=draw(REDUCTIONS),
                label_smoothing=draw(st.sampled_from([0.0, 0.3])))  # fmt: skip


@st.composite
def margins(draw: Any) -> Case:
    """Logits whose differences are not near the margin 1."""
    shape = draw(st.sampled_from([(3,), (2, 3), (1, 4)]))
    x = np.round(draw(floats(shape, -8, 8)), 1) + 0.03 * np.arange(shape[-1])
    x += 0.004 * (np.arange(shape[-1]) % 2)
    target = draw(integers(shape[:-1], 0, shape[-1] - 1))
    return Case(x, target, p=draw(st.sampled_from([1, 2])), reduction=draw(REDUCTIONS))


def _multi_margin(x: np.ndarray, target: np.ndarray, p: int, reduction: str) -> np.ndarray:
    loss = np.zeros(target.shape)
    for i, z, t in _places(x, target):
        loss[i] = sum(max(0.0, 1 - z[t] + z[j]) ** p for j in range(z.size) if j != t) / z.size
    return reduce(loss, reduction)


def _multilabel_margin(x: np.ndarray, target: np.ndarray, reduction: str) -> np.ndarray:
    loss = np.zeros(x.shape[:-1])
    for i in np.ndindex(loss.shape):
        listed = [int(t) for t in target[i]]
        wanted = listed[: listed.index(-1)] if -1 in listed else listed
        rest = [j for j in range(x.shape[-1]) if j not in wanted]
        loss[i] = sum(max(0.0, 1 - x[i][k] + x[i][j]) for k in wanted for j in rest) / x.shape[-1]
    return reduce(loss, reduction)


def _multilabel_soft_margin(x: np.ndarray, y: np.ndarray, reduction: str) -> np.ndarray:
    return reduce(np.vectorize(lambda a, b: _bce(1 / (1 + math.exp(-a)), b))(x, y).mean(-1), reduction)


# ----------------------------------------------------------------------------- losses of vectors


@st.composite
def vectors(draw: Any, count: int, **options: Any) -> Case:
    shape = draw(st.sampled_from([(3,), (2, 3)]))
    chosen = {k: draw(st.sampled_from(v)) for k, v in options.items()}
    arrays = draw(floats((count, *shape), -3, 3))  # all values differ, so no difference is near 0
    arrays *= np.array([1.0, 1.1, 0.87])[:count].reshape(-1, *(1,) * len(shape))
    if chosen.get("swap"):  # nor are the distances of which the smaller counts, so that float16 tells them apart
        one, other = (np.linalg.norm(a - arrays[2], chosen.get("p", 2.0), axis=-1) for a in arrays[:2])
        assume(np.all(np.abs(one - other) > 0.03))
    return Case(*arrays, reduction=draw(REDUCTIONS), **chosen)


def _triplet(anchor: np.ndarray, positive: np.ndarray, negative: np.ndarray, reduction: str, swap: bool, margin: float,
             p: float = 2.0) -> np.ndarray:  # fmt: skip
    distance = lambda u, v: (np.abs(u - v + 1e-6) ** p).sum(-1) ** (1 / p)
    far = distance(anchor, negative)
    far = np.minimum(far, distance(positive, negative)) if swap else far
    return reduce(np.maximum(0, margin + distance(anchor, positive) - far), reduction)


@st.composite
def angles(draw: Any) -> Case:
    shape = draw(st.sampled_from([(3,), (2, 3)]))
    a, b, target = draw(floats(shape)), draw(floats(shape)), draw(signs(shape[:-1]))
    return Case(a, b, target, margin=-1.5, reduction=draw(REDUCTIONS))


def _cosine_embedding(a: np.ndarray, b: np.ndarray, target: np.ndarray, margin: float, reduction: str) -> np.ndarray:
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return reduce(np.asarray(np.where(target == 1, 1 - cosine, np.maximum(0, cosine - margin))), reduction)


@st.composite
def ranked(draw: Any) -> Case:
    """Two scores and which shall be higher, not near the margin."""
    shape = draw(SHAPES)
    b, target = draw(floats(shape)), draw(signs(shape))
    a = b + draw(floats(shape, -2, 2, avoid=(-0.5, 0.5)))
    return Case(a, b, target, margin=0.5, reduction=draw(REDUCTIONS))


@st.composite
def with_variance(draw: Any) -> Case:
    shape = draw(shapes(1, 2))
    var = draw(floats(draw(st.sampled_from([shape, (*shape[:-1], 1)])), 0.5, 2.0))
    return Case(draw(floats(shape)), draw(floats(shape)), var, full=draw(st.booleans()), reduction=draw(REDUCTIONS))


@st.composite
def sequences(draw: Any) -> Case:
    """Three steps of three classes; some targets are too long for them, and some inputs shorter."""
    N = draw(st.integers(1, 2))
    lengths = draw(st.lists(st.integers(0, 2), min_size=N, max_size=N))
    return Case(draw(floats((3, N, 3), -3, 0)), draw(integers((N, 2), 1, 2)), draw(st.sampled_from([[3] * N, [2] * N])),
                lengths, reduction=draw(REDUCTIONS), zero_infinity=True)  # fmt: skip


def _ctc(log_probs: np.ndarray, targets: np.ndarray, steps: list[int], lengths: list[int], reduction: str,
         zero_infinity: bool) -> np.ndarray:  # fmt: skip
    """By trying all paths."""
    loss = np.zeros(len(steps))
    for n, target in enumerate(targets):
        total = 0.0
        for path in itertools.product(range(3), repeat=steps[n]):
            if [c for c, _ in itertools.groupby(path) if c != 0] == list(target[: lengths[n]]):
                total += math.exp(sum(log_probs[t, n, c] for t, c in enumerate(path)))
        loss[n] = -math.log(total) if total else 0
    return reduce(loss / np.maximum(lengths, 1) if reduction == "mean" else loss, reduction)


def counts(shape: tuple[int, ...]) -> Any:
    return integers(shape, 0, 5)


SPECS: dict[str, Spec] = {
    "mse_loss": Spec(lambda x, y, reduction: F.mse_loss(x, y), pairs(),
                     lambda x, y, reduction: np.mean((x - y) ** 2)),
    "mse_loss, reduced or not": elementwise(F.mse_loss, lambda x, y: (x - y) ** 2),
    "l1_loss": elementwise(F.l1_loss, lambda x, y: abs(x - y), gap=1.0),
    "huber_loss": Spec(F.huber_loss, pairs(gap=0.7, delta=[0.7]), each(_huber), primitive="huber"),
    "smooth_l1_loss": elementwise(F.smooth_l1_loss, lambda x, y, beta: _huber(x, y, beta) / beta, gap=0.7, beta=[0.7]),
    "weighted mse_loss": Spec(
        lambda x, y, w: F.mse_loss(x, y, weight=w),
        SHAPES.flatmap(lambda s: st.builds(Case, floats(s), floats(s), floats(s, 0.5, 1.5))),
        lambda x, y, w: np.asarray((w * (x - y) ** 2).sum() / w.sum()),
    ),
    "cross_entropy": Spec(F.cross_entropy, classified(False, smoothing=True), _cross_entropy),
    "weighted cross_entropy": Spec(_with_weights(F.cross_entropy), classified(True, smoothing=True), _cross_entropy,
                                   duck=False),
    "cross_entropy of probabilities": Spec(F.cross_entropy, soft_classified(), _soft_cross_entropy),
    "nll_loss": Spec(F.nll_loss, classified(False), _nll),
    "weighted nll_loss": Spec(_with_weights(F.nll_loss), classified(True), _nll, duck=False),
    "binary_cross_entropy": elementwise(F.binary_cross_entropy, _bce, low=0.05, high=0.95),
    "binary_cross_entropy_with_logits": elementwise(
        F.binary_cross_entropy_with_logits, lambda x, y: _bce(1 / (1 + math.exp(-x)), y)),
    "weighted binary_cross_entropy_with_logits": Spec(
        lambda x, y, w, p: F.binary_cross_entropy_with_logits(x, y, w, pos_weight=p),
        SHAPES.flatmap(
            lambda s: st.builds(Case, floats(s), floats(s, 0, 1), floats(s, 0.5, 2), floats(s[-1:], 0.5, 2))),
        each(lambda x, y, w, p: w * (p * y * math.log1p(math.exp(-x)) + (1 - y) * math.log1p(math.exp(x)))),
    ),
    "soft_margin_loss": elementwise(F.soft_margin_loss, lambda x, y: math.log1p(math.exp(-x * y)), target=signs),
    "multilabel_soft_margin_loss": Spec(
        F.multilabel_soft_margin_loss, vectors(2), _multilabel_soft_margin),
    "kl_div": elementwise(F.kl_div, lambda x, y, log_target: math.exp(y) * (y - x) if log_target else
                          y * (math.log(y) - x), low=0.1, log_target=[False, True]),
    "poisson_nll_loss": elementwise(F.poisson_nll_loss, _poisson, low=0.1, target=counts, log_input=[False, True],
                                    full=[False, True]),
    "gaussian_nll_loss": Spec(F.gaussian_nll_loss, with_variance(), each(_gaussian), twice=False),
    "margin_ranking_loss": Spec(F.margin_ranking_loss, ranked(),
                                each(lambda a, b, y, margin: max(0.0, margin - y * (a - b))), twice=False),
    "hinge_embedding_loss": elementwise(F.hinge_embedding_loss, lambda x, y: x if y == 1 else max(0.0, 1 - x),
                                        avoid=(0.0, 1.0), target=signs),
    "cosine_embedding_loss": Spec(F.cosine_embedding_loss, angles(), _cosine_embedding, twice=False),
    "triplet_margin_loss": Spec(
        F.triplet_margin_loss, vectors(3, swap=[False, True], p=[2.0, 3.0], margin=[20.0]), _triplet, twice=False),
    "triplet_margin_with_distance_loss": Spec(
        F.triplet_margin_with_distance_loss, vectors(3, swap=[False, True], margin=[20.0]), _triplet, twice=False),
    "ctc_loss": Spec(F.ctc_loss, sequences(), _ctc, duck=False),
    "multi_margin_loss": Spec(F.multi_margin_loss, margins(), _multi_margin, duck=False, half=False),
    "multilabel_margin_loss": Spec(
        F.multilabel_margin_loss,
        st.builds(Case, floats((2, 3), -0.3, 0.3),
                  st.sampled_from([[[2, 0, -1], [-1, 1, 2]], [[1, -1, 0], [0, 1, 2]]]).map(np.array),
                  reduction=REDUCTIONS),
        _multilabel_margin, duck=False),
}  # fmt: skip


def _x(*shape: int) -> mg.Tensor:
    return mg.full(shape, 0.5)


def _i(*values: int) -> mg.Tensor:
    return mg.tensor(values)


ERRORS = [
    ("mse shapes", lambda: F.mse_loss(_x(4), _x(4, 1)), ValueError,
     r"mse_loss: input has shape \(4,\) but target has \(4, 1\)"),
    ("mse reduction", lambda: F.mse_loss(_x(2), _x(2), reduction="avg"), ValueError, "none, mean, sum, got 'avg'"),
    ("mse weight", lambda: F.mse_loss(_x(2), _x(2), weight=_x(1)), ValueError, r"mse_loss: weight of shape \(1,\)"),
    ("mse positional", lambda: F.mse_loss(_x(2), _x(2), True), TypeError, "positional"),
    ("mse list", lambda: F.mse_loss(_x(2), [1.0, 2.0]), TypeError, "mse_loss: target must be a Tensor, got list"),
    ("mse None", lambda: F.mse_loss(None, _x(2)), TypeError, "mse_loss: input must be a Tensor, got NoneType"),
    ("ce list", lambda: F.cross_entropy(_x(2, 3), [0, 1]), TypeError, "entropy: target must be a Tensor, got list"),
    ("ce None", lambda: F.cross_entropy(None, _i(0)), TypeError, "entropy: input must be a Tensor, got NoneType"),
    ("ce class", lambda: nn.CrossEntropyLoss(_x(2, 3), _i(0, 1)), TypeError, r"CrossEntropyLoss\(\)\(input, target\)"),
    ("mse class", lambda: nn.MSELoss(_x(2), _x(2)), TypeError, r"takes options.*MSELoss\(\)\(input, target\)"),
    ("l1 shapes", lambda: F.l1_loss(_x(2), _x(3)), ValueError, "l1_loss: .*broadcasting"),
    ("huber delta", lambda: F.huber_loss(_x(2), _x(2), delta=0.0), ValueError, "delta must be above 0"),
    ("smooth_l1 beta", lambda: F.smooth_l1_loss(_x(2), _x(2), beta=-1.0), ValueError, "beta must not be negative"),
    ("ce float targets", lambda: F.cross_entropy(_x(4, 3), _x(4)), TypeError, r"integers, got float32; .*\.long\(\)"),
    ("ce integer probabilities", lambda: F.cross_entropy(_x(2, 3), mg.ones(2, 3, dtype=mg.int64)), TypeError,
     "holds class probabilities and must be floating-point, got int64"),
    ("ce wrong shape", lambda: F.cross_entropy(_x(4, 3), _i(0, 1)), ValueError,
     r"target has shape \(2,\), but input of shape \(4, 3\) with its 3 classes .* class indices of shape \(4,\)"),
    ("ce float wrong shape", lambda: F.cross_entropy(_x(4, 3), _x(4, 1)), ValueError, r"target has shape \(4, 1\)"),
    ("ce spatial", lambda: F.cross_entropy(_x(2, 3, 5), _i(0, 1)), ValueError, r"indices of shape \(2, 5\)"),
    ("ce out of range", lambda: F.cross_entropy(_x(2, 3), _i(0, 3)), IndexError, "contains class 3, .* classes 0 to 2"),
    ("ce negative", lambda: F.cross_entropy(_x(2, 3), _i(-1, 0)), IndexError, "class -1, .*ignore_index is -100"),
    ("ce weight", lambda: F.cross_entropy(_x(2, 3), _i(0, 1), _x(2)), ValueError, r"\(2,\), but 3 classes need \(3,\)"),
    ("ce weight gradient", lambda: F.cross_entropy(_x(1, 2), _i(0), mg.ones(2, requires_grad=True)),
     NotImplementedError, "gradient with respect to the class weights"),
    ("ce smoothing", lambda: F.cross_entropy(_x(1, 2), _i(0), label_smoothing=1.5), ValueError, "from 0 to 1, got 1.5"),
    ("ce int input", lambda: F.cross_entropy(mg.ones(1, 2, dtype=mg.int64), _i(0)), TypeError, "logits, got int64"),
    ("ce scalar", lambda: F.cross_entropy(_x(), mg.tensor(0)), ValueError, "no dimension for the classes"),
    ("nll bool", lambda: F.nll_loss(_x(1, 2), mg.tensor([True])), TypeError, "nll_loss: .*got bool"),
    ("nll range", lambda: F.nll_loss(_x(1, 2), _i(2)), IndexError, "nll_loss: target contains class 2"),
    ("bce range", lambda: F.binary_cross_entropy(_x(2) * 3, _x(2)), ValueError, "ranges from 1.5 to 1.5; for logits"),
    ("bce shapes", lambda: F.binary_cross_entropy(_x(2, 1), _x(2)), ValueError, "must be the same"),
    ("bce weight", lambda: F.binary_cross_entropy(_x(2), _x(2), _x(3)), ValueError, r"\(3,\) does not broadcast"),
    ("bce logits pos_weight", lambda: F.binary_cross_entropy_with_logits(_x(2, 3), _x(2, 3), pos_weight=_x(2)),
     ValueError, "does not broadcast"),
    ("kl reduction", lambda: F.kl_div(_x(2), _x(2), reduction="batch"), ValueError, "kl_div: reduction"),
    ("gaussian var shape", lambda: F.gaussian_nll_loss(_x(2, 3), _x(2, 3), _x(3)), ValueError, r"var of shape \(3,\)"),
    ("gaussian var negative", lambda: F.gaussian_nll_loss(_x(2), _x(2), -_x(2)), ValueError, "smallest is -0.5"),
    ("ranking shapes", lambda: F.margin_ranking_loss(_x(2), _x(3), _x(2)), ValueError, "input2 has"),
    ("cosine target", lambda: F.cosine_embedding_loss(_x(2, 3), _x(2, 3), _x(3)), ValueError, r"target \(N,\)"),
    ("triplet margin", lambda: F.triplet_margin_loss(_x(2), _x(2), _x(2), margin=0.0), ValueError, "margin must be"),
    ("triplet dims", lambda: F.triplet_margin_loss(_x(2), _x(1, 2), _x(2)), ValueError, "equally many dimensions"),
    ("multi_margin p", lambda: F.multi_margin_loss(_x(2, 3), _i(0, 1), p=3), ValueError, "p must be 1 or 2"),
    ("multi_margin dims", lambda: F.multi_margin_loss(_x(2, 3, 1), _i(0, 1)), ValueError, r"\(N, C\) or \(C,\)"),
    ("multilabel classes", lambda: F.multilabel_margin_loss(_x(1, 2), mg.tensor([[2, -1]])), ValueError, "0 to 1"),
    ("ctc dims", lambda: F.ctc_loss(_x(3), _i(1), [3], [1]), ValueError, r"\(T, N, C\) or \(T, C\)"),
    ("ctc blank", lambda: F.ctc_loss(_x(3, 2), _i(1), [3], [1], blank=2), ValueError, "one of the 2 classes, got 2"),
    ("ctc steps", lambda: F.ctc_loss(_x(3, 1, 2), _i(1), [4], [1]), ValueError, "input_lengths must be 1 integers"),
    ("ctc target lengths", lambda: F.ctc_loss(_x(3, 2, 2), _i(1, 1, 1), [3, 3], [1, 1]), ValueError, "add up to, 2"),
    ("ctc class", lambda: F.ctc_loss(_x(3, 1, 2), _i(2), [3], [1]), ValueError, "must be classes 0 to 1"),
    ("multilabel soft scalar", lambda: F.multilabel_soft_margin_loss(_x(), _x()), ValueError, r"expected \(..., C\)"),
]  # fmt: skip
