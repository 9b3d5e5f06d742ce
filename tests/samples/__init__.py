"""One :class:`Spec` for each operation; test_ops.py refuses a registry that is not covered."""
