"""An assembler for the few instructions of x86-64 with AVX2 that loops over float32 numbers are made of.

The encoding is that of the "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 2.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

from ..memory import Array
from .switch import Switch

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 = range(16)
SAVED = RBX, RBP, R12, R13, R14, R15  # which a function must leave as they were
LANES = 8  # numbers in a register for vectors
BELOW, NOT_BELOW, ZERO, NOT_ZERO = 2, 3, 4, 5  # conditions of jumps
MOVE, MOVE_TO, ADD_INTO, ADD_FROM, COMPARE, CLEAR = 0x8B, 0x89, 0x01, 0x03, 0x3B, 0x33  # on integers


class Memory(NamedTuple):
    """The address ``base + along + offset`` of registers; without a base, ``offset`` among the constants."""

    base: int | None
    offset: int = 0
    along: int | None = None


class Vector(NamedTuple):
    """An instruction on vectors: its number, and the prefix and the table of opcodes that make it that one."""

    opcode: int
    prefix: int = 0  # 1, 2, 3: the bytes 66, F3, F2
    table: int = 1  # 1, 2, 3: 0F, 0F 38, 0F 3A
    wide: int = 1  # of 8 numbers, not 4


LOAD, STORE = Vector(0x10), Vector(0x11)
LOAD_ONE, STORE_ONE = Vector(0x10, 2, wide=0), Vector(0x11, 2, wide=0)
LOAD_MASKED, STORE_MASKED = Vector(0x2C, 1, 2), Vector(0x2E, 1, 2)
BROADCAST = Vector(0x18, 1, 2)
ADD, MULTIPLY, SUBTRACT, DIVIDE, MINIMUM, MAXIMUM = map(Vector, (0x58, 0x59, 0x5C, 0x5E, 0x5D, 0x5F))
AND, OR, XOR, SQUARE_ROOT = map(Vector, (0x54, 0x56, 0x57, 0x51))
SELECT, COMPARE_VECTORS = Vector(0x4A, 1, 3), Vector(0xC2)
ROUND, TO_INTEGER, ADD_INTEGERS, SHIFT = Vector(0x08, 1, 3), Vector(0x5B, 1), Vector(0xFE, 1), Vector(0x72, 1)
INTERLEAVE_LOW, INTERLEAVE_HIGH = Vector(0x14), Vector(0x15)
SWAP_HALVES, SHUFFLE = Vector(0x06, 1, 3), Vector(0xC6)
TO_DOUBLE, ADD_DOUBLE, STORE_DOUBLE = Vector(0x5A, 2, wide=0), Vector(0x58, 3, wide=0), Vector(0x11, 3, wide=0)
# a * b + c, a * b - c, c - a * b for c in the result's register; for a there, the opcode is 16 less.
FUSED = {"fma": Vector(0xB8, 1, 2), "fms": Vector(0xBA, 1, 2), "fnma": Vector(0xBC, 1, 2)}


class Assembler:
    """Machine code as it is written, instruction by instruction. Registers have numbers, from 0 to 15."""

    def __init__(self) -> None:
        self.code = bytearray()
        self.constants = bytearray()
        self._known: dict[int, Memory] = {}
        self._holes: list[tuple[int, int]] = []  # where the address of a constant belongs, and which

    def _operands(self, reg: int, rm: int | Memory, immediate: bytes) -> None:
        """The bytes that name a register, and another or an address."""
        reg = (reg & 7) << 3
        if isinstance(rm, int):
            self.code.append(0xC0 | reg | rm & 7)
        elif rm.base is None:  # relative to the next instruction
            self.code.append(reg | 5)
            self._holes.append((len(self.code), rm.offset - 4 - len(immediate)))
            self.code += bytes(4)
        else:
            base = rm.base & 7
            if rm.along is not None:
                self.code += bytes([0x84 | reg, (rm.along & 7) << 3 | base])
            elif base == RSP:  # and R12
                self.code += bytes([0x84 | reg, 0x20 | base])
            else:
                self.code.append(0x80 | reg | base)
            self.code += struct.pack("<i", rm.offset)
        self.code += immediate

    @staticmethod
    def _fourth_bits(reg: int, rm: int | Memory) -> int:
        base, index = (rm, 0) if isinstance(rm, int) else (rm.base or 0, rm.along or 0)
        return reg >> 3 << 2 | index >> 3 << 1 | base >> 3

    def vector(self, instruction: Vector, reg: int, rm: int | Memory, source: int = 0, immediate: int | None = None,
               ) -> None:  # fmt: skip
        """``reg = instruction(source, rm)``; where ``rm`` is what is written to, ``reg`` is read."""
        opcode, prefix, table, wide = instruction
        self.code += bytes([0xC4, (self._fourth_bits(reg, rm) ^ 7) << 5 | table,
                            (source ^ 15) << 3 | wide << 2 | prefix, opcode])  # fmt: skip
        self._operands(reg, rm, b"" if immediate is None else bytes([immediate]))

    def integer(self, opcode: int, reg: int, rm: int | Memory) -> None:
        """An instruction on 64-bit integers."""
        self.code += bytes([0x48 | self._fourth_bits(reg, rm), opcode])
        self._operands(reg, rm, b"")

    def add(self, rm: int | Memory, number: int) -> None:
        self.code += bytes([0x48 | self._fourth_bits(0, rm), 0x81])
        self._operands(0, rm, struct.pack("<i", number))

    def set(self, register: int, number: int) -> None:
        self.integer(CLEAR, register, register)
        if number:
            self.add(register, number)

    def word(self, k: int) -> Memory:
        """A word of the block of arguments."""
        return Memory(RDI, 8 * k)

    def load(self, register: int, source: int | Memory) -> None:
        self.integer(MOVE, register, source)

    def store(self, register: int, memory: Memory) -> None:
        self.integer(MOVE_TO, register, memory)

    def copy(self, source: Memory, target: Memory, by: int = RAX) -> None:
        self.load(by, source)
        self.store(by, target)

    def sum(self, target: Memory, a: Memory, b: Memory) -> None:
        self.load(RAX, a)
        self.increase(RAX, b)
        self.store(RAX, target)

    def if_equal(self, memory: Memory, number: int, body: Callable[[], None]) -> None:
        self.load(RAX, memory)
        self.set(RCX, number)
        self.integer(COMPARE, RAX, RCX)
        other = self.jump(NOT_ZERO)
        body()
        self.land(other)

    def increase(self, register: int, by: int | Memory) -> None:
        self.integer(ADD_FROM, register, by)

    def advance(self, place: Memory, step: Memory, by: int = RAX) -> None:
        """Increase a word by another."""
        self.load(by, step)
        self.integer(ADD_INTO, by, place)

    def unless_zero(self, memory: Memory, body: Callable[[], None]) -> None:
        self.set(RAX, 0)
        self.integer(COMPARE, RAX, memory)
        nothing = self.jump(ZERO)
        body()
        self.land(nothing)

    def last_vector(self, back: Memory, places: Iterable[int], body: Callable[[], None]) -> None:
        """``body``, at addresses that begin so many bytes earlier, unless :func:`step_back` has found nothing left."""

        def last() -> None:
            for place in places:
                self.increase(place, back)
            body()

        self.unless_zero(back, last)

    def push(self, registers: Iterable[int]) -> None:
        for register in registers:
            self.code += bytes([0x40 | register >> 3, 0x50 | register & 7])

    def pop(self, registers: Iterable[int]) -> None:
        for register in registers:
            self.code += bytes([0x40 | register >> 3, 0x58 | register & 7])

    def call(self, target: Memory) -> None:
        self.code.append(0x40 | self._fourth_bits(0, target))
        self.code.append(0xFF)
        self._operands(2, target, b"")

    def times(self, counter: int | Memory, body: Callable[[], None]) -> None:
        """``body``, as often as ``counter``, which it must leave alone, says: at least once."""
        start = len(self.code)
        body()
        self.add(counter, -1)
        self.jump_back(NOT_ZERO, start)

    def repeat(self, count: Memory, counter: int | Memory, body: Callable[[], None]) -> None:
        """``body``, as often as ``count`` says, which may be 0; what is left to do is in ``counter``."""

        def loop() -> None:
            self.load(counter, count) if isinstance(counter, int) else self.copy(count, counter)
            self.times(counter, body)

        self.unless_zero(count, loop)

    def compare_and_exchange(self, memory: Memory, register: int) -> None:
        """Write ``register`` if there is in memory what is in RAX, else load it there; among threads one step."""
        self.code += bytes([0xF0, 0x48 | self._fourth_bits(register, memory), 0x0F, 0xB1])
        self._operands(register, memory, b"")

    def pause(self) -> None:
        self.code += b"\xf3\x90"

    def end(self) -> None:
        self.code += b"\xc5\xf8\x77\xc3"  # vzeroupper; ret

    def jump_back(self, condition: int, target: int) -> None:
        self.land(self.jump(condition), target)

    def jump(self, condition: int) -> int:
        """A jump whose target is told by :meth:`land`."""
        self.code += bytes([0x0F, 0x80 | condition, 0, 0, 0, 0])
        return len(self.code)

    def land(self, jump: int, target: int | None = None) -> None:
        self.code[jump - 4 : jump] = struct.pack("<i", (len(self.code) if target is None else target) - jump)

    def constant(self, bits: int) -> Memory:
        """Where eight copies of the 32-bit constant will lie."""
        if bits not in self._known:
            self._known[bits] = Memory(None, len(self.constants))
            self.constants += struct.pack("<I", bits) * 8
        return self._known[bits]

    def finished(self) -> bytes:
        start = -(-len(self.code) // 32) * 32
        for place, offset in self._holes:
            self.code[place : place + 4] = struct.pack("<i", start + offset - place)
        return bytes(self.code.ljust(start, b"\xcc") + self.constants)


def step_back(count: int) -> int:
    """How many bytes the last full vector begins before what whole vectors leave of ``count`` numbers; 0 if nothing."""
    return -4 * (LANES - count % LANES) if count % LANES else 0


def executable(code: bytes) -> Callable[[int], None]:
    """Machine code as a function of an address, in memory of its own that can no longer be written to."""
    memory = mmap.mmap(-1, len(code))
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(len(code)), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "memory cannot be made executable")
    function: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)  # gives the interpreter lock back meanwhile
    function.address, function.memory = address, memory  # there for as long as somebody may call it
    return function


@cache
def supported() -> bool:
    """Whether this is a processor with AVX2, and a system that lets a process execute what it has written."""
    if os.name != "posix" or platform.machine().lower() not in ("x86_64", "amd64") or struct.calcsize("P") != 8:
        return False
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as features  # type: ignore[import-not-found]

        if not (features.get("AVX2") and features.get("FMA3")):
            return False
        assembler = Assembler()
        assembler.end()
        executable(assembler.finished())(0)
    except (ImportError, OSError):
        return False
    return True


class use_machine_code(Switch):
    """Compute with machine code where that is possible, or by NumPy alone; in a ``with`` block until its end."""


def usable() -> bool:
    """Whether machine code is wanted, and supported."""
    return use_machine_code.enabled and supported()


ADDRESS = object.__basicsize__  # where an array keeps that of its first element: NumPy's interface for C promises it


def address(a: Array) -> int:
    """Where an array's first element is."""
    return ctypes.c_void_p.from_address(id(a) + ADDRESS).value  # type: ignore[return-value]
