"""The rooms in progress, by SID and by name, with what runs in each of them."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from appliance.errors import RoomError
from appliance.media_engine import MediaPeer, PeerConnectionState, Subscription
from appliance.rooms.conversation import Farewell, Published, PublishedTrackState, Subscribed, Tell, ToClient
from appliance.rooms.publishing import Track
from appliance.rooms.room import Change, Room
from appliance.rooms.side_channels import SideChannels
from appliance.sids import AccountSid, ParticipantSid, RoomSid, TrackSid


class Attachment:
    """One socket's hold on a participant; `session` is what the client has to show to resume.

    Opaque to sockets. When the session moves to another socket, calls made with the older attachment do nothing.
    """

    __slots__ = ("session", "tell")

    def __init__(self, session: str, tell: Tell) -> None:
        self.session = session
        self.tell = tell


@dataclass(slots=True, kw_only=True)
class Stay:
    """What runs for one participant, from the first offer to the last goodbye.

    `receiving`: the tracks that the engine is asked to give it, `received_since` since when.

    `attachment` is None while the socket is lost; `lost_at` is then when, in seconds of the monotonic clock. `early`
    holds what the engine wants to be sent until Joined was told, and is None from then on. `answered` is done with the
    first answer, or fails with the reason why there is none. `farewell` is what was told when the stay was over.
    `channels`: what it has of media signaling. `held`: the session as the client holds it, with what it asked for.
    """

    room_sid: RoomSid
    participant_sid: ParticipantSid
    identity: str
    session: str
    answered: "asyncio.Future[None]"
    client_revision: int
    peer: MediaPeer | None = None
    attachment: Attachment | None = None
    lost_at: float | None = None
    early: list[PeerConnectionState] | None = field(default_factory=list)
    over: bool = False
    farewell: Farewell | None = None
    receiving: frozenset[TrackSid] = frozenset()
    received_since: dict[TrackSid, datetime] = field(default_factory=dict)
    published_revision: int = 1
    refused: dict[str, RoomError] = field(default_factory=dict)
    subscribed_revision: int = 1
    subscriptions: tuple[Subscription, ...] = ()
    channels: SideChannels = field(default_factory=SideChannels)
    held: str = ""

    def tell(self, message: ToClient) -> None:
        """Pass it on where a socket is there and was welcomed; a later welcome holds the whole picture anyway."""
        if self.attachment and self.early is None:
            self.attachment.tell(message)

    def receive(self, wanted: frozenset[TrackSid], now: datetime) -> bool:
        """Note what it is to receive from now on; tell whether that is something else than before."""
        changed = wanted != self.receiving
        self.receiving = wanted
        self.received_since = {sid: self.received_since.get(sid, now) for sid in wanted}
        return changed

    def published(self, tracks: Sequence[Track]) -> Published:
        ready = [PublishedTrackState(id=track.client_id, sid=track.sid) for track in tracks]
        refused = [
            PublishedTrackState(id=client_id, error_code=error.code, error_message=error.message)
            for client_id, error in self.refused.items()
        ]
        return Published(revision=self.published_revision, tracks=(*ready, *refused))

    def subscribed(self) -> Subscribed:
        return Subscribed(revision=self.subscribed_revision, tracks=self.subscriptions)


@dataclass(slots=True, kw_only=True)
class RoomEntry:
    """A room in progress.

    `opening` is the change that creates an ad-hoc room, until its first participant is in: nobody hears of a room that
    nobody could join. `arriving`: identities of those who are on the way in, by SID; they hold a seat. `speaker`: who
    speaks loudest now, None for nobody.
    """

    room: Room
    opening: Change | None = None
    stays: dict[ParticipantSid, Stay] = field(default_factory=dict)
    arriving: dict[ParticipantSid, str] = field(default_factory=dict)
    speaker: ParticipantSid | None = None


class Registry:
    """Finds rooms in progress and sessions."""

    def __init__(self) -> None:
        self._by_sid: dict[RoomSid, RoomEntry] = {}
        self._by_name: dict[tuple[AccountSid, str], RoomEntry] = {}
        self._by_session: dict[str, Stay] = {}

    def __len__(self) -> int:
        return len(self._by_sid)

    def __iter__(self) -> Iterator[RoomEntry]:
        """Go through a copy, so that rooms may end on the way."""
        return iter(list(self._by_sid.values()))

    def add(self, entry: RoomEntry) -> None:
        self._by_sid[entry.room.sid] = entry
        self._by_name[entry.room.account_sid, entry.room.name] = entry

    def remove(self, entry: RoomEntry) -> None:
        self._by_sid.pop(entry.room.sid, None)
        self._by_name.pop((entry.room.account_sid, entry.room.name), None)

    def by_sid(self, account_sid: AccountSid, sid: str) -> RoomEntry | None:
        entry = self._by_sid.get(RoomSid(sid))
        return entry if entry and entry.room.account_sid == account_sid else None

    def by_room(self, sid: RoomSid) -> RoomEntry | None:
        """Return the room of a SID that was checked against its account before."""
        return self._by_sid.get(sid)

    def by_name(self, account_sid: AccountSid, name: str) -> RoomEntry | None:
        return self._by_name.get((account_sid, name))

    def entry_of(self, stay: Stay) -> RoomEntry | None:
        return self._by_sid.get(stay.room_sid)

    def participants(self) -> int:
        """Count those who are in a room or on the way into one."""
        return sum(len(entry.stays) + len(entry.arriving) for entry in self._by_sid.values())

    def add_session(self, stay: Stay) -> None:
        self._by_session[stay.session] = stay

    def remove_session(self, session: str) -> None:
        self._by_session.pop(session, None)

    def by_session(self, session: str) -> Stay | None:
        return self._by_session.get(session)
