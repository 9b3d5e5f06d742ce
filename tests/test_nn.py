"""Modules, parameters, containers and layers behave as PyTorch's do."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F


class Net(nn.Module):
    """A little of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(8, 3)
        self.scale = nn.Parameter(mg.ones(1))
        self.register_buffer("count", mg.zeros(1))
        self.register_buffer("scratch", mg.zeros(2), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x)) * self.scale


def images() -> mg.Tensor:
    return mg.randn(2, 1, 4, 4)


# ------------------------------------------------------------------------------- attributes


def test_assigning_registers() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "features.0.weight", "features.0.bias", "head.weight", "head.bias",
    ]  # fmt: skip
    assert [name for name, _ in net.named_buffers()] == ["count", "scratch"]
    assert [name for name, _ in net.named_children()] == ["features", "head"]
    assert [name for name, _ in net.named_modules()] == [
        "", "features", "features.0", "features.1", "features.2", "head",
    ]  # fmt: skip
    assert {"features", "scale", "count", "forward"} <= set(dir(net))


def test_assigning_moves_a_name_between_the_registries() -> None:
    net = nn.Module()
    net.x = 3
    net.x = nn.Parameter(mg.ones(1))
    assert "x" in net._parameters
    net.x = nn.Linear(1, 1)
    assert not net._parameters
    assert list(net._modules) == ["x"]
    net.x = nn.Buffer(mg.ones(2), persistent=False)
    assert not net._modules
    assert "x" not in net.state_dict()
    net.x = mg.zeros(3)  # a Tensor takes the place of a buffer
    assert net._buffers["x"].shape == (3,)
    assert "x" not in net.state_dict()
    net.x = None
    assert net.x is None
    del net.x
    assert not hasattr(net, "x")


def test_registries_are_views_of_the_attributes() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net._modules["1"] = nn.Tanh()  # as programs replace layers
    assert repr(net[1]) == "Tanh()"
    assert repr(net._modules) == repr({"0": net[0], "1": net[1]})
    assert net[0]._parameters["weight"] is net[0].weight is vars(net[0])["weight"]
    del net[0]._parameters["bias"]
    assert not hasattr(net[0], "bias")
    assert list(net.state_dict()) == ["0.weight"]
    for registry in (net._modules, net._buffers):
        with pytest.raises(KeyError):
            del registry["training"]
    assert net._modules.pop("0") is not None
    assert len(net) == 1


def test_options_of_a_layer_can_be_changed() -> None:
    layer = nn.Softmax(dim=0)
    layer.dim = 1
    assert layer(mg.ones(1, 2)).tolist() == [[0.5, 0.5]]
    assert repr(layer) == "Softmax(dim=1)"
    with pytest.raises(TypeError, match="dim"):
        layer(mg.ones(1, 2), dim=0)
    distance = nn.TripletMarginWithDistanceLoss(distance_function=nn.CosineSimilarity())
    assert [name for name, _ in distance.named_children()] == ["distance_function"]


def test_none_is_a_parameter_that_is_absent() -> None:
    layer = nn.Linear(2, 2, bias=False)
    assert layer.bias is None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    layer.bias = nn.Parameter(mg.zeros(2))
    assert len(list(layer.parameters())) == 2
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]


def test_shared_parameters_and_modules_are_listed_once() -> None:
    net = nn.Module()
    net.a = nn.Linear(2, 2)
    net.b = net.a
    net.c = nn.Linear(2, 2)
    net.c.weight = net.a.weight
    assert [name for name, _ in net.named_parameters()] == ["a.weight", "a.bias", "c.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 6
    assert len(list(net.children())) == 2
    assert [name for name, _ in net.named_modules(remove_duplicate=False)] == ["", "a", "b", "c"]
    assert [name for name, _ in net.named_parameters(prefix="p", recurse=False)] == []
    assert [name for name, _ in net.a.named_parameters(prefix="p")] == ["p.weight", "p.bias"]
    assert len(net.state_dict()) == 6


def test_looking_up_by_dotted_name() -> None:
    net = Net()
    assert net.get_submodule("features.0") is net.features[0]
    assert net.get_submodule("") is net
    assert net.get_parameter("features.0.bias") is net.features[0].bias
    assert net.get_buffer("count") is net.count


def test_walking_the_tree() -> None:
    net, seen = Net(), []
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Conv2d", "ReLU", "Flatten", "Sequential", "Linear", "Net"]
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train().features[0].training
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    net.requires_grad_()
    net(images()).sum().backward()
    grad = net.scale.grad
    net.zero_grad(set_to_none=False)
    assert net.scale.grad is grad
    assert grad.item() == 0
    net.zero_grad()
    assert net.scale.grad is None


# ---------------------------------------------------------------------------------- calling


def test_hooks_before_and_after_forward() -> None:
    class Same(nn.Module):
        def forward(self, x: Any, extra: int = 0) -> Any:
            return x

    layer, seen = Same(), []
    x = mg.ones(1)
    handles = [
        layer.register_forward_pre_hook(lambda module, args: seen.append("pre") or (args[0] + 1,)),
        layer.register_forward_pre_hook(lambda module, args: seen.append("first"), prepend=True),
        layer.register_forward_pre_hook(lambda module, args: args[0] * 10),  # need not be a tuple
        layer.register_forward_hook(lambda module, args, y: y + args[0]),
        layer.register_forward_hook(lambda module, args, kwargs, y: seen.append(kwargs), with_kwargs=True),
        layer.register_forward_pre_hook(lambda module, args, kwargs: (args, {"extra": 1}), with_kwargs=True),
    ]
    assert layer(x).item() == 40
    assert seen == ["first", "pre", {"extra": 1}]
    for handle in handles:
        handle.remove()
    assert layer(x) is x
    with layer.register_forward_hook(lambda module, args, y: 0):
        assert layer(x) == 0
    assert layer(x) is x
    layer.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"None or \(args, kwargs\), got 3"):
        layer(x)


