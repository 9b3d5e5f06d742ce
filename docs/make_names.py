"""Write names.md: every public name of minigrad beside PyTorch's, and how they differ.

    python docs/make_names.py            after a change of minigrad
    python docs/make_names.py --torch    to read the names of the PyTorch that is installed, into torch_names.json
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent

SECTIONS = {
    "torch": "minigrad", "torch.Tensor": "minigrad.Tensor", "torch.nn": "minigrad.nn",
    "torch.nn.Module": "minigrad.nn.Module", "torch.nn.functional": "minigrad.nn.functional",
    "torch.nn.init": "minigrad.nn.init", "torch.nn.utils": "minigrad.nn.utils",
    "torch.nn.utils.rnn": "minigrad.nn.utils.rnn", "torch.optim": "minigrad.optim",
    "torch.optim.lr_scheduler": "minigrad.optim.lr_scheduler", "torch.optim.swa_utils": "minigrad.optim.swa_utils",
    "torch.autograd": "minigrad.autograd", "torch.autograd.functional": "minigrad.autograd.functional",
    "torch.utils.data": "minigrad.utils.data", "torch.utils.checkpoint": "minigrad.utils.checkpoint",
    "torch.linalg": "minigrad.linalg", "torch.random": "minigrad.random", "torch.amp": "minigrad.amp",
    "torch.cuda": "minigrad.cuda",
}  # fmt: skip

# Arguments about what minigrad does not have, what makes no difference to it, and what PyTorch itself dropped long ago.
NEVER = {"layout", "memory_format", "names", "out", "out_dtype", "pin_memory", "reduce", "size_average"}
TRIFLES = {"self", "input", "A", "x", "tensor", "t", "a", "function", "orig_func", "implicit", "cudnn_enable",
           "cudnn_enabled"}  # fmt: skip

# What no signature shows. Each is one sentence, after the name it is about.
NOTES = {
    "torch.Size": "It is `tuple`.",
    "torch.Tensor": "Takes a number as well.",
    **{f"torch.{kind}Tensor": "It is a function: `isinstance` does not take it." for kind in (
        "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")},
    "torch.device": "There is `cpu` alone; any other raises `RuntimeError`.",
    "torch.nn.Module.register_forward_hook": "`always_call=True` raises `NotImplementedError`.",
    "torch.utils.data.DataLoader": "What is drawn while a batch is made follows from the epoch's seed and its number.",
    "torch.Tensor.shape": "It is a `tuple`.",
    "torch.dtype": "It is `numpy.dtype`: dtypes are NumPy's own.",
    "torch.Tensor.item": "Raises `ValueError`, not `RuntimeError`, if there are several elements.",
    "torch.Tensor.numpy": "While the array lives, changes through it are noticed by backward.",
    "torch.Tensor.register_hook": "Hooks run in the order of the graph; those of leaves after the traversal.",
    "torch.Tensor.data": "Changes through it are noticed by backward, which raises instead of using changed values.",
    "torch.Tensor.index_put": "Where places coincide, only the value that was written last has a gradient.",
    "torch.Tensor.index_put_": "Where places coincide, only the value that was written last has a gradient.",
    "torch.compile": "Returns its argument: programs run as they are written.",
    "torch.autocast": "Nothing is cast; enabled for the CPU it raises `NotImplementedError`.",
    "torch.load": "`weights_only=False` changes nothing: no file can make it run code.",
    "torch.manual_seed": "The random numbers are not PyTorch's.",
    "torch.nn.functional.max_pool1d": "Of several NaN in a window the first counts, for the index and the gradient.",
    "torch.nn.functional.max_pool2d": "Of several NaN in a window the first counts, for the index and the gradient.",
    "torch.nn.functional.max_pool3d": "Of several NaN in a window the first counts, for the index and the gradient.",
    **{f"torch.nn.functional.{name}_loss": "Raises `ValueError` where shapes differ, of which PyTorch only warns."
       for name in ("mse", "l1", "smooth_l1", "huber")},
}  # fmt: skip


# --------------------------------------------------------------------------------- reading names


def find(path: str) -> Any:
    """The module or class of a dotted name."""
    try:
        return import_module(path)
    except ModuleNotFoundError:
        parent, _, name = path.rpartition(".")
        return getattr(find(parent), name)


def members(home: Any) -> Iterator[tuple[str, Any]]:
    """The names of a module or a class that do not begin with an underscore."""
    for name in dir(home):
        if not name.startswith("_") and name not in ("TYPE_CHECKING", "annotations"):
            value = inspect.getattr_static(home, name) if inspect.isclass(home) else getattr(home, name, None)
            if not isinstance(value, ModuleType):
                yield name, value.__func__ if isinstance(value, (staticmethod, classmethod)) else value


def signature(value: Any) -> list[str]:
    """How it is called, without annotations; empty if that cannot be read."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return []
    text = str(inspect.Signature([p.replace(annotation=inspect.Parameter.empty) for p in parameters]))
    return [re.sub(r"<(?:module|class|function) '?([\w.]+)[^>]*>", r"\1", text)]


def arguments(text: str) -> dict[str, str]:
    """The names of the arguments in a signature, and their defaults."""
    depth, parts = 0, [""]
    for character in text[1:-1]:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    pairs = (part.strip().lstrip("*").partition("=") for part in parts)
    return {name.rstrip("_"): default for name, _, default in pairs if name.isidentifier()}


def read_torch() -> dict[str, dict[str, list[str]]]:
    """PyTorch's public names and in which ways they are called."""
    import torch

    names: dict[str, dict[str, list[str]]] = {"": {"version": [torch.__version__.partition("+")[0]]}}
    for path in SECTIONS:
        prefix = "linalg_" if path == "torch.linalg" else ""
        names[path] = {
            name: signature(value) or schemas(torch, prefix + name, path == "torch.Tensor") if callable(value) else []
            for name, value in members(find(path))
        }
    return names


