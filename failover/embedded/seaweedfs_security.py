"""Generates SeaweedFS's security.toml. Without this file every port except S3's accepts commands from anybody who reaches it.

SeaweedFS reads the file from its working directory. Generate it once for a deployment or a data directory and keep it: all
parts of the server must have the same keys.
"""

from __future__ import annotations

import secrets

from failover.embedded.certificate import self_signed

# Volume servers require a token signed with these keys for writes and reads; the filer and S3's gRPC for each call.
_SIGNED = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing")
_GRPC = ("master", "volume", "filer", "s3", "client")


def signed() -> str:
    """Signing keys only: enough for a server whose other ports nobody outside its container reaches."""
    return "".join(f'[{section}]\nkey = "{secrets.token_hex(32)}"\n' for section in _SIGNED)


def signed_and_encrypted(certificate: str, key: str) -> str:
    """Signing keys, and mutual TLS on every gRPC port. `certificate` and `key` are file names relative to the server's
    directory."""
    parts = "".join(f'[grpc.{part}]\ncert = "{certificate}"\nkey = "{key}"\n' for part in _GRPC)
    return f'{signed()}[grpc]\nca = "{certificate}"\n{parts}'


def certificate() -> tuple[str, str]:
    """A new certificate for `signed_and_encrypted`, and its key, both as PEM."""
    return self_signed("hls-failover store")
