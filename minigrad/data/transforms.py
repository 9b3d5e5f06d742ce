"""Transforms of images, with torchvision's names: what is done to each sample before it becomes part of a batch.

They take PIL images; crops and flips take tensors of shape (..., H, W) too. Those with Random in their name
draw from the default generator. Pillow is imported when it is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from .. import dtypes, random
from ..arguments import check_dims, check_kind, ntuple
from ..creation import as_tensor
from ..engine import TensorBase
from ..extras import extra
from ..ops.padding import pad as pad_tensor

# How the pixels between pixels are found, with Pillow's numbers.
InterpolationMode = IntEnum("InterpolationMode", "NEAREST LANCZOS BILINEAR BICUBIC BOX HAMMING", start=0)


def pillow() -> Any:
    """The module ``PIL.Image``."""
    return extra("vision", "PIL.Image", "images")


def _size(img: Any, name: str, tensors: bool = False) -> Any:
    """Height and width of an image."""
    if tensors and isinstance(img, TensorBase) and img.ndim >= 2:
        return img.shape[-2:]
    if not isinstance(img, TensorBase) and isinstance(img, pillow().Image):
        return img.height, img.width
    found = f"a tensor of shape {tuple(img.shape)}" if isinstance(img, TensorBase) else type(img).__name__
    raise TypeError(f"{name}: expected a PIL image{', or a tensor of shape (..., H, W)' * tensors}, got {found}")


def _crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of an image; what lies outside of the image is 0."""
    if not isinstance(img, TensorBase):
        return img.crop((left, top, left + width, top + height))
    h, w = img.shape[-2:]
    borders = (-left, left + width - w, -top, top + height - h)
    whole = pad_tensor(img, [max(border, 0) for border in borders])
    return whole[..., max(top, 0) :, max(left, 0) :][..., :height, :width]


def _colour(fill: Any, img: Any) -> Any:
    """``fill``, a number or one for each channel, for all channels."""
    return tuple(fill) if isinstance(fill, Sequence) else (fill,) * len(img.getbands())


def _uniform(low: float, high: float) -> float:
    return float(random.default_generator.numpy.uniform(low, high))


def _range(value: Any, name: str, middle: float = 0.0) -> tuple[float, float]:
    """A range given by its ends, or by how far it extends from its middle."""
    low, high = value if isinstance(value, Sequence) else (middle - value, middle + value)
    if low > high:
        raise ValueError(f"{name}: {value} is not a range")
    return low, high


@dataclass_transform(eq_default=False)
class Transform:
    """Base class, which makes dataclasses of its subclasses."""

    def __init_subclass__(cls) -> None:
        dataclass(eq=False)(cls)


class Compose(Transform):
    """Several transforms, one after the other."""

    transforms: Sequence[Callable[[Any], Any]]

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img


class Lambda(Transform):
    """Any function of the image."""

    lambd: Callable[[Any], Any]

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)


class ToTensor(Transform):
    """A PIL image or an array (H, W) or (H, W, C) as a tensor (C, H, W); bytes become numbers from 0 to 1."""

    def __call__(self, pic: Any) -> Any:
        if not isinstance(pic, np.ndarray):
            _size(pic, "ToTensor")
            pic = np.array(pic.convert({"1": "L", "I;16": "I"}.get(pic.mode, pic.mode)))
        if pic.ndim not in (2, 3):
            raise ValueError(f"ToTensor: expected an array of shape (H, W) or (H, W, C), got {pic.shape}")
        image = as_tensor(np.ascontiguousarray(np.atleast_3d(pic).transpose(2, 0, 1)))
        return image.to(dtypes.get_default_dtype()) / 255 if image.dtype == dtypes.uint8 else image


class Normalize(Transform):
    """``(tensor - mean) / std`` for each channel of a floating-point tensor (..., C, H, W)."""

    mean: Sequence[float]
    std: Sequence[float]
    inplace: bool = False

    def __call__(self, tensor: Any) -> Any:
        check_kind("Normalize", "f", tensor=tensor)
        check_dims("Normalize", range(3, 65), tensor=tensor)
        mean, std = (as_tensor(values, tensor.dtype).reshape(-1, 1, 1) for values in (self.mean, self.std))
        if (std == 0).any():
            raise ValueError(f"Normalize: std must not be 0, got {self.std}")
        return tensor.sub_(mean).div_(std) if self.inplace else (tensor - mean) / std


