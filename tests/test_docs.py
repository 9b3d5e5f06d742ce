"""Every Python block of the README and of the docs runs, and prints what the page says it prints."""

from __future__ import annotations

import contextlib
import io
import re
import traceback
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page share one namespace; a ``text`` block is the output of the Python before it."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for match in FENCE.finditer(page.read_text()):
        language, code = match.groups()
        if language == "python":
            line = page.read_text()[: match.start()].count("\n") + 1
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                try:
                    exec(compile("\n" * line + code, str(page), "exec"), names)
                except Exception:
                    pytest.fail(f"{page.name}:{line}\n{traceback.format_exc()}")
            printed = out.getvalue()
        elif language == "text":
            assert printed.strip() == code.strip(), f"{page.name}: the block before {code!r} printed {printed!r}"
