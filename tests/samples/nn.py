"""Modules: the operation that their hooks are made of, and what they refuse."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.data import DataLoader, IterableDataset, RandomSampler, TensorDataset, random_split
from minigrad.ops.observing import observe
from minigrad.testing import floats, shapes

from .spec import Case, Spec

SPECS = {
    "observe": Spec(
        lambda a, b: observe(a, b, hook=lambda grads: grads),
        st.builds(Case, floats(shapes(0, 2)), floats(shapes(0, 2))),
        lambda a, b: (a, b),
    ),
    "observe one": Spec(
        lambda a: observe(a, hook=lambda grads: grads), st.builds(Case, floats(shapes(0, 2))), lambda a: (a,),
        primitive="observe",
    ),
}


def _early(assign: object) -> type:
    """A module that forgets to call ``super().__init__()`` first."""

    class Early(nn.Module):
        def __init__(self) -> None:
            self.inside = assign

    return Early


def _assign(name: str, value: object) -> object:
    module = nn.Linear(2, 3)
    module.child = nn.Identity()
    module.register_buffer("kept", mg.ones(1))
    setattr(module, name, value)
    return module


class _Broken(nn.Module):
    def forward(self) -> None:
        raise LookupError("lost")


class _Endless(IterableDataset):
    def __iter__(self) -> object:
        return iter(range(3))


_PAIR = TensorDataset(mg.zeros(4, 2), mg.arange(4))

_IMAGE = mg.ones(1, 4, 4)

ERRORS = [
    # Module
    ("early parameter", _early(nn.Parameter(mg.ones(1))), AttributeError, r"Early.*before Module.__init__\(\) call"),
    ("early module", _early(nn.Identity()), AttributeError, r"'Identity' as module.*before Module.__init__\(\) call"),
    ("early use", lambda: object.__new__(nn.Linear)(mg.ones(1)), AttributeError, "weight|super"),
    ("no forward", lambda: nn.Module()(mg.ones(1)), NotImplementedError, "Module.*forward"),
    ("unknown attribute", lambda: nn.Linear(1, 1).wieght, AttributeError, "'Linear' object has no attribute 'wieght'"),
    ("Tensor as parameter", lambda: _assign("weight", mg.ones(3, 2)), TypeError, "'Tensor' as parameter 'weight'"),
    ("number as module", lambda: _assign("child", 3), TypeError, "'int' as module 'child'"),
    ("number as buffer", lambda: _assign("kept", 3), TypeError, "'int' as buffer 'kept'"),
    ("parameter name", lambda: nn.Module().register_parameter("a.b", None), KeyError, r"'\.'.*'a\.b'"),
    ("parameter name type", lambda: nn.Module().register_parameter(3, None), TypeError, "string, got int"),
    ("parameter type", lambda: nn.Module().register_parameter("a", mg.ones(1)), TypeError, "'Tensor' as param"),
    ("parameter taken", lambda: nn.Module().register_parameter("training", None), KeyError,
     "'training' already exists"),
    ("buffer type", lambda: nn.Module().register_buffer("a", 1.0), TypeError, "'float' as buffer 'a'"),
    ("buffer taken", lambda: nn.Linear(1, 1).register_buffer("weight", None), KeyError, "'weight' already exists"),
    ("module type", lambda: nn.Module().add_module("a", 1), TypeError, "'int' as module 'a'"),
    ("module name", lambda: nn.Module().add_module("", nn.Identity()), KeyError, "must not be empty"),
    ("Parameter of list", lambda: nn.Parameter([1.0]), TypeError, "Parameter: expected a Tensor, got list"),
    ("Parameter of integers", lambda: nn.Parameter(mg.arange(3)), TypeError, "int64"),
    ("train mode", lambda: nn.Identity().train("yes"), ValueError, "expected to be a bool"),
    ("to integers", lambda: nn.Linear(1, 1).to(mg.int64), TypeError, "int64"),
    ("to cuda", lambda: nn.Linear(1, 1).to("cuda"), RuntimeError, "cuda"),
    ("always_call", lambda: nn.Identity().register_forward_hook(print, always_call=True), NotImplementedError,
     "always"),
    ("get_submodule", lambda: nn.Sequential(nn.Identity()).get_submodule("0.x"), AttributeError, "'x'"),
    ("get_parameter", lambda: nn.Linear(1, 1).get_parameter("w"), AttributeError, "Linear has no parameter 'w'"),
    ("get_buffer", lambda: nn.Linear(1, 1).get_buffer("weight"), AttributeError, "Linear has no buffer 'weight'"),
    ("load_state_dict type", lambda: nn.Linear(1, 1).load_state_dict([1]), TypeError, "dict-like"),
    ("load_state_dict shape", lambda: nn.Linear(1, 2).load_state_dict(nn.Linear(2, 2).state_dict()), RuntimeError,
     r"size mismatch for weight.*\(2, 2\).*\(2, 1\)"),
    ("load_state_dict value", lambda: nn.Linear(1, 1, bias=False).load_state_dict({"weight": 3}), RuntimeError,
     "got int"),
    ("functional_call name", lambda: nn.utils.stateless.functional_call(nn.Linear(1, 1), {"w": 1}), KeyError, "'w'"),
    # containers
    ("Sequential index", lambda: nn.Sequential(nn.Identity())[1], IndexError, "index 1 is out of range for 1 entries"),
    ("Sequential of function", lambda: nn.Sequential(mg.relu), TypeError, "'function' as module '0'"),
    ("Sequential insert", lambda: nn.Sequential().insert(0, 3), TypeError, "'int' as module '0'"),
    ("Sequential insert index", lambda: nn.Sequential().insert(2, nn.Identity()), IndexError, "index 2"),
    ("Sequential add", lambda: nn.Sequential() + 1, ValueError, "another Sequential"),
    ("Sequential repeat", lambda: nn.Sequential() * 0, ValueError, "positive int"),
    ("ModuleList extend", lambda: nn.ModuleList().extend(3), TypeError, "an iterable, got int"),
    ("ModuleList forward", lambda: nn.ModuleList()(1), NotImplementedError, "ModuleList"),
    ("ModuleDict update", lambda: nn.ModuleDict().update(3), TypeError, "mapping or pairs, got int"),
    ("ModuleDict key", lambda: nn.ModuleDict()["a"], KeyError, "a"),
    ("ParameterList extend", lambda: nn.ParameterList().extend(mg.ones(2)), TypeError, "got Tensor"),
    ("ParameterList index", lambda: nn.ParameterList()[0], IndexError, "index 0"),
    ("ParameterDict key", lambda: nn.ParameterDict()["a"], KeyError, "a"),
    ("ParameterDict key type", lambda: nn.ParameterDict({1: mg.ones(1)}), TypeError, "string, got int"),
    ("ParameterDict attribute", lambda: nn.ParameterDict({"keys": mg.ones(1)}), KeyError, "'keys'"),
    # layers
    ("Linear size", lambda: nn.Linear(2.0, 3), TypeError, "in_features must be an int, got 2.0"),
    ("Linear negative", lambda: nn.Linear(2, -3), ValueError, "out_features must be at least 0, got -3"),
    ("Linear input", lambda: nn.Linear(2, 3)(mg.ones(4, 5)), ValueError, r"\(4, 5\).*\(3, 2\)"),
    ("Bilinear size", lambda: nn.Bilinear(2, 0, 3), ValueError, "in2_features"),
    ("Conv2d channels", lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels=3.*groups=2"),
    ("Conv2d out channels", lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels=3.*groups=2"),
    ("Conv2d groups", lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError, "groups must be at least 1"),
    ("Conv2d kernel", lambda: nn.Conv2d(1, 1, (3, 3, 3)), ValueError, "kernel_size must be an int or 2 ints"),
    ("Conv2d kernel zero", lambda: nn.Conv2d(1, 1, 0), ValueError, "kernel_size must be at least 1"),
    ("Conv2d stride", lambda: nn.Conv2d(1, 1, 1, stride=0), ValueError, "stride must be at least 1"),
    ("Conv2d padding", lambda: nn.Conv2d(1, 1, 1, padding="full"), ValueError, "'same', 'valid'.*'full'"),
    ("Conv2d same stride", lambda: nn.Conv2d(1, 1, 3, 2, padding="same"), ValueError, "'same' needs stride 1"),
    ("Conv2d mode", lambda: nn.Conv2d(1, 1, 1, padding_mode="mirror")(mg.ones(1, 2, 2)), ValueError, "mode.*'mirror'"),
    ("Conv2d input", lambda: nn.Conv2d(3, 4, 3)(mg.ones(1, 2, 5, 5)), ValueError, "2 channels.*expects 3"),
    ("ConvTranspose2d mode", lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"), ValueError, "only .zeros."),
    ("ConvTranspose2d padding", lambda: nn.ConvTranspose2d(1, 1, 3, padding="same"), TypeError, "int or 2 ints"),

        ("ConvTranspose2d size", lambda: nn.ConvTranspose2d(1, 1, 3, 2)(mg.ones(1, 1, 2, 2), output_size=(9, 9)),
     ValueError, r"\(9, 9\) is not possible.*\[5, 5\] to \[6, 6\]"),
    ("MaxPool2d padding", lambda: nn.MaxPool2d(2, padding=2)(_IMAGE), ValueError, "at most half the kernel_size"),
    ("MaxPool2d kernel", lambda: nn.MaxPool2d("2")(_IMAGE), TypeError, "kernel_size"),
    ("AvgPool2d divisor", lambda: nn.AvgPool2d(2, divisor_override=0)(_IMAGE), ValueError, "divisor_override"),
    ("AdaptiveAvgPool2d size", lambda: nn.AdaptiveAvgPool2d((1, 2, 3))(_IMAGE), ValueError, "output_size"),
    ("Dropout", lambda: nn.Dropout(1.5), ValueError, "Dropout: p must be a probability from 0 to 1, got 1.5"),
    ("Unflatten", lambda: nn.Unflatten(1, 3)(_IMAGE), ValueError, r"shape \(3,\)"),
    ("Hardtanh", lambda: nn.Hardtanh(2, 1)(_IMAGE), ValueError, "max_val"),
    ("GELU", lambda: nn.GELU("sigmoid")(_IMAGE), ValueError, "'none' or 'tanh', got 'sigmoid'"),
    ("Softshrink", lambda: nn.Softshrink(-1)(_IMAGE), ValueError, "lambd"),
    ("Softmax2d", lambda: nn.Softmax2d()(mg.ones(2, 2)), ValueError, r"\(2, 2\)"),
    ("loss reduction", lambda: nn.MSELoss(reduction="max")(_IMAGE, _IMAGE), ValueError, "reduction.*'max'"),
    ("loss size_average", lambda: nn.L1Loss(size_average=True), NotImplementedError, "reduction="),
    ("CrossEntropyLoss", lambda: nn.CrossEntropyLoss(label_smoothing=2.0)(_IMAGE, _IMAGE), ValueError,
     "label_smoothing must be from 0 to 1"),
    ("HuberLoss", lambda: nn.HuberLoss(delta=0)(_IMAGE, _IMAGE), ValueError, "delta must be above 0"),
    ("TripletMarginLoss", lambda: nn.TripletMarginLoss(margin=0)(*[_IMAGE] * 3), ValueError, "margin must be above 0"),
    # initialisation
    ("init type", lambda: nn.init.zeros_(np.ones(2)), TypeError, "zeros_: expected a Tensor, got ndarray"),
    ("init fan", lambda: nn.init.xavier_uniform_(mg.ones(2)), ValueError, r"at least 2 dimensions, got shape \(2,\)"),
    ("init mode", lambda: nn.init.kaiming_normal_(mg.ones(2, 2), mode="fan"), ValueError, "mode 'fan'"),
    ("init gain", lambda: nn.init.calculate_gain("swish"), ValueError, "'swish'"),
    ("init slope", lambda: nn.init.calculate_gain("leaky_relu", "a"), ValueError, "'a'"),
    ("init eye", lambda: nn.init.eye_(mg.ones(2)), ValueError, r"eye_.*\(2,\)"),
    ("init dirac", lambda: nn.init.dirac_(mg.ones(2, 2)), ValueError, "dirac_.*3 or 4 or 5"),
    ("init dirac groups", lambda: nn.init.dirac_(mg.ones(3, 2, 2), groups=2), ValueError, "groups=2"),
    ("init orthogonal", lambda: nn.init.orthogonal_(mg.ones(2)), ValueError, "orthogonal_"),
    ("init sparse", lambda: nn.init.sparse_(mg.ones(2), 0.5), ValueError, "sparse_"),
    ("init truncated", lambda: nn.init.trunc_normal_(mg.ones(2), a=1.0, b=1.0), ValueError, "a < b"),
    # data
    ("TensorDataset of nothing", TensorDataset, TypeError, "one or more Tensors"),
    ("TensorDataset lengths", lambda: TensorDataset(mg.ones(2), mg.ones(3)), ValueError, "different lengths: 2, 3"),
    ("random_split", lambda: random_split(_PAIR, [1, 2]), ValueError, r"\[1, 2\] do not sum to the 4 samples"),
    ("batch size", lambda: DataLoader(_PAIR, batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
    ("workers", lambda: DataLoader(_PAIR, num_workers=-1), ValueError, "num_workers"),
    ("sampler and shuffle", lambda: DataLoader(_PAIR, shuffle=True, sampler=[1]), ValueError, "exclude each other"),
    ("batch_sampler", lambda: DataLoader(_PAIR, 2, batch_sampler=[[1]]), ValueError, "batch_sampler excludes"),
    ("drop_last", lambda: DataLoader(_PAIR, None, drop_last=True), ValueError, "drop_last needs"),
    ("iterable shuffle", lambda: DataLoader(_Endless(), shuffle=True), ValueError, "its own order"),
    ("iterable length", lambda: len(DataLoader(_Endless())), TypeError, "no length"),
    ("collate", lambda: next(iter(DataLoader([object()]))), TypeError, "object; give the DataLoader a collate_fn"),
    ("collate lengths", lambda: next(iter(DataLoader([(1,), (1, 2)], 2))), ValueError, "different numbers of entries"),
    ("samples", lambda: RandomSampler(_PAIR, num_samples=-1), ValueError, "num_samples"),
]  # fmt: skip
