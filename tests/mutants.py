"""Plant an error in each gradient rule, one at a time, and see whether the suite notices.

    python -m tests.mutants [--op NAME ...] [--jobs 2] [--examples 40] [--verbose]

A mutant is a rule with one small change in its syntax tree: a sign, a factor, a dropped or swapped
operand, an index off by one, another axis, a sine for a cosine. It takes the place of the rule of
the registered operation, and first- and second-order properties (tests/properties.py) of the
operation's Specs run against it on examples drawn beforehand. Those that survive also have to pass
the family's own tests, tests/test_<family>.py, where ties and kinks are. Run by hand.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import inspect
import io
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings

from minigrad.engine import REGISTRY, Primitive

from .properties import accepts_expanded, first_order, second_order
from .samples.spec import Case, Spec
from .test_ops import SPECS

ROOT = Path(__file__).parents[1]
NOT_RULES = {"promotion", "broadcasts", "view", "outputs", "inputs"}

EQUIVALENT: dict[str, str] = {
    # "operation.input: before -> after": why no test can tell it from the original
}

# ---------------------------------------------------------------------------- finding the rules


@dataclass
class Rule:
    """One gradient rule, with the functions of its module that it calls."""

    operation: str
    input: str
    module: str
    expression: ast.expr  # the lambda, or the name of the function
    helpers: dict[str, ast.FunctionDef]



def rules_of(module: Any) -> Iterator[Rule]:
    """All rules that a module's decorators name."""
    tree = ast.parse(inspect.getsource(module))
    functions = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}
    for function in functions.values():
        primitive = REGISTRY.get(function.name.strip("_"))
        if primitive is None or primitive.forward.__module__ != module.__name__ or not function.decorator_list:
            continue
        for decorator in function.decorator_list:
            for keyword in getattr(decorator, "keywords", ()):
                if keyword.arg is not None and keyword.arg not in NOT_RULES:
                    helpers = _reached(keyword.value, functions)
                    yield Rule(primitive.name, keyword.arg, module.__name__, keyword.value, helpers)


def _reached(expression: ast.AST, functions: dict[str, ast.FunctionDef]) -> dict[str, ast.FunctionDef]:
    """The plain functions of the module that ``expression`` uses, directly or through each other."""
    found: dict[str, ast.FunctionDef] = {}
    todo = [expression]
    while todo:
        for node in ast.walk(todo.pop()):
            if isinstance(node, ast.Name) and node.id in functions and node.id not in found:
                function = functions[node.id]
                if not function.decorator_list and node.id.startswith("_"):
                    found[node.id] = function
                    todo.append(function)
    return found


# --------------------------------------------------------------------------- making the mutants

SWAPPED_CALLS = {
    "sin": "cos", "cos": "sin", "sinh": "cosh", "cosh": "sinh", "exp": "expm1", "expm1": "exp", "log": "log1p",
    "sqrt": "square", "sign": "abs", "abs": "sign", "greater": "less", "less": "greater", "floor": "ceil",
    "greater_equal": "greater", "less_equal": "less", "equal": "not_equal", "not_equal": "equal", "trunc": "floor",
    "logical_and": "logical_or", "logical_or": "logical_and", "maximum": "minimum", "minimum": "maximum",
    "zeros_like": "ones_like", "ones_like": "zeros_like", "isfinite": "isnan", "sum": "max",
}  # fmt: skip
UNWRAPPED_CALLS = {"sum", "flip", "swapaxes", "transpose", "roll", "cumsum", "sqrt", "moveaxis", "square", "exp", "cos",
                   "tril", "triu", "abs", "sign", "conj", "matrix_transpose", "log", "tanh", "sigmoid"}  # fmt: skip
