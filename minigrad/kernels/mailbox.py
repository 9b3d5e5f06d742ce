"""How threads hand work to each other: awake for a while, without the interpreter lock.

It takes 50 to 100 microseconds to wake a thread that has fallen asleep, and as long for one that waits for the
interpreter lock. So a thread without work looks at its mailbox for a millisecond before it falls asleep, in machine
code, where it can also do what another thread leaves for it: call other machine code, within a microsecond.
"""

from __future__ import annotations

from _queue import SimpleQueue  # queue itself loads threading
from array import array
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from . import assembler as x86
from .assembler import R12, RAX, RBP, RBX, RCX, RDI, RDX, Assembler, Memory

LOOKS = 1 << 15  # how often a thread looks for work before it falls asleep: for about a millisecond
_AWAY, _WAITING, _CALLED, _POSTED = range(4)  # states
_STATE, _CODE, _BLOCK, _LOOKS = range(0, 32, 8)  # what the words of a mailbox are


class Mailbox:
    """What is left for a thread: messages for when it holds the interpreter lock, or a call of machine code."""

    def __init__(self, looks: int) -> None:
        self.messages: SimpleQueue[Any] = SimpleQueue()
        if x86.supported():
            self.words = np.array([_AWAY, 0, 0, max(1, looks)])
            self.wait: Callable[[], object] = partial(_wait(), self.words.ctypes.data)
        else:  # NumPy looks at one number many times, also without the lock, and stops when it is not 0
            self.words = np.zeros(1, np.int64)
            looked_at = np.broadcast_to(self.words, 64 * looks)
            self.wait = partial(np.logical_or.reduce, looked_at)

    def put(self, message: Any) -> None:
        self.messages.put(message)
        self.words[0] = _POSTED

    def get(self) -> Any:
        self.words[0] = _AWAY
        if self.messages.empty():
            self.wait()
        return self.messages.get()


def call_all(calls: Sequence[tuple[int, int]], mailboxes: Sequence[Mailbox]) -> list[Mailbox]:
    """Call machine code (address, its argument): the first here, others where threads wait, or else here too.

    Returns the mailboxes of those who did not wait.
    """
    others = [(box.words.ctypes.data, *call) for box, call in zip(mailboxes, calls[1:])]
    block = array("q", [len(others), *calls[0], *(word for other in others for word in other)])
    _call_all()(block.buffer_info()[0])
    return [box for box, taken in zip(mailboxes, block[3::3]) if not taken]


def _set(asm: Assembler, register: int, number: int) -> None:
    asm.integer(x86.CLEAR, register, register)
    if number:
        asm.add(register, number)


def _change(asm: Assembler, mailbox: int, state: int, new: int) -> None:
    """Change the state, if it is ``state``, with the flag ZERO set; else load it to RAX."""
    _set(asm, RAX, state)
    _set(asm, RCX, new)
    asm.compare_and_exchange(Memory(mailbox, _STATE), RCX)


@cache
def _wait() -> Callable[[int], None]:
    """Wait at the mailbox whose address is given, and do what one is called for, until there is a message."""
    asm = Assembler()
    asm.push([RBX])
    asm.integer(x86.MOVE, RBX, RDI)
    _change(asm, RBX, _AWAY, _WAITING)
    posted_before = asm.jump(x86.NOT_ZERO)
    begin = len(asm.code)
    asm.integer(x86.MOVE, RDX, Memory(RBX, _LOOKS))
    _set(asm, RCX, _WAITING)
    look = len(asm.code)
    asm.integer(x86.MOVE, RAX, Memory(RBX, _STATE))
    asm.integer(x86.COMPARE, RAX, RCX)
    called = asm.jump(x86.NOT_ZERO)
    asm.pause()
    asm.add(RDX, -1)
    asm.jump_back(x86.NOT_ZERO, look)
    _change(asm, RBX, _WAITING, _AWAY)  # tired
    tired = asm.jump(x86.ZERO)
    asm.land(called)
    _set(asm, RCX, _CALLED)
    asm.integer(x86.COMPARE, RAX, RCX)
    posted = asm.jump(x86.NOT_ZERO)
    asm.integer(x86.MOVE, RDI, Memory(RBX, _BLOCK))
    asm.call(Memory(RBX, _CODE))
    _set(asm, RAX, _WAITING)
    asm.integer(x86.MOVE_TO, RAX, Memory(RBX, _STATE))
    asm.integer(x86.CLEAR, RAX, RAX)
    asm.jump_back(x86.ZERO, begin)
    for jump in (posted_before, posted, tired):
        asm.land(jump)
    asm.pop([RBX])
    asm.end()
    return x86.executable(asm.finished())


@cache
def _call_all() -> Callable[[int], None]:
    """The number of others; own code and its argument; for each other: its mailbox, code and argument."""
    asm, saved, size = Assembler(), (RBX, RBP, R12), 24
    asm.push(saved)
    asm.integer(x86.MOVE, RBX, RDI)

    def for_each_other() -> int:
        """Begin a loop, with RBP at what is for one of them."""
        asm.integer(x86.MOVE, RBP, RBX)
        asm.add(RBP, size)
        asm.integer(x86.MOVE, R12, Memory(RBX))
        return len(asm.code)

    def next_other(loop: int) -> None:
        asm.add(RBP, size)
        asm.add(R12, -1)
        asm.jump_back(x86.NOT_ZERO, loop)

    hand_out = for_each_other()
    asm.integer(x86.MOVE, RDX, Memory(RBP))
    for word in (_CODE, _BLOCK):
        asm.integer(x86.MOVE, RCX, Memory(RBP, word))
        asm.integer(x86.MOVE_TO, RCX, Memory(RDX, word))
    _change(asm, RDX, _WAITING, _CALLED)
    taken = asm.jump(x86.ZERO)
    _set(asm, RCX, 0)
    asm.integer(x86.MOVE_TO, RCX, Memory(RBP))
    asm.land(taken)
    next_other(hand_out)

    asm.integer(x86.MOVE, RDI, Memory(RBX, _BLOCK))
    asm.call(Memory(RBX, _CODE))

    collect = for_each_other()
    asm.integer(x86.MOVE, RDX, Memory(RBP))
    _set(asm, RAX, 0)
    asm.integer(x86.COMPARE, RDX, RAX)
    taken = asm.jump(x86.NOT_ZERO)
    asm.integer(x86.MOVE, RDI, Memory(RBP, _BLOCK))
    asm.call(Memory(RBP, _CODE))
    asm.integer(x86.CLEAR, RAX, RAX)
    done_here = asm.jump(x86.ZERO)
    asm.land(taken)
    _set(asm, RCX, _CALLED)
    look = len(asm.code)
    asm.pause()
    asm.integer(x86.COMPARE, RCX, Memory(RDX, _STATE))
    asm.jump_back(x86.ZERO, look)
    asm.land(done_here)
    next_other(collect)
    asm.pop(reversed(saved))
    asm.end()
    return x86.executable(asm.finished())
