"""Functions of many steps in one pass over memory: as machine code where the processor is known, else in pieces.

A formula is an ordinary function of arrays, written with ufuncs and the sums of :mod:`.formula`. It says what is to be
computed three times over: large float32 arrays go through machine code made from it (:mod:`.loops`), others through
NumPy, in pieces that stay in the cache, and Tensors through its operations, so that second derivatives come by
themselves.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from functools import cached_property, partial, update_wrapper
from typing import TYPE_CHECKING, Any

import numpy as np

from ..memory import Array
from . import assembler
from .assembler import address
from .formula import Trace
from .layout import fast, runs
from .threads import call, divided, parallel

if TYPE_CHECKING:
    from .loops import Loops

SMALL = 1 << 14  # elements for which NumPy's calls are as quick
PIECE = 1 << 18  # elements that NumPy computes at a time: in smaller pieces, threads wait for each other more often
_CASES = 64  # of a formula, with machine code for each
_TOTALS: dict[str, Any] = {"column": None, "channel": float}  # sums over rows, and their dtype

# Of 0 to 7 of 8 numbers: four words, each of two numbers.
_MASKS = [[-1 if n >= 2 * k + 2 else (1 << 32) - 1 if n > 2 * k else 0 for k in range(4)] for n in range(8)]

_KNOWN = np.ndarray, np.number, float, int, str, type(None)

Sizes = tuple[int, int, int]  # outer, rows, columns


def machine_code_works() -> bool:
    """Whether machine code is to be used, and can be."""
    return fast() and assembler.usable()


class fused:
    """Decorates a formula. Called with arrays of one shape, and numbers, it computes each element by itself.

    Arrays that broadcast, and sums, are what :meth:`rows` is for. What machine code cannot be made of is computed
    by NumPy alone. Operands that are neither arrays nor numbers, and options, are parts of the formula.
    """

    def __init__(self, formula: Callable[..., Any]) -> None:
        update_wrapper(self, formula)
        self.formula = formula
        self._cases: dict[Any, _Case] = {}

    def __call__(self, *operands: Any, out: Sequence[Array] = (), **options: Any) -> Any:
        """The results, stored as the first operand is, or written to ``out``, which may be some of the operands."""
        first = operands[0]
        if type(first) is np.ndarray and first.size >= SMALL and _writeable(out) and _known(operands, options):
            operands = tuple(_plain(operands))
            case = self._case(operands, ["element" if type(a) is np.ndarray else "row" for a in operands], options)
            results = list(out) or [np.empty_like(first) for _ in case.results]
            known = len(results) == 1 if case.trace is None else {"element"} == set(case.results)
            flat = None if not known else runs(*[a for a in operands if type(a) is np.ndarray], *results)
            if flat is not None:
                if not case.run_flat(operands, results, first):
                    pieces = iter([a.reshape(1, 1, -1) for a in flat])
                    given = [next(pieces) if type(a) is np.ndarray else a for a in operands]
                    case.compute((1, 1, first.size), 2, given, list(pieces))
                return results[0] if len(results) == 1 else tuple(results)
        found = self.formula(*operands, **options)
        return _copied(found, out) if out else found

    def rows(self, *operands: Any, out: Sequence[Array] = ()) -> Any:
        """The results for arrays of one float type, and numbers, that broadcast to (outer, rows, columns), or less.

        Results have as many dimensions, but those of "column" and "channel" just one. The elements among them are
        written to ``out``, if given.
        """
        operands = tuple(_plain(operands))
        arrays = [a for a in operands if isinstance(a, np.ndarray)]
        if max([a.size for a in arrays]) < SMALL or not _writeable(out):
            found = self.formula(*operands)
            return _copied(found, out) if out else found
        missing, dtype = 3 - max([a.ndim for a in arrays]), arrays[0].dtype
        given = [_in_three(a) if isinstance(a, np.ndarray) else a for a in operands]
        outer, rows, columns = shape = np.broadcast_shapes(*[a.shape for a in given if isinstance(a, np.ndarray)])
        kinds = ["element" if isinstance(a, np.ndarray) and a.shape[2] == columns else "row" for a in given]
        case = self._case(given, kinds, {})
        shapes = {"element": shape[missing:], "row": (outer, rows, 1)[missing:]}
        totals = {"column": (1, 1, columns), "channel": (1, rows, 1)}
        targets = list(reversed(out))
        results = [
            np.zeros(math.prod(totals[kind]), _TOTALS[kind] or dtype) if kind in totals
            else targets.pop() if targets and kind == "element" else np.empty(shapes[kind], dtype)
            for kind in case.results
        ]  # fmt: skip
        axis = 0 if outer >= 8 or (outer > 1 and rows == 1) else 1 if rows > 1 or case.stages > 1 else 2
        case.compute(shape, axis, given, [
            a.reshape(totals[kind]) if kind in totals else _in_three(a) for a, kind in zip(results, case.results)
        ])  # fmt: skip
        return tuple(results) if case.several else results[0]

    def machine_call(self, operands: Sequence[Array], results: Sequence[Array]) -> tuple[int, list[int]]:
        """The call of machine code for matrices (rows, columns), or (rows, 1): its address, and its arguments.

        All are float32, their rows contiguous; the results have the shapes that :meth:`rows` gives them, and need no
        sums over rows.
        """
        shape = 1, *operands[0].shape
        case = self._case(operands, ["element" if a.shape[1] == shape[2] else "row" for a in operands], {})
        assert case.loops is not None
        assert not case.loops.temporaries
        places = [_place(_in_three(a), 0) for a in (*operands, *results)]
        assert not case.loops.spoils([place for place, *_ in places])
        code: int = case.loops.run.address  # type: ignore[attr-defined]
        return code, _words(shape, [(place, along, down) for place, _, along, down in places])

    def _case(self, operands: Sequence[Any], kinds: list[str], options: dict[str, Any]) -> _Case:
        parts = [None if isinstance(a, np.ndarray) or type(a) in (float, int) else a for a in operands]
        key = (*kinds, *parts, *options.items())
        case = self._cases.get(key)
        if case is None:
            if len(self._cases) >= _CASES:
                self._cases.clear()
            formula = partial(self.formula, **options) if options else self.formula
            case = self._cases[key] = _Case(formula, [p if p is not None else k for p, k in zip(parts, kinds)])
        return case


class _Case:
    """A formula for operands of certain kinds, of which those that are not "element" or "row" are parts of it."""

    def __init__(self, formula: Callable[..., Any], kinds: Sequence[Any]) -> None:
        self.formula = formula
        try:
            trace = Trace(formula, kinds)
        except (TypeError, NotImplementedError):  # what formulas do not know
            self.trace, self.results, self.several, self.stages, self.steps = None, ["element"], False, 1, 8
        else:
            self.trace, self.results, self.several = trace, [kind for kind, _ in trace.results], trace.several
            self.stages, self.steps = trace.stages, trace.steps

    @cached_property
    def loops(self) -> Loops | None:
        """The machine code; None if there can be none."""
        from .loops import Loops  # not needed before anything large is computed

        try:
            return Loops(self.trace) if self.trace else None
        except NotImplementedError:  # more numbers at a time than registers
            return None

    def _nanoseconds(self, size: int, places: int) -> float:
        """About how long machine code takes for so many elements of each of so many arrays."""
        return size * (places + self.steps / 4) / 8

    def compute(self, shape: Sizes, axis: int, operands: Sequence[Any], results: list[Array]) -> None:
        """Write the results, of which each thread computes a part along ``axis``, and adds up sums of its own."""
        if 0 in shape[:2]:
            return
        nanoseconds = self._nanoseconds(math.prod(shape), len(operands) + len(results))
        native = self._fits_machine_code(operands, results)
        shared = divided(shape[axis], nanoseconds if native else nanoseconds * 4, native)
        owners = [results]
        for _ in shared[1:]:
            owners.append([np.zeros_like(a) if kind in _TOTALS else a for a, kind in zip(results, self.results)])
        if native:
            self._by_machine_code(shape, axis, operands, owners, shared)
        else:
            parallel(lambda k, _: self._by_numpy(axis, operands, owners[k], *shared[k]), len(shared))
        for share in owners[1:]:
            for kind, total, more in zip(self.results, results, share):
                if kind in _TOTALS:
                    total += more

    def run_flat(self, operands: Sequence[Any], results: list[Array], like: Array) -> bool:
        """:meth:`compute` of arrays stored like ``like``, and numbers, by machine code; False if that cannot be."""
        if like.dtype.char != "f" or not assembler.usable() or self.loops is None:
            return False
        numbers = array("f", [a for a in operands if type(a) in (float, int)])
        place = numbers.buffer_info()[0]
        places = []  # addresses, and how many bytes lie between neighbours
        for a in (*operands, *results):
            if type(a) is np.ndarray:
                if a.dtype.char != "f":
                    return False
                places.append((address(a), 4))
            elif type(a) in (float, int):
                places.append((place, 0))
                place += 4
        if self.loops.spoils([place for place, _ in places]):
            return False
        blocks = []
        for start, stop in divided(like.size, self._nanoseconds(like.size, len(places))):
            share = [(place + start * step, 0, 0) for place, step in places]
            blocks.append(array("q", _words((1, 1, stop - start), share)))
        call(self.loops.run, blocks)
        return True

    def _fits_machine_code(self, operands: Sequence[Any], results: list[Array]) -> bool:
        if not machine_code_works() or self.loops is None:
            return False
        arrays = [a for a in operands if isinstance(a, np.ndarray)]
        arrays += [a for a, kind in zip(results, self.results) if kind not in _TOTALS]
        given = [a for a in operands if type(a) in (np.ndarray, float, int)]
        if self.loops.spoils([address(a) if type(a) is np.ndarray else 0 for a in (*given, *results)]):
            return False
        return all(a.dtype.char == "f" and (a.shape[2] == 1 or a.strides[2] == 4) for a in arrays)

    def _by_machine_code(self, shape: Sizes, axis: int, operands: Sequence[Any], owners: list[list[Array]],
                         shared: list[tuple[int, int]]) -> None:  # fmt: skip
        assert self.loops is not None
        blocks: list[array[int]] = []
        kept: list[Array] = []  # memory that the machine code uses
        given = []
        for a in operands:
            if type(a) in (float, int):
                kept.append(a := np.array(array("f", [a])).reshape(1, 1, 1))
            if isinstance(a, np.ndarray):
                given.append(_place(a, axis))
        for results, (start, stop) in zip(owners, shared):
            places = [(place + start * step, along, down)
                      for place, step, along, down in (*given, *[_place(a, axis) for a in results])]  # fmt: skip
            for _ in range(self.loops.temporaries):
                kept.append(np.empty(shape[2], np.float32))
                places.append((address(kept[-1]), 0, 0))
            share = tuple([stop - start if d == axis else n for d, n in enumerate(shape)])
            blocks.append(array("q", _words(share, places)))
        call(self.loops.run, blocks)

    def _by_numpy(self, axis: int, operands: Sequence[Any], results: list[Array], first: int, last: int) -> None:
        """In pieces along ``axis``."""
        step = max(1, PIECE // max([a.size // a.shape[axis] for a in results]))
        for start in range(first, last, step):
            stop = min(start + step, last)
            found = self.formula(*[_part(a, axis, start, stop) for a in operands])
            for kind, target, result in zip(self.results, results, found if self.several else (found,)):
                into = _part(target, axis, start, stop)
                np.add(into, result.reshape(into.shape), out=into) if kind in _TOTALS else np.copyto(into, result)


def _in_three(a: Array) -> Array:
    return a.reshape((1,) * (3 - a.ndim) + a.shape)


def _words(shape: tuple[int, ...], places: Sequence[tuple[int, int, int]]) -> list[int]:
    """What :class:`Loops` are called with: for each array its address, and steps along the first two dimensions."""
    outer, rows, columns = shape
    words = [outer, rows, columns // 8 * 32, columns % 8, *_MASKS[columns % 8]]
    for place, along, down in places:
        words += place, down, along - down * rows
    return words


def _plain(operands: Sequence[Any]) -> list[Any]:
    """The operands, with NumPy's numbers as Python's."""
    return [float(a) if isinstance(a, np.floating | np.integer) else a for a in operands]


def _known(operands: Sequence[Any], options: dict[str, Any]) -> bool:
    """Whether these are arrays and what can be part of a formula, not Tensors or the like."""
    return all(isinstance(a, _KNOWN) for a in (*operands, *options.values()))


def _writeable(out: Sequence[Array]) -> bool:
    return all(a.flags.writeable for a in out)


def _copied(found: Any, out: Sequence[Array]) -> Any:
    """What was found, copied to ``out``."""
    for target, result in zip(out, found if isinstance(found, tuple) else (found,), strict=True):
        np.copyto(target, result)
    return out[0] if len(out) == 1 else tuple(out)


def _part(a: Any, axis: int, start: int, stop: int) -> Any:
    if not isinstance(a, np.ndarray) or a.shape[axis] == 1:
        return a
    return a[(slice(None),) * axis + (slice(start, stop),)]


def _place(a: Array, axis: int) -> tuple[int, int, int, int]:
    """Address of an array of three dimensions, and how many bytes lie between neighbours along ``axis``, 0, and 1."""
    steps = [stride if n > 1 else 0 for n, stride in zip(a.shape, a.strides)]
    return address(a), steps[axis], steps[0], steps[1]
