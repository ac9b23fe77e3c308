"""Column types: JSON of a given shape, members of an enum, and text with the same order in SQLite and PostgreSQL."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Dialect, Text, TypeDecorator

_encode = msgspec.json.Encoder().encode


class Json(TypeDecorator[Any]):
    """A value of `shape` as JSON text; None is NULL."""

    impl = Text
    cache_ok = True

    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.shape = shape
        self._decode = msgspec.json.Decoder(shape).decode

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else _encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self._decode(value)


class Word(TypeDecorator[Any]):
    """A member of a StrEnum as its text: a new member needs no migration."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self.words(value)


# Sorted by code points in both engines: PostgreSQL would otherwise sort by the locale of its host.
Sorted = Text().with_variant(Text(collation="C"), "postgresql")
