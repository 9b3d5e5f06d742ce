"""However it is imported, there is one copy of everything; and importing is quick."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Runs code in a fresh Python and gives what that prints. All of them share compiled modules."""
    compiled = str(tmp_path_factory.mktemp("compiled"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return partial(_run, environment)


def _run(environment: dict[str, str], code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT,
                          env=environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


SPELLINGS = [
    "import nn",
    "import minigrad",
    "from minigrad import nn as nn2",
    "import minigrad.nn as nn3",
    "import minigrad.nn.functional as F1",
    "from minigrad.nn import functional as F2",
    "from minigrad.nn.parameter import Parameter as P1",
    "from nn.parameter import Parameter as P2",
]
ORDERS = [(first, *rest) for first in SPELLINGS for rest in (SPELLINGS, SPELLINGS[::-1])]


def test_every_order_of_imports_gives_the_same_objects(run: Callable[[str], str]) -> None:
    """Each order in a process of its own."""
    check = "\n".join([
        "import sys",
        "assert nn is nn2 is nn3 is minigrad.nn",
        "assert F1 is F2 is nn.functional is minigrad.nn.functional is sys.modules['minigrad.nn.functional']",
        "assert P1 is P2 is nn.Parameter is minigrad.nn.parameter.Parameter",
        "assert F1.relu is minigrad.relu is minigrad.Tensor.relu",
        "assert isinstance(nn.Linear(1, 1).weight, P1)",
    ])  # fmt: skip
    orders = ["\n".join([*order, check]) for order in ORDERS]
    fork = """
import os, sys
failed = []
for number, code in enumerate(CODES):
    child = os.fork()
    if not child:
        try:
            exec(code, {})
        except BaseException as error:
            print(code, repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(number)
sys.exit(bool(failed))
"""
    run(f"import numpy, inspect\nCODES = {orders!r}\n{fork}")  # with NumPy loaded a fork is quick, and as fresh


@pytest.mark.parametrize(("package", "alias"), [("nn", "minigrad.nn"), ("minigrad.data", "minigrad.utils.data")])
def test_no_module_has_a_second_copy(package: str, alias: str, run: Callable[[str], str]) -> None:
    folder = ROOT / package.replace(".", "/")
    names = sorted(
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix("__init__").strip(".")
        for path in folder.rglob("*.py")
    )
    assert len(names) > 3
    code = ["from importlib import import_module as load"]
    for name in filter(None, names):
        code.append(f"assert load('{alias}.{name}') is load('{package}.{name}'), '{name}'")
    run("\n".join(code))


def test_large_parts_are_imported_on_demand(run: Callable[[str], str]) -> None:
    code = (
        "import sys, minigrad\n"
        "later = {f'minigrad.{name}' for name in (*minigrad._MODULES, *minigrad._FUNCTIONS)}\n"
        "assert not sys.modules.keys() & {*later, 'nn', 'numpy.random', 'threading', 'copy', 'dataclasses'}\n"
        "assert all(getattr(minigrad, name) for name in (*minigrad._MODULES, *minigrad._HOMES))\n"
        "assert minigrad.nn.Linear and minigrad.optim.SGD and minigrad.data.DataLoader and minigrad.utils.data\n"
        "assert {'nn', 'optim', 'data', 'utils', 'tensor'} <= set(dir(minigrad))\n"
        "try:\n    minigrad.nothing\n"
        "except AttributeError as error:\n    assert \"'minigrad' has no attribute 'nothing'\" in str(error)\n"
        "else:\n    raise AssertionError\n"
    )
    run(code)


def test_pickles_name_one_module(run: Callable[[str], str]) -> None:
    """A class has one home, whatever name it was imported by."""
    assert run("import minigrad.nn as nn; print(nn.Linear.__module__, nn.Parameter.__module__)").split() == [
        "nn.linear", "nn.parameter",
    ]  # fmt: skip
