"""Machine code against NumPy: formulas, sums of rows, transposition, and how threads hand each other calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.kernels import assembler, fused, layout, threads
from minigrad.kernels.formula import channel_sum, column_sum, masked, row_max, row_sum
from minigrad.kernels.fused import fused as formula

Array = np.ndarray

pytestmark = pytest.mark.skipif(not assembler.supported(), reason="machine code needs a processor with AVX2, and POSIX")


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> Any:
    """However small the arrays, formulas go through machine code and are shared."""
    monkeypatch.setattr(fused, "SMALL", 1)
    monkeypatch.setattr(threads, "_CALL", 0)
    before = threads.get_num_threads()
    minigrad.set_num_threads(2)
    with layout.use_fast_kernels():
        yield
    minigrad.set_num_threads(before)


def guarded(shape: tuple[int, ...], values: Array | None = None) -> tuple[Array, Callable[[], bool]]:
    """An array in the middle of a larger one of NaN, and whether those are still there."""
    size, gap = int(np.prod(shape)), 67
    memory = np.full(size + 2 * gap, np.nan, np.float32)
    array = memory[gap : gap + size].reshape(shape)
    if values is not None:
        array[...] = values
    return array, lambda: bool(np.isnan(memory[:gap]).all() and np.isnan(memory[gap + size :]).all())


UNARY = [np.negative, np.square, np.exp, np.tanh, np.absolute, np.rint, lambda a: np.maximum(a, -0.5),
         lambda a: np.minimum(0.25, a), lambda a: np.clip(a, -1, 1), lambda a: 1 / (a * a + 1), lambda a: 2 - a,
         lambda a: np.sqrt(a * a + 0.5), lambda a: masked(a, np.greater(a, 0.1))]  # fmt: skip
BINARY = [np.add, np.subtract, np.multiply, np.maximum, np.minimum, lambda a, b: a / (b * b + 1),
          lambda a, b: a * b + a, lambda a, b: b - a * b, lambda a, b: a * b - b,
          lambda a, b: np.where(np.less(a, b), a, b)]  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> Callable[..., tuple[Any, ...]]:
    """A formula of three operands: some steps, each of what there is by then, and the last three of them."""
    step = st.tuples(st.sampled_from(UNARY + BINARY), st.integers(0, 99), st.integers(0, 99))
    steps = draw(st.lists(step, min_size=1, max_size=12))

    def program(*operands: Any) -> tuple[Any, ...]:
        values = list(operands)
        for function, i, j in steps:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(function(a, b) if function in BINARY else function(a))
        return tuple(values[-3:])

    return program


@settings(max_examples=150)
@given(program=programs(), size=st.integers(1, 40), seed=st.integers(0, 99))
def test_formulas_equal_numpy(program: Callable[..., Any], size: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, size)).astype(np.float32)
    code = formula(program)
    case = code._case([a, b, 0.5], ["element", "element", "row"], {})
    if case.trace is None or any(kind != "element" for kind in case.results):
        return
    outs, intact = zip(*[guarded((size,)) for _ in range(3)])
    found = code(a, b, 0.5, out=outs)
    with np.errstate(all="ignore"):
        expected = program(a, b, 0.5)
    for y, z, unharmed in zip(found, expected, intact, strict=True):
        np.testing.assert_allclose(y, z, rtol=2e-4, atol=2e-5)
        assert unharmed()


def everything(x: Array, column: Array, row: Array, each: Array) -> tuple[Any, ...]:
    y = np.exp(x - row_max(x)) * column + row
    total = row_sum(y)
    return y / total, total, column_sum(y * each), channel_sum(x * each)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 8), (3, 4, 7), (9, 2, 16), (2, 9, 33), (1, 30, 100), (5, 1, 3)])
def test_sums_of_rows(shape: tuple[int, int, int], count: int) -> None:
    minigrad.set_num_threads(count)
    generator = np.random.default_rng(0)
    x, each = (guarded(shape, generator.normal(size=shape))[0] for _ in range(2))
    column, row = generator.random((1, 1, shape[2]), np.float32) + 1, generator.random((*shape[:2], 1), np.float32)
    out, unharmed = guarded(shape)
    code = formula(everything)
    written = formula(lambda *operands: everything(*operands)[0]).rows(x, column, row, each, out=[out])
    found, again = code.rows(x, column, row, each), code.rows(x, column, row, each)
    with assembler.use_machine_code(False):
        expected = code.rows(x, column, row, each)
    assert unharmed()
    assert np.shares_memory(written, out)
    np.testing.assert_array_equal(out, found[0])
    for y, same, z in zip(found, again, expected, strict=True):
        assert y.shape == z.shape
        np.testing.assert_array_equal(y, same)
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_nothing_to_compute(shape: tuple[int, ...]) -> None:
    x = np.empty(shape, np.float32)
    assert formula(np.exp)(x).shape == shape
    assert formula(lambda x: x * 2).rows(x).size == 0


@pytest.mark.parametrize(("function", "bound"), [(np.exp, 2), (np.tanh, 3)])
def test_precision(function: np.ufunc, bound: float) -> None:
    """In units of the last place."""
    x = np.concatenate([np.linspace(-87, 88, 100_000), np.geomspace(1e-30, 1, 1000), -np.geomspace(1e-30, 1, 1000)])
    x = x.astype(np.float32)
    y, exact = formula(lambda x: function(x))(x), function(x.astype(np.float64))
    assert np.max(np.abs(y - exact) / np.spacing(np.abs(exact).astype(np.float32))) < bound


def test_special_values() -> None:
    inf, nan = np.inf, np.nan
    x = np.array([nan, inf, -inf, 0.0, -0.0, 1e-45, 89, -104, 1000, -1000], np.float32)
    for limit in (np.maximum, np.minimum):
        y = np.array([1, nan, 1, nan, 2, nan, 3, 4, nan, nan], np.float32)
        np.testing.assert_array_equal(formula(lambda a, b, f=limit: f(a, b))(x, y), limit(x, y))
    with np.errstate(all="ignore"):
        for function in (np.exp, np.tanh, lambda x: np.maximum(x, 0), lambda x: np.minimum(1, x),
                         lambda x: np.where(np.less(x, 1), x, 5), lambda x: masked(x, np.not_equal(x, 0)),
                         lambda x: np.where(np.greater_equal(x, 0), 1, -x), lambda x: 1 / x):  # fmt: skip
            np.testing.assert_allclose(formula(lambda x, f=function: f(x))(x), function(x), rtol=1e-6)


def test_what_formulas_do_not_know_is_computed_by_numpy() -> None:
    code = formula(lambda x: np.arctan(x))
    x = np.linspace(0, 1, 50, dtype=np.float32)
    np.testing.assert_allclose(code(x), np.arctan(x), rtol=1e-6)
    assert code._case([x], ["element"], {}).trace is None


def test_too_many_numbers_at_a_time_are_left_to_numpy() -> None:
    def wide(x: Array) -> Array:
        values = [np.exp(x * k) for k in range(1, 20)]
        return sum(np.exp(v + w) for v, w in zip(values, values[::-1], strict=True))

    x = np.linspace(-1, 0, 40, dtype=np.float32)
    np.testing.assert_allclose(formula(wide)(x), wide(x), rtol=1e-5)


@given(channels=st.integers(1, 3), rows=st.integers(1, 40), columns=st.integers(1, 70))
def test_transposition(channels: int, rows: int, columns: int) -> None:
    x = np.arange(channels * rows * columns, dtype=np.float32).reshape(channels, rows, columns)
    out, unharmed = guarded((channels, columns, rows))
    assert layout.transpose(x, out) == (rows >= 8 and columns >= 16)
    if rows >= 8 and columns >= 16:
        np.testing.assert_array_equal(out, x.swapaxes(1, 2))
    assert unharmed()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_threads_call_at_once(count: int) -> None:
    minigrad.set_num_threads(count)
    code = formula(lambda x: np.exp(x) * 2)
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=1000 + seed).astype(np.float32)
        expected = np.exp(x) * 2
        for k in range(200):
            if not np.allclose(code(x), expected, rtol=1e-5):
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_machine_code_and_python_share_the_pool() -> None:
    """A thread that waits for calls of machine code also hears of work in Python, in any order."""
    x = np.linspace(-1, 1, 5000, dtype=np.float32)
    code, expected = formula(lambda x: np.exp(x)), np.exp(x)
    for k in range(300):
        np.testing.assert_allclose(code(x), expected, rtol=1e-6)
        if k % 3 == 0:
            assert threads.parallel(lambda start, stop: (start, stop), 10) == [(0, 5), (5, 10)]


def test_without_support(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(-3, 3, 100, dtype=np.float32)
    with_code = formula(lambda x: np.tanh(x))(x)
    monkeypatch.setattr(assembler, "supported", lambda: False)
    minigrad.set_num_threads(2)  # new threads, which wait without machine code
    np.testing.assert_allclose(formula(lambda x: np.tanh(x))(x), with_code, rtol=1e-6)
    assert threads.parallel(lambda start, stop: stop - start, 10) == [5, 5]


def test_results_are_not_written_to_read_only_memory() -> None:
    data = np.ones(100, np.float32).tobytes()
    p = np.frombuffer(data, np.float32)
    for call in (formula(lambda x: x * 2), formula(lambda x: x * 2).rows):
        with pytest.raises(ValueError, match="read-only"):
            call(p, out=[p])
    assert np.all(p == 1)


@pytest.mark.parametrize("other", ["alike", "turned", "broadcast", "number"])
def test_results_go_to_the_memory_of_operands_only_if_all_are_stored_alike(other: str) -> None:
    product = formula(lambda a, b: a * b)
    a = np.arange(600, dtype=np.float32).reshape(20, 30)
    b: Any = {"alike": a + 1, "turned": np.asfortranarray(a + 1), "broadcast": a[:, :1] + 1, "number": 3.0}[other]
    expected, total = a * b, a + 2
    added = product.adds(total, a, b)
    found = product.overwrites(a, b)
    np.testing.assert_array_equal(found, expected)
    if other in ("alike", "number"):
        assert found is a
        assert added is total
        np.testing.assert_array_equal(total, expected + np.arange(600).reshape(20, 30) + 2)
    else:
        assert added is None
        np.testing.assert_array_equal(a, np.arange(600).reshape(20, 30))


def test_a_result_does_not_overwrite_what_is_still_to_be_read() -> None:
    """The first result lies where the second operand does, which the second result needs."""
    a, b = np.linspace(0, 1, 100, dtype=np.float32), np.linspace(2, 3, 100, dtype=np.float32)
    expected = a + 1, a + b
    formula(lambda a, b: (a + 1, a + b))(a, b, out=[b, other := np.empty_like(a)])
    np.testing.assert_array_equal(b, expected[0])
    np.testing.assert_array_equal(other, expected[1])


@pytest.mark.parametrize(
    "function", [lambda x: np.zeros_like(x), lambda x: np.less(x, 0.5) * x, lambda x: np.where(x, 1, 2),
                 lambda x: np.greater(x, 0)]
)  # fmt: skip
def test_constants_and_masks_are_left_to_numpy(function: Callable[[Array], Array]) -> None:
    x = np.linspace(0, 1, 100, dtype=np.float32)
    np.testing.assert_array_equal(formula(function)(x), function(x))


@pytest.mark.parametrize("size", [100_000, 1_000_003])
def test_long_sums_keep_their_digits(size: int) -> None:
    x = np.random.default_rng(0).normal(100, 1, size).astype(np.float32)
    total, channel = formula(lambda x: (row_sum(x), channel_sum(x))).rows(x)
    np.testing.assert_allclose([total.item(), channel.item()], x.sum(dtype=float), rtol=3e-6)


def test_numpy_numbers_are_numbers() -> None:
    code, x = formula(lambda x, k: x * k), np.linspace(0, 1, 100, dtype=np.float32)
    for k in (2, 2.0, np.float64(2), np.float32(2), np.int64(2)):
        np.testing.assert_array_equal(code(x, k), x * np.float32(2))
    assert len(code._cases) == 1
    np.testing.assert_array_equal(formula(lambda x: np.minimum(x, 1e300))(x), x)


def test_fewer_threads_than_there_were() -> None:
    """Another thread may change the number while a computation is being shared out."""
    code, x = formula(lambda x: np.exp(x)), np.linspace(-1, 1, 10_000, dtype=np.float32)
    expected, ends = np.exp(x), threading.Event()

    def change() -> None:
        while not ends.is_set():
            for count in (4, 1, 2):
                minigrad.set_num_threads(count)

    changing = threading.Thread(target=change)
    changing.start()
    for _ in range(300):
        np.testing.assert_allclose(code(x), expected, rtol=1e-6)
    ends.set()
    changing.join()


@pytest.mark.parametrize("kernel", [(1, 1), (1, 3), (3, 1), (2, 3)])
@pytest.mark.parametrize("groups", [1, 8])
def test_convolution_of_every_stride(kernel: tuple[int, int], groups: int) -> None:
    x = minigrad.randn(16, 8, 9, 10).requires_grad_()
    w = minigrad.randn(8, 8 // groups, *kernel).requires_grad_()
    for stride in (1, 2, 3):
        for padding in (0, 1):
            found = []
            for wanted in (True, False):
                with layout.use_fast_kernels(wanted):
                    y = minigrad.nn.functional.conv2d(x, w, stride=stride, padding=padding, groups=groups)
                    found.append([y, *minigrad.autograd.grad((y * y).sum(), [x, w])])
            for fast, slow in zip(*found, strict=True):
                np.testing.assert_allclose(fast.detach().numpy(), slow.detach().numpy(), rtol=1e-4, atol=1e-3)


def test_rows_that_are_not_whole_numbers_apart() -> None:
    fields = np.zeros(300, dtype=[("v", "f4", 256), ("k", "i2")])
    fields["v"] = np.random.default_rng(0).normal(size=(300, 256))
    b = np.random.default_rng(1).normal(size=(256, 200)).astype(np.float32)
    found = (minigrad.from_numpy(fields["v"]) @ minigrad.from_numpy(b)).numpy()
    np.testing.assert_allclose(found, fields["v"].copy() @ b, rtol=1e-4, atol=1e-4)
