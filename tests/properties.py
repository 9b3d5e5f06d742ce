"""What must hold of every operation: one function for each property, on one call of it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad import engine, traversal
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.engine import TensorBase, new_tensor
from minigrad.testing import assert_close

from .duck import Duck
from .layouts import LAYOUTS, contiguous
from .samples.spec import Case, Spec

# ------------------------------------------------------------------------------ calls in general


def transform(value: Any, change: Callable[[np.ndarray], Any]) -> Any:
    """``value`` with ``change`` applied to each array in it."""
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, (list, tuple)):
        parts = [transform(v, change) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return {k: transform(v, change) for k, v in value.items()}
    return value


def change_case(case: Case, change: Callable[[np.ndarray], Any]) -> Case:
    return Case(*transform(list(case.args), change), **transform(case.kwargs, change))


def leaf(array: np.ndarray) -> Any:
    """The Tensor that a test passes for an array, over the same memory."""
    return new_tensor(array, array.dtype.kind == "f")


def tensors_in(value: Any) -> Iterator[Any]:
    """The Tensors in an argument or a result, in order."""
    if isinstance(value, TensorBase):
        yield value
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from tensors_in(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from tensors_in(v)


def arrays_in(case: Case) -> list[np.ndarray]:
    """The arrays in a call, in order."""
    found: list[np.ndarray] = []
    change_case(case, found.append)
    return found


def call(spec: Spec, case: Case) -> tuple[list[Any], Any]:
    """The inputs that require a gradient, and the result."""
    made: list[Any] = []

    def make(array: np.ndarray) -> Any:
        made.append(leaf(array))
        return made[-1]

    case = change_case(case, make)
    result = spec.function(*case.args, **case.kwargs)
    return [t for t in made if t.requires_grad], result


def weights(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A gradient to send back."""
    return np.random.default_rng((seed, *shape)).uniform(-1, 1, shape)


def differentiable(result: Any) -> list[Any]:
    return [t for t in tensors_in(result) if t.requires_grad]


def gradients(inputs: list[Any], result: Any, wrap: Callable[[np.ndarray], Any] = lambda array: array) -> list[Any]:
    """The gradient of each input for fixed gradients of the results; zeros where none arrives."""
    outputs = differentiable(result)
    edges = [engine.edge_of(t) for t in inputs]
    if not outputs:
        return [wrap(np.zeros(t.shape, t.dtype)) for t in inputs]
    cotangents = [wrap(weights(o.shape, k).astype(o.dtype)) for k, o in enumerate(outputs)]
    found = traversal.backward(outputs, cotangents, wanted=edges)
    return [found[e] if e in found else wrap(np.zeros(t.shape, t.dtype)) for e, t in zip(edges, inputs, strict=True)]


def results_and_gradients(spec: Spec, case: Case) -> tuple[Any, list[Any]]:
    inputs, result = call(spec, case)
    return result, gradients(inputs, result) if spec.order else []


def plain(result: Any) -> Any:
    """A result with arrays for Tensors, lists for sequences."""
    if isinstance(result, TensorBase):
        return result._array
    if isinstance(result, (list, tuple)):
        return [plain(r) for r in result]
    if isinstance(result, dict):
        return {k: plain(v) for k, v in result.items()}
    return result


def flat_function(spec: Spec, case: Case) -> tuple[Callable[..., tuple[Any, ...]], list[Any]]:
    """``spec.function`` as a function of its differentiable inputs alone, and those inputs."""
    arrays = [a for a in arrays_in(case) if a.dtype == np.float64]

    def function(*inputs: Any) -> tuple[Any, ...]:
        remaining = iter(inputs)
        filled = change_case(case, lambda a: next(remaining) if a.dtype == np.float64 else new_tensor(a))
        return tuple(tensors_in(spec.function(*filled.args, **filled.kwargs)))

    return function, [new_tensor(a.copy(), True) for a in arrays]


# -------------------------------------------------------------------------------- the properties


def equals_reference(spec: Spec, case: Case) -> None:
    """The result is the reference's, in the same kind of dtype."""
    copy = change_case(case, np.copy)
    expected = spec.reference(*copy.args, **copy.kwargs)
    _, result = call(spec, case)
    actual = plain(result)
    expected = list(expected) if isinstance(expected, tuple) else expected
    assert_close(actual, expected, rtol=1e-9, atol=1e-10, equal_nan=True, check_dtype=False)
    for a, e in zip(tensors_in([result]), _arrays(expected), strict=False):
        assert a.dtype.kind == e.dtype.kind, f"the result is {a.dtype}, the reference {e.dtype}"


