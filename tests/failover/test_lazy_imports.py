"""What the command imports before it knows what to do: the parser and the settings, and nothing that is slow to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each of these costs more than the whole answer may take, or brings one that does.
SLOW = {
    "alembic", "api", "apscheduler", "asyncio", "docker", "httpx", "lab", "litestar", "minio", "orchestrator.adapters",
    "orchestrator.control", "orchestrator.core", "prometheus_client", "psutil", "psycopg", "pydantic", "redis", "sqlalchemy",
    "structlog", "transcoder", "uvicorn",
}  # fmt: skip

PROBE = """
import sys
from failover.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help", 0),
        ("--version", 0),
        ("serve --help", 0),
        ("sessions --help", 0),
        ("sessions stop --help", 0),
        ("nonsense", 2),
    ],
)
def test_an_answer_about_the_words_imports_nothing_slow(words: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *words.split()], capture_output=True, text=True, timeout=30)
    assert done.returncode == code, done.stderr
    imported = done.stderr.split()
    assert {"cyclopts", "orchestrator.app.settings"} <= set(imported), "the modules are listed"
    assert not SLOW & set(imported)
    assert not [module for module in imported if module.startswith("failover.commands.")]
