"""What the agent is told about its source."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.core.choose import is_last_resort
from orchestrator.core.model import Attempt, Channel, Observation, Session, Source, SourceStatus
from orchestrator.job import launch
from orchestrator.settings import Settings
from tests.fakes.object_store import FakeObjectStore
from tests.orchestrator.core.playbook import MEDIA

SESSION = Session(id="s-1", channel_id="c", viewer="v", created_at=0.0, target_duration_s=5, attempt=Attempt(1, "a", 0.0))
SOURCES = tuple(Source(id=name, channel_id="c", url=f"http://{name}.test/live.m3u8") for name in "abc")


def job(source: Source, **more: Any) -> Any:
    made = launch(SESSION, source, Channel(id="c", slug="c", name="C"), FakeObjectStore(), Settings(), **more).job
    return json.loads(made)


def test_it_knows_what_the_sources_playlist_declares() -> None:
    assert job(replace(SOURCES[0], media=replace(MEDIA, cadence_s=5.0)))["cadence_s"] == 5.0
    assert job(SOURCES[0])["cadence_s"] is None
    assert job(replace(SOURCES[0], media=replace(MEDIA, cadence_s=1e9)))["cadence_s"] == 60.0, "nobody waits for that"


@pytest.mark.parametrize("last_resort", [True, False])
def test_it_knows_whether_there_is_a_better_source(last_resort: bool) -> None:
    assert job(SOURCES[0], last_resort=last_resort)["last_resort"] is last_resort


def test_a_source_is_the_last_resort_where_every_other_one_fails_or_has_failed() -> None:
    seen = Observation(sources=SOURCES)
    assert not is_last_resort(SESSION, seen, "a")
    assert is_last_resort(replace(SESSION, tried=("b", "c")), seen, "a")
    failed = tuple(replace(each, status=SourceStatus.PROBLEMATIC) for each in SOURCES)
    assert is_last_resort(SESSION, Observation(sources=failed), "a")
    assert is_last_resort(SESSION, Observation(sources=SOURCES[:1]), "a")
