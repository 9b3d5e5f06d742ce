"""backward, grad, accumulation, hooks, modes, functional derivatives, checkpoints, anomaly detection.

Numbers and behaviours that are PyTorch's were taken from PyTorch 2.13.
"""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as torch
from minigrad import autograd
from minigrad.autograd import functional
from minigrad.ops.inplace import become
from minigrad.utils.checkpoint import checkpoint, checkpoint_sequential


def leaf(*values: float, dtype: Any = np.float64) -> Any:
    return torch.tensor(list(values), dtype=dtype, requires_grad=True)


def ones(*shape: int) -> Any:
    return torch.ones(*shape, dtype=np.float64)


def constant(*values: float) -> Any:
    return torch.tensor(list(values), dtype=np.float64)


# -------------------------------------------------------------------------- backward and .grad


def test_gradients_accumulate_in_place() -> None:
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    first = x.grad
    assert first.tolist() == [2, 2]
    (x * 3).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5, 5]


def test_create_graph_accumulates_out_of_place_and_differentiably() -> None:
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    first = x.grad
    (x * x).sum().backward(create_graph=True)
    assert first.tolist() == [2, 2]
    assert x.grad.tolist() == [4, 6]
    (gg,) = autograd.grad(x.grad.sum(), x)
    assert gg.tolist() == [2, 2]


@pytest.mark.parametrize("create_graph", [False, True])
def test_no_gradient_shares_memory_with_anything(create_graph: bool) -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    arriving = ones(2)
    (a + b).backward(arriving, create_graph=create_graph)
    assert a.grad is not b.grad
    for first, second in ((a.grad, b.grad), (a.grad, arriving), (b.grad, arriving)):
        assert not np.shares_memory(first._array, second._array)
    with torch.no_grad():
        a.grad.mul_(7)
    assert (b.grad.tolist(), arriving.tolist()) == ([1, 1], [1, 1])


