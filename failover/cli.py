"""The `failover` command line: its commands and options as typed functions. Each runs one coroutine of `failover.commands`.

Rule: importing this module imports nothing but the parser and the settings, so that `failover --help` and shell completion
answer at once; each command imports inside its function what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, ArgumentCollection, Group, Parameter, Token

from orchestrator.app.settings import Settings
from orchestrator.errors import FailoverError


def _version() -> str:
    from importlib.metadata import version

    return version("hls-failover")


def _whole_number(_: object, tokens: Sequence[Token]) -> int:
    """Stricter than the parser's own conversion, which rounds 0.5."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"invalid int value: {tokens[0].value!r}") from None


def _port(_: object, number: int | None) -> None:
    if number is not None and not 0 <= number <= 65535:
        raise ValueError("must be from 0 (any free port) to 65535")


def _at_least_one(_: object, number: int) -> None:
    if number < 1:
        raise ValueError("must be 1 or more")


def _one_or_all(arguments: ArgumentCollection) -> None:
    if len(arguments.filter_by(value_set=True)) != 1:
        raise ValueError("give either SESSION or --all")


_SERVICES = Group.create_ordered("Services")
_TRIAL = Group.create_ordered("Trying it out")
_OPERATION = Group.create_ordered("Operation")
_OPTIONS = Group.create_ordered("Options")
_STOPPED = Group("Sessions", validator=_one_or_all)

app = App(
    "failover",
    help="HLS stream failover: one address that outlives every source.",
    version=_version,
    help_format="plaintext",
    default_parameter=Parameter(negative=(), show_default=False),
    group_commands=_OPERATION,
)
app["--help"].group = app["--version"].group = (_OPTIONS,)
app.register_install_completion_command(add_to_startup=False, group=_OPTIONS)
_sources = App("sources", help="Probe sources.", version_flags=())
_sessions = App("sessions", help="Show and steer sessions.", version_flags=())
app.command(_sources)
app.command(_sessions)

# Not on the command line: `main` passes these two
GivenSettings = Annotated[Settings, Parameter(parse=False)]
UnknownVariables = Annotated[tuple[str, ...], Parameter(parse=False)]

DataDir = Annotated[Path | None, Parameter(help="Data directory of a `failover serve` (default: var).")]
SessionId = Annotated[str, Parameter(name="SESSION", help="The session's id.")]


