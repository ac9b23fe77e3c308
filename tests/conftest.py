"""The real parts that tests run against, each started once per worker, and what each test needs of the machine, as markers.

Markers are derived from fixtures: a test whose fixtures start Redis has the marker `redis`, and every test that needs any such
part has `real` as well. A fixture that starts a part fails a test without the marker. `make test-fast` runs what is neither
`real` nor `slow`; `make test` runs all.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from hypothesis import settings

from tests.contract.engines import docker_client, standin_image
from tests.postgres_server import PostgresServer, running_postgres
from tests.servers import RedisServer, Seaweed, running_redis, running_seaweed
from tests.sqlite_file import migrated
from tests.support import require

# Each example may be as slow as it must be: deadlines measure the machine. HYPOTHESIS_PROFILE=thorough looks for longer.
settings.register_profile("default", deadline=None, max_examples=100, stateful_step_count=30)
settings.register_profile("fast", deadline=None, max_examples=20, stateful_step_count=30)
settings.register_profile("thorough", deadline=None, max_examples=2000, stateful_step_count=60)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

MARKER_OF_FIXTURE = {
    "seaweed": "s3", "redis_server": "redis", "postgres": "postgres", "own_postgres": "postgres", "docker_engine": "docker",
    "edge": "edge", "door": "edge",
}  # fmt: skip
REAL = {"docker", "browser", "edge", "postgres", "redis", "s3", "stack"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with what it needs, and brings forward what may take longest, so that no worker is alone with it at the
    end."""
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        for marker in {MARKER_OF_FIXTURE[name] for name in fixtures if name in MARKER_OF_FIXTURE}:
            item.add_marker(marker)
        if REAL & {marker.name for marker in item.iter_markers()}:
            item.add_marker("real")
        if "lab" in fixtures:  # live sources play in real time
            item.add_marker("slow")
    items.sort(key=_timeout_s, reverse=True)


def _timeout_s(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> None:
    item: pytest.Item = request._pyfuncitem
    if fixturedef.argname in MARKER_OF_FIXTURE and item.get_closest_marker("real") is None:
        pytest.fail(
            f"{item.nodeid} starts {fixturedef.argname}: mark it {MARKER_OF_FIXTURE[fixturedef.argname]}", pytrace=False
        )


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    """A running SeaweedFS: take a bucket of your own."""
    with running_seaweed() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A running Redis; a test that kills it starts it again."""
    with running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL; `postgres.database()` is the URL of a fresh, migrated database."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, migrated database: the test runs once on each engine."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.database()
    return migrated(tmp_path)


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """A Docker engine answers."""
    try:
        with docker_client() as client:
            client.ping()
    except (docker.errors.DockerException, OSError) as error:
        require("Docker", None, f"no engine answers ({error})")


@pytest.fixture(scope="session")
def transcoder_image(docker_engine: None, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> str:
    """The name of the real image, built from this checkout by the worker that asks first."""
    tag = "hls-failover-transcoder"
    own = tmp_path_factory.getbasetemp()
    with (own if worker_id == "master" else own.parent).joinpath("transcoder-image").open("a+") as built:
        fcntl.flock(built, fcntl.LOCK_EX)
        if not built.tell():
            build = subprocess.run([sys.executable, "transcoder-image/build", "--tag", tag], capture_output=True, text=True)
            assert build.returncode == 0, build.stdout + build.stderr
            built.write(tag)
    return tag


@pytest.fixture(scope="session")
def standin(transcoder_image: str) -> Iterator[None]:
    """The real image, but it runs its job as a shell script."""
    with docker_client() as client, standin_image(client, transcoder_image):
        yield
