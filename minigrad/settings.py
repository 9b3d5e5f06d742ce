"""Settings that PyTorch has and minigrad needs none of: they are met as it is, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .devices import CPU, check_device, device


def compile(model: Any = None, **options: Any) -> Any:
    """``model`` (a module or a function) itself: minigrad runs programs as they are written.

    Without a model it returns a decorator that does so. Options, which PyTorch has for speed, change nothing.
    """
    if model is None:
        return compile
    if not isinstance(model, Callable):  # type: ignore[arg-type]
        raise TypeError(f"compile: expected a module or a function, got {type(model).__name__}")
    return model


def get_default_device() -> device:
    """The CPU."""
    return CPU


def set_default_device(device: Any) -> None:
    """Nothing for the CPU; RuntimeError for a device that there is not."""
    check_device(device)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing: minigrad's operations give the same results each time in any case."""


def are_deterministic_algorithms_enabled() -> bool:
    """True: all are deterministic."""
    return True


def set_float32_matmul_precision(precision: str) -> None:
    """Nothing: ``"high"`` and ``"medium"`` permit less than the full precision of ``"highest"``, which is kept."""
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"set_float32_matmul_precision: expected 'highest', 'high' or 'medium', got {precision!r}")


def get_float32_matmul_precision() -> str:
    """``"highest"``."""
    return "highest"
