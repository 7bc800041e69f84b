"""A client made of nothing but signaling's joining end and a WebSocket; descriptions are words, no media is there."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from random import Random
from socket import SHUT_RDWR
from typing import Any, Self, TypeVar

import aiohttp

from appliance.media_engine import Description, DescriptionType, PeerConnectionState
from appliance.signaling.client import (
    ClientEvent,
    ClientSession,
    Connected,
    Disconnected,
    IceServersKnown,
    SocketWanted,
    Synced,
    Updated,
)
from appliance.signaling.link import CloseCode
from appliance.signaling.messages import RoomStateParts
from appliance.signaling.states import LocalTrackState, RemoteParticipantState, SubscribedTrackState
from appliance.signaling.wishes import Publisher
from tests.support.conditions import until

E = TypeVar("E")


class RawParticipant:
    """Joins as soon as it is entered, answers every offer, reconnects by itself. Keeps all events and the room's state.

    Args:
        url: of the signaling socket.
    """

    def __init__(self, url: str, token: str, room: str | None, tracks: Sequence[LocalTrackState] = ()) -> None:
        self._url = url
        self.session = ClientSession(
            token=token,
            name=room,
            publisher=Publisher(name="raw participant"),
            random=Random(1),
            new_uuid=lambda: str(uuid.uuid4()),
            now=time.monotonic(),
            tracks=tracks,
        )
        self.events: list[ClientEvent] = []
        self.sent: list[str] = []
        self.close_codes: list[int] = []
        self.participants: dict[str, RemoteParticipantState] = {}
        self.published: dict[str, str | None] = {}
        self.subscribed: tuple[SubscribedTrackState, ...] = ()
        self.answered: list[int] = []
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self._wanted_delay_s: float | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="raw participant")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task
        self.do(self.session.disconnect)
        try:
            async with asyncio.timeout(5):
                await self._task
        finally:
            self._task.cancel()

    # --- for tests ---

    def do(self, method: Any, *arguments: Any) -> None:
        """Call one of the session's methods that takes `now` last."""
        method(*arguments, time.monotonic())
        self._wake.set()

    async def saw(self, kind: type[E]) -> E:
        """Wait for an event of this kind and return the newest."""
        await until(f"event {kind.__name__}", lambda: any(isinstance(event, kind) for event in self.events))
        return [event for event in self.events if isinstance(event, kind)][-1]

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    async def joined(self) -> Connected:
        return await self.saw(Connected)

    def drop_socket(self) -> None:
        """Break the TCP connection, without a farewell."""
        assert self.socket
        transport = self.socket.get_extra_info("socket")
        transport.shutdown(SHUT_RDWR)

    # --- its life ---

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as http:
            self._read_events()
            while self._wanted_delay_s is not None:
                delay_s, self._wanted_delay_s = self._wanted_delay_s, None
                await asyncio.sleep(delay_s)
                await self._use_one_socket(http)
                self._read_events()

    async def _use_one_socket(self, http: aiohttp.ClientSession) -> None:
        try:
            self.socket = await http.ws_connect(self._url, autoclose=False)
        except (OSError, aiohttp.ClientError):
            self.session.socket_closed(CloseCode.ABNORMAL, time.monotonic())
            return
        self.session.socket_opened(time.monotonic())
        reader = asyncio.create_task(self._read(self.socket))
        try:
            code = await self._write_until_closed(self.socket, reader)
        finally:
            reader.cancel()
            await asyncio.wait({reader})
        self.close_codes.append(code)
        self.session.socket_closed(code, time.monotonic())

    async def _write_until_closed(self, socket: aiohttp.ClientWebSocketResponse, reader: "asyncio.Task[int]") -> int:
        while True:
            self._read_events()
            for text in self.session.take_outbox():
                self.sent.append(text)
                if not socket.closed:
                    await socket.send_str(text)
            if self.session.close_code is not None:
                await socket.close(code=self.session.close_code)
                return socket.close_code or CloseCode.ABNORMAL
            if reader.done():
                await socket.close()
                return reader.result()
            try:
                async with asyncio.timeout(max(0.0, min(60.0, self.session.wake_at() - time.monotonic()))):
                    await self._wake.wait()
            except TimeoutError:
                self.session.wake(time.monotonic())
            self._wake.clear()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> int:
        try:
            while True:
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    closed = message.type is aiohttp.WSMsgType.CLOSE
                    return int(message.data) if closed else CloseCode.ABNORMAL
                self.session.receive(message.data, time.monotonic())
                self._wake.set()
        finally:
            self._wake.set()

    def _read_events(self) -> None:
        while (event := self.session.next_event()) is not None:
            self.events.append(event)
            match event:
                case SocketWanted(delay_s):
                    self._wanted_delay_s = delay_s
                case IceServersKnown():
                    offer = Description(type=DescriptionType.OFFER, revision=1, sdp="offer 1")
                    self.session.connect((PeerConnectionState(id="pc", description=offer),), time.monotonic())
                case Connected(message) | Updated(message) | Synced(message):
                    self._take(message)
                case Disconnected():
                    self._wanted_delay_s = None
                case _:
                    pass

    def _take(self, message: RoomStateParts) -> None:
        for state in message.participants or ():
            self.participants[state.sid] = state
        if message.published:
            self.published = {track.id: track.sid for track in message.published.tracks}
        if message.subscribed:
            self.subscribed = message.subscribed.tracks
        for entry in message.peer_connections or ():
            if entry.description and entry.description.type is DescriptionType.OFFER:
                self.answered.append(entry.description.revision)
                answer = Description(type=DescriptionType.ANSWER, revision=entry.description.revision, sdp="answer")
                self.session.describe((PeerConnectionState(id=entry.id, description=answer),), time.monotonic())
