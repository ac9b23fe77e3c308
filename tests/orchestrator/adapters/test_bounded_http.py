"""Strangers' answers: nothing that a server says makes a reader take more than its limit, or tell it of another account."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from orchestrator.adapters.http.bounded_http import Answer, Unreadable, Visitor, pool
from tests.orchestrator.adapters.pages import page, serving

LIMIT = 64 * 1024


@pytest.fixture
async def connections() -> AsyncIterator[httpx.AsyncHTTPTransport]:
    shared = pool()
    yield shared
    await shared.aclose()


async def get(shared: httpx.AsyncHTTPTransport, url: str, limit_bytes: int = LIMIT) -> Answer:
    async with Visitor(shared) as visitor:
        return await visitor.get(url, {}, limit_bytes=limit_bytes)


async def test_the_bytes_are_asked_for_as_they_are(connections: httpx.AsyncHTTPTransport) -> None:
    async with serving({"/x": page(b"hello", "text/plain; charset=utf-8")}) as pages:
        answer = await get(connections, f"{pages.url}/x")
    assert answer == Answer(f"{pages.url}/x", 200, "text/plain", b"hello", True)
    assert "accept-encoding: identity" in pages.asked[0].lower()


async def test_gzip_that_nobody_asked_for_is_understood_and_counted_as_it_comes_out(
    connections: httpx.AsyncHTTPTransport,
) -> None:
    small, bomb = gzip.compress(b"hello" * 100), gzip.compress(bytes(50 << 20), 9)
    coded = "Content-Encoding: gzip"
    async with serving({"/small": page(small, "x", "200 OK", coded), "/bomb": page(bomb, "x", "200 OK", coded)}) as pages:
        assert (await get(connections, f"{pages.url}/small")).body == b"hello" * 100
        tracemalloc.start()
        answer = await get(connections, f"{pages.url}/bomb")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (len(answer.body), answer.complete) == (LIMIT, False)
    assert peak < 2 << 20, "50 MB were on offer"


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "deflate", "zstd"])
async def test_any_other_coding_is_refused_by_name(connections: httpx.AsyncHTTPTransport, coding: str) -> None:
    """Twice compressed, 492 bytes have become 641 MB."""
    twice = gzip.compress(gzip.compress(bytes(1 << 20)))
    async with serving({"/x": page(twice, "x", "200 OK", f"Content-Encoding: {coding}")}) as pages:
        with pytest.raises(Unreadable, match=f"a compressed answer \\({coding}\\)"):
            await get(connections, f"{pages.url}/x")


async def test_no_word_of_a_server_s_is_repeated(connections: httpx.AsyncHTTPTransport) -> None:
    """The reason is shown to operators and written into rows."""
    async with serving({"/x": page(b"", "x", "200 OK", "Content-Encoding: joe/hunter2")}) as pages:
        with pytest.raises(Unreadable, match=r"^a compressed answer \(of another kind\)$"):
            await get(connections, f"{pages.url}/x")


async def test_of_a_redirect_no_body_is_read(connections: httpx.AsyncHTTPTransport) -> None:
    """httpx reads it to its end, and decompresses it as often as its headers say."""
    bomb = gzip.compress(gzip.compress(bytes(50 << 20), 9), 9)
    leads_on = page(bomb, "x", "302 Found", "Location: /y", "Set-Cookie: way=1; Path=/", "Content-Encoding: gzip, gzip")
    async with serving({"/x": leads_on, "/y": page(b"hello")}) as pages:
        tracemalloc.start()
        answer = await get(connections, f"{pages.url}/x")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (answer.url, answer.body) == (f"{pages.url}/y", b"hello")
    assert "way=1" in pages.asked[1]
    assert peak < 2 << 20, "50 MB were on offer"


async def test_redirects_have_an_end(connections: httpx.AsyncHTTPTransport) -> None:
    async with serving({"/x": page(b"", "x", "302 Found", "Location: /x")}) as pages:
        with pytest.raises(httpx.TooManyRedirects):
            await get(connections, f"{pages.url}/x")
    assert len(pages.asked) == 5


async def test_broken_gzip_is_said(connections: httpx.AsyncHTTPTransport) -> None:
    async with serving({"/x": page(zlib.compress(b"zlib"), "x", "200 OK", "Content-Encoding: gzip")}) as pages:
        with pytest.raises(Unreadable, match="broken"):
            await get(connections, f"{pages.url}/x")


async def test_no_more_than_the_limit_is_read(connections: httpx.AsyncHTTPTransport) -> None:
    async with serving({"/x": page(bytes(10 * LIMIT)), "/same": page(bytes(LIMIT - 1))}) as pages:
        long, short = await get(connections, f"{pages.url}/x"), await get(connections, f"{pages.url}/same")
    assert (len(long.body), long.complete) == (LIMIT, False)
    assert (len(short.body), short.complete) == (LIMIT - 1, True)


async def test_what_is_not_wanted_is_not_read_on(connections: httpx.AsyncHTTPTransport) -> None:
    async with serving({"/x": page(b"G" + bytes(1 << 20))}) as pages, Visitor(connections) as visitor:
        answer = await visitor.get(f"{pages.url}/x", {}, limit_bytes=1 << 20, goes_on=lambda begun: begun.startswith(b"#"))
    assert not answer.complete
    assert len(answer.body) < 1 << 20


async def test_a_cookie_stays_with_the_visitor_that_it_was_given_to(connections: httpx.AsyncHTTPTransport) -> None:
    async with serving({"/x": page(b"", "x", "200 OK", "Set-Cookie: account=alice; Path=/")}) as pages:
        async with Visitor(connections) as alice:
            for _ in range(2):
                await alice.get(f"{pages.url}/x", {}, limit_bytes=LIMIT)
        async with Visitor(connections) as bob:
            await bob.get(f"{pages.url}/x", {}, limit_bytes=LIMIT)
    assert ["account=alice" in asked for asked in pages.asked] == [False, True, False]
