"""Both ends of a room's signaling joined in memory, with time and network in the test's hand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from appliance.media_engine import Description, DescriptionType, PeerConnectionState, TrackKind
from appliance.signaling.client import ClientSession
from appliance.signaling.client_events import ClientEvent, SocketWanted
from appliance.signaling.frames import Busy
from appliance.signaling.messages import ConnectedMessage, ConnectionOptions
from appliance.signaling.server import ServerEvent, ServerSession
from appliance.signaling.states import (
    LocalTrackState,
    OwnParticipantState,
    ParticipantState,
    PublicationState,
    PublishedState,
    PublishedTrackState,
    RemoteParticipantState,
    SubscribedState,
)
from appliance.signaling.wishes import Publisher
from tests.support.manual_clock import ManualClock

E = TypeVar("E")

SESSION_TIMEOUT_S = 30.0
MICROPHONE = LocalTrackState(id="aud-a", kind=TrackKind.AUDIO, name="mic")
CAMERA = LocalTrackState(id="vid-a", kind=TrackKind.VIDEO, name="cam")
OWN = OwnParticipantState(sid="PA_A", identity="alice")
BOB = RemoteParticipantState(sid="PA_B", identity="bob", state=ParticipantState.CONNECTED, revision=3)


def offer(revision: int = 1, pc: str = "pc-a") -> PeerConnectionState:
    return _described(pc, DescriptionType.OFFER, revision)


def answer(revision: int = 1, pc: str = "pc-a") -> PeerConnectionState:
    return _described(pc, DescriptionType.ANSWER, revision)


def _described(pc: str, kind: DescriptionType, revision: int) -> PeerConnectionState:
    return PeerConnectionState(id=pc, description=Description(type=kind, revision=revision, sdp=f"{kind}-{revision}"))


def connected(*participants: RemoteParticipantState) -> ConnectedMessage:
    """Return what tells Alice that she is in the room with these others."""
    return ConnectedMessage(
        session="S-A",
        sid="RM_1",
        name="lab",
        participant=OWN,
        options=ConnectionOptions(session_timeout_s=SESSION_TIMEOUT_S),
        participants=participants,
        published=PublishedState(
            revision=1, tracks=(PublishedTrackState(id="aud-a", sid="MT_AA", state=PublicationState.READY),)
        ),
        subscribed=SubscribedState(revision=1),
        peer_connections=(answer(),),
    )


def counted(prefix: str) -> Callable[[], str]:
    """Return a maker of ids that tests can foresee: `prefix-1`, `prefix-2`, …"""
    numbers: Iterator[int] = iter(range(1, 1_000_000))
    return lambda: f"{prefix}-{next(numbers)}"


def client_session(clock: ManualClock, **options: Any) -> ClientSession:
    """Return Alice's end, before its first socket."""
    settings: dict[str, Any] = {
        "token": "token-a",
        "name": "lab",
        "publisher": Publisher(name="test", sdk_version="0", user_agent="test"),
        "random": Random(7),
        "new_uuid": counted("hello"),
        "tracks": (MICROPHONE, CAMERA),
        **options,
    }
    return ClientSession(now=clock.monotonic(), **settings)


@dataclass
class SignalingPair:
    """One client and, per socket, one admitting end. Text travels at once while `up`; closing carries the code."""

    clock: ManualClock = field(default_factory=ManualClock)
    client: ClientSession = field(init=False)
    options: dict[str, Any] = field(default_factory=dict)
    server: ServerSession | None = None
    up: bool = True
    client_events: list[ClientEvent] = field(default_factory=list)
    server_events: list[ServerEvent] = field(default_factory=list)
    client_closes: list[int] = field(default_factory=list)
    server_closes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = client_session(self.clock, **self.options)
        self.pump()

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    # --- the network ---

    def open_socket(self, busy: Busy | None = None) -> ServerSession:
        """Open the socket that the client wants and let both ends talk."""
        self.server = ServerSession(self.now, doorkeeper=lambda hello: busy)
        self.client.socket_opened(self.now)
        self.pump()
        return self.server

    def break_socket(self, code: int = 1006) -> None:
        """End the socket from outside; both ends see it at once."""
        server, self.server = self.server, None
        self.client.socket_closed(code, self.now)
        if server:
            server.socket_closed(code, self.now)
            self._read_server(server)
        self.pump()

    def pump(self) -> None:
        """Carry text both ways until nothing moves."""
        moved = True
        while moved:
            moved = self._carry()
        while event := self.client.next_event():
            self.client_events.append(event)

    def _carry(self) -> bool:
        from_client = self.client.take_outbox()
        from_server = self.server.take_outbox() if self.server else []
        for text in from_client if self.server and self.up else ():
            assert self.server
            self.server.receive(text, self.now)
        for text in from_server if self.up else ():
            self.client.receive(text, self.now)
        if self.server:
            self._read_server(self.server)
        return bool(from_client or from_server) or self._close()

    def _read_server(self, server: ServerSession) -> None:
        while event := server.next_event():
            self.server_events.append(event)

    def _close(self) -> bool:
        server = self.server
        if self.client.close_code is not None:
            code = self.client.close_code
            self.client_closes.append(code)
            self.server = None
            self.client.socket_closed(code, self.now)
            if server and self.up:
                server.socket_closed(code, self.now)
                self._read_server(server)
            return True
        if server and server.close_code is not None:
            code = server.close_code
            self.server_closes.append(code)
            self.server = None
            self.client.socket_closed(code, self.now)
            server.socket_closed(code, self.now)
            self._read_server(server)
            return True
        return False

    # --- time ---

    def sleep(self, seconds: float) -> None:
        """Let time pass, waking both ends whenever they asked for it."""
        end = self.now + seconds
        while (due := self._wake_at()) <= end:
            self.clock.advance(max(0.0, due - self.now))
            self.client.wake(self.now)
            if self.server:
                self.server.wake(self.now)
            self.pump()
        self.clock.advance(end - self.now)

    def _wake_at(self) -> float:
        return min(self.client.wake_at(), self.server.wake_at() if self.server else float("inf"))

    # --- what tests look at ---

    def client_saw(self, kind: type[E]) -> E:
        """Return the newest event of this kind that the client reported."""
        return _newest(self.client_events, kind)

    def server_saw(self, kind: type[E]) -> E:
        """Return the newest event of this kind that the admitting end reported."""
        return _newest(self.server_events, kind)

    def client_count(self, kind: type[ClientEvent]) -> int:
        """Return how many events of this kind the client reported."""
        return sum(isinstance(event, kind) for event in self.client_events)

    def sockets_wanted(self) -> list[float]:
        """Return the delays of all SocketWanted so far."""
        return [event.delay_s for event in self.client_events if isinstance(event, SocketWanted)]

    # --- conversations ---

    def admit(self, *participants: RemoteParticipantState) -> None:
        """Lead a client that was not yet connected through the whole join."""
        server = self.open_socket()
        server.send_iced((), self.now)
        self.pump()
        self.client.connect((offer(),), self.now)
        self.pump()
        server.send_connected(connected(*participants), self.now)
        self.pump()


def _newest(events: list[Any], kind: type[E]) -> E:
    found = [event for event in events if isinstance(event, kind)]
    assert found, f"no {kind.__name__} among {events}"
    return found[-1]


def admitted() -> SignalingPair:
    """Return a pair whose client is in a room with Bob."""
    pair = SignalingPair()
    pair.admit(BOB)
    return pair


def server_of(pair: SignalingPair) -> ServerSession:
    assert pair.server
    return pair.server
