"""One small pool of threads for all kernels, and what the kernels set for the whole process.

NumPy's functions release the interpreter lock while they compute, so Python threads that call them on
parts of an array run at the same time. A kernel hands :func:`parallel` a function of a range; as many
shares of the range as there are threads are computed, the first by the caller. What a share computes
depends on the number of threads alone, never on who was free, so results are the same from run to run.

Two things belong to the process, not to us. They are set by the first computation that is large enough
to matter, never by the import, and :func:`release` undoes them:

* BLAS computes with one thread: the pool splits products as it splits everything else, and two pools
  that wait for each other's cores are slower than either.
* The C library keeps freed memory (glibc's mallopt). Otherwise each large array is fresh memory from
  the system, whose first use costs more than the arithmetic on it. The price is that the process keeps
  the size of its largest moment. ``keep_memory(False)`` leaves that setting alone.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import os
from _thread import _local as local
from _thread import allocate_lock as Lock  # threading itself takes a millisecond to load
from array import array
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from ..memory import Array
from .mailbox import AWAKE, LOOKS, Mailbox, call_all

_HANDSHAKE = 250_000  # nanoseconds of work below which waking another thread does not pay
_CALL = 10_000  # and calling machine code in one

_END = object()  # a message

_count = 0  # threads to use; 0 until asked for the first time
_pool: _Pool | None = None
_turn = Lock()  # held by the one computation that uses the pool
_setting = Lock()  # held while what the process shares is set
_ready = False  # whether the process has been set up
_keeps_memory = True
_local = local()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """How many threads the kernels use: by default as many as this process may use cores."""
    global _count
    if not _count:
        _count = _cores()
    return _count


def set_num_threads(count: int) -> None:
    """Let the kernels use ``count`` threads.

    The last bits of sums (of weights' gradients, of means) depend on it; at the same count they never vary.
    """
    global _count
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"set_num_threads: expected an int, got {type(count).__name__}")
    if count < 1:
        raise ValueError(f"set_num_threads: expected at least 1, got {count}")
    with _turn:
        _count = count
        _dismiss()


def _dismiss() -> None:
    """Let the threads end, those at work when they are done."""
    global _pool
    if _pool is not None:
        _pool.stop()
        _pool = None


def shares(work: float, machine_code: bool = False) -> int:
    """Among how many threads to share what takes one thread ``work`` nanoseconds, by NumPy or by machine code."""
    return get_num_threads() if work >= (_CALL if machine_code else _HANDSHAKE) else 1


def divided(n: int, work: float, machine_code: bool = True) -> list[tuple[int, int]]:
    """``range(n)`` as (start, stop) for each of :func:`shares` threads, or fewer."""
    count = max(1, min(shares(work, machine_code), n))
    return [(n * k // count, n * (k + 1) // count) for k in range(count)]


def parallel(body: Callable[[int, int], Any], n: int, work: float = math.inf) -> list[Any]:
    """What ``body(start, stop)`` returns for shares that together make up ``range(n)``, one for each thread.

    ``work`` estimates the nanoseconds that one thread would take. What is not worth sharing is one share;
    those that another computation's share asks for are computed at once. ``body`` must write to its own part
    alone. It should make few and long calls of NumPy: a thread that comes back from one while the other holds
    the interpreter lock, for a microsecond, falls asleep, and waking up takes twenty.
    """
    prepare()
    count = min(shares(work), n)
    if count <= 1:
        return [body(0, n)]
    results: list[Any] = [None] * count

    def share(index: int) -> None:
        results[index] = body(n * index // count, n * (index + 1) // count)

    def alone() -> None:
        for index in range(count):
            share(index)

    _in_turn(lambda pool: pool.run(share, count), alone)
    return results


def call(code: Callable[[int], None], blocks: Sequence[array[int]]) -> None:
    """Call machine code with the address of each block, each in a thread."""
    if not _ready:
        prepare()
    if len(blocks) > 1:
        _in_turn(partial(_Pool.call, code=code, blocks=blocks), partial(_call_each, code, blocks))
    else:
        code(blocks[0].buffer_info()[0])


def _call_each(code: Callable[[int], None], blocks: Sequence[array[int]]) -> None:
    for block in blocks:
        code(block.buffer_info()[0])


def _in_turn(use: Callable[[_Pool], None], alone: Callable[[], None]) -> None:
    """Use the pool; if another computation does, do without."""
    global _pool
    ours = False
    try:
        ours = _turn.acquire(blocking=False)
        if ours:
            if _pool is None:
                _pool = _Pool(_count)
            use(_pool)
        else:
            alone()
    except BaseException:
        if ours:
            _dismiss()  # if interrupted, they may still be at work
        raise
    finally:
        if ours:
            _turn.release()


def scratch(role: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory for intermediate results, which the next call for ``role`` in the same thread gets again."""
    views: dict[Any, Array] = _local.__dict__.setdefault(role, {})
    view = views.get((shape, dtype))
    if view is None:
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        memory = views.get("memory")
        if memory is None or memory.nbytes < nbytes or len(views) > 100:
            views.clear()
            memory = views["memory"] = np.empty(nbytes, np.uint8)
        view = views[shape, dtype] = memory[:nbytes].view(dtype).reshape(shape)
    return view


class _Pool:
    """Threads that wait for work, each at a mailbox of its own, with one for the answer."""

    def __init__(self, count: int) -> None:
        from threading import Thread

        self.core: Callable[[], int] | None = _c_function("sched_getcpu")
        self.cores = os.sched_getaffinity(0) if self.core else set()
        self.avoided = -1
        looks = LOOKS if count <= _cores() else 0  # others may need the core
        self.start = [Mailbox(looks) for _ in range(count - 1)]
        self.done = [Mailbox(looks) for _ in range(count - 1)]
        threads = [Thread(target=self._serve, args=(k,), name=f"minigrad-{k}", daemon=True) for k in range(1, count)]
        try:
            for thread in threads:
                thread.start()
        except BaseException:
            self.stop()
            raise
        self.ids: list[Any] = [thread.native_id for thread in threads]

    def _keep_apart(self) -> None:
        """Keep the threads off the caller's core, where Linux likes to wake them, to wait there for their turn."""
        if self.core is None or len(self.cores) <= len(self.ids) or self.core() == self.avoided:
            return
        self.avoided = self.core()
        for thread in self.ids:
            with contextlib.suppress(OSError):  # others have a say in where threads may run
                os.sched_setaffinity(thread, self.cores - {self.avoided})

    def _serve(self, index: int) -> None:
        start, done = self.start[index - 1], self.done[index - 1]
        while (message := start.get()) is not _END:
            if message is not AWAKE:
                work, context = message
                error = None
                try:  # in the caller's context: NumPy keeps there how it treats infinities
                    context.run(work, index)
                except BaseException as caught:
                    error = caught
                done.put(error)

    def run(self, work: Callable[[int], None], count: int) -> None:
        self._keep_apart()
        for mailbox in self.start[: count - 1]:
            mailbox.put((work, contextvars.copy_context()))
        try:
            for index in (0, *range(len(self.start) + 1, count)):  # fewer threads than when they were counted
                work(index)
        finally:
            errors = [mailbox.get() for mailbox in self.done[: count - 1]]
        for error in errors:
            if error is not None:
                raise error

    def call(self, code: Callable[[int], None], blocks: Sequence[array[int]]) -> None:
        if len(blocks) > len(self.start) + 1:  # fewer threads than when they were counted
            _call_each(code, blocks)
        else:
            self._keep_apart()
            call_all(code.address, blocks, self.start)  # type: ignore[attr-defined]

    def stop(self) -> None:
        for mailbox in self.start:
            mailbox.put(_END)


# ------------------------------------------------------------------------- what the process shares

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_undo: list[Callable[[], object]] = []


def prepare() -> None:
    """Set BLAS to one thread and let the C library keep freed memory, if that is not done; does what it can."""
    global _ready
    if _ready:
        return
    with _setting:  # not the turn, which who asks may be a share of
        if _ready:
            return
        _ready = True
        for function in _blas():
            count, set_count = function("openblas_get_num_threads")(), function("openblas_set_num_threads")
            _undo.append(lambda count=count, set_count=set_count: set_count(count))  # type: ignore[misc]
            set_count(1)
        mallopt = _c_function("mallopt")
        if mallopt is not None and _keeps_memory:
            for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
                mallopt(parameter, 1 << 30)
                _undo.append(lambda parameter=parameter: mallopt(parameter, 128 << 10))  # type: ignore[misc]
            _undo.append(lambda: _c_function("malloc_trim")(0))


def _c_function(name: str) -> Any:
    """A function of the GNU C library; None with another."""
    import ctypes

    library: Any = ctypes.CDLL(None) if os.name == "posix" else None
    return getattr(library, name, None) if hasattr(library, "gnu_get_libc_version") else None


def _function(library: Any, pattern: str, name: str) -> Any:
    return getattr(library, pattern.format(name))


def _blas() -> list[Callable[[str], Any]]:
    """For each OpenBLAS in the process: what gives its function of a name."""
    import ctypes

    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split(maxsplit=5)[5].strip() for line in maps if "openblas" in line}
    except OSError:
        return []
    found: list[Callable[[str], Any]] = []
    for path in sorted(paths):
        try:
            library = ctypes.CDLL(path)
        except OSError:  # the file has been replaced since it was loaded
            continue
        for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
            pattern = f"{prefix}{{}}{suffix}"
            if hasattr(library, pattern.format("openblas_set_num_threads")):
                found.append(partial(_function, library, pattern))
                break
    return found


def blas_cores() -> list[str]:
    """For which processors each OpenBLAS in the process computes, by its own names for them."""
    import ctypes

    cores = []
    for function in _blas():
        with contextlib.suppress(AttributeError):  # old ones do not say
            core = function("openblas_get_corename")
            core.restype = ctypes.c_char_p
            cores.append(core().decode())
    return cores


@cache
def blas_function(name: str) -> int | None:
    """The address of a function of the first OpenBLAS in the process; None without one."""
    import ctypes

    for function in _blas()[:1]:
        with contextlib.suppress(AttributeError):
            return ctypes.cast(function(name), ctypes.c_void_p).value
    return None


def keep_memory(enabled: bool = True) -> None:
    """Whether the C library shall keep freed memory for the next arrays; from the next computation on."""
    global _keeps_memory
    release()
    _keeps_memory = enabled


def release() -> None:
    """Undo what the kernels have set for the process: the threads of BLAS, and the memory kept.

    The next large computation sets it again.
    """
    global _ready
    with _turn, _setting:
        for undo in _undo:
            undo()
        _undo.clear()
        _ready = False


def _after_fork() -> None:
    """A child process has none of the threads."""
    global _pool, _turn, _setting
    _pool, _turn, _setting = None, Lock(), Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
