"""Proof of a gradient: finite differences, and a diagnosis of what is wrong where they disagree.

The numerical derivative is a Richardson-extrapolated central difference, right to about 1e-11 where
PyTorch's is right to 1e-9, so that tight tolerances hold. Where it disagrees with the gradient, the
point is looked at again with smaller steps before anything is said; they also tell a kink (the
one-sided derivatives stay apart as the step shrinks) from curvature (they approach each other).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backprop import grad
from .engine import TensorBase, grad_mode, new_tensor


class GradcheckError(RuntimeError):
    """A gradient is not the derivative of its function.

    Attributes:
        diagnosis: what the error looks like, the likeliest first.
    """

    def __init__(self, message: str, diagnosis: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.diagnosis = list(diagnosis)


def gradcheck(func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
              raise_exception: bool = True, nondet_tol: float = 0.0, fast_mode: bool = False) -> bool:  # fmt: skip
    """Prove the gradients of ``func`` at ``inputs``: ``|analytical - numerical| <= atol + rtol * |numerical|``.

    Every element of every output is differentiated with respect to every element of every input.
    Also proven: that ``func`` is deterministic and leaves its inputs alone, and that values and
    gradients stay the same where an input or an arriving gradient is not contiguous in memory.

    At a kink any value between the two one-sided derivatives is right; a warning says where it is.

    Args:
        func: takes the inputs, returns a Tensor or a tuple; outputs that are not floating-point or
            do not require a gradient are skipped (if none does, all must be constant).
        inputs: a Tensor or a sequence. Those that require a gradient are checked; they must be float64.
        eps: the smallest step of the differences, relative for inputs above 1. The first is ``sqrt(eps)``.
        raise_exception: raise a :class:`GradcheckError`; otherwise return False.
        nondet_tol: by how much two calls may differ.
        fast_mode: first compare one random projection of the Jacobian. Only where that disagrees is
            the full comparison made, to tell what is wrong.
    """
    inputs = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
    check = _Check("gradcheck", func, inputs, [f"input {i}" for i in range(len(inputs))],
                   eps=eps, atol=atol, rtol=rtol, nondet_tol=nondet_tol)  # fmt: skip
    try:
        check.run(fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6,
                  atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True, nondet_tol: float = 0.0,
                  fast_mode: bool = False) -> bool:  # fmt: skip
    """Prove the second derivatives of ``func``: :func:`gradcheck` of its gradient.

    The gradient is a function of the inputs and of ``grad_outputs``, the gradients that arrive at the
    differentiable outputs (random ones if None). Everything else is as in :func:`gradcheck`.
    """
    inputs = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
    outside: dict[str, Any] = {"eps": eps, "atol": atol, "rtol": rtol, "nondet_tol": nondet_tol}
    first = _Check("gradgradcheck", func, inputs, [f"input {i}" for i in range(len(inputs))], **outside)
    with grad_mode(True):
        outputs = first.outputs()
    if grad_outputs is None:
        grad_outputs = [new_tensor(_random(o.shape), True) for o in outputs]
    elif isinstance(grad_outputs, TensorBase):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(outputs):
        counts = f"{len(grad_outputs)} grad_outputs for {len(outputs)} differentiable outputs"
        raise ValueError(f"gradgradcheck: got {counts}")

    def gradient(*args: Any) -> tuple[Any, ...]:
        outs = first.outputs(args[: len(inputs)])
        return first.gradients(outs, args[len(inputs) :], create_graph=True)

    names = [*first.names, *(f"the gradient arriving at {first.describe_output(k)}" for k in range(len(outputs)))]
    second = _Check("gradgradcheck", gradient, (*inputs, *grad_outputs), names,
                    [f"the gradient of {first.names[i]}" for i in first.checked], **outside)  # fmt: skip
    try:
        plain = first.projected([g._array for g in grad_outputs])[1]
        for i, g, expected in zip(first.checked, gradient(*inputs, *grad_outputs), plain, strict=True):
            second.compare(g._array, expected, second.tolerance(expected),
                           f"the gradient of {first.names[i]} is another one under create_graph")  # fmt: skip
        second.run(fast_mode)
    except GradcheckError as error:
        if not raise_exception:
            return False
        try:
            first.run(True)
        except GradcheckError as earlier:
            raise GradcheckError(f"The gradient itself is wrong already.\n{earlier}", earlier.diagnosis) from None
        note = "only wrong at second order: the gradient is right, but its own derivative is not (a rule that " \
               "computes with plain values where it must compute with Tensors?)"  # fmt: skip
        raise GradcheckError(f"{error}\nIt is {note}.", [*error.diagnosis, note]) from None
    return True


def _random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Numbers of either sign with magnitudes from 0.5 to 1.5; the same each time."""
    random = np.random.default_rng((seed, *shape))
    return random.uniform(0.5, 1.5, shape) * random.choice((-1.0, 1.0), shape)


