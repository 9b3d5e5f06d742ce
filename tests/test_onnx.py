"""Exported ONNX files, run by onnxruntime."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

from . import layers

onnx = pytest.importorskip("onnx", reason="the onnx library is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

export = mg.onnx.export

runtime.set_default_logger_severity(4)


def run(proto: Any, *inputs: Any) -> list[np.ndarray]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, dict(zip([i.name for i in session.get_inputs()], inputs, strict=True)))


def check(proto: Any, model: Callable, args: Any) -> None:
    """What the file computes of ``args`` is what the model does."""
    with mg.no_grad():
        expected = [t.numpy() for t in layers.tensors(model(*args))]
    found = run(proto, *[t.numpy() for t in layers.tensors(args)])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5, strict=True)


# What scatters or counts; and losses, which are for training.
NOT_EXPORTED = r"Loss|EmbeddingBag|nn\.MaxPool.*return_indices=True|Embedding\(.*(max_norm|scale_grad)"


@pytest.mark.parametrize("kind", sorted({re.match(r"nn\.(\w+?)(\dd)?\W", c.text)[1] for c in layers.cases}))  # type: ignore[index]
def test_every_layer(kind: str) -> None:
    for case in layers.cases:
        if not re.match(rf"nn\.{kind}(\dd)?\W", case.text) or case.call in (layers.packed, layers.shorter):
            continue
        module = layers.build(mg, case).float().eval()
        args = layers.convert(case.inputs, lambda a: mg.tensor(a.astype("f4") if a.dtype == "f8" else a))

        def call(*args: Any, module: Any = module, case: Any = case) -> Any:
            return case.call(mg, module, *args)

        model = module if case.call is layers.plainly else call
        if re.search(NOT_EXPORTED, case.text):
            continue
        check(export(model, args), model, args)


class Net(nn.Module):
    """A program between layers, too."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, groups=2, padding="same", padding_mode="reflect"),
        )  # fmt: skip
        self.head = nn.Linear(8 * 16, 5)

    def forward(self, x: Any) -> Any:
        y = self.features(x)
        y = y + y.mean((2, 3), keepdim=True) * mg.sigmoid(y[:, :1])
        y = nn.functional.dropout(y.flatten(1), 0.5, self.training)
        return {"logits": self.head(y)}["logits"].log_softmax(1), y.argmax(1)


class Reader(nn.Module):
    """Sequences to classes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        self.recurrent = getattr(nn, kind)(8, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, tokens: Any) -> Any:
        y, _ = self.recurrent(self.embedding(tokens))
        return self.head(y[:, -1]), y


class Translator(nn.Module):
    """Two sequences, the second of which sees only its past."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        self.transformer = nn.Transformer(8, 2, 2, 2, 16, batch_first=True, activation="gelu", norm_first=True)

    def forward(self, source: Any, target: Any) -> Any:
        mask = self.transformer.generate_square_subsequent_mask(target.shape[1])
        y = self.transformer(self.embedding(source), self.embedding(target), tgt_mask=mask)
        return y @ self.embedding.weight.t()


def image(n: int) -> Any:
    return mg.randn(n, 3, 8, 8)


def tokens(n: int, length: int = 5) -> Any:
    return mg.randint(0, 10, (n, length))


NETS: list[tuple[str, Any, Callable[[int], tuple]]] = [
    ("convolutions", Net(), lambda n: (image(n),)),
    *((kind, Reader(kind), lambda n: (tokens(n),)) for kind in ("RNN", "LSTM", "GRU")),
    ("transformer", Translator(), lambda n: (tokens(n), tokens(n, 4))),
    ("groups", nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(3),
                             nn.Upsample(scale_factor=2, mode="bilinear"), nn.PixelShuffle(2)), lambda n: (image(n),)),
]  # fmt: skip


@pytest.mark.parametrize(("model", "inputs"), [net[1:] for net in NETS], ids=[net[0] for net in NETS])
def test_nets_with_any_number_of_samples(model: nn.Module, inputs: Callable[[int], tuple], tmp_path: Path) -> None:
    names = [f"given {k}" for k in range(len(inputs(1)))]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
    path = tmp_path / "net.onnx"
    export(model, inputs(2), path, input_names=names, dynamic_axes={name: {0: "batch"} for name in names})
    assert model.training  # as it was
    model.eval()
    proto = onnx.load(path)
    for n in (1, 2, 7):
        check(proto, model, inputs(n))
    model.train()
    parameters = {name for name, _ in model.named_parameters()}
    assert parameters & {tensor.name for tensor in proto.graph.initializer}
    assert [i.name for i in proto.graph.input] == names
    assert all(i.type.tensor_type.shape.dim[0].dim_param == "batch" for i in [*proto.graph.input, *proto.graph.output])


