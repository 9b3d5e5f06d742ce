"""Fetching a file: its digest is checked, and there is never half of it under its name."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_ATTEMPTS = 2  # at one address; the second goes on where the first broke off


def download(urls: Sequence[str], path: Path, digest: str) -> None:
    """Fetch a file from the first of several addresses that has it.

    It is written to a file ``.part`` beside ``path``, which the next attempt or the next call goes on
    with, and gets its name when its digest (MD5 or SHA-256 in hexadecimal) is right.

    Raises:
        RuntimeError: if no address gives it, with the reason for each.
    """
    from http.client import HTTPException

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    reasons: dict[str, object] = {}
    for url in [url for url in urls for _ in range(_ATTEMPTS)]:
        try:
            _append(url, partial, path.name)
            with open(partial, "rb") as file:
                found = hashlib.file_digest(file, "md5" if len(digest) == 32 else "sha256").hexdigest()
            if found == digest:
                partial.replace(path)
                return
            reasons[url] = f"the file there has another digest than {digest}"
            partial.unlink()  # if a part of it was here before, that was perhaps at fault
        except (OSError, HTTPException) as error:
            reasons[url] = error
    tried = "".join(f"\n  {url}: {reason}" for url, reason in reasons.items())
    raise RuntimeError(f"could not download {path.name} to {path.parent}; tried{tried}")


def _append(url: str, partial: Path, name: str) -> None:
    """Fetch what is missing of ``partial``; all of it if the server cannot begin in the middle."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    have = partial.stat().st_size if partial.exists() else 0
    try:
        response = urlopen(Request(url, headers={"Range": f"bytes={have}-"} if have else {}), timeout=30)
    except HTTPError as error:
        error.close()
        if error.code == 416:  # nothing is missing, the digest will show
            return
        raise
    with response, open(partial, "ab" if response.status == 206 else "wb") as file:
        have = file.tell()
        total = have + int(response.headers["Content-Length"] or 0)
        while block := response.read(1 << 16):
            file.write(block)
            have += len(block)
            part = have / max(total, have)
            print(f"\r{name} [{'#' * int(40 * part):40}] {have / 1e6:.1f} MB", end="", file=sys.stderr)
        print(file=sys.stderr)
        file.flush()
        os.fsync(file.fileno())
    if have < total:
        raise ConnectionError(f"the connection broke after {have:,} of {total:,} bytes")
