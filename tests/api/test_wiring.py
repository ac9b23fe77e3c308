"""Who may call a route is declared where the route is, and what a handler asks for is registered under that name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin, get_type_hints

import httpx
import pytest
from litestar import Litestar, get
from litestar.di import Dependency
from litestar.handlers import BaseRouteHandler

from api import auth
from api.app import create_app
from api.auth import OPEN, is_declared, refuse_by_default
from tests.api.conftest import SETTINGS
from tests.api.stage import KEY, calling, rewire
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables

OPEN_ROUTES = {
    "/", "/healthz", "/readyz", "/playlist.m3u", "/assets/{name:str}", "/schema", "/schema/openapi.json", "/schema/{path:str}",
    "/console", "/console/login", "/console/logout", "/console/{path:path}",
    "/watch", "/watch/channels.json", "/watch/{channel:str}", "/watch/{channel:str}/session", "/watch/{channel:str}/logo",
}  # fmt: skip


def handlers(app: Litestar) -> Iterator[tuple[str, BaseRouteHandler]]:
    """Path and handler of every route, but for the OPTIONS that Litestar adds to each."""
    for route in app.routes:
        for handler in route.route_handlers if hasattr(route, "route_handlers") else [route.route_handler]:
            if getattr(handler, "http_methods", None) != {"OPTIONS"}:
                yield route.path, handler


def test_every_route_has_a_guard_or_is_declared_open(empty_app: Litestar) -> None:
    routes = list(handlers(empty_app))
    assert len(routes) > 60
    assert {path for path, handler in routes if not is_declared(handler)} == set()
    assert {path for path, handler in routes if handler.opt.get(OPEN)} == OPEN_ROUTES
    for path, handler in routes:
        guards = {guard for guard in handler.resolve_guards() if guard is not refuse_by_default}
        assert bool(guards) is not bool(handler.opt.get(OPEN)), f"{path}: one of the two"
        assert guards <= {auth.admin, auth.admin_or_query, auth.session, auth.session_as_admin}


@pytest.mark.parametrize("credential", [{}, {"Authorization": f"Bearer {KEY}"}])
async def test_a_new_route_that_says_nothing_is_refused(credential: dict[str, str]) -> None:
    @get("/new")
    async def new() -> str:
        return "secret"

    @get("/new-and-open", open_to_all=True)
    async def new_and_open() -> str:
        return "public"

    app = create_app(SETTINGS, FakeTables(), FakeEventBus(), FakeObjectStore(), lambda: 0.0)
    app.register(new)
    app.register(new_and_open)
    async with calling(app, **credential) as client:
        assert (await client.get("/new")).status_code == 401
        assert (await client.get("/new-and-open")).text == "public"


@pytest.mark.parametrize("path", ["/healthz", "/watch", "/v1/sessions"])
async def test_the_methods_of_a_route_are_no_secret(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.options(path)
    assert answer.status_code == 204 and "GET" in answer.headers["allow"]


async def test_the_whole_app_refuses_by_default(empty_app: Litestar) -> None:
    assert {refuse_by_default} == {guard for _, handler in handlers(empty_app) for guard in handler.resolve_guards()[:1]}, (
        "it comes first on every route"
    )


def injected(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Name and type of each parameter that is injected."""
    for name, annotation in get_type_hints(function, include_extras=True).items():
        arguments = get_args(annotation)
        if any(isinstance(each, Dependency) for each in arguments[1:]):
            yield name, arguments[0]


def test_handlers_ask_for_what_is_registered(empty_app: Litestar) -> None:
    rewire(empty_app, SETTINGS, FakeTables(), FakeEventBus(), FakeObjectStore(), lambda: 0.0)
    asked = {
        (name, annotation)
        for _, handler in handlers(empty_app)
        if handler.fn.__module__.startswith("api.")
        for name, annotation in injected(handler.fn)
    }
    assert len(asked) > 25
    for name, annotation in asked - {each for each in asked if each[0] in ("row", "disclosure")}:
        registered = empty_app.state[name]
        plain = get_origin(annotation) or annotation
        if getattr(plain, "_is_protocol", False):
            missing = {each for each in vars(plain) if not each.startswith("_") and not hasattr(registered, each)}
            assert not missing, f"{name}: {type(registered).__name__} lacks {missing}"
        elif inspect.isclass(plain):
            assert isinstance(registered, plain), name
        else:
            assert callable(registered), name
