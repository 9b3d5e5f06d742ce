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
