"""In-place operations equal the same computation done without any, whatever views are involved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad import Tensor, no_grad
from minigrad.engine import TensorBase

# ------------------------------------------------------------------- programs against an oracle


class Model:
    """A tensor with views, as one flat tensor that is replaced at every change, never written to."""

    def __init__(self, flat: Any) -> None:
        self.flat = flat

    def read(self, places: np.ndarray) -> Any:
        return self.flat[places.ravel()].reshape(*places.shape)

    def write(self, places: np.ndarray, value: Any) -> None:
        self.flat = self.flat.index_put((places.ravel(),), minigrad.broadcast_to(value, places.shape).reshape(-1))


class Program:
    """Draws and runs steps: views, writes and reads on minigrad's tensors and on the model at once."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        self.leaves = [
            Tensor(rng.uniform(0.5, 1.5, shape), requires_grad=True, dtype=np.float64)
            for shape in ((3, 4), (3, 4), (4,), ())
        ]
        x = self.leaves[0]
        ways: dict[str, Callable] = {
            "computed": lambda x: x * 1,
            "constant": lambda x: x.detach().clone(),
            "Fortran order": lambda x: (x.T.contiguous() * 1).T.clone(),
            "reversed": lambda x: x.detach().numpy().copy()[::-1, ::-1],
        }
        kind = draw(st.sampled_from(list(ways)))
        base = ways[kind](x)
        base = minigrad.from_numpy(base) if isinstance(base, np.ndarray) else base
        flat = base.detach().clone() if base.grad_fn is None else x * 1
        # each view: the tensor, the model of its memory, and where in that memory it looks
        self.views: list[tuple[Any, Model, np.ndarray]] = [(base, Model(flat.reshape(-1)), np.arange(12).reshape(3, 4))]
        self.guarded = False
        self.terms: list[tuple[Any, Any]] = []
        self.log = [kind]

    def run(self) -> None:
        for _ in range(self.draw(st.integers(1, 8))):
            step = self.draw(
                st.sampled_from(
                    [
                        self.look,
                        self.look,
                        self.change,
                        self.change,
                        self.assign,
                        self.read,
                        self.read_unsafely,
                        self.silent,
                    ]
                )
            )
            step()
        for tensor, model, places in self.views:
            self.terms.append((tensor, model.read(places)))

    def pick(self) -> tuple[Any, Model, np.ndarray]:
        return self.draw(st.sampled_from(self.views))

    def look(self) -> None:
        """Another view of a view (or a copy, where reshape has to make one)."""
        tensor, model, places = self.pick()
        ways: list[tuple[str, Callable, Callable]] = [
            ("[None]", lambda t: t[None], lambda p: p[None]),
            ("reshape(-1)", lambda t: t.reshape(-1), lambda p: p.reshape(-1)),
            ("expand", lambda t: t.expand(2, *t.shape), lambda p: np.broadcast_to(p, (2, *p.shape))),
        ]
        if places.ndim and places.shape[0] > 1:
            ways += [
                ("[1]", lambda t: t[1], lambda p: np.asarray(p[1])),
                ("[1:]", lambda t: t[1:], lambda p: p[1:]),
                ("[::-1]", lambda t: t[::-1], lambda p: p[::-1]),
                ("narrow", lambda t: t.narrow(0, 0, 1), lambda p: p[:1]),
                (
                    "unfold",
                    lambda t: t.unfold(0, 2, 2),
                    lambda p: np.moveaxis(np.stack([p[: len(p) // 2 * 2 : 2], p[1::2]]), 0, -1),
                ),
            ]
        if places.ndim > 1:
            ways += [
                ("T", lambda t: t.T, lambda p: p.T),
                ("[:, 0]", lambda t: t[:, 0], lambda p: p[:, 0]),
                ("diagonal", lambda t: t.diagonal(), lambda p: np.diagonal(p, 0, 0, 1)),
                ("unbind", lambda t: t.unbind(1)[-1], lambda p: p[:, -1]),
                ("permute", lambda t: t.permute(1, 0, *range(2, t.ndim)), lambda p: p.swapaxes(0, 1)),
            ]
        name, real, modelled = self.draw(st.sampled_from(ways))
        self.log.append(f"view {name}")
        result = real(tensor)
        places = modelled(places)
        if np.may_share_memory(result._array, tensor._array):
            self.views.append((result, model, places))
        else:  # a copy: memory of its own
            own = Model(model.read(places).reshape(-1))
            self.views.append((result, own, np.arange(places.size).reshape(places.shape)))

    def operand(self, shape: tuple[int, ...]) -> tuple[str, Any, Any]:
        """Something that broadcasts to ``shape``: a number, a leaf or a view of anything; real and modelled."""
        choices: list[tuple[str, Any, Any]] = [
            ("2.5", 2.5, Tensor(2.5, dtype=np.float64)),
            ("s", self.leaves[3], self.leaves[3]),
        ]
        for leaf in self.leaves[:3]:
            choices.append((f"leaf{leaf.shape}", leaf, leaf))
        for i, (tensor, model, places) in enumerate(self.views):
            choices.append((f"view {i}", tensor, model.read(places)))
        fitting = []
        for name, real, modelled in choices:
            given = getattr(real, "shape", ())
            if len(given) <= len(shape) and all(a in (1, b) for a, b in zip(given[::-1], shape[::-1], strict=False)):
                fitting.append((name, real, modelled))
        return self.draw(st.sampled_from(fitting))

    def writable(self) -> tuple[Any, Model, np.ndarray] | None:
        tensor, model, places = self.pick()
        return (tensor, model, places) if len(np.unique(places)) == places.size else None

    def change(self) -> None:
        """An in-place method of a view."""
        if (target := self.writable()) is None:
            return
        tensor, model, places = target
        name, real, modelled = self.operand(places.shape)
        old = model.read(places)
        ways: list[tuple[str, Callable, Callable]] = [
            ("add_", lambda: tensor.add_(real), lambda: old + modelled),
            ("mul_", lambda: tensor.mul_(real), lambda: old * modelled),
            ("sub_ alpha", lambda: tensor.sub_(real, alpha=0.5), lambda: old - 0.5 * modelled),
            (
                "copy_",
                lambda: tensor.copy_(real) if isinstance(real, TensorBase) else tensor.fill_(real),
                lambda: old * 0 + modelled,
            ),
            ("sin_", lambda: tensor.sin_(), lambda: old.sin()),
            ("tanh_", lambda: tensor.tanh_(), lambda: old.tanh()),
            ("zero_", lambda: tensor.zero_(), lambda: old * 0),
            ("pow_", lambda: tensor.pow_(2), lambda: old * old),
            ("div_", lambda: tensor.div_(3.0), lambda: old / 3.0),
            ("masked_fill_", lambda: tensor.masked_fill_(tensor > 1, 0.5), lambda: minigrad.where(old > 1, 0.5, old)),
            ("square of itself", lambda: tensor.mul_(tensor), lambda: old * old),
        ]
        label, act, compute = self.draw(st.sampled_from(ways))
        self.log.append(f"{label} {name} on {places.tolist()}")
        value = compute()
        assert act() is tensor
        model.write(places, value)

    def assign(self) -> None:
        """``view[index] = value``."""
        if (target := self.writable()) is None:
            return
        tensor, model, places = target
        ways: list[Any] = [..., None]
        if places.ndim:
            n = places.shape[0]
            ways += [slice(None, None, 2), np.array([0, n - 1]), [0, 0], -1, np.arange(n) % 2 == 0]
            ways += [(slice(None, None, -1),)]
        if places.ndim > 1:
            ways += [
                (slice(None), 0),
                (0, [-1, -1]),
                (slice(None), np.array([0, -1, 0])),
                (..., 0),
                (np.array([0, 0]), np.array([-1, -1])),
            ]
        index = self.draw(st.sampled_from(ways))
        found = np.asarray(places[index])
        name, real, modelled = self.operand(found.shape)
        self.log.append(f"[{index}] = {name} on {places.tolist()}")
        value = minigrad.broadcast_to(modelled, found.shape).reshape(-1)
        tensor[index] = real
        flat = found.ravel()
        last = [k for k in range(flat.size) if flat[k] not in flat[k + 1 :]]  # what stays in each place
        model.write(flat[last], value[np.array(last, dtype=int)])

    def read(self) -> None:
        """Use a view's present value."""
        tensor, model, places = self.pick()
        self.log.append(f"read {places.tolist()}")
        self.terms.append((tensor.clone().cos(), model.read(places).cos()))

    def read_unsafely(self) -> None:
        """Use a view's present value in an operation that saves it: a later change must be noticed."""
        tensor, model, places = self.pick()
        self.log.append(f"read {places.tolist()} without a copy")
        self.terms.append((tensor.cos(), model.read(places).cos()))
        self.guarded = True

    def silent(self) -> None:
        """A change outside the graph."""
        if (target := self.writable()) is None:
            return
        tensor, model, places = target
        factor = self.draw(st.sampled_from([2.0, -1.0]))
        self.log.append(f"no_grad mul_({factor}) on {places.tolist()}")
        with no_grad():
            tensor.mul_(factor)
            change = minigrad.zeros_like(model.flat)
            change[places.ravel()] = model.read(places).reshape(-1) * (factor - 1)
        model.flat = model.flat + change  # the values change, the history does not


def weighted(terms: list[Any]) -> Any:
    total = 0
    for k, term in enumerate(terms):
        weight = Tensor(np.random.default_rng(k).uniform(0.5, 1.5, term.shape), dtype=np.float64)
        total = total + (term * term * weight).sum()
    return total


@given(data=st.data())
def test_programs_equal_their_functional_form(data: Any) -> None:
    program = Program(data.draw)
    program.run()
    real, modelled = zip(*program.terms, strict=True)
    for a, b in zip(real, modelled, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), err_msg="\n".join(program.log))
    gradients = []
    for terms in (real, modelled):
        try:
            first = minigrad.autograd.grad(weighted([*terms, *program.leaves]), program.leaves, create_graph=True)
            second = minigrad.autograd.grad(weighted([*first, *program.leaves]), program.leaves)
        except RuntimeError as error:
            if program.guarded and "changed in place" in str(error):
                return  # that is what shall happen
            raise
        gradients.append([*first, *second])
    for k, (a, b) in enumerate(zip(*gradients, strict=True)):
        message = "\n".join([f"gradient {k}", *program.log])
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-7, atol=1e-7, err_msg=message)


# ------------------------------------------------------------------------------ by example


def numbers(*shape: int, requires_grad: bool = True) -> Any:
    values = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    return Tensor(values, requires_grad=requires_grad, dtype=np.float64)


def values(tensor: Any) -> Any:
    return tensor.detach().numpy().tolist()


def test_chain_of_writes_through_views() -> None:
    """The values and gradients are those that torch 2.13 gives."""
    x, w, v = numbers(3, 4), numbers(4), numbers(3)
    y = x * 1
    before = y[2]
    y[0] = w
    y[:, 1].mul_(2)
    y.t()[0].add_(v)
    (y * y).sum().backward()
    assert values(y) == [[2.0, 4.0, 3.0, 4.0], [7.0, 12.0, 7.0, 8.0], [12.0, 20.0, 11.0, 12.0]]
    assert values(before) == values(y[2])
    assert values(x.grad) == [[0.0, 0.0, 0.0, 0.0], [14.0, 48.0, 14.0, 16.0], [24.0, 80.0, 22.0, 24.0]]
    assert values(w.grad) == [4.0, 16.0, 6.0, 8.0]
    assert values(v.grad) == [4.0, 14.0, 24.0]


def test_view_taken_before_the_base_changed() -> None:
    x = numbers(3)
    y = x * 1
    old = y[1:]
    y.mul_(y)
    (old * 3).sum().backward()
    assert values(old) == [4.0, 9.0]
    assert values(x.grad) == [0.0, 12.0, 18.0]


def test_view_taken_outside_the_graph_is_constant() -> None:
    x = numbers(3)
    y = x * 2
    with no_grad():
        part = y[:2]
    y.mul_(3)
    assert values(part) == [6.0, 12.0]
    assert not part.requires_grad
    with no_grad():
        part.mul_(2)
    y.sum().backward()
    assert values(y) == [12.0, 24.0, 18.0]
    assert values(x.grad) == [6.0, 6.0, 6.0]


def test_constant_becomes_part_of_a_graph() -> None:
    w = numbers(2)
    buffer = minigrad.zeros(2, 2, dtype=np.float64)
    row = buffer[1]
    assert not row.requires_grad
    buffer[1] = w * 3
    assert buffer.requires_grad
    assert row.requires_grad
    assert not row.is_leaf
    (row * row).sum().backward()
    assert values(w.grad) == [18.0, 36.0]


def test_write_through_one_of_several_copies() -> None:
    """An expanded view's other copies change too, and so does their history."""
    x = numbers(2)
    y = x * 1
    wide = y.expand(3, 2)
    wide[0].mul_(5)
    assert values(wide) == [[5.0, 10.0]] * 3
    wide.sum().backward()
    assert values(x.grad) == [15.0, 15.0]


@pytest.mark.parametrize("name", ["zero_", "fill_"])
def test_overwritten_values_have_gradient_zero(name: str) -> None:
    x = numbers(3)
    y = x * 2
    assert getattr(y, name)(*[7] * (name == "fill_")) is y
    assert y.requires_grad
    y.backward(minigrad.full((3,), float("inf"), dtype=np.float64))
    assert values(x.grad) == [0.0, 0.0, 0.0]


def test_fill_with_a_tensor_sends_it_the_sum() -> None:
    x, s = numbers(3), numbers()
    y = x * 2
    y.fill_(s)
    (y * numbers(3, requires_grad=False)).sum().backward()
    assert values(s.grad) == 6.0


def test_last_of_several_values_written_to_one_place() -> None:
    x, w = numbers(3), numbers(4)
    y = x * 1
    y[[0, 2, 0, 0]] = w
    (y * numbers(3, requires_grad=False)).sum().backward()
    assert values(y) == [4.0, 2.0, 2.0]
    assert values(x.grad) == [0.0, 2.0, 0.0]
    assert values(w.grad) == [0.0, 3.0, 0.0, 1.0]


def test_augmented_assignment_counts_repeated_places_once() -> None:
    x = numbers(3)
    y = x * 1
    y[[0, 0, 1]] += 10
    y[2] *= 3
    y.sum().backward()
    assert values(y) == [11.0, 12.0, 9.0]
    assert values(x.grad) == [1.0, 1.0, 3.0]


def test_masked_assignment() -> None:
    x = numbers(4)
    y = x * 1
    y[y > 2] = 0
    y[y == 0] = y[:2]
    (y * y).sum().backward()
    assert values(y) == [1.0, 2.0, 1.0, 2.0]
    assert values(x.grad) == [4.0, 8.0, 0.0, 0.0]


def test_masked_assignment_that_finds_nothing() -> None:
    """The factor saved what was found: no elements, which therefore have not changed either."""
    x, factor = numbers(3), minigrad.tensor(2.0, requires_grad=True)
    y = x * 1
    y[y > 9] *= factor
    y.sum().backward()
    assert values(x.grad) == [1.0, 1.0, 1.0]
    assert values(factor.grad) == 0.0


@pytest.mark.parametrize("index", [0, slice(1), [0], minigrad.tensor([True, False])], ids=str)
def test_value_with_more_dimensions_of_size_1(index: Any) -> None:
    x = minigrad.zeros(2, 3)
    value = minigrad.tensor([[[1.0, 2.0, 3.0]]], requires_grad=True)
    x[index] = value
    (x * x).sum().backward()
    assert values(x) == [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]
    assert values(value.grad) == [[[2.0, 4.0, 6.0]]]


def test_index_changed_after_use() -> None:
    """Backward uses the index as it was."""
    x, index = numbers(3), minigrad.tensor([0, 2])
    y = x[index]
    index[0] = 1
    y.sum().backward()
    assert values(x.grad) == [1.0, 0.0, 1.0]


def test_overlapping_source() -> None:
    x = numbers(4)
    y = x * 1
    y[1:] = y[:-1]
    (y * numbers(4, requires_grad=False)).sum().backward()
    assert values(y) == [1.0, 1.0, 2.0, 3.0]
    assert values(x.grad) == [3.0, 3.0, 4.0, 0.0]


def test_old_values_that_the_operation_itself_needs() -> None:
    x = numbers(3)
    y = x * 1
    y.mul_(y)
    y.addcmul_(y, y)  # several operations, some of which save the old values
    y.sum().backward()
    assert values(x.grad) == [2 * a + 4 * a**3 for a in (1.0, 2.0, 3.0)]


def test_old_values_that_another_operation_needs_are_missed() -> None:
    x, w = numbers(3), numbers(3)
    y = x * 1
    z = y * w
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"mul: its gradient needs .* changed in place"):
        z.sum().backward()


def test_leaf_changed_outside_the_graph() -> None:
    x = numbers(3)
    with no_grad():
        x.mul_(2)
        x[0] = 5
        x[[1]] = 7
    assert x.is_leaf
    assert x.requires_grad
    assert values(x) == [5.0, 7.0, 6.0]
    (x * x).sum().backward()
    assert values(x.grad) == [10.0, 14.0, 12.0]


def test_integers_and_bools() -> None:
    n = minigrad.tensor([1, 2, 3])
    n += 1
    n[0] = 2.9
    n[[1]] = minigrad.tensor([7.5])
    assert values(n) == [2, 7, 4]
    b = minigrad.tensor([True, False])
    b[1] = True
    assert values(b) == [True, True]


def frozen() -> Any:
    array = np.zeros(3)
    array.flags.writeable = False
    return minigrad.from_numpy(array)


def taken_within_no_grad(y: Any) -> Any:
    with no_grad():
        return y[1:]


def assign(target: Any, index: Any, value: Any) -> None:
    target[index] = value


ERRORS = [
    ("leaf", lambda: numbers(3).mul_(2), RuntimeError, "mul_: the tensor is a leaf that requires a gradient"),
    ("view of leaf", lambda: numbers(3)[0].mul_(2), RuntimeError, "mul_: the tensor is a view of a leaf"),
    ("assign to leaf", lambda: assign(numbers(3), 0, 1.0), RuntimeError, "is a view of a leaf that requires"),
    ("assign to leaf by index", lambda: assign(numbers(3), [0], 1.0), RuntimeError, "setitem: the tensor is a leaf"),
    (
        "leaf that is a view",
        lambda: numbers(3, requires_grad=False)[0].requires_grad_().zero_(),
        RuntimeError,
        "is a leaf",
    ),
    (
        "view from no_grad",
        lambda: taken_within_no_grad(numbers(3) * 1).mul_(2),
        RuntimeError,
        r"mul_: .*view, taken within no_grad",
    ),
    (
        "assign to it",
        lambda: assign(taken_within_no_grad(numbers(3) * 1), [0], 2),
        RuntimeError,
        r"taken within no_grad",
    ),
    ("expanded", lambda: (numbers(1) * 1).expand(3).add_(1), RuntimeError, "add_: .* several elements .* clone"),
    (
        "assign expanded",
        lambda: assign((numbers(1) * 1).expand(3), 0, [1.0]),
        TypeError,
        "expected a Tensor or a number, got list",
    ),
    ("overlapping windows", lambda: (numbers(3) * 1).unfold(0, 2, 1).add_(1), RuntimeError, "read-only .* overlap"),
    ("read-only", lambda: frozen().zero_(), RuntimeError, "read-only .*NumPy"),
    ("read-only by index", lambda: assign(frozen(), [0], 1.0), RuntimeError, "setitem: .*read-only"),
    ("larger result", lambda: (numbers(3) * 1).add_(numbers(2, 3)), ValueError, r"add_: the result has shape \(2, 3\)"),
    (
        "float into int",
        lambda: minigrad.tensor([1]).add_(0.5),
        TypeError,
        "result is float32, .*stored in place in int64",
    ),
    ("int into bool", lambda: minigrad.tensor([True]).add_(1), TypeError, "result is int64, .*stored in place in bool"),
    ("copy shape", lambda: minigrad.zeros(2).copy_(minigrad.zeros(3)), ValueError, r"copy_: shape \(3,\) .* \(2,\)"),
    ("copy type", lambda: minigrad.zeros(2).copy_("ab"), TypeError, "copy_: expected a Tensor or a number, got str"),
    ("fill shape", lambda: minigrad.zeros(2).fill_(minigrad.zeros(2)), ValueError, "fill_: value must be a number"),
    (
        "assign shape",
        lambda: assign(minigrad.zeros(2), 0, minigrad.zeros(3)),
        ValueError,
        r"setitem: shape \(3,\) .* \(\)",
    ),
    (
        "assign shape by index",
        lambda: assign(minigrad.zeros(2), [0, 1], minigrad.zeros(3)),
        ValueError,
        r"\(3,\) .* \(2,\)",
    ),
    ("assign far", lambda: assign(minigrad.zeros(2), 5, 1), IndexError, "index 5 is out of bounds"),
    ("assign far by index", lambda: assign(minigrad.zeros(2), [5], 1), IndexError, "index 5 is out of bounds"),
]


@pytest.mark.parametrize(("call", "error", "match"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors(call: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_numbers_that_do_not_fit() -> None:
    x = minigrad.zeros(3, dtype=minigrad.uint8)
    x[0] = -1  # modulo 256, as in PyTorch
    assert x.fill_(x[0].item()).tolist() == [255] * 3
    for write in (lambda: x.fill_(256), lambda: x.__setitem__(1, 300)):
        with pytest.raises(ValueError, match="does not fit into uint8"):
            write()
    assert x.tolist() == [255] * 3
