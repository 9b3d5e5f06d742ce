"""Matrix products: large ones shared among threads, many small ones in the sizes at which they are quick.

OpenBLAS copies the operands of a product into an order of its own first. On processors with AVX-512 it multiplies
small matrices as they are. There, a kernel that makes thousands of products that are just too large takes up to a
third less time in pieces; for ``a @ b.T`` it is up to two thirds. Elsewhere, the larger a product the better.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cache, lru_cache
from math import prod

import numpy as np

from ..memory import Array
from . import assembler as x86
from .arithmetic import added
from .assembler import LANES, RAX, RBX, RCX, RDI, RDX, RSI, RSP, Memory, address
from .calls import Plan, call_planned, scheduled, stand_ins
from .few_rows import product_call
from .formula import column_sum
from .fused import fused, machine_code_works
from .threads import blas_cores, blas_function, call, divided, parallel, prepare

_MULTIPLICATIONS = 1_000_000  # in a @ b: the limit for small kernels
_RESULTS = 1152  # in a @ b.T
_LONG, _LONG_FOR_NUMPY = 20_000, 300_000  # nanoseconds from which a product is worth sharing
_IN_CACHE = 1 << 14  # elements of a matrix that machine code reads again for every few columns of the result
_CALLS = 1 << 10  # that a plan lists at most
_SMALL = 1 << 17  # multiplications for which no BLAS wakes a thread of its own


@cache
def small_is_quick() -> bool:
    """Whether BLAS has kernels for small matrices."""
    return any(core.lower() in ("skylakex", "cooperlake", "sapphirerapids") for core in blas_cores())


def _pieces(n: int, most: int) -> int:
    """Into how many equal pieces of at most ``most`` to cut ``n``; 1 if there is no good number."""
    if not small_is_quick():
        return 1
    most = max(most, 4)
    for count in range(-(-n // most), n // 4 + 1):
        if n % count == 0:
            return count
    return 1


def multiply(a: Array, b: Array, out: Array) -> None:
    """``np.matmul(a, b, out=out)`` with the rows of ``a`` in pieces."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    most = _MULTIPLICATIONS // max(1, k * n)
    count = _pieces(m, most) if most >= 8 else 1  # b is read again for each piece
    if count > 1:
        a = a.reshape(*a.shape[:-2], count, m // count, k)
        b = b[..., None, :, :]
        out = out.reshape(*out.shape[:-2], count, m // count, n)
    np.matmul(a, b, out=out)


def multiply_shared(a: Array, b: Array, out: Array) -> None:
    """``np.matmul(a, b, out=out)``, of which each thread computes some rows, or some columns if there are more."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    work = out.size * k / 45  # nanoseconds
    shared = divided(max(m, n), work)
    if len(shared) > 1 and a.ndim == b.ndim == 2 and machine_code_works():
        blocks = []
        for span in shared:
            share = slice(*span)
            blocks.append(_arguments(a[share], b, out[share]) if m >= n else _arguments(a, b[:, share], out[:, share]))
        if None not in blocks:
            call(_gemm(), blocks)  # type: ignore[arg-type]
            return

    def rows(start: int, stop: int) -> None:
        np.matmul(a[..., start:stop, :], b, out=out[..., start:stop, :])

    def columns(start: int, stop: int) -> None:
        np.matmul(a, b[..., start:stop], out=out[..., start:stop])

    parallel(rows, m, work) if m >= n else parallel(columns, n, work)


_ROW_MAJOR, _AS_IT_IS, _TRANSPOSED = 101, 111, 112  # of cblas.h


def _arguments(a: Array, b: Array, out: Array) -> array[int] | None:
    """What :func:`_gemm` needs for a product of matrices; None if BLAS cannot compute it."""
    function = blas_function("cblas_sgemm")
    if function is None or out.strides[1] != 4:
        return None
    if any(x.dtype != np.float32 or not x.size or x.strides[0] % 4 or x.strides[1] % 4 for x in (a, b, out)):
        return None
    words = [function, _ROW_MAJOR]
    steps = []
    for x in (a, b):
        if x.strides[1] == 4 and x.strides[0] >= 4 * x.shape[1]:
            words.append(_AS_IT_IS)
            steps.append(x.strides[0] // 4)
        elif x.strides[0] == 4 and x.strides[1] >= 4 * x.shape[0]:
            words.append(_TRANSPOSED)
            steps.append(x.strides[1] // 4)
        else:
            return None
    one = 0x3F800000  # 1.0 as bits
    words += *a.shape[:1], b.shape[1], a.shape[1], one, address(a), steps[0], address(b), steps[1]
    return array("q", [*words, 0, address(out), out.strides[0] // 4])


@cache
def _gemm() -> Callable[[int], None]:
    """Calls ``cblas_sgemm``: a block of its address, and its arguments in order."""
    asm = x86.Assembler()
    asm.push([RBX])
    asm.load(RBX, RDI)
    asm.add(RSP, -48)
    for place, argument in enumerate((8, 9, 10, 11, 13, 14)):  # the integers that are not passed in registers
        asm.load(RAX, Memory(RBX, 8 * argument))
        asm.store(RAX, Memory(RSP, 8 * place))
    for register, argument in zip((RDI, RSI, RDX, RCX, x86.R8, x86.R9), range(1, 7)):
        asm.load(register, Memory(RBX, 8 * argument))
    for register, argument in ((0, 7), (1, 12)):
        asm.vector(x86.LOAD_ONE, register, Memory(RBX, 8 * argument))
    asm.call(Memory(RBX))
    asm.add(RSP, 48)
    asm.pop([RBX])
    asm.end()
    return x86.executable(asm.finished())


def multiply_wide(a: Array, b: Array, out: Array) -> None:
    """``np.matmul(a, b, out=out)`` with the columns of ``b`` in pieces."""
    n = b.shape[-1]
    step = -(-n // -(-n * a.size // _MULTIPLICATIONS))
    for start in range(0, n, step):
        np.matmul(a, b[..., start : start + step], out=out[..., start : start + step])


def multiply_transposed(a: Array, b: Array, out: Array) -> None:
    """``np.matmul(a, b.swapaxes(-1, -2), out=out)`` with the rows of both in pieces; ``out`` is contiguous."""
    (m, k), n = a.shape[-2:], b.shape[-2]
    b = b.swapaxes(-1, -2)
    count = _pieces(m, 16 if n >= 64 else _RESULTS // n)
    if not small_is_quick() or k < 64 or m // count * min(n, 16) > _RESULTS:
        np.matmul(a, b, out=out)
        return
    a = a.reshape(*a.shape[:-2], count, m // count, k)
    out = out.reshape(*out.shape[:-2], count, m // count, n)
    step = max(4, _RESULTS // (m // count) // 16 * 16)
    for start in range(0, n, step):
        np.matmul(a, b[..., None, :, start : start + step], out=out[..., start : start + step])


def multiply_each(a: Array, b: Array, out: Array, column: Array | None = None) -> None:
    """``np.matmul(a, b, out=out)`` of equally many matrices, plus a ``column`` (rows, 1). Threads share them."""
    (*batch, m, n), k = out.shape, a.shape[-1]
    nanoseconds = out.size * k / 45
    given = [a, b, out] if column is None else [a, b, out, column]
    small = n >= LANES and m * k <= _IN_CACHE and k <= _IN_CACHE // 64 and prod(batch) <= _CALLS
    by_rows = b.strides[-1] == out.strides[-1] == out.itemsize and all(x.dtype == np.float32 for x in given)
    if small and by_rows and machine_code_works():
        call_planned(_each, given, [], tuple(divided(prod(batch), nanoseconds)))
        return

    def some(start: int, stop: int) -> None:
        np.matmul(a[start:stop], b[start:stop], out=out[start:stop])
        if column is not None:
            out[start:stop] += column

    parallel(some, len(out), nanoseconds)


@lru_cache(maxsize=64)
def _each(layouts: tuple, shared: tuple[tuple[int, int], ...]) -> list[Plan]:
    a, b, out, *column = stand_ins(layouts)
    calls = [product_call(a, b, out, fresh=True)]
    if column:
        calls.append(added.machine_call([out, *column], [out]))
    return [Plan([scheduled(calls, stop - start, start)]) for start, stop in shared]


def product(a: Array, b: Array) -> Array:
    """``np.matmul(a, b)``; of a large product each thread computes some rows, columns or matrices."""
    if a.__class__ is not np.ndarray or b.__class__ is not np.ndarray or a.dtype.kind != "f":
        return np.matmul(a, b)
    multiplications = a.size * b.shape[-1]
    if multiplications < _SMALL:
        return np.matmul(a, b)
    prepare()
    nanoseconds = multiplications / 45
    if nanoseconds < _LONG or min(a.ndim, b.ndim) < 2:
        return np.matmul(a, b)
    if nanoseconds < _LONG_FOR_NUMPY and not (a.ndim == b.ndim == 2 and machine_code_works()):
        return np.matmul(a, b)
    out: Array = np.empty((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), a.dtype)
    if a.ndim == b.ndim > 2 and a.shape[:-2] == b.shape[:-2]:
        multiply_each(a, b, out)
    else:
        multiply_shared(a, b, out)
    return out


@fused
def _sum(a: Array) -> Array:
    return column_sum(a)


def sum_of_rows(a: Array) -> Array:
    """``a.sum(0)`` of a matrix; of many floats in few passes."""
    plain = a.__class__ is np.ndarray and a.dtype.char in "fd" and a.flags.c_contiguous
    if not plain or a.size < _SMALL or min(a.shape) < 8:
        return a.sum(0)
    if a.dtype.char == "f" and machine_code_works():
        return _sum.rows(a)
    prepare()
    return np.ones(len(a), a.dtype) @ a


def add_to_rows(a: Array, row: Array) -> None:
    """``a += row`` for an array (..., n) and a row (n,)."""
    if a.__class__ is np.ndarray and a.size >= _SMALL and a.dtype == row.dtype == np.float32 and a.flags.c_contiguous:
        matrix = a.reshape(-1, a.shape[-1])
        added.rows(matrix, row, out=[matrix])
    else:
        a += row
