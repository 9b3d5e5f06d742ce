"""Attention with several heads, and the Transformer that is made of it (Vaswani et al. 2017)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import minigrad
from minigrad.ops.attention import attention

from . import functional as F
from . import init
from .container import ModuleList
from .dropout import Dropout
from .layer import WeightedLayer
from .linear import Linear, NonDynamicallyQuantizableLinear
from .module import Module
from .normalization import LayerNorm


class MultiheadAttention(WeightedLayer, shown=()):
    """Attention in ``num_heads`` parts of the ``embed_dim`` features, and a linear layer on top.

    Args:
        dropout: probability of dropping an attention weight.
        add_bias_kv: append a learned key and value to all others.
        add_zero_attn: append a key and a value of zeros.
        kdim, vdim: features of key and value, ``embed_dim`` by default.
        batch_first: tensors are (N, L, E), not (L, N, E).
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
                 vdim: int | None = None, batch_first: bool = False, device: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        kdim, vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        super().__init__(locals())
        E = embed_dim
        self._check_sizes("embed_dim", "num_heads")
        if E % num_heads:
            raise ValueError(f"MultiheadAttention: embed_dim {E} must be divisible by num_heads {num_heads}")
        self.head_dim = E // num_heads
        together, appended = kdim == vdim == E, (1, 1, E) if add_bias_kv else None
        self.out_proj = NonDynamicallyQuantizableLinear(E, E, bias, device, dtype)
        self._add_parameters(
            device, dtype, q_proj_weight=None if together else (E, E), k_proj_weight=None if together else (E, kdim),
            v_proj_weight=None if together else (E, vdim), in_proj_weight=(3 * E, E) if together else None,
            in_proj_bias=3 * E if bias else None, bias_k=appended, bias_v=appended,
        )  # fmt: skip

    def reset_parameters(self) -> None:
        """Draw weights anew (Glorot & Bengio 2010), and make biases 0."""
        for name, param in self._own("parameter"):
            fill = init.xavier_normal_ if name in ("bias_k", "bias_v") else init.xavier_uniform_
            (init.zeros_ if name == "in_proj_bias" else fill)(param)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def _projected(self, inputs: tuple[Any, Any, Any]) -> list[Any]:
        """Query, key and value in ``embed_dim`` features each."""
        weight, bias, E = self.in_proj_weight, self.in_proj_bias, self.embed_dim
        if weight is not None and inputs[0] is inputs[1] is inputs[2]:
            return list(F.linear(inputs[0], weight, bias).split(E, -1))
        weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight] if weight is None else weight.split(E)
        biases = [None] * 3 if bias is None else bias.split(E)
        return [F.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]

    def _mask(self, attn_mask: Any, key_padding_mask: Any, N: int, L: int, S: int, dtype: Any) -> Any:
        """Both masks as one that is added to scores (N, heads, L, S), or None."""
        h, total = self.num_heads, None
        attn_shapes = {(L, S): (1, 1, L, S), (N * h, L, S): (N, h, L, S)}
        padding_shapes = {(N, S): (N, 1, 1, S)}
        masks = (("attn_mask", attn_mask, attn_shapes), ("key_padding_mask", key_padding_mask, padding_shapes))
        for name, mask, shapes in masks:
            if mask is None:
                continue
            if (shape := tuple(mask.shape)) not in shapes or mask.dtype.kind not in "bf":
                expected = f"bool or floating-point of shape {' or '.join(map(str, shapes))}"
                raise ValueError(f"MultiheadAttention: {name} must be {expected}, got {mask.dtype} of shape {shape}")
            if mask.dtype.kind == "b":
                mask = minigrad.zeros(shape, dtype=dtype).masked_fill(mask, -math.inf)
            mask = mask.reshape(shapes[shape])
            total = mask if total is None else total + mask
        appended = (self.bias_k is not None) + self.add_zero_attn
        return F.pad(total, (0, appended)) if total is not None and appended else total

    def forward(self, query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
                attn_mask: Any = None, average_attn_weights: bool = True,
                is_causal: bool = False) -> tuple[Any, Any]:  # fmt: skip
        """The output, in the query's shape, and the attention weights (N, L, S), or None.

        Args:
            query: (L, N, E), key: (S, N, kdim), value: (S, N, vdim); or all without N.
            key_padding_mask: (N, S), True at keys that do not count; or added to their scores.
            need_weights: also give the weights, after dropout.
            attn_mask: (L, S) or (N * num_heads, L, S), True where attention is forbidden; or added to the scores.
            average_attn_weights: the mean over the heads, else (N, num_heads, L, S).
            is_causal: a hint that ``attn_mask`` is the causal mask, which must be given all the same.
        """
        shapes = [tuple(t.shape) for t in (query, key, value)]
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise ValueError(f"MultiheadAttention: query, key and value must all have 3 or 2 dimensions, got {shapes}")
        if is_causal and attn_mask is None:
            raise ValueError("MultiheadAttention: is_causal is a hint about attn_mask, which must be given with it")
        batched = query.ndim == 3
        if not batched and key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        parts = self._projected((query, key, value))
        if not (batched and self.batch_first):
            parts = [x.transpose(0, 1) if batched else x.unsqueeze(0) for x in parts]
        (N, L), S = parts[0].shape[:2], parts[1].shape[1]
        if parts[1].shape[:2] != (N, S) or parts[2].shape[:2] != (N, S):
            raise ValueError("MultiheadAttention: query, key and value must have equally many sequences, key and value "
                             f"of equally many steps, got {shapes}")  # fmt: skip
        mask = self._mask(attn_mask, key_padding_mask, N, L, S, query.dtype)
        for i, last in ((1, self.bias_k), (2, self.bias_v)):
            more = [] if last is None else [last.expand(N, 1, -1)]
            more += [minigrad.zeros(N, 1, self.embed_dim, dtype=query.dtype)] if self.add_zero_attn else []
            parts[i] = minigrad.cat([parts[i], *more], 1) if more else parts[i]
        q, k, v = (x.reshape(N, -1, self.num_heads, self.head_dim).transpose(1, 2) for x in parts)
        seen = []

        def drop(weights: Any) -> Any:
            seen.append(F.dropout(weights, self.dropout, self.training))
            return seen[0]

        explicit = need_weights or (self.training and self.dropout)  # else the weights need not be formed
        y = attention(q, k, v, mask, drop=drop if explicit else None)
        y = self.out_proj(y.transpose(1, 2).reshape(N, L, self.embed_dim))
        y = y.squeeze(0) if not batched else y if self.batch_first else y.transpose(0, 1)
        if not need_weights:
            return y, None
        weights = seen[0].mean(1) if average_attn_weights else seen[0]
        return y, weights if batched else weights.squeeze(0)


