"""Changing the resolution: interpolation, and pixels to channels and back."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any

from ..arguments import check_kind, ntuple
from ..engine import primitive
from ..kernels import resize as kernels
from ..memory import Array
from .shaping import permute, reshape


@primitive(input=lambda g, maps: _resample(g, maps=tuple(m.transposed() for m in maps)))
def _resample(input: Array, maps: tuple[kernels.Taps, ...]) -> Array:
    """Linear maps along the last dimensions, one for each. The adjoint is the same with each transposed."""
    return kernels.resample(input, maps)


def resample(input: Any, maps: tuple[kernels.Taps, ...]) -> Any:
    """``maps`` applied along the last dimensions of ``input``, one to each."""
    return _resample(input, maps=maps)


_MODES = {
    3: ("nearest", "nearest-exact", "area", "linear"),
    4: ("nearest", "nearest-exact", "area", "bilinear", "bicubic"),
    5: ("nearest", "nearest-exact", "area", "trilinear"),
}  # by the number of dimensions


def interpolate(input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Any:  # fmt: skip
    """The input in another resolution.

    Args:
        input: (N, C, *spatial), with one to three spatial dimensions.
        size: the new spatial size; an int or one for each dimension.
        scale_factor: instead, how many times larger; a number or one for each dimension.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear" or "area".
        align_corners: whether the centres of the corner elements stay where they are, instead of
            the outer edges; for the modes "linear", "bilinear", "bicubic" and "trilinear".
        recompute_scale_factor: use the ratio of the sizes after rounding for ``scale_factor``.
    """
    n = input.ndim - 2
    if input.ndim not in _MODES or mode not in _MODES[input.ndim]:
        dims = {m: [d for d, modes in _MODES.items() if m in modes] for modes in _MODES.values() for m in modes}
        wanted = f"needs an input with {' or '.join(map(str, dims[mode]))}" if mode in dims else "is not a mode for"
        raise ValueError(f"interpolate: mode {mode!r} {wanted} dimensions, got shape {tuple(input.shape)}")
    if antialias:
        raise NotImplementedError("interpolate: antialias is not available")
    check_kind("interpolate", "f", input=input)
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError(f"interpolate: align_corners has no meaning for mode {mode!r}, only for linear and cubic ones")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    spatial = tuple(input.shape[2:])
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("interpolate: recompute_scale_factor needs scale_factor, not size")
        out, factors = ntuple(size, n, "interpolate", "size", 1), None
    else:
        factors = tuple(scale_factor) if isinstance(scale_factor, Sequence) else (scale_factor,) * n
        if len(factors) != n or not all(isinstance(f, (int, float)) and f > 0 for f in factors):
            raise ValueError(f"interpolate: scale_factor must be a number above 0 or {n} of them, got {scale_factor!r}")
        out = tuple(floor(s * f) for s, f in zip(spatial, factors))
        if recompute_scale_factor:
            factors = None
    if min(spatial) < 1 or min(out) < 1:
        raise ValueError(f"interpolate: from spatial size {spatial} to {out} is not possible")
    scales = [old / new for old, new in zip(spatial, out)] if factors is None else [1 / f for f in factors]
    if align_corners:
        scales = [(old - 1) / (new - 1) if new > 1 else 0.0 for old, new in zip(spatial, out)]
    if mode == "area":
        return resample(input, tuple(map(kernels.averages, spatial, out)))
    if mode.startswith("nearest"):
        taps, option = kernels.nearest, mode == "nearest-exact"
    else:
        taps, option = kernels.cubic if mode == "bicubic" else kernels.linear, bool(align_corners)
    return resample(input, tuple(taps(*sizes, option) for sizes in zip(spatial, out, scales)))


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(..., C * r**2, H, W) as (..., C, H * r, W * r): channels become pixels."""
    r = upscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-3] % r**2:
        raise ValueError(f"pixel_shuffle: input must have shape (..., C * {r}**2, H, W), got {tuple(input.shape)}")
    *lead, c, h, w = input.shape
    d = len(lead)
    x = reshape(input, (*lead, c // r**2, r, r, h, w))
    x = permute(x, (*range(d), d, d + 3, d + 1, d + 4, d + 2))  # (..., C, H, r, W, r)
    return reshape(x, (*lead, c // r**2, h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(..., C, H * r, W * r) as (..., C * r**2, H, W): pixels become channels."""
    r = downscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-1] % r or input.shape[-2] % r:
        raise ValueError(f"pixel_unshuffle: input must have shape (..., C, H * {r}, W * {r}), got {tuple(input.shape)}")
    *lead, c, h, w = input.shape
    d = len(lead)
    x = reshape(input, (*lead, c, h // r, r, w // r, r))
    x = permute(x, (*range(d), d, d + 2, d + 4, d + 1, d + 3))  # (..., C, r, r, H, W)
    return reshape(x, (*lead, c * r**2, h // r, w // r))
