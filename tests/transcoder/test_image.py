"""The real image: what is in it, what is not, and how it says that it is well."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from tests.contract.engines import docker_client

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def client() -> Iterator[docker.APIClient]:
    with docker_client() as client:
        yield client


@pytest.fixture(scope="module")
def image(client: docker.APIClient, transcoder_image: str) -> dict[str, Any]:
    inspected: dict[str, Any] = client.inspect_image(transcoder_image)  # type: ignore[no-untyped-call]
    return inspected


@pytest.fixture(scope="module")
def run(client: docker.APIClient, transcoder_image: str) -> Iterator[Callable[..., tuple[int, str]]]:
    """Runs a command in one container that is as confined as a session's; gives exit code and output."""
    container = client.create_container(
        transcoder_image,
        entrypoint=["/usr/bin/tini", "--", "/usr/bin/sleep", "600"],
        healthcheck={"test": ["NONE"]},
        labels={"hls-failover.test": "image"},
        host_config=client.create_host_config(
            network_mode="host", read_only=True, cap_drop=["ALL"], tmpfs={"/tmp": "noexec,nosuid,size=16m"}
        ),
    )["Id"]
    client.start(container)

    def run(*command: str) -> tuple[int, str]:
        execution = client.exec_create(container, list(command))["Id"]
        output: bytes = client.exec_start(execution)
        return client.exec_inspect(execution)["ExitCode"], output.decode()

    yield run
    client.remove_container(container, force=True)


def test_it_is_small(image: dict[str, Any]) -> None:
    assert image["Size"] <= 170e6


def test_it_runs_the_agent_under_an_init_and_without_root(image: dict[str, Any]) -> None:
    config = image["Config"]
    assert config["Entrypoint"][0] == "/usr/bin/tini"
    assert config["Entrypoint"][-2:] == ["-m", "transcoder"]
    assert config["User"] == "10001:10001"


def test_ffmpeg_and_ffprobe_are_there_and_resolve_names(run: Callable[..., tuple[int, str]]) -> None:
    assert run("ffmpeg", "-version")[0] == 0
    code, output = run("ffprobe", "-hide_banner", "http://localhost:1/x")
    assert code == 1
    assert "Connection refused" in output


def test_the_agent_finds_every_module_that_it_needs(run: Callable[..., tuple[int, str]]) -> None:
    code, output = run(
        "python3", "-S", "-c", "import transcoder.__main__, transcoder.run, http.client, ssl; print(transcoder.__file__)"
    )
    assert (code, output) == (0, "/opt/agent/transcoder/__init__.py\n")


def test_byte_code_is_made_and_trusted(run: Callable[..., tuple[int, str]]) -> None:
    """PEP 552: flags 1 are for byte code that is told by a hash, and not compared with its source."""
    compiled = (
        "/opt/agent/transcoder/__pycache__/run.cpython-311.pyc",
        "/usr/lib/python3.11/json/__pycache__/decoder.cpython-311.pyc",
    )
    for path in compiled:
        code, output = run("od", "--address-radix=n", "--format=d4", "--skip-bytes=4", "--read-bytes=4", path)
        assert (code, output.strip()) == (0, "1")


def test_authorities_are_known(run: Callable[..., tuple[int, str]]) -> None:
    code, output = run("python3", "-S", "-c", "import ssl; print(len(ssl.create_default_context().get_ca_certs()))")
    assert code == 0
    assert int(output) > 50


@pytest.mark.parametrize("tool", ["apt-get", "dpkg", "perl", "wget", "curl"])
def test_what_a_session_does_not_need_is_not_there(run: Callable[..., tuple[int, str]], tool: str) -> None:
    assert run("/bin/sh", "-c", f"command -v {tool}") == (127, "")


def test_nobody_reads_manuals_in_it(run: Callable[..., tuple[int, str]]) -> None:
    """What the official slim image leaves out, whatever the base had; copyrights have to stay."""
    left_out = [f"/usr/share/{name}" for name in ("doc", "doc-base", "groff", "info", "linda", "lintian", "locale", "man")]
    search = f"find {' '.join(left_out)} '!' -type d '!' -name copyright 2>/dev/null"
    assert run("/bin/sh", "-c", f"{search}; true") == (0, "")
    assert run(
        "/bin/sh", "-c", "test -s /usr/share/doc/tini/copyright && test -s /usr/share/doc/python3.11-minimal/copyright"
    ) == (
        0,
        "",
    )


def test_health_is_a_segment_stored_within_the_last_minute(image: dict[str, Any], run: Callable[..., tuple[int, str]]) -> None:
    form, *check = image["Config"]["Healthcheck"]["Test"]
    assert form == "CMD"
    assert "python" not in shlex.join(check)
    assert run(*check)[0] != 0  # nothing yet
    assert run("touch", "/tmp/healthy")[0] == 0
    assert run(*check)[0] == 0
    assert run("touch", "-d", "2 minutes ago", "/tmp/healthy")[0] == 0
    assert run(*check)[0] != 0


def test_nothing_but_tmp_can_be_written(run: Callable[..., tuple[int, str]]) -> None:
    assert run("touch", "/opt/agent/x")[0] != 0
    assert run("touch", "/tmp/x")[0] == 0
