"""SeaweedFS's security.toml: without one, every port of it but S3's own takes orders from whoever reaches it.

It is read from the directory that the server runs in. A document is made once for a deployment or a data directory and then
kept: its parts agree on the keys in it.
"""

from __future__ import annotations

import secrets

from failover.certificate import self_signed

# Volume servers take writes and reads, the filer and S3's gRPC take calls, only with a token under these keys.
_SIGNED = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing")
_GRPC = ("master", "volume", "filer", "s3", "client")


def signed() -> str:
    """Signing keys alone: enough for a server that has no network."""
    return "".join(f'[{section}]\nkey = "{secrets.token_hex(32)}"\n' for section in _SIGNED)


def signed_and_encrypted(certificate: str, key: str) -> str:
    """The same, and mutual TLS on every gRPC port. The certificate and its key are in these files, named from the server's
    directory."""
    parts = "".join(f'[grpc.{part}]\ncert = "{certificate}"\nkey = "{key}"\n' for part in _GRPC)
    return f'{signed()}[grpc]\nca = "{certificate}"\n{parts}'


def certificate() -> tuple[str, str]:
    """For `signed_and_encrypted`: the certificate and its key, as PEM."""
    return self_signed("hls-failover store")
