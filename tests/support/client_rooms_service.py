"""The real rooms service in this process, on free ports of loopback: store, tokens, sockets, SFU."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from appliance.rooms.credentials import Credentials
from appliance.rooms.room import Room, RoomSettings
from appliance.rooms.service import RoomsService, ServiceSettings
from appliance.rooms.sockets import SignalingSockets
from appliance.rooms.store.store import Store
from appliance.sfu.engine import EmbeddedEngine
from appliance.system_clock import SystemClock
from appliance.tokens import mint
from tests.support.migrated import migrated_sqlite


class RunningRooms:
    """The service, its address, and what an application server could do with it."""

    def __init__(self, service: RoomsService, engine: EmbeddedEngine, url: str, requests: list[web.Request]) -> None:
        self.service = service
        self.engine = engine
        self.url = url
        self._requests = requests

    def token(self, identity: str, *, room: str | None = "lab", expired: bool = False) -> str:
        now = time.time() - (7200 if expired else 0)
        return mint(self.service.credentials.signing_key, identity, now=now, room=room, lifetime_s=3600)

    async def create_room(self, name: str, *, max_participants: int) -> Room:
        settings = RoomSettings(max_participants=max_participants)
        return await self.service.create_room(self.service.credentials.account_sid, name, settings)

    async def complete_room(self, name: str) -> None:
        await self.service.complete_room(self.service.credentials.account_sid, name)

    def kill_sockets(self) -> None:
        """Cut every WebSocket without a farewell, as a pulled cable does."""
        for request in self._requests:
            if request.transport is not None:
                request.transport.abort()


@asynccontextmanager
async def running_rooms(
    folder: Path, settings: ServiceSettings | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[RunningRooms]:
    """Run the service with an SQLite store in `folder`, on free ports of `host`."""
    clock = SystemClock()
    requests: list[web.Request] = []
    async with Store(migrated_sqlite(folder / "rooms.sqlite")) as store:
        engine = await EmbeddedEngine.open(hosts=[host])
        service = RoomsService(settings or ServiceSettings(), Credentials.new(), engine, store, clock)
        sockets = SignalingSockets(service, clock)

        async def handle(request: web.Request) -> web.StreamResponse:
            requests.append(request)
            try:
                return await sockets.handle(request)
            finally:
                requests[:] = [other for other in requests if other is not request]

        application = web.Application()
        application.router.add_get("/signaling", handle)
        runner = web.AppRunner(application, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, host, 0).start()
        watching = asyncio.create_task(service.run())
        try:
            yield RunningRooms(service, engine, f"http://{host}:{runner.addresses[0][1]}", requests)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await sockets.close()
            await service.close()
            await runner.cleanup()
            await engine.close()
