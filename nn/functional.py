"""Functions that layers are made of, under PyTorch's names: activations, convolutions, losses, dropout, ...

Most are operations of ``minigrad.ops``, the same objects. Here are those that need random numbers, or
are composed of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import minigrad
from minigrad import Tensor, random
from minigrad.arguments import check_probability
from minigrad.kernels.layout import stored_like
from minigrad.ops.activation import (
    celu, elu, gelu, glu, hardshrink, hardsigmoid, hardswish, hardtanh, leaky_relu, logsigmoid, mish, prelu, relu,
    relu6, selu, silu, softplus, softshrink, softsign, tanhshrink, threshold,
)
from minigrad.ops.attention import attention
from minigrad.ops.convolution import (
    conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d, fold, unfold,
)
from minigrad.ops.distance import cosine_similarity, pairwise_distance
from minigrad.ops.elementwise import sigmoid, tanh
from minigrad.ops.embedding import embedding, embedding_bag
from minigrad.ops.indexing import one_hot
from minigrad.ops.inplace import become
from minigrad.ops.linalg import linear, matmul
from minigrad.ops.loss import (
    binary_cross_entropy, binary_cross_entropy_with_logits, cosine_embedding_loss, cross_entropy, ctc_loss,
    gaussian_nll_loss, hinge_embedding_loss, huber_loss, kl_div, l1_loss, margin_ranking_loss, mse_loss,
    multi_margin_loss, multilabel_margin_loss, multilabel_soft_margin_loss, nll_loss, poisson_nll_loss,
    smooth_l1_loss, soft_margin_loss, triplet_margin_loss, triplet_margin_with_distance_loss,
)
from minigrad.ops.normalization import (
    batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, normalize, rms_norm,
)
from minigrad.ops.padding import pad
from minigrad.ops.pooling import (
    adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, adaptive_max_pool1d, adaptive_max_pool2d,
    adaptive_max_pool3d, avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d,
)
from minigrad.ops.reduction import log_softmax, softmax, softmin
from minigrad.ops.resize import interpolate, pixel_shuffle, pixel_unshuffle

relu_ = Tensor.relu_


# --------------------------------------------------------------------------------------- dropout


def _drop(name: str, input: Any, p: float, training: bool, inplace: bool, dims: Sequence[int] = (),
          lead: int | None = None, alpha: bool = False) -> Any:  # fmt: skip
    """``input``, of ``dims`` dimensions, with elements dropped, or all behind the first ``lead`` dimensions at once."""
    check_probability(name, p)
    if dims and input.ndim not in dims:
        numbers = " or ".join(map(str, dims))
        raise ValueError(f"{name}: expected an input of {numbers} dimensions, got shape {input.shape}")
    if not training or p == 0:
        return input
    shape = input.shape[:lead] + (1,) * len(input.shape[lead:] if lead else ())
    uniform = random.default_generator.numpy.random(shape, "float64" if input.dtype == minigrad.float64 else "float32")
    kept = Tensor(stored_like(uniform >= p, input._array), dtype=input.dtype)  # 1 with probability 1 - p, else 0
    if p == 1:
        y = input * 0
    elif alpha:  # scale and shift keep mean 0 and variance 1
        scale = ((1 - p) * (1 + p * _SELU_LIMIT**2)) ** -0.5
        y = input * (kept * scale) + ((1 - kept) * _SELU_LIMIT + p * -_SELU_LIMIT) * scale
    else:
        y = input * (kept / (1 - p))
    return become(input, y, f"{name}_") if inplace else y


_SELU_LIMIT = -1.7580993408473766  # selu(-infinity)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """In training, zero each element with probability ``p`` and divide the others by ``1 - p``.

    Takes any shape, and keeps it.

    Srivastava et al. 2014.
    """
    return _drop("dropout", input, p, training, inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """:func:`dropout` of whole channels of an input (N, C, L) or (C, L)."""
    return _drop("dropout1d", input, p, training, inplace, (2, 3), -1)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """:func:`dropout` of whole channels of an input (N, C, H, W), and as in PyTorch of (N, C, L) and (N, C) too."""
    return _drop("dropout2d", input, p, training, inplace, (2, 3, 4), 2)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """:func:`dropout` of whole channels of an input (N, C, D, H, W) or (C, D, H, W)."""
    return _drop("dropout3d", input, p, training, inplace, (4, 5), -3)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout to the lower limit of :func:`selu` that keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return _drop("alpha_dropout", input, p, training, inplace, alpha=True)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """:func:`alpha_dropout` of whole channels of an input (N, C, ...)."""
    return _drop("feature_alpha_dropout", input, p, training, inplace, (2, 3, 4, 5), 2, alpha=True)


def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False) -> Any:
    """:func:`leaky_relu` with random slopes from ``lower`` to ``upper`` in training, else the mean (Xu et al. 2015)."""
    if not lower <= upper:
        raise ValueError(f"rrelu: lower {lower} is above upper {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slopes = random.default_generator.numpy.uniform(lower, upper, input.shape)
    return leaky_relu(input, Tensor(slopes, dtype=input.dtype), inplace)


# ------------------------------------------------------------------------ products and attention


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """``input1 @ weight[k] @ input2 + bias[k]`` for each k.

    Inputs (..., in1) and (..., in2), weight (out, in1, in2), bias (out,), result (..., out).
    """
    if weight.ndim != 3 or (input1.shape[-1:], input2.shape[-1:]) != (weight.shape[1:2], weight.shape[2:]):
        raise ValueError(f"bilinear: inputs of shapes {input1.shape} and {input2.shape} do not fit weight of shape "
                         f"{weight.shape}; expected (..., in1), (..., in2) and (out, in1, in2)")  # fmt: skip
    if input1.shape[:-1] != input2.shape[:-1]:
        shapes = f"{input1.shape} and {input2.shape}"
        raise ValueError(f"bilinear: inputs must agree but for the last dimension, got {shapes}")
    out, in1, in2 = weight.shape
    partial = matmul(input1, weight.permute(1, 0, 2).reshape(in1, out * in2)).reshape(*input1.shape[:-1], out, in2)
    y = matmul(partial, input2.unsqueeze(-1)).squeeze(-1)
    return y if bias is None else y + bias


def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None,
                                 enable_gqa: bool = False) -> Any:  # fmt: skip
    """``softmax(query @ key.T * scale + mask) @ value``: attention (Vaswani et al. 2017).

    Args:
        query: (..., L, E), key: (..., S, E), value: (..., S, Ev); the result is (..., L, Ev).
        attn_mask: broadcasts to (..., L, S); bool (True takes part) or added to the scores.
        dropout_p: the probability of dropping a weight; pass 0 outside of training.
        is_causal: query i sees the keys up to i; not together with ``attn_mask``.
        scale: 1 / sqrt(E) by default.
        enable_gqa: query heads (dimension -3) in groups share the fewer heads of key and value.

    A query for which everything is masked gives zeros.
    """
    check_probability("scaled_dot_product_attention", dropout_p, "dropout_p")
    drop = (lambda weights: dropout(weights, dropout_p)) if dropout_p else None
    return attention(query, key, value, attn_mask, is_causal, scale, enable_gqa, drop)


def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, *, dim: int = -1) -> Any:
    """A random sample that approaches a one-hot class as the temperature ``tau`` falls (Jang et al. 2017).

    Takes any shape, and keeps it.

    With ``hard`` it is one-hot; its gradient is that of the soft sample.
    """
    if tau <= 0:
        raise ValueError(f"gumbel_softmax: the temperature tau must be above 0, got {tau}")
    noise = Tensor(random.default_generator.numpy.gumbel(size=logits.shape), dtype=logits.dtype)
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    values = soft.detach()
    index = values.argmax(dim, keepdim=True)
    one = minigrad.zeros_like(values).scatter(dim, index, 1.0)
    return one - values + soft
