"""From samples to batches: what a loader does with them unless it is told otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..creation import as_tensor
from ..engine import TensorBase
from ..ops.shaping import stack


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: tensors, arrays and numbers stacked along a new first dimension.

    Python floats become float64, as in PyTorch. Tuples, lists and mappings of samples become a list
    or dict of batches, named tuples a named tuple of batches; strings stay as they are.
    """
    first = batch[0]
    if isinstance(first, TensorBase) or _is_numeric(first):
        try:
            return as_tensor(stack(list(batch)))
        except ValueError as error:
            raise ValueError(f"default_collate: {error}; give the DataLoader a collate_fn") from None
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, (bool, int, float)):
        return as_tensor(list(batch), dtypes.float64 if isinstance(first, float) else None)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(sample) for sample in batch}) > 1:
            raise ValueError("default_collate: the samples of a batch have different numbers of entries")
        return _sequence_like(first, [default_collate(part) for part in zip(*batch, strict=True)])
    raise TypeError(f"default_collate: cannot make a batch of {type(first).__name__}; give the DataLoader a collate_fn")


def default_convert(data: Any) -> Any:
    """A single sample with its arrays as tensors: what a loader without batches gives."""
    if _is_numeric(data):
        return as_tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, (tuple, list)):
        return _sequence_like(data, [default_convert(value) for value in data])
    return data


def _is_numeric(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf"


def _sequence_like(original: Any, parts: list) -> Any:
    return type(original)(*parts) if hasattr(original, "_fields") else parts