def test_backward_hooks_see_and_change_gradients() -> None:
    class Add(nn.Module):
        def forward(self, a: Any, b: Any, factor: float) -> Any:
            return a * factor + a * a, b * 1

    module, seen = Add(), []
    module.register_full_backward_hook(lambda m, grad_in, grad_out: seen.append((grad_in, grad_out)))
    a, b = mg.tensor([3.0], requires_grad=True), mg.tensor([5.0])
    y, _ = module(a, b, 2.0)
    (y * 2 + a).backward()
    ((grad_a, none, also_none), (grad_y, grad_b)) = seen[0]
    assert (grad_a.item(), grad_y.item()) == (16, 2)
    assert none is also_none is grad_b is None
    assert a.grad.item() == 17  # the other use of a did not pass through the module

    module.register_full_backward_hook(lambda m, grad_in, grad_out: (grad_in[0] * 0, None, None))
    module.register_full_backward_pre_hook(lambda m, grad_out: (grad_out[0] * 10, grad_out[1]))
    a.grad = None
    y, _ = module(a, b, 2.0)
    y.backward()
    assert a.grad.item() == 0
    assert seen[1][0][0].item() == 80

    module.register_full_backward_hook(lambda m, grad_in, grad_out: grad_in[:1])
    with pytest.raises(RuntimeError, match=r"must return None or 3 gradient\(s\), got 1"):
        module(a, b, 2.0)[0].backward()


def test_backward_hooks_without_gradients_for_the_input() -> None:
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, grad_in, grad_out: seen.append((grad_in, grad_out)))
    layer(mg.ones(1, 2)).sum().backward()
    assert seen == [((None,), (mg.ones(1, 1),))]
    with mg.no_grad():
        layer(mg.ones(1, 2))
    assert len(seen) == 1


def test_backward_hooks_and_second_derivatives() -> None:
    class Cube(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * x * x

    module = Cube()
    module.register_full_backward_hook(lambda m, grad_in, grad_out: (grad_in[0] * 2,))
    x = mg.tensor([2.0], requires_grad=True)
    (g,) = mg.autograd.grad(module(x), x, create_graph=True)
    assert g.item() == 24
    g.backward()
    assert x.grad.item() == 24


def test_errors_say_which_layer_raised_them() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.ModuleDict({"a": nn.Sequential(nn.Identity(), nn.Conv2d(3, 16, kernel_size=3))})

        def forward(self, x: Any) -> Any:
            return self.net["a"](x)

    with pytest.raises(ValueError, match="2 channels") as caught:
        nn.Sequential(Outer())(mg.ones(1, 2, 5, 5))
    assert caught.value.__notes__ == ["in 0.net.a.1: Conv2d(3, 16, kernel_size=(3, 3), stride=(1, 1))"]
    with pytest.raises(ValueError, match="linear") as caught:
        nn.Linear(2, 3)(mg.ones(3))
    assert caught.value.__notes__ == ["in Linear(in_features=2, out_features=3, bias=True)"]

    class Quick(nn.Module):
        def forward(self, x: Any) -> Any:
            return nn.Linear(2, 3)(x)  # not a registered child: the path ends at its caller

    with pytest.raises(ValueError, match="linear") as caught:
        nn.Sequential(Quick())(mg.ones(3))
    assert caught.value.__notes__ == ["in 0: Linear(in_features=2, out_features=3, bias=True)"]


def test_an_input_of_none_is_told() -> None:
    class Forgetful(nn.Module):
        def forward(self, x: Any) -> None:
            x * 2

    with pytest.raises(TypeError, match="linear: input must be a Tensor or a number, got None") as caught:
        nn.Sequential(Forgetful(), nn.Linear(2, 3))(mg.ones(2))
    assert caught.value.__notes__ == [
        "in 1: Linear(in_features=2, out_features=3, bias=True)",
        "its input is None, which is what a function without return gives",
    ]


# ----------------------------------------------------------------------- copying and saving


def test_copies_are_independent_and_complete() -> None:
    net = Net()
    x = images()
    net(x).sum().backward()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert isinstance(other.scale, nn.Parameter)
        assert other.scale.requires_grad
        assert repr(other) == repr(net)
        np.testing.assert_array_equal(other(x).detach(), net(x).detach())
        with mg.no_grad():
            other.scale.mul_(2)
        assert net.scale.item() == 1
    assert copy.deepcopy(net).scale.grad.item() == net.scale.grad.item()


def test_deepcopy_keeps_sharing() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    other = copy.deepcopy(net)
    assert other[1].weight is other[0].weight
    assert other[0].weight is not net[0].weight


def test_state_dict() -> None:
    net = Net()
    state = net.state_dict(prefix="net.")
    assert list(state) == ["net.scale", "net.count", "net.features.0.weight", "net.features.0.bias",
                           "net.head.weight", "net.head.bias"]  # fmt: skip
    assert not any(tensor.requires_grad for tensor in state.values())
    assert state["net.scale"].data_ptr() == net.scale.data_ptr()
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert net.state_dict()._metadata["features.0"] == {"version": 1}

    other = Net()
    assert repr(other.load_state_dict(net.state_dict())) == "<All keys matched successfully>"
    x = images()
    np.testing.assert_array_equal(net(x).detach(), other(x).detach())
    before = other.scale
    other.load_state_dict(net.double().state_dict())
    assert other.scale is before
    assert other.scale.dtype == mg.float32
    other.load_state_dict(net.state_dict(), assign=True)
    assert other.scale.dtype == mg.float64
    assert isinstance(other.scale, nn.Parameter)


def test_state_dict_problems_are_all_listed() -> None:
    net = Net()
    state = net.state_dict()
    del state["head.bias"], state["count"]
    state.update({"features.9.weight": mg.ones(1), "nonsense": mg.ones(1), "scale": mg.ones(2)})
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "count", "head.bias". \n'
        '\tUnexpected key(s) in state_dict: "nonsense", "features.9.weight". \n'
        "\tsize mismatch for scale: copying a param with shape (2,) from checkpoint, "
        "the shape in current model is (1,)."
    )
    state["scale"] = mg.ones(1)
    keys = net.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["count", "head.bias"]
    assert keys.unexpected_keys == ["nonsense", "features.9.weight"]
    assert "missing_keys=['count', 'head.bias']" in repr(keys)


