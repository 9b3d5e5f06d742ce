"""A reverse-mode autograd tensor framework over NumPy, with PyTorch's names."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from math import e, inf, nan, pi
from typing import TYPE_CHECKING, Any

from numpy import dtype

from .tensor import Tensor  # first: the module minigrad.tensor makes room for the function

# isort: split
from . import cuda
from .creation import (
    arange, as_tensor, asarray, empty, empty_like, eye, from_dlpack, from_numpy, frombuffer, full, full_like,
    is_tensor, linspace, logspace, ones, ones_like, tensor, zeros, zeros_like,
)
from .devices import device
from .dtypes import (
    bfloat16, bool, can_cast, complex64, complex128, double, finfo, float, float16, float32, float64,
    get_default_dtype, half, iinfo, int, int8, int16, int32, int64, is_complex, is_floating_point, is_signed, long,
    promote_types, result_type, set_default_dtype, short, uint8,
)
from .grad_mode import (
    enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled,
)
from .kernels.assembler import use_machine_code
from .kernels.layout import use_fast_kernels
from .kernels.threads import get_num_threads, set_num_threads

# Operations, by family.
from .ops.activation import celu, hardshrink, prelu, relu, selu, threshold
from .ops.elementwise import (
    abs, absolute, acos, acosh, add, addcdiv, addcmul, allclose, arccos, arccosh, arcsin, arcsinh, arctan, arctan2,
    arctanh, asin, asinh, atan, atan2, atanh, bitwise_and, bitwise_left_shift, bitwise_not, bitwise_or,
    bitwise_right_shift, bitwise_xor, ceil, clamp, clamp_max, clamp_min, clip, copysign, cos, cosh, deg2rad, div,
    divide, eq, equal, erf, erfc, exp, exp2, expm1, fix, float_power, floor, floor_divide, fmax, fmin, fmod, frac,
    ge, greater, greater_equal, gt, heaviside, hypot, isclose, isfinite, isinf, isnan, isneginf, isposinf, ldexp,
    le, lerp, less, less_equal, log, log1p, log2, log10, logaddexp, logical_and, logical_not, logical_or,
    logical_xor, logit, lt, maximum, minimum, mul, multiply, nan_to_num, ne, neg, negative, not_equal, positive,
    pow, rad2deg, reciprocal, remainder, round, rsqrt, rsub, sgn, sigmoid, sign, signbit, sin, sinc, sinh, sqrt,
    square, sub, subtract, tan, tanh, true_divide, trunc, where, xlogy,
)
from .ops.indexing import (
    argwhere, gather, index_add, index_put, index_select, masked_fill, masked_select, nonzero, scatter, scatter_add,
    scatter_reduce, take, take_along_dim,
)
from .ops.linalg import addmm, baddbmm, bmm, cholesky, det, dot, einsum, inner, matmul, mm, mv, outer, tensordot
from .ops.linalg import inv as inverse
from .ops.reduction import (
    all, amax, amin, aminmax, any, argmax, argmin, count_nonzero, cummax, cummin, cumprod, cumsum, log_softmax,
    logcumsumexp, logsumexp, max, mean, min, nanmean, nansum, norm, prod, softmax, softmin, std, std_mean, sum, var,
    var_mean,
)
from .ops.shaping import (
    atleast_1d, atleast_2d, broadcast_shapes, broadcast_tensors, broadcast_to, cat,
    chunk, clone, concat, concatenate, diag, diag_embed, diagflat, diagonal, flatten, flip, fliplr, flipud,
    hstack, meshgrid, moveaxis, movedim, narrow, permute, ravel, repeat_interleave, reshape, roll, rot90, select,
    split, squeeze, stack, swapaxes, swapdims, t, tile, trace, transpose, tril, triu, unbind,
    unflatten, unsqueeze, vstack,
)
from .ops.sorting import argsort, bincount, bucketize, kthvalue, median, searchsorted, sort, topk, unique
from .random import (
    Generator, bernoulli, default_generator, get_rng_state, initial_seed, manual_seed, multinomial, normal,
    rand, rand_like, randint, randint_like, randn, randn_like, randperm, seed, set_rng_state,
)
from .settings import (
    are_deterministic_algorithms_enabled, compile, get_default_device, get_float32_matmul_precision,
    set_default_device, set_float32_matmul_precision, use_deterministic_algorithms,
)
from .version import __version__ as __version__

numel = Tensor.numel
FloatTensor, DoubleTensor, HalfTensor = (partial(Tensor, dtype=kind) for kind in (float32, float64, float16))
CharTensor, ShortTensor, IntTensor, LongTensor = (partial(Tensor, dtype=kind) for kind in (int8, int16, int32, int64))
ByteTensor, BoolTensor = partial(Tensor, dtype=uint8), partial(Tensor, dtype=bool)
accelerator = mps = xpu = cuda
Size = tuple
newaxis = None

if TYPE_CHECKING:
    from . import amp, autograd, backends, data, distributed, linalg, nn, onnx, optim, profiler, utils, viz
    from .amp import autocast
    from .autograd.gradcheck import gradcheck, gradgradcheck
    from .kernels.winograd import get_float32_conv_precision, set_float32_conv_precision
    from .model_summary import summary
    from .ops.convolution import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
    from .ops.distance import cosine_similarity, pairwise_distance
    from .ops.normalization import group_norm, layer_norm, rms_norm
    from .ops.pooling import (
        adaptive_avg_pool1d, adaptive_max_pool1d, avg_pool1d, max_pool1d, max_pool2d, max_pool3d,
    )
    from .ops.resize import pixel_shuffle, pixel_unshuffle
    from .printing import set_printoptions
    from .serialization import load, save

# What is imported when it is used first: modules, and functions of other modules.
_MODULES = (
    "amp", "autograd", "backends", "data", "distributed", "linalg", "nn", "onnx", "optim", "profiler", "torch_programs",
    "utils", "viz",
)  # fmt: skip
_FUNCTIONS = {
    "amp": ("autocast",),
    "autograd.gradcheck": ("gradcheck", "gradgradcheck"),
    "kernels.winograd": ("get_float32_conv_precision", "set_float32_conv_precision"),
    "model_summary": ("summary",),
    "ops.convolution": ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    "ops.distance": ("cosine_similarity", "pairwise_distance"),
    "ops.normalization": ("group_norm", "layer_norm", "rms_norm"),
    "ops.pooling": (
        "adaptive_avg_pool1d", "adaptive_max_pool1d", "avg_pool1d", "max_pool1d", "max_pool2d", "max_pool3d",
    ),
    "ops.resize": ("pixel_shuffle", "pixel_unshuffle"),
    "printing": ("set_printoptions",),
    "serialization": ("load", "save"),
}  # fmt: skip
_HOMES = {name: home for home, names in _FUNCTIONS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_HOMES})
