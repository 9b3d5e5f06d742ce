"""Calls of machine code that are known beforehand, one after the other, without Python in between."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from . import assembler as x86
from .assembler import R12, R13, RBX, RDI, Assembler, Memory, address


class Call(NamedTuple):
    """The address of machine code, and the words of its arguments, the first of which are in front of them."""

    code: int
    words: list[int]
    table: array[int] | None = None  # that of :class:`~.loops.Loops`, whose address comes before the words


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


def loop_of_calls(calls: Callable[[int], Sequence[Call]], count: int, first: int = 1) -> tuple[array[int], list[Any]]:
    """The arguments of :func:`in_sequence` for ``count`` steps of ``calls``; then the memory that they refer to.

    From step ``first`` on, 0 or 1, words grow or fall from step to step as they do to the next.
    """
    samples = [calls(min(step, count - 1)) for step in range(first + 2)]
    further = np.maximum(np.arange(count) - first, 0)[:, None]
    kept: list[Any] = []
    pairs = np.empty((count, len(samples[0]), 2), np.int64)
    for k, same in enumerate(zip(*samples, strict=True)):
        start, table = same[0], same[0].table
        assert all(call.table == table for call in same)
        *_, one, two = (np.array(call.words) for call in same)
        lead = table is not None
        words = np.empty((count, lead + len(one)), np.int64)
        words[:, lead:] = one + further * (two - one)
        words[0, lead:] = start.words
        if table is not None:
            words[:, 0] = table.buffer_info()[0]
        pairs[:, k, 0] = start.code
        pairs[:, k, 1] = address(words) + np.arange(count) * words.strides[0]
        kept += words, table
    block = array("q", [pairs.size // 2])
    block.frombytes(pairs.tobytes())
    return block, kept