def test_state_dict_hooks_and_extra_state() -> None:
    class Counter(nn.Linear):
        def get_extra_state(self) -> Any:
            return {"calls": 3}

        def set_extra_state(self, state: Any) -> None:
            self.calls = state["calls"]

        def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
            if prefix + "old_weight" in state_dict:  # an earlier name
                state_dict[prefix + "weight"] = state_dict.pop(prefix + "old_weight")
            super()._load_from_state_dict(state_dict, prefix, *rest)

    net, seen = nn.Sequential(Counter(1, 1)), []
    net.register_state_dict_pre_hook(lambda module, prefix, keep_vars: seen.append("pre"))
    net.register_state_dict_post_hook(lambda module, state, prefix, metadata: seen.append(len(state)))
    net.register_load_state_dict_pre_hook(lambda module, state, *rest: seen.append("load"))
    net.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    state = net.state_dict()
    assert state["0._extra_state"] == {"calls": 3}
    state["0.old_weight"] = state.pop("0.weight")
    del state["0.bias"]
    net.load_state_dict(state)
    assert net[0].calls == 3
    assert seen == ["pre", 3, "load"]
    with pytest.raises(RuntimeError, match=r"Missing.*_extra_state"):
        Counter(1, 1).load_state_dict(nn.Linear(1, 1).state_dict())
    with pytest.raises(RuntimeError, match=r"Unexpected.*_extra_state"):
        nn.Linear(1, 1).load_state_dict(Counter(1, 1).state_dict())
    net.register_load_state_dict_post_hook(lambda module, keys: 3)
    with pytest.raises(TypeError, match="must return None"):
        net.load_state_dict(state)


def test_casting_keeps_the_parameters_themselves() -> None:
    net = Net()
    net.register_buffer("steps", mg.arange(3))
    scale = net.scale
    net(images()).sum().backward()
    assert net.double() is net
    assert net.scale is scale
    assert scale.dtype == scale.grad.dtype == net.count.dtype == mg.float64
    assert net.steps.dtype == mg.int64
    assert net.half().head.weight.dtype == mg.float16
    assert net.float().scale.dtype == mg.float32
    assert net.to("cpu").to(device="cpu").cpu().scale.dtype == mg.float32
    assert net.to(mg.float64).scale.dtype == mg.float64
    assert net.to("cpu", mg.float32).scale.dtype == mg.float32
    assert net.to(dtype=mg.float64).scale.dtype == mg.float64
    assert net.to(mg.ones(1)).scale.dtype == mg.float32
    assert net.type(mg.float64).steps.dtype == mg.float64


# ------------------------------------------------------------------------------- Parameter


def test_parameter() -> None:
    data = mg.ones(2)
    param = nn.Parameter(data)
    assert isinstance(param, mg.Tensor)
    assert param.requires_grad
    assert param.is_leaf
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert type(param * 2) is mg.Tensor
    assert type(param.detach()) is mg.Tensor
    assert param.data_ptr() == data.data_ptr()
    assert repr(param) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert type(copy.deepcopy(param)) is nn.Parameter
    assert nn.Parameter().shape == (0,)
    computed = nn.Parameter(param * 3)
    assert computed.is_leaf
    param.note = "kept"
    assert pickle.loads(pickle.dumps(param)).note == "kept"


def test_buffer() -> None:
    buffer = nn.Buffer(mg.ones(2), persistent=False)
    assert not buffer.requires_grad
    assert pickle.loads(pickle.dumps(buffer)).persistent is False
    assert type(copy.deepcopy(buffer)) is nn.Buffer


# ------------------------------------------------------------------------------ containers


def test_sequential() -> None:
    a, b, c = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)
    net = nn.Sequential(a, b, c)
    x = mg.ones(1, 2)
    np.testing.assert_array_equal(net(x).detach(), c(b(a(x))).detach())
    assert net[0] is a
    assert net[-1] is c
    assert list(net[1:]) == [b, c]
    assert isinstance(net[:2], nn.Sequential)
    assert len(net) == 3
    net[1] = d = nn.Tanh()
    assert list(net) == [a, d, c]
    del net[0]
    assert list(net._modules) == ["0", "1"]
    net.append(b).insert(0, a).extend([d])
    assert list(net) == [a, d, c, b, d]
    del net[1:3]
    assert list(net) == [a, b, d]
    assert net.pop(1) is b
    assert list(net + nn.Sequential(c)) == [a, d, c]
    assert len(net * 2) == 4
    net += [c]
    assert list(net._modules) == ["0", "1", "2"]
    named = nn.Sequential(OrderedDict(first=a, last=c))
    assert named.first is a
    assert list(named[1:]._modules) == ["last"]
    assert nn.Sequential()(3) == 3
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        nn.Sequential(nn.Tanh(), None)(x)


