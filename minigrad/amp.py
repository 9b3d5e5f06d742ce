"""Mixed precision, for programs that can do without: minigrad computes each operation in its inputs' dtype."""

from __future__ import annotations

import warnings
from contextlib import ContextDecorator
from typing import Any


def _enabled(name: str, device: str, enabled: bool) -> bool:
    """Whether it would be enabled in PyTorch, which does so only for devices that there are."""
    if enabled and device != "cpu":
        warnings.warn(f"{name}: there is no device {device!r}, so it is disabled", stacklevel=3)
    return enabled and device == "cpu"


class autocast(ContextDecorator):
    """A ``with`` block, or a function it decorates, in which nothing is cast.

    Raises:
        NotImplementedError: if it is enabled for the CPU; for other devices it is disabled, with a warning.
    """

    def __init__(self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True,
                 cache_enabled: bool | None = None) -> None:  # fmt: skip
        if _enabled("autocast", device_type, enabled):
            raise NotImplementedError("autocast: minigrad has no lower precision to cast to; pass enabled=False")

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class GradScaler:
    """Steps an optimizer with gradients as they are, which is what PyTorch's does when it is disabled.

    Raises:
        NotImplementedError: if it is enabled for the CPU; for other devices it is disabled, with a warning.
    """

    def __init__(self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0,
                 backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True) -> None:  # fmt: skip
        if _enabled("GradScaler", device, enabled):
            raise NotImplementedError("GradScaler: float32 gradients need no scaling; pass enabled=False")

    def is_enabled(self) -> bool:
        """False."""
        return False

    def scale(self, outputs: Any) -> Any:
        """``outputs`` themselves."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing: the gradients are not scaled."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)``."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | None = None) -> None:
        """Nothing: there is no scale."""

    def get_scale(self) -> float:
        """1.0."""
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing, as there is no state."""
