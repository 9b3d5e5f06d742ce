"""Values in tuples, lists and dicts, however deep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .engine import TensorBase


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """What ``function`` makes of ``value``, or of all that is in it, in tuples, lists and dicts of the same kinds."""
    if isinstance(value, dict):
        return {key: mapped(function, part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [mapped(function, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return function(value)


def tensors_in(value: Any) -> list[Any]:
    """The tensors in a value, in order."""
    parts: list[Any] = []
    mapped(parts.append, value)
    return [part for part in parts if isinstance(part, TensorBase)]
