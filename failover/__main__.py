"""The entry point of the `failover` command and of `python -m failover`: parse, read the settings, run, exit.

Rule: a mistake of the user's, on the command line or in the settings, is answered in one sentence and never by a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from cyclopts import CycloptsError

from failover.cli import app
from failover.usage_error import sentence
from orchestrator.app import settings as settings_module
from orchestrator.app.settings import Settings
from orchestrator.errors import FailoverError, Temporary


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Exit code 0: done; 1: it could not be done, and one line says why; 2: wrong usage; 130: Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        command, bound, passed = app.parse_args(words, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        _exit_with_usage(sentence(error), error.command_chain or ())
    if command.__name__ == "help_print" and not {"--help", "-h"} & set(words):  # the parser's answer where no command is named
        _exit_with_usage("the following arguments are required: COMMAND", words)
    try:
        if "settings" not in passed:  # --help, --version, --install-completion
            command(*bound.args, **bound.kwargs)
            sys.stdout.flush()
            sys.exit(0)
        sys.exit(_run(command, *bound.args, **bound.kwargs, passed=passed))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read the output has closed it: no error
        sys.exit(1)


def _run(command: Any, *positional: Any, passed: dict[str, Any], **named: Any) -> int:
    """Read the settings, configure the log lines, run the command; a FailoverError becomes one line."""
    import asyncio

    from failover import log_lines

    try:
        if "unknown_variables" in passed:  # this command reports them; every other one refuses to start
            named["unknown_variables"] = settings_module.unknown(os.environ)
            for variable in named["unknown_variables"]:
                del os.environ[variable]
        settings = settings_module.read(os.environ)
        log_lines.begin(settings)
        code: int = asyncio.run(command(*positional, **named, settings=settings))
        return code
    except FailoverError as error:
        _report(f"{error.title}: {error}" if isinstance(error, Temporary) else str(error))
        return 1


def _report(what: str) -> None:
    """One line on standard error: a log line where the variable asks for JSON, whatever else is wrong with the settings."""
    if os.environ.get(f"{settings_module.PREFIX}LOG_FORMAT") != "json":
        print(f"failover: {what}", file=sys.stderr)
        return
    import logging

    from failover import log_lines

    log_lines.begin(Settings(log_format="json"))
    logging.getLogger("failover.cli").error("%s", what)


def _exit_with_usage(what: str, chain: Sequence[str]) -> NoReturn:
    _report(f"error: {what} (see `{' '.join(('failover', *chain))} --help`)")
    sys.exit(2)


if __name__ == "__main__":
    main()
