"""Transposition of float32 matrices in machine code: blocks of 8x8 numbers are turned in the registers."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np

from ..memory import Array
from . import assembler as x86
from .assembler import R8, R9, R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI, Memory, address
from .threads import call, divided

_SIDE = 8  # of a block
_WIDE = 16  # columns that are read at a time: the numbers of a line of the cache


@lru_cache(maxsize=256)
def _blocks(size: int, step: int, in_source: int, in_target: int) -> Array:
    """Where blocks of ``step``, of which the last ends at ``size``, begin in source and target, in bytes."""
    return np.outer(np.minimum(np.arange(0, size, step), size - step), (in_source, in_target))


def transpose(source: Array, target: Array) -> bool:
    """Write to ``target`` (C, columns, rows) the transposes of ``source`` (C, rows, columns), if they are large enough.

    The last dimension of both must be contiguous.
    """
    channels, rows, columns = source.shape
    if rows < _SIDE or columns < _WIDE:
        return False
    across = _blocks(columns, _WIDE, 4, target.strides[1])
    down = _blocks(rows, _SIDE, source.strides[1], 4)
    blocks = []
    for start, stop in divided(len(across), source.size / 2):
        blocks.append(array("q", [
            channels, address(source), address(target), source.strides[0], target.strides[0], source.strides[1],
            target.strides[1], stop - start, address(across[start:]), len(down), address(down), 0, 0,
        ]))  # fmt: skip
    call(_transpose(), blocks)
    return True


def transposed(a: Array) -> Array:
    """The transposes of matrices (n, rows, columns)."""
    out: Array = np.empty((len(a), *a.shape[:0:-1]), a.dtype)
    if not (a.dtype == np.float32 and a.strides[2] == 4 and x86.usable() and transpose(a, out)):
        np.copyto(out, a.swapaxes(1, 2))
    return out


@cache
def _transpose() -> Callable[[int], None]:
    """Words: channels, source, target, how far apart channels are in both, rows of both; tables of (offset in source,
    in target) of the columns and rows at which blocks begin, each with its length before it."""
    asm = x86.Assembler()
    (channels, source, target, source_channel, target_channel, source_row, target_row, n_across, across, n_down, down,
     left, low) = (Memory(RDI, 8 * k) for k in range(13))  # fmt: skip
    asm.push(x86.SAVED)
    for step, twice, thrice, word in ((RBX, R8, R9, source_row), (R10, R11, R12, target_row)):
        asm.load(step, word)
        asm.load(twice, step)
        asm.increase(twice, step)
        asm.load(thrice, twice)
        asm.increase(thrice, step)

    def rows(base: int, further: int, steps: tuple[int, int, int], offset: int) -> list[Memory]:
        """Eight rows from ``base``, of which ``further`` is the fifth."""
        return [Memory(b, offset, step) for b in (base, further) for step in (None, *steps)]

    def block(offset: int) -> None:
        for register, memory in enumerate(rows(RAX, RCX, (RBX, R8, R9), offset)):
            asm.vector(x86.LOAD, register, memory)
        for k in range(0, 8, 2):  # pairs of rows, interleaved
            asm.vector(x86.INTERLEAVE_LOW, 8 + k, k + 1, k)
            asm.vector(x86.INTERLEAVE_HIGH, 9 + k, k + 1, k)
        for k in range(0, 8, 4):  # fours of rows
            for place, (pair, order) in enumerate(((0, 0x44), (0, 0xEE), (1, 0x44), (1, 0xEE))):
                asm.vector(x86.SHUFFLE, k + place, 10 + k + pair, 8 + k + pair, order)
        for k in range(4):
            asm.vector(x86.SWAP_HALVES, 8 + k, 4 + k, k, 0x20)
            asm.vector(x86.SWAP_HALVES, 12 + k, 4 + k, k, 0x31)
        for register, memory in enumerate(rows(RDX, RSI, (R10, R11, R12), 0), 8):
            asm.vector(x86.STORE, register, memory)

    def fifth(register: int, base: int, step: int) -> None:
        """To ``register`` four steps from ``base``."""
        asm.load(register, base)
        for _ in range(2):
            asm.increase(register, step)

    def below() -> None:
        """A block of 8 rows and 16 columns: two of 8x8."""
        for register, base, place in ((RAX, R13, 0), (RDX, R14, 8)):
            asm.load(register, base)
            asm.increase(register, Memory(RBP, place))
        fifth(RCX, RAX, R8)
        fifth(RSI, RDX, R11)
        block(0)
        fifth(RDX, RSI, R11)
        fifth(RSI, RDX, R11)
        block(4 * _SIDE)
        asm.add(RBP, 16)

    def beside() -> None:
        """All rows of 16 columns."""
        asm.load(R13, source)
        asm.increase(R13, Memory(R15, 0))
        asm.load(R14, target)
        asm.increase(R14, Memory(R15, 8))
        asm.load(RBP, down)
        asm.copy(n_down, low)
        asm.times(low, below)
        asm.add(R15, 16)

    def channel() -> None:
        asm.load(R15, across)
        asm.copy(n_across, left)
        asm.times(left, beside)
        for place, step in ((source, source_channel), (target, target_channel)):
            asm.advance(place, step)

    asm.times(channels, channel)
    asm.pop(reversed(x86.SAVED))
    asm.end()
    return x86.executable(asm.finished())
