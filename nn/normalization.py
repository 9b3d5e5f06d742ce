"""Normalization layers: they shift and scale parts of the input to mean 0 and variance 1, then learn a scale again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import minigrad

from . import functional as F
from . import init
from .linear import check_size
from .module import Module
from .parameter import Parameter


class _Affine(Module):
    """Has a weight that starts as 1 and a bias that starts as 0, either of which may be missing."""

    weight: Any
    bias: Any
    text: str  # the configuration, as it is printed

    def _add_affine(self, shape: Any, weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        for name, wanted in (("weight", weight), ("bias", weight and bias)):
            values = minigrad.empty(shape, device=device, dtype=dtype)
            self.register_parameter(name, Parameter(values) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make the weight 1 and the bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def extra_repr(self) -> str:
        return self.text.format(**vars(self), bias=self.bias is not None)


class _NormBase(_Affine):
    """Normalization of channels, with running averages of their mean and variance.

    Args:
        eps: added to the variance.
        momentum: how far a batch moves the running averages; None averages over all batches evenly.
        affine: scale and shift each channel by a weight and, unless ``bias`` is False, a bias.
        track_running_stats: keep running averages, and normalize by them in evaluation.
    """

    _version = 2  # as in PyTorch: version 1 had no num_batches_tracked
    dims: tuple[int, ...]  # how many dimensions an input may have
    text = ("{num_features}, eps={eps}, momentum={momentum}, affine={affine}, bias={bias}, "
            "track_running_stats={track_running_stats}")  # fmt: skip

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: Any = None, dtype: Any = None, *,
                 bias: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.num_features = check_size(num_features, type(self).__name__, "num_features", 0)
        self.eps, self.momentum, self.affine, self.track_running_stats = eps, momentum, affine, track_running_stats
        for name in ("running_mean", "running_var"):
            start = minigrad.empty(num_features, device=device, dtype=dtype)
            self.register_buffer(name, start if track_running_stats else None)
        self.register_buffer("num_batches_tracked", minigrad.tensor(0) if track_running_stats else None)
        self._add_affine(num_features, affine, bias, device, dtype)

    def reset_running_stats(self) -> None:
        """Forget all batches."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        super().reset_parameters()

    def _check(self, input: Any, batched: int) -> None:
        name, shape = type(self).__name__, tuple(input.shape)
        if input.ndim not in self.dims:
            raise ValueError(f"{name}: expected an input of {' or '.join(map(str, self.dims))} dimensions, got {shape}")
        channels = shape[1 if input.ndim >= batched else 0]
        if channels != self.num_features and (self.affine or self.track_running_stats):
            raise ValueError(f"{name}: expected {self.num_features} channels, got {channels} (input {shape})")


class _BatchNorm(_NormBase):
    def forward(self, input: Any) -> Any:
        self._check(input, 2)
        momentum, mean, var = self.momentum or 0.0, self.running_mean, self.running_var
        if self.training and not self.track_running_stats:
            mean = var = None
        elif self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1 / float(self.num_batches_tracked)
        by_batch = self.training or (mean is None and var is None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Each channel of (N, C) or (N, C, L) with mean 0 and variance 1 over the batch: :func:`F.batch_norm`.

    In evaluation, or with frozen statistics, by the running averages. The arguments are those of all
    batch and instance norms: ``eps`` is added to the variance, ``momentum`` is the share of the newest batch
    in the running averages (None: of all batches evenly), ``affine`` and ``bias`` tell whether channels are
    scaled and shifted, and ``track_running_stats`` whether there are running averages.
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """:class:`BatchNorm1d` for (N, C, H, W)."""

    dims = (4,)


class BatchNorm3d(_BatchNorm):
    """:class:`BatchNorm1d` for (N, C, D, H, W)."""

    dims = (5,)


class _InstanceNorm(_NormBase):
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
                 track_running_stats: bool = False, device: Any = None, dtype: Any = None, *,
                 bias: bool = True) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Any) -> Any:
        self._check(input, self.dims[1])
        single = input.ndim == self.dims[0]
        by_input = self.training or not self.track_running_stats
        y = F.instance_norm(input.unsqueeze(0) if single else input, self.running_mean, self.running_var, self.weight,
                            self.bias, by_input, self.momentum or 0.0, self.eps)  # fmt: skip
        return y.squeeze(0) if single else y


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each sample of (N, C, L) or (C, L) with mean 0 and variance 1; see :class:`BatchNorm1d`."""

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """:class:`InstanceNorm1d` for (N, C, H, W) or (C, H, W)."""

    dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """:class:`InstanceNorm1d` for (N, C, D, H, W) or (C, D, H, W)."""

    dims = (4, 5)


class LayerNorm(_Affine):
    """The last dimensions, of the sizes ``normalized_shape``, with mean 0 and variance 1: :func:`F.layer_norm`.

    Args:
        elementwise_affine: scale each element by a weight and, unless ``bias`` is False, shift it by a bias.
    """

    text = "{normalized_shape}, eps={eps}, elementwise_affine={elementwise_affine}, bias={bias}"

    def __init__(self, normalized_shape: Any, eps: Any = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True, device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        shape = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        self.normalized_shape = tuple(shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._add_affine(self.normalized_shape, elementwise_affine, bias, device, dtype)

    def forward(self, input: Any) -> Any:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(LayerNorm):
    """The last dimensions divided by the root of their mean square: :func:`F.rms_norm`; see :class:`LayerNorm`.

    Takes (..., ``*normalized_shape``), and keeps the shape.
    """

    text = "{normalized_shape}, eps={eps}, elementwise_affine={elementwise_affine}"

    def __init__(self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True,
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(normalized_shape, eps, elementwise_affine, False, device, dtype)

    def forward(self, input: Any) -> Any:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(_Affine):
    """Each of ``num_groups`` groups of the channels of (N, C, ...) with mean 0 and variance 1: :func:`F.group_norm`."""

    text = "{num_groups}, {num_channels}, eps={eps}, affine={affine}, bias={bias}"

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
                 dtype: Any = None, *, bias: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.num_groups = check_size(num_groups, "GroupNorm", "num_groups")
        self.num_channels = check_size(num_channels, "GroupNorm", "num_channels")
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels={num_channels} must be divisible by num_groups={num_groups}")
        self.eps, self.affine = eps, affine
        self._add_affine(num_channels, affine, bias, device, dtype)

    def forward(self, input: Any) -> Any:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class LocalResponseNorm(Module):
    """``input / (k + alpha * mean of squares over size channels) ** beta``: :func:`F.local_response_norm`.

    Takes (N, C, ...), and keeps the shape.
    """

    def __init__(self, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
