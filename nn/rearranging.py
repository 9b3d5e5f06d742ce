"""Layers that resize images, or move elements between channels, space and patches."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module


class _Configured(Module):
    """Keeps its options as attributes, and prints them."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        vars(self).update(options, shown=list(options))

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.shown)


class Upsample(_Configured):
    """(N, C, ...) in another resolution: :func:`F.interpolate`, which explains the arguments."""

    def __init__(self, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                 align_corners: bool | None = None, recompute_scale_factor: bool | None = None) -> None:  # fmt: skip
        several = isinstance(scale_factor, (tuple, list))
        factor = tuple(map(float, scale_factor)) if several else scale_factor and float(scale_factor)
        super().__init__(size=size, scale_factor=factor, mode=mode)
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor
        self.shown.remove("scale_factor" if scale_factor is None else "size")

    def forward(self, input: Any) -> Any:
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners,
                             self.recompute_scale_factor)  # fmt: skip


class UpsamplingNearest2d(Upsample):
    """:class:`Upsample` of (N, C, H, W) by the nearest element."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """:class:`Upsample` of (N, C, H, W) by bilinear interpolation between corners that stay in place."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(_Configured):
    """(..., C * r**2, H, W) as (..., C, H * r, W * r): channels become pixels (Shi et al. 2016)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__(upscale_factor=upscale_factor)

    def forward(self, input: Any) -> Any:
        return F.pixel_shuffle(input, self.upscale_factor)


class PixelUnshuffle(_Configured):
    """(..., C, H * r, W * r) as (..., C * r**2, H, W): pixels become channels."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__(downscale_factor=downscale_factor)

    def forward(self, input: Any) -> Any:
        return F.pixel_unshuffle(input, self.downscale_factor)


class ChannelShuffle(_Configured):
    """The channels of (N, C, ...) dealt out in turn from ``groups`` equal parts (Zhang et al. 2017)."""

    def __init__(self, groups: int) -> None:
        super().__init__(groups=groups)

    def forward(self, input: Any) -> Any:
        if self.groups < 1 or input.ndim < 3 or input.shape[1] % self.groups:
            expected = f"expected (N, C, ...) with C divisible by groups={self.groups}"
            raise ValueError(f"ChannelShuffle: {expected}, got {tuple(input.shape)}")
        return input.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class Unfold(_Configured):
    """The patches of (N, C, H, W) as columns: (N, C * kernel positions, patches); :func:`F.unfold`."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__(kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)

    def forward(self, input: Any) -> Any:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Configured):
    """The sum of patches, given as columns, in an image (N, C, *output_size); :func:`F.fold`."""

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
                 stride: Any = 1) -> None:  # fmt: skip
        super().__init__(output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding,
                         stride=stride)  # fmt: skip

    def forward(self, input: Any) -> Any:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)