def schemas(torch: Any, name: str, method: bool) -> list[str]:
    """How a function is called that is not written in Python."""
    packet = getattr(torch.ops.aten, name, None)
    found: dict[str, list[str]] = {"of tensors": [], "others": []}
    for overload in packet.overloads() if packet else ():
        schema = getattr(packet, overload)._schema
        kinds = [str(argument.type) for argument in schema.arguments]
        if any(a.kwarg_only and a.alias_info for a in schema.arguments) or any("Dimname" in kind for kind in kinds):
            continue  # it takes ``out``, or names of dimensions
        texts: list[str] = []
        for argument in schema.arguments:
            if argument.kwarg_only and "*" not in texts:
                texts.append("*")
            default = f"={argument.default_value!r}" if argument.has_default_value() else ""
            texts.append(("input" if argument.name == "self" and not method else argument.name) + default)
        if any(text.startswith("layout") for text in texts):
            texts.append("requires_grad=False")
        first = "Tensor" in kinds[:2] or "requires_grad=False" in texts
        found["of tensors" if first else "others"].append(f"({', '.join(texts)})")
    return list(dict.fromkeys(found["of tensors"] or found["others"]))


# ------------------------------------------------------------------------------------- comparing


def public(theirs: str, names: dict[str, dict[str, list[str]]]) -> Iterator[tuple[str, Any]]:
    """minigrad's names in a section: those defined there, and of those that come from elsewhere what PyTorch has."""
    home = find(SECTIONS[theirs])
    elsewhere = names["torch"].keys() | names["torch.Tensor"].keys() if theirs != "torch" else set()
    for name, value in members(home):
        module = f"{getattr(value, '__module__', '')}."
        inside = inspect.isclass(home) or module.startswith((f"{home.__name__}.", f"minigrad.{home.__name__}."))
        foreign = inspect.isclass(value) and module.partition(".")[0] not in ("minigrad", "nn", "numpy", "builtins")
        passing = foreign or (name in ("Tensor", "Module", "Optimizer") and theirs != "torch")
        if (inside or not passing) if name in names[theirs] else (inside and name not in elsewhere):
            yield name, value


def difference(ours: list[str], theirs: list[str]) -> str:
    """How the arguments differ."""
    if not ours or not theirs or "/" in theirs[0]:
        return ""
    mine, said = arguments(ours[0]), []
    wanted = {name: [default for text in theirs if (default := arguments(text).get(name)) is not None]
              for text in theirs for name in arguments(text)}  # fmt: skip
    if not ("**" in ours[0] or {"args", "kwargs"} & wanted.keys()):
        for words, names in (("lacks", wanted.keys() - mine.keys()), ("also takes", mine.keys() - wanted.keys())):
            names = {n for n in names - NEVER - TRIFLES if not (n.startswith("_") or re.search(rf"\*{n}\b", ours[0]))}
            listed = [f"`{name}`" for name in [*wanted, *mine] if name in names]
            said += [f"{words} {', '.join(listed)}"] if listed else []
    for name in (name for name in mine if mine[name] and any(wanted.get(name, ()))):
        if not any(same_default(mine[name], default) for default in wanted[name]):
            said.append(f"the default of `{name}` is {mine[name]}, in PyTorch {wanted[name][0]}")
    text = "; ".join(said)
    return text and text[0].upper() + text[1:] + "."


def same_default(a: str, b: str) -> bool:
    """Whether two defaults can mean the same: ``0`` and ``[0, 0]``, or one is ``None``."""
    try:
        values = [ast.literal_eval(text) for text in (a, b)]
    except (ValueError, SyntaxError):
        return True  # they cannot be compared
    plain = [set(v) if isinstance(v, (list, tuple)) else {v} for v in values]
    return plain[0] == plain[1] or any(v <= {None} for v in plain)


def page() -> str:
    """The text of names.md."""
    names = json.loads((HERE / "torch_names.json").read_text())
    lines = [
        "# Names",
        "",
        f"Every public name of minigrad beside that of PyTorch {names['']['version'][0]}, written from the code by "
        "`docs/make_names.py`.",
        "",
        "*same*: PyTorch's takes arguments of the same names, with the same defaults.",
        f"Left out are arguments that no function of tensors takes: {', '.join(f'`{n}`' for n in sorted(NEVER))}.",
        "Functions that take `dim` and `keepdim` by keyword take them as `axis` and `keepdims` too.",
        "Errors are Python's own kinds (`ValueError`, `TypeError`, `IndexError`) where PyTorch raises `RuntimeError`.",
        "What is not on this page is not provided.",
    ]  # fmt: skip
    for theirs, ours in SECTIONS.items():
        lines += ["", f"## {ours}", "", f"| minigrad | {theirs} | difference |", "|---|---|---|"]
        for name, value in public(theirs, names):
            own, known = signature(value) if callable(value) else [], names[theirs].get(name)
            beside, remarks = "none" if known is None else "same", [NOTES.get(f"{theirs}.{name}", "")]
            more = names["torch.nn.functional"].get(name, []) if theirs == "torch" else []
            if known and (differs := difference(own, known + more)):
                beside, remarks = "<br>".join(f"`{text}`" for text in known), [differs, *remarks]
            lines.append(f"| `{name}{own[0] if own else ''}` | {beside} | {' '.join(filter(None, remarks))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--torch"]:
        lines = [f'"{path}": {json.dumps(names, sort_keys=True)}' for path, names in read_torch().items()]
        (HERE / "torch_names.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")  # a line for each section
    (HERE / "names.md").write_text(page())
