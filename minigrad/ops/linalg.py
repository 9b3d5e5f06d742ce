"""Products of vectors and matrices, sums of products, and the functions of square matrices."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan, prod
from typing import Any

import numpy as np

from ..arguments import normalize_dim, normalize_dims
from ..engine import new_tensor, primitive, sum_to
from ..kernels.contraction import contract
from ..memory import Array
from .elementwise import _add, _sub, lt, mul, where
from .reduction import sum, vector_norm
from .shaping import broadcast_shapes, diagonal, expand, matrix_transpose, permute, reshape, squeeze, tril, unsqueeze

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _same_dtype(name: str, *arrays: Array) -> None:
    if len(found := {a.dtype for a in arrays}) > 1:
        kinds = " and ".join(sorted(map(str, found)))
        raise TypeError(f"{name}: all operands must have one dtype, got {kinds}; convert with .to(dtype)")


def _rows(a: Array) -> Array:
    """All leading dimensions made one: a matrix."""
    return a if a.ndim == 2 else np.reshape(a, (prod(a.shape[:-1]), a.shape[-1]))


def _times(a: Array, matrix: Array) -> Array:
    """``a @ matrix``, as a single product however many leading dimensions ``a`` has."""
    if a.ndim <= 2:
        return np.matmul(a, matrix)
    return np.reshape(np.matmul(_rows(a), matrix), (*a.shape[:-1], matrix.shape[-1]))


# ------------------------------------------------------------------------------ matrix products


def _linear_weight(g: Array, input: Array) -> Array:
    return _rows(g).T @ _rows(input)


def _linear_bias(g: Array) -> Array:
    return g.sum(0) if g.ndim == 2 else g if g.ndim == 1 else np.sum(_rows(g), axis=0)


@primitive(input=lambda g, weight: _times(g, weight), weight=_linear_weight, bias=_linear_bias)
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """``input @ weight.T + bias``: input (..., in), weight (out, in), bias (out,), result (..., out)."""
    if weight.ndim != 2 or not input.ndim or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input of shape {input.shape} does not fit weight of shape {weight.shape}; "
            "expected (..., in_features) and (out_features, in_features)"
        )
    if input.dtype is not weight.dtype or (bias is not None and bias.dtype is not weight.dtype):
        _same_dtype("linear", *(a for a in (input, weight, bias) if a is not None))
    y = np.matmul(input, weight.T) if input.ndim == 2 else _times(input, weight.T)
    if bias is not None:
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"linear: bias has shape {bias.shape}, weight {weight.shape} expects {weight.shape[:1]}")
        y += bias
    return y


def _matmul_input(g: Array, other: Array, input_shape: tuple[int, ...]) -> Array:
    if other.ndim == 1:
        return np.expand_dims(g, -1) * other
    if len(input_shape) == 1:
        return sum_to(np.squeeze(np.matmul(other, np.expand_dims(g, -1)), -1), input_shape)
    if other.ndim == 2:
        return _times(g, np.swapaxes(other, 0, 1))
    return sum_to(np.matmul(g, np.swapaxes(other, -1, -2)), input_shape)


def _matmul_other(g: Array, input: Array, other_shape: tuple[int, ...]) -> Array:
    if input.ndim == 1:
        return input * g if len(other_shape) == 1 else np.expand_dims(input, -1) * np.expand_dims(g, -2)
    if len(other_shape) == 1:
        return np.matmul(np.swapaxes(_rows(input), 0, 1), np.reshape(g, (prod(g.shape),)))
    if len(other_shape) == 2:
        return np.matmul(np.swapaxes(_rows(input), 0, 1), _rows(g))
    return sum_to(np.matmul(np.swapaxes(input, -1, -2), g), other_shape)


@primitive(input=_matmul_input, other=_matmul_other)
def matmul(input: Array, other: Array) -> Array:
    """Product of matrices in the last two dimensions; the dimensions before them broadcast.

    A 1-d operand is a row on the left and a column on the right, and its dimension disappears.
    """
    if not (input.ndim and other.ndim):
        raise ValueError(f"matmul: both operands need at least 1 dimension, got shapes {input.shape} and {other.shape}")
    if input.dtype is not other.dtype:
        _same_dtype("matmul", input, other)
    if input.shape[-1] != other.shape[0 if other.ndim == 1 else -2]:
        raise ValueError(f"matmul: shapes {input.shape} and {other.shape} do not fit: {input.shape[-1]} columns "
                         f"on the left, {other.shape[0 if other.ndim == 1 else -2]} rows on the right")  # fmt: skip
    if other.ndim == 2 and input.ndim > 2:
        return _times(input, other)
    try:
        return np.matmul(input, other)
    except ValueError:
        raise ValueError(
            f"matmul: shapes {input.shape} and {other.shape} do not fit: the batch dimensions "
            f"{input.shape[:-2]} and {other.shape[:-2]} do not broadcast"
        ) from None


def _expect(name: str, **operands: tuple[Any, int]) -> None:
    """Raise unless each operand is a tensor with its number of dimensions."""
    for argument, (value, ndim) in operands.items():
        if not hasattr(value, "ndim"):
            raise TypeError(f"{name}: {argument} must be a Tensor, got {type(value).__name__}")
        if value.ndim != ndim:
            raise ValueError(f"{name}: {argument} must have {ndim} dimensions, got shape {tuple(value.shape)}")


def mm(input: Any, mat2: Any) -> Any:
    """Product of two matrices: (n, m) and (m, p) give (n, p)."""
    _expect("mm", input=(input, 2), mat2=(mat2, 2))
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """Products of pairs of matrices: (b, n, m) and (b, m, p) give (b, n, p)."""
    _expect("bmm", input=(input, 3), mat2=(mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ValueError(f"bmm: the batches of {input.shape} and {mat2.shape} differ; matmul broadcasts")
    return matmul(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """Product of a matrix (n, m) and a vector (m,)."""
    _expect("mv", input=(input, 2), vec=(vec, 1))
    return matmul(input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """Sum of products of two vectors of the same length."""
    _expect("dot", input=(input, 1), tensor=(tensor, 1))
    return matmul(input, tensor)


def vdot(input: Any, other: Any) -> Any:
    """:func:`dot`; all tensors are real here."""
    _expect("vdot", input=(input, 1), other=(other, 1))
    return matmul(input, other)


def _scaled(input: Any, product: Any, beta: float, alpha: float) -> Any:
    """``beta * input + alpha * product``; with ``beta`` 0, whatever ``input`` holds does not matter."""
    product = product if alpha == 1 else mul(product, alpha)
    if beta == 0:
        return expand(product, broadcast_shapes(input.shape, product.shape))
    return _add(input if beta == 1 else mul(input, beta), product)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * mat1 @ mat2`` for matrices; ``input`` broadcasts to the product."""
    _expect("addmm", mat1=(mat1, 2), mat2=(mat2, 2))
    return _scaled(input, matmul(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * mat @ vec``."""
    return _scaled(input, mv(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * outer(vec1, vec2)``."""
    return _scaled(input, outer(vec1, vec2), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * bmm(batch1, batch2)``."""
    return _scaled(input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input`` plus ``alpha`` times the sum over the batch of ``bmm(batch1, batch2)``."""
    _expect("addbmm", batch1=(batch1, 3), batch2=(batch2, 3))
    return _scaled(input, einsum("bij,bjk->ik", batch1, batch2), beta, alpha)


# ------------------------------------------------------------------------------ sums of products


def _einsum_rule(g: Array, index: int, operands: tuple[Array, ...], terms: tuple[str, ...], output: str) -> Array:
    # Every label is in two terms (the output being one): that is as true of the gradient's product.
    others, labels = list(operands), list(terms)
    others[index], labels[index] = g, output
    return _einsum(*others, terms=tuple(labels), output=terms[index])


@primitive(operands=_einsum_rule)
def _einsum(*operands: Array, terms: tuple[str, ...], output: str) -> Array:
    """:func:`einsum` of at least two operands; no term repeats a label, and each label is in two of them."""
    _same_dtype("einsum", *operands)
    return contract(operands, terms, output)


def _parse(equation: str, operands: tuple[Any, ...]) -> tuple[list[list[Any]], list[Any]]:
    """The labels of each operand's dimensions and of the output's. Those of an ellipsis are numbers."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    written = left.split(",")
    if len(written) != len(operands):
        raise ValueError(f"einsum: {equation!r} describes {len(written)} operands, got {len(operands)}")

    def labels(term: str, ellipsis: int) -> list[Any]:
        before, dots, after = term.partition("...")
        if any(label not in _LETTERS for label in before + after):
            raise ValueError(f"einsum: {term!r} in {equation!r} must consist of letters and at most one '...'")
        return [*before, *(range(-ellipsis, 0) if dots else ()), *after]

    terms = []
    for term, operand in zip(written, operands):
        named = len(term.replace("...", "", 1))
        extra = operand.ndim - named
        if extra < 0 or (extra and "..." not in term):
            raise ValueError(
                f"einsum: {term!r} in {equation!r} does not fit an operand of shape {tuple(operand.shape)}"
            )
        terms.append(labels(term, extra))
    everything = [label for term in terms for label in term]
    ellipsis = -min((label for label in everything if isinstance(label, int)), default=0)
    if arrow:
        output = labels(right, ellipsis)
    else:
        once = sorted(label for label in set(everything) if isinstance(label, str) and everything.count(label) == 1)
        output = [*range(-ellipsis, 0), *once]
    for label in output:
        if label not in everything or output.count(label) > 1:
            problem = "appears twice in the output" if label in everything else "is in no operand"
            raise ValueError(f"einsum: {label!r} in {equation!r} {problem}")
    return terms, output


def einsum(equation: str, *operands: Any) -> Any:
    """The sum of products that ``equation`` describes, as ``"bij,bjk->bik"``: dimensions with one label go together.

    Labels that the output lacks are summed over. Without ``->`` the output has the labels that appear
    once, in alphabetical order. A label twice in one term is the diagonal; ``...`` stands for further
    dimensions, which broadcast.
    """
    if not isinstance(equation, str):
        raise NotImplementedError(
            "einsum: give the equation as a string; the form with lists of numbers is not available"
        )
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    for operand in operands:
        if not hasattr(operand, "ndim"):
            raise TypeError(f"einsum: operands must be Tensors, got {type(operand).__name__}")
    terms, output = _parse(equation, operands)
    sizes: dict[Any, int] = {}
    for term, operand in zip(terms, operands):
        for label, size in zip(term, operand.shape):
            if sizes.setdefault(label, size) != size and 1 not in (size, sizes[label]):
                name = "'...'" if isinstance(label, int) else repr(label)
                raise ValueError(f"einsum: {name} in {equation!r} has sizes {sizes[label]} and {size}")
            sizes[label] = size if sizes[label] == 1 else sizes[label]
    simple = [_without_repeats(x, term, sizes, equation) for x, term in zip(operands, terms)]
    for i, (x, term) in enumerate(simple):
        needed = set(output).union(*(other for j, (_, other) in enumerate(simple) if j != i))
        if alone := tuple(axis for axis, label in enumerate(term) if label not in needed):
            simple[i] = sum(x, alone), [label for label in term if label in needed]
    if len(simple) == 1:
        (x, term), = simple  # fmt: skip
        return permute(x, [term.index(label) for label in output])
    letters = {label: _LETTERS[i] for i, label in enumerate(sizes)}
    names = tuple("".join(letters[label] for label in term) for _, term in simple)
    return _einsum(*(x for x, _ in simple), terms=names, output="".join(letters[label] for label in output))


def _without_repeats(x: Any, term: list[Any], sizes: dict[Any, int], equation: str) -> tuple[Any, list[Any]]:
    """``x`` with its diagonal for each repeated label, and without dimensions that would broadcast."""
    term = list(term)
    while repeated := [label for label in term if term.count(label) > 1]:
        first = term.index(repeated[0])
        second = term.index(repeated[0], first + 1)
        n = x.shape[first]
        if x.shape[second] != n:
            raise ValueError(f"einsum: {repeated[0]!r} in {equation!r} has sizes {n} and {x.shape[second]}")
        x = diagonal(x, 0, first, second)
        term = [label for i, label in enumerate(term) if i not in (first, second)] + [repeated[0]]
    stretched = tuple(i for i, label in enumerate(term) if x.shape[i] != sizes[label])
    kept = [label for i, label in enumerate(term) if i not in stretched]
    return (squeeze(x, stretched) if stretched else x), kept


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sum of products over pairs of dimensions: the last ``dims`` of ``a`` with the first of ``b``, or two lists."""
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot: shapes {a.shape} and {b.shape} have no {dims} dimensions to sum over")
        dims = (tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims)))
    first, second = normalize_dims(dims[0], a.ndim, "tensordot"), normalize_dims(dims[1], b.ndim, "tensordot")
    if [a.shape[i] for i in first] != [b.shape[i] for i in second]:
        raise ValueError(f"tensordot: dimensions {first} of {a.shape} and {second} of {b.shape} differ in size")
    left, right = list(_LETTERS[: a.ndim]), list(_LETTERS[a.ndim : a.ndim + b.ndim])
    for i, j in zip(first, second):
        right[j] = left[i]
    output = [label for label in left + right if (label in left) != (label in right)]
    return _einsum(a, b, terms=("".join(left), "".join(right)), output="".join(output))


def outer(input: Any, vec2: Any) -> Any:
    """All products of an element of one vector and one of another: (n,) and (m,) give (n, m)."""
    _expect("outer", input=(input, 1), vec2=(vec2, 1))
    return _einsum(input, vec2, terms=("a", "b"), output="ab")


def inner(input: Any, other: Any) -> Any:
    """Sums of products over the last dimensions of both."""
    if not (input.ndim and other.ndim):
        return mul(input, other)
    return tensordot(input, other, dims=((-1,), (-1,)))


def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: each element of ``input`` times all of ``other``, as blocks."""
    ndim = max(input.ndim, other.ndim)
    a = (1,) * (ndim - input.ndim) + tuple(input.shape)
    b = (1,) * (ndim - other.ndim) + tuple(other.shape)
    blocks = mul(reshape(input, [s for n in a for s in (n, 1)]), reshape(other, [s for n in b for s in (1, n)]))
    return reshape(blocks, [n * m for n, m in zip(a, b)])


def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of two or more matrices, in the order that costs least; the first and last may be vectors."""
    last = len(tensors) - 1
    if last < 1:
        raise ValueError(f"multi_dot: expected at least two tensors, got {len(tensors)}")
    terms = [_LETTERS[i : i + 2] for i in range(last + 1)]
    for i, tensor in enumerate(tensors):
        if tensor.ndim != 2 and not (tensor.ndim == 1 and i in (0, last)):
            raise ValueError(f"multi_dot: tensor {i} must be a matrix, got shape {tuple(tensor.shape)}")
    terms[0] = terms[0][2 - tensors[0].ndim :]
    terms[-1] = terms[-1][: tensors[-1].ndim]
    output = (terms[0][0] if tensors[0].ndim == 2 else "") + (terms[-1][1] if tensors[-1].ndim == 2 else "")
    for i in range(last):
        if tensors[i].shape[-1] != tensors[i + 1].shape[0]:
            raise ValueError(
                f"multi_dot: shapes {tuple(tensors[i].shape)} and {tuple(tensors[i + 1].shape)} do not fit"
            )
    return _einsum(*tensors, terms=tuple(terms), output=output)


def chain_matmul(*matrices: Any) -> Any:
    """The product of matrices, in the order that costs least."""
    return multi_dot(matrices)


@primitive(input=lambda g, other, input_shape, dim: sum_to(_cross(other, g, dim=dim), input_shape),
           other=lambda g, input, other_shape, dim: sum_to(_cross(g, input, dim=dim), other_shape))  # fmt: skip
def _cross(input: Array, other: Array, dim: int) -> Array:
    # a[i] * b[i + 1] - a[i + 1] * b[i] is element i + 2 of the product.
    return np.roll(input * np.roll(other, -1, dim) - np.roll(input, -1, dim) * other, -1, dim)


def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The vector perpendicular to each pair of 3-vectors, along ``dim`` (by default the first of size 3)."""
    shape = broadcast_shapes(input.shape, other.shape)
    if dim is None:
        if 3 not in shape:
            raise ValueError(f"cross: no dimension of {shape} has size 3")
        dim = shape.index(3)
    dim = normalize_dim(dim, len(shape), "cross") - len(shape)
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise ValueError(f"cross: dimension {dim} must have size 3 in both, got shapes {input.shape} and {other.shape}")
    return _cross(input, other, dim=dim)


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """The ``p``-norm of the difference of each row of (..., n, d) and each of (..., m, d): (..., n, m)."""
    if min(x1.ndim, x2.ndim) < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"cdist: expected (..., n, d) and (..., m, d), got {tuple(x1.shape)} and {tuple(x2.shape)}")
    return vector_norm(_sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p, -1)


# ------------------------------------------------------------------------------ square matrices


def _square(name: str, input: Array) -> None:
    """Raise unless ``input`` is a batch of square matrices that LAPACK takes."""
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise ValueError(f"{name}: expected square matrices (..., n, n), got shape {tuple(input.shape)}")
    if input.dtype.kind != "f" or input.dtype.itemsize < 4:
        raise TypeError(f"{name}: expected float32 or float64, got {input.dtype}")


def _transposed(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


@primitive(A=lambda g, y: -np.matmul(_transposed(y), np.matmul(g, _transposed(y))))
def inv(A: Array) -> Array:
    """The inverse of each square matrix. Raises LinAlgError (a ValueError) if one has none."""
    _square("inv", A)
    try:
        return np.linalg.inv(A)
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError("inv: a matrix is singular") from None


def _solve_A(g: Array, A: Array, y: Array, A_shape: tuple[int, ...]) -> Array:
    return sum_to(-np.matmul(_solve(_transposed(A), g), _transposed(y)), A_shape)


@primitive(A=_solve_A, B=lambda g, A, B_shape: sum_to(_solve(_transposed(A), g), B_shape))
def _solve(A: Array, B: Array) -> Array:
    """The X with ``A @ X == B``, for matrices."""
    _square("solve", A)
    _same_dtype("solve", A, B)
    try:
        return np.linalg.solve(A, B)
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError("solve: a matrix is singular") from None


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """The X with ``A @ X == B`` (``X @ A == B`` if not ``left``), for a vector or a matrix B of each matrix A."""
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))
    n = B.shape[-1] if B.ndim and (vector or not left) else B.shape[-2] if B.ndim > 1 else None
    if A.ndim < 2 or A.shape[-1] != A.shape[-2] or n != A.shape[-1]:
        raise ValueError(f"solve: shapes {tuple(A.shape)} and {tuple(B.shape)} do not fit; expected (..., n, n) and "
                         f"(..., n, k), {'' if left else 'or (..., k, n) for left=False, '}or (..., n)")  # fmt: skip
    if vector:
        return squeeze(_solve(A if left else matrix_transpose(A), unsqueeze(B, -1)), -1)
    return _solve(A, B) if left else matrix_transpose(_solve(matrix_transpose(A), matrix_transpose(B)))


def _each(g: Array) -> Array:
    """``g``, a number for each matrix, with two dimensions more."""
    return np.expand_dims(g, (-2, -1))


@primitive(A=lambda g, A, y: _each(g * y) * _transposed(inv(A)))
def det(A: Array) -> Array:
    """The determinant of each square matrix. The gradient exists for invertible matrices only."""
    _square("det", A)
    return np.linalg.det(A)


@primitive(A=lambda g, A: None if g[1] is None else _each(g[1]) * _transposed(inv(A)), outputs=2)
def slogdet(A: Array) -> Array:
    """The sign of the determinant of each square matrix, and the logarithm of its absolute value."""
    _square("slogdet", A)
    return tuple(np.linalg.slogdet(A))


def logdet(input: Any) -> Any:
    """The logarithm of the determinant of each square matrix; NaN where that is negative."""
    sign, logarithm = slogdet(input)
    return where(lt(sign, 0), nan, logarithm)


def _cholesky_rule(g: Array, y: Array) -> Array:
    # With P = tril(yT g), diagonal halved: y^-T P y^-1, made symmetric (Murray 2016, equation 9).
    middle = np.matmul(_transposed(y), g)
    middle = 0.5 * (tril(middle) + tril(middle, -1))
    right = _solve(_transposed(y), _transposed(_solve(_transposed(y), middle)))
    return 0.5 * (right + _transposed(right))


@primitive(A=_cholesky_rule)
def _cholesky(A: Array) -> Array:
    _square("cholesky", A)
    try:
        return np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError("cholesky: a matrix is not positive definite") from None


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangular L with ``L @ L.mT == A`` for symmetric positive definite matrices, or its transpose."""
    return matrix_transpose(_cholesky(A)) if upper else _cholesky(A)


def matrix_power(A: Any, n: int) -> Any:
    """``A @ A @ ... @ A``, ``n`` times; negative powers are those of the inverse."""
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"matrix_power: expected square matrices (..., n, n), got shape {tuple(A.shape)}")
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        return new_tensor(np.broadcast_to(np.eye(A.shape[-1], dtype=A.dtype), A.shape).copy())
    half = matrix_power(A, n // 2) if n > 1 else None
    square = A if half is None else matmul(half, half)
    return matmul(square, A) if n % 2 and n > 1 else square
