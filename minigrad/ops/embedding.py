"""Embeddings: rows of a table, and sums, means or maxima of bags of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import check_dims, check_kind
from ..engine import grad_mode, new_tensor
from ..memory import Array
from . import indexing
from .inplace import copy_
from .reduction import norm


def _check_table(name: str, input: Any, weight: Any, padding_idx: int | None, sparse: bool) -> int | None:
    """``padding_idx`` counted from the front."""
    if sparse:
        raise NotImplementedError(f"{name}: there are no sparse gradients; leave out sparse=True")
    check_kind(name, "iu", input=input)  # and weight is the second argument
    check_dims(name, (2,), weight=weight)
    rows = weight.shape[0]
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise ValueError(f"{name}: padding_idx {padding_idx} is out of range for {rows} embeddings")
    return padding_idx % rows


def _limit_norms(weight: Any, indices: Array, max_norm: float, norm_type: float) -> None:
    """Shorten the rows that will be used to ``max_norm``, in place and outside the graph."""
    with grad_mode(False):
        used = np.unique(indices)
        rows = indexing.embedding(weight.detach(), new_tensor(used))
        lengths = norm(rows, norm_type, 1, True)._array
        scale = np.where(lengths > max_norm, max_norm / (lengths + 1e-7), 1).astype(weight.dtype)
        table = weight._array.copy()
        table[used] *= scale
        copy_(weight, new_tensor(table))


def _by_frequency(rows: Any, indices: Array) -> Any:
    """``rows`` themselves, whose gradients are divided by how often their index occurs."""
    counts = np.bincount(indices.reshape(-1))[indices].astype(rows.dtype)
    values = rows.detach()
    return values + (rows - values) / new_tensor(np.expand_dims(counts, -1))


def embedding(input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None,
              norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False) -> Any:  # fmt: skip
    """The rows of ``weight`` (num_embeddings, embedding_dim) at the indices ``input`` (...): (..., embedding_dim).

    Args:
        padding_idx: a row that gets no gradient.
        max_norm: shorten used rows to this ``norm_type``-norm first, in place.
        scale_grad_by_freq: divide each row's gradient by how often its index occurs.
    """
    padding_idx = _check_table("embedding", input, weight, padding_idx, sparse)
    if max_norm is not None:
        _limit_norms(weight, input._array, max_norm, norm_type)
    rows = indexing.embedding(weight, input, padding_idx=padding_idx)
    return _by_frequency(rows, input._array) if scale_grad_by_freq else rows


def embedding_bag(input: Any, weight: Any, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2.0,
                  scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                  per_sample_weights: Any = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> Any:  # fmt: skip
    """Sum, mean or maximum of the embeddings in each bag of indices; an empty bag gives zeros.

    Args:
        input: bags of equal length (B, L), or all indices in a row (N,) with the ``offsets`` (B,) at which bags begin.
        mode: ``"sum"``, ``"mean"`` or ``"max"``.
        per_sample_weights: factors for the embeddings, in input's shape; for ``"sum"`` only.
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: an index that counts as absent.
    """
    name = "embedding_bag"
    padding_idx = _check_table(name, input, weight, padding_idx, sparse)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError(f"{name}: mode 'max' cannot scale gradients by frequency")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(f"{name}: per_sample_weights go with mode='sum', not {mode!r}")
        if per_sample_weights.shape != input.shape:
            raise ValueError(f"{name}: per_sample_weights has shape {per_sample_weights.shape}, input {input.shape}")
    indices, bags, count = _bags(input, offsets, include_last_offset)
    if padding_idx is not None:
        kept = np.flatnonzero(indices != padding_idx)
        indices, bags = indices[kept], bags[kept]
    if max_norm is not None:
        _limit_norms(weight, indices, max_norm, norm_type)
    rows = indexing.embedding(weight, new_tensor(indices))
    if scale_grad_by_freq:
        rows = _by_frequency(rows, indices)
    if per_sample_weights is not None:
        factors = per_sample_weights.reshape(-1)
        rows = rows * (factors if padding_idx is None else factors[new_tensor(kept)]).reshape(-1, 1)
    zeros = new_tensor(np.zeros_like(weight._array, shape=(count, weight.shape[1])))
    places = new_tensor(np.repeat(bags[:, None], weight.shape[1], axis=1))
    return indexing.scatter_reduce(zeros, 0, places, rows, "amax" if mode == "max" else mode, include_self=False)


def _bags(input: Any, offsets: Any, include_last_offset: bool) -> tuple[Array, Array, int]:
    """All indices in a row, the bag that each belongs to, and the number of bags."""
    name, indices = "embedding_bag", input._array
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{name}: an input of shape {input.shape} is bags of equal length and takes no offsets")
        return indices.reshape(-1), np.repeat(np.arange(len(indices)), indices.shape[1]), len(indices)
    if input.ndim != 1:
        raise ValueError(f"{name}: input must be (B, L), or (N,) with offsets, got shape {input.shape}")
    if offsets is None or offsets.ndim != 1 or offsets.dtype.kind not in "iu":
        raise ValueError(f"{name}: an input of shape {input.shape} needs offsets, integers of shape (B,)")
    starts = offsets._array
    if len(starts) and (starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] > len(indices)):
        raise ValueError(f"{name}: offsets must begin with 0, never decrease, and stay within {len(indices)} indices")
    if include_last_offset:
        if not len(starts) or starts[-1] != len(indices):
            raise ValueError(f"{name}: with include_last_offset the last must be the number of indices, {len(indices)}")
        starts = starts[:-1]
    return indices, np.searchsorted(starts, np.arange(len(indices)), side="right") - 1, len(starts)
