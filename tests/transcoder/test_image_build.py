"""The image's build script where it cannot build: one sentence that says why; and what it asks of Docker where it can."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from transcoder.job import CONTRACT

BUILD = "transcoder-image/build"


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """A docker command that does as a script says, and writes down what it was asked."""
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\ncase " $FAILS " in *" $1 "*) echo "because of x" >&2; exit 1;; esac\n'
    )
    program.chmod(0o755)
    return program


def build(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BUILD, *arguments], capture_output=True, text=True, env={**os.environ, **environment}, timeout=30
    )


def sentence(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    return line


def test_no_docker_command(tmp_path: Path) -> None:
    assert sentence(build(PATH=str(tmp_path))) == "transcoder-image/build: there is no docker command on this machine"


def test_no_engine(docker: Path) -> None:
    assert "no Docker engine answers" in sentence(build(PATH=str(docker.parent), FAILS="version"))


def test_no_base_image(docker: Path) -> None:
    said = sentence(build(PATH=str(docker.parent), FAILS="image pull"))
    assert "debian:bookworm-slim cannot be pulled (because of x)" in said


def test_a_base_image_that_is_there_is_not_pulled(docker: Path) -> None:
    assert build(PATH=str(docker.parent), FAILS="none").returncode == 0
    assert "pull" not in (docker.parent / "asked").read_text()


@pytest.mark.parametrize("ffmpeg", ["static", "debian"])
def test_what_docker_is_asked(docker: Path, ffmpeg: str) -> None:
    run = build("--tag", "some-tag", "--ffmpeg", ffmpeg, PATH=str(docker.parent), FAILS="none", https_proxy="http://proxy:1")
    assert run.returncode == 0, run.stderr
    command = (docker.parent / "asked").read_text().splitlines()[-1].split()
    assert command[:3] == ["build", "--tag", "some-tag"]
    assert f"FFMPEG={ffmpeg}" in command
    assert command[command.index("https_proxy") - 1] == "--build-arg"  # the value stays in the environment
    assert command[-1].endswith("transcoder-image")


def test_a_build_that_fails(docker: Path) -> None:
    run = build(PATH=str(docker.parent), FAILS="build")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "transcoder-image/build: docker build failed: see above"


def test_the_images_label_names_the_contract_that_its_agent_understands() -> None:
    labels = re.findall(
        r'^LABEL hls-failover\.contract="(\d+)"$', Path("transcoder-image/Dockerfile").read_text(), re.MULTILINE
    )
    assert labels == [str(CONTRACT)]
