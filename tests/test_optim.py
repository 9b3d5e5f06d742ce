"""Optimizers: steps against the formulas written out, and everything around a step.

Where all of them go is compared with PyTorch in test_trajectories.py.
"""

from __future__ import annotations

import copy
import inspect
import io
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.kernels.fused import PIECE
from minigrad.optim import SGD, Adam, AdamW, Optimizer

from . import trajectories
from .duck import Duck

Array = Any


def sgd(p: Array, grads: list[Array], lr: float, momentum: float = 0, dampening: float = 0, weight_decay: float = 0,
        nesterov: bool = False, maximize: bool = False) -> Array:  # fmt: skip
    """PyTorch's documentation of SGD, line by line."""
    b = None
    for g in grads:
        g = (-g if maximize else g) + weight_decay * p
        if momentum:
            b = g if b is None else momentum * b + (1 - dampening) * g
            g = g + momentum * b if nesterov else b
        p = p - lr * g
    return p


def adam(p: Array, grads: list[Array], lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
         weight_decay: float = 0, amsgrad: bool = False, maximize: bool = False,
         decoupled: bool = False) -> Array:  # fmt: skip
    """PyTorch's documentation of Adam and AdamW, line by line."""
    m, v, v_max = 0.0 * p, 0.0 * p, 0.0 * p
    for t, g in enumerate(grads, 1):
        g = -g if maximize else g
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        v_max = np.maximum(v_max, v)
        v_hat = (v_max if amsgrad else v) / (1 - betas[1] ** t)
        p = p - lr * m / (1 - betas[0] ** t) / (np.sqrt(v_hat) + eps)
    return p


def options(**choices: tuple) -> list[dict[str, Any]]:
    """Every combination of the choices."""
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


CASES = [
    *((SGD, sgd, o) for o in options(lr=(0.1,), momentum=(0, 0.9), dampening=(0, 0.3), weight_decay=(0, 0.1),
                                     maximize=(False, True))),
    *((SGD, sgd, o) for o in options(lr=(0.1,), momentum=(0.9,), nesterov=(True,), weight_decay=(0, 0.1))),
    *((Adam, adam, o) for o in options(lr=(0.1,), betas=((0.9, 0.999), (0.5, 0.6)), eps=(1e-8, 0.1),
                                       weight_decay=(0, 0.1), amsgrad=(False, True), maximize=(False, True))),
    *((AdamW, lambda *a, **o: adam(*a, **o, decoupled=True), o)
      for o in options(lr=(0.1,), weight_decay=(0, 0.1), amsgrad=(False, True), maximize=(False, True))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "formula", "chosen"), CASES)
@pytest.mark.parametrize("layout", ["C", "F", "strided", "0-d"])
def test_steps_follow_the_formula(kind: Any, formula: Any, chosen: dict[str, Any], layout: str) -> None:
    random = np.random.default_rng(0)
    shape = () if layout == "0-d" else (3, 4)
    start, grads = random.normal(size=shape), [random.normal(size=shape) for _ in range(10)]
    array = np.array(start, order="F") if layout == "F" else start.copy()
    if layout == "strided":
        array = np.zeros((3, 8))[:, ::2]
        array[...] = start
    p = nn.Parameter(mg.engine.new_tensor(array))
    memory = p.data_ptr()
    optimizer = kind([p], **chosen)
    for g in grads:
        p.grad = mg.tensor(g, dtype=mg.float64)
        optimizer.step()
        np.testing.assert_array_equal(p.grad, g)  # it belongs to the user
    np.testing.assert_allclose(p.detach(), formula(start, grads, **chosen), rtol=1e-10, atol=1e-12)
    assert p.data_ptr() == memory