@given(st.lists(st.tuples(st.sampled_from(["append", "insert", "del", "set", "pop"]), st.integers(-4, 4)), max_size=8))
def test_lists_of_modules_behave_as_lists(steps: list[tuple[str, int]]) -> None:
    for kind in (nn.Sequential, nn.ModuleList):
        modules, plain = kind(), []
        for action, i in steps:
            new = nn.Identity()
            if action == "append":
                modules.append(new)
                plain.append(new)
            elif action == "insert" and -len(plain) <= i <= len(plain):
                modules.insert(i, new)
                plain.insert(i, new)
            elif action != "insert" and -len(plain) <= i < len(plain):
                if action == "set":
                    modules[i] = plain[i] = new
                elif action == "pop":
                    assert modules.pop(i) is plain.pop(i)
                else:
                    del modules[i], plain[i]
        assert list(modules) == plain
        assert list(modules._modules) == [str(n) for n in range(len(plain))]
        assert [modules[i] for i in range(-len(plain), len(plain))] == plain * 2


def test_module_list_and_dict() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
    assert len(list(layers.parameters())) == 6
    assert isinstance(layers[1:], nn.ModuleList)
    assert len(layers + [nn.ReLU()]) == 4
    assert repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])) == (
        "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
    )
    assert repr(nn.ModuleList()) == "ModuleList()"
    choices = nn.ModuleDict({"a": nn.ReLU()})
    choices["b"] = nn.Linear(1, 1)
    choices.update([("c", nn.Tanh())])
    assert list(choices) == list(choices.keys()) == ["a", "b", "c"]
    assert "b" in choices
    assert len(choices) == len(choices.items()) == len(choices.values()) == 3
    assert isinstance(choices.pop("a"), nn.ReLU)
    del choices["c"]
    choices.clear()
    assert not list(choices.parameters())


def test_parameter_list_and_dict() -> None:
    params = nn.ParameterList([mg.ones(2), nn.Parameter(mg.zeros(1)), "anything"])
    assert isinstance(params[0], nn.Parameter)
    assert len(list(params.parameters())) == 2
    params.append(mg.ones(3))
    params[0] = mg.zeros(2)
    assert len(params[1:]) == 3
    assert params[-1].shape == (3,)
    assert "(0): Parameter containing: [float32 of size 2]" in repr(params)
    assert "(2): Object of type: str" in repr(params)
    assert repr(nn.ParameterList()) == "ParameterList()"
    by_name = nn.ParameterDict({"w": mg.ones(2)})
    by_name.update(b=1) if False else by_name.update({"b": mg.zeros(1)})
    assert [name for name, _ in by_name.named_parameters()] == ["w", "b"]
    assert by_name.get("x") is None
    assert by_name.setdefault("x", mg.ones(1)) is by_name["x"]
    assert isinstance(by_name.pop("x"), nn.Parameter)
    assert "x" not in by_name
    assert len(by_name) == len(list(by_name.values())) == len(list(by_name.items())) == len(by_name.keys()) == 2
    assert "(w): Parameter containing: [float32 of size 2]" in repr(by_name)
    by_name.clear()
    assert list(by_name) == []
    entries = [("b", mg.ones(1)), ("a", mg.ones(1))]
    assert list(nn.ParameterDict(dict(entries))) == ["a", "b"]  # the order in which optimizers number them
    assert list(nn.ParameterDict(entries)) == list(nn.ParameterDict(OrderedDict(entries))) == ["b", "a"]


# ---------------------------------------------------------------------------------- layers

# Printed by PyTorch 2.13.
REPRS = {
    "Linear(in_features=3, out_features=4, bias=False)": lambda: nn.Linear(3, 4, bias=False),
    "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)": lambda: nn.Bilinear(2, 3, 4),
    "Identity()": lambda: nn.Identity(3, any=4),
    "Conv1d(2, 4, kernel_size=(3,), stride=(1,), bias=False)": lambda: nn.Conv1d(2, 4, 3, bias=False),
    "Conv2d(2, 4, kernel_size=(3, 5), stride=(2, 2), padding=(1, 1), dilation=(2, 2), groups=2, padding_mode=reflect)":
        lambda: nn.Conv2d(2, 4, (3, 5), 2, 1, 2, 2, padding_mode="reflect"),
    "Conv2d(1, 1, kernel_size=(3, 3), stride=(1, 1), padding=same)": lambda: nn.Conv2d(1, 1, 3, padding="same"),
    "Conv3d(1, 2, kernel_size=(3, 3, 3), stride=(1, 1, 1))": lambda: nn.Conv3d(1, 2, 3),
    "ConvTranspose2d(2, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))":
        lambda: nn.ConvTranspose2d(2, 4, 3, 2, 1, 1),
    "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)": lambda: nn.MaxPool2d(2),
    "MaxPool1d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=True)":
        lambda: nn.MaxPool1d(3, 2, 1, ceil_mode=True),
    "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))": lambda: nn.AvgPool1d(2),
    "AvgPool2d(kernel_size=(3, 2), stride=(3, 2), padding=0)": lambda: nn.AvgPool2d((3, 2)),
    "AdaptiveAvgPool2d(output_size=(1, None))": lambda: nn.AdaptiveAvgPool2d((1, None)),
    "AdaptiveMaxPool3d(output_size=2)": lambda: nn.AdaptiveMaxPool3d(2),
    "ReLU(inplace=True)": lambda: nn.ReLU(inplace=True),
    "ReLU6()": lambda: nn.ReLU6(),
    "LeakyReLU(negative_slope=0.2, inplace=True)": lambda: nn.LeakyReLU(0.2, True),
    "ELU(alpha=1.0)": lambda: nn.ELU(),
    "CELU(alpha=2.0)": lambda: nn.CELU(2.0),
    "Hardtanh(min_val=-1.0, max_val=1.0)": lambda: nn.Hardtanh(),
    "PReLU(num_parameters=3)": lambda: nn.PReLU(3),
    "RReLU(lower=0.125, upper=0.3333333333333333)": lambda: nn.RReLU(),
    "Threshold(threshold=0.1, value=20)": lambda: nn.Threshold(0.1, 20),
    "GELU(approximate='tanh')": lambda: nn.GELU("tanh"),
    "Softplus(beta=1.0, threshold=20.0)": lambda: nn.Softplus(),
    "Hardshrink(0.5)": lambda: nn.Hardshrink(),
    "Softshrink(0.5)": lambda: nn.Softshrink(),
    "GLU(dim=-1)": lambda: nn.GLU(),
    "Softmax(dim=1)": lambda: nn.Softmax(1),
    "LogSoftmax(dim=1)": lambda: nn.LogSoftmax(dim=1),
    "Softmax2d()": lambda: nn.Softmax2d(),
    "Flatten(start_dim=1, end_dim=-1)": lambda: nn.Flatten(),
    "Unflatten(dim=1, unflattened_size=(2, 3))": lambda: nn.Unflatten(1, (2, 3)),
    "Dropout(p=0.5, inplace=False)": lambda: nn.Dropout(),
    "CrossEntropyLoss()": lambda: nn.CrossEntropyLoss(),
    "Sequential(\n  (0): Linear(in_features=1, out_features=1, bias=True)\n  (1): Sequential(\n    (0): ReLU()\n  )\n"
    "  (2): Sequential()\n)": lambda: nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()), nn.Sequential()),
}  # fmt: skip


