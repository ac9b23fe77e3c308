"""Settings are read once, from the environment, into one frozen struct; units stand in the names.

An unknown `FAILOVER_` variable or a bad value is refused at start with the variable's name. `NAME_FILE` gives the path of a
file that holds the value (secrets as files). Where an endpoint is None, `failover serve` starts the embedded server.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from orchestrator.errors import BadSetting

PREFIX = "FAILOVER_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, its unit and its default. `.env.example` is generated from here."""

    # Where things are
    database_url: str | None = None  # postgresql://user:password@host/database or sqlite:////path
    redis_url: str | None = None
    s3_endpoint: str | None = None  # http(s)://host:port
    s3_transcoder_endpoint: str | None = None  # as the containers reach it, where that differs: the host is signed
    s3_bucket: str = "hls"
    s3_region: str = "us-east-1"
    s3_access_key: str | None = None
    s3_secret_key: str | None = None
    origin_url: str | None = None  # what viewers see in front of the bucket's keys; default {endpoint}/{bucket}
    public_url: str | None = None  # of the API, as clients reach it; default: as each request reached it

    # The API
    host: str = "127.0.0.1"
    port: int = 8080
    admin_key: str | None = None  # embedded: generated into the data directory

    # The containers
    runtime: Literal["docker", "process"] | None = None  # None: docker where an engine answers
    deployment: str = "failover"  # prefix and label of this deployment's containers
    transcoder_image: str = "hls-failover-transcoder"
    docker_network: str = "host"  # of the containers; with an own network, s3_transcoder_endpoint must be reachable in it
    docker_pool: int = 8  # threads, each with an own client
    container_memory_mb: int = 512
    container_cpus: float = 2.0
    ffmpeg: str | None = None  # binaries of the process runtime and the probe; None: the wheel's
    ffprobe: str | None = None

    # The stream
    segment_s: float = 2.0
    window_s: float = 30.0
    start_limit_s: float = 8.0  # no segment by then: the agent gives up
    stall_limit_s: float = 3.0
    store_limit_s: float = 120.0
    signature_s: int = 6 * 24 * 3600  # life of signed addresses; S3's own limit is 7 days

    # The orchestrator
    sweep_interval_s: float = 1.0
    resync_interval_s: float = 1.0
    recovery_interval_s: float = 120.0
    retention_interval_s: float = 30.0
    segment_retention_s: float = 60.0  # after a segment has left the window
    ended_retention_s: float = 3600.0  # playlists, segments and logs of ended sessions
    orphan_grace_s: float = 60.0
    probe_timeout_s: float = 5.0
    probe_concurrency: int = 32  # a hung probe costs memory, no CPU; few would let hung sources delay the others
    probe_fresh_s: float = 10.0  # a source seen healthy this recently is not probed again

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"


def read(environ: Mapping[str, str]) -> Settings:
    """Settings from variables. Raises BadSetting with the variable's name."""
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(f"{PREFIX}TEST_"):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in fields and name.removesuffix("_file") in fields:
            name = name.removesuffix("_file")
            try:
                text = Path(text).read_text().strip()
            except OSError as error:
                raise BadSetting(f"{variable}: cannot read {text}: {error.strerror}") from None
        if name not in fields:
            raise BadSetting(f"{variable}: no such setting")
        if text == "":
            continue  # as `VAR=` in an .env file: not given
        try:
            values[name] = msgspec.convert(text, fields[name].type, strict=False)
        except msgspec.ValidationError as error:
            raise BadSetting(f"{variable}: {error}") from None
    settings = Settings(**values)
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0 and name != "port":
            raise BadSetting(f"{PREFIX}{name.upper()}: must be greater than 0")
    return settings


def environ_of(settings: Settings) -> dict[str, str]:
    """The variables that `read` turns into these settings again: for child processes and for the data directory."""
    values = {field.name: getattr(settings, field.name) for field in msgspec.structs.fields(Settings)}
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items() if value is not None}


def replaced(settings: Settings, **changes: Any) -> Settings:
    """The same settings but for these."""
    return msgspec.structs.replace(settings, **changes)


def derived(settings: Settings) -> Settings:
    """The addresses that follow from others where they are not given. `s3_endpoint` must be known."""
    endpoint = (settings.s3_endpoint or "").rstrip("/")
    return replaced(
        settings,
        s3_transcoder_endpoint=settings.s3_transcoder_endpoint or endpoint,
        origin_url=settings.origin_url or f"{endpoint}/{settings.s3_bucket}",
    )
