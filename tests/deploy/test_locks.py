"""What is deployed is what was tested: the images' locks hold the very versions of the developers' lock."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.deploy.composed import ROOT


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements-server.lock", "transcoder-image/ffmpeg.lock"])
def test_it_is_a_part_of_the_developers_lock(lock: str) -> None:
    assert pins(lock)
    assert pins(lock).items() <= pins("requirements.lock").items()


def test_the_servers_lock_has_what_the_servers_need_and_no_embedded_server() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=\[; ]", each, maxsplit=1)[0] for each in requirements}

    locked = set(pins("requirements-server.lock"))
    assert names(project["dependencies"]) <= locked
    assert not names(project["optional-dependencies"]["embedded"]) & locked
