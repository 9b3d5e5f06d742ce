"""Functions of each element, computed piece by piece: what they put aside in between stays in the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..memory import Array
from .layout import runs
from .threads import parallel

BLOCK = 1 << 15  # elements of a piece


def blockwise(function: Callable[..., Array]) -> Callable[..., Array]:
    """Decorates a function of each element, which then takes large arrays of one layout in pieces, and shares them."""

    @wraps(function)
    def computed(*args: Any, **options: Any) -> Array:
        if type(args[0]) is not np.ndarray or args[0].size < 2 * BLOCK:
            return function(*args, **options)
        arrays = [k for k, a in enumerate(args) if isinstance(a, np.ndarray)]
        flat = runs(*[args[k] for k in arrays])
        if flat is None:
            return function(*args, **options)

        def piece(k: int) -> Array:
            mine = list(args)
            for place, array in zip(arrays, flat, strict=True):
                mine[place] = array[k * BLOCK : (k + 1) * BLOCK]
            return function(*mine, **options)

        head = piece(0)
        out = np.empty_like(args[0], dtype=head.dtype)
        order = runs(args[0], out) if out.dtype == args[0].dtype else None
        if order is None:
            return function(*args, **options)
        target = order[1]
        target[:BLOCK] = head

        def run(first: int, last: int) -> None:
            for k in range(first + 1, last + 1):
                target[k * BLOCK : (k + 1) * BLOCK] = piece(k)

        parallel(run, (target.size - 1) // BLOCK, target.size)
        return out

    return computed
