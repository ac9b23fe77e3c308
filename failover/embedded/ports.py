"""Chooses loopback ports for the embedded servers and remembers them in `ports.json` of the data directory.

Rule: a server keeps its ports over restarts for as long as they are free, because playlists and signed addresses contain them.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

import msgspec

# Below the range from which the kernel takes the ports of outgoing connections (its default: 32768 to 60999, in
# /proc/sys/net/ipv4/ip_local_port_range). Such a connection could take a port between this check and the server's start,
# or while the server restarts.
_CHOSEN_FROM = range(10_000, 32_768)


def kept_ports(data_dir: Path, server: str, count: int) -> list[int]:
    """The `count` ports that this server used before, if all of them are free; otherwise new ones."""
    path = data_dir / "ports.json"
    kept = msgspec.json.decode(path.read_bytes(), type=dict[str, list[int]]) if path.exists() else {}
    if not _free(kept.get(server, [])):
        chosen: list[int] = []
        while len(chosen) < count:
            port = _CHOSEN_FROM.start + secrets.randbelow(len(_CHOSEN_FROM))
            if port not in chosen and _free([port]):
                chosen.append(port)
        kept[server] = chosen
        path.write_bytes(msgspec.json.encode(kept))
    return kept[server]


def _free(ports: list[int]) -> bool:
    for port in ports:
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                return False
    return bool(ports)
