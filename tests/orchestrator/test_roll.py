"""A roll on the simulated world: every live session on a fresh attempt, a few at a time; what fails harms nobody."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.control.roll import Outcome, RollResult, roll, to_roll
from orchestrator.core.model import EndReason, Phase
from orchestrator.errors import DatabaseUnavailable
from tests.orchestrator.simulated.agent import Fault
from tests.orchestrator.simulated.world import World


def rolled(world: World, *, at_once: int = 2, limit_s: float = 60.0) -> list[RollResult]:
    """All that a roll tells."""

    async def run() -> list[RollResult]:
        chosen = await to_roll(world.tables.sessions)
        told = roll(world.tables.sessions, chosen, world.bus.nudge, at_once=at_once, limit_s=limit_s, now=lambda: world.now)
        return [each async for each in told]

    return world.run(run())


def test_every_live_session_gets_a_fresh_attempt_on_its_source_without_a_gap() -> None:
    with World("a", "b") as world:
        ids = [world.live(f"viewer-{n}") for n in range(7)]
        world.pass_s(20.0)
        told = rolled(world)
        assert {each.session_id for each in told} == set(ids)
        assert {each.outcome for each in told} == {Outcome.ROLLED}
        world.pass_s(1.0)
        for session_id in ids:
            assert (world.attempts(session_id), world.playing(session_id)) == ([1, 2], "a")
            event = world.events(session_id)[-1]
            assert (event.fields["reason"], event.fields["gap_ms"]) == ("rolled", 0)
        assert len(world.runtime.engine.containers) == 7


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_run_at_once_than_asked_for(at_once: int) -> None:
    with World("a") as world:
        for n in range(6):
            world.live(f"viewer-{n}")
        world.pass_s(20.0)
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                under_way = [row.session for row in world.tables.sessions._rows.values()]
                most = max(most, sum(each.phase is Phase.SWITCHING or each.switch_to is not None for each in under_way))
                await asyncio.sleep(0.01)

        watching = world.loop.create_task(watch())
        assert len(rolled(world, at_once=at_once)) == 6
        watching.cancel()
        world.pass_s(0.1)
        assert most == at_once


def test_a_bad_image_meets_a_few_sessions_and_takes_no_picture() -> None:
    with World("a", "b") as world:
        ids = [world.live(f"viewer-{n}") for n in range(8)]
        world.pass_s(20.0)
        world.runtime.refusing = "exec format error"
        told = rolled(world)
        assert [each.outcome for each in told] == [Outcome.FAILED] * len(told)
        assert 2 <= len(told) <= 3, "as many as run at once have failed in a row: the rest is left alone"
        assert all(each.reason.startswith("container refused: ") for each in told), "the engine's own words are in the log"
        world.runtime.refusing = ""
        world.pass_s(1.0)
        for session_id in ids:
            assert (world.session(session_id).phase, world.listed(session_id)) == (Phase.LIVE, 1)


def test_what_is_not_live_is_left_alone_and_what_ends_meanwhile_is_passed() -> None:
    with World("a") as world:
        stays, leaves = world.live("stays"), world.live("leaves")
        world.pass_s(20.0)
        chosen = world.run(to_roll(world.tables.sessions))
        assert {each.id for each in chosen} == {stays, leaves}
        world.run(world.tables.sessions.stop(leaves, EndReason.STOPPED))
        assert [each.id for each in world.run(to_roll(world.tables.sessions))] == [stays]

        async def run() -> dict[str, RollResult]:
            told = roll(world.tables.sessions, chosen, world.bus.nudge, at_once=4, limit_s=60.0, now=lambda: world.now)
            return {each.session_id: each async for each in told}

        told = world.run(run())
        assert told[stays].outcome is Outcome.ROLLED
        assert told[leaves] == RollResult(leaves, Outcome.PASSED, "stopped")


def test_a_source_that_is_down_fails_the_swap_and_the_old_attempt_plays_on() -> None:
    with World("a") as world:
        session_id = world.live()
        world.pass_s(20.0)
        world.sources["a"].fault = Fault.REFUSES
        (told,) = rolled(world)
        assert told.outcome is not Outcome.ROLLED
        assert told.session_id == session_id


def test_without_an_orchestrator_a_roll_ends_at_its_limit() -> None:
    with World("a") as world:
        session_id = world.live()
        world.pass_s(5.0)
        world.stop_orchestrator()
        assert rolled(world, limit_s=20.0) == [RollResult(session_id, Outcome.FAILED, "not done within 20 s")]
        world.start_orchestrator()
        world.until(lambda: world.listed(session_id) == 2, 10.0)  # the intent is still there


def test_tables_that_do_not_answer_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with World("a") as world:
        session_id = world.live()
        world.pass_s(5.0)
        switch, refusals = world.tables.sessions.switch, iter(range(5))

        async def locked(session: str, source_id: str | None) -> None:
            if next(refusals, None) is not None:
                raise DatabaseUnavailable("locked")
            await switch(session, source_id)

        monkeypatch.setattr(world.tables.sessions, "switch", locked)
        assert rolled(world) == [RollResult(session_id, Outcome.ROLLED)]