# After 10 steps of PyTorch 2.13 from p = [1, -2] with gradients [p0 + 1, 2 * p1 - 1].
TORCH = [
    (SGD, {"lr": 0.1}, [-0.3026431198, 0.231564544]),
    (SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.2}, [-1.51946980788296, 1.89837386760336]),
    (Adam, {"lr": 0.1}, [0.0245868404728572, -1.01803190803527]),
    (Adam, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3}, [0.0294279328846478, -1.01868730245966]),
    (AdamW, {"lr": 0.1, "weight_decay": 0.3}, [-0.107669323963401, -0.629150059485264]),
]


@pytest.mark.parametrize(("kind", "chosen", "expected"), TORCH)
def test_steps_give_pytorchs_numbers(kind: Any, chosen: dict[str, Any], expected: list[float]) -> None:
    p = mg.tensor([1.0, -2.0], dtype=mg.float64, requires_grad=True)
    optimizer = kind([p], **chosen)
    for _ in range(10):
        optimizer.zero_grad()
        (p[0] ** 2 / 2 + p[0] + p[1] ** 2 - p[1]).backward()
        optimizer.step()
    np.testing.assert_allclose(p.detach(), expected, rtol=1e-12)


KINDS = [(SGD, {"momentum": 0.9, "weight_decay": 0.1}), (Adam, {"amsgrad": True}), (AdamW, {})]


@pytest.mark.parametrize("dtype", [mg.float16, mg.float32, mg.float64], ids=str)
@pytest.mark.parametrize(("kind", "chosen"), KINDS)
def test_precision_is_kept(kind: Any, chosen: dict[str, Any], dtype: np.dtype) -> None:
    p = nn.Parameter(mg.ones(3, dtype=dtype))
    optimizer = kind([p], lr=0.1, **chosen)
    for _ in range(2):
        p.grad = mg.ones(3, dtype=dtype)
        optimizer.step()
    assert p.dtype == dtype
    assert all(t.dtype == dtype for t in optimizer.state[p].values() if isinstance(t, mg.Tensor))
    assert all(np.isfinite(p.detach()))


@pytest.mark.parametrize(("kind", "chosen"), KINDS)
def test_saving_and_going_on_is_the_same_as_going_on(kind: Any, chosen: dict[str, Any]) -> None:
    def make() -> tuple[list[Any], Optimizer]:
        params = [nn.Parameter(mg.ones(2)), nn.Parameter(mg.ones(3)), nn.Parameter(mg.ones(1))]
        return params, kind([{"params": params[:1]}, {"params": params[1:], "lr": 0.2}], lr=0.1, **chosen)

    def train(params: list[Any], optimizer: Optimizer) -> None:
        for _ in range(3):
            optimizer.zero_grad()
            sum((p**2).sum() for p in params[:2]).backward()  # the third never gets a gradient
            optimizer.step()

    params, optimizer = make()
    train(params, optimizer)
    saved, values = copy.deepcopy(optimizer.state_dict()), [p.detach().clone() for p in params]
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1, 2]]
    assert set(saved["state"]) == {0, 1}
    train(params, optimizer)

    others, other = make()
    for p, value in zip(others, values, strict=True):
        p.data.copy_(value)
    other.load_state_dict(saved)
    train(others, other)
    for a, b in zip(params, others, strict=True):
        np.testing.assert_array_equal(a.detach(), b.detach())
    other.state[others[0]].clear()  # what was loaded is a copy
    assert saved["state"][0]

    again = pickle.loads(pickle.dumps(optimizer))
    assert again.param_groups[1]["lr"] == 0.2
    assert [len(state) for state in again.state.values()] == [len(state) for state in optimizer.state.values()]


def test_loaded_state_takes_the_dtype_of_the_parameters() -> None:
    p, q = nn.Parameter(mg.ones(2)), nn.Parameter(mg.ones(2, dtype=mg.float64))
    first, second = Adam([p]), Adam([q])
    p.grad = mg.ones(2)
    first.step()
    saved = first.state_dict()
    saved["state"][0]["step"] = mg.tensor(1.0)  # as PyTorch has it
    saved["state"][0]["note"] = [1, 2]
    del saved["param_groups"][0]["amsgrad"]
    second.load_state_dict(saved)
    assert second.state[q]["exp_avg"].dtype == mg.float64
    assert second.state[q]["step"] == 1
    assert second.state[q]["note"] == [1, 2]
    assert second.param_groups[0]["amsgrad"] is False