@pytest.mark.parametrize("function", [torch.relu, torch.exp, torch.tanh, lambda x: x * x, lambda x: 1 - x])
def test_rules_overwrite_only_gradients_that_nobody_else_sees(function: Any) -> None:
    """Of large arrays: in hooks, retained, asked for, given by the caller, or returned by a user's own rule."""
    kept = torch.full((200, 300), 3.0)

    class Keeping(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return kept

    x = torch.linspace(-1, 1, 60_000).reshape(200, 300).requires_grad_()
    arriving, seen = torch.full((200, 300), 5.0), []
    hooked, retained = function(x * 1), function(x * 1)
    hooked.register_hook(seen.append)
    retained.retain_grad()
    (function(hooked) + function(retained)).backward(arriving)
    between = function(x * 1)
    asked = autograd.grad(function(between), [between, x], arriving)
    Keeping.apply(function(x)).backward(arriving)
    middle = x.detach().double()
    middle = function(middle).requires_grad_()
    function(middle).backward(arriving.double())
    for gradient in (seen[0], retained.grad, asked[0]):
        np.testing.assert_allclose(gradient.numpy(), middle.grad.numpy(), rtol=1e-4, atol=1e-6)
    assert np.all(arriving.numpy() == 5)
    assert np.all(kept.numpy() == 3)


def test_a_leaf_as_root() -> None:
    x = leaf(1.0, 2.0)
    arriving = constant(3.0, 4.0)
    x.backward(arriving)
    x.backward(arriving)
    assert x.grad.tolist() == [6, 8]
    assert arriving.tolist() == [3, 4]


def test_several_roots_with_their_gradients() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    autograd.backward([y, y, (y * y).sum()], [ones(2), ones(2), None])
    assert x.grad.tolist() == [4 + 8, 4 + 16]


def test_backward_into_chosen_tensors() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * w
    (y * y).sum().backward(inputs=[w, y])
    assert x.grad is None
    assert w.grad.tolist() == [2 * 3 * 1, 2 * 8 * 2]
    assert y.grad.tolist() == [6, 16]
    assert y.retains_grad
    z = x * w
    z.sum().backward(inputs=x)
    assert x.grad.tolist() == [3, 4]


def test_a_root_that_is_not_chosen_gets_nothing() -> None:
    x, w = leaf(1.0), leaf(2.0)
    autograd.backward([x, w * 2], [ones(1), ones(1)], inputs=[w])
    assert x.grad is None
    assert w.grad.tolist() == [2]


def test_gradients_of_other_dtypes_are_cast() -> None:
    x = leaf(1.0, 2.0, dtype=np.float32)
    (x * 2).backward(ones(2))
    assert x.grad.dtype == np.float32


def test_gradients_of_numbers() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    (x * x).backward()
    (x * x * x).backward()
    assert x.grad.item() == 6 + 27
    assert x.grad.shape == ()
    assert x.grad.dtype == np.float32


def test_computed_tensors_have_no_grad_unless_retained() -> None:
    x = leaf(1.0)
    y = x * 2
    y.sum().backward()
    assert y.grad is None
    assert not y.retains_grad
    assert not x.retains_grad


def test_retained_gradients_accumulate_out_of_place() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    z = (y * y).sum()
    z.backward(retain_graph=True)
    first = y.grad
    z.backward()
    assert first.tolist() == [4, 8]
    assert y.grad.tolist() == [8, 16]


def test_a_retained_gradient_stays_with_the_tensor_through_in_place_operations() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    assert y.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == [12, 24]


def test_a_retained_gradient_of_a_view_whose_base_changes() -> None:
    x = leaf(1.0, 2.0)
    base = x * 2
    view = base[:1]
    view.retain_grad()
    base.mul_(3)
    (view * view).sum().backward()
    assert view.grad.tolist() == [12]
    assert x.grad.tolist() == [72, 0]


def test_retain_grad_keeps_nothing_alive() -> None:
    x = leaf(1.0)
    y = x * 2
    y.retain_grad()
    ref = weakref.ref(y)
    z = y * 3
    del y
    assert ref() is None
    z.backward()
    assert x.grad.tolist() == [6]


def test_assigned_gradients_are_checked() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"grad: the gradient has shape \(3,\), the tensor \(2,\)"):
        x.grad = ones(3)
    with pytest.raises(TypeError, match="grad: the gradient is float32"):
        x.grad = torch.ones(2)
    with pytest.raises(TypeError, match="expected a Tensor or None"):
        x.grad = 1.0
    x.grad = mine = ones(2)
    (x * 2).sum().backward()
    assert x.grad is mine  # as in PyTorch: it was given away
    assert mine.tolist() == [3, 3]


# ------------------------------------------------------------------------------------------ grad


def test_grad_changes_no_grad_attribute() -> None:
    x = leaf(1.0, 2.0)
    (g,) = autograd.grad((x * x).sum(), x)
    assert g.tolist() == [2, 4]
    assert not g.requires_grad
    assert x.grad is None


def test_grad_of_the_same_input_twice_gives_two_tensors() -> None:
    x = leaf(1.0, 2.0)
    a, b = autograd.grad(x.sum(), [x, x])
    assert not np.shares_memory(a._array, b._array)
    assert a.tolist() == b.tolist() == [1, 1]


def test_unused_inputs() -> None:
    x, w = leaf(1.0), leaf(2.0)
    y = x * 2
    with pytest.raises(RuntimeError, match=r"grad: no output depends on input 1 \(shape \(1,\)\).*allow_unused"):
        autograd.grad(y, [x, w], retain_graph=True)
    assert autograd.grad(y, [w, x], allow_unused=True, retain_graph=True)[0] is None
    (g, _) = autograd.grad(y, [w, x], materialize_grads=True)
    assert g.tolist() == [0]
    with pytest.raises(ValueError, match="allow_unused cannot be False"):
        autograd.grad(y, x, allow_unused=False, materialize_grads=True)


def test_several_outputs_are_summed() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    (g,) = autograd.grad([y, y], [x], [ones(2), constant(1.0, 3.0)])
    assert g.tolist() == [4, 8]


def test_grad_outputs_can_be_differentiated() -> None:
    x, v = leaf(1.0, 2.0), leaf(5.0, 7.0)
    (g,) = autograd.grad(x * x, x, v, create_graph=True)
    assert g.tolist() == [10, 28]
    (gv,) = autograd.grad(g.sum(), v)
    assert gv.tolist() == [2, 4]


