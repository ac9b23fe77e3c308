"""The real parts that tests run against, each started once per test session and ended with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
from hypothesis import settings

from orchestrator.migrations import upgrade
from tests.contract.engines import docker_client, standin_image
from tests.postgres_server import PostgresServer, binaries
from tests.servers import RedisServer, Seaweed, running_redis, running_seaweed
from tests.support import require

# Each example as slow as it must be: deadlines measure the machine. HYPOTHESIS_PROFILE=thorough looks for longer.
settings.register_profile("default", deadline=None, max_examples=100, stateful_step_count=30)
settings.register_profile("thorough", deadline=None, max_examples=2000, stateful_step_count=60)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    """A running SeaweedFS: take a bucket of your own."""
    with running_seaweed() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A running Redis; who kills it starts it again."""
    with running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL; `postgres.database()` is the URL of a fresh, migrated database."""
    found = binaries()
    require("PostgreSQL", found, "no server under /usr/lib/postgresql or on PATH")
    assert found is not None
    server = PostgresServer(found)
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, migrated database: the test runs once on each engine."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.database()
    url = f"sqlite:///{tmp_path}/failover.db"
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """A Docker engine answers."""
    try:
        with docker_client() as client:
            client.ping()
    except (docker.errors.DockerException, OSError) as error:
        require("Docker", None, f"no engine answers ({error})")


@pytest.fixture(scope="session")
def transcoder_image(docker_engine: None) -> str:
    """The name of the real image, built from this checkout."""
    tag = "hls-failover-transcoder"
    build = subprocess.run([sys.executable, "transcoder-image/build", "--tag", tag], capture_output=True, text=True)
    assert build.returncode == 0, build.stdout + build.stderr
    return tag


@pytest.fixture(scope="session")
def standin(transcoder_image: str) -> Iterator[None]:
    """The real image, but it runs its job as a shell script."""
    with docker_client() as client, standin_image(client, transcoder_image):
        yield
