"""Transforms of images, with torchvision's names: what is done to each sample before it becomes part of a batch.

They take PIL images, and where they say so tensors of shape (..., H, W). Those with Random in their
name draw from the default generator. Pillow is imported when it is needed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, dataclass_transform

import numpy as np

from .. import dtypes, random
from ..arguments import ntuple
from ..creation import as_tensor
from ..engine import TensorBase, new_tensor
from ..ops.padding import pad as pad_tensor


class InterpolationMode(IntEnum):
    """How the pixels between pixels are found, with Pillow's numbers."""

    NEAREST = NEAREST_EXACT = 0
    LANCZOS = 1
    BILINEAR = 2
    BICUBIC = 3
    BOX = 4
    HAMMING = 5


def pillow() -> Any:
    """The module ``PIL.Image``."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("images need Pillow: pip install 'minigrad-nn[vision]'") from error
    return Image


def _size(img: Any, name: str) -> Any:
    """Height and width of an image."""
    if isinstance(img, TensorBase) and img.ndim >= 2:
        return img.shape[-2:]
    if "PIL.Image" in sys.modules and isinstance(img, pillow().Image):
        return img.height, img.width
    found = tuple(img.shape) if isinstance(img, TensorBase) else type(img).__name__
    raise TypeError(f"{name}: expected a PIL image, or a tensor of shape (..., H, W), got {found}")


def _only_pil(img: Any, name: str) -> Any:
    if isinstance(img, TensorBase):
        raise TypeError(f"{name}: expected a PIL image; put this before the transform that makes it a tensor")
    _size(img, name)
    return img


def _by_pillow(img: Any, change: Callable[[Any], Any]) -> Any:
    """A change of PIL images applied to a PIL image, or to each channel of a tensor."""
    if not isinstance(img, TensorBase):
        return change(img)
    array = img.numpy()  # type: ignore[attr-defined]
    channels = array.reshape(-1, *array.shape[-2:])
    channels = channels if array.dtype == np.uint8 else channels.astype(np.float32)
    changed = np.stack([np.asarray(change(pillow().fromarray(channel))) for channel in channels])
    return new_tensor(changed.reshape(*array.shape[:-2], *changed.shape[1:]).astype(array.dtype))


def _colour(fill: Any, img: Any) -> Any:
    """``fill``, a number or one for each channel, as Pillow wants it for a PIL image."""
    channels = len(img.getbands())
    colour = tuple(fill) if isinstance(fill, Sequence) else (fill or 0,) * channels
    if len(colour) != channels:
        raise ValueError(f"fill has {len(colour)} values for an image of {channels} channels")
    return colour if channels > 1 else colour[0]


def _crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of an image; what lies outside of the image is 0."""
    if not isinstance(img, TensorBase):
        return img.crop((left, top, left + width, top + height))
    h, w = img.shape[-2:]
    return pad_tensor(img, (-left, left + width - w, -top, top + height - h))


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


# -------------------------------------------------------------------------------- of any samples


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


class RandomApply(Transform):
    """All of the transforms with probability ``p``, else none."""

    transforms: Sequence[Callable[[Any], Any]]
    p: float = 0.5

    def __call__(self, img: Any) -> Any:
        return Compose(self.transforms)(img) if _uniform(0, 1) < self.p else img


# ------------------------------------------------------------------- from one kind of image to another


class PILToTensor(Transform):
    """A PIL image as a tensor (C, H, W) of its own dtype, mostly uint8."""

    def __call__(self, pic: Any) -> Any:
        array = np.array(_only_pil(pic, type(self).__name__))
        if array.dtype == np.uint16:
            array = array.astype(np.int32)
        return new_tensor(np.ascontiguousarray(array.reshape(pic.height, pic.width, -1).transpose(2, 0, 1)))


class ToTensor(PILToTensor):
    """A PIL image or an array (H, W) or (H, W, C) as a tensor (C, H, W); bytes become numbers from 0 to 1."""

    def __call__(self, pic: Any) -> Any:
        if not isinstance(pic, np.ndarray):
            image = super().__call__(pic)
        elif pic.ndim in (2, 3):
            image = new_tensor(np.ascontiguousarray(np.atleast_3d(pic).transpose(2, 0, 1)))
        else:
            raise ValueError(f"ToTensor: expected an array of shape (H, W) or (H, W, C), got {pic.shape}")
        if image.dtype == dtypes.bool and not isinstance(pic, np.ndarray):  # a PIL image of black and white
            return image.to(dtypes.get_default_dtype())
        return image.to(dtypes.get_default_dtype()) / 255 if image.dtype == dtypes.uint8 else image


