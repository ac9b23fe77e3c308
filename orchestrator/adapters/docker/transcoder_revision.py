"""Revision of the agent: a digest of its code. The image's label has it, so an image of another release can be recognised."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import transcoder


@cache
def transcoder_revision() -> str:
    """The revision of the agent in this installation."""
    root = Path(transcoder.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
