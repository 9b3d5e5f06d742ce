"""Formulas as machine code: one pass over memory, whatever the formula, and numbers in registers in between.

The code of a formula is three loops, over (outer, rows, columns). The innermost takes eight numbers at a time, and the
last few of a row under a mask. A formula that needs a sum or maximum of each row has several such innermost loops
one after the other, its stages; by the second, the row is in the cache.

What the code is called with is the address of a block of 64-bit words: that of a table, then for each operand, result
and temporary row its address. The table says how often to go through the outer loop and the rows, the bytes of a row
that are whole vectors, whether there are more, the mask (4 words); then for each address what to add to it to begin
with, with each row, and after all rows. So whoever computes the same again elsewhere needs nothing but the addresses.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Callable, Collection, Sequence

from . import assembler as x86
from .assembler import LANES, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, SAVED, Memory
from .formula import Trace, Value

_POINTERS = (RBX, RBP, RSI, x86.R8, x86.R9, x86.R10, x86.R11, x86.R12, x86.R13, x86.R14, x86.R15)
_SCRATCH, _MASK = 14, 15  # vector registers
_HEADER = 8  # words of the table before the operands'

# Of 0 to 7 of 8 numbers: four words, each of two numbers.
_MASKS = [[-1 if n >= 2 * k + 2 else (1 << 32) - 1 if n > 2 * k else 0 for k in range(4)] for n in range(8)]
_PART = 64  # registers full of numbers that are summed up before they are added to the sum of the row
_LONG = 8  # steps from which a value is kept for the next stage, not computed anew
_NEUTRAL = {"sum": 0.0, "max": -math.inf}
_REDUCE = {"sum": x86.ADD, "max": x86.MAXIMUM}


class Loops:
    """The machine code of a formula for operands of certain kinds.

    ``run`` gets a block of words with addresses; ``launch`` one in which arrays themselves stand for theirs, by ``id``.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.place = {v: k for k, v in enumerate(trace.operands)}  # of values in memory, among operands and results
        self.sinks: dict[Value, list[tuple[int, str]]] = {}  # where values go to
        for k, (kind, value) in enumerate(trace.results, len(trace.operands)):
            self.sinks.setdefault(value, []).append((k, kind))
        self.count = len(trace.operands) + len(trace.results)
        self.temporaries = 0
        self._keep_long_ones()
        self.stack: dict[Value, Memory] = {}  # row values, eight copies of each
        self._stored: list[int] = []
        self.hazards: set[tuple[int, int]] = set()  # which operand is loaded after which result is stored
        self.asm = x86.Assembler()
        self._find_arrays()
        start = len(self.asm.code)
        self._function()
        self.launch = x86.executable(self.asm.finished())
        self.run: int = self.launch.address + start  # type: ignore[attr-defined]

    @staticmethod
    def table(shape: Sequence[int], places: Sequence[tuple[int, int, int]]) -> array[int]:
        """The table for loops over a shape (outer, rows, columns).

        For each address it holds where the first element is from there, and how many bytes lie between neighbours along
        the first two dimensions.
        """
        outer, rows, columns = shape
        words = [outer, rows, columns // LANES * 32, columns % LANES, *_MASKS[columns % LANES]]
        for start, along, down in places:
            words += start, down, along - down * rows
        return array("q", words)

    def _keep_long_ones(self) -> None:
        """Give a place to elements that a later stage needs too, and that take long to compute."""
        later = {v for user in self.trace.values for v in user.operands if v.element and v.stage < user.stage}
        for v in self.trace.values:
            if v in later and v.steps > _LONG and v not in self.place:
                places = [k for k, kind in self.sinks.get(v, ()) if kind == "element"]
                if not places:
                    places = [self.count]
                    self.sinks.setdefault(v, []).append((self.count, "element"))
                    self.count += 1
                    self.temporaries += 1
                self.place[v] = places[0]

    def spoils(self, addresses: Sequence[int]) -> bool:
        """Whether results at these addresses, behind those of the operands, overwrite what is still to be read."""
        return any(addresses[operand] == addresses[result] for operand, result in self.hazards)

    # ------------------------------------------------------------------------------ the loops

    def _find_arrays(self) -> None:
        """Put into the block the addresses of arrays instead of the arrays."""
        for k in range(1, self.count + 1):
            self.asm.load(RAX, self.asm.word(k))
            self.asm.copy(Memory(RAX, x86.ADDRESS), self.asm.word(k))

    def _function(self) -> None:
        asm, room = self.asm, 32 * (len(self.trace.values) + 1)
        self.end_of_part, self.left, self.places = (Memory(RSP, offset) for offset in (room - 32, room - 24, room))
        room += 8 * self.count
        asm.push(SAVED)
        asm.add(RSP, -room)
        asm.load(RCX, RDI)
        asm.load(RDI, Memory(RCX))
        asm.copy(self.asm.word(0), self.left)
        for k in range(self.count):
            asm.load(RAX, Memory(RCX, 8 * (k + 1)))
            asm.increase(RAX, self._in_table(k, 0))
            asm.store(RAX, self._place(k))
        outer = len(asm.code)
        asm.load(RDX, self.asm.word(1))
        row = len(asm.code)
        for k, pointer in zip(range(self.count), _POINTERS):
            asm.load(pointer, self._place(k))
        for stage in range(self.trace.stages):
            self._stage(stage)
        self._advance(1)
        asm.add(RDX, -1)
        asm.jump_back(x86.NOT_ZERO, row)
        self._advance(2)
        asm.add(self.left, -1)
        asm.jump_back(x86.NOT_ZERO, outer)
        asm.add(RSP, room)
        asm.pop(reversed(SAVED))
        asm.end()

    def _in_table(self, k: int, which: int) -> Memory:
        """What to add to an address: to begin with (0), with each row (1), or after all rows (2)."""
        return self.asm.word(_HEADER + 3 * k + which)

    def _place(self, k: int) -> Memory:
        """Where the address of the current row of an operand, result or temporary row is kept."""
        return self.places._replace(offset=self.places.offset + 8 * k)

    def _advance(self, which: int) -> None:
        for k in range(self.count):
            self.asm.advance(self._place(k), self._in_table(k, which), RCX)

    def _stage(self, stage: int) -> None:
        """What is computed of a row once, then the loop over its elements."""
        asm, values, self.stage = self.asm, self.trace.values, stage
        given = ("operand", "constant", *_NEUTRAL)
        once = [v for v in values if v.stage == stage and not v.element and v.operation not in given]
        _Straight(self, once, range(_SCRATCH), self._finish_row)
        reductions = [v for v in values if v.operation in _NEUTRAL and v.operands[0].stage == stage]
        ends = [v.operands[0] for v in reductions] + [v for v in self.sinks if v.element and v.stage == stage]
        if not ends:
            return
        registers = list(range(_SCRATCH))
        totals = [(v, registers.pop()) for v in reductions]
        sums = {register: registers.pop() for v, register in totals if v.operation == "sum"}
        for v, register in totals:
            asm.vector(x86.LOAD, register, self._number(_NEUTRAL[v.operation]))
        for register in sums.values():
            asm.vector(x86.XOR, register, register, register)
        body = self._elements(ends)

        asm.integer(x86.CLEAR, RCX, RCX)
        asm.integer(x86.COMPARE, RCX, self.asm.word(2))
        none = asm.jump(x86.NOT_BELOW)
        part = len(asm.code)  # of a row: so that long sums lose no digits, each part has its own
        asm.load(RAX, RCX)
        asm.add(RAX, 32 * _PART)
        asm.integer(x86.COMPARE, RAX, self.asm.word(2))
        inside = asm.jump(x86.BELOW)
        asm.load(RAX, self.asm.word(2))
        asm.land(inside)
        asm.store(RAX, self.end_of_part)
        loop = len(asm.code)
        self._body(body, registers, totals, masked=False)
        asm.add(RCX, 32)
        asm.integer(x86.COMPARE, RCX, self.end_of_part)
        asm.jump_back(x86.BELOW, loop)
        for register, total in sums.items():
            asm.vector(x86.ADD, total, register, total)
            asm.vector(x86.XOR, register, register, register)
        asm.integer(x86.COMPARE, RCX, self.asm.word(2))
        asm.jump_back(x86.BELOW, part)
        asm.land(none)

        asm.integer(x86.CLEAR, RAX, RAX)
        asm.integer(x86.COMPARE, RAX, self.asm.word(3))
        no_rest = asm.jump(x86.ZERO)
        asm.vector(x86.LOAD, _MASK, self.asm.word(4))
        self._body(body, registers, totals, masked=True)
        asm.land(no_rest)

        for v, register in totals:
            if register in sums:
                asm.vector(x86.ADD, register, sums[register], register)
            self._combine(_REDUCE[v.operation], register)
            self._finish_row(v, register)

    def _body(self, values: Sequence[Value], registers: Collection[int], totals: list[tuple[Value, int]],
              masked: bool) -> None:  # fmt: skip
        """The instructions for eight elements, or for the last few of a row."""
        self._stored = [k for v, places in self.sinks.items() if v.element and v.stage < self.stage for k, _ in places]
        _Straight(self, values, registers, lambda v, r: self._finish_element(v, r, totals, masked), masked)

    def _elements(self, ends: Collection[Value]) -> list[Value]:
        """What to compute, and of ``ends`` also what to load, in the loop of a stage, in order."""
        needed: set[Value] = set()
        ahead = list(ends)
        while ahead:
            v = ahead.pop()
            if v.element and v not in needed:
                needed.add(v)
                ahead += () if self.is_loaded(v) else v.operands
        return [v for v in self.trace.values if v in needed and (v in ends or not self.is_loaded(v))]

    def is_loaded(self, v: Value) -> bool:
        """Whether an element comes from memory in the present stage."""
        return v.operation == "operand" or (v in self.place and v.stage < self.stage)

    def _combine(self, operation: x86.Vector, register: int) -> None:
        """The sum or maximum of the eight numbers in a register, to all eight places."""
        for instruction, order in ((x86.SWAP_HALVES, 0x01), (x86.SHUFFLE, 0x4E), (x86.SHUFFLE, 0xB1)):
            self.asm.vector(instruction, _SCRATCH, register, register, order)
            self.asm.vector(operation, register, _SCRATCH, register)

    def _number(self, x: float) -> Memory:
        return self.asm.constant(struct.unpack("<I", struct.pack("<f", x))[0])

    def address(self, k: int, index: int | None) -> Memory:
        """Where the current row of an operand or result is, at the column in ``index``."""
        if k < len(_POINTERS):
            return Memory(_POINTERS[k], 0, index)
        self.asm.load(RAX, self._place(k))
        return Memory(RAX, 0, index)

    def _finish_row(self, v: Value, register: int) -> None:
        """Put a value of a row where the stages find it, and to the results."""
        asm = self.asm
        self.stack[v] = Memory(RSP, 32 * len(self.stack))
        asm.vector(x86.STORE, register, self.stack[v])
        for k, kind in self.sinks.get(v, ()):
            address = self.address(k, None)
            if kind == "row":
                asm.vector(x86.STORE_ONE, register, address)
            else:
                asm.vector(x86.TO_DOUBLE, _SCRATCH, register, register)
                asm.vector(x86.ADD_DOUBLE, _SCRATCH, address, _SCRATCH)
                asm.vector(x86.STORE_DOUBLE, _SCRATCH, address)

    def _finish_element(self, v: Value, register: int, totals: list[tuple[Value, int]], masked: bool) -> None:
        """Add an element to what it is part of, and put it to the results."""
        asm = self.asm
        for total, into in totals:
            if total.operands[0] is v:
                added = register
                if masked:
                    asm.vector(x86.LOAD, _SCRATCH, self._number(_NEUTRAL[total.operation]))
                    asm.vector(x86.SELECT, _SCRATCH, register, _SCRATCH, _MASK << 4)
                    added = _SCRATCH
                asm.vector(_REDUCE[total.operation], into, into, added)
        for k, kind in self.sinks.get(v, ()):
            if v.stage != self.stage:
                continue
            address, result = self.address(k, RCX), register
            if kind == "column":
                result = _SCRATCH
                self.load(result, address, masked)
                asm.vector(x86.ADD, result, register, result)
            self._stored.append(k)
            if masked:
                asm.vector(x86.STORE_MASKED, result, address, _MASK)
            else:
                asm.vector(x86.STORE, result, address)

    def note_load(self, v: Value) -> None:
        if v.operation == "operand":
            self.hazards |= {(self.place[v], k) for k in self._stored if k < self.count - self.temporaries}

    def load(self, register: int, address: Memory, masked: bool) -> None:
        if masked:
            self.asm.vector(x86.LOAD_MASKED, register, address, _MASK)
        else:
            self.asm.vector(x86.LOAD, register, address)


class _Straight:
    """Instructions one after the other, and which register holds what."""

    def __init__(self, loops: Loops, values: Sequence[Value], registers: Collection[int],
                 finish: Callable[[Value, int], None], masked: bool = False) -> None:  # fmt: skip
        self.loops, self.asm, self.masked = loops, loops.asm, masked
        self.free = list(registers)
        self.held: dict[Value, int] = {}
        self.needed: Sequence[Value] = ()
        self.dying: list[Value] = []
        self.last = {x: k for k, v in enumerate(values) if not self._is_loaded(v) for x in v.operands}  # who needs it
        for k, v in enumerate(values):
            if self._is_loaded(v):
                register = self._register(v)
            else:
                self.needed = v.operands
                self.dying = [x for x in set(v.operands) if self.last[x] == k]
                register = self._computed(v)
                for x in self.dying:
                    if x in self.held:
                        self._release(x, register)
                self.held[v] = register
            finish(v, register)
            if self.last.get(v, k) <= k:
                self._release(v)

    def _is_loaded(self, v: Value) -> bool:
        return v.element and self.loops.is_loaded(v)

    def _release(self, v: Value, taken: int | None = None) -> None:
        """The register of a value is free, unless it is ``taken``."""
        register = self.held.pop(v)
        if register != taken:
            self.free.append(register)

    def _take(self) -> int:
        """A register for something new."""
        if self.free:
            return self.free.pop()
        for v, register in self.held.items():  # what can be loaded again makes room
            if v not in self.needed and (v.operation in ("operand", "constant") or v in self.loops.stack):
                del self.held[v]
                return register
        raise NotImplementedError("formula: more numbers at a time than the processor has registers")

    def _memory(self, v: Value) -> int | Memory:
        """Where an instruction finds the value that it can take from memory."""
        if v not in self.held:
            if v.operation == "constant":
                return self.asm.constant(v.immediate)  # type: ignore[arg-type]
            if v in self.loops.stack:
                return self.loops.stack[v]
        return self._register(v)

    def _register(self, v: Value) -> int:
        if v in self.held:
            return self.held[v]
        register = self._take()
        if v.operation == "operand" and not v.element:
            self.asm.vector(x86.BROADCAST, register, self.loops.address(self.loops.place[v], None))
        elif v in self.loops.place:
            self.loops.note_load(v)
            self.loops.load(register, self.loops.address(self.loops.place[v], RCX), self.masked)
        else:
            self.asm.vector(x86.LOAD, register, self._memory(v))
        self.held[v] = register
        return register

    def _target(self) -> int:
        """A register for the result: that of an operand, if it is not needed any more."""
        ours = [self.held[x] for x in self.dying if x in self.held]
        return ours[0] if ours else self._take()

    def _computed(self, v: Value) -> int:
        if v.operation in x86.FUSED:
            return self._multiplied_and_added(v)
        operation, immediate, operands = v.operation, v.immediate, list(v.operands)
        if operation is x86.SELECT:  # the second where the mask says so, else the first
            mask, *operands = v.operands[0], v.operands[2], v.operands[1]
            immediate = self._register(mask) << 4
        elif operation in (x86.ADD, x86.MULTIPLY) and operands[0] not in self.held:
            operands.reverse()
        source = self._register(operands[0]) if len(operands) > 1 else 0
        if operation is x86.SHIFT:
            where = self._register(operands[0])
            target = self._target()
            self.asm.vector(operation, 6, where, target, immediate)
        else:
            memory = self._memory(operands[-1])
            target = self._target()
            self.asm.vector(operation, target, memory, source, immediate)
        return target

    def _multiplied_and_added(self, v: Value) -> int:
        """a * b + c, which takes the place of one of the three."""
        (a, b, c), instruction = v.operands, x86.FUSED[v.operation]
        if a not in self.held and b in self.held:
            a, b = b, a
        factor = self._register(a)
        if a in self.dying and a is not b and a is not c and not (c in self.dying and c in self.held):
            other = self._register(b)
            self.asm.vector(instruction._replace(opcode=instruction.opcode - 16), factor, self._memory(c), other)
            return factor
        where = self._memory(b)
        if c in self.dying and c in self.held and c is not a and c is not b:
            target = self.held[c]
        else:
            summand = self._memory(c)
            target = self._take()
            self.asm.vector(x86.LOAD, target, summand)
        self.asm.vector(instruction, target, where, factor)
        return target