def test_groups() -> None:
    a, b, c = (nn.Parameter(mg.ones(1)) for _ in range(3))
    optimizer = SGD([{"params": a, "lr": 0.5}, {"params": [b]}], lr=0.1)
    optimizer.add_param_group({"params": [c], "weight_decay": 1.0})
    for p in (a, b, c):
        p.grad = mg.ones(1)
    optimizer.step()
    assert [p.item() for p in (a, b, c)] == pytest.approx([0.5, 0.9, 0.8])
    assert repr(SGD([a], lr=0.1)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n    foreach: None\n    fused: None\n"
        "    lr: 0.1\n    maximize: False\n    momentum: 0\n    nesterov: False\n    weight_decay: 0\n)"
    )  # as PyTorch prints it


def test_parameters_must_be_iterable() -> None:
    model = nn.Linear(2, 2)
    for params in (model, model.parameters, model.weight):
        with pytest.raises(TypeError, match=r"as model\.parameters\(\) gives, not (Linear|method|Parameter)"):
            optim.SGD(params, lr=0.1)  # type: ignore[arg-type]


def test_named_parameters() -> None:
    layer = nn.Linear(2, 1)
    optimizer = SGD(layer.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"] == list(layer.parameters())
    optimizer.load_state_dict(SGD(layer.parameters(), lr=0.3).state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["lr"] == 0.3


def test_zero_grad() -> None:
    p = nn.Parameter(mg.ones(2))
    optimizer = SGD([p])
    p.grad = grad = mg.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad
    assert grad.tolist() == [0, 0]
    p.grad = (p * 2).detach().requires_grad_() * 3  # a gradient with a history, from create_graph
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    assert not p.grad.requires_grad
    optimizer.zero_grad()
    assert p.grad is None


def test_closures_and_hooks() -> None:
    p, seen = nn.Parameter(mg.ones(1)), []
    optimizer = SGD([p], lr=0.1)
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))

    def closure() -> mg.Tensor:
        optimizer.zero_grad()
        loss = (p * 2).sum()
        loss.backward()
        seen.append(mg.is_grad_enabled())
        return loss

    with mg.no_grad():
        assert optimizer.step(closure).item() == 2
    assert p.item() == pytest.approx(0.8)
    assert seen == ["before", True, "after"]
    before.remove()
    optimizer.step()
    assert seen[3:] == ["after"]
    assert optimizer.step() is None


def test_a_step_between_forward_and_backward_is_noticed() -> None:
    """The gradient of the old loss needs the old parameters."""
    for kind in (SGD, Adam, AdamW):
        layer = nn.Linear(2, 2)
        optimizer = kind(layer.parameters(), lr=0.1)
        x = mg.ones(1, 2, requires_grad=True)
        loss = layer(x).sum()
        loss.backward(retain_graph=True)
        optimizer.step()
        with pytest.raises(RuntimeError, match="changed in place since"):
            loss.backward()


def test_integer_and_missing_gradients_are_left_alone() -> None:
    p = nn.Parameter(mg.ones(2))
    optimizer = Adam([p])
    optimizer.step()
    assert p.tolist() == [1, 1]
    assert not optimizer.state
    assert optimizer.state_dict()["state"] == {}


def test_an_optimizer_is_a_few_lines() -> None:
    class SignSGD(Optimizer):
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
            p -= group["lr"] * np.sign(g)

    p = nn.Parameter(mg.tensor([1.0, -1.0]))
    p.grad = mg.tensor([3.0, -0.5])
    SignSGD([p], lr=0.25).step()
    assert p.tolist() == [0.75, -0.75]
    with pytest.raises(NotImplementedError):
        Optimizer([p], {}).step()


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_they_find_a_minimum(kind: Any) -> None:
    p = nn.Parameter(mg.tensor([3.0, -2.0]))
    optimizer = kind([p], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        ((p - mg.tensor([1.0, 2.0])) ** 2).sum().backward()
        optimizer.step()
    assert math.dist(p.tolist(), [1, 2]) < 0.05
    assert optim.SGD is SGD


# ------------------------------------------------------------------------- all optimizers alike

ALL = ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"]
OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "Adam": {"amsgrad": True},
    "RMSprop": {"momentum": 0.5, "centered": True},
}


