"""Sequences of different lengths: padded to one length, or packed without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import minigrad
from minigrad.engine import new_tensor

from .. import functional as F


class PackedSequence(NamedTuple):
    """All steps of several sequences below each other: all first steps, then all second ones, ...

    Within a step the sequences come longest first, so those that have ended are just missing at its end.
    :func:`pack_padded_sequence` and :func:`pack_sequence` make one.

    Args:
        data: the elements, (sum of the lengths, ...).
        batch_sizes: how many sequences have each step.
        sorted_indices: the place in the batch of each sequence, longest first; None if they were sorted.
        unsorted_indices: the inverse of that permutation.
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with ``data.to(...)``."""
        return self._replace(data=self.data.to(*args, **kwargs))


def _check_lengths(name: str, lengths: Any) -> np.ndarray:
    array = np.asarray(getattr(lengths, "_array", lengths))
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu" or array.min() <= 0:
        raise ValueError(f"{name}: lengths must be integers above 0, one for each sequence, got {lengths}")
    return array.astype(np.int64)


def pack_padded_sequence(input: Any, lengths: Any, batch_first: bool = False,
                         enforce_sorted: bool = True) -> PackedSequence:  # fmt: skip
    """The sequences in ``input`` (T, N, ...) without what lies behind their ``lengths``.

    Args:
        batch_first: input is (N, T, ...).
        enforce_sorted: the lengths must not increase; otherwise they are sorted here.
    """
    name, counts = "pack_padded_sequence", _check_lengths("pack_padded_sequence", lengths)
    if enforce_sorted and np.any(np.diff(counts) > 0):
        raise ValueError(f"{name}: lengths must not increase unless enforce_sorted=False, got {counts.tolist()}")
    x = input.transpose(0, 1) if batch_first else input
    if len(counts) != x.shape[1] or max(counts) > len(x):
        raise ValueError(f"{name}: lengths {counts.tolist()} do not fit {x.shape[1]} sequences of at most {len(x)} "
                         f"steps (input {tuple(input.shape)}, batch_first={batch_first})")  # fmt: skip
    order = np.argsort(-counts, kind="stable")
    counts = counts[order]
    steps, sequences = np.nonzero(np.arange(counts[0])[:, None] < counts)
    sizes = new_tensor(np.bincount(steps).astype(np.int64))
    indices = () if enforce_sorted else (new_tensor(order), new_tensor(np.argsort(order)))
    return PackedSequence(x[steps, order[sequences]], sizes, *indices)


def pad_packed_sequence(sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
                        total_length: int | None = None) -> tuple[Any, Any]:  # fmt: skip
    """The sequences (T, N, ...) filled up with ``padding_value``, and their lengths.

    Args:
        batch_first: the result is (N, T, ...).
        total_length: T, by default the length of the longest sequence.
    """
    sizes = sequence.batch_sizes._array
    missing = 0 if total_length is None else total_length - len(sizes)
    if missing < 0:
        longest = f"the longest sequence, {len(sizes)}"
        raise ValueError(f"pad_packed_sequence: total_length {total_length} is less than {longest}")
    counts = np.pad(sizes, (0, missing))
    present = counts[:, None] > np.arange(sizes[0])  # (T, N)
    source = np.where(present, np.cumsum(present).reshape(present.shape) - 1, len(sequence.data))
    if sequence.unsorted_indices is not None:
        order = sequence.unsorted_indices._array
        source, present = source[:, order], present[:, order]
    padding = minigrad.full_like(sequence.data[:1], padding_value)  # goes below the data
    data = minigrad.cat([sequence.data, padding.detach()])
    return data[source.T if batch_first else source], new_tensor(present.sum(0))


def pad_sequence(sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0,
                 padding_side: str = "right") -> Any:  # fmt: skip
    """Tensors (length, ...) as one (longest, N, ...), or with ``batch_first`` (N, longest, ...)."""
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: padding_side must be 'left' or 'right', got {padding_side!r}")
    if not len(sequences):
        raise ValueError("pad_sequence: expected at least one sequence")
    longest, left = max(len(s) for s in sequences), padding_side == "left"
    missing = [(longest - len(s), 0)[:: 1 if left else -1] for s in sequences]
    pairs = zip(sequences, missing, strict=True)
    parts = [F.pad(s, (0, 0) * (s.ndim - 1) + widths, value=padding_value) for s, widths in pairs]
    return minigrad.stack(parts, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The inverse of :func:`pad_sequence`: the first ``lengths[k]`` steps of each sequence."""
    counts = _check_lengths("unpad_sequence", lengths)
    return [padded_sequences[k, :n] if batch_first else padded_sequences[:n, k] for k, n in enumerate(counts.tolist())]


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Tensors (length, ...) packed; see :func:`pack_padded_sequence`."""
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The inverse of :func:`pack_sequence`."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
