"""How much there is to read: lines of code (as cloc counts: no blanks, comments, docstrings) of minigrad and nn.

    python benchmarks/lines.py

The aim is that both together stay under 12,000.
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUIET = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def code_lines(path: Path) -> int:
    """Lines of a file that hold code."""
    source = path.read_text()
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in QUIET
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(code - docstrings)


def main() -> None:
    total = physical = 0
    for path in [p for folder in ("minigrad", "nn") for p in sorted((ROOT / folder).rglob("*.py"))]:
        count, lines = code_lines(path), len(path.read_text().splitlines())
        print(f"{count:6} {lines:6}  {path.relative_to(ROOT)}")
        total, physical = total + count, physical + lines
    print(f"{total:6} {physical:6}  lines of code; lines with blanks, comments and docstrings")


if __name__ == "__main__":
    main()
