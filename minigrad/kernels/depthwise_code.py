"""Convolution of each channel by itself in machine code: see :mod:`.convolution_code`, whose runs of pixels these are.

Up to 32 samples of a pixel are summed up in registers. In the gradient of the weight, that are three elements of a row
of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np

from ..memory import Array
from . import assembler as x86
from .assembler import R8, R9, R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDX, RSI, Memory, address
from .convolution_code import Run, handles, shared_runs, words_of
from .threads import call

_WIDE = 4  # registers of samples
_ELEMENTS = 3  # of a row of the kernel
_TILE = 4  # pixels of a run for the weight's gradient, so that what they meet stays in the cache

_Forward = IntEnum(  # words of the arguments
    "_Forward",
    "RUNS FIRST_RUN X Y WEIGHT BIAS CHANNELS WIDE NARROW X_LINE X_PIXEL X_TAP Y_PIXEL W_LINE W_TAP BACK "
    "PIXELS_LEFT X_NOW Y_NOW CHANNELS_LEFT",
    start=0,
)


@cache
def _forward() -> Callable[[int], None]:
    asm = x86.Assembler()
    word = asm.word
    asm.push(x86.SAVED)
    asm.load(RSI, word(_Forward.FIRST_RUN))
    asm.load(RBX, word(_Forward.X_TAP))
    asm.load(R12, word(_Forward.W_TAP))

    def samples(vectors: int) -> None:
        """Some samples of a channel: R15 what they meet, RBP their place, R11 its weights, R13 its bias."""
        for v in range(vectors):
            asm.vector(x86.BROADCAST, v, Memory(R13))
        asm.load(R8, R15)
        asm.load(R9, Memory(RSI, Run.WEIGHT))
        asm.increase(R9, R11)
        asm.load(R10, Memory(RSI, Run.ROWS))

        def kernel_row() -> None:
            asm.load(RAX, R8)
            asm.load(RCX, R9)
            asm.load(RDX, Memory(RSI, Run.BLOCKS))

            def element() -> None:
                asm.vector(x86.BROADCAST, 15, Memory(RCX))
                for v in range(vectors):
                    asm.vector(x86.FUSED["fma"], v, Memory(RAX, 32 * v), 15)
                asm.increase(RAX, RBX)
                asm.increase(RCX, R12)

            asm.times(RDX, element)
            asm.increase(R8, word(_Forward.X_LINE))
            asm.increase(R9, word(_Forward.W_LINE))

        asm.times(R10, kernel_row)
        for v in range(vectors):
            asm.vector(x86.STORE, v, Memory(RBP, 32 * v))
        asm.add(R15, 32 * vectors)
        asm.add(RBP, 32 * vectors)

    def channel() -> None:
        asm.repeat(word(_Forward.WIDE), R14, lambda: samples(_WIDE))
        asm.repeat(word(_Forward.NARROW), R14, lambda: samples(1))
        asm.last_vector(word(_Forward.BACK), (R15, RBP), lambda: samples(1))
        asm.add(R11, 4)
        asm.add(R13, 4)

    def pixel() -> None:
        asm.load(R15, word(_Forward.X_NOW))
        asm.load(RBP, word(_Forward.Y_NOW))
        asm.load(R11, word(_Forward.WEIGHT))
        asm.load(R13, word(_Forward.BIAS))
        asm.copy(word(_Forward.CHANNELS), word(_Forward.CHANNELS_LEFT))
        asm.times(word(_Forward.CHANNELS_LEFT), channel)
        for place, step in ((_Forward.X_NOW, _Forward.X_PIXEL), (_Forward.Y_NOW, _Forward.Y_PIXEL)):
            asm.advance(word(place), word(step))

    def run() -> None:
        asm.copy(Memory(RSI, Run.PIXELS), word(_Forward.PIXELS_LEFT))
        for place, start, offset in ((_Forward.X_NOW, _Forward.X, Run.X), (_Forward.Y_NOW, _Forward.Y, Run.Y)):
            asm.sum(word(place), word(start), Memory(RSI, offset))
        asm.times(word(_Forward.PIXELS_LEFT), pixel)
        asm.add(RSI, Run.SIZE)

    asm.times(word(_Forward.RUNS), run)
    asm.pop(reversed(x86.SAVED))
    asm.end()
    return x86.executable(asm.finished())


def convolve(x: Array, w: Array, bias: Array | None, taps: Any, out: Array) -> bool:
    """Write to ``out`` (H', W', C, N) the convolution of each channel with its kernel of ``w``, if possible here."""
    if not handles(x, taps.kernel, taps.dilation, out):
        return False
    (channels, _, kh, kw), n = w.shape, x.shape[3]
    shares = shared_runs(taps, x, out, out.size * kh * kw / 16, out.shape[1], (kw * channels * 4, channels * 4), 1, 1)
    if shares is None:
        return False
    packed = np.ascontiguousarray(w[:, 0].transpose(1, 2, 0), np.float32)
    biases = np.zeros(channels, np.float32) if bias is None else np.ascontiguousarray(bias, np.float32)
    call(_forward(), [words_of(_Forward, [
        len(runs), address(runs), address(x), address(out), address(packed), address(biases), channels,
        n // x86.LANES // _WIDE, n // x86.LANES % _WIDE, taps.dilation[0] * x.strides[0],
        taps.stride[1] * x.strides[1], x.strides[1], out.strides[1], *packed.strides[:2], x86.step_back(n),
    ]) for runs in shares])  # fmt: skip
    return True


_Backward = IntEnum(  # words of the arguments
    "_Backward",
    "RUNS FIRST_RUN X G SUMS CHANNELS STEPS TAP G_NEXT X_NEXT X_LINE SUM_LINE SUM_CHANNEL ROW "
    "CHANNELS_LEFT LINES_LEFT FULL_LEFT PIXELS_LEFT SUM_NOW X_NOW",
    start=0,
)


@cache
def _backward(vectors: int) -> Callable[[int], None]:
    """The function that takes ``vectors`` registers of samples at a time."""
    asm = x86.Assembler()
    word = asm.word
    asm.push(x86.SAVED)
    asm.load(RSI, word(_Backward.FIRST_RUN))
    asm.load(RBX, word(_Backward.TAP))
    asm.load(R8, RBX)
    asm.increase(R8, RBX)
    columns = (None, RBX, R8)

    def block(elements: int) -> None:
        """Some elements, whose sums are at R12: over the pixels of a run, from R11, what they meet from R15."""
        for e in range(elements):
            asm.vector(x86.LOAD, e, Memory(R12, 4 * x86.LANES * e))
            asm.vector(x86.XOR, _ELEMENTS + e, _ELEMENTS + e, _ELEMENTS + e)
        asm.load(RAX, R11)
        asm.load(RCX, R15)
        asm.copy(Memory(RSI, Run.PIXELS), word(_Backward.PIXELS_LEFT), RDX)

        def pixel() -> None:
            asm.load(RDX, word(_Backward.STEPS))

            def samples() -> None:
                for v in range(vectors):
                    asm.vector(x86.LOAD, 14 + v, Memory(RAX, 32 * v))
                    for e in range(elements):
                        asm.vector(x86.FUSED["fma"], v * _ELEMENTS + e, Memory(RCX, 32 * v, columns[e]), 14 + v)
                asm.add(RAX, 32 * vectors)
                asm.add(RCX, 32 * vectors)

            asm.times(RDX, samples)
            asm.increase(RAX, word(_Backward.G_NEXT))
            asm.increase(RCX, word(_Backward.X_NEXT))

        asm.times(word(_Backward.PIXELS_LEFT), pixel)
        for e in range(elements):
            asm.vector(x86.ADD, e, e, _ELEMENTS + e)
            asm.vector(x86.STORE, e, Memory(R12, 4 * x86.LANES * e))

    def channel() -> None:
        asm.load(R13, word(_Backward.SUM_NOW))
        asm.load(R14, word(_Backward.X_NOW))

        def full_block() -> None:
            block(_ELEMENTS)
            asm.increase(R15, R8)
            asm.increase(R15, RBX)
            asm.add(R12, 4 * x86.LANES * _ELEMENTS)

        def kernel_row() -> None:
            asm.load(R12, R13)
            asm.load(R15, R14)
            asm.repeat(Memory(RSI, Run.BLOCKS), word(_Backward.FULL_LEFT), full_block)
            for left in range(1, _ELEMENTS):
                asm.if_equal(Memory(RSI, Run.REST), left, lambda left=left: block(left))  # type: ignore[misc]
            asm.increase(R13, word(_Backward.SUM_LINE))
            asm.increase(R14, word(_Backward.X_LINE))

        asm.repeat(Memory(RSI, Run.ROWS), word(_Backward.LINES_LEFT), kernel_row)
        for place, step in ((_Backward.SUM_NOW, _Backward.SUM_CHANNEL), (_Backward.X_NOW, _Backward.ROW)):
            asm.advance(word(place), word(step))
        asm.increase(R11, word(_Backward.ROW))

    def run() -> None:
        asm.load(R11, word(_Backward.G))
        asm.increase(R11, Memory(RSI, Run.Y))
        for place, start, offset in ((_Backward.SUM_NOW, _Backward.SUMS, Run.WEIGHT),
                                     (_Backward.X_NOW, _Backward.X, Run.X)):  # fmt: skip
            asm.sum(word(place), word(start), Memory(RSI, offset))
        asm.copy(word(_Backward.CHANNELS), word(_Backward.CHANNELS_LEFT))
        asm.times(word(_Backward.CHANNELS_LEFT), channel)
        asm.add(RSI, Run.SIZE)

    asm.times(word(_Backward.RUNS), run)
    asm.pop(reversed(x86.SAVED))
    asm.end()
    return x86.executable(asm.finished())


def convolve_weight(g: Array, x: Array, taps: Any) -> Array | None:
    """The gradient of the weight, given that of the output, ``g`` (H', W', C, N); None if it is not possible here."""
    if x.shape[3] % x86.LANES or not handles(x, taps.kernel, taps.dilation, g):
        return None
    (kh, kw), (channels, n) = taps.kernel, g.shape[2:]
    steps = kw * 4 * x86.LANES, 4 * x86.LANES
    shares = shared_runs(taps, x, g, g.size * kh * kw / 16, _TILE, steps, 1, _ELEMENTS)
    if shares is None:
        return None
    totals = np.zeros((len(shares), channels, kh, kw, x86.LANES), np.float32)
    vectors = 2 - n // x86.LANES % 2
    call(_backward(vectors), [words_of(_Backward, [
        len(runs), address(runs), address(x), address(g), address(total), channels, n // x86.LANES // vectors,
        x.strides[1], g.strides[1] - 4 * n, taps.stride[1] * x.strides[1] - 4 * n, taps.dilation[0] * x.strides[0],
        total.strides[1], total.strides[0], 4 * n,
    ]) for runs, total in zip(shares, totals)])  # fmt: skip
    return totals.sum((0, 4))[:, None]
