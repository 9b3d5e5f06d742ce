"""Sums of products over named dimensions: the plan and the execution of an einsum."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from ..memory import Array


@lru_cache(maxsize=1024)
def _path(terms: tuple[str, ...], output: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """Which operands to contract with each other at each step, found greedily."""
    dummies = [np.broadcast_to(np.float32(0), shape) for shape in shapes]
    path = np.einsum_path(f"{','.join(terms)}->{output}", *dummies, optimize="greedy")[0]
    return tuple(path[1:])


def contract(operands: tuple[Array, ...], terms: tuple[str, ...], output: str) -> Array:
    """``np.einsum`` for terms without repeated labels, each label in at least two terms or in ``output``."""
    if len(operands) == 1:
        return _arranged(operands[0], terms[0], output)
    if len(operands) == 2:
        return _contract_pair(operands[0], operands[1], terms[0], terms[1], output)
    rest = list(zip(operands, terms))
    for step in _path(terms, output, tuple(a.shape for a in operands)):
        chosen = [rest.pop(i) for i in sorted(step, reverse=True)]
        a, term = chosen.pop()
        while chosen:
            b, other = chosen.pop()
            if not rest and not chosen:
                return _contract_pair(a, b, term, other, output)
            needed = set(output).union(*(t for _, t in rest + chosen))
            kept = "".join(label for label in dict.fromkeys(term + other) if label in needed)
            a, term = _contract_pair(a, b, term, other, kept), kept
        rest.append((a, term))
    return _arranged(*rest[0], output)


def _arranged(a: Array, term: str, output: str) -> Array:
    return a if term == output else np.transpose(a, [term.index(label) for label in output])


@lru_cache(maxsize=1024)
def _roles(term: str, other: str, output: str) -> tuple[str, str, str, str]:
    """The labels that are in both and kept, in both and summed, in the first alone, in the second alone."""
    both = [label for label in term if label in other]
    return (
        "".join(label for label in both if label in output), "".join(label for label in both if label not in output),
        "".join(label for label in term if label not in other), "".join(label for label in other if label not in term),
    )


def _contract_pair(a: Array, b: Array, term: str, other: str, output: str) -> Array:
    """Sum of products of two operands, as one batched matrix product where anything is summed."""
    batch, summed, left, right = _roles(term, other, output)
    size = dict(zip(term + other, a.shape + b.shape))
    if not summed:  # products alone: broadcast against each other
        a = np.reshape(_arranged(a, term, batch + left), [size[i] for i in batch + left] + [1] * len(right))
        b = np.reshape(_arranged(b, other, batch + right),
                       [size[i] for i in batch] + [1] * len(left) + [size[i] for i in right])  # fmt: skip
        return _arranged(np.multiply(a, b), batch + left + right, output)
    # (batch, left, summed) @ (batch, summed, right)
    outer = [size[i] for i in batch]
    rows, inner, columns = (prod(size[i] for i in labels) for labels in (left, summed, right))
    a = np.reshape(_arranged(a, term, batch + left + summed), [*outer, rows, inner])
    b = np.reshape(_arranged(b, other, batch + summed + right), [*outer, inner, columns])
    y = np.reshape(np.matmul(a, b), [*outer, *(size[i] for i in left + right)])
    return _arranged(y, batch + left + right, output)
