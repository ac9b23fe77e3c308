"""The fake engine publishes as agents do: conditionally, each attempt fencing the one before it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bench.fake_engine import MEDIA, FakeEngine
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.app.settings import Settings
from orchestrator.control import job
from orchestrator.core.model import Attempt, Channel, ContainerState, Session, Source, Starting
from orchestrator.ports import Launch
from tests.servers import Seaweed
from tests.support import eventually
from transcoder.publish.media_playlist import MediaPlaylist
from transcoder.publish.playlist_rules import violations

SOURCE = Source(id="x", channel_id="c", url="http://source.test/", media=MEDIA)


@pytest.fixture
async def store(seaweed: Seaweed) -> AsyncIterator[MinioObjectStore]:
    store = MinioObjectStore(settings(seaweed))
    await store.prepare()
    yield store
    await store.close()


def settings(seaweed: Seaweed) -> Settings:
    return Settings(
        s3_endpoint=seaweed.endpoint,
        s3_access_key=seaweed.access_key,
        s3_secret_key=seaweed.secret_key,
        s3_bucket="fake-engine",
    )


async def test_a_playlist_goes_on_is_taken_over_falls_silent_and_ends(store: MinioObjectStore, seaweed: Seaweed) -> None:
    def launch(attempt: int) -> Launch:
        session = Session(
            id="s", channel_id="c", viewer="v", created_at=0.0, target_duration_s=1,
            state=Starting(Attempt.on(attempt, "x", 0.0)),
        )  # fmt: skip
        return job.launch(session, SOURCE, Channel(id="c", slug="c", name="c"), store, settings(seaweed))

    seen = MediaPlaylist(1, 0, 0, (), False)

    async def lists(attempt: int, more: int) -> bool:
        nonlocal seen
        found = await store.read_playlist("s")
        assert found is not None
        assert violations(seen, found[0]) == []
        seen = found[0]
        assert seen.last_attempt == attempt
        return len(seen.segments) >= more

    async with FakeEngine(segment_s=0.2) as engine:
        await engine.start(launch(1))
        assert [each.state for each in await engine.containers("s")] == [ContainerState.RUNNING]
        await eventually(lambda: lists(1, 3), timeout_s=10.0)
        await engine.start(launch(2))
        await eventually(lambda: lists(2, 6), timeout_s=10.0)
        silent_since = await engine.falls_silent("s", 2)
        assert silent_since > 0.0
        await engine.die("s", 1)
        assert [each.exit_code for each in await engine.containers("s")] == [137, None]
        await engine.stop("s", 1, 0.0)
        await engine.stop("s", 2, 0.0)
        assert await engine.containers() == ()
        assert await store.read_multivariant("s") is not None
