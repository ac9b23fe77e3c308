"""Prints the API's routes as Markdown, from its OpenAPI document. The app stands on the tests' fakes: no server is needed."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from api.app import create_app
from orchestrator.app.settings import Settings
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables

METHODS = ("get", "post", "put", "patch", "delete")
CREDENTIALS = {"adminKey": "admin key", "sessionToken": "session's token"}


def markdown() -> str:
    """One section for each tag, one line for each route."""
    app = create_app(Settings(admin_key="unused"), FakeTables(), FakeEventBus(), FakeObjectStore(), time.time)
    document = app.openapi_schema.to_schema()
    lines: dict[str, list[str]] = defaultdict(list)
    for path, item in document["paths"].items():
        for method in METHODS:
            if operation := item.get(method):
                lines[operation["tags"][0]].append(_line(method, path, operation))
    head = "| route | what it does | credential |\n|---|---|---|\n"
    return "\n".join(
        f"## {tag['name']}\n\n{tag['description']}\n\n{head}" + "\n".join(lines[tag["name"]]) + "\n" for tag in document["tags"]
    )


def _line(method: str, path: str, operation: dict[str, Any]) -> str:
    named = [name for each in operation.get("security") or () for name in each]
    credential = ", ".join(words for name, words in CREDENTIALS.items() if name in named) or "open"
    said = " ".join(f"**{operation['summary']}.** {operation.get('description') or ''}".split()).replace("|", "\\|")
    return f"| `{method.upper()} {path}` | {said} | {credential} |"


if __name__ == "__main__":
    print(markdown())
