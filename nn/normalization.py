"""Normalization layers: they shift and scale parts of the input to mean 0 and variance 1, then learn a scale again."""

from __future__ import annotations

from typing import Any

import minigrad
from minigrad.arguments import check_dims, ints

from . import functional as F
from . import init
from .layer import Layer, WeightedLayer


class _Affine(WeightedLayer, unnamed=1):
    """Has a weight that starts as 1 and a bias that starts as 0, either of which may be missing."""

    def _add_affine(self, shape: Any, weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        shapes = {"weight": shape if weight else None, "bias": shape if weight and bias else None}
        self._add_parameters(device, dtype, **shapes)

    def reset_parameters(self) -> None:
        """Make the weight 1 and the bias 0."""
        for name, param in self.named_parameters():
            init.constant_(param, float(name == "weight"))


class _NormBase(_Affine):
    """Normalization of channels, with running averages of their mean and variance."""

    _version = 2  # as in PyTorch: version 1 had no num_batches_tracked
    shown = ("num_features", "eps", "momentum", "affine", "bias", "track_running_stats")
    # ``dims``: how many dimensions an input may have

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: Any = None, dtype: Any = None, *,
                 bias: bool = True) -> None:  # fmt: skip
        super().__init__(locals())
        self._check_sizes("num_features", minimum=0)
        tracked, like = track_running_stats, {"device": device, "dtype": dtype}
        self.register_buffer("running_mean", minigrad.zeros(num_features, **like) if tracked else None)
        self.register_buffer("running_var", minigrad.ones(num_features, **like) if tracked else None)
        self.register_buffer("num_batches_tracked", minigrad.tensor(0) if tracked else None)
        self._add_affine(num_features, affine, bias, device, dtype)

    def reset_running_stats(self) -> None:
        """Forget all batches."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Make the weight 1 and the bias 0, and forget all batches."""
        self.reset_running_stats()
        super().reset_parameters()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, metadata: dict[str, Any],
                              *rest: Any) -> None:  # fmt: skip
        if self.track_running_stats and metadata.get("version", 1) < self._version:
            state_dict.setdefault(f"{prefix}num_batches_tracked", self.num_batches_tracked)
        super()._load_from_state_dict(state_dict, prefix, metadata, *rest)


class _BatchNorm(_NormBase):
    def forward(self, input: Any) -> Any:
        check_dims(type(self).__name__, self.dims, input=input)
        momentum, mean, var = self.momentum or 0.0, self.running_mean, self.running_var
        if self.training and not self.track_running_stats:
            mean = var = None
        elif self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1 / float(self.num_batches_tracked)
        by_batch = self.training or (mean is None and var is None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm, dims=(2, 3)):
    """Each channel of (N, C) or (N, C, L) with mean 0 and variance 1 over the batch: :func:`F.batch_norm`.

    In evaluation, or with frozen statistics, by the running averages. The result has the input's shape.
    The arguments are those of all batch and instance norms.

    Args:
        num_features: C, the size of weight, bias and running averages.
        eps: added to the variance.
        momentum: the share of the newest batch in the running averages; None averages all batches evenly.
        affine: scale and shift each channel by a weight and, unless ``bias`` is False, a bias.
        track_running_stats: keep running averages, and normalize by them in evaluation.
    """


class BatchNorm2d(_BatchNorm, dims=(4,)):
    """:class:`BatchNorm1d` for (N, C, H, W)."""


class BatchNorm3d(_BatchNorm, dims=(5,)):
    """:class:`BatchNorm1d` for (N, C, D, H, W)."""


class _InstanceNorm(_NormBase):
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
                 track_running_stats: bool = False, device: Any = None, dtype: Any = None, *,
                 bias: bool = True) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Any) -> Any:
        check_dims(type(self).__name__, self.dims, input=input)
        single = input.ndim == self.dims[0]
        by_input = self.training or not self.track_running_stats
        y = F.instance_norm(input.unsqueeze(0) if single else input, self.running_mean, self.running_var, self.weight,
                            self.bias, by_input, self.momentum or 0.0, self.eps)  # fmt: skip
        return y.squeeze(0) if single else y


class InstanceNorm1d(_InstanceNorm, dims=(2, 3)):
    """Each channel of each sample of (N, C, L) or (C, L) with mean 0 and variance 1; see :class:`BatchNorm1d`.

    By default without weight and bias, and without running averages.
    """


class InstanceNorm2d(_InstanceNorm, dims=(3, 4)):
    """:class:`InstanceNorm1d` for (N, C, H, W) or (C, H, W)."""


class InstanceNorm3d(_InstanceNorm, dims=(4, 5)):
    """:class:`InstanceNorm1d` for (N, C, D, H, W) or (C, D, H, W)."""


class LayerNorm(_Affine, function=F.layer_norm):
    """The last dimensions, of the sizes ``normalized_shape``, with mean 0 and variance 1: :func:`F.layer_norm`.

    Args:
        normalized_shape: an int, or several; also the shape of weight and bias.
        eps: added to the variance.
        elementwise_affine: scale each element by a weight and, unless ``bias`` is False, shift it by a bias.
    """

    def __init__(self, normalized_shape: Any, eps: Any = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True, device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        normalized_shape = ints((normalized_shape,), "LayerNorm", "normalized_shape")
        super().__init__(locals())
        self._add_affine(normalized_shape, elementwise_affine, bias, device, dtype)


class RMSNorm(_Affine, function=F.rms_norm):
    """The last dimensions divided by the root of their mean square: :func:`F.rms_norm`; see :class:`LayerNorm`.

    Takes (..., ``*normalized_shape``), and keeps the shape.
    """

    def __init__(self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True,
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        normalized_shape = ints((normalized_shape,), "RMSNorm", "normalized_shape")
        super().__init__(locals())
        self._add_affine(normalized_shape, elementwise_affine, False, device, dtype)


class GroupNorm(_Affine, function=F.group_norm, unnamed=2):
    """Each of ``num_groups`` groups of the channels of (N, C, ...) with mean 0 and variance 1: :func:`F.group_norm`.

    Args:
        num_channels: C, the size of weight and bias.
        eps: added to the variance.
        affine: scale and shift each channel by a weight and, unless ``bias`` is False, a bias.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
                 dtype: Any = None, *, bias: bool = True) -> None:  # fmt: skip
        super().__init__(locals())
        self._check_sizes("num_groups", "num_channels")
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels={num_channels} must be divisible by num_groups={num_groups}")
        self._add_affine(num_channels, affine, bias, device, dtype)


class LocalResponseNorm(Layer, function=F.local_response_norm, unnamed=1):
    """``input / (k + alpha * mean of squares over size channels) ** beta`` for (N, C, ...) (Krizhevsky et al. 2012)."""

    def __init__(self, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__(locals())
