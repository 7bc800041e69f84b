"""The least service that two clients can meet in: real signaling, the real SFU, one room, no rules, no store.

Tokens are `<identity>`, `wrong`, or `full`. `kill_sockets` cuts every WebSocket without a farewell. Every channel of
media signaling is granted that is asked for; what is said there is kept, and answered only by `say`.
"""

import asyncio
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import WSCloseCode, WSMsgType, web

from appliance.media_engine import (
    ChannelClosed,
    ChannelMessage,
    ChannelOpened,
    Happening,
    MediaPeer,
    Negotiate,
    PublishedTrack,
    RoomMediaPolicy,
    Subscription,
)
from appliance.sfu.engine import EmbeddedEngine
from appliance.sids import ParticipantSid, RoomSid, TrackSid, new_participant_sid, new_room_sid, new_track_sid
from appliance.signaling.messages import ConnectedMessage, ConnectionOptions, ServerUpdate, SyncedMessage
from appliance.signaling.room_session import Admission
from appliance.signaling.server import (
    ConnectRequested,
    IceRequested,
    Left,
    LinkLost,
    Refused,
    ServerEvent,
    ServerSession,
    SyncRequested,
    Updated,
)
from appliance.signaling.side_channels import (
    Channel,
    ClientChannelMessage,
    ServiceChannelMessage,
    message_of_client,
    text_of,
)
from appliance.signaling.states import (
    LocalTrackState,
    OwnParticipantState,
    ParticipantState,
    PublicationState,
    PublishedState,
    PublishedTrackState,
    RemoteParticipantState,
    RemoteTrackState,
    SubscribedState,
    SubscribedTrackState,
    TrackError,
)
from tests.support.conditions import until

T = TypeVar("T")

REFUSED = {"wrong": (20107, "Invalid Access Token signature"), "full": (53105, "room 'lab' is full")}


@dataclass
class Member:
    """One participant, over one socket after another."""

    identity: str
    sid: ParticipantSid = field(default_factory=new_participant_sid)
    session: ServerSession | None = None
    state: ParticipantState = ParticipantState.CONNECTED
    revision: int = 1
    tracks: tuple[LocalTrackState, ...] = ()
    sids: dict[str, TrackSid] = field(default_factory=dict)
    published: int = 0
    subscribed: int = 0
    subscriptions: tuple[Subscription, ...] = ()
    media: MediaPeer | None = None
    welcome: ConnectRequested | None = None
    channels: dict[Channel, str] = field(default_factory=dict)
    open: set[Channel] = field(default_factory=set)
    said: list[ClientChannelMessage] = field(default_factory=list)

    def grant(self, channel: Channel) -> None:
        """Give the channel a fresh label; one is never used twice."""
        self.channels[channel] = f"{channel}-{uuid.uuid4()}"

    def granted(self) -> dict[str, str]:
        return {channel.value: label for channel, label in self.channels.items()}

    def heard(self, kind: type[T]) -> list[T]:
        """Everything of a kind that the client said on any channel, in order."""
        return [message for message in self.said if isinstance(message, kind)]

    def remote_state(self) -> RemoteParticipantState:
        tracks = tuple(
            RemoteTrackState(sid=self.sids[t.id], kind=t.kind, name=t.name, enabled=t.enabled, priority=t.priority)
            for t in self.tracks
        )
        return RemoteParticipantState(
            sid=self.sid, identity=self.identity, state=self.state, revision=self.revision, tracks=tracks
        )

    def take_tracks(self, tracks: tuple[LocalTrackState, ...]) -> None:
        self.tracks = tracks
        for track in tracks:
            self.sids.setdefault(track.id, new_track_sid())
        self.revision += 1
        self.published += 1

    def published_tracks(self) -> list[PublishedTrack]:
        return [
            PublishedTrack(sid=self.sids[t.id], client_id=t.id, kind=t.kind, enabled=t.enabled) for t in self.tracks
        ]

    def published_state(self) -> PublishedState:
        tracks = tuple(
            PublishedTrackState(id=t.id, state=PublicationState.READY, sid=self.sids[t.id])
            if t.name != "refused"
            else PublishedTrackState(
                id=t.id, state=PublicationState.FAILED, error=TrackError(code=53304, message="duplicated")
            )
            for t in self.tracks
        )
        return PublishedState(revision=self.published, tracks=tracks)

    def subscribed_state(self) -> SubscribedState:
        tracks = tuple(SubscribedTrackState(sid=s.track_sid, id=s.id) for s in self.subscriptions)
        return SubscribedState(revision=self.subscribed, tracks=tracks)


