"""The joining end of a room's signaling: one stay, over as many sockets as it takes (signaling.md 1, 2). Pure.

A driver owns the sockets and the clock:

    while not over:
        after every call: write `take_outbox()` to the socket, then, if `close_code` is set, close the socket with it
        SocketWanted(delay_s)  wait (and go on calling `wake`), open a WebSocket, then call `socket_opened`
        socket ended, or could not be opened, or was closed by us: call `socket_closed`, once for every attempt
        text arrived: call `receive`;   `wake_at()` has come: call `wake`

Joining: IceServersKnown → make the peer connection and its offer → `connect(…)` → Connected.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from appliance.backoff import SIGNALING_STEPS_S, Backoff
from appliance.errors import LocalProtocolError, RemoteProtocolError, RoomError, room_error
from appliance.media_engine import PeerConnectionState
from appliance.signaling.client_events import (
    ClientEvent,
    Connected,
    Disconnected,
    IceServersKnown,
    Reconnecting,
    SocketWanted,
    Synced,
    Updated,
    Warned,
)
from appliance.signaling.fields import Json
from appliance.signaling.link import (
    NEVER,
    ClientLink,
    ClientLinkState,
    CloseCode,
    LinkClosed,
    LinkEvent,
    LinkOpened,
    MessageArrived,
)
from appliance.signaling.messages import (
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
    server_message,
)
from appliance.signaling.revisions import LocalConnections, SeenRevisions, as_update, merged
from appliance.signaling.room_session import TRANSITIONS, Cause, RoomState, following
from appliance.signaling.states import LocalParticipantState, LocalTrackState
from appliance.signaling.wishes import (
    BandwidthProfile,
    IceServerSource,
    Publisher,
    RuleType,
    SubscribeRule,
    SubscribeState,
)

__all__ = [
    "ClientEvent",
    "ClientSession",
    "Connected",
    "Disconnected",
    "IceServersKnown",
    "Reconnecting",
    "SocketWanted",
    "Synced",
    "Updated",
    "Warned",
]

logger = logging.getLogger(__name__)

OPEN_DEADLINE_S = 15.0
ANSWER_DEADLINE_S = 30.0
"""How long the service may think about `ice` and `connect`; the SDK waits for ever, a device on a wall must not."""


class ClientSession:
    """One stay in a room, from the first hello to the last bye.

    Args:
        name: the room's name or SID; None leaves it to the token.
        tracks: the local tracks at the start; their `participant.revision` is 1 + their number.
        automatic_subscription: whether everything in the room is wanted.
        media_signaling: channels we can take, as `active_speaker` (signaling.md 5.1).
        own_ice_servers: we have ICE servers of our own; then nothing is asked, and SocketWanted follows `connect`.
        random: for the delays between attempts.
        new_uuid: gives the id of every hello.

    Every method that takes `now` may be called at any time; after the end they do nothing.
    """

    def __init__(
        self,
        *,
        token: str,
        name: str | None,
        publisher: Publisher,
        random: Random,
        new_uuid: Callable[[], str],
        now: float,
        tracks: Sequence[LocalTrackState] = (),
        automatic_subscription: bool = True,
        media_signaling: frozenset[str] = frozenset(),
        bandwidth_profile: BandwidthProfile | None = None,
        own_ice_servers: bool = False,
    ) -> None:
        rule = RuleType.INCLUDE if automatic_subscription else RuleType.EXCLUDE
        self._wishes = ConnectMessage(
            name=name,
            token=token,
            participant=LocalParticipantState(revision=1 + len(tracks), tracks=tuple(tracks)),
            peer_connections=(),  # as are token and participant, filled in when it is sent
            ice_servers=IceServerSource.OVERRODE if own_ice_servers else IceServerSource.ACQUIRE,
            publisher=publisher,
            media_signaling=media_signaling,
            subscribe=SubscribeState(rules=(SubscribeRule(type=rule),)),
            bandwidth_profile=bandwidth_profile,
        )
        self._token = token
        self._participant = self._wishes.participant
        self._new_uuid = new_uuid
        self._backoff = Backoff(random, SIGNALING_STEPS_S)
        self._state = RoomState.CONNECTING
        self._events: deque[ClientEvent] = deque()
        self._link: ClientLink | None = None
        self._outbox: list[str] = []
        self._cookie: str | None = None
        self._close_code: int | None = None
        self._open_by = NEVER
        self._answer_by = NEVER
        self._session_ends_at = NEVER
        self._connect_sent = False
        self._iced = False
        self._connected: ConnectedMessage | None = None
        self._seen = SeenRevisions()
        self._local = LocalConnections()
        self._queued: ClientUpdate | None = None
        self._early_updates: list[ServerUpdate] = []
        if not own_ice_servers:
            self._want_socket(0.0, now)

    # --- what can be asked ---

    @property
    def state(self) -> RoomState:
        return self._state

    @property
    def session(self) -> str | None:
        """The opaque text by which the service knows this stay; None before Connected."""
        return self._connected.session if self._connected else None

    @property
    def participant(self) -> LocalParticipantState:
        """Our own state, as last told or about to be told."""
        return self._participant

    @property
    def close_code(self) -> int | None:
        """Close the socket, or give up opening it, with this code once the outbox is written; None: leave it alone."""
        return self._close_code

    def next_event(self) -> ClientEvent | None:
        """Return the oldest event that was not read yet."""
        return self._events.popleft() if self._events else None

    def take_outbox(self) -> list[str]:
        """Return the text frames to write now, oldest first, and forget them."""
        self._collect_outbox()
        frames, self._outbox = self._outbox, []
        return frames

    # --- what the caller wants ---

    def connect(self, peer_connections: Sequence[PeerConnectionState], now: float) -> None:
        """Join with these peer connections: normally one, with an offer of revision 1.

        Raises:
            LocalProtocolError: before IceServersKnown, or for the second time.
        """
        if self._state is RoomState.DISCONNECTED:
            return
        asked = self._wishes.ice_servers is IceServerSource.ACQUIRE
        if self._connect_sent or (asked and not self._iced):
            raise LocalProtocolError("connect comes once, after the ICE servers are known")
        self._connect_sent = True
        self._local.remember(peer_connections)
        self._answer_by = now + ANSWER_DEADLINE_S
        if asked:
            self._send(self._connect_message().to_wire(), now)
        else:
            self._want_socket(0.0, now)

    def set_tracks(self, tracks: Sequence[LocalTrackState], now: float) -> None:
        """Tell the complete list of our tracks; the same list again is not sent."""
        if tuple(tracks) == self._participant.tracks:
            return
        self._participant = LocalParticipantState(revision=self._participant.revision + 1, tracks=tuple(tracks))
        self._update((), now)

    def describe(self, states: Sequence[PeerConnectionState], now: float) -> None:
        """Send descriptions and candidates; the latter cumulative, their revision growing (signaling.md 4.6)."""
        self._local.remember(states)
        self._update(states, now)

    def set_bandwidth_profile(self, profile: BandwidthProfile, now: float) -> None:
        """Replace the hints for what we receive."""
        self._wishes = replace(self._wishes, bandwidth_profile=profile)
        self._update((), now, profile)

    def renew_token(self, token: str) -> None:
        """Use this token when the session has to be resumed."""
        self._token = token

    def disconnect(self, now: float) -> None:
        """Leave for good: `disconnect`, `bye`, close 1000."""
        if self._state is not RoomState.DISCONNECTED:
            self._leave(None, now)

    # --- what the socket does ---

    def socket_opened(self, now: float) -> None:
        """The WebSocket that was wanted is open."""
        if self._state is RoomState.DISCONNECTED or self._close_code is not None:
            return  # too late: the driver closes it with `close_code`
        self._open_by = NEVER
        self._link = ClientLink(self._first_message(), self._new_uuid, now, cookie=self._cookie)
        if self._state is RoomState.CONNECTING:
            self._answer_by = NEVER  # counted anew from the welcome
        self._collect_outbox()

    def socket_closed(self, code: int, now: float) -> None:
        """The socket has ended with this close code, or 1006 where it could not be opened or has no code."""
        if self._close_code is not None:
            self._close_code = None  # the end that we asked for
            return
        if self._state is RoomState.DISCONNECTED or (self._link is None and self._open_by == NEVER):
            return
        self._drop_link()
        self._lost(code, now)

    def receive(self, text: str, now: float) -> None:
        """Take a text frame. Malformed ones are logged and passed by."""
        if self._link:
            self._link.receive(text, now)
            self._handle_link_events(now)

    # --- time ---

    def wake_at(self) -> float:
        """Return when to call `wake`, on the caller's clock; infinity for never."""
        link_at = self._link.wake_at() if self._link else NEVER
        return min(link_at, self._open_by, self._answer_by, self._session_ends_at)

    def wake(self, now: float) -> None:
        """Do what is due. Calling too early does nothing."""
        if now >= self._session_ends_at:
            self._leave(room_error(53001), now)
        elif now >= self._answer_by:
            self._leave(room_error(53000, "the rooms service did not answer in time"), now)
        elif now >= self._open_by:
            self._open_by = NEVER
            self._close_code = CloseCode.OPEN_TIMEOUT
            self._lost(CloseCode.OPEN_TIMEOUT, now)
        elif self._link:
            self._link.wake(now)
            self._handle_link_events(now)

    # --- the link ---

    def _want_socket(self, delay_s: float, now: float) -> None:
        self._open_by = now + delay_s + OPEN_DEADLINE_S
        self._events.append(SocketWanted(delay_s))

    def _first_message(self) -> Json:
        if self._connected:
            return self._sync_message(self._connected).to_wire()
        if self._wishes.ice_servers is IceServerSource.OVERRODE:
            return self._connect_message().to_wire()
        return IceMessage(token=self._token).to_wire()

    def _handle_link_events(self, now: float) -> None:
        while self._link and (event := self._link.next_event()):
            self._handle_link_event(event, now)
        self._collect_outbox()

    def _handle_link_event(self, event: LinkEvent, now: float) -> None:
        match event:
            case LinkOpened():
                self._cookie = None
                if self._state is RoomState.CONNECTING:
                    self._answer_by = now + ANSWER_DEADLINE_S
            case MessageArrived(body):
                self._take_message(body, now)
            case LinkClosed(code, retry_after_s, cookie):
                self._drop_link()
                self._close_code = code
                self._cookie = cookie
                if retry_after_s is None:
                    self._lost(code, now)
                else:
                    self._want_socket(retry_after_s, now)
            case _:
                raise LocalProtocolError(f"a joining link does not report {event}")

    def _drop_link(self) -> None:
        self._collect_outbox()
        self._link = None
        self._open_by = NEVER

    def _collect_outbox(self) -> None:
        if self._link:
            self._outbox.extend(self._link.take_outbox())

    def _lost(self, code: int, now: float) -> None:
        """The socket is gone, without our leaving: go on with another, or give up."""
        if self._state is RoomState.CONNECTING:
            self._leave(_why_not_connected(code), now)
        elif code == CloseCode.NORMAL:
            self._leave(None, now)  # signaling.md 1.4: a service that closes so has ended the stay
        else:
            self._reconnect(now)

    def _reconnect(self, now: float) -> None:
        if self._state is RoomState.CONNECTED and self._connected:
            self._session_ends_at = now + self._connected.options.session_timeout_s
            self._events.append(Reconnecting(room_error(53001)))
        self._move(Cause.LINK_LOST)
        self._outbox.clear()
        self._want_socket(self._backoff.next_delay_s(), now)

    # --- messages ---

    def _take_message(self, body: Json, now: float) -> None:
        try:
            message = server_message(body)
        except RemoteProtocolError as error:
            logger.warning("service sent a message that cannot be read: %s", error)
            if body.get("type") in (ConnectedMessage.type, IcedMessage.type) and self._state is RoomState.CONNECTING:
                self._leave(room_error(53003), now)
            return
        if message:
            self._apply(message, now)

    def _apply(self, message: ServerMessage, now: float) -> None:
        match message, self._state:
            case ErrorMessage(code=code, message=text), _:
                self._leave(room_error(code, text or None), now)
            case DisconnectedMessage(completed=completed), _:
                self._leave(room_error(53118) if completed else self._put_out(), now)
            case IcedMessage(ice_servers=servers), RoomState.CONNECTING if not self._iced:
                self._iced = True
                self._answer_by = NEVER
                self._events.append(IceServersKnown(servers))
            case ConnectedMessage(), RoomState.CONNECTING if self._connect_sent:
                self._enter(message, now)
            case ServerUpdate(), RoomState.CONNECTED:
                self._tell(message)
            case ConnectedMessage(), RoomState.CONNECTED:
                self._tell(as_update(message))
            case ServerUpdate(), _:
                self._early_updates.append(message)
            case ConnectedMessage(), RoomState.SYNCING:
                self._early_updates.append(as_update(message))
            case SyncedMessage(), RoomState.SYNCING:
                self._resume(message, now)
            case WarningMessage(), RoomState.CONNECTED if self._seen.is_new_warning(message):
                self._events.append(Warned(message))
            case _:
                pass  # out of season (signaling.md 2.1)

    def _put_out(self) -> RoomError | None:
        return room_error(53000) if self._state is RoomState.CONNECTING else None

    def _enter(self, message: ConnectedMessage, now: float) -> None:
        self._connected = message
        self._move(Cause.CONNECTED)
        self._answer_by = NEVER
        self._seen.newer_part(as_update(message), message.participant.sid)
        self._events.append(Connected(message))
        self._after_silence(now)

    def _resume(self, message: SyncedMessage, now: float) -> None:
        assert self._connected
        self._move(Cause.SYNCED)
        self._session_ends_at = NEVER
        self._backoff.reset()
        newer = self._seen.newer_part(as_update(message), self._connected.participant.sid)
        self._local.forget_closed(message.peer_connections)
        self._local.forget_closes()
        # Participants stay complete: only so can be seen who has left meanwhile.
        self._events.append(Synced(replace(message, published=newer.published, subscribed=newer.subscribed)))
        # Candidates may have been lost with the socket; the service knows old ones by their revision.
        if ice := self._local.candidates():
            self._queue(ClientUpdate(session=self.session, participant=self._participant, peer_connections=ice))
        self._after_silence(now)

    def _after_silence(self, now: float) -> None:
        """Say and hear what had to wait."""
        if self._queued:
            self._send(replace(self._queued, session=self.session).to_wire(), now)
            self._queued = None
        early, self._early_updates = self._early_updates, []
        for update in early:
            self._tell(update)

    def _tell(self, update: ServerUpdate) -> None:
        assert self._connected
        self._local.forget_closed(update.peer_connections)
        self._events.append(Updated(self._seen.newer_part(update, self._connected.participant.sid)))

    def _leave(self, error: RoomError | None, now: float) -> None:
        self._move(Cause.DISCONNECT)
        self._answer_by = self._session_ends_at = NEVER
        attempt_under_way = self._open_by != NEVER or self._link is not None
        if self._link and self._link.state is ClientLinkState.OPEN:
            self._link.send(DisconnectMessage(session=self.session).to_wire(), now)
            self._link.say_bye(now)
        self._drop_link()
        if attempt_under_way:
            self._close_code = CloseCode.NORMAL
        self._events.append(Disconnected(error))

    def _move(self, cause: Cause) -> None:
        self._state = following(TRANSITIONS, self._state, cause)

    # --- what we say ---

    def _connect_message(self) -> ConnectMessage:
        return replace(
            self._wishes,
            token=self._token,
            participant=self._participant,
            peer_connections=self._local.descriptions(),
        )

    def _sync_message(self, connected: ConnectedMessage) -> SyncMessage:
        if self._queued:  # what it tells of descriptions and tracks travels in the sync itself
            states = tuple(replace(state, description=None) for state in self._queued.peer_connections if state.ice)
            profile = self._queued.bandwidth_profile
            self._queued = replace(self._queued, peer_connections=states) if states or profile else None
        return SyncMessage(
            session=connected.session,
            token=self._token,
            name=self._wishes.name,
            participant=self._participant,
            peer_connections=self._local.descriptions(),
        )

    def _update(
        self, states: Sequence[PeerConnectionState], now: float, profile: BandwidthProfile | None = None
    ) -> None:
        if self._state is RoomState.DISCONNECTED or (self._state is RoomState.CONNECTING and not self._connect_sent):
            return  # nobody to tell any more, or `connect` will tell it
        update = ClientUpdate(
            session=self.session,
            participant=self._participant,
            peer_connections=tuple(states),
            bandwidth_profile=profile,
        )
        if self._state is RoomState.CONNECTED:
            self._send(update.to_wire(), now)
        else:
            self._queue(update)

    def _queue(self, update: ClientUpdate) -> None:
        self._queued = merged(self._queued, update) if self._queued else update

    def _send(self, body: Json, now: float) -> None:
        if self._link:
            self._link.send(body, now)
            self._collect_outbox()


def _why_not_connected(code: int) -> RoomError:
    """Return why a join failed whose socket ended with this code."""
    match code:
        case CloseCode.BUSY_FOR_GOOD:
            return room_error(53006)
        case CloseCode.NORMAL:
            return room_error(53001)  # signaling.md 1.4
        case _:
            return room_error(53000, f"the connection to the rooms service ended with code {code}")
