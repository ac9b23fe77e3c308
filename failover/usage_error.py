"""Formats command-line parse errors as one-line messages."""

from __future__ import annotations

from typing import get_args

from cyclopts import Argument, CoercionError, CycloptsError, MissingArgumentError, UnknownCommandError, UnknownOptionError
from cyclopts import ValidationError as RefusedValue
from cyclopts.exceptions import UnusedCliTokensError


def sentence(error: CycloptsError) -> str:
    """What is missing, unknown or wrong, in words that name the argument."""
    match error:
        case UnknownCommandError(unused_tokens=[word, *_], app=app):
            known = [name for name in app or () if not name.startswith("-")]
            return f"invalid choice: {word!r} (choose from {', '.join(known)})"
        case UnusedCliTokensError(unused_tokens=words):
            return f"unrecognized arguments: {' '.join(words or ())}"
        case UnknownOptionError():
            return f"unrecognized arguments: {str(error).removeprefix('Unknown option: ')}"
        case MissingArgumentError(argument=Argument() as argument, keyword=None):
            return f"the following arguments are required: {argument.name}"
        case MissingArgumentError(argument=Argument() as argument):
            return f"argument {argument.name}: expected one argument"
        case CoercionError(argument=Argument() as argument, msg=None, token=token) if choices := get_args(error.target_type):
            return f"argument {argument.name}: invalid choice: {token and token.value!r} (choose from {', '.join(choices)})"
        case CoercionError(argument=Argument() as argument, msg=str() as reason):
            return f"argument {argument.name}: {reason}"
        case RefusedValue(argument=Argument() as argument):
            return f"argument {argument.name}: {error.exception_message}"
        case RefusedValue():
            return error.exception_message
        case _:
            return str(error)
