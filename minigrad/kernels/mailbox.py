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
_AWAY, _WAITING, _CALLED, _AT_WORK, _POSTED = range(5)  # states: the last is that there are messages
_STATE, _CODE, _BLOCK, _LOOKS = range(0, 32, 8)  # what the words of a mailbox are
AWAKE = object()  # a message without content


class Mailbox:
    """What is left for a thread: messages for when it holds the interpreter lock, or a call of machine code."""

    def __init__(self, looks: int) -> None:
        self.messages: SimpleQueue[Any] = SimpleQueue()
        self.words = np.array([_AWAY, 0, 0, max(1, looks)])
        self.address = self.words.ctypes.data
        if x86.supported():
            self.wait: Callable[[], object] = partial(_wait(), self.address)
        else:
            self.looked_at = np.broadcast_to(self.words[:1], 64 * looks)
            self.wait = self._look

    def _look(self) -> None:
        """NumPy looks at one number many times, also without the lock, and stops when it is not 0."""
        np.logical_or.reduce(self.looked_at)
        self.words[0] = _AWAY

    def put(self, message: Any) -> None:
        self.messages.put(message)
        self.words[0] = _POSTED

    def get(self) -> Any:
        for _ in range(2):  # the first may end at once, because of a message that has been taken
            if self.messages.empty():
                self.wait()
        return self.messages.get()


def call_all(code: int, blocks: Sequence[array[int]], mailboxes: Sequence[Mailbox]) -> None:
    """Call machine code with each block: the first here, the others where threads wait or come in time."""
    assert 1 < len(blocks) <= len(mailboxes) + 1  # the loops run at least once
    words = array("q", (len(blocks) - 1, code, blocks[0].buffer_info()[0]))
    for box, block in zip(mailboxes, blocks[1:]):
        words.extend((box.address, code, block.buffer_info()[0]))
        if box.words[0] == _AWAY:
            box.messages.put(AWAKE)
    _call_all()(words.buffer_info()[0])


def _change(asm: Assembler, mailbox: int, state: int, new: int) -> None:
    """Change the state, if it is ``state``, with the flag ZERO set; else load it to RAX."""
    asm.set(RAX, state)
    asm.set(RCX, new)
    asm.compare_and_exchange(Memory(mailbox, _STATE), RCX)


def _go_back(asm: Assembler, target: int) -> None:
    asm.integer(x86.CLEAR, RAX, RAX)
    asm.jump_back(x86.ZERO, target)


@cache
def _wait() -> Callable[[int], None]:
    """Wait at the mailbox whose address is given, and do what one is called for, until there is a message."""
    asm = Assembler()
    asm.push([RBX])
    asm.load(RBX, RDI)
    begin = len(asm.code)
    _change(asm, RBX, _AWAY, _WAITING)
    asm.load(RDX, Memory(RBX, _LOOKS))
    asm.set(RCX, _WAITING)
    look = len(asm.code)
    asm.load(RAX, Memory(RBX, _STATE))
    asm.integer(x86.COMPARE, RAX, RCX)
    called = asm.jump(x86.NOT_ZERO)
    asm.pause()
    asm.add(RDX, -1)
    asm.jump_back(x86.NOT_ZERO, look)
    _change(asm, RBX, _WAITING, _AWAY)  # tired
    tired = asm.jump(x86.ZERO)
    asm.land(called)
    _change(asm, RBX, _POSTED, _AWAY)
    posted = asm.jump(x86.ZERO)
    _change(asm, RBX, _CALLED, _AT_WORK)
    asm.jump_back(x86.NOT_ZERO, begin)  # whoever called has come back
    asm.load(RDI, Memory(RBX, _BLOCK))
    asm.call(Memory(RBX, _CODE))
    asm.set(RAX, _WAITING)
    asm.store(RAX, Memory(RBX, _STATE))
    _go_back(asm, begin)
    for jump in (posted, tired):
        asm.land(jump)
    asm.pop([RBX])
    asm.end()
    return x86.executable(asm.finished())


@cache
def _call_all() -> Callable[[int], None]:
    """The number of others; own code and its argument; for each other: its mailbox, code and argument."""
    asm, saved, size = Assembler(), (RBX, RBP, R12), 24
    asm.push(saved)
    asm.load(RBX, RDI)

    def for_each_other() -> int:
        """Begin a loop, with RBP at what is for one of them."""
        asm.load(RBP, RBX)
        asm.add(RBP, size)
        asm.load(R12, Memory(RBX))
        return len(asm.code)

    def next_other(loop: int) -> None:
        asm.add(RBP, size)
        asm.add(R12, -1)
        asm.jump_back(x86.NOT_ZERO, loop)

    hand_out = for_each_other()
    asm.load(RDX, Memory(RBP))
    for word in (_CODE, _BLOCK):
        asm.load(RCX, Memory(RBP, word))
        asm.store(RCX, Memory(RDX, word))
    asm.set(RCX, _CALLED)
    asm.store(RCX, Memory(RDX, _STATE))
    next_other(hand_out)

    asm.load(RDI, Memory(RBX, _BLOCK))
    asm.call(Memory(RBX, _CODE))

    collect = for_each_other()
    asm.load(RDX, Memory(RBP))
    _change(asm, RDX, _CALLED, _AWAY)
    taken = asm.jump(x86.NOT_ZERO)
    asm.load(RDI, Memory(RBP, _BLOCK))
    asm.call(Memory(RBP, _CODE))
    asm.load(RDX, Memory(RBP))
    asm.land(taken)
    asm.set(RCX, _AT_WORK)
    look = len(asm.code)
    asm.pause()
    asm.integer(x86.COMPARE, RCX, Memory(RDX, _STATE))
    asm.jump_back(x86.ZERO, look)
    next_other(collect)
    asm.pop(reversed(saved))
    asm.end()
    return x86.executable(asm.finished())
