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


def loop_of_calls(calls: Callable[[int], Sequence[Call]], count: int, first: int = 1) -> tuple[array[int], list[Array]]:
    """The arguments of :func:`in_sequence` for ``count`` steps of ``calls``; then the memory that they refer to.

    From step ``first`` on, 0 or 1, words grow or fall from step to step as they do to the next.
    """
    samples = [calls(min(step, count - 1)) for step in range(first + 2)]
    further = np.maximum(np.arange(count) - first, 0)[:, None]
    tables = []
    for words in zip(*[[words for _, words in sample] for sample in samples], strict=True):
        *_, one, two = (np.array(numbers) for numbers in words)
        table = one + further * (two - one)
        table[0] = words[0]
        tables.append(table)
    pairs = np.empty((count, len(tables), 2), np.int64)
    for k, ((code, _), table) in enumerate(zip(samples[0], tables)):
        pairs[:, k, 0] = code
        pairs[:, k, 1] = address(table) + np.arange(count) * table.strides[0]
    block = array("q", [pairs.size // 2])
    block.frombytes(pairs.tobytes())
    return block, tables
