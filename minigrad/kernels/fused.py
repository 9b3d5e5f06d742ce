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
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..memory import Array
from . import assembler
from .assembler import address, use_machine_code
from .calls import Call, Matrices
from .formula import Trace
from .layout import fast, is_batch_last, runs, stored_like, use_fast_kernels
from .threads import call, divided, get_num_threads, parallel

if TYPE_CHECKING:
    from .loops import Loops

SMALL = 1 << 15  # elements times steps of a formula for which NumPy's calls are as quick
_STEPS = 64  # of a formula about which nothing is known, and of one of rows, whose sums take more calls
PIECE = 1 << 18  # elements that NumPy computes at a time: in smaller pieces, threads wait for each other more often
_CASES = 64  # of a formula, with machine code for each
_LAUNCHES = 256  # of a formula, for arrays of certain shapes
_TOTALS: dict[str, Any] = {"column": None, "channel": float}  # sums over rows, and their dtype
_APART = 128  # bytes, two lines of the cache: two threads that write to the same ones wait for each other

_FLOAT32 = np.dtype(np.float32)
_NUMBERS = float, int, np.floating, np.integer
_PARTS = bool, str
_OPTIONS = *_PARTS, *_NUMBERS, type(None)

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
        self.steps = _STEPS
        self._cases: dict[Any, _Case] = {}
        self._launches: dict[Any, _Launch] = {}
        self._calls: dict[Any, tuple[Loops, array[int]]] = {}

    def __call__(self, *operands: Any, out: Sequence[Array] = (), **options: Any) -> Any:
        """The results, stored as the first operand is, or written to ``out``, which may be some of the operands.

        Where operands are stored in different orders, one of them batch last, so are the results.
        """
        first = operands[0]
        if type(first) is not np.ndarray or _is_small(first, self.steps):
            return self._plainly(operands, out, options)
        return self._computed(self._flat, operands, out, options)

    def overwrites(self, first: Array, *operands: Any) -> Any:
        """The result; of large arrays that are stored alike in the memory of the first."""
        return self(first, *operands, out=(first,) if self._may_write_to(first, first, *operands) else ())

    def adds(self, total: Array, *operands: Any) -> Array | None:
        """``total``, to which the result has been added; None unless that spares passes over large arrays."""
        return self._adding(total, *operands, out=(total,)) if self._may_write_to(total, *operands) else None

    def _may_write_to(self, target: Array, *operands: Any) -> bool:
        if type(operands[0]) is not np.ndarray or _is_small(target, self.steps):
            return False
        return runs(target, *[a for a in operands if type(a) is np.ndarray]) is not None

    @cached_property
    def _adding(self) -> fused:
        return fused(lambda total, *operands: total + self.formula(*operands))

    def rows(self, *operands: Any, out: Sequence[Array] = ()) -> Any:
        """The results for arrays of one float type, and numbers, that broadcast to (outer, rows, columns), or less.

        The first is as large as what they broadcast to. Results have as many dimensions, but those of "column" and
        "channel" just one. Those that are written to ``out``, if given, must all be elements.
        """
        if _is_small(operands[0], _STEPS):
            return self._plainly(operands, out, {})
        return self._computed(self._broadcast, operands, out, {})

    def _computed(self, arrange: Callable[..., _Work | None], operands: Sequence[Any], out: Sequence[Array],
                  options: dict[str, Any]) -> Any:  # fmt: skip
        key = _key(arrange.__name__, operands, out, options)
        launch = self._launches.get(key)
        if launch is not None and (found := launch(operands, out)) is not None:
            return found
        work = None if key is None else arrange(_plain(operands), out, options)
        if work is None:
            alike = None if out else _stored_alike(operands)
            return self._computed(arrange, alike, out, options) if alike else self._plainly(operands, out, options)
        if launch is None and work.fits_machine_code():
            if len(self._launches) >= _LAUNCHES:
                self._launches.clear()
            self._launches[key] = launch = _Launch(work, out)
            if (found := launch(operands, out)) is not None:
                return found
        return work.by_numpy()

    def _plainly(self, operands: Sequence[Any], out: Sequence[Array], options: dict[str, Any]) -> Any:
        found = self.formula(*operands, **options)
        if not out:
            return found
        if not isinstance(found, tuple):
            np.copyto(out[0], found)
            return out[0]
        for target, result in zip(out, found, strict=True):
            np.copyto(target, result)
        return out[0] if len(out) == 1 else tuple(out)

    def _flat(self, operands: Sequence[Any], out: Sequence[Array], options: dict[str, Any]) -> _Work | None:
        """What is to be done for arrays of one shape: one row of elements. None if they are not stored alike."""
        first = operands[0]
        case = self._case(operands, ["element" if type(a) is np.ndarray else "row" for a in operands], options)
        self.steps = max(1, case.steps - len(operands))
        results = list(out) or [np.empty_like(first) for _ in case.results]
        if len(results) != len(case.results) or {"element"} != set(case.results):
            return None
        flat = runs(*[a for a in operands if type(a) is np.ndarray], *results)
        if flat is None:
            return None
        pieces = iter([a.reshape(1, 1, -1) for a in flat])
        given = [next(pieces) if type(a) is np.ndarray else a for a in operands]
        return _Work(case, (1, 1, first.size), 2, given, list(pieces), results)

    def _broadcast(self, operands: Sequence[Any], out: Sequence[Array], options: dict[str, Any]) -> _Work:
        arrays = [a for a in operands if isinstance(a, np.ndarray)]
        missing, dtype = 3 - max([a.ndim for a in arrays]), arrays[0].dtype
        given = [_in_three(a) if isinstance(a, np.ndarray) else a for a in operands]
        outer, rows, columns = shape = np.broadcast_shapes(*[a.shape for a in given if isinstance(a, np.ndarray)])
        case = self._case(given, [_kind(a, columns) for a in given], options)
        shapes = {"element": shape[missing:], "row": (outer, rows, 1)[missing:]}
        totals = {"column": (1, 1, columns), "channel": (1, rows, 1)}
        assert not out or case.results == ["element"] * len(out)
        results = list(out) or [
            np.zeros(math.prod(totals[k]), _TOTALS[k] or dtype) if k in totals else np.empty(shapes[k], dtype)
            for k in case.results
        ]
        axis = 0 if outer >= 8 or (outer > 1 and rows == 1) else 1 if rows > 1 or case.stages > 1 else 2
        places = [a.reshape(totals[k]) if k in totals else _in_three(a) for a, k in zip(results, case.results)]
        return _Work(case, shape, axis, given, places, results)

    def machine_call(self, operands: Sequence[Matrices], results: Sequence[Matrices]) -> Call:
        """The call of machine code for matrices (rows, columns), (rows, 1) or (1, 1), all of them float32.

        Their rows are contiguous. Results have the shapes that :meth:`rows` gives them, and need no sums over rows.
        """
        shape, every = operands[0].shape, (*operands, *results)
        key = "call", *[(m.shape, m.strides) for m in every]
        known = self._calls.get(key)
        if known is None:
            if len(self._calls) >= _LAUNCHES:
                self._calls.clear()
            loops = self._case(operands, ["element" if m.shape[2] == shape[2] else "row" for m in operands], {}).loops
            assert loops is not None
            assert not loops.temporaries
            known = self._calls[key] = loops, loops.table(shape, [_steps(m, 0, 0) for m in every])
        loops, table = known
        assert not any(every[read].places is every[written].places for read, written in loops.hazards)
        return Call(loops.run, [m.places for m in every], table, loops)

    def _case(self, operands: Sequence[Any], kinds: list[str], options: dict[str, Any]) -> _Case:
        parts = [None if isinstance(a, np.ndarray | Matrices) or type(a) in (float, int) else a for a in operands]
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


