"""5,000 handwritten digits that come with minigrad; where they are from: ``SOURCES.md``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..engine import new_tensor


class Digits(NamedTuple):
    """Images (N, 1, 28, 28), float32 from 0 to 1, and their labels (N,), int64."""

    x_train: Any
    y_train: Any
    x_test: Any
    y_test: Any


def mnist5k() -> Digits:
    """4,000 training and 1,000 test digits of MNIST, 500 of each class.

    >>> mnist5k().x_train.shape
    (4000, 1, 28, 28)
    """
    with np.load(Path(__file__).with_name("mnist5k.npz")) as arrays:
        return Digits(**{
            name: new_tensor(array.astype(np.int64) if name[0] == "y" else array[:, None].astype(np.float32) / 255)
            for name, array in arrays.items()
        })  # fmt: skip
