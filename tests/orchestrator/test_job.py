"""The agent's job as the orchestrator writes it, read by the agent itself."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator import job
from orchestrator.core.model import Attempt, Channel, ChannelPolicy, Hevc, Phase, Session, Source
from orchestrator.settings import Settings
from tests.fakes.object_store import FakeObjectStore
from transcoder.job import parse


@pytest.mark.parametrize(("hevc", "is_said"), [("copy", False), ("h264", True)])
def test_what_becomes_of_hevc_is_said_where_it_is_not_copied(hevc: Hevc, is_said: bool) -> None:
    """An image of an earlier release refuses a job with a field that it does not know."""
    text = launched(ChannelPolicy(hevc=hevc)).job
    assert parse(text).hevc == hevc
    assert ('"hevc"' in text) is is_said


def launched(policy: ChannelPolicy) -> Any:
    source = Source(id="x-1", channel_id="c-1", url="http://source.test/live.ts")
    session = Session(
        id="s-1", channel_id="c-1", viewer="v", phase=Phase.STARTING, created_at=0.0, target_duration_s=3, last_attempt=1,
        attempt=Attempt(number=1, source_id="x-1", started_at=0.0),
    )  # fmt: skip
    channel = Channel(id="c-1", slug="news", name="News", policy=policy)
    return job.launch(session, source, channel, FakeObjectStore(), Settings())