def test_third_derivative() -> None:
    x = leaf(2.0)
    g = x**4
    for expected in (32.0, 48.0, 48.0, 24.0):
        (g,) = autograd.grad(g, x, create_graph=True)
        assert g.item() == pytest.approx(expected)
        assert expected != 24.0 or g.shape == (1,)


def test_mistakes_in_calls_are_named() -> None:
    x = leaf(1.0, 2.0)
    c = constant(1.0, 2.0)
    y = x * 2
    cases: list[tuple[Callable[[], Any], type, str]] = [
        (lambda: y.backward(), RuntimeError, r"backward: a tensor of shape \(2,\) needs the gradient"),
        (lambda: y.backward(ones(3)), ValueError, r"the gradient has shape \(3,\), its tensor \(2,\)"),
        (lambda: y.backward(1.0), TypeError, "must be a Tensor or None, got float"),
        (lambda: y.backward([1.0, 2.0]), ValueError, "got 2 gradients for 1 tensors"),
        (lambda: autograd.backward([y], [np.ones(2)]), TypeError, "must be a Tensor or None, got ndarray"),
        (lambda: c.sum().backward(), RuntimeError, r"backward: the tensor \(shape \(\)\) does not require a gradient"),
        (lambda: y.sum().backward(inputs=[]), RuntimeError, "inputs is empty"),
        (lambda: y.sum().backward(inputs=[c]), RuntimeError, r"inputs\[0\] \(shape \(2,\)\) does not require"),
        (lambda: autograd.backward(3.0), TypeError, "backward: tensors must be a Tensor or a sequence"),
        (lambda: autograd.backward(y, grad_variables=ones(2)), NotImplementedError, "grad_tensors"),
        (lambda: autograd.grad(y, [x, 3]), TypeError, r"grad: inputs\[1\] must be a Tensor, got int"),
        (lambda: autograd.grad(y.sum(), c), RuntimeError, r"grad: inputs\[0\] .* does not require"),
        (lambda: autograd.grad(y, x, is_grads_batched=True), NotImplementedError, "is_grads_batched"),
        (lambda: autograd.grad(y, x, only_inputs=False), NotImplementedError, "only_inputs"),
        (lambda: c.register_hook(print), RuntimeError, "register_hook: the tensor does not require a gradient"),
        (lambda: c.retain_grad(), RuntimeError, "retain_grad: the tensor does not require a gradient"),
        (lambda: y.register_post_accumulate_grad_hook(print), RuntimeError, "only a leaf"),
        (lambda: y[:1].detach_(), RuntimeError, "detach_"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()


def test_detach_in_place() -> None:
    x = leaf(1.0)
    y = x * 2
    z = y * 3
    assert y.detach_() is y
    assert y.is_leaf
    assert not y.requires_grad
    z.backward()
    assert x.grad.tolist() == [6]


# ----------------------------------------------------------------------------------------- hooks


def test_a_hook_sees_the_total_gradient_once() -> None:
    for make in (lambda x: x, lambda x: x * 1):
        x = leaf(1.0, 2.0)
        y = make(x)
        seen = []
        y.register_hook(lambda g, seen=seen: seen.append(g.tolist()))
        (y * 2 + y * 3 + y).sum().backward()
        assert seen == [[6, 6]]
        assert x.grad.tolist() == [6, 6]


def test_hooks_replace_the_gradient_in_order() -> None:
    x = leaf(1.0)
    y = x * 1
    y.register_hook(lambda g: g + 1)
    y.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g * 10)
    assert autograd.grad(y.sum(), x, retain_graph=True)[0].tolist() == [40]
    y.sum().backward()
    assert x.grad.tolist() == [40]


def test_hooks_run_before_capture_and_retention() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 5)
    (captured,) = autograd.grad(y.sum(), y, retain_graph=True)
    assert captured.tolist() == [5, 5]
    y.sum().backward()
    assert y.grad.tolist() == [10, 10]  # both traversals came by


def test_hooks_of_tensors_that_are_not_wanted_do_not_run() -> None:
    a, b = leaf(1.0), leaf(2.0)
    calls: list[str] = []
    b.register_hook(lambda g: calls.append("hook"))
    b.register_post_accumulate_grad_hook(lambda t: calls.append("accumulated"))
    y = (a * b).sum()
    autograd.grad(y, a, retain_graph=True)
    assert calls == []
    y.backward(inputs=[b])
    assert calls == ["hook", "accumulated"]