@app.command(group=_SERVICES)
async def serve(
    *,
    port: Annotated[
        int | None,
        Parameter(converter=_whole_number, validator=_port, help="The API's (default: FAILOVER_PORT or 8080)."),
    ] = None,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """Run everything; embed the servers that the settings do not name."""
    from failover.commands import serve

    return await serve.serve(settings, data_dir, port)


@app.command(group=_SERVICES)
async def api(*, data_dir: DataDir = None, settings: GivenSettings) -> int:
    """Run the API alone."""
    from failover.commands import services

    return await services.api(settings, data_dir)


@app.command(group=_SERVICES)
async def orchestrator(*, data_dir: DataDir = None, settings: GivenSettings) -> int:
    """Run the orchestrator alone."""
    from failover.commands import services

    return await services.orchestrator(settings, data_dir)


@app.command(group=_SERVICES)
async def migrate(*, data_dir: DataDir = None, settings: GivenSettings) -> int:
    """Bring the database to the current schema; safe to repeat."""
    from failover.commands import services

    return await services.migrate(settings, data_dir)


@app.command(name="secrets", group=_SERVICES)
async def secret_files(
    directory: Annotated[Path, Parameter(name="DIR", help="Where the files are written.")],
    /,
    *,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """Generate the keys and passwords of a deployment that do not exist yet, as files."""
    from failover.commands import secret_files

    return await secret_files.write(settings, directory)


@app.command(group=_TRIAL)
async def play(
    urls: Annotated[list[str], Parameter(name="URL", help="The channel's sources, the preferred one first.")],
    /,
    *,
    profile: Annotated[Literal["copy", "h264"], Parameter(help="Copy the streams (default) or transcode to H.264.")] = "copy",
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """Play one channel with these sources until Ctrl-C."""
    from failover.commands import play

    return await play.play(settings, data_dir, urls, profile)


@app.command(group=_TRIAL)
async def demo(
    urls: Annotated[list[str] | None, Parameter(name="URL", help="Real sources instead of the synthetic ones.")] = None,
    /,
    *,
    once: Annotated[bool, Parameter(help="Play the story once; exit 0 only if the playlist stayed continuous.")] = False,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """Play two sources, let one fail, and measure that the playlist goes on."""
    try:
        from failover.commands import demo
    except ModuleNotFoundError as error:
        if error.name != "lab":
            raise
        needed = "the demo needs a checkout of the repository, which holds its sources: run `make demo` there"
        raise FailoverError(needed) from None
    return await demo.demo(settings, data_dir, urls or (), once=once)


@app.command(name="import")
async def import_playlist(
    playlist: Annotated[
        str,
        Parameter(
            name="FILE|URL|-", allow_leading_hyphen=True, help="A file, an http(s) address, or - for the standard input."
        ),
    ],
    /,
    *,
    provider: Annotated[str, Parameter(help="Whose playlist it is; a new name creates a provider.")],
    dry_run: Annotated[bool, Parameter(help="Show what would change, and change nothing.")] = False,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """Turn a provider's IPTV playlist into channels and sources."""
    from failover.commands import import_playlist

    return await import_playlist.import_playlist(settings, data_dir, playlist, provider, dry_run=dry_run)


@app.command
async def doctor(
    *,
    json: Annotated[bool, Parameter(help="Print JSON, for programs.")] = False,
    data_dir: DataDir = None,
    settings: GivenSettings,
    unknown_variables: UnknownVariables = (),
) -> int:
    """Say what is wrong, and what to do about it; exit 1 where something is."""
    from failover.commands import doctor

    return await doctor.doctor(settings, data_dir, as_json=json, unknown=unknown_variables)


@app.command
async def drain(
    wanted: Annotated[Literal["on", "off", "status"], Parameter(name="on|off|status", help="What to do or to show.")],
    /,
    *,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """Start no new session while this is on; running sessions go on."""
    from failover.commands import drain

    return await drain.drain(settings, data_dir, wanted)


@_sources.command
async def probe(
    url: Annotated[str, Parameter(name="URL", help="Any address.")], /, *, data_dir: DataDir = None, settings: GivenSettings
) -> int:
    """Say what ffprobe finds at an address."""
    from failover.commands import sources

    return await sources.probe(settings, url)


@_sources.command
async def recover(*, data_dir: DataDir = None, settings: GivenSettings) -> int:
    """Probe every problematic source now."""
    from failover.commands import sources

    return await sources.recover(settings, data_dir)


@_sessions.command(name="list")
async def list_sessions(
    *,
    all: Annotated[bool, Parameter(help="Ended ones too.")] = False,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """List the sessions, newest first."""
    from failover.commands import sessions

    return await sessions.show_all(settings, data_dir, ended_too=all)


@_sessions.command
async def roll(
    *,
    at_once: Annotated[int, Parameter(converter=_whole_number, validator=_at_least_one, help="How many (default: 4).")] = 4,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """Give every live session a new attempt, a few at a time, without a gap."""
    from failover.commands import roll

    return await roll.roll(settings, data_dir, at_once)


@_sessions.command
async def show(session: SessionId, /, *, data_dir: DataDir = None, settings: GivenSettings) -> int:
    """Show one session with its attempts and events."""
    from failover.commands import sessions

    return await sessions.show(settings, data_dir, session)


@_sessions.command
async def logs(
    session: SessionId,
    /,
    *,
    attempt: Annotated[int | None, Parameter(converter=_whole_number, help="Its number.")] = None,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """Print the agent's log of the last attempt, or of --attempt."""
    from failover.commands import sessions

    return await sessions.logs(settings, data_dir, session, attempt)


@_sessions.command
async def switch(
    session: SessionId,
    /,
    *,
    source: Annotated[str | None, Parameter(help="Its id.")] = None,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """Switch to the next source, or to --source, without a gap."""
    from failover.commands import sessions

    return await sessions.switch(settings, data_dir, session, source)


@_sessions.command
async def stop(
    session: Annotated[str | None, Parameter(name="SESSION", group=_STOPPED, help="The session's id.")] = None,
    /,
    *,
    all: Annotated[bool, Parameter(group=_STOPPED, help="Every session; waits until none of their containers runs.")] = False,
    data_dir: DataDir = None,
    settings: GivenSettings,
) -> int:
    """End one session, or all."""
    from failover.commands import sessions

    if session is None:
        return await sessions.stop_all(settings, data_dir)
    return await sessions.stop(settings, data_dir, session)
