"""``python -m minigrad program.py [args]`` runs a program that imports torch on minigrad."""

from __future__ import annotations

import sys

from .torch_programs import main

if __name__ == "__main__":
    main(sys.argv[1:])