def _arrays(value: Any) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    transform(value, found.append)
    return found


def first_order(spec: Spec, case: Case) -> None:
    """The gradient equals differences, in every layout."""
    function, inputs = flat_function(spec, case)
    if spec.order >= 1 and inputs:
        gradcheck(function, inputs, atol=1e-7, rtol=1e-6, fast_mode=True)


def second_order(spec: Spec, case: Case) -> None:
    """The derivative of the gradient equals differences."""
    function, inputs = flat_function(spec, case)
    if spec.order >= 2 and inputs:
        gradgradcheck(function, inputs, atol=1e-6, rtol=1e-5, fast_mode=True)


def gradient_fits_input(spec: Spec, case: Case) -> None:
    """Shape and dtype of a gradient are its input's."""
    if not spec.order:
        return
    inputs, result = call(spec, case)
    for tensor, g in zip(inputs, gradients(inputs, result), strict=True):
        assert g.shape == tensor.shape
        assert g.dtype == tensor.dtype


def keeps_precision(spec: Spec, case: Case) -> None:
    """float32 and float16 stay what they are, forward and backward, and near the float64 result."""
    if not spec.half:
        return
    for dtype, tolerance in ((np.float32, 1e-4), (np.float16, 3e-2)):
        rounded = change_case(case, lambda a, d=dtype: a.astype(d) if a.dtype == np.float64 else a)
        inputs, result = call(spec, rounded)
        same = change_case(rounded, lambda a, d=dtype: a.astype(np.float64) if a.dtype == d else a)
        exact_inputs, exact = call(spec, same)
        for actual, expected in zip(tensors_in([result]), tensors_in([exact]), strict=True):
            if expected.dtype == np.float64:
                assert actual.dtype == dtype, f"the result of {np.dtype(dtype)} is {actual.dtype}"
                _assert_near(actual._array, expected._array, tolerance)
        if spec.order:
            pairs = zip(gradients(inputs, result), gradients(exact_inputs, exact), strict=True)
            for g, expected in pairs:
                assert g.dtype == dtype, f"the gradient of {np.dtype(dtype)} is {g.dtype}"
                _assert_near(g, expected, 3 * tolerance)


