"""docs/names.md says what is in the code."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_names", DOCS / "make_names.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


@pytest.fixture(scope="module")
def names() -> dict[str, dict[str, list[str]]]:
    return json.loads((DOCS / "torch_names.json").read_text())


def test_page_is_up_to_date(script: Any) -> None:
    assert (DOCS / "names.md").read_text() == script.page(), "run python docs/make_names.py"


def test_remarks_are_about_names_that_exist(script: Any, names: Any) -> None:
    known = {f"{theirs}.{name}" for theirs in script.SECTIONS for name, _ in script.public(theirs, names)}
    assert not script.NOTES.keys() - known


def test_differences_are_seen(script: Any) -> None:
    def difference(ours: str, *theirs: str) -> str:
        return script.difference([ours], list(theirs))

    assert difference("(input, dim=0)", "(self, dim=0, *, out=None)") == ""
    assert difference("(input, dim=0, copy=False)", "(self, axis=0)") == "Lacks `axis`; also takes `dim`, `copy`."
    assert difference("(input, dim=0)", "(self, dim=-1)") == "The default of `dim` is 0, in PyTorch -1."
    assert difference("(input, size=(1, 1))", "(self, size=1)", "(self, size=[1, 1])") == ""
    assert difference("(input, *sizes)", "(input, size)") == "Lacks `size`."


def test_public_names_have_docstrings(script: Any, names: Any) -> None:
    without = []
    for theirs, ours in script.SECTIONS.items():
        for name, value in script.public(theirs, names):
            own = str(getattr(value, "__module__", "")).startswith(("minigrad", "nn."))
            if (own or isinstance(value, property)) and not (inspect.getdoc(value) or "").strip():
                without.append(f"{ours}.{name}")
    assert not without


NO_LAYERS = {"Module", "Sequential", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Buffer",
             "Parameter"}  # fmt: skip


@pytest.mark.parametrize("section", ["torch.nn", "torch.nn.functional"])
def test_docstrings_of_layers_and_functionals_give_shapes(script: Any, names: Any, section: str) -> None:
    """They name a shape, like (N, C, L), or say something of it."""
    shape = re.compile(r"\((?:\\?\*|\.\.\.|[A-Z]\w*,)|\bshapes?\b|:(?:class|func):`|see :")
    without = [name for name, value in script.public(section, names) if not shape.search(inspect.getdoc(value) or "")]
    assert set(without) <= NO_LAYERS
