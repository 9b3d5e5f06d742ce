"""Losses and distances as modules. Each calls the function of the same meaning in ``nn.functional``.

The ``reduction`` of a loss is "mean", "sum", or "none" for the loss of each element or sample. ``size_average`` and
``reduce`` are PyTorch's old words for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.tensor import Tensor

from . import functional as F
from .layer import Layer


class CosineSimilarity(Layer, function=F.cosine_similarity, shown=()):
    """The cosine of the angle between two inputs along ``dim``; norms count as at least ``eps``.

    Inputs that broadcast to one shape, which the result has without ``dim``.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__(locals())


class PairwiseDistance(Layer, function=F.pairwise_distance, shown=()):
    """The ``p``-norm of ``x1 - x2 + eps``: (N, D) or (D,) to (N,) or (), with ``keepdim`` to (N, 1) or (1,)."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__(locals())


class _Loss(Layer, shown=()):
    """Any loss; its weights are buffers."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        name, obsolete = type(self).__name__, (arguments.get("size_average"), arguments.get("reduce"))
        if any(isinstance(value, Tensor) for value in obsolete):
            raise TypeError(f"{name}: the class takes options, what it makes takes Tensors: {name}()(input, target)")
        if obsolete != (None, None):
            raise NotImplementedError(f"{name}: size_average and reduce are obsolete; use reduction=")
        super().__init__(arguments)
        for name in ("weight", "pos_weight"):
            if name in arguments:
                self._register("buffer", name, arguments[name])


class _PlainLoss(_Loss):
    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(locals())


class L1Loss(_PlainLoss, function=F.l1_loss):
    """``|input - target|``.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """


class MSELoss(_PlainLoss, function=F.mse_loss):
    """``(input - target)^2``.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """


class SoftMarginLoss(_PlainLoss, function=F.soft_margin_loss):
    """``log(1 + exp(-target * input))``, for targets 1 and -1.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """


class MultiLabelMarginLoss(_PlainLoss, function=F.multilabel_margin_loss):
    """Hinges between every target class and every other, for inputs and targets (N, C) or (C,).

    A target lists its classes first, and then -1.
    """


class SmoothL1Loss(_Loss, function=F.smooth_l1_loss):
    """Half the square divided by ``beta`` where ``|input - target| < beta``, linear beyond.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
                 beta: float = 1.0) -> None:  # fmt: skip
        super().__init__(locals())


class HuberLoss(_Loss, function=F.huber_loss):
    """Half the square where ``|input - target| < delta``, linear beyond.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(locals())


class CrossEntropyLoss(_Loss, function=F.cross_entropy):
    """Minus the log of the softmax of the logits ``input`` at the class ``target``.

    Input (N, C, ...) or (C,), target (N, ...) or () of class indices; or class probabilities in the input's shape.

    Args:
        weight: of each class, (C,).
        ignore_index: a target that counts for nothing.
        label_smoothing: the share of the target that is spread evenly over the classes.
    """

    def __init__(self, weight: Any = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean",
                 label_smoothing: float = 0.0) -> None:  # fmt: skip
        super().__init__(locals())


