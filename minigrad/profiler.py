"""Where time and memory go: by operation, forward and backward, and by module.

::

    with minigrad.profiler.profile() as p:
        loss = criterion(model(x), y)
        loss.backward()
    print(p)                            # both tables
    p.export_chrome_trace("trace.json")  # for chrome://tracing or ui.perfetto.dev

Times include what it costs to take them, about a microsecond for each operation.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .engine import Node, Watcher, mode

OUTSIDE = "(outside modules)"


class Event(NamedTuple):
    """An operation that was computed, or a rule of its gradient."""

    name: str
    backward: bool
    modules: tuple[Any, ...]  # that were being called in forward, outermost first
    start: float  # in seconds, since the profile was opened
    total: float  # seconds
    own: float  # seconds, without operations inside it, as in a backward that records a graph
    bytes: int  # of the new arrays that it returned


class Row(NamedTuple):
    """The sums of a group of events: seconds, and bytes of new arrays."""

    name: str
    calls: int
    forward: float
    backward: float
    bytes: int

    @classmethod
    def of(cls, name: str, events: list[Event]) -> Row:
        """The sums of ``events``."""
        forward, backward = (sum(e.own for e in events if e.backward is way) for way in (False, True))
        return cls(name, sum(not e.backward for e in events), forward, backward, sum(e.bytes for e in events))


class profile(Watcher):
    """Notes every operation of this thread, and every gradient rule, that is computed in a ``with`` block.

    After the block, ``events`` holds them in the order in which they ended, and ``seconds`` how long it took.

    Args:
        clock: gives the seconds. On a busy machine ``time.thread_time`` tells what this thread computed.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.events: list[Event] = []
        self.seconds = 0.0
        self._inner = 0.0  # of the current event, the seconds of those inside it

    def __enter__(self) -> profile:
        self._opened = self.clock()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.seconds = self.clock() - self._opened

    def operation(self, definition: Any, args: Any, arrays: Any, options: Any, compute: Callable[[], Any]) -> Any:
        return self._note(definition.name, False, mode.modules, compute)

    def rule(self, node: Node, compute: Callable[[], Any]) -> Any:
        return self._note(node.name, True, node.modules, compute)

    def _note(self, name: str, backward: bool, modules: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
        outer, self._inner = self._inner, 0.0
        start = self.clock()
        result = compute()
        total = self.clock() - start
        event = Event(name, backward, modules, start - self._opened, total, total - self._inner, _new_bytes(result))
        self.events.append(event)
        self._inner = outer + total
        return result

    def by_op(self) -> list[Row]:
        """A row for each operation, the one that took longest first."""
        return sorted(self._rows(lambda e: [e.name]), key=lambda row: row.forward + row.backward, reverse=True)

    def by_module(self) -> list[Row]:
        """A row for each module that was called, all within it included, in the order of their first operations."""
        path_of = cache(module_path)  # of the modules of one event
        return self._rows(lambda e: {path_of(e.modules[: k + 1]): k for k in range(len(e.modules))} or [OUTSIDE])

    def _rows(self, groups_of: Callable[[Event], Iterable[str]]) -> list[Row]:
        """The sums of groups of events, of which each may belong to several."""
        groups: dict[str, list[Event]] = {}
        for e in sorted(self.events, key=lambda e: e.start):
            for name in groups_of(e):
                groups.setdefault(name, []).append(e)
        return [Row.of(name, events) for name, events in groups.items()]

    def table(self, rows: list[Row], title: str = "", limit: int = 40) -> str:
        """The rows as text: milliseconds, their share of all that was noted, and megabytes of new arrays."""
        whole = sum(e.own for e in self.events) or 1.0
        width = max([len(title), *(len(row.name) for row in rows[:limit])])
        lines = [f"{title:{width}} {'calls':>8} {'forward':>10} {'backward':>10} {'share':>7} {'memory':>10}"]
        for name, calls, forward, backward, size in rows[:limit]:
            times = f"{forward * 1e3:8.2f}ms {backward * 1e3:8.2f}ms {(forward + backward) / whole:7.1%}"
            lines.append(f"{name:{width}} {calls:8} {times} {size / 1e6:8.2f}MB")
        if len(rows) > limit:
            lines.append(f"... and {len(rows) - limit} more")
        return "\n".join(lines)

    def __str__(self) -> str:
        noted = sum(e.own for e in self.events)
        summary = f"{self.seconds * 1e3:.2f}ms in all, {noted * 1e3:.2f}ms of it in operations and their gradients"
        return "\n\n".join([self.table(self.by_op(), "operation"), self.table(self.by_module(), "module"), summary])

    def export_chrome_trace(self, path: str | Path) -> None:
        """Write the events as a file that chrome://tracing and ui.perfetto.dev show on a time line."""
        thread = threading.get_ident()
        events = [
            {
                "name": e.name + "'" * e.backward, "cat": "backward" if e.backward else "forward", "ph": "X",
                "ts": e.start * 1e6, "dur": e.total * 1e6, "pid": 0, "tid": thread,
                "args": {"module": module_path(e.modules) or OUTSIDE, "bytes": e.bytes},
            }
            for e in self.events
        ]  # fmt: skip
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


def module_path(modules: tuple[Any, ...]) -> str:
    """The dotted name of the last of nested module calls, which begins with the class of the first."""
    path = type(modules[0]).__name__ if modules else ""
    for k in range(1, len(modules)):
        # The caller may have reached into a child of its own, or (with hooks) into anything else.
        names = (name for m in reversed(modules[:k]) for name, child in m.named_modules() if child is modules[k])
        path += "." + next(names, type(modules[k]).__name__)
    return path


def _new_bytes(result: Any) -> int:
    """The bytes of the arrays in a result that are views of nothing."""
    if isinstance(result, (tuple, list)):
        return sum(map(_new_bytes, result))
    array = getattr(result, "_array", result)
    return array.nbytes if getattr(array, "base", 0) is None else 0