def leaf(*values: float, dtype: Any = np.float64) -> Any:
    return mg.tensor(values, dtype=dtype, requires_grad=True)


def make(kind: str, params: Any, **options: Any) -> Any:
    return getattr(optim, kind)(params, **{"weight_decay": 0.1, **OPTIONS.get(kind, {}), **options})


def train(optimizer: Any, params: list[Any], steps: int = 3) -> list[list[float]]:
    for _ in range(steps):
        optimizer.zero_grad()
        sum(((p - 1) ** 4).sum() for p in params).backward()
        optimizer.step()
    return [p.tolist() for p in params]


@pytest.mark.parametrize("kind", [*ALL, "LBFGS"])
def test_it_descends_and_climbs(kind: str) -> None:
    for climb in (False, True) if kind != "LBFGS" else (False,):
        w = leaf(3.0, -2.0)
        optimizer = getattr(optim, kind)([w], lr=0.02, **({"maximize": True} if climb else {}))

        def closure(w: Any = w, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            return loss

        first = float(closure())
        for _ in range(5):
            optimizer.step(closure)
        assert (float(closure()) > first) == climb


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_stay(kind: str, dtype: str) -> None:
    w = leaf(3.0, -2.0, dtype=dtype)
    optimizer = (
        make(kind, [w], lr=np.float64(0.01), eps=1e-3) if kind != "SGD" else make(kind, [w], lr=np.float64(0.01))
    )
    train(optimizer, [w])
    assert w.dtype == dtype
    assert np.isfinite(w.tolist()).all()
    assert {v.dtype for v in optimizer.state[w].values() if isinstance(v, mg.Tensor)} <= {np.dtype(dtype)}


@pytest.mark.parametrize("kind", ALL)
def test_shapes_and_layouts(kind: str) -> None:
    """Strided, transposed, empty and 0-d parameters do as contiguous ones do."""
    values = np.arange(6.0).reshape(2, 3)
    plain = [leaf(*values.ravel()), leaf(0.5), leaf()]
    arrays = [np.repeat(values, 2, axis=1)[:, ::2], np.asfortranarray(values), values[:, ::-1][::-1].copy()[::-1, ::-1]]
    odd = [mg.from_numpy(array).requires_grad_() for array in arrays]
    odd += [mg.tensor(0.5, dtype=np.float64, requires_grad=True), mg.ones(0, 2, requires_grad=True)]
    first, second = make(kind, plain), make(kind, odd)
    expected, result = train(first, plain), train(second, odd)
    for got in result[:3]:
        np.testing.assert_allclose(np.ravel(got), expected[0], rtol=1e-14)
    np.testing.assert_allclose(result[3], expected[1][0], rtol=1e-14)
    assert result[4] == expected[2] == []


@pytest.mark.parametrize("kind", ALL)
def test_gradients_are_left_alone(kind: str) -> None:
    w, gradient = leaf(1.0, -2.0), np.array([0.5, 0.25])
    w.grad = mg.from_numpy(gradient)
    optimizer = make(kind, [w], maximize=True)
    for _ in range(3):
        optimizer.step()
    assert gradient.tolist() == [0.5, 0.25]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("threads", [1, 2])
def test_large_parameters_are_shared_among_threads(kind: str, threads: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 3 * PIECE - 100), np.float32)
    whole = nn.Parameter(mg.tensor(values[0]))
    parts = [nn.Parameter(mg.tensor(part)) for part in np.array_split(values[0], 4)]
    optimizers = make(kind, [whole], maximize=True), make(kind, parts, maximize=True)
    before = mg.get_num_threads()
    mg.set_num_threads(threads)
    for g in values[1:]:
        for p, part in zip([whole, *parts], [g, *np.array_split(g, 4)], strict=True):
            p.grad = mg.tensor(part)
        for optimizer in optimizers:
            optimizer.step()
    mg.set_num_threads(before)
    assert whole.tolist() == mg.cat(parts).tolist()
    for name, value in optimizers[0].state[whole].items():
        others = [optimizers[1].state[p][name] for p in parts]
        assert value.tolist() == mg.cat(others).tolist() if isinstance(value, mg.Tensor) else value == others[0]