class _Work(NamedTuple):
    """A formula, and arrays (outer, rows, columns) and numbers to compute it for."""

    case: _Case
    shape: Sizes
    axis: int  # along which it is shared among the threads
    operands: Sequence[Any]
    places: list[Array]  # the results
    results: list[Array]  # as the caller gets them

    def fits_machine_code(self) -> bool:
        arrays = [a for a in self.operands if isinstance(a, np.ndarray)]
        arrays += [a for a, kind in zip(self.places, self.case.results) if kind not in _TOTALS]
        fits = all(a.dtype == np.float32 and (a.shape[2] == 1 or a.strides[2] == 4) for a in arrays)
        return fits and machine_code_works() and self.case.loops is not None

    def shares(self, machine_code: bool) -> list[tuple[int, int]]:
        """What each thread computes, along ``axis``."""
        nanoseconds = math.prod(self.shape) * (len(self.operands) + len(self.places) + self.case.steps / 4) / 8
        return divided(self.shape[self.axis], nanoseconds * (1 if machine_code else 4), machine_code)

    def tables(self, shared: Sequence[tuple[int, int]]) -> list[array[int]]:
        """What machine code needs to know of the arrays for each share of the work."""
        assert self.case.loops is not None
        columns, tables = self.shape[2], []
        for k, (start, stop) in enumerate(shared):
            places, numbers = [], count(0, 4)
            for a in self.operands:
                if isinstance(a, np.ndarray):
                    places.append(_steps(a, self.axis, start))
                elif type(a) in (float, int):
                    places.append((next(numbers), 0, 0))
            for a, kind in zip(self.places, self.case.results):
                first, along, down = _steps(a, self.axis, start)
                places.append((first + k * (a.nbytes + _APART) * (kind in _TOTALS), along, down))
            places += [(k * (columns * 4 + _APART), 0, 0)] * self.case.loops.temporaries
            shape = [stop - start if d == self.axis else n for d, n in enumerate(self.shape)]
            tables.append(self.case.loops.table(shape, places))
        return tables

    def returned(self, results: list[Array]) -> Any:
        return tuple(results) if self.case.several or len(results) > 1 else results[0]

    def by_numpy(self) -> Any:
        """The results, each thread's part computed in pieces; sums over all rows are added up at the end."""
        kinds, shared = self.case.results, self.shares(False)
        owners = [self.places]
        for _ in shared[1:]:
            owners.append([np.zeros_like(a) if kind in _TOTALS else a for a, kind in zip(self.places, kinds)])

        def share(k: int) -> None:
            first, last = shared[k]
            step = max(1, PIECE // max([a.size // a.shape[self.axis] for a in self.places]))
            for start in range(first, last, step):
                stop = min(start + step, last)
                found = self.case.formula(*[_part(a, self.axis, start, stop) for a in self.operands])
                for kind, target, result in zip(kinds, owners[k], found if self.case.several else (found,)):
                    into = _part(target, self.axis, start, stop)
                    np.add(into, result.reshape(into.shape), out=into) if kind in _TOTALS else np.copyto(into, result)

        parallel(lambda first, last: list(map(share, range(first, last))), len(shared))
        for more in owners[1:]:
            for kind, total, part in zip(kinds, self.places, more):
                if kind in _TOTALS:
                    total += part
        return self.returned(self.results)


class _Launch:
    """Machine code for arrays of certain shapes: all that does not depend on where they are is found out once."""

    def __init__(self, work: _Work, out: Sequence[Array]) -> None:
        shared, kinds, given = work.shares(True), work.case.results, {id(a) for a in out}
        assert work.case.loops is not None
        self.loops, self.tables = work.case.loops, work.tables(shared)
        self.addresses = [table.buffer_info()[0] for table in self.tables]
        self.arguments = [k for k, a in enumerate(work.operands) if type(a) in (np.ndarray, float, int)]
        self.numbers = [k for k, at in enumerate(self.arguments) if type(work.operands[at]) is not np.ndarray]
        self.results: list[Callable[[], Array] | None] = [  # what makes those that are not given
            None if id(a) in given else partial(np.zeros, (len(shared), a.size + _APART // a.itemsize), a.dtype)
            if kind in _TOTALS else _maker(a) for a, kind in zip(work.results, kinds)
        ]  # fmt: skip
        temporary = partial(np.empty, (len(shared), work.shape[2] + _APART // 4), np.float32)
        self.temporaries = [temporary] * self.loops.temporaries
        self.totals = [(k, a.size) for k, (a, kind) in enumerate(zip(work.results, kinds)) if kind in _TOTALS]
        self.hazardous = bool(out) and bool(self.loops.hazards)
        self.several = work.case.several

    def __call__(self, operands: Sequence[Any], out: Sequence[Array]) -> Any:
        """The results; None if they would overwrite what is still to be read."""
        given = iter(out)
        results = [next(given) if make is None else make() for make in self.results]
        arrays = [operands[k] for k in self.arguments] + results
        if self.numbers:
            numbers = np.frombuffer(array("f", [float(arrays[k]) for k in self.numbers]), np.float32)
            for k in self.numbers:
                arrays[k] = numbers
        if self.hazardous and self.loops.spoils([address(a) for a in arrays]):
            return None
        arrays += [make() for make in self.temporaries]
        places = list(map(id, arrays))
        call(self.loops.launch, [array("q", (table, *places)) for table in self.addresses])
        for k, size in self.totals:
            results[k] = np.add.reduce(results[k][:, :size], axis=0)
        return tuple(results) if self.several else results[0]


def _is_small(a: Array, steps: int) -> bool:
    return a.size * (steps if a.dtype is _FLOAT32 else 1) < SMALL


def _key(kind: str, operands: Sequence[Any], out: Sequence[Array], options: dict[str, Any]) -> tuple[Any, ...] | None:
    """What a launch depends on; None for operands that cannot be part of a formula, and for results not writeable."""
    key: list[Any] = [kind, use_machine_code.enabled, use_fast_kernels.enabled, get_num_threads(), len(out)]
    for a in operands:
        if type(a) is np.ndarray:
            key += a.shape, a.strides, a.dtype
        elif isinstance(a, _PARTS):
            key.append(a)
        elif isinstance(a, _NUMBERS):
            key.append(_NUMBERS)
        else:
            return None
    for a in out:
        if not a.flags.writeable:
            return None
        key += a.shape, a.strides, a.dtype
    for option in options.items():
        if not isinstance(option[1], _OPTIONS):
            return None
        key.append(option)
    return tuple(key)


def _stored_alike(operands: Sequence[Any]) -> list[Any] | None:
    """The operands, arrays of one shape, all stored batch last as some of them are; None if none is, or all are."""
    arrays = [a for a in operands if type(a) is np.ndarray]
    first = next(filter(is_batch_last, arrays), None)
    if first is None or any(a.shape != first.shape for a in arrays) or all(map(is_batch_last, arrays)):
        return None
    return [stored_like(a, first) if type(a) is np.ndarray else a for a in operands]


def _maker(a: Array) -> Callable[[], Array]:
    """What makes arrays that are stored like one."""
    if a.flags.c_contiguous:
        return partial(np.empty, a.shape, a.dtype)
    order = np.argsort([-stride for stride in a.strides], kind="stable")
    prototype = np.empty((2,) * a.ndim, a.dtype).transpose(np.argsort(order))
    return partial(np.empty_like, prototype, shape=a.shape)


def _kind(a: Any, columns: int) -> str:
    return "element" if isinstance(a, np.ndarray) and a.shape[2] == columns else "row"


def _in_three(a: Array) -> Array:
    return a.reshape((1,) * (3 - a.ndim) + a.shape)


def _plain(operands: Sequence[Any]) -> list[Any]:
    """The operands, with NumPy's numbers as Python's."""
    return [float(a) if isinstance(a, np.floating | np.integer) else a for a in operands]


def _part(a: Any, axis: int, start: int, stop: int) -> Any:
    if not isinstance(a, np.ndarray) or a.shape[axis] == 1:
        return a
    return a[(slice(None),) * axis + (slice(start, stop),)]


def _steps(a: Array | Matrices, axis: int, start: int) -> tuple[int, int, int]:
    """Where a part of an array of three dimensions begins, and how many bytes lie between neighbours along 0 and 1."""
    steps = [stride if n > 1 else 0 for n, stride in zip(a.shape, a.strides)]
    return start * steps[axis], steps[0], steps[1]
