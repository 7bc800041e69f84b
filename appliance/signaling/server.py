"""The admitting end of a room's signaling: one participant over one socket (signaling.md 1, 2). Pure.

The caller owns the socket and the clock, decides who may come in, and answers every request event with one call:

    IceRequested ─▶ send_iced      ConnectRequested ─▶ send_connected      SyncRequested ─▶ send_synced
    or with send_error; then `send_update` at any time, until Left or LinkLost, or send_disconnected or send_error.

After every call: write `take_outbox()`, then, if `close_code` is set, close the socket with exactly that code.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.errors import RemoteProtocolError, RoomError, room_error
from appliance.signaling.fields import Json
from appliance.signaling.link import (
    NEVER,
    ByeSaid,
    CloseCode,
    Doorkeeper,
    FrameRefused,
    LinkClosed,
    LinkEvent,
    LinkOpened,
    MessageArrived,
    ServerLink,
)
from appliance.signaling.messages import (
    ClientMessage,
    ClientUpdate,
    ConnectedMessage,
    ConnectMessage,
    DisconnectedMessage,
    DisconnectMessage,
    ErrorMessage,
    IcedMessage,
    IceMessage,
    ServerMessage,
    ServerUpdate,
    SyncedMessage,
    SyncMessage,
    WarningMessage,
    client_message,
)
from appliance.signaling.room_session import ADMISSIONS, Admission, Step, following
from appliance.signaling.states import (
    IceServer,
)

logger = logging.getLogger(__name__)

FAREWELL_S = 5.0
"""How long a client that was told to go may take to close; then we do (signaling.md 2.10)."""


# --- what happens, oldest first from `next_event` --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IceRequested:
    """A client wants ICE servers: verify the token, then `send_iced` once, or `send_error`."""

    token: str
    preflight: bool


@dataclass(frozen=True, slots=True)
class ConnectRequested:
    """A client wants to join: `send_connected` or `send_error`."""

    message: ConnectMessage


@dataclass(frozen=True, slots=True)
class SyncRequested:
    """A client resumes a session that it had over another socket: `send_synced` or `send_error`."""

    message: SyncMessage


@dataclass(frozen=True, slots=True)
class Updated:
    """A client said something of itself. `message.participant` is news only where its revision has grown (2.12)."""

    message: ClientUpdate


@dataclass(frozen=True, slots=True)
class Left:
    """The client has left for good."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The socket is gone without a farewell, or nothing came over it any more: 3001. The client may resume."""

    code: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The client broke the rules and was told so with this error; a participant has to be dropped."""

    error: RoomError


ServerEvent = IceRequested | ConnectRequested | SyncRequested | Updated | Left | LinkLost | Refused


class ServerSession:
    """One client over one WebSocket that has just been accepted.

    Args:
        doorkeeper: asked at every hello whether the service is too busy for it; None welcomes all.
    """

    def __init__(self, now: float, *, doorkeeper: Doorkeeper | None = None) -> None:
        self._link = ServerLink(now, doorkeeper=doorkeeper)
        self._state = Admission.NEW
        self._events: deque[ServerEvent] = deque()
        self._close_code: int | None = None
        self._close_at = NEVER
        self._leaving = False

    # --- what can be asked ---

    @property
    def state(self) -> Admission:
        return self._state

    @property
    def close_code(self) -> int | None:
        """Close the socket with this code once the outbox is written; None: leave it open."""
        return self._close_code

    def next_event(self) -> ServerEvent | None:
        """Return the oldest event that was not read yet."""
        return self._events.popleft() if self._events else None

    def take_outbox(self) -> list[str]:
        """Return the text frames to write now, oldest first, and forget them."""
        return self._link.take_outbox()

    # --- what the socket does, and time ---

    def receive(self, text: str, now: float) -> None:
        """Take a text frame. One that breaks the rules ends the session with an error that names the key."""
        self._link.receive(text, now)
        self._handle_link_events(now)

    def receive_binary(self, now: float) -> None:
        """Take note of a binary frame, which this protocol does not have."""
        self._refuse("frame: must be text", now)

    def socket_closed(self, code: int, now: float) -> None:
        """The socket has ended; `code` as the client gave it, 1005 or 1006 where it gave none."""
        if self._state is not Admission.ENDED:
            self._end()
            left = self._leaving or code == CloseCode.NORMAL
            self._events.append(Left() if left else LinkLost(code))
        self._link.stop()
        self._close_at = NEVER

    def wake_at(self) -> float:
        """Return when to call `wake`, on the caller's clock; infinity for never."""
        return min(self._link.wake_at(), self._close_at)

    def wake(self, now: float) -> None:
        """Do what is due. Calling too early does nothing."""
        self._link.wake(now)
        self._handle_link_events(now)
        if now >= self._close_at:
            self._close_at = NEVER
            self._close_code = self._close_code or CloseCode.GOING_AWAY
            self._link.stop()

    # --- what the service says ---

    def send_iced(self, ice_servers: Sequence[IceServer], now: float) -> None:
        """Answer IceRequested. Raise LocalProtocolError for a second time: the client would make a second PC."""
        self._move(Step.ICED)
        self._send(IcedMessage(ice_servers=tuple(ice_servers)), now)

    def send_connected(self, message: ConnectedMessage, now: float) -> None:
        """Answer ConnectRequested: everything the client has to know, the answer to its offer included."""
        self._move(Step.CONNECTED)
        self._send(message, now)

    def send_synced(self, message: SyncedMessage, now: float) -> None:
        """Answer SyncRequested with the whole picture.

        Every peer connection that the client shall keep must be in `peer_connections`; None keeps all (10.23).
        """
        self._move(Step.SYNCED)
        self._send(message, now)

    def send_update(self, message: ServerUpdate, now: float) -> None:
        """Tell what changed: of `participants` the changed ones, of `published` and `subscribed` the full list."""
        self._move(Step.UPDATE)
        self._send(message, now)

    def send_warning(self, message: WarningMessage, now: float) -> None:
        """Tell what is amiss with the client's own tracks, or no longer."""
        self._move(Step.UPDATE)
        self._send(message, now)

    def send_error(self, code: int, message: str, now: float) -> None:
        """Refuse the join or end the stay with a number of signaling.md 6. No event follows."""
        self._dismiss(ErrorMessage(code=code, message=message), now)

    def send_disconnected(self, now: float, *, completed: bool) -> None:
        """End the stay: the room is completed, or the participant is put out. No event follows."""
        self._dismiss(DisconnectedMessage(completed=completed), now)

    def close(self, code: int) -> None:
        """End the socket, not the stay: restart (1012), shutdown (1001), moved to another socket. No event follows."""
        assert code != CloseCode.NORMAL, "the SDK would leave the room for good (signaling.md 1.4)"
        if self._state is not Admission.ENDED:
            self._end()
        self._link.stop()
        self._close_code = code

    def readmit(self, now: float) -> None:
        """Stop being busy: welcome a client that waits, or the next hello of one that will ask again."""
        self._link.readmit(now)
        self._handle_link_events(now)

    # --- the link ---

    def _handle_link_events(self, now: float) -> None:
        while event := self._link.next_event():
            self._handle_link_event(event, now)

    def _handle_link_event(self, event: LinkEvent, now: float) -> None:
        match event:
            case LinkOpened():
                pass
            case MessageArrived(body):
                self._take_message(body, now)
            case FrameRefused(reason):
                self._refuse(reason, now)
            case ByeSaid():
                self._leaving = True
            case LinkClosed(code):
                self._close_code = code
                self._close_at = NEVER
                if self._state is not Admission.ENDED:
                    self._end()
                    self._events.append(Left() if self._leaving else LinkLost(CloseCode.SILENCE))

    # --- messages ---

    def _take_message(self, body: Json, now: float) -> None:
        if self._state is Admission.ENDED:
            return
        try:
            message = client_message(body)
            self._check_turn(message)
        except RemoteProtocolError as error:
            self._refuse(str(error), now)
            return
        self._apply(message)

    def _check_turn(self, message: ClientMessage) -> None:
        step = _STEPS.get(type(message))
        if step and (self._state, step) not in ADMISSIONS:
            raise RemoteProtocolError(f"type: {message.type} is out of turn")

    def _apply(self, message: ClientMessage) -> None:
        match message:
            case IceMessage(token=token, preflight=preflight):
                self._move(Step.ICE)
                self._events.append(IceRequested(token, preflight))
            case ConnectMessage():
                self._move(Step.CONNECT)
                self._events.append(ConnectRequested(message))
            case SyncMessage():
                self._move(Step.SYNC)
                self._events.append(SyncRequested(message))
            case ClientUpdate():
                self._move(Step.UPDATE)
                self._events.append(Updated(message))
            case DisconnectMessage():
                self._end()
                self._leaving = True
                self._events.append(Left())

    def _refuse(self, reason: str, now: float) -> None:
        if self._state is Admission.ENDED:
            return
        error = room_error(53004, reason)
        self._dismiss(ErrorMessage(code=error.code, message=error.message), now)
        self._events.append(Refused(error))

    def _dismiss(self, message: ServerMessage, now: float) -> None:
        if self._state is Admission.ENDED:
            return
        self._send(message, now)
        self._end()
        self._close_at = now + FAREWELL_S

    def _send(self, message: ServerMessage, now: float) -> None:
        self._link.send(message.to_wire(), now)

    def _end(self) -> None:
        self._move(Step.ENDED)

    def _move(self, step: Step) -> None:
        self._state = following(ADMISSIONS, self._state, step)


_STEPS: Mapping[type[ClientMessage], Step] = {
    IceMessage: Step.ICE,
    ConnectMessage: Step.CONNECT,
    SyncMessage: Step.SYNC,
    ClientUpdate: Step.UPDATE,
}
"""What a client may say only in its turn; leaving is always its turn."""
