"""What normalization, attention, embedding and other layers, and the helpers around modules, refuse."""

from __future__ import annotations

from typing import Any

import minigrad as mg
from minigrad import nn

from .spec import Spec

SPECS: dict[str, Spec] = {}


def _attend(*shapes: tuple[int, ...], **options: Any) -> Any:
    return nn.MultiheadAttention(4, 2)(*map(mg.zeros, shapes), **options)


_Q, _K = (3, 2, 4), (5, 2, 4)


def _with_gradient(value: float) -> Any:
    param = nn.Parameter(mg.zeros(2))
    param.grad = mg.full((2,), value)
    return [param]


ERRORS = [
    ("BatchNorm1d dims", lambda: nn.BatchNorm1d(3)(mg.zeros(3)), ValueError,
     r"BatchNorm1d: input must have 2 or 3 dimensions, got shape \(3,\)"),
    ("BatchNorm2d dims", lambda: nn.BatchNorm2d(3)(mg.zeros(2, 3, 4)), ValueError,
     r"4 dimensions, got shape \(2, 3, 4\)"),
    ("BatchNorm channels", lambda: nn.BatchNorm1d(3)(mg.zeros(2, 4)), ValueError,
     r"running_mean.*\(3,\), expected \(4,\) for.*\(2, 4\)"),
    ("BatchNorm one value", lambda: nn.BatchNorm1d(3)(mg.zeros(1, 3)), ValueError, "more than one value"),
    ("BatchNorm features", lambda: nn.BatchNorm1d("3"), TypeError, "num_features must be an int"),
    ("InstanceNorm channels", lambda: nn.InstanceNorm1d(3, affine=True)(mg.zeros(2, 4, 5)), ValueError,
     r"expected \(4,\)"),
    ("LayerNorm shape", lambda: nn.LayerNorm(3)(mg.zeros(2, 4)), ValueError, r"layer_norm.*\(3,\).*\(2, 4\)"),
    ("RMSNorm shape", lambda: nn.RMSNorm((3, 4))(mg.zeros(2, 4)), ValueError, r"rms_norm.*\(3, 4\)"),
    ("GroupNorm groups", lambda: nn.GroupNorm(2, 3), ValueError, "num_channels=3 must be divisible by num_groups=2"),
    ("Sequential class", lambda: nn.Sequential(nn.ReLU), TypeError, "cannot assign 'class ReLU' as module '0'"),
    ("heads", lambda: nn.MultiheadAttention(4, 3), ValueError, "embed_dim 4 must be divisible by num_heads 3"),
    ("query dims", lambda: _attend((3, 4), _K, _K), ValueError, "must all have 3 or 2 dimensions"),
    ("key batch", lambda: _attend(_Q, (3, 4, 4), (3, 4, 4)), ValueError, r"equally many sequences.*\(3, 4, 4\)"),
    ("value steps", lambda: _attend(_Q, _K, (4, 2, 4)), ValueError, "key and value of equally many steps"),
    ("key_padding_mask", lambda: _attend(_Q, _K, _K, key_padding_mask=mg.zeros(2, 4) > 0), ValueError,
     r"key_padding_mask must be bool or floating-point of shape \(2, 5\), got bool of shape \(2, 4\)"),
    ("attn_mask", lambda: _attend(_Q, _K, _K, attn_mask=mg.zeros(5, 3)), ValueError, r"\(3, 5\) or \(4, 3, 5\)"),
    ("attn_mask dtype", lambda: _attend(_Q, _K, _K, attn_mask=mg.zeros(3, 5, dtype=mg.int64)), ValueError, "got int64"),
    ("is_causal alone", lambda: _attend(_Q, _K, _K, is_causal=True), ValueError, "a hint about attn_mask"),
    ("activation", lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"), ValueError, "'relu', 'gelu'.*'tanh'"),
    ("Transformer features", lambda: nn.Transformer(4, 2, 1, 1, 4)(mg.zeros(3, 2, 4), mg.zeros(3, 2, 5)), ValueError,
     r"linear.*\(2, 3, 5\)|linear.*\(3, 2, 5\)"),
    ("Transformer batch", lambda: nn.Transformer(4, 2, 1, 1, 4)(mg.zeros(3, 2, 4), mg.zeros(3, 1, 4)), ValueError,
     "equally many sequences"),
    ("Embedding sparse", lambda: nn.Embedding(3, 2, sparse=True)(mg.tensor([1])), NotImplementedError, "sparse"),
    ("Embedding padding_idx", lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "padding_idx 3 is out of range"),
    ("Embedding weight", lambda: nn.Embedding(3, 2, _weight=mg.zeros(2, 3)), ValueError,
     r"\(2, 3\), expected \(3, 2\)"),
    ("Embedding table", lambda: nn.Embedding.from_pretrained(mg.zeros(3)), ValueError, r"a table, got shape \(3,\)"),
    ("Embedding index", lambda: nn.Embedding(3, 2)(mg.tensor([3])), IndexError, "3"),
    ("EmbeddingBag mode", lambda: nn.EmbeddingBag(3, 2, mode="min")(mg.zeros(1, 2, dtype=mg.int64)), ValueError,
     "'min'"),
    ("padding", lambda: nn.ReflectionPad2d((1, 2)), ValueError, "ReflectionPad2d: padding must be an int or 4 ints"),
    ("reflection", lambda: nn.ReflectionPad1d(3)(mg.zeros(1, 3)), ValueError, "at most 2"),
    ("ChannelShuffle", lambda: nn.ChannelShuffle(2)(mg.zeros(1, 3, 4)), ValueError, "divisible by groups=2"),
    ("MultiMarginLoss", lambda: nn.MultiMarginLoss(p=3)(mg.zeros(3), mg.tensor(1)), ValueError, "p must be 1 or 2"),
    ("TripletMargin", lambda: nn.TripletMarginWithDistanceLoss(margin=0)(*[mg.zeros(2)] * 3), ValueError,
     "margin must be above 0"),
    ("clip foreach", lambda: nn.utils.clip_grad_norm_([], 1.0, foreach=True), NotImplementedError, "foreach=True"),
    ("clip infinity", lambda: nn.utils.clip_grad_norm_(_with_gradient(float("inf")), 1.0, error_if_nonfinite=True),
     RuntimeError, "norm of order 2.0 is inf"),
    ("weight_norm name", lambda: nn.utils.weight_norm(nn.Linear(2, 3), "wieght"), ValueError, "no parameter 'wieght'"),
    ("weight_norm twice", lambda: nn.utils.weight_norm(nn.utils.weight_norm(nn.Linear(2, 3))), ValueError, "already"),
    ("remove_weight_norm", lambda: nn.utils.remove_weight_norm(nn.Linear(2, 3)), ValueError,
     "'weight' is not computed"),
    ("spectral_norm", lambda: nn.utils.spectral_norm(nn.Linear(2, 3), n_power_iterations=0), ValueError, "at least 1"),
]
