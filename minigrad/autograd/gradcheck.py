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
from typing import Any, NamedTuple

import numpy as np

from ..backprop import grad
from ..engine import TensorBase, grad_mode, new_tensor

Arrays = Sequence[np.ndarray]


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
    try:
        _Check("gradcheck", func, inputs, eps, atol, rtol, nondet_tol).run(fast_mode)
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
    limits = eps, atol, rtol, nondet_tol
    first = _Check("gradgradcheck", func, inputs, *limits)
    first.values()
    if grad_outputs is None:
        grad_outputs = [new_tensor(_random(shape), True) for shape in first.shapes]
    arriving, count = _listed(grad_outputs), len(first.inputs)
    if len(arriving) != len(first.shapes):
        counts = f"{len(arriving)} grad_outputs for {len(first.shapes)} differentiable outputs"
        raise ValueError(f"gradgradcheck: got {counts}")

    def gradient(*args: Any) -> tuple[Any, ...]:
        return first.gradients(first.outputs(args[:count]), args[count:], create_graph=True)

    second = _Check("gradgradcheck", gradient, [*first.inputs, *arriving], *limits)
    second.names[count:] = [f"the gradient arriving at {first.output_name(k)}" for k in range(len(arriving))]
    second.output_names = [f"the gradient of {first.names[i]}" for i in first.checked]
    try:
        plain = first.projected([g._array for g in arriving])[1]
        for name, g, expected in zip(second.output_names, gradient(*second.inputs), plain, strict=True):
            second.compare(g._array, expected, second.tolerance(expected), f"{name} is another one under create_graph")
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


def _listed(values: Any) -> list[Any]:
    return [values] if isinstance(values, TensorBase) else list(values)