class _Layer(Module):
    """Sublayers around which the input takes a shortcut, normalized before (``norm_first``) or after."""

    crossing = False  # whether a sublayer attends to another sequence

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation: str | Callable[[Any], Any] = F.relu, layer_norm_eps: float = 1e-5,
                 batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        options: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        for name in ("self_attn", "multihead_attn")[: 1 + self.crossing]:
            self.add_module(name, MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options))
        self.linear1 = Linear(d_model, dim_feedforward, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **options)
        self.norm_first = norm_first
        numbers = range(1, 3 + self.crossing)
        for k in numbers:
            self.add_module(f"norm{k}", LayerNorm(d_model, eps=layer_norm_eps, **options))
        for k in numbers:
            self.add_module(f"dropout{k}", Dropout(dropout))
        if isinstance(activation, str) and activation not in ("relu", "gelu"):
            expected = "activation must be 'relu', 'gelu' or a function"
            raise ValueError(f"{type(self).__name__}: {expected}, got {activation!r}")
        self.activation = getattr(F, activation) if isinstance(activation, str) else activation

    def _around(self, k: int, x: Any, sublayer: Callable[[Any], Any]) -> Any:
        """Sublayer number ``k``, with its norm, dropout and shortcut."""
        norm, drop = getattr(self, f"norm{k}"), getattr(self, f"dropout{k}")
        return x + drop(sublayer(norm(x))) if self.norm_first else norm(x + drop(sublayer(x)))

    def _attend(self, x: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
        return self.self_attn(x, x, x, padding, False, mask, is_causal=is_causal)[0]

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then two linear layers.

    Args:
        d_model: features of the input.
        nhead: heads of the attention.
        dim_feedforward: features between the linear layers.
        activation: "relu", "gelu" or a function, between the linear layers.
        norm_first: normalize before each sublayer, not after.
        batch_first: tensors are (N, S, E), not (S, N, E).
    """

    def forward(self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Any:
        """Masks are those of :class:`MultiheadAttention`."""
        x = self._around(1, src, lambda x: self._attend(x, src_mask, src_key_padding_mask, is_causal))
        return self._around(2, x, self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """:class:`TransformerEncoderLayer` with attention to the encoder's output before the linear layers.

    Target (T, N, E) and memory (S, N, E) give (T, N, E); N first with ``batch_first``.
    """

    crossing = True

    def forward(self, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None,
                tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None, tgt_is_causal: bool = False,
                memory_is_causal: bool = False) -> Any:  # fmt: skip
        """``memory`` is the encoder's output. Masks are those of :class:`MultiheadAttention`."""
        def cross(x: Any) -> Any:
            return self.multihead_attn(x, memory, memory, memory_key_padding_mask, False, memory_mask,
                                       is_causal=memory_is_causal)[0]  # fmt: skip

        x = self._around(1, tgt, lambda x: self._attend(x, tgt_mask, tgt_key_padding_mask, tgt_is_causal))
        return self._around(3, self._around(2, x, cross), self._feed_forward)


class _Stack(Module):
    """Copies of a layer, one after the other, and a norm at the end."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def _run(self, x: Any, *args: Any, **options: Any) -> Any:
        for layer in self.layers:
            x = layer(x, *args, **options)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """``num_layers`` copies of ``encoder_layer``, and perhaps a norm at the end.

    Takes (S, N, E), or (N, S, E) if the layers do, and keeps the shape.

    ``enable_nested_tensor`` and ``mask_check`` allow PyTorch a shortcut that is not needed here.
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None,
                 enable_nested_tensor: bool = True, mask_check: bool = True) -> None:  # fmt: skip
        super().__init__(encoder_layer, num_layers, norm)

    def forward(self, src: Any, mask: Any = None, src_key_padding_mask: Any = None,
                is_causal: bool | None = None) -> Any:  # fmt: skip
        return self._run(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))


