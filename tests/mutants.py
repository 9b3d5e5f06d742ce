"""Plant an error in each gradient rule, one at a time, and see whether the suite notices.

    python -m tests.mutants [--op NAME ...] [--jobs 2] [--examples 40] [--verbose]

A mutant is a rule with one small change in its syntax tree: a sign, a factor, a dropped or swapped
operand, an index off by one, another axis, a sine for a cosine. It takes the place of the rule in
the registered operations that use it, and first- and second-order properties (tests/properties.py)
of all Specs that record these run against it, on examples drawn beforehand. What survives also has
to pass the family's own tests, tests/test_<family>.py, where ties and kinks are, and those of the
kernels. Run by hand.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import inspect
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings

from minigrad.engine import REGISTRY, edge_of

from .properties import accepts_expanded, call, differentiable, first_order, recorded, run, runs_on_ducks, second_order
from .samples.spec import Case
from .test_ops import SPECS

ROOT = Path(__file__).parents[1]
# Own tests that have another name.
OTHER_FILES = {"observing": "nn", "loss": "losses", "recurrent": "rnn", "attention": "transformer"}
NOT_RULES = {"promotion", "broadcasts", "view", "inputs", "integers", "arrange"}

_ANEW = "_standardize_gradients(g, input, weight, bias, {}, needs, dims, shape, eps)"
EQUIVALENT = {
    # "operation.input: before -> after" of what no test can tell from the original, by the reason why
    "the slope is exactly 0 or 1 long before the bound": [
        "_gelu_input: np.clip(input, -40, 40) -> np.clip(input, -40, 41)",
        "_gelu_input: np.clip(input, -40, 40) -> np.clip(input, -40, 39)",
        "_gelu_input: np.clip(input, -40, 40) -> np.clip(input, -41, 40)",
        "_gelu_input: np.clip(input, -40, 40) -> np.clip(input, -39, 40)",
        "_gelu_tanh: np.clip(x, -10, 10) -> np.clip(x, -10, 11)",
        "_gelu_tanh: np.clip(x, -10, 10) -> np.clip(x, -10, 9)",
        "_gelu_tanh: np.clip(x, -10, 10) -> np.clip(x, -11, 10)",
        "_gelu_tanh: np.clip(x, -10, 10) -> np.clip(x, -9, 10)",
    ],
    "any divisor but 0 would do where 0 is divided, or the quotient is not taken": [
        "_sinc_input: np.where(zero, 1, input) -> np.where(zero, 2, input)",
        "_std_input: np.where(flat, 1, 2 * y) -> np.where(flat, 2, 2 * y)",
        "_power_norm_input: np.where(flat, 1, y) -> np.where(flat, 2, y)",
        "_power_norm_input: np.where(flat, 1, np.abs(ratio)) -> np.where(flat, 2, np.abs(ratio))",
    ],
    "nothing comes before the first element that this could multiply": [
        "_reverse_scan: _before(np.flip(a, dim), dim, 0) -> _before(np.flip(a, dim), dim, 1)",
        "_reverse_scan: _before(np.flip(a, dim), dim, 0) -> _before(np.flip(a, dim), dim, -1)",
    ],
    "all have this type, size or number of dimensions": [
        "_cumprod_input: g.ndim -> input.ndim",
        "_cumprod_input: g.ndim -> y.ndim",
        "_logcumsumexp_input: g.ndim -> input.ndim",
        "_logcumsumexp_input: g.ndim -> y.ndim",
        "_pow_input: np.zeros_like(g) -> np.zeros_like(input)",
        "_gelu_input: g.ndim -> input.ndim",
        "_gelu_input: g.ndim -> y.ndim",
        "_step: hidden.shape -> weight.shape",
        "_mse_input: input.shape -> target.shape",
        "_causal: query._array -> key._array",
        "_standardize_gradients: isinstance(input, TensorBase) -> isinstance(scale, TensorBase)",
        "_cross_entropy_input: input.shape -> target.shape",
    ],
    "any number too small to matter would do": [
        "_gelu_slope: np.copysign(1e-30, x) -> np.copysign(2e-30, x)",
        "_gelu_slope: np.copysign(1e-30, x) -> np.copysign(1e-30, y)",
    ],
    "there is one, and any negative number stands for it": [
        "_bias_rule: normalization.sums(g)[0] -> normalization.sums(g)[-1]",
        "_attention_gradients: memory[0] -> memory[-1]",
        "convolution.weight: memory[0] -> memory[-1]",
        "_layer_norm_gradients: (-1, math.prod(shape)) -> (-2, math.prod(shape))",
        "_layer_norm_gradients: weight.reshape(-1) -> weight.reshape(-2)",
        "_standardize_gradients: mean.reshape(-1) -> mean.reshape(-2)",
        "_standardize_gradients: scale.reshape(-1) -> scale.reshape(-2)",
        "_by_head: a.reshape(-1, *a.shape[-2:]) -> a.reshape(-2, *a.shape[-2:])",
    ],
    "what stands there is computed anew": [
        "_layer_norm_gradients: " + _ANEW.format("input, input") + " -> " + _ANEW.format("dims, input"),
        "_layer_norm_gradients: " + _ANEW.format("input, input") + " -> " + _ANEW.format("eps, input"),
        "_layer_norm_gradients: " + _ANEW.format("input, input") + " -> " + _ANEW.format("input, weight"),
        "_layer_norm_gradients: " + _ANEW.format("input, input") + " -> " + _ANEW.format("input, bias"),
        "_layer_norm_gradients: " + _ANEW.format("input, input") + " -> " + _ANEW.format("input, dims"),
        "_layer_norm_gradients: " + _ANEW.format("input, input") + " -> " + _ANEW.format("input, eps"),
        "_layer_norm_gradients: " + _ANEW.format("input, input") + " -> " + _ANEW.format("input, memory"),
    ],
    "b, a sum that contains a, is -inf only where a is": [
        "_exp_difference: np.equal(a, -math.inf) -> np.equal(b, -math.inf)",
    ],
    "only quicker than the general case": [
        "_pow_input: isinstance(exponent, (int, float)) -> isinstance(input, (int, float))",
        "_embedding_weight: padding_idx is not None -> indices is not None",
        "_by_channel: kernels.handles(x) -> kernels.handles(dims)",
        "_by_channel: (0, *range(2, x.ndim)) -> (1, *range(2, x.ndim))",
        "_by_channel: (0, *range(2, x.ndim)) -> (-1, *range(2, x.ndim))",
        "_by_channel: range(2, x.ndim) -> range(x.ndim, 2)",
        "_by_channel: range(2, x.ndim) -> range(3, x.ndim)",
        "_by_channel: range(2, x.ndim) -> range(1, x.ndim)",
        "_spread: math.prod(shape) > 4096 -> math.prod(shape) <= 4096",
        "_spread: math.prod(shape) > 4096 -> math.prod(shape) > 4097",
        "_spread: math.prod(shape) > 4096 -> math.prod(shape) > 4095",
        "_spread: g.__class__ -> axes.__class__",
        "_standardize_gradients: center and (not recording) and _by_channel(input, dims)"
        " -> center and recording and _by_channel(input, dims)",
        "_standardize_gradients: shape[d] == 1 -> shape[d] == 0",
        "_times: a.ndim <= 2 -> a.ndim < 2",
        "_times: a.ndim <= 2 -> a.ndim <= 1",
    ],
}

KNOWN = {key: reason for reason, keys in EQUIVALENT.items() for key in keys}
CHOICES = ("fast(", "_by_channel(")  # calls that choose between two ways to compute the same

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
    for name, decorator in _definitions(tree):
        primitive = REGISTRY.get(name.strip("_"))
        if primitive is None or primitive.forward.__module__ != module.__name__:
            continue
        for keyword in getattr(decorator, "keywords", ()):
            if keyword.arg is not None and keyword.arg not in NOT_RULES:
                helpers = _reached(keyword.value, functions)
                yield Rule(primitive.name, keyword.arg, module.__name__, keyword.value, helpers)


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The names that a module gives to what is decorated, or made by a call, and that decorator or call."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from ((node.name, decorator) for decorator in node.decorator_list)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


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
COMMUTATIVE = {"equal", "not_equal", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "hypot",
               "swapaxes"}
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
    names = [a.arg for a in (*arguments.args, *arguments.kwonlyargs) if not a.arg.endswith(("shape", "name"))]
    if isinstance(tree, ast.Lambda):
        for text, change in (("sign", "-({})"), ("factor", "2 * ({})"), ("factor", "0 * ({})")):
            mutant = copy.deepcopy(tree)
            mutant.body = ast.parse(change.format(ast.unparse(tree.body)), mode="eval").body
            yield text, tree.lineno, ast.unparse(tree.body), ast.unparse(mutant.body), mutant
    skipped = {id(n) for a in ast.walk(tree) for n in _annotations(a)}
    nodes = list(ast.walk(tree))
    parents = {id(child): node for node in nodes for child in ast.iter_child_nodes(node)}
    for k, node in enumerate(nodes):
        if k == 0 or id(node) in skipped or isinstance(getattr(node, "ctx", None), ast.Store):
            continue
        shown = node  # a number or a name alone would not say which: show what it stands in
        while isinstance(shown, (ast.Constant, ast.Name, ast.UnaryOp, ast.keyword)) and id(shown) in parents:
            shown = parents[id(shown)]
        if shown is tree:
            shown = node
        for text, replacement in changes(node, names):
            mutant = copy.deepcopy(tree)
            copies = list(ast.walk(mutant))
            _replace(mutant, copies[k], new := copy.deepcopy(replacement))
            after = new if shown is node else copies[nodes.index(shown)]
            yield text, node.lineno, ast.unparse(shown), ast.unparse(after), ast.fix_missing_locations(mutant)


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    """What is inside of a type annotation or an error message, and what only asserts."""
    if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
        yield from ast.walk(node.annotation)
    if isinstance(node, ast.FunctionDef) and node.returns is not None:
        yield from ast.walk(node.returns)
    if isinstance(node, (ast.Raise, ast.JoinedStr)) or (isinstance(node, ast.keyword) and node.arg == "strict"):
        yield from ast.walk(node)


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
    owner: str  # the operation and its input, or the function that several rules share
    place: str  # file:line
    what: str
    before: str
    after: str
    killed: str = ""  # by what

    @property
    def key(self) -> str:
        return f"{self.owner}: {self.before} -> {self.after}"

    @property
    def excuse(self) -> str:
        """Why no test can tell it from the original; empty if one should."""
        return KNOWN.get(self.key, "only quicker or slower" if self.before.startswith(CHOICES) else "")


@dataclass
class Site:
    """Something to mutate: a lambda, which belongs to one rule, or a function, to all rules that use it."""

    where: str  # the function; empty for a lambda
    tree: ast.AST
    users: list[Rule]


def sites_of(module: Any) -> list[Site]:
    rules = list(rules_of(module))
    sites = [Site("", r.expression, [r]) for r in rules if isinstance(r.expression, ast.Lambda)]
    helpers = {helper: tree for rule in rules for helper, tree in rule.helpers.items()}
    return sites + [Site(helper, tree, [r for r in rules if helper in r.helpers]) for helper, tree in helpers.items()]


@cache
def drawn(name: str, examples: int) -> list[Case]:
    """Examples for a Spec, the same each time."""
    cases: list[Case] = []

    @seed(0)
    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(SPECS[name].cases)
    def collect(case: Case) -> None:
        cases.append(case)

    collect()
    return cases[::-1]  # large ones first: they find more


@cache
def recorders() -> dict[str, list[str]]:
    """For each operation the Specs that record it, those that are named after it first."""
    found: dict[str, list[str]] = {}
    for name, spec in SPECS.items():
        nodes: set[str] = set()
        for case in drawn(name, 8) if spec.order else ():
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                nodes |= recorded([edge_of(t) for t in differentiable(call(spec, case)[1])])
        for node in nodes:
            found.setdefault(node, []).append(name)
    for operation, names in found.items():
        names.sort(key=lambda name, own=operation: (SPECS[name].primitive or name) != own)
        del names[12:]
    return found


class TooLong(Exception):
    """A mutant that does not come back."""


def _ring(*_: Any) -> None:
    raise TooLong


@contextlib.contextmanager
def planted(rules: list[tuple[Rule, Callable]]) -> Iterator[None]:
    """Within it the operations have other functions for their rules."""
    primitives = {rule.operation: REGISTRY[rule.operation] for rule, _ in rules}
    before = [(p, p.rules, p.joint) for p in primitives.values()]
    for rule, function in rules:
        primitive = primitives[rule.operation]
        if rule.input == "joint":
            primitive.joint = function
        else:
            primitive.rules = {**primitive.rules, rule.input: function}
        primitive.plans.clear()
    try:
        yield
    finally:
        for primitive, original, joint in before:
            primitive.rules, primitive.joint = original, joint
            primitive.plans.clear()


QUICK = (first_order, second_order, accepts_expanded)


def judge(names: list[str], examples: int, properties: Sequence[Callable] = QUICK) -> tuple[str, int, Callable] | None:
    """Where a property fails while a mutant is planted: the Spec, the number of its example, the property."""
    place = None
    signal.signal(signal.SIGPROF, _ring)
    signal.setitimer(signal.ITIMER_PROF, 60)  # of computing, however busy the machine is
    try:
        for name in names:
            for number, case in enumerate(drawn(name, examples)):
                for property in properties:
                    if property is not second_order or SPECS[name].order > 1:
                        place = name, number, property
                        run(property, SPECS[name], case)
    except Exception:
        return place
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


@cache
def holds(name: str, number: int, property: Callable, examples: int) -> bool:
    """Whether a property holds as long as nothing is planted: else its failure says nothing."""
    try:
        run(property, SPECS[name], drawn(name, examples)[number])
    except Exception:
        return False
    return True


def judge_by_family(module: Any) -> str:
    """The same by the tests of the operations' own file and of the kernels."""
    family = module.__name__.rpartition(".")[2]
    own = sorted((ROOT / "tests").glob(f"test_{OTHER_FILES.get(family, family)}*.py"))
    paths = [str(p) for p in (*own, ROOT / "tests/test_kernels.py")]
    child = os.fork()  # pytest leaves much behind
    if not child:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        late = ["pytest.PytestAssertRewriteWarning", "hypothesis.errors.HypothesisSideeffectWarning"]
        os._exit(pytest.main(["-q", "-x", "-n0", *(f"-Wignore::{w}" for w in late), *paths]))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, 1):
        raise RuntimeError(f"{', '.join(paths)} cannot be run: pytest says {code}")
    return "the family's or the kernels' tests" if code else ""


