"""Casts, and what the functions that make tensors refuse."""

from __future__ import annotations

import pickle
from copy import deepcopy

import numpy as np

import minigrad as mg
from minigrad.ops import casting
from minigrad.testing import floats, shapes

from .spec import Case, Spec

SPECS: dict[str, Spec] = {
    "cast": Spec(
        lambda input: casting.cast(input, np.dtype("float64")),
        floats(shapes()).map(Case),
        np.copy,
        primitive="cast",
        adjoint=True,
        half=False,  # the dtype is its argument
        edges=[Case(np.ones((0, 2)))],
    ),
}


def _endless() -> list:
    data: list = []
    data.append(data)
    return data


def _x() -> mg.Tensor:
    return mg.ones(2, requires_grad=True)


ERRORS = [
    ("ragged lengths", lambda: mg.tensor([[1], [2, 3]]), ValueError, r"ragged: .*\(1,\) and \(2,\)"),
    ("a list in itself", lambda: mg.tensor(_endless()), ValueError, "nested more than 64 times"),
    ("ragged depths", lambda: mg.tensor([1, [2]]), ValueError, r"ragged: .*\(\) and \(1,\)"),
    ("ragged arrays", lambda: mg.tensor([np.ones(2), np.ones(3)]), ValueError, r"ragged: .*shapes \(2,\) and \(3,\)"),
    ("ragged tensors", lambda: mg.tensor([mg.ones(2), mg.ones(())]), ValueError, r"ragged: .*\(2,\) and \(\)"),
    ("string", lambda: mg.tensor("1"), TypeError, "cannot make a Tensor of str '1'"),
    ("strings", lambda: mg.tensor(["a", "b"]), TypeError, "cannot make a Tensor of str 'a'"),
    ("bytes", lambda: mg.tensor(b"ab"), TypeError, "cannot make a Tensor of bytes"),
    ("none", lambda: mg.tensor(None), TypeError, "cannot make a Tensor of NoneType"),
    ("none inside", lambda: mg.tensor([1, None]), TypeError, "cannot make a Tensor of NoneType"),
    ("set", lambda: mg.tensor({1, 2}), TypeError, "cannot make a Tensor of set"),
    ("complex", lambda: mg.tensor(1j), TypeError, "cannot make a Tensor of complex"),
    ("object", lambda: mg.tensor(object()), TypeError, "cannot make a Tensor of object"),
    ("complex array", lambda: mg.tensor(np.ones(2, "complex128")), TypeError, "dtype complex128 cannot be a Tensor"),
    ("uint16 array", lambda: mg.tensor(np.ones(2, "uint16")), TypeError, "of dtype uint16 .* cast it with astype"),
    ("uint32 scalar", lambda: mg.tensor(np.uint32(1)), TypeError, "an array of dtype uint32"),
    ("longdouble array", lambda: mg.as_tensor(np.ones(2, "longdouble")), TypeError, "as_tensor: an array of"),
    ("object array", lambda: mg.from_numpy(np.array([None])), TypeError, "from_numpy: an array of dtype object"),
    ("string array", lambda: mg.tensor(np.array(["a"])), TypeError, "array of dtype <U1"),
    ("byte order", lambda: mg.tensor(np.ones(2, ">f4")), TypeError, "native byte order"),
    ("masked array", lambda: mg.tensor(np.ma.masked_array([1.0, 2.0], [0, 1])), TypeError, "filled"),
    ("int overflow", lambda: mg.tensor(2**63), ValueError, "does not fit into int64"),
    ("int overflow, mixed", lambda: mg.tensor([2**64, True]), ValueError, "does not fit into int64"),
    ("uint8 overflow", lambda: mg.tensor(300, dtype=mg.uint8), ValueError, "does not fit into uint8"),
    ("int8 underflow", lambda: mg.tensor([-300], dtype=mg.int8), ValueError, "does not fit into int8"),
    ("nan as int", lambda: mg.tensor(float("nan"), dtype=mg.int64), ValueError, "does not fit into int64"),
    ("dtype unknown", lambda: mg.tensor(1, dtype="complex64"), TypeError, "'complex64' is not a dtype of minigrad"),
    ("dtype number", lambda: mg.zeros(2, dtype=3), TypeError, "zeros: 3 is not a dtype"),
    ("requires_grad of ints", lambda: mg.tensor([1, 2], requires_grad=True), TypeError, "only floating-point tensors"),
    ("device", lambda: mg.zeros(2, device="cuda"), RuntimeError, "'cuda' is not available"),
    ("device number", lambda: mg.tensor(1, device="cpu:1"), RuntimeError, "'cpu:1' is not available"),
    ("device object", lambda: mg.device("mps"), RuntimeError, "'mps' is not available"),
    ("from_numpy list", lambda: mg.from_numpy([1, 2]), TypeError, "from_numpy: expected a NumPy array, got list"),
    ("from_dlpack list", lambda: mg.from_dlpack([1]), TypeError, "from_dlpack: list does not speak DLPack"),
    ("asarray no copy", lambda: mg.asarray([1], copy=False), ValueError, "asarray: list data cannot be shared"),
    ("asarray no cast", lambda: mg.asarray(np.ones(1), dtype=mg.float32, copy=False), ValueError, "without a copy"),
    ("frombuffer length", lambda: mg.frombuffer(b"abc", dtype=mg.int32), ValueError, "frombuffer: buffer size"),
    ("frombuffer type", lambda: mg.frombuffer([1], dtype=mg.int32), ValueError, "frombuffer: "),
    ("size negative", lambda: mg.zeros(2, -1), ValueError, r"zeros: size must be at least 0, got \(2, -1\)"),
    ("size float", lambda: mg.ones(2.5), TypeError, "ones: size must be ints"),
    ("size string", lambda: mg.empty("2"), TypeError, "empty: size must be ints"),
    ("full of a vector", lambda: mg.full((2,), [1, 2]), ValueError, "full: fill_value must be one number"),
    ("like an array", lambda: mg.zeros_like(np.ones(2)), TypeError, "zeros_like: expected a Tensor, got ndarray"),
    ("arange step 0", lambda: mg.arange(0, 5, 0), ValueError, "arange: step must not be 0"),
    ("arange direction", lambda: mg.arange(5, 0), ValueError, "step 1 leads away from end 0"),
    ("arange infinite", lambda: mg.arange(0, float("inf")), ValueError, "arange: .* must be finite"),
    ("arange bool", lambda: mg.arange(2, dtype=mg.bool), TypeError, "cannot be bool"),
    ("arange string", lambda: mg.arange("3"), TypeError, "arange: end must be a number, got '3'"),
    ("arange int step", lambda: mg.arange(0, 3, 0.5, dtype=mg.int64), ValueError, "step is 0 in int64"),
    ("linspace steps", lambda: mg.linspace(0, 1, -1), ValueError, "linspace: steps must be at least 0"),
    ("linspace float steps", lambda: mg.linspace(0, 1, 2.5), TypeError, "linspace: steps must be"),
    ("eye", lambda: mg.eye(-1), ValueError, "eye: size must be at least 0"),
    ("finfo of ints", lambda: mg.finfo(mg.int8), TypeError, "finfo: expected a floating dtype, got int8"),
    ("iinfo of floats", lambda: mg.iinfo(mg.float32), TypeError, "iinfo: expected an integer dtype"),
    ("iinfo of bool", lambda: mg.iinfo(mg.bool), TypeError, "iinfo: expected an integer dtype"),
    ("promote a tensor", lambda: mg.promote_types(mg.ones(2), mg.int8), TypeError, "promote_types: .* is not a dtype"),
    ("is_signed of a number", lambda: mg.is_signed(3), TypeError, "is_signed: expected a Tensor, got int"),
    ("default dtype", lambda: mg.set_default_dtype(mg.int64), TypeError, "expected a floating dtype"),
    ("to a string", lambda: _x().to("float32"), RuntimeError, "device: 'float32' is not available"),
    ("to complex", lambda: _x().to(np.complex64), TypeError, "to: .* is not a dtype"),
    ("cuda", lambda: _x().cuda(), RuntimeError, "cuda: device 'cuda' is not available"),
    ("numpy", lambda: _x().numpy(), RuntimeError, r"numpy: the tensor requires a gradient.*detach\(\)"),
    ("np.asarray", lambda: np.asarray(_x()), RuntimeError, "requires a gradient"),
    ("np.array", lambda: np.array(_x(), dtype="float64"), RuntimeError, "requires a gradient"),
    ("dlpack", lambda: np.from_dlpack(_x()), BufferError, "requires a gradient"),
    ("item", lambda: _x().item(), ValueError, r"item: a tensor of shape \(2,\) is not one number"),
    ("float", lambda: float(_x()), ValueError, "is not one number"),
    ("int", lambda: int(mg.ones(0)), ValueError, "is not one number"),
    ("bool", lambda: bool(_x()), ValueError, "ambiguous"),
    ("bool empty", lambda: bool(mg.ones(0)), ValueError, "ambiguous"),
    ("index float", lambda: [1, 2][mg.tensor(1.0)], TypeError, "index: only a single integer"),
    ("index many", lambda: [1, 2][mg.tensor([1, 0])], TypeError, "index: only a single integer"),
    ("len", lambda: len(mg.tensor(1)), TypeError, "has no length"),
    ("iter", lambda: iter(mg.tensor(1)), TypeError, "cannot be iterated"),
    ("in", lambda: "a" in mg.ones(2), TypeError, "a tensor contains numbers, not str"),
    ("format", lambda: f"{mg.ones(2):.2f}", TypeError, "format string"),
    ("size dim", lambda: mg.ones(2).size(1), IndexError, "size: dim 1 is out of range"),
    ("stride dim", lambda: mg.ones(2).stride(-2), IndexError, "stride: dim -2 is out of range"),
    ("deepcopy of a result", lambda: deepcopy(_x() * 2), RuntimeError, "deepcopy: the tensor is part of a graph"),
    ("pickle of a result", lambda: pickle.dumps(_x() * 2), RuntimeError, "pickle: the tensor is part of a graph"),
    ("detach_ of a view", lambda: mg.ones(2, 2).view(4).detach_(), RuntimeError, "detach_: a view cannot be cut"),
    ("data", lambda: setattr(_x(), "data", np.ones(2)), TypeError, "data: expected a Tensor"),
    ("grad shape", lambda: setattr(_x(), "grad", mg.ones(3)), ValueError, r"shape \(3,\), the tensor \(2,\)"),
    ("printoptions", lambda: mg.set_printoptions(profile="loud"), ValueError, "profile must be one of default"),
    ("seed", lambda: mg.manual_seed(2**64), ValueError, "manual_seed: seed must be"),
    ("seed type", lambda: mg.manual_seed(1.5), ValueError, "manual_seed: seed must be"),
    ("rng state", lambda: mg.set_rng_state(mg.ones(3)), ValueError,
     r"set_state: expected a tensor that get_state\(\) returned"),
    ("generator", lambda: mg.rand(2, generator=np.random.default_rng(0)), TypeError, "must be a minigrad.Generator"),
    ("rand of ints", lambda: mg.rand(2, dtype=mg.int64), TypeError, "rand: the dtype must be floating"),
    ("randint range", lambda: mg.randint(3, 3, (2,)), ValueError, "randint: low must be below high, got 3 and 3"),
    ("randint float", lambda: mg.randint(0.5, 3, (2,)), TypeError, "low and high must be integers"),
    ("randint dtype", lambda: mg.randint(0, 300, (2,), dtype=mg.uint8), ValueError, "does not fit into uint8"),
    ("randint size", lambda: mg.randint(3), TypeError, "randint: size must be"),
    ("randperm", lambda: mg.randperm(-1), ValueError, "randperm: n must be at least 0"),
    ("bernoulli", lambda: mg.bernoulli(mg.tensor([0.5, 1.5])), ValueError, "probabilities must be from 0 to 1"),
    ("bernoulli nan", lambda: mg.bernoulli(mg.tensor(float("nan"))), ValueError, "probabilities must be from 0 to 1"),
    ("multinomial negative", lambda: mg.multinomial(mg.tensor([-1.0, 2.0]), 1), ValueError, "not negative"),
    ("multinomial zero", lambda: mg.multinomial(mg.zeros(2), 1), ValueError, "a positive one in each row"),
    ("multinomial many", lambda: mg.multinomial(mg.tensor([0.0, 1.0]), 2), ValueError, "cannot draw 2 .* replacement"),
    ("multinomial dims", lambda: mg.multinomial(mg.ones(1, 1, 1), 1), ValueError, r"got float32 \(1, 1, 1\)"),
    ("multinomial ints", lambda: mg.multinomial(mg.tensor([1, 2]), 1), ValueError, "expected floating weights"),
    ("normal std", lambda: mg.normal(0.0, -1.0, (2,)), ValueError, "std must not be negative"),
    ("full overflow", lambda: mg.full((2,), 300, dtype=mg.uint8), ValueError, "full: a number .* fit into uint8"),
    ("Tensor size", lambda: mg.Tensor(-1, 2), ValueError, r"Tensor: size must be at least 0, got \(-1, 2\)"),
    ("randperm dtype", lambda: mg.randperm(257, dtype=mg.uint8), ValueError, "uint8 does not have all .* up to 256"),
    ("randperm half", lambda: mg.randperm(2050, dtype=mg.half), ValueError, "does not have all .* up to 2049"),
    ("randint half", lambda: mg.randint(0, 2**20, (3,), dtype=mg.half), ValueError, "does not fit into float16"),
    ("multinomial count", lambda: mg.multinomial(mg.ones(3), 2.0), TypeError, "multinomial: num_samples must be ints"),
    ("normal size", lambda: mg.normal(0.0, 1.0), TypeError, "normal: give size"),
    ("normal sizes", lambda: mg.normal(mg.zeros(3), 1.0, (1,)), ValueError, r"shape \(3,\) cannot give .* \(1,\)"),
    ("uniform_ range", lambda: mg.zeros(2).uniform_(1, 0), ValueError, "the range from 1 to 0 is empty"),
    ("normal_ of ints", lambda: mg.zeros(2, dtype=mg.int64).normal_(), TypeError, "dtype must be floating"),
    ("exponential_", lambda: mg.zeros(2).exponential_(0), ValueError, "lambd must be positive"),
    ("random_", lambda: mg.zeros(2).random_(0), ValueError, "low must be below high"),
    ("fill of a leaf", lambda: _x().normal_(), RuntimeError, "normal_: the tensor is a leaf"),
    ("np unknown", lambda: np.fft.fft(_x()), NotImplementedError, "np.fft.fft: not available for Tensors"),
    ("np ufunc unknown", lambda: np.spacing(_x()), NotImplementedError, "np.spacing: not available"),
    ("np accumulate", lambda: np.add.accumulate(_x()), NotImplementedError, "np.add.accumulate: not available"),
    ("np out", lambda: np.add(_x(), 1, out=np.ones(2)), NotImplementedError, "np.add: out= is not available"),
    ("np where", lambda: np.add(_x(), 1, where=np.ones(2, bool)), NotImplementedError, "np.add: where= is not"),
    ("np sum initial", lambda: np.sum(_x(), initial=3), TypeError, "np.sum: .*unexpected argument 'initial'"),
    ("ndarray += Tensor", lambda: np.ones(2).__iadd__(_x()), NotImplementedError, "np.add: out= is not available"),
]