@pytest.mark.parametrize(("text", "make"), REPRS.items(), ids=[text.partition("(")[0] for text in REPRS])
def test_printed_form(text: str, make: Any) -> None:
    assert repr(make()) == text


def test_printed_form_of_own_modules() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.ReLU()

        def extra_repr(self) -> str:
            return "first line\nsecond line"

    assert repr(Two()) == "Two(\n  first line\n  second line\n  (inner): ReLU()\n)"


def _x(*shape: int) -> mg.Tensor:
    return mg.tensor(np.linspace(-2, 2, math.prod(shape)).reshape(shape))


# Each layer is the function with its own parameters: (module, function, shape of the input).
LAYERS = [
    (nn.Linear(4, 3), lambda m, x: F.linear(x, m.weight, m.bias), (2, 4)),
    (nn.Conv1d(2, 4, 3, 2, 1, 1, 2), lambda m, x: F.conv1d(x, m.weight, m.bias, 2, 1, 1, 2), (1, 2, 7)),
    (nn.Conv2d(1, 2, 3, padding="same"), lambda m, x: F.conv2d(x, m.weight, m.bias, padding=1), (1, 1, 4, 4)),
    (nn.Conv2d(1, 2, 2, padding="valid"), lambda m, x: F.conv2d(x, m.weight, m.bias), (1, 1, 4, 4)),
    (nn.Conv2d(1, 2, 3, padding=(1, 2), padding_mode="reflect"),
     lambda m, x: F.conv2d(F.pad(x, (2, 2, 1, 1), "reflect"), m.weight, m.bias), (1, 1, 4, 4)),
    (nn.Conv2d(1, 2, 2, padding="same", padding_mode="circular"),
     lambda m, x: F.conv2d(F.pad(x, (0, 1, 0, 1), "circular"), m.weight, m.bias), (1, 1, 4, 4)),
    (nn.Conv2d(1, 2, 3, padding="valid", padding_mode="replicate"),
     lambda m, x: F.conv2d(x, m.weight, m.bias), (1, 1, 4, 4)),
    (nn.Conv3d(1, 2, 2), lambda m, x: F.conv3d(x, m.weight, m.bias), (1, 1, 3, 3, 3)),
    (nn.ConvTranspose1d(2, 1, 3, 2), lambda m, x: F.conv_transpose1d(x, m.weight, m.bias, 2), (1, 2, 3)),
    (nn.ConvTranspose2d(2, 2, 3, 2, 1, 1, 2, dilation=2),
     lambda m, x: F.conv_transpose2d(x, m.weight, m.bias, 2, 1, 1, 2, 2), (1, 2, 3, 3)),
    (nn.ConvTranspose3d(1, 1, 2), lambda m, x: F.conv_transpose3d(x, m.weight, m.bias), (1, 1, 2, 2, 2)),
    (nn.MaxPool1d(2), lambda m, x: F.max_pool1d(x, 2), (1, 1, 5)),
    (nn.MaxPool2d(3, 2, 1), lambda m, x: F.max_pool2d(x, 3, 2, 1), (1, 1, 5, 5)),
    (nn.MaxPool3d(2), lambda m, x: F.max_pool3d(x, 2), (1, 1, 2, 2, 4)),
    (nn.AvgPool1d(2), lambda m, x: F.avg_pool1d(x, 2), (1, 1, 5)),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), lambda m, x: F.avg_pool2d(x, 3, 2, 1, False, False), (1, 1, 5, 5)),
    (nn.AvgPool3d(2, divisor_override=3), lambda m, x: F.avg_pool3d(x, 2, divisor_override=3), (1, 1, 2, 2, 4)),
    (nn.AdaptiveAvgPool1d(2), lambda m, x: F.adaptive_avg_pool1d(x, 2), (1, 1, 5)),
    (nn.AdaptiveAvgPool2d((2, None)), lambda m, x: F.adaptive_avg_pool2d(x, (2, None)), (1, 1, 5, 3)),
    (nn.AdaptiveAvgPool3d(1), lambda m, x: F.adaptive_avg_pool3d(x, 1), (1, 1, 2, 3, 4)),
    (nn.AdaptiveMaxPool1d(2), lambda m, x: F.adaptive_max_pool1d(x, 2), (1, 1, 5)),
    (nn.AdaptiveMaxPool2d(2), lambda m, x: F.adaptive_max_pool2d(x, 2), (1, 1, 5, 3)),
    (nn.AdaptiveMaxPool3d(1), lambda m, x: F.adaptive_max_pool3d(x, 1), (1, 1, 2, 3, 4)),
    (nn.ReLU(), lambda m, x: F.relu(x), (5,)),
    (nn.ReLU6(), lambda m, x: F.relu6(x), (5,)),
    (nn.Hardtanh(-0.5, 0.7), lambda m, x: F.hardtanh(x, -0.5, 0.7), (5,)),
    (nn.LeakyReLU(0.2), lambda m, x: F.leaky_relu(x, 0.2), (5,)),
    (nn.PReLU(2), lambda m, x: F.prelu(x, m.weight), (3, 2)),
    (nn.RReLU().eval(), lambda m, x: F.leaky_relu(x, (1 / 8 + 1 / 3) / 2), (5,)),
    (nn.Threshold(0.1, 3.0), lambda m, x: F.threshold(x, 0.1, 3.0), (5,)),
    (nn.ELU(0.5), lambda m, x: F.elu(x, 0.5), (5,)),
    (nn.CELU(0.5), lambda m, x: F.celu(x, 0.5), (5,)),
    (nn.SELU(), lambda m, x: F.selu(x), (5,)),
    (nn.GELU("tanh"), lambda m, x: F.gelu(x, approximate="tanh"), (5,)),
    (nn.SiLU(), lambda m, x: F.silu(x), (5,)),
    (nn.Mish(), lambda m, x: F.mish(x), (5,)),
    (nn.Hardswish(), lambda m, x: F.hardswish(x), (5,)),
    (nn.Hardsigmoid(), lambda m, x: F.hardsigmoid(x), (5,)),
    (nn.Sigmoid(), lambda m, x: x.sigmoid(), (5,)),
    (nn.LogSigmoid(), lambda m, x: F.logsigmoid(x), (5,)),
    (nn.Tanh(), lambda m, x: x.tanh(), (5,)),
    (nn.Tanhshrink(), lambda m, x: F.tanhshrink(x), (5,)),
    (nn.Softsign(), lambda m, x: F.softsign(x), (5,)),
    (nn.Softplus(2.0, 1.0), lambda m, x: F.softplus(x, 2.0, 1.0), (5,)),
    (nn.Hardshrink(0.3), lambda m, x: F.hardshrink(x, 0.3), (5,)),
    (nn.Softshrink(0.3), lambda m, x: F.softshrink(x, 0.3), (5,)),
    (nn.GLU(), lambda m, x: F.glu(x), (2, 4)),
    (nn.Softmax(0), lambda m, x: F.softmax(x, 0), (2, 4)),
    (nn.Softmin(1), lambda m, x: F.softmax(-x, 1), (2, 4)),
    (nn.LogSoftmax(1), lambda m, x: F.log_softmax(x, 1), (2, 4)),
    (nn.Softmax2d(), lambda m, x: F.softmax(x, 0), (2, 2, 2)),
    (nn.Flatten(), lambda m, x: x.flatten(1), (2, 2, 2)),
    (nn.Unflatten(1, (2, -1)), lambda m, x: x.reshape(2, 2, 3), (2, 6)),
    (nn.Dropout(0.5).eval(), lambda m, x: x, (2, 2)),
    (nn.Dropout2d(1.0), lambda m, x: x * 0, (1, 2, 2, 2)),
    (nn.Identity(), lambda m, x: x, (2,)),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "function", "shape"), LAYERS, ids=[repr(layer) for layer, _, _ in LAYERS])
