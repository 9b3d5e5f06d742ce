"""Reverse-mode differentiation: recording a computation. ``traversal.py`` goes back through what was recorded.

An *operation* is a function on arrays, plus one *rule* for each input that says how the gradient
of the output becomes the gradient of that input::

    @primitive(a=lambda g, b: g * b, b=lambda g, a: g * a)
    def multiply(a, b):
        return np.multiply(a, b)

What a rule's own parameters name is what backward needs, and exactly that is saved: an input
(``b``), the output (``y``), the shape of an input (``a_shape``), or an option of the operation.

Calling an operation on Tensors that require a gradient leaves a :class:`Node` behind. A node points
to the nodes of its inputs, never to Tensors in between, so a graph has no reference cycles and dies
as soon as its last Tensor does. :func:`~minigrad.traversal.backward` visits the nodes newest first; since a node is
always newer than its inputs, each is visited once, after all who use it. Nothing recurses.

**One rule serves every order of derivative.** In a plain backward the rules get bare arrays and
run at NumPy's speed. With ``create_graph=True`` they get Tensors, and the same operators, ``np.``
functions and operations record a graph of their own.
"""

from __future__ import annotations

import inspect
import linecache
import sys
import weakref
from _thread import _local as local  # threading.local; threading itself takes a millisecond to load
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from functools import partial, wraps
from os.path import dirname
from types import CodeType, FrameType
from typing import Any, ParamSpec

import numpy as np
from numpy import ndarray

from . import dtypes, memory
from .arguments import NUMPY_KEYWORDS
from .memory import Array, clock, exposed, stamps

P = ParamSpec("P")


# --------------------------------------------------------------------------------------- modes


class _Mode(local):
    """Switches of the current thread."""

    grad = True  # operations record nodes
    inference = False  # inside inference_mode
    watchers: tuple[Watcher, ...] = ()  # who is told what happens, the first to come outermost
    modules: tuple[Any, ...] = ()  # while watched: the nn.Modules being called, outermost first


mode = _Mode()
watching: list[Watcher] = []  # the open watchers of all threads: empty as a rule, so that asking costs nothing


with np.errstate(all="ignore"):
    # Where NumPy keeps what it does about infinities and NaN, and the value for: nothing. To set this takes a tenth
    # of the time of errstate.
    _errors, _ignore = next((var, x) for var, x in copy_context().items() if var.name == "numpy.ufunc.extobj")


class Watcher:
    """Sees, and may replace, what every operation and every rule of this thread computes in a ``with`` block.

    Subclasses override what they care for; each method calls ``compute()`` for the result. Operations
    that a rule calls on bare arrays are part of the rule. ``mode.modules`` says which modules are being
    called, and ``node.modules`` which were when the node was recorded.
    """

    def operation(self, definition: Primitive, args: Sequence[Any], arrays: Sequence[Array],
                  options: dict[str, Any], compute: Callable[[], Any]) -> Any:  # fmt: skip
        """An operation: what the caller gave it, those as arrays, its options; its output array, or a tuple of them."""
        return compute()

    def rule(self, node: Node, compute: Callable[[], Any]) -> Any:
        """A rule of ``node`` in backward: the gradient of one input, or with a joint rule those of all."""
        return compute()

    def __enter__(self) -> Any:
        mode.watchers = (*mode.watchers, self)
        watching.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        mode.watchers = tuple(w for w in mode.watchers if w is not self)
        watching.remove(self)


def watched(event: str, *what: Any) -> Any:
    """The result of ``compute``, the last of ``what``, as all watchers of this thread let it pass."""
    *about, compute = what
    for watcher in reversed(mode.watchers):
        compute = partial(getattr(watcher, event), *about, compute)
    return compute()


# -------------------------------------------------------------------------------- the data held