class NLLLoss(_Loss, function=F.nll_loss):
    """``-input`` at the class ``target``, for log-probabilities (N, C, ...); see :class:`CrossEntropyLoss`."""

    def __init__(self, weight: Any = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean") -> None:  # fmt: skip
        super().__init__(locals())


class _ElementLoss(_Loss):
    def __init__(self, weight: Any = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:  # fmt: skip
        super().__init__(locals())


class BCELoss(_ElementLoss, function=F.binary_cross_entropy):
    """``-target * log(input) - (1 - target) * log(1 - input)``, for probabilities.

    Args:
        weight: of each element; it broadcasts to the input's shape.
    """


class MultiLabelSoftMarginLoss(_ElementLoss, function=F.multilabel_soft_margin_loss):
    """:class:`BCEWithLogitsLoss` of (..., C), averaged over the classes."""


class BCEWithLogitsLoss(_Loss, function=F.binary_cross_entropy_with_logits):
    """:class:`BCELoss` of ``sigmoid(input)``, computed without loss of precision.

    Args:
        weight: of each element; it broadcasts to the input's shape.
        pos_weight: of the positive examples of each class.
    """

    def __init__(self, weight: Any = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean", pos_weight: Any = None) -> None:  # fmt: skip
        super().__init__(locals())


class KLDivLoss(_Loss, function=F.kl_div):
    """``target * (log(target) - input)``, where ``input`` holds log-probabilities.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.

    Args:
        reduction: also "batchmean", the sum divided by the batch size.
        log_target: the target holds log-probabilities too.
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
                 log_target: bool = False) -> None:  # fmt: skip
        super().__init__(locals())


class PoissonNLLLoss(_Loss, function=F.poisson_nll_loss):
    """``exp(input) - target * input``, minus the log-likelihood of a Poisson distribution.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.

    Args:
        log_input: the input is the logarithm of the rate, not the rate.
        full: add Stirling's approximation of the constant term.
        eps: added to the rate before its logarithm is taken.
    """

    def __init__(self, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
                 reduce: bool | None = None, reduction: str = "mean") -> None:  # fmt: skip
        super().__init__(locals())


class GaussianNLLLoss(_Loss, function=F.gaussian_nll_loss):
    """``(log(var) + (input - target)^2 / var) / 2``, with variances from the network.

    It is called with ``(input, target, var)``; ``var`` is of the input's shape, has size 1 in one dimension, or lacks
    the last.

    Args:
        full: add the constant term.
        eps: the smallest variance.
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(locals())


class HingeEmbeddingLoss(_Loss, function=F.hinge_embedding_loss):
    """``input`` where ``target`` is 1, ``max(0, margin - input)`` where it is -1.

    Input and target are of one shape; the result is a number, or of that shape with ``reduction="none"``.
    """

    def __init__(self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:  # fmt: skip
        super().__init__(locals())


class _PairLoss(_Loss):
    def __init__(self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:  # fmt: skip
        super().__init__(locals())


class MarginRankingLoss(_PairLoss, function=F.margin_ranking_loss):
    """``max(0, -target * (input1 - input2) + margin)``, for targets 1 and -1.

    It is called with ``(input1, input2, target)``, all of one shape.
    """


class CosineEmbeddingLoss(_PairLoss, function=F.cosine_embedding_loss):
    """``1 - cos`` where ``target`` is 1, ``max(0, cos - margin)`` where it is -1, of the angle between the inputs.

    It is called with ``(input1, input2, target)``: (N, D), (N, D) and (N,), or all without N.
    """


class TripletMarginLoss(_Loss, function=F.triplet_margin_loss):
    """``max(0, |anchor - positive| - |anchor - negative| + margin)`` in the ``p``-norm.

    It is called with ``(anchor, positive, negative)``, each (N, D) or (D,).

    Args:
        eps: added to the differences.
        swap: use ``|positive - negative|`` where that is smaller.
    """

    def __init__(self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
                 size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:  # fmt: skip
        super().__init__(locals())


class TripletMarginWithDistanceLoss(_Loss, function=F.triplet_margin_with_distance_loss):
    """:class:`TripletMarginLoss` with any distance function, by default the Euclidean distance."""

    def __init__(self, *, distance_function: Callable[[Any, Any], Any] | None = None, margin: float = 1.0,
                 swap: bool = False, reduction: str = "mean") -> None:  # fmt: skip
        distance_function = distance_function or PairwiseDistance()
        super().__init__(locals())


class MultiMarginLoss(_Loss, function=F.multi_margin_loss):
    """``sum(max(0, margin - input[target] + input[i]) ** p) / C`` over all classes i but the target.

    Input (N, C) or (C,), target (N,) or ().

    Args:
        p: 1 or 2.
        weight: of each class, (C,).
    """

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, size_average: bool | None = None,
                 reduce: bool | None = None, reduction: str = "mean") -> None:  # fmt: skip
        super().__init__(locals())


class CTCLoss(_Loss, function=F.ctc_loss):
    """Minus the log of the probability of all paths that read as the target (Graves et al. 2006).

    It is called with ``(log_probs, targets, input_lengths, target_lengths)``: log-probabilities (T, N, C), targets
    (N, S) or one after the other, and lengths (N,).

    Args:
        blank: the class that stands for nothing.
        zero_infinity: 0 in place of the infinite loss of a target that is too long for its input.
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(locals())
