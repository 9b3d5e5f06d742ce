"""Calls of machine code that are known beforehand, one after the other, without Python in between."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from ..memory import Array
from . import assembler as x86
from .assembler import R12, R13, RBX, RDI, Assembler, Memory, address

Call = tuple[int, list[int]]  # the address of machine code, and the words of its arguments


@cache
def in_sequence() -> Callable[[int], None]:
    """Calls machine code: a block of how often, and for each call of its address and that of its arguments."""
    asm = Assembler()
    asm.push((RBX, R12, R13))
    asm.load(RBX, RDI)
    asm.load(R12, Memory(RDI))

    def one() -> None:
        asm.load(RDI, Memory(RBX, 16))
        asm.call(Memory(RBX, 8))
        asm.add(RBX, 16)

    asm.times(R12, one)
    asm.pop((R13, R12, RBX))
    asm.end()
    return x86.executable(asm.finished())


def loop_of_calls(calls: Callable[[int], Sequence[Call]], count: int) -> tuple[array[int], list[Array]]:
    """The arguments of :func:`in_sequence` for ``count`` steps of ``calls``; then the memory that they refer to.

    From the second step on, all that differs grows or falls as it does from the second to the third.
    """
    first, second, third = (calls(min(step, count - 1)) for step in range(3))
    tables = []
    for one, two, three in zip(first, second, third, strict=True):
        words = np.empty((count, len(one[1])), np.int64)
        words[0] = one[1]
        words[1:] = np.array(two[1]) + np.arange(count - 1)[:, None] * (np.array(three[1]) - np.array(two[1]))
        tables.append(words)
    pairs = np.empty((count, len(tables), 2), np.int64)
    for k, ((code, _), words) in enumerate(zip(first, tables)):
        pairs[:, k, 0] = code
        pairs[:, k, 1] = address(words) + np.arange(count) * words.strides[0]
    return array("q", [pairs.size // 2, *pairs.ravel().tolist()]), tables