class ToPILImage(Transform):
    """A tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image. Floats are from 0 to 1.

    The mode is L, LA, RGB or RGBA, by the number of channels; F if ``mode`` says so.
    """

    mode: str | None = None

    def __call__(self, pic: Any) -> Any:
        array = np.asarray(pic.detach().numpy() if isinstance(pic, TensorBase) else pic)  # type: ignore[attr-defined]
        if array.ndim not in (2, 3):
            raise ValueError(f"ToPILImage: expected an image of 2 or 3 dimensions, got shape {array.shape}")
        array = np.moveaxis(array, 0, -1) if isinstance(pic, TensorBase) and array.ndim == 3 else np.atleast_3d(array)
        if array.dtype.kind == "f" and self.mode != "F":
            array = (array * 255).astype(np.uint8)
        channels = array.shape[2]
        if channels > 4 or (channels > 1 and array.dtype != np.uint8):
            raise ValueError(f"ToPILImage: no kind of image has {channels} channels of {array.dtype}")
        image = pillow().fromarray(np.ascontiguousarray(array[:, :, 0] if channels == 1 else array))
        if self.mode not in (None, image.mode):
            raise NotImplementedError(f"ToPILImage: {channels} channels of {array.dtype} as mode {self.mode!r}")
        return image


class Normalize(Transform):
    """``(tensor - mean) / std`` for each channel of a floating-point tensor (..., C, H, W)."""

    mean: Sequence[float]
    std: Sequence[float]
    inplace: bool = False

    def __call__(self, tensor: Any) -> Any:
        if not isinstance(tensor, TensorBase) or tensor.ndim < 3 or tensor.dtype.kind != "f":
            found = f"{tensor.dtype} {tensor.shape}" if isinstance(tensor, TensorBase) else type(tensor).__name__
            raise TypeError(f"Normalize: expected a floating-point tensor (..., C, H, W), got {found}")
        mean, std = (as_tensor(values, tensor.dtype).reshape(-1, 1, 1) for values in (self.mean, self.std))
        if (std == 0).any():
            raise ValueError(f"Normalize: std must not be 0, got {self.std}")
        return tensor.sub_(mean).div_(std) if self.inplace else (tensor - mean) / std  # type: ignore


class Grayscale(Transform):
    """Shades of grey, in one channel or in three equal ones."""

    num_output_channels: int = 1

    def __call__(self, img: Any) -> Any:
        grey = _only_pil(img, "Grayscale").convert("L")
        return grey if self.num_output_channels == 1 else pillow().merge("RGB", (grey,) * 3)


# --------------------------------------------------------------------------------- sizes and places


class Resize(Transform):
    """Another resolution. Pixels that become smaller are averaged. Tensors too.

    ``size`` is (height, width), or the length of the shorter side; then the longer one is at most ``max_size``.
    """

    size: Any
    interpolation: Any = InterpolationMode.BILINEAR
    max_size: int | None = None
    antialias: bool | None = True

    def __call__(self, img: Any) -> Any:
        if isinstance(img, TensorBase) and not self.antialias:
            raise NotImplementedError("Resize: a tensor needs antialias=True; see also nn.functional.interpolate")
        h, w = _size(img, "Resize")
        if isinstance(self.size, Sequence) and len(self.size) == 2:
            height, width = self.size
        else:
            (short,) = ntuple(self.size, 1, "Resize", "size", 1)
            long = int(short * max(h, w) / min(h, w))
            if self.max_size is not None and long > self.max_size:
                short, long = int(self.max_size * short / long), self.max_size
            height, width = (long, short) if w <= h else (short, long)
        return _by_pillow(img, lambda image: image.resize((width, height), self.interpolation))