def test_several_open_sizes() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    proto = export(model, mg.randn(2, 5, 8), input_names=["x"], output_names=["y"],
                   dynamic_axes={"x": {0: "batch", 1: "time"}, "y": {0: "batch"}})  # fmt: skip
    for shape in ((1, 1, 8), (3, 9, 8)):
        check(proto, model, (mg.randn(shape),))
    dims = proto.graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", "time", 8]
    proto = export(lambda a, b: (a + b)[-1], (mg.ones(3, 2), mg.ones(3, 2)), input_names=["a", "b"],
                   dynamic_axes={"a": {0: "n"}, "b": {0: "n"}})  # fmt: skip
    np.testing.assert_array_equal(run(proto, *[np.float32([[1, 2]] * 5)] * 2)[0], [2, 4])
    with pytest.raises(NotImplementedError, match=r"how Add_\d+ depends on the sizes n cannot be expressed"):
        export(lambda a: a + mg.arange(len(a)), mg.ones(3), input_names=["a"], dynamic_axes={"a": {0: "n"}})
    halves = lambda a: a[: len(a) // 2]  # half of an open size is no product of sizes
    for model in (lambda a: a.std(0), lambda a: mg.stack([row.sum() for row in a]), halves):
        with pytest.raises(NotImplementedError, match="depends on the sizes a_0 cannot be expressed"):
            export(model, mg.ones(4, 2), input_names=["a"], dynamic_axes={"a": [0]})


def test_what_cannot_be_exported_is_named() -> None:
    class Choosing(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    model = nn.Sequential(nn.ReLU(), nn.Sequential(Choosing()))
    with pytest.raises(NotImplementedError, match=r"in Choosing '1\.0', operation 'gt': what is computed next"):
        export(model, mg.ones(3))
    with pytest.raises(NotImplementedError, match="operation 'cholesky': NumPy's cholesky has no counterpart"):
        export(mg.linalg.cholesky, mg.eye(3))
    with pytest.raises(NotImplementedError, match="mask"):
        export(lambda x: x[x > 0], mg.ones(3))
    with pytest.raises(NotImplementedError, match="an assignment to a part of a tensor cannot be exported"):
        export(lambda x: x.clone().masked_fill_(x > 0, 1).index_put_((x > 0,), mg.tensor(1.0)), mg.ones(3))
    with pytest.raises(NotImplementedError, match="memory that several tensors share"):
        export(lambda x: (x[0].add_(1), x), mg.ones(3, 3))
    with pytest.raises(NotImplementedError, match="used as a constant array"):
        export(lambda x: mg.tensor(np.asarray(x.numpy())), mg.ones(3))
    with pytest.raises(NotImplementedError, match=r"NumPy's add\.at has no counterpart"):
        export(lambda x: mg.zeros_like(x).index_add(0, mg.tensor([1]), x[:1]), mg.ones(3))
    with pytest.raises(NotImplementedError, match="is written to a constant array"):
        export(lambda x: mg.zeros(3).copy_(x), mg.ones(3))
    with pytest.raises(NotImplementedError, match="NumPy's array_equal has no counterpart"):
        export(lambda x: x if np.array_equal(x.numpy(), x.numpy()) else -x, mg.ones(3))
    with pytest.raises(NotImplementedError, match="at least 18, got 11"):
        export(nn.ReLU(), mg.ones(3), opset_version=11)
    wrong = [({"input_names": ["a", "b"]}, "2 input_names for 1"), ({"output_names": []}, "0 output_names for 1"),
             ({"dynamic_axes": {"x": [0]}}, "dynamic_axes names 'x'; the inputs are input_0")]  # fmt: skip
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            export(nn.ReLU(), mg.ones(3), **options)  # type: ignore[arg-type]


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "max": lambda x: x.max(1).values, "einsum": lambda x: mg.einsum("ij,kj->ik", x, x),
    "gather": lambda x: x.gather(1, x.argmax(1, keepdim=True)),
    "masks": lambda x: mg.where(~(x > 1) & (x != 0.5) | x.isnan(), x, -x).masked_fill(x > 1.2, 0.0),
    "logic": lambda x: ((x > 1.4).any(1), (x > 0.4).all(), (x - 1).any(0), (-x.long()).all(1), (x > 1) + (x < 0.8)),
    "bits": lambda x: ((x * 9).long() & 3 | 8, ~(x * 9).int(), (x > 1) ^ (x > 0.8)),
    "lists": lambda x: x[:, [0, 2]] + x[None, ::-2, 1],
    "slices": lambda x: (x[-1], x[:-1, 1:], x[-3:2], x[3:0:-2, -2]),
    "rounding": lambda x: (x.floor(), x // 0.31, x % 0.31, (x * 9).long() // 2 % 3, x.long().floor(), (2.5 - x).trunc(),
                           (x * 9).round(), x.round(decimals=1)),
    "logarithms": lambda x: (x.log(), x.log1p(), x.expm1(), x.logsumexp(1)),
    "classes": lambda x: nn.functional.one_hot(x.argmax(1), 6), "types": lambda x: (x.half(), x.int()),
    "numbers": lambda x: 2**x / (1 - x) + x.var(),
    "loss": lambda x: nn.functional.cross_entropy(x, mg.tensor([0, 1, 2, 3])),
    "causal": lambda x: nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    args = (mg.linspace(0.55, 1.5, 24)[mg.randperm(24)].reshape(4, 6),)
    check(export(FUNCTIONS[name], args), FUNCTIONS[name], args)


def test_tensors_in_dicts_and_named_tuples() -> None:
    class Pair(NamedTuple):
        left: Any
        right: Any

    def model(pair: Pair, options: dict[str, Any]) -> Any:
        return {"difference": pair.left - pair.right, "all": [options["scale"] * pair.left, 3]}

    a, b = mg.tensor([1.0, 2.0]), mg.tensor([3.0, 5.0])
    found = run(export(model, (Pair(a, b), {"scale": b})), a.numpy(), b.numpy(), b.numpy())
    assert [array.tolist() for array in found] == [[-2.0, -3.0], [3.0, 10.0]]


def test_operations_in_place() -> None:
    def model(x: Any) -> Any:
        y = x * 2
        y += 1
        y.mul_(x).clamp_(max=5)
        z = y.clone().zero_() + mg.ones(3)
        return y.sqrt_() - x.clone().fill_(2), z.copy_(y[:1]), mg.ones(2)

    check(export(model, mg.rand(3)), model, (mg.rand(3),))
