"""Under load newcomers wait their turn and get in; those who are in a room notice nothing (signaling.md 1.5)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from appliance.media_engine import TrackKind
from appliance.rooms.credentials import Credentials
from appliance.rooms.gate import GateLimits
from appliance.rooms.service import RoomsService, ServiceSettings
from appliance.rooms.sockets import SignalingSockets
from appliance.rooms.store.store import Store
from appliance.signaling.client import Disconnected, Synced
from appliance.signaling.states import LocalTrackState
from appliance.system_clock import SystemClock
from appliance.tokens import mint
from tests.support.conditions import until
from tests.support.fake_media_engine import FakeMediaEngine
from tests.support.migrated import migrated_sqlite
from tests.support.raw_participant import RawParticipant

MICROPHONE = LocalTrackState(id="mic-id", kind=TrackKind.AUDIO, name="mic")


@dataclass
class Host:
    url: str
    sockets: SignalingSockets
    credentials: Credentials

    def participant(self, identity: str) -> RawParticipant:
        token = mint(self.credentials.signing_key, identity, now=time.time())
        return RawParticipant(self.url, token, "lab", (MICROPHONE,))


@asynccontextmanager
async def host(folder: Path, **limits: float) -> AsyncIterator[Host]:
    credentials, clock = Credentials.new(), SystemClock()
    async with Store(migrated_sqlite(folder / "rooms.db")) as store, AsyncExitStack() as parts:
        service = RoomsService(ServiceSettings(), credentials, FakeMediaEngine(), store, clock)
        sockets = SignalingSockets(service, clock, GateLimits(**limits))  # type: ignore[arg-type]
        app = web.Application()
        app.router.add_get("/signaling", sockets.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        parts.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        watching = asyncio.create_task(sockets.watch())
        parts.callback(watching.cancel)
        parts.push_async_callback(sockets.close)
        parts.push_async_callback(service.close)
        yield Host(f"http://127.0.0.1:{runner.addresses[0][1]}/signaling", sockets, credentials)


async def test_a_crowd_at_a_narrow_gate_gets_in_one_after_the_other(tmp_path: Path) -> None:
    async with host(tmp_path, admissions=1) as here, AsyncExitStack() as crowd:
        people = [await crowd.enter_async_context(here.participant(f"guest-{number}")) for number in range(8)]

        for one in people:
            await one.joined()

        assert here.sockets.gate.turned_away > 0
        assert here.sockets.gate.waiting == 0
        assert [one.close_codes for one in people] == [[]] * 8, "everybody waited on the socket it came by"


async def test_whose_socket_is_not_kept_comes_back_with_3005_echoed_and_gets_in(tmp_path: Path) -> None:
    async with host(tmp_path, admissions=1, waiting=0) as here, AsyncExitStack() as crowd:
        people = [await crowd.enter_async_context(here.participant(f"guest-{number}")) for number in range(4)]

        for one in people:
            await one.joined()

        codes = [code for one in people for code in one.close_codes]
        assert codes
        assert set(codes) == {3005}, "1000 would tell the SDK to leave for good"


async def test_a_full_machine_lets_the_next_one_in_when_somebody_leaves(tmp_path: Path) -> None:
    async with host(tmp_path, participants=1) as here:
        async with here.participant("first") as first:
            await first.joined()
            second = await here.participant("second").__aenter__()
            await until("the second one waits", lambda: here.sockets.gate.waiting == 1)
            assert second.count(Disconnected) == 0
        try:
            await second.joined()
        finally:
            await second.__aexit__()


async def test_who_has_waited_too_long_ends_with_53006(tmp_path: Path) -> None:
    async with host(tmp_path, participants=1, patience_s=0.5) as here, here.participant("first") as first:
        await first.joined()
        async with here.participant("second") as second:
            error = (await second.saw(Disconnected)).error

        assert error is not None
        assert error.code == 53006
        assert second.close_codes == [3006]


async def test_while_the_loop_is_late_newcomers_wait_and_those_who_come_back_do_not(tmp_path: Path) -> None:
    async with host(tmp_path, lateness_s=0.02) as here, here.participant("first") as first:
        await first.joined()
        loaded = True

        async def load() -> None:
            while loaded:
                end = time.monotonic() + 0.08
                while time.monotonic() < end:
                    pass  # what a busy event loop is: nobody else gets a turn
                await asyncio.sleep(0)

        burning = asyncio.create_task(load())
        await until("it shows", lambda: here.sockets.gate.lateness_s > 0.02)
        newcomer = await here.participant("newcomer").__aenter__()
        await until("the newcomer waits", lambda: here.sockets.gate.waiting == 1)
        first.drop_socket()
        await first.saw(Synced)
        assert here.sockets.gate.waiting == 1

        loaded = False
        await burning
        try:
            await newcomer.joined()
        finally:
            await newcomer.__aexit__()
