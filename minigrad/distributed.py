"""Answers for programs that can work in several processes or on several devices: there is one of each."""

from __future__ import annotations

from typing import Any, NoReturn


def is_available() -> bool:
    """False: minigrad computes in one process."""
    return False


is_initialized = is_available


def get_rank() -> int:
    """0, the number of the only process."""
    return 0


def get_world_size() -> int:
    """1, the number of processes."""
    return 1


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: there is one process."""
    raise NotImplementedError("torch.distributed: minigrad computes in one process, on one device")


destroy_process_group = all_reduce = all_gather = broadcast = barrier = data_parallel = init_process_group


class DistributedDataParallel:
    """Raises NotImplementedError: there is one process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        init_process_group()


DataParallel = DistributedDataParallel
