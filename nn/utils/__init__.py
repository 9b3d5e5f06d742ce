"""Helpers around modules."""

from __future__ import annotations

from . import rnn, stateless
from .gradients import (
    clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm, parameters_to_vector,
    vector_to_parameters,
)
from .reparametrize import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
