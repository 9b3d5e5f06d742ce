"""Module: the base class of everything that has parameters and computes.

A module is a tree. Assigning a :class:`Parameter` or a Module as an attribute registers it, and the
tree is then walked to train, save, load, convert and print the whole.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self, TypeVar

from minigrad import engine
from minigrad.backprop import RemovableHandle
from minigrad.ops.observing import observe
from minigrad.optim.optimizer import zero_grad
from minigrad.tensor import Tensor

from .parameter import Buffer, Parameter

T = TypeVar("T")
_EXTRA_STATE = "_extra_state"


def _register(hooks: dict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    later = dict(hooks) if prepend else {}
    for key in later:
        del hooks[key]
    handle = RemovableHandle(hooks, hook)
    hooks.update(later)
    return handle


class IncompatibleKeys(NamedTuple):
    """What :meth:`Module.load_state_dict` found to differ."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Module:
    """Base class of all layers and networks.

    Subclasses call ``super().__init__()`` first, assign their layers and parameters as attributes,
    and define :meth:`forward`.
    """

    _version = 1  # stored by state_dict; raise it when the meaning of the saved tensors changes
    _hooked = False  # whether there ever was a forward or backward hook: until then, calls are direct
    training: bool

    def __init__(self) -> None:
        self.training = True
        self._parameters: dict[str, Parameter | None] = {}
        self._buffers: dict[str, Tensor | None] = {}
        self._non_persistent_buffers_set: set[str] = set()
        self._modules: dict[str, Module | None] = {}
        self._forward_pre_hooks: dict[int, tuple[Callable, bool]] = {}
        self._forward_hooks: dict[int, tuple[Callable, bool]] = {}
        self._backward_pre_hooks: dict[int, Callable] = {}
        self._backward_hooks: dict[int, Callable] = {}
        self._state_dict_pre_hooks: dict[int, Callable] = {}
        self._state_dict_hooks: dict[int, Callable] = {}
        self._load_state_dict_pre_hooks: dict[int, Callable] = {}
        self._load_state_dict_post_hooks: dict[int, Callable] = {}

    # --------------------------------------------------------------------------- calling

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; every subclass defines this."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooked or engine.watching:
                with engine.calling(self):
                    return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            _note_place(error, self)
            raise

    def _call_with_hooks(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in list(self._forward_pre_hooks.values()):
            result = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if result is None:
                continue
            if not with_kwargs:
                args = result if isinstance(result, tuple) else (result,)
            elif isinstance(result, tuple) and len(result) == 2:
                args, kwargs = result
            else:
                raise RuntimeError(f"a forward pre-hook with kwargs must return None or (args, kwargs), got {result!r}")
        observer = _BackwardObserver(self) if self._backward_hooks or self._backward_pre_hooks else None
        if observer is not None:
            args = observer.observe_inputs(args)
        result = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._forward_hooks.values()):
            replaced = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if replaced is not None:
                result = replaced
        return result if observer is None else observer.observe_outputs(result)

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False,
                                  with_kwargs: bool = False) -> RemovableHandle:  # fmt: skip
        """Call ``hook(module, args)`` before each forward; what it returns replaces the arguments.

        Args:
            prepend: call it before the hooks that are registered already.
            with_kwargs: call ``hook(module, args, kwargs)``, which returns None or both.
        """
        self._hooked = True
        return _register(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False,
                              always_call: bool = False) -> RemovableHandle:  # fmt: skip
        """Call ``hook(module, args, output)`` after each forward; what it returns replaces the output.

        Args:
            prepend: call it before the hooks that are registered already.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
        """
        if always_call:
            raise NotImplementedError("register_forward_hook: always_call=True is not supported")
        self._hooked = True
        return _register(self._forward_hooks, (hook, with_kwargs), prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before gradients flow through the module.

        ``grad_output`` is a tuple with the gradient of each output; what the hook returns replaces it.
        """
        self._hooked = True
        return _register(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when gradients have flowed through the module.

        Both are tuples with a gradient or None for each positional argument and each output; what
        the hook returns replaces ``grad_input``.
        """
        self._hooked = True
        return _register(self._backward_hooks, hook, prepend)

    # ----------------------------------------------------------------------- attributes

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if "_modules" not in own:
            raise AttributeError(f"{type(self).__name__}: Module.__init__() has not been called yet, "
                                 f"so there is no attribute {name!r}; call super().__init__() first")  # fmt: skip
        for registry in (own["_parameters"], own["_buffers"], own["_modules"]):
            if name in registry:
                return registry[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, Parameter):
            self._forget(name, "_parameters", "assign parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._forget(name, "_modules", "assign module")
            own["_modules"][name] = value
        elif isinstance(value, Buffer) or ("_buffers" in own and name in own["_buffers"]):
            persistent = getattr(value, "persistent", name not in own.get("_non_persistent_buffers_set", ()))
            self._forget(name, "_buffers", "assign buffers")
            self.register_buffer(name, value, persistent)
        elif "_parameters" in own and name in own["_parameters"]:
            if value is not None:
                raise TypeError(f"cannot assign '{type(value).__name__}' as parameter '{name}' "
                                "(minigrad.nn.Parameter or None expected)")  # fmt: skip
            own["_parameters"][name] = None
        elif "_modules" in own and name in own["_modules"]:
            if value is not None:
                raise TypeError(f"cannot assign '{type(value).__name__}' as child module '{name}' "
                                "(minigrad.nn.Module or None expected)")  # fmt: skip
            own["_modules"][name] = None
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str, registry: str, action: str) -> None:
        """Take ``name`` out of all places but ``registry``, where it keeps its position."""
        own = self.__dict__
        if "_modules" not in own:
            raise AttributeError(f"{type(self).__name__}: cannot {action} before Module.__init__() call; "
                                 "call super().__init__() first")  # fmt: skip
        own.pop(name, None)
        own["_non_persistent_buffers_set"].discard(name)
        for other in {"_parameters", "_buffers", "_modules"} - {registry}:
            own[other].pop(name, None)

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*object.__dir__(self), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[0].isdigit())

    def _check_name(self, name: Any, kind: str, registry: dict[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string, got {type(name).__name__}")
        if "." in name or not name:
            raise KeyError(f"{kind} name must not be empty nor contain '.', got {name!r}")
        if hasattr(self, name) and name not in registry:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None reserves the name for one that is absent."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name(name, "parameter", self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                            "(minigrad.nn.Parameter or None required)")  # fmt: skip
        if param is not None and param.grad_fn is not None:
            raise ValueError(f"cannot assign non-leaf Tensor to parameter '{name}'")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the module's state but not trained, like a running mean.

        Args:
            persistent: whether it is part of :meth:`state_dict`.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name(name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                            "(minigrad.Tensor or None required)")  # fmt: skip
        self._buffers[name] = tensor
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under ``name``."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_name(name, "module", self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as :meth:`add_module`."""
        self.add_module(name, module)

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
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """The module itself and all below it."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names."""
        memo = set()
        for name, module in self._modules.items():
            if module is not None and module not in memo:
                memo.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below."""
        return (module for _, module in self.named_children())

    def _named_members(self, registry: str, prefix: str, recurse: bool,
                       remove_duplicate: bool) -> Iterator[tuple[str, Any]]:  # fmt: skip
        memo = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, member in module.__dict__[registry].items():
                if member is None or id(member) in memo:
                    continue
                if remove_duplicate:
                    memo.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:  # fmt: skip
        """All parameters with their dotted names, those of child modules too if ``recurse``."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, as an optimizer takes them."""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:  # fmt: skip
        """All buffers with their dotted names, those of child modules too if ``recurse``."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module with the dotted name ``target``; AttributeError if there is none."""
        module = self
        for name in target.split(".") if target else ():
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                problem = "has no attribute" if found is None else "has no module, but something else, as attribute"
                raise AttributeError(f"get_submodule: {type(module).__name__} {problem} {name!r} (in {target!r})")
            module = found
        return module

    def _get_member(self, target: str, registry: str, kind: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = module.__dict__[registry].get(name)
        if found is None:
            raise AttributeError(f"{type(module).__name__} has no {kind} {name!r} (in {target!r})")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name ``target``; AttributeError if there is none."""
        return self._get_member(target, "_parameters", "parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the dotted name ``target``; AttributeError if there is none."""
        return self._get_member(target, "_buffers", "buffer")

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

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Put ``fn`` of it in place of the data of every parameter, gradient and buffer."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is not None:
                grad = param.grad
                param.grad = None
                param.data = fn(param.data)
                if grad is not None:
                    param.grad = fn(grad.detach()).requires_grad_(grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert parameters and buffers: ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(tensor)``.

        Integer buffers stay integers. The module is changed, and returned. The only device is the CPU.
        """
        dtypes = {Tensor(0.0, dtype=dtype).to(*args, **kwargs).dtype for dtype in ("float32", "float64")}
        if len(dtypes) > 1:  # the arguments name none
            return self
        dtype = dtypes.pop()
        if dtype.kind != "f":
            raise TypeError(f"Module.to: only floating-point dtypes are possible, got {dtype}")
        return self._cast(dtype)

    def _cast(self, dtype: Any) -> Self:
        return self._apply(lambda tensor: tensor.to(dtype=dtype) if tensor.dtype.kind == "f" else tensor)

    def type(self, dst_type: Any) -> Self:
        """Cast all parameters and buffers to ``dst_type``."""
        return self._apply(lambda tensor: tensor.to(dtype=dst_type))

    def half(self) -> Self:
        """Cast floating-point parameters and buffers to float16."""
        return self._cast("float16")

    def float(self) -> Self:
        """Cast floating-point parameters and buffers to float32."""
        return self._cast("float32")

    def double(self) -> Self:
        """Cast floating-point parameters and buffers to float64."""
        return self._cast("float64")

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
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            hook(self, destination, prefix, local_metadata)
        return destination

    def _local_state(self) -> dict[str, Tensor]:
        """The parameters and persistent buffers of this module alone."""
        state: dict[str, Any] = dict(self._parameters)
        state.update((k, v) for k, v in self._buffers.items() if k not in self._non_persistent_buffers_set)
        return {name: tensor for name, tensor in state.items() if tensor is not None}

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
        state_dict = OrderedDict(state_dict)  # hooks may change it
        keys = IncompatibleKeys([], [])
        problems: list[str] = []

        def load(module: Module, state: dict[str, Any], prefix: str) -> None:
            local = dict(metadata.get(prefix[:-1], {}))
            if assign:
                local["assign_to_params_buffers"] = True
            module._load_from_state_dict(state, prefix, local, True, keys.missing_keys, keys.unexpected_keys, problems)
            for name, child in module._modules.items():
                if child is not None:
                    start = f"{prefix}{name}."
                    load(child, {k: v for k, v in state.items() if k.startswith(start)}, start)
            for hook in module._load_state_dict_post_hooks.values():
                if hook(module, keys) is not None:
                    raise TypeError("a load_state_dict post-hook must return None; it may change its argument in place")

        load(self, state_dict, "")
        if strict:
            for kind, names in (("Unexpected", keys.unexpected_keys), ("Missing", keys.missing_keys)):
                if names:
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
        for hook in self._load_state_dict_pre_hooks.values():
            hook(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        local = self._local_state()
        for name, tensor in local.items():
            key = prefix + name
            if key not in state_dict:
                missing_keys.extend([key] if strict else [])
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
        if type(self).set_extra_state is not Module.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        for key in state_dict if strict else ():
            if key.startswith(prefix) and key != extra:
                name, dot, _ = key[len(prefix) :].partition(".")
                if name not in (self._modules if dot else local):
                    unexpected_keys.append(key)

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before :meth:`state_dict` collects."""
        return _register(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after :meth:`state_dict` collected."""
        return _register(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, ...)``, with the arguments of ``_load_from_state_dict``, before loading."""
        return _register(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the lists."""
        return _register(self._load_state_dict_post_hooks, hook)

    # ------------------------------------------------------------------------- printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """The configuration, as it stands between the parentheses when the module is printed."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        for name, module in self._modules.items():
            lines.append(f"({name}): " + repr(module).replace("\n", "\n  "))
        if len(lines) == 1 and extra:
            return f"{self._get_name()}({extra})"
        inside = "\n  ".join(lines)
        return f"{self._get_name()}(\n  {inside}\n)" if lines else f"{self._get_name()}()"


def _note_place(error: Exception, module: Module) -> None:
    """Say in a note on ``error`` which module raised it; each module on the way out puts its name in front.

    The note is kept in the exception's ``__notes__``, and in ``_place`` how to extend it: the module
    that the path starts from so far, the path, and the configuration of the module that failed.
    """
    place = getattr(error, "_place", None)
    if place is None:
        start, path, description = module, "", f"{module._get_name()}({module.extra_repr()})"
    else:
        start, path, description = place
        inner = next((name for name, m in module.named_modules() if m is start and name), "")
        start, path = module, ".".join(part for part in (inner, path) if part)
    before = _note(place) if place else None
    error._place = (start, path, description)  # type: ignore[attr-defined]
    notes = getattr(error, "__notes__", [])
    if before in notes:
        notes[notes.index(before)] = _note(error._place)  # type: ignore[attr-defined]
    else:
        error.add_note(_note(error._place))  # type: ignore[attr-defined]


def _note(place: tuple[Module, str, str]) -> str:
    _, path, description = place
    return f"in {path}: {description}" if path else f"in {description}"


class _BackwardObserver:
    """Runs the backward hooks of one call of a module.

    Identity operations around the forward computation see the gradients pass: first that of the
    outputs, then that of the inputs.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.grad_output: tuple | None = None
        self.inputs: list[int] | None = None  # positions of the arguments that need gradients
        self.count = 0  # of the arguments

    def observe_inputs(self, args: tuple) -> tuple:
        self.count = len(args)
        positions = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not positions or not engine.mode.grad:
            return args
        self.inputs = positions
        return _observed(args, positions, self.arrived)

    def observe_outputs(self, result: Any) -> Any:
        outputs = result if isinstance(result, tuple) else (result,)
        positions = [i for i, a in enumerate(outputs) if isinstance(a, Tensor) and a.requires_grad]
        if not positions or not engine.mode.grad:
            return result

        def departed(grads: tuple) -> tuple:
            grad_output: list[Any] = [None] * len(outputs)
            for i, g in zip(positions, grads, strict=True):
                grad_output[i] = g
            current = tuple(grad_output)
            for hook in list(self.module._backward_pre_hooks.values()):
                if (replaced := hook(self.module, current)) is not None:
                    current = _as_tuple(replaced, len(current), "a full backward pre-hook")
            self.grad_output = current
            if self.inputs is None:
                self.run_hooks((None,) * self.count)
            return tuple(current[i] for i in positions)

        observed = _observed(outputs, positions, departed)
        return observed if isinstance(result, tuple) else observed[0]

    def arrived(self, grads: tuple) -> tuple:
        assert self.inputs is not None
        if self.grad_output is None:  # a second derivative, on its way through the inputs alone
            return grads
        grad_input: list[Any] = [None] * self.count
        for i, g in zip(self.inputs, grads, strict=True):
            grad_input[i] = g
        current = self.run_hooks(tuple(grad_input))
        return tuple(current[i] for i in self.inputs)

    def run_hooks(self, grad_input: tuple) -> tuple:
        for hook in list(self.module._backward_hooks.values()):
            if (replaced := hook(self.module, grad_input, self.grad_output)) is not None:
                grad_input = _as_tuple(replaced, len(grad_input), "a full backward hook")
        self.grad_output = None
        return grad_input


def _observed(values: tuple, positions: list[int], hook: Callable[[tuple], tuple]) -> tuple:
    """``values`` with those at ``positions`` passed through an operation that tells ``hook`` of their gradients."""
    observed = dict(zip(positions, observe(*[values[i] for i in positions], hook=hook), strict=True))
    return tuple(observed.get(i, value) for i, value in enumerate(values))


def _as_tuple(value: Any, count: int, what: str) -> tuple:
    grads = value if isinstance(value, tuple) else (value,)
    if len(grads) != count:
        raise RuntimeError(f"{what} must return None or {count} gradient(s), got {len(grads)}")
    return grads