class Pad(Transform):
    """Borders around the image. Tensors too.

    Args:
        padding: the width of all borders, of (left and right, top and bottom), or of (left, top, right, bottom).
        fill: the colour of constant borders.
        padding_mode: "constant", or of the image's own pixels: "edge", "reflect" or "symmetric".
    """

    padding: Any
    fill: Any = 0
    padding_mode: Any = "constant"

    def __call__(self, img: Any) -> Any:
        h, w = _size(img, "Pad")
        given = tuple(self.padding) if isinstance(self.padding, Sequence) else (self.padding,)
        if len(given) not in (1, 2, 4) or self.padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError(f"Pad: {self.padding!r} with mode {self.padding_mode!r} are not borders")
        left, top, right, bottom = given * (4 // len(given))
        if self.padding_mode != "constant":
            rows = np.pad(np.arange(h), (top, bottom), self.padding_mode)[:, None]
            columns = np.pad(np.arange(w), (left, right), self.padding_mode)
            if isinstance(img, TensorBase):
                return img[..., rows, columns]  # type: ignore[index]
            return pillow().fromarray(np.asarray(img)[rows, columns])
        if isinstance(img, TensorBase):
            return pad_tensor(img, (left, right, top, bottom), value=self.fill)
        whole = pillow().new(img.mode, (left + w + right, top + h + bottom), _colour(self.fill, img))
        whole.paste(img, (left, top))
        return whole


class CenterCrop(Transform):
    """The middle of the image, with borders of 0 if the image is smaller. Tensors too."""

    size: Any

    def __call__(self, img: Any) -> Any:
        height, width = ntuple(self.size, 2, "CenterCrop", "size", 1)
        h, w = _size(img, "CenterCrop")
        # Half of what is missing, rounded down, goes to the left; of what is too much as Python rounds.
        top = round((h - height) / 2) if h >= height else -((height - h) // 2)
        left = round((w - width) / 2) if w >= width else -((width - w) // 2)
        return _crop(img, top, left, height, width)


class RandomCrop(Transform):
    """A part of the given size from anywhere in the image. Tensors too.

    Args:
        size: (height, width), or one number for both.
        padding: borders to add before; with ``fill`` and ``padding_mode``, as for :class:`Pad`.
        pad_if_needed: add borders to an image that is smaller than ``size``.
    """

    size: Any
    padding: Any = None
    pad_if_needed: bool = False
    fill: Any = 0
    padding_mode: str = "constant"

    def __call__(self, img: Any) -> Any:
        height, width = ntuple(self.size, 2, "RandomCrop", "size", 1)
        if self.padding is not None:
            img = Pad(self.padding, self.fill, self.padding_mode)(img)
        h, w = _size(img, "RandomCrop")
        if self.pad_if_needed and (w < width or h < height):
            img = Pad((max(width - w, 0), max(height - h, 0)), self.fill, self.padding_mode)(img)
            h, w = _size(img, "RandomCrop")
        if h < height or w < width:
            raise ValueError(f"RandomCrop: an image of {h} x {w} has no part of {height} x {width}; see pad_if_needed")
        top, left = random.default_generator.numpy.integers((h - height + 1, w - width + 1)).tolist()
        return _crop(img, top, left, height, width)


class RandomHorizontalFlip(Transform):
    """Left and right exchanged with probability ``p``. Tensors too."""

    p: float = 0.5

    def __call__(self, img: Any) -> Any:
        return _flip(img, -1) if _uniform(0, 1) < self.p else img


class RandomVerticalFlip(Transform):
    """Top and bottom exchanged with probability ``p``. Tensors too."""

    p: float = 0.5

    def __call__(self, img: Any) -> Any:
        return _flip(img, -2) if _uniform(0, 1) < self.p else img


def _flip(img: Any, dim: int) -> Any:
    _size(img, "flip")
    if isinstance(img, TensorBase):
        return img.flip(dim)  # type: ignore[attr-defined]
    return img.transpose(pillow().Transpose.FLIP_LEFT_RIGHT if dim == -1 else pillow().Transpose.FLIP_TOP_BOTTOM)


class RandomRotation(Transform):
    """The image turned by a random angle: from ``-degrees`` to ``degrees``, or in that range of two. Tensors too.

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
        angle = _uniform(*self.degrees)
        _size(img, "RandomRotation")
        return _by_pillow(img, lambda image: image.rotate(
            angle, self.interpolation, self.expand, self.center, fillcolor=_colour(self.fill, image)))  # fmt: skip


class RandomAffine(Transform):
    """The image sheared, scaled, turned around ``center`` (by default the middle) and moved, at random. Tensors too.

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
        matrix = _affine_matrix(turn, scale, _uniform(low_x, high_x), _uniform(low_y, high_y))
        middle = np.array(self.center or (w * 0.5, h * 0.5))
        back = np.linalg.inv(matrix)  # Pillow asks where each pixel comes from
        offset = middle - back @ (middle + move)
        coefficients = (*back[0], offset[0], *back[1], offset[1])
        return _by_pillow(img, lambda image: image.transform(
            image.size, 0, coefficients, self.interpolation, fillcolor=_colour(self.fill, image)))  # fmt: skip


def _affine_matrix(turn: float, scale: float, shear_x: float, shear_y: float) -> np.ndarray:
    """What turns, after shearing and scaling, the plane clockwise; all angles in radians."""
    sheared = [[1.0, -math.tan(shear_x)], [-math.tan(shear_y), 1 + math.tan(shear_x) * math.tan(shear_y)]]
    turned = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    return scale * np.array(turned) @ sheared


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
        img = _only_pil(img, "ColorJitter")
        from PIL import ImageEnhance

        changes = {"Brightness": self.brightness, "Contrast": self.contrast, "Color": self.saturation}
        for i in random.randperm(4).tolist():
            if i == 3:
                img = _turn_hue(img, _uniform(*self.hue))
            else:
                name, limits = list(changes.items())[i]
                img = getattr(ImageEnhance, name)(img).enhance(_uniform(*limits))
        return img


def _turn_hue(img: Any, part: float) -> Any:
    """All hues of a PIL image moved around the circle of colours by that part of it."""
    if part == 0 or img.mode in ("L", "1", "I", "F"):
        return img
    hue, *others = img.convert("HSV").split()
    hue = hue.point([(value + int(part * 255)) % 256 for value in range(256)])
    return pillow().merge("HSV", (hue, *others)).convert(img.mode)