def test_layers_call_their_functions(layer: nn.Module, function: Any, shape: tuple[int, ...]) -> None:
    layer.double()
    x = _x(*shape).requires_grad_()
    y, expected = layer(x), function(layer, x)
    np.testing.assert_array_equal(y.detach(), expected.detach())
    if y.requires_grad:
        y.sum().backward()


DROPOUTS = [
    (nn.Dropout, (100,)),
    (nn.Dropout1d, (2, 50, 3)),
    (nn.Dropout2d, (2, 50, 2, 2)),
    (nn.Dropout3d, (2, 50, 2, 2, 1)),
    (nn.AlphaDropout, (100,)),
    (nn.FeatureAlphaDropout, (2, 50, 3)),
]


@pytest.mark.parametrize(("kind", "shape"), DROPOUTS)
def test_dropout_layers_are_random_in_training_only(kind: type, shape: tuple[int, ...]) -> None:
    layer, x = kind(0.3), mg.ones(*shape)
    assert len(np.unique(layer(x).numpy())) == 2
    np.testing.assert_array_equal(layer.eval()(x), x)


def test_pooling_gives_indices_and_transposed_convolution_takes_sizes() -> None:
    values, indices = nn.MaxPool2d(2, return_indices=True)(_x(1, 1, 4, 4))
    assert indices.tolist() == [[[[5, 7], [13, 15]]]]
    assert values.shape == (1, 1, 2, 2)
    values, indices = nn.AdaptiveMaxPool1d(2, return_indices=True)(_x(1, 1, 4))
    assert indices.tolist() == [[[1, 3]]]
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2)
    assert layer(mg.ones(1, 1, 2, 2)).shape == (1, 1, 5, 5)
    assert layer(mg.ones(1, 1, 2, 2), output_size=(6, 5)).shape == (1, 1, 6, 5)
    assert layer(mg.ones(1, 1, 2, 2), output_size=(1, 1, 5, 6)).shape == (1, 1, 5, 6)


