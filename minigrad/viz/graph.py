"""The computation graph as a picture: Graphviz source, SVG or PNG, or a page to explore in a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import Edge, Node, TensorBase, Watcher, edge_of, new_tensor
from ..memory import Array, clock
from ..traversal import backward

COLOURS = {"operation": "#e8eef7", "parameter": "#fdebd0", "input": "#d8f0dc", "output": "#f3e2f4"}


def statistics(array: Array) -> str:
    """What the elements of an array are like: mean, standard deviation and range, of those that are finite."""
    values = np.asarray(array, np.float64)
    finite = values[np.isfinite(values)]
    missing = f"{values.size - finite.size} not finite" if finite.size < values.size else ""
    if not finite.size:
        return missing
    text = f"{finite.mean():.3g} ± {finite.std():.2g} in [{finite.min():.3g}, {finite.max():.3g}]"
    return f"{text}, {missing}" if missing else text


@dataclass
class Vertex:
    """A box of the picture: an operation, or a tensor that the graph begins with."""

    kind: str  # "operation", "parameter", "input" or "output" (the operation that the graph ends with)
    name: str
    shape: str
    dtype: str
    module: list[str] = field(default_factory=list)  # the modules that contain it, outermost first
    line: str = ""  # where in the program it was recorded
    value: str = ""  # what its elements are like, if that is known
    gradient: str = ""


@dataclass(repr=False)
class Graph:
    """A drawn computation graph; in a notebook it shows itself.

    Attributes:
        vertices: one :class:`Vertex` for each operation and each leaf, inputs before what uses them.
        edges: pairs of positions in ``vertices``: from, to.
    """

    vertices: list[Vertex]
    edges: list[tuple[int, int]]

    @property
    def source(self) -> str:
        """The graph in Graphviz's language, modules as clusters."""
        lines = ["digraph {", '  node [shape=box style="rounded,filled" fontname="sans-serif" fontsize=10]']
        lines += self._cluster([], range(len(self.vertices)), "  ")
        lines += [f"  {a} -> {b}" for a, b in self.edges]
        return "\n".join([*lines, "}\n"])

    def _cluster(self, module: list[str], members: Iterable[int], indent: str) -> list[str]:
        """The vertices within ``module``, those of modules inside it in clusters of their own."""
        lines: list[str] = []
        inner: dict[str, list[int]] = {}
        for i in members:
            v, depth = self.vertices[i], len(module)
            if len(v.module) > depth:
                inner.setdefault(v.module[depth], []).append(i)
                continue
            parts = [f"{v.name}  {v.shape}"]
            parts += [f"{what}: {text}" for what, text in (("value", v.value), ("gradient", v.gradient)) if text]
            label = _quoted("\n".join(parts))
            lines.append(f'{indent}{i} [label={label} fillcolor="{COLOURS[v.kind]}" tooltip={_quoted(v.line)}]')
        for name, inside in inner.items():
            path = [*module, name]
            label = name.removeprefix(module[-1].partition(":")[0] + ".") if module else name
            cluster = _quoted("cluster_" + "/".join(path))
            lines += [f'{indent}subgraph {cluster} {{ label={_quoted(label)} color="#999999"',
                      *self._cluster(path, inside, indent + "  "), f"{indent}}}"]  # fmt: skip
        return lines

    @property
    def html(self) -> str:
        """A page that needs nothing else: drag to move, wheel to zoom, click a module to fold it, point for numbers."""
        data = json.dumps({"vertices": list(map(vars, self.vertices)), "edges": self.edges, "colours": COLOURS})
        page = Path(__file__).with_name("graph.html").read_text(encoding="utf-8")
        return page.replace("{{DATA}}", data.replace("<", "\\u003c"))

    def render(self, format: str = "svg") -> bytes:
        """The picture as Graphviz draws it, in a format of its own such as ``"svg"``, ``"png"`` or ``"pdf"``."""
        if shutil.which("dot") is None:
            raise RuntimeError(f"Graph: {format} is drawn by Graphviz, whose program dot is not installed; "
                               "a page to explore can be saved without it: save('graph.html')")  # fmt: skip
        done = subprocess.run(["dot", f"-T{format}"], input=self.source.encode(), capture_output=True)
        if done.returncode:
            raise ValueError(f"Graph: dot could not draw format {format!r}: {done.stderr.decode().strip()}")
        return done.stdout

    def save(self, path: str | Path) -> Path:
        """Write the graph in the format that the name ends with: .html, .dot, .gv, or one for :meth:`render`."""
        path = Path(path)
        suffix = path.suffix.lower().lstrip(".")
        if not suffix:
            raise ValueError(f"Graph.save: {str(path)!r} has no ending that says what to write, such as .html or .svg")
        texts = {"html": "html", "dot": "source", "gv": "source"}
        path.write_bytes(getattr(self, texts[suffix]).encode() if suffix in texts else self.render(suffix))
        return path

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.html)}" style="width: 100%; height: 600px; border: 0"></iframe>'

    def __repr__(self) -> str:
        return f"<Graph of {len(self.vertices)} vertices and {len(self.edges)} edges; save('graph.html') draws it>"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class _Recorder(Watcher):
    """Notes what each operation computes, and when."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.values = [""]  # of what is there before the first

    def operation(self, definition: Any, args: Any, arrays: Any, options: Any, compute: Callable[[], Any]) -> Any:
        out = compute()
        self.values.append("" if isinstance(out, tuple) else statistics(out))
        self.times.append(clock())  # its node is the next one made
        return out

    def value(self, node: Node) -> str:
        return self.values[bisect_left(self.times, node.order)]


def draw_graph(what: Any, inputs: Any = (), *, params: Mapping[str, Any] | None = None,
               gradients: bool = True) -> Graph:  # fmt: skip
    """The graph that computes a tensor.

    Args:
        what: a Tensor that requires a gradient; or a Module or another function of Tensors, which is called with
            ``inputs`` and must return a Tensor. Only a graph that is watched while it grows can tell which
            module an operation belongs to, and all values; of a Tensor's graph the values are shown that were
            saved for backward.
        inputs: a Tensor, or a tuple of arguments.
        params: leaves by the names to show them under; a module's own parameters have their names already.
        gradients: differentiate the sum of the elements with respect to everything, to show what gradients are
            like. No ``.grad`` changes and no hook runs. Not possible after backward has released the graph.

    Raises:
        TypeError: there is no Tensor to draw.
        ValueError: the Tensor requires no gradient, so that no graph was recorded.
    """
    recorder = _Recorder()
    modules: dict[int, str] = {}
    names = {id(leaf): name for name, leaf in (params or {}).items()}
    output = what
    if callable(what) and not isinstance(what, TensorBase):
        if hasattr(what, "named_modules"):
            modules = {id(m): f"{name}: {type(m).__name__}" for name, m in what.named_modules() if name}
            names |= {id(parameter): name for name, parameter in what.named_parameters()}
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        with recorder:
            output = what(*map(_leaf, inputs))
    if not isinstance(output, TensorBase):
        raise TypeError(f"draw_graph: expected a Tensor, or a function that returns one, got {type(output).__name__}")
    end = edge_of(output)
    if end is None:
        raise ValueError("draw_graph: the tensor requires no gradient, so no graph was recorded; let an input or a "
                         "parameter require one, and do not compute within no_grad()")  # fmt: skip

    order, links = _collect(end)
    values = _saved_values(order)
    found = _gradients(output, order) if gradients else {}
    position = {edge: i for i, edge in enumerate(order)}
    vertices = []
    for edge in order:
        gradient = statistics(found[edge]) if edge in found else ""
        vertex = Vertex("input", "input", str(edge.shape), str(edge.dtype), gradient=gradient)
        if isinstance(edge, Node):
            vertex.kind, vertex.name, vertex.line = "output" if edge is end else "operation", edge.name, edge.line
            vertex.module = [modules[id(module)] for module in edge.modules if id(module) in modules]
            vertex.value = recorder.value(edge) or (statistics(values[edge]) if edge in values else "")
        else:
            vertex.value = statistics(edge._array)
            if id(edge) in names:
                vertex.kind, vertex.name = "parameter", names[id(edge)]
        vertices.append(vertex)
    edges = [(position[a], position[b]) for a, b in links]
    for a, b in reversed(edges):
        if vertices[a].kind == "parameter":
            vertices[a].module = vertices[b].module  # of the first operation that uses it
    return Graph(vertices, edges)


def _leaf(value: Any) -> Any:
    """An argument, if a Tensor that can have a gradient as one that a graph begins with."""
    if not isinstance(value, TensorBase) or value.dtype.kind != "f":
        return value
    return new_tensor(value._array, requires_grad=True)


def _whole(edge: Edge) -> Edge:
    """The operation itself, of a node that only says which of its outputs is meant."""
    return edge.edges[0] if isinstance(edge, Node) and edge.name == "pick" else edge  # type: ignore[return-value]


def _collect(end: Edge) -> tuple[list[Edge], list[tuple[Edge, Edge]]]:
    """All nodes and leaves that lead to ``end``, inputs first, and the pairs that are connected."""
    end = _whole(end)
    found, seen, links = [end], {end}, []
    for edge in found:  # which grows meanwhile
        for below in [_whole(e) for e in edge.edges if e is not None] if isinstance(edge, Node) else []:
            links.append((below, edge))
            if below not in seen:
                seen.add(below)
                found.append(below)
    return sorted(found, key=lambda edge: edge.order if isinstance(edge, Node) else -1), links


def _saved_values(order: Sequence[Edge]) -> dict[Edge, Array]:
    """What is known of the nodes' outputs because a rule will need it."""
    values: dict[Any, Array] = {}
    for node in order:
        if isinstance(node, Node) and node.saved is not None:
            for source, saved in zip(node.plan.sources, node.saved, strict=True):
                if source == -1:
                    values[node] = saved
                elif isinstance(source, int):
                    several = node.plan.primitive.variadic
                    values |= zip(node.edges, saved, strict=True) if several else {node.edges[source]: saved}
    return {edge: value for edge, value in values.items() if hasattr(value, "dtype")}


def _gradients(output: TensorBase, order: Sequence[Edge]) -> dict[Edge, Array]:
    """The gradient of the sum of ``output`` with respect to everything in its graph, unless that was released."""
    if any(isinstance(edge, Node) and edge.saved is None for edge in order):
        return {}
    hooks = [(edge, name, getattr(edge, name)) for edge in order
             for name in ("_hooks", "_retain")]  # fmt: skip
    try:
        for edge, name, _ in hooks:
            setattr(edge, name, None)
        found = backward([output], [np.ones_like(output._array)], wanted=order, retain_graph=True)
    finally:
        for edge, name, own in hooks:
            setattr(edge, name, own)
    return {edge: g for edge, g in found.items() if not isinstance(g, tuple)}