class TensorBase:
    """What the graph needs to know of a tensor; :class:`minigrad.Tensor` adds everything else.

    What most tensors have is in slots, which are quick to fill. The rest are class attributes that
    an instance overrides when it has something else to say.
    """

    __slots__ = ("__dict__", "__weakref__", "_array", "_node", "_requires_grad", "_view")

    _array: Array  # the values
    _node: Node | None  # how it was computed; None in leaves and constants
    _requires_grad: bool
    _view: View | None  # what it is a view of

    _grad: Any = None  # Tensor | None: the gradient, in leaves and where retain_grad() was called
    _hooks: dict[int, Callable] | None = None  # of a leaf; a computed tensor's are its node's
    _retain: weakref.ref[TensorBase] | None = None  # only a node's is ever anything else
    _accumulated_hooks: dict[int, Callable] | None = None  # of a leaf, to call after its .grad changed
    _rebased = 0  # how often an in-place operation gave the tensor a new history

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the dimensions."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements, NumPy's own."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim


tensor_class: type = TensorBase  # minigrad.tensor puts Tensor here
_new: Any = object.__new__
_getframe = sys._getframe


def new_tensor(array: Array, requires_grad: bool = False, node: Node | None = None) -> Any:
    """A Tensor around ``array``, without copying or checking."""
    tensor = _new(tensor_class)
    tensor._array = array
    tensor._node = node
    tensor._requires_grad = requires_grad
    tensor._view = None
    return tensor


class View:
    """That a tensor shares memory with ``parent``, and how to take that view again.

    An in-place operation on either must show in the history of both. The one who is written to
    hands its new history to its root at once; other views notice when they are used next.
    """

    __slots__ = ("parent", "replay", "root", "seen")

    def __init__(self, parent: TensorBase, replay: Callable[[Any], Any]) -> None:
        self.parent = parent
        self.root: TensorBase = parent if parent._view is None else parent._view.root
        self.replay = replay
        self.seen = self.root._rebased if mode.grad else -1  # a view taken within no_grad() stays constant


def refresh(tensor: TensorBase) -> None:
    """Give a view the history of its root, if an in-place operation changed that meanwhile."""
    view = tensor._view
    if view is None or view.seen == view.root._rebased:
        return
    chain = []
    while view is not None and 0 <= view.seen < view.root._rebased:
        chain.append(tensor)
        tensor = view.parent
        view = tensor._view
    for tensor in reversed(chain):
        view = tensor._view
        assert view is not None
        view.seen = view.root._rebased
        with grad_mode(True):
            rebase(tensor, view.replay(view.parent))


def rebase(tensor: TensorBase, result: TensorBase) -> None:
    """Give ``tensor`` the history of ``result``, and let that retain the gradient if the former did."""
    before, node = tensor._node, result._node
    if before is not None and before._retain is not None and before._retain() is tensor:
        if node is not None:
            node._retain = before._retain
        before._retain = None
    tensor._node, tensor._requires_grad = node, result._requires_grad


class Node:
    """One recorded operation: its rules, what they need, and where its inputs came from."""

    __slots__ = ("__dict__", "__weakref__", "code", "dtype", "edges", "instruction", "order", "plan", "saved", "shape")

    plan: Plan
    edges: Sequence[Node | TensorBase | None]  # per input: its node, the leaf itself, or None
    saved: Sequence[Any] | None  # None once a backward has used and released it
    order: int
    shape: tuple[int, ...]
    dtype: np.dtype
    code: CodeType  # where in the program it was recorded
    instruction: int

    digests: list[int | None] | None = None  # of saved arrays that code outside can change
    _hooks: dict[int, Callable] | None = None
    _retain: weakref.ref[TensorBase] | None = None  # the tensor that retain_grad() was called on
    modules: tuple[Any, ...] = ()  # if watched: the nn.Modules that were being called, outermost first

    @property
    def name(self) -> str:
        return self.plan.primitive.name

    @property
    def line(self) -> str:
        """File, line and text of the source that recorded this node."""
        return describe(self.code, self.instruction)

    def __repr__(self) -> str:
        return f"<{self.name} node, shape {self.shape}, recorded at {self.line}>"


