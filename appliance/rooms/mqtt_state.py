"""What is retained at the broker about rooms, participants and tracks (callbacks.md 14, 15, 17)."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.broker import Broker, BrokerDown, BrokerRefused
from appliance.rooms.events import EventName
from appliance.rooms.publishing import Track
from appliance.rooms.resources import participant_json, published_track_json, room_json
from appliance.rooms.room import Participant, Room
from appliance.rooms.store.deliveries import Due
from appliance.rooms.store.pages import find_participant, find_room
from appliance.rooms.store.retained import forget_topic, keep_topic, retained
from appliance.rooms.store.store import Store, StoreUnavailable

log = logging.getLogger(__name__)

ROOM_FINAL_EXPIRY_S = 3600
PARTICIPANT_FINAL_EXPIRY_S = 60
_LOOK_AGAIN_S = 1.0
_LEFT_OUT = ("url", "links", "status_callback", "status_callback_method")
"""Callback addresses may contain secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A retained message; an empty payload clears the topic."""

    topic: str
    room_sid: str
    seq: int
    payload: bytes = b""
    expiry_s: int | None = None


def topic_key(name: str) -> str:
    """Return a room's name as one topic level: every byte outside `A-Z a-z 0-9 - _ .` as `%XX`."""
    return re.sub(rb"[^A-Za-z0-9._-]", lambda found: b"%%%02X" % found[0][0], name.encode()).decode("ascii")


class Topics:
    """Topic names of one account."""

    def __init__(self, prefix: str, account_sid: str) -> None:
        self._account = f"{prefix}/v1/{account_sid}"
        self.dead = f"{self._account}/callbacks/dead"

    def room(self, room_sid: str) -> str:
        return f"{self._account}/rooms/{room_sid}/state"

    def name(self, name: str) -> str:
        return f"{self._account}/names/{topic_key(name)}/state"

    def participant(self, room_sid: str, sid: str) -> str:
        return f"{self._account}/rooms/{room_sid}/participants/{sid}/state"

    def track(self, room_sid: str, participant_sid: str, sid: str) -> str:
        return f"{self._account}/rooms/{room_sid}/participants/{participant_sid}/tracks/{sid}/state"


def live_states(topics: Topics, room: Room) -> Iterator[State]:
    """Give everything that is retained about a room in progress."""
    yield room_state(topics, room)
    yield name_state(topics, room)
    for participant in room.participants:
        yield participant_state(topics, room, participant)
        for track in participant.tracks:
            yield track_state(topics, room, participant, track)


def room_state(topics: Topics, room: Room, expiry_s: int | None = None) -> State:
    document = _plain(room_json(room, "")) | {"participant_count": len(room.participants)}
    return _state(topics.room(room.sid), room, document, expiry_s)


def name_state(topics: Topics, room: Room) -> State:
    document = {"room_sid": room.sid, "room_name": room.name, "status": room.status.value}
    return _state(topics.name(room.name), room, document)


def participant_state(topics: Topics, room: Room, participant: Participant, expiry_s: int | None = None) -> State:
    document = _plain(participant_json(participant, room, ""))
    return _state(topics.participant(room.sid, participant.sid), room, document, expiry_s)


def track_state(topics: Topics, room: Room, participant: Participant, track: Track) -> State:
    document = _plain(published_track_json(track, participant, room, ""))
    return _state(topics.track(room.sid, participant.sid, track.sid), room, document)


def _plain(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in _LEFT_OUT}


def _state(topic: str, room: Room, document: Mapping[str, Any], expiry_s: int | None = None) -> State:
    seq = room.next_seq - 1
    text = json.dumps({**document, "seq": seq}, ensure_ascii=False, separators=(",", ":"))
    return State(topic=topic, room_sid=room.sid, seq=seq, payload=text.encode(), expiry_s=expiry_s)


