"""The tester tested: planted errors are rejected and named, right rules pass, kinks are told from curvature."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from minigrad import Tensor
from minigrad.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from minigrad.engine import new_tensor, primitive
from minigrad.ops import elementwise, linalg, reduction
from minigrad.testing import floats, proves_gradients, shapes

TIGHT = {"atol": 1e-8, "rtol": 1e-8}


def leaf(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> Tensor:
    """A float64 leaf with values of both signs that are apart from each other and from 0."""
    size = int(np.prod(shape))
    values = low + (high - low) * (np.random.default_rng(seed).permutation(size) + 0.37) / size
    return new_tensor(values.reshape(shape), True)


def unary(rule: Callable, forward: Callable = np.square) -> Callable:
    """An operation on one input ``x`` with the given rule."""

    def planted(x: Any) -> Any:
        return forward(x)

    planted.__name__ = f"planted_{id(rule)}"
    return primitive(x=rule)(planted)


def binary(a: Callable, b: Callable, forward: Callable, **options: Any) -> Callable:
    """An operation on two inputs ``a`` and ``b``."""

    def planted(a: Any, b: Any) -> Any:
        return forward(a, b)

    planted.__name__ = f"planted_{id(a)}"
    return primitive(a=a, b=b, **options)(planted)


def plain(x: Any) -> Any:
    """The values alone: what a rule must never take."""
    return getattr(x, "_array", x)


def contiguous(x: Any) -> bool:
    return plain(x).flags.c_contiguous


MASK = np.array([[False, False, False], [False, True, False]])
CUBE_ROWS = np.array([[0.5, 1.0, -2.0], [1.5, 0.25, 1.0], [2.0, -0.5, 0.75]])

# (what is wrong, the operation, its inputs, what the diagnosis must say)
PLANTED: list[tuple[str, Callable, tuple[Tensor, ...], str]] = [
    ("sign", unary(lambda g, x: -2 * g * x), (leaf(2, 3),), r"^a wrong sign$"),
    ("sign-of-one-input", binary(lambda g: g, lambda g: g, np.subtract), (leaf(3), leaf(3)), "wrong sign"),
    ("sign-where-negative", unary(lambda g, x: 2 * g * np.abs(x)), (leaf(2, 3),), "sign where the input is negative"),
    ("factor-2", unary(lambda g, x: 4 * g * x), (leaf(2, 3),), r"constant factor: analytical = 2 \* numerical"),
    ("factor-half", unary(lambda g, x: g * x), (leaf(2, 3),), r"constant factor: analytical = 1/2 \*"),
    ("factor-minus-3", unary(lambda g, x: -6 * g * x), (leaf(5),), r"analytical = -3 \*"),
    ("factor-pi", unary(lambda g, x: 2 * np.pi * g * x), (leaf(2, 3),), r"analytical = pi \*"),
    ("factor-log-2", unary(lambda g, y: g * y, np.exp2), (leaf(4),), r"analytical = 1 / \(log\(2\)\) \*"),
    ("factor-odd", unary(lambda g, x: 2.123 * 2 * g * x), (leaf(4),), r"analytical = 2.123 \*"),
    ("factor-of-a-mean", unary(lambda g, x_shape: np.broadcast_to(g, x_shape), np.mean), (leaf(7),),
     r"analytical = 7 \* numerical \(7 is the size of dimension 0 of the input\)"),
    ("missing-sum", binary(lambda g: g, lambda g: g[0], np.add), (leaf(4, 3), leaf(3)), "missing sum over dimension 0"),
    ("missing-sum-last", binary(lambda g: g, lambda g: g[:, -1:], np.add), (leaf(2, 3), leaf(2, 1)),
     r"missing sum over dimension 1 .* index 2 arrives"),
    ("transposed", unary(lambda g: g, np.transpose), (leaf(3, 3),), "transposition: the .*put's dimensions"),
    ("transposed-matrix", binary(lambda g, b: np.matmul(g, b), lambda g, a: np.matmul(a.T, g), np.matmul),
     (leaf(3, 3), leaf(3, 3, seed=1)), "transposition: the Jacobian itself"),
    ("permuted", unary(lambda g: np.transpose(g, (1, 2, 0)), lambda x: np.transpose(x, (1, 2, 0))), (leaf(2, 2, 2),),
     "permutation .* dimensions"),
    ("operands", binary(lambda g, a: g * a, lambda g, b: g * b, np.multiply), (leaf(3), leaf(3, seed=1)),
     "wrong input: it is that of input 1$"),
    ("operands-and-sign", binary(lambda g: -g, lambda g, a: g * 2 * a, lambda a, b: a * a - b), (leaf(3), leaf(3)),
     "wrong input: it is that of input 1"),
    ("shifted", unary(lambda g, x: np.roll(2 * g * x, 1)), (leaf(5),), r"shift by \+1 along dimension 0"),
    ("shifted-columns", unary(lambda g: np.roll(g, -1, 1), lambda x: x * 1), (leaf(2, 4),),
     "shift by -1 along dimension 1"),
    ("reversed", unary(lambda g: g, lambda x: np.flip(x, 1).copy()), (leaf(2, 3),), "reversal: dimension 1"),
    ("scrambled", unary(lambda g: g[np.array([2, 0, 3, 1, 4])], lambda x: x * 1), (leaf(5),),
     "permutation: the right values"),
    ("one-element", unary(lambda g, x: np.where(MASK, 3, 2) * g * x), (leaf(2, 3),),
     r"3/2 \* numerical .*at element \(1, 1\)"),
    ("one-row", unary(lambda g, x: g * x * np.array([[2.0], [5.0]])), (leaf(2, 3),),
     "at 1 of dimension 0 of the input"),
    ("term-dropped-where-positive", unary(lambda g, x: np.where(x > 0, 0, 2 * g * x)), (leaf(6),),
     "dropped term: the gradient is 0 where the input is positive"),
    ("nothing-arrives", unary(lambda g: g * 0), (leaf(2, 3),), "missing gradient"),
    ("gradient-of-a-constant", unary(lambda g: g, np.floor), (leaf(3),), "does not depend on the input"),
    ("chain-rule", unary(lambda g, x: g * 2), (leaf(4),), "factor too many or too few: .* divided by the input"),
    ("output-twice", unary(lambda g, y: g * y * y, np.exp), (leaf(4),),
     "factor too many or too few: .* times the output"),
    ("constant-added", unary(lambda g, x: g * (2 * x + 1)), (leaf(4),), "constant added: .* numerical \\+ 1"),
    ("float32", unary(lambda g, x: (2 * g * x).astype(np.float32)), (leaf(5),), "rounding: .* float32"),
    ("not-finite", unary(lambda g, x: g * 2 * x / np.where(x > 0, 1, 0)), (leaf(5),), "not finite at element"),
]  # fmt: skip


@pytest.mark.parametrize("fast", [False, True], ids=["full", "fast"])
@pytest.mark.parametrize(("operation", "inputs", "diagnosis"), [p[1:] for p in PLANTED], ids=[p[0] for p in PLANTED])
def test_planted_errors_are_rejected_and_named(
    operation: Callable, inputs: tuple[Tensor, ...], diagnosis: str, fast: bool
) -> None:
    with np.errstate(all="ignore"), pytest.raises(GradcheckError) as caught:
        gradcheck(operation, inputs, fast_mode=fast, **TIGHT)
    assert any(re.search(diagnosis, d) for d in caught.value.diagnosis), caught.value.diagnosis
    assert not gradcheck_quietly(operation, inputs)


def gradcheck_quietly(operation: Callable, inputs: tuple[Tensor, ...]) -> bool:
    with np.errstate(all="ignore"):
        return gradcheck(operation, inputs, raise_exception=False, **TIGHT)


LAYOUT_ERRORS = {
    "value-of-strided-input": (unary(lambda g, x: 2 * g * x, lambda x: (x.ravel("K") ** 2).reshape(x.shape)), "values"),
    "gradient-of-strided-input": (unary(lambda g, x: 2 * g * x * (1 if contiguous(x) else -1)), "gradient of input 0"),
    "strided-gradient": (unary(lambda g, x: 2 * g * x * (1 if contiguous(g) else 2)), "arrives is not contiguous"),
    "expanded-gradient": (unary(lambda g, x: 2 * g * x + (0 if any(plain(g).strides) else 1)), "arrives is expanded"),
}


@pytest.mark.parametrize("name", LAYOUT_ERRORS)
def test_errors_of_layout_alone_are_rejected(name: str) -> None:
    operation, where = LAYOUT_ERRORS[name]
    with pytest.raises(GradcheckError, match=f"{where}(.|\n)*only wrong for a non-contiguous layout"):
        gradcheck(operation, leaf(2, 3), fast_mode=True)


SECOND_ORDER_ERRORS = {
    "plain-input": unary(lambda g, x: 2 * g * plain(x)),
    "plain-gradient": unary(lambda g, x: 2 * new_tensor(plain(g)) * x if isinstance(x, Tensor) else 2 * g * x),
    "other-formula": unary(lambda g, x: 2 * g * x * (1.5 if isinstance(x, Tensor) else 1)),
}


@pytest.mark.parametrize("fast", [False, True], ids=["full", "fast"])
@pytest.mark.parametrize("name", SECOND_ORDER_ERRORS)
def test_errors_of_second_order_alone_are_rejected(name: str, fast: bool) -> None:
    operation = SECOND_ORDER_ERRORS[name]
    assert gradcheck(operation, leaf(2, 3), fast_mode=fast)
    with pytest.raises(GradcheckError, match="only wrong at second order"):
        gradgradcheck(operation, leaf(2, 3), fast_mode=fast)
    assert not gradgradcheck(operation, leaf(2, 3), raise_exception=False)


def test_a_wrong_gradient_is_named_at_second_order_as_well() -> None:
    with pytest.raises(GradcheckError, match=r"The gradient itself is wrong already.\n(.|\n)*wrong sign"):
        gradgradcheck(unary(lambda g, x: -2 * g * plain(x)), leaf(3))


@pytest.mark.parametrize("fast", [False, True], ids=["full", "fast"])
@pytest.mark.parametrize("rule", [lambda g, x: 2 * x, lambda g, x: 2 * g * g * x], ids=["unused", "squared"])
def test_a_rule_that_is_not_linear_in_what_arrives_is_rejected(rule: Callable, fast: bool) -> None:
    """For each single 1 that arrives, which is all that a Jacobian is made of, these are right."""
    with pytest.raises(GradcheckError, match="not linear in the gradient that arrives"):
        gradcheck(unary(rule), leaf(1), fast_mode=fast)


def test_a_gradient_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"gave a gradient of shape \(4, 3\) for an input of shape \(3,\)"):
        gradcheck(binary(lambda g: g, lambda g: g, np.add), (leaf(4, 3), leaf(3)))


# ------------------------------------------------------------------------------------ right ones

RIGHT: dict[str, tuple[Callable, tuple[Tensor, ...]]] = {
    "sin": (elementwise.sin, (leaf(2, 3),)),
    "broadcast": (lambda a, b: elementwise.mul(a, b) / (b * b + 1), (leaf(2, 1), leaf(3, seed=1))),
    "matmul": (linalg.matmul, (leaf(2, 3), leaf(3, 2, seed=1))),
    "sum": (lambda x: reduction.sum(x * x, 1), (leaf(2, 3),)),
    "no-dimensions": (elementwise.exp, (leaf(),)),
    "size-0": (elementwise.exp, (leaf(0, 3),)),
    "itself": (lambda x: x, (leaf(2),)),
    "view": (lambda x: x.T, (leaf(2, 3),)),
    "several-outputs": (lambda x: (x * x, elementwise.sin(x), 3), (leaf(2, 3),)),
    "constant-outputs": (lambda x: (x * x, x > 0, x.detach()), (leaf(3),)),
    "unused-input": (lambda x, _: x * x, (leaf(3), leaf(2))),
    "one-tensor-twice": (elementwise.mul, (x := leaf(3), x)),
    "large-values": (lambda x: x * x * x, (leaf(3, low=1e5, high=3e5),)),
    "large-curvature": (lambda x: 1e4 * x * x, (leaf(3),)),
    "near-the-edge": (elementwise.log, (new_tensor(np.array([5e-4, 1.0]), True),)),
    "near-a-kink": (elementwise.abs, (new_tensor(np.array([1e-4, -3e-5]), True),)),
}


@pytest.mark.parametrize("fast", [False, True], ids=["full", "fast"])
@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_are_accepted(name: str, fast: bool) -> None:
    function, inputs = RIGHT[name]
    assert gradcheck(function, inputs, fast_mode=fast)
    assert gradgradcheck(function, inputs, fast_mode=fast)


@pytest.mark.parametrize("operation", [elementwise.sin, elementwise.exp, elementwise.tanh, elementwise.erf])
def test_tolerances_can_be_tighter_than_pytorchs(operation: Callable) -> None:
    assert gradcheck(operation, leaf(2, 3), atol=1e-10, rtol=1e-10)
    assert gradgradcheck(operation, leaf(2, 3), atol=1e-10, rtol=1e-10)


def test_an_error_of_a_millionth_is_found() -> None:
    operation = unary(lambda g, x: 2 * g * x * (1 + 1e-6))
    assert gradcheck(operation, leaf(3))
    assert not gradcheck(operation, leaf(3), raise_exception=False, **TIGHT)


def test_inputs_that_func_finds_by_itself_are_checked() -> None:
    """As with the parameters of a module, which the function uses without looking at its arguments."""
    w = leaf(3)
    assert gradcheck(lambda _: elementwise.sin(w), w)
    with pytest.raises(GradcheckError, match="wrong sign"):
        gradcheck(lambda _: unary(lambda g, x: -2 * g * x)(w), w)


def test_inputs_that_are_not_leaves() -> None:
    w = leaf(3)
    assert gradcheck(elementwise.sin, w * 2)
    assert gradgradcheck(elementwise.sin, w * 2)


def test_gradients_that_arrive_can_be_given() -> None:
    x = leaf(3)
    assert gradgradcheck(elementwise.sin, x, leaf(3, seed=5))
    with pytest.raises(ValueError, match="got 2 grad_outputs for 1 differentiable output"):
        gradgradcheck(elementwise.sin, x, [x, x])


# -------------------------------------------------------------------------- kinks, jumps, edges


def clipped(slope_at_zero: float) -> Callable:
    """max(x, 0) with a choice of derivative at 0."""
    slope = {-1: 0.0, 0: slope_at_zero, 1: 1.0}
    return unary(lambda g, x: g * np.vectorize(slope.get)(np.sign(x)), lambda x: np.maximum(x, 0))


@pytest.mark.parametrize("slope", [0.0, 0.3, 0.5, 1.0])
def test_any_value_between_the_one_sided_derivatives_is_right_at_a_kink(slope: float) -> None:
    x = new_tensor(np.array([[1.0, 0.0], [-1.0, 2.0]]), True)
    with pytest.warns(UserWarning, match=r"kink at element \(0, 1\) of input 0: one-sided derivatives 0 and 1"):
        assert gradcheck(clipped(slope), x)


@pytest.mark.parametrize("slope", [-0.1, 1.1, 5.0])
def test_other_values_are_wrong_at_a_kink(slope: float) -> None:
    x = new_tensor(np.array([1.0, 0.0, -1.0]), True)
    with pytest.raises(GradcheckError, match=r"kink of func at element \(1,\) .* one-sided derivatives 0 and 1"):
        gradcheck(clipped(slope), x)


def test_curvature_is_no_kink() -> None:
    """With any curvature the one-sided differences are apart; only at a kink they stay so."""
    operation = unary(lambda g, x: 2e4 * g * x, lambda x: 1e4 * x * x)
    assert gradcheck(operation, new_tensor(np.zeros(3), True))  # a warning would fail the test


def test_a_jump_is_reported() -> None:
    with pytest.raises(GradcheckError, match=r"a jump of func at element \(1,\)"):
        gradcheck(elementwise.floor, new_tensor(np.array([1.5, 2.0]), True))


def test_the_edge_of_the_domain_is_reported() -> None:
    operation = unary(lambda g: g, np.sqrt)
    with np.errstate(all="ignore"), pytest.raises(GradcheckError, match="edge of the domain"):
        gradcheck(operation, new_tensor(np.array([1.0, 0.0]), True))


# ------------------------------------------------------------------------- functions that misbehave


def test_a_function_that_is_not_deterministic_is_reported() -> None:
    random = np.random.default_rng(0)
    noisy = unary(lambda g, x: 2 * g * x, lambda x: x * x + 1e-9 * random.random(x.shape))
    with pytest.raises(GradcheckError, match="not deterministic: its values"):
        gradcheck(noisy, leaf(3))
    assert gradcheck(noisy, leaf(3), nondet_tol=1e-8)
    noisy = unary(lambda g, x: 2 * g * x + 1e-9 * random.random(x.shape))
    with pytest.raises(GradcheckError, match="gradient of input 0 is not deterministic"):
        gradcheck(noisy, leaf(3))


def test_a_function_that_changes_its_input_is_reported() -> None:
    def forward(x: Any) -> Any:
        x *= 1.5
        return x * 2

    with pytest.raises(GradcheckError, match="changes input 0 in place"):
        gradcheck(unary(lambda g: 2 * g, forward), leaf(3))


def test_a_graph_that_was_cut_is_reported() -> None:
    with pytest.raises(GradcheckError, match="graph that was cut: no output requires a gradient"):
        gradcheck(lambda x: (x * x).detach(), leaf(3))
    assert gradcheck(lambda x: elementwise.floor(x).detach(), leaf(3))


def test_a_function_whose_shape_changes_is_reported() -> None:
    shapes = iter(range(1, 100))
    with pytest.raises(GradcheckError, match="shapes of the outputs change"):
        gradcheck(lambda x: x[: next(shapes)], leaf(9))


def test_inputs_that_cannot_be_checked_are_refused() -> None:
    with pytest.raises(TypeError, match=r"input 1 is float32.*pass float64"):
        gradcheck(elementwise.mul, (leaf(2), new_tensor(np.ones(2, np.float32), True)))
    with pytest.raises(ValueError, match="none of the inputs requires a gradient"):
        gradcheck(elementwise.sin, new_tensor(np.ones(2)))
    with pytest.raises(ValueError, match="must return a floating-point Tensor, got int64, str"):
        gradcheck(lambda x: (new_tensor(np.ones(2, np.int64)), "a"), leaf(2))


def test_the_inputs_are_left_as_they_were() -> None:
    x = leaf(2, 3)
    array, values = x._array, x._array.copy()
    gradcheck(elementwise.sin, x)
    with pytest.raises(GradcheckError):
        gradcheck(unary(lambda g, x: -2 * g * x), x)
    assert x._array is array
    assert np.array_equal(array, values)
    assert x.grad is None


def test_the_report_shows_both_jacobians_and_the_place() -> None:
    with pytest.raises(GradcheckError) as caught:
        gradcheck(unary(lambda g, x: g * x * np.array([2.0, 4.0])), new_tensor(np.array([1.0, 3.0]), True))
    report = str(caught.value)
    assert "the derivative of output 0 (shape (2,)) with respect to input 0 (shape (2,)) is wrong" in report
    assert "analytical = 2 * numerical (2 is the size of dimension 0 of the input) at element (1,)" in report
    assert "1 of 4 entries is wrong, most at element (1,) of input 0 and element (1,) of output 0: numer" in report
    assert "numerical: [[2. 0.]\n             [0. 6.]]" in report
    assert "analytical: [[ 2.  0.]\n             [ 0. 12.]]" in report


# --------------------------------------------------------------------------------- the decorator


def falsifying_example(test: Callable[[], None]) -> tuple[GradcheckError, str]:
    with pytest.raises(GradcheckError) as caught:
        test()
    return caught.value, "\n".join(caught.value.__notes__)


def test_the_decorator_accepts_what_is_right() -> None:
    seen = []

    @proves_gradients(x=floats(shapes()), power=st.integers(2, 3))
    def test_power(x: Any, power: int) -> Any:
        seen.append((x.shape, power))
        return x**power

    test_power()
    assert len(set(seen)) > 5
    assert test_power.__name__ == "test_power"


def test_the_decorator_shrinks_to_the_smallest_failure() -> None:
    """Wrong only from 3 elements on: the example has 3, in one dimension."""
    wrong = unary(lambda g, x: 2 * g * x * (-1 if x.ndim and plain(x).shape[-1] >= 3 else 1))

    @proves_gradients(x=floats(shapes()))
    def test_square(x: Any) -> Any:
        return wrong(x)

    error, notes = falsifying_example(test_square)
    assert "wrong sign" in error.diagnosis[0]
    assert re.search(r"test_square\(\n\s+x=array\(\[[^,]+,[^,]+,[^,]+\]\)", notes), notes


@pytest.mark.parametrize(
    ("wrong_for", "shape"), [(lambda x: x.ndim == 0, "()"), (lambda x: plain(x).size == 1 and x.ndim == 1, "(1,)")]
)
def test_the_decorator_finds_errors_of_special_shapes(wrong_for: Callable, shape: str) -> None:
    wrong = unary(lambda g, x: 2 * g * x * (3 if wrong_for(x) else 1))

    @proves_gradients(x=floats(shapes()))
    def test_square(x: Any) -> Any:
        return wrong(x)

    error, _ = falsifying_example(test_square)
    assert f"with respect to input 0 (shape {shape})" in str(error)


def test_the_decorator_proves_the_second_order_unless_told_otherwise() -> None:
    wrong = unary(lambda g, x: 2 * g * plain(x))

    @proves_gradients(floats(shapes()).map(lambda x: (x,)))
    def test_square(x: Any) -> Any:
        return wrong(x)

    @proves_gradients(x=floats(shapes()), order=1)
    def test_square_once(x: Any) -> Any:
        return wrong(x)

    assert "only wrong at second order" in falsifying_example(test_square)[0].diagnosis[-1]
    test_square_once()


def test_the_decorator_checks_its_arguments() -> None:
    with pytest.raises(ValueError, match="order must be 1 or 2, got 3"):
        proves_gradients(x=floats(()), order=3)
    with pytest.raises(TypeError, match="either one strategy"):
        proves_gradients()
