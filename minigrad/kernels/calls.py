"""Calls of machine code that are known beforehand, one after the other, without Python in between."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..memory import Array
from . import assembler as x86
from .assembler import R12, R13, RBX, RDI, Assembler, Memory, address
from .threads import call


class Matrices(NamedTuple):
    """Matrices (how many, rows, columns) that a call is about, for each of some calls or for all of them."""

    shape: tuple[int, int, int]
    strides: tuple[int, int, int]
    places: Any  # their addresses
    memory: Any = None  # where they are

    @property
    def T(self) -> Matrices:
        (count, rows, columns), (step, down, along) = self.shape, self.strides
        return self._replace(shape=(count, columns, rows), strides=(step, along, down))

    def part(self, rows: slice, columns: int | None = None) -> Matrices:
        """Some rows of each matrix, and its first columns."""
        shape = self.shape[0], rows.stop - rows.start, self.shape[2] if columns is None else columns
        return Matrices(shape, self.strides, self.places + rows.start * self.strides[1], self.memory)


def matrices(a: Array, further: Any = None) -> Matrices:
    """The last two dimensions of ``a``, at the places that its other dimensions say, or bytes ``further``."""
    offsets = _offsets(a.shape[:-2], a.strides[:-2]) if further is None else further
    return Matrices((1, *a.shape[-2:]), (0, *a.strides[-2:]), offsets + address(a), a)


@lru_cache(maxsize=256)
def _offsets(shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """How many bytes the elements of an array lie behind its first."""
    offsets = np.zeros((), np.int64)
    for n, step in zip(shape, strides):
        offsets = np.add.outer(offsets, np.arange(n) * step)
    return offsets.reshape(-1)


class Call(NamedTuple):
    """Machine code and the words of its arguments. Those that change from call to call are arrays."""

    code: int
    words: list[Any]
    table: array[int] | None = None  # that of :class:`~.loops.Loops`, whose address is one more word before the others


@cache
def _in_sequence() -> Callable[[int], None]:
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


class Schedule(NamedTuple):
    """Calls to be made one after the other, many times over."""

    pairs: Array  # (times, calls, 2): the addresses of the code, and of the words of its arguments
    kept: Any  # the memory in which those are

    def part(self, start: int, stop: int) -> Schedule:
        return self._replace(pairs=self.pairs[start:stop])


def scheduled(calls: Sequence[Call], times: int) -> Schedule:
    row: list[Any] = []  # the words of all calls, one after the other
    starts = []
    for _, words, table in calls:
        starts.append(8 * len(row))
        row += words if table is None else (table.buffer_info()[0], *words)
    changing = [(k, word) for k, word in enumerate(row) if word.__class__ is np.ndarray]
    for k, _ in changing:
        row[k] = 0
    block = np.empty((times, len(row)), np.int64)
    block[:] = row
    for k, word in changing:
        block[:, k] = word
    pairs = np.empty((times, len(calls), 2), np.int64)
    pairs[:, :, 0] = [call.code for call in calls]
    pairs[:, :, 1] = np.add.outer(np.arange(times) * block.strides[0] + address(block), starts)
    return Schedule(pairs, (block, calls))


def call_in_sequence(schedules: Sequence[Schedule]) -> None:
    """Make the calls, those of each schedule in a thread."""
    blocks = []
    for pairs, _ in schedules:
        blocks.append(array("q", [pairs.size // 2]))
        blocks[-1].frombytes(pairs.tobytes())
    call(_in_sequence(), blocks)
