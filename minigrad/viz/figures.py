"""Matplotlib figures of images, kernels, feature maps, training curves and confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..extras import extra
from ..tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _figure(width: float, height: float, title: str | None = None) -> Figure:
    """An empty figure that no window or global state knows of."""
    figure = extra("viz", "matplotlib.figure", "figures").Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title)
    return figure


def _array(values: Any) -> np.ndarray:
    return values.detach().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _side_by_side(pictures: Sequence[np.ndarray], columns: int | None, size: float, title: str | None,
                  titles: Sequence[Any] | None = None, **options: Any) -> Figure:  # fmt: skip
    """A figure of pictures in rows. The options are those of ``imshow``."""
    count = len(pictures)
    columns = min(count, columns or ceil(sqrt(count * 1.6)))
    rows = ceil(count / columns)
    figure = _figure(size * columns, (size + 0.25 * (titles is not None)) * rows + 0.35 * bool(title), title)
    for k, axis in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axis.axis("off")
        if k < count:
            axis.imshow(pictures[k], **options)
            axis.set_title("" if titles is None else str(titles[k]), fontsize=9)
    return figure


def _pictures(name: str, images: Any) -> list[np.ndarray]:
    """Images as matplotlib draws them: (H, W) or (H, W, 3), clipped to what can be shown."""
    arrays = [_array(image) for image in images]
    if not arrays:
        raise ValueError(f"{name}: got no images")
    for i, image in enumerate(arrays):
        if image.ndim == 3 and image.shape[0] in (1, 3):
            image = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
        elif image.ndim != 2:
            raise ValueError(f"{name}: image {i} has shape {image.shape}; expected (H, W), (1, H, W) or (3, H, W)")
        arrays[i] = image.clip(0, 1) if image.ndim == 3 and image.dtype.kind == "f" else image
    return arrays


def show_images(images: Any, titles: Sequence[Any] | None = None, columns: int | None = None, size: float = 1.3,
                title: str | None = None, cmap: str = "gray") -> Figure:
    """Images side by side.

    Args:
        images: (N, H, W), (N, 1, H, W) or (N, 3, H, W), or a list of single ones whose sizes may differ; colours
            are uint8, or floats of 0 to 1 (what lies outside is clipped).
        titles: a text above each.
        columns: how many in a row; by default so that the whole is a little wider than high.
        size: of each, in inches.
        cmap: the colours of images of one channel, from the least to the greatest value of each.
    """  # fmt: skip
    pictures = _pictures("show_images", images)
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"show_images: got {len(pictures)} images but {len(titles)} titles")
    return _side_by_side(pictures, columns, size, title, titles, cmap=cmap)


def show_kernels(weight: Any, columns: int | None = None, size: float = 0.9, title: str | None = None) -> Figure:
    """The kernels of a convolution: red is positive, blue negative, white zero, on one scale for all.

    Args:
        weight: (out, 1, kh, kw): the kernels in a grid; (out, in, kh, kw): a row for each output channel.
        columns: how many in a row, where each has one input channel.
        size: of each, in inches.
    """
    kernels = _array(weight)
    if kernels.ndim != 4:
        raise ValueError(f"show_kernels: weight must have shape (out, in, kh, kw), got {kernels.shape}")
    if kernels.shape[1] > 1:
        columns = kernels.shape[1]
    kernels = kernels.reshape(-1, *kernels.shape[2:])
    largest = float(abs(kernels).max()) or 1.0
    figure = _side_by_side(list(kernels), columns, size, title, cmap="RdBu_r", vmin=-largest, vmax=largest)
    figure.colorbar(figure.axes[0].images[0], ax=figure.axes, shrink=0.8, label="weight")
    return figure


def show_feature_maps(maps: Any, columns: int | None = None, size: float = 0.9, title: str | None = None) -> Figure:
    """The channels of one image inside a network, each from its least value (dark) to its greatest (bright).

    Args:
        maps: (C, H, W) or (1, C, H, W).
        columns: how many in a row.
        size: of each, in inches.
    """
    array = _array(maps)
    array = array[0] if array.ndim == 4 and len(array) == 1 else array
    if array.ndim != 3:
        raise ValueError(f"show_feature_maps: maps must have shape (C, H, W) or (1, C, H, W), got {array.shape}")
    return show_images(array, None, columns, size, title, "magma")


def plot_history(history: Mapping[str, Sequence[float]], title: str | None = None) -> Figure:
    """Curves by epoch, one plot for each quantity.

    Args:
        history: a list of values for each name. The last word of a name says what is measured, the words before
            it on what: ``{"training loss": […], "test loss": […], "test accuracy": […]}`` gives two plots.
    """
    if not history:
        raise ValueError("plot_history: history is empty")
    quantities = list(dict.fromkeys(name.split()[-1] for name in history))
    figure = _figure(4.5 * len(quantities), 3.6, title)
    for axis, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
        curves = {name: values for name, values in history.items() if name.split()[-1] == quantity}
        for name, values in curves.items():
            axis.plot(range(1, len(values) + 1), list(values), ".-", label=name.removesuffix(quantity).strip())
        axis.set(xlabel="epoch", title=quantity)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        if quantity == "loss" and min(map(min, curves.values())) > 0:
            axis.set_yscale("log")
        if any(name != quantity for name in curves):
            axis.legend()
    return figure


def confusion_matrix(labels: Any, predictions: Any, classes: Sequence[str] | int | None = None) -> Figure:
    """How often each class (row) was taken for each (column); the mistakes are coloured.

    Args:
        labels, predictions: (N,) class numbers.
        classes: their names, or how many there are; by default as many as occur.
    """
    true, taken = _array(labels), _array(predictions)
    if true.shape != taken.shape or true.ndim != 1:
        raise ValueError(f"confusion_matrix: labels {true.shape} and predictions {taken.shape} must be (N,) both")
    most = int(max(true.max(initial=0), taken.max(initial=0))) + 1
    names = classes if isinstance(classes, Sequence) else [str(i) for i in range(classes or most)]
    if most > len(names):
        raise ValueError(f"confusion_matrix: class {most - 1} occurs but there are only {len(names)} classes")
    count = len(names)
    counts = np.bincount(true.astype(int) * count + taken.astype(int), minlength=count * count).reshape(count, count)
    wrong = counts * (1 - np.eye(count, dtype=int))
    figure = _figure(1.2 + 0.45 * count, 1 + 0.42 * count)
    axis = figure.subplots()
    axis.imshow(wrong, cmap="Reds", vmax=max(6, 1.5 * wrong.max()))
    for i, j in np.argwhere(counts):
        axis.text(j, i, counts[i, j], ha="center", va="center", color="0.5" if i == j else "black")
    axis.set_xticks(range(count), names)
    axis.set_yticks(range(count), names)
    if max(map(len, names)) > 3:
        axis.tick_params("x", rotation=90)
    axis.set(xlabel="taken for", ylabel="class", title=f"{np.trace(counts)} of {len(true)} right")
    return figure


def save_figures(folder: str | Path, /, **figures: Figure) -> None:
    """Write figures as PNG files of their names into a folder, which is made if there is none, and say so."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=130)
    print(f"Pictures: {', '.join(f'{name}.png' for name in figures)} in {folder}")