@pytest.mark.parametrize("kind", ALL)
def test_arrays_of_another_library(kind: str) -> None:
    w, duck = leaf(1.0, -2.0), leaf(1.0, -2.0)
    duck._array = Duck(duck._array)
    optimizers = [make(kind, [p], maximize=True) for p in (w, duck)]
    for _ in range(3):
        for optimizer, p in zip(optimizers, (w, duck), strict=True):
            p.grad = mg.ones(2, dtype=np.float64) if p is w else mg.ones_like(p)
            optimizer.step()
    assert duck._array.hidden.tolist() == w.tolist() != [1.0, -2.0]


@pytest.mark.parametrize("kind", ALL)
def test_no_warning_where_a_gradient_overflows(kind: str) -> None:
    w = leaf(1.0, 2.0, 3.0)
    optimizer = make(kind, [w], **({"eps": 0} if kind != "SGD" else {}))
    for gradient in ([np.inf, np.nan, 0.0], [1e200, 1e300, 0.0]):
        w.grad = mg.tensor(gradient, dtype=np.float64)
        optimizer.step()


def test_lbfgs_minimizes_rosenbrocks_function() -> None:
    for line_search, steps in (("strong_wolfe", 60), (None, 600)):
        w = leaf(-1.5, 2.0)
        optimizer = optim.LBFGS([w], lr=1 if line_search else 0.1, max_iter=steps, line_search_fn=line_search)

        def closure(w: Any = w, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
            loss.backward()
            return loss

        optimizer.step(closure)
        np.testing.assert_allclose(w.tolist(), [1, 1], rtol=1e-3)


def test_lbfgs_stops_where_it_has_nothing_to_do() -> None:
    w, calls = leaf(0.0), []
    optimizer = optim.LBFGS([w], line_search_fn="strong_wolfe")

    def closure() -> Any:
        calls.append(1)
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure)) == 0
    assert len(calls) == optimizer.state[w]["func_evals"] == 1
    line = leaf(1.0)  # a loss without curvature: the cubic through two points has no minimum
    optimizer = optim.LBFGS([line], max_iter=3, line_search_fn="strong_wolfe")

    def slope() -> Any:
        optimizer.zero_grad()
        loss = line.sum()
        loss.backward()
        return loss

    optimizer.step(slope)
    assert line.item() < -1


def test_groups_are_added_later() -> None:
    a, b = leaf(1.0), leaf(1.0)
    given = {"params": [b], "momentum": 0.5}
    optimizer = optim.SGD([a], lr=0.1)
    optimizer.add_param_group(given)
    assert optimizer.param_groups[1] == {**optimizer.param_groups[0], **given}
    assert "lr" not in given


@pytest.mark.parametrize("kind", [*ALL, "LBFGS"])
def test_groups_hold_exactly_the_arguments(kind: str) -> None:
    """As in PyTorch, so that a saved group is complete."""
    optimizer = getattr(optim, kind)([leaf(1.0)])
    names = set(inspect.signature(type(optimizer)).parameters)
    expected = names - {"params"} | ({"decoupled_weight_decay"} if kind == "AdamW" else set())
    assert set(optimizer.param_groups[0]) - {"params"} == expected == set(optimizer.defaults)