Edge = Node | TensorBase


def edge_of(tensor: TensorBase) -> Edge | None:
    """Where the gradient of ``tensor`` goes: its node, itself if a leaf, None if nowhere."""
    refresh(tensor)
    return (tensor._node or tensor) if tensor._requires_grad else None


# ---------------------------------------------------------------------------- source locations

_HOME = dirname(__file__)
_OURS = (_HOME + "/", dirname(_HOME) + "/nn/")
_internal: dict[str, bool] = {}  # file name -> whether it belongs to minigrad


def calling_frame(frame: FrameType) -> FrameType:
    """The frame that called into minigrad, of which ``frame`` may run code; the outermost if there is none."""
    while (inside := _internal.get(name := frame.f_code.co_filename)) is not False:
        if inside is None:
            _internal[name] = name.startswith(_OURS)
        elif frame.f_back is None:
            break
        else:
            frame = frame.f_back
    return frame


def describe_caller() -> str:
    """The position in the running program that called into minigrad."""
    frame = calling_frame(_getframe(1))
    return describe(frame.f_code, frame.f_lasti)


def describe(code: CodeType, instruction: int) -> str:
    """``file:line: text`` of a position in the program."""
    line = list(code.co_positions())[instruction // 2][0] or code.co_firstlineno
    text = linecache.getline(code.co_filename, line).strip()
    return f"{code.co_filename}:{line}" + (f": {text}" if text else "")


# ----------------------------------------------------------------------------------- primitives

REGISTRY: dict[str, Primitive] = {}
"""Every operation, by name. The test suite refuses one that it has no proof for."""

_SCALARS = frozenset((int, float, bool, type(None)))


class Primitive:
    """The definition of an operation: forward on arrays, and a rule for each input."""

    def __init__(self, forward: Callable, rules: dict[str, Callable], promotion: str | None = None,
                 broadcasts: bool = False, joint: Callable | None = None, inputs: Sequence[str] = (),
                 arrange: Callable | None = None) -> None:  # fmt: skip
        self.forward, self.rules, self.joint, self.arrange = forward, rules, joint, arrange
        self.promotion, self.broadcasts = promotion, broadcasts
        self.name = forward.__name__.strip("_")
        self.inputs = list(inputs) or list(rules)
        # Read from the code object: inspect.signature takes ten times as long, at every import.
        function = inspect.unwrap(forward)
        code = function.__code__
        self.variadic = bool(code.co_flags & inspect.CO_VARARGS)  # then nothing else is positional
        count = code.co_argcount + code.co_kwonlyargcount
        names = [*code.co_varnames[count : count + self.variadic], *code.co_varnames[:count]]
        if names[: len(self.inputs)] != self.inputs:
            raise TypeError(f"{self.name}: the rules {self.inputs} must name the first parameters of {names}")
        self.options = names[len(self.inputs) :]
        self.option_names = dict.fromkeys(self.options).keys()
        self.positional = code.co_varnames[: code.co_argcount]
        self.calls: dict[tuple, dict[str, str]] = {}  # ways to call it that were seen to fit
        defaults = function.__defaults__ or ()
        self.defaults = dict(zip(self.positional[code.co_argcount - len(defaults) :], defaults, strict=True))
        self.defaults |= function.__kwdefaults__ or {}
        self.optional = {n: self.defaults[n] for n in self.options if n in self.defaults}
        self.plans: dict[int, Plan] = {}

    def plan(self, mask: int) -> Plan:
        """What to save when the inputs whose bits are set in ``mask`` require a gradient."""
        if (plan := self.plans.get(mask)) is None:
            plan = self.plans[mask] = Plan(self, mask)
        return plan

    def bind(self, args: tuple, options: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Split the arguments of a call into its inputs, and all its options by name."""
        if self.variadic or len(args) == len(self.inputs):
            if options.keys() == self.option_names:
                return args, options  # as the operations themselves call each other
            if not options and len(self.optional) == len(self.options):
                return args, self.optional
        call = len(args), *options
        if call not in self.calls:
            self.calls[call] = self._check_call(len(args), options)
        given = self.defaults.copy()
        for name, value in options.items():
            given[self.calls[call].get(name, name)] = value
        if self.variadic:
            return args, given
        given.update(zip(self.positional, args, strict=False))
        return tuple([given.pop(name) for name in self.inputs]), given

    def _check_call(self, count: int, options: Iterable[str]) -> dict[str, str]:
        """Raise unless a call with ``count`` positional arguments and these keywords fits; which are aliases."""
        aliases = {k: NUMPY_KEYWORDS[k] for k in options if k in NUMPY_KEYWORDS and k not in self.options}
        given = [*self.positional[:count], *(aliases.get(k, k) for k in options)]
        expected = self.options if self.variadic else self.inputs + self.options
        if not self.variadic and count > len(self.positional):
            raise TypeError(f"{self.name}: takes at most {len(self.positional)} positional arguments, got {count}")
        if twice := [name for name in given if given.count(name) > 1]:
            raise TypeError(f"{self.name}: got two values for argument {twice[0]!r}")
        if unknown := [name for name in given if name not in expected]:
            raise TypeError(f"{self.name}: unexpected argument {unknown[0]!r}; it takes {', '.join(expected)}")
        if missing := [name for name in expected if name not in given and name not in self.defaults]:
            raise TypeError(f"{self.name}: missing argument {missing[0]!r}")
        return aliases

    def promote(self, arrays: list[Array]) -> list[Array]:
        """The arrays in the dtype that PyTorch would compute in."""
        if len(arrays) == 2 and arrays[1].__class__ in _SCALARS and arrays[0].dtype.kind == "f":
            return arrays  # NumPy does as PyTorch does
        dtype = dtypes.result_type(*(a for a in arrays if a is not None))
        if self.promotion == "float" and dtype.kind != "f":
            dtype = dtypes.get_default_dtype()
        return [
            a if a is None or (type(a) is int and dtype.kind in "iu")  # which NumPy fits in, or says that it cannot
            else dtype.type(a) if type(a) in _SCALARS
            else a.astype(dtype, copy=False)
            for a in arrays
        ]  # fmt: skip

    def bare(self, args: tuple, options: dict[str, Any]) -> Any:
        """The call with arrays alone, as the rules make it in a plain backward."""
        if not any(hasattr(a, "dtype") for a in args):
            kinds = ", ".join(type(a).__name__ for a in args)
            raise TypeError(f"{self.name}: expected a Tensor, got {kinds}")
        errors = _errors.set(_ignore)
        try:
            return self.forward(*args, **options)
        finally:
            _errors.reset(errors)

    def require_inputs(self, args: Sequence[Any]) -> None:
        """Raise if an input is None that has no default, as of a function that forgot its ``return``."""
        for name, value in zip(self.inputs, args, strict=False):
            if value is None and name not in self.defaults:
                raise TypeError(f"{self.name}: {name} must be a Tensor or a number, got None") from None

    def named(self, error: ValueError, arrays: list[Array]) -> ValueError:
        """NumPy's complaint about shapes as one that names the operation."""
        if not self.broadcasts:
            return error
        shapes = [tuple(getattr(a, "shape", ())) for a in arrays]
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            text = " and ".join(map(str, shapes))
            return ValueError(
                f"{self.name}: shapes {text} do not broadcast: counted from the last, "
                "each pair of sizes must be equal or contain a 1"
            )
        return error


ALL, NOTHING = 1000, 1001  # values of Plan.shortcut


class Plan:
    """For one operation and one choice of inputs that require a gradient: what backward needs."""

    arrange: tuple[Callable, list[int]] | None = None  # and the positions of what it takes of what is saved
    overwriting: Sequence[tuple[int | None, Callable, Any]] = ()  # rules for a gradient that may be overwritten
    expands = False  # whether the rule records another graph, and returns what arrives at its ends as a dict

    def __init__(self, primitive: Primitive, mask: int) -> None:
        self.primitive = primitive
        inputs, joint = primitive.inputs, primitive.joint is not None
        # What a rule can ask for, and where it comes from: an input by its number, the output as -1, the rest by name.
        known: dict[str, int | str] = {name: i for i, name in enumerate(inputs)}
        known |= {name: name for name in ("needs", *(f"{name}_shape" for name in inputs), *primitive.options)}
        known["y"] = -1
        told = primitive.variadic and not joint  # one rule for all inputs, told for which
        chosen: list[tuple[int | None, Callable]] = [(None, primitive.joint)] if primitive.joint else []
        for i in range(0 if joint else mask.bit_length()):
            if mask >> i & 1:
                name = inputs[0 if told else i]
                if name not in primitive.rules:
                    raise NotImplementedError(f"{primitive.name}: has no gradient with respect to {name!r}")
                chosen.append((i, primitive.rules[name]))
        functions = {rule for _, rule in chosen} | ({primitive.arrange} if primitive.arrange else set())
        needs = {rule: list(inspect.signature(rule).parameters)[1 + told :] for rule in functions}
        asked = {name for names in needs.values() for name in names}
        if unknown := asked - known.keys():
            raise TypeError(f"{primitive.name}: a rule asks for {min(unknown)!r}; it may ask for {', '.join(known)}")
        self.names = [name for name in known if name in asked]
        self.sources = [known[name] for name in self.names]
        self.guarded = [k for k, source in enumerate(self.sources) if isinstance(source, int)]
        # Per rule: the input it is for (None: all), and the position of what it takes of what is saved, if more or
        # less than one a list of them or None.
        self.rules: list[tuple[int | None, Callable, Any]] = []
        for target, rule in chosen:
            k = [self.names.index(name) for name in needs[rule]]
            takes = k[0] if len(k) == 1 else k or None
            self.rules.append((target, partial(_for_input, rule, target) if told else rule, takes))
        if len(self.rules) == 1 and hasattr(chosen[0][1], "overwrites"):
            self.overwriting = [(self.rules[0][0], chosen[0][1].overwrites, self.rules[0][2])]
        if arrange := primitive.arrange:
            self.arrange = arrange, [self.names.index(name) for name in needs[arrange]]
        # To save all inputs, nothing, one input (by its number) or the output (-1) is done in one step.
        steps: dict[tuple, int] = {(i,): i for i in range(-1, len(inputs))}
        steps |= {tuple(range(len(inputs))): ALL, (): NOTHING}
        self.shortcut = None if primitive.variadic else steps.get(tuple(self.sources))

    def save(self, arrays: Sequence[Array], out: Array, options: dict[str, Any], edges: Sequence[Any]) -> list[Any]:
        """The values that backward needs, in the order of ``names``."""
        saved: list[Any] = []
        variadic = self.primitive.variadic
        for source in self.sources:
            if source == -1:
                saved.append(out)
            elif isinstance(source, int):
                saved.append(tuple(arrays) if variadic else arrays[source])
            elif source == "needs":
                saved.append(tuple(edge is not None for edge in edges))
            elif source in options:
                saved.append(options[source])
            else:  # NAME_shape
                shapes = [getattr(a, "shape", ()) for a in arrays]
                saved.append(shapes if variadic else shapes[self.primitive.inputs.index(source[:-6])])
        return saved

    def guarded_values(self, saved: Sequence[Any]) -> list[tuple[str, Array]]:
        """The arrays among what was saved, and what the operation calls them."""
        arrays: list[tuple[str, Array]] = []
        for k in self.guarded:
            value, name = saved[k], self.names[k]
            if value.__class__ is tuple:
                arrays.extend((f"{name}[{i}]", v) for i, v in enumerate(value))
            else:
                arrays.append((name, value))
        return arrays

    def as_tensors(self, node: Node, saved: Sequence[Any]) -> list[Any]:
        """What ``node`` saved, with arrays as Tensors that lead where their gradients belong."""
        values = [None if source == "memory" else value for source, value in zip(self.sources, saved, strict=True)]
        for k in self.guarded:
            source, value = self.sources[k], saved[k]
            if source == -1:
                values[k] = pick_all(node, value) if value.__class__ is tuple else pick(node, value, 0, 1)
            elif value.__class__ is tuple:
                values[k] = tuple(map(as_tensor, value, node.edges))
            else:
                values[k] = as_tensor(value, node.edges[source])  # type: ignore[index]
        return values


def _for_input(rule: Callable, index: Any, g: Any, *saved: Any) -> Any:
    return rule(g, index, *saved)


def primitive(*, promotion: str | None = None, broadcasts: bool = False, view: bool = False, quiet: bool = False,
              joint: Callable | None = None, inputs: Sequence[str] = (), arrange: Callable | None = None,
              **rules: Callable) -> Callable[[Callable[P, Any]], Callable[P, Any]]:  # fmt: skip
    """Make a function on arrays an operation: recorded when called on Tensors, and registered.

    Each further keyword is the rule of the input it names; inputs without a rule have no gradient.

    A function with the option ``memory`` can spare its rule work. That is None, or when a gradient is
    required a list, to which the function may append; the rule asks for it like for any option, and gets
    None when the gradient is to be differentiated again: then it must compute everything anew.

    Rules can have two attributes that spare passes over memory, functions called in their place. ``adds`` gets the sum
    of what has arrived at the input, before the gradient, to add to it; if it cannot it returns None. ``overwrites``,
    of the only rule that runs, may write to the gradient it gets.

    Args:
        promotion: ``"common"`` casts all inputs to their common dtype by PyTorch's rules, ``"float"``
            also turns integers into the default float; None leaves dtypes to the function.
        broadcasts: the inputs broadcast against each other; the engine sums the gradients back.
        view: the output may share memory with the first input.
        quiet: what is outside the function's domain becomes infinite or NaN without a warning.
        joint: one rule that returns the gradients of all ``inputs`` together, where they share work.
            It may ask for ``needs``, a tuple that tells which of them are wanted.
        arrange: how to store the arriving gradient, an array, before all rules take it; it asks like a rule.
    """

    def define(forward: Callable[P, Any]) -> Callable[P, Any]:
        definition = Primitive(forward, rules, promotion, broadcasts, joint, inputs, arrange)
        arity = None if definition.variadic else len(definition.inputs)
        if definition.options:
            arity = -1  # bind every call
        differentiable = bool(rules or joint)
        plans, to_float, remembers = definition.plans, promotion == "float", "memory" in definition.options

        @wraps(forward)
        def operation(*args: Any, **options: Any) -> Any:
            if options or len(args) != arity:
                args, options = definition.bind(args, options)
            arrays: list[Array] = []
            edges: list[Edge | None] = []
            mask = 0  # of the inputs that require a gradient
            bit = 1
            plain = True  # only Tensors, of one dtype
            foreign = False  # something is neither Tensor nor number
            dtype = None
            for a in args:
                if isinstance(a, TensorBase):
                    if a._view is not None:
                        refresh(a)
                    if a._requires_grad:
                        mask |= bit
                        edges.append(a._node or a)
                    else:
                        edges.append(None)
                    a = a._array
                    if dtype is not a.dtype:
                        if dtype is None:
                            dtype = a.dtype
                        else:
                            plain = False
                else:
                    plain = False
                    edges.append(None)
                    if type(a) not in _SCALARS:
                        foreign = True
                arrays.append(a)
                bit += bit
            if dtype is None:
                return definition.bare(args, options)
            if foreign:
                arrays = [operand(a, definition.name) for a in args]
            if promotion is not None and (not plain or (to_float and dtype.kind != "f")):
                arrays = definition.promote(arrays)
            if remembers and mask:
                options = {**options, "memory": []}
            if quiet:
                errors = _errors.set(_ignore)
            try:
                if watching:
                    out = watched("operation", definition, args, arrays, options, partial(forward, *arrays, **options))
                elif arity == 2:  # what is recorded most; to unpack a list would take a twentieth of it all
                    out = forward(arrays[0], arrays[1])  # type: ignore[call-arg]
                else:
                    out = forward(*arrays, **options) if options else forward(*arrays)  # type: ignore[call-arg]
            except ValueError as error:
                raise definition.named(error, arrays) from None
            except OverflowError as error:
                raise OverflowError(f"{definition.name}: {error}") from None
            except (AttributeError, TypeError):
                definition.require_inputs(args)
                raise
            finally:
                if quiet:
                    _errors.reset(errors)
            if out.__class__ is not ndarray:
                if isinstance(out, tuple):
                    return record_several(definition, edges, arrays, out, options, mask if differentiable else 0)
                if isinstance(out, np.generic):
                    out = np.asarray(out)
            tensor = _new(tensor_class)
            tensor._array = out
            tensor._view = None
            if mask and differentiable and mode.grad and out.dtype.kind == "f":
                tensor._requires_grad = True
                tensor._node = new_node(plans.get(mask) or definition.plan(mask), edges, arrays, out, options)
            else:
                tensor._requires_grad = False
                tensor._node = None
            if view and (base := out.base) is not None and (
                base is arrays[0] or base is arrays[0].base or memory.owner(out) is memory.owner(arrays[0])
            ):
                rest = args[1:]
                tensor._view = View(args[0], lambda parent: operation(parent, *rest, **options))
            return tensor

        if REGISTRY.setdefault(definition.name, definition) is not definition:
            raise ValueError(f"an operation named {definition.name!r} exists already")
        operation.primitive = definition  # type: ignore[attr-defined]
        return operation

    return define


def operand(value: Any, name: str) -> Any:
    """What an operation computes with for a Tensor, a number, or something else that users give it."""
    if isinstance(value, TensorBase):
        return value._array
    if isinstance(value, np.generic):
        return value.item()  # a number like any other: it never widens
    if isinstance(value, np.ndarray):
        memory.adopt(value)
    elif type(value) not in _SCALARS and not hasattr(value, "__array_function__"):
        raise TypeError(f"{name}: expected a Tensor or a number, got {type(value).__name__}")
    return value


def new_node(plan: Plan, edges: Sequence[Any], arrays: Sequence[Array], out: Any, options: dict[str, Any]) -> Node:
    """Record one operation."""
    node = _new(Node)
    node.plan = plan
    node.edges = edges
    shortcut = plan.shortcut  # takes most of what is ever recorded past the general case
    if shortcut is None:
        node.saved = plan.save(arrays, out, options, edges)
    elif shortcut == -1:
        node.saved = [out]
    elif shortcut == ALL:
        node.saved = arrays
    elif shortcut == NOTHING:
        node.saved = ()
    else:
        node.saved = [arrays[shortcut]]
    if out.__class__ is tuple:
        node.shape, node.dtype = tuple(o.shape for o in out), out[0].dtype
    else:
        node.shape, node.dtype = out.shape, out.dtype
    frame = _getframe(2)
    code = frame.f_code
    if _internal.get(code.co_filename, True):
        frame = calling_frame(frame)
        code = frame.f_code
    node.code, node.instruction = code, frame.f_lasti
    node.order = clock()
    if watching:
        node.modules = mode.modules
    if exposed and suspect(node):
        node.digests = [memory.digest(value) for _, value in plan.guarded_values(node.saved)]
    return node


def record_several(definition: Primitive, edges: list[Edge | None], arrays: Sequence[Array], outs: tuple[Array, ...],
                   options: dict[str, Any], mask: int) -> tuple[Any, ...]:  # fmt: skip
    """The Tensors of an operation that returns a tuple. For its rule a single output is bare, as anywhere else."""
    outs = tuple(np.asarray(out) if isinstance(out, np.generic) else out for out in outs)
    if not (mask and mode.grad):
        return tuple(map(new_tensor, outs))
    result = outs if len(outs) > 1 else outs[0]
    return pick_all(new_node(definition.plan(mask), edges, arrays, result, options), outs)


def pick_all(node: Node, outs: Sequence[Array]) -> tuple[Any, ...]:
    """Tensors for the outputs of one node, each with a small node of its own that names which it is."""
    return tuple(pick(node, out, i, len(outs)) for i, out in enumerate(outs))


def pick(node: Node, out: Array, index: int, count: int) -> Any:
    """The Tensor of one of the outputs of a node."""
    if out.dtype.kind != "f":
        return new_tensor(out)
    if count > 1:
        node = new_node(_PICK, [node], (), out, {"index": index, "count": count})
    return new_tensor(out, True, node)


def _pick(whole: tuple, index: int, count: int) -> Array:
    """Output number ``index`` of an operation that has ``count``."""
    return whole[index]


def _cast(input: Array) -> Array:
    """``input``, as it was when an operation used it."""
    return input


def hidden(forward: Callable, *inputs: str, joint: Callable | None = None, **rules: Callable) -> Plan:
    """The plan of an operation of the house's own, which nobody calls."""
    return Plan(Primitive(forward, rules, joint=joint, inputs=inputs), mask=1)


_CAST = hidden(_cast, input=lambda g: g)
_PICK = hidden(_pick, whole=lambda g, index, count: tuple(g if i == index else None for i in range(count)))


def suspect(node: Node) -> bool:
    """Whether something that ``node`` saved lies in memory that is exposed or was changed since: a quick look."""
    saved: Any = node.saved
    for k in node.plan.guarded:
        value = saved[k]
        if value.__class__ is ndarray:
            key = id(value if value.base is None else memory.owner(value))
            if key in exposed or stamps.get(key, 0) > node.order:
                return True
        elif value.__class__ is tuple:
            return True
    return False


def as_tensor(value: Any, edge: Edge | None) -> Any:
    """A saved value as a Tensor whose gradient goes to ``edge``."""
    if not hasattr(value, "shape"):
        return value  # a number or None
    if isinstance(edge, TensorBase):
        if edge._array is value:
            return edge
        edge = new_node(_CAST, [edge], (), value, {})  # a cast of the leaf, or its data was replaced since
    return new_tensor(value, edge is not None, edge)


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: the sum of ``g`` over the dimensions that ``shape`` was stretched along."""
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, size in enumerate(shape) if size == 1 and g.shape[i + extra] != 1
    )
    if axes:
        g = np.sum(g, axis=axes, keepdims=True)
    return np.reshape(g, shape) if extra or g.shape != shape else g


# ------------------------------------------------------------------------------- what is going on


class _Switched:
    """Give a switch of this thread another value, within a ``with`` block."""

    __slots__ = ("before", "name", "value")

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def __enter__(self) -> None:
        self.before = getattr(mode, self.name)
        setattr(mode, self.name, self.value)

    def __exit__(self, *_: object) -> None:
        setattr(mode, self.name, self.before)


def grad_mode(enabled: bool) -> _Switched:
    """Switch recording on or off in this thread, within a ``with`` block."""
    return _Switched("grad", enabled)


def calling(module: Any) -> _Switched:
    """Tell the watchers of this thread, within a ``with`` block, that ``module`` is being called."""
    return _Switched("modules", (*mode.modules, module))
