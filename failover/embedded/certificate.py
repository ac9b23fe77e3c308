"""Makes a self-signed X.509 certificate (RFC 5280) that is its own authority.

Servers and clients that hold this certificate and its key accept each other and nobody else (mutual TLS). It never expires and
contains no host name: peers check the key alone.
"""

from __future__ import annotations

from secrets import randbits

from Crypto.Hash import SHA256
from Crypto.IO import PEM
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from Crypto.Util.asn1 import (
    DerBitString,
    DerBoolean,
    DerInteger,
    DerObject,
    DerObjectId,
    DerOctetString,
    DerSequence,
    DerSetOf,
)

_ECDSA_WITH_SHA256 = DerSequence([DerObjectId("1.2.840.10045.4.3.2")])
_COMMON_NAME = DerObjectId("2.5.4.3")
_BASIC_CONSTRAINTS = DerObjectId("2.5.29.19")
_UTF8_STRING, _UTC_TIME, _GENERALIZED_TIME = 0x0C, 0x17, 0x18
_NO_END = b"99991231235959Z"  # RFC 5280, 4.1.2.5


def self_signed(name: str) -> tuple[str, str]:
    """The certificate of a new P-256 key, and the key, both as PEM. `name` is its common name."""
    key = ECC.generate(curve="P-256")
    common_name = DerSequence([_COMMON_NAME, DerObject(_UTF8_STRING, name.encode())])
    subject = DerSequence([DerSetOf([common_name.encode()])])
    authority = DerSequence([_BASIC_CONSTRAINTS, DerBoolean(True), DerOctetString(DerSequence([DerBoolean(True)]).encode())])
    to_sign = DerSequence(
        [
            DerInteger(2, explicit=0),  # version 3
            DerInteger(randbits(127) | 1 << 126),
            _ECDSA_WITH_SHA256,
            subject,
            DerSequence([DerObject(_UTC_TIME, b"200101000000Z"), DerObject(_GENERALIZED_TIME, _NO_END)]),
            subject,
            key.public_key().export_key(format="DER"),
            DerSequence([authority], explicit=3),  # extensions
        ]
    ).encode()
    signature = DSS.new(key, "fips-186-3", encoding="der").sign(SHA256.new(to_sign))
    certificate = DerSequence([to_sign, _ECDSA_WITH_SHA256, DerBitString(signature)]).encode()
    return PEM.encode(certificate, "CERTIFICATE") + "\n", key.export_key(format="PEM") + "\n"
