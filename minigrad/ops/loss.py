"""Losses: how far an output is from what it should be.

``reduction`` is ``"none"`` (a loss for each element or sample), ``"mean"`` or ``"sum"``. Shapes that
would only fit by broadcasting are errors, since they are nearly always a mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..engine import TensorBase, new_tensor, operand, primitive
from ..kernels import rows as kernels
from ..kernels.layout import fast
from ..memory import Array
from .activation import logsigmoid, relu
from .distance import pairwise_distance
from .elementwise import abs, clamp, exp, float_elementwise, log, minimum, sigmoid, sqrt, square, where, xlogy
from .indexing import gather, scatter_add
from .reduction import log_softmax, logsumexp, mean, softmax, sum
from .shaping import cat, stack


def _reduce(loss: Any, reduction: str) -> Any:
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)


def _check_reduction(name: str, reduction: str, extra: Sequence[str] = ()) -> None:
    if reduction not in (allowed := ("none", "mean", "sum", *extra)):
        raise ValueError(f"{name}: reduction must be one of {', '.join(allowed)}, got {reduction!r}")


def _check_operands(name: str, reduction: str, **operands: Any) -> None:
    """Raise unless the reduction is known and the operands are Tensors or arrays."""
    _check_reduction(name, reduction)
    for argument, x in operands.items():
        if not hasattr(x, "dtype"):
            raise TypeError(f"{name}: {argument} must be a Tensor, got {type(x).__name__}")


def _check(name: str, reduction: str, input: Any, target: Any, target_name: str = "target") -> None:
    """Raise unless the reduction is known and the two shapes are equal."""
    _check_operands(name, reduction, **{"input": input, target_name: target})
    if input.shape != target.shape:
        raise ValueError(
            f"{name}: input has shape {input.shape} but {target_name} has {target.shape}; they must be the same, "
            "since broadcasting would pair elements that do not belong together"
        )


def _scaled(name: str, loss: Any, weight: Any, same: bool = False) -> Any:
    """``loss`` with a weight for each element: one that broadcasts to it or, with ``same``, is of its shape."""
    if weight is None:
        return loss
    try:
        fits = (weight.shape if same else np.broadcast_shapes(weight.shape, loss.shape)) == loss.shape
    except ValueError:
        fits = False
    if not fits:
        problem = "is not of" if same else "does not broadcast to"
        raise ValueError(f"{name}: weight of shape {weight.shape} {problem} the input's shape {loss.shape}")
    return loss * weight


# ------------------------------------------------------------------------------------ regression


def _averaged(name: str, loss: Any, weight: Any, reduction: str) -> Any:
    """The mean with weights divides by their sum."""
    loss = _scaled(name, loss, weight, same=True)
    return sum(loss) / sum(weight) if reduction == "mean" and weight is not None else _reduce(loss, reduction)


def _mse_input(g: Array, input: Array, target: Array) -> Array:
    return (input - target) * (g * (2 / math.prod(input.shape)))


@primitive(input=_mse_input, target=lambda g, input, target: _mse_input(g, target, input), quiet=True)
def _mse_loss(input: Array, target: Array) -> Array:
    """The mean of ``(input - target) ** 2``, for operands of one shape and dtype."""
    d = np.reshape(input - target, (-1,))
    return np.vecdot(d, d) / d.shape[0]


def mse_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """``(input - target) ** 2``. The mean with weights divides by their sum.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """
    _check("mse_loss", reduction, input, target)
    array = input._array
    if weight is None and reduction == "mean" and input.dtype is target.dtype and array.size and fast(array):
        return _mse_loss(input, target)
    return _averaged("mse_loss", square(input - target), weight, reduction)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """``|input - target|``. The mean with weights divides by their sum.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """
    _check("l1_loss", reduction, input, target)
    return _averaged("l1_loss", abs(input - target), weight, reduction)


@float_elementwise(input=lambda g, input, delta: g * np.clip(input, -delta, delta))
def _huber(input: Array, delta: float) -> Array:
    size = np.abs(input)
    near = np.minimum(size, delta)
    return near * (size - 0.5 * near)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """``d**2 / 2`` for differences up to ``delta``, ``delta * (|d| - delta / 2)`` beyond (Huber 1964).

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """
    _check("huber_loss", reduction, input, target)
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be above 0, got {delta}")
    return _reduce(_scaled("huber_loss", _huber(input - target, delta), weight, same=True), reduction)


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """:func:`huber_loss` divided by ``beta``; :func:`l1_loss` if ``beta`` is 0.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """
    _check("smooth_l1_loss", reduction, input, target)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return _reduce(_huber(input - target, beta) / beta, reduction)


# --------------------------------------------------------------------------------- cross entropy


def _class_dim(input: Any) -> int:
    return int(input.ndim > 1)


def _per_class(name: str, weight: Any, input: Any) -> Any:
    """The class weights (C,) in a shape that broadcasts along the class dimension of ``input``."""
    dim = _class_dim(input)
    if weight.shape != (classes := input.shape[dim],):
        raise ValueError(f"{name}: weight has shape {weight.shape}, but {classes} classes need ({classes},)")
    if weight.requires_grad:
        raise NotImplementedError(f"{name}: has no gradient with respect to the class weights; detach() them")
    return weight.to(input.dtype).reshape((classes,) + (1,) * (input.ndim - dim - 1))


def _by_place(name: str, input: Any, target: Any) -> Any:
    """Input (N, C, ...) with a row of classes for each place, (places, C), for a target of the class indices."""
    if input.ndim == 0:
        raise ValueError(f"{name}: input has no dimension for the classes; expected (C,) or (N, C, ...)")
    dim, classes = _class_dim(input), input.shape[_class_dim(input)]
    expected = input.shape[:dim] + input.shape[dim + 1 :]
    if target.shape != expected:
        raise ValueError(
            f"{name}: target has shape {target.shape}, but input of shape {input.shape} with its {classes} classes in "
            f"dimension {dim} expects class indices of shape {expected}"
        )
    if target.dtype.kind not in "iu":
        raise TypeError(f"{name}: class indices must be integers, got {target.dtype}; convert target with .long()")
    if input.ndim == 2:
        return input
    return np.reshape(np.moveaxis(input, dim, -1), (math.prod(expected), classes))


def _shares(name: str, input: Any, rows: Any, target: Any, weight: Any, ignore_index: int,
            reduction: str) -> tuple[Any, Any, Any]:  # fmt: skip
    """For each place its class, its weight and whether it counts; places to be ignored get class 0 and weight 0.

    For a mean, the last two are divided by the sum of the weights. They are numbers if all are equal.
    """
    (places, classes), dtype = rows.shape, rows.dtype
    index = np.reshape(operand(target, name), (places,)).astype(np.int64, copy=False)
    if weight is None and not 0 <= ignore_index < classes and _all_within(index, classes):
        share = 1 / max(places, 1) if reduction == "mean" else 1.0
        return new_tensor(index), share, share
    counts = np.not_equal(index, ignore_index)
    index = np.where(counts, index, 0)
    if not _all_within(index, classes):
        outside = index[np.logical_or(index < 0, index >= classes)]
        raise IndexError(f"{name}: target contains class {outside[0]}, but input of shape {input.shape} has the "
                         f"classes 0 to {classes - 1} (ignore_index is {ignore_index})")  # fmt: skip
    counts = counts.astype(dtype)
    share = counts if weight is None else counts * np.take(_per_class(name, weight, rows)._array, index)
    if reduction == "mean":
        total = np.sum(share) or np.asarray(math.nan, dtype)  # nothing counts: NaN, as in PyTorch
        share, counts = share / total, counts / total
    return new_tensor(index), new_tensor(share), new_tensor(counts)


def _all_within(index: Array, classes: int) -> bool:
    """Whether all are from 0 to ``classes - 1``: as unsigned numbers, the negative are the largest."""
    return not index.size or bool(np.maximum.reduce(index.astype(np.uint64)) < classes)


def nll_loss(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """The negative of the input at each target class: with log-probabilities, the negative log-likelihood.

    Shapes, ``weight`` and ``ignore_index`` as in :func:`cross_entropy` with class indices.
    """
    _check_operands("nll_loss", reduction, input=input, target=target)
    rows = _by_place("nll_loss", input, target)
    index, share, _ = _shares("nll_loss", input, rows, target, weight, ignore_index, reduction)
    picked = np.squeeze(gather(rows, 1, np.expand_dims(index, 1)), 1)
    if isinstance(share, TensorBase):
        picked = where(share == 0, 0, picked)  # an ignored infinity must not become NaN
    loss = -(picked * share)
    if reduction != "none" and rows.shape[0] > 0:
        return sum(loss)
    return _reduce(np.reshape(loss, target.shape), reduction)  # the mean of nothing is NaN


def _cross_entropy_input(g: Array, input: Array, target: Array, share: Any, memory: list | None) -> Array:
    at_target = g * share
    if memory:
        return kernels.cross_entropy_gradient(at_target, *memory)
    column = np.broadcast_to(np.reshape(at_target, (-1, 1)), (input.shape[0], 1))
    return scatter_add(softmax(input, 1) * column, 1, np.expand_dims(target, 1), -column)


@primitive(inputs=("input", "target", "share"), input=_cross_entropy_input, quiet=True)
def _cross_entropy(input: Array, target: Array, share: Any, total: bool, memory: Any = None) -> Array:
    """``share * -log p[target]`` for each row, or the total of them: softmax and loss in one.

    ``p`` is ``softmax(input)`` of each row (places, classes), of which backward is ``p - onehot``, scaled.
    """
    if fast(input):
        loss, *kept = kernels.cross_entropy(input, target, memory is not None)
        if memory is not None:
            memory.extend(kept)
        loss *= share
        return np.add.reduce(loss) if total else loss
    z = input - np.max(input, axis=1, keepdims=True)
    at_target = np.squeeze(np.take_along_axis(z, np.expand_dims(target, 1), 1), 1)
    loss = share * (np.log(np.sum(np.exp(z), axis=1)) - at_target)
    return np.sum(loss) if total else loss


def cross_entropy(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Any:  # fmt: skip
    """``-log(softmax(input)[target])``: the cross entropy between classes and unnormalised log-probabilities.

    Args:
        input: logits (C,), (N, C) or (N, C, d1, d2, ...).
        target: class indices (), (N,) or (N, d1, d2, ...), integers; or class probabilities, floats in input's shape.
        weight: of each class, (C,). The mean of class indices divides by the weights of the targets.
        ignore_index: a class index whose places count nothing; not for class probabilities.
        label_smoothing: how much of each target is spread evenly over all classes, 0 to 1.
    """
    _check_operands("cross_entropy", reduction, input=input, target=target)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be from 0 to 1, got {label_smoothing}")
    if input.dtype.kind != "f":
        raise TypeError(f"cross_entropy: input must be floating-point logits, got {input.dtype}")
    if input.ndim and target.shape == input.shape:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    rows = _by_place("cross_entropy", input, target)
    index, share, counts = _shares("cross_entropy", input, rows, target, weight, ignore_index, reduction)
    total = reduction != "none" and rows.shape[0] > 0
    loss = _cross_entropy(rows, index, share * (1 - label_smoothing), total=total, memory=None)
    if label_smoothing:
        logs = log_softmax(rows, 1)
        logs = logs if weight is None else logs * _per_class("cross_entropy", weight, rows)
        spread = sum(logs, 1) * (counts * (-label_smoothing / rows.shape[1]))
        loss = loss + (sum(spread) if total else spread)
    if total:
        return loss
    return _reduce(loss if input.ndim == 2 else np.reshape(loss, target.shape), reduction)  # of nothing: NaN


def _soft_cross_entropy(input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    """Cross entropy with a probability for each class as the target."""
    if target.dtype.kind != "f":
        raise TypeError(f"cross_entropy: a target in the input's shape {input.shape} holds class probabilities and "
                        f"must be floating-point, got {target.dtype}; indices lack the class dimension")  # fmt: skip
    dim = _class_dim(input)
    classes = input.shape[dim]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    terms = log_softmax(input, dim) * target
    if weight is not None:
        terms = terms * _per_class("cross_entropy", weight, input)
    if reduction == "none":
        return -sum(terms, dim)
    return -sum(terms) / (math.prod(input.shape) // classes if reduction == "mean" else 1)


# -------------------------------------------------------------------------------- binary targets


def _log_or_floor(x: Array) -> Array:
    return np.maximum(np.log(x), -100)


@float_elementwise(
    # PyTorch's guard against division by zero where the input is exactly 0 or 1
    input=lambda g, input, target: g * (input - target) / np.maximum(input * (1 - input), 1e-12),
    target=lambda g, input: g * (np.log(1 - input) - np.log(input)),
)
def _binary_cross_entropy(input: Array, target: Array) -> Array:
    return -(target * _log_or_floor(input) + (1 - target) * _log_or_floor(1 - input))


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """``-(target * log(input) + (1 - target) * log(1 - input))``, with no logarithm below -100.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """
    _check("binary_cross_entropy", reduction, input, target)
    values = input._array
    if not np.all(np.logical_and(values >= 0, values <= 1)):
        raise ValueError(
            "binary_cross_entropy: input must hold probabilities, all from 0 to 1, but it ranges from "
            f"{values.min():.6g} to {values.max():.6g}; for logits use binary_cross_entropy_with_logits"
        )
    return _reduce(_scaled("binary_cross_entropy", _binary_cross_entropy(input, target), weight), reduction)


@float_elementwise(input=lambda g, input, target: g * (sigmoid(input) - target), target=lambda g, input: -g * input)
def _binary_cross_entropy_with_logits(input: Array, target: Array) -> Array:
    return np.maximum(input, 0) - input * target + np.log1p(np.exp(-np.abs(input)))


def binary_cross_entropy_with_logits(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean",
                                     pos_weight: Any = None) -> Any:  # fmt: skip
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, without overflow.

    ``weight`` scales each element, ``pos_weight`` the part of the targets above 0; both broadcast to the input.
    """
    name = "binary_cross_entropy_with_logits"
    _check(name, reduction, input, target)
    if pos_weight is None:
        loss = _binary_cross_entropy_with_logits(input, target)
    else:
        loss = (1 - target) * input - (_scaled(name, target, pos_weight - 1) + 1) * logsigmoid(input)
    return _reduce(_scaled(name, loss, weight), reduction)


