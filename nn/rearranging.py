"""Layers that change the shape: of images, or by moving elements between channels, space and patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.ops.shaping import flatten

from . import functional as F
from .layer import Layer


class Flatten(Layer, function=flatten):
    """Make one dimension of all from ``start_dim`` to ``end_dim``: by default (N, ...) to (N, their product)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__(locals())


class Unflatten(Layer):
    """Split dimension ``dim`` into dimensions of the sizes ``unflattened_size``, one of which may be -1.

    From (..., a * b, ...) to (..., a, b, ...).
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__(locals())

    def forward(self, input: Any) -> Any:
        return input.unflatten(self.dim, self.unflattened_size)


class Upsample(Layer, function=F.interpolate):
    """(N, C, ...) in another resolution: :func:`F.interpolate`, which explains the arguments."""

    def __init__(self, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                 align_corners: bool | None = None, recompute_scale_factor: bool | None = None) -> None:  # fmt: skip
        if isinstance(scale_factor, (tuple, list)):
            scale_factor = tuple(map(float, scale_factor))
        elif scale_factor:
            scale_factor = float(scale_factor)
        super().__init__(locals())
        self.shown = ("size" if scale_factor is None else "scale_factor", "mode")


class UpsamplingNearest2d(Upsample):
    """:class:`Upsample` of (N, C, H, W) by the nearest element."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """:class:`Upsample` of (N, C, H, W) by bilinear interpolation between corners that stay in place."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Layer, function=F.pixel_shuffle):
    """(..., C * r**2, H, W) as (..., C, H * r, W * r): channels become pixels (Shi et al. 2016)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__(locals())


class PixelUnshuffle(Layer, function=F.pixel_unshuffle):
    """(..., C, H * r, W * r) as (..., C * r**2, H, W): pixels become channels."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__(locals())


class ChannelShuffle(Layer):
    """The channels of (N, C, ...) dealt out in turn from ``groups`` equal parts (Zhang et al. 2017)."""

    def __init__(self, groups: int) -> None:
        super().__init__(locals())

    def forward(self, input: Any) -> Any:
        if self.groups < 1 or input.ndim < 3 or input.shape[1] % self.groups:
            expected = f"expected (N, C, ...) with C divisible by groups={self.groups}"
            raise ValueError(f"ChannelShuffle: {expected}, got {tuple(input.shape)}")
        return input.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class Unfold(Layer, function=F.unfold):
    """The patches of (N, C, H, W) as columns: (N, C * kernel positions, patches).

    Args:
        kernel_size: the size of the patches; an int or (height, width), as all that follow.
        dilation: the step between the elements of a patch.
        padding: zeros on both sides of the input.
        stride: the step from patch to patch.
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__(locals())


class Fold(Layer, function=F.fold):
    """The sum of patches, given as columns (N, C * kernel positions, patches), in an image (N, C, *output_size).

    The adjoint of :class:`Unfold` with the same arguments.
    """

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
                 stride: Any = 1) -> None:  # fmt: skip
        super().__init__(locals())
