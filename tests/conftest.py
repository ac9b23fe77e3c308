"""The real parts that tests run against, each started once per test session and ended with it."""

from __future__ import annotations