def mutants_of(module_name: str, number: int, examples: int) -> list[Mutant]:
    """All mutants of one site, judged."""
    module = importlib.import_module(module_name)
    site = sites_of(module)[number]
    operations = sorted({rule.operation for rule in site.users})
    names = list(dict.fromkeys(name for o in operations for name in recorders().get(o, ())))
    owner = site.where or f"{operations[0]}.{site.users[0].input}"
    if not names:
        raise RuntimeError(f"{owner}: no Spec records {', '.join(operations)}")
    file = os.path.relpath(str(module.__file__), ROOT)
    found, seen = [], {ast.unparse(site.tree)}
    for what, line, before, after, mutated in mutate(site.tree):
        if (text := ast.unparse(mutated)) in seen:
            continue
        seen.add(text)
        try:
            functions = [(rule, build(rule, site.where, mutated)) for rule in site.users]
        except (SyntaxError, ValueError):
            continue
        mutant = Mutant(owner, f"{file}:{line}", what, before, after)
        with planted(functions):
            failure = judge(names[: 1 if mutant.excuse else None], examples)
            if failure is None and not mutant.excuse:
                failure = judge(names, examples, (runs_on_ducks,))
                mutant.killed = "" if failure else judge_by_family(module)
        if failure is not None:
            name, number, property = failure
            if not holds(name, number, property, examples):
                raise RuntimeError(f"{owner}: {property.__name__} of {name} fails with the rules as they are")
            mutant.killed = f"{property.__name__} of {name}"
        found.append(mutant)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--op", nargs="*", help="operations to mutate; default: all")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--examples", type=int, default=40, help="examples for each Spec")
    parser.add_argument("--verbose", action="store_true", help="list the killed as well")
    options = parser.parse_args()
    wanted = set(options.op or REGISTRY)
    if unknown := wanted - set(REGISTRY):
        parser.error(f"no operation is named {', '.join(sorted(unknown))}")
    modules = sorted({p.forward.__module__ for p in REGISTRY.values() if p.forward.__module__.startswith("minigrad")})
    sites = [
        (module, number)
        for module in modules
        for number, site in enumerate(sites_of(importlib.import_module(module)))
        if wanted & {rule.operation for rule in site.users}
    ]
    start = time.time()
    mutants: list[Mutant] = []
    complaints = 0
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(mutants_of, *site, options.examples) for site in sites]
        for future in futures:
            try:
                found = future.result()
            except Exception as error:
                print(error, flush=True)
                complaints += 1
                continue
            mutants += found
            for mutant in found:
                if options.verbose or not (mutant.killed or mutant.excuse):
                    state = mutant.killed or mutant.excuse or "SURVIVED"
                    print(f"{mutant.place}: {state}: {mutant.owner}, {mutant.what}")
                    print(f"    - {mutant.before}\n    + {mutant.after}", flush=True)
    counted = [m for m in mutants if m.killed or not m.excuse]
    killed = sum(bool(m.killed) for m in counted)
    stale = KNOWN.keys() - {m.key for m in mutants} if not options.op else ()
    for key in sorted(stale):
        print(f"no such mutant any more: {key}")
    print(f"{len(mutants)} mutants of {len(sites)} rules in {time.time() - start:.0f} s; "
          f"{len(mutants) - len(counted)} are known to be equivalent; {killed} of the {len(counted)} others killed "
          f"({100 * killed / max(len(counted), 1):.1f}%)")  # fmt: skip
    return int(killed < len(counted) or complaints > 0)


if __name__ == "__main__":
    sys.exit(main())
