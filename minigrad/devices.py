"""Devices: there is one, the CPU. Programs that name it run unchanged; any other is an error."""

from __future__ import annotations

from typing import Any


class device:
    """Where a tensor's memory is: ``device("cpu")``.

    Raises:
        RuntimeError: for any other device; minigrad computes with NumPy.
    """

    __slots__ = ("index", "type")

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        self.type, self.index = "cpu", index
        name, _, number = str(getattr(type, "type", type)).partition(":")
        if name != "cpu" or number not in ("", "0") or index not in (None, 0):
            raise RuntimeError(f"device: {type!r} is not available; minigrad computes on device 'cpu'")
        if number:
            self.index = 0

    def __repr__(self) -> str:
        return "device(type='cpu')" if self.index is None else "device(type='cpu', index=0)"

    def __str__(self) -> str:
        return "cpu" if self.index is None else "cpu:0"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device)

    def __hash__(self) -> int:
        return hash("cpu")

    def __reduce__(self) -> tuple:
        return device, (self.type, self.index)


CPU = device("cpu")


def check_device(value: Any) -> None:
    """Raise RuntimeError unless the argument ``device=`` of a function is None or the CPU."""
    if value is not None and value is not CPU:
        device(value)