COMMUTATIVE = {"equal", "not_equal", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "hypot"}
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
COMPARISONS: dict[type, type] = {
    ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.LtE: ast.Lt, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip


def changes(node: ast.AST, names: list[str]) -> Iterator[tuple[str, ast.AST]]:
    """The replacements of one syntax node, each with a word for it. ``names`` are the parameters in scope."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in OPERATORS:
            yield "operator", ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
        yield "dropped right operand", node.left
        if not isinstance(node.op, ast.Pow):
            yield "dropped left operand", node.right
        if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult)):
            yield "swapped operands", ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        yield "dropped sign", node.operand
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield "comparison", ast.Compare(node.left, [COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.IfExp):
        yield "other branch", ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield "flag", ast.Constant(not node.value)
        elif isinstance(node.value, int):
            yield "off by one", ast.Constant(node.value + 1)
            yield "off by one", ast.Constant(node.value - 1)
        elif isinstance(node.value, float):
            yield "factor", ast.Constant(node.value * 2)
    elif isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name)):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if name in SWAPPED_CALLS and isinstance(node.func, ast.Attribute):
            function = ast.Attribute(node.func.value, SWAPPED_CALLS[name], ast.Load())
            yield "other function", ast.Call(function, node.args, node.keywords)
        if name in UNWRAPPED_CALLS and node.args:
            yield f"without {name}", node.args[0]
        if len(node.args) >= 2 and name not in COMMUTATIVE:
            swapped = [node.args[-1] if k == len(node.args) - 2 else a for k, a in enumerate(node.args[:-1])]
            yield "swapped arguments", ast.Call(node.func, [*swapped, node.args[-2]], node.keywords)
        for k, keyword in enumerate(node.keywords):
            if keyword.arg in ("axis", "dim") and not isinstance(keyword.value, ast.Constant):
                others = [*node.keywords[:k], ast.keyword("axis", ast.Constant(0)), *node.keywords[k + 1 :]]
                yield "other axis", ast.Call(node.func, node.args, others)
    elif isinstance(node, ast.Name) and node.id in names:
        for other in names:
            if other not in (node.id, "g", "index", "needs"):
                yield "other variable", ast.Name(other, ast.Load())


def mutate(tree: ast.AST) -> Iterator[tuple[str, int, str, str, ast.AST]]:
    """Each mutant of a lambda or function: what was done, the line, before, after, and the new tree."""
    arguments = tree.args  # type: ignore[attr-defined]
    names = [a.arg for a in (*arguments.args, *arguments.kwonlyargs) if not a.arg.endswith("shape")]
    if isinstance(tree, ast.Lambda):
        for text, change in (("sign", "-({})"), ("factor", "2 * ({})"), ("factor", "0 * ({})")):
            mutant = copy.deepcopy(tree)
            mutant.body = ast.parse(change.format(ast.unparse(tree.body)), mode="eval").body
            yield text, tree.lineno, ast.unparse(tree.body), ast.unparse(mutant.body), mutant
    skipped = {id(n) for a in ast.walk(tree) for n in _annotations(a)}
    number = sum(1 for _ in ast.walk(tree))
    for k in range(1, number):
        node = _node(tree, k)
        if id(node) in skipped or isinstance(getattr(node, "ctx", None), ast.Store):
            continue
        for text, replacement in changes(node, names):
            mutant = copy.deepcopy(tree)
            _replace(mutant, _node(mutant, k), copy.deepcopy(replacement))
            yield text, node.lineno, ast.unparse(node), ast.unparse(replacement), ast.fix_missing_locations(mutant)


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    """What is inside of a type annotation, a docstring or an error message."""
    if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
        yield from ast.walk(node.annotation)
    if isinstance(node, ast.FunctionDef) and node.returns is not None:
        yield from ast.walk(node.returns)
    if isinstance(node, (ast.Raise, ast.JoinedStr)):
        yield from ast.walk(node)


def _node(tree: ast.AST, k: int) -> ast.AST:
    return next(n for i, n in enumerate(ast.walk(tree)) if i == k)


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
                return
            if isinstance(value, list):
                for i, item in enumerate(value):
                    if item is old:
                        value[i] = new
                        return


def build(rule: Rule, where: str, tree: ast.AST) -> Callable:
    """The rule with one of its trees replaced, as a function in a copy of its module's globals."""
    scope = dict(vars(sys.modules[rule.module]))
    for name, helper in rule.helpers.items():
        source = tree if name == where else helper
        body = ast.Module([source], [])  # type: ignore[list-item]
        exec(compile(ast.fix_missing_locations(body), f"<mutant of {rule.operation}>", "exec"), scope)
    expression = tree if where == "" else rule.expression
    body = ast.fix_missing_locations(ast.Expression(expression))  # type: ignore[arg-type]
    return eval(compile(body, f"<mutant of {rule.operation}>", "eval"), scope)


# -------------------------------------------------------------------------- testing the mutants


@dataclass
class Mutant:
    operation: str
    input: str
    place: str  # file:line
    what: str
    before: str
    after: str
    killed: str = ""  # by what

    @property
    def key(self) -> str:
        return f"{self.operation}.{self.input}: {self.before} -> {self.after}"


def draw(spec: Spec, examples: int) -> list[Case]:
    """The same examples each time."""
    cases: list[Case] = []

    @seed(0)
    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(spec.cases)
    def collect(case: Case) -> None:
        cases.append(case)

    collect()
    return cases[::-1]  # large ones first: they find more


class TooLong(Exception):
    """A mutant that does not come back."""


def _ring(*_: Any) -> None:
    raise TooLong


@contextlib.contextmanager
def planted(primitive: Primitive, rules: dict[str, Callable]) -> Iterator[None]:
    """Within it the operation has other ``rules`` for the inputs they name."""
    original = (primitive.rules, primitive.joint)
    primitive.joint = rules.get("joint", primitive.joint)
    primitive.rules = {**primitive.rules, **{k: v for k, v in rules.items() if k != "joint"}}
    primitive.plans.clear()
    try:
        yield
    finally:
        primitive.rules, primitive.joint = original
        primitive.plans.clear()


def judge(proofs: list[tuple[Spec, list[Case]]]) -> str:
    """What kills the mutant that is planted; empty if nothing does."""
    signal.signal(signal.SIGALRM, _ring)
    signal.alarm(20)
    try:
        for spec, cases in proofs:
            for case in cases:
                for property in (first_order, second_order, accepts_expanded):
                    with warnings.catch_warnings(), np.errstate(all="ignore"):
                        warnings.simplefilter("ignore")
                        property(spec, case)
    except Exception as error:
        return type(error).__name__
    finally:
        signal.alarm(0)
    return ""


def judge_by_family(primitive: Primitive) -> str:
    """The same by the tests of the operation's own file."""
    family = primitive.forward.__module__.rpartition(".")[2]
    path = ROOT / "tests" / f"test_{family}.py"
    if not path.exists():
        return ""
    arguments = ["-q", "-x", "--no-header", "-p", "no:xdist", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = pytest.main([*arguments, str(path)])
    return path.name if code == 1 else ""


def mutants_of(name: str, examples: int) -> list[Mutant]:
    """All mutants of one operation, judged."""
    primitive = REGISTRY[name]
    module = importlib.import_module(primitive.forward.__module__)
    specs = [s for n, s in SPECS.items() if (s.primitive or n) == name and s.order]
    proofs = [(s, draw(s, examples)) for s in specs]
    if not proofs:
        raise RuntimeError("no differentiable Spec")
    if (complaint := judge(proofs)) != "":
        raise RuntimeError(f"the rules as they are fail with {complaint}")
    file = os.path.relpath(str(module.__file__), ROOT)
    rules = [rule for rule in rules_of(module) if rule.operation == name]
    # A lambda belongs to one rule; a function to all rules that use it.
    sites: list[tuple[str, ast.AST, list[Rule]]]
    sites = [("", r.expression, [r]) for r in rules if isinstance(r.expression, ast.Lambda)]
    helpers = {helper: tree for rule in rules for helper, tree in rule.helpers.items()}
    sites += [(helper, tree, [r for r in rules if helper in r.helpers]) for helper, tree in helpers.items()]
    found = []
    for where, tree, users in sites:
        seen = {ast.unparse(tree)}
        for what, line, before, after, mutated in mutate(tree):
            if (text := ast.unparse(mutated)) in seen:
                continue
            seen.add(text)
            try:
                functions = {rule.input: build(rule, where, mutated) for rule in users}
            except (SyntaxError, ValueError):
                continue
            mutant = Mutant(name, where or users[0].input, f"{file}:{line}", what, before, after)
            with planted(primitive, functions):
                mutant.killed = judge(proofs)
                if not mutant.killed and mutant.key not in EQUIVALENT:
                    mutant.killed = judge_by_family(primitive)
            found.append(mutant)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--op", nargs="*", help="operations to mutate; default: all")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--examples", type=int, default=40, help="examples for each Spec")
    parser.add_argument("--verbose", action="store_true", help="list the killed as well")
    options = parser.parse_args()
    names = options.op or sorted(n for n, p in REGISTRY.items() if p.rules or p.joint)
    if unknown := set(names) - set(REGISTRY):
        parser.error(f"no operation is named {', '.join(sorted(unknown))}")
    start = time.time()
    mutants: list[Mutant] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        futures = {name: pool.submit(mutants_of, name, options.examples) for name in names}
        for name, future in futures.items():
            try:
                found = future.result()
            except Exception as error:
                print(f"{name}: {error}")
                continue
            mutants += found
            for mutant in found:
                if options.verbose or not mutant.killed:
                    state = mutant.killed or ("equivalent" if mutant.key in EQUIVALENT else "SURVIVED")
                    print(f"{mutant.place}: {state}: {mutant.operation}.{mutant.input}, {mutant.what}")
                    print(f"    - {mutant.before}\n    + {mutant.after}", flush=True)
    counted = [m for m in mutants if m.key not in EQUIVALENT]
    killed = sum(bool(m.killed) for m in counted)
    print(f"{len(mutants)} mutants of {len(names)} operations in {time.time() - start:.0f} s; "
          f"{len(mutants) - len(counted)} equivalent; {killed} of {len(counted)} others killed "
          f"({100 * killed / max(len(counted), 1):.1f}%)")  # fmt: skip
    return int(killed < len(counted))


if __name__ == "__main__":
    sys.exit(main())
