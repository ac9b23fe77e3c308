"""Which agent an image holds: a digest of the agent's code, which the image's label and this checkout are compared by."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import transcoder


@cache
def transcoder_revision() -> str:
    """Of the agent that this installation would build into an image."""
    root = Path(transcoder.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
