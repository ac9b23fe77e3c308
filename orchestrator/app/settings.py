"""Settings: read once, from the environment, into one frozen struct. The names contain the units.

An unknown `FAILOVER_` variable or a bad value is refused at the start, with the variable's name. `NAME_FILE` gives the path of
a file that holds the value (for secrets). Where an endpoint is None, `failover serve` starts the embedded server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from orchestrator.errors import BadSetting

PREFIX = "FAILOVER_"

_LONGEST_SIGNATURE_S = 7 * 24 * 3600

_FORMER_NAMES = {
    "sweep_interval_s": "playlist_poll_interval_s",
    "recovery_interval_s": "reprobe_interval_s",
    "first_look_interval_s": "first_probe_interval_s",
}
"""Names of settings before they were renamed. They are still read, because an environment or a data directory may hold them."""


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

    input_switches: Literal["off", "on"] = "off"  # an attempt goes on with another source by itself, in the same container

    # Sessions. A limit that is not given: none
    idle_timeout_s: float = 60.0  # a session that nobody has renewed for so long ends
    max_sessions: int | None = None
    max_sessions_per_viewer: int | None = None
    max_sessions_per_channel: int | None = None
    # Of one client address (IPv6: /64), through the routes that need no key
    max_sessions_per_address: int = 8
    max_new_sessions_per_address_per_minute: int = 30
    node_cpus: float | None = None  # for sessions, at 0.02 (copy) or 1.0 (h264) each; None: all of the API's machine
    node_memory_mb: float | None = None  # at 45 or 220 each

    # The orchestrator
    playlist_poll_interval_s: float = 1.0
    resync_interval_s: float = 1.0
    reprobe_interval_s: float = 120.0
    first_probe_interval_s: float = 5.0  # sources that were never probed are looked for, and probed a few at a time
    retention_interval_s: float = 30.0
    segment_retention_s: float = 60.0  # after a segment has left the window
    ended_retention_s: float = 3600.0  # playlists, segments and logs of ended sessions
    history_retention_s: float = 30 * 24 * 3600.0  # rows of ended sessions, with their attempts and events
    orphan_grace_s: float = 60.0
    probe_timeout_s: float = 5.0
    probe_concurrency: int = 32  # a hung probe costs memory, no CPU; few would let hung sources delay the others
    probe_fresh_s: float = 10.0  # a source seen healthy this recently is not probed again

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    health_file: str | None = None  # touched every 3 s for as long as the process's loop runs


def read(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises BadSetting, with the variable's name."""
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(f"{PREFIX}TEST_"):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in _FORMER_NAMES:
            name = _FORMER_NAMES[name]
            if environ.get(f"{PREFIX}{name.upper()}"):
                raise BadSetting(f"{variable}: is now called {PREFIX}{name.upper()}, which is set as well")
        if name not in fields and name.removesuffix("_file") in fields:
            name = name.removesuffix("_file")
            if environ.get(f"{PREFIX}{name.upper()}"):
                raise BadSetting(f"{variable}: {PREFIX}{name.upper()} is set as well; give one of the two")
            text = _read_file(variable, text)
        if name not in fields:
            raise BadSetting(f"{variable}: no such setting")
        if text == "":
            continue  # as `VAR=` in an .env file: not given
        try:
            value = msgspec.convert(text, fields[name].type, strict=False)
        except msgspec.ValidationError:
            raise BadSetting(f"{variable}: must be {_expected(fields[name].type)}, not {text!r}") from None
        if (wrong := _wrong(name, value)) is not None:
            raise BadSetting(f"{variable}: {wrong}")
        values[name] = value
    return Settings(**values)


def unknown(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that `read` would refuse because no setting has their names."""
    fields = {field.name for field in msgspec.structs.fields(Settings)} | _FORMER_NAMES.keys()
    ours = (each for each in environ if each.startswith(PREFIX) and not each.startswith(f"{PREFIX}TEST_"))
    return tuple(each for each in ours if not {name := each.removeprefix(PREFIX).lower(), name.removesuffix("_file")} & fields)


def _read_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text().strip() if path else ""
    except OSError as error:
        raise BadSetting(f"{variable}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSetting(f"{variable}: {path} is not text") from None


def _expected(kind: Any) -> str:
    words = [each for option in (kind, *get_args(kind)) for each in get_args(option) if isinstance(each, str)]
    if words:
        return "one of " + ", ".join(dict.fromkeys(words))
    return "a whole number" if kind is int else "a number"


def _wrong(name: str, value: Any) -> str | None:
    """What is wrong with a value of the right type; None: nothing."""
    match name:
        case "port":
            return None if 0 <= value <= 65535 else "must be from 0 (any free port) to 65535"
        case "signature_s" if value > _LONGEST_SIGNATURE_S:
            return f"must be at most {_LONGEST_SIGNATURE_S} (7 days), S3's own limit"
        case "s3_endpoint" | "s3_transcoder_endpoint" | "origin_url" | "public_url":
            return None if re.match(r"https?://[^/\s]+", value) else "must be an http:// or https:// address"
        case "deployment":
            return None if re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", value) else "must be letters, digits, '.', '_' and '-'"
        case _ if isinstance(value, int | float) and not (value > 0 and isfinite(value)):
            return "must be greater than 0 and finite"
        case _:
            return None


def environ_of(settings: Settings) -> dict[str, str]:
    """The variables that `read` turns into these settings again, for child processes and for the data directory."""
    values = {field.name: getattr(settings, field.name) for field in msgspec.structs.fields(Settings)}
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items() if value is not None}


def replaced(settings: Settings, **changes: Any) -> Settings:
    """The same settings with these changes."""
    return msgspec.structs.replace(settings, **changes)


def derived(settings: Settings) -> Settings:
    """Fills in the addresses that follow from others where they are not given. `s3_endpoint` must be known."""
    endpoint = (settings.s3_endpoint or "").rstrip("/")
    return replaced(
        settings,
        s3_transcoder_endpoint=settings.s3_transcoder_endpoint or endpoint,
        origin_url=settings.origin_url or f"{endpoint}/{settings.s3_bucket}",
    )
