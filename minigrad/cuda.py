"""Answers for programs that ask for a GPU or another accelerator: there is none, so that they take the CPU."""

from __future__ import annotations


def is_available() -> bool:
    """False: minigrad computes on the CPU."""
    return False


def device_count() -> int:
    """0: minigrad computes on the CPU."""
    return 0


def current_accelerator() -> None:
    """None: minigrad computes on the CPU."""


def manual_seed_all(seed: int) -> None:
    """Nothing: there are no devices with random numbers of their own."""


def empty_cache() -> None:
    """Nothing: there are no devices with memory of their own."""


manual_seed, synchronize = manual_seed_all, empty_cache
