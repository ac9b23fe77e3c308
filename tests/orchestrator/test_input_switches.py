"""Input switches need the setting, an image that understands them, and a store that keeps orders to itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.control.input_switches import InputSwitches
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import PrivateReport
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.runtime import FakeRuntime


class Store(FakeObjectStore):
    canaries = 0

    async def examine_private(self) -> PrivateReport:
        self.canaries += 1
        return await super().examine_private()


class Rig:
    def __init__(self, *, wanted: bool = True) -> None:
        self.runtime, self.store, self.now = FakeRuntime(), Store(), 1000.0
        self.switches = InputSwitches(wanted, self.runtime, self.store, lambda: self.now)

    def allowed(self) -> bool:
        return self.switches.allowed

    def privacy(self, **found: object) -> None:
        self.store.report = replace(self.store.report, private=PrivateReport(**found))  # type: ignore[arg-type]


async def test_nothing_is_allowed_before_it_is_known() -> None:
    rig = Rig()
    assert not rig.allowed()
    await rig.switches.look()
    assert rig.allowed()


async def test_where_the_setting_is_off_nothing_is_asked() -> None:
    rig = Rig(wanted=False)
    rig.runtime.unavailable = rig.store.refusing = True
    await rig.switches.look()
    assert not rig.allowed()
    assert rig.store.canaries == 0


async def test_an_image_of_the_first_contract_is_granted_nothing_until_it_is_replaced() -> None:
    rig = Rig()
    rig.runtime.agents_contract = 1
    await rig.switches.look()
    assert not rig.allowed()
    rig.runtime.agents_contract = 2
    await rig.switches.look()
    assert rig.allowed()
    rig.runtime.agents_contract = 1
    assert not await rig.switches.understood(), "a start asks anew"
    assert not rig.allowed()


@pytest.mark.parametrize("found", [{"readable": ("orders/",)}, {"unwritable": {"inbox/": "403"}}])
async def test_a_store_that_does_not_keep_orders_private_switches_them_off(
    found: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()
    await rig.switches.look()
    rig.privacy(**found)
    rig.now += 3590.0
    await rig.switches.look()
    assert rig.allowed()
    assert rig.store.canaries == 1, "one an hour"
    rig.now += 20.0
    await rig.switches.look()
    assert not rig.allowed()
    assert "input switches are off" in caplog.text
    rig.privacy()
    rig.now += 61.0
    await rig.switches.look()
    assert rig.allowed(), "it was mended"


async def test_what_does_not_answer_changes_nothing() -> None:
    rig = Rig()
    rig.store.refusing = True
    await rig.switches.look()
    assert not rig.allowed(), "never examined"
    rig.store.refusing = False
    await rig.switches.look()
    rig.store.refusing = rig.runtime.unavailable = True
    rig.now += 4000.0
    await rig.switches.look()
    assert rig.allowed()
    with pytest.raises(EngineUnavailable):
        await rig.switches.understood()
