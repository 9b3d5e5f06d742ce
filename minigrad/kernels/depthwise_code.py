"""Convolution of each channel by itself in machine code: see :mod:`.convolution_code`, whose runs of pixels these are.

Up to 32 samples of a pixel are summed up in registers. In the gradient of the weight, that are three elements of a row
of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import cache, lru_cache
from typing import Any

import numpy as np

from ..memory import Array
from . import assembler as x86
from .assembler import R8, R9, R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDX, RSI, Memory
from .calls import Plan, call_planned
from .convolution_code import BIAS, Class, Run, Sizes, convolved, fits, plans
from .threads import shares

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
    return _convolve(x, w, bias, out, False, taps.kernel, taps.stride, taps.before, taps.dilation)


def convolve_input(g: Array, w: Array, stride: Sizes, before: Sizes, dilation: Sizes, out: Array) -> bool:
    """Write to ``out`` (H, W, C, N) the adjoint of the convolution in its input, if that is possible here."""
    return _convolve(g, w, None, out, True, w.shape[2:], stride, before, dilation)


def _convolve(x: Array, w: Array, bias: Array | None, out: Array, *geometry: Any) -> bool:
    work = (x if geometry[0] else out).size * w.size / len(w) / 16
    return fits(x, out) and convolved(_forward_plans, _packed, work, x, w, bias, out, *geometry)


def _packed(w: Array) -> Array:
    """Weights (C, 1, kh, kw) as (kh, kw, C)."""
    return np.ascontiguousarray(w[:, 0].transpose(1, 2, 0), np.float32)


@lru_cache(maxsize=128)
def _forward_plans(layouts: Any, threads: int, geometry: Any) -> list[Plan]:
    (image, x_strides), *_ = layouts
    channels, n = image[2:]
    pixel, vectors = 4 * channels, n // x86.LANES

    def call_of(c: Class, y_pixel: int) -> tuple[Any, list[int]]:
        return _forward(), [
            BIAS, channels, vectors // _WIDE, vectors % _WIDE, c.dilation[0] * x_strides[0], c.stride[1] * x_strides[1],
            x_strides[1], y_pixel, c.kernel[1] * pixel, pixel, x86.step_back(n),
        ]  # fmt: skip

    return plans(layouts, threads, geometry, _Forward, pixel, 1, call_of)


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
    (kh, kw), (channels, n) = taps.kernel, g.shape[2:]
    if n % x86.LANES or not fits(x, g):
        return None
    threads = shares(g.size * kh * kw / 16, True)
    totals = np.zeros((threads, channels, kh, kw, x86.LANES), np.float32)
    geometry = False, taps.kernel, taps.stride, taps.before, taps.dilation
    if not call_planned(_backward_plans, [x, g], [totals], threads, geometry):
        return None
    return totals.sum((0, 4))[:, None]


@lru_cache(maxsize=128)
def _backward_plans(layouts: Any, threads: int, geometry: Any) -> list[Plan]:
    (image, x_strides), _, (_, (channel, line, _, _)) = layouts
    channels, n = image[2:]
    vectors = 2 - n // x86.LANES % 2

    def call_of(c: Class, g_pixel: int) -> tuple[Any, list[int]]:
        return _backward(vectors), [
            channels, n // x86.LANES // vectors, x_strides[1], g_pixel - 4 * n, c.stride[1] * x_strides[1] - 4 * n,
            c.dilation[0] * x_strides[0], line, channel, 4 * n,
        ]  # fmt: skip

    return plans(layouts, threads, geometry, _Backward, 4 * x86.LANES, 1, call_of, most=_TILE, block=_ELEMENTS)
