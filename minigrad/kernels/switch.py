"""What turns a way to compute on and off."""

from __future__ import annotations


class Switch:
    """Called, a subclass sets its own ``enabled``; in a ``with`` block until its end."""

    enabled = True

    def __init__(self, enabled: bool = True) -> None:
        self.before = type(self).enabled
        type(self).enabled = enabled

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        type(self).enabled = self.before