def test_a_hook_that_changes_its_argument_changes_nothing_else() -> None:
    a, b = leaf(1.0, 1.0), leaf(1.0, 1.0)
    arriving = ones(2)
    a.register_hook(lambda g: g.mul_(5))
    (a + b).backward(arriving)
    assert (a.grad.tolist(), b.grad.tolist(), arriving.tolist()) == ([5, 5], [1, 1], [1, 1])


def test_handles_remove_their_hook() -> None:
    x = leaf(1.0)
    handle = x.register_hook(lambda g: g * 10)
    other = x.register_hook(lambda g: g + 1)
    handle.remove()
    handle.remove()
    assert autograd.grad(x * 2, x)[0].tolist() == [3]
    other.remove()
    with x.register_hook(lambda g: g * 10):
        assert autograd.grad(x * 2, x)[0].tolist() == [20]
    assert autograd.grad(x * 2, x)[0].tolist() == [2]


def test_what_a_hook_returns_is_checked() -> None:
    for wrong in (lambda g: g.sum(), lambda g: 3.0, lambda g: g.numpy()):
        x = leaf(1.0, 2.0)
        x.register_hook(wrong)
        with pytest.raises(RuntimeError, match=r"hook.*shape \(2,\)"):
            (x * 2).sum().backward()


def test_hooks_are_differentiated() -> None:
    x = leaf(3.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    (g,) = autograd.grad(y, x, create_graph=True)
    assert g.tolist() == [18]
    assert autograd.grad(g, x)[0].tolist() == [12]


def test_the_result_of_a_hook_is_not_aliased() -> None:
    kept = ones(1)
    x = leaf(1.0)
    x.register_hook(lambda g: kept)
    for _ in range(3):
        (x * 2).backward()
    assert kept.tolist() == [1]
    assert x.grad.tolist() == [3]


def test_post_accumulate_hooks_see_the_gradient_and_may_take_it() -> None:
    x = leaf(1.0)
    steps = []

    def step(param: Any) -> None:
        assert param is x
        steps.append(param.grad.item())
        param.grad = None

    x.register_post_accumulate_grad_hook(step)
    for _ in range(2):
        (x * 3).backward()
    assert steps == [3, 3]
    assert x.grad is None


def test_a_hook_on_a_tensor_of_several_outputs() -> None:
    x = leaf(1.0, 2.0)
    a, b = torch.unbind(x * x)
    a.register_hook(lambda g: g * 100)
    (a + b).backward()
    assert x.grad.tolist() == [200, 4]


# ----------------------------------------------------------------------------------------- modes


def test_modes_switch_recording() -> None:
    x = leaf(1.0)
    with torch.no_grad():
        assert not torch.is_grad_enabled()
        assert not (x * 2).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    with torch.set_grad_enabled(False):
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    assert not torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
        with torch.inference_mode(False):
            assert not torch.is_inference_mode_enabled()
            assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    with torch.set_grad_enabled(mode=False), torch.inference_mode(mode=False):
        assert torch.is_grad_enabled()


def test_modes_are_restored_after_errors_and_when_nested_in_themselves() -> None:
    off = torch.no_grad()
    with pytest.raises(KeyError), off, off:
        raise KeyError
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "decorate",
    [torch.no_grad, torch.no_grad(), torch.inference_mode, torch.inference_mode(), torch.inference_mode(True)],
)
def test_modes_decorate_with_and_without_parentheses(decorate: Any) -> None:
    @decorate
    def off(value: int, *, more: int = 0) -> tuple[int, bool]:
        """Documented."""
        return value + more, torch.is_grad_enabled()

    assert off(1, more=2) == (3, False)
    assert torch.is_grad_enabled()
    assert off.__name__ == "off"
    assert off.__doc__ == "Documented."

    @torch.enable_grad
    def on() -> bool:
        return torch.is_grad_enabled()

    with torch.no_grad():
        assert on()
    assert torch.is_grad_enabled()


def test_a_decorated_function_may_recurse() -> None:
    @torch.no_grad()
    def count(n: int) -> int:
        assert not torch.is_grad_enabled()
        return 0 if n == 0 else 1 + count(n - 1)

    assert count(5) == 5
    assert torch.is_grad_enabled()


