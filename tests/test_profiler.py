"""The profiler: what it counts, to whom it attributes it, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import minigrad as torch
from minigrad import nn
from minigrad.profiler import OUTSIDE, profile


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.Tanh(), nn.Linear(4, 2))

    def forward(self, x: Any) -> Any:
        return self.rest(self.first(x) * 2)


def profiled() -> profile:
    net = Net()
    with profile() as p:
        for _ in range(2):
            net(torch.ones(5, 3)).sum().backward()
    torch.ones(3).exp()
    return p


def test_operations_are_counted_forward_and_backward() -> None:
    p = profiled()
    rows = {row.name: row for row in p.by_op()}
    assert {name: row.calls for name, row in rows.items()} == {"linear": 4, "mul": 2, "tanh": 2, "sum": 2}
    assert all(row.forward > 0 and row.backward > 0 for row in rows.values())
    assert sum(row.forward + row.backward for row in rows.values()) <= p.seconds
    # Two outputs; gradients of both weights and biases, and of the input of the second layer; each twice.
    assert rows["linear"].bytes == 2 * 4 * (5 * 4 + 5 * 2 + 12 + 4 + 8 + 2 + 5 * 4)


def test_modules_contain_what_they_call() -> None:
    rows = {row.name: row for row in profiled().by_module()}
    assert list(rows) == ["Net", "Net.first", "Net.rest", "Net.rest.0", "Net.rest.1", OUTSIDE]
    assert [row.calls for row in rows.values()] == [8, 2, 4, 2, 2, 2]
    parts = rows["Net.rest.0"], rows["Net.rest.1"]
    assert abs(rows["Net.rest"].backward - sum(row.backward for row in parts)) < 1e-9


def test_a_graph_recorded_in_backward_is_not_counted_twice() -> None:
    x = torch.ones(3, requires_grad=True)
    with profile() as p:
        (g,) = torch.autograd.grad(x.tanh().sum(), x, create_graph=True)
        g.sum().backward()
    whole = [e for e in p.events if e.own < e.total]
    assert {e.name for e in whole} >= {"tanh"}
    assert sum(e.own for e in p.events) <= p.seconds


def test_tables_and_traces(tmp_path: Path) -> None:
    p = profiled()
    text = str(p)
    assert all(part in text for part in ("operation", "Net.rest.1", "ms in all"))
    assert "... and 3 more" in p.table(p.by_op(), limit=1)
    p.export_chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len(events) == len(p.events)
    assert {"linear", "linear'"} <= {e["name"] for e in events}
    assert {e["args"]["module"] for e in events} == {"Net", "Net.first", "Net.rest.0", "Net.rest.1", OUTSIDE}
    assert all(e["ph"] == "X" and e["dur"] >= 0 for e in events)


def test_an_empty_profile() -> None:
    with profile() as p:
        pass
    assert p.by_op() == p.by_module() == []
    assert "0.00ms of it" in str(p)
