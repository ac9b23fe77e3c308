"""The `failover` command: words in, one clear sentence out where something is wrong. A user's mistake shows no traceback.

Each subcommand is one coroutine elsewhere; this module only knows the words.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from failover import log_lines
from orchestrator.app import settings as settings_module
from orchestrator.app.settings import Settings
from orchestrator.errors import FailoverError, Temporary

log = logging.getLogger(__name__)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="failover", description="HLS stream failover: one address that outlives every source."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, within: Any = commands) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = within.add_parser(name, help=summary, description=summary)
        added.add_argument("--data-dir", type=Path, default=None, help="of a stack started by `failover serve` (default: var)")
        return added

    serve = command("serve", "run everything; what the settings do not point to is embedded")
    serve.add_argument("--port", type=int, default=None, help="of the API (default: FAILOVER_PORT or 8080)")
    command("api", "run the API alone")
    command("orchestrator", "run the orchestrator alone")
    command("migrate", "bring the database to the current schema; safe to repeat")
    secret_files = command("secrets", "make the keys and passwords of a deployment that are not there yet, as files")
    secret_files.add_argument("directory", type=Path, metavar="DIR")

    play = command("play", "a channel from these addresses; plays until Ctrl-C")
    play.add_argument("urls", nargs="+", metavar="URL")
    play.add_argument("--profile", choices=("copy", "h264"), default="copy")

    demo = command("demo", "two sources, one dies, the picture goes on")
    demo.add_argument("urls", nargs="*", metavar="URL", help="real sources instead of the synthetic ones")
    demo.add_argument("--once", action="store_true", help="play the story once; exit 0 only if the playlist stayed continuous")

    imports = command("import", "a provider's IPTV playlist becomes channels and sources")
    imports.add_argument("playlist", metavar="FILE|URL|-", help="a file, an http(s) address, or - for the standard input")
    imports.add_argument("--provider", required=True, metavar="NAME", help="whose it is; a new name becomes a provider")
    imports.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")

    command("doctor", "what is wrong, and what to do about it; exit 1 where something is").add_argument(
        "--json", action="store_true", help="for programs"
    )
    drain = command("drain", "while it is on, no new session starts, and those that run go on")
    drain.add_argument("wanted", choices=("on", "off", "status"))

    sources = commands.add_parser("sources", help="probe sources").add_subparsers(dest="subcommand", required=True)
    probe = command("probe", "what ffprobe says of an address", sources)
    probe.add_argument("url", metavar="URL")
    command("recover", "probe every problematic source now", sources)

    sessions = commands.add_parser("sessions", help="look at sessions and steer them").add_subparsers(
        dest="subcommand", required=True
    )
    command("list", "sessions, newest first", sessions).add_argument("--all", action="store_true", help="ended ones too")
    roll = command("roll", "a fresh attempt for every live session, a few at a time, without a gap", sessions)
    roll.add_argument("--at-once", type=_at_least_one, default=4, metavar="N", help="so many at a time (default 4)")
    for name, summary in (
        ("show", "one session: its attempts and events"),
        ("logs", "the agent's log of the last attempt, or of --attempt"),
        ("switch", "a planned swap to the next source, or to --source"),
        ("stop", "end a session"),
    ):
        one = command(name, summary, sessions)
        if name == "stop":
            which = one.add_mutually_exclusive_group(required=True)
            which.add_argument("session", metavar="SESSION", nargs="?")
            which.add_argument("--all", action="store_true", help="every session, and wait until nothing of them runs")
            continue
        one.add_argument("session", metavar="SESSION")
        if name == "logs":
            one.add_argument("--attempt", type=int, default=None)
        if name == "switch":
            one.add_argument("--source", default=None)
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """The entry point. Exit code 0: done; 1: it could not be done, and one line says why; 2: wrong words; 130: Ctrl-C."""
    arguments = _parser().parse_args(argv)
    as_json = os.environ.get(f"{settings_module.PREFIX}LOG_FORMAT") == "json"
    if as_json:  # what is wrong with the other settings is said so, too
        log_lines.begin(Settings(log_format="json"))
    try:
        if arguments.command == "doctor":  # it is what tells of them
            arguments.unknown = settings_module.unknown(os.environ)
            for variable in arguments.unknown:
                del os.environ[variable]
        settings = settings_module.read(os.environ)
        log_lines.begin(settings)
        sys.exit(asyncio.run(_command(arguments, settings)))
    except KeyboardInterrupt:
        sys.exit(130)
    except FailoverError as error:
        what = f"{error.title}: {error}" if isinstance(error, Temporary) else str(error)
        if as_json:
            log.error("%s", what)
        else:
            print(f"failover: {what}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: that is its right
        sys.exit(1)


def _command(arguments: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, int]:
    # Imported per command: `failover sources probe` must not wait for a web framework.
    match arguments.command, getattr(arguments, "subcommand", None):
        case "serve", _:
            from failover import serve

            return serve.serve(settings, arguments.data_dir, arguments.port)
        case "api", _:
            from failover import parts

            return parts.api(settings, arguments.data_dir)
        case "orchestrator", _:
            from failover import parts

            return parts.orchestrator(settings, arguments.data_dir)
        case "migrate", _:
            from failover import parts

            return parts.migrate(settings, arguments.data_dir)
        case "secrets", _:
            from failover import secret_files

            return secret_files.write(settings, arguments.directory)
        case "play", _:
            from failover import play

            return play.play(settings, arguments.data_dir, arguments.urls, arguments.profile)
        case "demo", _:
            from failover import demo

            return demo.demo(settings, arguments.data_dir, arguments.urls, once=arguments.once)
        case "import", _:
            from failover import imports

            return imports.import_playlist(
                settings, arguments.data_dir, arguments.playlist, arguments.provider, dry_run=arguments.dry_run
            )
        case "doctor", _:
            from failover import operation

            return operation.doctor(settings, arguments.data_dir, as_json=arguments.json, unknown=arguments.unknown)
        case "drain", _:
            from failover import operation

            return operation.drain(settings, arguments.data_dir, arguments.wanted)
        case "sessions", "roll":
            from failover import operation

            return operation.roll(settings, arguments.data_dir, arguments.at_once)
        case "sources", subcommand:
            from failover import sources

            if subcommand == "probe":
                return sources.probe(settings, arguments.url)
            return sources.recover(settings, arguments.data_dir)
        case _, subcommand:
            from failover import sessions

            match subcommand:
                case "list":
                    return sessions.show_all(settings, arguments.data_dir, ended_too=arguments.all)
                case "show":
                    return sessions.show(settings, arguments.data_dir, arguments.session)
                case "logs":
                    return sessions.logs(settings, arguments.data_dir, arguments.session, arguments.attempt)
                case "switch":
                    return sessions.switch(settings, arguments.data_dir, arguments.session, arguments.source)
                case _:
                    if arguments.all:
                        return sessions.stop_all(settings, arguments.data_dir)
                    return sessions.stop(settings, arguments.data_dir, arguments.session)
