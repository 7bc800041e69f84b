"""A receiver of status callbacks that misbehaves as it is told: down, 500, hanging, slow."""

import asyncio
import threading
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self
from urllib.parse import parse_qsl

from aiohttp import web

SLOW_S = 0.3


class Mood(Enum):
    WELL = auto()
    FAILING = auto()
    HANGING = auto()
    SLOW = auto()
    DOWN = auto()


@dataclass(frozen=True)
class Heard:
    """One request that arrived. `answered`: it was answered with 200, so far as we know."""

    event_id: str
    room_sid: str
    seq: int
    name: str
    answered: bool


class FaultyReceiver:
    """Listens on loopback on a thread of its own; keeps its port while it is down."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._mood = Mood.WELL
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty receiver", daemon=True)
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/callbacks"

    def become(self, mood: Mood) -> None:
        asyncio.run_coroutine_threadsafe(self._become(mood), self._loop).result(10)

    def __enter__(self) -> Self:
        self._thread.start()
        self.become(Mood.WELL)
        return self

    def __exit__(self, *_: object) -> None:
        self.become(Mood.DOWN)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _become(self, mood: Mood) -> None:
        self._mood = mood
        if mood is Mood.DOWN and self._runner:
            runner, self._runner = self._runner, None
            await runner.cleanup()
        elif mood is not Mood.DOWN and not self._runner:
            app = web.Application()
            app.router.add_post("/callbacks", self._handle)
            self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
            self._port = self._runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.Response:
        form = dict(parse_qsl(await request.text(), keep_blank_values=True))
        mood = self._mood
        if mood is Mood.HANGING:
            while self._mood is Mood.HANGING:  # noqa: ASYNC110  its mood is changed from outside
                await asyncio.sleep(0.02)
            raise web.HTTPServiceUnavailable
        if mood is Mood.SLOW:
            await asyncio.sleep(SLOW_S)
        answered = mood in (Mood.WELL, Mood.SLOW)
        event_id = request.headers["I-Twilio-Idempotency-Token"]
        name = form["StatusCallbackEvent"]
        self.heard.append(Heard(event_id, form["RoomSid"], int(form["SequenceNumber"]), name, answered))
        return web.Response(status=200 if answered else 500)