def test_set_grad_enabled_decorates() -> None:
    @torch.set_grad_enabled(False)
    def off() -> bool:
        return torch.is_grad_enabled()

    assert torch.is_grad_enabled()
    assert off() is False
    assert torch.is_grad_enabled()


def test_generators_are_switched_while_they_run() -> None:
    closed = []

    @torch.no_grad()
    def counter() -> Iterator[Any]:
        try:
            got = yield torch.is_grad_enabled()
            try:
                yield got, torch.is_grad_enabled()
            except ValueError:
                yield "caught", torch.is_grad_enabled()
            return "end"
        finally:
            closed.append(torch.is_grad_enabled())

    generator = counter()
    assert next(generator) is False
    assert torch.is_grad_enabled()
    assert generator.send("hello") == ("hello", False)
    assert generator.throw(ValueError()) == ("caught", False)
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == "end"
    generator = counter()
    next(generator)
    generator.close()
    assert closed == [False, False]
    assert torch.is_grad_enabled()


def test_classes_are_not_decorated() -> None:
    with pytest.raises(TypeError, match="no_grad: decorate a function, not the class"):
        torch.no_grad()(type("Model", (), {}))


def test_backward_runs_its_rules_unrecorded_whatever_the_mode() -> None:
    x = leaf(1.0)
    y = x * x
    modes = []
    y.register_hook(lambda g: modes.append(torch.is_grad_enabled()))
    y.backward(retain_graph=True)
    with torch.no_grad():
        y.backward(create_graph=True)
    assert modes == [False, True]


# ------------------------------------------------------------------------------------ functional


A = np.array([0.5, -1.0, 2.0])
B = np.array([[1.0, 0.3, -0.7], [0.2, 2.0, 1.1]])


def product(a: Any, b: Any) -> Any:
    return (a * b).exp()


def total(a: Any, b: Any) -> Any:
    return ((a * b).exp() * b).sum()


def numeric(function: Callable[..., Any], at: np.ndarray) -> np.ndarray:
    columns = []
    for unit in np.eye(at.size).reshape(at.size, *at.shape):
        columns.append((function(at + 1e-5 * unit) - function(at - 1e-5 * unit)) / 2e-5)
    return np.moveaxis(np.array(columns), 0, -1).reshape(columns[0].shape + at.shape)


def evaluated(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs: function(*map(torch.from_numpy, xs)).detach().numpy()


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-6, atol=1e-6)


def test_jacobian() -> None:
    a, b = torch.from_numpy(A), torch.from_numpy(B)
    ja, jb = functional.jacobian(product, (a, b))
    assert ja.shape == (2, 3, 3)
    assert jb.shape == (2, 3, 2, 3)
    close(ja, numeric(lambda x: evaluated(product)(x, B), A))
    close(jb, numeric(lambda x: evaluated(product)(A, x), B))
    close(functional.jacobian(lambda x: x * x, a), np.diag(2 * A))
    one, two = functional.jacobian(lambda x: (x * x, x.sum()), a)
    assert (one.shape, two.shape) == ((3, 3), (3,))
    assert functional.jacobian(lambda x: x[:0], a).shape == (0, 3)


def test_hessian() -> None:
    a, b = torch.from_numpy(A), torch.from_numpy(B)
    (haa, hab), (hba, hbb) = functional.hessian(total, (a, b))
    shapes = [h.shape for h in (haa, hab, hba, hbb)]
    assert shapes == [(3, 3), (3, 2, 3), (2, 3, 3), (2, 3, 2, 3)]

    def slope(which: int) -> Callable[..., Any]:
        return lambda *xs: functional.jacobian(total, tuple(map(torch.from_numpy, xs)))[which].numpy()

    close(haa, numeric(lambda x: slope(0)(x, B), A))
    close(hab, numeric(lambda x: slope(0)(A, x), B))
    close(hba, hab.permute(1, 2, 0).numpy())
    close(hbb, numeric(lambda x: slope(1)(A, x), B))
    close(functional.hessian(lambda x: (x**3).sum(), a), np.diag(6 * A))
    close(functional.hessian(lambda x: (x * 2).sum(), a), np.zeros((3, 3)))