class RetainedStates:
    """Keeps the broker's picture of the rooms that run.

    Args:
        rooms: gives the rooms in progress now.
        find: gives the one of a SID, None where it has ended.
    """

    def __init__(
        self,
        broker: Broker,
        topics: Topics,
        store: Store,
        rooms: Callable[[], Iterable[Room]],
        find: Callable[[str], Room | None],
    ) -> None:
        self._broker = broker
        self._topics = topics
        self._store = store
        self._rooms = rooms
        self._find = find
        self._ours: dict[str, str] = {}
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        broker.on_connected(self.converge)

    def changed(self, room_sid: str) -> None:
        """Note that something changed that is no event, as somebody reconnecting."""
        self._changed.add(room_sid)
        self._wake.set()

    async def run(self) -> None:
        """Publish what changed without an event, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, set()
            rooms = [room for sid in changed if (room := self._find(sid))]
            try:
                for room in rooms:
                    await self._publish_all([room_state(self._topics, room), *self._people(room)])
            except BrokerDown:
                log.debug("states are published again when the broker is back")
            except BrokerRefused as error:
                log.warning("a state was refused: %s", error)

    async def converge(self) -> None:
        """After each connect: publish what lives, clear what is gone, so that a broker with old data catches up."""
        await self._read_ours()
        living = [state for room in self._rooms() for state in live_states(self._topics, room)]
        topics = {state.topic for state in living}
        gone = [State(topic=topic, room_sid=sid, seq=0) for topic, sid in self._ours.items() if topic not in topics]
        try:
            await self._publish_all([*living, *gone])
        except BrokerRefused as error:
            log.warning("a state was refused: %s", error)

    async def _read_ours(self) -> None:
        """Read which topics are ours; wait for a store that is away, as long as the broker is there."""
        while self._broker.connected:
            try:
                async with self._store.read() as connection:
                    self._ours = await retained(connection)
                return
            except StoreUnavailable:
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def before(self, due: Due) -> None:
        """Publish the states that follow from an event, which itself comes after them.

        Raises:
            BrokerDown: there is no connection.
            BrokerRefused: the broker wants none of it.
            StoreUnavailable: what somebody or a room was last cannot be read now.
        """
        await self._publish_all([state async for state in self._states_of(due)])

    async def _states_of(self, due: Due) -> Any:
        room = self._find(due.room_sid)
        participant_sid = str(due.params.get("ParticipantSid", ""))
        participant = room.participant(participant_sid) if room else None
        match due.name:
            case EventName.ROOM_ENDED:
                for state in await self._ended(due):
                    yield state
            case EventName.PARTICIPANT_DISCONNECTED:
                for state in await self._left(due, participant_sid):
                    yield state
            case EventName.TRACK_REMOVED:
                topic = self._topics.track(due.room_sid, participant_sid, str(due.params["TrackSid"]))
                yield State(topic=topic, room_sid=due.room_sid, seq=due.seq)
            case EventName.ROOM_CREATED if room:
                yield name_state(self._topics, room)
            case EventName.PARTICIPANT_CONNECTED if room and participant:
                yield participant_state(self._topics, room, participant)
            case _ if room and participant:
                sid = due.params.get("TrackSid")
                for track in participant.tracks:
                    if track.sid == sid:
                        yield track_state(self._topics, room, participant, track)
        if room:
            yield room_state(self._topics, room)

    async def _left(self, due: Due, participant_sid: str) -> list[State]:
        """Return the last state of somebody who left, and what clears it."""
        topic = self._topics.participant(due.room_sid, participant_sid)
        async with self._store.read() as connection:
            room = await find_room(connection, due.account_sid, sid=due.room_sid)
            participant = await find_participant(connection, due.room_sid, sid=participant_sid)
        clear = State(topic=topic, room_sid=due.room_sid, seq=due.seq)
        if not room or not participant:
            return [clear]
        return [participant_state(self._topics, room, participant, PARTICIPANT_FINAL_EXPIRY_S), clear]

    async def _ended(self, due: Due) -> list[State]:
        async with self._store.read() as connection:
            room = await find_room(connection, due.account_sid, sid=due.room_sid)
        if not room:
            return []
        name = self._topics.name(room.name)
        taken = any(other.name == room.name for other in self._rooms())
        below = [topic for topic, sid in self._ours.items() if sid == room.sid and topic != name]
        own = self._topics.room(room.sid)
        gone = [topic for topic in below if topic != own] + ([] if taken else [name])
        clearing = [State(topic=topic, room_sid=room.sid, seq=due.seq) for topic in gone]
        return [*clearing, room_state(self._topics, room, ROOM_FINAL_EXPIRY_S)]

    def _people(self, room: Room) -> Iterator[State]:
        for participant in room.participants:
            yield participant_state(self._topics, room, participant)

    async def _publish_all(self, states: Iterable[State]) -> None:
        for state in states:
            await self._publish(state)

    async def _publish(self, state: State) -> None:
        living = bool(state.payload) and state.expiry_s is None
        if living and state.topic not in self._ours:
            self._ours[state.topic] = state.room_sid
            self._store.write(keep_topic(state.topic, state.room_sid, state.seq))
        properties: dict[str, Any] = {"user": {"room-sid": state.room_sid, "seq": str(state.seq), "v": "1"}}
        if state.payload:
            properties |= {"content_type": "application/json", "payload_format": 1}
        if state.expiry_s is not None:
            properties["message_expiry_s"] = state.expiry_s
        await self._broker.publish(state.topic, state.payload, qos=1, retain=True, properties=properties)
        if not living and self._ours.pop(state.topic, ""):
            self._store.write(forget_topic(state.topic))
