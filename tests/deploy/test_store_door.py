"""The store's door (infra/store/nginx.conf) by itself: what the whole deployment does with it is in test_compose.py."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy.edges import PROGRAMS
from tests.support import eventually, require

CONFIGURATION = Path(__file__).parents[2] / "infra" / "store" / "nginx.conf"


class Door:
    """`url`; `socket`: where it looks for S3; `output`: what it says."""

    def __init__(self, directory: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.socket = directory / "s3.sock"
        self.output = directory / "output"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    require("nginx", Path(PROGRAMS["nginx"]).exists(), "there is no nginx")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    door = Door(tmp_path, port)
    text = CONFIGURATION.read_text().replace("/tmp/", f"{tmp_path}/")
    for what, here in (("listen 8333", f"listen 127.0.0.1:{port}"), ("unix:/run/store/s3.sock", f"unix:{door.socket}")):
        assert what in text
        text = text.replace(what, here)
    file = tmp_path / "store.conf"
    file.write_text(text)
    user = " user root;" if os.geteuid() == 0 else ""
    with door.output.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAMS["nginx"], "-e", "stderr", "-c", str(file), "-g", f"daemon off;{user}"], stdout=output, stderr=output
        )
    try:
        yield door
    finally:
        process.terminate()
        process.wait(5)


@pytest.mark.parametrize("left", [True, False], ids=["socket left behind", "no socket"])
async def test_no_signature_is_in_its_log(door: Door, left: bool) -> None:
    """While S3 is away each upload fails, and whoever reads a signed address may write that playlist for days."""
    if left:  # by a process that was killed
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(door.socket))
    signed = "/hls/playlists/s-1/main.m3u8?X-Amz-Credential=key&X-Amz-Signature=s3cret"
    async with httpx.AsyncClient(base_url=door.url, trust_env=False) as http:

        async def refused() -> bool:
            try:
                return (await http.put(signed, content=b"#EXTM3U")).status_code == 502
            except httpx.ConnectError:  # it has not begun to listen
                return False

        await eventually(refused, what="a refusal")
    assert "s3cret" not in door.output.read_text()
