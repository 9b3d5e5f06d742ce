"""Answers for programs that ask for a GPU: there is none, so that they take the CPU."""

from __future__ import annotations


def is_available() -> bool:
    """False: minigrad computes on the CPU."""
    return False


def device_count() -> int:
    """0: minigrad computes on the CPU."""
    return 0