def _scattered(array: np.ndarray) -> np.ndarray:
    """An equal array that is transposed in memory and has gaps between its elements."""
    wide = np.full([2 * size for size in reversed(array.shape)], np.nan)
    every_other: Any = (*[slice(None, None, 2)] * array.ndim, ...)
    view = wide[every_other].transpose()
    view[...] = array
    return view


@dataclass
class _Slope:
    """Numerical derivatives, one row per direction and one column per output element."""

    value: np.ndarray  # the best estimate
    error: np.ndarray  # how far off it may be
    left: np.ndarray  # the one-sided derivatives at the smallest step
    right: np.ndarray
    bent: np.ndarray  # a kink, or the suspicion of one after a single step size
    jump: np.ndarray  # the values jump here


class _Check:
    """One function at one point, and everything that is to be proven of it."""

    def __init__(self, name: str, func: Callable[..., Any], inputs: tuple[Any, ...], names: list[str],
                 output_names: list[str] | None = None, *, eps: float, atol: float, rtol: float,
                 nondet_tol: float) -> None:  # fmt: skip
        self.name, self.func, self.inputs, self.names, self.output_names = name, func, inputs, names, output_names
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.checked = [i for i, t in enumerate(inputs) if isinstance(t, TensorBase) and t.requires_grad]  # type: ignore[attr-defined]
        if not self.checked:
            raise ValueError(f"{name}: none of the inputs requires a gradient, so there is nothing to check")
        for i in self.checked:
            if inputs[i].dtype != np.float64:
                raise TypeError(
                    f"{name}: {names[i]} is {inputs[i].dtype}, whose rounding hides the derivative; "
                    "pass float64 (input.double())"
                )
        self.chosen: list[int] = []  # which of the outputs are differentiable
        self.shapes: list[tuple[int, ...]] = []  # theirs
        self.constant = False  # no output requires a gradient: all must be constant

    # ------------------------------------------------------------------------- evaluation

    def outputs(self, inputs: tuple[Any, ...] | None = None) -> list[Any]:
        """The differentiable outputs."""
        result = self.func(*(self.inputs if inputs is None else inputs))
        results = list(result) if isinstance(result, (tuple, list)) else [result]
        if not self.chosen:
            tensors = [k for k, r in enumerate(results) if isinstance(r, TensorBase) and r.dtype.kind == "f"]
            if not tensors:
                kinds = ", ".join(str(getattr(r, "dtype", type(r).__name__)) for r in results)
                raise ValueError(f"{self.name}: func must return a floating-point Tensor, got {kinds}")
            self.chosen = [k for k in tensors if results[k].requires_grad]
            if not self.chosen:
                self.chosen, self.constant = tensors, True
            self.shapes = [results[k].shape for k in self.chosen]
        chosen = [results[k] for k in self.chosen]
        if [r.shape for r in chosen] != self.shapes:
            shapes = f"{self.shapes}, then {[r.shape for r in chosen]}"
            raise GradcheckError(f"{self.name}: the shapes of the outputs change from call to call: {shapes}")
        return chosen

    def vector(self) -> np.ndarray:
        """All elements of all differentiable outputs."""
        with grad_mode(True):  # func may itself differentiate
            outputs = self.outputs()
        return np.concatenate([np.ravel(o._array) for o in outputs]).astype(np.float64)

    @contextmanager
    def placed(self, tensors: Sequence[Any], arrays: Sequence[np.ndarray]) -> Iterator[None]:
        """Within it ``tensors`` have ``arrays`` for values, wherever ``func`` finds them."""
        before = [t._array for t in tensors]
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor._array = np.asarray(array)  # arithmetic on an array without dimensions gives a number
        try:
            yield
        finally:
            for tensor, array in zip(tensors, before, strict=True):
                tensor._array = array

    def gradients(self, outputs: Sequence[Any], cotangents: Sequence[Any],
                  create_graph: bool = False) -> tuple[Any, ...]:  # fmt: skip
        """The gradient of each checked input, zeros where none arrives; arrays, or Tensors if ``create_graph``."""
        tensors = [self.inputs[i] for i in self.checked]
        if self.constant:
            found = tuple(new_tensor(np.zeros(t.shape)) for t in tensors)
        else:
            found = grad(outputs, tensors, cotangents, True, create_graph, materialize_grads=True)
        return found if create_graph else tuple(g._array for g in found)

    def projected(self, cotangents: Sequence[np.ndarray]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """The outputs as one vector, and the gradients for the given ``cotangents``."""
        with grad_mode(True):
            outputs = self.outputs()
            values = np.concatenate([np.ravel(o._array) for o in outputs])
            return values.astype(np.float64), self.gradients(outputs, [new_tensor(c) for c in cotangents])

    def analytical(self) -> list[np.ndarray]:
        """For each checked input its Jacobian, one row per input element and one column per output element."""
        with grad_mode(True):
            outputs = self.outputs()
        columns: list[list[np.ndarray]] = [[] for _ in self.checked]
        for output in outputs:
            for k in range(math.prod(output.shape)):
                unit = np.zeros(output.shape)
                unit.flat[k] = 1
                for column, g in zip(columns, self.gradients([output], [new_tensor(unit)]), strict=True):
                    column.append(np.ravel(g))
        sizes = [math.prod(self.inputs[i].shape) for i in self.checked]
        return [np.array(c).reshape(len(c), size).T for c, size in zip(columns, sizes, strict=True)]

    # ------------------------------------------------------------------ numerical derivative

    def slope(self, tensors: Sequence[Any], directions: Sequence[Sequence[np.ndarray]], f: np.ndarray,
              h: float) -> _Slope:  # fmt: skip
        """The derivatives along ``directions`` (each an array per tensor), by differences over ``h`` and ``h / 2``."""
        xs = [t._array for t in tensors]
        points: list[list[np.ndarray]] = []
        for direction in directions:
            points.append([])
            for t in (h, -h, h / 2, -h / 2):
                moved = [x + t * d for x, d in zip(xs, direction, strict=True)]
                with self.placed(tensors, moved), np.errstate(all="ignore"):  # a step may leave the domain
                    points[-1].append(self.vector())
        far, near = (np.array(points).reshape(len(directions), 2, 2, f.size)[:, s] for s in (0, 1))
        rights = [(far[:, 0] - f) / h, (near[:, 0] - f) / (h / 2)]
        lefts = [(f - far[:, 1]) / h, (f - near[:, 1]) / (h / 2)]
        wide, narrow = ((r + left) / 2 for r, left in zip(rights, lefts, strict=True))
        noise = 4e-16 * (1 + np.abs(f)) / h
        gaps = [np.abs(r - left) for r, left in zip(rights, lefts, strict=True)]
        return _Slope(
            value=(4 * narrow - wide) / 3,
            error=np.abs(narrow - wide) / 3 + noise,
            left=2 * lefts[1] - lefts[0],
            right=2 * rights[1] - rights[0],
            # Curvature halves the gap between the one-sided differences with the step, a kink keeps it.
            bent=(gaps[1] > 0.75 * gaps[0]) & (gaps[1] > 100 * noise + self.tolerance(narrow)),
            jump=np.zeros(narrow.shape, bool),
        )

    def numerical(self, tensor: Any, f: np.ndarray, expected: np.ndarray) -> _Slope:
        """The Jacobian by differences; with smaller steps wherever it is not the ``expected`` one."""
        x = tensor._array
        directions = []
        for k in range(x.size):
            unit = np.zeros(x.shape)
            unit.flat[k] = max(1.0, abs(x.flat[k]))
            directions.append(unit)
        units = np.array([d.max() for d in directions]).reshape(-1, 1)
        step = math.sqrt(self.eps)
        best = self.slope([tensor], [[d] for d in directions], f, step)
        self._rescale(best, units)
        doubtful = ~(np.abs(best.value - expected) <= self.tolerance(best.value)) | best.bent
        rows = np.flatnonzero(doubtful.any(axis=1))
        if not rows.size:
            return best
        finer = []
        for h in (step / 10, step / 100, self.eps):
            found = self.slope([tensor], [[directions[k]] for k in rows], f, h)
            self._rescale(found, units[rows])
            finer.append(found)
            better = ~(best.error[rows] <= found.error)  # also where the first steps left the domain
            best.value[rows] = np.where(better, found.value, best.value[rows])
            best.error[rows] = np.where(better, found.error, best.error[rows])
        best.bent[:] = False
        last, before = finer[-1], finer[-2]
        gap, gap_before = last.right - last.left, before.right - before.left
        apart = np.abs(gap) > 4e-14 * (1 + np.abs(f)) / self.eps + self.tolerance(last.value)
        best.jump[rows] = apart & (np.abs(gap) > 5 * np.abs(gap_before))
        best.bent[rows] = apart & (np.abs(gap - gap_before) < 0.2 * np.abs(gap))
        best.left[rows], best.right[rows] = last.left, last.right
        return best

    @staticmethod
    def _rescale(slope: _Slope, units: np.ndarray) -> None:
        for field in (slope.value, slope.error, slope.left, slope.right):
            field /= units

    def tolerance(self, value: Any) -> Any:
        return self.atol + self.rtol * np.abs(value)

    # ---------------------------------------------------------------------------- the proofs

    def run(self, fast: bool) -> None:
        """Raise a GradcheckError unless everything holds."""
        before = [np.array(self.inputs[i]._array) for i in self.checked]
        with grad_mode(True):
            outputs = self.outputs()
        values = [np.array(o._array) for o in outputs]
        for i, old in zip(self.checked, before, strict=True):
            if not np.array_equal(self.inputs[i]._array, old, equal_nan=True):
                raise GradcheckError(f"{self.name}: func changes {self.names[i]} in place")
        f = np.concatenate([v.ravel() for v in values]).astype(np.float64)
        cotangents = [_random(shape, seed) for seed, shape in enumerate(self.shapes)]
        gradients = self.run_twice(f, cotangents)
        if not (fast and self.agrees_in_projection(f, cotangents, gradients)):
            self.compare_jacobians(f, cotangents, gradients)
        self.compare_layouts(f, cotangents, gradients)

    def run_twice(self, f: np.ndarray, cotangents: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The gradients, after proving that values and gradients are always the same and well-formed."""
        (values, gradients), (_, again) = self.projected(cotangents), self.projected(cotangents)
        self.compare(values, f, self.nondet_tol, "func is not deterministic: its values differ from call to call")
        for i, g, other in zip(self.checked, gradients, again, strict=True):
            if g.shape != self.inputs[i].shape or g.dtype != np.float64:
                raise GradcheckError(
                    f"{self.name}: the gradient of {self.names[i]} (shape {self.inputs[i].shape}, float64) "
                    f"has shape {g.shape} and dtype {g.dtype}"
                )
            self.compare(other, g, self.nondet_tol, f"the gradient of {self.names[i]} is not deterministic")
        return gradients

    def compare(self, actual: np.ndarray, expected: np.ndarray, tolerance: Any, complaint: str,
                advice: str = "") -> None:  # fmt: skip
        """Raise ``complaint`` unless two arrays agree."""
        with np.errstate(invalid="ignore"):
            right = (np.abs(actual - expected) <= tolerance) | (actual == expected)
        wrong = ~(right | (np.isnan(actual) & np.isnan(expected)))
        if wrong.any():
            where = tuple(map(int, np.argwhere(wrong)[0]))
            raise GradcheckError(
                f"{self.name}: {complaint}\n{_count(wrong)}; element {where} is {actual[where]:.10g} "
                f"instead of {expected[where]:.10g}.{advice}",
                [complaint],
            )

    def agrees_in_projection(self, f: np.ndarray, cotangents: list[np.ndarray],
                             gradients: tuple[np.ndarray, ...]) -> bool:  # fmt: skip
        """Whether the Jacobian of all inputs together agrees when multiplied by a random vector on each side."""
        distinct = {id(self.inputs[i]): (self.inputs[i], g) for i, g in zip(self.checked, gradients, strict=True)}
        tensors, gradients = zip(*distinct.values(), strict=True)
        directions = [_random(g.shape, 1000 + k) for k, g in enumerate(gradients)]
        slope = self.slope(tensors, [directions], f, math.sqrt(self.eps))
        expected = float(sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True)))
        numerical = float(slope.value[0] @ np.concatenate([c.ravel() for c in cotangents]))
        return abs(numerical - expected) <= self.tolerance(expected)

    def compare_jacobians(self, f: np.ndarray, cotangents: list[np.ndarray], gradients: tuple[np.ndarray, ...]) -> None:
        """Compare every element, which tells all about a rule that is linear in what arrives, and prove that it is."""
        jacobians = self.analytical()
        for position, i in enumerate(self.checked):
            tensor, analytical = self.inputs[i], jacobians[position]
            slope = self.numerical(tensor, f, analytical)
            tolerance = self.tolerance(slope.value)
            wrong = ~(np.abs(analytical - slope.value) <= tolerance)
            low, high = np.minimum(slope.left, slope.right), np.maximum(slope.left, slope.right)
            wrong &= ~(slope.bent & (low - tolerance <= analytical) & (analytical <= high + tolerance))
            if wrong.any():
                self.report(position, analytical, slope, wrong, f, jacobians)
            if slope.bent.any():
                self.warn_of_kink(i, slope, analytical)
            linear = (analytical @ np.concatenate([c.ravel() for c in cotangents])).reshape(tensor.shape)
            complaint = f"the gradient of {self.names[i]} is not linear in the gradient that arrives (is it used?)"
            self.compare(gradients[position], linear, self.tolerance(linear) + self.nondet_tol, complaint)

    def warn_of_kink(self, i: int, slope: _Slope, analytical: np.ndarray) -> None:
        row, column = map(int, np.argwhere(slope.bent)[0])
        warnings.warn(
            f"{self.name}: a kink at element {_unravel(row, self.inputs[i].shape)} of {self.names[i]}: one-sided "
            f"derivatives {slope.left[row, column]:.6g} and {slope.right[row, column]:.6g}; "
            f"the gradient {analytical[row, column]:.6g} lies between them and is accepted",
            stacklevel=5,
        )

    def compare_layouts(self, f: np.ndarray, cotangents: list[np.ndarray], gradients: tuple[np.ndarray, ...]) -> None:
        """Prove that nothing depends on how the inputs and the arriving gradients lie in memory."""
        def close(g: np.ndarray) -> np.ndarray:
            return np.minimum(self.tolerance(g), 1e-9 * (1 + np.abs(g).max(initial=0.0))) + self.nondet_tol

        advice = "\nIt is right for contiguous memory and only wrong for a non-contiguous layout."

        def scatter(tensors: list[Any], state: str) -> None:
            with self.placed(tensors, [_scattered(t._array) for t in tensors]):
                values, found = self.projected(cotangents)
            self.compare(values, f, close(f), f"the values are wrong {state}", advice)
            for k, g, expected in zip(self.checked, found, gradients, strict=True):
                self.compare(g, expected, close(expected), f"the gradient of {self.names[k]} is wrong {state}", advice)

        try:
            scatter([self.inputs[i] for i in self.checked], "where the inputs are not contiguous")
        except GradcheckError:
            for i in self.checked:
                scatter([self.inputs[i]], f"where {self.names[i]} (shape {self.inputs[i].shape}) is not contiguous")
            raise
        ones = [np.ones(shape) for shape in self.shapes]
        for what, plain, special in (
            ("not contiguous", cotangents, [_scattered(c) for c in cotangents]),
            ("expanded from one number", ones, [np.broadcast_to(np.ones(()), shape) for shape in self.shapes]),
        ):
            expected_gradients = gradients if plain is cotangents else self.projected(plain)[1]
            for k, g, expected in zip(self.checked, self.projected(special)[1], expected_gradients, strict=True):
                state = f"where the gradient that arrives is {what}"
                self.compare(g, expected, close(expected), f"the gradient of {self.names[k]} is wrong {state}", advice)

    # ---------------------------------------------------------------------------- the report

    def describe_output(self, k: int) -> str:
        return self.output_names[self.chosen[k]] if self.output_names else f"output {self.chosen[k]}"

    def report(self, position: int, analytical: np.ndarray, slope: _Slope, wrong: np.ndarray, f: np.ndarray,
               jacobians: list[np.ndarray]) -> None:  # fmt: skip
        """Raise a GradcheckError that says what is wrong, where, and what it looks like."""
        i = self.checked[position]
        tensor = self.inputs[i]
        k, start = 0, 0  # the first output that is wrong, and where its columns start
        while not wrong[:, start : start + math.prod(self.shapes[k])].any():
            start += math.prod(self.shapes[k])
            k += 1
        part = slice(start, start + math.prod(self.shapes[k]))
        n, a, bad = slope.value[:, part], analytical[:, part], wrong[:, part]
        distance = np.where(bad, np.nan_to_num(np.abs(a - n), nan=np.inf), -1)
        row, column = map(int, np.unravel_index(np.argmax(distance), distance.shape))
        others = {}
        for other in self.checked:
            if other != i and self.inputs[other].shape == tensor.shape:
                expected = jacobians[self.checked.index(other)]
                others[self.names[other]] = self.numerical(self.inputs[other], f, expected).value[:, part]
        diagnosis = list(_diagnose(n, a, bad, tensor._array, self.shapes[k], f[part], others, self.constant))
        if not diagnosis and (where := _describe_part(bad, tensor._array)):
            diagnosis.append(f"an error only{where}")
        at = f"element {_unravel(row, tensor.shape)} of {self.names[i]}"
        if slope.jump[row, part][column]:
            diagnosis = [f"a jump of func at {at}: it has no derivative there, so choose another point"]
        elif slope.bent[row, part][column]:
            sides = f"{slope.left[row, part][column]:.6g} and {slope.right[row, part][column]:.6g}"
            diagnosis.insert(0, f"a kink of func at {at}, with the gradient outside the one-sided derivatives {sides}")
        output, precision = self.describe_output(k), slope.error[row, part][column]
        lines = [
            f"{self.name}: the derivative of {output} (shape {self.shapes[k]}) "
            f"with respect to {self.names[i]} (shape {tensor.shape}) is wrong.",
            *([f"It looks like {'; or '.join(diagnosis[:3])}."] if diagnosis else []),
            f"{_count(bad)}, most at {at} and element {_unravel(column, self.shapes[k])} of {output}: "
            f"numerical {n[row, column]:.10g} (to about {precision:.0e}), analytical {a[row, column]:.10g}; "
            f"allowed is atol {self.atol:g} + rtol {self.rtol:g} * |numerical|.",
            *_show(n, a, bad, tensor.shape, self.shapes[k]),
        ]
        raise GradcheckError("\n".join(lines), diagnosis)


def _unravel(index: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(int, np.unravel_index(index, shape)))


def _count(wrong: np.ndarray) -> str:
    number = int(wrong.sum())
    return f"{number} of {wrong.size} entries {'is' if number == 1 else 'are'} wrong"


def _show(n: np.ndarray, a: np.ndarray, bad: np.ndarray, in_shape: tuple[int, ...],
          out_shape: tuple[int, ...]) -> list[str]:  # fmt: skip
    """Both Jacobians, or of larger ones the rows and columns with errors (at most 6)."""
    if n.size <= 1:
        return []
    rows, columns = np.arange(n.shape[0]), np.arange(n.shape[1])
    if max(n.shape) > 6:
        rows, columns = np.flatnonzero(bad.any(axis=1))[:6], np.flatnonzero(bad.any(axis=0))[:6]
    lines = [f"Rows are input elements {', '.join(str(_unravel(r, in_shape)) for r in rows)};",
             f"columns are output elements {', '.join(str(_unravel(c, out_shape)) for c in columns)}."]  # fmt: skip
    for title, matrix in (("numerical", n), ("analytical", a)):
        text = np.array2string(matrix[np.ix_(rows, columns)] + 0.0, precision=5, suppress_small=True, prefix=" " * 12)
        lines.append(f"{title:>10}: {text}")
    return lines


# --------------------------------------------------------------------------------- the diagnosis

_CONSTANTS = {
    "pi": math.pi, "2 pi": 2 * math.pi, "log(2)": math.log(2), "log(10)": math.log(10), "sqrt(2)": math.sqrt(2),
    "sqrt(pi)": math.sqrt(math.pi), "2 / sqrt(pi)": 2 / math.sqrt(math.pi), "sqrt(2 pi)": math.sqrt(2 * math.pi),
}  # fmt: skip


def _name_factor(factor: float, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> tuple[str, bool]:
    """``factor`` in words, and whether it is a number that one would write."""
    for name, value in _CONSTANTS.items():
        for text, candidate in ((name, value), (f"1 / ({name})", 1 / value)):
            if math.isclose(abs(factor), candidate, rel_tol=1e-5):
                return ("-" if factor < 0 else "") + f"{text} * numerical", True
    sizes = {math.prod(in_shape): "number of elements of the input"}
    for shape, what in ((out_shape, "output"), (in_shape, "input")):
        sizes |= {size: f"size of dimension {d} of the {what}" for d, size in enumerate(shape)}
    for denominator in sorted({*range(1, 13), *sizes} - {0}):
        numerator = round(factor * denominator)
        if numerator and math.isclose(factor, numerator / denominator, rel_tol=1e-5):
            size = numerator if denominator == 1 else denominator
            text = f"{numerator}/{denominator}" if denominator > 1 else str(numerator)
            hint = f" ({size} is the {sizes[size]})" if size > 1 and size in sizes else ""
            return f"{text} * numerical{hint}", abs(numerator) <= 16 or bool(hint)
    return f"{factor:.6g} * numerical", False


def _diagnose(n: np.ndarray, a: np.ndarray, bad: np.ndarray, x: np.ndarray, out_shape: tuple[int, ...], f: np.ndarray,
              others: dict[str, np.ndarray], constant: bool) -> Iterator[str]:  # fmt: skip
    """What would make the numerical Jacobian ``n`` into the analytical one ``a``, simplest first."""
    if not np.isfinite(n).all():
        yield "a point at the edge of the domain: func gives NaN or infinity right beside it"
        return
    if not np.isfinite(a).all():
        row = int(np.argwhere(~np.isfinite(a))[0][0])
        yield f"a gradient that is not finite at element {_unravel(row, x.shape)} of the input"
        return
    scale = np.abs(n).max(initial=0.0) + np.abs(a).max(initial=0.0)

    def same(guess: np.ndarray, where: Any = slice(None)) -> bool:
        return bool(np.all(np.abs(a - guess)[where] <= 1e-4 * np.abs(guess)[where] + 1e-6 * scale))

    if constant:
        yield "a graph that was cut: no output requires a gradient (detach(), data, numpy(), no_grad() in func?)"
        return
    relative = float(np.abs(a - n)[bad].max() / np.abs(n).max(initial=1e-300))
    if relative < 2e-3:
        dtype = "float32" if relative < 2e-6 else "float16"
        yield f"rounding: the gradient is right to {relative:.0e} of its largest element, as if computed in {dtype}"
        return
    if not np.abs(n).max(initial=0.0) > 1e-9 * scale:
        yield "a gradient where func does not depend on the input at all"
        return
    where = _describe_part(bad, x)
    if same(0 * n):
        yield "a missing gradient: none arrives (a graph that was cut by detach(), data or numpy(), or a dropped term)"
        return
    if same(0 * n, bad):
        yield from _missing_sum(bad, out_shape)
        yield f"a dropped term: the gradient is 0{where}"
    odd = None  # a factor that nobody would write: the last resort
    if same(-n):
        yield "a wrong sign"
    elif same(-n, bad):
        yield f"a wrong sign{where}"
    elif np.abs(n[bad]).max() > 1e-9 * scale and not same(0 * n, bad):
        factor = float(np.sum(a[bad] * n[bad]) / np.sum(n[bad] ** 2))
        if same(factor * n, bad):
            text, plausible = _name_factor(factor, x.shape, out_shape)
            text = f"a constant factor: analytical = {text}{'' if same(factor * n) else where}"
            if plausible:
                yield text
            else:
                odd = text
    if n.shape[0] == n.shape[1] > 1 and same(n.T):
        yield "a transposition: the Jacobian itself is transposed (a matrix stands where its transpose belongs)"
    for name, other in others.items():
        if same(other) or same(-other):
            sign = "" if same(other) else " with the other sign"
            yield f"the gradient of the wrong input: it is that of {name}{sign}"
    yield from _moved(n, a, same, x.shape, out_shape)
    values = {"the input": x.reshape(-1, 1), "the output": f.reshape(1, -1)}
    for name, value in values.items() if n.size > 1 else ():
        with np.errstate(all="ignore"):
            for text, guess in ((f"times {name}", n * value), (f"divided by {name}", n / value)):
                if np.isfinite(guess).all() and (same(guess) or same(-guess)):
                    sign = "" if same(guess) else " and with the wrong sign"
                    yield f"a factor too many or too few: analytical = numerical {text}{sign}"
    if odd:
        yield odd
    difference = (a - n)[bad]
    if difference.size > 1 and np.ptp(difference) <= 1e-5 * scale:
        yield f"a constant added: analytical = numerical + {difference.mean():.6g}{where}"


def _describe_part(bad: np.ndarray, x: np.ndarray) -> str:
    """Where the errors are, if that can be said in a few words."""
    rows = bad.any(axis=1)
    if rows.all():
        return ""
    if rows.sum() == 1:
        return f" at element {_unravel(int(np.argmax(rows)), x.shape)} of the input"
    flat = x.reshape(-1)
    large = np.abs(flat) > 1
    for text, mask in (("negative", flat < 0), ("positive", flat > 0), ("0", flat == 0),
                       ("above 1 in magnitude", large), ("below 1 in magnitude", ~large)):  # fmt: skip
        if np.array_equal(rows, mask):
            return f" where the input is {text}"
    index = np.argwhere(rows.reshape(x.shape))
    for d, size in enumerate(x.shape):
        hit = np.unique(index[:, d])
        if len(hit) < size and rows.sum() == len(hit) * (x.size // size):
            return f" at {', '.join(map(str, hit))} of dimension {d} of the input"
    return f" at {int(rows.sum())} of {x.size} elements of the input"


def _missing_sum(bad: np.ndarray, out_shape: tuple[int, ...]) -> Iterator[str]:
    """Contributions that are missing from all but one slice of the output along a dimension."""
    columns: Any = bad.any(axis=0).reshape(out_shape)
    for d, size in enumerate(out_shape):
        index = np.flatnonzero(np.moveaxis(columns, d, 0).reshape(size, -1).any(axis=1))
        if 0 < len(index) == size - 1:
            kept = (set(range(size)) - set(map(int, index))).pop()
            yield (
                f"a missing sum over dimension {d} of the output, along which the input is broadcast "
                f"(only what comes from index {kept} arrives)"
            )


def _moved(n: np.ndarray, a: np.ndarray, same: Callable[[np.ndarray], bool], in_shape: tuple[int, ...],
           out_shape: tuple[int, ...]) -> Iterator[str]:  # fmt: skip
    """Right values in wrong places: permuted, reversed or shifted dimensions."""
    for axis, what, shape in ((0, "input", in_shape), (1, "output", out_shape)):
        if math.prod(shape) < 2 or len(shape) > 4:
            continue
        full = (*shape, n.shape[1]) if axis == 0 else (n.shape[0], *shape)
        dims = range(axis, axis + len(shape))
        values = n.reshape(full)
        for order in itertools.permutations(range(len(shape))):
            if order != tuple(range(len(shape))):
                axes = (*order, len(shape)) if axis == 0 else (0, *(o + 1 for o in order))
                if same(values.transpose(axes).reshape(n.shape)):
                    text = "a transposition" if len(shape) == 2 else f"a permutation {order} of dimensions"
                    yield f"{text}: the {what}'s dimensions are in the wrong order"
        for d in dims:
            size = full[d]
            if size > 1 and same(np.flip(values, d).reshape(n.shape)):
                yield f"a reversal: dimension {d - axis} of the {what} runs backwards"
            for shift in (1, -1) if size > 2 else ():
                rolled = np.roll(values, shift, d)
                filled = rolled.copy()
                np.moveaxis(filled, d, 0)[0 if shift == 1 else -1] = 0
                if same(rolled.reshape(n.shape)) or same(filled.reshape(n.shape)):
                    yield f"a shift by {shift:+d} along dimension {d - axis} of the {what} (an index off by one)"
    if len(n) > 1 and not same(n):
        matches = [[bool(np.allclose(r, s, rtol=1e-4, atol=1e-8)) for s in n] for r in a]
        if all(map(any, matches)) and all(map(any, zip(*matches, strict=True))):
            yield "a permutation: the right values stand at the wrong input elements"
