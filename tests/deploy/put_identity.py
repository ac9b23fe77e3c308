"""`python3 put_identity.py HOST PORT ACCESS_KEY SECRET_KEY`: gives SeaweedFS's S3 server a new administrator by its gRPC method
PutIdentity, without a key, and prints `taken`, `refused` or `closed`.

Standard library alone, because it is run in a session's container, which has nothing else. A gRPC call is one HTTP/2 stream
(RFC 9113): the answer has a DATA frame where the call was taken, and none where it was refused.
"""

from __future__ import annotations

import socket
import struct
import sys

METHOD = "/messaging_pb.SeaweedS3IamCache/PutIdentity"
DATA, HEADERS, SETTINGS = 0, 1, 4
ACK, END_STREAM, END_HEADERS = 1, 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def header(name: str, value: str) -> bytes:
    """A literal without indexing and without Huffman coding (RFC 7541, 6.2.2)."""
    return b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    assert len(value) < 128
    return bytes((number << 3 | 2, len(value))) + value


def request(host: str, access_key: str, secret_key: str) -> bytes:
    credential = field(1, access_key.encode()) + field(2, secret_key.encode())
    identity = field(1, b"stranger") + field(2, credential) + field(3, b"Admin")
    message = field(1, identity)
    headers = {
        ":method": "POST", ":scheme": "http", ":path": METHOD, ":authority": host,
        "content-type": "application/grpc", "te": "trailers",
    }  # fmt: skip
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(SETTINGS, 0, 0, b"")
        + frame(HEADERS, END_HEADERS, 1, b"".join(header(name, value) for name, value in headers.items()))
        + frame(DATA, END_STREAM, 1, b"\0" + struct.pack(">I", len(message)) + message)
    )


def outcome(host: str, port: int, access_key: str, secret_key: str) -> str:
    """`closed` also where something listens that does not speak HTTP/2."""
    try:
        with socket.create_connection((host, port), 3) as connection:
            connection.settimeout(3)
            connection.sendall(request(host, access_key, secret_key))
            stream = connection.makefile("rb")
            while len(head := stream.read(9)) == 9:
                length = int.from_bytes(head[:3], "big")
                kind, flags, number = head[3], head[4], int.from_bytes(head[5:], "big")
                stream.read(length)
                if kind == SETTINGS and not flags & ACK:
                    connection.sendall(frame(SETTINGS, ACK, 0, b""))
                if kind == DATA and number == 1:
                    return "taken"
                if kind == HEADERS and number == 1 and flags & END_STREAM:
                    return "refused"
    except OSError:
        pass
    return "closed"


if __name__ == "__main__":
    print(outcome(sys.argv[1], int(sys.argv[2]), *sys.argv[3:5]))