@pytest.mark.parametrize("name", trajectories.OPTIMIZERS)
def test_saving_in_the_middle_changes_nothing(name: str) -> None:
    kind, options, _ = trajectories.OPTIMIZERS[name]
    results = []
    for interrupted in (False, True):
        w = leaf(3.0, -2.0, 0.5)
        optimizer = getattr(optim, kind)([w], **options)
        for step in range(6):
            if interrupted and step == 3:
                file = io.BytesIO()
                mg.save(optimizer.state_dict(), file)
                file.seek(0)
                optimizer = getattr(optim, kind)([w])
                if kind == "LBFGS":  # whose history is not made of numbers alone
                    assert len(optimizer.state_dict()["state"]) == 0
                optimizer.load_state_dict(mg.load(file))

            def closure(w: Any = w, optimizer: Any = optimizer) -> Any:
                optimizer.zero_grad()
                loss = ((w - 1) ** 4).sum() + mg.sin(3 * w).sum()
                loss.backward()
                return loss

            optimizer.step(closure)
        results.append(w.tolist())
    assert results[0] == results[1]


def test_loading_copies() -> None:
    w = leaf(1.0, 2.0)
    first, second = (optim.SGD([w], lr=0.1, momentum=0.9) for _ in range(2))
    train(first, [w])
    saved = first.state_dict()
    second.load_state_dict(saved)
    before = copy.deepcopy(saved)
    train(second, [w])
    assert saved["state"][0]["momentum_buffer"].tolist() == before["state"][0]["momentum_buffer"].tolist()
    assert first.param_groups[0]["lr"] == 0.1


def test_what_pytorch_saved_is_loaded() -> None:
    """Steps are Tensors there, options may be missing in files of older versions, dtypes may differ."""
    w = leaf(1.0, 2.0, dtype=np.float32)
    optimizer = optim.AdamW([w])
    moments = {name: mg.ones(2, dtype=np.float64) for name in ("exp_avg", "exp_avg_sq")}
    group = {"lr": 0.5, "betas": [0.8, 0.9], "eps": 1e-8, "weight_decay": 0.1, "amsgrad": False, "initial_lr": 1.0}
    optimizer.load_state_dict({"state": {7: {"step": mg.tensor(3.0), **moments}},
                               "param_groups": [{**group, "params": [7]}]})  # fmt: skip
    assert optimizer.state[w]["step"] == 3
    assert optimizer.state[w]["exp_avg"].dtype == np.float32
    assert optimizer.param_groups[0]["initial_lr"] == 1.0
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True
    train(optimizer, [w], 1)
    adam = optim.Adam([w])
    optimizer.load_state_dict(adam.state_dict())
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


@pytest.mark.parametrize("kind", ALL)
def test_copies_and_pickles_go_on_alike(kind: str) -> None:
    w = leaf(3.0, -2.0)
    optimizer = make(kind, [w])
    train(optimizer, [w])
    results = []
    for copied in (copy.deepcopy((w, optimizer)), pickle.loads(pickle.dumps((w, optimizer)))):
        results.append(train(copied[1], [copied[0]]))
    assert results[0] == results[1] == train(optimizer, [w])


def test_optimizers_of_users() -> None:
    class Sign(Optimizer):
        def __init__(self, params: Any, lr: float = 0.5) -> None:
            super().__init__(params, {"lr": lr})

        def update(self, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
            state["count"] = state.get("count", 0) + 1
            p -= group["lr"] * np.sign(g)

    class Plain(Optimizer):  # as one writes it for PyTorch
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.add_(p.grad, alpha=-group["lr"])

    w = leaf(1.0, -1.0)
    w.grad = mg.tensor([3.0, -2.0], dtype=np.float64)
    optimizer = Sign([w])
    optimizer.step()
    assert w.tolist() == [0.5, -0.5]
    assert optimizer.state_dict()["state"] == {0: {"count": 1}}
    Plain([w], {"lr": 1.0}).step()
    assert w.tolist() == [-2.5, 1.5]
