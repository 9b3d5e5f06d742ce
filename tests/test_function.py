"""Operations defined by users with autograd.Function."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

import minigrad as torch
from minigrad import autograd
from minigrad.autograd import Function, gradcheck, gradgradcheck
from minigrad.autograd.function import once_differentiable


def leaf(*values: float, dtype: Any = np.float64) -> Any:
    return torch.tensor(list(values), dtype=dtype, requires_grad=True)


def ones(*shape: int) -> Any:
    return torch.ones(*shape, dtype=np.float64)


class Power(Function):
    """``factor * x ** exponent``, with ``ctx`` in forward."""

    @staticmethod
    def forward(ctx: Any, x: Any, exponent: float, factor: Any = None) -> Any:
        assert not torch.is_grad_enabled()
        ctx.save_for_backward(x, factor)
        ctx.exponent = exponent
        y = x**exponent
        return y if factor is None else y * factor

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, factor = ctx.saved_tensors
        slope = ctx.exponent * x ** (ctx.exponent - 1)
        gx = g * slope if factor is None else g * slope * factor
        return gx, None, None if factor is None else g * x**ctx.exponent


class Exp(Function):
    """Saves its output, in setup_context."""

    @staticmethod
    def forward(x: Any, scale: float = 1.0) -> Any:
        return (x * scale).exp()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.scale = inputs[1]
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * y * ctx.scale, None


class SinCos(Function):
    """Two outputs, both of which it saves."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        s, c = x.sin(), x.cos()
        ctx.save_for_backward(s, c)
        return s, c

    @staticmethod
    def backward(ctx: Any, gs: Any, gc: Any) -> Any:
        s, c = ctx.saved_tensors
        return gs * c - gc * s


def test_gradients_to_any_order() -> None:
    x, factor = leaf(0.5, 1.5), leaf(2.0, 3.0)
    for call, inputs in (
        (lambda x: Power.apply(x, 3.0), (x,)),
        (lambda x, f: Power.apply(x, 3.0, f), (x, factor)),
        (lambda x: Exp.apply(x), (x,)),
        (lambda x: Exp.apply(x, 2.0), (x,)),
        (lambda x: SinCos.apply(x), (x,)),
        (lambda x: SinCos.apply(x)[1], (x,)),
        (lambda x: SinCos.apply(x * x)[0] * 2, (x,)),
    ):
        assert gradcheck(call, inputs)
        assert gradgradcheck(call, inputs)
    (g,) = autograd.grad(Exp.apply(x, 2.0), x, ones(2), create_graph=True)
    (g,) = autograd.grad(g, x, ones(2), create_graph=True)
    (g,) = autograd.grad(g, x, ones(2))
    np.testing.assert_allclose(g.numpy(), 8 * np.exp(2 * np.array([0.5, 1.5])))


def test_the_node_has_the_functions_name_and_the_callers_line() -> None:
    y = Power.apply(leaf(2.0), 2.0)
    assert y.grad_fn.name == "Power"
    assert y.grad_fn.line.endswith("y = Power.apply(leaf(2.0), 2.0)")