def test_products_with_vectors() -> None:
    a, b = torch.from_numpy(A), torch.from_numpy(B)
    v, va, vb = torch.from_numpy(B[::-1].copy()), torch.from_numpy(A[::-1].copy()), torch.from_numpy(B * 2)
    ja, jb = functional.jacobian(product, (a, b))
    out, (ga, gb) = functional.vjp(product, (a, b), v)
    close(out, product(a, b).numpy())
    close(ga, np.tensordot(v.numpy(), ja.numpy(), 2))
    close(gb, np.tensordot(v.numpy(), jb.numpy(), 2))
    out, tangent = functional.jvp(product, (a, b), (va, vb))
    close(tangent, ja.numpy() @ va.numpy() + np.tensordot(jb.numpy(), vb.numpy(), 2))


def test_functional_results_can_be_differentiated() -> None:
    x = leaf(1.0, 2.0)
    for result in (
        functional.jacobian(lambda t: t**3, x, create_graph=True),
        functional.hessian(lambda t: (t**4).sum() / 4, x, create_graph=True),
        functional.vjp(lambda t: t**3, x, ones(2), create_graph=True)[1],
        functional.jvp(lambda t: t**3, x, ones(2), create_graph=True)[1],
    ):
        (g,) = autograd.grad(result.sum(), x)
        close(g, [6, 12])
    assert not functional.jacobian(lambda t: t**3, x).requires_grad
    assert x.grad is None


def test_independent_outputs_are_zero_or_with_strict_an_error() -> None:
    a, b = torch.from_numpy(A), torch.from_numpy(B)
    ja, jb = functional.jacobian(lambda a, b: a * 2, (a, b))
    close(jb, np.zeros((3, 2, 3)))
    close(ja, 2 * np.eye(3))
    close(functional.jvp(lambda a: ones(2), a, a)[1], np.zeros(2))
    with pytest.raises(RuntimeError, match="jacobian: no output depends on input 1, which strict"):
        functional.jacobian(lambda a, b: a * 2, (a, b), strict=True)
    with pytest.raises(RuntimeError, match="vjp: output 0 does not depend on the inputs"):
        functional.vjp(lambda a: ones(1), a, strict=True)