class AnsweringService:
    """See the module. `session_timeout_s` may be changed before anybody joins; `accepting` refuses new sockets."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self.engine = engine
        self.room_sid: RoomSid = new_room_sid()
        self.members: dict[str, Member] = {}
        self.session_timeout_s = 30.0
        self.accepting = True
        self.silent = False
        self.grants_late = False
        """Labels are told when their channels are open, not before."""
        self.sockets_opened = 0
        self._sockets: dict[ServerSession, web.WebSocketResponse] = {}
        self._owners: dict[ServerSession, Member] = {}
        self._wake: dict[ServerSession, asyncio.Event] = {}

    async def kill_sockets(self) -> None:
        for socket in tuple(self._sockets.values()):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        if not self.accepting:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(autoclose=False)
        await socket.prepare(request)
        self.sockets_opened += 1
        session = ServerSession(time.monotonic())
        self._sockets[session], self._wake[session] = socket, asyncio.Event()
        writer = asyncio.create_task(self._write(session, socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and not self.silent:
                    session.receive(message.data, time.monotonic())
                    self._work_off(session)
        finally:
            session.socket_closed(socket.close_code or WSCloseCode.ABNORMAL_CLOSURE, time.monotonic())
            self._work_off(session)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            del self._sockets[session], self._wake[session]
            await socket.close(code=socket.close_code or WSCloseCode.GOING_AWAY)
        return socket

    async def _write(self, session: ServerSession, socket: web.WebSocketResponse) -> None:
        while True:
            try:
                for text in session.take_outbox():
                    await socket.send_str(text)
            except ConnectionError:
                return  # the reading side tells the session
            if session.close_code is not None:
                await socket.close(code=session.close_code)
                return
            try:
                async with asyncio.timeout(min(5.0, max(0.0, session.wake_at() - time.monotonic()))):
                    await self._wake[session].wait()
            except TimeoutError:
                session.wake(time.monotonic())
                self._work_off(session)
            self._wake[session].clear()

    def _work_off(self, session: ServerSession) -> None:
        while (event := session.next_event()) is not None:
            self._take(session, event)
        if session in self._wake:
            self._wake[session].set()

    def _take(self, session: ServerSession, event: ServerEvent) -> None:
        now = time.monotonic()
        match event:
            case IceRequested(token, _):
                if token in REFUSED:
                    session.send_error(*REFUSED[token], now)
                else:
                    session.send_iced((), now)
            case ConnectRequested(message):
                member = Member(message.token, session=session, welcome=event)
                self._owners[session] = member
                for name in sorted(message.media_signaling):
                    member.grant(Channel(name))
                member.take_tracks(message.participant.tracks)
                member.media = self.engine.join(
                    self.room_sid,
                    member.sid,
                    RoomMediaPolicy(),
                    lambda happening: self._media_happens(member, happening),
                    tracks=member.published_tracks(),
                    receive=frozenset(sid for other in self.members.values() for sid in other.sids.values()),
                    peer_connections=message.peer_connections,
                    channels=frozenset(member.channels.values()),
                )
                self.members[member.sid] = member
            case SyncRequested(message):
                found = [member for member in self.members.values() if member.sid == message.session]
                if not found:
                    session.send_error(53002, "session expired", now)
                    return
                self._resume(found[0], session, event)
            case Updated(message):
                member = self._owners[session]
                assert member.media is not None
                if message.participant.tracks != member.tracks:
                    self._tracks_changed(member, message.participant.tracks)
                member.media.describe(message.peer_connections)
            case Left() | Refused():
                self._gone(session)
            case LinkLost():
                if (member_or_none := self._owners.get(session)) is not None:
                    self._set_state(member_or_none, ParticipantState.RECONNECTING)

    def _resume(self, member: Member, session: ServerSession, event: SyncRequested) -> None:
        assert member.media is not None
        if member.session in self._owners:
            del self._owners[member.session]
        member.session = session
        self._owners[session] = member
        states = member.media.resync(event.message.peer_connections)
        message = SyncedMessage(
            session=member.sid,
            participant=OwnParticipantState(sid=member.sid, identity=member.identity),
            participants=tuple(other.remote_state() for other in self.members.values() if other is not member),
            published=member.published_state(),
            subscribed=member.subscribed_state(),
            peer_connections=states,
            media_signaling=member.granted(),
        )
        session.send_synced(message, time.monotonic())
        self._set_state(member, ParticipantState.CONNECTED)
        if event.message.participant.tracks != member.tracks:
            self._tracks_changed(member, event.message.participant.tracks)

    def _tracks_changed(self, member: Member, tracks: tuple[LocalTrackState, ...]) -> None:
        assert member.media is not None
        member.take_tracks(tracks)
        member.media.publish(member.published_tracks())
        self._update(member, ServerUpdate(published=member.published_state()))
        self._tell_others(member)
        self._subscribe_all()

    def _set_state(self, member: Member, state: ParticipantState) -> None:
        member.state = state
        member.revision += 1
        self._tell_others(member)

    def _gone(self, session: ServerSession) -> None:
        member = self._owners.pop(session, None)
        if member is None or self.members.pop(member.sid, None) is None:
            return
        self._set_state(member, ParticipantState.DISCONNECTED)
        self._subscribe_all()
        assert member.media is not None
        self._closing = asyncio.ensure_future(member.media.close())

    def _subscribe_all(self) -> None:
        for member in self.members.values():
            assert member.media is not None
            others = (other for other in self.members.values() if other is not member)
            member.media.receive(frozenset(other.sids[track.id] for other in others for track in other.tracks))

    def _tell_others(self, member: Member) -> None:
        for other in self.members.values():
            if other is not member:
                self._update(other, ServerUpdate(participants=(member.remote_state(),)))

    def _update(self, member: Member, message: ServerUpdate) -> None:
        session = member.session
        if session is not None and session.state is Admission.ADMITTED:
            session.send_update(message, time.monotonic())
            self._wake[session].set()

    def _media_happens(self, member: Member, happening: Happening) -> None:
        self._channel_happens(member, happening)
        if not isinstance(happening, Negotiate):
            return
        if happening.subscriptions is not None:
            member.subscriptions = happening.subscriptions
            member.subscribed += 1
        if member.welcome is not None:
            self._welcome(member, happening)
            return
        subscribed = member.subscribed_state() if happening.subscriptions is not None else None
        states = happening.peer_connections or None
        self._update(member, ServerUpdate(subscribed=subscribed, peer_connections=states))

    def member(self, identity: str) -> Member:
        [found] = [member for member in self.members.values() if member.identity == identity]
        return found

    def say(self, identity: str, channel: Channel, message: ServiceChannelMessage) -> None:
        """Say something on a participant's channel."""
        member = self.member(identity)
        assert member.media is not None
        member.media.data.send(member.channels[channel], text_of(message))

    def _channel_happens(self, member: Member, happening: Happening) -> None:
        names = {label: channel for channel, label in member.channels.items()}
        match happening:
            case ChannelOpened(label=label):
                member.open.add(names[label])
            case ChannelMessage(label=label, text=text):
                member.said.append(message_of_client(names[label], text))
            case ChannelClosed(label=label) if label in names:
                member.open.discard(names[label])
                member.grant(names[label])
                assert member.media is not None
                member.media.data.open_channels(frozenset(member.channels.values()))
                self._update(member, ServerUpdate(media_signaling=member.granted()))

    def _welcome(self, member: Member, answer: Negotiate) -> None:
        assert member.session is not None
        member.welcome = None
        message = ConnectedMessage(
            session=member.sid,
            sid=self.room_sid,
            name="lab",
            participant=OwnParticipantState(sid=member.sid, identity=member.identity),
            options=ConnectionOptions(session_timeout_s=self.session_timeout_s),
            participants=tuple(other.remote_state() for other in self.members.values() if other is not member),
            published=member.published_state(),
            subscribed=member.subscribed_state() if member.subscribed else None,
            peer_connections=answer.peer_connections,
            media_signaling=None if self.grants_late else member.granted(),
        )
        member.session.send_connected(message, time.monotonic())
        self._wake[member.session].set()
        self._tell_others(member)
        self._subscribe_all()
        if self.grants_late:
            asyncio.get_running_loop().create_task(self._grant_when_open(member))

    async def _grant_when_open(self, member: Member) -> None:
        await until("all channels are open", lambda: member.open == {*member.channels})
        self._update(member, ServerUpdate(media_signaling=member.granted()))


@asynccontextmanager
async def answering_service(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, AnsweringService]]:
    """Run the service on a free port of loopback; gives its base address."""
    engine = await EmbeddedEngine.open(hosts=["127.0.0.1"])
    service = AnsweringService(engine)
    application = web.Application()
    application.router.add_get("/signaling", service.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", service
    finally:
        await runner.cleanup()
        await engine.close()
