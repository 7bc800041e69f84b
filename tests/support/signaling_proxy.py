"""Stands between a browser and the rooms service, on a thread of its own: what it carries can be seen and meddled with.

Text frames go through as they are, unless `meddle` says otherwise; with `relay`, media goes through a LossyRelay, since
the proxy puts the relay's port into the candidates of every description.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from tests.support.lossy_relay import LossyRelay, Weather

T = TypeVar("T")
Frame = dict[str, Any]
Meddle = Callable[[str, Frame], Frame | None]
"""Takes the direction, "up" from the client or "down" to it, and a frame; returns what goes on, None for nothing."""


def as_it_is(direction: str, frame: Frame) -> Frame | None:
    return frame


@dataclass
class _Pair:
    """One socket of a client, and ours to the service for it."""

    client: web.WebSocketResponse
    service: aiohttp.ClientWebSocketResponse
    request: web.Request


@dataclass
class SignalingProxy:
    """See the module. Made by `signaling_proxy`. `service` is the rooms service's base address."""

    service: str
    media_port: int
    meddle: Meddle = as_it_is
    frames: list[tuple[str, Frame]] = field(default_factory=list)
    closes: list[int] = field(default_factory=list)  # codes with which sockets of clients ended
    refusing: bool = False
    relay: LossyRelay | None = None
    url: str = ""
    _pairs: list[_Pair] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    # --- for tests, on their thread ---

    def said(self, direction: str, kind: str) -> list[Frame]:
        """Return the bodies of this type that went this way."""
        bodies = [frame.get("body") or {} for way, frame in list(self.frames) if way == direction]
        return [body for body in bodies if body.get("type") == kind]

    def descriptions(self, direction: str, kind: str) -> list[Frame]:
        """Return the descriptions of this type that went this way, each with the `id` of its peer connection."""
        found = []
        for way, frame in list(self.frames):
            for entry in (frame.get("body") or {}).get("peer_connections") or ():
                description = entry.get("description") or {}
                if way == direction and description.get("type") == kind:
                    found.append({**description, "id": entry["id"]})
        return found

    def close_sockets(self, code: int) -> None:
        """Close every client's socket with this code, as a service would that stops or fails."""
        self._run(self._close(code))

    def cut_sockets(self) -> None:
        """Break every TCP connection without a word: 1006."""
        self._run(self._abort())

    def weather(self, weather: Weather, *, all_of_it: bool = False) -> None:
        """Change what happens to media; `all_of_it`: to checks and handshakes too."""
        assert self.relay is not None
        relay = self.relay

        async def change() -> None:
            relay.weather = weather
            relay.subject_to = (lambda data: True) if all_of_it else (lambda data: 127 < data[0] < 192)

        self._run(change())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    # --- on the proxy's thread ---

    async def _close(self, code: int) -> None:
        for pair in list(self._pairs):
            with suppress(OSError, RuntimeError):
                await pair.client.close(code=code)

    async def _abort(self) -> None:
        for pair in list(self._pairs):
            if pair.request.transport is not None:
                pair.request.transport.abort()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.refusing:
            raise web.HTTPServiceUnavailable
        client = web.WebSocketResponse(autoclose=False, max_msg_size=0)
        await client.prepare(request)
        async with aiohttp.ClientSession() as http:
            address = self.service.replace("http", "ws", 1) + "/signaling"
            async with http.ws_connect(address, autoclose=False, max_msg_size=0) as service:
                pair = _Pair(client, service, request)
                self._pairs.append(pair)
                ways = [
                    asyncio.create_task(self._carry("up", client, service)),
                    asyncio.create_task(self._carry("down", service, client)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    self._pairs.remove(pair)
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
                    if not service.closed:
                        service._response.close()  # the service is to see a broken connection, no farewell
                    with suppress(OSError, RuntimeError):
                        await client.close(code=1001)
        self.closes.append(client.close_code or 1006)
        return client

    async def _carry(
        self,
        direction: str,
        source: "web.WebSocketResponse | aiohttp.ClientWebSocketResponse",
        target: "web.WebSocketResponse | aiohttp.ClientWebSocketResponse",
    ) -> None:
        while True:
            message = await source.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                frame = self.meddle(direction, self._readdressed(direction, json.loads(message.data)))
                if frame is not None:
                    self.frames.append((direction, frame))
                    await target.send_str(json.dumps(frame))
            elif message.type is aiohttp.WSMsgType.CLOSE:
                code = int(message.data or 0)
                await target.close(code=code if code not in (0, 1005, 1006) else 1001)
                echoed = target.close_code or 1001  # who answers with another code than ours is to be seen
                await source.close(code=echoed if echoed not in (1005, 1006) else 1001)
                return
            else:
                return

    def _readdressed(self, direction: str, frame: Frame) -> Frame:
        if self.relay is None or direction == "up":
            return frame
        port = self.relay.address[1]
        for entry in (frame.get("body") or {}).get("peer_connections") or ():
            description = entry.get("description") or {}
            if description.get("sdp"):
                description["sdp"] = description["sdp"].replace(f"127.0.0.1 {self.media_port} ", f"127.0.0.1 {port} ")
        return frame

    async def _serve(self, ready: threading.Event, stop: asyncio.Event, weather: Weather | None, seed: int) -> None:
        application = web.Application()
        application.router.add_get("/signaling", self.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        relay = LossyRelay(("127.0.0.1", self.media_port), weather or Weather(), seed=seed)
        async with relay:
            self.relay = relay if weather is not None else None
            ready.set()
            await stop.wait()
            await self._abort()
            await runner.cleanup()


@contextmanager
def signaling_proxy(
    service: str, media_port: int, weather: Weather | None = None, seed: int = 1
) -> Iterator[SignalingProxy]:
    """Run a proxy before the service; with `weather`, media goes through a relay too."""
    proxy = SignalingProxy(service, media_port)
    ready, stop = threading.Event(), asyncio.Event()
    thread = threading.Thread(
        target=lambda: proxy._loop.run_until_complete(proxy._serve(ready, stop, weather, seed)), name="signaling proxy"
    )
    thread.start()
    if not ready.wait(10):
        raise AssertionError("the proxy did not start")
    try:
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        proxy._loop.close()


def during(seconds: float) -> Iterator[None]:
    """Yield again and again for so long: for what has to stay true meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.1)