def test_mistakes_in_functional_calls_are_named() -> None:
    a = torch.from_numpy(A)
    cases: list[tuple[Callable[[], Any], type, str]] = [
        (lambda: functional.vjp(lambda x: x * 2, a), ValueError, "vjp: v must be given unless the output"),
        (lambda: functional.vjp(lambda x: x * 2, a, ones(2)), ValueError, r"vjp: v must have the shapes .* \(3,\)"),
        (lambda: functional.jvp(lambda x: x * 2, a), ValueError, "jvp: v must be given unless the inputs"),
        (lambda: functional.hessian(lambda x: x * 2, a), RuntimeError, r"hessian: .* single number, got shape \(3,\)"),
        (lambda: functional.jacobian(lambda x: 3.0, a), TypeError, "jacobian: what the function returned must be"),
        (lambda: functional.jacobian(lambda x: x, [a]), TypeError, "jacobian: inputs must be Tensors, one or a tuple"),
        (lambda: functional.jacobian(lambda x: x, a, vectorize=True), NotImplementedError, "reverse mode"),
        (lambda: functional.hessian(lambda x: x.sum(), a, outer_jacobian_strategy="sideways"), NotImplementedError,
         "reverse mode"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()


# ------------------------------------------------------------------------------------ checkpoint


def blocks(w: Any) -> Callable[[Any], Any]:
    return lambda x: ((x * w).sin() * x).exp()


@pytest.mark.parametrize("wrap", ["plain", "nested", "keyword"])
@pytest.mark.parametrize("constant_input", [False, True])
def test_a_checkpoint_has_the_gradients_of_its_function(wrap: str, constant_input: bool) -> None:
    w, x = leaf(0.5, 1.5), leaf(0.3, -0.4)
    function = blocks(w)
    wrapped: dict[str, Callable[[Any], Any]] = {
        "plain": lambda t: checkpoint(function, t, use_reentrant=False),
        "nested": lambda t: checkpoint(lambda u: checkpoint(function, u) * 1, t),
        "keyword": lambda t: checkpoint(lambda *, t: function(t), t=t, use_reentrant=True),
    }
    results = []
    for call in (function, wrapped[wrap]):
        w.grad = x.grad = None
        h = (x.detach() if constant_input else x) * 1
        y = call(h)
        y = call(y * 0.1) + y + h
        y.sum().backward()
        found = [w.grad, *([] if constant_input else [x.grad])]
        y = call(h.detach())
        (g,) = autograd.grad(y.sum(), w, create_graph=True)
        found += [g, *autograd.grad(g.sum(), w)]
        results.append([t.tolist() for t in found])
    assert results[0] == results[1]


def test_a_checkpoint_keeps_no_activations() -> None:
    x = leaf(0.3, -0.4)
    inner: list[Any] = []

    def function(t: Any) -> Any:
        h = t.exp()
        inner.append(weakref.ref(h._array))
        return (h * h).sum()

    y = checkpoint(function, x)
    assert inner[0]() is None
    y.backward()
    assert len(inner) == 2
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(2 * np.array([0.3, -0.4])))


def test_a_checkpoint_draws_the_same_random_numbers() -> None:
    x = leaf(*([1.0] * 50))
    torch.manual_seed(0)
    y = checkpoint(lambda t: t * torch.rand(50, dtype=np.float64), x)
    after = torch.rand(1).item()
    y.backward(ones(50))
    assert x.grad.tolist() == y.tolist()
    torch.manual_seed(0)
    torch.rand(50, dtype=np.float64)
    assert torch.rand(1).item() == after  # the second call left the stream where it was
    y = checkpoint(lambda t: t * torch.rand(50, dtype=np.float64), x, preserve_rng_state=False)
    with pytest.raises(RuntimeError, match="called again in backward, the function computed something else"):
        y.sum().backward()


def test_a_checkpoint_notices_what_changed() -> None:
    w, x = leaf(0.5), leaf(2.0)
    y = checkpoint(lambda t: t * w, x)
    with torch.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="computed something else"):
        y.backward()
    h = x * 1
    y = checkpoint(lambda t: t * w, h)
    h.mul_(2)
    with pytest.raises(RuntimeError, match=r"checkpoint: its gradient needs 'args\[0\]'.*changed in place"):
        y.backward()


def test_a_checkpoint_of_several_outputs() -> None:
    x = leaf(2.0, 3.0)
    a, n, b, i = checkpoint(lambda t: (t * t, 5, t * 3, t.argmax()), x)
    assert n == 5
    assert not i.requires_grad
    (a * b).sum().backward()
    assert x.grad.tolist() == [36, 81]
    a, n, b, i = checkpoint(lambda t: (t * t, 5, t * 3, t.argmax()), x)
    assert autograd.grad(b.sum(), x)[0].tolist() == [3, 3]
    found = checkpoint(lambda t: [t["x"] * 2, {"square": t["x"] ** 2}], {"x": x})
    assert autograd.grad((found[0] + found[1]["square"]).sum(), x)[0].tolist() == [6, 8]


def test_a_checkpoint_of_what_it_was_given() -> None:
    x = leaf(2.0)
    y = x * 3
    z = checkpoint(lambda t: t, y)
    (z * y).backward()
    assert x.grad.tolist() == [36]


def test_no_checkpoint_without_recording() -> None:
    x = leaf(2.0)
    with torch.no_grad():
        assert not checkpoint(lambda t: t * t, x).requires_grad
    assert checkpoint(lambda t: t.argmax(), x).item() == 0
    y = checkpoint(lambda t: t * t, x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8]
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_checkpoint_sequential() -> None:
    w = leaf(0.5, 1.5)
    calls: list[int] = []

    def step(k: int) -> Callable[[Any], Any]:
        def run(t: Any) -> Any:
            calls.append(k)
            return (t * w).tanh()

        return run

    steps = [step(k) for k in range(5)]
    x = leaf(0.2, 0.4)
    expected = x
    for s in steps:
        expected = s(expected)
    g = autograd.grad(expected.sum(), [x, w])
    calls.clear()
    y = checkpoint_sequential(steps, 2, x, use_reentrant=False)
    assert y.tolist() == expected.tolist()
    assert [t.tolist() for t in autograd.grad(y.sum(), [x, w])] == [t.tolist() for t in g]
    assert calls == [0, 1, 2, 3, 4, 0, 1]
    with pytest.raises(ValueError, match="segments must be from 1 to 5, got 6"):
        checkpoint_sequential(steps, 6, x)


