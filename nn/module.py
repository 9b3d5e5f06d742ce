"""Module: the base class of everything that has parameters and computes.

A module is a tree. Assigning a :class:`Parameter` or a Module as an attribute registers it, and the
tree is then walked to train, save, load, convert and print the whole.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from itertools import pairwise
from typing import Any, NamedTuple, Self

from minigrad import engine
from minigrad.backprop import RemovableHandle
from minigrad.ops.observing import observe
from minigrad.optim.optimizer import zero_grad
from minigrad.tensor import Tensor

from .parameter import Buffer, Parameter

_EXTRA_STATE = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What :meth:`Module.load_state_dict` found to differ."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        listed = f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"
        return listed if any(self) else "<All keys matched successfully>"


class _Members(MutableMapping):
    """The parameters, the buffers or the child modules of a module, by name; they are its attributes."""

    def __init__(self, module: Module, kind: str) -> None:
        self.module, self.kind = module, kind

    def __getitem__(self, name: str) -> Any:
        if self.module._kinds.get(name) != self.kind:
            raise KeyError(name)
        return self.module.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.module._kinds[name] = self.kind
        self.module.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        delattr(self.module, name)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, kind in self.module._kinds.items() if kind == self.kind])

    def __len__(self) -> int:
        return sum(kind == self.kind for kind in self.module._kinds.values())

    def __repr__(self) -> str:
        return repr(dict(self))


class Module:
    """Base class of all layers and networks.

    Subclasses call ``super().__init__()`` first, assign their layers and parameters as attributes,
    and define :meth:`forward`.
    """

    _version = 1  # stored by state_dict; raise it when the meaning of the saved tensors changes
    training: bool

    def __init__(self) -> None:
        self.training = True
        self._kinds: dict[str, str] = {}  # which attributes are a "parameter", a "buffer" or a "module", in order
        self._non_persistent_buffers_set: set[str] = set()
        self._hooks: dict[int, tuple[str, Any]] = {}  # the occasions on which they are called, and the hooks

    # --------------------------------------------------------------------------- calling

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; every subclass defines this."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks or engine.watching:
                with engine.calling(self):
                    return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            _note_place(error, self, args)
            raise

    def _call_with_hooks(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in self._hooks_for("forward_pre"):
            result = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if result is None:
                continue
            if not with_kwargs:
                args = result if isinstance(result, tuple) else (result,)
            elif isinstance(result, tuple) and len(result) == 2:
                args, kwargs = result
            else:
                raise RuntimeError(f"a forward pre-hook with kwargs must return None or (args, kwargs), got {result!r}")
        observer = _BackwardObserver(self)
        result = self.forward(*observer.observe_inputs(args), **kwargs)
        for hook, with_kwargs in self._hooks_for("forward"):
            replaced = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if replaced is not None:
                result = replaced
        return observer.observe_outputs(result)

    def _hooks_for(self, occasion: str) -> list[Any]:
        return [hook for when, hook in self._hooks.values() if when == occasion]

    def _register_hook(self, occasion: str, hook: Any, prepend: bool = False) -> RemovableHandle:
        earlier = list(self._hooks)
        handle = RemovableHandle(self._hooks, (occasion, hook))
        for key in earlier if prepend else ():
            self._hooks[key] = self._hooks.pop(key)
        return handle

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False,
                                  with_kwargs: bool = False) -> RemovableHandle:  # fmt: skip
        """Call ``hook(module, args)`` before each forward; what it returns replaces the arguments.

        Args:
            prepend: call it before the hooks that are registered already.
            with_kwargs: call ``hook(module, args, kwargs)``, which returns None or both.
        """
        return self._register_hook("forward_pre", (hook, with_kwargs), prepend)

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False,
                              always_call: bool = False) -> RemovableHandle:  # fmt: skip
        """Call ``hook(module, args, output)`` after each forward; what it returns replaces the output.

        Args:
            prepend: call it before the hooks that are registered already.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
        """
        if always_call:
            raise NotImplementedError("register_forward_hook: always_call=True is not supported")
        return self._register_hook("forward", (hook, with_kwargs), prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before gradients flow through the module.

        ``grad_output`` is a tuple with the gradient of each output; what the hook returns replaces it.
        """
        return self._register_hook("backward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when gradients have flowed through the module.

        Both are tuples with a gradient or None for each positional argument and each output; what
        the hook returns replaces ``grad_input``.
        """
        return self._register_hook("backward", hook, prepend)

    # ----------------------------------------------------------------------- attributes

    # Parameters, buffers and child modules are ordinary attributes, so reading them is quick. `_kinds` says which
    # they are, and the three registries are views of both.

    _parameters = property(lambda self: _Members(self, "parameter"))
    _buffers = property(lambda self: _Members(self, "buffer"))
    _modules = property(lambda self: _Members(self, "module"))

    def _own(self, kind: str) -> list[tuple[str, Any]]:
        """This module's own parameters, buffers or modules with their names, but for those that are None."""
        own = self.__dict__
        return [(name, own[name]) for name, k in self._kinds.items() if k == kind and own[name] is not None]

    def __getattr__(self, name: str) -> Any:
        hint = "" if "_kinds" in self.__dict__ else "; Module.__init__() has not been called: super().__init__() first"
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._register("parameter", name, value)
        elif isinstance(value, Module):
            self._register("module", name, value)
        elif isinstance(value, Buffer):
            self._register("buffer", name, value)
            self._set_persistent(name, value.persistent)
        elif name in self.__dict__.get("_kinds", ()):
            self._register(self._kinds[name], name, value)
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._kinds.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def _register(self, kind: str, name: str, value: Any, new: bool = False) -> None:
        """Make ``value``, or None, this module's parameter, buffer or module ``name``.

        If it was of the same kind before, it keeps its position. A ``new`` name must not be that of something else.
        """
        what = f"class {value.__name__}" if isinstance(value, type) else type(value).__name__
        own, described = self.__dict__, f"{what!r} as {kind} {name!r}"
        if "_kinds" not in own:
            raise AttributeError(f"{type(self).__name__}: cannot assign {described} before Module.__init__() call; "
                                 "call super().__init__() first")  # fmt: skip
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string, got {type(name).__name__}")
        if "." in name or not name:
            raise KeyError(f"{kind} name must not be empty nor contain '.', got {name!r}")
        expected = {"parameter": Parameter, "buffer": Tensor, "module": Module}[kind]
        if value is not None and not isinstance(value, expected):
            raise TypeError(f"cannot assign {described} ({expected.__name__} or None expected)")
        if self._kinds.get(name) != kind:
            if new and hasattr(self, name):
                raise KeyError(f"attribute {name!r} already exists")
            if name in own:
                delattr(self, name)
        self._kinds[name] = kind
        own[name] = value

    def _set_persistent(self, name: str, persistent: bool) -> None:
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None reserves the name for one that is absent."""
        self._register("parameter", name, param, new=True)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the module's state but not trained, like a running mean.

        Args:
            persistent: whether it is part of :meth:`state_dict`.
        """
        self._register("buffer", name, tensor, new=True)
        self._set_persistent(name, persistent)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under ``name``."""
        self._register("module", name, module, new=True)

    register_module = add_module

    # ------------------------------------------------------------------------- the tree

    def named_modules(self, memo: set[Module] | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:  # fmt: skip
        """The module itself (named ``prefix``) and all below it, with dotted names, parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._own("module"):
            yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """The module itself and all below it."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def _named(self, kind: str, prefix: str = "", recurse: bool = True,
               remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:  # fmt: skip
        """The parameters, buffers or children of this module, and with ``recurse`` of all below it."""
        seen = set()
        for path, module in self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name, member in module._own(kind):
                if id(member) not in seen:
                    if remove_duplicate:
                        seen.add(id(member))
                    yield f"{path}.{name}" if path else name, member

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names."""
        return self._named("module", recurse=False)

    def children(self) -> Iterator[Module]:
        """The modules directly below."""
        return (module for _, module in self.named_children())

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:  # fmt: skip
        """All parameters with their dotted names, those of child modules too if ``recurse``."""
        return self._named("parameter", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, as an optimizer takes them."""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:  # fmt: skip
        """All buffers with their dotted names, those of child modules too if ``recurse``."""
        return self._named("buffer", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module with the dotted name ``target``; AttributeError if there is none."""
        return self._member("module", target) if target else self

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name ``target``; AttributeError if there is none."""
        return self._member("parameter", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the dotted name ``target``; AttributeError if there is none."""
        return self._member("buffer", target)

    def _member(self, kind: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if (found := dict(owner._own(kind)).get(name)) is None:
            raise AttributeError(f"{type(owner).__name__} has no {kind} {name!r} (in {target!r})")
        return found

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every module of the tree, children first; to initialise, for example."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch to training behaviour (dropout drops, batch norm adapts) or, with False, evaluation."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: the mode is expected to be a bool, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation behaviour."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Make all parameters require a gradient, or freeze them."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        zero_grad(self.parameters(), set_to_none)

    # ----------------------------------------------------------------------- conversion

    def _apply(self, fn: Callable[[Any], Any]) -> Self:
        """Put ``fn`` of it in place of the data of every parameter, gradient and buffer."""
        for module in self.modules():
            for _, param in module._own("parameter"):
                for tensor in [param] if param.grad is None else [param, param.grad]:
                    tensor.data = fn(tensor.data)
            for name, buffer in module._own("buffer"):
                module._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert parameters and buffers: ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(tensor)``.

        Integer buffers stay integers. The module is changed, and returned. The only device is the CPU.
        """
        if (dtype := Tensor(0.0).to(*args, **kwargs).dtype).kind != "f":
            raise TypeError(f"Module.to: only floating-point dtypes are possible, got {dtype}")
        return self._apply(lambda tensor: tensor.to(*args, **kwargs) if tensor.dtype.kind == "f" else tensor)

    def type(self, dst_type: Any) -> Self:
        """Cast all parameters and buffers to ``dst_type``."""
        return self._apply(lambda tensor: tensor.to(dtype=dst_type))

    def half(self) -> Self:
        """Cast floating-point parameters and buffers to float16."""
        return self.to(dtype="float16")

    def float(self) -> Self:
        """Cast floating-point parameters and buffers to float32."""
        return self.to(dtype="float32")

    def double(self) -> Self:
        """Cast floating-point parameters and buffers to float64."""
        return self.to(dtype="float64")

    def cpu(self) -> Self:
        """The module itself: everything is on the CPU."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """Not available: minigrad computes on the CPU."""
        raise RuntimeError("cuda: minigrad computes on device 'cpu'")

    # ---------------------------------------------------------------------------- state

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """All parameters and persistent buffers by dotted name, to save or to load elsewhere.

        The tensors are the module's own memory, not copies.

        Args:
            prefix: put before all names.
            keep_vars: give the parameters themselves, not detached tensors.
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._hooks_for("state_dict_pre"):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._own("module"):
            module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._hooks_for("state_dict"):
            hook(self, destination, prefix, local_metadata)
        return destination

    def _local_state(self) -> dict[str, Tensor]:
        """The parameters and persistent buffers of this module alone."""
        both, left_out = self._own("parameter") + self._own("buffer"), self._non_persistent_buffers_set
        return {name: tensor for name, tensor in both if name not in left_out}

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Add this module's own state to ``destination``; subclasses may override it."""
        for name, tensor in self._local_state().items():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def get_extra_state(self) -> Any:
        """Anything else that belongs into the state; subclasses that need it define it."""
        raise RuntimeError("Reached a code path in Module.get_extra_state() that should never be called")

    def set_extra_state(self, state: Any) -> None:
        """Take back what :meth:`get_extra_state` gave."""
        raise RuntimeError("Reached a code path in Module.set_extra_state() that should never be called")

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True,
                        assign: bool = False) -> IncompatibleKeys:  # fmt: skip
        """Copy the values of ``state_dict`` into the parameters and buffers of the same names.

        Args:
            strict: raise RuntimeError, listing them all, if names are missing or unexpected.
                Tensors of a wrong shape always raise.
            assign: put the given tensors themselves in the place of the module's, in their dtype.

        Returns:
            The missing and unexpected names.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None) or {}
        state = dict(state_dict)  # hooks may change it
        keys = IncompatibleKeys([], [])
        problems: list[str] = []

        def load(module: Module, prefix: str) -> None:
            local = metadata.get(prefix[:-1], {}) | {"assign_to_params_buffers": assign}
            module._load_from_state_dict(state, prefix, local, True, *keys, problems)
            for name, child in module._own("module"):
                load(child, f"{prefix}{name}.")
            for hook in module._hooks_for("load_state_dict"):
                if hook(module, keys) is not None:
                    raise TypeError("a load_state_dict post-hook must return None; it may change its argument in place")

        load(self, "")
        for kind, names in (("Unexpected", keys.unexpected_keys), ("Missing", keys.missing_keys)):
            if names and strict:
                listed = ", ".join(f'"{name}"' for name in names)
                problems.insert(0, f"{kind} key(s) in state_dict: {listed}. ")
        if problems:
            raise RuntimeError("\n\t".join([f"Error(s) in loading state_dict for {type(self).__name__}:", *problems]))
        return keys

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any],
                              strict: bool, missing_keys: list[str], unexpected_keys: list[str],
                              error_msgs: list[str]) -> None:  # fmt: skip
        """Load this module's own state; subclasses may override it, for older formats for example.

        Args:
            state_dict: all entries that begin with ``prefix``; may be changed.
            local_metadata: what :meth:`state_dict` stored for this module, like its ``version``.
            missing_keys, unexpected_keys, error_msgs: lists to add problems to.
        """
        for hook in self._hooks_for("load_state_dict_pre"):
            hook(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        local = self._local_state()
        for name, tensor in local.items():
            key = prefix + name
            if key not in state_dict:
                missing_keys.append(key)
                continue
            value = state_dict[key]
            if not isinstance(value, Tensor):
                error_msgs.append(f'"{key}": expected a Tensor from the state_dict but got {type(value).__name__}.')
            elif value.shape != tensor.shape:
                error_msgs.append(f"size mismatch for {key}: copying a param with shape {tuple(value.shape)} from "
                                  f"checkpoint, the shape in current model is {tuple(tensor.shape)}.")  # fmt: skip
            elif local_metadata.get("assign_to_params_buffers"):
                setattr(self, name, Parameter(value, tensor.requires_grad) if isinstance(tensor, Parameter) else value)
            else:
                with engine.grad_mode(False):
                    tensor.copy_(value)
        extra = prefix + _EXTRA_STATE
        takes_extra = type(self).set_extra_state is not Module.set_extra_state
        if takes_extra and extra in state_dict:
            self.set_extra_state(state_dict[extra])
        elif takes_extra:
            missing_keys.append(extra)
        children = dict(self._own("module"))
        for key in state_dict:
            if key.startswith(prefix) and not (takes_extra and key == extra):
                name, dot, _ = key[len(prefix) :].partition(".")
                if name not in (children if dot else local):
                    unexpected_keys.append(key)

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before :meth:`state_dict` collects."""
        return self._register_hook("state_dict_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after :meth:`state_dict` collected."""
        return self._register_hook("state_dict", hook)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, ...)``, with the arguments of ``_load_from_state_dict``, before loading."""
        return self._register_hook("load_state_dict_pre", hook)

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the lists."""
        return self._register_hook("load_state_dict", hook)

    # ------------------------------------------------------------------------- printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """The configuration, as it stands between the parentheses when the module is printed."""
        return ""

    def _printed_members(self) -> list[tuple[str, str]]:
        """What is printed below the configuration: names, and texts."""
        return [(name, repr(module)) for name, module in self._modules.items()]

    def __repr__(self) -> str:
        members = [f"({name}): {text}" for name, text in self._printed_members()]
        text = "\n".join([*filter(None, [self.extra_repr()]), *members])
        if members or "\n" in text:
            text = "\n  " + text.replace("\n", "\n  ") + "\n"
        return f"{self._get_name()}({text})"


def _note_place(error: Exception, module: Module, args: tuple) -> None:
    """Say in a note on ``error`` which module raised it: each that it leaves puts its name in front of the path."""
    calls: list[Module] = error.__dict__.setdefault("_calls", [])  # outermost first
    notes: list[str] = error.__dict__.setdefault("__notes__", [])
    place = notes.index(_place(calls)) if calls and _place(calls) in notes else len(notes)
    calls.insert(0, module)
    notes[place : place + 1] = [_place(calls)]
    if len(calls) == 1 and args and args[0] is None:
        notes.append("its input is None, which is what a function without return gives")


def _place(calls: list[Module]) -> str:
    """The path through modules of which each called the next, and the configuration of the last."""
    steps = [next((name for name, m in a.named_modules() if m is b), "") for a, b in pairwise(calls)]
    path = ".".join(filter(None, steps))
    return f"in {path}{path and ': '}{calls[-1]._get_name()}({calls[-1].extra_repr()})"


class _BackwardObserver:
    """Runs the backward hooks of one call of a module.

    Identity operations around the forward computation see the gradients pass: first that of the
    outputs, then that of the inputs.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.before, self.after = module._hooks_for("backward_pre"), module._hooks_for("backward")
        self.grad_output: tuple | None = None
        self.grad_input: tuple | None = None  # if none will arrive: None for each argument

    def observe_inputs(self, args: tuple) -> tuple:
        seen = self._observed(args, self.arrived)
        if seen is args:
            self.grad_input = (None,) * len(args)
        return seen

    def observe_outputs(self, result: Any) -> Any:
        seen = self._observed(result if isinstance(result, tuple) else (result,), self.departed)
        return seen if isinstance(result, tuple) else seen[0]

    def departed(self, grads: tuple) -> tuple:
        """The gradients of the outputs are known."""
        self.grad_output = grads = self._replaced(grads, self.before)
        if self.grad_input is not None:
            self.arrived(self.grad_input)
        return grads

    def arrived(self, grads: tuple) -> tuple:
        """The gradients of the inputs are known."""
        if self.grad_output is None:  # a second derivative, on its way through the inputs alone
            return grads
        grad_output, self.grad_output = self.grad_output, None
        return self._replaced(grads, self.after, grad_output)

    def _replaced(self, grads: tuple, hooks: list[Callable], *more: Any) -> tuple:
        """What the hooks make of the gradients, one after the other; those that return None leave them."""
        for hook in hooks:
            new = hook(self.module, grads, *more)
            new = grads if new is None else new if isinstance(new, tuple) else (new,)
            if len(new) != len(grads):
                raise RuntimeError(f"a full backward hook must return None or {len(grads)} gradient(s), got {len(new)}")
            grads = new
        return grads

    def _observed(self, values: tuple, hook: Callable[[tuple], tuple]) -> tuple:
        """``values`` by way of an operation that shows ``hook`` their gradients: None for those that need none."""
        places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        if not (places and engine.mode.grad and (self.before or self.after)):
            return values

        def show(grads: tuple) -> tuple:
            shown = dict(zip(places, grads, strict=True))
            replaced = hook(tuple(shown.get(i) for i in range(len(values))))
            return tuple(replaced[i] for i in places)

        observed = dict(zip(places, observe(*[values[i] for i in places], hook=show), strict=True))
        return tuple(observed.get(i, value) for i, value in enumerate(values))