def soft_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """``log(1 + exp(-target * input))`` for targets of 1 and -1.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """
    _check("soft_margin_loss", reduction, input, target)
    return _reduce(-logsigmoid(target * input), reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """Binary cross entropy with logits, averaged over the classes (last dimension).

    Input and target (N, C); the result is a number, or (N,) with ``reduction="none"``.
    """
    _check("multilabel_soft_margin_loss", reduction, input, target)
    if input.ndim == 0:
        raise ValueError("multilabel_soft_margin_loss: input has no dimension for the classes; expected (..., C)")
    loss = _scaled("multilabel_soft_margin_loss", _binary_cross_entropy_with_logits(input, target), weight)
    return _reduce(mean(loss, -1), reduction)


# --------------------------------------------------------------------------------- distributions


def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """``target * (log(target) - input)`` for an input of log-probabilities: the Kullback-Leibler divergence.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.

    Its definition sums over a distribution, which ``"batchmean"`` does (the sum divided by the size of
    dimension 0); ``"mean"`` divides by all elements. With ``log_target`` the target is a logarithm too.
    """
    _check("kl_div", "sum" if reduction == "batchmean" else reduction, input, target)
    loss = exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction == "batchmean":
        return sum(loss) / (input.shape[0] if input.ndim else 1)
    return _reduce(loss, reduction)


def poisson_nll_loss(input: Any, target: Any, log_input: bool = True, full: bool = False, *, eps: float = 1e-8,
                     reduction: str = "mean") -> Any:  # fmt: skip
    """Negative log-likelihood of counts ``target`` under Poisson rates: ``rate - target * log(rate)``.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.

    ``input`` is the logarithm of the rate, or with ``log_input=False`` the rate, to which ``eps`` is
    added in the logarithm. ``full`` adds Stirling's approximation of ``log(target!)`` for targets above 1.
    """
    _check("poisson_nll_loss", reduction, input, target)
    target = target if target.dtype.kind == "f" else target.to(input.dtype)  # as counts are
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        large = where(target > 1, target, 1)
        stirling = large * log(large) - large + 0.5 * log(2 * math.pi * large)
        loss = loss + where(target > 1, stirling, 0)
    return _reduce(loss, reduction)


def gaussian_nll_loss(input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6,
                      reduction: str = "mean") -> Any:  # fmt: skip
    """``(log(var) + (input - target)**2 / var) / 2``: negative log-likelihood under normal distributions.

    Args:
        var: the variance, a number or a tensor: of input's shape, with size 1 in one dimension, or
            without the last dimension. It counts as at least ``eps``; the gradient does not see that.
        full: add the constant ``log(2 * pi) / 2``.
    """
    _check("gaussian_nll_loss", reduction, input, target)
    given = isinstance(var, TensorBase)
    if not given:
        var = new_tensor(np.full_like(input._array, var))
    elif var.shape == input.shape[:-1] and input.ndim:
        var = var.reshape((*var.shape, 1))
    shapes = zip(var.shape, input.shape, strict=False)
    if var.ndim != input.ndim or len(wrong := [a for a, b in shapes if a != b]) > 1 or any(a != 1 for a in wrong):
        raise ValueError(f"gaussian_nll_loss: var of shape {var.shape} does not fit input of shape {input.shape}; it "
                         "may have size 1 in one dimension, or lack the last")  # fmt: skip
    if np.any(np.less(var._array, 0)):
        raise ValueError(f"gaussian_nll_loss: var must not be negative, its smallest is {var._array.min():.6g}")
    var = var + (clamp(var, min=eps) - var).detach()
    loss = (log(var) + square(input - target) / var) * 0.5
    return _reduce(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


# --------------------------------------------------------------------------------------- margins


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean") -> Any:
    """``max(0, margin - target * (input1 - input2))``: a target of 1 wants ``input1`` higher, -1 wants it lower.

    Inputs and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """
    _check("margin_ranking_loss", reduction, input1, input2, "input2")
    _check("margin_ranking_loss", reduction, input1, target)
    return _reduce(clamp(margin - target * (input1 - input2), min=0), reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """``input`` where the target is 1, ``max(0, margin - input)`` where it is -1.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """
    _check("hinge_embedding_loss", reduction, input, target)
    near = where(target != -1, input, 0)
    return _reduce(near + where(target != 1, clamp(margin - input, min=0), 0), reduction)


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, *,
                          reduction: str = "mean") -> Any:  # fmt: skip
    """``1 - cos(input1, input2)`` where the target is 1, ``max(0, cos - margin)`` where it is -1.

    Inputs (N, D) with targets (N,), or (D,) with (). The cosine is over the last dimension.
    """
    name = "cosine_embedding_loss"
    _check(name, reduction, input1, input2, "input2")
    if input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise ValueError(f"{name}: expected inputs (N, D) and target (N,), or (D,) and (), got {input1.shape} and "
                         f"{target.shape}")  # fmt: skip
    norms = (sum(square(input1), -1) + 1e-12) * (sum(square(input2), -1) + 1e-12)
    cosine = sum(input1 * input2, -1) / sqrt(norms)
    near = where(target == 1, 1 - cosine, 0)
    return _reduce(near + where(target == -1, clamp(cosine - margin, min=0), 0), reduction)


def triplet_margin_loss(anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0,
                        eps: float = 1e-6, swap: bool = False, *, reduction: str = "mean") -> Any:  # fmt: skip
    """``max(0, margin + |anchor - positive| - |anchor - negative|)``, distances as by :func:`pairwise_distance`.

    ``swap`` takes ``|positive - negative|`` in place of the last distance where it is smaller (Balntas et al. 2016).
    """
    distance = partial(pairwise_distance, p=p, eps=eps)
    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *, distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """:func:`triplet_margin_loss` with any distance function."""
    _check_reduction("triplet_margin_loss", reduction)
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be above 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ValueError("triplet_margin_loss: anchor, positive and negative must have equally many dimensions, got "
                         f"{anchor.shape}, {positive.shape} and {negative.shape}")  # fmt: skip
    distance = distance_function or pairwise_distance
    far = distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return _reduce(clamp(margin + distance(anchor, positive) - far, min=0), reduction)


def multi_margin_loss(input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, *,
                      reduction: str = "mean") -> Any:  # fmt: skip
    """``sum(max(0, margin - input[target] + input[i]) ** p for all i but the target) / C``, for logits (N, C) or (C,).

    ``weight`` (C,) scales each loss by the weight of its target, before the power is summed.
    """
    name = "multi_margin_loss"
    _check_reduction(name, reduction)
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, got {p}")
    if input.ndim not in (1, 2):
        raise ValueError(f"{name}: expected input (N, C) or (C,), got shape {input.shape}")
    rows = _by_place(name, input, target)
    index, share, _ = _shares(name, input, rows, target, weight, -100, "none")
    index = index.unsqueeze(1)
    others = np.not_equal(index._array, np.arange(input.shape[-1])).astype(input.dtype)
    slack = relu(margin - gather(rows, 1, index) + rows) ** p
    loss = mean(slack * new_tensor(others) * (share if isinstance(share, float) else np.expand_dims(share, 1)), -1)
    return _reduce(np.reshape(loss, target.shape), reduction)


def multilabel_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """``sum(max(0, 1 - input[j] + input[i]) for j in the targets, i not) / C``, for inputs (N, C) or (C,).

    ``target``, of the same shape, lists class indices in front, up to the first -1.
    """
    _check("multilabel_margin_loss", reduction, input, target)
    if input.ndim not in (1, 2):
        raise ValueError(f"multilabel_margin_loss: expected input (N, C) or (C,), got shape {input.shape}")
    listed = np.logical_and.accumulate(np.not_equal(target._array, -1), axis=-1)
    index = np.where(listed, target._array, 0)
    if target.dtype.kind not in "iu" or (index < 0).any() or (index >= input.shape[-1]).any():
        raise ValueError(f"multilabel_margin_loss: target must hold classes 0 to {input.shape[-1] - 1} and then -1")
    pairs = np.logical_and(np.equal(index[..., None], np.arange(input.shape[-1])), listed[..., None])  # (N, targets, C)
    wanted = np.logical_and(listed[..., None], np.logical_not(pairs.any(-2, keepdims=True)))
    chosen = gather(input, -1, new_tensor(index.astype(np.int64)))
    slack = relu(1 - np.expand_dims(chosen, -1) + np.expand_dims(input, -2))
    return _reduce(sum(slack * new_tensor(wanted.astype(input.dtype)), (-2, -1)) / input.shape[-1], reduction)


# ------------------------------------------------------------------------------------- sequences


def _lengths(argument: str, lengths: Any, count: int, most: int) -> Array:
    """Lengths, one for each sample, as an array."""
    array = np.asarray(getattr(lengths, "_array", lengths)).reshape(-1)
    if array.shape != (count,) or array.dtype.kind not in "iu" or not all(0 <= n <= most for n in array):
        raise ValueError(f"ctc_loss: {argument} must be {count} integers from 0 to {most}, got {array.tolist()}")
    return array.astype(np.int64)


def _padded(targets: Array, lengths: Array) -> Array:
    """Targets (N, S) or one after the other, as (N, longest)."""
    if targets.ndim == 2:
        return targets[:, : max(lengths, default=0)]
    if targets.shape != (lengths.sum(),):
        raise ValueError(f"ctc_loss: targets in a row must be as many as target_lengths add up to, {lengths.sum()}, "
                         f"got shape {targets.shape}")  # fmt: skip
    padded = np.zeros((len(lengths), max(lengths, default=0)), np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = targets
    return padded


def ctc_loss(log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
             reduction: str = "mean", zero_infinity: bool = False) -> Any:  # fmt: skip
    """``-log`` of the probability of all paths that read as the target: connectionist temporal classification.

    A path gives a class or ``blank`` at each step; it reads as what is left when repetitions are joined
    and blanks then dropped (Graves et al. 2006). Unlike PyTorch's, the gradient is that of the
    log-probabilities themselves; through :func:`log_softmax` both are the same.

    Args:
        log_probs: (T, N, C) or (T, C), from :func:`log_softmax`.
        targets: classes (N, S), or (sum of target_lengths,).
        input_lengths: steps of each sample, (N,), at most T.
        target_lengths: classes of each target, (N,). The mean divides each loss by its target's length.
        zero_infinity: 0 in place of the infinite loss of a target that is too long for its input.
    """
    _check_reduction("ctc_loss", reduction)
    if log_probs.ndim not in (2, 3) or not log_probs.shape[0]:
        raise ValueError(f"ctc_loss: log_probs must be (T, N, C) or (T, C) with T > 0, got shape {log_probs.shape}")
    single = log_probs.ndim == 2
    if single:
        log_probs = np.expand_dims(log_probs, 1)
    T, N, C = log_probs.shape
    if not 0 <= blank < C:
        raise ValueError(f"ctc_loss: blank must be one of the {C} classes, got {blank}")
    steps = _lengths("input_lengths", input_lengths, N, T)
    array = targets._array.reshape(1, -1) if single and targets.ndim == 1 else targets._array
    lengths = _lengths("target_lengths", target_lengths, N, array.shape[-1])
    classes = _padded(array, lengths)
    if classes.size and not 0 <= classes.min() <= classes.max() < C:
        raise ValueError(f"ctc_loss: targets must be classes 0 to {C - 1}, got {classes.min()} to {classes.max()}")
    labels = np.full((N, 2 * classes.shape[1] + 1), blank)
    labels[:, 1::2] = classes
    skips = np.zeros(labels.shape, bool)  # where a path may come from two places before: past a blank, to a new class
    skips[:, 3::2] = classes[:, 1:] != classes[:, :-1]
    impossible = float(np.finfo(log_probs.dtype).min) / 4  # finite: differences of infinities would be NaN
    emitted = gather(log_probs, 2, new_tensor(np.broadcast_to(labels, (T, *labels.shape)).copy()))
    never = new_tensor(np.full((N, 2), impossible, log_probs.dtype))
    start = new_tensor(np.arange(labels.shape[1]) < 2)
    paths = where(start, emitted[0], impossible)
    for t in range(1, T):
        before = cat([never, paths], 1)
        ways = [paths, before[:, 1:-1], where(new_tensor(skips), before[:, :-2], impossible)]
        longer = clamp(logsumexp(stack(ways), 0) + emitted[t], min=impossible)
        paths = where(new_tensor((t < steps)[:, None]), longer, paths)
    ends = np.stack([2 * lengths, np.maximum(2 * lengths - 1, 0)], 1)
    last = gather(paths, 1, new_tensor(ends))
    loss = -logsumexp(where(new_tensor(np.stack([steps > 0, (steps > 0) & (lengths > 0)], 1)), last, impossible), 1)
    loss = where(loss > -impossible / 2, 0.0 if zero_infinity else math.inf, loss)
    if reduction == "mean":
        return mean(loss / new_tensor(np.maximum(lengths, 1).astype(log_probs.dtype)))
    return sum(loss) if reduction == "sum" else loss[0] if single else loss