def _assert_near(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)))
    if scale < 1e3:  # beyond, conditioning is the test's and not the operation's
        assert_close(actual.astype(np.float64), expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def leaves_inputs_alone(spec: Spec, case: Case) -> None:
    """Neither forward nor backward changes an input, or the gradient that arrives."""
    arrays = [np.copy(a) for a in arrays_in(case)]
    inputs, result = call(spec, case)
    if spec.order:
        outputs = differentiable(result)
        cotangents = [weights(o.shape, k).astype(o.dtype) for k, o in enumerate(outputs)]
        if outputs:
            traversal.backward(outputs, cotangents, wanted=[engine.edge_of(t) for t in inputs])
        for k, g in enumerate(cotangents):
            assert np.array_equal(g, weights(g.shape, k)), "backward changed the gradient that it was given"
    for before, after in zip(arrays, arrays_in(case), strict=True):
        assert np.array_equal(before, after, equal_nan=before.dtype.kind == "f"), "an input was changed"


def ignores_layout(spec: Spec, case: Case) -> None:
    """Values and gradients are the same wherever the elements lie in memory."""
    expected, expected_gradients = results_and_gradients(spec, change_case(case, contiguous))
    for layout in LAYOUTS:
        result, found = results_and_gradients(spec, change_case(case, layout))
        try:
            assert_close(plain(result), plain(expected), rtol=1e-9, atol=1e-9, equal_nan=True)
            assert_close(found, expected_gradients, rtol=1e-9, atol=1e-9, equal_nan=True)
        except AssertionError as error:
            error.add_note(f"where the inputs are {layout.__name__}")
            raise


def accepts_expanded(spec: Spec, case: Case) -> None:
    """Inputs that are stretched, with stride 0, along their first or last dimension."""
    for pick in (lambda a: a[:1], lambda a: a[..., :1]):

        def stretch(array: np.ndarray, pick: Callable = pick) -> np.ndarray:
            stretches = array.dtype == np.float64 and array.ndim and array.size
            return np.broadcast_to(pick(array), array.shape) if stretches else array

        stretched = change_case(case, stretch)
        try:
            expected, expected_gradients = results_and_gradients(spec, change_case(stretched, contiguous))
        except (ValueError, np.linalg.LinAlgError):  # a singular matrix, for example
            continue
        result, found = results_and_gradients(spec, stretched)
        assert_close(plain(result), plain(expected), rtol=1e-9, atol=1e-9, equal_nan=True)
        assert_close(found, expected_gradients, rtol=1e-9, atol=1e-9, equal_nan=True)


def accepts_one_tensor_twice(spec: Spec, case: Case) -> None:
    """A Tensor given for two inputs gets the sum of what two equal Tensors would get."""
    arrays = [a for a in arrays_in(case) if a.dtype == np.float64]
    if not spec.twice or len(arrays) < 2 or not spec.order:
        return
    for i in range(len(arrays) - 1):
        if arrays[i].shape != arrays[i + 1].shape:
            continue
        function, inputs = flat_function(spec, case)
        inputs[i + 1] = new_tensor(arrays[i].copy(), True)
        separate = gradients(inputs, function(*inputs))
        inputs[i + 1] = inputs[i]
        once = inputs[: i + 1] + inputs[i + 2 :]
        shared = gradients(once, function(*inputs))
        assert_close(shared[i], separate[i] + separate[i + 1], rtol=1e-9, atol=1e-9, equal_nan=True)


def runs_on_ducks(spec: Spec, case: Case) -> None:
    """Forward and backward run on a foreign library's arrays and stay there."""
    if not spec.duck:
        return
    expected, expected_gradients = results_and_gradients(spec, case)
    made: list[Any] = []

    def make(array: np.ndarray) -> Any:
        made.append(new_tensor(Duck(array.copy()), array.dtype == np.float64))
        return made[-1]

    ducks = change_case(case, make)
    result = spec.function(*ducks.args, **ducks.kwargs)
    for actual, wanted in zip(tensors_in([result]), tensors_in([expected]), strict=True):
        assert isinstance(actual._array, Duck), "the result is no duck any more"
        assert_close(actual._array.hidden, wanted._array, rtol=1e-9, atol=1e-9, equal_nan=True)
    if spec.order:
        inputs = [t for t in made if t.requires_grad]
        for g, wanted in zip(gradients(inputs, result, Duck), expected_gradients, strict=True):
            assert isinstance(g, Duck), "the gradient is no duck any more"
            assert_close(g.hidden, wanted, rtol=1e-9, atol=1e-9, equal_nan=True)


def is_adjoint(spec: Spec, case: Case) -> None:
    """``<L u, v> == <u, L* v>`` for the first argument, and L is linear."""
    function, inputs = flat_function(spec, case)
    u = [np.random.default_rng(k).normal(size=inputs[0].shape) for k in range(3)]
    u[2] = 2 * u[0] - 3 * u[1]
    rest = [t.detach() for t in inputs[1:]]
    images = []
    for value in u:
        tensor = new_tensor(value, True)
        result = [t for t in function(tensor, *rest) if t.dtype.kind == "f"]
        images.append([t._array for t in result])
        g = gradients([tensor], result)[0]
        left = sum(np.sum(t._array * weights(t.shape, k)) for k, t in enumerate(result))
        assert_close(float(np.sum(g * value)), float(left), rtol=1e-9, atol=1e-9)
    for a, b, c in zip(*images, strict=True):
        assert_close(c, 2 * a - 3 * b, rtol=1e-9, atol=1e-9)


def records_its_primitive(spec: Spec, case: Case, name: str) -> None:
    """The call leaves a node of the operation it is to prove; one without a gradient just runs."""
    primitive = engine.REGISTRY[name]
    if primitive.rules or primitive.joint:
        _, result = call(spec, case)
        nodes = recorded([engine.edge_of(t) for t in differentiable(result)])
        assert name in nodes, f"calling it records {sorted(nodes)}, not {name}"
        return
    runs = []

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is primitive.forward.__code__:
            runs.append(frame)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        call(spec, case)
    finally:
        sys.setprofile(before)
    assert runs, f"calling it does not run {name}"


def recorded(edges: list[Any]) -> set[str]:
    """The names of the operations in the graph below ``edges``."""
    nodes: set[engine.Node] = set()
    while edges:
        edge = edges.pop()
        if isinstance(edge, engine.Node) and edge not in nodes:
            nodes.add(edge)
            edges.extend(edge.edges)
    return {node.name for node in nodes}


PROPERTIES: dict[str, Callable[[Spec, Case], None]] = {
    property.__name__: property
    for property in (equals_reference, first_order, second_order, gradient_fits_input, keeps_precision,
                     leaves_inputs_alone, ignores_layout, accepts_expanded, accepts_one_tensor_twice, runs_on_ducks)
}  # fmt: skip
"""All that hold of every operation."""


def run(property: Callable[[Spec, Case], None], spec: Spec, case: Case) -> None:
    """Prove one property of one call, with NumPy's warnings about values (log of 0) silenced."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        property(spec, case)