def test_needs_input_grad_tells_what_is_wanted() -> None:
    seen = []

    class Product(Function):
        @staticmethod
        def forward(ctx: Any, a: Any, n: int, b: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            return a * b * n

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            return g, None, g

    Product.apply(leaf(1.0), 2, ones(1)).backward()
    assert seen == [(True, False, False)] * 2
    assert not Product.apply(ones(1), 2, ones(1)).requires_grad
    with torch.no_grad():
        assert not Product.apply(leaf(1.0), 2, ones(1)).requires_grad


def test_gradients_of_inputs_that_need_none_are_ignored() -> None:
    x = leaf(2.0)
    Power.apply(x, 3.0, ones(1)).backward()
    assert x.grad.tolist() == [12]


def test_several_outputs_some_unused_some_not_tensors() -> None:
    received = []

    class Several(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2, "text", x * 3, x.argmax()

        @staticmethod
        def backward(ctx: Any, *gs: Any) -> Any:
            received.append([None if g is None else g.tolist() for g in gs])
            return gs[0] * 2 + gs[2] * 3

    x = leaf(1.0, 2.0)
    a, text, b, index = Several.apply(x)
    assert text == "text"
    assert index.item() == 1
    assert not index.requires_grad
    b.sum().backward()
    assert received == [[[0, 0], None, [1, 1], 0]]
    assert x.grad.tolist() == [3, 3]
    assert a.requires_grad


def test_materialized_gradients_can_be_switched_off() -> None:
    class Two(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, ga: Any, gb: Any) -> Any:
            assert ga is None
            return gb * 3

    x = leaf(1.0)
    Two.apply(x)[1].backward()
    assert x.grad.tolist() == [3]


def test_a_tuple_of_one_stays_a_tuple() -> None:
    class One(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return (x * 2,)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return (g * 2,)

    x = leaf(1.0)
    (y,) = One.apply(x)
    y.backward()
    assert x.grad.tolist() == [2]


def test_outputs_marked_non_differentiable() -> None:
    class Sorted(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            low, high = x * 1, x * 2
            ctx.mark_non_differentiable(low)
            return low, high

        @staticmethod
        def backward(ctx: Any, gl: Any, gh: Any) -> Any:
            assert gl.tolist() == [0]
            return gh * 2

    x = leaf(1.0)
    low, high = Sorted.apply(x)
    assert not low.requires_grad
    high.backward()
    assert x.grad.tolist() == [2]


class Double_(Function):
    """Doubles in place."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2


def test_in_place_functions() -> None:
    x = leaf(1.0, 3.0)
    y = x * 1
    z = Double_.apply(y)
    assert z is y
    assert y.tolist() == [2, 6]
    (y * y).sum().backward()
    assert x.grad.tolist() == [8, 24]


def test_an_in_place_function_on_a_view_changes_the_base() -> None:
    x = leaf(1.0, 3.0)
    y = x * 1
    Double_.apply(y[:1])
    (y * y).sum().backward()
    assert y.tolist() == [2, 3]
    assert x.grad.tolist() == [8, 6]


def test_in_place_functions_are_refused_where_in_place_operations_are() -> None:
    with pytest.raises(RuntimeError, match="Double_: the tensor is a leaf that requires a gradient"):
        Double_.apply(leaf(1.0))
    x = leaf(2.0)
    y = x * 1
    z = y * y
    Double_.apply(y)
    with pytest.raises(RuntimeError, match="mul: its gradient needs 'input'"):
        z.backward()

    class Forgets(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.mark_dirty(x)
            return x * 2

    with pytest.raises(RuntimeError, match="Forgets: forward must return the input that it marks dirty"):
        Forgets.apply(x * 1)


def test_an_input_returned_as_it_is_becomes_a_tensor_of_its_own() -> None:
    class Scale(Function):
        """Multiplies the gradient alone."""

        @staticmethod
        def forward(ctx: Any, x: Any, view: bool) -> Any:
            return x.reshape(-1) if view else x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 10, None

    for view in (False, True):
        x = leaf(1.0, 2.0)
        h = x * 1
        y = Scale.apply(h, view)
        assert y is not h
        y.mul_(3)
        assert h.tolist() == [1, 2]
        (y + h).sum().backward()
        assert x.grad.tolist() == [31, 31]


def test_saved_tensors_are_guarded() -> None:
    x = leaf(1.0, 2.0)
    h = x * 1
    y = Power.apply(h, 2.0)
    h.add_(1)
    with pytest.raises(RuntimeError) as caught:
        y.sum().backward()
    message = str(caught.value)
    assert "Power: its gradient needs 'saved_tensors[0]' (shape (2,), float64)" in message
    assert "y = Power.apply(h, 2.0)" in message
    y = Exp.apply(x)
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"Exp: its gradient needs 'saved_tensors\[0\]'"):
        y.sum().backward()


def test_inputs_kept_as_attributes_are_guarded_too() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.x = x
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.x * 2

    x = leaf(3.0)
    Square.apply(x).backward()
    assert x.grad.tolist() == [6]
    h = x * 1
    y = Square.apply(h)
    h.add_(1)
    with pytest.raises(RuntimeError, match=r"Square: its gradient needs 'ctx\.x'"):
        y.backward()


def test_a_second_backward_needs_the_graph_retained() -> None:
    x = leaf(2.0)
    y = Power.apply(x, 2.0)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8]
    with pytest.raises(RuntimeError, match="Power: backward went through this graph before"):
        y.backward()


def test_what_was_saved_is_released_after_backward() -> None:
    x = leaf(2.0)
    h = x * 1
    ref = weakref.ref(h._array)
    y = Power.apply(h, 2.0)
    del h
    assert ref() is not None
    y.backward()
    assert ref() is None


def test_gradients_are_copied_from_what_backward_returns() -> None:
    stored = ones(1)

    class Lazy(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return stored

    x = leaf(1.0)
    for _ in range(3):
        (Lazy.apply(x) + Lazy.apply(x)).backward()
    assert stored.tolist() == [1]
    assert x.grad.tolist() == [6]


def returning(*results: Any) -> type[Function]:
    class Returning(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, n: int) -> Any:
            return x * n

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return results if len(results) != 1 else results[0]

    return Returning


def test_mistakes_in_backward_are_named() -> None:
    def run(*results: Any) -> None:
        returning(*results).apply(leaf(1.0, 2.0), 3).sum().backward()

    run(ones(2), None)
    run(ones(2), None, None)  # more Nones than arguments, as in PyTorch
    run(ones(3, 2), None)  # of the shape that the input broadcasts to, as in PyTorch
    run(None, None)
    run(torch.ones(2), None)
    for results, error, message in (
        ((ones(2),), RuntimeError, "Returning.backward: returned 1 gradients for the 2 arguments of forward"),
        ((ones(2), None, ones(2)), RuntimeError, "Returning.backward: returned 3 gradients for the 2"),
        ((ones(3), None), RuntimeError, r"Returning: its rule gave a gradient of shape \(3,\) for .* shape \(2,\)"),
        ((np.ones(2), None), TypeError, "Returning.backward: gradient 0 must be a Tensor or None, got ndarray"),
        ((2.0, None), TypeError, "Returning.backward: gradient 0 must be a Tensor or None, got float"),
    ):
        with pytest.raises(error, match=message):
            run(*results)


def test_mistakes_in_definitions_are_named() -> None:
    class Empty(Function):
        pass

    with pytest.raises(NotImplementedError, match="Empty: define the static method forward"):
        Empty.apply(leaf(1.0))

    class Half(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            with pytest.raises(TypeError, match="save_for_backward: takes Tensors and None, got float"):
                ctx.save_for_backward(1.0)
            with pytest.raises(RuntimeError, match="saved_tensors: there are none outside of backward"):
                ctx.saved_tensors  # noqa: B018
            return x * 1

    with pytest.raises(NotImplementedError, match="Half: define the static method backward"):
        Half.apply(leaf(1.0)).backward()

    class Number(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return 3.0

    with pytest.raises(TypeError, match=r"Number\.forward: must return a Tensor or a tuple, got float"):
        Number.apply(leaf(1.0))
    with pytest.raises(TypeError, match=r"Power: call Power\.apply"):
        Power()


def test_once_differentiable() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            assert not torch.is_grad_enabled()
            (x,) = ctx.saved_tensors
            return g * 2 * x

    x, w = leaf(3.0), leaf(1.0)
    Once.apply(x).backward()
    assert x.grad.tolist() == [6]
    (g,) = autograd.grad(Once.apply(x) * w, x, create_graph=True)
    assert g.tolist() == [6]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        autograd.grad(g, w)
    given = leaf(1.0, 1.0)  # a leaf that arrives as the gradient
    x = leaf(3.0, 4.0)
    (g,) = autograd.grad(Once.apply(x), x, given, create_graph=True)
    assert g.tolist() == [6, 8]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        autograd.grad(g.sum(), given)
    # What it saved depends on x as well, though nothing that arrives does.
    (g,) = autograd.grad((Once.apply(x) + x**3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        autograd.grad(g.sum(), x)


def test_a_function_inside_a_function() -> None:
    class Outer(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return Exp.apply(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            with torch.enable_grad():
                again = x.detach().requires_grad_()
                y = Exp.apply(again)
            return g * autograd.grad(y, again, ones(2))[0]

    assert gradcheck(Outer.apply, (leaf(0.1, 0.2),))


def test_a_backward_may_run_another_backward() -> None:
    inner = leaf(1.0)

    class Nested(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            with torch.enable_grad():
                (inner * 5).backward()
            return g

    x = leaf(1.0)
    Nested.apply(x).backward()
    assert (x.grad.item(), inner.grad.item()) == (1, 5)


def test_dtypes_are_kept() -> None:
    x = leaf(2.0, dtype=np.float32)
    y = Power.apply(x, 2.0)
    assert y.dtype == np.float32
    y.backward()
    assert x.grad.dtype == np.float32
