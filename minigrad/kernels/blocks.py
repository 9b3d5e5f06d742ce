"""Functions of each element, computed piece by piece: what they put aside in between stays in the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..memory import Array
from .layout import runs
from .threads import parallel

BLOCK = 1 << 18  # elements of a piece: in smaller ones, threads wait for the interpreter more often


def in_blocks(write: Callable[..., Any], flat: list[Array], nanoseconds: float) -> None:
    """Call ``write`` with a piece of each of the arrays, for all pieces; the threads share them.

    ``nanoseconds`` is about how long an element takes.
    """

    def body(start: int, stop: int) -> None:
        for i in range(start, stop, BLOCK):
            write(*[a[i : min(i + BLOCK, stop)] for a in flat])

    parallel(body, flat[0].size, flat[0].size * nanoseconds)


def blockwise(function: Callable[..., Array]) -> Callable[..., Array]:
    """Decorates a function of each element, which then takes large arrays of one layout in pieces, and shares them."""

    @wraps(function)
    def computed(*args: Any, **options: Any) -> Array:
        if type(args[0]) is not np.ndarray or args[0].size <= BLOCK:
            return function(*args, **options)
        places = [k for k, a in enumerate(args) if isinstance(a, np.ndarray)]
        flat = runs(*[args[k] for k in places])
        if flat is None:
            return function(*args, **options)

        def piece(*parts: Array) -> Array:
            mine = list(args)
            for place, part in zip(places, parts, strict=True):
                mine[place] = part
            return function(*mine, **options)

        out = np.empty_like(args[0], dtype=piece(*[a[:1] for a in flat]).dtype)
        order = runs(args[0], out)
        if order is None:
            return function(*args, **options)
        in_blocks(lambda *parts: np.copyto(parts[-1], piece(*parts[:-1])), [*flat, order[1]], 1)
        return out

    return computed
