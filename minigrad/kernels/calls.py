"""Calls of machine code that are known beforehand, one after the other, without Python in between."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from ..memory import Array
from . import assembler as x86
from .assembler import R12, RBP, RBX, RDI, Assembler, Memory, address
from .threads import call, scratch


class Matrices(NamedTuple):
    """Matrices (how many, rows, columns) that a call is about, for each of some calls or for all of them."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    places: Any  # their addresses

    @property
    def T(self) -> Matrices:
        (count, rows, columns), (step, down, along) = self.shape, self.strides
        return Matrices((count, columns, rows), (step, along, down), self.places)

    def part(self, rows: slice, columns: int | None = None) -> Matrices:
        """Some rows of each matrix, and its first columns."""
        shape = self.shape[0], rows.stop - rows.start, self.shape[2] if columns is None else columns
        return Matrices(shape, self.strides, self.places + rows.start * self.strides[1])


def matrices(shape: tuple[int, ...], strides: tuple[int, ...], place: int) -> Matrices:
    """The last two dimensions of an array at ``place``, one for each call as the other dimensions say."""
    places = place if len(shape) == 2 else place + _offsets(shape[:-2], strides[:-2])
    return Matrices((1, *shape[-2:]), (0, *strides[-2:]), places)


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
    table: array[int] | None = None  # of a formula's loops, whose address is one more word before the others
    kept: Any = None  # what the code belongs to


@cache
def _in_sequence() -> Callable[[int], None]:
    """Calls machine code: a block of how often, the address of a table, and that of all arguments.

    The table has for each call its code, and how far behind the first its arguments begin.
    """
    asm = Assembler()
    saved = RBX, RBP, R12
    asm.push(saved)
    asm.load(R12, Memory(RDI))
    asm.load(RBX, Memory(RDI, 8))
    asm.load(RBP, Memory(RDI, 16))

    def one() -> None:
        asm.load(RDI, RBP)
        asm.increase(RDI, Memory(RBX, 8))
        asm.call(Memory(RBX))
        asm.add(RBX, 16)

    asm.times(R12, one)
    asm.pop(reversed(saved))
    asm.end()
    return x86.executable(asm.finished())


class Schedule(NamedTuple):
    """Calls to be made one after the other."""

    words: Array  # the arguments of all
    codes: Array  # the code of each
    starts: Array  # where its arguments begin, in bytes
    kept: Any  # what arguments and codes refer to


def scheduled(calls: Sequence[Call], times: int, first: int = 0) -> Schedule:
    """The calls, all of them so many times over, from the ``first`` time on."""
    row: list[Any] = []  # the words of all calls
    starts = []
    for _, words, table, _ in calls:
        starts.append(8 * len(row))
        row += words if table is None else (table.buffer_info()[0], *words)
    changing = [(k, word) for k, word in enumerate(row) if word.__class__ is np.ndarray]
    for k, _ in changing:
        row[k] = 0
    block = np.empty((times, len(row)), np.int64)
    block[:] = row
    for k, word in changing:
        block[:, k] = word[first : first + times]
    begins = np.add.outer(np.arange(times) * block.strides[0], starts).reshape(-1)
    codes = np.array([call.code for call in calls] * times)
    return Schedule(block.reshape(-1), codes, begins, [(call.table, call.kept) for call in calls])


_BITS = 48  # of an address; those above say of which array
_LINE = 64  # bytes of a line of the cache
_APART = 17 * _LINE  # bytes


def somewhere(number: int) -> int:
    """Stands in a plan for the address of an array, numbered from 1."""
    return number << _BITS


class Parts:
    """Parts of the memory that a plan needs for itself."""

    def __init__(self) -> None:
        self.nbytes = 0

    def take(self, nbytes: int) -> int:
        """The place, in a plan, of so many bytes, from the beginning of a line; no two begin at the same of a page."""
        place = somewhere(-1) + self.nbytes
        self.nbytes += -(-nbytes // _LINE) * _LINE + _APART
        return place


class Plan:
    """Schedules one after the other for arrays whose addresses are not known yet."""

    def __init__(self, schedules: Sequence[Schedule], memory: Parts | None = None) -> None:
        words = np.concatenate([schedule.words for schedule in schedules])
        begins = accumulate([schedule.words.nbytes for schedule in schedules], initial=0)
        numbers = words + (1 << _BITS - 1) >> _BITS  # rounded: what is added to an array's may be negative
        self.offsets, self.numbers = words - (numbers << _BITS), numbers.astype(np.int8)
        codes = np.concatenate([schedule.codes for schedule in schedules])
        starts = np.concatenate([begin + schedule.starts for begin, schedule in zip(begins, schedules)])
        self.table = np.stack([codes, starts], axis=1)
        self.start = len(codes), address(self.table)
        self.nbytes = memory.nbytes if memory else 0
        self.kept = [schedule.kept for schedule in schedules]

    def words(self, addresses: Sequence[int]) -> Array:
        """The arguments of all calls, for a 0, arrays and the plan's own memory at ``addresses``."""
        words: Array = np.array(addresses)[self.numbers]
        words += self.offsets
        return words


def call_planned(plan: Callable[..., Sequence[Plan]], arrays: Sequence[Array], own: Sequence[Array],
                 *options: Any) -> bool:  # fmt: skip
    """Make the calls that ``plan`` gives, for each thread, for arrays like these; it should remember them.

    It is given their shapes and strides, in place of their addresses numbers from 1, and options. Of ``own`` arrays,
    which come last, each thread has a part: what the first dimension says. Returns whether there is a plan.
    """
    layouts = *[(a.shape, a.strides) for a in arrays], *[(a.shape[1:], a.strides[1:]) for a in own]
    threads = plan(layouts, *options)
    if not threads:
        return False
    addresses, own_parts = [0, *map(address, arrays)], [(address(a), a.strides[0]) for a in own]
    if nbytes := max([thread.nbytes for thread in threads]):
        place = address(scratch("plans", (len(threads) * nbytes + _LINE,), np.uint8))
        own_parts.append((-(-place // _LINE) * _LINE, nbytes))
    blocks, kept = [], []
    for k, thread in enumerate(threads):
        words = thread.words(addresses + [start + k * step for start, step in own_parts])
        blocks.append(array("q", (*thread.start, address(words))))
        kept.append(words)  # until the calls are made
    call(_in_sequence(), blocks)
    return True


@lru_cache(maxsize=16)
def zeros(count: int) -> Array:
    """Numbers that nobody writes to."""
    return np.zeros(count, np.float32)


def stand_ins(layouts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[Matrices]:
    """For each array of a plan its matrices."""
    return [matrices(shape, strides, somewhere(k)) for k, (shape, strides) in enumerate(layouts, 1)]
