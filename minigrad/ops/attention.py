"""Attention: averages of values, weighted by how well their keys match a query."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import new_tensor, primitive
from ..kernels import attention as kernels
from ..kernels.layout import fast
from ..memory import Array
from .elementwise import where
from .linalg import _same_dtype, matmul
from .reduction import softmax


def _check(query: Any, key: Any, value: Any, attn_mask: Any, is_causal: bool, enable_gqa: bool) -> None:
    name = "scaled_dot_product_attention"
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(f"{name}: expected query (..., L, E), key (..., S, E) and value (..., S, Ev), got {shapes}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"{name}: query and key must have the same last dimension, got {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"{name}: key and value must be equally many (dimension -2), got {shapes}")
    _same_dtype(name, query=query, key=key, value=value)
    heads = [t.shape[-3] if t.ndim > 2 else 0 for t in (query, key, value)]
    if enable_gqa and (0 in heads or heads[1] != heads[2] or heads[0] % heads[1]):
        raise ValueError(f"{name}: with enable_gqa the heads of the query (dimension -3) must be a multiple of those "
                         f"of key and value, got {shapes}")  # fmt: skip
    if attn_mask is None:
        return
    if is_causal:
        raise ValueError(f"{name}: give either attn_mask or is_causal=True, not both")
    if attn_mask.dtype.kind != "b" and attn_mask.dtype != query.dtype:
        raise TypeError(f"{name}: attn_mask must be bool or {query.dtype} like the query, got {attn_mask.dtype}")
    scores = (*query.shape[:-1], key.shape[-2])
    try:
        np.broadcast_shapes(attn_mask.shape, scores)
    except ValueError:
        shapes = f"attn_mask of shape {attn_mask.shape} does not broadcast to the scores' {scores}"
        raise ValueError(f"{name}: {shapes}") from None


def _masked_softmax(scores: Any, bias: Any) -> Any:
    """Softmax of ``scores + bias``; a row in which everything is masked gets no weight at all."""
    if bias is None:
        return softmax(scores, -1)
    dead = np.all(np.equal(bias._array, -math.inf), axis=-1, keepdims=True)
    if type(dead) is np.ndarray and not dead.any():
        return softmax(scores + bias, -1)
    dead = new_tensor(dead)
    return where(dead, 0, softmax(scores + where(dead, 0, bias), -1))


def _attention_gradients(g: Array, query: Array, key: Array, value: Array, y: Array, scale: float, is_causal: bool,
                         memory: list | None) -> tuple:  # fmt: skip
    if memory:
        return kernels.backward(g, query, key, value, y, memory[0], scale, is_causal)
    weights = _weights(query, key, scale, is_causal)
    d_weights = matmul(g, np.swapaxes(value, -1, -2))
    d_scores = (d_weights - np.sum(d_weights * weights, axis=-1, keepdims=True)) * weights * scale
    across = np.swapaxes(d_scores, -1, -2), np.swapaxes(weights, -1, -2)
    return matmul(d_scores, key), matmul(across[0], query), matmul(across[1], g)


def _weights(query: Any, key: Any, scale: float, is_causal: bool) -> Any:
    """``softmax(query @ key.T * scale + mask)``."""
    scores = matmul(query * scale, np.swapaxes(key, -1, -2))
    return softmax(scores + _causal(query, key) if is_causal else scores, -1)


def _causal(query: Any, key: Any) -> Any:
    """What is added to the scores so that no query sees a later key."""
    return new_tensor(np.triu(np.full_like(query._array, -math.inf, shape=(query.shape[-2], key.shape[-2])), 1))


@primitive(inputs=("query", "key", "value"), joint=_attention_gradients, quiet=True)
def _attention(query: Array, key: Array, value: Array, scale: float, is_causal: bool,
               memory: list | None = None) -> Array:  # fmt: skip
    """:func:`attention` for heads of one shape that the kernel takes, without the mask of a user."""
    y, log_total = kernels.forward(query, key, value, scale, is_causal)
    if memory is not None:
        memory.append(log_total)
    return y


def attention(query: Any, key: Any, value: Any, attn_mask: Any = None, is_causal: bool = False,
              scale: float | None = None, enable_gqa: bool = False,
              drop: Callable[[Any], Any] | None = None) -> Any:  # fmt: skip
    """``drop(softmax(query @ key.T * scale + mask)) @ value``; see ``nn.functional.scaled_dot_product_attention``."""
    _check(query, key, value, attn_mask, is_causal, enable_gqa)
    scale = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    arrays = query._array, key._array, value._array
    alike = query.shape[:-2] == key.shape[:-2] == value.shape[:-2] and all(a.size for a in arrays)
    if attn_mask is None and drop is None and not enable_gqa and alike and fast(*arrays):
        return _attention(query, key, value, scale, is_causal)
    bias = _causal(query, key) if is_causal else attn_mask
    if attn_mask is not None and attn_mask.dtype.kind == "b":
        zero = np.zeros_like(query._array, shape=attn_mask.shape)
        bias = new_tensor(np.where(attn_mask._array, zero, zero - math.inf))

    def by_key(x: Any) -> Any:
        """With the rows of all heads of the query that share a key in one matrix: that spares copies of the key."""
        return x.reshape(*x.shape[:-3], key.shape[-3], -1, x.shape[-1]) if enable_gqa else x

    scores = matmul(by_key(query * scale), np.swapaxes(key, -1, -2))
    if enable_gqa:
        scores = scores.reshape(*scores.shape[:-3], *query.shape[-3:-1], key.shape[-2])
    weights = _masked_softmax(scores, bias)
    y = matmul(by_key(weights if drop is None else drop(weights)), value)
    return y.reshape(*y.shape[:-3], *query.shape[-3:-1], value.shape[-1]) if enable_gqa else y
