"""Newest state wins: who counts what, and what is too old to matter (signaling.md 2.12). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from appliance.media_engine import Description, DescriptionType, IceState, PeerConnectionState
from appliance.signaling.messages import ClientUpdate, ConnectedMessage, ServerUpdate, SyncedMessage, WarningMessage
from appliance.signaling.states import RemoteParticipantState


@dataclass(slots=True)
class SeenRevisions:
    """What a client has seen, so that an old state cannot undo a new one."""

    published: int = 0
    subscribed: int = 0
    recording: int = 0
    warning: int = 0
    participants: dict[str, int] = field(default_factory=dict)

    def newer_part(self, update: ServerUpdate, own_sid: str) -> ServerUpdate:
        """Return the update without what is old or about the client itself, and remember what remains."""
        published, subscribed, recording = update.published, update.subscribed, update.recording
        if published and published.revision <= self.published:
            published = None
        if subscribed and subscribed.revision <= self.subscribed:
            subscribed = None
        if recording and recording.revision < self.recording:
            recording = None
        self.published = published.revision if published else self.published
        self.subscribed = subscribed.revision if subscribed else self.subscribed
        self.recording = recording.revision if recording else self.recording
        participants = self._newer_participants(update.participants, own_sid)
        return replace(
            update, published=published, subscribed=subscribed, recording=recording, participants=participants
        )

    def _newer_participants(
        self, states: Sequence[RemoteParticipantState] | None, own_sid: str
    ) -> tuple[RemoteParticipantState, ...] | None:
        if states is None:
            return None
        newer = tuple(s for s in states if s.sid != own_sid and s.revision > self.participants.get(s.sid, -1))
        self.participants.update({state.sid: state.revision for state in newer})
        return newer

    def is_new_warning(self, warning: WarningMessage) -> bool:
        if warning.revision <= self.warning:
            return False
        self.warning = warning.revision
        return True


CLOSES_KEPT = 4
"""A client that gives up more connections than these before a service hears of it says only the last ones."""


@dataclass(slots=True)
class LocalConnections:
    """What a client has last said of each of its peer connections, to be said again after a lost socket.

    That it closed one may have gone down with the socket as well, as where the network changed under both: it is said
    again, and before what took its place, since a service may carry one connection at a time.
    """

    _descriptions: dict[str, Description] = field(default_factory=dict)
    _ice: dict[str, IceState] = field(default_factory=dict)
    _closes: dict[str, Description] = field(default_factory=dict)

    def remember(self, states: Sequence[PeerConnectionState]) -> None:
        for state in states:
            if state.ice:
                self._ice[state.id] = state.ice
            if state.description and state.description.type is DescriptionType.CLOSE:
                self._closes[state.id] = state.description
            elif state.description:
                self._descriptions[state.id] = state.description
        self.forget_closed(states)
        for id in tuple(self._closes)[:-CLOSES_KEPT]:
            del self._closes[id]

    def forget_closes(self) -> None:
        """The service has heard of them."""
        self._closes.clear()

    def forget_closed(self, states: Sequence[PeerConnectionState] | None) -> None:
        """Forget those that either side has closed."""
        for state in states or ():
            if state.description and state.description.type is DescriptionType.CLOSE:
                self._descriptions.pop(state.id, None)
                self._ice.pop(state.id, None)

    def descriptions(self) -> tuple[PeerConnectionState, ...]:
        said = {**self._closes, **self._descriptions}
        return tuple(PeerConnectionState(id=key, description=found) for key, found in said.items())

    def candidates(self) -> tuple[PeerConnectionState, ...]:
        return tuple(PeerConnectionState(id=key, ice=found) for key, found in self._ice.items())


def as_update(message: ConnectedMessage | SyncedMessage) -> ServerUpdate:
    """Return what the message says of the room's state, as an update would."""
    return ServerUpdate(
        participants=message.participants,
        published=message.published,
        subscribed=message.subscribed,
        peer_connections=message.peer_connections,
        media_signaling=message.media_signaling,
        recording=message.recording,
    )


def merged(older: ClientUpdate, newer: ClientUpdate) -> ClientUpdate:
    """Return one update that says what both say, the highest revision of each part winning (signaling.md 2.5)."""
    states = {state.id: state for state in older.peer_connections}
    for state in newer.peer_connections:
        states[state.id] = merged_peer_connection(states[state.id], state) if state.id in states else state
    return ClientUpdate(
        session=newer.session or older.session,
        participant=max(older.participant, newer.participant, key=lambda participant: participant.revision),
        peer_connections=tuple(states.values()),
        bandwidth_profile=newer.bandwidth_profile or older.bandwidth_profile,
    )


def merged_peer_connection(older: PeerConnectionState, newer: PeerConnectionState) -> PeerConnectionState:
    """Return the newest description and the newest candidates of the two."""
    description, ice = newer.description or older.description, newer.ice or older.ice
    if older.description and newer.description and older.description.revision > newer.description.revision:
        description = older.description
    if older.ice and newer.ice and older.ice.revision > newer.ice.revision:
        ice = older.ice
    return PeerConnectionState(id=newer.id, description=description, ice=ice)
