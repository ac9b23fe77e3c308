"""Each request has an id, in its log lines and in its answer: the client's, or a new one."""

from __future__ import annotations

import logging
import re
from typing import Any

import httpx
import pytest
from litestar import Litestar
from structlog.contextvars import get_contextvars

from tests.api.stage import calling
from tests.fakes.tables import FakeTables


@pytest.mark.parametrize("path", ["/healthz", "/v1/channels", "/nowhere"], ids=["open", "refused", "unknown"])
async def test_the_clients_id_comes_back(app: Litestar, path: str) -> None:
    async with calling(app) as anybody:
        answer = await anybody.get(path, headers={"X-Request-Id": "proxy-7f.1_A"})
    assert answer.headers.get_list("x-request-id") == ["proxy-7f.1_A"]


@pytest.mark.parametrize("sent", [None, "", "two words", "x" * 65, 'a"}\n{"at": 1', "caf\xe9"])
async def test_what_is_no_id_is_replaced_by_a_new_one(app: Litestar, sent: str | None) -> None:
    async with calling(app) as anybody:
        request = httpx.Request("GET", "http://api.test/healthz")
        if sent is not None:
            request.headers.raw.append((b"x-request-id", sent.encode("latin-1")))
        answers = [await anybody.send(request) for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in ids), ids
    assert ids[0] != ids[1]


async def test_an_error_is_logged_with_the_id(
    tables: FakeTables, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[dict[str, Any]] = []

    class Fields(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "failed" in record.getMessage():
                logged.append(get_contextvars())

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(tables.catalogue, "channels", broken)
    handler = Fields()
    logging.getLogger().addHandler(handler)
    try:
        answer = await admin.get("/v1/channels", headers={"X-Request-Id": "r-1"})
    finally:
        logging.getLogger().removeHandler(handler)
    assert answer.status_code == 500
    assert logged == [{"request": "r-1"}]
    assert get_contextvars() == {}
