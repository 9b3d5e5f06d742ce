"""Imports point one way: engine < kernels, ops < tensor < the rest of minigrad < optim, data < nn < examples."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each name's level; a file may import from its own level and from those below. A package counts as
# a whole unless a file of it is listed. The shim that makes nn reachable as minigrad.nn is free.
LEVELS = [
    ["minigrad.version", "minigrad.memory", "minigrad.dtypes", "minigrad.arguments", "minigrad.devices",
     "minigrad.extras"],
    ["minigrad.engine", "minigrad.traversal", "minigrad.conversion", "minigrad.nested"],
    ["minigrad.kernels", "minigrad.ops"],
    ["minigrad.numpy_protocol", "minigrad.printing", "minigrad.creation", "minigrad.random", "minigrad.tensor",
     "minigrad.backprop", "minigrad.grad_mode"],
    ["minigrad"],
    ["minigrad.optim", "minigrad.data", "minigrad.utils", "minigrad.viz"],
    ["nn", "minigrad.optim.swa_utils"],
    ["examples"],
]
FREE = {"minigrad/nn.py", "minigrad/__init__.py", "minigrad/__main__.py"}


def level(module: str) -> int:
    """The level of a dotted module name: that of the longest prefix listed."""
    parts = module.split(".")
    for n in range(len(parts), 0, -1):
        for number, names in enumerate(LEVELS):
            if ".".join(parts[:n]) in names:
                return number
    raise AssertionError(module)


def imports(path: Path) -> list[tuple[int, str]]:
    """Line and absolute module of every import in a file, those inside functions too."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join(base + (node.module.split(".") if node.module else []))
            # `from . import x` names a module or something inside the package
            for alias in node.names:
                inner = ROOT / (module + "." + alias.name).replace(".", "/")
                is_module = inner.with_suffix(".py").exists() or inner.is_dir()
                found.append((node.lineno, f"{module}.{alias.name}" if is_module else module))
    return [(line, name) for line, name in found if name.split(".")[0] in ("minigrad", "nn", "examples")]


FILES = [path for folder in ("minigrad", "nn") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if name in FREE:
        return
    own = level(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    upward = [f"{name}:{line} imports {module}" for line, module in imports(path) if level(module) > own]
    assert not upward


def test_no_other_runtime_dependency() -> None:
    """At import time minigrad and nn need NumPy and the standard library, nothing else."""
    import subprocess
    import sys

    code = (
        "import sys, minigrad, minigrad.nn, minigrad.optim, minigrad.data\n"
        "names = {m.partition('.')[0] for m, v in sys.modules.items() if getattr(v, '__file__', None)}\n"
        "print(sorted(n for n in names if n not in sys.stdlib_module_names and not n.startswith('_')))"
    )
    out = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
                         capture_output=True, text=True, check=True, cwd=ROOT).stdout  # fmt: skip
    assert set(ast.literal_eval(out)) <= {"minigrad", "nn", "numpy"}, out