class Grayscale(Transform):
    """Shades of grey, in one channel or in three equal ones."""

    num_output_channels: int = 1

    def __call__(self, img: Any) -> Any:
        _size(img, "Grayscale")
        if self.num_output_channels not in (1, 3):
            raise ValueError(f"Grayscale: num_output_channels must be 1 or 3, got {self.num_output_channels}")
        return img.convert("L").convert("L" if self.num_output_channels == 1 else "RGB")


# --------------------------------------------------------------------------------- sizes and places


class Resize(Transform):
    """Another resolution. Pixels that become smaller are averaged.

    ``size`` is (height, width), or the length of the shorter side.
    """

    size: Any
    interpolation: Any = InterpolationMode.BILINEAR

    def __call__(self, img: Any) -> Any:
        h, w = _size(img, "Resize")
        size = ntuple(self.size, 2 if np.size(self.size) == 2 else 1, "Resize", "size", 1)
        height, width = size if len(size) == 2 else (size[0] * h // min(h, w), size[0] * w // min(h, w))
        return img.resize((width, height), self.interpolation)


class CenterCrop(Transform):
    """The middle of the image, with borders of 0 if the image is smaller. Tensors too."""

    size: Any

    def __call__(self, img: Any) -> Any:
        height, width = ntuple(self.size, 2, "CenterCrop", "size", 1)
        h, w = _size(img, "CenterCrop", tensors=True)
        # Half of what is missing, rounded down, goes to the left; of what is too much as Python rounds.
        top, left = (round(d / 2) if d >= 0 else -(-d // 2) for d in (h - height, w - width))
        return _crop(img, top, left, height, width)


class RandomCrop(Transform):
    """A part of the given size from anywhere in the image. Tensors too.

    Args:
        size: (height, width), or one number for both.
        padding: borders of 0 to add before: the width of all, of (left and right, top and bottom), or of (left,
            top, right, bottom).
        pad_if_needed: add borders to an image that is smaller than ``size``.
    """

    size: Any
    padding: Any = None
    pad_if_needed: bool = False

    def __call__(self, img: Any) -> Any:
        height, width = ntuple(self.size, 2, "RandomCrop", "size", 1)
        borders = ntuple(self.padding or 0, 4 if np.size(self.padding) == 4 else 2, "RandomCrop", "padding")
        left, top, right, bottom = borders * (4 // len(borders))
        h, w = _size(img, "RandomCrop", tensors=True)
        h, w = h + top + bottom, w + left + right
        if self.pad_if_needed:  # on both sides
            more_rows, more_columns = max(height - h, 0), max(width - w, 0)
            top, left, h, w = top + more_rows, left + more_columns, h + 2 * more_rows, w + 2 * more_columns
        if h < height or w < width:
            raise ValueError(f"RandomCrop: an image of {h} x {w} has no part of {height} x {width}; see pad_if_needed")
        y, x = random.default_generator.numpy.integers((h - height + 1, w - width + 1)).tolist()
        return _crop(img, y - top, x - left, height, width)


class RandomHorizontalFlip(Transform):
    """Left and right exchanged with probability ``p``. Tensors too."""

    p: float = 0.5
    _dim: ClassVar[int] = -1

    def __call__(self, img: Any) -> Any:
        _size(img, type(self).__name__, tensors=True)
        if _uniform(0, 1) >= self.p:
            return img
        if isinstance(img, TensorBase):
            return img.flip(self._dim)  # type: ignore[attr-defined]
        kind = pillow().Transpose
        return img.transpose(kind.FLIP_LEFT_RIGHT if self._dim == -1 else kind.FLIP_TOP_BOTTOM)


class RandomVerticalFlip(RandomHorizontalFlip):
    """Top and bottom exchanged with probability ``p``. Tensors too."""

    _dim = -2


class RandomRotation(Transform):
    """The image turned by a random angle: from ``-degrees`` to ``degrees``, or in that range of two.

    ``expand`` enlarges the image so that all of it stays visible; ``center`` (x, y) is the middle by default.
    """

    degrees: Any
    interpolation: Any = InterpolationMode.NEAREST
    expand: bool = False
    center: Any = None
    fill: Any = 0

    def __post_init__(self) -> None:
        self.degrees = _range(self.degrees, "RandomRotation")

    def __call__(self, img: Any) -> Any:
        _size(img, "RandomRotation")
        angle = _uniform(*self.degrees)
        return img.rotate(angle, self.interpolation, self.expand, self.center, fillcolor=_colour(self.fill, img))


class RandomAffine(Transform):
    """The image sheared, scaled, turned around ``center`` (by default the middle) and moved, at random.

    Args:
        degrees: the range of the angle, or one number for -degrees to degrees.
        translate: how far at most to move it to the sides and up or down, as fractions of its size.
        scale: the range of the factor.
        shear: the range of the angle along x, one number for -shear to shear, or four for x and y.
        fill: the colour of what the image no longer covers.
    """

    degrees: Any
    translate: Any = None
    scale: Any = None
    shear: Any = None
    interpolation: Any = InterpolationMode.NEAREST
    fill: Any = 0
    center: Any = None

    def __post_init__(self) -> None:
        self.degrees = _range(self.degrees, "RandomAffine")
        if self.shear is not None and not (isinstance(self.shear, Sequence) and len(self.shear) == 4):
            self.shear = (*_range(self.shear, "RandomAffine"), 0.0, 0.0)
        if not all(0 <= part <= 1 for part in self.translate or ()) or not all(f > 0 for f in self.scale or ()):
            raise ValueError(f"RandomAffine: translate must be two fractions from 0 to 1, scale positive, got "
                             f"{self.translate} and {self.scale}")  # fmt: skip

    def __call__(self, img: Any) -> Any:
        h, w = _size(img, "RandomAffine")
        turn = math.radians(_uniform(*self.degrees))
        limits = np.multiply(self.translate or (0.0, 0.0), (w, h))
        move = np.round([_uniform(-limit, limit) for limit in limits])
        scale = _uniform(*self.scale) if self.scale else 1.0
        low_x, high_x, low_y, high_y = np.radians(self.shear or (0.0, 0.0, 0.0, 0.0))
        turned = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        tan_x, tan_y = np.tan([_uniform(low_x, high_x), _uniform(low_y, high_y)])
        matrix = scale * np.array(turned) @ [[1, -tan_x], [-tan_y, 1 + tan_x * tan_y]]
        middle = np.array(self.center or (w * 0.5, h * 0.5))
        back = np.linalg.inv(matrix)  # Pillow asks where each pixel comes from
        offset = middle - back @ (middle + move)
        coefficients = (*back[0], offset[0], *back[1], offset[1])
        return img.transform(img.size, 0, coefficients, self.interpolation, fillcolor=_colour(self.fill, img))


# ----------------------------------------------------------------------------------------- colours


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue of a PIL image changed at random, in random order.

    Each is a range of factors, or how far these may be from 1; that of the hue lies within -0.5 to
    0.5, or is how far it may be from 0.
    """

    brightness: Any = 0
    contrast: Any = 0
    saturation: Any = 0
    hue: Any = 0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            low, high = _range(getattr(self, name), f"ColorJitter: {name}", 1.0)
            setattr(self, name, (max(low, 0.0), high))
        self.hue = _range(self.hue, "ColorJitter: hue")
        if not -0.5 <= self.hue[0] <= self.hue[1] <= 0.5:
            raise ValueError(f"ColorJitter: hue must be within -0.5 to 0.5, got {self.hue}")

    def __call__(self, img: Any) -> Any:
        _size(img, "ColorJitter")
        enhance = extra("vision", "PIL.ImageEnhance", "images")
        kinds = (enhance.Brightness, enhance.Contrast, enhance.Color)
        limits = (self.brightness, self.contrast, self.saturation, self.hue)
        for i in random.randperm(4).tolist():
            amount = _uniform(*limits[i])
            img = _turn_hue(img, amount) if i == 3 else kinds[i](img).enhance(amount)
        return img


def _turn_hue(img: Any, part: float) -> Any:
    """All hues of a PIL image moved around the circle of colours by that part of it."""
    if part == 0 or img.mode in ("L", "1", "I", "F"):
        return img
    hue, *others = img.convert("HSV").split()
    hue = hue.point([(value + int(part * 255)) % 256 for value in range(256)])
    return pillow().merge("HSV", (hue, *others)).convert(img.mode)
