"""The differentiable operations, one file per family: forward code with its gradient rules beside it."""
