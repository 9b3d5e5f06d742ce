"""The attention kernel against attention spelled out, in sizes that it computes in several parts."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as torch
from minigrad.ops.attention import attention


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("size", [1, 30])  # with such queries some rows have scores far below the bound
def test_many_heads(is_causal: bool, threads: int, size: int) -> None:
    rng = np.random.default_rng(0)
    shapes = (3, 5, 130, 8), (3, 5, 140, 8), (3, 5, 140, 6)
    q, k, v = (torch.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes)
    q = (q * size).detach().requires_grad_()
    arriving = torch.tensor(rng.standard_normal((3, 5, 130, 6)))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    found = []
    for drop in (None, lambda weights: weights):  # with any dropout it is spelled out
        y = attention(q, k, v, is_causal=is_causal, drop=drop)
        found.append([y.detach(), *torch.autograd.grad(y, (q, k, v), arriving)])
    torch.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-11)


BATCH, HEADS, WIDTH = 2, 3, 16
STORED = {  # the shape of a tensor for a number of rows, and how heads are made of it
    "heads apart": (lambda rows: (BATCH, HEADS, rows, WIDTH), lambda x: x),
    "rows apart": (lambda rows: (BATCH, rows, HEADS, WIDTH), lambda x: x.transpose(1, 2)),
    "in a wider matrix": (
        lambda rows: (BATCH, rows, 2 * HEADS * WIDTH),
        lambda x: x.split(HEADS * WIDTH, 2)[1].reshape(BATCH, -1, HEADS, WIDTH).transpose(1, 2),
    ),
    "backwards": (lambda rows: (BATCH, HEADS, rows, WIDTH), lambda x: x[::-1, ::-1, ::-1]),
    "the same": (lambda rows: (BATCH, 1, rows, WIDTH), lambda x: x.expand(BATCH, HEADS, -1, WIDTH)),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("sizes", [(40, 40), (24, 72), (72, 24)])
@pytest.mark.parametrize("stored", STORED)
def test_heads_in_any_order_in_memory(stored: str, sizes: tuple[int, int], is_causal: bool, threads: int) -> None:
    rng, (shape, heads) = np.random.default_rng(0), STORED[stored]
    arrays = [rng.standard_normal(shape(rows)) for rows in (sizes[0], sizes[1], sizes[1], sizes[0])]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    found = []
    for dtype in (torch.float32, torch.float64):
        *given, arriving = (torch.tensor(a, dtype=dtype, requires_grad=True) for a in arrays)
        y = attention(*map(heads, given), is_causal=is_causal)
        found.append([y.detach(), *torch.autograd.grad(y, given, heads(arriving).detach())])
    torch.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-5)
