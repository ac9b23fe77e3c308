"""Decodes request bodies strictly into their structs: a wrong type, an unknown or a missing member is refused with its name,
and `"7"` is not a number.

This module exists because Litestar decodes a body leniently (`"7"` is a number), and names `data` instead of the member that
is unknown or missing.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import msgspec
from litestar._openapi.schema_generation import SchemaCreator
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.exceptions import ClientException
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from orchestrator.core.bounds import InputFault
from orchestrator.errors import InvalidInput

_AT = re.compile(r"^(?P<message>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_PATTERN = re.compile(r"Expected `str` matching regex .*", re.DOTALL)
_MEMBER = re.compile(r"(?:missing required|unknown) field `(?P<member>[^`]*)`")


def decode(body: bytes, type_: Any) -> Any:
    """Raises InvalidInput with the member's path, such as `sources[0].url`; ClientException where it is not JSON."""
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ClientException(f"the body is not JSON: {error}") from None


def invalid(error: msgspec.ValidationError) -> InvalidInput:
    """Splits msgspec's message, such as "Expected `str`, got `int` - at `$.sources[0].url`", into field and message."""
    match = _AT.match(str(error))
    assert match is not None
    path = (match["path"] or "").removesuffix("[...]")
    if member := _MEMBER.search(match["message"]):
        path = f"{path}.{member['member']}".lstrip(".")
    if _PATTERN.fullmatch(match["message"]):
        return InvalidInput(path or "body", "is empty, or has a character that is not allowed here", InputFault.CHARACTERS)
    return InvalidInput(path or "body", match["message"])


class StrictBody(AbstractDTO[Any]):
    """Makes Litestar decode `data` with `decode`."""

    def decode_bytes(self, value: bytes) -> Any:
        return decode(value, self.asgi_connection.route_handler.parsed_data_field.annotation)

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """Nothing is generated: the struct itself is the model."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def is_supported_model_type_field(cls, field_definition: FieldDefinition) -> bool:
        return False  # answers are encoded as they are

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False
