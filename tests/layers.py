"""Every layer of nn in several configurations, written so that minigrad and PyTorch can both build and run them.

``compare_torch.py`` compares the two in detail, and ``data/make_layers.py`` stores what PyTorch answers, which
``test_nn_layers.py`` then asks of minigrad. Neither library is imported here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

Recipe = Callable[[np.random.Generator], np.ndarray]


@dataclass
class Case:
    """A layer as text, its inputs, and how to call it."""

    name: str
    text: str
    inputs: tuple[Any, ...]
    call: Callable[..., Any]

    @property
    def modes(self) -> tuple[bool, ...]:
        """Whether to call it in evaluation, in training, or (where it matters) in both."""
        if re.search(r"nn\.(\w*Dropout\w*|RReLU)\(", self.text):  # these draw random numbers in training
            return (False,)
        return (False, True) if re.search("BatchNorm|InstanceNorm|spectral", self.text) else (True,)


cases: list[Case] = []


def x(*shape: int, low: float = -2.0, high: float = 2.0) -> Recipe:
    """Floats, with respect to which gradients are compared; all differ."""
    size = int(np.prod(shape))

    def make(random: np.random.Generator) -> np.ndarray:
        steps = random.permutation(size) + random.uniform(0.1, 0.9)
        return (low + (high - low) * steps / max(size, 1)).reshape(shape)

    return make


def integers(high: int, *shape: int) -> Recipe:
    return lambda random: random.integers(0, high, shape)


def mask(*shape: int) -> Recipe:
    """Bools, mostly False, and never True in the first place of a row."""
    return lambda random: (random.random(shape) < 0.3) & (np.arange(shape[-1]) > 0)


def signs(*shape: int) -> Recipe:
    return lambda random: random.choice([-1, 1], shape)


def _made(inputs: Any, seed: list[int]) -> Any:
    """The inputs with arrays for recipes."""
    if isinstance(inputs, tuple):
        return tuple(_made(value, [*seed, k]) for k, value in enumerate(inputs))
    return inputs(np.random.default_rng(seed)) if callable(inputs) else inputs


def plainly(library: Any, module: Any, *args: Any) -> Any:
    return module(*args)


def add(text: str, *inputs: Any, call: Callable[..., Any] = plainly) -> None:
    """Configurations: alternatives in the text are written {one|other}."""
    found = re.search(r"\{([^{}]*\|[^{}]*)\}", text)
    if found:
        for choice in found[1].split("|"):
            add(text[: found.start()] + choice + text[found.end() :], *inputs, call=call)
        return
    number = sum(case.text == text for case in cases)
    cases.append(Case(f"{text} #{number}", text, _made(inputs, [crc32(text.encode()), number]), call))


# --------------------------------------------------------------------------------------- running


def convert(value: Any, make: Callable[[np.ndarray], Any]) -> Any:
    if isinstance(value, tuple):
        return tuple(convert(v, make) for v in value)
    return make(value) if isinstance(value, np.ndarray) else value


def tensors(value: Any) -> list[Any]:
    """The tensors in an argument or a result, in order."""
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in tensors(v)]
    return [value] if hasattr(value, "requires_grad") else []


def build(library: Any, case: Case) -> Any:
    """The layer, with weights that depend on their names alone."""
    module = eval(case.text, {"nn": library.nn})
    for name, tensor in module.state_dict().items():  # shares the layer's memory
        values = np.random.default_rng(crc32(name.encode())).uniform(-0.6, 0.6, tuple(tensor.shape))
        if name.endswith(("_u", "_v")) and not any(name == parameter for parameter, _ in module.named_parameters()):
            values /= np.linalg.norm(values)
        elif "running" in name or "num_batches" in name:
            continue
        tensor.copy_(library.tensor(values))
    return module


def run(library: Any, case: Case, training: bool) -> tuple[str, dict[str, np.ndarray]]:
    """The printed layer, and all its results: outputs, gradients of inputs and parameters, state afterwards."""
    module = build(library, case)
    module.train(training)
    args = convert(case.inputs, lambda a: library.tensor(a, requires_grad=a.dtype == np.float64))
    outputs = tensors(case.call(library, module, *args))
    leaves = {f"input {k}": t for k, t in enumerate(tensors(args)) if t.requires_grad}
    leaves.update(module.named_parameters())
    weights = np.random.default_rng(1)
    parts = [(t * library.tensor(weights.normal(size=tuple(t.shape)))).sum() + 0.5 * (t * t).sum()
             for t in outputs if t.requires_grad]  # fmt: skip
    if parts:
        sum(parts).backward()
    results = {f"output {k}": t for k, t in enumerate(outputs)}
    results.update({f"gradient of {name}": t.grad for name, t in leaves.items() if t.grad is not None})
    results.update({f"{name} afterwards": t for name, t in module.state_dict().items()})
    return repr(module), {name: t.detach().numpy() for name, t in results.items()}


def fingerprint(printed: str, results: dict[str, np.ndarray]) -> tuple[float, float]:
    """What is printed, and all names, as one number; all values, with their places, as another."""
    total = 0.0
    for k, array in enumerate(results.values()):
        phase = 0.3 * k + np.tensordot(1.7 + np.arange(array.ndim), np.indices(array.shape), 1)
        total += float(np.sum(np.cos(phase) * array)) + 0.01 * array.ndim
    return float(crc32("\n".join([printed, *results]).encode())), total


# ------------------------------------------------------------------------------------ activations

for text in [
    "CELU({|0.5})", "ELU({|0.5})", "GELU({|'tanh'})", "GLU({|0})", "SELU()", "Hardshrink({|0.3})", "Hardsigmoid()",
    "Hardswish()", "Hardtanh({|-0.5, 0.7})", "LeakyReLU({|0.2})", "LogSigmoid()", "LogSoftmax({0|-1})", "Mish()",
    "PReLU({|3})", "ReLU()", "ReLU6()", "RReLU({|0.1, 0.2})", "Sigmoid()", "SiLU()", "Softmax({0|-1})",
    "Softplus({|2.0, 3.0})", "Softshrink({|0.3})", "Softsign()", "Tanh()", "Tanhshrink()", "Threshold(0.1, 0.5)",
    "Softmin({0|1})", "Identity()", "Dropout({|0.3})", "AlphaDropout()",
]:  # fmt: skip
    if "GLU" in text:
        add(f"nn.{text}", x(4, 6))
    elif "PReLU" in text:
        add(f"nn.{text}", x(2, 3, 4))
    else:
        add(f"nn.{text}", x(4, 3))
        add(f"nn.{text}", x(2, 3, 4))
add("nn.Softmax2d()", x(2, 3, 2, 2))
add("nn.Softmax2d()", x(3, 2, 2))
for n in (1, 2, 3):
    add(f"nn.Dropout{n}d()", x(2, 3, *[2] * n))
add("nn.FeatureAlphaDropout()", x(2, 3, 4))

# ----------------------------------------------------------------------------- linear, convolution

add("nn.Linear(3, 4{|, bias=False})", x(2, 3))
add("nn.Linear(3, 4)", x(3))
add("nn.Linear(3, 4)", x(2, 5, 3))
add("nn.Bilinear(3, 2, 4{|, bias=False})", x(5, 3), x(5, 2))
for n in (1, 2, 3):
    for options in ["", "stride=2, padding=1", "dilation=2, padding=2", "groups=2, bias=False", "padding='same'",
                    "padding='valid'", "padding=1, padding_mode='{reflect|replicate|circular}'"]:  # fmt: skip
        add(f"nn.Conv{n}d(4, 6, 3, {options})", x(2, 4, *[6, 5, 5][:n]))
    for options in ["", "stride=2, padding=1, output_padding=1", "dilation=2", "groups=2, bias=False"]:
        add(f"nn.ConvTranspose{n}d(4, 6, 3, {options})", x(2, 4, *[4, 3, 3][:n]))
    add(f"nn.Conv{n}d(4, 6, 3)", x(4, *[5, 4, 4][:n]))
add("nn.Unfold({2|(2, 3), dilation=2|3, padding=1, stride=2})", x(2, 3, 5, 6))
add("nn.Fold((4, 5), 2)", x(2, 8, 12))
add("nn.Fold((5, 6), (2, 3), padding=1, stride=2)", x(2, 12, 9))
add("nn.Flatten({|0|1, 2})", x(2, 3, 4))
add("nn.Unflatten(1, (2, {3|-1}))", x(2, 6))
add("nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))", x(2, 1, 4, 4))

# --------------------------------------------------------------------- pooling, resizing, padding

for n in (1, 2, 3):
    image = [7, 6, 5][:n]
    for options in ["2", "3, stride=1, padding=1", "3, dilation=2", "2, ceil_mode=True"]:
        add(f"nn.MaxPool{n}d({options})", x(2, 3, *image))
    add(f"nn.MaxPool{n}d(2, return_indices=True)", x(2, 3, *image))
    options = "{2|3, stride=1, padding=1|3, 2, 1, count_include_pad=False|2, ceil_mode=True}"
    add(f"nn.AvgPool{n}d({options})", x(2, 3, *image))
    add(f"nn.Adaptive{{Avg|Max}}Pool{n}d({{1|3}})", x(2, 3, *image))
    add(f"nn.AdaptiveMaxPool{n}d(2, return_indices=True)", x(3, *image))
    for padding in ["1", str(tuple(range(1, 2 * n + 1))), str((-1, 2) * n)]:
        for kind in ("Zero", "Reflection", "Replication", "Circular"):
            add(f"nn.{kind}Pad{n}d({padding})", x(2, 3, *[7] * n))
        add(f"nn.ConstantPad{n}d({padding}, 3.5)", x(2, 3, *[7] * n))
add("nn.AvgPool2d(2, divisor_override=3)", x(2, 3, 4, 4))
add("nn.AdaptiveAvgPool2d((None, 2))", x(2, 3, 4, 4))
add("nn.Upsample({scale_factor=2|size=5|scale_factor=1.5, mode='linear'})", x(2, 3, 4))
add("nn.Upsample(scale_factor={2|(2, 1.5)}, mode='{nearest|bilinear|bicubic}')", x(2, 3, 4, 4))
add("nn.Upsample(size=(3, 5, 4), mode='trilinear', align_corners={True|False})", x(1, 2, 2, 3, 3))
add("nn.UpsamplingNearest2d({scale_factor=2|size=5})", x(2, 3, 4, 4))
add("nn.UpsamplingBilinear2d({scale_factor=2|size=(3, 5)})", x(2, 3, 4, 4))
add("nn.PixelShuffle(2)", x(2, 8, 3, 2))
add("nn.PixelUnshuffle(2)", x(2, 2, 4, 6))
add("nn.ChannelShuffle({2|3})", x(2, 6, 3, 2))

# ---------------------------------------------------------------------------------- normalization



def twice(library: Any, module: Any, given: Any) -> Any:
    return module(given), module(given * 2 + 1)


for options in ["", "eps=0.1, momentum=0.3", "momentum=None", "affine=False", "track_running_stats=False",
                "bias=False"]:  # fmt: skip
    for n in (1, 2, 3):
        add(f"nn.BatchNorm{n}d(3, {options})", x(2, 3, *[2, 3, 2][:n]), call=twice)
        add(f"nn.InstanceNorm{n}d(3, {options})", x(2, 3, *[2, 3, 2][:n]), call=twice)
        add(f"nn.InstanceNorm{n}d(3, affine=True, track_running_stats=True, {options})"
            if options in ("", "eps=0.1, momentum=0.3") else f"nn.InstanceNorm{n}d(3)",
            x(3, *[4, 3, 2][:n]), call=twice)  # fmt: skip
    add(f"nn.BatchNorm1d(3, {options})", x(4, 3), call=twice)
add("nn.LayerNorm({4|(3, 4), eps=0.1|(4,), elementwise_affine=False|4, bias=False})", x(2, 3, 4))
add("nn.RMSNorm({4|(3, 4), eps=0.1|4, elementwise_affine=False})", x(2, 3, 4))
add("nn.GroupNorm({1|2|4}, 4{|, eps=0.1, affine=False|, bias=False})", x(2, 4, 3))
add("nn.LocalResponseNorm({2|3, 0.1, 0.5, 2.0})", x(2, 4, 3))

# -------------------------------------------------------------------------- recurrence, attention


def with_state(*shapes: tuple[int, ...]) -> Any:
    """A first state: one tensor, or for an LSTM two."""
    states = tuple(x(*shape) for shape in shapes)
    return states if len(states) > 1 else states[0]


def packed(library: Any, module: Any, sequence: Any, *state: Any) -> Any:
    tools = library.nn.utils.rnn
    y, last = module(tools.pack_padded_sequence(sequence, [3, 5, 1], enforce_sorted=False), *state)
    return tools.pad_packed_sequence(y, padding_value=0.5, total_length=6), last


def shorter(library: Any, module: Any, *sequences: Any) -> Any:
    tools = library.nn.utils.rnn
    y, last = module(tools.pack_sequence(sequences))
    return tools.unpack_sequence(y), tools.pad_sequence(sequences, True, 1.5), y.batch_sizes, last


for kind, h in (("RNN", 1), ("LSTM", 2), ("GRU", 1)):
    nonlinearity = "{|, nonlinearity='relu'}" if kind == "RNN" else ""
    for options, layers in (("", 1), (", bias=False", 1), (", num_layers=2", 2), (", bidirectional=True", 2),
                            (", num_layers=2, bidirectional=True", 4)):  # fmt: skip
        text = f"nn.{kind}(3, 4{options}{nonlinearity})"
        add(text, x(5, 2, 3))
        add(text, x(5, 2, 3), with_state(*[(layers, 2, 4)] * h))
        add(text, x(5, 3))
        add(text, x(5, 3), with_state(*[(layers, 4)] * h))
        add(text, x(5, 3, 3), call=packed)
        add(text, x(5, 3, 3), with_state(*[(layers, 3, 4)] * h), call=packed)
        add(text[:-1] + ", batch_first=True)", x(2, 5, 3), with_state(*[(layers, 2, 4)] * h))
    add(f"nn.{kind}(3, 4)", x(4, 3), x(2, 3), x(2, 3), call=shorter)
    add(f"nn.{kind}Cell(3, 4{{|, bias=False}}{nonlinearity})", x(2, 3))
    add(f"nn.{kind}Cell(3, 4{nonlinearity})", x(2, 3), with_state(*[(2, 4)] * h))
    add(f"nn.{kind}Cell(3, 4{nonlinearity})", x(3), with_state(*[(4,)] * h))


def to_itself(library: Any, module: Any, given: Any) -> Any:
    return module(given, given, given)


def attend(**options: Any) -> Callable[..., Any]:
    def call(library: Any, module: Any, *args: Any) -> Any:
        query, key, value, *masks = args
        padding, attention = (*masks, None, None)[:2]
        return module(query, key, value, key_padding_mask=padding, attn_mask=attention, **options)

    return call


for options in ["", ", bias=False", ", add_bias_kv=True", ", add_zero_attn=True",
                ", add_bias_kv=True, add_zero_attn=True"]:  # fmt: skip
    text = f"nn.MultiheadAttention(4, 2{options})"
    for call in (attend(), attend(need_weights=False), attend(average_attn_weights=False)):
        add(text, x(3, 2, 4), x(5, 2, 4), x(5, 2, 4), call=call)
        add(text, x(3, 2, 4), x(5, 2, 4), x(5, 2, 4), mask(2, 5), mask(3, 5), call=call)
        add(text, x(3, 2, 4), x(5, 2, 4), x(5, 2, 4), x(2, 5), x(4, 3, 5), call=call)
        add(text, x(3, 4), x(5, 4), x(5, 4), mask(5), mask(3, 5), call=call)
    add(text[:-1] + ", kdim=3, vdim=5)", x(3, 2, 4), x(6, 2, 3), x(6, 2, 5), call=attend())
    add(text[:-1] + ", batch_first=True)", x(2, 3, 4), call=to_itself)
LAYER = "4, 2, 6, dropout=0.0"
for options in ["", ", norm_first=True", ", activation='gelu'", ", layer_norm_eps=0.1, bias=False",
                ", batch_first=True"]:  # fmt: skip
    add(f"nn.TransformerEncoderLayer({LAYER}{options})", x(3, 3, 4))
    add(f"nn.TransformerEncoderLayer({LAYER}{options})", x(3, 3, 4), mask(3, 3), mask(3, 3))
    add(f"nn.TransformerDecoderLayer({LAYER}{options})", x(3, 3, 4), x(3, 3, 4))
    add(f"nn.TransformerDecoderLayer({LAYER}{options})", x(3, 3, 4), x(3, 3, 4), mask(3, 3), mask(3, 3), mask(3, 3),
        mask(3, 3))  # fmt: skip
    add(f"nn.Transformer(4, 2, 2, 2, 6, 0.0{options})", x(3, 3, 4), x(3, 3, 4))
encoder, decoder = f"nn.TransformerEncoderLayer({LAYER})", f"nn.TransformerDecoderLayer({LAYER})"
add(f"nn.TransformerEncoder({encoder}, 2{{|, nn.LayerNorm(4)}})", x(3, 2, 4), mask(3, 3), mask(2, 3))
add(f"nn.TransformerDecoder({decoder}, 2{{|, nn.LayerNorm(4)}})", x(3, 2, 4), x(5, 2, 4), mask(3, 3))


def causal(library: Any, module: Any, source: Any, target: Any) -> Any:
    return module(source, target, tgt_mask=module.generate_square_subsequent_mask(len(target)), tgt_is_causal=True)


add("nn.Transformer(4, 2, 1, 2, 6, 0.0, nn.functional.gelu)", x(3, 2, 4), x(5, 2, 4), call=causal)

# ------------------------------------------------------------------- embedding, distances, losses

add("nn.Embedding(5, 3{|, padding_idx=1|, padding_idx=-1|, max_norm=1.0|, norm_type=1.0, max_norm=1.0|"
    ", scale_grad_by_freq=True})", integers(5, 2, 4))  # fmt: skip
add("nn.EmbeddingBag(5, 3, mode='{sum|mean|max}'{|, padding_idx=2|, max_norm=1.0})", integers(5, 4, 3))
add("nn.EmbeddingBag(5, 3, mode='{sum|mean|max}')", integers(5, 7), np.array([0, 2, 2, 5]))
add("nn.EmbeddingBag(5, 3, mode='{sum|mean}', include_last_offset=True)", integers(5, 7), np.array([0, 2, 2, 5, 7]))
add("nn.EmbeddingBag(5, 3, mode='sum')", integers(5, 7), np.array([0, 2, 5]), x(7))
add("nn.CosineSimilarity({|dim=0|-1, eps=0.1})", x(3, 4), x(3, 4))
add("nn.PairwiseDistance({|p=1.0|p=3.0, eps=0.1, keepdim=True})", x(3, 4), x(3, 4))

REDUCTION = "reduction='{none|mean|sum}'"
for kind in ("L1", "MSE", "SmoothL1", "Huber"):
    add(f"nn.{kind}Loss({REDUCTION})", x(3, 4), x(3, 4))
add("nn.SmoothL1Loss(beta=0.5)", x(3, 4), x(3, 4))
add("nn.HuberLoss(delta=0.5)", x(3, 4), x(3, 4))
add(f"nn.CrossEntropyLoss({REDUCTION}{{|, ignore_index=1|, label_smoothing=0.2}})", x(3, 4), integers(4, 3))
add(f"nn.CrossEntropyLoss({REDUCTION})", x(3, 4, 2), integers(4, 3, 2))
add(f"nn.NLLLoss({REDUCTION}{{|, ignore_index=1}})", x(3, 4), integers(4, 3))
add(f"nn.BCELoss({REDUCTION})", x(3, 4, low=0.1, high=0.9), x(3, 4, low=0, high=1))
add(f"nn.BCEWithLogitsLoss({REDUCTION})", x(3, 4), x(3, 4, low=0, high=1))
add("nn.KLDivLoss(reduction='{none|mean|sum|batchmean}'{|, log_target=True})", x(3, 4), x(3, 4, low=0.1, high=1))
add(f"nn.PoissonNLLLoss({{log_input=True|log_input=False|full=True}}, {REDUCTION})", x(3, 4, low=0.2), x(3, 4, low=0.2))
add(f"nn.GaussianNLLLoss(full={{True|False}}, {REDUCTION})", x(3, 4), x(3, 4), x(3, 4, low=0.2))
add(f"nn.HingeEmbeddingLoss({{|0.5, }}{REDUCTION})", x(3, 4), signs(3, 4))
add(f"nn.SoftMarginLoss({REDUCTION})", x(3, 4), signs(3, 4))
add(f"nn.MarginRankingLoss({{|0.5, }}{REDUCTION})", x(3, 4), x(3, 4), signs(3, 4))
add(f"nn.CosineEmbeddingLoss({{|0.3, }}{REDUCTION})", x(3, 4), x(3, 4), signs(3))
add(f"nn.TripletMarginLoss({{|0.5, p=1.0, |swap=True, }}{REDUCTION})", x(3, 4), x(3, 4), x(3, 4))
add(f"nn.TripletMarginWithDistanceLoss({{|margin=0.5, swap=True, }}{REDUCTION})", x(3, 4), x(3, 4), x(3, 4))
add(f"nn.MultiMarginLoss({{|p=2, margin=0.5, }}{REDUCTION})", x(3, 4), integers(4, 3))
add(f"nn.MultiLabelMarginLoss({REDUCTION})", x(2, 4), np.array([[3, 0, -1, 1], [2, -1, 0, 1]]))
add(f"nn.MultiLabelSoftMarginLoss({REDUCTION})", x(3, 4), x(3, 4, low=0, high=1))


def ctc(library: Any, module: Any, logits: Any, *rest: Any) -> Any:
    return module(library.nn.functional.log_softmax(logits, 2), *rest)


add(f"nn.CTCLoss({{|blank=2, }}{REDUCTION})", x(6, 2, 4), np.array([[1, 3, 3], [3, 1, 1]]), np.array([6, 5]),
    np.array([3, 2]), call=ctc)  # fmt: skip

# -------------------------------------------------------------------- weights that are computed


def trained_twice(library: Any, module: Any, *args: Any) -> Any:
    return module(*args), module(*args)


for tool in ("weight_norm", "spectral_norm"):
    for layer, given in (("Linear(3, 4)", x(2, 3)), ("Conv2d(2, 3, 2)", x(2, 2, 4, 4)),
                         ("ConvTranspose1d(2, 3, 2)", x(2, 2, 4))):  # fmt: skip
        add(f"nn.utils.{tool}(nn.{layer})", given, call=trained_twice)
        add(f"nn.utils.remove_{tool}(nn.utils.{tool}(nn.{layer}))", given)
add("nn.utils.weight_norm(nn.Linear(3, 4), dim=None)", x(2, 3))
add("nn.utils.spectral_norm(nn.Linear(3, 4), n_power_iterations=3)", x(2, 3))
