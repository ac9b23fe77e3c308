"""Dependency injection by name: a handler declares `sessions: Injected[Sessions]`, and Litestar passes what api/dependencies.py
has registered under that name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeAlias, TypeVar

from litestar.di import NamedDependency
from litestar.params import SkipValidationMarker

T = TypeVar("T")

# Not validated at each request, as Litestar would: a port is a Protocol, which `isinstance` cannot test. A test compares the
# types of all handlers' parameters with what is registered.
Injected: TypeAlias = Annotated[NamedDependency[T], SkipValidationMarker()]

Clock: TypeAlias = Callable[[], float]  # unix seconds