def _random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Numbers of either sign with magnitudes from 0.5 to 1.5; the same each time."""
    random = np.random.default_rng((seed, *shape))
    return random.uniform(0.5, 1.5, shape) * random.choice((-1.0, 1.0), shape)


def scattered(array: np.ndarray) -> np.ndarray:
    """An equal array that is transposed in memory and has gaps between its elements."""
    wide = np.zeros([2 * size for size in reversed(array.shape)], array.dtype)
    every_other: Any = (*[slice(None, None, 2)] * array.ndim, ...)
    view = wide[every_other].transpose()
    view[...] = array
    return view


def _units(shape: tuple[int, ...]) -> np.ndarray:
    """For each element an array with a 1 there, and zeros elsewhere."""
    return np.eye(math.prod(shape)).reshape(math.prod(shape), *shape)


def _joined(arrays: Arrays) -> np.ndarray:
    """All elements as one vector."""
    return np.concatenate([np.ravel(a) for a in arrays]).astype(np.float64)


class _Slope(NamedTuple):
    """Numerical derivatives, one row per direction and one column per output element."""

    value: np.ndarray  # the best estimate
    error: np.ndarray  # how far off it may be
    left: np.ndarray  # the one-sided derivatives at the smallest step
    right: np.ndarray
    bent: np.ndarray  # a kink, or the suspicion of one after a single step size
    jump: np.ndarray  # the values jump here


class _Check:
    """One function at one point, and everything that is to be proven of it."""

    f: np.ndarray  # the values there, as one vector
    cotangents: Arrays  # that arrive at the outputs, at random
    found: Arrays  # and the gradients of the checked inputs for these

    def __init__(self, name: str, func: Callable[..., Any], inputs: Any, eps: float, atol: float, rtol: float,
                 nondet_tol: float) -> None:  # fmt: skip
        self.name, self.func, self.inputs = name, func, _listed(inputs)
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.names = [f"input {i}" for i in range(len(self.inputs))]
        self.output_names: list[str] | None = None
        places = {id(t): i for i, t in reversed([*enumerate(self.inputs)]) if getattr(t, "requires_grad", False)}
        self.checked = sorted(places.values())  # of a tensor that is given twice the first
        self.tensors = [self.inputs[i] for i in self.checked]
        if not self.checked:
            raise ValueError(f"{name}: none of the inputs requires a gradient, so there is nothing to check")
        for i, x in zip(self.checked, self.tensors, strict=True):
            if x.dtype != np.float64:
                raise TypeError(f"{name}: {self.names[i]} is {x.dtype}, whose rounding hides the derivative; "
                                "pass float64 (input.double())")  # fmt: skip
        self.chosen: list[int] = []  # which of the outputs are differentiable
        self.shapes: list[tuple[int, ...]] = []  # theirs
        self.constant = False  # no output requires a gradient: all must be constant

    # ------------------------------------------------------------------------- evaluation

    def outputs(self, inputs: Sequence[Any] | None = None) -> list[Any]:
        """The differentiable outputs."""
        result = self.func(*(self.inputs if inputs is None else inputs))
        results = result if isinstance(result, (tuple, list)) else [result]
        if not self.chosen:
            tensors = [k for k, r in enumerate(results) if isinstance(r, TensorBase) and r.dtype.kind == "f"]
            if not tensors:
                kinds = ", ".join(str(getattr(r, "dtype", type(r).__name__)) for r in results)
                raise ValueError(f"{self.name}: func must return a floating-point Tensor, got {kinds}")
            differentiable = [k for k in tensors if results[k].requires_grad]
            self.chosen, self.constant = differentiable or tensors, not differentiable
            self.shapes = [results[k].shape for k in self.chosen]
        chosen = [results[k] for k in self.chosen]
        if [r.shape for r in chosen] != self.shapes:
            shapes = f"{self.shapes}, then {[r.shape for r in chosen]}"
            raise GradcheckError(f"{self.name}: the shapes of the outputs change from call to call: {shapes}")
        return chosen

    def tolerance(self, value: Any) -> Any:
        return self.atol + self.rtol * np.abs(value)

    def output_name(self, k: int) -> str:
        return self.output_names[self.chosen[k]] if self.output_names else f"output {self.chosen[k]}"

    def values(self) -> np.ndarray:
        """The differentiable outputs as one vector."""
        with grad_mode(True):  # func may itself differentiate
            return _joined([o._array for o in self.outputs()])

    @contextmanager
    def placed(self, tensors: Sequence[Any], arrays: Arrays) -> Iterator[None]:
        """Within it ``tensors`` have ``arrays`` for values, wherever ``func`` finds them."""
        before = [t._array for t in tensors]
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor._array = np.asarray(array)  # arithmetic on an array without dimensions gives a number
        try:
            yield
        finally:
            for tensor, array in zip(tensors, before, strict=True):
                tensor._array = array

    def gradients(self, outputs: Sequence[Any], cotangents: Sequence[Any], create_graph: bool = False) -> Any:
        """The gradient of each checked input, zeros where none arrives; arrays, or Tensors if ``create_graph``."""
        if self.constant:
            found = tuple(new_tensor(np.zeros(x.shape)) for x in self.tensors)
        else:
            found = grad(outputs, self.tensors, cotangents, True, create_graph, materialize_grads=True)
        return found if create_graph else tuple(g._array for g in found)

    def projected(self, cotangents: Arrays) -> tuple[np.ndarray, Arrays]:
        """The outputs as one vector, and the gradients for the given ``cotangents``."""
        with grad_mode(True):
            outputs = self.outputs()
            return _joined([o._array for o in outputs]), self.gradients(outputs, [new_tensor(c) for c in cotangents])

    def analytical(self) -> list[np.ndarray]:
        """For each checked input its Jacobian, one row per input element and one column per output element."""
        with grad_mode(True):
            outputs = self.outputs()
        units = [([output], [new_tensor(unit)]) for output in outputs for unit in _units(output.shape)]
        jacobians = [np.empty((x._array.size, len(units))) for x in self.tensors]
        for k, unit in enumerate(units):
            for jacobian, g in zip(jacobians, self.gradients(*unit), strict=True):
                jacobian[:, k] = np.ravel(g)
        return jacobians

    # ------------------------------------------------------------------ numerical derivative

    def slope(self, tensors: Sequence[Any], directions: Sequence[Arrays], steps: np.ndarray) -> _Slope:
        """Derivatives along ``directions`` (an array per tensor), by differences over ``steps`` (one each) and half."""
        points = []
        for direction, step in zip(directions, steps, strict=True):
            for t in (step, -step, step / 2, -step / 2):
                moved = [x._array + t * d for x, d in zip(tensors, direction, strict=True)]
                with self.placed(tensors, moved), np.errstate(all="ignore"):  # a step may leave the domain
                    points.append(self.values())
        values = np.array(points).reshape(len(steps), 2, 2, self.f.size)  # directions, step, side, outputs
        h = steps.reshape(-1, 1)
        steps = np.stack([h, h / 2], 1)  # directions, step, 1
        right, left = (values[:, :, 0] - self.f) / steps, (self.f - values[:, :, 1]) / steps
        (wide, narrow), gap = np.moveaxis(right + left, 1, 0) / 2, np.abs(right - left)
        noise = 4e-16 * (1 + np.abs(self.f)) / h
        return _Slope(
            value=(4 * narrow - wide) / 3,
            error=np.abs(narrow - wide) / 3 + noise,
            left=2 * left[:, 1] - left[:, 0],
            right=2 * right[:, 1] - right[:, 0],
            # Curvature halves the gap between the one-sided differences with the step, a kink keeps it.
            bent=(gap[:, 1] > 0.75 * gap[:, 0]) & (gap[:, 1] > 100 * noise + self.tolerance(narrow)),
            jump=np.zeros(narrow.shape, bool),
        )

    def numerical(self, tensor: Any, expected: np.ndarray) -> _Slope:
        """The Jacobian by differences; with smaller steps wherever it is not the ``expected`` one."""
        x, eps = tensor._array, self.eps
        directions = [[unit] for unit in _units(x.shape)]
        units = np.maximum(1, np.abs(x.reshape(-1)))
        best = self.slope([tensor], directions, math.sqrt(eps) * units)
        doubtful = ~(np.abs(best.value - expected) <= self.tolerance(best.value)) | best.bent
        best.bent[:] = False
        rows = np.flatnonzero(doubtful.any(axis=1))
        if not rows.size:
            return best
        finer = [self.slope([tensor], [directions[row] for row in rows], h * units[rows])
                 for h in (math.sqrt(eps) / 10, math.sqrt(eps) / 100, eps)]  # fmt: skip
        for found in finer:
            better = ~(best.error[rows] <= found.error)  # also where the first steps left the domain
            best.value[rows] = np.where(better, found.value, best.value[rows])
            best.error[rows] = np.where(better, found.error, best.error[rows])
        before, last = finer[-2:]
        gap, gap_before = last.right - last.left, before.right - before.left
        noise = 4e-14 * (1 + np.abs(self.f)) / (eps * units[rows].reshape(-1, 1))
        apart = np.abs(gap) > noise + self.tolerance(last.value)
        best.jump[rows] = apart & (np.abs(gap) > 5 * np.abs(gap_before))
        best.bent[rows] = apart & (np.abs(gap - gap_before) < 0.2 * np.abs(gap))
        best.left[rows], best.right[rows] = last.left, last.right
        return best

    # ---------------------------------------------------------------------------- the proofs

    def run(self, fast: bool) -> None:
        """Raise a GradcheckError unless everything holds."""
        before = [np.array(x._array) for x in self.tensors]
        self.f = self.values()
        for i, x, old in zip(self.checked, self.tensors, before, strict=True):
            if not np.array_equal(x._array, old, equal_nan=True):
                raise GradcheckError(f"{self.name}: func changes {self.names[i]} in place")
        self.cotangents = [_random(shape, seed) for seed, shape in enumerate(self.shapes)]
        # The same in each call?
        (values, self.found), (_, again) = self.projected(self.cotangents), self.projected(self.cotangents)
        self.compare(values, self.f, self.nondet_tol, "func is not deterministic: its values differ from call to call")
        for i, g, other in zip(self.checked, self.found, again, strict=True):
            self.compare(other, g, self.nondet_tol, f"the gradient of {self.names[i]} is not deterministic")
        if not (fast and self.agrees_in_projection()):
            self.compare_jacobians()
        self.compare_layouts()

    def compare(self, actual: np.ndarray, expected: np.ndarray, tolerance: Any, complaint: str,
                advice: str = "") -> None:  # fmt: skip
        """Raise ``complaint`` unless two arrays agree."""
        with np.errstate(invalid="ignore"):
            right = (np.abs(actual - expected) <= tolerance) | (actual == expected)
        wrong = ~(right | (np.isnan(actual) & np.isnan(expected)))
        if wrong.any():
            where = tuple(map(int, np.argwhere(wrong)[0]))
            values = f"{actual[where]:.10g} instead of {expected[where]:.10g}"
            message = f"{self.name}: {complaint}\n{_count(wrong)}; element {where} is {values}.{advice}"
            raise GradcheckError(message, [complaint])

    def agrees_in_projection(self) -> bool:
        """Whether the Jacobian of all inputs together agrees when multiplied by a random vector on each side."""
        directions = [_random(g.shape, 1000 + k) for k, g in enumerate(self.found)]
        slope = self.slope(self.tensors, [directions], np.array([math.sqrt(self.eps)]))
        expected = _joined(self.found) @ _joined(directions)
        return bool(abs(slope.value[0] @ _joined(self.cotangents) - expected) <= self.tolerance(expected))

    def compare_jacobians(self) -> None:
        """Compare every element, which tells all about a rule that is linear in what arrives, and prove that it is."""
        jacobians = dict(zip(self.checked, self.analytical(), strict=True))
        for (i, analytical), gradient in zip(jacobians.items(), self.found, strict=True):
            slope = self.numerical(self.inputs[i], analytical)
            tolerance = self.tolerance(slope.value)
            wrong = ~(np.abs(analytical - slope.value) <= tolerance)
            low, high = np.minimum(slope.left, slope.right), np.maximum(slope.left, slope.right)
            wrong &= ~(slope.bent & (low - tolerance <= analytical) & (analytical <= high + tolerance))
            if wrong.any():
                self.report(i, jacobians, slope, wrong)
            if slope.bent.any():
                row, column = map(int, np.argwhere(slope.bent)[0])
                at = f"element {_unravel(row, gradient.shape)} of {self.names[i]}"
                sides = f"{slope.left[row, column]:.6g} and {slope.right[row, column]:.6g}"
                warnings.warn(f"{self.name}: a kink at {at}: one-sided derivatives {sides}; the gradient "
                              f"{analytical[row, column]:.6g} lies between them and is accepted", stacklevel=4)
            linear = (analytical @ _joined(self.cotangents)).reshape(gradient.shape)
            complaint = f"the gradient of {self.names[i]} is not linear in the gradient that arrives (is it used?)"
            self.compare(gradient, linear, self.tolerance(linear) + self.nondet_tol, complaint)

    def compare_layouts(self) -> None:
        """Prove that nothing depends on how the inputs and the arriving gradients lie in memory."""
        plain = [x._array for x in self.tensors]
        ones = self.projected([np.ones(shape) for shape in self.shapes])[1]
        expanded = [np.broadcast_to(np.ones(()), shape) for shape in self.shapes]
        for state, arrays, arriving, gradients in (
            ("inputs are not contiguous", list(map(scattered, plain)), self.cotangents, self.found),
            ("gradient that arrives is not contiguous", plain, list(map(scattered, self.cotangents)), self.found),
            ("gradient that arrives is expanded from one number", plain, expanded, ones),
        ):
            with self.placed(self.tensors, arrays):
                values, found = self.projected(arriving)
            names = ["values are", *(f"gradient of {self.names[i]} is" for i in self.checked)]
            for name, actual, expected in zip(names, (values, *found), (self.f, *gradients), strict=True):
                rounding = 1e-9 * (1 + np.abs(expected).max(initial=0.0))
                tolerance = np.minimum(self.tolerance(expected), rounding) + self.nondet_tol
                self.compare(actual, expected, tolerance, f"the {name} wrong where the {state}",
                             "\nIt is right for contiguous memory and only wrong for a non-contiguous layout.")

    def report(self, i: int, jacobians: dict[int, np.ndarray], slope: _Slope, wrong: np.ndarray) -> None:
        """Raise a GradcheckError that says what is wrong, where, and what it looks like."""
        x = self.inputs[i]._array
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        k = int(np.searchsorted(ends, np.flatnonzero(wrong.any(axis=0))[0], "right"))  # the first output that is wrong
        output, out_shape = self.output_name(k), self.shapes[k]
        part = slice(ends[k] - math.prod(out_shape), ends[k])
        slope = _Slope(*(values[:, part] for values in slope))
        n, a, bad = slope.value, jacobians[i][:, part], wrong[:, part]
        distance = np.where(bad, np.nan_to_num(np.abs(a - n), nan=np.inf), -1)
        row, column = place = _unravel(np.argmax(distance), distance.shape)
        at = f"element {_unravel(row, x.shape)} of {self.names[i]}"
        others = {
            self.names[j]: self.numerical(self.inputs[j], jacobian).value[:, part]
            for j, jacobian in jacobians.items() if j != i and self.inputs[j].shape == x.shape
        }  # fmt: skip
        if slope.jump[place]:
            diagnosis = [f"a jump of func at {at}: it has no derivative there, so choose another point"]
        elif self.constant:
            diagnosis = ["a graph that was cut: no output requires a gradient (detach(), data, numpy(), no_grad()?)"]
        else:
            diagnosis = list(_diagnose(n, a, bad, x, out_shape, self.f[part], others))
        if slope.bent[place]:
            sides = f"{slope.left[place]:.6g} and {slope.right[place]:.6g}"
            diagnosis.insert(0, f"a kink of func at {at}, with the gradient outside the one-sided derivatives {sides}")
        lines = [
            f"{self.name}: the derivative of {output} (shape {out_shape}) "
            f"with respect to {self.names[i]} (shape {x.shape}) is wrong.",
            *([f"It looks like {'; or '.join(diagnosis[:3])}."] if diagnosis else []),
            f"{_count(bad)}, most at {at} and element {_unravel(column, out_shape)} of {output}: "
            f"numerical {n[place]:.10g} (to about {slope.error[place]:.0e}), analytical {a[place]:.10g}; "
            f"allowed is atol {self.atol:g} + rtol {self.rtol:g} * |numerical|.",
            *_show(n, a, bad, x.shape, out_shape),
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


def _diagnose(n: np.ndarray, a: np.ndarray, bad: np.ndarray, x: np.ndarray, out_shape: tuple[int, ...], f: np.ndarray,
              others: dict[str, np.ndarray]) -> Iterator[str]:  # fmt: skip
    """What would make the numerical Jacobian ``n`` into the analytical one ``a``, simplest first."""
    scale, largest = np.abs(n).max(initial=0.0) + np.abs(a).max(initial=0.0), np.abs(n).max(initial=1e-300)

    def same(guess: np.ndarray, where: Any = slice(None)) -> bool:
        guess = guess.reshape(n.shape)[where]
        return bool(np.all(np.abs(a[where] - guess) <= 1e-4 * np.abs(guess) + 1e-6 * scale))

    if not np.isfinite(n).all():
        yield "a point at the edge of the domain: func gives NaN or infinity right beside it"
    elif not np.isfinite(a).all():
        yield f"a gradient that is not finite at element {_unravel(np.argwhere(~np.isfinite(a))[0][0], x.shape)} of it"
    elif (relative := float(np.abs(a - n)[bad].max() / largest)) < 2e-3:
        dtype = "float32" if relative < 2e-6 else "float16"
        yield f"rounding: the gradient is right to {relative:.0e} of its largest element, as if computed in {dtype}"
    elif largest <= 1e-9 * scale:
        yield "a gradient where func does not depend on the input at all"
    elif same(0 * n):
        yield "a missing gradient: none arrives (a graph that was cut by detach(), data or numpy(), or a dropped term)"
    elif same(0 * n, bad):
        yield from _missing_sum(bad, out_shape)
        yield f"a dropped term: the gradient is 0{_describe_part(bad, x)}"
    else:
        factor, shift = np.sum((a * n)[bad]) / max(np.sum(n[bad] ** 2), 1e-300), (a - n)[bad].mean()
        text, plausible = _name_factor(float(factor), x.shape, out_shape)
        guesses = list(_guesses(n, a, x, f, out_shape, others))
        guesses.insert(0 if plausible else len(guesses), (text, factor * n))  # a factor that nobody would write: last
        if bad.sum() > 1:
            guesses.append((f"a constant added: analytical = numerical + {shift:.6g}", n + shift))
        found = False
        for text, guess in guesses:
            if same(guess):
                found = True
                yield text
            elif text.startswith(_LOCAL) and same(guess, bad):
                found = True
                yield text + _describe_part(bad, x)
        if not found and (where := _describe_part(bad, x)):
            yield f"an error only{where}"


_LOCAL = ("a wrong sign", "a constant")  # hypotheses that may hold where the errors are alone


def _name_factor(factor: float, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> tuple[str, bool]:
    """An error by ``factor`` in words, and whether it is one that people make."""
    from fractions import Fraction  # slow to import, and only of use when something is wrong

    if math.isclose(factor, -1, rel_tol=1e-4):
        return "a wrong sign", True
    text, size = f"a constant factor: analytical = {'-' if factor < 0 else ''}%s * numerical", abs(factor)
    roots = {"pi": math.pi, "2 pi": 2 * math.pi, "log(2)": math.log(2), "log(10)": math.log(10),
             "sqrt(2)": math.sqrt(2), "sqrt(pi)": math.sqrt(math.pi), "sqrt(2 pi)": math.sqrt(2 * math.pi)}  # fmt: skip
    for name, value in (roots | {f"1 / ({name})": 1 / value for name, value in roots.items()}).items():
        if math.isclose(size, value, rel_tol=1e-5):
            return text % name, True
    sizes = {math.prod(in_shape): "number of elements of the input"}
    for shape, what in ((out_shape, "output"), (in_shape, "input")):
        sizes |= {length: f"size of dimension {d} of the {what}" for d, length in enumerate(shape)}
    ratio = Fraction(size).limit_denominator(max(12, *sizes))
    if not math.isclose(size, ratio, rel_tol=1e-5):
        return text % f"{size:.6g}", False
    whole = ratio.numerator if ratio.denominator == 1 else ratio.denominator
    if whole > 1 and whole in sizes:
        return f"{text % ratio} ({whole} is the {sizes[whole]})", True
    return text % ratio, ratio.numerator <= 16


def _describe_part(bad: np.ndarray, x: np.ndarray) -> str:
    """Where the errors are, if that can be said in a few words."""
    rows = bad.any(axis=1)
    if rows.all():
        return ""
    if rows.sum() == 1:
        return f" at element {_unravel(np.argmax(rows), x.shape)} of the input"
    for text, mask in (("negative", x < 0), ("positive", x > 0), ("above 1 in magnitude", np.abs(x) > 1)):
        if np.array_equal(rows, mask.reshape(-1)):
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
        missing = np.moveaxis(columns, d, 0).reshape(size, -1).any(axis=1)
        if 0 < missing.sum() == size - 1:
            yield (f"a missing sum over dimension {d} of the output, along which the input is broadcast "
                   f"(only what comes from index {np.argmin(missing)} arrives)")  # fmt: skip


def _guesses(n: np.ndarray, a: np.ndarray, x: np.ndarray, f: np.ndarray, out_shape: tuple[int, ...],
             others: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:  # fmt: skip
    """The Jacobians that common errors would make of the right one, ``n``."""
    if n.shape[0] == n.shape[1] > 1:
        yield "a transposition: the Jacobian itself is transposed (a matrix stands where its transpose belongs)", n.T
    for name, other in others.items():
        yield f"the gradient of the wrong input: it is that of {name}", other
        yield f"the gradient of the wrong input: it is that of {name} with the other sign", -other
    yield from _moved(n.reshape(*x.shape, -1), range(x.ndim), "input")
    yield from _moved(n.reshape(-1, *out_shape), range(1, 1 + len(out_shape)), "output")
    for name, value in (("the input", x.reshape(-1, 1)), ("the output", f.reshape(1, -1))) if n.size > 1 else ():
        with np.errstate(all="ignore"):
            for text, guess in ((f"times {name}", n * value), (f"divided by {name}", n / value)):
                yield f"a factor too many or too few: analytical = numerical {text}", guess
                yield f"a factor too many or too few: analytical = -numerical {text}", -guess
    matches = np.array([[np.allclose(r, s, rtol=1e-4, atol=1e-8) for s in n] for r in a])
    if len(n) > 1 and matches.any(axis=0).all():
        yield "a permutation: the right values stand at the wrong input elements", n[matches.argmax(axis=1)]


def _moved(values: np.ndarray, dims: range, what: str) -> Iterator[tuple[str, np.ndarray]]:
    """The right values in wrong places: ``dims`` permuted, reversed or shifted."""
    for order in itertools.islice(itertools.permutations(dims), 1, 24):
        axes = (*range(dims.start), *order, *range(dims.stop, values.ndim))
        kind = "transposition" if len(dims) == 2 else f"permutation {tuple(d - dims[0] for d in order)} of dimensions"
        yield f"a {kind}: the {what}'s dimensions are in the wrong order", values.transpose(axes)
    for dim in dims:
        yield f"a reversal: dimension {dim - dims[0]} of the {what} runs backwards", np.flip(values, dim)
        for shift in (1, -1):
            text = f"a shift by {shift:+d} along dimension {dim - dims[0]} of the {what} (an index off by one)"
            yield text, (rolled := np.roll(values, shift, dim))
            filled = rolled.copy()
            np.moveaxis(filled, dim, 0)[0 if shift == 1 else -1] = 0
            yield text, filled
