"""The secrets of an embedded installation: generated once per data directory, then read back from `keys.json` (mode 0600)."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from failover.private_file import write_private


class EmbeddedKeys(msgspec.Struct, frozen=True):
    """Hexadecimal, because they are written into URLs and configuration files without quoting."""

    admin_key: str
    s3_access_key: str
    s3_secret_key: str
    redis_password: str


def kept_keys(data_dir: Path) -> EmbeddedKeys:
    """The keys of this data directory; the first call generates them."""
    path = data_dir / "keys.json"
    if not path.exists():
        made = EmbeddedKeys(secrets.token_hex(16), secrets.token_hex(10), secrets.token_hex(20), secrets.token_hex(16))
        write_private(path, msgspec.json.encode(made))
    return msgspec.json.decode(path.read_bytes(), type=EmbeddedKeys)