def test_bilinear() -> None:
    layer = nn.Bilinear(2, 3, 4).double()
    a, b = mg.randn(5, 2, dtype=mg.float64), mg.randn(5, 3, dtype=mg.float64)
    expected = np.einsum("ni,oij,nj->no", a.numpy(), layer.weight.detach().numpy(), b.numpy())
    np.testing.assert_allclose(layer(a, b).detach(), expected + layer.bias.detach().numpy(), rtol=1e-12)


_CLASSES = mg.tensor([0, 2])
_SIGNS = mg.tensor([1.0, -1.0])
LOSSES = [
    (nn.L1Loss, {}, "l1_loss", (_x(2, 3), mg.ones(2, 3))),
    (nn.MSELoss, {}, "mse_loss", (_x(2, 3), mg.ones(2, 3))),
    (nn.SmoothL1Loss, {"beta": 0.5}, "smooth_l1_loss", (_x(2, 3), mg.ones(2, 3))),
    (nn.HuberLoss, {"delta": 0.5}, "huber_loss", (_x(2, 3), mg.ones(2, 3))),
    (nn.CrossEntropyLoss, {"weight": mg.tensor([1.0, 2, 3]), "label_smoothing": 0.1, "ignore_index": 2},
     "cross_entropy", (_x(2, 3), _CLASSES)),
    (nn.NLLLoss, {"weight": mg.tensor([1.0, 2, 3]), "ignore_index": 2}, "nll_loss", (_x(2, 3), _CLASSES)),
    (nn.BCELoss, {}, "binary_cross_entropy", (_x(3).sigmoid(), mg.tensor([0.0, 1, 1]))),
    (nn.BCEWithLogitsLoss, {"pos_weight": mg.tensor([2.0])}, "binary_cross_entropy_with_logits",
     (_x(3), mg.tensor([0.0, 1, 1]))),
    (nn.KLDivLoss, {"log_target": True}, "kl_div", (_x(2, 3), -mg.ones(2, 3))),
    (nn.PoissonNLLLoss, {"full": True, "eps": 1e-4}, "poisson_nll_loss", (_x(2, 3), mg.ones(2, 3) * 3)),
    (nn.GaussianNLLLoss, {"full": True}, "gaussian_nll_loss", (_x(3), mg.ones(3), mg.ones(3) * 2)),
    (nn.SoftMarginLoss, {}, "soft_margin_loss", (_x(2), _SIGNS)),
    (nn.HingeEmbeddingLoss, {"margin": 2.0}, "hinge_embedding_loss", (_x(2), _SIGNS)),
    (nn.MarginRankingLoss, {"margin": 0.5}, "margin_ranking_loss", (_x(2), mg.ones(2), _SIGNS)),
    (nn.CosineEmbeddingLoss, {"margin": 0.5}, "cosine_embedding_loss", (_x(2, 3), mg.ones(2, 3), _SIGNS)),
    (nn.TripletMarginLoss, {"margin": 2.0, "swap": True}, "triplet_margin_loss",
     (_x(2, 3), mg.ones(2, 3), mg.zeros(2, 3))),
]  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("kind", "options", "function", "args"), LOSSES, ids=[loss[2] for loss in LOSSES])
def test_losses_call_their_functions(kind: type, options: dict, function: str, args: tuple, reduction: str) -> None:
    loss = kind(**options, reduction=reduction)
    expected = getattr(F, function)(*args, **options, reduction=reduction)
    np.testing.assert_array_equal(loss(*args), expected)
    assert loss(*args).shape == expected.shape


def test_losses_keep_their_weights_as_buffers() -> None:
    loss = nn.CrossEntropyLoss(weight=mg.ones(3))
    assert list(loss.state_dict()) == ["weight"]
    assert loss.double().weight.dtype == mg.float64


def test_inplace_activations_write_into_their_input() -> None:
    layers = [nn.ReLU(True), nn.LeakyReLU(0.1, True), nn.ELU(inplace=True), nn.Hardtanh(inplace=True), nn.SiLU(True)]
    for layer in layers:
        x = _x(4)
        assert layer(x) is x, layer


def test_every_layer_has_pytorchs_arguments_and_a_docstring() -> None:
    for name, kind in vars(nn).items():
        if isinstance(kind, type) and issubclass(kind, nn.Module):
            assert kind.__doc__, name
            assert inspect.signature(kind), name


def test_a_layer_is_of_another_kind_only_where_it_is_in_pytorch() -> None:
    """So that ``isinstance(layer, nn.Softmax)`` does not find a LogSoftmax."""
    kinds = [kind for kind in vars(nn).values() if isinstance(kind, type) and issubclass(kind, nn.Module)]
    pairs = [(a, b) for a in kinds for b in kinds if issubclass(a, b) and b not in (a, nn.Module)]
    assert sorted((a.__name__, b.__name__) for a, b in pairs) == [
        ("UpsamplingBilinear2d", "Upsample"), ("UpsamplingNearest2d", "Upsample"),
        ("ZeroPad1d", "ConstantPad1d"), ("ZeroPad2d", "ConstantPad2d"), ("ZeroPad3d", "ConstantPad3d"),
    ]  # fmt: skip


def test_functional_call() -> None:
    net = Net()
    x, scale = images(), mg.full((1,), 3.0, requires_grad=True)
    y = nn.utils.stateless.functional_call(net, {"scale": scale, "count": mg.ones(1)}, x)
    np.testing.assert_allclose(y.detach(), 3 * net(x).detach(), rtol=1e-6)
    y.sum().backward()
    assert scale.grad is not None
    assert net.scale.grad is None
    assert net.scale.item() == 1
    tied = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    tied[1].weight = before = tied[0].weight
    assert nn.utils.stateless.functional_call(tied, {"0.weight": scale.reshape(1, 1)}, mg.ones(1)).item() == 9
    assert tied[0].weight is tied[1].weight is before
    layer = nn.Linear(1, 1)
    with pytest.raises(TypeError, match="forward"):
        nn.utils.stateless.functional_call(layer, {"weight": scale}, (1, 2, 3))
    assert isinstance(layer.weight, nn.Parameter)


