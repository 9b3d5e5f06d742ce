"""Convolution of float32 images in machine code, all arrays stored batch last, (H, W, C, N).

What a pixel of the output meets in a row of the kernel are neighbouring pixels of the input: kw * C runs of N numbers,
one after the other in memory. So a pixel of the output is a product of matrices, (O, kh * kw * C) @ (kh * kw * C, N),
whose second factor lies in kh pieces in the image itself: nothing is copied. A block of 6 features times 16 samples of
it stays in 12 registers while the sum is taken. The gradient of the weight is summed up in blocks of 4 features times 3
elements of the kernel.

At the edge of the image a pixel meets fewer rows, or parts of them. The code is therefore given *runs*: neighbouring
pixels of a row that meet the same part of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import cache, lru_cache
from math import gcd, prod
from typing import Any, NamedTuple

import numpy as np

from ..memory import Array
from . import assembler as x86
from .assembler import R8, R9, R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDX, RSI, Memory, address
from .calls import Call, Plan, call_planned, scheduled, somewhere, zeros
from .few_rows import in_blocks
from .fused import machine_code_works
from .threads import shares

Sizes = tuple[int, ...]

_FEATURES = 6  # of a block of the output, times two registers of samples
_ROWS, _COLUMNS = 4, 3  # of a block of the weight's gradient
_RUN = 256  # samples of some pixels for the weight's gradient, so that what they meet stays in the cache


class Run:
    """Words of a run: where its first pixel is, what it meets, and that part of the weight, in bytes from where they
    begin; how many pixels; how many rows of the kernel, and how many blocks of it in each, and elements more."""

    X, Y, WEIGHT, PIXELS, ROWS, BLOCKS, REST, SIZE = range(0, 64, 8)


def fits(*images: Array) -> bool:
    """Whether these are images (H, W, C, N) that machine code takes."""
    return machine_code_works() and all(
        a.shape[3] >= x86.LANES and a.dtype == np.float32 and a.strides[3] == 4 and a.strides[2] == 4 * a.shape[3]
        for a in images
    )  # fmt: skip


def handles(x: Array, kernel: Sizes, dilation: Sizes) -> bool:
    """Whether images ``x`` can be convolved here."""
    return fits(x) and _one_piece(kernel, dilation, x.shape, x.strides)


def _one_piece(kernel: Sizes, dilation: Sizes, image: Sizes, strides: Sizes) -> bool:
    """Whether what a pixel meets in a row of the kernel is one piece of memory."""
    return kernel[1] == 1 or (dilation[1] == 1 and strides[1] == image[2] * strides[2])


def _runs(kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes, image: Sizes, rows: tuple[int, int],
          columns: int, most: int, steps: Sizes, of_element: int, block: int) -> Array | None:  # fmt: skip
    """The runs, of ``most`` pixels, of rows of the output; None if a pixel meets nothing of the image.

    ``steps`` are the bytes from row to row and from column to column of the image, of the output and of the weight,
    ``of_element`` is how many elements a column of the kernel has, of which blocks have ``block``.
    """
    spans: list[tuple[int, int, int, int]] = []  # first pixel, end, first column of the kernel, end
    for w in range(columns):
        left = w * stride[1] - before[1]
        j0, j1 = max(0, -left), min(kernel[1], image[1] - left)
        if kernel[1] == 1:
            j0, j1 = (0, 1) if 0 <= left < image[1] else (0, 0)
        if j0 >= j1:
            return None
        if spans and spans[-1][2:] == (j0, j1) and w - spans[-1][0] < most:
            spans[-1] = (spans[-1][0], w + 1, j0, j1)
        else:
            spans.append((w, w + 1, j0, j1))
    found = []
    x_row, x_column, y_row, y_column, w_row, w_column = steps
    for h in range(*rows):
        top = h * stride[0] - before[0]
        met = [i for i in range(kernel[0]) if 0 <= top + i * dilation[0] < image[0]]
        if not met:
            return None
        for first, end, j0, j1 in spans:
            x = (top + met[0] * dilation[0]) * x_row + (first * stride[1] - before[1] + j0) * x_column
            y, weight = h * y_row + first * y_column, met[0] * w_row + j0 * w_column
            found.append((x, y, weight, end - first, len(met), *divmod((j1 - j0) * of_element, block)))
    return np.array(found, np.int64)


class Class(NamedTuple):
    """Pixels of a result, every ``step``-th from ``first``, that meet the same elements of a kernel, and where.

    All pixels of a convolution do. Those of its adjoint in the input fall into stride * stride classes: those of a
    class meet neighbours in the gradient, so that each is a convolution at stride 1.
    """

    first: Sizes
    step: Sizes
    elements: tuple[slice, slice]  # rows and columns of the kernel
    kernel: Sizes  # how many
    stride: Sizes
    before: Sizes
    dilation: Sizes

    def of(self, result: Array) -> Array:
        """Its part of a result (H, W, ...)."""
        return result[self.first[0] :: self.step[0], self.first[1] :: self.step[1]]


@lru_cache(maxsize=256)
def classes(adjoint: bool, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes) -> list[Class]:
    """Those of a convolution, or of its adjoint in the input."""
    if not adjoint:
        return [Class((0, 0), (1, 1), (slice(None), slice(None)), kernel, stride, before, dilation)]
    rows, columns = (_adjoint_classes(*sizes) for sizes in zip(kernel, stride, before, dilation))
    return [Class(*zip(row, column)) for row in rows for column in columns]


def _adjoint_classes(kernel: int, stride: int, before: int, dilation: int) -> list[tuple[Any, ...]]:
    """The fields of :class:`Class` in one dimension."""
    found = []
    for first in range(stride):
        # Place p of the input is met by element u of the kernel at (p + before - u * dilation) / stride.
        met = [u for u in reversed(range(kernel)) if (first + before - u * dilation) % stride == 0]
        start = (first + before - met[0] * dilation) // stride if met else 0
        step = met[1] - met[0] if len(met) > 1 else -1
        elements = slice(met[0], met[-1] - 1 if met[-1] else None, step) if met else slice(0, 0)
        found.append((first, stride, elements, len(met), 1, -start, dilation // gcd(stride, dilation)))
    return found


def convolved(plan: Callable[..., list[Plan]], packed: Callable[[Array], Array], work: float, x: Array, w: Array,
              bias: Array | None, out: Array, *geometry: Any) -> bool:  # fmt: skip
    """Convolve by the calls of ``plan``, with the weights of each class ``packed``, if that is possible.

    ``geometry`` are the arguments of :func:`classes`.
    """
    found = classes(*geometry)
    parts = [packed(w[:, :, c.elements[0], c.elements[1]]) for c in found if all(c.kernel)]
    weights = parts[0] if len(parts) == 1 else np.concatenate([part.reshape(-1) for part in parts])
    given = zeros(out.shape[2]) if bias is None else np.ascontiguousarray(bias, np.float32)
    if not call_planned(plan, [x, out, weights, given], [], shares(work, True), geometry):
        return False
    for c in found:
        if not all(c.kernel):
            c.of(out)[...] = 0
    return True


X, _Y, _WEIGHT, BIAS = map(somewhere, range(1, 5))


def plans(layouts: Any, threads: int, geometry: Any, words: type[IntEnum], pixel: int, of_element: int,
          call_of: Callable[..., tuple[Any, list[Any]]], blocks: int = 1, most: int | None = None,
          block: int = 1) -> list[Plan]:  # fmt: skip
    """For each thread its rows of each class; none if that is not possible.

    ``pixel`` are the bytes of a block of weights, or of their sums, for an element of the kernel. See :func:`_runs` for
    the other numbers. ``call_of`` gives the code for a class, and its arguments but where its runs, input, output and
    weights are, and but room for its own ``words``.
    """
    (image, x_strides), (result, y_strides) = layouts[:2]
    own: list[list[Call]] = [[] for _ in range(threads)]
    weight = _WEIGHT
    for c in classes(*geometry):
        (height, width), (kh, kw) = (len(range(*of)) for of in zip(c.first, result, c.step)), c.kernel
        if not (kh and kw):
            continue
        if not _one_piece(c.kernel, c.dilation, image, x_strides):
            return []
        y = _Y + c.first[0] * y_strides[0] + c.first[1] * y_strides[1]
        y_steps = c.step[0] * y_strides[0], c.step[1] * y_strides[1]
        code, given = call_of(c, y_steps[1])
        room = [0] * (len(words) - 5 - len(given))
        for k, calls in enumerate(own):
            rows = height * k // threads, height * (k + 1) // threads
            if width and rows[0] < rows[1]:
                runs = _runs(c.kernel, c.stride, c.before, c.dilation, image[:2], rows, width, most or width,
                             (*x_strides[:2], *y_steps, kw * pixel, pixel), of_element, block)  # fmt: skip
                if runs is None:
                    return []
                calls.append(Call(code.address, [len(runs), address(runs), X, y, weight, *given, *room], kept=runs))
        weight += blocks * kh * kw * pixel
    return [Plan([scheduled(calls, 1)]) for calls in own if calls]


# ------------------------------------------------------------------------------------ forward

_Forward = IntEnum(  # words of the arguments
    "_Forward",
    "RUNS FIRST_RUN X Y WEIGHT BIAS WIDE NARROW BLOCKS X_ROW X_LINE X_PIXEL Y_CHANNEL Y_PIXEL W_LINE W_BLOCK BACK "
    "PIXELS_LEFT X_NOW Y_NOW SAMPLES_LEFT",
    start=0,
)


@cache
def _forward(rest: tuple[int, ...]) -> Callable[[int], None]:
    """The function for a number of features that leaves blocks of ``rest`` over full ones."""
    asm = x86.Assembler()
    word = asm.word
    asm.push(x86.SAVED)
    asm.load(RSI, word(_Forward.FIRST_RUN))

    def block(features: int, vectors: int) -> None:
        """A block of the output: R11 its weights, R12 its place, R13 its bias; in R15 what it meets."""
        sums = [[f * vectors + v for v in range(vectors)] for f in range(features)]
        for f, registers in enumerate(sums):
            for register in registers:
                asm.vector(x86.BROADCAST, register, Memory(R13, 4 * f))
        asm.load(R8, R15)
        asm.load(R9, Memory(RSI, Run.WEIGHT))
        asm.increase(R9, R11)
        asm.load(R10, Memory(RSI, Run.ROWS))

        def kernel_row() -> None:
            asm.load(RAX, R8)
            asm.load(RCX, R9)
            asm.load(RDX, Memory(RSI, Run.BLOCKS))

            def element() -> None:
                for v in range(vectors):
                    asm.vector(x86.LOAD, 12 + v, Memory(RAX, 32 * v))
                for f, registers in enumerate(sums):
                    asm.vector(x86.BROADCAST, 14 + f % 2, Memory(RCX, 4 * f))
                    for v, register in enumerate(registers):
                        asm.vector(x86.FUSED["fma"], register, 12 + v, 14 + f % 2)
                asm.increase(RAX, RBX)
                asm.add(RCX, 4 * _FEATURES)

            asm.times(RDX, element)
            asm.increase(R8, word(_Forward.X_LINE))
            asm.increase(R9, word(_Forward.W_LINE))

        asm.times(R10, kernel_row)
        asm.load(RAX, R12)
        for registers in sums:
            for v, register in enumerate(registers):
                asm.vector(x86.STORE, register, Memory(RAX, 32 * v))
            asm.increase(RAX, word(_Forward.Y_CHANNEL))

    def samples(vectors: int) -> None:
        """All features of a pixel for some samples: in R15 what they meet, in RBP where they go."""
        asm.load(R11, word(_Forward.WEIGHT))
        asm.load(R12, RBP)
        asm.load(R13, word(_Forward.BIAS))
        asm.load(RBX, word(_Forward.X_ROW))

        def next_block(features: int) -> None:
            block(features, vectors)
            asm.load(R12, RAX)
            asm.increase(R11, word(_Forward.W_BLOCK))
            asm.add(R13, 4 * features)

        asm.repeat(word(_Forward.BLOCKS), R14, lambda: next_block(_FEATURES))
        for features in rest:
            next_block(features)
        asm.add(R15, 32 * vectors)
        asm.add(RBP, 32 * vectors)

    def pixel() -> None:
        asm.load(R15, word(_Forward.X_NOW))
        asm.load(RBP, word(_Forward.Y_NOW))
        asm.repeat(word(_Forward.WIDE), word(_Forward.SAMPLES_LEFT), lambda: samples(2))
        asm.unless_zero(word(_Forward.NARROW), lambda: samples(1))
        asm.last_vector(word(_Forward.BACK), (R15, RBP), lambda: samples(1))
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
    """Write to ``out`` (H', W', O, N) the convolution of ``x`` with ``w`` (O, C, kh, kw), if that is possible here."""
    return _convolve(x, w, bias, out, False, taps.kernel, taps.stride, taps.before, taps.dilation)


def convolve_input(g: Array, w: Array, stride: Sizes, before: Sizes, dilation: Sizes, out: Array) -> bool:
    """Write to ``out`` (H, W, C, N) the adjoint of the convolution in its input, if that is possible here."""
    return _convolve(g, w.swapaxes(0, 1), None, out, True, w.shape[2:], stride, before, dilation)


def _convolve(x: Array, w: Array, bias: Array | None, out: Array, *geometry: Any) -> bool:
    if not fits(x, out):
        return False
    work = (x if geometry[0] else out).size * w.size / out.shape[2] / 45
    return convolved(_forward_plans, _packed, work, x, w, bias, out, *geometry)


def _packed(w: Array) -> Array:
    """Weights (O, C, kh, kw) in blocks of features: (blocks, kh, kw, C, 6), where some may have fewer than 6."""
    (_, channels, kh, kw), (full, rest) = w.shape, in_blocks(len(w), _FEATURES)
    packed: Array = np.empty((full + len(rest), kh, kw, channels, _FEATURES), np.float32)
    done = full * _FEATURES
    packed[:full] = w[:done].reshape(full, _FEATURES, channels, kh, kw).transpose(0, 3, 4, 2, 1)
    for block, size in zip(packed[full:], rest):
        block[..., :size] = w[done : done + size].transpose(2, 3, 1, 0)
        done += size
    return packed


@lru_cache(maxsize=128)
def _forward_plans(layouts: Any, threads: int, geometry: Any) -> list[Plan]:
    (image, x_strides), (result, y_strides), *_ = layouts
    (_, _, channels, n), (full, rest) = image, in_blocks(result[2], _FEATURES)
    pixel = 4 * _FEATURES * channels

    def call_of(c: Class, y_pixel: int) -> tuple[Any, list[int]]:
        return _forward(rest), [
            BIAS, n // x86.LANES // 2, n // x86.LANES % 2, full, x_strides[2], c.dilation[0] * x_strides[0],
            c.stride[1] * x_strides[1], y_strides[2], y_pixel, c.kernel[1] * pixel, prod(c.kernel) * pixel,
            x86.step_back(n),
        ]  # fmt: skip

    return plans(layouts, threads, geometry, _Forward, pixel, channels, call_of, full + len(rest))


# ------------------------------------------------------------------------ the weight's gradient

_Backward = IntEnum(  # words of the arguments
    "_Backward",
    "RUNS FIRST_RUN X G SUMS BLOCKS STEPS ROW G_PIXEL X_PIXEL X_LINE SUM_LINE SUM_FEATURE G_BLOCK SUM_BLOCK "
    "PIXELS_LEFT FULL_LEFT LINES_LEFT BLOCKS_LEFT X_NOW SUM_NOW",
    start=0,
)


@cache
def _backward(rest: int) -> Callable[[int], None]:
    """The function for a number of features that leaves ``rest`` over full blocks."""
    asm = x86.Assembler()
    word = asm.word
    asm.push(x86.SAVED)
    asm.load(RSI, word(_Backward.FIRST_RUN))
    asm.load(RBX, word(_Backward.ROW))
    asm.load(R8, RBX)  # twice, and three times that
    asm.increase(R8, RBX)
    asm.load(R9, R8)
    asm.increase(R9, RBX)
    rows_of = (None, RBX, R8, R9)

    def block(features: int, elements: int) -> None:
        """A block of the sums, at R12: features from R11 times elements from R15, over the pixels of a run."""
        sums = [[f * elements + e for e in range(elements)] for f in range(features)]

        def each(instruction: x86.Vector) -> None:
            asm.load(RAX, R12)
            for registers in sums:
                for e, register in enumerate(registers):
                    asm.vector(instruction, register, Memory(RAX, 4 * x86.LANES * e))
                asm.increase(RAX, word(_Backward.SUM_FEATURE))

        each(x86.LOAD)
        asm.load(R13, R11)
        asm.load(R14, R15)
        asm.copy(Memory(RSI, Run.PIXELS), word(_Backward.PIXELS_LEFT), RDX)

        def pixel() -> None:
            asm.load(RAX, R13)
            asm.load(RCX, R14)
            asm.load(RDX, word(_Backward.STEPS))

            def samples() -> None:
                for e in range(elements):
                    asm.vector(x86.LOAD, 12 + e, Memory(RCX, 0, rows_of[e]))
                for f, registers in enumerate(sums):
                    asm.vector(x86.LOAD, 15, Memory(RAX, 0, rows_of[f]))
                    for e, register in enumerate(registers):
                        asm.vector(x86.FUSED["fma"], register, 12 + e, 15)
                asm.add(RAX, 4 * x86.LANES)
                asm.add(RCX, 4 * x86.LANES)

            asm.times(RDX, samples)
            asm.increase(R13, word(_Backward.G_PIXEL))
            asm.increase(R14, word(_Backward.X_PIXEL))

        asm.times(word(_Backward.PIXELS_LEFT), pixel)
        each(x86.STORE)

    def features(count: int) -> None:
        """All elements for some features, whose gradients stay in the cache meanwhile."""
        asm.sum(word(_Backward.X_NOW), word(_Backward.X), Memory(RSI, Run.X))
        asm.store(RBP, word(_Backward.SUM_NOW))

        def full_block() -> None:
            block(count, _COLUMNS)
            asm.increase(R15, R9)
            asm.add(R12, 4 * x86.LANES * _COLUMNS)

        def kernel_row() -> None:
            asm.load(R15, word(_Backward.X_NOW))
            asm.load(R12, word(_Backward.SUM_NOW))
            asm.repeat(Memory(RSI, Run.BLOCKS), word(_Backward.FULL_LEFT), full_block)
            for left in range(1, _COLUMNS):
                asm.if_equal(Memory(RSI, Run.REST), left, lambda left=left: block(count, left))  # type: ignore[misc]
            for place, step in ((_Backward.X_NOW, _Backward.X_LINE), (_Backward.SUM_NOW, _Backward.SUM_LINE)):
                asm.advance(word(place), word(step))

        asm.repeat(Memory(RSI, Run.ROWS), word(_Backward.LINES_LEFT), kernel_row)

    def run() -> None:
        for register, start, offset in ((R11, _Backward.G, Run.Y), (RBP, _Backward.SUMS, Run.WEIGHT)):
            asm.load(register, word(start))
            asm.increase(register, Memory(RSI, offset))

        def full_block() -> None:
            features(_ROWS)
            asm.increase(R11, word(_Backward.G_BLOCK))
            asm.increase(RBP, word(_Backward.SUM_BLOCK))

        asm.repeat(word(_Backward.BLOCKS), word(_Backward.BLOCKS_LEFT), full_block)
        if rest:
            features(rest)
        asm.add(RSI, Run.SIZE)

    asm.times(word(_Backward.RUNS), run)
    asm.pop(reversed(x86.SAVED))
    asm.end()
    return x86.executable(asm.finished())


def convolve_weight(g: Array, x: Array, taps: Any) -> Array | None:
    """The gradient of the weight, given that of the output, ``g`` (H', W', O, N); None if it is not possible here."""
    (kh, kw), features, (channels, n) = taps.kernel, g.shape[2], x.shape[2:]
    if n % x86.LANES or not fits(x, g):
        return None
    threads = shares(g.size * channels * kh * kw / 45, True)
    totals = np.zeros((threads, features, kh, kw * channels, x86.LANES), np.float32)
    geometry = False, taps.kernel, taps.stride, taps.before, taps.dilation
    if not call_planned(_backward_plans, [x, g], [totals], threads, geometry):
        return None
    total = totals.reshape(threads, -1, x86.LANES) @ np.ones(x86.LANES, np.float32)
    return np.ascontiguousarray(total.sum(0).reshape(features, kh, kw, channels).transpose(0, 3, 1, 2))


@lru_cache(maxsize=128)
def _backward_plans(layouts: Any, threads: int, geometry: Any) -> list[Plan]:
    (image, x_strides), (result, g_strides), (_, (feature, line, _, _)) = layouts
    (_, _, channels, n), (full, rest) = image, divmod(result[2], _ROWS)

    def call_of(c: Class, g_pixel: int) -> tuple[Any, list[int]]:
        return _backward(rest), [
            full, n // x86.LANES, x_strides[2], g_pixel, c.stride[1] * x_strides[1], c.dilation[0] * x_strides[0], line,
            feature, _ROWS * g_strides[2], _ROWS * feature,
        ]  # fmt: skip

    pixel, most = 4 * channels * x86.LANES, max(2, _RUN // n)
    return plans(layouts, threads, geometry, _Backward, pixel, channels, call_of, most=most, block=_COLUMNS)
