"""How a synthetic participant gets into a room: of our rooms service by its signaling, of Janus by its own."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp

from appliance.media_engine import Description, DescriptionType, PeerConnectionState, TrackKind
from appliance.signaling.client import Connected, Disconnected, IceServersKnown, Synced, Updated
from appliance.signaling.messages import RoomStateParts
from appliance.signaling.states import LocalTrackState
from tests.bench.sfu_descriptions import answer_to, media_lines, session_lines
from tests.bench.sfu_line import Line, lines_of
from tests.bench.sfu_streams import Receiving, Sending, SentTimes, VideoLayer
from tests.support.conditions import until
from tests.support.raw_participant import RawParticipant

LOOPBACK = "127.0.0.1"
_FEEDS_WITHIN_S = 5.0


class Seat(Protocol):
    """A participant in a room: what it sends, if it does, and what it hears."""

    sending: Sending | None
    receiving: Receiving | None

    async def close(self) -> None: ...


class NotLetInError(Exception):
    """The rooms service refused somebody, or was too slow."""


class OurSeat(RawParticipant):
    """A participant of the rooms service: one peer connection both ways, the client offering first."""

    def __init__(
        self,
        url: str,
        token: str,
        room: str,
        times: SentTimes,
        number: int,
        layers: tuple[VideoLayer, ...],
        estimate_bps: int,
        recorded: Sequence[Sequence[bytes]] = (),
    ) -> None:
        self.line = Line(LOOPBACK)
        self.sending = Sending(self.line, times, number, layers, recorded) if layers else None
        self.receiving: Receiving | None = Receiving(self.line, times, estimate_bps)
        self._connecting: asyncio.Task[None] | None = None
        tracks: tuple[LocalTrackState, ...] = ()
        if self.sending is not None:
            self.line.on_control = self.sending.control
            tracks = tuple(
                LocalTrackState(id=self.sending.track_id(kind.value), kind=kind, name=kind.value)
                for kind in (TrackKind.AUDIO, TrackKind.VIDEO)
            )
        super().__init__(url, token, room, tracks)

    def _first_offer(self) -> str:
        if self.sending is not None:
            return self.sending.offer()
        lines = session_lines("0 1")
        for mid, kind in (("0", "audio"), ("1", "video")):
            lines += media_lines(self.line, mid, kind, "recvonly", "actpass")
        return "\r\n".join(lines) + "\r\n"

    def _read_events(self) -> None:
        while (event := self.session.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, IceServersKnown):
                offer = Description(type=DescriptionType.OFFER, revision=1, sdp=self._first_offer())
                self.session.connect((PeerConnectionState(id="pc", description=offer),), time.monotonic())
            elif isinstance(event, Connected | Updated | Synced):
                self._take(event.message)
            elif isinstance(event, Disconnected):
                self._wanted_delay_s = None
            elif hasattr(event, "delay_s"):
                self._wanted_delay_s = event.delay_s

    def _take(self, message: RoomStateParts) -> None:
        for entry in message.peer_connections or ():
            description = entry.description
            if description is None or description.sdp is None:
                continue
            assert self.receiving is not None
            self.receiving.learn(description.sdp)
            if description.type is DescriptionType.ANSWER and self._connecting is None:
                connecting = self.line.connect(description.sdp, dtls_server=False, controlling=True)
                self._connecting = asyncio.create_task(connecting)
            elif description.type is DescriptionType.OFFER:
                answer = Description(
                    type=DescriptionType.ANSWER,
                    revision=description.revision,
                    sdp=answer_to(description.sdp, self.line, self.sending),
                )
                self.session.describe((replace(entry, description=answer),), time.monotonic())

    async def enter(self) -> Self:
        """Come in and be connected.

        Raises:
            NotLetInError: the service said so; `close` is still due.
        """
        await self.__aenter__()
        await until("an answer came, or the end", lambda: self._connecting or self.count(Disconnected))
        if self._connecting is None:
            raise NotLetInError(str(await self.saw(Disconnected)))
        await self._connecting
        if self.sending is not None:
            self.sending.start()
        if self.receiving is not None:
            self.receiving.start()
        return self

    async def close(self) -> None:
        for stream in (self.sending, self.receiving):
            if stream is not None:
                await stream.stop()
        await self.__aexit__(None, None, None)
        await self.line.close()


class Janus:
    """One Janus session over its WebSocket (janus.conf.meetecho.com/docs/rest.html, videoroom.html)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = aiohttp.ClientSession()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._session = 0

    async def __aenter__(self) -> Self:
        self._socket = await self._http.ws_connect(self._url, protocols=("janus-protocol",))
        self._reader = asyncio.create_task(self._read(self._socket))
        self._session = (await self.ask({"janus": "create"}))["data"]["id"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            with contextlib.suppress(TimeoutError):
                await self.ask({"janus": "destroy"})
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        await self._http.close()

    async def _read(self, messages: aiohttp.ClientWebSocketResponse) -> None:
        async for message in messages:
            data = message.json()
            if data.get("janus") == "ack":
                continue  # the event with the same transaction follows
            waiting = self._waiting.pop(data.get("transaction", ""), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(data)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer.

        Raises:
            RuntimeError: Janus refuses.
        """
        assert self._socket is not None
        number = str(next(self._numbers))
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        session = {"session_id": self._session} if self._session else {}
        await self._socket.send_json({**request, **session, "transaction": number})
        data: dict[str, Any] = await asyncio.wait_for(answer, 10)
        said = data.get("plugindata", {}).get("data", {})
        if data["janus"] == "error" or "error" in said:
            raise RuntimeError(f"Janus refuses {request}: {data}")
        return data

    async def attach(self) -> int:
        return int((await self.ask({"janus": "attach", "plugin": "janus.plugin.videoroom"}))["data"]["id"])

    async def message(self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None) -> dict[str, Any]:
        request: dict[str, Any] = {"janus": "message", "handle_id": handle, "body": body}
        if jsep is not None:
            request["jsep"] = jsep
        return await self.ask(request)


class JanusSeat:
    """A participant of a Janus VideoRoom: a handle with a peer connection to publish, another to subscribe."""

    def __init__(self, janus: Janus, room: int, times: SentTimes, number: int, address: str) -> None:
        self._janus = janus
        self._address = address
        self._room = room
        self._times = times
        self._number = number
        self._lines: list[Line] = []
        self._handles: list[int] = []
        self.sending: Sending | None = None
        self.receiving: Receiving | None = None

    async def publish(self, layers: tuple[VideoLayer, ...]) -> int:
        """Publish and return the feed's id."""
        line = Line(self._address)
        self._lines.append(line)
        self.sending = Sending(line, self._times, self._number, layers)
        line.on_control = self.sending.control
        handle = await self._janus.attach()
        self._handles.append(handle)
        body = {"request": "joinandconfigure", "ptype": "publisher", "room": self._room}
        answer = await self._janus.message(handle, body, {"type": "offer", "sdp": self.sending.offer()})
        sdp = answer["jsep"]["sdp"]
        # The one that offered decides where media goes (RFC 8445, 6.1.1), the one that answered begins with DTLS.
        await line.connect(sdp, dtls_server=next(lines_of(sdp, "setup")) == "active", controlling=True)
        self.sending.start()
        self.sending.flow()
        return int(answer["plugindata"]["data"]["id"])

    async def subscribe(self, feeds: list[int]) -> None:
        line = Line(self._address)
        self._lines.append(line)
        self.receiving = Receiving(line, self._times)
        handle = await self._janus.attach()
        self._handles.append(handle)
        body = {
            "request": "join",
            "ptype": "subscriber",
            "room": self._room,
            "streams": [{"feed": feed} for feed in feeds],
        }
        offered = (await self._joined(handle, body))["jsep"]["sdp"]
        self.receiving.learn(offered)
        self.receiving.start()
        connecting = asyncio.create_task(line.connect(offered, dtls_server=False, controlling=False))
        answer = {"type": "answer", "sdp": answer_to(offered, line, None)}
        await self._janus.message(handle, {"request": "start"}, answer)
        await connecting

    async def _joined(self, handle: int, body: dict[str, Any]) -> dict[str, Any]:
        """Join as soon as Janus has seen the feeds' media transports come up, which it does a moment after we have."""
        deadline = time.monotonic() + _FEEDS_WITHIN_S
        while True:
            try:
                return await self._janus.message(handle, body)
            except RuntimeError as error:
                if "No such feed" not in str(error) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        for stream in (self.sending, self.receiving):
            if stream is not None:
                await stream.stop()
        for handle in self._handles:
            await self._janus.ask({"janus": "detach", "handle_id": handle})
        for line in self._lines:
            await line.close()
