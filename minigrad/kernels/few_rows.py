"""Small products of matrices in machine code.

BLAS copies the second matrix into an order of its own first, which takes longer than a product of few rows. Here six
rows times 16 columns of the result stay in registers, and both matrices are read as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import cache

from . import assembler as x86
from .assembler import R8, R9, R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDX, Memory
from .calls import Call, Matrices

_ROWS = 6  # of a block, times two registers of columns

_Words = IntEnum(  # words of the arguments
    "_Words",
    "A A_ROW A_STEP B B_ROW C C_ROW LENGTH BLOCKS WIDE NARROW MATRICES NEXT_A NEXT_B NEXT_C BACK WIDE_LEFT",
    start=0,
)


def in_blocks(count: int, block: int = _ROWS) -> tuple[int, tuple[int, ...]]:
    """How many full blocks of rows to make, and which more.

    A block of one or two would have too few sums, each of which waits for itself: two of about the half do not.
    """
    full, rest = divmod(count, block)
    if full and rest in (1, 2):
        return full - 1, (block // 2 + 1, block // 2 - 1 + rest)
    return full, (rest,) if rest else ()


@cache
def _product(rest: tuple[int, ...], fresh: bool) -> Callable[[int], None]:
    """The function for a number of rows that leaves blocks of ``rest`` over full ones; not ``fresh``, it adds to C."""
    asm = x86.Assembler()
    word = asm.word
    asm.push(x86.SAVED)
    asm.load(RBX, word(_Words.B_ROW))
    asm.load(R8, word(_Words.A_ROW))
    asm.load(R9, R8)
    asm.increase(R9, R8)
    asm.load(R13, word(_Words.A_STEP))

    def block(rows: int, vectors: int) -> None:
        """To the block at R12 go rows from R11 times columns from R15."""
        sums = [[r * vectors + v for v in range(vectors)] for r in range(rows)]

        def each(instruction: x86.Vector) -> None:
            asm.load(RAX, R12)
            for registers in sums:
                for v, register in enumerate(registers):
                    asm.vector(instruction, register, Memory(RAX, 32 * v))
                asm.increase(RAX, word(_Words.C_ROW))

        if fresh:
            for registers in sums:
                for register in registers:
                    asm.vector(x86.XOR, register, register, register)
        else:
            each(x86.LOAD)
        asm.load(RAX, R15)
        asm.load(RCX, R11)
        asm.load(R10, R11)  # three rows further
        asm.increase(R10, R8)
        asm.increase(R10, R9)
        asm.load(RDX, word(_Words.LENGTH))
        places = [Memory(base, 0, step) for base in (RCX, R10) for step in (None, R8, R9)]

        def element() -> None:
            for v in range(vectors):
                asm.vector(x86.LOAD, 12 + v, Memory(RAX, 32 * v))
            for r, registers in enumerate(sums):
                asm.vector(x86.BROADCAST, 14 + r % 2, places[r])
                for v, register in enumerate(registers):
                    asm.vector(x86.FUSED["fma"], register, 12 + v, 14 + r % 2)
            asm.increase(RAX, RBX)
            asm.increase(RCX, R13)
            asm.increase(R10, R13)

        asm.times(RDX, element)
        each(x86.STORE)

    def columns(vectors: int) -> None:
        asm.load(R11, word(_Words.A))
        asm.load(R12, RBP)

        def next_block(rows: int) -> None:
            block(rows, vectors)
            asm.load(R12, RAX)
            for _ in range(rows // 2):
                asm.increase(R11, R9)

        asm.repeat(word(_Words.BLOCKS), R14, lambda: next_block(_ROWS))
        for rows in rest:
            next_block(rows)
        asm.add(R15, 32 * vectors)
        asm.add(RBP, 32 * vectors)

    def matrix() -> None:
        asm.load(R15, word(_Words.B))
        asm.load(RBP, word(_Words.C))
        asm.repeat(word(_Words.WIDE), word(_Words.WIDE_LEFT), lambda: columns(2))
        asm.unless_zero(word(_Words.NARROW), lambda: columns(1))
        asm.last_vector(word(_Words.BACK), (R15, RBP), lambda: columns(1))
        for place, step in ((_Words.A, _Words.NEXT_A), (_Words.B, _Words.NEXT_B), (_Words.C, _Words.NEXT_C)):
            asm.advance(word(place), word(step))

    asm.times(word(_Words.MATRICES), matrix)
    asm.pop(reversed(x86.SAVED))
    asm.end()
    return x86.executable(asm.finished())


def product_call(a: Matrices, b: Matrices, out: Matrices, fresh: bool = False) -> Call:
    """The call that adds ``a @ b`` to ``out``, or writes it there if ``fresh``; of each of some matrices.

    All are float32, and rows of b and out contiguous. Their length is at least 8, and if it adds a multiple of that.
    """
    (count, m, k), n = a.shape, b.shape[2]
    assert n >= x86.LANES
    assert fresh or n % x86.LANES == 0
    blocks, rest = in_blocks(m)
    wide, narrow = divmod(n // x86.LANES, 2)
    words = [a.places, *a.strides[1:], b.places, b.strides[1], out.places, out.strides[1], k, blocks, wide, narrow,
             count, a.strides[0], b.strides[0], out.strides[0], x86.step_back(n), 0]  # fmt: skip
    return Call(_product(rest, fresh).address, words)  # type: ignore[attr-defined]