# --------------------------------------------------------------------------------------- anomaly


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_first_nan_of_forward_is_named() -> None:
    x = leaf(-1.0, 4.0)
    with autograd.detect_anomaly():
        assert autograd.is_anomaly_enabled()
        fine = (x * 2) + 1
        with pytest.raises(RuntimeError, match=r"detect_anomaly: sqrt made the first NaN, at .*bad = fine\.sqrt\(\)"):
            bad = fine.sqrt()  # noqa: F841
    assert not autograd.is_anomaly_enabled()
    assert np.isnan(fine.sqrt().tolist()[0])
    with autograd.detect_anomaly():  # a NaN that was there before is nobody's fault
        assert np.isnan((torch.tensor([np.nan]) * 2).item())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_first_nan_of_backward_is_named() -> None:
    x = leaf(0.0, 4.0)
    with autograd.detect_anomaly():
        y = x.sqrt()
        z = (y * 0).sum()
        with pytest.raises(RuntimeError, match=r"gradient of sqrt, recorded at .*y = x\.sqrt\(\), is the first"):
            z.backward()
    autograd.set_detect_anomaly(True)
    autograd.set_detect_anomaly(True)
    assert autograd.is_anomaly_enabled()
    with autograd.detect_anomaly():
        pass
    assert autograd.is_anomaly_enabled()
    autograd.set_detect_anomaly(False)
    assert not autograd.is_anomaly_enabled()
    with autograd.set_detect_anomaly(True):
        assert autograd.is_anomaly_enabled()
    assert not autograd.is_anomaly_enabled()


# ------------------------------------------------------------------------------------ other parts


def test_graphs_are_not_copied_but_leaves_are() -> None:
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="part of a graph"):
        copy.deepcopy(x * 2)
    (x * 2).backward()
    twin = copy.deepcopy(x)
    (twin * 2).backward()
    assert (x.grad.item(), twin.grad.item()) == (2, 4)


def test_collecting_garbage_in_backward_is_harmless() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    collected: list[int] = []
    y.register_hook(lambda g: collected.append(gc.collect()))
    y.sum().backward()
    assert len(collected) == 1
    assert x.grad.tolist() == [2, 4]


def test_a_leaf_that_stopped_requiring_a_gradient_gets_none() -> None:
    x, w = leaf(1.0), leaf(2.0)
    y = x * w
    x.requires_grad_(False)
    y.backward()
    assert x.grad is None
    assert w.grad.tolist() == [1]


def test_hooks_of_leaves_run_in_the_mode_of_the_traversal() -> None:
    x, w = leaf(3.0), leaf(2.0)
    modes = []
    x.register_hook(lambda g: modes.append(torch.is_grad_enabled()) or g * w)
    x.register_post_accumulate_grad_hook(lambda p: modes.append(torch.is_grad_enabled()))
    (x * x).backward()
    assert not x.grad.requires_grad
    y = x * x
    with torch.no_grad():
        y.backward(create_graph=True)
    assert modes == [False, False, True, True]
    assert x.grad.requires_grad
    assert autograd.grad(x.grad, w)[0].tolist() == [6]


def test_a_view_of_what_became_constant_is_constant() -> None:
    x = leaf(1.0, -2.0)
    base = x * 2
    view = base[:1]
    become(base, base >= 0, "ge_")  # which has no gradient
    assert not base.requires_grad
    assert not view.requires_grad
    assert view.tolist() == [1]


@pytest.mark.parametrize("part", range(3))
def test_anomalies_in_parts_that_add_to_one_gradient(part: int) -> None:
    x = torch.ones(3, 4, requires_grad=True)
    outs = [x[0], x[1], x[2]]
    arriving = [torch.full((4,), np.nan if i == part else 1.0) for i in range(3)]
    with autograd.detect_anomaly(), pytest.raises(RuntimeError, match="detect_anomaly: the gradient of getitem"):
        autograd.backward(outs, arriving)