# ---------------------------------------------------------------------------- initialisation


def _moments(tensor: mg.Tensor) -> tuple[float, float, float]:
    array = tensor.detach().numpy()
    return array.mean(), array.std(), abs(array).max()


def test_layers_start_as_pytorchs_do() -> None:
    """Uniform within 1 / sqrt(fan-in), for weights and biases."""
    mg.manual_seed(0)
    cases = [
        (nn.Linear(100, 400), 100),
        (nn.Conv2d(16, 200, 5), 16 * 25),
        (nn.Conv2d(16, 200, 5, groups=4), 4 * 25),
        (nn.ConvTranspose2d(200, 40, 5), 40 * 25),
        (nn.Bilinear(30, 20, 100), 30),
    ]
    for layer, fan in cases:
        for param in layer.parameters():
            mean, std, largest = _moments(param)
            bound = 1 / math.sqrt(fan)
            assert largest <= bound, layer
            assert largest > 0.9 * bound, layer
            assert abs(mean) < 5 * bound / math.sqrt(3 * param.numel()), layer
            if param.ndim > 1:
                assert std == pytest.approx(bound / math.sqrt(3), rel=0.03), layer
    assert nn.PReLU(2, init=0.1).weight.tolist() == pytest.approx([0.1, 0.1])


def test_standard_deviations_of_initializers() -> None:
    mg.manual_seed(0)
    weight = mg.empty(300, 100, 2)  # fan-in 200, fan-out 600
    init = nn.init
    cases = [
        (lambda: init.xavier_uniform_(weight, gain=2.0), 2 * math.sqrt(2 / 800), math.sqrt(3)),
        (lambda: init.xavier_normal_(weight), math.sqrt(2 / 800), None),
        (lambda: init.kaiming_uniform_(weight, a=1.0), math.sqrt(1 / 200), math.sqrt(3)),
        (lambda: init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 600), None),
        (lambda: init.uniform_(weight, -3, 3), math.sqrt(3), math.sqrt(3)),
        (lambda: init.normal_(weight, 1.0, 0.5), 0.5, None),
    ]
    for fill, std, limit in cases:
        assert fill() is weight
        _, found, largest = _moments(weight)
        assert found == pytest.approx(std, rel=0.02)
        assert limit is None or largest <= std * limit * (1 + 1e-6)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"), [(0, 1, -2, 2), (1, 0.5, 0, 1.2), (0, 1, 1.5, 3), (0, 1, -0.1, 0.2)]
)
def test_truncated_normal(mean: float, std: float, a: float, b: float) -> None:
    mg.manual_seed(0)
    values = np.sort(nn.init.trunc_normal_(mg.empty(100, 200), mean, std, a, b).numpy().ravel())
    assert values[0] >= np.float32(a)
    assert values[-1] <= np.float32(b)
    cdf = [math.erf((x - mean) / std / math.sqrt(2)) for x in (a, *values[::200], b)]
    expected = (np.array(cdf[1:-1]) - cdf[0]) / (cdf[-1] - cdf[0])
    np.testing.assert_allclose(np.arange(len(expected)) / len(expected), expected, atol=0.015)  # Kolmogorov-Smirnov
    with pytest.warns(UserWarning, match="more than 2 std"):
        nn.init.trunc_normal_(mg.empty(2), 10.0, 1.0, -2, 2)
    assert nn.init.trunc_normal_(mg.empty(0)).shape == (0,)


def test_initializers_with_known_values() -> None:
    init = nn.init
    assert init.eye_(mg.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert init.constant_(mg.empty(2), 3).tolist() == [3, 3]
    assert init.ones_(mg.empty(2)).tolist() == [1, 1]
    assert init.zeros_(mg.empty(2)).tolist() == [0, 0]
    kernel = init.dirac_(mg.empty(4, 2, 3), groups=2)
    x = _x(1, 4, 5).float()
    np.testing.assert_array_equal(F.conv1d(x, kernel, padding=1, groups=2), x)
    for shape in ((3, 5), (5, 3), (4, 2, 2)):
        rows = init.orthogonal_(mg.empty(*shape), gain=2.0).numpy().reshape(shape[0], -1)
        small = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)
    sparse = init.sparse_(mg.empty(10, 4), sparsity=0.25)
    assert ((sparse == 0).sum(0) == 3).all()
    assert init.orthogonal_(mg.empty(2, 0)).shape == (2, 0)
    with pytest.warns(UserWarning, match="no-op"):
        init.kaiming_normal_(mg.empty(2, 0))
    gains = {"relu": math.sqrt(2), "tanh": 5 / 3, "selu": 0.75, "conv2d": 1, "leaky_relu": math.sqrt(2 / 1.0001)}
    for name, gain in gains.items():
        assert init.calculate_gain(name) == pytest.approx(gain)
    assert init.calculate_gain("leaky_relu", 1) == 1
    assert init._calculate_fan_in_and_fan_out(mg.empty(2, 3, 4)) == (12, 8)  # programs call it


def test_initializers_change_parameters_without_recording() -> None:
    weight = nn.Linear(3, 3).weight
    assert nn.init.zeros_(weight) is weight
    assert weight.is_leaf
    assert weight.requires_grad
    generator = mg.Generator().manual_seed(3)
    first = nn.init.normal_(mg.empty(3), generator=generator)
    again = nn.init.normal_(mg.empty(3), generator=generator.manual_seed(3))
    np.testing.assert_array_equal(first, again)
