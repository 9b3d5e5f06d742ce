"""Batches of images as one picture: what ``torchvision.utils`` has."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..creation import as_tensor
from ..engine import new_tensor
from ..ops.shaping import stack


def make_grid(tensor: Any, nrow: int = 8, padding: int = 2, normalize: bool = False, *, pad_value: float = 0.0) -> Any:
    """Images (N, C, H, W), or a list of them, side by side in one of shape (C, height, width); of 1 channel 3 are made.

    Args:
        nrow: how many there are in a row.
        padding: pixels between and around them, of the value ``pad_value``.
        normalize: map the range of all values to 0 ... 1.
    """
    images = (stack(list(tensor)) if isinstance(tensor, (list, tuple)) else as_tensor(tensor)).detach()._array
    if not 2 <= images.ndim <= 4:
        raise ValueError(f"make_grid: expected images of shape (N, C, H, W), (C, H, W) or (H, W), got {images.shape}")
    images = images.reshape((1,) * (4 - images.ndim) + images.shape)
    if images.shape[1] == 1:
        images = np.repeat(images, 3, axis=1)
    if normalize:
        low, high = images.min(), images.max()
        images = (images - low) / np.maximum(high - low, 1e-5)
    count, channels, height, width = images.shape
    if count == 1:
        return new_tensor(images[0])
    columns, across, down = min(nrow, count), width + padding, height + padding
    shape = (channels, math.ceil(count / columns) * down + padding, columns * across + padding)
    grid = np.full(shape, pad_value, images.dtype)
    for k, image in enumerate(images):
        top, left = k // columns * down + padding, k % columns * across + padding
        grid[:, top : top + height, left : left + width] = image
    return new_tensor(grid)


def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Write images with values from 0 to 1 to a file, in the grid that :func:`make_grid` makes of them with ``kwargs``.

    Raises ImportError where Pillow is not installed: ``pip install 'minigrad-nn[vision]'``.
    """
    from ..data.transforms import pillow

    pixels = make_grid(tensor, **kwargs)._array * 255 + 0.5
    pillow().fromarray(pixels.clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy()).save(fp, format=format)