class TransformerDecoder(_Stack):
    """``num_layers`` copies of ``decoder_layer``, and perhaps a norm at the end.

    Target (T, N, E) and memory (S, N, E) give (T, N, E); as the layers are, batch first or not.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(self, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None,
                tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
                tgt_is_causal: bool | None = None, memory_is_causal: bool = False) -> Any:  # fmt: skip
        return self._run(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                         bool(tgt_is_causal), memory_is_causal)  # fmt: skip


class Transformer(Module):
    """An encoder of ``src`` (S, N, E), and a decoder of ``tgt`` (T, N, E) that attends to what comes out of it.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: those of
            the layers, see :class:`TransformerEncoderLayer`.
        custom_encoder, custom_decoder: modules to take instead.
    """

    def __init__(self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
                 dim_feedforward: int = 2048, dropout: float = 0.1, activation: str | Callable[[Any], Any] = F.relu,
                 custom_encoder: Module | None = None, custom_decoder: Module | None = None,
                 layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        options: tuple[Any, ...] = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
                                    norm_first, bias, device, dtype)  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is None:
            custom_encoder = TransformerEncoder(TransformerEncoderLayer(*options), num_encoder_layers, norm())
        if custom_decoder is None:
            custom_decoder = TransformerDecoder(TransformerDecoderLayer(*options), num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        for param in self.parameters():
            if param.ndim > 1:
                init.xavier_uniform_(param)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(self, src: Any, tgt: Any, src_mask: Any = None, tgt_mask: Any = None, memory_mask: Any = None,
                src_key_padding_mask: Any = None, tgt_key_padding_mask: Any = None,
                memory_key_padding_mask: Any = None, src_is_causal: bool | None = None,
                tgt_is_causal: bool | None = None, memory_is_causal: bool = False) -> Any:  # fmt: skip
        """The decoder's output, in the shape of ``tgt``. Masks are those of :class:`MultiheadAttention`."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                            tgt_is_causal, memory_is_causal)  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
        """The causal mask (sz, sz): 0 on and below the diagonal, minus infinity above."""
        return minigrad.full((sz, sz), -math.inf, device=device, dtype=dtype).triu(1)
